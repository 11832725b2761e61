import { describe, expect, test } from 'vitest'
import { GREET, harness, settled } from './fakes/harness.js'

describe('GET /v1/jobs/{id}', () => {
  test('has the revision as its tag, and is 304 until it changes', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const first = await get(`/v1/jobs/${id}`)
    expect(first.status).toBe(200)
    expect(first.headers.get('etag')).toBe('"1"')
    expect(first.headers.get('cache-control')).toBe('private, no-cache')
    expect(first.headers.get('vary')).toBe('Authorization, Accept')
    expect(first.headers.get('retry-after')).toBe('1')

    const same = await get(`/v1/jobs/${id}`, { 'if-none-match': '"1"' })
    expect(same.status).toBe(304)
    expect(same.headers.get('etag')).toBe('"1"')
    expect(same.headers.get('retry-after')).toBe('1')
    expect(await same.text()).toBe('')

    engine.change(id, { status: 'processing' })
    const changed = await get(`/v1/jobs/${id}`, { 'if-none-match': '"1"' })
    expect(changed.status).toBe(200)
    expect(changed.headers.get('etag')).toBe('"2"')
  })

  test('the tag varies with what is included, in whatever order', async () => {
    const { get, job } = harness()
    const id = await job()
    const tags = await Promise.all(
      ['', '?include=input', '?include=input,ops', '?include=ops&include=input'].map(async (query) =>
        (await get(`/v1/jobs/${id}${query}`)).headers.get('etag'),
      ),
    )
    expect(tags).toEqual(['"1"', '"1-input"', '"1-input.ops"', '"1-input.ops"'])
    const answer = await get(`/v1/jobs/${id}?include=input,steps`, { 'if-none-match': '"1"' })
    expect(await answer.json()).toMatchObject({ input: { name: 'Ada' }, steps: [] })
  })

  test('a job that is done has no Retry-After', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    engine.change(id, { status: 'failed' })
    const answer = await get(`/v1/jobs/${id}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('retry-after')).toBeNull()
  })

  test('HEAD is the same without a body', async () => {
    const { send, job } = harness()
    const answer = await send('HEAD', `/v1/jobs/${await job()}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('etag')).toBe('"1"')
    expect(await answer.text()).toBe('')
  })
})

describe('long-poll', () => {
  test('until=done is the default, and a change alone does not end it', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const pending = get(`/v1/jobs/${id}?wait=30`)
    await settled()
    expect(engine.calls).toContain('wait:done:30000')
    engine.change(id, { status: 'processing' })
    await settled()
    engine.change(id, { status: 'completed' })
    expect(await (await pending).json()).toMatchObject({ status: 'completed', revision: 3 })
  })

  test('with If-None-Match any change ends it', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const pending = get(`/v1/jobs/${id}?wait=30`, { 'if-none-match': '"1"' })
    await settled()
    engine.change(id, { statusText: 'Next in line' })
    const answer = await pending
    expect(answer.status).toBe(200)
    expect(answer.headers.get('etag')).toBe('"2"')
  })

  test('without a change it is 304 when the time is up', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const pending = get(`/v1/jobs/${id}?wait=30`, { 'if-none-match': '"1"' })
    await settled()
    engine.clock.advance(30_000)
    expect((await pending).status).toBe(304)
    expect(engine.clock.armed).toBe(0)
  })

  test('an old tag, or the tag of another representation, is answered at once', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    engine.change(id, { status: 'processing' })
    for (const [query, tag] of [
      ['', '"1"'],
      ['', '"nonsense"'],
      ['&include=input', '"2"'],
    ]) {
      expect((await get(`/v1/jobs/${id}?wait=30${query}`, { 'if-none-match': tag! })).status).toBe(200)
    }
  })

  test('until=change without a tag begins from now', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const pending = get(`/v1/jobs/${id}?wait=30&until=change`)
    await settled()
    engine.change(id, { statusText: 'x' })
    expect((await pending).headers.get('etag')).toBe('"2"')
  })

  test('until=attention ends when it is blocked', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const pending = get(`/v1/jobs/${id}?wait=30&until=attention`)
    await settled()
    engine.change(id, { status: 'blocked' })
    expect(await (await pending).json()).toMatchObject({ status: 'blocked' })
  })

  test('a finished job answers at once; 600 s are 55', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    engine.change(id, { status: 'completed' })
    expect((await get(`/v1/jobs/${id}?wait=600`)).status).toBe(200)
    expect(engine.calls).toContain('wait:done:55000')
  })

  test('a client that hangs up frees everything', async () => {
    const { get, job, engine, server } = harness()
    const id = await job()
    const listeners = engine.listeners
    const gone = new AbortController()
    const pending = get(`/v1/jobs/${id}?wait=30`, {}, { signal: gone.signal })
    await settled()
    expect(server.held).toBe(1)
    gone.abort()
    await pending
    expect(server.held).toBe(0)
    expect(engine.listeners).toBe(listeners)
    expect(engine.clock.armed).toBe(0)
  })

  test('the hundred-and-first of one key is refused, another key is not', async () => {
    const { get, post, engine, server } = harness({ limits: { streamsPerKey: 3 } })
    engine.addKey('a', ['jobs:submit'])
    engine.addKey('b', ['jobs:read'])
    const a = { authorization: 'Bearer a' }
    const { id } = (await (await post('/v1/jobs', GREET, a)).json()) as { id: string }
    const waiting = [1, 2, 3].map(() => get(`/v1/jobs/${id}?wait=30`, a))
    await settled()
    const refused = await get(`/v1/jobs/${id}?wait=30`, a)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('5')
    expect(await refused.json()).toMatchObject({ code: 'too-many-streams', retryable: true, params: { limit: 3 } })
    const other = get(`/v1/jobs/${id}?wait=30`, { authorization: 'Bearer b' })
    await settled()
    expect(server.held).toBe(4)
    engine.change(id, { status: 'completed' })
    expect((await Promise.all([...waiting, other])).map((answer) => answer.status)).toEqual([200, 200, 200, 200])
    expect((await get(`/v1/jobs/${id}?wait=30`, a)).status).toBe(200)
  })
})

describe('GET /v1/jobs/{id}/result', () => {
  test('is the bare result with its hash as the tag', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    engine.change(id, { status: 'completed' }, { text: 'Hello Ada' })
    const answer = await get(`/v1/jobs/${id}/result`)
    expect(await answer.text()).toBe('{"text":"Hello Ada"}')
    const tag = answer.headers.get('etag')!
    expect(tag).toMatch(/^"[0-9a-f]{64}"$/)
    expect((await get(`/v1/jobs/${id}/result`, { 'if-none-match': tag })).status).toBe(304)
  })

  test('not ready: 409 with the status of the job and when to ask again', async () => {
    const { get, job } = harness()
    const answer = await get(`/v1/jobs/${await job()}/result`)
    expect(answer.status).toBe(409)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(await answer.json()).toMatchObject({
      code: 'result-not-ready',
      status: 409,
      retryable: true,
      jobStatus: 'accepted',
      params: { status: 'accepted' },
    })
  })

  test('failed: 409 with the error of the job', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const error = {
      code: 'file-locked',
      class: 'permanent' as const,
      origin: 'input' as const,
      message: 'The file has a password.',
      messages: [],
      step: null,
      attempts: 1,
      details: null,
      occurredAt: '2026-11-22T09:00:00.000Z',
      helpUrl: null,
    }
    engine.change(id, { status: 'failed', error })
    expect(await (await get(`/v1/jobs/${id}/result`)).json()).toMatchObject({
      code: 'job-failed',
      retryable: false,
      jobStatus: 'failed',
      jobError: error,
    })
  })

  test('waits for it', async () => {
    const { get, job, engine } = harness()
    const id = await job()
    const pending = get(`/v1/jobs/${id}/result?wait=5`)
    await settled()
    engine.change(id, { status: 'completed' }, 42)
    expect(await (await pending).text()).toBe('42')
  })
})

describe('lists', () => {
  test('parse their filters', async () => {
    const { get, engine } = harness()
    const query =
      'status=processing,blocked&type=ocr.*&type=greet&groupId=g&createdAfter=2026-11-22T09:00:00Z&late=true&needsAttention=false&order=createdAt&limit=500'
    expect((await get(`/v1/jobs?${query}`)).status).toBe(200)
    expect(JSON.parse(engine.calls.at(-1)!.slice('list:'.length))).toEqual({
      status: ['processing', 'blocked'],
      type: ['ocr.*', 'greet'],
      groupId: 'g',
      createdAfter: Date.UTC(2026, 10, 22, 9),
      late: true,
      needsAttention: false,
      order: 'createdAt',
      limit: 200,
    })
  })

  test('link to the next page, keeping the filters', async () => {
    const { get, job } = harness()
    for (let i = 0; i < 3; i++) await job()
    const first = await get('/v1/jobs?limit=2&order=createdAt')
    const page = (await first.json()) as { items: unknown[]; nextCursor: string; estimatedTotal: null }
    expect(page.items).toHaveLength(2)
    expect(page.estimatedTotal).toBeNull()
    const next = /^<(.+)>; rel="next"$/.exec(first.headers.get('link')!)![1]!
    expect(next).toBe('/v1/jobs?limit=2&order=createdAt&cursor=after%3A2')
    const last = await get(next)
    expect(await last.json()).toMatchObject({ nextCursor: null })
    expect(last.headers.get('link')).toBeNull()
  })

  test.each([
    'limit=0',
    'limit=-1',
    'limit=x',
    'status=running',
    'late=yes',
    'createdAfter=yesterday',
    'order=id',
    'state=failed',
    'late=true&late=true',
    'include=input',
  ])('%s is 400, not silently ignored', async (query) => {
    const answer = await harness().get(`/v1/jobs?${query}`)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ code: 'malformed-request', params: { parameter: query.split('=')[0] } })
  })

  test('groups: the summary, and the jobs of one', async () => {
    const { get, post, engine } = harness()
    await post('/v1/jobs', { ...GREET, groupId: 'a/b' })
    expect(await (await get('/v1/groups/a%2Fb')).json()).toMatchObject({ groupId: 'a/b', total: 1, done: false })
    await get('/v1/groups/a%2Fb/jobs?status=accepted')
    expect(engine.calls.at(-1)).toBe('list:{"status":["accepted"],"groupId":"a/b"}')
    expect((await get('/v1/groups/none')).status).toBe(404)
    expect((await get('/v1/groups/g/jobs?groupId=h')).status).toBe(400)
  })
})

describe('actions', () => {
  test('cancel: 200 when it is cancelled, 202 while it is being stopped, 409 when it ended otherwise', async () => {
    const { post, job, engine } = harness()
    const waiting = await job()
    expect((await post(`/v1/jobs/${waiting}/cancel`)).status).toBe(200)
    expect((await post(`/v1/jobs/${waiting}/cancel`, { reason: 'again' })).status).toBe(200)
    const running = await job()
    engine.change(running, { status: 'processing' })
    expect((await post(`/v1/jobs/${running}/cancel`, { mode: 'force' })).status).toBe(202)
    engine.change(running, { status: 'completed' })
    expect(await (await post(`/v1/jobs/${running}/cancel`)).json()).toMatchObject({ code: 'job-already-done' })
  })

  test('act on the version or the tag that was seen', async () => {
    const { post, job, engine } = harness()
    const id = await job()
    engine.change(id, { statusText: 'x' })
    const stale = await post(`/v1/jobs/${id}/retry`, {}, { 'if-match': '"1"' })
    expect(stale.status).toBe(412)
    expect(await stale.json()).toMatchObject({ code: 'version-mismatch', params: { revision: 2, version: 1 } })
    expect((await post(`/v1/jobs/${id}/retry`, {}, { 'if-match': '"2"' })).status).toBe(202)
    expect((await post(`/v1/jobs/${id}/retry`, { ifVersion: 7 })).status).toBe(412)
  })

  test.each([
    [{ compensat: true }, '/compensat', 'unknown'],
    [{ compensate: 'no' }, '/compensate', 'type'],
    [{ mode: 'hard' }, '/mode', 'enum'],
    [{ reason: 'x'.repeat(3000) }, '/reason', 'range'],
    [{ ifVersion: '3' }, '/ifVersion', 'type'],
  ])('%j is 422', async (body, pointer, code) => {
    const { post, job } = harness()
    const answer = await post(`/v1/jobs/${await job()}/cancel`, body)
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ code: 'validation-failed', errors: [{ pointer, code }] })
  })
})

test('the catalogue is cached by its content', async () => {
  const { get, engine } = harness()
  const first = await get('/v1/job-types')
  const tag = first.headers.get('etag')!
  expect(first.headers.get('cache-control')).toBe('private, max-age=60')
  expect((await get('/v1/job-types', { 'if-none-match': tag })).status).toBe(304)
  engine.completion = { mode: 'staged' }
  expect((await get('/v1/job-types', { 'if-none-match': tag })).status).toBe(200)
  expect(await (await get('/v1/job-types/greet')).json()).toMatchObject({
    type: 'greet',
    completion: { mode: 'staged' },
  })
  expect((await get('/v1/job-types/nope')).status).toBe(404)
})

test('the root document says what is here', async () => {
  const { get } = harness({ basePath: '/background' })
  expect(await (await get('/background/v1')).json()).toMatchObject({
    version: '1.2.3',
    statuses: [{ status: 'accepted', done: false }, {}, {}, { status: 'completed', done: true }, {}, {}],
    limits: { bodyBytes: 1_048_576, waitMs: 55_000, streamsPerKey: 100 },
    links: { jobs: '/background/v1/jobs', docs: '/background/docs' },
  })
})
