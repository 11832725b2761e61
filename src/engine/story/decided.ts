/** Decisions of people, in words: for the end that a rejection makes, and for the list of what happened. */
import type { ApprovalDecision } from '../../core/approval.js'
import type { Facts } from './facts.js'
import { because, nameOf, quoted } from './words.js'

const DID = { approve: 'Approved', reject: 'Rejected', requestChanges: 'Changes asked for' } as const

/** `Rejected by M. Kern: wrong order`. */
export function decisionWords({ decision, by, reason }: ApprovalDecision, gate?: string): string {
  return because(`${DID[decision]}${gate ? ` (${quoted(gate)})` : ''} by ${nameOf(by)}`, reason)
}

/** The decision that ended the job. */
export function approvalEnd({ detail }: Facts): string | null {
  const row = detail?.approvals.findLast(({ state }) => state === 'rejected')
  const last = row?.decisions.findLast(({ decision }) => decision === 'reject')
  return last ? decisionWords(last) : null
}
