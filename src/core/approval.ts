/**
 * The records of an approval: what a handler asks for, the row that is stored, what people decided, what the handler
 * gets back. Types, and what can be read off a row; rows are made in approval-open.ts, decided in approval-decide.ts and
 * ended by time in approval-expire.ts. Pure.
 */
import type { Duration } from './duration.js'
import type { Actor, Person } from './job.js'
import type { Json } from './json.js'
import type { Impact, Proposal, Touch } from './proposal.js'
import type { GroupNeed, OnExpire, Risk, RiskPolicy, RiskRule, RiskTable } from './risk.js'

/** What becomes of the job after a rejection. `continue` hands the handler the outcome `rejected`. */
export const ON_REJECT = ['cancel', 'fail', 'continue'] as const
export type OnReject = (typeof ON_REJECT)[number]

/** A member of what is written: `[now, after]`, or with the member of `data` whose value `after` shows. */
export type FieldRequest = readonly [now: unknown, after: unknown] | { now: unknown; after: unknown; from?: string }

/** What a handler hands to `job.approve`. Without summary, because, writes, evidence, impact and rollback there is no request. */
export interface ApprovalRequest<Data = unknown> {
  /** One sentence that says what to do: verb, object, amount or recipient. At most 280 characters. */
  summary: string
  /** Why, in a sentence or two. At most 1000 characters. */
  because: string
  /** Each external write: the system, what is done there, and every field that changes. */
  writes: readonly {
    target: string
    /** @default 'write' */
    operation?: string
    object?: string
    href?: string
    /** @default false */
    irreversible?: boolean
    /** What it touches; can only raise the risk. @default [] */
    touches?: readonly Touch[]
    /** A member that is undefined is not there. */
    change: Readonly<Record<string, FieldRequest | undefined>>
  }[]
  /** What the request rests on, or `'none'`, which raises the risk. Each entry has a quote or a link. */
  evidence:
    | 'none'
    | readonly { label: string; quote?: string; href?: string; version?: string; asOf?: number | string }[]
  /** Who and how many are affected, how much money moves, who sees it. */
  impact: string | (Partial<Impact> & Pick<Impact, 'description'>)
  /** How it is undone, or `'none'` when it cannot be. */
  rollback: string | { plan: string; within?: Duration; by?: string }
  /** Raises the tier that the policy computes; a lower one has no effect. @default the policy's */
  risk?: Risk
  /** The person it is done for, besides whoever submitted the job: neither of them counts as "other person". */
  requester?: Person
  /** What the model is called, in which version, and which tools it used. */
  actor?: { model?: string; version?: string; tools?: readonly string[] }
  /** What the handler goes on with; comes back with the answer, edited if that was allowed. @default null */
  data?: Data
  /** Which members of `data` an approver may edit (true = all), and whether changes may be asked for. @default { edit: false, changes: true } */
  allow?: { edit?: boolean | readonly MemberOf<Data>[]; changes?: boolean }
  /** Asks for more than the tier does, e.g. `[{ group: 'finance', n: 1 }]`. @default the tier's */
  need?: readonly GroupNeed[]
  /** Groups that are asked first. @default the groups whose approval is needed */
  assign?: readonly string[]
  /** Groups that are asked as well after 50 % and 80 % of the time. @default the same people are reminded */
  escalateTo?: readonly string[]
  /** Time to decide. @default that of the tier, 3 days */
  due?: Duration
  /** @default the first that the tier allows: 'cancel' */
  onExpire?: OnExpire
  /** @default 'cancel' */
  onReject?: OnReject
  /** How many versions are shown before "ask for changes" is no longer offered. @default 3 */
  maxRounds?: number
  /** What the job was not sure about. */
  confidenceNotes?: string | readonly string[]
}

/** Of data whose members are not known, any name. */
type MemberOf<Data> = string extends keyof Data ? string : [keyof Data] extends [never] ? string : keyof Data & string

/** A request as stored: checked, complete, the short forms written out. */
export interface ApprovalBody extends Proposal {
  summary: string
  because: string
  confidenceNotes: string[]
  actor: { model: string | null; version: string | null; tools: string[] }
  requester: Person | null
  /** The tier that the job asked for. */
  risk: Risk | null
  need: GroupNeed[]
  assign: string[]
  escalateTo: string[]
  dueMs: number | null
  onExpire: OnExpire | null
  onReject: OnReject
  /** Members of `data` that may be edited. */
  allow: { edit: string[]; changes: boolean }
  maxRounds: number
}

export const APPROVAL_STATES = [
  'pending',
  'approved',
  'rejected',
  'changes-requested',
  'expired',
  /** Taken back undecided, because the job ended. */
  'withdrawn',
] as const
export type ApprovalState = (typeof APPROVAL_STATES)[number]

export const DECISIONS = ['approve', 'reject', 'requestChanges'] as const
export type DecisionKind = (typeof DECISIONS)[number]

/** One wish of somebody who asks for changes. */
export interface FeedbackPoint {
  /** JSON Pointer into the stored request, e.g. `/data/amount`; null = the whole. */
  about: string | null
  text: string
}

/** What one person decided; the list is never shortened. */
export interface ApprovalDecision {
  by: Person
  /** How they were authenticated: the key or session. */
  actor: Actor
  /** Their groups at that moment. */
  groups: string[]
  decision: DecisionKind
  at: number
  /** Time since the request was made, in milliseconds. */
  afterMs: number
  reason: string | null
  /** The digest of what they saw, as they sent it. */
  digest: string | null
  /** The version of the proposal that it counts for. */
  proposal: number
  /** Members of `data` as edited. */
  data: Record<string, Json> | null
  changes: FeedbackPoint[]
}

/** What was shown before, for "what changed since". */
export interface Earlier extends Proposal {
  /** The row it stood in: this one if it was edited here. */
  approvalId: string
  digest: string
  round: number
  proposal: number
  /** `asked-again`: the handler asked for something else when it ran again, because the world had moved. */
  why: 'edited' | 'changes-requested' | 'asked-again'
  at: number
  /** Who edited it or asked for changes. */
  by: Person | null
  reason: string | null
  changes: FeedbackPoint[]
}

export interface Escalation {
  at: number
  /** The group that is asked as well; null = those who are asked already are reminded. */
  to: string | null
  /** When it was done. */
  doneAt: number | null
}

/** An approval as stored. Every change makes a new row with `version` + 1; the store guards its update with the old one. */
export interface ApprovalRow {
  id: string
  tenant: string
  jobId: string
  jobType: string
  /** Wait key within the job: the gate, with `#2`, `#3` … for later requests. */
  key: string
  gate: string
  state: ApprovalState
  risk: Risk
  riskRule: string
  /** Why it is of this tier, for the reviewer. */
  riskWhy: string
  policyVersion: string
  /** The rule of the tier when it was asked, with `need` as this request has it. */
  rule: RiskRule
  /** 1 for the first; +1 after each wish for changes. */
  round: number
  /** 1 as asked; +1 for each edit, and when it is asked again with other content. Approvals count for their proposal only. */
  proposal: number
  version: number
  request: ApprovalBody
  /** Digest of the present proposal: what a decision names. */
  digest: string
  /** Digest of what the handler asked for, whatever the policy and the edits; see stillAsks(). */
  asked: string
  /** The person shown as requester first; none of them counts where the rule says so. */
  requesters: Person[]
  decisions: ApprovalDecision[]
  /** Oldest first, the last five. */
  earlier: Earlier[]
  assignees: string[]
  escalations: Escalation[]
  requestedAt: number
  dueAt: number
  /** Time to decide, in milliseconds; `escalate` gives it once more. */
  periodMs: number
  onExpire: OnExpire
  /** When it was escalated at its end. */
  extendedAt: number | null
  decidedAt: number | null
  decidedOutcome: ApprovalOutcome | null
  /** Why it was withdrawn. */
  withdrawnBecause: string | null
}

export type ApprovalOutcome = 'approved' | 'rejected' | 'changes-requested' | 'expired'

interface AnswerBase {
  /** The approval it is: `approvedBy: answer` ties a step to it. */
  id: string
  /** All decisions, also those that no longer counted. */
  decisions: ApprovalDecision[]
  reason: string | null
  /** Whose decisions made the outcome; empty when nobody had to decide, or nobody did. */
  by: Person[]
}

/** What the handler gets back. Only an approval carries data. */
export type ApprovalAnswer<Data = Json> =
  | (AnswerBase & { outcome: 'approved'; data: Data; edited: boolean; feedback: null })
  | (AnswerBase & { outcome: 'rejected' | 'expired'; data: null; edited: false; feedback: null })
  | (AnswerBase & { outcome: 'changes-requested'; data: null; edited: false; feedback: FeedbackPoint[] })

/** What a deployment decides about approvals. */
export interface ApprovalRules {
  policy: RiskPolicy
  /** Changes whenever the policy does; part of every digest. */
  policyVersion: string
  table: RiskTable
  /** SHA-256 as lower-case hexadecimal. */
  sha256: (text: string) => string
}

/** What the handler gets, or null while the request is open or after it was withdrawn. */
export function answerOf(row: ApprovalRow): ApprovalAnswer | null {
  const { id, decisions, state } = row
  const last = decisions.at(-1)
  const counted = countedApprovals(row)
  const none = { data: null, edited: false, feedback: null } as const
  switch (state) {
    case 'approved':
      return {
        ...{ id, outcome: state, data: row.request.data, edited: counted.some(({ data }) => data), feedback: null },
        ...{ decisions, reason: counted.at(-1)?.reason ?? null, by: counted.map(({ by }) => by) },
      }
    case 'rejected':
      return { id, outcome: state, ...none, decisions, reason: last!.reason, by: [last!.by] }
    case 'changes-requested':
      return { id, outcome: state, ...none, feedback: last!.changes, decisions, reason: last!.reason, by: [last!.by] }
    case 'expired':
      return { id, outcome: state, ...none, decisions, reason: null, by: [] }
    default:
      return null
  }
}

/** What a closed approval means for its job; null while it is open or after it was withdrawn. */
export function consequenceOf(row: ApprovalRow): 'resume' | 'cancel' | 'fail' | null {
  switch (row.state) {
    case 'approved':
    case 'changes-requested':
      return 'resume'
    case 'rejected':
      return row.request.onReject === 'continue' ? 'resume' : row.request.onReject
    case 'expired':
      // An escalation that nobody answered ends like the default.
      return row.onExpire === 'continue' ? 'resume' : row.onExpire === 'fail' ? 'fail' : 'cancel'
    default:
      return null
  }
}

/** The approvals that count: of different people, for the present proposal. */
export function countedApprovals(row: ApprovalRow): ApprovalDecision[] {
  const seen = new Set<string>()
  return row.decisions.filter(({ decision, proposal, by }) => {
    if (decision !== 'approve' || proposal !== row.proposal || seen.has(by.id)) return false
    seen.add(by.id)
    return true
  })
}
