/**
 * From the row of an approval to the card that people decide by, and from a refusal to the error that says it. Pure.
 */
import type { ApprovalRow } from '../core/approval.js'
import { endOf, quorumState } from '../core/approval-decide.js'
import type { DecisionRefusal } from '../core/approval-input.js'
import { UntildoneError } from '../core/errors.js'
import type { Status } from '../core/job.js'
import { changedSince, diffOf } from '../core/proposal.js'
import { sentenceOf } from '../core/risk.js'
import type { WireApproval, WireApprovalItem } from '../core/wire-approval.js'
import { iso } from './view.js'

export function itemOf(row: ApprovalRow, mayDecide: WireApprovalItem['mayDecide']): WireApprovalItem {
  const self = `/v1/approvals/${row.id}`
  return {
    id: row.id,
    jobId: row.jobId,
    jobType: row.jobType,
    gate: row.gate,
    state: row.state,
    risk: row.risk,
    riskRule: row.riskRule,
    summary: row.request.summary,
    requesters: row.requesters,
    quorum: quorumState(row),
    assignees: row.assignees,
    digest: row.digest,
    round: row.round,
    proposal: row.proposal,
    version: row.version,
    requestedAt: iso(row.requestedAt),
    dueAt: iso(row.dueAt),
    decidedAt: iso(row.decidedAt),
    outcome: row.decidedOutcome,
    mayDecide,
    links: { self, decision: `${self}/decision`, job: `/v1/jobs/${row.jobId}` },
  }
}

export function cardOf(
  row: ApprovalRow,
  mayDecide: WireApprovalItem['mayDecide'],
  jobStatus: Status | null,
): WireApproval {
  const { request } = row
  return {
    ...itemOf(row, mayDecide),
    key: row.key,
    tenant: row.tenant,
    jobStatus,
    because: request.because,
    confidenceNotes: request.confidenceNotes,
    actor: request.actor,
    riskWhy: row.riskWhy,
    rule: sentenceOf(row.risk, row.rule),
    policyVersion: row.policyVersion,
    writes: request.writes,
    diff: diffOf(request.writes),
    evidence: request.evidence.map((entry) => ({ ...entry, asOf: iso(entry.asOf) })),
    impact: request.impact,
    rollback: request.rollback,
    data: request.data,
    allow: request.allow,
    maxRounds: request.maxRounds,
    decisions: row.decisions.map((decision) => ({ ...decision, at: iso(decision.at) })),
    earlier: row.earlier.map((earlier) => ({
      ...{ approvalId: earlier.approvalId, digest: earlier.digest, round: earlier.round, proposal: earlier.proposal },
      ...{ why: earlier.why, at: iso(earlier.at), by: earlier.by, reason: earlier.reason, changes: earlier.changes },
      ...{ diff: diffOf(earlier.writes), data: earlier.data },
      changed: changedSince(earlier, request).map(({ before, after, ...place }) => ({
        ...place,
        before: before ?? null,
        after: after ?? null,
      })),
    })),
    escalations: row.escalations.map(({ at, to, doneAt }) => ({ at: iso(at), to, doneAt: iso(doneAt) })),
    endsAt: iso(endOf(row)),
    onExpire: row.onExpire,
    atExpiry: atExpiry(row),
    onReject: request.onReject,
    withdrawnBecause: row.withdrawnBecause,
  }
}

function atExpiry({ onExpire, extendedAt }: ApprovalRow): string {
  const nobody = 'If nobody has decided by then,'
  if (onExpire === 'escalate' && extendedAt === null)
    return `${nobody} more people are asked, for as long again; after that the job is cancelled.`
  if (onExpire === 'continue') return `${nobody} the job goes on without an approval.`
  return `${nobody} the job ${onExpire === 'fail' ? 'fails' : 'is cancelled'}. Nothing is approved by the passing of time.`
}

/** Instants in `params` are written like all others. */
export function refusalError({ code, message, fix, params, errors }: DecisionRefusal): UntildoneError {
  const told = Object.entries(params).map(([name, value]) =>
    name.endsWith('At') && typeof value === 'number' ? [name, iso(value)] : [name, value],
  )
  return new UntildoneError(code, message, {
    params: Object.fromEntries(told),
    errors,
    ...(fix === null ? {} : { fix }),
  })
}
