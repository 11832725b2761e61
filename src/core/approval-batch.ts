/**
 * Several requests decided at once: only of tiers whose rule allows it, only of one shape, and only after one of them
 * was opened. Each of them still goes through decide(). Pure.
 */
import type { ApprovalRow } from './approval.js'
import { type DecisionRefusal, refuse } from './approval-input.js'
import { canonicalJson } from './json.js'

/** Requests of one shape differ in values only: same gate, same systems, operations and fields, same tier. */
export function shapeOf({ jobType, gate, risk, request }: ApprovalRow): string {
  const writes = request.writes.map(({ target, operation, fields }) => [
    target,
    operation,
    ...fields.map(({ field }) => field),
  ])
  return canonicalJson([jobType, gate, risk, writes])
}

/**
 * Why these requests cannot be decided at once, or null.
 * @param opened digests of those that the person has looked at
 */
export function batchRefusal(rows: readonly ApprovalRow[], opened: readonly string[]): DecisionRefusal | null {
  const single = rows.find(({ rule }) => rule.batch < 2)
  if (rows.length < 2) return null
  if (single) return batch(`Requests of ${single.risk} risk are decided one at a time.`)
  const most = Math.min(...rows.map(({ rule }) => rule.batch))
  if (rows.length > most) return batch(`At most ${most} requests can be decided at once, not ${rows.length}.`)
  if (new Set(rows.map(shapeOf)).size > 1) return batch('Only requests of the same shape can be decided at once.')
  if (!rows.some(({ digest }) => opened.includes(digest)))
    return batch('Open at least one of them first, and send its digest.')
  return null
}

function batch(message: string): DecisionRefusal {
  return refuse('validation-failed', message, {}, { errors: [{ pointer: '/ids', code: 'batch', message }] })
}
