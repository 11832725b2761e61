/**
 * A schedule: a timetable that makes jobs. Types and constants only. When it is due is worked out in engine/timetable.ts,
 * what becomes of each instant is decided in engine/firing.ts.
 */
import type { Actor } from './job.js'

/** What happens to instants that passed while nobody could act on them: service down, or schedule paused. */
export const MISSED_RULES = ['skip', 'latest', 'all'] as const
export type MissedRule = (typeof MISSED_RULES)[number]

/** What happens at an instant when the previous job of the schedule is not done. */
export const OVERLAP_RULES = ['allow', 'skip'] as const
export type OverlapRule = (typeof OVERLAP_RULES)[number]

/** What was asked. All instants in milliseconds since the epoch. */
export interface ScheduleDefinition {
  type: string
  description: string | null
  /** Five or six fields, or `@daily` and its like; null when `everyMs` is given. */
  cron: string | null
  /** Milliseconds from instant to instant, counted from `startAt` or the epoch; null when `cron` is given. */
  everyMs: number | null
  /** IANA name of the zone in which `cron` is read. */
  timeZone: string
  /** No instant before this one. */
  startAt: number | null
  /** No instant at or after this one. */
  endAt: number | null
  /** Each job starts up to so much after its instant. */
  jitterMs: number
  missed: MissedRule
  /** With `missed: 'all'`: at most so many jobs at once, for the latest instants. */
  missedLimit: number
  overlap: OverlapRule
  priority: number
  groupId: string | null
  operationKey: string | null
  tags: string[]
  metadata: Record<string, string>
}

/** `code`: it was declared in code and is no longer; declared again, it goes on. */
export interface SchedulePause {
  by: 'person' | 'code'
  actor: Actor
  note: string | null
  at: number
}

/** Why an instant got no job. */
export interface ScheduleProblem {
  code: string
  message: string
  /** The instant that got no job. */
  at: number
  occurredAt: number
}

/** A schedule as it is kept. Every instant of its timetable ends in exactly one of the four counters. */
export interface Schedule {
  tenant: string
  /** The caller's choice, unique in the tenant. */
  id: string
  definition: ScheduleDefinition
  /** JSON text of the input as it was given: each firing validates it anew. */
  input: string
  /** Kept in step with the code at every start. */
  declared: boolean
  paused: SchedulePause | null
  /** The first instant that was not dealt with; null when none is left. A paused schedule keeps it. */
  nextAt: number | null
  /** When `nextAt` was worked out. Later than now: the clock went back. */
  decidedAt: number
  /** Instant of the last job. */
  previousAt: number | null
  lastJobId: string | null
  lastProblem: ScheduleProblem | null
  /** Instants that got their job. */
  firedCount: number
  /** Instants that passed unseen and were not caught up. */
  missedCount: number
  /** Instants that were left out because the previous job, or another that is a duplicate, was not done. */
  skippedCount: number
  /** Instants that got no job because of a problem. */
  problemCount: number
  createdBy: Actor
  createdAt: number
  updatedAt: number
  /** +1 for each change by a person or by code; used by `ifVersion`. */
  version: number
  /** +1 for each write; guards every write. */
  revision: number
}
