import { describe, expect, test } from 'vitest'
import { type Caller, SCOPES, type Scope } from '../engine/api.js'
import { GREET, harness } from './fakes/harness.js'
import { routes } from './routes/index.js'

const guarded = routes.filter((route) => route.scope !== 'none')
const url = (path: string) => path.replace(/\{\w+\}/g, 'some')
const named = guarded.map((route) => [`${route.method} ${route.path}`, route] as const)

describe('once a key exists', () => {
  test.each(named)('%s needs one', async (_name, route) => {
    const { send, engine } = harness()
    engine.addKey('good', ['admin'])
    for (const authorization of [undefined, 'Bearer wrong', 'Basic Z29vZA==', 'good', 'Bearer', 'Bearer good good']) {
      const answer = await send(route.method, url(route.path), authorization === undefined ? {} : { authorization })
      expect(answer.status, authorization).toBe(401)
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer realm="untildone"/)
      expect(await answer.json()).toMatchObject({ code: 'unauthenticated' })
    }
  })

  test.each(named)('%s is open to its scopes and to admin, and to no other', async (_name, route) => {
    const wanted = route.scope === 'any' ? SCOPES : (route.scope as readonly Scope[])
    for (const scope of SCOPES) {
      const { send, engine } = harness()
      engine.addKey('key', [scope])
      const answer = await send(route.method, url(route.path), { authorization: 'Bearer key' })
      const allowed = scope === 'admin' || wanted.includes(scope)
      if (allowed) expect(answer.status, scope).not.toBe(403)
      else {
        expect(answer.status, scope).toBe(403)
        expect(await answer.json()).toMatchObject({
          code: 'forbidden',
          params: { requiredScope: wanted[0], scopes: [scope] },
        })
      }
    }
  })

  test('paths that do not exist are not told apart without a key', async () => {
    const { send, engine } = harness()
    engine.addKey('good', ['jobs:read'])
    for (const [method, path] of [
      ['GET', '/v1/nope'],
      ['DELETE', '/v1/jobs'],
    ] as const) {
      expect((await send(method, path)).status).toBe(401)
    }
    const auth = { authorization: 'Bearer good' }
    expect((await send('GET', '/v1/nope', auth)).status).toBe(404)
    const wrong = await send('DELETE', '/v1/jobs', auth)
    expect(wrong.status).toBe(405)
    expect(wrong.headers.get('allow')).toBe('POST, GET, HEAD, OPTIONS')
  })

  test('it stays so when the last key is revoked', async () => {
    const { get, send, engine } = harness()
    engine.addKey('only', ['admin'])
    const auth = { authorization: 'Bearer only' }
    expect((await get('/v1/whoami', auth)).status).toBe(200)
    expect((await send('DELETE', '/v1/api-keys/key_only?reason=leaked', auth)).status).toBe(204)
    expect((await get('/v1/whoami', auth)).status).toBe(401)
    expect((await get('/v1/whoami')).status).toBe(401)
  })

  test('documents and health need none', async () => {
    const { get, engine } = harness()
    engine.addKey('good', ['admin'])
    for (const path of ['/healthz', '/readyz', '/openapi.json', '/docs', '/docs/start.js', '/problems/internal']) {
      expect((await get(path)).status, path).toBe(200)
    }
  })
})

describe('own jobs', () => {
  test('a submit key sees the jobs it made and no others', async () => {
    const { get, post, engine } = harness()
    engine.addKey('a', ['jobs:submit'])
    engine.addKey('b', ['jobs:submit'])
    const { id } = (await (await post('/v1/jobs', GREET, { authorization: 'Bearer a' })).json()) as { id: string }
    for (const path of ['', '/events', '/result']) {
      expect((await get(`/v1/jobs/${id}${path}`, { authorization: 'Bearer b' })).status, path).toBe(404)
    }
    expect((await get(`/v1/jobs/${id}`, { authorization: 'Bearer a' })).status).toBe(200)
  })

  test('includes ask for more', async () => {
    const { get, post, engine } = harness()
    engine.addKey('a', ['jobs:submit'])
    engine.addKey('r', ['jobs:read'])
    const { id } = (await (await post('/v1/jobs', GREET, { authorization: 'Bearer a' })).json()) as { id: string }
    const status = async (include: string, key: string) =>
      (await get(`/v1/jobs/${id}?include=${include}`, { authorization: `Bearer ${key}` })).status
    expect([await status('input', 'a'), await status('input', 'r'), await status('ops', 'r')]).toEqual([403, 200, 403])
  })
})

describe('keys over HTTP', () => {
  test('the first key made locks the server at once', async () => {
    const { get, post } = harness()
    const made = await post('/v1/api-keys', { name: 'root', scopes: ['admin'] })
    expect(made.status).toBe(201)
    const key = (await made.json()) as { id: string; key: string }
    expect(made.headers.get('location')).toBe(`/v1/api-keys/${key.id}`)
    expect((await get('/v1/whoami')).status).toBe(401)
    const auth = { authorization: `Bearer ${key.key}` }
    expect(await (await get('/v1/whoami', auth)).json()).toMatchObject({ tenant: 'default', scopes: ['admin'] })
    expect(await (await get(`/v1/api-keys/${key.id}`, auth)).json()).not.toHaveProperty('key')
    expect((await post(`/v1/api-keys/${key.id}/rotate`, undefined, auth)).status).toBe(201)
  })

  test.each([
    [{ name: 'x', scopes: [] }, '/scopes'],
    [{ name: 'x', scopes: ['root'] }, '/scopes/0'],
    [{ scopes: ['admin'] }, '/name'],
    [{ name: 'x', scopes: ['admin'], tenant: 'other' }, '/tenant'],
  ])('%j is refused', async (body, pointer) => {
    const { post, engine } = harness()
    expect(await (await post('/v1/api-keys', body)).json()).toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer }],
    })
    expect(engine.callers.size).toBe(0)
  })

  test('while there is none, the store is not asked with every request', async () => {
    const { get, engine } = harness()
    for (let i = 0; i < 10; i++) await get('/v1')
    expect(engine.calls.filter((call) => call === 'keysExist')).toHaveLength(1)
    engine.clock.advance(1000)
    await get('/v1')
    expect(engine.calls.filter((call) => call === 'keysExist')).toHaveLength(2)
  })
})

describe('authentication by the host application', () => {
  const session: Caller = {
    tenant: 'acme',
    actor: { kind: 'user', id: 'u1', name: 'Ada' },
    scopes: ['jobs:read'],
    types: null,
  }
  const authenticate = (request: Request) => (request.headers.get('cookie') === 'sid=1' ? session : null)

  test('comes first; without it a key is needed, on loopback too', async () => {
    const { get, engine } = harness({ authenticate })
    expect(await (await get('/v1/whoami', { cookie: 'sid=1' })).json()).toMatchObject({
      tenant: 'acme',
      actor: { id: 'u1' },
    })
    expect((await get('/v1/whoami')).status).toBe(401)
    engine.addKey('k', ['admin'])
    expect((await get('/v1/whoami', { authorization: 'Bearer k' })).status).toBe(200)
  })

  test('it cannot name a tenant in which the server keeps deliveries', async () => {
    const { get } = harness({ authenticate: () => ({ ...session, tenant: '~acme' }) })
    const answer = await get('/v1/jobs')
    expect(answer.status).toBe(403)
    expect((await answer.json()).detail).toContain("the server's own")
  })

  test('a page of another site cannot use the session', async () => {
    const { post } = harness({ authenticate: () => ({ ...session, scopes: ['admin'] }) })
    expect((await post('/v1/jobs', GREET, { origin: 'https://evil.example' })).status).toBe(403)
    expect((await post('/v1/jobs', GREET, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await post('/v1/jobs', GREET, { origin: 'http://localhost:4884' })).status).toBe(202)
  })
})
