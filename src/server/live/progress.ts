/**
 * Progress for readers of many jobs: at most once a second per job, read once for all of them. It is the first thing to be
 * left out, and is never repeated to those who come back.
 */
import type { Timer } from '../../core/index.js'
import type { Engine } from '../../engine/api.js'
import type { Change } from '../../stores/store.js'
import { type About, aboutOf, Item, progressEvent } from './news.js'
import type { Follower } from './watcher.js'

export const PROGRESS_MS = 1000

export interface ProgressNote {
  about: About
  item: Item
  /** Of the ring, when we heard of it: what moved after that is newer. */
  position: number
}

interface Heard {
  change: Change
  position: number
}

interface Told {
  timer: Timer
  /** What came meanwhile. */
  next: Heard | null
  updatedAt: string | null
}

export class ProgressNews {
  /** Jobs whose progress was told within the last second. */
  readonly #told = new Map<string, Told>()
  readonly #engine: Engine
  readonly #base: string
  readonly #followers: (tenant: string) => Iterable<Follower>

  constructor(engine: Engine, base: string, followers: (tenant: string) => Iterable<Follower>) {
    this.#engine = engine
    this.#base = base
    this.#followers = followers
  }

  /** Something more is shown of the job; it may be progress. @param position the head of the ring */
  note(change: Change, position: number): void {
    if (change.done || !this.#isWanted(change)) return
    const told = this.#told.get(change.jobId)
    if (told) told.next = { change, position }
    else this.#tell({ change, position }, null)
  }

  close(): void {
    for (const { timer } of this.#told.values()) timer.cancel()
    this.#told.clear()
  }

  #isWanted(change: Change): boolean {
    for (const follower of this.#followers(change.tenant)) if (follower.wantsProgress(change)) return true
    return false
  }

  #tell(heard: Heard, updatedAt: string | null): void {
    const { jobId } = heard.change
    const timer = this.#engine.clock.after(PROGRESS_MS, () => {
      this.#told.delete(jobId)
      if (told.next) this.#tell(told.next, told.updatedAt)
    })
    const told: Told = { timer, next: null, updatedAt }
    this.#told.set(jobId, told)
    // Trouble in the store is met by the next move, whose reading somebody waits for.
    this.#read(heard, told).catch(() => undefined)
  }

  async #read({ change, position }: Heard, told: Told): Promise<void> {
    const { tenant, jobId, version } = change
    const happened = await this.#engine.happened(tenant, jobId, version, version)
    const progress = happened?.job.progress
    // It moved on: its next version says more, and this must not come after it.
    if (!progress || happened.job.version !== version || progress.updatedAt === told.updatedAt) return
    told.updatedAt = progress.updatedAt
    const item = new Item(progressEvent(happened.job, progress), this.#base, null)
    const note: ProgressNote = { about: aboutOf(happened.job), item, position }
    for (const follower of [...this.#followers(tenant)]) follower.progress(note)
  }
}
