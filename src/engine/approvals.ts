/**
 * What people do with approvals: the inbox, one card, a decision, several at once; and what time does. Each decision is
 * one transaction of the store with an audit entry; whether it counts is decided by the core alone.
 */
import type { ApprovalRow } from '../core/approval.js'
import { DECISIONS, type DecisionKind } from '../core/approval.js'
import { batchRefusal } from '../core/approval-batch.js'
import { type Decided, decide } from '../core/approval-decide.js'
import { expire } from '../core/approval-expire.js'
import { type Decider, type DecisionInput, type DecisionRefusal, refuse } from '../core/approval-input.js'
import { isUntildoneError, UntildoneError } from '../core/errors.js'
import type { Actor } from '../core/job.js'
import type { Json } from '../core/json.js'
import { ANY, isHigher, isRisk, RISKS, type Risk } from '../core/risk.js'
import type { MayDecide, WireApproval, WireApprovalItem } from '../core/wire-approval.js'
import type { ApprovalFilter, ApprovalWrite, WaitRow } from '../stores/store.js'
import type { ApprovalQuery, BatchDecision, Caller, DecidedOne, Page } from './api.js'
import { cardOf, itemOf, refusalError } from './approval-view.js'
import type { EngineParts } from './parts.js'
import { demand, holds, mayUseType, personOf, visibleTypes } from './rights.js'

const PAGE = 50
const PAGE_MAX = 200
const SYSTEM: Actor = { kind: 'system', id: 'engine' }

export class Approvals {
  constructor(private readonly parts: EngineParts) {
    parts.onApprovalDue = (wait) => this.due(wait)
  }

  async list(caller: Caller, query: ApprovalQuery): Promise<Page<WireApprovalItem>> {
    demand(caller, 'approvals:read')
    const { cursor, limit = PAGE, order = 'dueAt', assignee, ...asked } = query
    const size = Math.min(PAGE_MAX, limit)
    const belongs = { approvals: { ...asked, order, assignee: assignee ?? null }, tenant: caller.tenant }
    const types = visibleTypes(caller, asked.type)
    const risks = assignee === 'me' ? mine(caller, asked.risk) : asked.risk
    const filter: ApprovalFilter = {
      ...{ tenant: caller.tenant, order, limit: size + 1 },
      ...(asked.state ? { states: asked.state } : {}),
      ...(risks ? { risks } : {}),
      ...(types ? { types } : {}),
      ...(asked.gate === undefined ? {} : { gate: asked.gate }),
      ...(asked.jobId === undefined ? {} : { jobId: asked.jobId }),
      ...(assignee === 'me' ? { assignees: [...(caller.groups ?? []), ANY] } : {}),
      ...(cursor ? { after: this.parts.cursors.open<{ value: number; id: string }>(cursor, belongs) } : {}),
    }
    const rows = await this.parts.store.approvals(filter)
    const last = rows[size - 1]
    const position = last && { value: order === 'dueAt' ? last.dueAt : last.requestedAt, id: last.id }
    return {
      items: rows.slice(0, size).map((row) => itemOf(row, this.mayDecide(caller, row))),
      nextCursor: rows.length > size ? this.parts.cursors.seal(position, belongs) : null,
    }
  }

  async get(caller: Caller, id: string): Promise<WireApproval> {
    demand(caller, 'approvals:read')
    return this.card(caller, await this.load(caller, id))
  }

  /** Of one job that the caller may see. */
  async of(caller: Caller, jobId: string): Promise<WireApprovalItem[]> {
    demand(caller, 'approvals:read')
    const rows = await this.parts.store.approvalsOf(jobId)
    return rows.map((row) => itemOf(row, this.mayDecide(caller, row)))
  }

  async decide(caller: Caller, id: string, input: DecisionInput): Promise<WireApproval> {
    demand(caller, 'approvals:decide')
    const row = await this.load(caller, id)
    await this.checkEdits(row, input)
    let refusal = null as DecisionRefusal | null
    const changed = await this.parts.store.decide({
      ...{ id, tenant: caller.tenant, expiresAt: this.parts.expiresAt },
      apply: (before, now) => {
        const decided = this.judge(caller, before, input, now)
        refusal = decided.ok ? null : decided
        return decided.ok && decided.changed ? decisionWrite(caller, decided) : null
      },
    })
    if (refusal) throw refusalError(refusal)
    if (!('row' in changed)) throw missing(id)
    return this.card(caller, changed.row)
  }

  /** Each on its own, after it is sure that they may be decided together. */
  async decideMany(caller: Caller, { ids, opened = [], decision, reason }: BatchDecision): Promise<DecidedOne[]> {
    demand(caller, 'approvals:decide')
    const asked = [...new Set(ids)]
    const rows = await Promise.all(asked.map((id) => this.load(caller, id)))
    const refusal = batchRefusal(rows, opened)
    if (refusal) throw refusalError(refusal)
    return Promise.all(
      rows.map(async ({ id, digest }) => {
        const evidenceDigest = opened.includes(digest) ? digest : null
        try {
          const approval = await this.decide(caller, id, { decision, reason: reason ?? null, evidenceDigest })
          return { id, approval, error: null }
        } catch (error) {
          if (!isUntildoneError(error)) throw error
          return { id, approval: null, error }
        }
      }),
    )
  }

  /** Reminders, escalation, the end: told by the waker when the time of a wait has come. */
  private async due({ jobId, key }: WaitRow): Promise<void> {
    const { store, expiresAt } = this.parts
    const row = (await store.approvalsOf(jobId)).find((row) => row.key === key)
    if (!row) return
    await store.decide({ id: row.id, expiresAt, apply: (before, now) => expiryWrite(before, now) })
  }

  private judge(caller: Caller, row: ApprovalRow, input: DecisionInput, now: number): Decided | DecisionRefusal {
    const { person, groups, maxRisk, actor } = deciderOf(caller)
    const decided = decide(row, input, { person, groups, maxRisk, actor }, this.parts.approvals, now)
    const nobody = !caller.person && caller.actor.kind === 'apiKey'
    if (!decided.ok || !decided.changed || !nobody || input.decision !== 'approve') return decided
    if (decided.row.rule.requesterMayApprove) return decided
    // Whoever holds two such keys would be two people.
    return refuse(
      'forbidden',
      'This request needs another person, and this key belongs to nobody.',
      { requiredScope: 'approvals:decide' },
      { fix: 'Use a key that names its person: untildone keys create --person <id> --role approver' },
    )
  }

  private mayDecide(caller: Caller, row: ApprovalRow): WireApprovalItem['mayDecide'] {
    const now = this.parts.store.now()
    const of = (decision: DecisionKind): MayDecide => {
      if (!holds(caller, 'approvals:decide')) return { may: false, why: 'This key lacks the scope approvals:decide.' }
      const tried = this.judge(caller, row, { decision, reason: 'a reason', evidenceDigest: row.digest }, now)
      if (!tried.ok) return { may: false, why: tried.errors[0]?.message ?? tried.message }
      return tried.changed ? { may: true, why: null } : { may: false, why: 'You have decided this already.' }
    }
    return Object.fromEntries(DECISIONS.map((kind) => [kind, of(kind)])) as WireApprovalItem['mayDecide']
  }

  /** What an approver changes must be what the gate takes. @throws validation-failed */
  private async checkEdits(row: ApprovalRow, { data }: DecisionInput): Promise<void> {
    const gate = this.parts.registry.get(row.jobType)?.gates.get(row.gate)
    const now = row.request.data
    if (!gate || !data || typeof data !== 'object' || typeof now !== 'object' || now === null) return
    const fits = await gate({ ...now, ...data })
    if (fits.ok) return
    const errors = fits.errors.map((error) => ({ ...error, pointer: `/data${error.pointer}` }))
    const said = errors.map(({ pointer, message }) => `${pointer} ${message}`).join('; ')
    throw new UntildoneError('validation-failed', `The edit does not fit the gate: ${said}`, { errors })
  }

  private async load(caller: Caller, id: string): Promise<ApprovalRow> {
    const row = await this.parts.store.approval(id)
    if (!row || row.tenant !== caller.tenant || !mayUseType(caller, row.jobType)) throw missing(id)
    return row
  }

  private async card(caller: Caller, row: ApprovalRow): Promise<WireApproval> {
    const stored = await this.parts.store.find(row.jobId, 0)
    const status = stored && 'record' in stored ? this.parts.view(stored).status : null
    return cardOf(row, this.mayDecide(caller, row), status)
  }
}

function missing(id: string): UntildoneError {
  return new UntildoneError('not-found', `There is no approval ${id}.`, { params: { approvalId: id } })
}

function deciderOf(caller: Caller): Decider {
  const maxRisk = isRisk(caller.maxRisk) ? caller.maxRisk : null
  return { person: personOf(caller), groups: caller.groups ?? [], maxRisk, actor: caller.actor }
}

/** Tiers that this caller may decide, of those asked for. */
function mine({ maxRisk }: Caller, asked: readonly Risk[] | undefined): Risk[] {
  return (asked ?? RISKS).filter((risk) => !isRisk(maxRisk) || !isHigher(risk, maxRisk))
}

function decisionWrite(caller: Caller, { row, closed, consequence }: Decided): ApprovalWrite {
  const made = row.decisions.at(-1)!
  const { by, decision, reason, groups, afterMs, digest, proposal, data, changes } = made
  const { id, jobId, gate, risk, riskRule, policyVersion } = row
  const end = { code: 'approval-rejected', message: `Rejected by ${by.name ?? by.id}: ${reason ?? 'no reason given'}` }
  return {
    row,
    actor: caller.actor,
    by: `approval ${gate}`,
    reason,
    details: { approval: id, gate, outcome: closed, decidedBy: row.decisions.map(({ by }) => by.id) },
    ...stopOf(consequence, 'rejected', end),
    audit: {
      ...{ tenant: row.tenant, actor: caller.actor, action: `approval.${decision}`, target: `approval/${id}`, reason },
      details: {
        ...{ jobId, gate, risk, riskRule, policyVersion, proposal, round: row.round, closed },
        ...{ person: by.id, groups, seen: digest, digest: row.digest, afterMs },
        ...(data ? { edited: data } : {}),
        ...(changes.length > 0 ? { changes: changes as unknown as Json } : {}),
        ...(caller.requestId ? { requestId: caller.requestId } : {}),
      },
    },
  }
}

function expiryWrite(before: ApprovalRow, now: number): ApprovalWrite | null {
  const done = expire(before, now)
  if (!done) return null
  const { row, closed, consequence, escalated } = done
  const { id, jobId, gate, risk, tenant } = row
  const end = { code: 'approval-expired', message: `Nobody decided in time: ${row.request.summary}` }
  const asked = escalated.map(({ to }) => to ?? 'a reminder')
  return {
    row,
    actor: SYSTEM,
    by: `approval ${gate}`,
    reason: null,
    details: { approval: id, gate, outcome: closed },
    ...stopOf(consequence, 'approvalExpired', end),
    audit: {
      ...{ tenant, actor: SYSTEM, action: closed ? 'approval.expire' : 'approval.escalate' },
      ...{ target: `approval/${id}`, reason: null },
      details: { jobId, gate, risk, ...(closed ? { onExpire: row.onExpire } : { to: asked, dueAt: row.dueAt }) },
    },
  }
}

/** Nothing broke when somebody said no, or nobody said yes: that is `cancelled`, unless the request wants a failure. */
function stopOf(
  consequence: Decided['consequence'],
  phase: string,
  end: { code: string; message: string },
): Pick<ApprovalWrite, 'stop'> {
  if (consequence === 'cancel') return { stop: { status: 'cancelled', phase, ...end } }
  return consequence === 'fail' ? { stop: { status: 'failed', phase: 'permanent', ...end } } : {}
}
