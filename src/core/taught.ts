/**
 * Rules that people have taught: data of a tenant, one job type each, with who taught it and why. What they may say is
 * checked here; when they are tried is classify.ts. Pure.
 */
import type { Verdict } from './error-facts.js'
import { FINGERPRINT } from './fingerprint.js'
import type { Actor } from './job.js'
import { clip } from './json.js'
import { isRange } from './version-range.js'

/** What must hold; all of what is given. */
export interface TaughtWhen {
  /** Of a recorded failure of the type. */
  fingerprint?: string
  /** Text that code, name, message or output of the error contain; `/…/i` is a regular expression. */
  match?: string
  code?: string
  status?: number
  exit?: number
  signal?: string
  /** The engine that the error names in its details; `versions` null stands for all of them. */
  engine?: { name: string; versions: string | null }
}

export interface TaughtRule {
  /** Per tenant, from 1. */
  id: number
  tenant: string
  type: string
  when: TaughtWhen
  is: Verdict
  reason: string
  by: Actor
  at: number
  /** Attempts, and steps that went on, which it has decided. */
  used: number
  lastUsedAt: number | null
  /** Set when it is no longer tried. */
  forgotten: { at: number; by: Actor; reason: string } | null
}

/** What is recorded with the attempt; tells its story when the rule is long forgotten. */
export function taughtWords({ id, by, at, reason }: TaughtRule): string {
  const day = new Date(at).toISOString().slice(0, 10)
  return `taught[${id}] by ${clip(by.name ?? by.id, 100)} on ${day}: ${clip(reason.replace(/\s+/g, ' ').trim(), 300)}`
}

/** `Taught by Mara on 2026-11-25: noise of the engine`, of what is recorded; null for other rules. */
export function taughtStory(rule: string): string | null {
  const match = /^taught\[\d+\] (.+)$/s.exec(rule)
  return match && `Taught ${match[1]}`
}

const REGEXP = /^\/(.+)\/([imsu]*)$/s
/** A repeated group in which something is repeated: the usual way to an expression that never ends. */
const NESTED_REPEAT = /\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)[*+{]/

/** @throws SyntaxError */
export function patternOf(match: string): RegExp | string {
  const written = REGEXP.exec(match)
  return written ? new RegExp(written[1]!, written[2]) : match
}

/** What is wrong with it, by member; empty when it can be taught. */
export function wrongIn(when: TaughtWhen): { member: string; message: string }[] {
  const wrong: { member: string; message: string }[] = []
  const { fingerprint, match, engine, ...rest } = when
  if (fingerprint !== undefined && !FINGERPRINT.test(fingerprint))
    wrong.push({ member: 'fingerprint', message: 'must be one of GET /v1/failures: 16 hexadecimal digits' })
  if (match !== undefined) {
    const message = wrongPattern(match)
    if (message) wrong.push({ member: 'match', message })
  }
  if (engine && engine.versions !== null && !isRange(engine.versions))
    wrong.push({
      member: 'engine/versions',
      message: 'must be a range like 5.3.x, ">=5 <5.4", ^5.3 or "4.1.1 || >=5.3"',
    })
  const narrow = fingerprint ?? match ?? Object.values(rest).find((value) => value !== undefined)
  if (narrow === undefined)
    wrong.push({
      member: '',
      message: 'needs a fingerprint, match, code, status, exit or signal: an engine alone is every error of it',
    })
  return wrong
}

function wrongPattern(match: string): string | null {
  if (match.trim() === '') return 'is empty'
  if (match.length > 300) return 'must have at most 300 characters'
  try {
    const pattern = patternOf(match)
    if (typeof pattern === 'string') return null
    if (NESTED_REPEAT.test(pattern.source))
      return 'repeats a group that repeats something, which may never end; say it in another way'
    return pattern.test('') ? 'matches everything' : null
  } catch (error) {
    return `is no regular expression: ${(error as Error).message}`
  }
}
