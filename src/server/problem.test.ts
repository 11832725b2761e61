import { describe, expect, test } from 'vitest'
import { type ErrorCode, PROBLEMS, UntildoneError } from '../core/index.js'
import { GREET, harness } from './fakes/harness.js'

const codes = Object.keys(PROBLEMS) as ErrorCode[]

describe('problems', () => {
  test.each(codes.filter((code) => PROBLEMS[code].status !== 500))('%s has every member', async (code) => {
    const { post, engine } = harness()
    engine.failNext = new UntildoneError(code, 'What happened.', {
      params: { some: 1 },
      errors: [{ pointer: '/input', code: 'x', message: 'y' }],
    })
    const answer = await post('/v1/jobs', GREET, { 'request-id': 'r-1' })
    const { status, title, fix, retryable } = PROBLEMS[code]
    const problem = (await answer.json()) as { retryAfterMs: number | null }
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(problem).toEqual({
      type: `urn:untildone:problem:${code}`,
      title,
      status,
      detail: 'What happened.',
      instance: 'urn:untildone:request:r-1',
      code,
      retryable,
      retryAfterMs: retryable ? expect.any(Number) : null,
      fix,
      docs: `/problems/${code}`,
      errors: [{ pointer: '/input', code: 'x', message: 'y' }],
      params: { some: 1 },
    })
    expect(answer.headers.get('retry-after')).toBe(retryable ? String(Math.ceil(problem.retryAfterMs! / 1000)) : null)
  })

  test('Retry-After is what the error says, rounded up', async () => {
    const { post, engine } = harness()
    engine.failNext = new UntildoneError('overloaded', undefined, { retryAfterMs: 2300 })
    const answer = await post('/v1/jobs', GREET)
    expect(answer.headers.get('retry-after')).toBe('3')
    expect(await answer.json()).toMatchObject({ retryAfterMs: 2300 })
  })

  test.each([
    ['an unknown error', new TypeError('secret of the database: hunter2')],
    ['not even an error', 'hunter2'],
    ['an error of a definition', new UntildoneError('bad-definition', 'hunter2', { params: { path: 'hunter2' } })],
    ['our own internal', new UntildoneError('internal', 'hunter2')],
  ])('%s is internal, leaks nothing and is told to the log', async (_what, error) => {
    const { post, engine, errors } = harness()
    engine.failNext = error
    const answer = await post('/v1/jobs', GREET)
    const text = await answer.text()
    expect(answer.status).toBe(500)
    expect(text).not.toContain('hunter2')
    expect(JSON.parse(text)).toMatchObject({ code: 'internal', retryable: true, params: {}, errors: [] })
    expect(errors).toEqual([{ error, code: 'internal' }])
  })

  test('what the caller did wrong is not told to the log', async () => {
    const { get, errors } = harness()
    await get('/v1/jobs/none')
    expect(errors).toEqual([])
  })
})

describe('addresses', () => {
  test('an unknown one is a 404 in JSON', async () => {
    const { get } = harness()
    for (const path of [
      '/',
      '/v1/nope',
      '/v2/jobs',
      '/v1/jobs/',
      '/docs/nope.js',
      '/problems/nope',
      '/problems/constructor',
    ]) {
      const answer = await get(path)
      expect(answer.status, path).toBe(404)
      expect(await answer.json()).toMatchObject({ code: 'not-found' })
    }
  })

  test('a wrong method is a 405 with what it takes', async () => {
    const { send } = harness()
    for (const [method, path, allow] of [
      ['PUT', '/v1/jobs/x', 'GET, HEAD, OPTIONS'],
      ['GET', '/v1/jobs/x/cancel', 'POST, OPTIONS'],
      ['POST', '/openapi.json', 'GET, HEAD, OPTIONS'],
      ['HEAD', '/v1/jobs/x/events/stream', 'GET'],
    ] as const) {
      const answer = await send(method, path)
      expect(answer.status, `${method} ${path}`).toBe(405)
      expect(answer.headers.get('allow')).toBe(allow)
    }
  })

  test('OPTIONS says the methods', async () => {
    const { send } = harness()
    const answer = await send('OPTIONS', '/v1/api-keys/x')
    expect(answer.status).toBe(204)
    expect(answer.headers.get('allow')).toBe('GET, HEAD, DELETE, OPTIONS')
  })

  test('an unknown query parameter is 400 everywhere, with those that are known', async () => {
    const { get } = harness()
    expect(await (await get('/v1/jobs/x?wiat=3')).json()).toMatchObject({
      code: 'malformed-request',
      params: { parameter: 'wiat', known: ['wait', 'until', 'include'] },
    })
    expect((await get('/v1?x=1')).status).toBe(400)
  })
})

describe('while it drains', () => {
  test('everything under /v1 is 503 draining; health says so', async () => {
    const { server, get, post, errors } = harness()
    await server.close()
    const answer = await post('/v1/jobs', GREET)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('2')
    expect(await answer.json()).toMatchObject({ code: 'draining', retryable: true })
    expect(await (await get('/readyz')).json()).toEqual({ status: 'draining', checks: {} })
    expect((await get('/readyz')).status).toBe(503)
    expect((await get('/healthz')).status).toBe(200)
    expect(errors).toEqual([])
  })

  test('a long-poll answers with the job as it is', async () => {
    const { server, get, job } = harness()
    const pending = get(`/v1/jobs/${await job()}?wait=30`)
    while (server.held === 0) await Promise.resolve()
    await server.close()
    expect((await pending).status).toBe(200)
    expect(server.held).toBe(0)
  })
})

test('readiness follows the store', async () => {
  const { get, engine } = harness()
  expect((await get('/readyz')).status).toBe(200)
  engine.ready = 'degraded'
  expect((await get('/readyz')).status).toBe(200)
  engine.ready = 'down'
  const down = await get('/readyz')
  expect(down.status).toBe(503)
  expect(await down.json()).toMatchObject({ status: 'down' })
})

describe('the page of a problem', () => {
  test('is HTML for browsers and JSON for the rest', async () => {
    const { get } = harness()
    const page = await get('/problems/job-expired', { accept: 'text/html,application/xhtml+xml' })
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(await page.text()).toContain(PROBLEMS['job-expired'].title)
    expect(await (await get('/problems/job-expired')).json()).toEqual({
      code: 'job-expired',
      status: 410,
      retryable: false,
      title: PROBLEMS['job-expired'].title,
      fix: PROBLEMS['job-expired'].fix,
    })
  })

  test('exists for every code', async () => {
    const { get } = harness()
    for (const code of codes) expect((await get(`/problems/${code}`)).status, code).toBe(200)
  })
})
