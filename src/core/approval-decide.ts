/**
 * One person decides: approve, reject, or ask for changes. decide() is the only way to a decided row. The order of its
 * checks is the order in which they matter: repeats, closed gates, rights, what was seen, what was sent. Pure: refusals
 * are values, made for UntildoneError.
 */
import {
  type ApprovalAnswer,
  type ApprovalDecision,
  type ApprovalRow,
  type ApprovalRules,
  answerOf,
  consequenceOf,
  countedApprovals,
  type DecisionKind,
} from './approval.js'
import {
  type CheckedDecision,
  type Decider,
  type DecisionInput,
  type DecisionRefusal,
  notAllowed,
  readInput,
  refuse,
} from './approval-input.js'
import { asEarlier, closedAs, factsOf, keepEarlier } from './approval-open.js'
import { belongs, quorumOf } from './approval-quorum.js'
import type { Person, Wait } from './job.js'
import { canonicalJson, type Json } from './json.js'
import { changedSince, digestOf, withData } from './proposal.js'
import { escaped } from './reader.js'
import { assess, isHigher, needOf } from './risk.js'

export interface Decided {
  ok: true
  /** With `version` + 1, or the same row when this very decision was there already. */
  row: ApprovalRow
  changed: boolean
  /** Set when this decision closed the request. */
  closed: 'approved' | 'rejected' | 'changes-requested' | null
  /** What the job does now; null while the request is open. */
  consequence: 'resume' | 'cancel' | 'fail' | null
  answer: ApprovalAnswer | null
}

/** More than this is a conversation, and belongs into a wish for changes. */
const MAX_EDITS = 10

export function decide(
  row: ApprovalRow,
  input: DecisionInput,
  who: Decider,
  rules: ApprovalRules,
  now: number,
): Decided | DecisionRefusal {
  const read = readInput(input)
  if (!read.ok)
    return refuse('validation-failed', 'The decision has members that are wrong.', {}, { errors: read.errors })
  const { decision, reason, digest, changes } = read
  // An edit that changes nothing is no edit.
  const edits = read.data !== null && alters(row, read.data) ? read.data : null
  if (isRepeat(row, { decision, digest, edits }, who.person))
    return { ok: true, row, changed: false, closed: null, consequence: null, answer: null }
  if (row.state !== 'pending') return alreadyClosed(row)
  if (now >= endOf(row)) return expired(row)

  const misfit = fits(row, read)
  // Edited content may be of a higher tier than what was asked for, and no approval counts for it yet.
  const next = misfit || edits === null ? row : edited(row, edits, who.person, rules, now)
  const refusal =
    mayDecide(next, decision, who) ??
    // Once the content has changed, also a tier that asks for no digest does: somebody may have seen the content before.
    sawIt(row, next.rule.digest || row.proposal > 1, digest) ??
    misfit ??
    needsReason(next, decision, reason)
  if (refusal) return refusal

  const record: ApprovalDecision = {
    by: who.person,
    actor: who.actor,
    groups: [...who.groups],
    ...{ decision, reason, digest, changes, data: edits },
    ...{ at: now, afterMs: now - row.requestedAt, proposal: next.proposal },
  }
  const decided = { ...next, version: row.version + 1, decisions: [...row.decisions, record] }
  return settle(decided, decision, now)
}

/** How many approvals count so far, and what is open. */
export function quorumState(row: ApprovalRow): { needed: number; filled: number; open: ApprovalRow['rule']['need'] } {
  return quorumOf(row.rule.need, countedApprovals(row))
}

/** What its job says it waits for. A request that was asked again says so: whoever knows it already must look anew. */
export function shownOf(row: ApprovalRow): Wait {
  const { needed, filled } = quorumState(row)
  const again = row.earlier.at(-1)?.why === 'asked-again'
  const title = again ? `Changed since it was shown: ${row.request.summary}` : row.request.summary
  return { id: row.id, title, dueAt: row.dueAt, quorum: { filled, needed } }
}

/** The instant from which nobody can decide any more. A request that escalates has its time once more. */
export function endOf(row: ApprovalRow): number {
  return row.onExpire === 'escalate' && row.extendedAt === null ? row.dueAt + row.periodMs : row.dueAt
}

function alters(row: ApprovalRow, data: Record<string, Json>): boolean {
  const present = row.request.data as Record<string, Json> | null
  return Object.entries(data).some(
    ([name, value]) =>
      !present || !Object.hasOwn(present, name) || canonicalJson(present[name]) !== canonicalJson(value),
  )
}

/** The same person has decided the same about the same proposal; the answer to the first request may have been lost. */
function isRepeat(
  row: ApprovalRow,
  sent: Pick<CheckedDecision, 'decision' | 'digest'> & { edits: CheckedDecision['data'] },
  person: Person,
): boolean {
  if (sent.edits !== null) return false
  return row.decisions.some(
    ({ by, decision, proposal, digest }) =>
      by.id === person.id &&
      decision === sent.decision &&
      proposal === row.proposal &&
      (sent.digest === null || sent.digest === digest || sent.digest === row.digest),
  )
}

// ── checks ──

function alreadyClosed(row: ApprovalRow): DecisionRefusal {
  if (row.state === 'expired') return expired(row)
  const by = row.decisions.at(-1)?.by ?? null
  const who = row.state === 'withdrawn' || !by ? '' : ` by ${by.name ?? by.id}`
  const message = `This request is closed: ${row.state}${who}. Nothing was changed.`
  const params = { state: row.state, decidedAt: row.decidedAt, by: by && { id: by.id, name: by.name ?? null } }
  return refuse('approval-already-decided', message, params)
}

function expired(row: ApprovalRow): DecisionRefusal {
  return refuse('approval-expired', 'The time to decide is over. Nothing was changed.', { dueAt: endOf(row) })
}

function mayDecide(row: ApprovalRow, decision: DecisionKind, who: Decider): DecisionRefusal | null {
  const { risk, rule } = row
  if (who.maxRisk !== null && isHigher(risk, who.maxRisk)) {
    const message = `This request is of ${risk} risk; you may decide up to ${who.maxRisk}.`
    return refuse('risk-above-limit', message, { risk, maxRisk: who.maxRisk })
  }
  // The requester may stop what they asked for, but not let it through.
  const self = row.requesters.some(({ id }) => id === who.person.id)
  if (decision === 'approve' && self && !rule.requesterMayApprove) {
    const message = 'You asked for this job, so you cannot approve it (rule: other person).'
    return refuse('self-approval-forbidden', message, { requester: who.person.id, open: openGroups(row) })
  }
  const known = rule.need.some(({ group }) => belongs(who.groups, group))
  if (known && (decision !== 'approve' || advances(row, who))) return null
  const open = openGroups(row)
  const message = known
    ? `Your approval would add nothing: what is missing is an approval of ${open.join(' and ')}.`
    : `This request is decided by ${rule.need.map(({ group }) => group).join(' and ')}; you are in none of these groups.`
  return refuse('forbidden', message, { groups: open }, { fix: 'Ask somebody of the groups in `params.groups`.' })
}

/** Whether one more approval of this person fills a place. */
function advances(row: ApprovalRow, who: Decider): boolean {
  const counted = countedApprovals(row)
  return quorumOf(row.rule.need, [...counted, who]).filled > quorumOf(row.rule.need, counted).filled
}

function openGroups(row: ApprovalRow): string[] {
  return quorumState(row).open.map(({ group }) => group)
}

/** Nobody decides about what they did not see. */
function sawIt(row: ApprovalRow, needed: boolean, digest: string | null): DecisionRefusal | null {
  if (digest === null) {
    if (!needed) return null
    const fix = 'Read the request again and send the `digest` that it carries as `evidenceDigest`.'
    const message = 'A decision about this request names the digest of what was seen.'
    return refuse('precondition-required', message, { missing: 'evidenceDigest' }, { fix })
  }
  if (digest === row.digest) return null
  const seen = row.earlier.find((earlier) => earlier.digest === digest)
  const changed = seen ? changedSince(seen, row.request) : []
  const message = 'This request changed after you opened it. Your decision was not counted.'
  // JSON cannot hold `undefined` (was not there).
  return refuse('evidence-changed', message, {
    ...{ digest: row.digest, seen: digest },
    changed: changed.map(({ before, after, ...place }) => ({ ...place, before: before ?? null, after: after ?? null })),
  })
}

/** What the request itself allows. */
function fits(row: ApprovalRow, { decision, data }: CheckedDecision): DecisionRefusal | null {
  const { allow, maxRounds } = row.request
  if (decision === 'requestChanges') {
    if (!allow.changes) return notAllowed('/decision', 'This request does not take changes: approve or reject it.')
    if (row.round >= maxRounds)
      return notAllowed('/decision', `This is version ${row.round} of ${maxRounds}: approve or reject it.`)
  }
  if (data === null) return null
  const errors = Object.keys(data)
    .filter((name) => !allow.edit.includes(name))
    .map((name) => ({
      pointer: `/data/${escaped(name)}`,
      code: 'not-allowed',
      message:
        allow.edit.length > 0 ? `Only these can be edited: ${allow.edit.join(', ')}.` : 'Nothing can be edited here.',
    }))
  if (errors.length > 0) return refuse('validation-failed', 'The edit is not allowed.', {}, { errors })
  const made = row.decisions.filter((decision) => decision.data !== null).length
  return made < MAX_EDITS
    ? null
    : notAllowed('/data', `This was edited ${made} times already: ask for changes, or reject it.`)
}

function needsReason(row: ApprovalRow, decision: DecisionKind, reason: string | null): DecisionRefusal | null {
  if (reason !== null || (decision === 'approve' && !row.rule.reasonToApprove)) return null
  const what =
    decision === 'approve'
      ? `An approval at ${row.risk} risk`
      : decision === 'reject'
        ? 'A rejection'
        : 'A wish for changes'
  const message = `${what} needs a reason.`
  return refuse('validation-failed', message, {}, { errors: [{ pointer: '/reason', code: 'required', message }] })
}

// ── the new row ──

/** The row with edited data: a new proposal, for which no earlier approval counts. It never falls to a lower tier. */
function edited(
  row: ApprovalRow,
  edits: Record<string, Json>,
  by: Person,
  rules: ApprovalRules,
  now: number,
): ApprovalRow {
  const request = withData(row.request, edits)
  const next: ApprovalRow = {
    ...row,
    request,
    proposal: row.proposal + 1,
    digest: digestOf(request, row.policyVersion, rules.sha256),
    earlier: keepEarlier(row.earlier, asEarlier(row, { why: 'edited', at: now, by, reason: null, changes: [] })),
  }
  const { risk, rule: riskRule, why: riskWhy } = assess(factsOf(request, row), rules.policy, request.risk)
  if (!isHigher(risk, row.risk)) return next
  const tier = rules.table[risk]
  const onExpire = tier.onExpire.includes(row.onExpire) ? row.onExpire : tier.onExpire[0]!
  return { ...next, risk, riskRule, riskWhy, onExpire, rule: { ...tier, need: needOf(tier.need, row.rule.need) } }
}

function settle(row: ApprovalRow, decision: DecisionKind, now: number): Decided {
  const closed =
    decision === 'reject'
      ? 'rejected'
      : decision === 'requestChanges'
        ? 'changes-requested'
        : quorumState(row).open.length === 0
          ? 'approved'
          : null
  const settled = closed === null ? row : closedAs(row, closed, now)
  return {
    ok: true,
    row: settled,
    changed: true,
    closed,
    consequence: consequenceOf(settled),
    answer: answerOf(settled),
  }
}
