/**
 * A schedule declared in code, beside the job it runs. Says what is wanted and checks nothing: the start of the program
 * does, with the time zones and job types that are there. Runs in a browser too.
 */
import type { ScheduleOptions } from '../core/schedule-options.js'
import type { JobDefinition } from './define-job.js'
import type { AnySchema, InputOf } from './schema.js'

/** A schedule as the code declares it. */
export interface ScheduleDeclaration extends ScheduleOptions {
  /** Permanent name: 1 to 100 letters, digits, `.`, `_`, `-`. */
  id: string
  /** The job type to run. */
  definition: JobDefinition<any, any>
  /** What each job gets; validated at the start and again for each job. */
  input: unknown
  /** Created paused; later the people who operate it decide. @default false */
  paused?: boolean
}

const SCHEDULE = Symbol.for('untildone.schedule')

/** Recognises declarations by symbol, so that a job file may come with its own copy of the package. */
export function isScheduleDeclaration(value: unknown): value is ScheduleDeclaration {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[SCHEDULE] === true
}

/**
 * A schedule that is kept in step with the code at every start, with an input of the job's type. Export it from a job
 * file, or hand it to `createUntildone({ schedules })`.
 * @example
 * export const nightly = defineSchedule({
 *   id: 'nightly-report', definition: report, input: { region: 'eu' }, cron: '30 3 * * *', timeZone: 'Europe/Berlin',
 * })
 */
export function defineSchedule<I extends AnySchema, O extends AnySchema>(
  declaration: ScheduleOptions & {
    id: string
    definition: JobDefinition<I, O>
    input: InputOf<I>
    paused?: boolean
  },
): ScheduleDeclaration {
  return { [SCHEDULE]: true, ...declaration } as ScheduleDeclaration
}
