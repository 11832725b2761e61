/**
 * The live stream of one job: snapshot or replay first, then what is committed, in order. Reads everything from the
 * engine; hints only say when to look. Never ends a stream with `done` before the final event was sent.
 */
import { type Timer, UntildoneError, type WireJob } from '../../core/index.js'
import { holds } from '../../engine/rights.js'
import { empty, NO_STORE, type Reply, underBase } from '../reply.js'
import type { Call } from '../route.js'
import type { StreamFilter } from './filter.js'
import { progressEvent } from './news.js'
import { PROGRESS_MS } from './progress.js'
import type { Channel } from './sse.js'
import { openChannel, report, streamReply } from './stream.js'

const PAGE = 100

/** Where a reader stands who has seen the job as it is: the id of its latest event. */
export function cursorOf(job: Pick<WireJob, 'id' | 'version'>): string {
  return `${job.id}:${job.version}`
}

/** @throws UntildoneError job-not-found, job-expired, too-many-streams */
export async function streamJob(call: Call, id: string, after: string | null): Promise<Reply> {
  const { engine } = call.server
  if (call.ticket && !isFor(call.ticket.filter, id))
    throw new UntildoneError('job-not-found', `There is no job ${id}.`, { params: { jobId: id } })
  const job = await engine.get(call.caller, id)
  if (after !== null && job.done) {
    const left = await engine.events(call.caller, job.id, after, 1)
    // 204 is what makes an EventSource stop.
    if (!left.reset && left.items.length === 0 && left.nextCursor === null)
      return empty(204, { 'Cache-Control': NO_STORE })
  }
  const stream = new JobStream(call, job)
  void stream.run(after)
  return streamReply(stream.channel)
}

/** A ticket with other conditions shows less than the whole job. */
function isFor({ jobId, ...rest }: StreamFilter, id: string): boolean {
  return (jobId === undefined || jobId.includes(id)) && Object.values(rest).every((value) => value === undefined)
}

class JobStream {
  readonly channel: Channel
  readonly #call: Call
  readonly #id: string
  #first: WireJob | null
  #cursor: string | null = null
  #done = false
  #progress: string | null
  #progressAt = Number.NEGATIVE_INFINITY
  #progressTimer: Timer | null = null
  #revision: number
  #hinted = true
  #wake: (() => void) | null = null

  constructor(call: Call, job: WireJob) {
    this.#call = call
    this.#id = job.id
    this.#first = job
    this.#revision = job.revision
    this.#progress = job.progress?.updatedAt ?? null
    let unwatch = () => {}
    this.channel = openChannel(call, {
      onClose: () => {
        unwatch()
        this.#progressTimer?.cancel()
        this.#hint()
      },
    })
    unwatch = call.server.live.watcher.watch(job.id, () => this.#hint())
  }

  async run(after: string | null): Promise<void> {
    try {
      await this.#begin(after)
      while (!this.channel.closed) {
        this.#hinted = false
        await this.#sendEvents()
        if (this.#done) return this.channel.end('done')
        await this.#sendProgress()
        if (!this.#hinted && !this.channel.closed) await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } catch (error) {
      report(this.#call, error)
      this.channel.end('error')
    }
  }

  #hint(): void {
    this.#hinted = true
    this.#wake?.()
    this.#wake = null
  }

  async #begin(after: string | null): Promise<void> {
    if (after === null) return this.#snapshot()
    const { engine } = this.#call.server
    const known = await engine.events(this.#call.caller, this.#id, after, 1)
    if (!known.reset) {
      this.#cursor = after
      // The reader may have missed the latest progress: send it, whatever it is.
      this.#revision = -1
      this.#progress = null
      return
    }
    this.channel.send('reset', {}, null)
    await this.#snapshot()
  }

  /** The job as it is; whatever was committed up to its version is in it. */
  async #snapshot(): Promise<void> {
    const { settings } = this.#call.server
    // Watching began after the first read, so that one may be old by now; only a final one cannot be.
    const job = this.#first?.done ? this.#first : await this.#read()
    this.#first = null
    this.#cursor = cursorOf(job)
    this.#revision = job.revision
    this.#progress = job.progress?.updatedAt ?? null
    this.#done = job.done
    this.channel.send('snapshot', { job: underBase(job, settings.base) }, this.#cursor)
  }

  async #sendEvents(): Promise<void> {
    const { settings } = this.#call.server
    while (!this.#done && !this.channel.closed) {
      const page = await this.#readEvents()
      if (page.reset) {
        this.channel.send('reset', {}, null)
        await this.#snapshot()
        return
      }
      for (const event of page.items) {
        const shown = settings.base === '' ? event : { ...event, source: settings.base + event.source }
        this.channel.send(event.type, shown, event.id)
        this.#cursor = event.id
        this.#done ||= event.data.done
      }
      if (page.nextCursor === null) return
      // Entries that make no event for this reader may follow the last one that did.
      this.#cursor = page.nextCursor
      await this.channel.room()
    }
  }

  /** Progress has no place in the history: it is read from the job, may be merged, and carries no id. */
  async #sendProgress(): Promise<void> {
    const { engine, settings } = this.#call.server
    const wait = PROGRESS_MS - (engine.clock.monotonic() - this.#progressAt)
    if (wait > 0) {
      this.#progressTimer ??= engine.clock.after(wait, () => {
        this.#progressTimer = null
        this.#hint()
      })
      return
    }
    const job = await this.#read()
    if (job.revision === this.#revision) return
    this.#revision = job.revision
    if (job.done || !job.progress || job.progress.updatedAt === this.#progress) return
    this.#progress = job.progress.updatedAt
    this.#progressAt = engine.clock.monotonic()
    const event = progressEvent(job, job.progress)
    this.channel.send('job.progress', { ...event, source: settings.base + event.source }, null, true)
  }

  /** All streams of this job were let in by their own rights, and the job is the same for each of them. */
  #read(): Promise<WireJob> {
    const { engine, live } = this.#call.server
    return live.watcher.shared(this.#id, 'job', () => engine.get(this.#call.caller, this.#id))
  }

  /** Operators are told more; within each kind of caller the events are the same. */
  #readEvents(): ReturnType<Call['server']['engine']['events']> {
    const { caller, server } = this.#call
    const what = `${holds(caller, 'jobs:operate') ? 'operator' : 'reader'} ${this.#cursor}`
    const read = () => server.engine.events(caller, this.#id, this.#cursor, PAGE)
    return server.live.watcher.shared(this.#id, what, read)
  }
}
