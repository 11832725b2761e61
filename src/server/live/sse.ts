/**
 * Server-sent events: frames into a bounded queue that a socket drains. Knows bytes and back-pressure, not jobs. A queue
 * that passes its limit ends the stream with `slow`; it never grows without bound.
 */
import type { Clock, Timer } from '../../core/index.js'
import { frameOf } from './news.js'

const encoder = new TextEncoder()

/** After a polite end, a reader that still does not read is cut off. */
const LINGER_MS = 10_000
/** So long we wait for a reader to catch up before it counts as one that does not read. */
const ROOM_MS = 30_000

export interface ChannelOptions {
  clock: Clock
  maxBytes: number
  heartbeatMs: number
  /** Called once, however the stream ends. */
  onClose: () => void
  /** Drops the connection under the stream, where there is one to drop. */
  cutOff?: () => void
  /** A frame to send instead of the heartbeat's comment, if there is something to say. */
  pulse?: () => string | null
}

export class Channel {
  readonly body: ReadableStream<Uint8Array>
  readonly #options: ChannelOptions
  #controller!: ReadableStreamDefaultController<Uint8Array>
  #heart: Timer | null = null
  #linger: Timer | null = null
  #roomWaiters: (() => void)[] = []
  #closed = false

  constructor(options: ChannelOptions) {
    this.#options = options
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => this.#drained(),
        cancel: () => this.#close(),
      },
      { highWaterMark: options.maxBytes, size: (chunk) => chunk.byteLength },
    )
    this.#write('retry: 2000\n\n')
    this.#beat()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Bytes that wait for the reader. */
  get backlog(): number {
    return this.#options.maxBytes - (this.#controller.desiredSize ?? this.#options.maxBytes)
  }

  get #isBehind(): boolean {
    return this.backlog > this.#options.maxBytes / 4
  }

  /** Sends one frame. A droppable one is left out while the reader is behind. */
  send(event: string, data: unknown, id: string | null, droppable = false): void {
    if (this.#closed || (droppable && this.#isBehind)) return
    this.#write(frameOf(event, JSON.stringify(data), id))
    this.#endIfSlow()
  }

  /** Sends a frame that is written out already. */
  push(frame: Uint8Array, droppable = false): void {
    if (this.#closed || (droppable && this.#isBehind)) return
    this.#controller.enqueue(frame)
    this.#endIfSlow()
  }

  /** Resolves when the reader has caught up, or the stream has ended, which it does when that takes too long. */
  room(): Promise<void> {
    if (this.#closed || !this.#isBehind) return Promise.resolve()
    return new Promise((resolve) => {
      const late = this.#options.clock.after(ROOM_MS, () => this.end('slow'))
      this.#roomWaiters.push(() => {
        late.cancel()
        resolve()
      })
    })
  }

  /** Says why and closes. What is queued is still delivered, to a reader that reads. */
  end(reason: string): void {
    if (this.#closed) return
    this.#write(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`)
    const behind = this.#isBehind
    this.#controller.close()
    this.#close()
    if (behind) this.#linger = this.#options.clock.after(LINGER_MS, () => this.#cutOff())
  }

  /** The reader has gone: nothing more is sent and everything is given back. */
  abandon(): void {
    if (this.#closed) return
    this.#close()
    this.#controller.close()
  }

  #endIfSlow(): void {
    if (this.backlog > this.#options.maxBytes) this.end('slow')
  }

  #write(frame: string): void {
    this.#controller.enqueue(encoder.encode(frame))
  }

  #beat(): void {
    this.#heart = this.#options.clock.after(this.#options.heartbeatMs, () => {
      if (this.#closed) return
      // A reader that is behind has bytes on the way, which say as much.
      if (this.backlog === 0) this.#write(this.#options.pulse?.() ?? ': still here\n\n')
      this.#beat()
    })
  }

  #drained(): void {
    if (this.#isBehind) return
    const waiters = this.#roomWaiters
    if (waiters.length === 0) return
    this.#roomWaiters = []
    for (const resolve of waiters) resolve()
  }

  #close(): void {
    this.#linger?.cancel()
    if (this.#closed) return
    this.#closed = true
    this.#heart?.cancel()
    for (const resolve of this.#roomWaiters) resolve()
    this.#roomWaiters = []
    this.#options.onClose()
  }

  #cutOff(): void {
    const { cutOff } = this.#options
    if (cutOff) cutOff()
    // Does nothing when it was read to the end meanwhile.
    else this.#controller.error(new Error('the reader did not read'))
  }
}
