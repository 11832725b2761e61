// What others hold, break or change meanwhile: who need not wait goes on, who has waited long enough is told why, and
// what a connection says without a word of the server is looked up.
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { UntildoneError } from '../../src/core/errors.js'
import { Doorbell } from '../../src/stores/postgres/doorbell.js'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import type { PostgresOptions } from '../../src/stores/postgres/index.js'
import { postgresWith } from '../../src/stores/postgres/open.js'
import { poolsOf } from '../../src/stores/postgres/pools.js'
import { MIGRATIONS } from '../../src/stores/sql/migrate.js'
import { audit, Bench, CALLER } from '../../src/testing/store-conformance/bench.js'
import { ownSchema } from './fresh.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { type LineProxy, startProxy } from './proxy.mjs'

const url = inject('postgres')
const DAY = 86_400_000
const limits = { concurrency: { key: 'k', limit: 9 } }

/** What it is refused with. */
async function refusal(doing: Promise<unknown>): Promise<[code: string, reason: string | undefined]> {
  const error = await doing.then(
    () => new Error('It was not refused.'),
    (thrown) => thrown,
  )
  if (!(error instanceof UntildoneError)) throw error
  return [error.code, (error.params as { reason?: string } | undefined)?.reason]
}

/** A connection of somebody else, in a transaction. */
async function keeper(statement: string): Promise<pg.Client> {
  const client = new pg.Client(url!)
  await client.connect()
  await client.query('begin')
  await client.query(statement)
  return client
}
async function query(statement: string) {
  const client = new pg.Client(url!)
  await client.connect()
  return client.query(statement).finally(() => client.end())
}

if (url)
  describe('others', () => {
    const benches: Bench[] = []
    let proxy: LineProxy
    beforeAll(async () => {
      const { hostname: host, port } = new URL(url)
      proxy = await startProxy({ host, port: Number(port) })
    })
    afterAll(() => proxy?.close())
    afterEach(async () => {
      for (const bench of benches.splice(0)) await bench.close()
    })
    async function opened(options: PostgresOptions = {}, Driver = PostgresDriver, address = url!) {
      const schema = ownSchema()
      const bench = await Bench.open(postgresWith(Driver, address, { schema, ...options }))
      benches.push(bench)
      return { bench, schema }
    }

    it('hold the limits for long: who needs none goes on, a lease goes on at once, who needs one is told', async () => {
      const { bench, schema } = await opened({ statementTimeoutMs: 700 })
      await bench.beat()
      const other = await keeper(`select pg_advisory_xact_lock(hashtextextended('${schema}/limits', 0))`)
      const began = performance.now()
      const took = (doing: Promise<unknown>) => doing.then((answer) => ({ answer, ms: performance.now() - began }))
      // Both flights of the process stand before the name.
      const limited = [refusal(bench.store.submit([bench.job({ limits })]))]
      const free = took(bench.store.submit([bench.job()]))
      await new Promise(setImmediate)
      limited.push(refusal(bench.store.submit([bench.job({ limits })])))
      await new Promise(setImmediate)
      const beat = took(bench.beat())
      const paused = took(
        bench.store.pauses.set(
          { tenant: 'default', kind: 'type', name: 'x', by: CALLER, reason: 'r', at: 1 },
          true,
          audit(),
        ),
      )
      expect(await beat).toMatchObject({ answer: 'up' })
      expect((await beat).ms).toBeLessThan(700)
      expect((await paused).ms).toBeLessThan(700)
      expect(await free).toMatchObject({ answer: [{ outcome: 'created' }] })
      expect((await free).ms).toBeLessThan(3000)
      expect(await Promise.all(limited)).toEqual([
        ['store-unavailable', 'slow'],
        ['store-unavailable', 'slow'],
      ])
      await other.end()
      expect(await bench.store.submit([bench.job({ limits })])).toMatchObject([{ outcome: 'created' }])
    })

    it('hold the mark of a connection: why it failed is told, not what failed after it', async () => {
      const { bench, schema } = await opened({ statementTimeoutMs: 500 })
      await bench.submitOne()
      const other = await keeper(`select 1 from ${schema}.meta where key like 'line/%' for update`)
      const began = performance.now()
      expect(await refusal(bench.claim())).toEqual(['store-unavailable', 'slow'])
      expect(performance.now() - began).toBeLessThan(1500)
      await other.end()
    })

    it('leave the line silent for longer than its patience: there is a second try all the same', async () => {
      const options: PostgresOptions = { statementTimeoutMs: 500, patienceMs: 300, pooler: 'transaction' }
      const { bench } = await opened(options, PostgresDriver, proxy.through(url))
      const silent = proxy.when('server', 'select job_id, fingerprint', 'silence')
      const answer = bench.store.submit([bench.job({ key: 'a' })])
      await silent
      expect(await answer).toMatchObject([{ outcome: 'created' }])
    })

    it('change a table: what a connection has prepared of it is prepared anew', async () => {
      const { bench, schema } = await opened()
      const list = () => bench.store.rules.list('default', true)
      await Promise.all([list(), list(), list()])
      await query(`alter table ${schema}.rules add column later text`)
      expect(await Promise.all([list(), list(), list()])).toEqual([[], [], []])
    })

    it('break a commit with an error that nobody knows: whether it happened is looked up', async () => {
      let odd = 0
      class Odd extends PostgresDriver {
        protected override async commit(client: pg.PoolClient) {
          if (odd === 1) await super.commit(client)
          if (odd > 0) {
            const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection
            stream.destroy()
            const which = odd
            odd = 0
            throw Object.assign(new Error('Something odd.'), { code: `EODD${which}` })
          }
          return super.commit(client)
        }
      }
      const { bench } = await opened({}, Odd)
      for (const when of [1, 2]) {
        odd = when
        const key = `k${when}`
        expect(await bench.store.submit([bench.job({ key })])).toMatchObject([{ outcome: 'created' }])
        expect(await bench.store.submit([bench.job({ key })])).toMatchObject([{ outcome: 'replayed' }])
      }
      expect(await bench.store.check()).toMatchObject({ unfinished: 2 })
    })

    it('read for long with all connections there are: that is what is said; and a closed store says that it is', async () => {
      const { bench, schema } = await opened({ connections: 1, patienceMs: 0 })
      await bench.store.load(9)
      const other = await keeper(`lock table ${schema}.jobs`)
      const first = bench.store.find('x')
      expect(await refusal(bench.store.find('y'))).toEqual(['store-unavailable', 'busy'])
      await other.end()
      expect(await first).toBeNull()
      await bench.close()
      expect(await refusal(bench.store.find('x'))).toEqual(['store-unavailable', undefined])
    })

    it('stand before it and refuse settings of the start, or the address has its own: what no statement may exceed holds', async () => {
      const started = new Set<string>()
      void proxy.when('server', 'options\0', (line) => {
        started.add('options')
        line.cut()
      })
      const settings = async (address: string) => {
        const { bench, schema } = await opened({ statementTimeoutMs: 400 }, PostgresDriver, address)
        const other = await keeper(`lock table ${schema}.jobs`)
        const began = performance.now()
        expect(await refusal(bench.store.find('x'))).toEqual(['store-unavailable', 'slow'])
        expect(await refusal(bench.store.submit([bench.job()]))).toEqual(['store-unavailable', 'slow'])
        expect(performance.now() - began).toBeLessThan(2500)
        await other.end()
      }
      await settings(proxy.through(url))
      expect([...started]).toEqual([])
      await settings(`${url}?options=-c%20statement_timeout%3D0%20-c%20lock_timeout%3D0`)
    })

    it('remove a finished job while something is noted about it: it is not said to be noted', async () => {
      const { bench, schema } = await opened()
      const claimed = await bench.started()
      await bench.succeed(claimed)
      const { id: jobId } = claimed.live
      const row = {
        jobId,
        kind: 'acceptedAsIs',
        reason: 'fine',
        evidence: null,
        by: CALLER,
        at: 1,
        otherId: null,
      } as const
      const other = await keeper(`delete from ${schema}.outcomes where job_id = '${jobId}'`)
      const noting = bench.store.resolve(row, 'default', audit())
      await expect
        .poll(
          async () =>
            (
              await query(
                `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%${schema}.outcomes%'`,
              )
            ).rows[0].n,
        )
        .toBe(1)
      await other.query('commit')
      await other.end()
      expect(await noting).toBe(false)
    })

    it('have open transactions that this role may not see: the oldest is unknown, and not none', async () => {
      const role = ownSchema()
      await query(`create role ${role} login; grant create on database postgres to ${role}`)
      const address = new URL(url)
      address.username = role
      const { bench } = await opened({}, PostgresDriver, address.href)
      const other = await keeper('select 1')
      expect(await bench.store.check()).toMatchObject({ oldestTransactionSeconds: 'unknown' })
      const { bench: seeing } = await opened()
      expect(await seeing.store.check()).toMatchObject({ oldestTransactionSeconds: expect.any(Number) })
      await other.end()
    })

    it('are silent when the bell is taken down: it is, without them', async () => {
      let works: (value: unknown) => void = () => {}
      const heard = new Promise((resolve) => {
        works = resolve
      })
      const bell = new Doorbell(proxy.through(url), { schema: ownSchema() }, works)
      bell.listen(() => {})
      expect(await heard).toBe(true)
      proxy.silence()
      const began = performance.now()
      await bell.close()
      expect(performance.now() - began).toBeLessThan(3000)
    })

    it('leave marks of connections: writers are kept, and marks of a week ago are swept with what has expired', async () => {
      expect((poolsOf(url, {}).writers as any).options).toMatchObject({ idleTimeoutMillis: 0 })
      const { bench, schema } = await opened()
      const marks = async () =>
        (await query(`select key from ${schema}.meta where key like 'line/%' order by 1`)).rows.map(({ key }) => key)
      const claimed = await bench.started()
      await bench.succeed(claimed, {}, { expiresAt: (at) => at })
      const own = await marks()
      const at = bench.clock.now()
      await query(`insert into ${schema}.meta values ('line/old', '7 ${at - 8 * DAY}'), ('line/new', '7 ${at}')`)
      expect(await bench.store.expire(10)).toBe(1)
      expect(await marks()).toEqual([...own, 'line/new'].sort())
    })
  })

if (url)
  describe('opening', () => {
    const slow = (ms: number) => [{ ...MIGRATIONS[0]!, sql: `${MIGRATIONS[0]!.sql}\nselect pg_sleep(${ms / 1000});\n` }]

    it('a migration takes longer than a statement may, and than a transaction may do nothing: it is done once', async () => {
      const schema = ownSchema()
      const open = () => Bench.open(postgresWith(PostgresDriver, url, { schema, statementTimeoutMs: 500 }, slow(6500)))
      const benches = await Promise.all([open(), open()])
      for (const bench of benches) expect(await bench.store.check()).toMatchObject({ unfinished: 0 })
      await Promise.all(benches.map((bench) => bench.close()))
    })

    it('who keeps the others out is ended in the middle: nothing is done twice', async () => {
      const schema = ownSchema()
      const open = () => Bench.open(postgresWith(PostgresDriver, url, { schema }, slow(1500)))
      const opening = Promise.all([open(), open()])
      const waiting = `select b.pid from pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) as b(pid) where a.query like '%untildone/${schema}%'`
      let pid = 0
      await expect
        .poll(async () => (pid = (await query(waiting)).rows[0]?.pid ?? 0), { interval: 20 })
        .toBeGreaterThan(0)
      await query(`select pg_terminate_backend(${pid})`)
      const benches = await opening
      for (const bench of benches) expect(await bench.store.check()).toMatchObject({ unfinished: 0 })
      await Promise.all(benches.map((bench) => bench.close()))
    })
  })

if (!url)
  describe('others', () => {
    it('hold, break and change', (context) => context.skip(POSTGRES_NEEDS))
  })
