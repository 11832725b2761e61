/**
 * Contract of jobs: what is stored with a new one, what an attempt writes, what is read of one. Types and their words
 * only; store.ts has the methods.
 */
import type { ApprovalRow } from '../core/approval.js'
import type { AuditDraft } from '../core/history.js'
import type { JobRecord, LiveJob, Outcome, Status } from '../core/job.js'
import type { HistoryEntry } from '../core/lifecycle.js'
import type { FailureSeen } from './failures.js'
import type { CallbackRow, DecisionRow, EffectRow, ResolutionRow, WaitRow } from './waits.js'

export interface NewJob {
  record: JobRecord
  live: LiveJob
  history: HistoryEntry
  /** Given: at most one job ever has this key (scope: tenant, operation). */
  idempotency: {
    operation: string
    key: string
    fingerprint: string
    /** Set on the first job of a call: the key stands for all its jobs, and a replay of it is a replay of them all. */
    batch?: true
  } | null
  /** Files the input refers to; pinned as long as the job is kept. */
  files: readonly string[]
  /** Steps it does not do again: the reused part of a replay, what a compensation undoes. */
  steps?: readonly StepRow[]
  /** The finished job that it undoes; linked in the same transaction. A job has one compensation, ever. */
  compensates?: string
  /** Written in the same transaction, if the job is created. */
  audit?: AuditDraft
  /** Given: no second job has this name until it is free again (`record.options.unique.until`). */
  unique?: {
    /** Of limitName(). */
    name: string
    /** `replace`: the earlier one is cancelled if it has not begun, else the new one is refused. */
    onDuplicate: 'return' | 'reject' | 'replace'
    /** Replaces only what the same actor has submitted. */
    ownOnly?: boolean
    /** A name whose job is done counts as free. */
    again?: boolean
    /** When a job that was replaced may be removed. */
    expiresAt: (finishedAt: number, live: LiveJob) => number
  }
}

export type Submitted =
  | { outcome: 'created'; jobId: string }
  /** The key was used before with the same content; `jobId` may meanwhile be a tombstone. */
  | { outcome: 'replayed'; jobId: string }
  | { outcome: 'key-reused'; jobId: string }
  | { outcome: 'file-missing'; file: string }
  /** Another job of the same unique name is there; the key, if there is one, is that job's from now on. */
  | { outcome: 'duplicate'; jobId: string }
  | { outcome: 'duplicate-refused'; jobId: string; why: 'exists' | 'started' | 'done' | 'not-yours' }

export interface Claimed {
  live: LiveJob
  record: JobRecord
}

/** A memoized step as stored. `result` is JSON text; undefined in the handler is stored as null. */
export interface StepRow {
  key: string
  kind: StepKind
  attempt: number
  /** Place in the order in which the job made its records; instants are too coarse for that. @default 0 */
  seq?: number
  startedAt: number
  endedAt: number
  result: string | null
  /** JSON text for operators: the engine taken, a child's exit; or null. */
  info: string | null
  effect?: 'read' | 'idempotent' | 'once' | null
  /** `due`: to be undone if the job does not complete. `reused`: another job's, which this one never undoes. */
  undo?: 'due' | 'undone' | 'by-hand' | 'reused' | null
}

export const STEP_KINDS = [
  ...(['step', 'process', 'first', 'stage', 'decision'] as const),
  ...(['timer', 'signal', 'callback', 'approval', 'child'] as const),
] as const
export type StepKind = (typeof STEP_KINDS)[number]

export interface ProgressRow {
  stage: string | null
  message: string | null
  completed: number | null
  total: number | null
  unit: string | null
  iterations: { completed: number; total: number | null } | null
  updatedAt: number
}

export interface WarningRow {
  code: string
  message: string
  step: string | null
  at: number
  /** The taught rule by which its error is harmless. For operators: it names people. */
  rule?: string
}

export interface LogRow {
  at: number
  attempt: number
  level: string
  message: string
  data: string | null
}

/** What a running attempt writes besides transitions; fenced by the epoch. */
export interface AttemptRecord {
  jobId: string
  epoch: number
  steps?: StepRow[]
  progress?: ProgressRow
  warnings?: WarningRow[]
  logs?: LogRow[]
  /** What it will wait for. One whose signal or child is already there is settled in the same transaction. */
  waits?: WaitRow[]
  /** Child jobs, each with its wait in `waits`; a child that exists is not stored again. */
  children?: NewJob[]
  callbacks?: CallbackRow[]
  /** New approvals: an open one with its wait in `waits`, one of tier `none` with its step. */
  approvals?: ApprovalRow[]
  audit?: AuditDraft[]
  effects?: EffectRow[]
  /** One of the effects has an undo: no end of the job is told before it is known whether it happened. */
  mayUndo?: boolean
  decisions?: DecisionRow[]
  /** Keys of steps that have been undone, or are a person's to undo. */
  undone?: { key: string; undo: 'undone' | 'by-hand' }[]
  /** Errors about which the code says nothing. */
  failures?: FailureSeen[]
}

export interface StoredJob {
  record: JobRecord
  live: LiveJob | null
  outcome: StoredOutcome | null
  progress: ProgressRow | null
  warnings: WarningRow[]
  supersededBy: string | null
  compensatedBy: string | null
  /** The latest one. */
  resolution: ResolutionRow | null
  /** The limit that holds it, when one does and it was asked for with the job. */
  heldBy?: HeldBy | null
}

export interface HeldBy {
  limit: 'concurrency' | 'order' | 'rate'
  key: string
  /** Jobs of the key that have a worker, with `concurrency`. */
  running: number | null
  /** Jobs of the key that come first, with `order`; counted up to 1000. */
  ahead: number | null
}

export interface StoredOutcome extends Outcome {
  /** JSON text, null when there is none, or when it is larger than the caller asked for. */
  result: string | null
  resultBytes: number
  resultSha256: string | null
  expiresAt: number
}

/** What is left of a job whose retention ended. */
export interface Tombstone {
  jobId: string
  tenant: string
  type: string
  status: Status
  finishedAt: number
  expiredAt: number
}

export interface StoredHistory extends HistoryEntry {
  /** Set on entries that an operator or caller caused: their place in the audit chain. */
  hash: string | null
  prevHash: string | null
}

export function isTombstone(found: StoredJob | Tombstone): found is Tombstone {
  return 'expiredAt' in found
}
