/**
 * From an HTTP connection to a WebSocket. Our own code on purpose: whoever may not come in is told so in a problem before
 * the upgrade, and nothing that a stranger sends throws into the process.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { UntildoneError } from '../../core/index.js'
import type { UntildoneServer } from '../app.js'
import { type Admission, READERS, requireScope } from '../auth.js'
import { contextOf } from '../contexts.js'
import { failed, requestIdOf, respond } from '../dispatch.js'
import { readQuery, text } from '../query.js'
import type { ServerContext } from '../route.js'
import { Socket, SUBPROTOCOL } from './socket.js'

/** A listener for `upgrade` that says whether the connection is its own; one that is not is left as it is. */
export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean

/** A refusal that is not read is cut off. */
const LINGER_MS = 5000
const QUERY = { ticket: text('', 8000) }

/**
 * WebSockets of a server that is mounted in a program of its own; `listen` brings its own.
 * @example
 * http.on('upgrade', toUpgradeHandler(server))
 * @param server what createServer made
 */
export function toUpgradeHandler(server: UntildoneServer): UpgradeHandler {
  const context = contextOf(server)
  const { base, limits } = context.settings
  const address = `${base}/v1/ws`
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // A compressed text can be a thousand times larger than it came; and what we send is small.
    perMessageDeflate: false,
    maxPayload: limits.frameBytes,
    handleProtocols: () => SUBPROTOCOL,
  })
  sockets.on('wsClientError', (error, socket, incoming) => {
    const request = readable(incoming) ?? NOTHING
    refuse(context, new UntildoneError('malformed-request', `${error.message}.`), request, requestIdOf(request), socket)
  })
  return (incoming, socket, head) => {
    const [path] = (incoming.url ?? '').split('?', 1)
    const { upgrade } = incoming.headers
    if (path !== address || incoming.method !== 'GET' || upgrade?.toLowerCase() !== 'websocket') return false
    // Before anything else: an error of a socket that nobody listens to ends the process.
    socket.on('error', ignore)
    void answer(context, sockets, incoming, socket, head)
    return true
  }
}

function ignore(): void {}

/** Stands for a request that could not be read. */
const NOTHING = new Request('http://unreadable.invalid/')

async function answer(
  server: ServerContext,
  sockets: WebSocketServer,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const request = readable(incoming)
  const requestId = requestIdOf(request ?? NOTHING)
  let release = () => {}
  try {
    if (!request) throw new UntildoneError('malformed-request', 'The Host or the address of this request is not valid.')
    const admission = await admitted(server, request, incoming)
    if (!speaks(incoming)) throw new UntildoneError('upgrade-required', `Ask for the subprotocol ${SUBPROTOCOL}.`)
    if (admission.ticket) {
      await server.live.tickets.useUp(admission.ticket)
      if (server.draining) throw draining()
    }
    let opened: Socket | null = null
    release = server.holds.take(admission.caller, () => opened?.end('drain'))
    sockets.handleUpgrade(incoming, socket, head, (ws) => {
      opened = new Socket(ws, { server, admission, request, requestId, release })
    })
    // It was refused, or the peer has gone meanwhile.
    if (opened === null) release()
  } catch (error) {
    release()
    refuse(server, error, request ?? NOTHING, requestId, socket)
  }
}

/** @throws UntildoneError draining, unauthenticated, host-not-allowed, forbidden, malformed-request */
async function admitted(server: ServerContext, request: Request, incoming: IncomingMessage): Promise<Admission> {
  if (server.draining) throw draining()
  const { ticket } = readQuery(QUERY, request.url)
  const admission =
    ticket === undefined
      ? await server.gate.admit(request, { incoming }, true)
      : await server.gate.admitTicket(ticket, 'ws', request, { incoming })
  requireScope(admission.caller, READERS)
  if (server.draining) throw draining()
  return admission
}

function draining(): UntildoneError {
  return new UntildoneError('draining', undefined, { retryAfterMs: 2000 })
}

function speaks({ headers }: IncomingMessage): boolean {
  const offered = headers['sec-websocket-protocol'] ?? ''
  return offered.split(',').some((name) => name.trim() === SUBPROTOCOL)
}

/** The request as the rest of the server knows it; null when it cannot be one. */
function readable({ url, headers, rawHeaders, method }: IncomingMessage): Request | null {
  try {
    const given = new Headers()
    for (let i = 0; i < rawHeaders.length; i += 2) given.append(rawHeaders[i]!, rawHeaders[i + 1]!)
    return headers.host === undefined ? null : new Request(`http://${headers.host}${url}`, { method, headers: given })
  } catch {
    return null
  }
}

function refuse(server: ServerContext, error: unknown, request: Request, requestId: string, socket: Duplex): void {
  const reply = failed(server, error, request, requestId)
  const { status, headers } = respond(server, request, requestId, reply)
  const body = String(reply.body)
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, 'Connection: close']
  headers.forEach((value, name) => {
    lines.push(`${name}: ${value}`)
  })
  lines.push(`Content-Length: ${Buffer.byteLength(body)}`)
  if (socket.destroyed) return
  const linger = server.engine.clock.after(LINGER_MS, () => socket.destroy())
  socket.once('close', () => linger.cancel())
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
