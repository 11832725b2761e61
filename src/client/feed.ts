/**
 * What happens to the jobs of a filter, without an end: one event stream where possible, else polls, and back to the
 * stream later. Resumes where it was after every cut. Delivers at least once and in any order between jobs; what was told
 * before is for its readers to leave out (ledger.ts). Must never end because something on the way failed.
 */
import type { WireEvent, WireJob } from '../core/wire.js'
import { type ClientClock, linked } from './clock.js'
import type { UntildoneApiError } from './errors.js'
import { asEvent, asJob, type EventFilter, queryOfFilter } from './filter.js'
import type { Connection } from './follow.js'
import { beginsWithAll, listAll, Poller } from './poll.js'
import { endsFollowing } from './retry.js'
import { type Frame, readFrames } from './sse.js'
import { openStream, SILENCE_MS, StreamPace } from './stream.js'
import type { Call, Transport } from './transport.js'

export type FeedItem =
  | { kind: 'event'; event: WireEvent; cursor: string | null }
  /** Its result may be left out. `before`: it was so before the reader began. */
  | { kind: 'job'; job: WireJob; before: boolean; cursor: string | null }
  /** From here on nothing that changes is missed. Given once. */
  | { kind: 'begun' }

export interface FeedOptions {
  /** Cursor to go on from. @default from now on */
  after?: string
  signal?: AbortSignal
  onConnection?: (connection: Connection) => void
  /** A stream that needs no filter. @default the stream of all jobs */
  path?: string
}

/** So many failures in a row, and polling begins. */
const ENOUGH_TROUBLES = 3

/** What ends a feed: the server has said no for good, or there never was a ticket. */
class Final extends Error {
  constructor(cause: unknown) {
    super('The feed has ended.', { cause })
  }
}

export class Feed {
  /** Where we stand: the server sees to it that nothing is missed from there on. Null: from now on. */
  private cursor: string | null
  private readonly clock: ClientClock
  private readonly pace: StreamPace
  private readonly poller: Poller
  private readonly call: Pick<Call, 'signal' | 'onTrouble'>
  private connection: Connection | null = null
  /** When the server opened the present stream, if all that comes over it is told from then on. */
  private openedAt: number | null = null
  private unsupported = false
  private begun = false
  private again: (() => void) | null = null

  constructor(
    private readonly transport: Transport,
    private readonly filter: EventFilter,
    private readonly options: FeedOptions,
  ) {
    const { signal, after = null } = options
    this.clock = transport.clock
    this.pace = new StreamPace(this.clock)
    this.cursor = after
    this.call = { signal, onTrouble: () => this.heard(false) }
    this.poller = new Poller(transport, filter, beginsWithAll(filter, after), this.call)
  }

  /** @throws UntildoneApiError when it may not be read, the abort reason */
  async *run(): AsyncGenerator<FeedItem, void> {
    for (;;) {
      this.options.signal?.throwIfAborted()
      if (this.pace.leftMs === 0) yield* this.streamOnce()
      else if (this.mustPoll) yield* this.pollOnce()
      else await this.clock.sleep(this.pace.leftMs, this.options.signal)
    }
  }

  /** A request beside the feed has failed, or has got through. */
  heard(through: boolean): void {
    // How we hear of the next change is said when that is known.
    if (!through) this.say('lost')
    else if (this.connection === 'lost') this.say('poll')
  }

  /** Has the server tell all jobs once more, on a new stream. */
  startAgain(): void {
    this.cursor = null
    this.again?.()
  }

  private get mustPoll(): boolean {
    return this.transport.tickets === null && (this.unsupported || this.pace.troubles >= ENOUGH_TROUBLES)
  }

  private say(connection: Connection): void {
    if (connection === this.connection) return
    this.connection = connection
    this.options.onConnection?.(connection)
  }

  private async *streamOnce(): AsyncGenerator<FeedItem, void> {
    const stop = linked(this.options.signal)
    const openedAt = this.clock.now()
    let again = false
    this.again = () => {
      again = true
      stop.abort(new Error('A new stream was asked for.'))
    }
    try {
      const body = await this.open(stop.signal)
      if (!body) return
      for await (const frame of readFrames(body, this.clock, SILENCE_MS)) {
        this.say('stream')
        if (frame.event === 'end') break
        yield* this.take(frame)
        if (again) return
      }
      this.pace.ended(openedAt)
    } catch (error) {
      if (this.options.signal?.aborted) throw this.options.signal.reason
      if (again) return
      if (error instanceof Final) throw error.cause
      this.say('lost')
      this.pace.ended(openedAt)
    } finally {
      this.again = null
      stop.abort()
      stop.release()
    }
  }

  private async open(signal: AbortSignal): Promise<ReadableStream<Uint8Array> | null> {
    const path = this.options.path ?? '/v1/events/stream'
    const query = this.options.path ? undefined : queryOfFilter(this.filter)
    const request = { path, query, lastEventId: this.cursor, signal }
    const opening = await openStream(this.transport, request).catch((error) => {
      throw new Final(error)
    })
    if (opening.kind === 'open') {
      this.unsupported = false
      this.openedAt = this.cursor === null ? opening.serverTime : null
      return opening.body
    }
    if (opening.kind === 'refused') this.refused(opening.error)
    else if (opening.kind === 'unsupported') this.notHere()
    else {
      // While polls get through, nothing is lost.
      if (this.connection !== 'poll') this.say('lost')
      this.pace.trouble(opening.kind === 'trouble' ? opening.retryAfterMs : null)
    }
    return null
  }

  private refused(error: UntildoneApiError): void {
    const { tickets } = this.transport
    if (tickets?.renew(error)) return
    // A server without this stream answers 404, and its lists still tell; without the right to read, nothing does.
    if (!tickets && error.status >= 404) this.notHere()
    else throw new Final(error)
  }

  private notHere(): void {
    this.unsupported = true
    this.pace.unsupported()
  }

  private async *take({ event, id, data }: Frame): AsyncGenerator<FeedItem, void> {
    if (id !== null) this.cursor = id
    if (event === 'ready') {
      const { complete, more } = (data ?? {}) as { complete?: boolean; more?: boolean }
      // A stream that breaks before it has told all jobs, or repeated all events, has told nothing about that time.
      if (complete !== false) this.poller.heardUntil(this.openedAt)
      yield* this.begin()
      // Of a large group only the newest jobs were told.
      if (more === true) yield* this.others()
    } else if (event === 'snapshot') {
      const job = asJob(data)
      if (job) yield { kind: 'job', job, before: false, cursor: this.cursor }
    } else {
      const told = asEvent(data)
      if (!told) return
      this.poller.heardUntil(Date.parse(told.time))
      yield { kind: 'event', event: told, cursor: this.cursor }
    }
  }

  private async *begin(): AsyncGenerator<FeedItem, void> {
    if (this.begun) return
    this.begun = true
    // Where the answer does not say what time it is (browsers hide that), the newest change does.
    const asksAll = beginsWithAll(this.filter, this.options.after ?? null)
    if (!asksAll && !this.poller.knowsSince && !this.transport.tickets) await this.poller.begin(false).catch(() => {})
    yield { kind: 'begun' }
  }

  private async *others(): AsyncGenerator<FeedItem, void> {
    if (this.transport.tickets) return
    try {
      for await (const job of listAll(this.transport, this.filter, {}, { ...this.call, patient: true }))
        yield { kind: 'job', job, before: false, cursor: this.cursor }
    } catch (error) {
      // A key that may read streams and no lists hears of the newest jobs only.
      if (!endsFollowing(error)) throw error
    }
  }

  private async *pollOnce(): AsyncGenerator<FeedItem, void> {
    for await (const { job, before } of this.poller.round()) {
      this.say('poll')
      yield { kind: 'job', job, before, cursor: this.cursor }
    }
    this.say('poll')
    yield* this.begin()
    await this.clock.sleep(Math.min(this.poller.pauseMs, Math.max(250, this.pace.leftMs)), this.options.signal)
  }
}
