/**
 * One watcher per process: turns the store's change notices into wake-ups for whoever waits for a job. A hint only;
 * whoever is woken reads the job. Never polls.
 */
import type { Status } from '../core/job.js'
import type { Change } from '../stores/store.js'

type Waiter = (change: Change) => void
/** How a job ended; `json` is its result, null when there is none or when it must be read again. */
export interface End {
  status: Status
  json: string | null
}

/** So many latest ends are remembered, and up to twice as many. */
const REMEMBERED = 2048
/** Results above this many characters are read again. */
const REMEMBERED_CHARS = 4096

export class Waiters {
  private readonly jobs = new Map<string, { waiters: Set<Waiter>; release: () => void }>()

  /** @param watch tells the store that changes of a job are waited for */
  constructor(private readonly watch: (jobId: string) => () => void) {}

  /** The latest ends, and those before them. Nothing is taken out one by one: a Map walks over its holes to find its first key. */
  private recent = new Map<string, End>()
  private former = new Map<string, End>()
  /** Ends seen so far. Whoever noted this number and asks before REMEMBERED more have come can trust a miss in `endOf`. */
  ends = 0

  /** Whether no end since `mark` can have been forgotten. */
  remembersSince(mark: number): boolean {
    return this.ends - mark < REMEMBERED
  }

  endOf(jobId: string): End | undefined {
    return this.recent.get(jobId) ?? this.former.get(jobId)
  }

  notify(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.end) this.remember(change.jobId, change.end)
      const waiters = this.jobs.get(change.jobId)?.waiters
      if (waiters) for (const waiter of [...waiters]) waiter(change)
    }
  }

  private remember(jobId: string, { outcome, result }: NonNullable<Change['end']>): void {
    if (this.recent.size >= REMEMBERED) {
      this.former = this.recent
      this.recent = new Map()
    }
    this.ends++
    const json = result !== null && result.length > REMEMBERED_CHARS ? null : result
    this.recent.set(jobId, { status: outcome.status, json })
  }

  /** Calls `waiter` on each change of the job until the returned function is called. */
  add(jobId: string, waiter: Waiter): () => void {
    let entry = this.jobs.get(jobId)
    if (!entry) this.jobs.set(jobId, (entry = { waiters: new Set(), release: this.watch(jobId) }))
    const { waiters, release } = entry
    waiters.add(waiter)
    return () => {
      if (!waiters.delete(waiter) || waiters.size > 0) return
      release()
      if (this.jobs.get(jobId)?.waiters === waiters) this.jobs.delete(jobId)
    }
  }

  /** Jobs somebody waits for; for health and leak tests. */
  get size(): number {
    return this.jobs.size
  }
}
