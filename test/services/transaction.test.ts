/**
 * Submitting inside the application's own transaction: stored with its commit and with nothing else, over `pg`, and over
 * objects of the shapes of Kysely and Drizzle.
 */
import { Client, Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, LOCAL, type SqlTransaction, sqlite, type Untildone } from '../../src/index.js'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import { drizzleTransaction, kyselyTransaction, postgres } from '../../src/stores/postgres/index.js'
import { postgresWith } from '../../src/stores/postgres/open.js'
import { Bench } from '../../src/testing/store-conformance/bench.js'
import { putWebhook, webhook } from '../../src/testing/store-conformance/webhooks.js'
import { until } from '../../src/testing/until.js'
import { bullmq } from '../../src/transports/bullmq/index.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { REDIS_NEEDS, redisProgram, startRedis } from './redis.mjs'

const url = inject('postgres')
const ADAPTERS = expect.stringMatching(/kyselyTransaction\(trx, CompiledQuery\).*drizzleTransaction\(trx, sql\)/)
const schemas = { input: z.object({ n: z.number() }), output: z.object({ n: z.number() }) }
const welcome = defineJob('welcome', schemas)
const only = defineJob('only', schemas)
const queued = defineJob('queued', schemas)
const handlers = [
  welcome.handler({ version: '1' }, async ({ input }) => input),
  only.handler({ version: '1', unique: { key: ({ n }) => `${n}` } }, async ({ input }) => input),
  queued.handler({ version: '1', limits: { concurrency: { key: () => 'one', limit: 1 } } }, async ({ input }) => input),
]

if (url)
  describe('a submit in the transaction of the application', () => {
    let app: Untildone
    let schema = ''
    let count = 0
    let clients: Client[] = []

    beforeEach(async () => {
      schema = `within_${process.pid}_${++count}`
      app = await createUntildone({ store: postgres(url!, { schema }), handlers, worker: { slots: 4 } })
      const client = await connected()
      await client.query(`create table ${schema}.users (n int primary key)`)
    })
    afterEach(async () => {
      await app.stop()
      for (const client of clients) await client.end()
      clients = []
    })

    async function connected(): Promise<Client> {
      const client = new Client(url!)
      await client.connect()
      clients.push(client)
      return client
    }
    const users = async () =>
      (await clients[0]!.query(`select n from ${schema}.users order by n`)).rows.map(({ n }) => n)
    const insert = (client: Client, n: number) => client.query(`insert into ${schema}.users values ($1)`, [n])
    const there = (id: string) => app.engine.get(LOCAL, id)

    it('is stored with the commit, and runs within a second of it without a word', async () => {
      await app.start()
      const client = await connected()
      await client.query('begin')
      await insert(client, 1)
      const handle = await app.submit(welcome, { n: 1 }, { tx: client, key: 'user-1', tags: ['new'] })
      await expect(handle.get()).rejects.toMatchObject({ code: 'job-not-found' })
      await handle.announce()
      await expect(handle.get()).rejects.toMatchObject({ code: 'job-not-found' })
      await client.query('commit')
      const committed = Date.now()
      expect(await handle.result()).toEqual({ n: 1 })
      expect(Date.now() - committed).toBeLessThan(4500)
      expect(await users()).toEqual([1])
      expect(await handle.get()).toMatchObject({ status: 'completed', tags: ['new'] })
    })

    it('is found where BullMQ tells workers of jobs, too', async (context) => {
      if (!redisProgram()) context.skip(REDIS_NEEDS)
      const redis = await startRedis()
      const told = await createUntildone({ store: postgres(url!, { schema }), transport: bullmq(redis.url), handlers })
      try {
        await told.start()
        const client = await begun()
        const handle = await told.submit(welcome, { n: 3 }, { tx: client })
        await client.query('commit')
        const committed = Date.now()
        expect(await handle.result()).toEqual({ n: 3 })
        expect(Date.now() - committed).toBeLessThan(4500)
      } finally {
        await told.stop()
        await redis.remove()
      }
    })

    it('announced, it is claimed at once', async () => {
      await app.start()
      const client = await connected()
      const told: string[] = []
      app.engine.onChange((changes) => told.push(...changes.map(({ jobId, status }) => `${jobId} ${status}`)))
      await client.query('begin')
      const handle = await app.submit(welcome, { n: 2 }, { tx: client })
      expect(told).toEqual([])
      await client.query('commit')
      await handle.announce()
      expect(told).toContain(`${handle.id} accepted`)
      expect(await handle.result()).toEqual({ n: 2 })
    })

    it('announced, it is heard of by a webhook that another process has just made', async () => {
      const open = () => Bench.open(postgresWith(PostgresDriver, url!, { schema }))
      const [one, other] = [await open(), await open()]
      try {
        let happened = 0
        one.store.webhooks.onHappened(() => happened++)
        await one.submit({})
        await putWebhook(other, webhook('wh_1'))
        const client = await begun()
        const { announce } = await one.store.submitWithin(client, [one.job()])
        await client.query('commit')
        await announce()
        expect({ happened, noted: (await one.store.webhooks.outbox(9)).length }).toEqual({ happened: 1, noted: 1 })
      } finally {
        await Promise.all([one.close(), other.close()])
      }
    })

    it('is gone with a rollback, its key too', async () => {
      const client = await connected()
      await client.query('begin')
      await insert(client, 1)
      const handle = await app.submit(welcome, { n: 1 }, { tx: client, key: 'user-1' })
      await client.query('rollback')
      await handle.announce()
      await expect(there(handle.id)).rejects.toMatchObject({ code: 'job-not-found' })
      expect(await users()).toEqual([])
      const again = await app.submit(welcome, { n: 99 }, { key: 'user-1' })
      expect(again.id).not.toBe(handle.id)
    })

    it('with one key there is one job: in one transaction, after a commit, and for another content', async () => {
      const client = await connected()
      await client.query('begin')
      const first = await app.submit(welcome, { n: 1 }, { tx: client, key: 'user-1' })
      const second = await app.submit(welcome, { n: 1 }, { tx: client, key: 'user-1' })
      expect(second.id).toBe(first.id)
      await expect(app.submit(welcome, { n: 2 }, { tx: client, key: 'user-1' })).rejects.toMatchObject({
        code: 'idempotency-key-reused',
      })
      // Refused, and the transaction is as good as before.
      await insert(client, 1)
      await client.query('commit')
      expect((await app.submit(welcome, { n: 1 }, { key: 'user-1' })).id).toBe(first.id)
      await client.query('begin')
      expect((await app.submit(welcome, { n: 1 }, { tx: client, key: 'user-1' })).id).toBe(first.id)
      await client.query('commit')
      expect(await users()).toEqual([1])
    })

    /** Two transactions with one key: the second waits for the first, which then ends so. */
    async function meet(end: 'commit' | 'rollback') {
      const [one, other] = [await connected(), await connected()]
      await one.query('begin')
      await other.query('begin')
      const first = await app.submit(welcome, { n: 1 }, { tx: one, key: 'user-1' })
      const second = app.submit(welcome, { n: 1 }, { tx: other, key: 'user-1' })
      await waitsFor(second, one)
      await one.query(end)
      return { first, second: await second, other }
    }

    it('two transactions with one key at once: the second waits for the first and gets its job', async () => {
      const { first, second, other } = await meet('commit')
      expect(second.id).toBe(first.id)
      await insert(other, 2)
      await other.query('commit')
      expect(await users()).toEqual([2])
    })

    it('two at once, and the first is rolled back: the second has a job of its own', async () => {
      const { first, second, other } = await meet('rollback')
      await other.query('commit')
      expect(second.id).not.toBe(first.id)
      expect((await there(second.id)).status).toBe('accepted')
    })

    it('a snapshot that cannot see who was quicker: said, to be run again', async () => {
      const [one, other] = [await connected(), await connected()]
      await one.query('begin')
      await other.query('begin isolation level repeatable read')
      await other.query('select 1')
      const first = await app.submit(welcome, { n: 1 }, { tx: one, key: 'user-1' })
      const second = app.submit(welcome, { n: 1 }, { tx: other, key: 'user-1' }).catch((error) => error)
      await waitsFor(second, one)
      await one.query('commit')
      expect(await second).toMatchObject({ code: 'transaction-lost' })
      await other.query('rollback')
      await other.query('begin')
      expect((await app.submit(welcome, { n: 1 }, { tx: other, key: 'user-1' })).id).toBe(first.id)
      await other.query('rollback')
    })

    it('unique names and limits hold', async () => {
      await app.start()
      const client = await connected()
      await client.query('begin')
      const first = await app.submit(only, { n: 7 }, { tx: client })
      const second = await app.submit(only, { n: 7 }, { tx: client })
      expect([second.id, second.duplicateOf]).toEqual([first.id, first.id])
      const [a, b] = [
        await app.submit(queued, { n: 1 }, { tx: client }),
        await app.submit(queued, { n: 2 }, { tx: client }),
      ]
      await client.query('commit')
      await Promise.all([first, a, b].map((handle) => handle.result()))
      for (const handle of [a, b]) expect((await handle.get()).status).toBe('completed')
    })

    it('several at once over one connection', async () => {
      const client = await connected()
      await client.query('begin')
      const handles = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          app.submit(welcome, { n }, { tx: client, key: `user-${n % 5}` }).catch((e) => e),
        ),
      )
      await client.query('commit')
      const codes = handles.map((one) => one.code ?? 'stored')
      // Five keys, each twice, the second time with another content.
      expect(codes.filter((code) => code === 'stored')).toHaveLength(5)
      expect(codes.filter((code) => code === 'idempotency-key-reused')).toHaveLength(5)
    })

    it('what is no open transaction of this database is refused, and nothing is stored', async () => {
      const client = await connected()
      const submit = (tx: SqlTransaction) => app.submit(welcome, { n: 1 }, { tx, key: 'user-1' })
      await expect(submit(client)).rejects.toMatchObject({
        code: 'transaction-unusable',
        message: expect.stringMatching(/in no transaction/),
      })
      const pool = new Pool({ connectionString: url! })
      await expect(submit(pool)).rejects.toMatchObject({ code: 'transaction-unusable' })
      await pool.end()

      await client.query('begin')
      await client.query('select 1/0').catch(() => {})
      await expect(submit(client)).rejects.toMatchObject({
        code: 'transaction-unusable',
        message: expect.stringMatching(/failed before/),
      })
      await client.query('rollback')

      const elsewhere = `elsewhere_${process.pid}`
      await client.query(`create database ${elsewhere}`)
      const address = Object.assign(new URL(url!), { pathname: `/${elsewhere}` }).href
      const stranger = new Client(address)
      await stranger.connect()
      await stranger.query('begin')
      await expect(submit(stranger)).rejects.toMatchObject({
        code: 'transaction-unusable',
        message: expect.stringMatching(/no schema/),
      })
      await stranger.query('rollback')
      // With tables of the same name, as a copy for tests has.
      const copy = await createUntildone({ store: postgres(address, { schema }), handlers, worker: false })
      await stranger.query('begin')
      await expect(submit(stranger)).rejects.toMatchObject({
        code: 'transaction-unusable',
        message: expect.stringMatching(/another database/),
      })
      await stranger.query('rollback')
      await copy.stop()
      await stranger.end()
      expect((await submit(await begun())).duplicateOf).toBeNull()
    })

    it('what is no transaction at all is refused before anything begins', async () => {
      for (const tx of ['x', 1, true, null, {}, { query: 'select 1' }, () => {}] as unknown[] as SqlTransaction[]) {
        const refused = await app.submit(welcome, { n: 1 }, { tx, tags: ['stray'] }).catch((error) => error)
        expect(refused, String(tx)).toMatchObject({
          code: 'transaction-unusable',
          message: expect.stringMatching(/Nothing was stored/),
        })
      }
      expect((await app.engine.list(LOCAL, { tag: 'stray' })).items).toEqual([])
    })

    it('a forgotten adapter, or half of one, is named', async () => {
      const client = await begun()
      const named = {
        code: 'transaction-unusable',
        message: expect.stringMatching(/Nothing was stored/),
        fix: ADAPTERS,
      }
      const executeQuery = async () => ({ rows: [] })
      const execute = async () => ({ rows: [] })
      const raws: Record<string, unknown> = {
        kysely: { executeQuery },
        drizzle: { execute, query: { users: {} } },
        prisma: { $queryRawUnsafe: execute, $transaction: execute },
      }
      for (const [name, tx] of Object.entries(raws))
        expect(await app.submit(welcome, { n: 1 }, { tx: tx as never }).catch((error) => error), name).toMatchObject(
          named,
        )
      const halves: Record<string, () => SqlTransaction> = {
        'drizzle without sql': () => drizzleTransaction({ execute }, undefined as never),
        'drizzle with the sql of Kysely': () => drizzleTransaction({ execute }, { raw: String } as never),
        'drizzle of nothing': () => drizzleTransaction(undefined as never, {} as never),
        'drizzle of kysely': () => drizzleTransaction({ executeQuery } as never, {} as never),
        'kysely without CompiledQuery': () => kyselyTransaction({ executeQuery }, undefined as never),
        'kysely with its sql': () => kyselyTransaction({ executeQuery }, (() => {}) as never),
        'kysely of nothing': () => kyselyTransaction(null as never, { raw: String }),
        'kysely of drizzle': () => kyselyTransaction({ execute } as never, { raw: String }),
      }
      for (const [name, half] of Object.entries(halves)) {
        const submit = async () => app.submit(welcome, { n: 1 }, { tx: half() })
        expect(await submit().catch((error) => error), name).toMatchObject(named)
      }
      // Of each only what it says of itself differs; the transaction is as good as before.
      const answers: Record<string, (result: { rows: any[] }) => unknown> = {
        nothing: () => undefined,
        null: () => null,
        'a number': ({ rows }) => ({ rowCount: rows.length }),
        'rows as arrays': ({ rows }) => ({ rows: rows.map((row) => Object.values(row)) }),
        'rows and fields': ({ rows }) => [rows, []],
        'rows that were read': ({ rows }) => rows.map((row) => ({ ...row, row: row.row && JSON.parse(row.row) })),
      }
      for (const [name, answer] of Object.entries(answers)) {
        const tx = {
          query: async (text: string, values?: any[]) => answer(await client.query(text, values)),
        } as SqlTransaction
        expect(await app.submit(welcome, { n: 1 }, { tx }).catch((error) => error), name).toMatchObject(named)
      }
      for (const values of [undefined, []]) {
        const tx = { query: (text: string) => client.query(text, values) }
        const refused = await app.submit(welcome, { n: 1 }, { tx }).catch((error) => error)
        expect(refused).toMatchObject({ ...named, message: expect.stringMatching(/without its parameters/) })
      }
      const thrower = { query: () => Promise.reject(new TypeError('compileQuery is not a function')) }
      await expect(app.submit(welcome, { n: 1 }, { tx: thrower })).rejects.toMatchObject({
        ...named,
        message: expect.stringMatching(/compileQuery is not a function/),
      })
      expect((await app.submit(welcome, { n: 1 }, { tx: client })).duplicateOf).toBeNull()
      await client.query('commit')
      expect((await app.engine.list(LOCAL, {})).items).toHaveLength(1)
    })

    async function begun(): Promise<Client> {
      const client = await connected()
      await client.query('begin')
      return client
    }

    it('a transaction that only reads is told so, and is as good as before', async () => {
      const client = await connected()
      await client.query('begin read only')
      for (const tx of [client, drizzle(client), kysely(client)])
        await expect(app.submit(welcome, { n: 1 }, { tx })).rejects.toMatchObject({
          code: 'transaction-unusable',
          message: 'The transaction is read-only. Nothing was stored.',
          fix: expect.stringMatching(/`read only`.*default_transaction_read_only.*primary/),
        })
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      await client.query('commit')
    })

    it('what the application has ended itself is not said of PostgreSQL', async () => {
      const ended = {
        code: 'transaction-unusable',
        message: expect.stringMatching(
          /^The connection of the transaction was closed by this process .*Nothing was stored/,
        ),
        fix: expect.stringMatching(/before it is closed/),
      }
      const client = new Client(url!)
      await client.connect()
      await client.query('begin')
      await client.end()
      for (const tx of [client, drizzle(client), kysely(client)])
        await expect(app.submit(welcome, { n: 1 }, { tx })).rejects.toMatchObject(ended)
      const pool = new Pool({ connectionString: url! })
      await pool.end()
      await expect(app.submit(welcome, { n: 1 }, { tx: pool })).rejects.toMatchObject(ended)
      // As `postgres` (the package) says it.
      const tx = {
        query: () => Promise.reject(Object.assign(new Error('write CONNECTION_ENDED'), { code: 'CONNECTION_ENDED' })),
      }
      await expect(app.submit(welcome, { n: 1 }, { tx })).rejects.toMatchObject(ended)
    })

    it('a connection that dies takes the job with it', async () => {
      const client = await begun()
      client.on('error', () => {})
      const { rows } = await client.query('select pg_backend_pid() as pid')
      await clients[0]!.query('select pg_terminate_backend($1)', [rows[0].pid])
      const lost = {
        code: 'store-unavailable',
        message: expect.stringMatching(/^The connection of the transaction was lost .*Nothing was stored/),
        fix: expect.stringMatching(/whole transaction again/),
        params: { reason: 'unreachable' },
      }
      await expect(app.submit(welcome, { n: 1 }, { tx: client, key: 'user-1' })).rejects.toMatchObject(lost)
      await expect(app.submit(welcome, { n: 1 }, { tx: drizzle(client) })).rejects.toMatchObject(lost)
      clients = clients.filter((one) => one !== client)
    })

    it('a connection that dies behind what failed is said as any other', async () => {
      const client = await begun()
      client.on('error', () => {})
      // What befalls it comes between a statement and the way back.
      const tx: SqlTransaction = {
        async query(text, values) {
          if (text.startsWith('rollback')) {
            const { rows } = await clients[0]!.query('select pg_terminate_backend($1)', [(client as any).processID])
            expect(rows).toHaveLength(1)
          }
          return client.query(/^insert/.test(text) ? 'select 1/0' : text, /^insert/.test(text) ? [] : values)
        },
      }
      await expect(app.submit(welcome, { n: 1 }, { tx, key: 'user-1' })).rejects.toMatchObject({
        code: 'store-unavailable',
        message: expect.stringMatching(/^The connection of the transaction was lost/),
      })
      clients = clients.filter((one) => one !== client)
    })

    it('does not rely on a session that commits without waiting for the disk', async () => {
      const client = await connected()
      await client.query('set synchronous_commit = off')
      await client.query('begin')
      await app.submit(welcome, { n: 1 }, { tx: client })
      expect((await client.query('show synchronous_commit')).rows[0].synchronous_commit).toBe('on')
      await client.query('commit')
      expect((await client.query('show synchronous_commit')).rows[0].synchronous_commit).toBe('off')
    })

    it('a large input, a NUL, quotes and dollars arrive as they were', async () => {
      const told = defineJob('told', { input: z.object({ text: z.string() }), output: z.object({ text: z.string() }) })
      app.replaceHandlers([...handlers, told.handler({ version: '1' }, async ({ input }) => input)])
      await app.start()
      const text = `\u0000 O'Neil "$1" \\ $$ ${'é'.repeat(50_000)}`
      const client = await begun()
      const handle = await app.submit(told, { text }, { tx: client })
      await client.query('commit')
      expect(await handle.result()).toEqual({ text })
    })

    it('over Kysely and Drizzle', async () => {
      await app.start()
      for (const over of [kysely, drizzle]) {
        const client = await begun()
        const tx = over(client)
        const handle = await app.submit(
          welcome,
          { n: 1 },
          { tx, key: over.name, tags: ['a', 'b'], metadata: { by: "O'Neil" } },
        )
        expect(
          (
            await app.submit(
              welcome,
              { n: 1 },
              { tx: over(client), key: over.name, tags: ['a', 'b'], metadata: { by: "O'Neil" } },
            )
          ).id,
        ).toBe(handle.id)
        await client.query('commit')
        expect(await handle.result()).toEqual({ n: 1 })
        expect((await handle.get()).metadata).toEqual({ by: "O'Neil" })
      }
    })

    /** Until the database says that somebody waits for this connection. */
    async function waitsFor(waiting: Promise<unknown>, holder: Client): Promise<void> {
      let over = false
      void waiting.then(() => (over = true)).catch(() => (over = true))
      const { rows } = await holder.query('select pg_backend_pid() as pid')
      const asked = 'select count(*)::int as n from pg_stat_activity where $1 = any (pg_blocking_pids(pid))'
      await until(async () => {
        if (over) throw new Error('It did not wait.')
        return (await clients[0]!.query(asked, [rows[0].pid])).rows[0].n > 0
      }, 'somebody who waits')
    }
  })

/** What Kysely's transaction does with a compiled query. */
function kysely(client: Client): SqlTransaction {
  const raw = (sql: string, parameters: unknown[] = []) => ({ sql, parameters, query: { kind: 'RawNode' } })
  const executeQuery = async (query: any) => ({ rows: (await client.query(query.sql, query.parameters)).rows })
  return kyselyTransaction({ executeQuery }, { raw })
}

/** What Drizzle's `sql` builds, and what its transaction makes of that; it wraps errors. */
function drizzle(client: Client): SqlTransaction {
  const sql = {
    raw: (text: string) => ({ text }),
    param: (value: unknown) => ({ value }),
    join: (chunks: unknown[]) => ({ chunks }),
  }
  const execute = async ({ chunks }: { chunks: ({ text: string } | { value: unknown })[] }) => {
    const values: unknown[] = []
    const text = chunks.map((chunk) => ('text' in chunk ? chunk.text : `$${values.push(chunk.value)}`)).join('')
    try {
      return await client.query(text, values)
    } catch (cause) {
      throw new Error('Failed query', { cause })
    }
  }
  return drizzleTransaction({ execute }, sql)
}

it('is refused by SQLite', async () => {
  const app = await createUntildone({ store: sqlite(':memory:'), handlers, worker: false })
  const tx: SqlTransaction = { query: async () => ({ rows: [] }) }
  await expect(app.submit(welcome, { n: 1 }, { tx })).rejects.toMatchObject({ code: 'transaction-unsupported' })
  // Only what is left out is none.
  await expect(app.submit(welcome, { n: 1 }, { tx: null as never })).rejects.toMatchObject({
    code: 'transaction-unsupported',
    fix: expect.stringMatching(/Leave `tx` out/),
  })
  expect(await app.submit(welcome, { n: 1 }, { tx: undefined })).toMatchObject({ duplicateOf: null })
  await app.stop()
})

if (!url)
  describe('a submit in the transaction of the application', () => {
    it('is stored with it', (context) => context.skip(POSTGRES_NEEDS))
  })
