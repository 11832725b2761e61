/**
 * One reader of many jobs: where it stands in the ring, what it may see, what it has been told. Listens first and reads
 * then, so nothing falls between; never tells an older version of a job after a newer one. Knows no transport: a sink
 * writes what it says. The store is the truth; when the ring has lost the place, the jobs themselves are told again.
 */
import type { WireJob } from '../../core/index.js'
import type { Caller, Engine } from '../../engine/api.js'
import { holds, maySee } from '../../engine/rights.js'
import type { Change } from '../../stores/store.js'
import type { Filter } from './filter.js'
import type { Item, News } from './news.js'
import type { ProgressNote } from './progress.js'
import { changedSince, newest } from './snapshots.js'
import type { Follower, Watcher } from './watcher.js'

/** `complete: false`: jobs follow as they are, and the place of before still counts. */
export interface Ready {
  complete: boolean
  /** There are more jobs than were told. */
  more?: true
}

export interface Sink {
  readonly closed: boolean
  /** A reader who has this frame may go on from `id`. */
  ready(id: string, data: Ready): void
  /** The place is not known any more; jobs follow as they are. */
  reset(): void
  snapshot(job: WireJob): void
  event(item: Item): void
  progress(item: Item): void
  /** Resolves when the reader has caught up, or is gone. */
  room(): Promise<void>
  end(reason: 'error'): void
}

export interface FeedParts {
  engine: Engine
  watcher: Watcher
  caller: Caller
  filter: Filter
  sink: Sink
  onError(error: unknown): void
}

/** After so many events of a reader who catches up, others have their turn. */
const BREATH = 100

export class Feed implements Follower {
  readonly #parts: FeedParts
  readonly #isOperator: boolean
  readonly #unfollow: () => void
  /** Everything up to here has been told. */
  #position: number
  #at: number
  /** The position of the last id that was sent. */
  #marked: number
  /** Jobs are being told as they are. */
  #telling = true
  /** Versions of the jobs that were told as they are, until the ring is past the end of that. */
  #seen: Map<string, number> | null = null
  #seenUntil = 0
  /** Progress that came before what it belongs to. */
  readonly #held = new Map<string, ProgressNote>()
  #woken = false
  #wake: (() => void) | null = null
  #stopped = false

  constructor(parts: FeedParts) {
    const { watcher, caller, engine } = parts
    this.#parts = parts
    this.#isOperator = holds(caller, 'jobs:operate')
    this.#unfollow = watcher.follow(caller.tenant, this)
    this.#position = this.#marked = watcher.ring.head
    this.#at = engine.clock.now()
  }

  /** @param after the cursor of a reader who has been here before */
  async run(after: string | null): Promise<void> {
    try {
      await this.#begin(after)
      while (!this.#isOver) {
        this.#woken = false
        await this.#catchUp()
        if (!this.#woken && !this.#isOver) await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } catch (error) {
      if (this.#isOver) return
      this.#parts.onError(error)
      this.#parts.sink.end('error')
    } finally {
      this.stop()
    }
  }

  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#unfollow()
    this.#held.clear()
    this.wake()
  }

  wake(): void {
    this.#woken = true
    this.#wake?.()
    this.#wake = null
  }

  /** A newer place to go on from than the last one that was sent, if there is one. */
  bookmark(): string | null {
    if (this.#telling || this.#position === this.#marked) return null
    this.#marked = this.#position
    return this.#parts.watcher.cursor(this.#parts.caller.tenant, this.#position, this.#at)
  }

  wantsProgress(change: Change): boolean {
    const { filter } = this.#parts
    return filter.wantsKind('job.progress') && filter.mayWant(change)
  }

  progress(note: ProgressNote): void {
    const { about, item } = note
    if (!this.#mayTell(about, item)) return
    // What it belongs to may not have been told yet.
    if (this.#telling || this.#position < this.#parts.watcher.ring.head) this.#held.set(about.id, note)
    else this.#tellProgress(note)
  }

  get #isOver(): boolean {
    return this.#stopped || this.#parts.sink.closed
  }

  async #begin(after: string | null): Promise<void> {
    const { watcher, filter, sink, caller } = this.#parts
    const { tenant } = caller
    const known = after === null ? null : watcher.open(tenant, after)
    if (known && watcher.covers(known)) {
      this.#position = this.#marked = known.position
      this.#at = known.at
      this.#telling = false
      return sink.ready(after!, { complete: true })
    }
    const here = watcher.cursor(tenant, this.#position, this.#at)
    if (after === null && !filter.namesJobs) {
      this.#telling = false
      return sink.ready(here, { complete: true })
    }
    // A cursor that we cannot read does not say since when: then what ended is told only to those who name their jobs.
    const since = known?.at ?? (filter.namesJobs ? 0 : this.#at)
    sink.ready(watcher.cursorSince(tenant, since), { complete: false })
    if (after !== null) sink.reset()
    await this.#tellJobs(since, here)
  }

  /** All jobs of the filter, as far as they may have changed since; then `here` is where the reader stands. */
  async #tellJobs(since: number, here: string): Promise<void> {
    const { engine, watcher, caller, filter, sink } = this.#parts
    this.#telling = true
    const seen = new Map<string, number>()
    const jobs = since === 0 ? newest(engine, caller, filter) : changedSince(engine, caller, filter, since)
    let next = await jobs.next()
    for (; !next.done; next = await jobs.next()) {
      sink.snapshot(next.value)
      seen.set(next.value.id, next.value.version)
      await sink.room()
      if (this.#isOver) return
    }
    this.#seen = seen
    this.#seenUntil = watcher.ring.head
    this.#telling = false
    sink.ready(here, next.value ? { complete: true, more: true } : { complete: true })
  }

  async #catchUp(): Promise<void> {
    const { watcher, caller, filter } = this.#parts
    for (let told = 0; !this.#isOver && this.#position < watcher.ring.head; ) {
      if (!watcher.ring.covers(this.#position)) {
        await this.#startAgain()
        continue
      }
      const entry = watcher.ring.at(this.#position + 1)
      if (entry.tenant === caller.tenant && filter.mayWant(entry)) {
        const reading = watcher.news(entry)
        const news = reading instanceof Promise ? await reading : reading
        if (this.#isOver) return
        if (news && this.#tell(news)) {
          this.#marked = entry.position
          if (++told % BREATH === 0) await this.#breathe()
        }
      }
      this.#position = entry.position
      this.#at = entry.at
      if (this.#seen && this.#position >= this.#seenUntil) this.#seen = null
    }
    this.#release()
  }

  async #breathe(): Promise<void> {
    await this.#parts.sink.room()
    await new Promise<void>((resolve) => setImmediate(resolve))
  }

  /** More has happened than the ring holds since we were last there. */
  async #startAgain(): Promise<void> {
    const { watcher, caller, engine, sink } = this.#parts
    const since = this.#at
    this.#position = this.#marked = watcher.ring.head
    this.#at = engine.clock.now()
    const here = watcher.cursor(caller.tenant, this.#position, this.#at)
    sink.reset()
    await this.#tellJobs(since, here)
  }

  /** @returns whether there was something for this reader */
  #tell({ about, items }: News): boolean {
    let told = false
    const seen = this.#seen?.get(about.id) ?? 0
    for (const item of items) {
      if (item.version <= seen || !this.#mayTell(about, item)) continue
      this.#parts.sink.event(item)
      told = true
    }
    return told
  }

  #mayTell(about: News['about'], item: Item): boolean {
    const { caller, filter } = this.#parts
    return filter.wants(about, item) && (!item.operators || this.#isOperator) && maySee(caller, about)
  }

  #release(): void {
    for (const [id, note] of this.#held) {
      this.#held.delete(id)
      this.#tellProgress(note)
    }
  }

  /** Unless the job has moved on meanwhile, or may have. */
  #tellProgress({ about, item, position }: ProgressNote): void {
    const { ring } = this.#parts.watcher
    if (!ring.covers(position) || (ring.latest(about.id)?.position ?? 0) > position) return
    if ((this.#seen?.get(about.id) ?? 0) <= item.version) this.#parts.sink.progress(item)
  }
}
