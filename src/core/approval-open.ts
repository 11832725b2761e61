/**
 * Makes the row of a request, and brings it back when the handler asks for something else later: an approval holds only
 * for what was shown. The tier is computed here, by policy code. Pure.
 */
import type { ApprovalBody, ApprovalOutcome, ApprovalRow, ApprovalRules, Earlier, Escalation } from './approval.js'
import type { FieldError } from './errors.js'
import type { Person } from './job.js'
import { digestOf } from './proposal.js'
import { assess, needOf, type RiskFacts } from './risk.js'

/** Where a request belongs. */
export interface ApprovalPlace {
  id: string
  tenant: string
  jobId: string
  jobType: string
  key: string
  gate: string
  /** Who submitted the job, as a person; null for a schedule or a key that belongs to nobody. */
  submitter: Person | null
  /** The last row of the same gate in this job. After a wish for changes the new request is its next round. */
  previous: ApprovalRow | null
}

export type Opened = { ok: true; row: ApprovalRow } | { ok: false; errors: FieldError[] }

const EARLIER_KEPT = 5

/** The row of a new request; of tier `none` it is approved at once. Refused when the tier does not allow its expiry rule. */
export function openApproval(body: ApprovalBody, place: ApprovalPlace, rules: ApprovalRules, now: number): Opened {
  const { submitter, previous, ...ids } = place
  const answered = previous?.state === 'changes-requested' ? previous : null
  const opened = judged(body, place, rules, now)
  if (!opened.ok) return opened
  const row: ApprovalRow = {
    ...ids,
    ...opened.part,
    round: (answered?.round ?? 0) + 1,
    ...{ proposal: 1, version: 1, decisions: [], requestedAt: now },
    requesters: distinct([body.requester, submitter]),
    earlier: answered ? keepEarlier(answered.earlier, remarked(answered)) : [],
  }
  return { ok: true, row: automatic(row, now) }
}

/** Whether a handler that runs again asks for what it asked for then. If not, the approval is void: askAgain(). */
export function stillAsks(row: ApprovalRow, body: ApprovalBody, sha256: (text: string) => string): boolean {
  return digestOf(body, null, sha256) === row.asked
}

/**
 * The same request with other content, because the world moved while it waited or between approval and write. Earlier
 * approvals no longer count and the time to decide begins anew. Unchanged if it still asks for the same.
 */
export function askAgain(row: ApprovalRow, body: ApprovalBody, rules: ApprovalRules, now: number): Opened {
  if (stillAsks(row, body, rules.sha256)) return { ok: true, row }
  if (row.state !== 'pending' && row.state !== 'approved') {
    const message = `This request is ${row.state}. Ask again with another job.approve call.`
    return { ok: false, errors: [{ pointer: '', code: 'closed', message }] }
  }
  const opened = judged(body, row, rules, now)
  if (!opened.ok) return opened
  const before = asEarlier(row, { why: 'asked-again', at: now, by: null, reason: null, changes: [] })
  const again: ApprovalRow = {
    ...row,
    ...opened.part,
    ...{ proposal: row.proposal + 1, version: row.version + 1, requestedAt: now },
    // Whoever was named as requester stays one: content that changes must not make room for them.
    requesters: distinct([body.requester, ...row.requesters]),
    earlier: keepEarlier(row.earlier, before),
  }
  return { ok: true, row: automatic(again, now) }
}

/** What the policy judges of a request. */
export function factsOf(body: ApprovalBody, place: Pick<ApprovalPlace, 'tenant' | 'jobType' | 'gate'>): RiskFacts {
  const { writes, evidence, impact, rollback, data, requester } = body
  const { tenant, jobType, gate } = place
  return { tenant, jobType, gate, requester, writes, evidence, impact, rollback, data }
}

/** `row` closed. The caller raises the version. */
export function closedAs(row: ApprovalRow, outcome: ApprovalOutcome, now: number): ApprovalRow {
  return { ...row, state: outcome, decidedAt: now, decidedOutcome: outcome }
}

/** The present proposal as one of the earlier ones. */
export function asEarlier(row: ApprovalRow, more: Pick<Earlier, 'why' | 'at' | 'by' | 'reason' | 'changes'>): Earlier {
  const { id, digest, round, proposal, request } = row
  const { writes, evidence, impact, rollback, data } = request
  return { approvalId: id, digest, round, proposal, writes, evidence, impact, rollback, data, ...more }
}

export function keepEarlier(earlier: readonly Earlier[], one: Earlier): Earlier[] {
  return [...earlier, one].slice(-EARLIER_KEPT)
}

/** Reminders after 50 % and 80 % of the time; the second goes to the second group, if there is one. */
export function escalationsFor(from: number, periodMs: number, groups: readonly string[]): Escalation[] {
  return [0.5, 0.8].map((share, i) => ({
    at: from + Math.round(periodMs * share),
    to: groups[i] ?? groups.at(-1) ?? null,
    doneAt: null,
  }))
}

/** Everything of a row that follows from content, policy and time. */
function judged(
  body: ApprovalBody,
  place: Pick<ApprovalPlace, 'tenant' | 'jobType' | 'gate'>,
  rules: ApprovalRules,
  now: number,
) {
  const { risk, rule: riskRule, why } = assess(factsOf(body, place), rules.policy, body.risk)
  const tier = rules.table[risk]
  const rule = { ...tier, need: needOf(tier.need, body.need) }
  const onExpire = body.onExpire ?? rule.onExpire[0]!
  if (!rule.onExpire.includes(onExpire)) {
    const message = `onExpire "${onExpire}" is not allowed at ${risk} risk. ${why} Choose from: ${rule.onExpire.join(', ')}.`
    return { ok: false as const, errors: [{ pointer: '/onExpire', code: 'not-allowed', message }] }
  }
  const periodMs = body.dueMs ?? rule.dueMs
  const part = {
    ...{ state: 'pending' as const, risk, riskRule, riskWhy: why, policyVersion: rules.policyVersion, rule },
    request: body,
    digest: digestOf(body, rules.policyVersion, rules.sha256),
    asked: digestOf(body, null, rules.sha256),
    assignees: body.assign.length > 0 ? body.assign : rule.need.map(({ group }) => group),
    escalations: escalationsFor(now, periodMs, body.escalateTo),
    ...{ dueAt: now + periodMs, periodMs, onExpire, extendedAt: null },
    ...{ decidedAt: null, decidedOutcome: null, withdrawnBecause: null },
  }
  return { ok: true as const, part }
}

function automatic(row: ApprovalRow, now: number): ApprovalRow {
  return row.rule.need.length === 0 ? closedAs(row, 'approved', now) : row
}

/** What was shown when somebody asked for changes, with their remarks. */
function remarked(previous: ApprovalRow): Earlier {
  const { at, by, reason, changes } = previous.decisions.at(-1)!
  return asEarlier(previous, { why: 'changes-requested', at, by, reason, changes })
}

function distinct(people: readonly (Person | null)[]): Person[] {
  const found: Person[] = []
  for (const person of people) if (person && !found.some(({ id }) => id === person.id)) found.push(person)
  return found
}
