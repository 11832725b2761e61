/**
 * What look-ups find for one job: the job with its instants as the facade writes them, its status in the facade's words,
 * and its errors as lines. Shows nothing that the native API would not show to the same caller.
 */
import type { Json, WireJob } from '../../core/index.js'
import type { Facade, StatusMap } from './facade.js'
import type { Scope } from './template.js'

type Time = NonNullable<Facade['time']>

/** The value of `$status`: the case of the word if the map has it, else the word. */
export function statusOf(job: WireJob, map: StatusMap): Json {
  const special = job.status === 'blocked' ? job.blockedOn[0]?.kind : job.error?.code
  const key = `${job.status}:${special}` as keyof StatusMap
  return special !== undefined && Object.hasOwn(map, key) ? map[key]! : map[job.status]
}

/** One line per error; nothing unless the job failed or was cancelled. */
export function errorLines(job: WireJob): string[] | undefined {
  if (job.status === 'failed') {
    const { messages = [], message = 'The job failed.' } = job.error ?? {}
    return messages.length > 0 ? messages : [message]
  }
  if (job.status !== 'cancelled') return undefined
  const message = (job.error?.message ?? '').replace(/\s+/g, ' ').trim()
  const why = message.replace(/^Cancelled(?: on request)?[.:]? ?/, '')
  return [why === '' ? 'Job cancelled.' : `Job cancelled: ${why}`]
}

export function jobScope(job: WireJob, map: StatusMap, time: Time): Scope {
  const shown = time === 'milliseconds' ? job : inTime(job, WRITE[time])
  return { job: shown, id: job.id, status: statusOf(job, map), progress: shown.progress, errors: errorLines(job) }
}

const WRITE: Record<Exclude<Time, 'milliseconds'>, (instant: string) => string | number> = {
  seconds: (instant) => instant.replace(/\.\d+Z$/, 'Z'),
  unixSeconds: (instant) => Math.floor(Date.parse(instant) / 1000),
  unixMilliseconds: (instant) => Date.parse(instant),
}

const INSTANTS: ReadonlySet<string> = new Set(['at', 'since'])

/** Members that hold what a caller or a handler made: never touched. */
const FOREIGN: ReadonlySet<string> = new Set(['result', 'metadata', 'details'])

/** Instants are the members whose names end in `At`, and `at` and `since`. */
function inTime<T>(value: T, write: (instant: string) => string | number): T {
  if (Array.isArray(value)) return value.map((item) => inTime(item, write)) as T
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    const isInstant = typeof member === 'string' && (name.endsWith('At') || INSTANTS.has(name))
    copy[name] = FOREIGN.has(name) ? member : isInstant ? write(member) : inTime(member, write)
  }
  return copy as T
}
