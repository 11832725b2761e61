/** The JSON of operator actions, decisions and the audit trail. Types only; see wire.ts for the rules of the form. */
import type { Actor } from './job.js'
import type { Json } from './json.js'
import type { WireJob, WireStep } from './wire.js'

/** What a replay does not do again, and what it does. */
export interface WireReplayPlan {
  fromStep: string | null
  input: 'same' | 'changed'
  reused: { step: string; kind: WireStep['kind']; ageMs: number; attempt: number }[]
  again: {
    step: string
    effect: WireStep['effect']
    /** The idempotency key that makes a repeat of it harmless, handed to the far side again; null when there is none. */
    protectedByKey: string | null
  }[]
  /** Effects get new keys: what happened before may happen a second time. */
  newEffects: boolean
}

/** A replay: the new job, and what it takes over. */
export type WireReplay = WireJob & { replay: WireReplayPlan }

export interface WireDecision {
  at: string
  attempt: number
  model: string
  modelVersion: string | null
  tools: string[]
  path: string | null
  /** Whatever else the handler put into the entry. */
  fields: Json
}

export interface WireAuditEntry {
  seq: number
  at: string
  tenant: string
  actor: Actor
  action: string
  target: string
  reason: string | null
  details: Json
  prevHash: string
  hash: string
}

/** What a walk over the whole audit chain found. */
export interface WireAuditCheck {
  /** Every entry follows from the one before it. */
  intact: boolean
  entries: number
  /** The last entry: keep it elsewhere, and a chain that was cut off at its end is found out as well. */
  head: { seq: number; hash: string } | null
  /** The first entry that does not follow. */
  firstBreak: WireAuditEntry | null
}

export interface WireGroupCancel {
  groupId: string
  /** Jobs that are cancelled now. */
  cancelled: number
  /** Running jobs that were asked to stop. */
  stopping: number
  refused: { id: string; code: string; message: string }[]
}

export type BulkAction = 'retry' | 'cancel' | 'replay' | 'resolve' | 'pause' | 'resume'

/** What a bulk operation would do. */
export interface WireBulkPlan {
  action: BulkAction
  /** Jobs it would act on; `more`: there are more than were counted. */
  count: number
  more: boolean
  /** The first of them. */
  jobs: Pick<WireJob, 'id' | 'type' | 'status' | 'statusText'>[]
  /** Jobs that match the filter and are left out, by reason. */
  excluded: Record<string, number>
  excludedJobs: { id: string; code: string }[]
}
