/**
 * Contract of what jobs wait for and leave behind besides steps: waits, signals, child jobs, effects, decisions. Types
 * only; store.ts has the methods.
 */
import type { ApprovalRow, ApprovalState } from '../core/approval.js'
import type { AuditDraft } from '../core/history.js'
import type { Actor, Cancel, FinalState, LiveJob } from '../core/job.js'
import type { Json } from '../core/json.js'
import type { Risk } from '../core/risk.js'

/** What a handler waits for; its value is recorded as a step of the same key. */
export interface WaitRow {
  jobId: string
  key: string
  kind: 'timer' | 'signal' | 'callback' | 'approval' | 'child'
  /** For people and for matching: the signal, the gate, the child's type. */
  name: string
  /** When it ends by itself; null = only from outside. */
  dueAt: number | null
  childId: string | null
  createdAt: number
}

/** The value a wait is settled with, as JSON text of this. */
export type WaitValue =
  | { is: 'value'; value: unknown; by?: Actor }
  | { is: 'timeout'; child?: string }
  /** How a child ended; `result` is its JSON value. */
  | { is: 'child'; id: string; status: FinalState; result: unknown; error: { code: string; message: string } | null }

export interface Settle {
  jobId: string
  /** Given: a job of another tenant is `not-found`. */
  tenant?: string
  key: string
  /** JSON text of a WaitValue. */
  value: string
  actor: Actor
  /** For people: `signal customerReplied`. */
  by: string
  audit?: AuditDraft
}
/** `late`: it was settled before, or nobody waits under this key. */
export type SettleAnswer = 'settled' | 'late' | 'not-found'

export interface SignalRow {
  jobId: string
  tenant: string
  name: string
  /** A repeat with the same id changes nothing. */
  signalId: string
  /** JSON text. */
  payload: string
  actor: Actor
  /** At most so many unread signals are kept per job. */
  limit: number
}
export type SignalAnswer =
  | { outcome: 'delivered' | 'buffered' }
  /** The same signal came before; `delivered`: a wait has taken it. */
  | { outcome: 'repeated'; delivered: boolean }
  /** `conflict`: another signal had this id. */
  | { outcome: 'full' | 'conflict' | 'not-found' }
  | { outcome: 'finished'; status: FinalState }

/** A change of one approval: the row is read, `apply` says what becomes of it, and that is written, in one transaction. */
export interface ApprovalChange {
  id: string
  /** Given: an approval of another tenant is `not-found`. */
  tenant?: string
  /** Given: only the attempt of this epoch may; it is `stale-lease` otherwise. */
  epoch?: number
  /** Null: nothing changes. */
  apply(row: ApprovalRow, now: number): ApprovalWrite | null
  /** When a job that ends by it may be removed. */
  expiresAt?: (finishedAt: number, live: LiveJob) => number
}

/**
 * The row as it will be, and what it means for its job. An open one is waited for (again); a closed one ends the wait, and
 * wakes the job unless `stop` says how the job ends.
 */
export interface ApprovalWrite {
  row: ApprovalRow
  actor: Actor
  /** For people: `approval payout`. */
  by: string
  reason: string | null
  /** For the job's history. */
  details: Json
  stop?: NonNullable<Cancel['end']>
  audit: AuditDraft
}
export type ApprovalChanged =
  | { outcome: 'changed' | 'unchanged'; row: ApprovalRow }
  | { outcome: 'not-found' | 'stale-lease' }

export interface ApprovalFilter {
  tenant: string
  states?: readonly ApprovalState[]
  risks?: readonly Risk[]
  /** Exact names, or prefixes that end in `*`. */
  types?: readonly string[]
  gate?: string
  jobId?: string
  /** Somebody of one of these groups is asked. */
  assignees?: readonly string[]
  order: 'dueAt' | '-requestedAt'
  /** Keyset: rows after this (order value, id). */
  after?: { value: number; id: string }
  limit: number
}

/** A URL that ends a wait once. Only the hash of its token is stored. */
export interface CallbackRow {
  hash: string
  tenant: string
  jobId: string
  key: string
  expiresAt: number
  usedAt: number | null
  answerHash: string | null
}

/** What somebody outside posted to a callback. */
export interface CallbackAnswer {
  hash: string
  /** Tells a repeat of the same answer from another one. */
  answerHash: string
  /** JSON text of a CallbackResult. */
  payload: string
}
export type CallbackAnswered = 'answered' | 'repeated' | 'used' | 'expired' | 'finished' | 'not-found'

/** Which entries of the audit chain are wanted. */
export interface AuditFilter {
  /** @default 'oldest' first */
  order?: 'oldest' | 'newest'
  /** `kind:id`, or an id of any kind. */
  actor?: string
  /** Exact, or a prefix that ends in `*`. */
  action?: string
  /** Exact, or a prefix that ends in `*`. */
  target?: string
  since?: number
  until?: number
}

/** The ledger of effects that must happen once: written before the effect, and again when its outcome is known. */
export interface EffectRow {
  tenant: string
  /** The idempotency key handed to the far side; the same for every job of one business operation. */
  key: string
  jobId: string
  step: string
  /** `started`: it may or may not have happened. `absent`: somebody made sure that it has not. */
  state: 'started' | 'happened' | 'absent'
  /** JSON text; with `happened`. */
  result: string | null
  at: number
}

/** An entry of the decision log of an AI step. */
export interface DecisionRow {
  jobId: string
  key: string
  at: number
  attempt: number
  path: string | null
  model: string
  modelVersion: string | null
  tools: readonly string[]
  /** JSON text of everything else. */
  fields: string | null
}

/** Something the engine still has to do for a job, noted in the transaction that made it due. */
export interface DutyRow {
  jobId: string
  duty: 'cancel-by-parent'
  body: string | null
}

/** A note on a finished job; its outcome stays what it was. */
export interface ResolutionRow {
  jobId: string
  kind: 'resolvedManually' | 'acceptedAsIs' | 'superseded' | 'compensated'
  reason: string
  /** JSON text. */
  evidence: string | null
  by: Actor
  at: number
  otherId: string | null
}

/** Nothing of this type or queue is started; it is still accepted. */
export interface PauseRow {
  tenant: string
  kind: 'type' | 'queue'
  name: string
  by: Actor
  reason: string | null
  at: number
}
