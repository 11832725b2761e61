/** Failures and taught rules as they travel. Types only; see wire.ts for the rules of the form. */
import type { Verdict } from './error-facts.js'
import type { Actor } from './job.js'
import type { TaughtWhen } from './taught.js'

/** Errors about which the code of a type says nothing, by what they have in common. */
export interface WireFailure {
  fingerprint: string
  type: string
  /** The message without what varies from job to job. */
  words: string
  /** How often an attempt, or a step that went on, met it. */
  count: number
  /** In how many jobs, and with how many different inputs. */
  jobs: number
  inputs: number
  /** Of the latest jobs of the type, how many met it; with a single failure. */
  recent?: { jobs: number; met: number }
  firstSeenAt: string
  lastSeenAt: string
  /** The latest one, clipped. */
  example: {
    jobId: string
    attempt: number
    name: string
    message: string
    code: string | null
    status: number | null
    exit: number | null
    signal: string | null
    output: string
    engine: { name: string; version: string | null } | null
  }
  /** What becomes of it now, and by which rule. */
  verdict: Verdict
  rule: string
  /** Number of the taught rule that decides. */
  taught: number | null
  links: { self: string; teach: string; job: string }
}

export interface WireRule {
  id: number
  type: string
  /** What must hold; all of it. */
  when: TaughtWhen
  verdict: Verdict
  reason: string
  by: Actor
  at: string
  /** Attempts, and steps that went on, which it has decided. */
  used: number
  lastUsedAt: string | null
  inForce: boolean
  forgotten: { at: string; by: Actor; reason: string } | null
  links: { self: string }
}

/** What was taught, or would be. */
export interface WireTeaching {
  /** Null in a dry run: nothing was stored. */
  rule: WireRule | null
  when: TaughtWhen
  /** Recorded failures that it matches, the latest first, 100 at most. */
  matches: {
    fingerprint: string
    words: string
    count: number
    lastSeenAt: string
    /** What became of it before this rule. */
    before: Verdict
    /** False: a rule of the code comes first and decides. */
    decides: boolean
  }[]
  /** All of them. */
  matched: number
}

export interface WireExplainedError {
  type: string
  fingerprint: string
  verdict: Verdict
  rule: string
  by: 'step' | 'type' | 'taught' | 'built-in'
  /** The taught rule that decides. */
  taught: WireRule | null
  /** Every rule that was looked at, in order; the last one decides. */
  looked: { table: WireExplainedError['by']; rule: string; is: Verdict; matched: boolean; why: string }[]
  /** What has been counted under this fingerprint. */
  failure: WireFailure | null
  /** What this explanation cannot know. */
  notes: string[]
}
