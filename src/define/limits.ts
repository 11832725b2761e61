/**
 * The limits of a job type: what users write (`unique`, `limits`) and what is made of it. Keys are functions of the input,
 * called once per submit; the numbers count as they are defined now, also for jobs that wait already.
 */
import { type Duration, parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import type { LimitNumbers } from '../core/limits.js'

/** Which of the jobs of a type belong together; null: this job is not limited. */
export type LimitKey<Input> = (input: Input) => string | null

export interface LimitOptions<Input> {
  /** At most so many jobs with the same key have a worker at once, in all processes together; the others wait, `accepted`. */
  concurrency?: {
    /** @default one key for the whole type */
    key?: LimitKey<Input>
    limit: number
  }
  /**
   * Jobs with the same key are done strictly one after the other, in the order in which they were submitted: the next one
   * does not begin before the one before it has ended, whatever that waits for.
   */
  order?: LimitKey<Input>
  /** At most `limit` attempts with the same key begin in any stretch of `per`; the others wait for their instant. */
  rate?: {
    /** @default one key for the whole type */
    key?: LimitKey<Input>
    limit: number
    per: Duration
    /** So many may begin at once after a quiet time; then up to `limit + burst - 1` begin in one `per`. @default 1: spread evenly */
    burst?: number
  }
}

export const ON_DUPLICATE = ['return', 'reject', 'replace'] as const
/**
 * What becomes of a duplicate. `return`: the answer is the job that is there. `reject`: 409 `duplicate-operation`.
 * `replace`: the earlier one is cancelled if it has not begun, else as `reject`.
 */
export type OnDuplicate = (typeof ON_DUPLICATE)[number]

export interface UniqueOptions<Input> {
  /** Counted from the submit, also after the end of the job. @default as long as the job is not done */
  for?: Duration
  /** Which submits mean the same; null: this one is not unique. @default the operationKey; without one the whole input */
  key?: (input: Input, about: { operationKey: string | null }) => string | null
  /** A submit may ask for another with its own `onDuplicate`. @default 'return' */
  onDuplicate?: OnDuplicate
}

/** With defaults filled in and durations in milliseconds. */
export interface LimitSettings {
  concurrency: { key: LimitKey<any> | null; limit: number } | null
  order: LimitKey<any> | null
  rate: { key: LimitKey<any> | null; limit: number; perMs: number; burst: number } | null
}
export interface UniqueSettings {
  /** Null: as long as the job is not done. */
  forMs: number | null
  key: UniqueOptions<any>['key'] | null
  onDuplicate: OnDuplicate
}

/** The numbers alone, as the store wants them. */
export function numbersOf(limits: LimitSettings | null): LimitNumbers | undefined {
  if (!limits?.concurrency && !limits?.rate) return undefined
  const { concurrency, rate } = limits
  return {
    ...(concurrency ? { concurrency: concurrency.limit } : {}),
    ...(rate ? { rate: { limit: rate.limit, perMs: rate.perMs, burst: rate.burst } } : {}),
  }
}

/** @throws UntildoneError `bad-definition` */
export function settleLimits(job: string, options: LimitOptions<any> | undefined): LimitSettings | null {
  if (options === undefined) return null
  known(job, 'limits', options, ['concurrency', 'order', 'rate'])
  const { concurrency, order, rate } = options
  if (concurrency) known(job, 'limits.concurrency', concurrency, ['key', 'limit'])
  if (rate) known(job, 'limits.rate', rate, ['key', 'limit', 'per', 'burst'])
  const perMs = rate ? parseDuration(rate.per, 'limits.rate.per') : 0
  if (rate && (perMs < 1 || perMs > MONTH_MS)) throw bad(job, `limits.rate.per must be from 1 ms to 31 d.`)
  return {
    concurrency: concurrency
      ? {
          key: keyOf(job, 'limits.concurrency.key', concurrency.key),
          limit: whole(job, 'limits.concurrency.limit', concurrency.limit),
        }
      : null,
    order: keyOf(job, 'limits.order', order),
    rate: rate
      ? {
          key: keyOf(job, 'limits.rate.key', rate.key),
          limit: whole(job, 'limits.rate.limit', rate.limit),
          perMs,
          burst: whole(job, 'limits.rate.burst', rate.burst ?? 1),
        }
      : null,
  }
}

/** @throws UntildoneError `bad-definition` */
export function settleUnique(job: string, option: 'active' | UniqueOptions<any> | undefined): UniqueSettings | null {
  if (option === undefined) return null
  if (option === 'active') return { forMs: null, key: null, onDuplicate: 'return' }
  if (typeof option !== 'object' || option === null) throw bad(job, `unique must be 'active' or an object.`)
  known(job, 'unique', option, ['for', 'key', 'onDuplicate'])
  const { onDuplicate = 'return' } = option
  if (!ON_DUPLICATE.includes(onDuplicate))
    throw bad(job, `unique.onDuplicate must be one of ${ON_DUPLICATE.join(', ')}, not ${onDuplicate}.`)
  const forMs = option.for === undefined ? null : parseDuration(option.for, 'unique.for')
  if (forMs === 0) throw bad(job, 'unique.for must be longer than 0.')
  return { forMs, key: keyOf(job, 'unique.key', option.key), onDuplicate }
}

const MONTH_MS = 31 * 86_400_000

function keyOf<F>(job: string, what: string, key: F | undefined): F | null {
  if (key === undefined) return null
  if (typeof key !== 'function') throw bad(job, `${what} must be a function of the input.`)
  return key
}

function whole(job: string, what: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1)
    throw bad(job, `${what} must be a whole number of 1 or more, not ${value}.`)
  return value
}

/** A misspelt limit would be none. */
function known(job: string, what: string, given: object, names: readonly string[]): void {
  for (const name of Object.keys(given))
    if (!names.includes(name)) throw bad(job, `${what} knows no "${name}"; it knows ${names.join(', ')}.`)
}

function bad(job: string, message: string): UntildoneError {
  return new UntildoneError('bad-definition', `Job "${job}": ${message}`)
}
