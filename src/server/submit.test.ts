import { describe, expect, test } from 'vitest'
import { UntildoneError } from '../core/index.js'
import { GREET, harness, settled } from './fakes/harness.js'

type Problem = { code: string; errors: { pointer: string }[]; params: Record<string, unknown> }
const problemOf = async (response: Response) => (await response.json()) as Problem
const JSON_TYPE = { 'content-type': 'application/json' }

describe('an accepted submit', () => {
  test('has every header of the contract', async () => {
    const { post } = harness()
    const answer = await post('/v1/jobs', GREET, { 'request-id': 'mine-1' })
    const job = (await answer.json()) as { id: string; done: boolean; status: string }
    expect(answer.status).toBe(202)
    expect(job).toMatchObject({ status: 'accepted', done: false })
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      location: `/v1/jobs/${job.id}`,
      'retry-after': '1',
      etag: '"1"',
      link: `</v1/jobs/${job.id}/events/stream>; rel="monitor"`,
      'request-id': 'mine-1',
      'untildone-version': '1.2.3',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
    expect(answer.headers.get('idempotent-replayed')).toBeNull()
    expect(answer.headers.get('content-location')).toBeNull()
  })

  test('a request id that is not sane is replaced', async () => {
    const { post } = harness()
    const answer = await post('/v1/jobs', GREET, { 'request-id': 'x'.repeat(200) })
    expect(answer.headers.get('request-id')).toMatch(/^req_[0-9a-f]{10}[0-9a-z]+$/)
  })

  test('keeps the trace it came with', async () => {
    const { post } = harness()
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    expect(await (await post('/v1/jobs', GREET, { traceparent })).json()).toMatchObject({ traceparent })
  })

  test('is replayed with the same key, bare or quoted, whatever the trace', async () => {
    const { post, engine } = harness()
    const first = await (await post('/v1/jobs', GREET, { 'idempotency-key': 'K1' })).json()
    const again = await post('/v1/jobs', GREET, {
      'idempotency-key': '"K1"',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    })
    expect(again.status).toBe(202)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(await again.json()).toEqual(first)
    expect(engine.jobs.size).toBe(1)
  })

  test('of an operation that is there already is answered with that job', async () => {
    const { post, engine } = harness()
    const operation = { ...GREET, operationKey: 'invoice:1' }
    const first = (await (await post('/v1/jobs', operation)).json()) as { id: string }
    const second = await post('/v1/jobs', { ...operation, onDuplicate: 'return' })
    expect(second.status).toBe(202)
    expect(second.headers.get('duplicate-of')).toBe(first.id)
    expect(second.headers.get('idempotent-replayed')).toBeNull()
    expect(await second.json()).toMatchObject({ id: first.id })
    const third = await post('/v1/jobs', { ...operation, onDuplicate: 'reject' })
    expect(third.status).toBe(409)
    expect(await problemOf(third)).toMatchObject({ code: 'duplicate-operation', params: { existingJobId: first.id } })
    expect(engine.jobs.size).toBe(1)
    const wrong = await post('/v1/jobs', { ...GREET, onDuplicate: 'ignore' })
    expect(await problemOf(wrong)).toMatchObject({ code: 'validation-failed', errors: [{ pointer: '/onDuplicate' }] })
  })

  test('that is done by now answers 200 and says where', async () => {
    const { post, engine, job } = harness()
    const id = await job({ 'idempotency-key': 'K1' })
    engine.change(id, { status: 'completed' }, { text: 'Hello Ada' })
    const again = await post('/v1/jobs', GREET, { 'idempotency-key': 'K1' })
    expect(again.status).toBe(200)
    expect(again.headers.get('content-location')).toBe(`/v1/jobs/${id}`)
    expect(again.headers.get('retry-after')).toBeNull()
    expect(await again.json()).toMatchObject({ done: true, result: { text: 'Hello Ada' } })
  })

  test('validateOnly stores nothing', async () => {
    const { post, engine } = harness()
    const answer = await post('/v1/jobs?validateOnly=true', GREET)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ valid: true, type: 'greet', gates: [] })
    expect(engine.jobs.size).toBe(0)
    expect(engine.calls).not.toContain('submit')
  })
})

test.each([
  'application/json',
  'Application/JSON; charset=UTF-8',
  'application/vnd.api+json',
  'application/json;v=1;charset="utf-8"',
])('%s is JSON', async (type) => {
  const { send } = harness()
  const answer = await send('POST', '/v1/jobs', { 'content-type': type }, { body: JSON.stringify(GREET) })
  expect(answer.status).toBe(202)
})

describe('waiting for the end', () => {
  test('Prefer: wait answers 200 as soon as it is done', async () => {
    const { post, engine } = harness()
    const pending = post('/v1/jobs', GREET, { prefer: 'wait=10' })
    await settled()
    const [id] = engine.jobs.keys()
    expect(engine.calls).toContain('wait:attention:10000')
    engine.change(id!, { status: 'completed' })
    const answer = await pending
    expect(answer.status).toBe(200)
    expect(answer.headers.get('preference-applied')).toBe('wait=10')
    expect(answer.headers.get('content-location')).toBe(`/v1/jobs/${id}`)
  })

  test('running out of time is a normal 202', async () => {
    const { post, engine } = harness()
    const pending = post('/v1/jobs', GREET, { prefer: 'wait=10' })
    await settled()
    engine.clock.advance(10_000)
    expect((await pending).status).toBe(202)
  })

  test('a wait is capped at 55 s and says so', async () => {
    const { post, engine } = harness()
    const pending = post('/v1/jobs', GREET, { prefer: 'wait=600' })
    await settled()
    engine.clock.advance(55_000)
    expect((await pending).headers.get('preference-applied')).toBe('wait=55')
  })

  test('without Prefer the job type decides', async () => {
    const { post, engine } = harness()
    engine.completion = { mode: 'wait', upToMs: 3000 }
    const pending = post('/v1/jobs', GREET)
    await settled()
    engine.change([...engine.jobs.keys()][0]!, { status: 'completed' })
    const answer = await pending
    expect(answer.status).toBe(200)
    expect(answer.headers.get('preference-applied')).toBeNull()
  })

  test('respond-async does not wait, whatever the type says', async () => {
    const { post, engine } = harness()
    engine.completion = { mode: 'wait', upToMs: 3000 }
    const answer = await post('/v1/jobs', GREET, { prefer: 'respond-async' })
    expect(answer.status).toBe(202)
    expect(answer.headers.get('preference-applied')).toBe('respond-async')
    expect(engine.calls.filter((call) => call.startsWith('wait'))).toEqual([])
  })

  test('trouble while waiting does not take back the acceptance', async () => {
    const { post, engine, errors } = harness()
    engine.wait = () => Promise.reject(new UntildoneError('store-unavailable'))
    const answer = await post('/v1/jobs', GREET, { prefer: 'wait=10' })
    expect(answer.status).toBe(202)
    expect(errors).toHaveLength(1)
  })
})

describe('a refused submit stores nothing and says why', () => {
  const long = 'x'.repeat(300 << 10)
  const deep = `{"type":"greet","input":${'['.repeat(40)}${']'.repeat(40)}}`
  test.each([
    ['not JSON', '{"type":', JSON_TYPE, 400, 'malformed-request'],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), JSON_TYPE, 400, 'malformed-request'],
    ['no body', '', JSON_TYPE, 400, 'malformed-request'],
    ['too deep', deep, JSON_TYPE, 400, 'malformed-request'],
    ['not called JSON', JSON.stringify(GREET), { 'content-type': 'text/plain' }, 415, 'unsupported-media-type'],
    ['a form', 'type=greet', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'unsupported-media-type'],
    [
      'another charset',
      JSON.stringify(GREET),
      { 'content-type': 'application/json; charset=latin1' },
      415,
      'unsupported-media-type',
    ],
    ['an unknown member', JSON.stringify({ ...GREET, prio: 1 }), JSON_TYPE, 422, 'validation-failed'],
    ['not an object', '[]', JSON_TYPE, 422, 'validation-failed'],
    ['an unknown type', JSON.stringify({ type: 'nope', input: 1 }), JSON_TYPE, 422, 'unknown-job-type'],
    ['a wrong input', JSON.stringify({ type: 'greet', input: {} }), JSON_TYPE, 422, 'input-invalid'],
    ['a bad key', JSON.stringify(GREET), { ...JSON_TYPE, 'idempotency-key': 'a b' }, 400, 'idempotency-key-invalid'],
    ['a large input', JSON.stringify({ type: 'greet', input: { name: long } }), JSON_TYPE, 413, 'payload-too-large'],
  ])('%s', async (_what, body, headers, status, code) => {
    const { send, engine } = harness()
    const answer = await send('POST', '/v1/jobs', headers, { body: body as BodyInit })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(await problemOf(answer)).toMatchObject({ code, status })
    expect(engine.jobs.size).toBe(0)
  })

  test('a reused key', async () => {
    const { post, engine } = harness()
    await post('/v1/jobs', GREET, { 'idempotency-key': 'K' })
    const answer = await post('/v1/jobs', { ...GREET, input: { name: 'Bob' } }, { 'idempotency-key': 'K' })
    expect(await problemOf(answer)).toMatchObject({ code: 'idempotency-key-reused' })
    expect(engine.jobs.size).toBe(1)
  })

  test('too large by its declared length, before anything is read', async () => {
    const { send } = harness({ limits: { bodyBytes: 1000 } })
    let pulled = 0
    const body = new ReadableStream({ pull: () => void pulled++ }, { highWaterMark: 0 })
    const answer = await send('POST', '/v1/jobs', { ...JSON_TYPE, 'content-length': '5000' }, {
      body,
      duplex: 'half',
    } as RequestInit)
    expect(await problemOf(answer)).toMatchObject({ code: 'payload-too-large', params: { maxBytes: 1000 } })
    expect(pulled).toBe(0)
  })

  test('too large without a declared length, while it is read', async () => {
    const { send } = harness({ limits: { bodyBytes: 1000 } })
    let chunks = 0
    const pull = (controller: ReadableStreamDefaultController) => {
      chunks++
      controller.enqueue(new Uint8Array(400).fill(32))
    }
    const body = new ReadableStream({ pull }, { highWaterMark: 0 })
    const answer = await send('POST', '/v1/jobs', JSON_TYPE, { body, duplex: 'half' } as RequestInit)
    expect(answer.status).toBe(413)
    expect(chunks).toBeLessThan(6)
  })

  test('the input limit counts bytes of the input, not of the envelope', async () => {
    const { post } = harness({ limits: { inputBytes: 40 } })
    const more = { metadata: { note: 'm'.repeat(400) } }
    expect((await post('/v1/jobs', { ...GREET, ...more })).status).toBe(202)
    // 20 letters of two bytes each and the JSON around them.
    expect((await post('/v1/jobs', { type: 'greet', input: { name: 'ü'.repeat(20) } })).status).toBe(413)
  })

  test('credentials are looked at before the body, and the body before the type', async () => {
    const { send, engine } = harness()
    engine.addKey('good', ['jobs:submit'])
    const unauthorised = await send('POST', '/v1/jobs', JSON_TYPE, { body: '{"type":' })
    expect(unauthorised.status).toBe(401)
    const auth = { ...JSON_TYPE, authorization: 'Bearer good' }
    expect(await problemOf(await send('POST', '/v1/jobs', auth, { body: '{"type":"nope","x":1}' }))).toMatchObject({
      code: 'validation-failed',
    })
  })
})

describe('a batch', () => {
  test('answers in order; again with its key it is a replay', async () => {
    const { post, engine } = harness()
    const body = { items: [GREET, { ...GREET, groupId: 'g' }] }
    const first = await post('/v1/jobs/batch', body, { 'idempotency-key': 'B' })
    expect(first.status).toBe(202)
    const made = (await first.json()) as { items: { id: string; groupId: string | null }[]; replayed: boolean }
    expect(made.items.map((job) => job.groupId)).toEqual([null, 'g'])
    expect(made.replayed).toBe(false)
    const again = await post('/v1/jobs/batch', body, { 'idempotency-key': 'B' })
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(await again.json()).toEqual({ items: made.items, replayed: true, duplicates: [] })
    expect(engine.jobs.size).toBe(2)
  })

  test('one wrong item refuses all of them', async () => {
    const { post, engine } = harness()
    const answer = await post('/v1/jobs/batch', { items: [GREET, { type: 'greet', input: {} }] })
    expect(await problemOf(answer)).toMatchObject({
      code: 'input-invalid',
      errors: [{ pointer: '/items/1/input/name' }],
    })
    expect(engine.jobs.size).toBe(0)
  })

  test('has a limit of its own', async () => {
    const { post } = harness({ limits: { bodyBytes: 100, batchBytes: 400 } })
    expect((await post('/v1/jobs/batch', { items: [GREET, GREET, GREET] })).status).toBe(202)
    expect((await post('/v1/jobs/batch', { items: Array.from({ length: 20 }, () => GREET) })).status).toBe(413)
  })
})
