/** The wire against the real engine on a real SQLite file: what the fake can only pretend is shown here. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WireEvent, WireJob } from '../core/index.js'
import { createUntildone, defineJob, Harmless, Permanent, sqlite } from '../index.js'
import { createServer, type ServerOptions } from './index.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'

const greet = defineJob('greet', {
  input: z.object({ name: z.string().min(1) }),
  output: z.object({ text: z.string() }),
  stages: ['write'],
})
const fail = defineJob('fail', { input: z.object({ kind: z.enum(['permanent', 'harmless']) }) })
const slow = defineJob('slow', { input: z.object({}) })
const pick = defineJob('pick', { input: z.object({}) })

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function running(options: ServerOptions & { work?: boolean } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'untildone-contract-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  const handlers = [
    greet.handler({ completion: { mode: 'background' } }, async (job) => {
      job.progress('write', { message: 'Writing', completed: 1, total: 1 })
      return { text: await job.step('hello', () => `Hello ${job.input.name}`) }
    }),
    fail.handler(async (job) => {
      if (job.input.kind === 'permanent') throw new Permanent('The file has a password.', { code: 'file-locked' })
      throw new Harmless('It was there already.', { result: 'there' })
    }),
    slow.handler(async (job) => {
      await Promise.race([
        released,
        new Promise((_, reject) => job.signal.addEventListener('abort', () => reject(job.signal.reason))),
      ])
      return null
    }),
    pick.handler({ requireIdempotencyKey: true }, async () => null),
  ]
  const app = await createUntildone({
    store: sqlite(join(folder, 'jobs.db')),
    handlers,
    worker: options.work === false ? false : { slots: 4 },
  })
  cleanups.push(() => app.stop())
  // Running jobs are let go first: draining would wait for them.
  cleanups.push(() => release())
  await app.start()
  const errors: unknown[] = []
  const server = createServer(app.engine, { version: '1.2.3', onError: (error) => errors.push(error), ...options })
  cleanups.push(() => server.close())
  cleanups.push(() => expect(errors).toEqual([]))
  const send = (method: string, path: string, headers: Record<string, string> = {}, body?: BodyInit) =>
    server.fetch(new Request(`http://localhost${path}`, { method, headers, body, duplex: 'half' } as RequestInit))
  const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
    send(
      'POST',
      path,
      body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      body === undefined ? undefined : JSON.stringify(body),
    )
  const get = (path: string, headers?: Record<string, string>) => send('GET', path, headers)
  const job = async (body: unknown, headers?: Record<string, string>) =>
    (await (await post('/v1/jobs', body, headers)).json()) as WireJob
  const stored = async () => ((await (await get('/v1/jobs')).json()) as { items: WireJob[] }).items.length
  return { app, server, send, post, get, job, stored, release }
}

const HELLO = { type: 'greet', input: { name: 'Ada' } }

describe('one key, one job', () => {
  test('200 concurrent submits with one key: one job, 199 replays', async () => {
    const { post, stored } = await running({ work: false })
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => post('/v1/jobs', HELLO, { 'idempotency-key': 'K1' })),
    )
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]))
    const ids = new Set(await Promise.all(answers.map(async (answer) => ((await answer.json()) as WireJob).id)))
    expect(ids.size).toBe(1)
    expect(answers.filter((answer) => answer.headers.get('idempotent-replayed') === 'true')).toHaveLength(199)
    expect(await stored()).toBe(1)
  })

  test('the same key with another body is 422 and names the job', async () => {
    const { post, job, stored } = await running({ work: false })
    const { id } = await job(HELLO, { 'idempotency-key': 'K1' })
    const answer = await post('/v1/jobs', { ...HELLO, priority: 5 }, { 'idempotency-key': 'K1' })
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ code: 'idempotency-key-reused', params: { existingJobId: id } })
    expect(await stored()).toBe(1)
  })

  test('order of members, white space and quotes do not make another body', async () => {
    const { send, job } = await running({ work: false })
    const { id } = await job(HELLO, { 'idempotency-key': 'K1' })
    const answer = await send(
      'POST',
      '/v1/jobs',
      { 'content-type': 'application/json', 'idempotency-key': '"K1"' },
      '{ "input": {"name" : "Ada"}, "type":"greet" }',
    )
    expect(await answer.json()).toMatchObject({ id })
  })

  test('another trace does not make another body: a repeat has its own span', async () => {
    const { post, job } = await running({ work: false })
    const trace = (span: string) => ({
      'idempotency-key': 'K1',
      traceparent: `00-4bf92f3577b34da6a3ce929d0e0e4736-${span}-01`,
    })
    const { id } = await job(HELLO, trace('00f067aa0ba902b7'))
    const answer = await post('/v1/jobs', HELLO, trace('00f067aa0ba902b8'))
    expect(answer.status).toBe(202)
    expect(await answer.json()).toMatchObject({ id })
  })

  test('a batch is stored once, or not at all', async () => {
    const { post, stored } = await running({ work: false })
    const batch = { items: [HELLO, { ...HELLO, groupId: 'g' }] }
    const [first, second] = await Promise.all(
      [1, 2].map(() => post('/v1/jobs/batch', batch, { 'idempotency-key': 'B' })),
    )
    const ids = async (answer: Response) => ((await answer.json()) as { items: WireJob[] }).items.map((made) => made.id)
    expect(await ids(first!)).toEqual(await ids(second!))
    expect(await stored()).toBe(2)
    const refused = await post('/v1/jobs/batch', { items: [HELLO, { type: 'greet', input: { name: '' } }] })
    expect(await refused.json()).toMatchObject({ code: 'input-invalid', errors: [{ pointer: '/items/1/input/name' }] })
    expect(await stored()).toBe(2)
  })
})

describe('keys of single items of a batch', () => {
  const keyed = { ...HELLO, idempotencyKey: 'scan-1' }

  test.each([
    ['last', [HELLO, keyed], 1],
    ['first', [keyed, HELLO], 0],
  ])('an item that was submitted before is that job, the others are new (%s)', async (_where, items, at) => {
    const { job, post, get, stored } = await running({ work: false })
    const before = await job(HELLO, { 'idempotency-key': 'scan-1' })
    const answer = await post('/v1/jobs/batch', { items })
    expect(answer.status).toBe(202)
    const made = ((await answer.json()) as { items: WireJob[] }).items
    expect(made).toHaveLength(2)
    expect(made[at]!.id).toBe(before.id)
    // Nothing is acknowledged that is not stored.
    for (const { id } of made) expect((await get(`/v1/jobs/${id}`)).status).toBe(200)
    expect(await stored()).toBe(2)
  })
})

describe('a refused submit stores nothing', () => {
  test.each([
    ['malformed body', '{"type":', {}, 400, 'malformed-request'],
    ['unknown field', JSON.stringify({ ...HELLO, nope: 1 }), {}, 422, 'validation-failed'],
    ['unknown type', JSON.stringify({ type: 'nope', input: {} }), {}, 422, 'unknown-job-type'],
    ['wrong input', JSON.stringify({ type: 'greet', input: { name: 1 } }), {}, 422, 'input-invalid'],
    ['no input', JSON.stringify({ type: 'greet' }), {}, 422, 'input-invalid'],
    [
      'oversized input',
      JSON.stringify({ type: 'greet', input: { name: 'x'.repeat(300 << 10) } }),
      {},
      413,
      'payload-too-large',
    ],
    ['missing key', JSON.stringify({ type: 'pick', input: {} }), {}, 400, 'idempotency-key-required'],
    [
      'a deadline in the past',
      JSON.stringify({ ...HELLO, deadlineAt: '2020-01-01T00:00:00Z' }),
      {},
      422,
      'validation-failed',
    ],
    ['a foreign page', JSON.stringify(HELLO), { origin: 'https://evil.example' }, 403, 'host-not-allowed'],
  ])('%s', async (_what, body, headers, status, code) => {
    const { send, stored } = await running({ work: false })
    const answer = await send(
      'POST',
      '/v1/jobs',
      { 'content-type': 'application/json', ...(headers as Record<string, string>) },
      body,
    )
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ code, status })
    expect(await stored()).toBe(0)
  })

  test('wrong token', async () => {
    const { app, post, get } = await running({ work: false })
    const made = await post('/v1/api-keys', { name: 'root', scopes: ['admin'] })
    const { key } = (await made.json()) as { key: string }
    for (const authorization of [
      `Bearer ${key}x`,
      `Bearer ${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`,
      'Bearer x',
    ]) {
      const answer = await post('/v1/jobs', HELLO, { authorization })
      expect(answer.status).toBe(401)
      expect(await answer.json()).toMatchObject({ code: 'unauthenticated' })
    }
    expect((await post('/v1/jobs', HELLO)).status).toBe(401)
    const seen = await get('/v1/jobs', { authorization: `Bearer ${key}` })
    expect(await seen.json()).toMatchObject({ items: [] })
    expect(await app.engine.keysExist()).toBe(true)
  })
})

describe('to the end', () => {
  test('Prefer: wait answers with the result', async () => {
    const { post, get } = await running()
    const answer = await post('/v1/jobs', HELLO, { prefer: 'wait=20' })
    expect(answer.status).toBe(200)
    const done = (await answer.json()) as WireJob
    expect(done).toMatchObject({ status: 'completed', done: true, result: { text: 'Hello Ada' } })
    expect(answer.headers.get('content-location')).toBe(`/v1/jobs/${done.id}`)
    expect(await (await get(`/v1/jobs/${done.id}/result`)).text()).toBe('{"text":"Hello Ada"}')
    expect((await get(`/v1/jobs/${done.id}`, { 'if-none-match': `"${done.revision}"` })).status).toBe(304)
  })

  test('a failed job: GET is 200, its result 409 with the error', async () => {
    const { post, get } = await running()
    const { id } = (await (
      await post('/v1/jobs', { type: 'fail', input: { kind: 'permanent' } }, { prefer: 'wait=20' })
    ).json()) as WireJob
    expect((await get(`/v1/jobs/${id}`)).status).toBe(200)
    const answer = await get(`/v1/jobs/${id}/result`)
    expect(answer.status).toBe(409)
    expect(await answer.json()).toMatchObject({
      code: 'job-failed',
      jobStatus: 'failed',
      jobError: { code: 'file-locked', class: 'permanent' },
    })
  })

  test('the stream tells the whole life; each place in it can be resumed', async () => {
    const { job, get } = await running()
    const { id } = await job(HELLO)
    const frames = async (cursor?: string) => {
      const answer = await get(`/v1/jobs/${id}/events/stream`, cursor === undefined ? {} : { 'last-event-id': cursor })
      if (answer.status === 204) return []
      const text = await answer.text()
      return text.split('\n\n').flatMap((frame) => {
        const found = /^id: (.*)\nevent: (.*)$/m.exec(frame)
        return found ? [{ id: found[1]!, event: found[2]! }] : []
      })
    }
    const live = await frames()
    expect(live[0]).toMatchObject({ event: 'snapshot' })
    expect(live.at(-1)!.event === 'job.completed' || live.length === 1).toBe(true)
    const all = ((await (await get(`/v1/jobs/${id}/events`)).json()) as { items: WireEvent[] }).items
    expect(all.map((event) => event.type)).toEqual(['job.accepted', 'job.processing', 'job.completed'])
    for (const [i, event] of all.entries()) {
      expect((await frames(event.id)).map((frame) => frame.id)).toEqual(all.slice(i + 1).map((later) => later.id))
    }
    expect((await get(`/v1/jobs/${id}/events/stream`, { 'last-event-id': all.at(-1)!.id })).status).toBe(204)
    // The id of a snapshot is a place like any other.
    expect((await frames(live[0]!.id)).map((frame) => frame.id)).toEqual(
      all.filter((event) => event.data.version > Number(live[0]!.id.split(':')[1])).map((event) => event.id),
    )
  })

  test('a running job is cancelled with 202 and then is', async () => {
    const { job, post, get } = await running()
    const { id } = await job({ type: 'slow', input: {} })
    await get(`/v1/jobs/${id}?wait=20&until=change`, { 'if-none-match': '"1"' })
    const answer = await post(`/v1/jobs/${id}/cancel`, { reason: 'customer withdrew' })
    expect(answer.status).toBe(202)
    expect(await answer.json()).toMatchObject({ done: false, cancelRequestedAt: expect.any(String) })
    expect(await (await get(`/v1/jobs/${id}?wait=20`)).json()).toMatchObject({
      status: 'cancelled',
      error: { code: expect.stringMatching(/^cancelled-by-/) },
    })
    expect(await (await post(`/v1/jobs/${id}/retry`, {})).json()).toMatchObject({ code: 'job-already-done' })
  })

  test('a file goes in, is referred to, and comes out', async () => {
    const { send, get } = await running({ limits: { fileBytes: 100_000 } })
    const bytes = new Uint8Array(50_000).map((_, i) => i % 251)
    const { file } = (await (
      await send('POST', '/v1/files?name=a.bin', { 'content-type': 'application/octet-stream' }, bytes)
    ).json()) as { file: string }
    const back = await get(`/v1/files/${file}`)
    expect(Buffer.from(await back.arrayBuffer()).equals(bytes)).toBe(true)
    expect(await (await get(`/v1/files/${file}`, { range: 'bytes=251-253' })).arrayBuffer()).toEqual(
      new Uint8Array([0, 1, 2]).buffer,
    )
    const large = await send('POST', '/v1/files', {}, new Blob([new Uint8Array(100_001)]).stream())
    expect(await large.json()).toMatchObject({ code: 'payload-too-large' })
  })

  test('a submit key sees and cancels its own jobs only', async () => {
    const { post, get, app } = await running({ work: false })
    const made = async (name: string, scopes: string[], key?: string) => {
      const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
      return ((await (await post('/v1/api-keys', { name, scopes }, headers)).json()) as { key: string }).key
    }
    const root = await made('root', ['admin'])
    const [a, b] = [await made('a', ['jobs:submit'], root), await made('b', ['jobs:submit'], root)]
    const as = (key: string) => ({ authorization: `Bearer ${key}` })
    const { id } = (await (await post('/v1/jobs', HELLO, as(a!))).json()) as WireJob
    for (const path of ['', '/result', '/events', '/events/stream'])
      expect((await get(`/v1/jobs/${id}${path}`, as(b!))).status, path).toBe(404)
    expect((await post(`/v1/jobs/${id}/cancel`, {}, as(b!))).status).toBe(404)
    expect(((await (await get('/v1/jobs', as(b!))).json()) as { items: unknown[] }).items).toEqual([])
    expect(((await (await get('/v1/jobs', as(a!))).json()) as { items: unknown[] }).items).toHaveLength(1)
    expect((await post(`/v1/jobs/${id}/cancel`, {}, as(a!))).status).toBe(200)
    expect(await app.engine.keysExist()).toBe(true)
  })
})

test('every answer is what the OpenAPI document says', async () => {
  const { job, post, get } = await running()
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'doc', ...(buildOpenapi(routes, { base: '', version: '1' }) as object) })
  const expectValid = async (name: string, answer: Response) => {
    const check = ajv.compile({ $ref: `doc#/components/schemas/${name}` })
    const value = await answer.json()
    check(value)
    expect(check.errors, `${name}: ${JSON.stringify(value)}`).toBeNull()
  }
  const { id } = (await (
    await post('/v1/jobs', { ...HELLO, groupId: 'g', tags: ['a'], metadata: { k: 'v' } }, { prefer: 'wait=20' })
  ).json()) as WireJob
  const failed = (await (
    await post('/v1/jobs', { type: 'fail', input: { kind: 'permanent' } }, { prefer: 'wait=20' })
  ).json()) as WireJob
  const warned = (await (
    await post('/v1/jobs', { type: 'fail', input: { kind: 'harmless' } }, { prefer: 'wait=20' })
  ).json()) as WireJob
  await job({ type: 'slow', input: {} })
  for (const each of [id, failed.id, warned.id]) {
    await expectValid('Job', await get(`/v1/jobs/${each}?include=input,ops,steps`))
    await expectValid('HistoryPage', await get(`/v1/jobs/${each}/history`))
    await expectValid('AttemptList', await get(`/v1/jobs/${each}/attempts`))
    await expectValid('StepList', await get(`/v1/jobs/${each}/steps`))
    await expectValid('LogPage', await get(`/v1/jobs/${each}/logs`))
    await expectValid('EventPage', await get(`/v1/jobs/${each}/events`))
  }
  await expectValid('JobPage', await get('/v1/jobs?include=ops'))
  await expectValid('Group', await get('/v1/groups/g'))
  await expectValid('JobPage', await get('/v1/groups/g/jobs'))
  await expectValid('JobTypeList', await get('/v1/job-types'))
  await expectValid('JobType', await get('/v1/job-types/greet'))
  await expectValid('Validation', await post('/v1/jobs?validateOnly=true', HELLO))
  await expectValid('BatchAnswer', await post('/v1/jobs/batch', { items: [HELLO] }))
  await expectValid('Problem', await get('/v1/jobs/none'))
  await expectValid('WhoAmI', await get('/v1/whoami'))
  const made = await post('/v1/api-keys', { name: 'root', scopes: ['admin'] })
  const { key } = (await made.clone().json()) as { key: string }
  await expectValid('ApiKey', made)
  await expectValid('ApiKeyList', await get('/v1/api-keys', { authorization: `Bearer ${key}` }))
})
