/**
 * The small words of sentences: numbers, lists, times, names. Pure. English, the same for every reader; instants are in
 * UTC and say so.
 */
import { formatDuration } from '../../core/duration.js'
import type { Actor, Person } from '../../core/job.js'

/** `1 try`, `3 tries`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}

export const tries = (n: number): string => count(n, 'try', 'tries')

/** `a`, `a and b`, `a, b and 3 more`. */
export function list(items: readonly string[], max = 5): string {
  const shown = items.length > max ? [...items.slice(0, max - 1), `${items.length - max + 1} more`] : [...items]
  if (shown.length < 2) return shown[0] ?? ''
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`
}

export const quoted = (name: string): string => `"${name}"`
export const quotedList = (names: readonly string[], max?: number): string => list(names.map(quoted), max)

/** One unit: `4 m`, `3 d`. For how long something has lasted. */
export function about(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} m`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`
}

/** Two units: `1 m 40 s`. */
export const span = (ms: number): string => formatDuration(Math.max(0, ms)).replace('.0 s', ' s')

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `14:32 UTC` on the day of `now`, else `09:00 UTC on 23 Nov 2026`. Instants that no calendar has are `some day`. */
export function clock(at: number, now: number): string {
  if (!(Math.abs(at) <= 8.64e15)) return 'some day'
  const then = new Date(at)
  const time = `${two(then.getUTCHours())}:${two(then.getUTCMinutes())}`
  const sameDay = Math.floor(at / 86_400_000) === Math.floor(now / 86_400_000)
  if (sameDay) return `${time} UTC`
  return `${time} UTC on ${then.getUTCDate()} ${MONTHS[then.getUTCMonth()]} ${then.getUTCFullYear()}`
}

const two = (n: number): string => String(n).padStart(2, '0')

/** A person or program by name. The engine itself has none: then the sentence is said without an agent. */
export function nameOf(who: Actor | Person | null | undefined): string | null {
  if (!who) return null
  if ('kind' in who) {
    if (who.kind === 'system' && who.id !== 'local') return null
    if (who.kind === 'worker') return `worker ${who.name ?? who.id}`
  }
  return who.name ?? who.id
}

/** ` by Ada`, or nothing. */
export function by(who: Actor | Person | null | undefined): string {
  const name = nameOf(who)
  return name === null ? '' : ` by ${name}`
}

/** With a full stop, unless it ends like a sentence already. */
export function sentence(text: string): string {
  return /[.!?…]["”]?$/.test(text) ? text : `${text}.`
}

/** `Cancelled by Ada: wrong file`, or `Cancelled by Ada.` */
export function because(said: string, reason: string | null | undefined): string {
  return reason ? `${said}: ${reason}` : sentence(said)
}

/** Parts that say something, as one text. */
export function join(...parts: (string | null | undefined | false)[]): string {
  return parts.filter(Boolean).join(' ')
}

/** An instant for machines. Some that are computed are beyond the calendar: then there is none. */
export function iso(at: number | null): string | null {
  return at === null || !(Math.abs(at) <= 8.64e15) ? null : new Date(at).toISOString()
}
