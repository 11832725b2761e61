/**
 * Contract of rows beside the jobs: what is listed and how, groups, files, keys, workers, schedules. Types only; store.ts
 * has the methods.
 */
import type { AuditDraft } from '../core/history.js'
import type { Origin, Person, Status } from '../core/job.js'
import type { LimitNumbers } from '../core/limits.js'
import type { Schedule, ScheduleProblem } from '../core/schedule.js'
import type { Happened, Webhook } from '../core/webhook.js'
import type { NewJob } from './jobs.js'

export interface JobFilter {
  tenant: string
  /** Only these jobs. */
  ids?: readonly string[]
  statuses?: readonly Status[]
  /** Exact names, or prefixes that end in `*`. */
  types?: readonly string[]
  groupId?: string
  operationKey?: string
  parentId?: string
  tag?: string
  /** Id of the schedule that made them. */
  schedule?: string
  /** Only jobs created by this actor id. */
  createdBy?: string
  createdAfter?: number
  createdBefore?: number
  updatedAfter?: number
  late?: boolean
  needsAttention?: boolean
  /** With an attempt that failed for this origin. */
  origin?: Origin
  /** With a decision by this model (and version), or with this tool. */
  model?: string
  modelVersion?: string
  tool?: string
  order: 'createdAt' | '-createdAt' | '-updatedAt' | '-finishedAt'
  /** Keyset: rows after this (order value, id). */
  after?: { value: number; id: string }
  limit: number
}

export interface GroupSummary {
  groupId: string
  counts: Record<Status, number>
  total: number
  firstCreatedAt: number
  lastUpdatedAt: number
  latestByType: Record<string, string>
}

export interface FileRow {
  id: string
  tenant: string
  bytes: number
  sha256: string
  contentType: string
  name: string | null
  createdBy: string
  createdAt: number
  /** When it is swept if no job refers to it by then; null while one does. */
  expiresAt: number | null
}

export interface ApiKeyRow {
  id: string
  tenant: string
  name: string
  /** SHA-256 of the whole key, hexadecimal. */
  hash: string
  scopes: string[]
  types: string[] | null
  /** Whose key it is: two-person rules compare persons. Null: the key stands for itself. */
  person: Person | null
  /** Groups of the person, for approvals that need one of them. */
  groups: string[] | null
  /** Highest risk it may approve; null = any. */
  maxRisk: string | null
  createdAt: number
  expiresAt: number | null
  revokedAt: number | null
  lastUsedAt: number | null
}

export interface WorkerRow {
  id: string
  boot: string
  host: string
  pid: number
  startedAt: number
  leaseUntil: number
  state: 'up' | 'draining' | 'gone'
  /** What it takes; null for all queues. */
  serves: {
    types: { name: string; version: string | null }[]
    queues: string[] | null
    /** The kind of transport by which it is told of jobs; absent when it looks by itself. */
    transport?: string
  } | null
}

/** What a worker runs of one lane. */
export interface WorkerLoad {
  worker: string
  lane: string
  running: number
  oldestAt: number
}

/** A child process group of a running attempt, for the sweep after a crash. */
export interface ProcessRow {
  jobId: string
  pgid: number
  startTime: string
  bootId: string
  worker: string
}

export interface ClaimRequest {
  worker: string
  /** Each lane once. May be a getter: like `limit`, it is read when the claim is carried out. */
  readonly lanes: readonly LaneQuota[]
  /** At most so many in all; read when the claim is carried out. */
  limit: () => number
  /** Levels in the order in which they are served; not always the highest first, so that nothing starves. */
  readonly levels: readonly number[]
  /** The numbers of a type's limits as they are defined now; without them those count that a job was submitted under. */
  numbers?: (type: string) => LimitNumbers | undefined
  /** Told of lanes that may hold more ready jobs although they gave less than asked. */
  onCut?: (lane: string) => void
  /**
   * Told of each of the `ids` that this claim leaves waiting, because others came first or there was no room. What is not
   * known to be claimed is left as well.
   */
  onLeft?: (id: string) => void
  /**
   * False where jobs that others were told of are not expected among the first of these lanes: then a store may ask which of
   * the `ids` still wait only once it has met one. It changes what a claim costs, not what it gives. @default true
   */
  readonly mixed?: boolean
}

export interface LaneQuota {
  lane: string
  limit: number
  /**
   * Given: only as many jobs as of these still wait in this lane. Which ones is decided by the order of the lane.
   */
  ids?: readonly string[]
}

/** Which ready jobs of a lane are asked for. */
export interface ReadyQuota {
  lane: string
  limit: number
  /** By level: from which `runAt` on. @default from the beginning */
  from?: readonly number[]
}

/** A job that a claim may take. */
export interface ReadyJob {
  id: string
  version: number
  level: number
  runAt: number
}

export interface WaitingJob {
  lane: string
  version: number
}

/** One change of one schedule: it is read, `decide` says what it is to be, and that is written, in one transaction. */
export interface ScheduleChange {
  tenant: string
  id: string
  /** Gets null when there is none; answers null to write nothing. */
  decide(schedule: Schedule | null, now: number): ScheduleDecision | null
}

export interface ScheduleDecision {
  /** The schedule as it is to be; null removes it. Its jobs stay. */
  next: Schedule | null
  /** Given: the files its input refers to, kept as long as it refers to them. */
  files?: readonly string[]
  audit: AuditDraft | null
}

export type ScheduleChanged =
  | { outcome: 'written'; schedule: Schedule | null }
  | { outcome: 'left' }
  | { outcome: 'file-missing'; file: string }

/** What becomes of the instants of a schedule that have come. */
export interface Firing {
  tenant: string
  id: string
  /** The schedule as it was read: when it has changed since, nothing is written. */
  revision: number
  /** One job per instant, in order; each with a key of its own, so that an instant has one job however often it is fired. */
  jobs: readonly { at: number; job: NewJob }[]
  /** A job is stored only when the job before it is done; else its instant counts as skipped. */
  afterPrevious: boolean
  /** Where the timetable goes on. */
  nextAt: number | null
  /** Instants that are not caught up. */
  missed: number
  /** Instants that get no job because of `problem`. */
  problems: number
  problem: ScheduleProblem | null
  /** What is noted when a file of the input is no longer there. */
  missingFile(file: string, at: number): ScheduleProblem
}

export type Fired =
  | { outcome: 'stale' }
  /** Per job, in order. `replayed`: its instant had one before. */
  | { outcome: 'fired'; jobs: ('created' | 'replayed' | 'skipped' | 'refused')[] }

/** One change of one webhook: it is read, `decide` says what it is to be, and that is written, in one transaction. */
export interface WebhookChange {
  tenant: string
  id: string
  /** Gets null when there is none; answers undefined to write nothing, null to remove it. */
  decide(webhook: Webhook | null, now: number, count: number): Webhook | null | undefined
  /** Written with it; null for what nobody asked for. */
  audit: AuditDraft | null
}

/** What happened, on its way to those who hear of it. */
export interface Telling {
  /** Taken out of the outbox; each that was there gets its jobs, once. */
  happened: readonly Happened[]
  /** The deliveries of each. */
  jobs: ReadonlyMap<Happened['id'], readonly NewJob[]>
}
