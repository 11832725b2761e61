/** Contract of failures, counted by what they have in common, and of the rules that people have taught. Types only. */
import type { ErrorFacts } from '../core/error-facts.js'
import type { AuditDraft } from '../core/history.js'
import type { TaughtRule } from '../core/taught.js'

/** An error about which the code says nothing, as an attempt hands it over with its end. */
export interface FailureSeen {
  tenant: string
  type: string
  fingerprint: string
  /** Hash of the job's input: the same input fails the same way more than once. */
  input: string
  attempt: number
  at: number
  /** Clipped; kept as the example. */
  facts: ErrorFacts
  /** The taught rule that decided, whose use is counted. */
  taught: number | null
}

/** All errors of one fingerprint. */
export interface FailureRow {
  tenant: string
  type: string
  fingerprint: string
  /** How often an attempt, or a step that went on, met it. */
  count: number
  /** In how many jobs, and with how many different inputs; one whose jobs have expired counts anew. */
  jobs: number
  inputs: number
  firstAt: number
  lastAt: number
  /** The latest one. */
  example: { jobId: string; attempt: number; facts: ErrorFacts }
}

export interface FailureFilter {
  tenant: string
  /** Exact names, or prefixes that end in `*`. */
  types?: readonly string[]
  /** Seen at this instant or later. */
  since?: number
  limit: number
  /** Only those after this one in the order, which is: seen latest first. */
  after?: { lastAt: number; fingerprint: string }
}

export interface FailureStore {
  list(filter: FailureFilter): Promise<FailureRow[]>
  get(tenant: string, fingerprint: string): Promise<FailureRow | null>
  /** Of the latest jobs of its type, `limit` at most, how many have met it. */
  recent(
    failure: Pick<FailureRow, 'tenant' | 'type' | 'fingerprint'>,
    limit: number,
  ): Promise<{ jobs: number; met: number }>
}

/** What is taught: the store gives it its number, and its instant. */
export type NewRule = Pick<TaughtRule, 'tenant' | 'type' | 'when' | 'is' | 'reason' | 'by'>

export interface RuleStore {
  /** With its audit entry, in one transaction. A rule in force with the same conditions is forgotten with it. */
  teach(rule: NewRule, audit: (id: number) => AuditDraft): Promise<TaughtRule>
  /** From now on it is not tried. One that was forgotten before stays as it is. @returns null when there is none */
  forget(rule: Pick<TaughtRule, 'tenant' | 'id' | 'by' | 'reason'>, audit: AuditDraft): Promise<TaughtRule | null>
  /** Of one tenant, the latest first; forgotten ones too if `all`. */
  list(tenant: string, all: boolean): Promise<TaughtRule[]>
  /** Those in force, of every tenant, the latest first: what workers try. */
  inForce(): Promise<TaughtRule[]>
}
