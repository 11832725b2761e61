// API and workers apart: they need nothing of each other but the store. And what is said to whoever starts the program with
// something that it does not know.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOCAL, sqlite } from 'untildone'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { asked } from './demo/serve.js'
import { type Program, program as run } from './program.js'
import { createAnalysisClient } from './sdk/client.js'
import { start } from './start.js'
import { storeFrom } from './store.js'
import { fakeModel } from './support.js'

let dir = ''
let away: Program
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'untildone gateway roles '))
  // Nothing listens on port 1. It gives up after ten seconds, so it tries while the other tests run.
  away = program([], { DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/x' })
})
afterAll(async () => {
  await away?.kill()
  rmSync(dir, { recursive: true, force: true })
})

test(
  'one process takes the request, another does the work, a third gives the result',
  { timeout: 60_000 },
  async () => {
    const store = () => sqlite(join(dir, 'apart.db'))
    const front = await start({ store: store(), roles: ['api'] })
    const { jobId } = await createAnalysisClient({ url: front.url! }).submit({ text: 'Total due: 12 EUR.' })
    expect((await createAnalysisClient({ url: front.url! }).status(jobId)).status).toBe('pending')
    await front.stop()

    const worker = await start({ store: store(), roles: ['worker'] })
    expect(worker.url).toBeNull()
    await worker.app.engine.wait(LOCAL, jobId, { until: 'done', timeoutMs: 20_000 })
    await worker.stop()

    const back = await start({ store: store(), roles: ['api'] })
    const { documents } = await createAnalysisClient({ url: back.url! }).result(jobId)
    expect(documents[0]!.extraction!.counts).toEqual({ amount: 1 })
    await back.stop()
  },
)

test('arguments', () => {
  expect(asked([])).toEqual({ port: 8000, roles: ['api', 'worker'], tenants: [] })
  expect(asked(['0', '--roles', 'worker', '--tenants', 'acme, globex'])).toEqual({
    ...{ port: 0, roles: ['worker'], tenants: ['acme', 'globex'] },
  })
  expect(() => asked(['--roles', 'api,boss'])).toThrow('--roles is api, worker, or both with a comma, not "boss"')
  expect(() => asked(['99999'])).toThrow('"99999" is no port')
  expect(() => asked(['--port', '1'])).toThrow(/--port/)
})

test('an address that has no effect is refused, not passed over', () => {
  expect(() => storeFrom({ REDIS_URL: 'redis://y' }, dir)).toThrow(
    /^REDIS_URL is set, but DATABASE_URL is not: .*none\.$/,
  )
  expect(() => storeFrom({ DATABASE_URL: 'postgres://x/y', REDIS_URL: 'y' }, dir)).toThrow(/redis:/)
  for (const url of ['mysql://x/y', 'nonsense'])
    expect(() => storeFrom({ DATABASE_URL: url }, dir)).toThrow('DATABASE_URL is no address of a PostgreSQL database')
})

test('where jobs are kept, without the password', () => {
  const url = 'postgres://me:secret@db.example:5433/jobs?sslmode=require'
  expect(storeFrom({ DATABASE_URL: url }, dir)).toMatchObject({
    ...{ shared: true, description: 'PostgreSQL, db.example:5433/jobs', filesDir: join(dir, 'files') },
  })
  expect(storeFrom({ DATABASE_URL: url, REDIS_URL: 'redis://:secret@cache.example:6379/0' }, dir)).toMatchObject({
    ...{ description: 'PostgreSQL, db.example:5433/jobs; BullMQ, cache.example:6379', transport: {} },
  })
  expect(storeFrom({}, dir)).toMatchObject({ shared: false, description: `SQLite, ${join(dir, 'untildone.db')}` })
})

/** What one start has compiled serves the starts after it. */
const program = (args: string[], env: Record<string, string> = {}, cwd = dir) =>
  run(args, { env: { GATEWAY_COMPILED: join(dir, 'compiled'), ...env }, cwd })

test(
  'the program: answers, keeps keys where only their owner can read them, stops in good order',
  { timeout: 60_000 },
  async () => {
    const { said, end } = await program(['0', '--tenants', 'acme'])
    try {
      const text = await said
      const [, url] = /^gateway +(http:\S+)\/api\/v1\/analysis /m.exec(text)!
      const [, keys] = /^keys +(.+)$/m.exec(text)!
      expect(keys).toBe(join(dir, '.untildone/analysis-gateway/acme.env'))
      expect(statSync(keys!).mode & 0o777).toBe(0o600)
      expect((await fetch(`${url}/api/v1/analysis`)).status).toBe(401)
    } finally {
      expect((await end()).code).toBe(0)
    }
  },
)

test(
  'killed in the middle and started again: the analysis goes on, and what was on record is not done again',
  { timeout: 60_000 },
  async () => {
    const model = await fakeModel()
    const own = mkdtempSync(join(dir, 'killed-'))
    const env = { OPENAI_BASE_URL: model.baseUrl, OPENAI_MODEL: model.name }
    model.replies = [{ says: 'A first part.' }, { silent: true }]
    const text = Array.from({ length: 300 }, () => 'The boats left the harbour before noon, with a full load.').join(
      '\n\n',
    )
    try {
      const first = await program(['0'], env, own)
      const [, url] = /^gateway +(http:\S+)\/api/m.exec(await first.said)!
      const { jobId } = await createAnalysisClient({ url: url! }).submit({ text, analyses: ['statistics', 'summary'] })
      // The first part of the summary is on record, the second one is being asked for.
      while (model.asked.length < 2) await model.nextAsked()
      await first.kill()

      const second = await program(['0'], env, own)
      const [, again] = /^gateway +(http:\S+)\/api/m.exec(await second.said)!
      const client = createAnalysisClient({ url: again! })
      expect((await client.wait(jobId)).status).toBe('completed')
      const { documents } = await client.result(jobId)
      expect(documents[0]!.summary).toEqual({ text: 'A first part.', model: 'teller-1' })
      const sent = model.asked.map(({ body }) => body.messages[1].content as string)
      // Two parts, the second one twice, and then the two answers together.
      expect([sent.length, sent[0] === sent[1], sent[1] === sent[2]]).toEqual([4, false, true])
      expect((await second.end()).code).toBe(0)
    } finally {
      await model.close()
    }
  },
)

test('a mistake is said in a line or two, and nothing is opened', { timeout: 60_000 }, async () => {
  const [boss, other, help] = await Promise.all([
    program(['--roles', 'boss']),
    program([], { REDIS_URL: 'redis://localhost' }),
    program(['--help']),
  ])
  expect(await boss.said).toBe(
    '--roles is api, worker, or both with a comma, not "boss"\nUsage: serve.mjs [port] [--roles api,worker] [--tenants acme,globex]\n',
  )
  expect((await boss.end()).code).toBe(1)
  expect(await other.said).toContain('REDIS_URL is set, but DATABASE_URL is not')
  expect((await other.end()).code).toBe(1)
  expect(await away.said).toMatch(/^PostgreSQL cannot be reached \(.*ECONNREFUSED.*\)\.\nCheck that it runs/)
  expect((await away.end()).code).toBe(1)
  expect(await help.said).toMatch(/^Usage: serve\.mjs /)
  expect((await help.end()).code).toBe(0)
})
