/**
 * One watcher per process: turns the store's change notices into wake-ups for whoever waits for a job. A hint only;
 * whoever is woken reads the job. Never polls.
 */
import type { Change } from '../stores/store.js'

type Waiter = (change: Change) => void
type End = NonNullable<Change['end']>

/** So many latest ends are remembered. */
const REMEMBERED = 4096
/** Results above this many characters are not: they are read again. */
const REMEMBERED_CHARS = 4096

export class Waiters {
  private readonly jobs = new Map<string, Set<Waiter>>()

  private readonly recent = new Map<string, End>()
  /** Ids in `recent` by the place of their end: a Map whose first key is removed again and again walks over the holes. */
  private readonly order: string[] = []
  /** Ends seen so far. Whoever noted this number and asks before REMEMBERED more have come can trust a miss in `endOf`. */
  ends = 0

  /** Whether no end since `mark` can have been forgotten. */
  remembersSince(mark: number): boolean {
    return this.ends - mark < REMEMBERED
  }

  endOf(jobId: string): End | undefined {
    return this.recent.get(jobId)
  }

  notify(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.end) this.remember(change.jobId, change.end)
      const waiters = this.jobs.get(change.jobId)
      if (waiters) for (const waiter of [...waiters]) waiter(change)
    }
  }

  private remember(jobId: string, end: End): void {
    const place = this.ends++ % REMEMBERED
    if (this.order[place] !== undefined) this.recent.delete(this.order[place])
    this.order[place] = jobId
    this.recent.set(jobId, end.result !== null && end.result.length > REMEMBERED_CHARS ? { ...end, result: null } : end)
  }

  /** Calls `waiter` on each change of the job until the returned function is called. */
  add(jobId: string, waiter: Waiter): () => void {
    let waiters = this.jobs.get(jobId)
    if (!waiters) this.jobs.set(jobId, (waiters = new Set()))
    waiters.add(waiter)
    return () => {
      waiters.delete(waiter)
      if (waiters.size === 0 && this.jobs.get(jobId) === waiters) this.jobs.delete(jobId)
    }
  }

  /** Jobs somebody waits for; for health and leak tests. */
  get size(): number {
    return this.jobs.size
  }
}
