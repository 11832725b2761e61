/**
 * `client.watchJobs` and `client.watchGroup`: snapshots of many jobs. Events say only that something happened; the job is
 * then read, several at a time, so that a burst of changes does not queue up behind single answers. Each job's snapshots
 * get newer and end with its final one. Must never make up a member that no server sent.
 */
import type { WireEvent, WireGroup, WireJob } from '../core/wire.js'
import { linked } from './clock.js'
import { UntildoneApiError } from './errors.js'
import { Feed, type FeedItem, type FeedOptions } from './feed.js'
import { type EventFilter, namesJobs, wantsJob } from './filter.js'
import { Ledger } from './ledger.js'
import { listAll } from './poll.js'
import { endsFollowing } from './retry.js'
import { withProgress } from './snapshot.js'
import { needsKey } from './ticket.js'
import type { Transport } from './transport.js'

const AT_ONCE = 8
/** So many changes may wait for a slow reader before the stream is left unread. */
const MOST_WAITING = 500
const REMEMBERED = 10_000
/** With a ticket a job can only be read by a new stream. */
const STREAMS_APART_MS = 1000

/** @throws UntildoneApiError when it may not be read, the abort reason */
export function watchJobs(
  transport: Transport,
  filter: EventFilter,
  options: FeedOptions,
): AsyncGenerator<WireJob, void> {
  return new JobWatch(transport, filter, options).run()
}

/** One job by a ticket: nothing but its stream may be read, so its end is that of a snapshot. */
export async function* watchByTicket(
  transport: Transport,
  id: string,
  options: FeedOptions,
): AsyncGenerator<WireJob, void> {
  const path = `/v1/jobs/${encodeURIComponent(id)}/events/stream`
  for await (const job of watchJobs(transport, { jobId: [id] }, { ...options, path })) {
    if (job.id !== id) continue
    yield job
    if (job.done) return
  }
}

/** Ends when the final snapshot of each job was given. Only the server knows how many they are. */
export async function* untilGroupDone(
  transport: Transport,
  groupId: string,
  jobs: AsyncIterable<WireJob>,
  signal: AbortSignal | undefined,
): AsyncGenerator<WireJob, void> {
  if (transport.tickets) throw needsKey("`until: 'done'`")
  const path = `/v1/groups/${encodeURIComponent(groupId)}`
  const open = new Set<string>()
  const ended = new Set<string>()
  for await (const job of jobs) {
    yield job
    if (job.done) open.delete(job.id)
    else open.add(job.id)
    if (job.done) ended.add(job.id)
    if (open.size > 0 || !job.done) continue
    const { body } = await transport.json<WireGroup>({ path, signal, patient: true })
    if (body.total <= ended.size) return
  }
}

class JobWatch {
  private readonly ledger = new Ledger(REMEMBERED)
  /** Unfinished jobs as last given, to put progress into. */
  private readonly shown = new Map<string, WireJob>()
  /** To be given, in order. */
  private readonly out: WireJob[] = []
  /** To be read. */
  private readonly due = new Set<string>()
  private readonly stop: ReturnType<typeof linked>
  private readonly feed: Feed
  private failure: { error: unknown } | null = null
  private wake: (() => void) | null = null
  private drained: (() => void) | null = null
  private streamAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly transport: Transport,
    private readonly filter: EventFilter,
    private readonly options: FeedOptions,
  ) {
    this.stop = linked(options.signal)
    this.feed = new Feed(transport, filter, { ...options, signal: this.stop.signal })
  }

  async *run(): AsyncGenerator<WireJob, void> {
    if (this.transport.tickets && !namesJobs(this.filter)) throw needsKey('a watch that names neither group nor jobs')
    void this.listen()
    try {
      for (;;) {
        this.options.signal?.throwIfAborted()
        const next = this.out.shift()
        if (next) yield next
        else if (this.failure) throw this.failure.error
        else if (this.due.size > 0) await this.readSome()
        else await new Promise<void>((resolve) => (this.wake = resolve))
        if (this.out.length + this.due.size < MOST_WAITING) this.drained?.()
      }
    } finally {
      this.stop.abort(new Error('The watch has ended.'))
      this.stop.release()
      this.drained?.()
    }
  }

  /** Takes what the feed says until it fails or the watch ends. */
  private async listen(): Promise<void> {
    try {
      for await (const item of this.feed.run()) {
        await this.take(item)
        await this.room()
      }
    } catch (error) {
      this.failure = { error: this.options.signal?.aborted ? this.options.signal.reason : error }
      this.wake?.()
    }
  }

  private async take(item: FeedItem): Promise<void> {
    if (item.kind === 'event') return this.heed(item.event)
    if (item.kind === 'job') {
      if (!lacksResult(item.job) || this.transport.tickets) this.offer(item.job)
      else if (this.ledger.shows(item.job)) this.due.add(item.job.id)
      return
    }
    // Where the server does not begin with the jobs, we do: what is under way has to be seen.
    if (namesJobs(this.filter)) return
    const status = ['accepted', 'processing', 'blocked'] as const
    const unfinished = { ...this.filter, status: status.filter((one) => this.filter.status?.includes(one) ?? true) }
    if (unfinished.status.length === 0) return
    const call = { signal: this.stop.signal, patient: true }
    for await (const job of listAll(this.transport, unfinished, {}, call)) {
      this.offer(job)
      await this.room()
    }
  }

  /** Wakes the reader, and waits while it is behind. */
  private async room(): Promise<void> {
    this.wake?.()
    while (this.out.length + this.due.size >= MOST_WAITING && !this.stop.signal.aborted)
      await new Promise<void>((resolve) => (this.drained = resolve))
  }

  private heed(event: WireEvent): void {
    const { jobId, version, progress } = event.data
    const last = this.shown.get(jobId)
    if (event.type === 'job.progress' && progress && last?.version === version) {
      const next = withProgress(last, progress)
      if (next && this.ledger.event(event)) this.give(next)
      return
    }
    if (this.ledger.isBehind(jobId, version)) this.due.add(jobId)
  }

  /** Gives a job unless it is no newer than what was given. */
  private offer(job: WireJob): void {
    if (wantsJob(this.filter, job) && this.ledger.snapshot(job)) this.give(job)
  }

  private give(job: WireJob): void {
    this.shown.delete(job.id)
    if (!job.done) this.shown.set(job.id, job)
    if (this.shown.size > REMEMBERED) this.shown.delete(this.shown.keys().next().value!)
    this.out.push(job)
  }

  private async readSome(): Promise<void> {
    if (this.transport.tickets) return this.streamAgain()
    const ids = [...this.due].slice(0, AT_ONCE)
    // Removed before it is read: a change while it is under way makes it due again.
    for (const id of ids) this.due.delete(id)
    await Promise.all(ids.map((id) => this.read(id)))
  }

  private async read(id: string): Promise<void> {
    try {
      const call = { path: `/v1/jobs/${encodeURIComponent(id)}`, signal: this.stop.signal, patient: true }
      const { body } = await this.transport.json<WireJob>({ ...call, onTrouble: () => this.feed.heard(false) })
      this.feed.heard(true)
      this.offer(body)
    } catch (error) {
      // Removed meanwhile: nothing more can be said about this one.
      if (!(error instanceof UntildoneApiError) || !endsFollowing(error) || error.status < 404) throw error
    }
  }

  private async streamAgain(): Promise<void> {
    const { clock } = this.transport
    const wait = this.streamAt + STREAMS_APART_MS - clock.now()
    if (wait > 0) await clock.sleep(wait, this.stop.signal)
    this.streamAt = clock.now()
    this.due.clear()
    this.feed.startAgain()
  }
}

/** Lists and streams of many jobs leave results out, and call them external then. */
function lacksResult({ result, resultInfo: { state, bytes } }: WireJob): boolean {
  return (state === 'inline' || state === 'external') && result === null && bytes !== 'null'.length
}
