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
  /** Given: the waiting times one by one, the last of them for all that follow; each up to 20 % longer. */
  delaysMs?: readonly number[]
  /** What happens when the budget is used up. */
  onExhausted: 'fail' | 'review'
}

export interface UntilOptions {
  /** How long new attempts may start, counted from max(createdAt, runAt). @default '24h' */
  within?: Duration
  /** At most so many attempts that end in an error; lost, released and suspended ones are free. @default unlimited */
  attempts?: number
  /** Waiting time between attempts: random(0, min(to, from · factor^(n−1))), never under a Retry-After. With `delays` these one by one, each up to 20 % longer, and the last of them from then on. @default { from: '1s', to: '5m', factor: 2 } */
  backoff?: { from?: Duration; to?: Duration; factor?: number } | { delays: readonly Duration[] }
  /** `fail` ends the job as failed (`exhausted`); `review` blocks it for a human. @default 'fail' */
  onExhausted?: 'fail' | 'review'
}

/** The retry budget of a type or step: `until({ within: '24h', backoff: { from: '2s', to: '5m' } })`. */
export function until(options: UntilOptions = {}): RetryPolicy {
  const { within = '24h', attempts, backoff = {}, onExhausted = 'fail' } = options
  if (attempts !== undefined && (!Number.isInteger(attempts) || attempts < 1)) {
    throw new TypeError(
      `until: attempts must be a whole number of 1 or more, not ${attempts}. Leave it out for no limit.`,
    )
  }
  const budget = { withinMs: parseDuration(within, 'within'), attempts: attempts ?? null }
  return { ...budget, ...('delays' in backoff ? listed(backoff.delays) : growing(backoff)), onExhausted }
}

function growing({ from = '1s', to = '5m', factor = 2 }: { from?: Duration; to?: Duration; factor?: number }) {
  const fromMs = parseDuration(from, 'backoff.from')
  const toMs = parseDuration(to, 'backoff.to')
  if (!(factor >= 1)) throw new TypeError(`until: backoff.factor must be 1 or more, not ${factor}.`)
  if (toMs < fromMs) throw new TypeError('until: backoff.to must not be shorter than backoff.from.')
  return { fromMs, toMs, factor }
}

function listed(delays: readonly Duration[]) {
  if (delays.length === 0) throw new TypeError('until: backoff.delays needs at least one waiting time.')
  const delaysMs = delays.map((delay) => parseDuration(delay, 'backoff.delays'))
  return { delaysMs, fromMs: Math.min(...delaysMs), toMs: Math.max(...delaysMs), factor: 1 }
}

/** A listed waiting time is at most so much longer, so that many receivers that came back are not met at once. */
const SPREAD = 0.2

/**
 * Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015): uniform in [0, cap). Listed waiting times: as long as
 * they say, and up to 20 % more.
 * @param n error attempts since the last reset, 1 for the first
 * @param jitter uniform in [0, 1)
 * @param floorMs the server's Retry-After, never undercut
 */
export function delayMs(policy: RetryPolicy, n: number, jitter: number, floorMs = 0): number {
  const { delaysMs } = policy
  if (delaysMs) {
    const listed = delaysMs[Math.min(Math.max(0, n - 1), delaysMs.length - 1)]!
    return Math.max(Math.floor(listed * (1 + SPREAD * jitter)), floorMs)
  }
  // Past 2^60 the product is over any cap; the exponent is bounded so that it never becomes Infinity · 0.
  const cap = Math.min(policy.toMs, policy.fromMs * policy.factor ** Math.min(Math.max(0, n - 1), 60))
  return Math.max(Math.floor(jitter * cap), floorMs)
}
