/**
 * Process groups of attempts, written down so that a crash leaves none running. The row goes when the group has ended:
 * after it was written, however long that took, and once more where the store did not take it.
 */
import type { Clock } from '../core/clock.js'
import type { ProcessRow, Store } from '../stores/store.js'

const AGAIN_MS = 1000
/** With pauses that double, for a quarter of an hour. What is left then goes when its worker has gone (maintenance.ts). */
const TRIES = 10

/** Writes a group down. Whoever waits for that would only be late: the group bears a mark of its own as well. */
export function writeGroup(workers: Store['workers'], clock: Clock, row: ProcessRow): { ended(): void } {
  const written = workers.addProcess(row).catch(() => undefined)
  const remove = (tries: number): Promise<void> =>
    workers.removeProcess(row.jobId, row.pgid).catch(() => {
      if (tries < TRIES) clock.after(AGAIN_MS * 2 ** (tries - 1), () => void remove(tries + 1))
    })
  return { ended: () => void written.then(() => remove(1)) }
}
