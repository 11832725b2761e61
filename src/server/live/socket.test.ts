import { afterEach, describe, expect, test } from 'vitest'
import { FakeEngine } from '../fakes/engine.js'
import { GREET, harness, settled } from '../fakes/harness.js'
import { SocketClient } from '../fakes/socket.js'
import { listen, type ServerOptions } from '../index.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function started(options: ServerOptions = {}) {
  const engine = new FakeEngine()
  const h = harness(options, engine)
  const listening = await listen(h.server, { port: 0, keepGlobals: true })
  cleanups.push(() => engine.dispose())
  cleanups.push(() => listening.close())
  const open = async (more: Parameters<typeof SocketClient.open>[1] = {}) => {
    const { socket, refusal } = await SocketClient.open(`${listening.url}/v1/ws`, more)
    if (!socket) throw new Error(`Refused: ${refusal.status} ${await refusal.text()}`)
    cleanups.push(() => socket.ws.terminate())
    return socket
  }
  const submit = async (more: object = {}, headers: Record<string, string> = {}) =>
    ((await (await h.post('/v1/jobs', { ...GREET, ...more }, headers)).json()) as { id: string }).id
  /** Until the server has noticed what happened on the line. */
  const until = async (condition: () => boolean) => {
    while (!condition()) await settled(1)
  }
  return { ...h, engine, listening, open, submit, until }
}

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

describe('subscriptions', () => {
  test('several over one socket, each by its ref', async () => {
    const { engine, open, submit, server } = await started()
    const old = await submit({ groupId: 'g' })
    const socket = await open()
    socket.send({ op: 'subscribe', ref: 1, filter: { groupId: 'g' } })
    expect(await socket.take(3)).toMatchObject([
      { op: 'subscribed', ref: 1, complete: false, id: expect.any(String) },
      { op: 'snapshot', ref: 1, job: { id: old, version: 1 } },
      { op: 'subscribed', ref: 1, complete: true, id: expect.any(String) },
    ])
    socket.send({ op: 'subscribe', ref: 'all' })
    expect(await socket.take(1)).toMatchObject([{ op: 'subscribed', ref: 'all', complete: true }])
    engine.change(old, { status: 'completed' })
    const events = await socket.take(2)
    expect(events.map(({ op, ref, event }) => [op, ref, event.type])).toEqual([
      ['event', 1, 'job.completed'],
      ['event', 'all', 'job.completed'],
    ])
    expect(events[0].id).toBe(events[1].id)
    expect(server.held).toBe(1)
    socket.send({ op: 'unsubscribe', ref: 1 })
    socket.send({ op: 'ping' })
    expect(await socket.take(1)).toEqual([{ op: 'pong' }])
    await submit({ groupId: 'g' })
    expect(await socket.take(1)).toMatchObject([{ ref: 'all', event: { type: 'job.accepted' } }])
    socket.send({ op: 'ping' })
    expect(await socket.take(1)).toEqual([{ op: 'pong' }])
  })

  test('goes on where it was, or says reset', async () => {
    const { engine, open, submit, until, server } = await started()
    const first = await open()
    first.send({ op: 'subscribe', ref: 1, filter: {} })
    const [{ id }] = await first.take(1)
    first.ws.terminate()
    await until(() => server.held === 0)
    const job = await submit()
    engine.change(job, { status: 'completed' })
    const again = await open()
    again.send({ op: 'subscribe', ref: 7, filter: {}, after: id })
    const [back, accepted, completed] = await again.take(3)
    expect(back).toEqual({ op: 'subscribed', ref: 7, id, complete: true })
    expect([accepted.event.type, completed.event.type]).toEqual(['job.accepted', 'job.completed'])
    again.send({ op: 'subscribe', ref: 8, filter: {}, after: completed.id })
    again.send({ op: 'subscribe', ref: 9, filter: { jobId: [job] }, after: 'nonsense' })
    expect((await again.take(5)).map(({ op, ref }) => `${op} ${ref}`)).toEqual([
      ...['subscribed 8', 'subscribed 9', 'reset 9', 'snapshot 9', 'subscribed 9'],
    ])
  })

  test('progress has no id', async () => {
    const { engine, open, submit } = await started()
    const id = await submit()
    const socket = await open()
    socket.send({ op: 'subscribe', ref: 1 })
    await socket.take(1)
    engine.change(id, { progress: { updatedAt: '1', completed: 3 } as never })
    const [progress] = await socket.take(1)
    expect(progress).toMatchObject({
      op: 'event',
      event: { type: 'job.progress', data: { progress: { completed: 3 } } },
    })
    expect(progress).not.toHaveProperty('id')
  })

  test('links carry the prefix', async () => {
    const engine = new FakeEngine()
    const { server, post } = harness({ basePath: '/background' }, engine)
    const listening = await listen(server, { port: 0, keepGlobals: true })
    cleanups.push(() => listening.close())
    const { id } = (await (await post('/v1/jobs', GREET)).json()) as { id: string }
    const { socket } = await SocketClient.open(`${listening.url}/v1/ws`)
    socket!.send({ op: 'subscribe', ref: 1, filter: { jobId: [id] } })
    const [, snapshot] = await socket!.take(3)
    expect(snapshot.job.links.self).toBe(`/background/v1/jobs/${id}`)
    engine.change(id, { status: 'completed' })
    expect((await socket!.next()).event.source).toBe('/background/v1')
  })

  test('a hundred, and no more; the socket goes on', async () => {
    const { open } = await started({ limits: { subscriptions: 2 } })
    const socket = await open()
    for (const ref of [1, 2, 3]) socket.send({ op: 'subscribe', ref })
    expect((await socket.take(3)).at(-1)).toMatchObject({
      op: 'error',
      ref: 3,
      problem: { code: 'too-many-streams', params: { limit: 2 } },
    })
    socket.send({ op: 'unsubscribe', ref: 1 })
    socket.send({ op: 'subscribe', ref: 3 })
    expect(await socket.take(1)).toMatchObject([{ op: 'subscribed', ref: 3 }])
  })

  test('trouble in the store ends one subscription with a problem, and no other', async () => {
    const { engine, open, submit, errors } = await started()
    const socket = await open()
    socket.send({ op: 'subscribe', ref: 1 })
    socket.send({ op: 'subscribe', ref: 2, filter: { types: ['other'] } })
    await socket.take(2)
    engine.happened = () => Promise.reject(new Error('disk gone'))
    await submit()
    expect(await socket.take(1)).toMatchObject([{ op: 'error', ref: 1, problem: { code: 'internal', status: 500 } }])
    expect(errors).toMatchObject([{ code: 'stream' }])
    expect(JSON.stringify(socket.waiting)).not.toContain('disk')
    socket.send({ op: 'subscribe', ref: 1 })
    expect(await socket.take(1)).toMatchObject([{ op: 'subscribed', ref: 1 }])
  })

  test('two callers are told by their own rights', async () => {
    const { engine, open, submit } = await started()
    engine.addKey('submitter', ['jobs:submit'])
    engine.addKey('other', ['jobs:submit'])
    engine.addKey('operator', ['jobs:read', 'jobs:operate'])
    const sockets = await Promise.all(['submitter', 'other', 'operator'].map((key) => open(as(key))))
    for (const socket of sockets) {
      socket.send({ op: 'subscribe', ref: 1 })
      await socket.take(1)
    }
    const id = await submit({}, { authorization: 'Bearer submitter' })
    engine.change(id, { version: 2 })
    engine.change(id, { status: 'completed' })
    await settled()
    const [submitter, other, operator] = sockets as [SocketClient, SocketClient, SocketClient]
    expect((await submitter.take(2)).map(({ event }) => event.type)).toEqual(['job.accepted', 'job.completed'])
    expect((await operator.take(3)).map(({ event }) => event.type)[1]).toBe('job.retrying')
    other.send({ op: 'ping' })
    expect(await other.take(1)).toEqual([{ op: 'pong' }])
  })
})

describe('texts that cannot be read', () => {
  test.each([
    ['{', null, 'malformed-request'],
    ['[]', null, 'malformed-request'],
    ['null', null, 'malformed-request'],
    ['"ping"', null, 'malformed-request'],
    ['{"op":"submit","ref":1}', 1, 'malformed-request'],
    ['{"op":"constructor","ref":1}', 1, 'malformed-request'],
    ['{"op":"subscribe"}', null, 'validation-failed'],
    ['{"op":"subscribe","ref":-1}', null, 'validation-failed'],
    ['{"op":"subscribe","ref":1,"more":2}', 1, 'validation-failed'],
    ['{"op":"subscribe","ref":2,"filter":{"group":"g"}}', 2, 'validation-failed'],
    ['{"op":"subscribe","ref":2,"filter":{"status":["done"]}}', 2, 'validation-failed'],
    ['{"op":"subscribe","ref":2,"after":7}', 2, 'validation-failed'],
  ])('%s is answered, and the socket stays', async (text, ref, code) => {
    const { open } = await started()
    const socket = await open()
    socket.send(text)
    expect(await socket.take(1)).toMatchObject([{ op: 'error', ref, problem: { code, fix: expect.any(String) } }])
    socket.send({ op: 'ping' })
    expect(await socket.take(1)).toEqual([{ op: 'pong' }])
  })

  test('a ref that is in use, and bytes', async () => {
    const { open } = await started()
    const socket = await open()
    socket.send({ op: 'subscribe', ref: 1 })
    socket.send({ op: 'subscribe', ref: 1 })
    socket.ws.send(Buffer.from('{"op":"ping"}'))
    const [, used, bytes] = await socket.take(3)
    expect(used).toMatchObject({ op: 'error', ref: 1, problem: { code: 'malformed-request' } })
    expect(bytes).toMatchObject({ op: 'error', ref: null, problem: { code: 'malformed-request' } })
  })

  test('the third in a row closes with 4400; a good one in between counts them anew', async () => {
    const { open, server, until } = await started()
    const socket = await open()
    for (const text of ['x', 'x', '{"op":"ping"}', 'x', 'x']) socket.send(text)
    await socket.take(5)
    socket.send('x')
    expect(await socket.closed).toEqual({ code: 4400, reason: 'unreadable' })
    await until(() => server.held === 0)
  })

  test('one that is too large closes with 1009, and the others do not notice', async () => {
    const { open, server, until } = await started()
    const [socket, other] = [await open(), await open()]
    socket.send({ op: 'subscribe', ref: 1, after: 'x'.repeat(70_000) })
    expect(await socket.closed).toMatchObject({ code: 1009 })
    await until(() => server.held === 1)
    other.send({ op: 'ping' })
    expect(await other.take(1)).toEqual([{ op: 'pong' }])
  })

  test('a flood of them closes with 4429', async () => {
    const { open } = await started()
    const socket = await open()
    for (let i = 0; i <= 500; i++) socket.send({ op: 'ping' })
    expect(await socket.closed).toEqual({ code: 4429, reason: 'flood' })
  })
})

describe('keeping and ending', () => {
  test('is pinged, and dropped after two pings without an answer', async () => {
    const { engine, open, server, until } = await started()
    const [deaf, live] = [await open({ autoPong: false }), await open()]
    const pinged = (socket: SocketClient) => new Promise((resolve) => socket.ws.once('ping', resolve))
    for (let i = 0; i < 2; i++) {
      const both = [pinged(deaf), pinged(live)]
      engine.clock.advance(20_000)
      await Promise.all(both)
      live.send({ op: 'ping' })
      await live.take(1)
    }
    expect(server.held).toBe(2)
    engine.clock.advance(20_000)
    expect(await deaf.closed).toMatchObject({ code: 1006 })
    await until(() => server.held === 1)
    live.send({ op: 'ping' })
    expect(await live.take(1)).toEqual([{ op: 'pong' }])
  })

  test('1001 when the server stops, after the newest place', async () => {
    const { listening, open, submit } = await started()
    const socket = await open()
    socket.send({ op: 'subscribe', ref: 1, filter: { tag: 'never' } })
    const [{ id }] = await socket.take(1)
    await submit()
    await settled()
    const closing = listening.close()
    const last = await socket.next()
    expect(last).toMatchObject({ op: 'subscribed', ref: 1, complete: true })
    expect(last.id).not.toBe(id)
    expect(await socket.closed).toEqual({ code: 1001, reason: 'drain' })
    await closing
  })

  test('a peer that does not answer the close does not keep the server', async () => {
    const { engine, listening, open, until, server } = await started()
    const socket = await open()
    socket.ws.pause()
    const closing = listening.close()
    await settled()
    engine.clock.advance(10_000)
    await closing
    await until(() => server.held === 0)
    expect(engine.clock.armed).toBe(0)
  })

  test('1001 by age', async () => {
    const { engine, open } = await started({ random: () => 0, limits: { pingMs: 3_600_000 } })
    const socket = await open()
    engine.clock.advance(27 * 60_000)
    expect(await socket.closed).toEqual({ code: 1001, reason: 'age' })
  })

  test('4401 within 30 s after the key was revoked, 4403 when the session may no longer watch', async () => {
    const scopes = new Map<string, string[]>([['s1', ['jobs:read']]])
    const { engine, open } = await started({
      authenticate: (request) => {
        const id = request.headers.get('x-session')
        const held = id === null ? undefined : scopes.get(id)
        return held ? { tenant: 'default', actor: { kind: 'user', id: id! }, scopes: held as never, types: null } : null
      },
    })
    engine.addKey('a', ['jobs:read'])
    const [byKey, bySession] = [await open(as('a')), await open({ headers: { 'x-session': 's1' } })]
    await engine.revokeKey(null as never, 'key_a')
    scopes.set('s1', ['approvals:read'])
    engine.clock.advance(15_000)
    expect(await byKey.closed).toEqual({ code: 4401, reason: 'credential' })
    expect(await bySession.closed).toEqual({ code: 4403, reason: 'forbidden' })
  })

  test('4408 for a reader that does not read, while the others get everything', async () => {
    const { engine, open, submit, server, until } = await started({ limits: { streamBufferBytes: 50_000 } })
    const others = await Promise.all(Array.from({ length: 10 }, () => open()))
    const deaf = await open()
    const silent = await open()
    for (const socket of [...others, deaf, silent]) {
      socket.send({ op: 'subscribe', ref: 1, filter: { groupId: 'g' } })
      await socket.take(2)
    }
    deaf.ws.pause()
    silent.ws.pause()
    const id = await submit({ groupId: 'g' })
    for (const socket of others) await socket.take(1)
    // Large enough to fill what the kernel buffers for both ends of a connection.
    const operationKey = 'x'.repeat(400_000)
    for (let i = 0; i < 30; i++) {
      engine.change(id, { status: i % 2 === 0 ? 'processing' : 'blocked', operationKey })
      for (const socket of others) expect((await socket.next()).event.data.version).toBe(i + 2)
    }
    // Whoever reads again soon is told why; who does not is cut off.
    deaf.ws.resume()
    expect(await deaf.closed).toEqual({ code: 4408, reason: 'slow' })
    await until(() => server.held === 11)
    engine.clock.advance(10_000)
    await until(() => server.held === 10)
  })

  test('counted with the other streams of its key', async () => {
    const { listening, open, get } = await started({ limits: { streamsPerKey: 2 } })
    await open()
    const stream = await get('/v1/events/stream')
    expect(stream.status).toBe(200)
    const { refusal } = await SocketClient.open(`${listening.url}/v1/ws`)
    expect(refusal!.status).toBe(429)
    expect(await refusal!.json()).toMatchObject({ code: 'too-many-streams', params: { limit: 2 } })
    await stream.body!.cancel()
    await open()
  })

  test('a peer that goes away without a word gives its place back', async () => {
    const { engine, open, server, until, listening } = await started()
    const socket = await open()
    socket.send({ op: 'subscribe', ref: 1 })
    await socket.take(1)
    socket.ws.terminate()
    await until(() => server.held === 0)
    await listening.close()
    expect(engine.clock.armed).toBe(0)
  })
})
