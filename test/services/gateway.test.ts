/**
 * The example gateway on PostgreSQL: its API and its workers in processes of their own, started as people start them, and
 * seen by a client over HTTP and nothing else.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { WebSocket } from 'ws'
import { type Program, program } from '../../examples/analysis-gateway/program.js'
import { createAnalysisClient } from '../../examples/analysis-gateway/sdk/client.js'
import { type FakeModel, fakeModel } from '../../examples/analysis-gateway/support.js'
import { shortLeases } from './cast.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { REDIS_NEEDS, redisProgram, startRedis } from './redis.mjs'

const server = inject('postgres')
const LONG = Array.from({ length: 300 }, () => 'The boats left the harbour before noon, with a full load.').join('\n\n')
/** Starts it over the library in DIST. */
const SHORT = fileURLToPath(new URL('gateway.mjs', import.meta.url))
let databases = 0

if (server)
  describe('the analysis gateway on PostgreSQL', () => {
    let dir = ''
    let database = ''
    let model: FakeModel
    let programs: Program[] = []

    beforeAll(async () => {
      model = await fakeModel()
      dir = mkdtempSync(join(tmpdir(), 'untildone gateway services '))
    })
    afterAll(async () => {
      await model?.close()
      rmSync(dir, { recursive: true, force: true })
    })
    beforeEach(async () => {
      const name = `gateway_${process.pid}_${++databases}`
      const admin = new Client(server!)
      await admin.connect()
      await admin.query(`create database ${name}`)
      await admin.end()
      database = Object.assign(new URL(server!), { pathname: `/${name}` }).href
      Object.assign(model, { replies: [], asked: [] })
    })
    afterEach(async () => {
      await Promise.all(programs.map((one) => one.kill()))
      programs = []
      if (dist) rmSync(dirname(dist), { recursive: true, force: true })
      redisUrl = dist = ''
    })

    /** Set by the test that has one: where Redis is, and a library with short leases. */
    let [redisUrl, dist] = ['', '']
    function run(...args: string[]): Program {
      const env = {
        ...{ DATABASE_URL: database, REDIS_URL: redisUrl, DIST: dist },
        ...{ OPENAI_BASE_URL: model.baseUrl, OPENAI_MODEL: model.name },
        GATEWAY_COMPILED: join(dir, 'compiled'),
      }
      const started = program(args, { cwd: dir, env, ...(dist ? { entry: SHORT } : {}) })
      programs.push(started)
      return started
    }
    const api = async () => createAnalysisClient({ url: await run('0', '--roles', 'api').url() })

    it(
      'takes requests without a worker; workers that come later do them, and either API tells',
      { timeout: 60_000 },
      async () => {
        const [one, other] = [await api(), await api()]
        const jobs = []
        for (let n = 0; n < 20; n++) {
          const given = { text: `Invoice ${n}. Total due: ${n}.50 EUR.` }
          const { jobId } = await (n % 2 ? one : other).submit(given, { idempotencyKey: `key-${n}` })
          const again = await (n % 2 ? other : one).submit(given, { idempotencyKey: `key-${n}` })
          expect(again.jobId).toBe(jobId)
          jobs.push(jobId)
        }
        expect(new Set(jobs).size).toBe(20)
        expect((await other.status(jobs[1]!)).status).toBe('pending')
        const workers = [run('--roles', 'worker'), run('--roles', 'worker')]
        for (const worker of workers)
          expect(await worker.said).toMatch(/^store +PostgreSQL, 127\.0\.0\.1:\d+\/gateway_/)
        for (const [n, jobId] of jobs.entries()) {
          expect((await one.wait(jobId)).status).toBe('completed')
          const { documents } = await other.result(jobId)
          expect(documents[0]!.extraction!.entities.map(({ value }) => value)).toContain(`${n}.50 EUR`)
        }
        for (const each of programs) expect((await each.end()).code).toBe(0)
      },
    )

    it(
      'an end in another process is pushed, a cancel reaches it, a file is found there',
      { timeout: 60_000 },
      async () => {
        const url = await run('0', '--roles', 'api').url()
        const client = createAnalysisClient({ url })
        await run('--roles', 'worker').said

        const push = client.push({ WebSocket: WebSocket as never })
        const { jobId } = await client.submit({ text: LONG, analyses: ['statistics', 'summary'] })
        expect((await push.ended(jobId)).status).toBe('completed')
        push.close()

        model.replies = [{ silent: true }]
        const asked = model.nextAsked()
        const held = await client.submit({ text: 'One sentence. Another one.', analyses: ['summary'] })
        await asked
        await client.cancel(held.jobId)
        expect((await client.wait(held.jobId)).status).toBe('cancelled')

        const headers = {
          'content-type': 'application/octet-stream',
          'content-disposition': 'attachment; filename="bill.txt"',
        }
        const uploaded = await fetch(`${url}/v1/files`, { method: 'POST', headers, body: 'Total due: 7.25 EUR.' })
        const { file } = (await uploaded.json()) as { file: string }
        const { documents } = await client.analyse({ file })
        expect(documents[0]!.extraction!.counts).toEqual({ amount: 1 })
      },
    )

    it('with a Redis that is emptied in between, nothing is lost', { timeout: 90_000 }, async (context) => {
      if (!redisProgram()) context.skip(REDIS_NEEDS)
      const redis = await startRedis()
      redisUrl = redis.url
      try {
        const client = await api()
        const worker = run('--roles', 'worker')
        expect(await worker.said).toMatch(/; BullMQ, 127\.0\.0\.1:\d+\n/)
        const submit = async (n: number) => (await client.submit({ text: `Letter number ${n}.` })).jobId
        const before = await Promise.all(Array.from({ length: 20 }, (_, n) => submit(n)))
        expect(await redis.command('DBSIZE')).toBeGreaterThan(0)
        await redis.command('FLUSHALL')
        const after = await Promise.all(Array.from({ length: 5 }, (_, n) => submit(n)))
        for (const jobId of [...before, ...after]) expect((await client.wait(jobId)).status).toBe('completed')
      } finally {
        await redis.remove()
      }
    })

    it(
      'a worker that is killed is missed, and another one goes on from what is on record',
      { timeout: 90_000 },
      async () => {
        dist = shortLeases()
        const client = await api()
        const first = run('--roles', 'worker')
        await first.said
        model.replies = [{ says: 'A first part.' }, { silent: true }]
        const { jobId } = await client.submit({ text: LONG, analyses: ['statistics', 'summary'] })
        while (model.asked.length < 2) await model.nextAsked()
        await run('--roles', 'worker').said
        await first.kill()

        expect((await client.wait(jobId)).status).toBe('completed')
        const { documents } = await client.result(jobId)
        expect(documents[0]!.summary).toEqual({ text: 'A first part.', model: 'teller-1' })
        // Two parts, the second one twice and with one key, and then the two answers together.
        const keys = model.asked.map(({ key }) => key)
        expect([keys.length, keys[0] === keys[1], keys[1] === keys[2], new Set(keys).size]).toEqual([4, false, true, 3])
      },
    )

    it('an API that is killed has lost nothing of what it took', { timeout: 60_000 }, async () => {
      const front = run('0', '--roles', 'api')
      const jobs = []
      const client = createAnalysisClient({ url: await front.url() })
      for (let n = 0; n < 5; n++) jobs.push((await client.submit({ text: `Letter number ${n}.` })).jobId)
      await front.kill()
      const again = await api()
      await run('--roles', 'worker').said
      for (const jobId of jobs) expect((await again.wait(jobId)).status).toBe('completed')
    })
  })

if (!server)
  describe('the analysis gateway on PostgreSQL', () => {
    it('runs in several processes', (context) => context.skip(POSTGRES_NEEDS))
  })
