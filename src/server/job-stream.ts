/**
 * The live stream of one job: snapshot or replay first, then what is committed, in order. Reads everything from the
 * engine; hints only say when to look. Never ends a stream with `done` before the final event was sent.
 */
import type { Timer, WireJob, WireProgress } from '../core/index.js'
import { empty, NO_STORE, type Reply, underBase } from './reply.js'
import type { Call } from './route.js'
import { Channel } from './sse.js'

const PAGE = 100
/** Progress is sent at most once in this time. */
const PROGRESS_MS = 1000

/** Where a reader stands who has seen the job as it is: the id of its latest event. */
export function cursorOf(job: Pick<WireJob, 'id' | 'version'>): string {
  return `${job.id}:${job.version}`
}

/** @throws UntildoneError job-not-found, job-expired, too-many-streams */
export async function streamJob(call: Call, id: string, after: string | null): Promise<Reply> {
  const { engine } = call.server
  const job = await engine.get(call.caller, id)
  if (after !== null && job.done) {
    const left = await engine.events(call.caller, job.id, after, 1)
    // 204 is what makes an EventSource stop.
    if (!left.reset && left.items.length === 0 && left.nextCursor === null)
      return empty(204, { 'Cache-Control': NO_STORE })
  }
  const stream = new JobStream(call, job)
  void stream.run(after)
  return {
    status: 200,
    headers: {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': NO_STORE,
      'X-Accel-Buffering': 'no',
    },
    body: stream.channel.body,
  }
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
    const { holds, hub, settings, engine } = call.server
    const { limits } = settings
    this.#call = call
    this.#id = job.id
    this.#first = job
    this.#revision = job.revision
    this.#progress = job.progress?.updatedAt ?? null
    const release = holds.take(call, () => this.channel.end('drain'))
    const unwatch = hub.watch(job.id, () => this.#hint())
    const life = engine.clock.after(limits.streamMs * (0.9 + 0.2 * settings.random()), () => this.channel.end('age'))
    const gone = call.request.signal
    const onGone = () => this.channel.abandon()
    gone.addEventListener('abort', onGone, { once: true })
    this.channel = new Channel({
      clock: engine.clock,
      maxBytes: limits.streamBufferBytes,
      heartbeatMs: limits.heartbeatMs,
      cutOff: call.env.outgoing && (() => void call.env.outgoing?.destroy()),
      onClose: () => {
        release()
        unwatch()
        life.cancel()
        this.#progressTimer?.cancel()
        gone.removeEventListener('abort', onGone)
        this.#hint()
      },
    })
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
      // The client resumes from where it is; what went wrong is for the log.
      const { method, url } = this.#call.request
      this.#call.server.settings.onError(error, {
        requestId: this.#call.requestId,
        method,
        path: new URL(url).pathname,
        code: 'stream',
      })
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
    const { engine, settings } = this.#call.server
    // Watching began after the first read, so that one may be old by now; only a final one cannot be.
    const job = this.#first?.done ? this.#first : await engine.get(this.#call.caller, this.#id)
    this.#first = null
    this.#cursor = cursorOf(job)
    this.#revision = job.revision
    this.#progress = job.progress?.updatedAt ?? null
    this.#done = job.done
    this.channel.send('snapshot', { job: underBase(job, settings.base) }, this.#cursor)
  }

  async #sendEvents(): Promise<void> {
    const { engine, settings } = this.#call.server
    while (!this.#done && !this.channel.closed) {
      const page = await engine.events(this.#call.caller, this.#id, this.#cursor, PAGE)
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
    const job = await engine.get(this.#call.caller, this.#id)
    if (job.revision === this.#revision) return
    this.#revision = job.revision
    if (job.done || !job.progress || job.progress.updatedAt === this.#progress) return
    this.#progress = job.progress.updatedAt
    this.#progressAt = engine.clock.monotonic()
    this.channel.send('job.progress', progressEvent(job, job.progress, settings.base), null, true)
  }
}

function progressEvent(job: WireJob, progress: WireProgress, base: string): unknown {
  return {
    specversion: '1.0',
    id: `${job.id}:${job.version}:${job.revision}`,
    source: `${base}/v1`,
    type: 'job.progress',
    subject: `job/${job.id}`,
    time: progress.updatedAt,
    timestamp: progress.updatedAt,
    datacontenttype: 'application/json',
    data: {
      jobId: job.id,
      jobType: job.type,
      status: job.status,
      done: job.done,
      version: job.version,
      groupId: job.groupId,
      operationKey: job.operationKey,
      previousStatus: null,
      progress,
    },
  }
}
