/**
 * The records of a job, one concept each: what was asked (JobRecord), what moves (LiveJob), how it ended (Outcome).
 * Types and constants only; which state follows which is decided in lifecycle.ts and nowhere else.
 */

/** The six public words, the same in API, CLI, client, metrics and docs. */
export const STATUSES = ['accepted', 'processing', 'blocked', 'completed', 'failed', 'cancelled'] as const
export type Status = (typeof STATUSES)[number]

/** States of an unfinished job. */
export const LIVE_STATES = [
  /** Waits for a worker, or for its `runAt`: scheduled, between attempts and ready are one state. */
  'queued',
  /** A worker holds the lease of the current epoch. */
  'running',
  /** Nobody works on it until something outside happens; `waitKind` says what. No worker, no slot. */
  'waiting',
  /** A cancel was asked for while it ran; ends when the worker has stopped, or has lost its lease. */
  'cancelling',
] as const
export type LiveState = (typeof LIVE_STATES)[number]

/** States of a finished job. Nothing leads out of them. */
export const FINAL_STATES = ['completed', 'failed', 'cancelled'] as const
export type FinalState = (typeof FINAL_STATES)[number]
export type JobState = LiveState | FinalState

export type WaitKind = 'approval' | 'review' | 'signal' | 'pause' | 'timer' | 'child'

/** Who caused a transition. `system` is the engine itself (deadline, reaper, retention). */
export interface Actor {
  kind: 'apiKey' | 'user' | 'worker' | 'system'
  id: string
  name?: string
}

/** A problem as stored with an attempt, an outcome or a job that waits for review. */
export interface ErrorInfo {
  code: string
  class: 'transient' | 'permanent' | 'review' | null
  message: string
  /** One line per error, for callers that expect a list. */
  messages: string[]
  /** The step in which it surfaced, or null. */
  step: string | null
  /** The rule that decided the verdict, e.g. `type[2] /font substitution/` or `built-in http-status`. */
  rule: string | null
  details: Record<string, unknown> | null
  /** Attempts that were made when it was stored. */
  attempts: number
  /** Milliseconds since the epoch. */
  occurredAt: number
}

/** What was asked; written once, never changed. */
export interface JobRecord {
  /** UUIDv7, lower case. */
  id: string
  tenant: string
  type: string
  /** Version of the handler's code at submit, or null. */
  typeVersion: string | null
  queue: string
  /** −100…100, higher is sooner; the stored level is levelOf(priority). */
  priority: number
  /** JSON text of the validated input. */
  input: string
  groupId: string | null
  operationKey: string | null
  parentId: string | null
  replayOf: string | null
  /** Rarely used members, in one JSON column. */
  options: JobOptions
  createdBy: Actor
  createdAt: number
  runAt: number | null
  deadlineAt: number | null
}

export interface JobOptions {
  tags?: string[]
  metadata?: Record<string, string>
  traceparent?: string
  /** On the first job of a keyed batch: the ids of all its jobs, in order. */
  batch?: string[]
  /** The schedule that made it, and the instant it stands for. */
  schedule?: { id: string; at: number }
}

/** The moving part of an unfinished job. All instants in milliseconds since the epoch. */
export interface LiveJob {
  id: string
  /** Where it waits its turn: `<queue>/<type>/<tenant>`. */
  lane: string
  /** 0 (soonest) … 3, from the priority. */
  level: number
  state: LiveState
  waitKind: WaitKind | null
  /** Not claimed before this instant. */
  runAt: number
  /** When a waiting job wakes by itself; null = only from outside. */
  wakeAt: number | null
  /** When it counts as late; null = this type has no expectation yet. */
  escalateAt: number | null
  /** Since when it counts as late. */
  lateAt: number | null
  deadlineAt: number | null
  /** Number of history entries; +1 for each row that transition() writes. */
  version: number
  /** +1 for each change a reader can see; the ETag. */
  revision: number
  /** Raised by every claim; fences every write of the attempt. */
  epoch: number
  /** Attempts begun so far. */
  attempt: number
  /** Attempts since `budgetFrom` that ended in an error, and that were lost with their worker. */
  errors: number
  losses: number
  /** Start of the retry budget: max(createdAt, runAt), or the last reset. */
  budgetFrom: number
  worker: string | null
  /** First claim ever; never cleared. */
  startedAt: number | null
  /** Start of the running attempt. */
  attemptAt: number | null
  cancelAt: number | null
  /** Why it is where it is: the last error, the cancel request. */
  why: Why | null
  /** The last change that a reader can see. */
  changedAt: number
}

export interface Why {
  error?: ErrorInfo
  cancel?: Cancel
}

/** A cancel request. `by` is decided where the right was checked: whoever submitted the job, or an operator. */
export interface Cancel {
  by: 'caller' | 'operator'
  reason: string | null
  /** `graceful`: signal, then TERM, then KILL after 5 s. `force`: children are killed now. */
  mode: 'graceful' | 'force'
}

/** How a job ended; inserted once, never changed. */
export interface Outcome {
  jobId: string
  status: FinalState
  phase: string
  error: ErrorInfo | null
  attempt: number
  epoch: number
  version: number
  revision: number
  startedAt: number | null
  finishedAt: number
}

/** How one attempt ended. `ok` and `error` count; `lost` has its own budget; `released` and `suspended` are free. */
export const ATTEMPT_ENDS = ['ok', 'error', 'lost', 'released', 'suspended', 'cancelled'] as const
export type AttemptEnd = (typeof ATTEMPT_ENDS)[number]

/** One try by one worker; inserted when it ends. */
export interface Attempt {
  jobId: string
  attempt: number
  epoch: number
  worker: string | null
  outcome: AttemptEnd
  startedAt: number
  endedAt: number
  error: ErrorInfo | null
  verdict: string | null
  /** What happens next: the delay before the next try, in milliseconds, or null. */
  retryInMs: number | null
}

/** Stored level of a wire priority (rulings 19): 0 (≥ 50), 1 (1…49), 2 (0), 3 (< 0). */
export function levelOf(priority: number): number {
  if (priority >= 50) return 0
  if (priority > 0) return 1
  return priority === 0 ? 2 : 3
}

export const LEVELS = [0, 1, 2, 3] as const

/** The lane of a job. Names cannot hold `/` (the submit schema and defineJob refuse it), so this is unambiguous. */
export function laneOf(queue: string, type: string, tenant: string): string {
  return `${queue}/${type}/${tenant}`
}

export function partsOf(lane: string): { queue: string; type: string; tenant: string } {
  const first = lane.indexOf('/')
  const second = lane.indexOf('/', first + 1)
  return { queue: lane.slice(0, first), type: lane.slice(first + 1, second), tenant: lane.slice(second + 1) }
}
