/**
 * What is counted of an error that no rule of step or type decides, so that people can teach what to do about it. Counts
 * nothing of errors that the engine throws about itself, and of jobs of its own.
 */
import { type Classified, isOwn } from '../core/classify.js'
import { fingerprintOf } from '../core/fingerprint.js'
import type { JobRecord } from '../core/job.js'
import { clip, plainText } from '../core/json.js'
import { isBuiltIn } from '../engine/registry.js'
import type { FailureSeen } from '../stores/store.js'

const MESSAGE_MAX = 1024
const OUTPUT_MAX = 2048
const WORD_MAX = 100

/** Null when the code has decided it, or nobody may. */
export function failureOf(
  { by, facts, taught }: Classified,
  { tenant, type, input }: JobRecord,
  attempt: number,
  at: number,
  sha256: (text: string) => string,
): FailureSeen | null {
  if ((by !== 'taught' && by !== 'built-in') || isOwn(facts) || isBuiltIn(type)) return null
  const word = (text: string | null) => text && clip(plainText(text), WORD_MAX)
  return {
    ...{ tenant, type, fingerprint: fingerprintOf(type, facts, sha256), attempt, at, taught },
    input: sha256(input).slice(0, 16),
    facts: {
      ...{ name: word(facts.name) ?? '', message: clip(plainText(facts.message), MESSAGE_MAX), code: word(facts.code) },
      ...{ status: facts.status, exit: facts.exit, signal: word(facts.signal) },
      output: plainText(facts.output).slice(-OUTPUT_MAX),
      ...{ engine: word(facts.engine), engineVersion: word(facts.engineVersion), schemaIssue: facts.schemaIssue },
    },
  }
}

/** The taught rule by which an error is harmless, for the warning that is all that is kept of it. */
export function taughtIn({ rule, taught }: Classified): string | null {
  return taught === null ? null : rule
}
