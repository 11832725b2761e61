/**
 * What time does to a request: reminders, escalation, the end. Time never approves. Pure.
 */
import { type ApprovalAnswer, type ApprovalRow, answerOf, consequenceOf, type Escalation } from './approval.js'
import { endOf } from './approval-decide.js'
import { closedAs, escalationsFor } from './approval-open.js'

export interface Expired {
  /** With `version` + 1. */
  row: ApprovalRow
  closed: 'expired' | null
  /** What the job does now; null while the request is open. */
  consequence: 'resume' | 'cancel' | 'fail' | null
  answer: ApprovalAnswer | null
  /** Reminders that are due now: whom to tell. */
  escalated: Escalation[]
}

/** What is due at `now`, or null when nothing is. One call catches up with all that was missed. */
export function expire(row: ApprovalRow, now: number): Expired | null {
  if (row.state !== 'pending') return null
  const next: ApprovalRow = { ...row, version: row.version + 1 }
  if (now >= endOf(row)) {
    const closed = closedAs(next, 'expired', now)
    return {
      row: closed,
      closed: 'expired',
      consequence: consequenceOf(closed),
      answer: answerOf(closed),
      escalated: [],
    }
  }
  if (now >= row.dueAt) return open(extended(next, now), [{ at: row.dueAt, to: null, doneAt: now }])
  const due = row.escalations.filter(({ at, doneAt }) => doneAt === null && at <= now)
  if (due.length === 0) return null
  const done = due.map((escalation) => ({ ...escalation, doneAt: now }))
  const escalations = row.escalations.map((escalation) =>
    due.includes(escalation) ? { ...escalation, doneAt: now } : escalation,
  )
  const asked = done.flatMap(({ to }) => (to === null ? [] : [to]))
  return open({ ...next, escalations, assignees: union(row.assignees, asked) }, done)
}

/** When expire() has something to do next; null once the request is closed. */
export function wakeOf(row: ApprovalRow): number | null {
  if (row.state !== 'pending') return null
  const next = row.escalations.filter(({ doneAt }) => doneAt === null).map(({ at }) => at)
  return Math.min(row.dueAt, ...next)
}

/** The request taken back undecided, because its job ended; null when it was closed already. */
export function withdraw(row: ApprovalRow, reason: string, now: number): ApprovalRow | null {
  if (row.state !== 'pending') return null
  const { version } = row
  return { ...row, state: 'withdrawn', withdrawnBecause: reason, decidedAt: now, version: version + 1 }
}

/** All groups are asked, for as long again; counted from now, because nobody could know before. */
function extended(row: ApprovalRow, now: number): ApprovalRow {
  return {
    ...row,
    extendedAt: now,
    dueAt: now + row.periodMs,
    assignees: union(row.assignees, row.request.escalateTo),
    escalations: [...row.escalations, ...escalationsFor(now, row.periodMs, [])].map((escalation) =>
      escalation.doneAt === null && escalation.at <= now ? { ...escalation, doneAt: now } : escalation,
    ),
  }
}

function open(row: ApprovalRow, escalated: Escalation[]): Expired {
  return { row, closed: null, consequence: null, answer: null, escalated }
}

const union = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])]
