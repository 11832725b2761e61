// What the server and the disk may do to a transaction: it is done once or not at all, whoever asks is told which, and it
// goes on by itself when they are back. The faults are real ones: servers are killed, disks are full. Lines: lines.test.ts.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import { Translator } from '../../src/stores/postgres/translate.js'
import { TABLES } from '../../src/stores/sql/migrate.js'
import { all, put } from '../../src/stores/sql/plan.js'
import { TestClock } from '../../src/testing/clock.js'
import { step } from '../../src/testing/store-conformance/bench.js'
import { freshPostgres, ownSchema } from './fresh.js'
import { as, code, opened, query, refusal } from './losses.js'
import { POSTGRES_NEEDS, type PostgresServer, startPostgres } from './postgres.mjs'
import { startProxy } from './proxy.mjs'

const url = inject('postgres')
const { port } = new URL(url ?? 'postgres://x:1')

it.skipIf(!url)('what goes behind a commit is told when it is one, and not otherwise', async () => {
  const schema = ownSchema()
  const driver = new PostgresDriver(url!, new TestClock(), new Translator(schema, TABLES), { schema })
  const listener = new pg.Client(url!)
  await listener.connect()
  const told: string[] = []
  const done = new Promise<void>((resolve) =>
    listener.on('notification', ({ channel, payload }) => {
      told.push(`${channel} ${payload}`)
      if (payload === 'done') resolve()
    }),
  )
  try {
    await query(
      url!,
      `create schema ${schema}`,
      `create table ${schema}.meta (key text primary key, value text not null)`,
    )
    await listener.query(`listen "${schema}"; listen "${schema}/work"`)
    // Nobody waits for this statement, so that its failure is known from the answer to the commit.
    const failing = () => put('insert into jobs (id) values (?1)', [['1']])
    await expect(driver.transact(failing, true, () => ({ texts: ['rolled back'], toAll: true }))).rejects.toThrow(
      'does not exist',
    )
    await driver.transact(
      () => all('select 1 as one'),
      true,
      () => ({ texts: ['one', 'two'], toAll: false }),
    )
    await driver.transact(
      () => all('select 1 as one'),
      true,
      () => ({ texts: ['done'], toAll: true }),
    )
    await done
    expect(told).toEqual([`${schema}/work one`, `${schema}/work two`, `${schema} done`])
    // What is told need not be on disk; what the same line commits next must be.
    const waits = () => all<{ on: string }>(`select current_setting('synchronous_commit') as "on"`)
    const lines = await Promise.all([1, 2, 3, 4].map(() => driver.transact(waits, true)))
    expect(lines.flat()).toEqual(lines.map(() => ({ on: 'on' })))
  } finally {
    await Promise.all([listener.end(), driver.close()])
  }
})

it.skipIf(!url)(
  'who waits for a connection has the first one that is free, and an idle one that broke is replaced',
  async () => {
    const schema = ownSchema()
    const translator = new Translator(schema, TABLES)
    const driver = new PostgresDriver(url!, new TestClock(), translator, { schema, patienceMs: 0 })
    const holder = new pg.Client(url!)
    await holder.connect()
    const pids = () => all<{ pid: number }>('select pg_backend_pid() as pid')
    const held = (n: number) => () =>
      all<{ pid: number }>(`select pg_backend_pid() as pid, pg_advisory_xact_lock(${n})`)
    try {
      await query(
        url!,
        `create schema ${schema}`,
        `create table ${schema}.meta (key text primary key, value text not null)`,
      )
      for (const n of [1, 2, 3, 4]) await holder.query('select pg_advisory_lock($1)', [8800 + n])
      const all4 = [1, 2, 3, 4].map((n) => driver.transact(held(8800 + n), true))
      const waiting = `select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted and objid between 8801 and 8804`
      await expect.poll(async () => (await query(url!, waiting))[0].n).toBe(4)
      const fifth = driver.transact(pids, true)
      await holder.query('select pg_advisory_unlock(8802)')
      const [first, second] = await Promise.all([all4[1]!, fifth])
      expect(second).toEqual(first.map(({ pid }) => ({ pid })))
      for (const n of [1, 3, 4]) await holder.query('select pg_advisory_unlock($1)', [8800 + n])
      await Promise.all(all4)

      const [{ pid } = { pid: 0 }] = await driver.transact(pids, true)
      expect(await driver.transact(pids, true)).toEqual([{ pid }])
      await holder.query('select pg_terminate_backend($1, 5000)', [pid])
      // Its end has been read before this is answered.
      await query(url!, 'select 1')
      expect(await driver.transact(pids, true)).not.toEqual([{ pid }])
    } finally {
      await Promise.all([holder.end(), driver.close()])
    }
  },
)

if (url)
  describe('values', () => {
    it('whatever a text holds, it comes back, or as the sign for what no database keeps', async () => {
      const bench = await opened(freshPostgres(url!))
      const texts = {
        nul: 'a\0b',
        high: 'x\ud800y',
        low: '\udc00',
        pair: '😀',
        quotes: `'"\\{},NULL\n\t\r`,
        words: 'null',
        empty: '',
        escaped: '\\u0000 \\ud800',
      }
      const big = 'é"\\'.repeat(75_000)
      const ids = await bench.submit({ input: { ...texts, big } }, { input: texts, tags: Object.values(texts) })
      for (const claimed of await bench.claim()) {
        expect(claimed.record.input).toBe(JSON.stringify(claimed.live.id === ids[0] ? { ...texts, big } : texts))
        const { id, epoch } = claimed.live
        const steps = Object.entries(texts).map(([name, text]) =>
          step(`${name}:${text}`, { result: JSON.stringify(text) }),
        )
        expect(await bench.store.record({ jobId: id, epoch, steps })).toBe(true)
        const found = await bench.store.steps(id)
        expect(found.map(({ result }) => result).sort()).toEqual(steps.map(({ result }) => result).sort())
        expect(found.map(({ key }) => key)).toContain(`nul:a\ufffdb`)
        // A wait whose key holds them is woken like any other.
        const key = `wait:${texts.nul}${texts.high}${texts.quotes}`
        await bench.suspend(claimed, [bench.wait(id, key, { name: 'n' })])
        expect(await bench.signal(id, 'n', { payload: JSON.stringify({ ...texts, big }) })).toEqual({
          outcome: 'delivered',
        })
        expect((await bench.stored(id)).live!.state).toBe('queued')
      }
      for (const claimed of await bench.claim()) {
        await bench.succeed(claimed, big)
        expect((await bench.store.find(claimed.live.id, 1e6)) as never).toMatchObject({
          outcome: { result: JSON.stringify(big) },
        })
      }
      const listed = { tenant: 'default', ids: [ids[0]!, texts.nul, texts.high], order: 'createdAt', limit: 9 } as const
      expect(await bench.store.list(listed)).toHaveLength(1)
      expect(await bench.store.list({ tenant: texts.high, order: 'createdAt', limit: 9 })).toEqual([])
      await bench.close()
    })

    it('numbers at the edges come back as they were', async () => {
      const bench = await opened(freshPostgres(url!))
      const { live } = await bench.started({ runAt: 0, deadlineAt: Number.MAX_SAFE_INTEGER })
      const numbers = [0, 0.1, 1e-300, 1e300, 2 ** 53 - 1, 0.30000000000000004]
      for (const [i, completed] of numbers.entries()) {
        const progress = {
          stage: `s${i}`,
          message: null,
          completed,
          total: 5,
          unit: null,
          iterations: null,
          updatedAt: i,
        }
        expect(await bench.store.record({ jobId: live.id, epoch: live.epoch, progress })).toBe(true)
        expect((await bench.stored(live.id)).progress).toMatchObject({ completed, total: 5 })
      }
      expect((await bench.stored(live.id)).live!.deadlineAt).toBe(Number.MAX_SAFE_INTEGER)
      expect((await bench.stored(live.id)).record.runAt).toBe(0)
      await bench.close()
    })
  })

if (url)
  describe('the server', () => {
    let server: PostgresServer
    beforeAll(async () => {
      server = await startPostgres({ inMemory: true, settings: { max_wal_size: '64MB', shared_buffers: '32MB' } })
    }, 60_000)
    afterAll(() => server?.remove())

    it('killed again and again under submits and claims: what was acknowledged is there once, and it goes on by itself', async () => {
      const bench = await opened(freshPostgres(server.url))
      const stores = await bench.beside()
      const acknowledged = new Map<string, string>()
      const claims = new Set<string>()
      const ended = new Set<string>()
      let stop = false
      let twice = 0
      const submitting = stores.map(async (one, s) => {
        for (let i = 0; !stop; i++) {
          const key = `k-${s}-${i}`
          const answers = await Promise.all([0, 1].map(() => one.store.submit([one.job({ key })]).catch(() => null)))
          for (const answer of answers) if (answer && 'jobId' in answer[0]!) acknowledged.set(key, answer[0].jobId)
        }
      })
      const working = stores.map(async (one, s) => {
        while (!stop) {
          const claimed = await one.claim(5, { worker: `w-${s}` }).catch(() => [])
          for (const { live } of claimed) {
            const name = `${live.id}/${live.epoch}`
            if (claims.has(name)) twice++
            claims.add(name)
          }
          await Promise.all(
            claimed.map(async (job) => {
              const moved = await one.succeed(job, s).catch(() => null)
              if (moved?.outcome === 'moved') ended.add(job.live.id)
            }),
          )
        }
      })
      try {
        for (let kills = 0; kills <= 3; kills++) {
          if (kills > 0) await server.restart('kill')
          const before = ended.size
          await expect.poll(() => ended.size, { timeout: 20_000 }).toBeGreaterThan(before + 20)
        }
      } finally {
        stop = true
        await Promise.allSettled([...submitting, ...working])
      }
      await Promise.all([...submitting, ...working])
      expect(twice).toBe(0)
      expect(acknowledged.size).toBeGreaterThan(60)
      for (const [key, jobId] of acknowledged)
        expect(await bench.store.keyed('default', 'submit', key)).toMatchObject({ jobId })
      for (const id of ended) expect((await bench.stored(id)).outcome!.status).toBe('completed')
      const [counts] = await query(
        server.url,
        `select count(*)::int as jobs, count(distinct i.key)::int as keys from ${bench.store.info.location.match(/schema (\w+)/)![1]}.jobs j
       left join ${bench.store.info.location.match(/schema (\w+)/)![1]}.idempotency i on i.job_id = j.id`,
      )
      expect(counts.jobs).toBe(counts.keys)
      await bench.close()
    }, 90_000)

    it('killed before a commit is on disk, its number given to another: it is run again', async () => {
      const proxy = await startProxy({ host: '127.0.0.1', port: server.port })
      const schema = ownSchema()
      const bench = await opened(freshPostgres(proxy.through(server.url), { schema }))
      const other = await opened(freshPostgres(server.url, { schema }))
      await bench.submit({})
      for (let round = 0; round < 3; round++) {
        const silent = proxy.when('server', 'commit', 'silence')
        const answer = bench.store.submit([bench.job({ key: `a-${round}` })])
        await silent
        await server.restart('kill')
        for (let i = 0; i < 6; i++) await other.store.submit([bench.job()])
        proxy.cut()
        const [created] = await answer
        expect(created).toMatchObject({ outcome: 'created' })
        expect(await other.store.keyed('default', 'submit', `a-${round}`)).toMatchObject({
          jobId: (created as { jobId: string }).jobId,
        })
      }
      await bench.close()
      await other.close()
      await proxy.close()
    }, 40_000)

    it('stopped in an orderly way while it is used: the same', async () => {
      const bench = await opened(freshPostgres(server.url))
      const submits = Array.from({ length: 40 }, async (_, i) => {
        for (let turn = 0; turn < i; turn++) await bench.store.keyed('default', 'submit', 'none')
        return bench.store.submit([bench.job({ key: `k${i}` })])
      })
      await server.restart('fast')
      expect((await Promise.all(submits)).map(([answer]) => answer!.outcome)).toEqual(Array(40).fill('created'))
      expect(await bench.store.check()).toMatchObject({ unfinished: 40 })
      await bench.close()
    })

    it('another server answers where a commit was lost: nobody knows, and that is what is said', async () => {
      const proxy = await startProxy({ host: '127.0.0.1', port: server.port })
      const bench = await opened(freshPostgres(proxy.through(server.url), { patienceMs: 2000 }))
      await bench.submit({})
      const cut = proxy.when('client', 'COMMIT', (line) => {
        proxy.target = { host: '127.0.0.1', port: Number(port) }
        line.silent = true
        line.cut()
      })
      const answer = refusal(bench.store.submit([bench.job({ key: 'a' })]))
      await cut
      const error = await answer
      expect(error.code).toBe('outcome-unknown')
      expect(error.message).toContain('another server')
      expect(error.fix).toContain('same Idempotency-Key')
      proxy.target = { host: '127.0.0.1', port: server.port }
      proxy.cut()
      expect(await bench.store.submit([bench.job({ key: 'a' })])).toMatchObject([{ outcome: 'replayed' }])
      await bench.close()
      await proxy.close()
    })

    it('a standby that does not answer: a commit that waits for it is not called done', async () => {
      const bench = await opened(freshPostgres(server.url, { statementTimeoutMs: 1000, patienceMs: 1000 }))
      await bench.submit({})
      try {
        await query(server.url, `alter system set synchronous_standby_names = 'nobody'`, 'select pg_reload_conf()')
        await expect
          .poll(async () => (await query(server.url, 'show synchronous_standby_names'))[0].synchronous_standby_names)
          .toBe('nobody')
        const error = await refusal(bench.store.submit([bench.job({ key: 'a' })]))
        expect(error.code).toBe('outcome-unknown')
      } finally {
        await query(server.url, 'alter system reset synchronous_standby_names', 'select pg_reload_conf()')
      }
      await expect
        .poll(() => bench.store.submit([bench.job({ key: 'a' })]).catch(() => null), { timeout: 10_000 })
        .toMatchObject([{ outcome: 'replayed' }])
      await bench.close()
    })

    it('says at the start what keeps it from being safe, and what to do', async () => {
      await query(
        server.url,
        'create role hasty login',
        'alter role hasty set synchronous_commit = off',
        'create role reader login',
        'alter role reader set default_transaction_read_only = on',
        'create database latin encoding latin1 locale "C" template template0',
        'select 1',
      )
      const hasty = await refusal(opened(freshPostgres(as(server.url, 'hasty'))))
      expect(hasty.code).toBe('store-unsafe')
      expect(hasty.message).toContain('synchronous_commit=off')
      expect(hasty.fix).toContain('alter role')
      const reader = await refusal(opened(freshPostgres(as(server.url, 'reader'))))
      expect(code(reader)).toEqual(['store-unavailable', 'read-only'])
      expect(reader.fix).toContain('default_transaction_read_only')
      const latin = await refusal(opened(freshPostgres(as(server.url, 'untildone', { database: 'latin' }))))
      expect(latin.code).toBe('store-unsafe')
      expect(latin.fix).toContain('UTF8')
      try {
        await query(server.url, 'alter system set full_page_writes = off', 'select pg_reload_conf()')
        await expect
          .poll(async () => (await query(server.url, 'show full_page_writes'))[0].full_page_writes, { timeout: 5000 })
          .toBe('off')
        const pages = await refusal(opened(freshPostgres(server.url)))
        expect(pages.fix).toContain('full_page_writes = on')
      } finally {
        await query(server.url, 'alter system reset full_page_writes', 'select pg_reload_conf()')
      }
    })

    it('refuses a server without fsync', async () => {
      const careless = await startPostgres({ inMemory: true, settings: { fsync: 'off', shared_buffers: '16MB' } })
      try {
        const error = await refusal(opened(freshPostgres(careless.url)))
        expect(error.code).toBe('store-unsafe')
        expect(error.fix).toContain('fsync = on` in postgresql.conf and reload')
      } finally {
        await careless.remove()
      }
    }, 60_000)

    it('says at the start who is refused: user, password, database, rights, connections', async () => {
      await query(
        server.url,
        `create role secretive login password 'right'`,
        'create role poor login',
        'revoke create on database postgres from public',
        'create role busy login connection limit 0',
        'select 1',
      )
      const hba = join(server.data, 'pg_hba.conf')
      writeFileSync(hba, `host all secretive 127.0.0.1/32 scram-sha-256\n${readFileSync(hba, 'utf8')}`)
      await query(server.url, 'select pg_reload_conf()')
      await expect
        .poll(() =>
          query(as(server.url, 'secretive', { password: 'x' }), 'select 1').then(
            () => 'in',
            () => 'out',
          ),
        )
        .toBe('out')
      const options = { patienceMs: 100 }
      const open = (address: string) => refusal(opened(freshPostgres(address, options)))
      const cases: [string, string | undefined, string][] = [
        [as(server.url, 'secretive', { password: 'wrong' }), 'refused', 'user and password'],
        [as(server.url, 'nobody-knows'), 'refused', 'user and password'],
        [as(server.url, 'untildone', { database: 'nowhere' }), 'no-database', 'createdb'],
        [as(server.url, 'poor'), 'no-right', 'create schema'],
        [as(server.url, 'busy'), 'too-many-connections', 'connection limit'],
        ['postgres://untildone@127.0.0.1:1/postgres', 'unreachable', 'Check that it runs'],
        ['postgres://untildone@no-such-host.invalid:5432/postgres', 'unreachable', 'address is right'],
      ]
      for (const [address, reason, fix] of cases) {
        const error = await open(address)
        expect([error.code, ...code(error).slice(1)], address).toEqual(['store-unavailable', reason])
        expect(error.fix).toContain(fix)
      }
    })

    it('needs no more rights than a schema of its own', async () => {
      const schema = ownSchema()
      await query(server.url, 'create role plain login', `create schema ${schema} authorization plain`, 'select 1')
      const bench = await opened(freshPostgres(as(server.url, 'plain'), { schema }))
      await bench.succeed(await bench.started())
      expect(await bench.store.check()).toMatchObject({ finished: 1 })
      await bench.close()
    })

    it('leaves a database of a newer version alone', async () => {
      const schema = ownSchema()
      await (await opened(freshPostgres(server.url, { schema }))).close()
      await query(
        server.url,
        `update ${schema}.meta set value = '99' where key in ('schema', 'schema-works-from')`,
        'select 1',
      )
      const error = await refusal(opened(freshPostgres(server.url, { schema })))
      expect(error.code).toBe('store-schema-old')
      expect(error.message).toContain('schema 99')
    })

    it('opened by many at once, the tables are made once', async () => {
      const schema = ownSchema()
      const benches = await Promise.all(Array.from({ length: 5 }, () => opened(freshPostgres(server.url, { schema }))))
      expect(await query(server.url, `select value from ${schema}.meta where key = 'schema'`)).toHaveLength(1)
      await Promise.all(benches.map((bench) => bench.close()))
    })
  })

if (!url)
  describe('PostgreSQL', () => {
    it('bears what servers do', (context) => context.skip(POSTGRES_NEEDS))
  })
