import { describe, expect, test } from 'vitest'
import { GREET, harness } from './fakes/harness.js'
import { hostName, isLoopback } from './guard.js'
import type { ServerOptions } from './options.js'

type Headers = Record<string, string>
const ask = async (headers: Headers, options: ServerOptions = {}) => {
  const { get } = harness(options)
  return get('/v1/whoami', headers)
}

describe('without keys', () => {
  test.each(['localhost', 'localhost:4884', 'LOCALHOST:1', '127.0.0.1:4884', '127.8.9.1', '[::1]:4884', '[::1]'])(
    'answers for %s',
    async (host) => {
      const answer = await ask({ host })
      expect(answer.status).toBe(200)
      expect(await answer.json()).toMatchObject({ actor: { kind: 'user', id: 'loopback' }, scopes: ['admin'] })
    },
  )

  test.each([
    'evil.example:4884',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil-localhost',
    '0.0.0.0:4884',
    '10.0.0.5',
    '[::2]',
    'localhost.',
    '',
  ])('a rebound name like %j is refused', async (host) => {
    const answer = await ask({ host })
    expect(answer.status).toBe(403)
    expect(await answer.json()).toMatchObject({ code: 'host-not-allowed', params: { host: hostName(host) } })
  })

  test('names can be allowed', async () => {
    const options = { allowedHosts: ['Box.local'] }
    expect((await ask({ host: 'box.local:4884' }, options)).status).toBe(200)
    expect((await ask({ host: 'other.local:4884' }, options)).status).toBe(403)
  })

  test.each([
    [{ origin: 'https://evil.example' }],
    [{ origin: 'null' }],
    [{ origin: 'http://localhost:3000' }],
    [{ origin: 'http://evil.example', host: 'localhost:4884' }],
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ origin: 'http://localhost:4884', 'sec-fetch-site': 'cross-site' }],
  ])('a foreign page is refused: %j', async (headers) => {
    const { post, get, send, engine } = harness()
    const all: Headers = { host: 'localhost:4884', ...(headers as Headers) }
    expect((await post('/v1/jobs', GREET, all)).status).toBe(403)
    expect((await get('/v1/jobs', all)).status).toBe(403)
    // An upload may have any content type, so only its origin tells.
    expect((await send('POST', '/v1/files', { ...all, 'content-type': 'text/plain' }, { body: 'x' })).status).toBe(403)
    expect(engine.jobs.size).toBe(0)
  })

  test.each([
    [{ origin: 'http://localhost:4884', 'sec-fetch-site': 'same-origin' }],
    [{ 'sec-fetch-site': 'none' }],
    [{}],
  ])('its own page and programs are not: %j', async (headers) => {
    const { post } = harness()
    expect((await post('/v1/jobs', GREET, { host: 'localhost:4884', ...(headers as Headers) })).status).toBe(202)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'what a form can send is no submit: %s',
    async (type) => {
      const { send, engine } = harness()
      const answer = await send('POST', '/v1/jobs', { 'content-type': type }, { body: JSON.stringify(GREET) })
      expect(answer.status).toBe(415)
      expect(engine.jobs.size).toBe(0)
    },
  )

  test('another machine is refused whatever it calls us', async () => {
    const { server } = harness()
    const from = (remoteAddress: string) =>
      server.fetch(new Request('http://localhost:4884/v1'), { incoming: { socket: { remoteAddress } } as never })
    expect((await from('203.0.113.9')).status).toBe(403)
    expect((await from('::ffff:127.0.0.1')).status).toBe(200)
  })

  test.each([
    [{ 'x-forwarded-for': '203.0.113.9' }, 403],
    [{ 'x-forwarded-for': '127.0.0.1, 203.0.113.9' }, 403],
    [{ forwarded: 'for="[2001:db8::1]:4711";proto=https' }, 403],
    [{ 'x-forwarded-for': '127.0.0.1' }, 200],
    [{ forwarded: 'for="[::1]:4711", for=127.0.0.1' }, 200],
  ])('what a local proxy passes on for another machine is refused: %j', async (headers, status) => {
    expect((await ask({ host: 'localhost', ...(headers as Headers) })).status).toBe(status)
  })

  test('documents are for everybody', async () => {
    const { get } = harness()
    expect((await get('/openapi.json', { host: 'evil.example' })).status).toBe(200)
  })
})

test('with a key, Host and Origin do not matter: the key does', async () => {
  const { get, engine } = harness()
  engine.addKey('k', ['admin'])
  const headers = {
    authorization: 'Bearer k',
    host: 'jobs.example',
    origin: 'https://elsewhere.example',
    'sec-fetch-site': 'cross-site',
  }
  expect((await get('/v1', headers)).status).toBe(200)
})

describe('CORS', () => {
  const options = { cors: { origins: ['https://app.example'] } }
  const preflight = { origin: 'https://app.example', 'access-control-request-method': 'POST' }

  test('is off unless configured', async () => {
    const { get, send } = harness()
    const answer = await get('/healthz', { origin: 'https://app.example' })
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    expect((await send('OPTIONS', '/v1/jobs', preflight)).headers.get('access-control-allow-methods')).toBeNull()
  })

  test('a listed origin may preflight, call and read', async () => {
    const { send, post } = harness(options)
    const allowed = await send('OPTIONS', '/v1/jobs', preflight)
    expect(allowed.status).toBe(204)
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example')
    expect(allowed.headers.get('access-control-allow-methods')).toContain('POST')
    expect(allowed.headers.get('access-control-allow-headers')).toContain('Idempotency-Key')
    expect(allowed.headers.get('access-control-max-age')).toBe('600')
    const answer = await post('/v1/jobs', GREET, { origin: 'https://app.example', 'sec-fetch-site': 'cross-site' })
    expect(answer.status).toBe(202)
    expect(answer.headers.get('access-control-expose-headers')).toContain('Location')
    expect(answer.headers.get('vary')).toContain('Origin')
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  })

  test('another origin gets nothing, and never a star', async () => {
    const { send, get } = harness(options)
    const headers = { ...preflight, origin: 'https://evil.example' }
    expect((await send('OPTIONS', '/v1/jobs', headers)).headers.get('access-control-allow-origin')).toBeNull()
    const open = await get('/healthz', { origin: 'https://evil.example' })
    expect(open.headers.get('access-control-allow-origin')).toBeNull()
    expect(open.headers.get('vary')).toBe('Origin')
  })

  test.each(['*', 'https://app.example/', 'app.example', 'null'])('%s is no origin to configure', (origin) => {
    expect(() => harness({ cors: { origins: [origin] } })).toThrow(expect.objectContaining({ code: 'bad-definition' }))
  })
})

test('loopback addresses', () => {
  expect(['127.0.0.1', '127.255.0.3', '::1', 'localhost', '::ffff:127.0.0.1'].every(isLoopback)).toBe(true)
  expect(['128.0.0.1', '::', '0.0.0.0', '', 'localhost6', '127.0.0.1.example'].some(isLoopback)).toBe(false)
})
