import { createServer as createHttpServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { FakeEngine } from '../fakes/engine.js'
import { GREET, harness, settled } from '../fakes/harness.js'
import { SocketClient } from '../fakes/socket.js'
import { listen, type ServerOptions, toNodeHandler, toUpgradeHandler } from '../index.js'

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
  return { ...h, engine, listening, url: `${listening.url}/v1/ws` }
}

async function refusal(url: string, options?: Parameters<typeof SocketClient.open>[1]) {
  const { refusal: answer } = await SocketClient.open(url, options)
  expect(answer, 'it was let in').not.toBeNull()
  expect(answer!.headers.get('content-type')).toBe('application/problem+json')
  return { status: answer!.status, headers: answer!.headers, problem: (await answer!.json()) as any }
}

/** What comes back over a bare connection until it is closed. */
function raw(port: number, text: string | Buffer, more?: (socket: Socket) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(text)
      more?.(socket)
    })
    let got = ''
    socket.on('data', (chunk) => (got += String(chunk)))
    socket.on('error', () => {})
    socket.on('close', () => resolve(got))
    cleanups.push(() => socket.destroy())
  })
}

const UPGRADE = (more = '') =>
  `GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${more}\r\n`
const GOOD =
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: untildone.v1\r\n'

describe('whoever may not come in is told so before the upgrade', () => {
  test('without the subprotocol: 426 with what to do', async () => {
    const { url, server } = await started()
    for (const protocols of [[], ['other'], ['untildone.v2', 'xuntildone.v1']]) {
      const { status, problem, headers } = await refusal(url, { protocols })
      expect(status).toBe(426)
      expect(headers.get('upgrade')).toBe('websocket')
      expect(problem).toMatchObject({ code: 'upgrade-required', fix: 'Connect with the subprotocol untildone.v1.' })
    }
    const { socket } = await SocketClient.open(url, { protocols: ['other', 'untildone.v1'] })
    expect(socket!.ws.protocol).toBe('untildone.v1')
    expect(socket!.ws.extensions).toBe('')
    expect(server.held).toBe(1)
  })

  test('a plain GET: 426; a POST: 405', async () => {
    const { listening } = await started()
    const answer = await fetch(`${listening.url}/v1/ws`)
    expect(answer.status).toBe(426)
    expect(answer.headers.get('upgrade')).toBe('websocket')
    expect(await answer.json()).toMatchObject({ code: 'upgrade-required' })
    expect((await fetch(`${listening.url}/v1/ws`, { method: 'POST' })).status).toBe(405)
  })

  test('without a key, with a wrong one: 401; without the scope: 403', async () => {
    const { engine, url, server } = await started()
    engine.addKey('good', ['jobs:read'])
    engine.addKey('approver', ['approvals:read'])
    for (const authorization of [undefined, 'Bearer wrong', 'Basic x']) {
      const { status, problem, headers } = await refusal(url, { headers: authorization ? { authorization } : {} })
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
      expect(problem).toMatchObject({
        code: 'unauthenticated',
        instance: expect.stringMatching(/^urn:untildone:request:/),
      })
    }
    expect((await refusal(url, { headers: { authorization: 'Bearer approver' } })).problem).toMatchObject({
      code: 'forbidden',
      params: { requiredScope: 'jobs:read' },
    })
    expect(server.held).toBe(0)
    expect((await SocketClient.open(url, { headers: { authorization: 'Bearer good' } })).refusal).toBeNull()
  })

  test('a page of another site: 403, with and without keys of its own', async () => {
    const { url } = await started()
    expect((await refusal(url, { headers: { origin: 'https://evil.example' } })).problem.code).toBe('host-not-allowed')
    const bad = await refusal(url, { headers: { host: 'evil.example' } })
    expect(bad).toMatchObject({ status: 403, problem: { code: 'host-not-allowed' } })
    const session = await started({
      authenticate: () => ({ tenant: 'default', actor: { kind: 'user', id: 'u' }, scopes: ['jobs:read'], types: null }),
      cors: { origins: ['https://app.example'] },
    })
    // A browser sends the cookie of a session along, whoever asks.
    expect((await refusal(session.url, { headers: { origin: 'https://evil.example' } })).status).toBe(403)
    expect((await SocketClient.open(session.url, { headers: { origin: 'https://app.example' } })).refusal).toBeNull()
  })

  test('a stopping server: 503; an unknown parameter: 400', async () => {
    const { url, server } = await started()
    expect((await refusal(`${url}?token=x`)).problem).toMatchObject({ code: 'malformed-request' })
    await server.close()
    const { status, headers } = await refusal(url)
    expect(status).toBe(503)
    expect(headers.get('retry-after')).toBe('2')
  })

  test('trouble in the store: 503 or 500, and the log hears of it without what was in the address', async () => {
    const engine = new FakeEngine()
    const reports: unknown[] = []
    const { server } = harness({ onError: (error, about) => reports.push({ error, about }) }, engine)
    const listening = await listen(server, { port: 0, keepGlobals: true })
    cleanups.push(() => listening.close())
    engine.addKey('k', ['jobs:read'])
    engine.standing = () => Promise.reject(new Error('disk gone'))
    const ticket = `udt_${engine.seal('ticket', { use: 'ws', id: '1', expiresAt: 8e15, filter: {}, holder: { key: 'key_k' } }, { is: 'ticket' })}`
    const { status, problem } = await refusal(`${listening.url}/v1/ws?ticket=${ticket}`)
    expect(status).toBe(500)
    expect(JSON.stringify(problem)).not.toContain('disk')
    expect(reports).toHaveLength(1)
    expect(JSON.stringify(reports)).not.toContain(ticket.slice(4, 40))
  })
})

describe('a handshake that is none', () => {
  test.each([
    ['no key', UPGRADE('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: untildone.v1\r\n'), 400],
    ['a bad key', UPGRADE(GOOD.replace('dGhlIHNhbXBsZSBub25jZQ==', 'nope')), 400],
    ['another version', UPGRADE(GOOD.replace('13', '99')), 400],
    ['no Host', UPGRADE(GOOD).replace('Host: localhost\r\n', '').replace('HTTP/1.1', 'HTTP/1.0'), 400],
    ['an impossible Host', UPGRADE(GOOD).replace('localhost', 'a b@[c'), 400],
  ])('%s is answered with a problem', async (_what, text, status) => {
    const { listening, server } = await started()
    const got = await raw(listening.port, text)
    expect(got).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(got).toContain('"code":"')
    expect(server.held).toBe(0)
    expect((await SocketClient.open(`${listening.url}/v1/ws`)).refusal).toBeNull()
  })

  test.each([
    ['a reset in the middle', true, (socket: Socket) => void socket.resetAndDestroy()],
    ['an end in the middle', true, (socket: Socket) => void socket.end()],
    ['a reset in the middle of a refused', false, (socket: Socket) => void socket.resetAndDestroy()],
    ['an end in the middle of a refused', false, (socket: Socket) => void socket.end()],
  ])('%s admission leaves nothing behind', async (_what, isAdmitted, act) => {
    const { engine, listening, server } = await started()
    if (!isAdmitted) engine.addKey('k', ['jobs:read'])
    let go = () => {}
    const { keysExist } = engine
    engine.keysExist = async () => {
      await new Promise<void>((resolve) => (go = resolve))
      return keysExist.call(engine)
    }
    const gone = raw(listening.port, UPGRADE(GOOD), act)
    for (let i = 0; i < 20; i++) await settled(1)
    engine.keysExist = keysExist.bind(engine)
    go()
    await gone
    await settled(10)
    while (server.held > 0) await settled(1)
    const { refusal: next } = await SocketClient.open(`${listening.url}/v1/ws`)
    expect(next === null).toBe(isAdmitted)
  })

  test('bytes that are no frames close that socket and no other', async () => {
    const { listening, server } = await started()
    const { socket } = await SocketClient.open(`${listening.url}/v1/ws`)
    // Unmasked, reserved bits, a control frame that is too long.
    for (const bytes of ['810474657374', 'f18000000000', '89fe00800000000000']) {
      const got = await raw(listening.port, Buffer.concat([Buffer.from(UPGRADE(GOOD)), Buffer.from(bytes, 'hex')]))
      expect(got).toMatch(/^HTTP\/1\.1 101 /)
    }
    while (server.held > 1) await settled(1)
    socket!.send({ op: 'ping' })
    expect(await socket!.next()).toEqual({ op: 'pong' })
  })

  test('a refusal that nobody reads is cut off', async () => {
    const { engine, listening, server } = await started()
    await server.close()
    const stuck = connect({ port: listening.port, host: '127.0.0.1', allowHalfOpen: true })
    cleanups.push(() => stuck.destroy())
    stuck.on('error', () => {})
    stuck.write(UPGRADE(GOOD))
    await settled(20)
    engine.clock.advance(5000)
    await listening.close()
    expect(engine.clock.armed).toBe(0)
  })
})

describe('an upgrade to something else is declined in silence', () => {
  // What some clients do with each of their requests.
  const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n'

  test('GET and POST with a body are answered as ever, over one connection', async () => {
    const { listening, engine } = await started()
    const body = JSON.stringify({ ...GREET, metadata: { long: 'x'.repeat(400) } })
    const post = `POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n${H2C}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
    const next = [
      `GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\n${H2C}\r\n`,
      'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    ]
    const got = await raw(listening.port, `${post}${body.slice(0, 50)}`, (socket) => {
      setImmediate(() => socket.write(body.slice(50)))
      socket.on('data', () => socket.write(next.shift() ?? ''))
    })
    expect(got.match(/HTTP\/1\.1 (\d+)/g)).toEqual(['HTTP/1.1 202', 'HTTP/1.1 200', 'HTTP/1.1 200'])
    expect(engine.jobs.size).toBe(1)
  })

  test('a WebSocket at another address gets what is there', async () => {
    const { listening } = await started()
    const { refusal: answer } = await SocketClient.open(`${listening.url}/v1/nope`)
    expect(answer!.status).toBe(404)
    expect(await answer!.json()).toMatchObject({ code: 'not-found' })
  })
})

describe('in a program of the host', () => {
  async function mounted(others: (server: Server) => void = () => {}) {
    const engine = new FakeEngine()
    const { server } = harness({ basePath: '/background' }, engine)
    const http = createHttpServer((incoming, outgoing) => {
      void toNodeHandler(server)(incoming, outgoing)
    })
    others(http)
    const upgrade = toUpgradeHandler(server)
    const left: string[] = []
    http.on('upgrade', (incoming, socket, head) => {
      if (upgrade(incoming, socket, head)) return
      left.push(incoming.url!)
      socket.destroy()
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => {
      http.closeAllConnections()
      http.close()
    })
    cleanups.push(() => server.close())
    return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, left, server }
  }

  test('takes its own address and leaves the others', async () => {
    const { url, left } = await mounted()
    expect((await SocketClient.open(`${url}/background/v1/ws`)).refusal).toBeNull()
    for (const path of ['/v1/ws', '/background/v1/wsx', '/hot-reload'])
      await expect(SocketClient.open(url + path)).rejects.toThrow()
    expect(left).toEqual(['/v1/ws', '/background/v1/wsx', '/hot-reload'])
  })

  test('is made of what createServer made, and of nothing else', () => {
    expect(() => toUpgradeHandler({} as never)).toThrow('createServer')
  })
})
