/**
 * The arithmetic of limits: under which name a key is counted, when a rate allows the next start, and whose turn it is
 * when levels compete. Pure: the store counts, the clock is handed in.
 */
import { LEVELS } from './job.js'

/** At most `limit` starts in any stretch of `perMs`, spread evenly; `burst` of them at once after a quiet time. */
export interface Rate {
  limit: number
  perMs: number
  /** @default 1 */
  burst?: number
}

/** The numbers of a type as they are defined now; they also rule jobs that were submitted under others. */
export interface LimitNumbers {
  concurrency?: number
  rate?: Rate
}

const LETTER = { concurrency: 'c', order: 'o', rate: 'r', unique: 'u' } as const

/** Keys are names inside one tenant and type; this is the name in the whole store. Neither tenant nor type holds a line break. */
export function limitName(kind: keyof typeof LETTER, job: { tenant: string; type: string }, key: string): string {
  return `${LETTER[kind]}\n${job.tenant}\n${job.type}\n${key}`
}

export function isRateName(name: string): boolean {
  return name.startsWith(LETTER.rate)
}
export function isOrderName(name: string): boolean {
  return name.startsWith(LETTER.order)
}

/** Microseconds between two starts; rounded up, so that rounding never lets one more through. */
const stepOf = ({ limit, perMs }: Rate): number => Math.ceil((perMs * 1000) / limit)

/**
 * Generic cell rate algorithm. The state of a key is one number: the instant, in microseconds, at which a start would be
 * exactly on time (0 for a key that was never used). A start that had to wait for a fraction of a millisecond counts from
 * its exact instant, or rates above 500 per second would lose what is rounded.
 */
function arrival(due: number, now: number): number {
  return due > (now - 1) * 1000 ? due : now * 1000
}

/**
 * The instant of the next start, in milliseconds; `now` when it is allowed now.
 * @param ahead starts that come before it
 */
export function startAt(due: number, now: number, rate: Rate, ahead = 0): number {
  const step = stepOf(rate)
  const early = ((rate.burst ?? 1) - 1) * step
  return Math.max(now, Math.ceil((arrival(due, now) + ahead * step - early) / 1000))
}

/** The state of the key after a start at `now`. */
export function afterStart(due: number, now: number, rate: Rate): number {
  return arrival(due, now) + stepOf(rate)
}

const FAIR_EVERY = 10
const BELOW = LEVELS.slice(1)
const FAIR = BELOW.map((first) => [first, ...[...LEVELS].reverse().filter((level) => level !== first)])

/**
 * The order in which levels are served. One turn in ten begins below the highest, and these turns take the lower levels
 * in rotation: whatever load is on the others, each level goes first in one turn of thirty.
 */
export function levelsOf(turn: number): readonly number[] {
  return turn % FAIR_EVERY === FAIR_EVERY - 1 ? FAIR[Math.floor(turn / FAIR_EVERY) % FAIR.length]! : LEVELS
}

/** A turn made of what is at hand, so that nobody has to count: the random end of an id and a number that moves. */
export function turnOf(id: string, version: number): number {
  return Number.parseInt(id.slice(-6), 16) + version
}
