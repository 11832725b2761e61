/**
 * From the row of a schedule to what people and programs read, with its one sentence. Pure: the same row and instant
 * always give the same answer.
 */
import { formatDuration } from '../core/duration.js'
import { clip, parseJson } from '../core/json.js'
import type { Schedule } from '../core/schedule.js'
import type { WireSchedule, WireUpcoming } from '../core/wire.js'
import { iso } from './view.js'

/**
 * @param known whether this process has the job type
 * @param withInput false in lists
 */
export function scheduleView(schedule: Schedule, now: number, known: boolean, withInput: boolean): WireSchedule {
  const { definition, paused, lastProblem } = schedule
  const self = `/v1/schedules/${encodeURIComponent(schedule.id)}`
  return {
    id: schedule.id,
    tenant: schedule.tenant,
    ...definition,
    ...(withInput ? { input: parseJson(schedule.input) } : {}),
    startAt: iso(definition.startAt),
    endAt: iso(definition.endAt),
    declared: schedule.declared,
    paused: paused && { ...paused, at: iso(paused.at) },
    statusText: clip(sentence(schedule, now, known), 280),
    nextAt: paused ? null : iso(schedule.nextAt),
    previousAt: iso(schedule.previousAt),
    lastJobId: schedule.lastJobId,
    lastProblem: lastProblem && {
      ...lastProblem,
      at: iso(lastProblem.at),
      occurredAt: iso(lastProblem.occurredAt),
    },
    firedCount: schedule.firedCount,
    missedCount: schedule.missedCount,
    skippedCount: schedule.skippedCount,
    problemCount: schedule.problemCount,
    createdAt: iso(schedule.createdAt),
    createdBy: schedule.createdBy,
    updatedAt: iso(schedule.updatedAt),
    version: schedule.version,
    links: { self, upcoming: `${self}/upcoming`, jobs: `/v1/jobs?schedule=${encodeURIComponent(schedule.id)}` },
  }
}

function sentence(schedule: Schedule, now: number, known: boolean): string {
  const { paused, nextAt, lastProblem, previousAt, definition } = schedule
  const say = (at: number) => sayInstant(at, definition.timeZone)
  if (paused) return `Paused since ${say(paused.at)}${paused.note ? `: ${ended(paused.note)}` : '.'}`
  const next =
    nextAt === null
      ? 'No further run: the timetable has ended.'
      : !known
        ? `No run before this server has the job type "${definition.type}"; due ${nextAt <= now ? 'since ' : ''}${say(nextAt)}.`
        : nextAt <= now
          ? 'Runs now.'
          : `Next run ${say(nextAt)} (in ${formatDuration(nextAt - now)})`
  const trouble = lastProblem !== null && (previousAt === null || lastProblem.at > previousAt)
  return trouble ? `Did not run ${say(lastProblem.at)}: ${ended(clip(lastProblem.message, 120))} ${next}` : next
}

const ended = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`)

export function upcomingOf(at: number, timeZone: string): WireUpcoming {
  return { at: iso(at), text: sayInstant(at, timeZone) }
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** `Monday 2 March 2026, 03:30 Europe/Berlin`. */
function sayInstant(at: number, timeZone: string): string {
  let format = formats.get(timeZone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hourCycle: 'h23',
      ...{ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' },
      ...{ hour: '2-digit', minute: '2-digit', second: '2-digit' },
    })
    formats.set(timeZone, format)
  }
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
  const seconds = part.second === '00' ? '' : `:${part.second}`
  return `${part.weekday} ${part.day} ${part.month} ${part.year}, ${part.hour}:${part.minute}${seconds} ${timeZone}`
}
