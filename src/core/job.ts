/**
 * The records of a job, one concept each: what was asked (JobRecord), what moves (LiveJob), how it ended (Outcome).
 * Types and constants only; which state follows which is decided in lifecycle.ts and nowhere else.
 */
import type { Notify } from './told.js'

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
  /** It will end as failed or cancelled, and what its steps did is being undone first: ready for a worker, or at one. */
  'compensating',
] as const
export type LiveState = (typeof LIVE_STATES)[number]

/** States of a finished job. Nothing leads out of them. */
export const FINAL_STATES = ['completed', 'failed', 'cancelled'] as const
export type FinalState = (typeof FINAL_STATES)[number]
export type JobState = LiveState | FinalState

export type WaitKind = 'approval' | 'review' | 'signal' | 'pause' | 'timer' | 'child'

/**
 * Why a job is not ready although its time may have come: a limit of its type holds it. `granted`: the limit lets it go,
 * from its `runAt` on.
 */
export type Held = 'concurrency' | 'order' | 'rate' | 'granted'

/** Where a failure came from, so that a bad model is not mistaken for a bad network. Set by the rule that decided. */
export const ORIGINS = [
  /** Network, vendor, disk, a crashed child: the same work may succeed later. */
  'system',
  /** What an AI model said, or could not say. */
  'model',
  /** A rule, a permission or a person said no. */
  'policy',
  /** What the caller handed over. */
  'input',
  /** Untildone itself: a lost worker, code that changed under a job. */
  'engine',
] as const
export type Origin = (typeof ORIGINS)[number]

/** A human being in the caller's world. Two keys or accounts of one person have one id; the id of a key is never a person. */
export interface Person {
  id: string
  name?: string | null
}

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
  /** Where it came from; null for ends that are no failure. */
  origin?: Origin | null
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
  /** The person it is done for, and what they were allowed when it was submitted. */
  onBehalfOf?: Person
  /** The person whose key submitted it; neither of the two counts as "other person" in its approvals. */
  submitter?: Person
  permissions?: string[]
  /** First job of the tree of children this one belongs to. */
  rootId?: string
  /** First job of the chain of replays: what effect keys are made of when there is no operationKey. */
  operationRoot?: string
  /** The finished job whose effects this one undoes. */
  compensates?: string
  /** How a replay was asked for. */
  replay?: { fromStep: string | null; newEffects: { reason: string; by: Actor } | null }
  /** In a child job: the wait of its parent, and what becomes of it when the parent ends first. */
  child?: { key: string; onParentEnd: 'cancel' | 'leave' }
  /** Limits that were computed from its input at submit. */
  limits?: JobLimits
  /** In a descendant: the order keys whose turn an ancestor has, as names; it is done within that turn. */
  turns?: string[]
  /** No second job with this key until it is done, or until that instant. */
  unique?: { key: string; until: 'done' | number }
  /** Hash of the input schema it was accepted under. */
  schema?: string
  /** Who is told of it besides the subscriptions of its tenant. */
  notify?: Notify[]
  /** The schedule that submitted it, and the instant it stands for. */
  schedule?: { id: string; at: number }
}

/** Keys are names inside one tenant and type; '' stands for the whole type. */
export interface JobLimits {
  /** At most `limit` jobs with this key have a worker at once. */
  concurrency?: { key: string; limit: number }
  /** Jobs with this key are done strictly one after the other, in the order of their submits. */
  order?: string
  /** At most `limit` starts with this key in `perMs`. */
  rate?: { key: string; limit: number; perMs: number; burst?: number }
}

/**
 * Bits of `LiveJob.ties`: which other rows hang on a job, so that most ends and claims look at none. `origin`: the
 * finished job that it replays or undoes gets a note when it completes. `told`: it names who is to hear of it.
 */
export const TIES = { parent: 1, children: 2, limits: 4, unique: 8, waits: 16, origin: 32, told: 64 } as const

/** The moving part of an unfinished job. All instants in milliseconds since the epoch. */
export interface LiveJob {
  id: string
  /** Where it waits its turn: `<queue>/<type>/<tenant>`, with `/<version>` for a pinned job. */
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
  /**
   * Attempts since `budgetFrom` that ended in an error, and that were lost with their worker. Errors in steps and stages
   * with a budget of their own are counted there (`why.scopes`).
   */
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
  /** The limit that keeps it from being claimed; null for most. */
  held: Held | null
  /** Other rows that hang on it: bits of TIES. */
  ties: number
  /** Recorded steps that must be undone if it does not complete: 0 or 1. */
  undo: number
  /** Why it is where it is: the last error, the cancel request, what it waits for. */
  why: Why | null
  /** The last change that a reader can see. */
  changedAt: number
}

export interface Why {
  error?: ErrorInfo
  cancel?: Cancel
  wait?: Wait
  /** A pause that was asked for while it ran, or that it is in; `at` is when it was asked for. */
  pause?: { by: Actor; reason: string | null; at?: number }
  /** What it waits for besides the pause that it is in; gone once that is there. */
  behind?: { waitKind: Exclude<WaitKind, 'review' | 'pause'>; wakeAt: number | null }
  /** Since when it waits or is paused; what passes until it goes on is not taken from its retry budget. */
  since?: number
  /** How it will end once its steps are undone. */
  undo?: { status: FinalState; phase: string; error: ErrorInfo | null }
  /** Steps and stages with a budget of their own: errors in each, and when its budget began. The latest comes last. */
  scopes?: { name: string; errors: number; from: number }[]
  /** The stage it was moved to, with the queue and the retry policy of its own that hold there. */
  stage?: { name: string; queue: string }
}

/** What a job waits for, in words for people. */
export type Wait = {
  /** Names the approval or the wait. */
  id: string
  title: string
  dueAt: number | null
  /** Of an approval: how many are there and how many are needed. */
  quorum?: { filled: number; needed: number }
}

/** A request to stop. `by` is decided where the right was checked: whoever submitted the job, or an operator. */
export interface Cancel {
  by: 'caller' | 'operator' | 'parent' | 'system'
  reason: string | null
  /** `graceful`: signal, then TERM, then KILL after 5 s. `force`: children are killed now. */
  mode: 'graceful' | 'force'
  /** Undo recorded steps first. @default true */
  compensate?: boolean
  /** Set when something else than a cancel ends it, e.g. a refused approval. */
  end?: { status: 'failed' | 'cancelled'; phase: string; code: string; message: string }
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

/** Records of an attempt are numbered from its number times this, which is more than any attempt makes. */
export const SEQ_PER_ATTEMPT = 1_000_000

/** The place of what is recorded between an attempt and the next: a wait that was settled, an answer. */
export function seqAfter(attempt: number): number {
  return (attempt + 1) * SEQ_PER_ATTEMPT - 1
}

/** Stored level of a wire priority (rulings 19): 0 (≥ 50), 1 (1…49), 2 (0), 3 (< 0). */
export function levelOf(priority: number): number {
  if (priority >= 50) return 0
  if (priority > 0) return 1
  return priority === 0 ? 2 : 3
}

export const LEVELS = [0, 1, 2, 3] as const

/**
 * The lane of a job. Names cannot hold `/` (the submit schema and defineJob refuse it), so this is unambiguous.
 * @param pin version whose workers alone may run it; null for any
 */
export function laneOf(queue: string, type: string, tenant: string, pin: string | null = null): string {
  return pin === null ? `${queue}/${type}/${tenant}` : `${queue}/${type}/${tenant}/${pin}`
}

export function partsOf(lane: string): { queue: string; type: string; tenant: string; pin: string | null } {
  const first = lane.indexOf('/')
  const second = lane.indexOf('/', first + 1)
  const third = lane.indexOf('/', second + 1)
  return {
    queue: lane.slice(0, first),
    type: lane.slice(first + 1, second),
    tenant: lane.slice(second + 1, third < 0 ? undefined : third),
    pin: third < 0 ? null : lane.slice(third + 1),
  }
}
