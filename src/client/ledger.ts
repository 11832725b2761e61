/**
 * What was told about each job, so that nothing is told twice and no version goes back: streams deliver at least once,
 * and after a reset they begin again. Pure. Bounded: of the jobs that were not heard of for longest it forgets the ended
 * ones first.
 */
import type { WireEvent, WireJob } from '../core/wire.js'

interface Told {
  version: number
  /** What was told of this version. The status of a job is told once per version, other things once each. */
  kinds: Set<string>
  revision: number
  progressAt: string
  done: boolean
}

const STATUS_EVENT = /^job\.(accepted|processing|retrying|blocked|completed|failed|cancelled)$/

export class Ledger {
  private readonly open = new Map<string, Told>()
  private readonly ended = new Map<string, Told>()

  /** @param limit jobs that are remembered, of those under way and of those that have ended */
  constructor(private readonly limit = 10_000) {}

  get size(): number {
    return this.open.size + this.ended.size
  }

  /** True for an event that is to be told; from then on it is known. */
  event(event: WireEvent): boolean {
    const { jobId, version, done, progress } = event.data
    const told = this.of(jobId)
    if (told && version < told.version) return false
    if (event.type === 'job.progress') {
      if (told?.done || (told && progress && told.progressAt >= progress.updatedAt)) return false
      this.keep(jobId, { ...this.at(told, version), progressAt: progress?.updatedAt ?? '' })
      return true
    }
    const kind = STATUS_EVENT.test(event.type) ? 'status' : `${event.type} ${event.id}`
    const next = this.at(told, version)
    if (next.kinds.has(kind)) return false
    next.kinds.add(kind)
    this.keep(jobId, { ...next, done: next.done || done })
    return true
  }

  /** True for a job whose status at this version was not told yet; from then on it is known. */
  job({ id, version, revision, done, progress }: WireJob): boolean {
    const told = this.of(id)
    if (told && version < told.version) return false
    const next = this.at(told, version)
    const news = !next.kinds.has('status')
    next.kinds.add('status')
    const progressAt = progress?.updatedAt ?? next.progressAt
    this.keep(id, { ...next, revision: Math.max(revision, next.revision), progressAt, done: next.done || done })
    return news
  }

  /** True for a snapshot that is to be given; from then on it is known. */
  snapshot(job: WireJob): boolean {
    if (!this.shows(job)) return false
    this.job(job)
    return true
  }

  /** True for a snapshot that shows more than the last one; never after the final one. */
  shows(job: WireJob): boolean {
    const told = this.of(job.id)
    return !told || !(told.done || job.version < told.version || job.revision <= told.revision)
  }

  /** True when the job has come further than what was told. */
  isBehind(id: string, version: number): boolean {
    const told = this.of(id)
    return !told || (!told.done && told.version < version)
  }

  private of(id: string): Told | undefined {
    return this.open.get(id) ?? this.ended.get(id)
  }

  /** The entry for this version: the present one, or a new one in its place. */
  private at(told: Told | undefined, version: number): Told {
    if (told?.version === version) return told
    return {
      version,
      kinds: new Set(),
      revision: told?.revision ?? -1,
      progressAt: told?.progressAt ?? '',
      done: told?.done ?? false,
    }
  }

  private keep(id: string, told: Told): void {
    this.open.delete(id)
    this.ended.delete(id)
    // Maps keep the order of insertion, so the first one is the one not heard of for longest.
    const among = told.done ? this.ended : this.open
    among.set(id, told)
    if (among.size > this.limit) among.delete(among.keys().next().value!)
  }
}
