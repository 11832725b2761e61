/**
 * One subscription of a socket: what came and waits for its reader, where it stands, and whether it can take more. Knows
 * no socket. Bounded: a reader that is too slow for the socket is parked, and goes on later from the last thing it has.
 */
import type { WireJob } from '../core/wire.js'
import type { JobEvent } from './events.js'
import { asEvent, asJob, type EventFilter, wantsEvent, wantsJob } from './filter.js'
import { Ledger } from './ledger.js'

/** A job as it is: at the beginning, and after the server no longer knew where the reader stood. */
export interface JobSnapshot {
  type: 'snapshot'
  job: WireJob
  /** As in events. */
  cursor: string | null
}

/** `if ('job' in item)` tells them apart. */
export type LiveItem = JobEvent | JobSnapshot

/** What a message of the server may carry besides its `op`. */
export interface ServerMessage {
  op?: unknown
  ref?: unknown
  id?: unknown
  job?: unknown
  event?: unknown
  problem?: unknown
  /** Of a large group only the newest jobs were told. */
  more?: unknown
}

const MOST_WAITING = 1000
/** Above this, progress is left out: it is told again anyway. */
const PROGRESS_UNTIL = 250

export class Subscription {
  readonly filter: EventFilter
  /** Number of the present subscription on the wire; null while there is none. */
  ref: number | null = null
  /** Failures in a row that the server said would pass. */
  troubles = 0
  /** Jobs that are still to be read from the list: more than the server tells. */
  owesJobs = false
  /** Where the reader goes on from when all that waits was read. */
  after: string | null
  private readonly ledger = new Ledger()
  private readonly waiting: LiveItem[] = []
  private failure: { error: unknown } | null = null
  private closed = false
  private wake: (() => void) | null = null
  private parked = false

  /** @param onRoom the reader has caught up after it was parked @param onClose the reader wants no more */
  constructor(
    filter: EventFilter,
    after: string | null,
    private readonly onRoom: () => void,
    private readonly onClose: () => void,
  ) {
    this.filter = filter
    this.after = after
  }

  /** Takes a message that belongs to it; false when there is no more room, and this one is to be had again later. */
  take(message: ServerMessage): boolean {
    const id = typeof message.id === 'string' ? message.id : null
    if (message.op === 'snapshot') return this.takeJob(asJob({ job: message.job }), id)
    if (message.op === 'event') return this.takeEvent(message.event, id)
    this.troubles = 0
    this.moveTo(id)
    if (message.more === true) this.owesJobs = true
    return true
  }

  private moveTo(id: string | null): void {
    if (id !== null) this.after = id
  }

  private takeJob(job: WireJob | null, id: string | null): boolean {
    if (!job || !wantsJob(this.filter, job)) return true
    if (!this.hasRoom()) return false
    this.moveTo(id)
    if (this.ledger.snapshot(job)) this.push({ type: 'snapshot', job, cursor: this.after })
    return true
  }

  private takeEvent(data: unknown, id: string | null): boolean {
    const event = asEvent(data)
    if (!event) return true
    if (event.type === 'job.progress' && this.waiting.length >= PROGRESS_UNTIL) return true
    if (!this.hasRoom()) return false
    this.moveTo(id)
    if (this.ledger.event(event) && wantsEvent(this.filter, event.type)) this.push({ ...event, cursor: this.after })
    return true
  }

  private hasRoom(): boolean {
    this.parked = this.waiting.length >= MOST_WAITING
    return !this.parked
  }

  private push(item: LiveItem): void {
    this.waiting.push(item)
    this.wake?.()
  }

  fail(error: unknown): void {
    this.failure ??= { error }
    this.wake?.()
  }

  /** What came before is still given. */
  close(): void {
    this.closed = true
    this.wake?.()
  }

  async *items(signal: AbortSignal | undefined): AsyncGenerator<LiveItem, void> {
    const onAbort = () => this.wake?.()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal?.throwIfAborted()
        const next = this.waiting.shift()
        if (next) {
          if (this.parked && this.waiting.length === 0) {
            this.parked = false
            this.onRoom()
          }
          yield next
        } else if (this.failure) throw this.failure.error
        else if (this.closed) return
        else await new Promise<void>((resolve) => (this.wake = resolve))
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.onClose()
    }
  }
}
