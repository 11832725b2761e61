/**
 * One listener on the engine for all open streams of a server, told apart by job and by tenant, with the latest moves for
 * those who come back. Reads each change once, however many stream it. Passes hints on and decides nothing: who may see
 * what is decided for each reader. Costs nothing while nobody streams.
 */
import type { Engine } from '../../engine/api.js'
import type { Change } from '../../stores/store.js'
import { type News, newsOf } from './news.js'
import { ProgressNews, type ProgressNote } from './progress.js'
import { type Entry, Ring } from './ring.js'

/** So long the latest moves are kept for whoever comes back, after the last reader of many jobs has gone. */
const LINGER_MS = 5 * 60_000

/** A reader of many jobs of one tenant. */
export interface Follower {
  /** Something of its tenant followed in the ring. */
  wake(): void
  /** Whether it may want the progress of this job. */
  wantsProgress(change: Change): boolean
  progress(note: ProgressNote): void
}

/** Where a reader of many jobs stands. `boot` and `position` are a place in the ring; `at` is when that was. */
export interface Position {
  boot: string
  position: number
  at: number
}

/** Of readers who have not been told all that there was at `at`: no ring has this name. */
const NOWHERE = ''

export class Watcher {
  readonly #engine: Engine
  readonly #base: string
  readonly #size: number
  readonly #byJob = new Map<string, Set<(change: Change) => void>>()
  readonly #byTenant = new Map<string, Set<Follower>>()
  /** Readings of streamed jobs, until their next change. */
  readonly #shared = new Map<string, Map<string, Promise<unknown>>>()
  readonly #progress: ProgressNews
  #stop: (() => void) | null = null
  #ring: Ring
  #boot = NOWHERE
  #followedAt = Number.NEGATIVE_INFINITY

  /** @param base prefix under which the server is mounted @param size of the ring */
  constructor(engine: Engine, base: string, size: number) {
    this.#engine = engine
    this.#base = base
    this.#size = size
    this.#ring = new Ring(size)
    this.#progress = new ProgressNews(engine, base, (tenant) => this.#byTenant.get(tenant) ?? [])
  }

  /** Jobs that somebody streams by themselves, and readers of many jobs. */
  get watched(): { jobs: number; followers: number } {
    let followers = 0
    for (const set of this.#byTenant.values()) followers += set.size
    return { jobs: this.#byJob.size, followers }
  }

  get ring(): Ring {
    return this.#ring
  }

  /** Calls `listener` after each change of the job, until the returned function is called. */
  watch(jobId: string, listener: (change: Change) => void): () => void {
    const listeners = this.#byJob.get(jobId) ?? new Set()
    this.#byJob.set(jobId, listeners.add(listener))
    this.#listen()
    const release = this.#engine.watch(jobId)
    return () => {
      release()
      if (!listeners.delete(listener) || listeners.size > 0) return
      this.#byJob.delete(jobId)
      this.#shared.delete(jobId)
    }
  }

  /** From now on moves of jobs are in the ring, and `follower` is woken for those of its tenant. */
  follow(tenant: string, follower: Follower): () => void {
    if (this.#boot === NOWHERE) {
      this.#boot = crypto.randomUUID().slice(-12)
      this.#ring = new Ring(this.#size)
    }
    const followers = this.#byTenant.get(tenant) ?? new Set()
    this.#byTenant.set(tenant, followers.add(follower))
    this.#listen()
    return () => {
      if (!followers.delete(follower) || followers.size > 0) return
      this.#byTenant.delete(tenant)
      if (this.#byTenant.size > 0) return
      this.#followedAt = this.#engine.clock.monotonic()
      this.#progress.close()
    }
  }

  /** A reading that all streams of this job share until its next change. Only while the job is watched. */
  shared<T>(jobId: string, what: string, read: () => Promise<T>): Promise<T> {
    let readings = this.#shared.get(jobId)
    if (!readings) this.#shared.set(jobId, (readings = new Map()))
    const known = readings.get(what) as Promise<T> | undefined
    if (known) return known
    const reading = read()
    const those = readings.set(what, reading)
    // What went wrong for one may work for the next.
    reading.catch(() => those.delete(what))
    return reading
  }

  /** What an entry says: at once when somebody has read it, null when the job is gone. */
  news(entry: Entry): News | null | Promise<News | null> {
    if (entry.news === undefined) entry.news = this.#read(entry)
    return entry.news
  }

  /** The cursor of a reader who has everything up to `position`. */
  cursor(tenant: string, position: number, at: number): string {
    return this.#seal(tenant, { boot: this.#boot, position, at })
  }

  /** The cursor of a reader who has been told nothing since `at` for certain. */
  cursorSince(tenant: string, at: number): string {
    return this.#seal(tenant, { boot: NOWHERE, position: 0, at })
  }

  /** What a cursor says; null for one that this store has not given to this tenant. */
  open(tenant: string, cursor: string): Position | null {
    const sealed = this.#engine.unseal<[string, number, number]>('stream', cursor, { tenant })
    return sealed && { boot: sealed[0], position: sealed[1], at: sealed[2] }
  }

  /** True when everything that followed is still known. */
  covers({ boot, position }: Position): boolean {
    return boot !== NOWHERE && boot === this.#boot && this.#ring.covers(position)
  }

  close(): void {
    this.#stop?.()
    this.#stop = null
    this.#progress.close()
    this.#byJob.clear()
    this.#byTenant.clear()
    this.#shared.clear()
  }

  #seal(tenant: string, { boot, position, at }: Position): string {
    return this.#engine.seal('stream', [boot, position, at], { tenant })
  }

  async #read(entry: Entry): Promise<News | null> {
    const { tenant, jobId, after, version, position, at } = entry
    try {
      const happened = await this.#engine.happened(tenant, jobId, after, version)
      const id = () => this.cursor(tenant, position, at)
      entry.news = happened && newsOf(happened, this.#base, id(), () => this.cursor(tenant, position - 1, at))
      return entry.news
    } catch (error) {
      entry.news = undefined
      throw error
    }
  }

  #listen(): void {
    if (this.#stop) return
    const engine = this.#engine
    const offs = [
      engine.onChange((changes) => this.#told(changes)),
      engine.onGap(() => this.#missed()),
      engine.follow(),
    ]
    this.#stop = () => {
      for (const off of offs) off()
    }
  }

  /** Others may have changed something: whoever follows many jobs reads the store. */
  #missed(): void {
    if (this.#boot === NOWHERE) return
    this.#ring.forget()
    for (const followers of this.#byTenant.values()) for (const follower of [...followers]) follower.wake()
  }

  #told(changes: readonly Change[]): void {
    const isFollowed = this.#byTenant.size > 0
    const isRecorded = isFollowed || this.#engine.clock.monotonic() - this.#followedAt <= LINGER_MS
    if (!isRecorded && this.#boot !== NOWHERE) {
      this.#boot = NOWHERE
      this.#ring = new Ring(0)
    }
    if (!isRecorded && this.#byJob.size === 0) {
      this.#stop?.()
      this.#stop = null
      return
    }
    const woken = new Set<string>()
    const now = isRecorded ? this.#engine.clock.now() : 0
    for (const change of changes) {
      if (this.#byJob.size > 0) this.#tellWatchers(change)
      if (!isRecorded) continue
      if (change.moved) {
        this.#ring.push(change, now)
        woken.add(change.tenant)
      } else if (isFollowed) this.#progress.note(change, this.#ring.head)
    }
    if (!isFollowed) return
    for (const tenant of woken) {
      const followers = this.#byTenant.get(tenant)
      if (followers) for (const follower of [...followers]) follower.wake()
    }
  }

  #tellWatchers(change: Change): void {
    const listeners = this.#byJob.get(change.jobId)
    if (!listeners) return
    this.#shared.delete(change.jobId)
    for (const listener of [...listeners]) listener(change)
  }
}
