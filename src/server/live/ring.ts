/**
 * The latest moves of jobs, in the order of their commits: what lets a reader that was cut go on where it was. Bounded; a
 * hint like everything that comes from change notices: whoever finds a gap reads the store. Knows no readers.
 */
import type { Change } from '../../stores/store.js'
import type { News } from './news.js'

export interface Entry {
  readonly position: number
  /** When we were told, after the commit. */
  readonly at: number
  readonly tenant: string
  readonly jobId: string
  readonly type: string
  /** Null when the commit did not say it. */
  readonly groupId: string | null
  readonly version: number
  /** Of this job, versions up to this one were in entries before. */
  readonly after: number
  /** What was read for it, shared by all readers; undefined when nobody needed it yet. */
  news?: News | null | Promise<News | null>
}

export class Ring {
  readonly #size: number
  readonly #entries: Entry[] = []
  /** The last entry of each job that has one here. */
  readonly #latest = new Map<string, Entry>()
  /** From this position on nothing was missed. */
  #whole = 1
  /** Position of the newest entry; 0 when there never was one. */
  head = 0

  constructor(size: number) {
    this.#size = size
  }

  /** Position of the oldest entry that is still here. */
  get first(): number {
    return Math.max(this.#whole, this.head - this.#size + 1)
  }

  /** True when everything after `position` is still here. */
  covers(position: number): boolean {
    return position <= this.head && position + 1 >= this.first
  }

  at(position: number): Entry {
    return this.#entries[(position - 1) % this.#size]!
  }

  latest(jobId: string): Entry | undefined {
    return this.#latest.get(jobId)
  }

  /** Something may have happened that is not here: nobody who comes back finds everything. */
  forget(): void {
    this.#entries.length = 0
    this.#latest.clear()
    this.#whole = ++this.head + 1
  }

  push({ tenant, jobId, type, groupId, version, from }: Change, at: number): void {
    const before = this.#latest.get(jobId)
    if (before && before.version >= version) return
    const after = before ? before.version : (from ?? version - 1)
    const entry: Entry = { position: this.head + 1, at, tenant, jobId, type, groupId, version, after }
    const place = this.head % this.#size
    const gone = this.#entries[place]
    if (gone && this.#latest.get(gone.jobId) === gone) this.#latest.delete(gone.jobId)
    this.#entries[place] = entry
    this.#latest.set(jobId, entry)
    this.head++
  }
}
