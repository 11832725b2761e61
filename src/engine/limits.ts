/**
 * The keys of a new job's limits and of its uniqueness: computed once, at submit, from the checked input. What they mean
 * is counted by the store.
 */
import { UntildoneError } from '../core/errors.js'
import type { JobLimits, JobRecord } from '../core/job.js'
import { canonicalJson, type Json } from '../core/json.js'
import { limitName } from '../core/limits.js'
import type { LimitKey, OnDuplicate } from '../define/limits.js'
import type { NewJob } from '../stores/store.js'
import type { Caller, SubmitBody } from './api.js'
import type { EngineParts } from './parts.js'
import type { RegisteredType } from './registry.js'
import { holds } from './rights.js'

type Sha256 = (text: string) => string

/** Longer keys are cut, with a hash in place of what is cut off. */
const KEY_MAX = 200

/** The limits of a job with this input; undefined when it has none. */
export function limitsFor({ name, handler }: RegisteredType, input: unknown, sha256: Sha256): JobLimits | undefined {
  const { limits } = handler.settings
  if (!limits) return undefined
  const ask = (key: LimitKey<unknown> | null, what: string) =>
    key === null ? '' : answered(name, `limits.${what}`, () => key(input), sha256)
  const found: JobLimits = {}
  if (limits.concurrency) {
    const key = ask(limits.concurrency.key, 'concurrency.key')
    if (key !== null) found.concurrency = { key, limit: limits.concurrency.limit }
  }
  if (limits.order) {
    const key = ask(limits.order, 'order')
    if (key !== null) found.order = key
  }
  if (limits.rate) {
    const key = ask(limits.rate.key, 'rate.key')
    const { limit, perMs, burst } = limits.rate
    if (key !== null) found.rate = { key, limit, perMs, ...(burst === 1 ? {} : { burst }) }
  }
  return Object.keys(found).length > 0 ? found : undefined
}

/** What uniqueness means for a job that is about to be stored; null when it may have as many duplicates as it likes. */
export function uniqueFor(
  parts: EngineParts,
  caller: Caller,
  type: RegisteredType,
  input: unknown,
  body: SubmitBody,
  at: string,
): { key: string; unique: Omit<NonNullable<NewJob['unique']>, 'name'> } | null {
  const { unique } = type.handler.settings
  if (!unique) {
    if (body.onDuplicate === undefined || body.onDuplicate === null) return null
    throw new UntildoneError('validation-failed', `Jobs of type "${type.name}" may have duplicates.`, {
      errors: [{ pointer: `${at}/onDuplicate`, code: 'conflict', message: 'needs a type with the option `unique`' }],
    })
  }
  const { sha256 } = parts.entropy
  const operationKey = body.operationKey ?? null
  const key = unique.key
    ? answered(type.name, 'unique.key', () => unique.key!(input, { operationKey }), sha256)
    : (operationKey ?? `input:${sha256(canonicalJson((input ?? null) as Json))}`)
  if (key === null) return null
  const onDuplicate: OnDuplicate = body.onDuplicate ?? unique.onDuplicate
  // The type's author may let any submit replace any other; a caller may only replace what it could cancel.
  const ownOnly = onDuplicate !== unique.onDuplicate && !holds(caller, 'jobs:operate')
  return { key, unique: { onDuplicate, expiresAt: parts.expiresAt, ...(ownOnly ? { ownOnly } : {}) } }
}

/**
 * A descendant is part of its ancestors' turns: in the row of one of their order keys it would wait for a job that waits
 * for it.
 */
export function withinTurns(child: JobRecord, parent: JobRecord): void {
  const { limits } = parent.options
  const own = limits?.order === undefined ? [] : [limitName('order', parent, limits.order)]
  const turns = [...(parent.options.turns ?? []), ...own]
  if (turns.length === 0) return
  const order = child.options.limits?.order
  if (order !== undefined && turns.includes(limitName('order', child, order))) delete child.options.limits!.order
  child.options.turns = turns
}

/** Gives a prepared job its unique name. @param forMs how long it keeps it; null: until it is done */
export function bindUnique(
  job: NewJob,
  { key, unique }: NonNullable<ReturnType<typeof uniqueFor>>,
  forMs: number | null,
): void {
  const { record } = job
  record.options.unique = { key, until: forMs === null ? 'done' : record.createdAt + forMs }
  job.unique = { name: limitName('unique', record, key), ...unique }
}

function answered(type: string, what: string, ask: () => unknown, sha256: Sha256): string | null {
  let key: unknown
  try {
    key = ask()
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new UntildoneError('bad-definition', `Job "${type}": ${what} threw: ${said}. Nothing was stored.`, { cause })
  }
  if (key === null || key === undefined) return null
  if (typeof key !== 'string' && typeof key !== 'number')
    throw new UntildoneError(
      'bad-definition',
      `Job "${type}": ${what} must give text or null, not ${typeof key}. Nothing was stored.`,
    )
  const text = String(key)
  if (text.length <= KEY_MAX && !text.includes('\0')) return text
  // No database keeps a NUL in a text, and no index likes long ones.
  return `${text.slice(0, KEY_MAX - 40).replaceAll('\0', '')}…${sha256(text).slice(0, 32)}`
}
