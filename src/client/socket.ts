/**
 * `client.socket`: many subscriptions over one WebSocket, for pages that show much at once. Connects when something is
 * subscribed, asks for a ticket each time (browsers cannot send headers), comes back after every cut and goes on from the
 * last thing each reader has. Reads only: what changes jobs goes over HTTP. Must never end because something on the way failed.
 */
import type { WireProblem } from '../core/wire.js'
import { UntildoneApiError } from './errors.js'
import { compact, type EventFilter } from './filter.js'
import { listAll } from './poll.js'
import { endsFollowing } from './retry.js'
import { StreamPace } from './stream.js'
import { type LiveItem, type ServerMessage, Subscription } from './subscription.js'
import { needsKey, type StreamTicket } from './ticket.js'
import type { Transport } from './transport.js'
import { type SocketLike, type WebSocketClass, webSocketClass } from './web-socket.js'

/** `idle`: nothing is subscribed. `waiting`: between two tries to connect. */
export type SocketState = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed'

export interface SocketOptions {
  /** Class of the sockets. @default the global one of browsers, Node 22 and edge runtimes; in Node 20 that of the package `ws` */
  WebSocket?: WebSocketClass
  /** Gives a ticket for `use: 'ws'`, which works once: called for each connection. @default asks the server, with the key of the client */
  ticket?: () => string | Promise<string>
  /** Told when the state changes, for a "connection lost" note. */
  onState?: (state: SocketState) => void
}

export interface SubscribeOptions {
  /** Cursor to go on from. @default from now on; with `groupId` or `jobId`, from those jobs as they are */
  after?: string
  /** Ends this subscription with its reason. */
  signal?: AbortSignal
}

export interface LiveSocket {
  readonly state: SocketState
  /**
   * Counts from the call on, not from the first reading. Ends with `close()`; leaving the loop ends the subscription.
   * @throws UntildoneApiError while reading, when the server refuses it
   */
  subscribe(filter?: EventFilter, options?: SubscribeOptions): AsyncIterableIterator<LiveItem>
  /** Ends all subscriptions and the connection. */
  close(): void
}

const PROTOCOL = 'untildone.v1'
/** The server answers a ping, so that silence means something. */
const PING_MS = 20_000
const SILENT_MS = 45_000
const OPEN_MS = 15_000
const TICKET_MS = 60_000

export function openSocket(transport: Transport, options: SocketOptions = {}): LiveSocket {
  const socket = new Socket(transport, options, webSocketClass(options.WebSocket))
  return {
    get state() {
      return socket.state
    },
    subscribe: (filter = {}, more = {}) => socket.subscribe(filter, more),
    close: () => socket.close(),
  }
}

class Socket {
  state: SocketState = 'idle'
  private readonly pace: StreamPace
  private readonly subscriptions = new Set<Subscription>()
  private refs = 0
  private link: SocketLike | null = null
  private run: AbortController | null = null
  private heardAt = 0
  private hadTicket = false

  constructor(
    private readonly transport: Transport,
    private readonly options: SocketOptions,
    private readonly WebSocket: WebSocketClass,
  ) {
    this.pace = new StreamPace(transport.clock)
  }

  subscribe(filter: EventFilter, { after, signal }: SubscribeOptions): AsyncIterableIterator<LiveItem> {
    if (this.state === 'closed') throw new TypeError('This socket was closed. Make another one: client.socket().')
    const subscription: Subscription = new Subscription(
      compact(filter),
      after ?? null,
      () => this.request(subscription),
      () => this.drop(subscription),
    )
    this.subscriptions.add(subscription)
    if (this.state === 'open') this.request(subscription)
    else if (!this.run) void this.keepConnected()
    return subscription.items(signal)
  }

  close(): void {
    this.say('closed')
    for (const subscription of this.subscriptions) subscription.close()
    this.subscriptions.clear()
    this.disconnect()
  }

  private disconnect(): void {
    this.run?.abort(new Error('The socket was closed.'))
    this.run = null
    this.link?.close(1000)
  }

  private say(state: SocketState): void {
    if (state === this.state || this.state === 'closed') return
    this.state = state
    this.options.onState?.(state)
  }

  private async keepConnected(): Promise<void> {
    const run = new AbortController()
    this.run = run
    const { clock } = this.transport
    try {
      while (!run.signal.aborted) {
        this.say('connecting')
        const ticket = await this.ticket(run.signal)
        const openedAt = clock.now()
        const code = ticket === null ? 1006 : await this.connection(ticket, run.signal)
        if (run.signal.aborted) return
        if (code === 4403) throw refused(403, 'forbidden', 'The server no longer lets this key read events.')
        // The server counts connections: whoever was one too many waits for longest.
        if (code === 4429) this.pace.troubles = Math.max(this.pace.troubles, 5)
        this.pace.ended(openedAt)
        this.say('waiting')
        await clock.sleep(this.pace.leftMs, run.signal)
      }
    } catch (error) {
      if (run.signal.aborted) return
      this.run = null
      for (const subscription of this.subscriptions) subscription.fail(error)
      this.subscriptions.clear()
      this.say('idle')
    }
  }

  /** A new ticket, or null when there is none now. @throws UntildoneApiError when there will be none */
  private async ticket(signal: AbortSignal): Promise<string | null> {
    const { ticket } = this.options
    if (ticket) {
      try {
        const given = await ticket()
        this.hadTicket = true
        return given
      } catch (error) {
        // A giver that has never worked will not begin to; later it is trouble like any other.
        if (!this.hadTicket || endsFollowing(error)) throw error
        return null
      }
    }
    if (this.transport.tickets) throw needsKey('a socket without `ticket`')
    const json = { filter: {}, use: 'ws', ttlMs: TICKET_MS }
    // A ticket changes nothing, so asking twice does no harm.
    const onTrouble = () => this.say('waiting')
    const call = { method: 'POST', path: '/v1/stream-tickets', json, signal, patient: true, onTrouble } as const
    return (await this.transport.json<StreamTicket>(call)).body.ticket
  }

  /** One connection from its opening to its end. Gives the code it was closed with. */
  private async connection(ticket: string, signal: AbortSignal): Promise<number> {
    const url = `${this.transport.base.replace(/^http/, 'ws')}/v1/ws?ticket=${encodeURIComponent(ticket)}`
    const link = new this.WebSocket(url, PROTOCOL)
    this.link = link
    const over = new AbortController()
    const ended = new Promise<number>((resolve) => {
      const end = (code: number) => {
        over.abort(new Error('The connection has ended.'))
        resolve(code)
      }
      let opened = false
      link.onopen = () => {
        opened = true
        this.begin(over.signal, end)
      }
      link.onmessage = ({ data }) => this.hear(data)
      // A close always follows an error, but not everywhere at once.
      link.onerror = () => end(1006)
      link.onclose = ({ code }) => end(code)
      this.limit(OPEN_MS, over.signal, () => opened || end(1006))
      signal.addEventListener('abort', () => end(1000), { once: true, signal: over.signal })
    })
    const code = await ended
    link.onopen = link.onmessage = link.onclose = null
    // Closing what is still being opened is an error of its own in some runtimes.
    link.onerror = () => {}
    link.close()
    // After a close and a new subscription there may be another one by now.
    if (this.link === link) {
      this.link = null
      for (const subscription of this.subscriptions) subscription.ref = null
    }
    return code
  }

  private limit(ms: number, signal: AbortSignal, act: () => void): void {
    this.transport.clock.sleep(ms, signal).then(act, () => {})
  }

  private begin(signal: AbortSignal, end: (code: number) => void): void {
    this.heardAt = this.transport.clock.now()
    this.say('open')
    for (const subscription of this.subscriptions) this.request(subscription)
    const watch = () => {
      const silence = this.transport.clock.now() - this.heardAt
      if (silence >= SILENT_MS) return end(1006)
      if (silence >= PING_MS) this.send({ op: 'ping' })
      this.limit(PING_MS, signal, watch)
    }
    this.limit(PING_MS, signal, watch)
  }

  private send(message: object): void {
    try {
      this.link?.send(JSON.stringify(message))
    } catch {
      // It is closing; the end of the connection says so.
    }
  }

  /** Subscribes on the wire, under a number of its own: what still comes for an old number is not for anybody. */
  private request(subscription: Subscription): void {
    if (this.state !== 'open' || subscription.ref !== null || !this.subscriptions.has(subscription)) return
    subscription.ref = ++this.refs
    const { ref, filter, after } = subscription
    this.send({ op: 'subscribe', ref, filter, ...(after === null ? {} : { after }) })
  }

  private release(subscription: Subscription): void {
    if (subscription.ref !== null) this.send({ op: 'unsubscribe', ref: subscription.ref })
    subscription.ref = null
  }

  private drop(subscription: Subscription): void {
    if (!this.subscriptions.delete(subscription)) return
    this.release(subscription)
    if (this.subscriptions.size > 0) return
    this.disconnect()
    this.say('idle')
  }

  private hear(data: unknown): void {
    this.heardAt = this.transport.clock.now()
    const message = parsed(data)
    const subscription = [...this.subscriptions].find(({ ref }) => ref !== null && ref === message?.ref)
    if (!message || !subscription) return
    if (message.op === 'error') this.refuse(subscription, message.problem)
    else if (!subscription.take(message)) this.release(subscription)
    else if (message.op === 'subscribed' && subscription.owesJobs) void this.readJobs(subscription)
  }

  /** Reads the jobs of a large group that the server does not tell; begun again when the reader was too slow for it. */
  private async readJobs(subscription: Subscription): Promise<void> {
    const { ref, filter } = subscription
    if (this.transport.tickets || !this.run) return
    const call = { signal: this.run.signal, patient: true }
    try {
      for await (const job of listAll(this.transport, filter, {}, call)) {
        if (subscription.ref !== ref) return
        if (!subscription.take({ op: 'snapshot', job })) return this.release(subscription)
      }
      subscription.owesJobs = false
    } catch {
      // Not allowed to list, or the connection has ended: then it is begun again with the next one.
    }
  }

  private refuse(subscription: Subscription, problem: unknown): void {
    const error = apiError(problem)
    subscription.ref = null
    if (!error.retryable) {
      this.subscriptions.delete(subscription)
      subscription.fail(error)
      return
    }
    const { clock } = this.transport
    const pause = Math.max(error.retryAfterMs ?? 0, Math.min(15_000, 500 * 2 ** subscription.troubles++))
    if (this.run) this.limit(pause * (1 + 0.5 * clock.random()), this.run.signal, () => this.request(subscription))
  }
}

function parsed(data: unknown): ServerMessage | null {
  try {
    return typeof data === 'string' ? (JSON.parse(data) as ServerMessage) : null
  } catch {
    return null
  }
}

function apiError(problem: unknown): UntildoneApiError {
  const told = (problem ?? {}) as Partial<WireProblem> & Record<string, unknown>
  const retryAfterMs = typeof told.retryAfterMs === 'number' ? told.retryAfterMs : null
  return new UntildoneApiError(told.status ?? 400, told, {
    requestId: null,
    retryAfterMs,
    retryable: told.retryable === true,
  })
}

function refused(status: number, code: string, detail: string): UntildoneApiError {
  const problem = { code, detail, fix: 'Use a key with the right jobs:read.' }
  return new UntildoneApiError(status, problem, { requestId: null, retryAfterMs: null, retryable: false })
}
