import { createServer as createHttpServer, request as httpRequest, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
// @ts-expect-error express 5 comes without types, and these tests need none of them
import express from 'express'
import Fastify from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import type { UntildoneServer } from './app.js'
import { FakeEngine } from './fakes/engine.js'
import { GREET, harness, settled } from './fakes/harness.js'
import { createServer, DEFAULT_LIMITS, type Listening, listen, type ServerOptions, toNodeHandler } from './index.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function started(
  options: ServerOptions = {},
  engine = new FakeEngine(),
): Promise<{ listening: Listening; server: UntildoneServer; engine: FakeEngine; url: string }> {
  const { server } = harness(options, engine)
  const opened = await listen(server, { port: 0, keepGlobals: true })
  cleanups.push(() => opened.close())
  cleanups.push(() => engine.dispose())
  return { listening: opened, server, engine, url: opened.url }
}

const post = (url: string, body: BodyInit, headers: Record<string, string> = {}, more: object = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
    ...more,
  } as RequestInit)

/** What must be the same wherever it is mounted. */
function behaves(where: string, mount: (server: UntildoneServer) => Promise<string>): void {
  describe(where, () => {
    const made = async () => {
      const engine = new FakeEngine()
      cleanups.push(() => engine.dispose())
      const { server } = harness({ basePath: '/background', limits: { bodyBytes: 50_000, inputBytes: 5000 } }, engine)
      return { engine, server, url: `${await mount(server)}/background` }
    }

    test('submits, reads and refuses', async () => {
      const { url, engine } = await made()
      const answer = await post(`${url}/v1/jobs`, JSON.stringify(GREET), { 'idempotency-key': 'k' })
      expect(answer.status).toBe(202)
      const job = (await answer.json()) as { id: string; links: { self: string; stream: string } }
      expect(answer.headers.get('location')).toBe(`/background/v1/jobs/${job.id}`)
      expect(job.links.stream).toBe(`/background/v1/jobs/${job.id}/events/stream`)
      const read = await fetch(new URL(job.links.self, url))
      expect(read.status).toBe(200)
      expect((await fetch(`${url}/v1/jobs/${job.id}`, { headers: { 'if-none-match': '"1"' } })).status).toBe(304)
      expect(
        await (
          await post(`${url}/v1/jobs`, JSON.stringify({ type: 'greet', input: { name: 'x'.repeat(6000) } }))
        ).json(),
      ).toMatchObject({ code: 'payload-too-large', docs: '/background/problems/payload-too-large' })
      expect(await (await post(`${url}/v1/jobs`, JSON.stringify({ ...GREET, nope: 1 }))).json()).toMatchObject({
        code: 'validation-failed',
      })
      expect(await (await fetch(`${url}/v1/nope`)).json()).toMatchObject({ code: 'not-found' })
      expect((await post(`${url}/v1/jobs/${job.id}/cancel`, '', {})).status).toBe(200)
      expect(engine.jobs.size).toBe(1)
    })

    test('streams, and hears when the reader hangs up', async () => {
      const { url, engine, server } = await made()
      const { id } = (await (await post(`${url}/v1/jobs`, JSON.stringify(GREET))).json()) as { id: string }
      const gone = new AbortController()
      const stream = await fetch(`${url}/v1/jobs/${id}/events/stream`, { signal: gone.signal })
      const reader = stream.body!.getReader()
      const decoder = new TextDecoder()
      let text = ''
      const until = async (wanted: string) => {
        while (!text.includes(wanted)) text += decoder.decode((await reader.read()).value, { stream: true })
      }
      await until('event: snapshot')
      engine.change(id, { status: 'processing' })
      await until('event: job.processing')
      expect(server.held).toBe(1)
      gone.abort()
      while (server.held > 0) await settled(1)
    })

    test('takes files of any type, streamed', async () => {
      const { url, engine } = await made()
      const bytes = new Uint8Array(300_000).fill(7)
      const file = (await (await post(`${url}/v1/files`, bytes, { 'content-type': 'application/pdf' })).json()) as {
        file: string
        bytes: number
      }
      expect(file.bytes).toBe(300_000)
      const part = await fetch(`${url}/v1/files/${file.file}`, { headers: { range: 'bytes=299998-' } })
      expect(part.status).toBe(206)
      expect(new Uint8Array(await part.arrayBuffer())).toEqual(new Uint8Array([7, 7]))
      const whole = Buffer.from(await (await fetch(`${url}/v1/files/${file.file}`)).arrayBuffer())
      expect(whole.equals(bytes)).toBe(true)
      expect(engine.calls).not.toContain('submit')
    })

    test('a request that a rebound name brings here is refused', async () => {
      const { url } = await made()
      const status = await new Promise((resolve) => {
        httpRequest(`${url}/v1`, { headers: { host: 'evil.example' } }, (answer) =>
          resolve(answer.resume().statusCode),
        ).end()
      })
      expect(status).toBe(403)
    })
  })
}

behaves('node:http', (server) => listening(createHttpServer(toNodeHandler(server))))

behaves('Express 5', (server) => listening(createHttpServer(express().use('/background', toNodeHandler(server)))))

behaves('Express 5 behind express.json()', (server) =>
  listening(createHttpServer(express().use(express.json()).use('/background', toNodeHandler(server)))),
)

behaves('Express 5 without its own prefix', (server) =>
  listening(createHttpServer(express().use(toNodeHandler(server)))),
)

behaves('Fastify 5', async (server) => {
  const fastify = Fastify()
  const handler = toNodeHandler(server)
  fastify.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
    scope.all('/background/*', (request, reply) => {
      reply.hijack()
      return handler(request.raw, reply.raw)
    })
  })
  cleanups.push(() => {
    fastify.server.closeAllConnections()
    return fastify.close()
  })
  return fastify.listen({ port: 0, host: '127.0.0.1' })
})

behaves('a fetch handler of another framework', async (server) => {
  // What Next, Bun or a Hono app do: hand over a standard Request, with the whole URL.
  const http = createHttpServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const gone = new AbortController()
    outgoing.on('close', () => gone.abort())
    const url = `http://${incoming.headers.host}${incoming.url}`
    const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined
    const answer = await server.fetch(
      new Request(url, {
        method: incoming.method!,
        headers: incoming.headers as Record<string, string>,
        body,
        signal: gone.signal,
      }),
    )
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers))
    if (answer.body) for await (const chunk of answer.body) outgoing.write(chunk)
    outgoing.end()
  })
  return listening(http)
})

behaves('listen()', async (server) => {
  const opened = await listen(server, { port: 0, keepGlobals: true })
  cleanups.push(() => opened.close())
  return `http://127.0.0.1:${opened.port}`
})

describe('in a host application', () => {
  test('paths that are not ours go on to the next handler', async () => {
    const { server } = harness()
    const app = express()
      .use(toNodeHandler(server))
      .get('/hello', (_request: unknown, response: { send(text: string): void }) => response.send('hi'))
    const url = await listening(createHttpServer(app))
    expect(await (await fetch(`${url}/hello`)).text()).toBe('hi')
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect((await fetch(`${url}/v1/nope`)).headers.get('content-type')).toBe('application/problem+json')
  })

  test('a body that somebody else read and did not keep is explained', async () => {
    const { server } = harness()
    const handler = toNodeHandler(server)
    const url = await listening(
      createHttpServer((incoming, outgoing) => void incoming.resume().on('end', () => handler(incoming, outgoing))),
    )
    expect(await (await post(`${url}/v1/jobs`, JSON.stringify(GREET))).json()).toMatchObject({
      code: 'malformed-request',
      fix: expect.stringContaining('before the body parser'),
    })
  })

  test('the globals of the host are left alone', async () => {
    const before = globalThis.Response
    const { server } = harness()
    await (await fetch(`${await listening(createHttpServer(toNodeHandler(server)))}/healthz`)).text()
    expect(globalThis.Response).toBe(before)
  })
})

describe('listen', () => {
  test('refuses to be reachable without a key, and says what to do', async () => {
    const engine = new FakeEngine()
    const server = createServer(engine)
    for (const host of ['0.0.0.0', '::', '192.0.2.7']) {
      await expect(listen(server, { host, port: 0 })).rejects.toMatchObject({
        code: 'host-not-allowed',
        fix: expect.stringContaining('untildone keys create'),
      })
    }
    engine.addKey('k', ['admin'])
    const opened = await listen(server, { host: '0.0.0.0', port: 0, keepGlobals: true })
    cleanups.push(() => opened.close())
    expect(opened.url).toBe(`http://0.0.0.0:${opened.port}`)
  })

  test('a port that is taken is an error, not an event', async () => {
    const { listening: first } = await started()
    const { server } = harness()
    await expect(listen(server, { port: first.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  test('a chunked body is capped while it is read, and the refusal arrives', async () => {
    const { url, engine } = await started({ limits: { bodyBytes: 10_000 } })
    const body = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(5000).fill(32)) })
    const answer = await post(`${url}/v1/jobs`, body, {}, { duplex: 'half' }).catch((error: Error) => error)
    // undici may notice the closed connection first; then there is no answer to read, but nothing was stored either.
    if (answer instanceof Response) expect(answer.status).toBe(413)
    expect(engine.jobs.size).toBe(0)
  })

  test('an upload that ends early leaves nothing', async () => {
    const { listening: opened, engine } = await started()
    let failed: unknown
    const add = engine.addFile.bind(engine)
    engine.addFile = (...args) =>
      add(...args).catch((error) => {
        failed = error
        throw error
      })
    const socket = connect(opened.port, '127.0.0.1')
    socket.write('POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nContent-Type: a/b\r\n\r\nhalf')
    while (!socket.bytesWritten) await settled(1)
    await settled()
    socket.destroy()
    while (failed === undefined) await settled(1)
    expect(failed).toMatchObject({ code: 'ECONNRESET' })
  })

  test('a request without a Host is a problem in JSON', async () => {
    const { listening: opened } = await started()
    const text = await new Promise<string>((resolve) => {
      let received = ''
      const socket = connect(opened.port, '127.0.0.1', () => socket.write('GET /v1 HTTP/1.0\r\n\r\n'))
      socket.on('data', (chunk) => (received += chunk)).on('close', () => resolve(received))
    })
    expect(text).toContain('400 Bad Request')
    expect(text).toContain('"code":"malformed-request"')
  })

  test('closes gently: streams end, new requests are draining, everything is gone after', async () => {
    const { listening: opened, url, engine, server } = await started()
    const { id } = (await (await post(`${url}/v1/jobs`, JSON.stringify(GREET))).json()) as { id: string }
    const stream = await fetch(`${url}/v1/jobs/${id}/events/stream`)
    const poll = fetch(`${url}/v1/jobs/${id}?wait=30`)
    while (server.held < 2) await settled(1)
    const closing = opened.close()
    expect(await stream.text()).toMatch(/event: end\ndata: \{"reason":"drain"\}\n\n$/)
    expect((await poll).status).toBe(200)
    await (await poll).arrayBuffer()
    await closing
    expect(server.held).toBe(0)
    expect(engine.listeners).toBe(0)
    await expect(fetch(`${url}/healthz`)).rejects.toThrow()
    expect((await server.fetch(new Request('http://localhost/v1/jobs'))).status).toBe(503)
  })
})

test('the limits are exported, for those who configure', () => {
  expect(DEFAULT_LIMITS).toMatchObject({
    bodyBytes: 1_048_576,
    batchBytes: 5_242_880,
    inputBytes: 262_144,
    waitMs: 55_000,
  })
})
