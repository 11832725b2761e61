/**
 * Receivers on loopback for the tests of send: whatever an answer can be, down to the bytes. They count what reached
 * them, and `closeAll` fails when a connection is still open, because then the sender has left it behind.
 */
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createRawServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { until } from '../../testing/until.js'
import { CERTIFICATE, KEY } from '../fixtures/certificate.js'

export interface Receiver {
  port: number
  /** `http://127.0.0.1:<port>/hooks` */
  url: string
  /** Connections so far, closed ones included. */
  connections: number
  /** Bytes that came, of all connections. */
  bytes: number
  /** Requests that were read; raw receivers have none. */
  requests: { method: string; path: string; headers: IncomingMessage['headers']; body: string }[]
}

const open: Server[] = []

async function started(server: Server, host = '127.0.0.1'): Promise<Receiver> {
  open.push(server)
  const receiver: Receiver = { port: 0, url: '', connections: 0, bytes: 0, requests: [] }
  server.on('connection', (socket: Socket) => {
    receiver.connections++
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  receiver.port = (server.address() as AddressInfo).port
  receiver.url = `http://${host.includes(':') ? `[${host}]` : host}:${receiver.port}/hooks`
  return receiver
}

/** Reads each request whole, then lets `answer` speak HTTP. */
export async function receiver(answer: RequestListener, host?: string): Promise<Receiver> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { method = '', url: path = '', headers } = request
    started.requests.push({ method, path, headers, body: Buffer.concat(chunks).toString() })
    answer(request, response)
  })
  const started = await startedOf(server, host)
  return started
}

/** Speaks bytes: `answer` gets the socket once the first bytes of the request are there. */
export async function rawReceiver(answer: (socket: Socket) => void): Promise<Receiver> {
  const server = createRawServer((socket) => {
    socket.once('data', () => answer(socket))
    socket.on('data', (chunk) => (raw.bytes += chunk.length))
  })
  const raw = await startedOf(server)
  return raw
}

/** Over TLS, with a certificate that nobody trusts; `names` are those that were asked for by SNI. */
export async function tlsReceiver(): Promise<Receiver & { names: (string | false | null)[] }> {
  const names: (string | false | null)[] = []
  const server = createTlsServer({ cert: CERTIFICATE, key: KEY }, (socket) => {
    names.push(socket.servername)
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n'))
  })
  server.on('tlsClientError', () => {})
  return Object.assign(await startedOf(server), { names })
}

const startedOf = started

/** Ends the receivers. The sender has let go of every connection by then, or this waits in vain. */
export async function closeAll(): Promise<void> {
  for (const server of open.splice(0)) {
    const count = () => new Promise<number>((resolve) => server.getConnections((_, n) => resolve(n)))
    await until(async () => (await count()) === 0, 'the sender to close its connections', 3000)
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
}
