/**
 * One watcher per process: turns the store's change notices into wake-ups for whoever waits for a job. A hint only;
 * whoever is woken reads the job. Never polls.
 */
import type { Change } from '../stores/store.js'

type Waiter = (change: Change) => void

export class Waiters {
  private readonly jobs = new Map<string, Set<Waiter>>()

  notify(changes: readonly Change[]): void {
    if (this.jobs.size === 0) return
    for (const change of changes) {
      const waiters = this.jobs.get(change.jobId)
      if (waiters) for (const waiter of [...waiters]) waiter(change)
    }
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
