import { afterEach, describe, expect, test } from 'vitest'
import { UntildoneError } from '../../core/index.js'
import { FakeEngine } from '../fakes/engine.js'
import { GREET, harness, settled } from '../fakes/harness.js'
import { type Frame, Reader } from '../fakes/reader.js'
import { SocketClient } from '../fakes/socket.js'
import { listen, type ServerOptions } from '../index.js'
import { routes } from '../routes/index.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const as = (key: string) => ({ authorization: `Bearer ${key}` })

function opened(options: ServerOptions = {}) {
  const engine = new FakeEngine()
  const h = harness(options, engine)
  engine.addKey('root', ['admin'])
  engine.addKey('page', ['jobs:read'])
  const issue = async (body: object = {}, key = 'page') => {
    const answer = await h.post('/v1/stream-tickets', body, as(key))
    expect(answer.status).toBe(201)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    return (await answer.json()) as { ticket: string; expiresAt: string }
  }
  const submit = async (more: object = {}) =>
    ((await (await h.post('/v1/jobs', { ...GREET, ...more }, as('root'))).json()) as { id: string }).id
  const stream = async (path: string) => {
    const answer = await h.get(path)
    expect(answer.status).toBe(200)
    return new Reader(answer)
  }
  /** All frames of a stream that is ended by the server. */
  const all = async (reader: Reader): Promise<Frame[]> => {
    await settled()
    await h.server.close()
    return (await reader.rest()).filter(({ event }) => event !== null)
  }
  return { ...h, engine, issue, submit, stream, all }
}

const jobsIn = (frames: readonly Frame[]) =>
  frames.flatMap(({ event, data }) => (event === 'ready' || event === 'end' ? [] : (data.job?.id ?? data.data?.jobId)))

describe('a ticket', () => {
  test('opens event streams again and again until it expires', async () => {
    const { engine, issue, submit, stream, get } = opened()
    const { ticket, expiresAt } = await issue()
    expect(ticket).toMatch(/^udt_[\w-]+$/)
    expect(Date.parse(expiresAt) - engine.clock.now()).toBe(600_000)
    const reader = await stream(`/v1/events/stream?ticket=${ticket}`)
    const id = await submit()
    expect((await reader.take(2))[1]!.data.data.jobId).toBe(id)
    await reader.cancel()
    engine.clock.advance(599_000)
    await (await stream(`/v1/groups/g/events/stream?ticket=${ticket}`)).cancel()
    engine.clock.advance(1000)
    const late = await get(`/v1/events/stream?ticket=${ticket}`)
    expect(late.status).toBe(401)
    expect(late.headers.get('www-authenticate')).toMatch(/^Bearer/)
    expect(await late.json()).toMatchObject({
      code: 'unauthenticated',
      fix: expect.stringContaining('/v1/stream-tickets'),
    })
  })

  test('lasts as long as was asked for, and no longer than its key', async () => {
    const { engine, issue } = opened()
    const left = async (body: object) => Date.parse((await issue(body)).expiresAt) - engine.clock.now()
    expect(await left({ ttlMs: 1000 })).toBe(1000)
    expect(await left({ ttlMs: 3_600_000 })).toBe(3_600_000)
    expect(await left({ ttlMs: 3_600_000, use: 'ws' })).toBe(60_000)
    engine.expireKey('page', engine.clock.now() + 5000)
    expect(await left({})).toBe(5000)
  })

  test.each([
    [{ ttlMs: 0 }, '/ttlMs'],
    [{ ttlMs: 3_600_001 }, '/ttlMs'],
    [{ use: 'http' }, '/use'],
    [{ filter: { group: 'g' } }, '/filter/group'],
    [{ filter: { status: ['done'] } }, '/filter/status/0'],
    [{ filter: { jobId: Array(101).fill('x') } }, '/filter/jobId'],
    [{ scopes: ['admin'] }, '/scopes'],
  ])('%j is refused', async (body, pointer) => {
    const { post } = opened()
    const answer = await post('/v1/stream-tickets', body, as('page'))
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ code: 'validation-failed', errors: [{ pointer }] })
  })

  test('shows nothing beyond its filter, whatever the address asks for', async () => {
    const { issue, submit, stream, all } = opened()
    const mine = await submit({ groupId: 'mine' })
    await submit({ groupId: 'other' })
    const { ticket } = await issue({ filter: { groupId: 'mine' } })
    const readers = await Promise.all(
      ['', '&groupId=other', '&types=greet', '&events=job.*'].map((more) =>
        stream(`/v1/events/stream?ticket=${ticket}${more}`),
      ),
    )
    const young = await submit({ groupId: 'mine' })
    await submit({ groupId: 'other' })
    const [whole, others, typed, kinds] = await Promise.all(readers.map(all))
    expect(jobsIn(whole!)).toEqual([mine, young])
    expect(jobsIn(others!)).toEqual([])
    expect(jobsIn(typed!)).toEqual([mine, young])
    expect(jobsIn(kinds!)).toEqual([mine, young])
  })

  test('narrows further by what the address asks for', async () => {
    const { engine, issue, submit, stream, all } = opened()
    const { ticket } = await issue({ filter: { events: ['job.*'], status: ['processing', 'completed'] } })
    const reader = await stream(`/v1/events/stream?ticket=${ticket}&events=job.completed,job.accepted`)
    const id = await submit()
    engine.change(id, { status: 'processing' })
    engine.change(id, { status: 'completed' })
    expect((await all(reader)).map(({ event }) => event)).toEqual(['ready', 'job.completed', 'end'])
  })

  test('for a group opens the stream of that group, and no other', async () => {
    const { issue, stream, get } = opened()
    const { ticket } = await issue({ filter: { groupId: 'g' } })
    await (await stream(`/v1/groups/g/events/stream?ticket=${ticket}`)).cancel()
    const other = await get(`/v1/groups/h/events/stream?ticket=${ticket}`)
    expect(other.status).toBe(404)
    expect(await other.json()).toMatchObject({ code: 'not-found' })
  })

  test('for one job opens the stream of that job', async () => {
    const { engine, issue, submit, stream, get } = opened()
    const [id, other] = [await submit(), await submit()]
    const { ticket } = await issue({ filter: { jobId: [id!] } })
    const reader = await stream(`/v1/jobs/${id}/events/stream?ticket=${ticket}`)
    engine.change(id!, { status: 'completed' })
    expect((await reader.rest()).map(({ event }) => event)).toEqual([null, 'snapshot', 'job.completed', 'end'])
    expect((await get(`/v1/jobs/${id}/events/stream?ticket=${ticket}`, { 'last-event-id': `${id}:2` })).status).toBe(
      204,
    )
    const foreign = await (await get(`/v1/jobs/${other}/events/stream?ticket=${ticket}`)).json()
    const missing = await (await get(`/v1/jobs/none/events/stream?ticket=${ticket}`)).json()
    expect(foreign).toMatchObject({ status: 404, code: 'job-not-found', params: { jobId: other } })
    expect(missing).toMatchObject({ status: 404, code: 'job-not-found', params: { jobId: 'none' } })
    // It would show more than what it is bound to.
    const { ticket: ends } = await issue({ filter: { jobId: [id!], events: ['job.completed'] } })
    expect((await get(`/v1/jobs/${id}/events/stream?ticket=${ends}`)).status).toBe(404)
  })

  test('has the rights of the key at the time of use, and goes with it', async () => {
    const { engine, issue, submit, stream, get, all } = opened()
    engine.addKey('crm', ['jobs:submit'])
    const { ticket } = await issue({}, 'crm')
    await submit()
    const reader = await stream(`/v1/events/stream?ticket=${ticket}`)
    await submit()
    const { ticket: page } = await issue()
    await engine.revokeKey(null as never, 'key_page')
    expect((await get(`/v1/events/stream?ticket=${page}`)).status).toBe(401)
    engine.addKey('crm', ['approvals:read'])
    expect((await get(`/v1/events/stream?ticket=${ticket}`)).status).toBe(403)
    expect(jobsIn(await all(reader))).toEqual([])
  })

  test('an open stream ends when the key behind its ticket is revoked', async () => {
    const { engine, issue, stream } = opened()
    const { ticket } = await issue()
    const reader = await stream(`/v1/events/stream?ticket=${ticket}`)
    await reader.take(1)
    await engine.revokeKey(null as never, 'key_page')
    engine.clock.advance(15_000)
    expect(await reader.take(1)).toMatchObject([{ event: 'end', data: { reason: 'credential' } }])
  })

  test('changed by one letter, or made elsewhere, it is nothing', async () => {
    const { engine, issue, get } = opened()
    const { ticket } = await issue()
    const at = ticket.length - 20
    const changed = `${ticket.slice(0, at)}${ticket[at] === 'A' ? 'B' : 'A'}${ticket.slice(at + 1)}`
    const cursor = engine.seal('stream', ['x', 1, 1], { tenant: 'default' })
    for (const bad of [changed, ticket.slice(4), `${ticket}x`.slice(1), 'udt_', 'udt_x', `udt_${cursor}`, 'root'])
      expect((await get(`/v1/events/stream?ticket=${bad}`)).status, bad).toBe(401)
    expect((await get(`/v1/events/stream?ticket=${'x'.repeat(9000)}`)).status).toBe(401)
  })

  test('counts as its key', async () => {
    const { issue, stream, get } = opened({ limits: { streamsPerKey: 1 } })
    const { ticket } = await issue()
    const reader = await stream(`/v1/events/stream?ticket=${ticket}`)
    expect((await get('/v1/events/stream', as('page'))).status).toBe(429)
    await reader.cancel()
  })

  test('is refused at every other address, in the query and as a key', async () => {
    const { issue, send, submit } = opened()
    const id = await submit()
    const { ticket } = await issue({ filter: { jobId: [id] } })
    const others = routes.filter(({ tickets, scope, path }) => !tickets && scope !== 'none' && path !== '/v1/ws')
    expect(others.length).toBeGreaterThan(40)
    for (const { method, path } of others) {
      const url = path.replace('{id}', id).replace(/\{\w+\}/g, 'some')
      const name = `${method} ${path}`
      expect((await send(method, `${url}?ticket=${ticket}`)).status, name).toBe(401)
      expect((await send(method, url, as(ticket))).status, name).toBe(401)
      const beside = await send(method, `${url}?ticket=${ticket}`, as('root'))
      expect(beside.status, name).toBeGreaterThanOrEqual(400)
    }
  })
})

describe('without keys', () => {
  test('a ticket of this machine works on this machine until there is a key', async () => {
    const engine = new FakeEngine()
    const { post, get, server } = harness({}, engine)
    const { ticket } = (await (await post('/v1/stream-tickets')).json()) as { ticket: string }
    const answer = await get(`/v1/events/stream?ticket=${ticket}`)
    expect(answer.status).toBe(200)
    await answer.body!.cancel()
    const foreign = await get(`/v1/events/stream?ticket=${ticket}`, { host: 'evil.example' })
    expect(foreign.status).toBe(403)
    const page = await get(`/v1/events/stream?ticket=${ticket}`, { origin: 'https://evil.example' })
    expect(page.status).toBe(403)
    engine.addKey('first', ['admin'])
    engine.clock.advance(1000)
    expect((await get(`/v1/events/stream?ticket=${ticket}`)).status).toBe(401)
    expect(server.held).toBe(0)
  })

  test('a session of the host: its stream ends with the ticket', async () => {
    const engine = new FakeEngine()
    const { post, get } = harness(
      {
        authenticate: (request) =>
          request.headers.get('x-session') === 's'
            ? { tenant: 'default', actor: { kind: 'user', id: 'ada' }, scopes: ['jobs:read'], types: null }
            : null,
      },
      engine,
    )
    const made = await post('/v1/stream-tickets', { ttlMs: 20_000 }, { 'x-session': 's' })
    const { ticket } = (await made.json()) as { ticket: string }
    const reader = new Reader(await get(`/v1/events/stream?ticket=${ticket}`))
    await reader.take(1)
    engine.clock.advance(15_000)
    await settled()
    engine.clock.advance(15_000)
    expect((await reader.rest()).at(-1)).toMatchObject({ event: 'end', data: { reason: 'credential' } })
  })
})

describe('for a socket', () => {
  async function listening() {
    const h = opened()
    const { url, close } = await listen(h.server, { port: 0, keepGlobals: true })
    cleanups.push(close)
    const open = (ticket: string, protocols = ['untildone.v1']) =>
      SocketClient.open(`${url}/v1/ws?ticket=${ticket}`, { protocols })
    return { ...h, open }
  }

  test('it is used once, within a minute', async () => {
    const { engine, issue, open } = await listening()
    const { ticket } = await issue({ use: 'ws' })
    const { socket } = await open(ticket)
    socket!.send({ op: 'ping' })
    expect(await socket!.next()).toEqual({ op: 'pong' })
    const again = await open(ticket)
    expect(again.refusal!.status).toBe(401)
    expect(await again.refusal!.json()).toMatchObject({
      code: 'unauthenticated',
      detail: expect.stringContaining('used'),
    })
    const { ticket: late } = await issue({ use: 'ws', ttlMs: 600_000 })
    engine.clock.advance(60_000)
    expect((await open(late)).refusal!.status).toBe(401)
    // Of the two uses, each has its own kind.
    const { ticket: sse } = await issue()
    expect(await (await open(sse)).refusal!.json()).toMatchObject({ fix: expect.stringContaining('"ws"') })
  })

  test('of two that come at once one is let in', async () => {
    const { issue, open } = await listening()
    const { ticket } = await issue({ use: 'ws' })
    const both = await Promise.all([open(ticket), open(ticket)])
    expect(both.filter(({ socket }) => socket)).toHaveLength(1)
  })

  test('where processes share a store, it is used once in all of them', async () => {
    const { engine, issue, open } = await listening()
    const other = new FakeEngine()
    other.addKey('page', ['jobs:read'])
    other.firsts = engine.firsts
    for (const one of [engine, other]) one.store.sole = false
    const { url, close } = await listen(harness({}, other).server, { port: 0, keepGlobals: true })
    cleanups.push(close)
    const beside = (ticket: string) =>
      SocketClient.open(`${url}/v1/ws?ticket=${ticket}`, { protocols: ['untildone.v1'] })
    for (const [here, there] of [
      [open, beside],
      [beside, open],
    ]) {
      const { ticket } = await issue({ use: 'ws' })
      expect((await here!(ticket)).socket).not.toBeNull()
      expect(await (await there!(ticket)).refusal!.json()).toMatchObject({
        code: 'unauthenticated',
        detail: expect.stringContaining('used'),
      })
    }
    const { ticket } = await issue({ use: 'ws' })
    const many = await Promise.all([open, beside, open, beside].map((one) => one(ticket)))
    expect(many.filter(({ socket }) => socket)).toHaveLength(1)
  })

  test('while the shared store is away nobody is let in, and the ticket stays good', async () => {
    const { engine, issue, open } = await listening()
    engine.store.sole = false
    const { first } = engine
    engine.first = () => Promise.reject(new UntildoneError('store-unavailable'))
    const { ticket } = await issue({ use: 'ws' })
    expect((await open(ticket)).refusal!.status).toBe(503)
    engine.first = first
    expect((await open(ticket)).socket).not.toBeNull()
  })

  test('a refused handshake does not use it up', async () => {
    const { issue, open, server } = await listening()
    const { ticket } = await issue({ use: 'ws' })
    expect((await open(ticket, ['other'])).refusal!.status).toBe(426)
    expect(server.held).toBe(0)
    expect((await open(ticket)).socket).not.toBeNull()
  })

  test('every subscription is bound to its filter', async () => {
    const { issue, submit, open } = await listening()
    const mine = await submit({ groupId: 'mine' })
    await submit({ groupId: 'other' })
    const { ticket } = await issue({ use: 'ws', filter: { groupId: 'mine' } })
    const { socket } = await open(ticket)
    socket!.send({ op: 'subscribe', ref: 1, filter: { groupId: 'other' } })
    socket!.send({ op: 'subscribe', ref: 2 })
    const seen = await socket!.take(5)
    expect(seen.filter(({ op }) => op === 'snapshot').map(({ ref, job }) => [ref, job.id])).toEqual([[2, mine]])
    await submit({ groupId: 'other' })
    const young = await submit({ groupId: 'mine' })
    expect(await socket!.next()).toMatchObject({ ref: 2, event: { data: { jobId: young } } })
    socket!.send({ op: 'ping' })
    expect(await socket!.next()).toEqual({ op: 'pong' })
  })

  test('an event stream does not take it', async () => {
    const { issue, get } = await listening()
    const { ticket } = await issue({ use: 'ws' })
    const answer = await get(`/v1/events/stream?ticket=${ticket}`)
    expect(await answer.json()).toMatchObject({ status: 401, fix: expect.stringContaining('"sse"') })
  })
})

test('neither ticket nor key is in a report of trouble', async () => {
  const engine = new FakeEngine()
  const reports: unknown[] = []
  const { server, post, get } = harness({ onError: (error, about) => reports.push([String(error), about]) }, engine)
  engine.addKey('sesame', ['jobs:read'])
  const { ticket } = (await (await post('/v1/stream-tickets', {}, as('sesame'))).json()) as { ticket: string }
  const job = new Reader(await get(`/v1/events/stream?ticket=${ticket}`))
  const keyed = new Reader(await get('/v1/groups/g/events/stream', as('sesame')))
  await job.take(1)
  await keyed.take(1)
  engine.happened = () => Promise.reject(new Error('disk gone'))
  engine.addKey('root', ['admin'])
  await post('/v1/jobs', { ...GREET, groupId: 'g' }, as('root'))
  await Promise.all([job.rest(), keyed.rest()])
  engine.list = () => Promise.reject(new Error('disk gone'))
  await new Reader(await get(`/v1/groups/g/events/stream?ticket=${ticket}`)).rest()
  engine.standing = () => Promise.reject(new Error('disk gone'))
  expect((await get(`/v1/events/stream?ticket=${ticket}`)).status).toBe(500)
  expect(reports).toHaveLength(4)
  expect(JSON.stringify(reports)).not.toContain(ticket.slice(4, 30))
  expect(JSON.stringify(reports)).not.toContain('sesame')
  await server.close()
})
