/**
 * Schedules as JSON Schema: what callers send and what they get. `src/core/wire.ts` holds the answers as types, and a
 * test keeps the two equal.
 */
import { z } from 'zod'
import { MISSED_RULES, OVERLAP_RULES } from '../../core/index.js'
import { Actor, anyJson, count, instant, uuid } from './job.js'
import { ifVersion, optionalInstant, reason, submitMembers } from './requests.js'

const cursor = z.string().nullable().describe('Hand it back as `cursor`; null when this was the last page.')

const members = {
  description: z.string().max(500).nullable().optional().describe('For people.'),
  cron: z
    .string()
    .min(1)
    .max(200)
    .nullable()
    .optional()
    .describe(
      'Five fields (minute hour day month weekday), six with the second first, or @hourly, @daily, @weekly, @monthly, ' +
        '@yearly. Either this or `everyMs`.',
    ),
  everyMs: z
    .int()
    .min(1000)
    .nullable()
    .optional()
    .describe('Milliseconds from instant to instant, counted from `startAt` or the epoch. Either this or `cron`.'),
  timeZone: z
    .string()
    .min(1)
    .max(100)
    .nullable()
    .optional()
    .describe('IANA name of the zone in which `cron` is read. Default UTC.'),
  startAt: optionalInstant.describe('No run before.'),
  endAt: optionalInstant.describe('No run at or after.'),
  jitterMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .nullable()
    .optional()
    .describe('Each job starts up to so much after its instant. Default 0.'),
  missed: z
    .enum(MISSED_RULES)
    .nullable()
    .optional()
    .describe(
      'What happens to instants that passed while the service was down or the schedule paused: `skip` none is caught up, ' +
        '`latest` the latest one, `all` all of them. Default latest.',
    ),
  missedLimit: z
    .int()
    .min(1)
    .max(500)
    .nullable()
    .optional()
    .describe('With `missed: all`: at most so many, the latest ones. Default 100.'),
  overlap: z
    .enum(OVERLAP_RULES)
    .nullable()
    .optional()
    .describe('`skip`: no job while the previous one is not done; the instant is counted. Default allow.'),
  priority: submitMembers.priority.nullable().describe('Of the jobs. Default 0.'),
  groupId: submitMembers.groupId.describe('Of the jobs.'),
  operationKey: submitMembers.operationKey.describe('Of the jobs.'),
  tags: submitMembers.tags.nullable().describe('Of the jobs.'),
  metadata: submitMembers.metadata.nullable().describe('Of the jobs.'),
}
const input = anyJson.optional().describe('What each job gets; validated now, and again for each job.')
const id = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$/)
  .describe('Your name for it, unique in the tenant.')

export const CreateScheduleRequest = z
  .strictObject({
    id,
    type: submitMembers.type,
    input,
    ...members,
    paused: z.boolean().optional().describe('Create it paused. Default false.'),
    reason,
  })
  .describe('A timetable, and the job it makes at each of its instants.')

export const UpdateScheduleRequest = z
  .strictObject({ type: submitMembers.type.optional(), input, ...members, reason, ifVersion })
  .describe(
    'Members that are left out stay; null puts one back to its default. `cron` and `everyMs` replace each other.',
  )

export const ScheduleActionRequest = z.strictObject({ reason, ifVersion })

export const Schedule = z
  .object({
    id: z.string(),
    tenant: z.string(),
    type: z.string(),
    input: anyJson.optional().describe('Not in lists.'),
    description: z.string().nullable(),
    cron: z.string().nullable(),
    everyMs: z.number().nullable(),
    timeZone: z.string(),
    startAt: instant.nullable(),
    endAt: instant.nullable(),
    jitterMs: z.number(),
    missed: z.enum(MISSED_RULES),
    missedLimit: count,
    overlap: z.enum(OVERLAP_RULES),
    priority: z.int(),
    groupId: z.string().nullable(),
    operationKey: z.string().nullable(),
    tags: z.array(z.string()),
    metadata: z.record(z.string(), z.string()),
    declared: z.boolean().describe('True while the code of the service declares it: then only the code changes it.'),
    paused: z
      .object({ by: z.enum(['person', 'code']), actor: Actor, note: z.string().nullable(), at: instant })
      .nullable()
      .describe('`code`: the code no longer declares it.'),
    statusText: z.string().describe('One sentence for people.'),
    nextAt: instant.nullable().describe('Null while it is paused, and when no instant is left.'),
    previousAt: instant.nullable().describe('Instant of the last job.'),
    lastJobId: uuid.nullable(),
    lastProblem: z
      .object({ code: z.string(), message: z.string(), at: instant, occurredAt: instant })
      .nullable()
      .describe('Why an instant got no job; the latest one.'),
    firedCount: count.describe('Instants that got their job.'),
    missedCount: count.describe('Instants that passed unseen and were not caught up.'),
    skippedCount: count.describe('Instants left out because the previous job, or a duplicate, was not done.'),
    problemCount: count.describe('Instants that got no job because of a problem.'),
    createdAt: instant,
    createdBy: Actor,
    updatedAt: instant,
    version: count.describe('+1 for each change by a person or by code; send it as `ifVersion`.'),
    links: z.object({ self: z.string(), upcoming: z.string(), jobs: z.string() }),
  })
  .describe('A schedule, and how it stands. Every instant of it is in one of the four counters.')

export const SchedulePage = z.object({ items: z.array(Schedule), nextCursor: cursor })

export const Upcoming = z
  .object({ at: instant, text: z.string().describe('The same in words, in the zone of the schedule.') })
  .describe('An instant that a schedule will come to.')
export const UpcomingList = z.object({ items: z.array(Upcoming), nextCursor: cursor })

export const ScheduleValidation = z.object({
  valid: z.literal(true),
  type: z.string(),
  upcoming: z.array(Upcoming).describe('The first instants.'),
})
