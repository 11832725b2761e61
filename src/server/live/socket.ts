/**
 * One WebSocket: several feeds over one connection, for watching only. Never ends the process and never grows without
 * bound: what cannot be read is answered, a reader who does not read is dropped, one who is gone is noticed.
 */
import { type Timer, UntildoneError, type WireJob } from '../../core/index.js'
import type { Admission } from '../auth.js'
import { asUntildone, problemOf } from '../problem.js'
import { underBase } from '../reply.js'
import type { ServerContext } from '../route.js'
import { Feed, type Ready, type Sink } from './feed.js'
import { Filter } from './filter.js'
import { type ClientFrame, parseFrame, type Ref, readFrame, refIn } from './frames.js'
import type { Item } from './news.js'
import { lifeOf, report } from './stream.js'

export const SUBPROTOCOL = 'untildone.v1'

/** Close codes, with the word that goes along. */
const CODES = { age: 1001, drain: 1001, unreadable: 4400, credential: 4401, forbidden: 4403, slow: 4408, flood: 4429 }
type Why = keyof typeof CODES

/** After a close, a peer that does not answer is cut off. */
const LINGER_MS = 10_000
/** So long we wait for a reader to catch up before it counts as one that does not read. */
const ROOM_MS = 30_000
/** Texts that cannot be read, in a row. */
const UNREADABLE = 3
/** More texts than these in 10 s are a flood; a client that comes back subscribes a hundred times at once. */
const FLOOD = 500
const FLOOD_MS = 10_000

/** The little of a `ws` that is used; its own types are not in the package. */
export interface WebSocketLike {
  readonly bufferedAmount: number
  on(event: 'error' | 'close' | 'pong', listener: () => void): unknown
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown
  send(text: string, done: () => void): void
  ping(): void
  close(code: number, reason: string): void
  terminate(): void
}

export interface Opening {
  server: ServerContext
  admission: Admission
  request: Request
  requestId: string
  /** Gives the place back. */
  release(): void
}

export class Socket {
  readonly #ws: WebSocketLike
  readonly #opening: Opening
  readonly #feeds = new Map<Ref, Feed>()
  readonly #life: Timer
  readonly #unguard: () => void
  #beat: Timer | null = null
  #linger: Timer | null = null
  #roomWaiters: (() => void)[] = []
  #unanswered = 0
  #unreadable = 0
  #texts = 0
  #textsSince = 0
  #closed = false

  constructor(ws: WebSocketLike, opening: Opening) {
    this.#ws = ws
    this.#opening = opening
    const { server, admission, request } = opening
    const { clock } = server.engine
    // The library closes after each error; what is left to do is done on close.
    ws.on('error', () => {})
    ws.on('close', () => this.#gone())
    ws.on('pong', () => {
      this.#unanswered = 0
    })
    ws.on('message', (data, isBinary) => this.#heard(isBinary ? null : String(data)))
    this.#life = clock.after(lifeOf(server), () => this.end('age'))
    const credential = server.gate.credentialOf(admission, request)
    this.#unguard = server.live.credentials.guard(credential, (standing) =>
      this.end(standing === 'void' ? 'credential' : 'forbidden'),
    )
    this.#arm()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Closes with the code for it; what was sent before still arrives, at a reader that reads. */
  end(why: Why): void {
    if (this.#closed) return
    if (CODES[why] === 1001) this.#bookmarks()
    this.#close()
    this.#ws.close(CODES[why], why)
    this.#linger = this.#opening.server.engine.clock.after(LINGER_MS, () => this.#ws.terminate())
  }

  /** @param text JSON @param droppable left out while the reader is behind */
  send(text: string, droppable = false): void {
    if (this.#closed || (droppable && this.#isBehind)) return
    this.#ws.send(text, this.#drained)
    if (this.#ws.bufferedAmount > this.#maxBytes) this.end('slow')
  }

  /** Resolves when the reader has caught up, or the socket is closed, which it is when that takes too long. */
  room(): Promise<void> {
    if (this.#closed || !this.#isBehind) return Promise.resolve()
    return new Promise((resolve) => {
      const late = this.#opening.server.engine.clock.after(ROOM_MS, () => this.end('slow'))
      this.#roomWaiters.push(() => {
        late.cancel()
        resolve()
      })
    })
  }

  /** One subscription could not go on; the others do. */
  fail(ref: Ref, error: unknown): void {
    this.#feeds.delete(ref)
    this.#refuse(ref, error)
  }

  get #maxBytes(): number {
    return this.#opening.server.settings.limits.streamBufferBytes
  }

  get #isBehind(): boolean {
    return this.#ws.bufferedAmount > this.#maxBytes / 4
  }

  readonly #drained = (): void => {
    if (this.#roomWaiters.length === 0 || this.#isBehind) return
    this.#letGo()
  }

  #letGo(): void {
    const waiters = this.#roomWaiters
    this.#roomWaiters = []
    for (const resolve of waiters) resolve()
  }

  #arm(): void {
    const { engine, settings } = this.#opening.server
    this.#beat = engine.clock.after(settings.limits.pingMs, () => {
      if (this.#unanswered === 2) return this.#ws.terminate()
      this.#unanswered++
      this.#ws.ping()
      this.#bookmarks()
      this.#arm()
    })
  }

  /** Whoever was told nothing for long has an old place; with a new one it is told less when it comes back. */
  #bookmarks(): void {
    for (const [ref, feed] of this.#feeds) {
      const id = feed.bookmark()
      if (id !== null) this.send(JSON.stringify({ op: 'subscribed', ref, id, complete: true }))
    }
  }

  #heard(text: string | null): void {
    if (this.#closed || this.#isFlood()) return
    let ref: Ref | null = null
    try {
      if (text === null) throw new UntildoneError('malformed-request', 'Send texts; binary frames say nothing here.')
      const value = parseFrame(text)
      ref = refIn(value)
      const frame = readFrame(value)
      this.#unreadable = 0
      this.#obey(frame)
    } catch (error) {
      this.#refuse(ref, error)
      const { code } = asUntildone(error)
      if (code !== 'malformed-request' && code !== 'validation-failed') return
      if (++this.#unreadable >= UNREADABLE) this.end('unreadable')
    }
  }

  #isFlood(): boolean {
    const now = this.#opening.server.engine.clock.monotonic()
    if (now - this.#textsSince >= FLOOD_MS) {
      this.#textsSince = now
      this.#texts = 0
    }
    if (++this.#texts <= FLOOD) return false
    this.end('flood')
    return true
  }

  /** @throws UntildoneError malformed-request, too-many-streams */
  #obey(frame: ClientFrame): void {
    if (frame.op === 'ping') this.send('{"op":"pong"}')
    else if (frame.op === 'subscribe') this.#subscribe(frame)
    else {
      this.#feeds.get(frame.ref)?.stop()
      this.#feeds.delete(frame.ref)
    }
  }

  #subscribe({ ref, filter: asked = {}, after = null }: Extract<ClientFrame, { op: 'subscribe' }>): void {
    const { server, admission } = this.#opening
    const { engine, live, settings } = server
    const { subscriptions } = settings.limits
    if (this.#feeds.has(ref)) {
      throw new UntildoneError('malformed-request', `The ref ${JSON.stringify(ref)} is in use.`, {
        fix: 'Give each subscription a ref of its own, or unsubscribe first.',
      })
    }
    if (this.#feeds.size >= subscriptions) {
      throw new UntildoneError('too-many-streams', `${subscriptions} subscriptions are open on this socket.`, {
        fix: 'Unsubscribe from one, or widen the filter of another.',
        params: { limit: subscriptions },
      })
    }
    const filter = new Filter(admission.ticket ? [asked, admission.ticket.filter] : [asked])
    const sink = new SocketSink(this, ref, settings.base)
    const onError = (error: unknown) => {
      report(this.#opening, error)
      this.fail(ref, error)
    }
    const feed = new Feed({ engine, watcher: live.watcher, caller: admission.caller, filter, sink, onError })
    this.#feeds.set(ref, feed)
    void feed.run(after).finally(() => sink.close())
  }

  #refuse(ref: Ref | null, error: unknown): void {
    const { server, requestId } = this.#opening
    const { base, random } = server.settings
    const problem = problemOf(asUntildone(error), { requestId, base, random })
    this.send(JSON.stringify({ op: 'error', ref, problem }))
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#life.cancel()
    this.#beat?.cancel()
    this.#unguard()
    for (const feed of this.#feeds.values()) feed.stop()
    this.#feeds.clear()
    this.#letGo()
  }

  #gone(): void {
    this.#close()
    this.#linger?.cancel()
    this.#opening.release()
  }
}

class SocketSink implements Sink {
  readonly #socket: Socket
  readonly #ref: string
  readonly #base: string
  #ended = false

  constructor(socket: Socket, ref: Ref, base: string) {
    this.#socket = socket
    this.#ref = JSON.stringify(ref)
    this.#base = base
  }

  get closed(): boolean {
    return this.#ended || this.#socket.closed
  }

  close(): void {
    this.#ended = true
  }

  ready(id: string, data: Ready): void {
    this.#say('subscribed', `"id":${JSON.stringify(id)},${JSON.stringify(data).slice(1, -1)}`)
  }

  reset(): void {
    if (!this.closed) this.#socket.send(`{"op":"reset","ref":${this.#ref}}`)
  }

  snapshot(job: WireJob): void {
    this.#say('snapshot', `"job":${JSON.stringify(underBase(job, this.#base))}`)
  }

  event({ id, json }: Item): void {
    this.#say('event', `"id":${JSON.stringify(id)},"event":${json}`)
  }

  progress({ json }: Item): void {
    this.#say('event', `"event":${json}`, true)
  }

  room(): Promise<void> {
    return this.#socket.room()
  }

  end(): void {
    this.close()
  }

  #say(op: string, rest: string, droppable = false): void {
    if (!this.closed) this.#socket.send(`{"op":"${op}","ref":${this.#ref},${rest}}`, droppable)
  }
}
