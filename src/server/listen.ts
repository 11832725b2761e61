/**
 * Opens a port for a server, and closes it without cutting anybody off. Refuses to be reachable from other machines
 * while no API key exists.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, isIP, type Socket } from 'node:net'
import { UntildoneError } from '../core/index.js'
import type { UntildoneServer } from './app.js'
import { isLoopback } from './guard.js'
import { toUpgradeHandler } from './live/upgrade.js'
import { toNodeHandler } from './node.js'

export interface ListenOptions {
  /** 0 takes a free one. @default 4884 */
  port?: number
  /** Anything but a loopback address needs an API key first. @default '127.0.0.1' */
  host?: string
  /** How long requests under way may take to finish when closing, in milliseconds. @default 10 000 */
  graceMs?: number
  /** Keep the process's own Request and Response instead of the faster ones. @default false */
  keepGlobals?: boolean
}

export interface Listening {
  /** Where it can be reached, e.g. `http://127.0.0.1:4884`, with the mount prefix. */
  url: string
  host: string
  port: number
  readonly http: Server
  /** Takes no more connections, ends streams politely, answers the rest with `draining`; resolves when all are gone. */
  close(): Promise<void>
}

/**
 * @throws UntildoneError host-not-allowed, for an address that other machines can reach while there is no API key
 * @throws the error of the socket (EADDRINUSE …)
 */
export async function listen(server: UntildoneServer, options: ListenOptions = {}): Promise<Listening> {
  const { port = 4884, host = '127.0.0.1', graceMs = 10_000 } = options
  if (!isLoopback(host) && !server.settings.authenticate && !(await server.engine.keysExist())) {
    throw new UntildoneError(
      'host-not-allowed',
      `Not listening on ${host}:${port}: there is no API key yet, so everybody who can reach it would be an admin.`,
      {
        fix: 'Create a key first (untildone keys create --name ops --role admin), or listen on 127.0.0.1.',
        params: { host, port },
      },
    )
  }
  const handler = toNodeHandler(server, { globals: !options.keepGlobals })
  // An upload may take its time; a slow client without a key is refused before its body is read.
  const http = createHttpServer({ requestTimeout: 3_600_000, keepAliveTimeout: 65_000 }, (incoming, outgoing) => {
    silent.delete(incoming.socket)
    void handler(incoming, outgoing)
  })
  const upgrade = toUpgradeHandler(server)
  http.on('upgrade', (incoming: IncomingMessage, socket: Socket, head: Buffer) => {
    silent.delete(socket)
    if (!upgrade(incoming, socket, head)) asPlainRequest(http, incoming, socket, head)
  })
  // Browsers and undici open connections ahead; Node does not count one that never asked anything as idle.
  const silent = new Set<Socket>()
  http.on('connection', (socket: Socket) => {
    silent.add(socket)
    socket.once('close', () => silent.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, host, () => {
      http.off('error', reject)
      resolve()
    })
  })
  const address = http.address() as AddressInfo
  const name = isIP(host) === 6 ? `[${host}]` : host
  let closing: Promise<void> | undefined
  return {
    url: `http://${name}:${address.port}${server.settings.base}`,
    host,
    port: address.port,
    http,
    close: () => (closing ??= closeGently(server, http, silent, graceMs)),
  }
}

/**
 * Some clients offer an upgrade with each request (`Upgrade: h2c`) and are content without one. With a listener for
 * upgrades Node stops reading them, so they are handed back to it without the offer.
 */
function asPlainRequest(
  http: Server,
  { method, url, httpVersion, rawHeaders }: IncomingMessage,
  socket: Socket,
  head: Buffer,
): void {
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (!/^(connection|upgrade|http2-settings|sec-websocket-.*)$/i.test(name))
      lines.push(`${name}: ${rawHeaders[i + 1]}`)
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
  http.emit('connection', socket)
}

async function closeGently(server: UntildoneServer, http: Server, silent: Set<Socket>, graceMs: number): Promise<void> {
  await server.close()
  const closed = new Promise<void>((resolve) => http.close(() => resolve()))
  http.closeIdleConnections()
  const sweep = server.engine.clock.after(graceMs, () => http.closeAllConnections())
  // Connections that become idle only after their answer: look again until all are gone.
  const again = setInterval(() => {
    http.closeIdleConnections()
    for (const socket of silent) socket.destroy()
  }, 50)
  await closed
  clearInterval(again)
  sweep.cancel()
}
