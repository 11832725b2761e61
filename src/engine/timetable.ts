/**
 * When a schedule is due: cron read in a time zone, or a fixed pace. Pure: the same timetable and instant always give
 * the same next instant. The only file that knows the cron library.
 *
 * Changes of the clock (docs/decisions/0011): a time of day that does not exist is due once, at the first instant after
 * the gap; one that comes twice is due once, the first time. A pattern with a wildcard or step in seconds, minutes or
 * hours is a pace and not a time of day: it follows the clock, so that every 15 minutes stays every 15 minutes.
 */
import { Cron } from 'croner'
import type { FieldError } from '../core/errors.js'
import type { ScheduleDefinition } from '../core/schedule.js'

export type When = Pick<ScheduleDefinition, 'cron' | 'everyMs' | 'timeZone' | 'startAt' | 'endAt'>

export interface Timetable {
  /** The first instant after `after`; null when none is left. */
  next(after: number): number | null
}

const EVERY_MIN_MS = 1000
const EVERY_MAX_MS = 366 * 86_400_000

/** What is wrong with it; empty when timetableOf will take it. */
export function checkWhen({ cron, everyMs, timeZone, startAt, endAt }: When): FieldError[] {
  const errors: FieldError[] = []
  const add = (pointer: string, code: string, message: string) => errors.push({ pointer, code, message })
  if ((cron === null) === (everyMs === null))
    add('/cron', cron === null ? 'required' : 'conflict', 'give either cron or everyMs')
  if (everyMs !== null && !(Number.isInteger(everyMs) && everyMs >= EVERY_MIN_MS && everyMs <= EVERY_MAX_MS))
    add('/everyMs', 'range', 'must be a whole number of milliseconds from one second to 366 days')
  const zoned = isTimeZone(timeZone)
  if (!zoned) add('/timeZone', 'unknown', `is not a time zone of this machine; write for example Europe/Berlin or UTC`)
  if (startAt !== null && endAt !== null && endAt <= startAt) add('/endAt', 'too-early', 'must be later than startAt')
  if (cron !== null) {
    const wrong = cronProblem(cron, zoned ? timeZone : 'UTC')
    if (wrong !== null) add('/cron', 'pattern', wrong)
  }
  return errors
}

/** White space between the fields does not matter. */
export function normalCron(cron: string): string {
  return cron.trim().replace(/\s+/g, ' ')
}

function isTimeZone(name: string): boolean {
  // An offset like +02:00 is taken by some runtimes and knows no change of the clock.
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

const SHORTHANDS = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']

function cronProblem(cron: string, timeZone: string): string | null {
  const fields = normalCron(cron).split(' ')
  if (cron.trim().startsWith('@')) {
    if (/^@every\b/i.test(cron.trim())) return 'has no @every here: give everyMs instead'
    if (!SHORTHANDS.includes(cron.trim().toLowerCase()))
      return `must be one of ${SHORTHANDS.join(', ')}, or five fields`
  } else if (fields.length !== 5 && fields.length !== 6) {
    return `must have five fields (minute hour day month weekday), or six with the second first; it has ${cron.trim() === '' ? 0 : fields.length}`
  }
  try {
    return parse(cron, timeZone).nextRun(new Date(0)) === null ? 'never comes' : null
  } catch (error) {
    return (error as Error).message.replace(/^Cron(Pattern|Date): /, '').replace(/^./, (c) => c.toLowerCase())
  }
}

function parse(cron: string, timezone: string): Cron {
  return new Cron(normalCron(cron), {
    timezone,
    paused: true,
    mode: '5-or-6-parts',
    // Vixie's rule: only a wildcard or step makes a pattern follow the clock; lists and ranges are times of day.
    fixedTimeRule: 'no-wildcard',
  })
}

/** @param when as checkWhen takes it */
export function timetableOf(when: When): Timetable {
  const { startAt, endAt } = when
  const raw = when.everyMs === null ? cronTimetable(when) : paceTimetable(when.everyMs, startAt ?? 0)
  return {
    next(after) {
      const at = raw.next(startAt === null ? after : Math.max(after, startAt - 1))
      return at === null || (endAt !== null && at >= endAt) ? null : at
    },
  }
}

function cronTimetable({ cron, timeZone }: When): Timetable {
  const pattern = parse(cron!, timeZone)
  // Whole seconds: an instant within the second is after the second's beginning.
  return { next: (after) => pattern.nextRun(new Date(Math.floor(after / 1000) * 1000))?.getTime() ?? null }
}

/** Absolute: the clock on the wall has no say in it. */
function paceTimetable(everyMs: number, anchor: number): Timetable {
  return { next: (after) => anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs }
}

/** The instants after `after` up to `until`, at most `limit`. */
export function instantsUntil(timetable: Timetable, after: number, until: number, limit: number): number[] {
  const found: number[] = []
  for (let at = timetable.next(after); at !== null && at <= until && found.length < limit; at = timetable.next(at))
    found.push(at)
  return found
}
