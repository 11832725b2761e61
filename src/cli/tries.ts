/**
 * Tries as people count them: what ended because it had to wait, reached a stage of another queue or was given back is an
 * attempt and no try.
 */
import type { WireAttempt, WireJob } from '../core/wire.js'

/** Those that did not work. */
export function failedTries(attempts: readonly WireAttempt[]): WireAttempt[] {
  return attempts.filter(({ outcome }) => outcome === 'error' || outcome === 'lost')
}

/** All so far, with the one that worked or is under way; one that is still to come does not count. */
export function triesOf({ status, done, ops }: WireJob, attempts: readonly WireAttempt[]): number {
  const underWay = !done && ops?.workerId != null && ops.phase !== 'compensating'
  return failedTries(attempts).length + (status === 'completed' || underWay ? 1 : 0)
}
