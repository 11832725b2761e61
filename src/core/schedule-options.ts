/**
 * A schedule as people write it, in code and in the client: durations as `'15m'`, instants as Dates. Pure.
 */
import { type Duration, parseDuration } from './duration.js'
import type { MissedRule, OverlapRule } from './schedule.js'

export interface ScheduleOptions {
  /** For people. @default none */
  description?: string
  /** Five fields (minute hour day month weekday), six with the second first, or `@daily` and its like. Either this or `every`. */
  cron?: string
  /** From instant to instant, one second at least, counted from `startAt` or from the epoch: `'15m'` is at :00, :15, :30, :45. */
  every?: Duration
  /** IANA name of the zone in which `cron` is read. @default 'UTC' */
  timeZone?: string
  /** No run before this instant. @default from now on */
  startAt?: Date | string
  /** No run at or after this instant. @default for ever */
  endAt?: Date | string
  /** Each job starts up to so much after its instant; the same instant always gets the same share of it. At most a day. @default 0 */
  jitter?: Duration
  /** What happens to instants that passed while the service was down or the schedule paused: none is caught up, the latest one, or all. @default 'latest' */
  missed?: MissedRule
  /** With `missed: 'all'`: at most so many, the latest ones; 500 at most. @default 100 */
  missedLimit?: number
  /** `skip`: no job while the previous one is not done; the instant is counted. @default 'allow' */
  overlap?: OverlapRule
  /** −100 … 100, higher is sooner. @default 0 */
  priority?: number
  /** `groupId` of the jobs. @default none */
  group?: string
  /** `operationKey` of the jobs. @default none */
  operationKey?: string
  /** Of the jobs. @default none */
  tags?: string[]
  /** Of the jobs. @default none */
  metadata?: Record<string, string>
}

/** Null puts a member back to its default. */
export type ScheduleChanges = { [Member in keyof ScheduleOptions]?: ScheduleOptions[Member] | null }

/** The same in the words of the wire. @throws TypeError for what is no duration */
export function scheduleMembers({ every, jitter, startAt, endAt, group, ...rest }: ScheduleChanges) {
  const { description, cron, timeZone, missed, missedLimit, overlap } = rest
  const { priority, operationKey, tags, metadata } = rest
  return {
    ...{ description, cron, timeZone, missed, missedLimit, overlap, priority, operationKey, tags, metadata },
    everyMs: ms(every, 'every'),
    jitterMs: ms(jitter, 'jitter'),
    startAt: instant(startAt),
    endAt: instant(endAt),
    groupId: group,
  }
}

function ms(duration: Duration | null | undefined, what: string): number | null | undefined {
  return duration === null || duration === undefined ? duration : parseDuration(duration, what)
}

function instant(at: Date | string | null | undefined): string | null | undefined {
  return at instanceof Date ? at.toISOString() : at
}
