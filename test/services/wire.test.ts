// Statements that leave in one turn are answered together: each has its own answer all the same, and what follows one that
// failed is passed over.
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { configOf } from '../../src/stores/postgres/connections.js'
import { type Wire, wireOf } from '../../src/stores/postgres/wire.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')

if (url)
  describe('statements of one turn', () => {
    let pool: pg.Pool
    let client: pg.PoolClient
    let wire: Wire
    /** How often the server has answered, and what was sent to it. */
    let answers = 0
    let sent: Buffer[] = []

    beforeEach(async () => {
      pool = new pg.Pool({ ...configOf(url, {}), max: 1 })
      client = await pool.connect()
      client.on('error', () => {})
      await client.query('create temporary table kept (n int primary key, word text)')
      wire = wireOf(client)
      answers = 0
      sent = []
      const { connection } = client as unknown as { connection: pg.Connection }
      connection.on('readyForQuery', () => answers++)
      const { stream } = connection
      const write = stream.write.bind(stream)
      stream.write = ((chunk: Buffer) => {
        sent.push(Buffer.from(chunk))
        return write(chunk)
      }) as typeof stream.write
    })
    afterEach(async () => {
      client.release(true)
      await pool.end()
    })

    const insert = (n: number, word: string | null = null) =>
      wire.ask({ name: 'insert', text: 'insert into kept values ($1, $2)', values: [String(n), word] })
    const all = () => wire.ask({ name: 'all', text: 'select n, word from kept order by n' })
    const plain = (text: string) => wire.ask({ name: null, text })
    /** Messages of a kind, such as `P`, which has the server prepare a statement. */
    const count = (kind: string) => sent.filter((message) => message[0] === kind.charCodeAt(0)).length

    it('are answered together, each with its own answer', async () => {
      const [begun, one, two, found, gone, over] = await Promise.all([
        plain('begin'),
        insert(1, 'ö "\\'),
        insert(2),
        all(),
        plain('delete from kept where n > 5'),
        plain('commit'),
      ])
      expect(answers).toBe(1)
      expect([begun, one, gone, over].map(({ command }) => command)).toEqual(['BEGIN', 'INSERT', 'DELETE', 'COMMIT'])
      expect([one, two, found, gone].map(({ rowCount }) => rowCount)).toEqual([1, 1, 2, 0])
      expect(found.rows).toEqual([
        { n: 1, word: 'ö "\\' },
        { n: 2, word: null },
      ])
    })

    it('are prepared once, and described until it is known what they answer', async () => {
      await Promise.all([insert(1), insert(2), all(), all()])
      expect([count('P'), count('D'), count('B')]).toEqual([2, 4, 4])
      sent = []
      const [, found] = await Promise.all([insert(3), all()])
      expect([count('P'), count('D'), count('B')]).toEqual([0, 0, 2])
      expect(found.rows.map(({ n }) => n)).toEqual([1, 2, 3])
    })

    it('that follow one that failed are passed over, and fail with its error', async () => {
      const asked = [plain('begin'), insert(1), insert(1), all(), plain('commit')]
      const results = await Promise.allSettled(asked)
      expect(results.map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'rejected',
        'rejected',
      ])
      const reasons = results.map((result) => (result.status === 'rejected' ? result.reason : null))
      expect(reasons.map((reason) => reason?.code)).toEqual([undefined, undefined, '23505', '23505', '23505'])
      // What the server has passed over it has not prepared; what failed it had.
      expect(await plain('rollback')).toMatchObject({ command: 'ROLLBACK' })
      await insert(4, 'after')
      expect((await all()).rows).toEqual([{ n: 4, word: 'after' }])
      expect((await all()).rows).toHaveLength(1)
    })

    it('may be asked again when they could not be prepared', async () => {
      const missing = () => wire.ask({ name: 'missing', text: 'select 1 as there from not_yet' })
      await expect(missing()).rejects.toMatchObject({ code: '42P01' })
      await plain('create temporary table not_yet as select 1')
      expect((await missing()).rows).toEqual([{ there: 1 }])
      sent = []
      expect((await missing()).rows).toEqual([{ there: 1 }])
      expect(count('P')).toBe(0)
    })

    it('leave one out that is asked alone: it is carried out whatever became of the others', async () => {
      const failed = Promise.allSettled([plain('begin'), plain('select 1 / 0'), plain('select 2')])
      const back = wire.askAlone({ name: null, text: 'rollback' })
      const after = insert(7)
      expect(await back).toMatchObject({ command: 'ROLLBACK' })
      await after
      expect((await failed).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
      expect(answers).toBe(3)
      expect((await all()).rows).toEqual([{ n: 7, word: null }])
    })

    it('reach the server at once when they are pushed, and are answered when the rest is there', async () => {
      const begun = plain('begin')
      wire.push()
      const found = plain('select now() < clock_timestamp() as later')
      expect((await begun).command).toBe('BEGIN')
      expect((await found).rows).toEqual([{ later: 1 }])
      expect(answers).toBe(1)
      await plain('commit')
    })

    it('all fail when the line is lost, and so does what is asked after it', async () => {
      const results = Promise.allSettled([plain('select pg_sleep(20)'), all()])
      const { connection } = client as unknown as { connection: pg.Connection }
      const gone = new Promise((resolve) => client.once('end', resolve))
      connection.stream.destroy()
      for (const result of await results) expect(result).toMatchObject({ status: 'rejected' })
      await gone
      await expect(insert(1)).rejects.toThrow(/not queryable|Client/)
    })

    it('that take longer than a query may are given up', async () => {
      const slow = new pg.Pool({ ...configOf(url, { statementTimeoutMs: 100 }), max: 1 })
      const other = await slow.connect()
      other.on('error', () => {})
      const asked = [1, 2].map((n) => wireOf(other).ask({ name: null, text: `select pg_sleep(20), ${n}` }))
      for (const result of await Promise.allSettled(asked))
        expect(result).toMatchObject({ status: 'rejected', reason: { message: 'Query read timeout' } })
      other.release(true)
      await slow.end()
    })
  })
else
  describe('statements of one turn', () => {
    it('are answered together', (context) => context.skip(POSTGRES_NEEDS))
  })
