// Who hears over PostgreSQL of what other processes do: those that work always, those that read while they do, others never.
import { Client } from 'pg'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { createUntildone, defineJob, type Untildone } from '../../src/index.js'
import { postgres } from '../../src/stores/postgres/index.js'
import { ownSchema } from './fresh.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')
const noop = defineJob('noop', { input: z.object({}) }).handler(async () => null)
const soon = { timeout: 15_000 }

describe.skipIf(!url)('a submit elsewhere', { timeout: 30_000 }, () => {
  const ended: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of ended.splice(0)) await end()
  })

  const connected = async () => {
    const client = new Client(url!)
    await client.connect()
    ended.push(() => client.end())
    return client
  }
  /** Processes of one system. Each has the roles it is given besides that of a server. */
  const system = () => {
    const schema = ownSchema()
    const store = postgres(url!, { schema, connections: 2 })
    /** @returns the process, and the ids of jobs that it has heard to be accepted */
    const opened = async (roles: { worker?: object; maintenance?: true } = {}) => {
      const app = await createUntildone({ ...{ store, handlers: [noop], worker: false, maintenance: false }, ...roles })
      const heard: string[] = []
      app.engine.onChange((changes) => {
        for (const { jobId, status } of changes) if (status === 'accepted') heard.push(jobId)
      })
      ended.push(() => app.stop())
      await app.start()
      return { app, heard }
    }
    return { schema, opened }
  }
  /** In the first moments they do not know of each other. */
  const hears = (submitter: Untildone, heard: string[]) =>
    expect
      .poll(async () => {
        const { id } = await submitter.submit('noop', {})
        await expect.poll(() => heard, { timeout: 1000 }).toContain(id)
      }, soon)
      .toBeUndefined()

  it('is told to who works and to who has duties, and to a server once it reads', async () => {
    const { opened } = system()
    const { app } = await opened()
    const worker = await opened({ worker: {} })
    const duties = await opened({ maintenance: true })
    const server = await opened()
    await hears(app, worker.heard)
    await hears(app, duties.heard)
    const before = worker.heard.at(-1)
    const stop = server.app.engine.follow()
    await hears(app, server.heard)
    expect(server.heard).not.toContain(before)
    await hears(app, worker.heard)
    stop()
  })

  it('is told to who works over a new line when the old one was cut', async () => {
    const { opened } = system()
    const [{ app }, worker] = [await opened(), await opened({ worker: {} })]
    await hears(app, worker.heard)
    const client = await connected()
    const lines = `pg_stat_activity where query like 'listen "%"' or query like 'select pg_notify(%'`
    const { rowCount } = await client.query(`select pg_terminate_backend(pid) from ${lines}`)
    expect(rowCount).toBeGreaterThan(0)
    await hears(app, worker.heard)
  })

  it('is told to a server that began to read while its commit was under way', async () => {
    const { schema, opened } = system()
    const [{ app }, server] = [await opened(), await opened()]
    const duties = await opened({ maintenance: true })
    await hears(app, duties.heard)
    const client = await connected()
    await client.query(`create function ${schema}.held() returns trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock_shared(hashtext('${schema}')); return null; end $$`)
    await client.query(`create constraint trigger held after insert on ${schema}.jobs deferrable initially deferred
      for each row execute function ${schema}.held()`)
    await client.query(`begin; select pg_advisory_xact_lock(hashtext('${schema}'))`)
    const submitted = app.submit('noop', {})
    const held = `select 1 from pg_locks where locktype = 'advisory' and not granted`
    await expect.poll(async () => (await client.query(held)).rowCount, soon).toBe(1)
    const known = new Promise<void>((resolve) => server.app.engine.onGap(resolve))
    const stop = server.app.engine.follow()
    await known
    await client.query('commit')
    const { id } = await submitted
    await expect.poll(() => server.heard, { timeout: 2000 }).toContain(id)
    stop()
  })
})

if (!url)
  describe('a submit elsewhere', () => {
    it('is told to who works', (context) => context.skip(POSTGRES_NEEDS))
  })
