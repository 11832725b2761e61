import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import dns from 'node:dns'
import { networkInterfaces } from 'node:os'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { TestClock } from '../testing/clock.js'
import { until } from '../testing/until.js'
import { closeAll, type Receiver, rawReceiver, receiver, tlsReceiver } from './fakes/receivers.js'
import { CERTIFICATE } from './fixtures/certificate.js'
import { type SendOptions, send } from './send.js'

const LOOPBACK = ['127.0.0.1']
const BODY = '{"id":"job-1:9","type":"job.completed"}'
let clock: TestClock
/** Answers of which the client has seen the status. */
let statuses: number
const seen = () => void statuses++

beforeEach(() => {
  clock = new TestClock()
  statuses = 0
  subscribe('http.client.response.finish', seen)
})
afterEach(async () => {
  unsubscribe('http.client.response.finish', seen)
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  await closeAll()
  expect(clock.timers).toBe(0)
  const handles = () => process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS|GetAddrInfo)/.test(name))
  await until(() => handles().length === 0, 'every handle to be closed', 3000)
})

const to = (url: string, more: Partial<SendOptions> = {}) => send({ url, body: BODY, clock, allow: LOOPBACK, ...more })
/** Whoever answers in bytes. */
const answering = (text: string) => rawReceiver((socket) => socket.end(text))
const named = (port: number, ...answers: string[]): [string, Partial<SendOptions>] => [
  `http://hooks.example:${port}/hooks`,
  { allowHttp: true, resolver: async () => answers },
]

describe('a delivery', () => {
  it('is one POST of exactly these bytes, with what belongs to it', async () => {
    const far = await receiver((_, response) => response.writeHead(200).end('thanks'))
    const headers = { 'Webhook-Id': 'job-1:9', 'Content-Type': 'application/cloudevents+json' }
    const result = await to(`${far.url}?team=a%20b`, { headers, body: 'Grüße' })
    expect(result).toEqual({
      ...{ delivered: true, status: 200, failure: null, message: null, fix: null, detail: null },
      ...{ durationMs: 0, retryAfterMs: null, bodyStart: 'thanks' },
    })
    expect(far.requests).toEqual([
      {
        ...{ method: 'POST', path: '/hooks?team=a%20b', body: 'Grüße' },
        headers: {
          host: `127.0.0.1:${far.port}`,
          'user-agent': 'Untildone-Webhooks',
          'content-type': 'application/cloudevents+json',
          'webhook-id': 'job-1:9',
          'accept-encoding': 'identity',
          'content-length': '7',
          connection: 'close',
        },
      },
    ])
  })

  it('of bytes, and of nothing', async () => {
    const far = await receiver((_, response) => response.writeHead(204).end())
    const bytes = new Uint8Array([0x7b, 0x7d])
    expect(await to(far.url, { body: bytes })).toMatchObject({ delivered: true, status: 204, bodyStart: '' })
    await to(far.url, { body: '' })
    expect(far.requests.map(({ body, headers }) => [body, headers['content-length']])).toEqual([
      ['{}', '2'],
      ['', '0'],
    ])
  })

  it('goes to the name of the URL, at the address that was looked up', async () => {
    const far = await receiver((_, response) => response.end())
    await to(...named(far.port, '127.0.0.1'))
    await to(`http://HOOKS.example.:${far.port}/`, named(far.port, '127.0.0.1')[1])
    expect(far.requests.map(({ headers }) => headers.host)).toEqual(Array(2).fill(`hooks.example:${far.port}`))
  })

  it('takes the first address that answers', async () => {
    const far = await receiver((_, response) => response.end())
    const result = await to(...named(far.port, '127.0.0.2', '127.0.0.1'))
    expect(result.failure).toBe('refused-address')
    const [url, more] = named(far.port, '127.0.0.2', '127.0.0.1')
    expect(await to(url, { ...more, allow: ['127.0.0.0/8'] })).toMatchObject({ delivered: true })
  })

  it('over IPv6 only', async (context) => {
    const six = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))
    if (!six) return context.skip('needs IPv6 on loopback; enable: sysctl net.ipv6.conf.lo.disable_ipv6=0')
    const far = await receiver((_, response) => response.end(), '::1')
    const [url, more] = named(far.port, '::1')
    expect(await to(url, { ...more, allow: ['::1'] })).toMatchObject({ delivered: true })
    expect(await to(far.url, { allow: ['::1'] })).toMatchObject({ delivered: true })
    expect(far.requests.map(({ headers }) => headers.host)).toEqual([`hooks.example:${far.port}`, `[::1]:${far.port}`])
  })

  it('looks localhost up where the operating system does', async () => {
    const far = await receiver((_, response) => response.end())
    expect(await to(`http://localhost:${far.port}/`, { allow: ['localhost'] })).toMatchObject({ delivered: true })
  })

  it.each(['Host', 'content-length', 'Transfer-Encoding', 'connection', 'Expect', 'Proxy-Authorization'])(
    'lets nobody set %s',
    async (name) => {
      await expect(to('https://hooks.example/', { headers: { [name]: 'x' } })).rejects.toThrow(
        `headers: ${name.toLowerCase()} is set by send itself.`,
      )
    },
  )

  it('refuses a line break in a header, and an entry of the allow list that is none', async () => {
    const far = await receiver((_, response) => response.end())
    await expect(to(far.url, { headers: { 'webhook-id': 'a\r\nx: y' } })).rejects.toThrow(TypeError)
    await expect(to(far.url, { allow: ['*'] })).rejects.toThrow(TypeError)
    expect(far.connections).toBe(0)
  })
})

describe('statuses', () => {
  it.each([200, 201, 202, 204, 299])('%i is delivered', async (status) => {
    const far = await receiver((_, response) => response.writeHead(status).end())
    expect(await to(far.url)).toMatchObject({ delivered: true, status, failure: null })
  })

  it.each([400, 404, 410, 429, 500, 502, 503, 600])('%i is an answer and not delivered', async (status) => {
    const far = await receiver((_, response) => response.writeHead(status).end('no\u001b[2J'))
    const expected = { delivered: false, status, failure: null, bodyStart: 'no\\u001b[2J' }
    expect(await to(far.url)).toMatchObject(expected)
  })

  it.each([
    [{ 'retry-after': '120' }, 120_000],
    [{ 'retry-after': 'Sun, 22 Nov 2026 09:02:00 GMT' }, 120_000],
    [{ 'retry-after': '99999999' }, 86_400_000],
    [{}, null],
  ])('503 with %j', async (headers, expected) => {
    const far = await receiver((_, response) => response.writeHead(503, headers).end())
    expect(await to(far.url)).toMatchObject({ status: 503, retryAfterMs: expected })
  })

  it('301 to itself is not followed, and says where it points', async () => {
    const far = await receiver((_, response) => response.writeHead(301, { location: '/hooks' }).end('x'))
    expect(await to(far.url)).toMatchObject({
      ...{ delivered: false, status: 301, failure: 'redirect', bodyStart: '' },
      message: 'It answered 301 and points to /hooks. Redirects are not followed.',
    })
    expect(far.requests).toHaveLength(1)
  })

  it.each([300, 302, 303, 304, 307, 308])('%i to somewhere else is not followed', async (status) => {
    const other = await receiver((_, response) => response.end())
    const far = await receiver((_, response) => response.writeHead(status, { location: other.url }).end())
    expect(await to(far.url)).toMatchObject({ status, failure: 'redirect' })
    expect(other.connections).toBe(0)
  })

  it('302 to the metadata of a cloud, with an address of any length', async () => {
    const location = `http://169.254.169.254/${'a'.repeat(5000)}`
    const far = await receiver((_, response) => response.writeHead(302, { location }).end())
    const { message, failure } = await to(far.url)
    expect(failure).toBe('redirect')
    expect(message!.length).toBeLessThan(300)
  })

  it('a redirect without an address, and one with an endless body', async () => {
    expect((await to((await answering('HTTP/1.1 302 Found\r\n\r\n')).url)).message).toMatch(/^It answered 302\. /)
    const far = await rawReceiver((socket) => endless(socket, 'HTTP/1.1 302 Found\r\n\r\n'))
    expect(await to(far.url)).toMatchObject({ failure: 'redirect' })
  })
})

describe('addresses', () => {
  it.each([
    ['http://127.0.0.1:1/', []],
    ['https://169.254.169.254/latest/meta-data/', LOOPBACK],
    ['https://[::ffff:127.0.0.1]/', LOOPBACK],
    ['https://localhost/', LOOPBACK],
    ['http://hooks.example/', LOOPBACK],
    ['file:///etc/passwd', LOOPBACK],
  ])('%s is refused before anything is looked up', async (url, allow) => {
    const resolver = vi.fn()
    const result = await to(url, { allow, resolver })
    expect(result).toMatchObject({ delivered: false, status: null, failure: 'refused-address', durationMs: 0 })
    expect(result.message).toBeTruthy()
    expect(result.fix).toBeTruthy()
    expect(resolver).not.toHaveBeenCalled()
  })

  it.each([
    ['a private answer', ['10.0.0.5'], '10.0.0.5'],
    ['a private answer among public ones', ['93.184.215.14', '10.0.0.5'], '10.0.0.5'],
    ['a private answer behind an allowed one', ['127.0.0.1', '10.0.0.5'], '10.0.0.5'],
    ['IPv4 written as IPv6', ['::ffff:127.0.0.1'], '::ffff:127.0.0.1'],
    ['a zone', ['fe80::1%lo'], 'fe80::1%lo'],
    ['no address at all', ['hooks.internal'], 'hooks.internal'],
  ])('%s: nothing is connected to', async (_, answers, detail) => {
    const far = await receiver((_, response) => response.end())
    const result = await to(...named(far.port, ...answers))
    expect(result).toMatchObject({ failure: 'refused-address', detail })
    expect(result.message).not.toContain(detail)
    expect(far.connections).toBe(0)
  })

  it('a name that changes its address is looked up once for each delivery, and judged each time', async () => {
    const far = await receiver((_, response) => response.end())
    const answers = [['127.0.0.1'], ['10.0.0.5'], ['127.0.0.1']]
    const resolver = vi.fn(async () => answers.shift()!)
    const system = vi.spyOn(dns, 'lookup')
    const [url] = named(far.port)
    const failures = []
    for (let n = 0; n < 3; n++) failures.push((await to(url, { allowHttp: true, resolver })).failure)
    expect(failures).toEqual([null, 'refused-address', null])
    expect(resolver.mock.calls).toEqual(Array(3).fill(['hooks.example']))
    expect(system).not.toHaveBeenCalled()
    expect(far.requests).toHaveLength(2)
  })

  it('no proxy of the environment is asked', async () => {
    const proxy = await receiver((_, response) => response.end())
    for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'])
      vi.stubEnv(name, name.startsWith('NODE') ? '1' : proxy.url)
    const far = await receiver((_, response) => response.end())
    expect(await to(far.url)).toMatchObject({ delivered: true })
    expect([far.connections, proxy.connections]).toEqual([1, 0])
  })

  it.each([
    ['ENOTFOUND', Object.assign(new Error('x'), { code: 'ENOTFOUND' })],
    ['EAI_AGAIN', Object.assign(new Error('x'), { code: 'EAI_AGAIN' })],
    [null, new Error('no network')],
    [null, undefined],
  ])('a look-up that fails: %s', async (detail, error) => {
    const resolver = () => Promise.reject(error)
    expect(await to('https://hooks.example/', { resolver })).toMatchObject({ failure: 'dns', detail, status: null })
  })

  it('a name without addresses, and a resolver that throws', async () => {
    const none = await to('https://hooks.example/', { resolver: async () => [] })
    expect(none).toMatchObject({ failure: 'dns', detail: 'ENOTFOUND' })
    const throws = () => {
      throw Object.assign(new Error('x'), { code: 'ESERVFAIL' })
    }
    expect(await to('https://hooks.example/', { resolver: throws })).toMatchObject({ failure: 'dns' })
  })
})

describe('connections', () => {
  it('nobody listens', async () => {
    const far = await receiver((_, response) => response.end())
    await closeAll()
    const result = await to(far.url)
    expect(result).toMatchObject({ failure: 'connect', detail: 'ECONNREFUSED', status: null })
    const [url, more] = named(far.port, '127.0.0.2', '127.0.0.1')
    const several = await to(url, { ...more, allow: ['127.0.0.0/8'] })
    expect(several).toMatchObject({ failure: 'connect', detail: 'ECONNREFUSED' })
    expect(several.message).not.toMatch(/127/)
  })

  it.each<[string, string | null, (socket: import('node:net').Socket) => void]>([
    ['reset at once', 'ECONNRESET', (socket) => socket.resetAndDestroy()],
    ['closed without a word', 'ECONNRESET', (socket) => socket.end()],
    ['closed inside the status line', null, (socket) => socket.end('HTTP/1.1 20')],
    ['closed inside the headers', null, (socket) => socket.end('HTTP/1.1 200 OK\r\nx: y\r\n')],
  ])('%s', async (_, detail, answer) => {
    const far = await rawReceiver(answer)
    const result = await to(far.url)
    expect(result).toMatchObject({ failure: 'reset', status: null })
    if (detail) expect(result.detail).toBe(detail)
  })

  it.each([
    ['HTTP/0.9', 'hello world\r\n'],
    ['SSH', 'SSH-2.0-OpenSSH_9.9\r\n'],
    ['SMTP', '220 mail.example ESMTP\r\n'],
    ['binary', '\u0000\u0001\u0002\u0003'],
    ['HTTP/3.0', 'HTTP/3.0 200 OK\r\n\r\n'],
    ['a status of letters', 'HTTP/1.1 OK\r\n\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx'],
    ['101 with Upgrade', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nfree bytes'],
    ['101 without', 'HTTP/1.1 101 Switching Protocols\r\n\r\nfree bytes'],
  ])('what is no answer: %s', async (_, text) => {
    expect(await to((await answering(text)).url)).toMatchObject({ failure: 'protocol', status: null, bodyStart: '' })
  })

  it('interim answers are not the answer, and not without end', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'
    const far = await answering(`HTTP/1.1 100 Continue\r\n\r\n${early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
    expect(await to(far.url)).toMatchObject({ delivered: true, status: 200, bodyStart: 'ok' })
    const busy = await rawReceiver((socket) => endless(socket, '', early))
    expect(await to(busy.url)).toMatchObject({ failure: 'protocol', detail: '103' })
  })
})

describe('TLS', () => {
  it('a certificate that nobody signed', async () => {
    // Would make every certificate good, if it were the default that counted.
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const far = await tlsReceiver()
    const result = await to(`https://127.0.0.1:${far.port}/`)
    expect(result).toMatchObject({ failure: 'tls', detail: 'DEPTH_ZERO_SELF_SIGNED_CERT', status: null })
  })

  it('a certificate that is trusted, with the name of the URL', async () => {
    const far = await tlsReceiver()
    const resolver = async () => LOOPBACK
    const trusting = { resolver, ca: CERTIFICATE }
    expect(await to(`https://hooks.example:${far.port}/`, trusting)).toMatchObject({ delivered: true, status: 204 })
    expect(await to(`https://127.0.0.1:${far.port}/`, trusting)).toMatchObject({ delivered: true })
    expect(far.names).toEqual(['hooks.example', false])
    const other = await to(`https://other.example:${far.port}/`, trusting)
    expect(other).toMatchObject({ failure: 'tls', detail: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  it('a receiver that speaks no TLS, or breaks off', async () => {
    const plain = await answering('HTTP/1.1 200 OK\r\n\r\n')
    expect(await to(`https://127.0.0.1:${plain.port}/`)).toMatchObject({ failure: 'tls' })
    const cut = await rawReceiver((socket) => socket.resetAndDestroy())
    expect(await to(`https://127.0.0.1:${cut.port}/`)).toMatchObject({ failure: 'tls', detail: 'ECONNRESET' })
  })
})

describe('the deadline', () => {
  /** Starts it, waits until it is where it should be, and lets the time pass. */
  async function late(url: string, there: () => unknown, more: Partial<SendOptions> = {}) {
    const sending = to(url, more)
    await until(there)
    await clock.advance((more.timeoutMs ?? 20_000) - 1)
    expect(clock.timers).toBe(1)
    await clock.advance(1)
    return sending
  }

  it('covers the look-up', async () => {
    const resolver = vi.fn(() => new Promise<string[]>(() => {}))
    const result = await late('https://hooks.example/', () => resolver.mock.calls.length, { resolver })
    expect(result).toMatchObject({ failure: 'timeout', message: 'The name was not looked up within 20 s.' })
    expect(result.durationMs).toBe(20_000)
  })

  it('covers the TLS handshake', async () => {
    const far = await rawReceiver(() => {})
    const result = await late(`https://127.0.0.1:${far.port}/`, () => far.bytes)
    expect(result).toMatchObject({ failure: 'timeout', message: 'The TLS handshake was not done within 20 s.' })
  })

  it('covers the status', async () => {
    const far = await receiver(() => {})
    const result = await late(far.url, () => far.requests.length, { timeoutMs: 1500 })
    expect(result).toMatchObject({ failure: 'timeout', status: null, message: 'There was no status within 1.5 s.' })
    expect(result.durationMs).toBe(1500)
  })

  it('covers headers that come byte by byte', async () => {
    let drip = () => {}
    const far = await rawReceiver((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx: ')
      drip = () => void socket.write('y')
    })
    const sending = to(far.url)
    await until(() => far.bytes)
    for (let second = 0; second < 20; second++) {
      drip()
      await clock.advance(1000)
    }
    expect(await sending).toMatchObject({ failure: 'timeout', status: null, durationMs: 20_000 })
  })

  it('cuts a body that comes byte by byte: the status has been said', async () => {
    let drip = () => {}
    const far = await receiver((_, response) => {
      response.writeHead(200).write('a')
      drip = () => void response.write('b')
    })
    const sending = to(far.url)
    await until(() => statuses)
    for (let second = 0; second < 20; second++) {
      drip()
      await clock.advance(1000)
    }
    const result = await sending
    expect(result).toMatchObject({ delivered: true, status: 200, failure: null, durationMs: 0 })
    expect(result.bodyStart).toMatch(/^ab*$/)
  })

  it('cuts a body that was announced and never comes, whatever the status', async () => {
    const head = 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 10737418240\r\nRetry-After: 9\r\n\r\n'
    const far = await rawReceiver((socket) => socket.write(head))
    const result = await late(far.url, () => statuses)
    expect(result).toMatchObject({ delivered: false, status: 500, failure: null, retryAfterMs: 9000 })
  })

  it('covers a receiver that does not take the body', async () => {
    let resume = () => {}
    const far = await rawReceiver((socket) => {
      socket.pause()
      resume = () => void socket.resume()
    })
    const result = await late(far.url, () => far.bytes, { body: 'x'.repeat(16 * 1024 * 1024) })
    expect(result).toMatchObject({ failure: 'timeout', message: 'There was no status within 20 s.' })
    // Or it would never hear that the connection is gone.
    resume()
  })
})

describe('what never ends, or is too large', () => {
  it('a body of ten gigabytes is cut at the limit', async () => {
    let written = 0
    const far = await rawReceiver((socket) => {
      endless(socket, 'HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n')
      socket.on('close', () => (written = socket.bytesWritten))
    })
    const result = await to(far.url)
    expect(result).toMatchObject({ delivered: true, status: 200, failure: null, bodyStart: 'x'.repeat(1024) })
    await until(() => written)
    expect(written).toBeLessThan(64 * 1024 * 1024)
  })

  it('a body up to the limit is read to its end, one byte more is not', async () => {
    for (const [bytes, ended] of [
      [1000, true],
      [1001, false],
    ] as const) {
      let whole: boolean | null = null
      const far = await rawReceiver((socket) => {
        // No end of the connection: only reading to the last byte makes the sender leave.
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${ended ? bytes : bytes + 1}\r\n\r\n${'y'.repeat(bytes)}`)
        socket.on('close', () => (whole = true))
      })
      expect(await to(far.url, { maxResponseBytes: 1000 })).toMatchObject({ delivered: true })
      await until(() => whole)
    }
  })

  it.each([
    ['endless chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\nz\r\n'],
    ['an endless extension of a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;', 'a'.repeat(1000)],
    ['endless trailers', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n', 'x: y\r\n'],
    ['a body until the connection ends', 'HTTP/1.1 200 OK\r\n\r\n', 'z'],
  ])('%s: cut, and delivered', async (_, head, again) => {
    const far = await rawReceiver((socket) => endless(socket, head, again))
    expect(await to(far.url)).toMatchObject({ delivered: true, status: 200, failure: null })
  })

  it.each([
    ['endless headers', 'HTTP/1.1 200 OK\r\n', 'x: y\r\n'],
    ['one endless header', 'HTTP/1.1 200 OK\r\nx: ', 'y'.repeat(1000)],
    ['an endless name of a header', 'HTTP/1.1 200 OK\r\n', 'x'.repeat(1000)],
  ])('%s', async (_, head, again) => {
    const far = await rawReceiver((socket) => endless(socket, head, again))
    expect(await to(far.url)).toMatchObject({ failure: 'response-too-large', status: null })
  })

  it.each([
    [15_000, 200],
    [17_000, null],
  ])('headers of %i bytes', async (bytes, status) => {
    const far = await answering(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: ${'y'.repeat(bytes)}\r\n\r\n`)
    expect((await to(far.url)).status).toBe(status)
  })

  it('a body that ends with its connection is read whole', async () => {
    expect((await to((await answering('HTTP/1.0 200 OK\r\n\r\nthanks')).url)).bodyStart).toBe('thanks')
  })

  it('nothing is decompressed', async () => {
    const far = await receiver((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(Buffer.from([0x1f, 0x8b, 0x08, 0x41]))
    })
    expect((await to(far.url)).bodyStart).toBe('\\u001f\ufffd\\u0008A')
  })

  it('a body that breaks off, or is not what its headers say, is still an answer', async () => {
    for (const answer of [
      'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense',
    ])
      expect(await to((await answering(answer)).url)).toMatchObject({ delivered: true, status: 200 })
  })

  it('a second answer behind the first is not read', async () => {
    const text = 'HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    expect(await to((await answering(text)).url)).toMatchObject({ status: 500, bodyStart: 'no' })
  })
})

describe('stopping it', () => {
  const reason = new Error('the worker drains')

  it('before it begins', async () => {
    const far = await receiver((_, response) => response.end())
    await expect(to(far.url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(far.connections).toBe(0)
  })

  it.each<[string, () => Promise<[string, () => unknown, Partial<SendOptions>?]>]>([
    [
      'while the name is looked up',
      async () => {
        const resolver = vi.fn(() => new Promise<string[]>(() => {}))
        return ['https://hooks.example/', () => resolver.mock.calls.length, { resolver }]
      },
    ],
    [
      'while the status is waited for',
      async () => {
        const far: Receiver = await receiver(() => {})
        return [far.url, () => far.requests.length]
      },
    ],
  ])('%s', async (_, prepare) => {
    const [url, there, more] = await prepare()
    const stop = new AbortController()
    const sending = to(url, { ...more, signal: stop.signal })
    await until(there)
    stop.abort(reason)
    await expect(sending).rejects.toBe(reason)
  })

  it('after the status: the answer is there', async () => {
    const far = await receiver((_, response) => void response.writeHead(200).write('a'))
    const stop = new AbortController()
    const sending = to(far.url, { signal: stop.signal })
    await until(() => statuses)
    stop.abort(reason)
    expect(await sending).toMatchObject({ delivered: true, status: 200 })
  })
})

/** Writes `head`, then `again` for ever, as fast as it is taken, until the other side is gone. */
function endless(socket: import('node:net').Socket, head: string, again = 'x'): void {
  const block = again.repeat(Math.ceil(65_536 / again.length))
  const more = () => {
    while (!socket.destroyed && socket.write(block));
  }
  socket.write(head)
  socket.on('drain', more)
  more()
}
