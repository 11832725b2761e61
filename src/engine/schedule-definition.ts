/**
 * From what was asked to the definition that is kept: defaults filled in, every member checked. Pure; the input is the
 * business of the job type.
 */
import { type FieldError, UntildoneError } from '../core/errors.js'
import { MISSED_RULES, OVERLAP_RULES, type ScheduleDefinition } from '../core/schedule.js'
import type { ScheduleMembers, ScheduleUpdate } from './schedule-api.js'
import { checkWhen, normalCron } from './timetable.js'
import { iso } from './view.js'

const ID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$/
export const MISSED_LIMIT = 100
const MISSED_LIMIT_MAX = 500
const JITTER_MAX_MS = 86_400_000

/** @throws UntildoneError `validation-failed` with every member that is wrong */
export function checkId(id: string): void {
  if (!ID.test(id))
    throw invalid([
      {
        pointer: '/id',
        code: 'pattern',
        message: 'must be 1 to 100 letters, digits, ".", "_" or "-", with a letter or digit at both ends',
      },
    ])
}

/** @throws UntildoneError `validation-failed` with every member that is wrong */
export function settleDefinition(asked: ScheduleMembers & { type: string }): ScheduleDefinition {
  const errors: FieldError[] = []
  const instant = (pointer: string, text: string | null | undefined): number | null => {
    if (text === null || text === undefined) return null
    const at = Date.parse(text)
    if (!Number.isNaN(at)) return at
    errors.push({ pointer, code: 'format', message: 'must be an RFC 3339 instant like 2026-11-22T09:00:00Z' })
    return null
  }
  const definition: ScheduleDefinition = {
    type: asked.type,
    description: asked.description ?? null,
    cron: asked.cron === null || asked.cron === undefined ? null : normalCron(asked.cron),
    everyMs: asked.everyMs ?? null,
    timeZone: asked.timeZone ?? 'UTC',
    startAt: instant('/startAt', asked.startAt),
    endAt: instant('/endAt', asked.endAt),
    jitterMs: asked.jitterMs ?? 0,
    missed: asked.missed ?? 'latest',
    missedLimit: asked.missedLimit ?? MISSED_LIMIT,
    overlap: asked.overlap ?? 'allow',
    priority: asked.priority ?? 0,
    groupId: asked.groupId ?? null,
    operationKey: asked.operationKey ?? null,
    tags: [...new Set(asked.tags ?? [])],
    metadata: asked.metadata ?? {},
  }
  errors.push(...checkWhen(definition))
  const within = (pointer: string, value: number, max: number, least: number) => {
    if (!Number.isInteger(value) || value < least || value > max)
      errors.push({ pointer, code: 'range', message: `must be a whole number from ${least} to ${max}` })
  }
  within('/jitterMs', definition.jitterMs, JITTER_MAX_MS, 0)
  within('/missedLimit', definition.missedLimit, MISSED_LIMIT_MAX, 1)
  oneOf('/missed', definition.missed, MISSED_RULES, errors)
  oneOf('/overlap', definition.overlap, OVERLAP_RULES, errors)
  if (errors.length > 0) throw invalid(errors)
  return definition
}

/** The members of a definition with changes laid over them. */
export function updated(
  definition: ScheduleDefinition,
  { input: _, ...changes }: ScheduleUpdate,
): ScheduleMembers & { type: string } {
  const before = { ...definition, startAt: iso(definition.startAt), endAt: iso(definition.endAt) }
  const other = changes.cron != null ? { everyMs: null } : changes.everyMs != null ? { cron: null } : {}
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
  return { ...before, ...other, ...given }
}

function oneOf(pointer: string, value: string, words: readonly string[], errors: FieldError[]): void {
  if (!words.includes(value)) errors.push({ pointer, code: 'enum', message: `must be one of ${words.join(', ')}` })
}

function invalid(errors: FieldError[]): UntildoneError {
  const said = errors.map(({ pointer, message }) => `${pointer} ${message}`).slice(0, 3)
  return new UntildoneError('validation-failed', `${said.join('; ')}. Nothing was stored.`, { errors })
}
