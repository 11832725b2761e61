/**
 * How long to keep trying and how long to wait between tries. Pure: the jitter comes in as a number.
 */
import { type Duration, parseDuration } from './duration.js'

/** A retry budget as stored with the type and handed to the state machine. All times in milliseconds. */
export interface RetryPolicy {
  /** No new attempt starts later than this after max(createdAt, runAt). */
  withinMs: number
  /** Error attempts allowed since the last reset; null = as many as fit into `withinMs`. */
  attempts: number | null
  fromMs: number
  toMs: number
  factor: number
  /** What happens when the budget is used up. */
  onExhausted: 'fail' | 'review'
}

export interface UntilOptions {
  /** How long new attempts may start, counted from max(createdAt, runAt). @default '24h' */
  within?: Duration
  /** At most so many attempts that end in an error; lost, released and suspended ones are free. @default unlimited */
  attempts?: number
  /** Waiting time between attempts: random(0, min(to, from · factor^(n−1))), never under a Retry-After. @default { from: '1s', to: '5m', factor: 2 } */
  backoff?: { from?: Duration; to?: Duration; factor?: number }
  /** `fail` ends the job as failed (`exhausted`); `review` blocks it for a human. @default 'fail' */
  onExhausted?: 'fail' | 'review'
}

/** The retry budget of a type or step: `until({ within: '24h', backoff: { from: '2s', to: '5m' } })`. */
export function until(options: UntilOptions = {}): RetryPolicy {
  const { within = '24h', attempts, backoff = {}, onExhausted = 'fail' } = options
  const fromMs = parseDuration(backoff.from ?? '1s', 'backoff.from')
  const toMs = parseDuration(backoff.to ?? '5m', 'backoff.to')
  const factor = backoff.factor ?? 2
  if (attempts !== undefined && (!Number.isInteger(attempts) || attempts < 1)) {
    throw new TypeError(
      `until: attempts must be a whole number of 1 or more, not ${attempts}. Leave it out for no limit.`,
    )
  }
  if (!(factor >= 1)) throw new TypeError(`until: backoff.factor must be 1 or more, not ${factor}.`)
  if (toMs < fromMs) throw new TypeError('until: backoff.to must not be shorter than backoff.from.')
  return { withinMs: parseDuration(within, 'within'), attempts: attempts ?? null, fromMs, toMs, factor, onExhausted }
}

/**
 * Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): uniform in [0, cap).
 * @param n error attempts since the last reset, 1 for the first
 * @param jitter uniform in [0, 1)
 * @param floorMs the server's Retry-After, never undercut
 */
export function delayMs(policy: RetryPolicy, n: number, jitter: number, floorMs = 0): number {
  // Past 2^60 the product is over any cap; the exponent is bounded so that it never becomes Infinity · 0.
  const cap = Math.min(policy.toMs, policy.fromMs * policy.factor ** Math.min(Math.max(0, n - 1), 60))
  return Math.max(Math.floor(jitter * cap), floorMs)
}
