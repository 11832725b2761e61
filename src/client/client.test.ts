import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { completed, errorOf, fakeClock, makeJob, problem, sendJson, startFakeServer, store } from './fake-server.mjs'
import {
  createClient,
  JobCancelledError,
  JobFailedError,
  UntildoneApiError,
  UntildoneConnectionError,
  WaitTimeoutError,
} from './index.js'

let fake: Awaited<ReturnType<typeof startFakeServer>>
let clock: ReturnType<typeof fakeClock>
const client = (more: object = {}) => createClient({ url: fake.url, clock, ...more })
const sent = (method: string, path: string) => fake.requests.filter((r) => r.method === method && r.path === path)

beforeEach(async () => {
  fake = await startFakeServer()
  clock = fakeClock()
})
afterEach(() => fake.close())

describe('submit', () => {
  it('sends the body, a key of its own, and nothing that was not given', async () => {
    const handle = await client({ key: 'ud_dev_1' }).submit('greet', { name: 'Ada' }, { group: 'g1', wait: '90s' })
    const [request] = sent('POST', '/v1/jobs')
    expect(JSON.parse(request!.body)).toEqual({ type: 'greet', input: { name: 'Ada' }, groupId: 'g1' })
    expect(request!.headers).toMatchObject({
      authorization: 'Bearer ud_dev_1',
      prefer: 'wait=60',
    })
    expect(request!.headers['idempotency-key']).toBe(`"${handle.key}"`)
    expect(handle.key).toMatch(/^[0-9a-f-]{36}$/)
    expect([handle.id, handle.done, handle.replayed, handle.duplicateOf]).toEqual(['job-1', false, false, null])
  })

  it('says of which job it is a duplicate, and how duplicates are to be taken', async () => {
    fake.routes['POST /v1/jobs'] = (_, response) =>
      sendJson(response, 202, makeJob({ id: 'job-9' }), { 'duplicate-of': 'job-9' })
    const handle = await client().submit('greet', {}, { operationKey: 'o', onDuplicate: 'replace' })
    expect([handle.id, handle.duplicateOf, handle.replayed]).toEqual(['job-9', 'job-9', false])
    expect(JSON.parse(fake.requests[0]!.body)).toMatchObject({ operationKey: 'o', onDuplicate: 'replace' })
  })

  it('makes one job when the connection is cut after it was stored', async () => {
    fake.failOnce('POST /v1/jobs', (request, response) => {
      store(fake, request)
      response.socket!.destroy()
    })
    const handle = await client().submit('greet', {})
    const keys = sent('POST', '/v1/jobs').map((r) => r.headers['idempotency-key'])
    expect(keys).toEqual([`"${handle.key}"`, `"${handle.key}"`])
    expect(fake.jobs.size).toBe(1)
    expect(handle.replayed).toBe(true)
  })

  it('repeats with the same key when the outcome is unknown', async () => {
    fake.failOnce('POST /v1/jobs', (request, response) => {
      store(fake, request)
      problem(response, 503, 'outcome-unknown')
    })
    const handle = await client().submit('greet', {}, { key: 'my"key"' })
    expect(sent('POST', '/v1/jobs').map((r) => r.headers['idempotency-key'])).toEqual(Array(2).fill('"my\\"key\\""'))
    expect([fake.jobs.size, handle.id]).toEqual([1, 'job-1'])
  })

  it('takes an answer that is cut in the middle for a lost one', async () => {
    fake.failOnce('POST /v1/jobs', (request, response) => {
      store(fake, request)
      response.writeHead(202, { 'content-type': 'application/json' }).end('{"id":"job-1","sta')
    })
    expect((await client().submit('greet', {})).job.status).toBe('accepted')
    expect(sent('POST', '/v1/jobs')).toHaveLength(2)
  })

  it('waits at least as long as Retry-After says', async () => {
    fake.failOnce('POST /v1/jobs', (_, response) => problem(response, 429, 'rate-limited', {}, { 'retry-after': '7' }))
    await client().submit('greet', {})
    expect(clock.slept).toHaveLength(1)
    expect(clock.slept[0]).toBeGreaterThanOrEqual(7000)
    expect(clock.slept[0]).toBeLessThanOrEqual(8000)
  })

  it('backs off from half a second, doubling, and gives up after the attempts it may make', async () => {
    fake.routes['POST /v1/jobs'] = (_, response) => problem(response, 503, 'store-unavailable')
    const failure = await client({ retry: { attempts: 5 } })
      .submit('greet', {})
      .catch((error) => error)
    expect(failure).toBeInstanceOf(UntildoneApiError)
    expect(clock.slept).toEqual([250, 500, 1000, 2000])
  })

  it('gives up when the next pause would pass the time limit', async () => {
    fake.routes['POST /v1/jobs'] = (_, response) => problem(response, 503, 'overloaded', {}, { 'retry-after': '9' })
    await expect(client({ retry: { withinMs: 10_000 } }).submit('greet', {})).rejects.toMatchObject({
      code: 'overloaded',
    })
    expect(sent('POST', '/v1/jobs')).toHaveLength(2)
  })

  it('sends a refused request once and gives the whole problem', async () => {
    const errors = [{ pointer: '/input/pages', code: 'type', message: 'must be a number' }]
    fake.routes['POST /v1/jobs'] = (_, response) =>
      problem(response, 422, 'input-invalid', { errors, params: { type: 'greet' } })
    const failure = await client()
      .submit('greet', {})
      .catch((error) => error)
    expect(failure).toMatchObject({
      name: 'UntildoneApiError',
      code: 'input-invalid',
      status: 422,
      retryable: false,
      fix: 'Fix of input-invalid.',
      params: { type: 'greet' },
      errors,
      requestId: 'req_1',
    })
    expect(sent('POST', '/v1/jobs')).toHaveLength(1)
  })

  it('refuses a key that no header can carry, and sends nothing', async () => {
    await expect(client().submit('greet', {}, { key: 'ü' })).rejects.toMatchObject({ code: 'idempotency-key-invalid' })
    expect(fake.requests).toHaveLength(0)
  })

  it('stops repeating when it is aborted, with the reason given', async () => {
    const stop = new AbortController()
    fake.routes['POST /v1/jobs'] = (_, response) => {
      problem(response, 503, 'draining', {}, { 'retry-after': '30' })
      setImmediate(() => stop.abort(new Error('changed my mind')))
    }
    await expect(client().submit('greet', {}, { signal: stop.signal })).rejects.toThrow('changed my mind')
    expect(sent('POST', '/v1/jobs')).toHaveLength(1)
  })
})

describe('transport', () => {
  it('names the reason when nothing listens', async () => {
    const { url } = fake
    await fake.close()
    const failure = await createClient({ url, clock, retry: { attempts: 2 } })
      .root()
      .catch((error) => error)
    expect(failure).toBeInstanceOf(UntildoneConnectionError)
    expect(failure.message).toContain('ECONNREFUSED')
    expect(clock.slept).toHaveLength(1)
    fake = await startFakeServer()
  })

  it('counts a request without an answer as lost after the time limit', async () => {
    let arrived = () => {}
    const first = new Promise<void>((resolve) => {
      arrived = resolve
    })
    fake.failOnce('GET /v1', () => arrived())
    fake.routes['GET /v1'] = (_, response) => sendJson(response, 200, { version: '1' })
    const answer = client().root()
    await first
    expect(clock.fire(30_000)).toBe(1)
    expect(await answer).toEqual({ version: '1' })
  })

  it('does not follow a redirect with the key in its hand', async () => {
    fake.routes['GET /v1'] = (_, response) => response.writeHead(302, { location: `${fake.url}/elsewhere` }).end()
    await expect(client({ key: 'k' }).root()).rejects.toMatchObject({ code: 'unexpected-answer', status: 302 })
    expect(fake.requests.map((r) => r.path)).toEqual(['/v1'])
  })

  it('says so when the address is that of something else', async () => {
    fake.routes['GET /v1'] = (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
    await expect(client().root()).rejects.toMatchObject({ code: 'unexpected-answer', retryable: false })
    expect(fake.requests).toHaveLength(1)
  })

  it('repeats what a proxy answers in place of the server', async () => {
    fake.failOnce(
      'GET /v1',
      (_, response) => void response.writeHead(502, { 'content-type': 'text/html' }).end('Bad Gateway'),
    )
    fake.routes['GET /v1'] = (_, response) => sendJson(response, 200, {})
    await client().root()
    expect(fake.requests).toHaveLength(2)
  })

  it('never asks twice for a new API key unless nothing was done', async () => {
    const path = 'POST /v1/api-keys'
    fake.failOnce(path, (_, response) => problem(response, 503, 'draining'))
    fake.routes[path] = (_, response) => void response.socket!.destroy()
    await expect(client().keys.create({ name: 'n', scopes: ['admin'] })).rejects.toBeInstanceOf(
      UntildoneConnectionError,
    )
    expect(fake.requests).toHaveLength(2)
    fake.routes[path] = (_, response) => problem(response, 503, 'outcome-unknown')
    await expect(client().keys.create({ name: 'n', scopes: ['admin'] })).rejects.toMatchObject({ status: 503 })
    expect(fake.requests).toHaveLength(3)
  })

  it('uploads a file with its name and type, and sends a stream only once', async () => {
    fake.routes['POST /v1/files'] = (_, response) => sendJson(response, 201, { file: 'file_1' })
    await client().uploadFile(new Blob(['abc'], { type: 'application/pdf' }), { name: 'Größe.pdf' })
    expect(fake.requests[0]).toMatchObject({ body: 'abc', headers: { 'content-type': 'application/pdf' } })
    expect(fake.requests[0]!.headers['content-disposition']).toBe("attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf")
    fake.routes['POST /v1/files'] = (_, response) => void response.socket!.destroy()
    const stream = new Blob(['abc']).stream()
    await expect(client().files.upload(stream)).rejects.toBeInstanceOf(UntildoneConnectionError)
    expect(fake.requests).toHaveLength(2)
  })

  it('works below a mount prefix, and without a v1 written twice', async () => {
    fake.routes['GET /background/v1/whoami'] = (_, response) => sendJson(response, 200, { tenant: 'default' })
    for (const path of ['/background', '/background/', '/background/v1']) {
      expect(await createClient({ url: fake.url + path, clock }).whoami()).toEqual({ tenant: 'default' })
    }
    expect(() => createClient({ url: 'ftp://x' })).toThrow('not an http address')
  })
})

describe('result', () => {
  const put = (more: object) => void fake.jobs.set('job-1', makeJob({ id: 'job-1', ...more }))

  it('waits for the end and gives the value', async () => {
    const handle = await client().submit('greet', {})
    const result = handle.result()
    fake.failOnce('GET /v1/jobs/job-1', (request) => {
      expect(request.query.get('until')).toBe('done')
      fake.change('job-1', completed({ text: 'Hello' }))
      return false
    })
    expect(await result).toEqual({ text: 'Hello' })
    expect([handle.done, handle.job.status]).toEqual([true, 'completed'])
  })

  it('fetches a result that is too large to be inline', async () => {
    put({ ...completed(null), bigResult: [1, 2, 3], resultInfo: { state: 'external' } })
    expect(await client().result('job-1')).toEqual([1, 2, 3])
  })

  it('throws what the job ended with', async () => {
    put({ status: 'failed', done: true, error: errorOf('exhausted', 'Gave up.') })
    const failed = await client()
      .result('job-1')
      .catch((error) => error)
    expect(failed).toBeInstanceOf(JobFailedError)
    expect(failed).toMatchObject({ code: 'exhausted', job: { id: 'job-1' }, error: { message: 'Gave up.' } })
    put({ status: 'cancelled', done: true, error: errorOf('approval-rejected', 'No.') })
    await expect(client().result('job-1')).rejects.toBeInstanceOf(JobCancelledError)
  })

  it('says that the job carries on when the time to wait is over', async () => {
    const handle = await client().submit('greet', {})
    fake.failOnce('GET /v1/jobs/job-1', () => {
      setImmediate(() => clock.fire(1_800_000))
      return false
    })
    const failure = await handle.result({ timeout: '30m' }).catch((error) => error as WaitTimeoutError)
    if (!(failure instanceof WaitTimeoutError)) throw new Error('it did not throw')
    expect(failure.message).toContain('not a failure')
    expect(failure.job.id).toBe('job-1')
  })

  it('cancels, and keeps what came back', async () => {
    const handle = await client().submit('greet', {})
    await handle.cancel('no longer needed')
    expect(JSON.parse(sent('POST', '/v1/jobs/job-1/cancel')[0]!.body)).toEqual({ reason: 'no longer needed' })
    expect(handle.job.status).toBe('cancelled')
    await expect(handle.result()).rejects.toBeInstanceOf(JobCancelledError)
  })
})

it('lists over all pages with the filters kept', async () => {
  fake.routes['GET /v1/jobs'] = ({ query }, response) => {
    const second = query.get('cursor') === 'c2'
    sendJson(response, 200, { items: [{ id: second ? 'b' : 'a' }], nextCursor: second ? null : 'c2' })
  }
  const list = client().list({ status: ['failed', 'blocked'], type: 'ocr.*', group: 'g', createdAfter: new Date(0) })
  const ids: string[] = []
  for await (const job of list) ids.push(job.id)
  expect(ids).toEqual(['a', 'b'])
  const asked = fake.requests.map((r) => Object.fromEntries(r.query))
  const filters = { status: 'failed,blocked', type: 'ocr.*', groupId: 'g', createdAfter: '1970-01-01T00:00:00.000Z' }
  expect(asked).toEqual([filters, { ...filters, cursor: 'c2' }])
  expect((await list.page()).nextCursor).toBe('c2')
})

it('no file of the client imports anything of Node, or a value of the job definitions', () => {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  expect(files.length).toBeGreaterThan(8)
  for (const name of files) {
    const text = readFileSync(`${import.meta.dirname}/${name}`, 'utf8')
    const imports = Array.from(text.matchAll(/^(?:import|export)\b[^'"]*?from '([^']+)'/gms), (match) => match)
    for (const [statement, from] of imports) {
      expect(from, name).toMatch(/^(\.\/|\.\.\/core\/|\.\.\/define\/|eventsource-parser$)/)
      if (from!.startsWith('../define/')) expect(statement, name).toMatch(/^import type/)
    }
    expect(text, name).not.toMatch(/\bprocess\.|\bBuffer\b|\brequire\(|import\(/)
  }
})

describe('types and queues', () => {
  it('are paused and resumed with a reason and a key of their own', async () => {
    const calls: [string, () => Promise<unknown>][] = [
      ['/v1/job-types/a%20b/pause', () => client().pauseType('a b', { reason: 'vendor' })],
      ['/v1/job-types/a%20b/resume', () => client().resumeType('a b')],
      ['/v1/queues/q/pause', () => client().queues.pause('q', { reason: 'vendor' })],
      ['/v1/queues/q/resume', () => client().queues.resume('q')],
      ['/v1/workers/w-1/drain', () => client().workers.drain('w-1', { reason: 'vendor' })],
    ]
    for (const [path, call] of calls) {
      fake.routes[`POST ${path}`] = (_, response) => sendJson(response, 200, { paused: path.endsWith('pause') })
      expect(await call()).toEqual({ paused: path.endsWith('pause') })
      const [request] = sent('POST', path)
      expect(JSON.parse(request!.body)).toEqual(path.endsWith('resume') ? {} : { reason: 'vendor' })
      expect(request!.headers['idempotency-key']).toBeTruthy()
    }
    fake.routes['GET /v1/queues'] = (_, response) =>
      sendJson(response, 200, { items: [{ name: 'q' }], nextCursor: null })
    expect(await client().queues.list()).toEqual([{ name: 'q' }])
    fake.routes['GET /v1/workers'] = (_, response) =>
      sendJson(response, 200, { items: [{ id: 'w-1' }], nextCursor: null })
    expect(await client().workers.list({ all: true })).toEqual([{ id: 'w-1' }])
  })
})
