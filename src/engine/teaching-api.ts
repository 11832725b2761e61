/**
 * What the engine offers about errors that the code says nothing of, in the words of the wire. Types only. Every method
 * needs jobs:operate, and speaks of the caller's types only.
 */
import type { Verdict } from '../core/error-facts.js'
import type { TaughtWhen } from '../core/taught.js'
import type { WireExplainedError, WireFailure, WireRule, WireTeaching } from '../core/wire-failure.js'
import type { Caller, Page } from './api.js'

export interface FailureQuery {
  /** Exact, or a beginning that ends in `*`. */
  type?: string
  /** Milliseconds since the epoch. */
  since?: number
  limit?: number
  cursor?: string
}

/** All that is given must hold. */
export type Narrowing = Omit<TaughtWhen, 'fingerprint' | 'engine'> & {
  engine?: { name: string; versions?: string | null }
}

export interface TeachBody extends Narrowing {
  verdict: Verdict
  /** Recorded with the rule and in the audit trail. */
  reason: string
  /** Store nothing, and show what it would match. @default false */
  dryRun?: boolean
}

/** An error as somebody writes it down. */
export interface ExplainBody {
  type: string
  message: string
  name?: string
  code?: string
  status?: number
  exit?: number
  signal?: string
  /** Last lines of a child process. */
  output?: string
  engine?: { name: string; version?: string | null }
}

export interface TeachingUses {
  /** Seen latest first. @throws invalid-cursor */
  list(caller: Caller, query: FailureQuery): Promise<Page<WireFailure>>
  /** @throws not-found */
  get(caller: Caller, fingerprint: string): Promise<WireFailure>
  /**
   * From now on errors like this one have this verdict; jobs that are done stay as they are. Without conditions of its own
   * the rule is for this fingerprint; with some it is for whatever they match, which must include this failure.
   * @throws not-found, validation-failed, quota-exceeded
   */
  teach(caller: Caller, fingerprint: string, body: TeachBody): Promise<WireTeaching>
  /** The same for an error that was not seen yet. @throws not-found (type), validation-failed, quota-exceeded */
  addRule(caller: Caller, type: string, body: TeachBody): Promise<WireTeaching>
  /** The latest first; with `all` those that were forgotten too. */
  rules(caller: Caller, query: { type?: string; all?: boolean }): Promise<WireRule[]>
  /** From now on it is not tried. Forgetting twice is once. @throws not-found, validation-failed (no reason) */
  forget(caller: Caller, id: number, reason: string | null): Promise<WireRule>
  /** Which rule would decide about an error, and every one that was looked at before. @throws not-found (type) */
  explain(caller: Caller, body: ExplainBody): Promise<WireExplainedError>
}
