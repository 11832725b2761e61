/**
 * Whether to send a request again, and when. Pure. The rule: what may be repeated without harm is repeated, everything
 * that says "later" is obeyed, and nothing is repeated that the server refused for good.
 */
import { UntildoneApiError, UntildoneConnectionError } from './errors.js'

/** How hard a call tries before its error reaches you. */
export interface RetryOptions {
  /** Sendings of one call, the first one included. @default 10 */
  attempts?: number
  /** No sending starts later than this after the first, in milliseconds. @default 120000 */
  withinMs?: number
}

/** `always`: harmless to send twice. `refused`: only when the server said that nothing was done. `never`. */
export type Repeat = 'always' | 'refused' | 'never'

const FIRST_MS = 500
const LONGEST_MS = 15_000

// Answers that promise that nothing was stored, so that even a request without a key may go out again.
const NOTHING_DONE = new Set(['rate-limited', 'quota-exceeded', 'store-unavailable', 'overloaded', 'draining'])

export function mayRepeat(error: unknown, repeat: Repeat): boolean {
  if (repeat === 'never') return false
  if (error instanceof UntildoneConnectionError) return repeat === 'always'
  if (!(error instanceof UntildoneApiError) || !error.retryable) return false
  // Waiting for a result is the business of follow.ts, which looks at the job instead.
  if (error.code === 'result-not-ready') return false
  return repeat === 'always' || NOTHING_DONE.has(error.code)
}

/**
 * Whether an answer ends the following of something that was there before. Everything else may come from what stands
 * between, and passes: a proxy answers with any status while the server restarts.
 */
export function endsFollowing(error: unknown): boolean {
  if (!(error instanceof UntildoneApiError)) return false
  if (error.status === 401 || error.status === 403) return true
  // A proxy that has lost its way says 404 as well; only the server itself knows that a job is not there.
  return (error.status === 404 || error.status === 410) && error.code !== 'unexpected-answer'
}

/**
 * Milliseconds before sending number n + 1: full jitter up to 0.5 s doubling to 15 s, and never under the server's
 * Retry-After, which gets up to a second on top so that those who were sent away together do not come back together.
 * @param jitter uniform in [0, 1)
 */
export function pauseMs(n: number, jitter: number, retryAfterMs: number | null): number {
  const own = jitter * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(n - 1, 30))
  if (retryAfterMs === null) return Math.round(own)
  return Math.round(Math.max(own, retryAfterMs + jitter * Math.min(1000, retryAfterMs * 0.2)))
}

/** `Retry-After` in milliseconds: seconds or an HTTP date; null when absent or unreadable. */
export function retryAfterOf(header: string | null, nowMs: number): number | null {
  if (!header) return null
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000
  const at = Date.parse(header)
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs)
}
