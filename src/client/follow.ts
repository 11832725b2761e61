/**
 * Following one job until it is done: an event stream where possible, else long-polls, else paced polls, and back to the
 * stream later. All three are only hints about when to look; "done" is read from the job resource and from nothing else,
 * so a closed stream, an `end` frame or a proxy's error can never be taken for the end of the job. (With a ticket there is
 * nothing but streams: watch-jobs.ts.)
 */
import type { WireEvent, WireJob } from '../core/wire.js'
import { type ClientClock, linked } from './clock.js'
import { UntildoneApiError } from './errors.js'
import { endsFollowing } from './retry.js'
import { Snapshot, type Wait } from './snapshot.js'
import { readFrames } from './sse.js'
import { openStream, SILENCE_MS, StreamPace } from './stream.js'
import { needsKey } from './ticket.js'
import type { Transport } from './transport.js'
import { watchByTicket } from './watch-jobs.js'

/** How we hear about changes right now; `lost` = not at all, and we keep trying. */
export type Connection = 'stream' | 'long-poll' | 'poll' | 'lost'

export interface FollowOptions {
  /** Snapshot to start from; given, it is the first one that comes out. */
  from?: WireJob
  /** False: no event stream, and long-polls that answer only at the end; for waiting without looking. @default true */
  stream?: boolean
  /** Members beyond the plain job; the stream then serves as a hint only. */
  include?: readonly string[]
  signal?: AbortSignal
  onConnection?: (connection: Connection) => void
}

// Proxies cut silent requests after 30 to 60 s.
const HOLD_S = 25
const HOLD_AGAIN_MS = 60_000
const ENOUGH_TROUBLES = 3
const SOON_MS = 250

/** Snapshots of a job, each newer than the one before, ending with the final one. @throws UntildoneApiError, the abort reason */
export function followJob(transport: Transport, id: string, options: FollowOptions): AsyncGenerator<WireJob, void> {
  if (transport.tickets) {
    if (options.include?.length) throw needsKey(`what include: ['${options.include.join("', '")}'] asks for`)
    return watchByTicket(transport, id, options)
  }
  return new Follower(transport, id, options).run(options.stream ?? true)
}

class Follower {
  private readonly clock: ClientClock
  private readonly seen: Snapshot
  private readonly signal: AbortSignal | undefined
  private connection: Connection | null = null
  private lastEventId: string | null = null
  private readonly pace: StreamPace
  /** No long-poll before this instant. */
  private holdAt = 0
  /** Held requests in a row that came to nothing. */
  private holdTroubles = 0

  constructor(
    private readonly transport: Transport,
    private readonly id: string,
    private readonly options: FollowOptions,
  ) {
    this.clock = transport.clock
    this.pace = new StreamPace(this.clock)
    this.signal = options.signal
    const onTrouble = () => this.say('lost')
    const reading = { include: options.include ?? [], signal: this.signal, onTrouble }
    this.seen = new Snapshot(transport, id, reading, options.from ?? null)
  }

  async *run(stream: boolean): AsyncGenerator<WireJob, void> {
    if (!this.seen.job) await this.look()
    if (!stream) this.pace.never()
    yield this.seen.job!
    while (!this.seen.job!.done) {
      this.signal?.throwIfAborted()
      if (this.pace.leftMs === 0) {
        yield* this.streamOnce()
        if (!this.seen.job!.done && (await this.look())) yield this.seen.job!
      } else if (await this.betweenStreams()) yield this.seen.job!
    }
  }

  /** Reads the job as often as it takes. */
  private async look(): Promise<boolean> {
    const changed = await this.seen.refresh()
    // It got through again; how we hear of the next change is said when that is known.
    if (this.connection === 'lost') this.say('poll')
    return changed
  }

  private say(connection: Connection): void {
    if (connection === this.connection) return
    this.connection = connection
    this.options.onConnection?.(connection)
  }

  /** Reads one stream to its end and sets when to open the next. */
  private async *streamOnce(): AsyncGenerator<WireJob, void> {
    const stop = linked(this.signal)
    const openedAt = this.clock.now()
    try {
      const path = `/v1/jobs/${encodeURIComponent(this.id)}/events/stream`
      const opening = await openStream(this.transport, { path, lastEventId: this.lastEventId, signal: stop.signal })
      // The reader looks at the job next, and that decides what a refusal or "nothing followed" means.
      if (opening.kind === 'trouble') return this.pace.trouble(opening.retryAfterMs)
      if (opening.kind === 'nothing') return this.pace.trouble()
      if (opening.kind !== 'open') return this.pace.unsupported()
      for await (const frame of readFrames(opening.body, this.clock, SILENCE_MS)) {
        this.say('stream')
        if (frame.id !== null) this.lastEventId = frame.id
        if (frame.event === 'end') break
        if (frame.event === 'reset') this.lastEventId = null
        else if (await this.heed(frame.event, frame.data)) yield this.seen.job!
        if (this.seen.job!.done) return
      }
      this.pace.ended(openedAt)
    } catch (error) {
      if (this.signal?.aborted) throw this.signal.reason
      // What refresh() threw inside is about the job, not about the stream.
      if (error instanceof UntildoneApiError) throw error
      this.pace.ended(openedAt)
    } finally {
      stop.abort()
      stop.release()
    }
  }

  /** Acts on one frame; true when there is a newer snapshot. */
  private async heed(event: string, data: unknown): Promise<boolean> {
    const plain = (this.options.include ?? []).length === 0
    const frame = (data ?? {}) as { job?: WireJob; data?: WireEvent['data'] }
    if (plain && event === 'snapshot' && frame.job?.id === this.id && !frame.job.done) return this.seen.adopt(frame.job)
    if (plain && event === 'job.progress' && frame.data && this.seen.progressed(frame as WireEvent)) return true
    return this.look()
  }

  /** One long-poll or one paced poll; true when there is a newer snapshot. */
  private async betweenStreams(): Promise<boolean> {
    const { leftMs } = this.pace
    if (this.clock.now() >= this.holdAt) {
      const seconds = Math.max(1, Math.min(HOLD_S, Math.ceil(leftMs / 1000)))
      const wait: Wait = { seconds, until: this.pace.isNever ? 'done' : 'change' }
      const begun = this.clock.now()
      try {
        const changed = await this.seen.hold(wait)
        this.say('long-poll')
        if (changed || this.clock.now() - begun > seconds * 500) {
          this.holdTroubles = 0
          return changed
        }
        // Answered at once with nothing new: by a server that goes down, or something on the way holds no requests.
        this.holdTrouble()
        await this.clock.sleep(SOON_MS * (1 + this.clock.random()), this.signal)
      } catch (error) {
        if (this.signal?.aborted || endsFollowing(error)) throw error
        this.holdTrouble()
      }
      return this.look()
    }
    const pause = Math.max(250, this.seen.pauseMs * (0.8 + 0.4 * this.clock.random()))
    await this.clock.sleep(Math.min(pause, Math.max(250, leftMs)), this.signal)
    const changed = await this.look()
    this.say('poll')
    return changed
  }

  /** A restart cuts off what is held, so one is no sign that holding does not work here. */
  private holdTrouble(): void {
    if (++this.holdTroubles >= ENOUGH_TROUBLES) this.holdAt = this.clock.now() + HOLD_AGAIN_MS
  }
}
