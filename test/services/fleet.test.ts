/** Several processes of `untildone serve` on one PostgreSQL: starting together, pausing, draining, and the command line. */
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { WireWorker } from '../../src/core/wire.js'
import { until } from '../../src/testing/until.js'
import { Cast, type Member } from './cast.js'
import { POSTGRES_NEEDS } from './postgres.mjs'

const url = inject('postgres')
/** A slow machine. */
const PATIENCE_MS = 60_000

if (url) describe('processes that share a database', fleetTests)
else
  describe('processes that share a database', () => {
    it('start, pause, drain', (context) => context.skip(POSTGRES_NEEDS))
  })

function fleetTests(): void {
  let fleet: Cast
  let api: Member
  let workers: Member[]
  beforeAll(async () => {
    fleet = await Cast.open(url!)
    // All at once on a database in which nothing is: who makes the schema is settled between them.
    const starting = fleet.start('api', { roles: 'api,maintenance' })
    workers = await Promise.all(['one', 'two', 'three'].map((name) => fleet.start(name, { roles: 'worker' })))
    api = await starting
  }, PATIENCE_MS)
  afterAll(() => fleet?.close(), PATIENCE_MS)

  /** Those that run jobs; webhooks are delivered by others. */
  const listed = async (all = false): Promise<WireWorker[]> =>
    (await api.client.workers.list({ all })).filter(({ queues }) => queues === null)
  const run = async (type: string) => (await (await api.client.submit(type, {})).result()) as number

  it('make the schema once, however many start together', async () => {
    expect(await fleet.query(`select value from untildone.meta where key = 'schema'`)).toEqual([{ value: '1' }])
    // On a busy machine those who wait for the one that makes it say so.
    const said = (served: Member) => served.lines.map(({ event }) => event).filter((event) => event !== 'waiting')
    for (const served of [api, ...workers]) expect(said(served)).toEqual(['ready'])
    const found = await listed()
    expect(found.map(({ pid }) => pid).sort()).toEqual(workers.map(({ pid }) => pid).sort())
    for (const { state, types } of found) {
      expect(state).toBe('up')
      expect(types!.map(({ name }) => name)).toEqual(expect.arrayContaining(['gate', 'other', 'quick']))
    }
    expect(workers.map(({ pid }) => pid)).toContain(await run('quick'))
  })

  it('keep uploaded files where --files says', async () => {
    const { file } = await api.client.uploadFile('scan', { name: 'scan.txt', contentType: 'text/plain' })
    expect(await (await api.client.files.get(file)).text()).toBe('scan')
    const kept = readdirSync(fleet.files, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    expect(kept.map(({ name }) => name)).toContain(file)
  })

  it('start nothing of a queue from the answer to its pause on, whichever process claims', async () => {
    await api.client.queues.pause('default', { reason: 'vendor is down' })
    const held = await Promise.all(Array.from({ length: 20 }, () => api.client.submit('quick', {})))
    // What came later has been looked for, found and done.
    for (let i = 0; i < 20; i++) await run('other')
    const statuses = await Promise.all(held.map(async ({ id }) => (await api.client.get(id)).status))
    expect(new Set(statuses)).toEqual(new Set(['accepted']))
    const [queue] = (await api.client.queues.list()).filter(({ name }) => name === 'default')
    expect(queue).toMatchObject({ paused: true, depth: 20, running: 0 })
    const { out } = await fleet.ud(['queues', 'resume', 'default', '--url', api.url!, '--json'])
    expect(JSON.parse(out)).toMatchObject({ name: 'default', paused: false })
    for (const job of held) expect(workers.map(({ pid }) => pid)).toContain(await job.result())
  })

  it(
    'drain one worker: its step ends, its job goes on elsewhere, its process stays without work',
    async () => {
      const file = join(fleet.dir, 'go')
      const job = await api.client.submit('gate', { file })
      const mine = await until(async () => (await listed()).find(({ running }) => running > 0), 'a worker that has it')
      expect(mine.jobs).toMatchObject([{ type: 'gate', running: 1 }])
      const served = workers.find(({ pid }) => pid === mine.pid)!
      const asked = await fleet.ud(['workers', 'drain', mine.id, '--url', api.url!, '--reason', 'host is replaced'])
      expect([asked.exit, asked.err]).toEqual([0, expect.stringContaining('1 job may end the current step')])
      expect(await served.saw('draining')).toMatchObject({ worker: mine.id, running: 1 })
      const done = new Set<number>()
      for (let i = 0; i < 10; i++) done.add(await run('quick'))
      expect([...done]).not.toContain(served.pid)
      expect((await listed()).find(({ id }) => id === mine.id)).toMatchObject({ state: 'draining', running: 1 })
      writeFileSync(file, '')
      const [before, after] = (await job.result()) as number[]
      expect(before).toBe(served.pid)
      expect(workers.filter((one) => one !== served).map(({ pid }) => pid)).toContain(after)
      expect(await served.saw('drained')).toMatchObject({ worker: mine.id })
      expect(served.alive).toBe(true)
      expect((await listed(true)).find(({ id }) => id === mine.id)).toMatchObject({ state: 'gone', running: 0 })
      expect((await listed()).map(({ id }) => id)).not.toContain(mine.id)
      const { items } = await api.client.audit.list({ action: 'worker.*' }).page()
      expect(items).toMatchObject([{ target: `worker/${mine.id}`, reason: 'host is replaced' }])
    },
    PATIENCE_MS,
  )

  it(
    'call a killed worker lost once its lease has run out, and its job goes on',
    async () => {
      const file = join(fleet.dir, 'never')
      const job = await api.client.submit('gate', { file })
      const mine = await until(async () => (await listed()).find(({ running }) => running > 0), 'a worker that has it')
      await workers.find(({ pid }) => pid === mine.pid)!.end('SIGKILL')
      expect((await listed()).find(({ id }) => id === mine.id)!.state).toBe('up')
      const lost = async () => (await listed()).find(({ id, state }) => id === mine.id && state === 'lost')
      await until(lost, 'its loss', PATIENCE_MS)
      writeFileSync(file, '')
      expect((await job.result()) as number[]).not.toContain(mine.pid)
    },
    2 * PATIENCE_MS,
  )

  it(
    'db status counts while they work; db backup is a dump that pg_restore reads; db prune removes what is old',
    async () => {
      await Promise.all(Array.from({ length: 60 }, () => run('quick')))
      const status = JSON.parse((await fleet.ud(['db', 'status', '--json'])).out)
      expect(status).toMatchObject({
        ...{ kind: 'postgres', schema: { version: 1 }, knows: 1 },
        counts: { unfinished: 0, running: 0, oldest: null },
        settings: { fsync: 'on' },
      })
      expect(status.counts.finished).toBeGreaterThan(50)
      const text = (await fleet.ud(['db', 'status'])).out
      expect(text).toMatch(/schema +1, the one this program knows/)
      expect(text).toContain('TO CLEAN')

      const file = join(fleet.dir, 'jobs.dump')
      const copied = JSON.parse((await fleet.ud(['db', 'backup', file, '--json'])).out)
      expect(copied).toEqual({ file, bytes: statSync(file).size })
      expect(existsSync(`${file}.part`)).toBe(false)
      const without = await fleet.ud(['db', 'backup', `${file}2`], { PATH: '/nowhere' })
      expect([without.exit, without.err]).toEqual([1, expect.stringContaining('apt-get install postgresql-client')])
      const empty = await fleet.ud(['db', 'backup', `${file}2`, '--schema', 'nobodys'])
      expect([empty.exit, existsSync(`${file}2`), existsSync(`${file}2.part`)]).toEqual([1, false, false])

      const removed = JSON.parse((await fleet.ud(['db', 'prune', '--older-than', '1ms', '--yes', '--json'])).out)
      expect(removed.records).toBe(status.counts.finished)
      expect(JSON.parse((await fleet.ud(['db', 'status', '--json'])).out).counts).toMatchObject({
        ...{ finished: 0, tombstones: removed.records },
      })
      expect((await fleet.ud(['db', 'migrate', '--dry-run'])).err).toContain('there is nothing to do')
      const typo = await fleet.ud(['db', 'prune', '--schema', 'nobodys'])
      expect([typo.exit, typo.err]).toEqual([5, expect.stringContaining('schema nobodys')])
      expect(await fleet.query(`select 1 from pg_namespace where nspname = 'nobodys'`)).toEqual([])
    },
    2 * PATIENCE_MS,
  )

  it(
    'db migrate prints and makes a schema of another name',
    async () => {
      const dry = (await fleet.ud(['db', 'migrate', '--schema', 'second', '--dry-run'])).out
      expect(dry).toMatch(/^-- schema 1\ncreate schema if not exists second;\ncreate table second\.meta \(/)
      // What is printed is what would be done.
      await fleet.query(`begin; ${dry.replace(/^--.*$/gm, '')} rollback`)
      const made = await fleet.ud(['db', 'migrate', '--schema', 'second', '--json'])
      expect(JSON.parse(made.out)).toEqual({
        ...{ kind: 'postgres', location: expect.stringMatching(/^127\.0\.0\.1:\d+\/\w+ \(schema second\)$/) },
        ...{ applied: [1], schema: { version: 1, worksFrom: 1 } },
      })
    },
    PATIENCE_MS,
  )

  it(
    'serve works in the schema that it is told, beside the others',
    async () => {
      const apart = await fleet.start('apart', { roles: 'api', options: ['--schema', 'apart'] })
      const { id } = await apart.client.submit('quick', {})
      expect(await fleet.query('select id from apart.jobs')).toEqual([{ id }])
      expect(await fleet.query(`select id from untildone.jobs where id = '${id}'`)).toEqual([])
      await apart.end('SIGTERM')
    },
    PATIENCE_MS,
  )

  it(
    'doctor says how PostgreSQL is, and what it may not see',
    async () => {
      const checks = async (env: NodeJS.ProcessEnv = {}) => {
        const { out } = await fleet.ud(['doctor', '--json', '--url', api.url!], env)
        const all = JSON.parse(out).checks as { what: string; state: string; text: string; fix: string | null }[]
        return (what: string) => all.find((one) => one.what === what)
      }
      const mine = await checks()
      expect(mine('PostgreSQL')).toMatchObject({ state: 'ok', text: expect.stringMatching(/^\d+/) })
      expect(mine('durability')).toMatchObject({ state: 'ok', text: 'fsync on, synchronous_commit on' })
      expect(mine('autovacuum')).toMatchObject({ state: 'ok', text: expect.stringMatching(/^on, for all \d\d tables/) })
      expect(mine('old transactions')).toMatchObject({ state: 'ok' })
      for (const what of ['round trip', 'commit']) expect(mine(what)!.text).toMatch(/^[\d.]+ ms \(median\)$/)
      expect(mine('connections')!.text).toMatch(/^\d+ of 100, \d+ by Untildone$/)

      await fleet.query('alter table untildone.live set (autovacuum_enabled = off)')
      const off = (await checks())('autovacuum')!
      expect(off).toMatchObject({ state: 'bad', text: 'is turned off for live' })
      await fleet.query(off.fix!.split(';')[0]!)
      expect((await checks())('autovacuum')).toMatchObject({ state: 'ok' })

      await fleet.query('create role looker login')
      await fleet.query(
        'grant usage on schema untildone to looker; grant select on all tables in schema untildone to looker',
      )
      const theirs = new URL(fleet.url)
      theirs.username = 'looker'
      const seen = await checks({ UNTILDONE_DATABASE: theirs.href })
      expect(seen('old transactions')).toMatchObject({
        ...{ state: 'note', fix: expect.stringContaining('grant pg_read_all_stats') },
      })
      expect((await checks({ UNTILDONE_DATABASE: 'postgres://127.0.0.1:1/none' }))('database')).toMatchObject({
        ...{ state: 'bad', text: expect.stringContaining('cannot be reached') },
      })
    },
    PATIENCE_MS,
  )
}
