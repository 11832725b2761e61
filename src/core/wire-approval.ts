/**
 * An approval as it travels: the card that people decide by. Types only. Instants are RFC 3339, durations are `…Ms`.
 */
import type { ApprovalOutcome, ApprovalState, DecisionKind, FeedbackPoint } from './approval.js'
import type { Actor, Person, Status } from './job.js'
import type { Json } from './json.js'
import type { DiffRow, Evidence, Impact, ProposedWrite, Rollback } from './proposal.js'
import type { GroupNeed, OnExpire, Risk } from './risk.js'

/** What the caller may do now, and if not, why. */
export interface MayDecide {
  may: boolean
  /** One sentence; null when they may. */
  why: string | null
}

/** A line of the inbox. */
export interface WireApprovalItem {
  id: string
  jobId: string
  jobType: string
  gate: string
  state: ApprovalState
  risk: Risk
  /** The rule of the policy that set the tier. */
  riskRule: string
  /** One sentence: what is to be done. */
  summary: string
  /** Who asked; the first is shown. None of them counts where the tier wants another person. */
  requesters: Person[]
  quorum: { filled: number; needed: number; open: GroupNeed[] }
  /** Groups that are asked. */
  assignees: string[]
  /** Of what is shown; a decision names it as `evidenceDigest`. */
  digest: string
  /** +1 after each wish for changes. */
  round: number
  /** +1 for each edit, and when it was asked again with other content. */
  proposal: number
  version: number
  requestedAt: string
  dueAt: string
  decidedAt: string | null
  outcome: ApprovalOutcome | null
  mayDecide: Record<DecisionKind, MayDecide>
  links: { self: string; decision: string; job: string }
}

export interface WireApprovalDecision {
  by: Person
  /** How they were authenticated. */
  actor: Actor
  groups: string[]
  decision: DecisionKind
  at: string
  /** Time since the request was made. */
  afterMs: number
  reason: string | null
  /** Digest of what they saw. */
  digest: string | null
  /** The version of the proposal that it counts for. */
  proposal: number
  /** Members of `data` as edited. */
  data: Record<string, Json> | null
  changes: FeedbackPoint[]
}

export interface WireEvidence extends Omit<Evidence, 'asOf'> {
  asOf: string | null
}

/** One difference between what was shown before and what is shown now; null = was not there, or is not any more. */
export interface WireChanged {
  part: 'write' | 'evidence' | 'impact' | 'rollback' | 'data'
  of: string
  field: string | null
  side: 'now' | 'after' | null
  before: Json
  after: Json
}

/** What was shown before. */
export interface WireEarlier {
  approvalId: string
  digest: string
  round: number
  proposal: number
  why: 'edited' | 'changes-requested' | 'asked-again'
  at: string
  by: Person | null
  reason: string | null
  /** The remarks of somebody who asked for changes. */
  changes: FeedbackPoint[]
  diff: DiffRow[]
  data: Json
  /** What differs between it and the present proposal. */
  changed: WireChanged[]
}

/** The whole card. */
export interface WireApproval extends WireApprovalItem {
  /** Where in the job it is asked: the gate, with `#2` … for later requests. */
  key: string
  tenant: string
  jobStatus: Status | null
  because: string
  /** What the job was not sure about. */
  confidenceNotes: string[]
  /** Model, version and tools behind the proposal. */
  actor: { model: string | null; version: string | null; tools: string[] }
  riskWhy: string
  /** The rule of the tier in one sentence. */
  rule: string
  policyVersion: string
  writes: ProposedWrite[]
  /** The writes as rows: field, now, after. */
  diff: DiffRow[]
  /** Empty: the job said that there is none. */
  evidence: WireEvidence[]
  impact: Impact
  rollback: Rollback
  data: Json
  allow: { edit: string[]; changes: boolean }
  maxRounds: number
  decisions: WireApprovalDecision[]
  earlier: WireEarlier[]
  escalations: { at: string; to: string | null; doneAt: string | null }[]
  /** From then on nobody can decide. */
  endsAt: string
  onExpire: OnExpire
  /** What happens then, in one sentence. */
  atExpiry: string
  onReject: 'cancel' | 'fail' | 'continue'
  withdrawnBecause: string | null
}
