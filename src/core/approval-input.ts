/**
 * What somebody sends when they decide, who they are, and the form of a refusal. Pure: refusals are values, made for
 * UntildoneError.
 */
import { DECISIONS, type DecisionKind, type FeedbackPoint } from './approval.js'
import type { FieldError } from './errors.js'
import type { Actor, Person } from './job.js'
import type { Json } from './json.js'
import type { ErrorCode } from './problems.js'
import { escaped, Reader } from './reader.js'
import type { Risk } from './risk.js'

/** Who decides. */
export interface Decider {
  /** The person behind the key or session; two keys of one person are one person. */
  person: Person
  groups: readonly string[]
  /** The highest tier they may decide; null = all. */
  maxRisk: Risk | null
  /** How they were authenticated. */
  actor: Actor
}

/** What they send. */
export interface DecisionInput {
  decision: DecisionKind
  reason?: string | null
  /** Digest of the proposal they saw. */
  evidenceDigest?: string | null
  /** With `approve`: edited members of `data`. */
  data?: Readonly<Record<string, Json>> | null
  /** With `requestChanges`: the wishes one by one. */
  changes?: readonly { about?: string | null; text: string }[] | null
}

export interface DecisionRefusal {
  ok: false
  code: DecisionRefusalCode
  message: string
  /** Instead of the fix of the registry. */
  fix: string | null
  params: Record<string, Json>
  errors: FieldError[]
}
export type DecisionRefusalCode = Extract<
  ErrorCode,
  | 'self-approval-forbidden'
  | 'risk-above-limit'
  | 'forbidden'
  | 'precondition-required'
  | 'evidence-changed'
  | 'approval-already-decided'
  | 'approval-expired'
  | 'validation-failed'
>

const MAX_REASON = 2048
const MAX_POINTS = 50

/** A decision whose members have the right form. */
export interface CheckedDecision {
  decision: DecisionKind
  reason: string | null
  digest: string | null
  data: Record<string, Json> | null
  changes: FeedbackPoint[]
}

export function readInput(
  input: DecisionInput,
): ({ ok: true } & CheckedDecision) | { ok: false; errors: FieldError[] } {
  const read = new Reader()
  const decision = read.oneOf('/decision', input.decision ?? null, DECISIONS)
  const blank = typeof input.reason === 'string' && input.reason.trim() === ''
  const reason = blank ? null : read.optional('/reason', input.reason, MAX_REASON, 'Give the reason in a few words.')
  const digest = read.name('/evidenceDigest', input.evidenceDigest)
  const data = input.data == null ? null : read.object('/data', input.data, null, 'Give the edited members of data.')
  const edits = data && Object.entries(data).map(([name, value]) => [name, read.json(`/data/${escaped(name)}`, value)])
  const points =
    input.changes == null ? [] : read.list('/changes', input.changes, MAX_POINTS, 'List { about, text }.', 0)
  const changes = points.map((point, i) => {
    const at = read.object(`/changes/${i}`, point, ['about', 'text'], 'Give { about, text }.') ?? {}
    const text = read.text(`/changes/${i}/text`, at.text, MAX_REASON, 'Say what should be different.')
    return { about: read.name(`/changes/${i}/about`, at.about), text }
  })
  if (data && decision !== 'approve') read.fail('/data', 'not-allowed', 'Only an approval can edit.')
  if (changes.length > 0 && decision !== 'requestChanges')
    read.fail('/changes', 'not-allowed', 'Wishes go with the decision requestChanges.')
  if (read.errors.length > 0) return { ok: false, errors: read.errors }
  return { ok: true, decision: decision!, reason, digest, changes, data: edits && Object.fromEntries(edits) }
}

/** A member that is well formed and not allowed here. */
export function notAllowed(pointer: string, message: string): DecisionRefusal {
  return refuse('validation-failed', message, {}, { errors: [{ pointer, code: 'not-allowed', message }] })
}

export function refuse(
  code: DecisionRefusalCode,
  message: string,
  params: Record<string, Json>,
  more: { fix?: string; errors?: FieldError[] } = {},
): DecisionRefusal {
  return { ok: false, code, message, fix: more.fix ?? null, params, errors: more.errors ?? [] }
}
