/**
 * The job as last seen by one watcher. Takes a newer snapshot and refuses an older one: answers can overtake each other.
 * Reads the job resource; must never conclude that a job is done from anything else.
 */
import type { WireEvent, WireJob, WireProgress } from '../core/wire.js'
import type { Answer, Call, Query, Transport } from './transport.js'

export interface ReadOptions {
  include: readonly string[]
  signal: AbortSignal | undefined
  onTrouble: (error: unknown) => void
}

export interface Wait {
  seconds: number
  until: 'change' | 'done'
}

// Room for the way there and back on top of the seconds that the server may hold the answer.
const HOLD_EXTRA_MS = 15_000

export class Snapshot {
  job: WireJob | null
  private etag: string | null = null
  private retryAfterMs: number | null = null

  constructor(
    private readonly transport: Transport,
    readonly id: string,
    private readonly options: ReadOptions,
    from: WireJob | null,
  ) {
    this.job = from
    // The set of included members is part of the tag, so a tag can be made up only for the plain job.
    if (from && options.include.length === 0) this.etag = `"${from.revision}"`
  }

  /** How long the server wants us to wait before asking again. */
  get pauseMs(): number {
    return this.retryAfterMs ?? this.job?.pollAfterMs ?? 2000
  }

  /** Takes `next` if it is newer than what was seen. */
  adopt(next: WireJob): boolean {
    const last = this.job
    if (last && (last.done || next.revision <= last.revision || next.version < last.version)) return false
    this.job = next
    return true
  }

  /** Reads the job; true when something newer came. Goes on for ever once the job was seen: it carries on anyway. */
  async refresh(): Promise<boolean> {
    return this.take(await this.transport.json<WireJob | undefined>({ ...this.call(), patient: this.job !== null }))
  }

  /** One long-poll, sent once; true when something newer came. */
  async hold(wait: Wait): Promise<boolean> {
    const answer = await this.transport.json<WireJob | undefined>({
      ...this.call({ wait: wait.seconds, until: wait.until }),
      repeat: 'never',
      timeoutMs: wait.seconds * 1000 + HOLD_EXTRA_MS,
    })
    return this.take(answer)
  }

  /**
   * Progress that came with an event of the version we hold: a new snapshot without another request.
   * The revision stays; the next reading of the job replaces all of it.
   */
  progressed(event: WireEvent): boolean {
    const last = this.job
    const { progress, version } = event.data
    if (!last || last.done || !progress || version !== last.version) return false
    const next = withProgress(last, progress)
    if (next) this.job = next
    return next !== null
  }

  private call(query: Query = {}): Call {
    const { include, signal, onTrouble } = this.options
    return {
      path: `/v1/jobs/${encodeURIComponent(this.id)}`,
      query: { ...query, include: include.length > 0 ? include : undefined },
      headers: this.etag ? { 'if-none-match': this.etag } : {},
      signal,
      onTrouble,
    }
  }

  private take(answer: Answer<WireJob | undefined>): boolean {
    this.retryAfterMs = answer.retryAfterMs
    if (!answer.body) return false
    this.etag = answer.headers.get('etag') ?? this.etag
    return this.adopt(answer.body)
  }
}

/** The job with later progress, or null when it is not later. */
export function withProgress(job: WireJob, progress: WireProgress): WireJob | null {
  if (job.progress && job.progress.updatedAt >= progress.updatedAt) return null
  // As the server says it; a sentence that the type has for its stage comes with the next reading.
  const working = progress.stageLabel && `Working: ${progress.stageLabel}.`
  const statusText = progress.message ?? working ?? job.statusText
  return { ...job, progress, statusText, updatedAt: progress.updatedAt }
}
