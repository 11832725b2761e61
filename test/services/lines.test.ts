// What a line may do to a transaction: it is done once or not at all, whoever asks is told which, and it goes on by itself. The
// faults are real ones: lines are cut, silenced and slowed by a proxy.
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import type { PostgresOptions } from '../../src/stores/postgres/index.js'
import { postgresWith } from '../../src/stores/postgres/open.js'
import { type Bench, cancel } from '../../src/testing/store-conformance/bench.js'
import { ownSchema } from './fresh.js'
import { as, code, counting, opened, query, refusal } from './losses.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { type LineProxy, startProxy } from './proxy.mjs'

const url = inject('postgres')
const { port } = new URL(url ?? 'postgres://x:1')

if (url)
  describe('the line', () => {
    let proxy: LineProxy
    const benches: Bench[] = []
    beforeAll(async () => {
      proxy = await startProxy({ host: '127.0.0.1', port: Number(port) })
      // Nothing of it needs more rights than any role has.
      await query(url!, 'create role ordinary login', 'grant create on database postgres to ordinary', 'select 1')
    })
    afterAll(() => proxy?.close())
    afterEach(async () => {
      proxy.forget()
      proxy.refusing = false
      proxy.late = 0
      for (const bench of benches.splice(0)) await bench.close()
    })
    async function through(options: PostgresOptions = {}) {
      const { Driver, commits } = counting()
      const schema = ownSchema()
      const bench = await opened(postgresWith(Driver, as(proxy.through(url!), 'ordinary'), { schema, ...options }))
      benches.push(bench)
      // What a statement's parameters are is asked once.
      await bench.submit({ key: 'first' }, { key: 'second' })
      const before = commits()
      return { bench, schema, commits: () => commits() - before }
    }
    const once = async (schema: string, key: string) => {
      const rows = await query(
        url!,
        `select (select count(*)::int from ${schema}.idempotency where key = '${key}') as keys, (select count(*)::int from ${schema}.jobs) as jobs`,
      )
      expect(rows).toEqual([{ keys: 1, jobs: 3 }])
    }

    it('cut before the commit is sent: run again, done once', async () => {
      for (const text of ['begin', 'insert into', 'commit']) {
        const { bench, schema, commits } = await through()
        const cut = proxy.when('server', text, 'cut')
        expect(await bench.store.submit([bench.job({ key: 'a' })])).toMatchObject([{ outcome: 'created' }])
        await cut
        // What nobody waits for is on its way together with the commit.
        expect(commits()).toBeLessThanOrEqual(text === 'begin' ? 1 : 2)
        await once(schema, 'a')
      }
    })

    it('cut after the commit was sent, before its answer: looked up, not done again', async () => {
      const { bench, schema, commits } = await through()
      const cut = proxy.when('client', 'COMMIT', 'cut')
      expect(await bench.store.submit([bench.job({ key: 'a' })])).toMatchObject([{ outcome: 'created' }])
      await cut
      expect(commits()).toBe(1)
      await once(schema, 'a')
    })

    it('cut while a lone commit of a plain write is on its way, many times in a row: each is done once', async () => {
      const { bench, schema } = await through()
      for (let i = 0; i < 12; i++) {
        const cut = proxy.when(i % 2 ? 'client' : 'server', i % 2 ? 'COMMIT' : 'commit', 'cut')
        const claimed = await bench.started()
        await bench.succeed(claimed, i)
        await cut
        expect((await bench.stored(claimed.live.id)).outcome!.result).toBe(String(i))
      }
      // Claims took `first` and `second` as well.
      expect(await query(url!, `select count(*)::int as n from ${schema}.history where event = 'submitted'`)).toEqual([
        { n: 14 },
      ])
    })

    it('silent at the commit, which arrived or did not: given up, looked up, done once', async () => {
      // Longer than any statement of a slow machine takes: one that is given up is sent again, and counted.
      const options = { statementTimeoutMs: 1500, patienceMs: 15_000 }
      const [arrived, lost] = [await through(options), await through(options)]
      const first = proxy.when('client', 'COMMIT', 'silence')
      const one = arrived.bench.store.submit([arrived.bench.job({ key: 'a' })])
      await first
      const second = proxy.when('server', 'commit', 'silence')
      const other = lost.bench.store.submit([lost.bench.job({ key: 'a' })])
      await second
      expect(await one).toMatchObject([{ outcome: 'created' }])
      expect(await other).toMatchObject([{ outcome: 'created' }])
      expect([arrived.commits(), lost.commits()]).toEqual([1, 2])
      await once(arrived.schema, 'a')
      await once(lost.schema, 'a')
    })

    it('silent from its beginning on, but it arrived whole: given up, looked up, done once', async () => {
      const { bench, schema, commits } = await through({ statementTimeoutMs: 1500, patienceMs: 15_000 })
      proxy.late = 20
      const silent = proxy.when('client', 'BEGIN', 'silence')
      // Nothing of it is asked, so that all of it has been sent by then, and no answer to any of it ever comes.
      const answer = bench.store.submit([bench.job()])
      await silent
      proxy.late = 0
      expect(await answer).toMatchObject([{ outcome: 'created' }])
      expect(commits()).toBe(1)
      expect(await query(url!, `select count(*)::int as n from ${schema}.jobs`)).toEqual([{ n: 3 }])
    })

    it('lost while all of it is on its way: what has not arrived by the time it is looked up is not done later', async () => {
      const { bench, schema } = await through()
      proxy.late = 300
      const asked = proxy.when('client', 'value', () => {
        // Whoever runs it again does so after the first one has arrived.
        proxy.late = 500
      })
      const dropped = proxy.when('server', 'commit', (line) => {
        line.drop()
        setImmediate(() => {
          proxy.late = 0
        })
      })
      const answer = bench.store.submit([bench.job()])
      await Promise.all([dropped, asked])
      expect(await answer).toMatchObject([{ outcome: 'created' }])
      expect(await query(url!, `select count(*)::int as n from ${schema}.jobs`)).toEqual([{ n: 3 }])
    })

    it('idle for so long that its mark was swept: it gets another one, and what goes behind its commits is told', async () => {
      const { bench, schema } = await through()
      const other = await opened(postgresWith(PostgresDriver, url!, { schema }))
      benches.push(other)
      const told: string[] = []
      other.store.attend()
      other.store.onChange((changes) => told.push(...changes.map(({ jobId }) => jobId)))
      const heard = async () => {
        const id = await bench.submitOne()
        await expect.poll(() => told, { timeout: 3000 }).toContain(id)
      }
      await expect.poll(heard, { timeout: 10_000 }).toBeUndefined()
      await query(url!, `delete from ${schema}.meta where key like 'line/%'`, 'select 1')
      await heard()
      await heard()
      const marks = `select count(*)::int as n from ${schema}.meta where key like 'line/%'`
      expect((await query(url!, marks))[0].n).toBeGreaterThan(0)
    })

    it('silent in the middle: what it held is let go, so that the next try does not wait for it', async () => {
      // Behind a pooler the text of each statement is sent, so that the line can fall silent at one that is waited for.
      const { bench, schema } = await through({ statementTimeoutMs: 500, patienceMs: 8000, pooler: 'transaction' })
      const silent = proxy.when('server', 'select job_id, fingerprint', 'silence')
      const answer = bench.store.submit([bench.job({ key: 'a' })])
      await silent
      expect(await answer).toMatchObject([{ outcome: 'created' }])
      await once(schema, 'a')
      const open = `select count(*)::int as n from pg_stat_activity where state = 'idle in transaction' and usename = 'ordinary'`
      await expect.poll(() => query(url!, open), { timeout: 5000 }).toEqual([{ n: 0 }])
    })

    it('of a process that stands still in the middle: what it held is let go before another gives up waiting for it', async () => {
      const options: PostgresOptions = { statementTimeoutMs: 2000, pooler: 'transaction' }
      const { bench, schema } = await through(options)
      const other = await opened(postgresWith(PostgresDriver, url!, { schema, ...options, patienceMs: 0 }))
      benches.push(other)
      const id = await bench.submitOne()
      // Nothing comes from it any more, and nobody else can end what it began: the row of the job is held.
      const still = proxy.when('server', 'insert into', () => {
        proxy.silence()
        proxy.refusing = true
      })
      const late = bench.apply(id, cancel())
      await still
      expect(await other.apply(id, cancel())).toMatchObject({ outcome: 'moved' })
      proxy.refusing = false
      expect(await late).toMatchObject({ outcome: 'finished' })
    })

    it('cut while reading, or while nobody asks anything: the next answer comes over a new line', async () => {
      const { bench } = await through()
      const id = await bench.submitOne()
      const cut = proxy.when('server', 'select', 'cut')
      expect((await bench.stored(id)).record.id).toBe(id)
      await cut
      proxy.cut()
      expect((await bench.stored(id)).record.id).toBe(id)
      proxy.cut()
      expect(await bench.claim()).toHaveLength(3)
    })

    it('late: several statements travel together, so that a commit costs a few ways and not one for each', async () => {
      const { bench } = await through()
      const submit = (key: string) => bench.store.submit([bench.job({ key, tags: ['x', 'y'] })])
      await submit('a')
      proxy.late = 20
      proxy.ways = 0
      await submit('b')
      // Seven statements besides begin and commit; only what is asked is waited for: the key, the commit.
      expect(proxy.ways).toBeLessThanOrEqual(2)
      proxy.ways = 0
      await bench.store.submit([bench.job({ tags: ['x', 'y'] })])
      expect(proxy.ways).toBe(1)
    })

    it('lost in a commit of its opening, and away for longer than its patience: `store-unavailable`, and later it opens', async () => {
      const { schema } = await through()
      class Cut extends PostgresDriver {
        protected override commit(client: pg.PoolClient) {
          const answer = super.commit(client)
          proxy.refusing = true
          proxy.cut()
          return answer
        }
      }
      const address = as(proxy.through(url!), 'ordinary')
      const error = await refusal(opened(postgresWith(Cut, address, { schema, patienceMs: 300 })))
      expect(code(error)).toEqual(['store-unavailable', 'unreachable'])
      expect(error.message).not.toContain('committing')
      proxy.refusing = false
      benches.push(await opened(postgresWith(PostgresDriver, address, { schema })))
    })

    it('refused for longer than its patience: `store-unavailable` says what to do, and later it works by itself', async () => {
      const { bench, schema } = await through({ patienceMs: 300 })
      proxy.refusing = true
      proxy.cut()
      const error = await refusal(bench.store.submit([bench.job({ key: 'a' })]))
      expect(code(error)).toEqual(['store-unavailable', 'unreachable'])
      expect(error.fix).toContain('what is under way goes on when it is back')
      expect(code(await refusal(bench.store.find('x')))).toEqual(['store-unavailable', 'unreachable'])
      proxy.refusing = false
      expect(await bench.store.submit([bench.job({ key: 'a' })])).toMatchObject([{ outcome: 'created' }])
      await once(schema, 'a')
    })

    it('behind a pooler that lends connections for a transaction: nothing belongs to a session', async () => {
      const sent: (string | RegExp)[] = []
      const refused = (text: string | RegExp) =>
        proxy.when('server', text, (line) => {
          sent.push(text)
          line.cut()
        })
      // A pooler refuses settings in the first message; and a name would be another connection's the next time.
      void refused('options\0')
      void refused(/untildone_\d+(_n)?\0/)
      const { bench, commits } = await through({ pooler: 'transaction' })
      const ids = await bench.submit(
        { key: 'a', tags: ['x'] },
        { key: 'b', tags: ['x', 'y'] },
        { unique: { key: 'u' } },
      )
      for (const claimed of await bench.claim()) await bench.succeed(claimed)
      for (const id of ids) expect((await bench.stored(id)).outcome!.status).toBe('completed')
      expect(sent).toEqual([])
      expect(commits()).toBeGreaterThan(2)
      expect(await query(url!, 'select 1 as n')).toEqual([{ n: 1 }])
    })
  })

if (!url)
  describe('PostgreSQL', () => {
    it('bears what lines do', (context) => context.skip(POSTGRES_NEEDS))
  })
