/**
 * job.approve: a request is put before people, and the handler goes on with their answer. The row of the approval is the
 * truth; what is recorded as a step only says that it is closed. An approval holds for what was shown: when the handler
 * comes back, and right before the effect, the request is made anew, and another request is open again.
 */
import type { ApprovalAnswer, ApprovalBody, ApprovalRow, ApprovalRules } from '../core/approval.js'
import { answerOf } from '../core/approval.js'
import { shownOf } from '../core/approval-decide.js'
import { wakeOf } from '../core/approval-expire.js'
import { askAgain, openApproval, stillAsks } from '../core/approval-open.js'
import { checkRequest } from '../core/approval-request.js'
import { Permanent, Review } from '../core/classify.js'
import { type FieldError, UntildoneError } from '../core/errors.js'
import type { AuditDraft } from '../core/history.js'
import type { Actor } from '../core/job.js'
import { changedSince } from '../core/proposal.js'
import { submitterOf } from '../engine/rights.js'
import type { StepRow, WaitRow } from '../stores/store.js'
import type { Attempt } from './attempt.js'
import { sameAsRecorded } from './memo.js'
import type { Parked } from './parking.js'
import { enter } from './scope.js'

export interface ApprovalTools {
  rules: ApprovalRules
  newId(): string
}

type Request = unknown | (() => unknown)

/** Thrown inside a step of ours, never through code of a handler: the effect is not begun, the branch waits for the approval. */
export class Reopened {
  constructor(readonly parked: Parked) {}
}
export function reopened(error: unknown): Reopened {
  if (error instanceof Reopened) return error
  throw error
}

export async function approve(
  attempt: Attempt,
  tools: ApprovalTools,
  gate: string,
  request: Request,
): Promise<ApprovalAnswer<unknown>> {
  const { definition } = attempt.type.handler
  if (!Object.hasOwn(definition.approvals, gate))
    throw new UntildoneError(
      'bad-definition',
      `approve("${gate}"): job "${definition.name}" declares no such gate in its approvals.`,
    )
  const key = attempt.steps.names.next(gate)
  const step = attempt.memo?.get(key)
  if (step) sameAsRecorded(step, 'approval', null)
  const waiting = attempt.waiting?.get(key)
  if (waiting) sameAsRecorded({ key, kind: waiting.kind, effect: null }, 'approval', null)
  const answer = await new Gate(attempt, tools, gate, key, request).pass()
  if (step) await attempt.parking.arrival(step)
  return answer
}

/**
 * Asked right before an effect that rests on an approval.
 * @throws Reopened when something else would be done than was approved
 */
export async function stillApproved(attempt: Attempt, id: string, step: string): Promise<void> {
  const check = attempt.approved.get(id)
  if (!check)
    throw new UntildoneError(
      'bad-definition',
      `Step "${step}": approvedBy takes the answer of job.approve with the outcome "approved".`,
    )
  return check(step)
}

/** One call of job.approve in one attempt. */
class Gate {
  constructor(
    private readonly attempt: Attempt,
    private readonly tools: ApprovalTools,
    private readonly gate: string,
    private readonly key: string,
    private readonly request: Request,
  ) {}

  async pass(): Promise<ApprovalAnswer<unknown>> {
    const { attempt } = this
    const { parking } = attempt
    // In its first attempt a job has asked nobody yet.
    const rows = attempt.memo === null ? [] : await parking.during(() => attempt.store.approvalsOf(attempt.id))
    const row = rows.find(({ key }) => key === this.key)
    if (!row) {
      await attempt.checkpoint()
      return this.ask(rows.filter(({ gate }) => gate === this.gate).at(-1) ?? null)
    }
    const answer = answerOf(row)
    // What is being undone has been approved; and a no stays a no, whatever would be asked now.
    if (answer && (attempt.undos || answer.outcome !== 'approved')) return this.given(row)
    await attempt.checkpoint()
    if (answer && (await parking.during(() => this.actedOn(row)))) return this.given(row)
    return parking.during(() => this.unlessChanged(row)).then((now) => this.goOn(now))
  }

  /** Puts a new request before people. */
  private async ask(previous: ApprovalRow | null): Promise<ApprovalAnswer<unknown>> {
    const { attempt, tools } = this
    const { record } = attempt.claimed
    const row = await attempt.parking.during(async () => {
      const body = await this.body()
      const place = {
        ...{ id: tools.newId(), tenant: record.tenant, jobId: attempt.id, jobType: record.type },
        ...{ key: this.key, gate: this.gate, submitter: submitterOf(record), previous },
      }
      const onBehalfOf = record.options.onBehalfOf ?? null
      const opened = openApproval(
        { ...body, requester: body.requester ?? onBehalfOf },
        place,
        tools.rules,
        attempt.store.now(),
      )
      if (!opened.ok) throw incomplete(this.gate, opened.errors)
      const { row } = opened
      if (row.state !== 'pending')
        await attempt.record({
          ...{ approvals: [row], audit: [this.audit('approval.automatic', row, null)] },
          ...(attempt.memo?.has(this.key) ? {} : { steps: [this.closed(row)] }),
        })
      return row
    })
    if (row.state !== 'pending') return this.given(row)
    return attempt.parking.park({ ...this.parked(row), approval: row, stored: false })
  }

  private goOn(row: ApprovalRow): Promise<ApprovalAnswer<unknown>> {
    return row.state === 'pending' ? this.attempt.parking.park(this.parked(row)) : this.given(row)
  }

  /** The row as it is if the request is still the same; else as it is after asking again. */
  private async unlessChanged(row: ApprovalRow): Promise<ApprovalRow> {
    const body = await this.body()
    return stillAsks(row, body, this.tools.rules.sha256) ? row : this.askAgain(row, body)
  }

  private async askAgain(row: ApprovalRow, body: ApprovalBody): Promise<ApprovalRow> {
    const { attempt, tools } = this
    const { store } = attempt
    let now = row
    let errors: FieldError[] | null = null
    await attempt.fenced(async () => {
      const changed = await store.decide({
        id: row.id,
        epoch: attempt.epoch,
        apply: (before, at) => {
          const again = askAgain(
            before,
            { ...body, requester: body.requester ?? before.request.requester },
            tools.rules,
            at,
          )
          // Somebody has closed it meanwhile: that is the answer.
          errors = again.ok || again.errors[0]?.code === 'closed' ? null : again.errors
          if (!again.ok || again.row === before) return null
          const audit = this.audit('approval.askAgain', again.row, before)
          return { row: again.row, actor: audit.actor, by: 'asked again', reason: null, details: null, audit }
        },
      })
      if ('row' in changed) now = changed.row
      return changed.outcome !== 'stale-lease'
    })
    if (errors) throw incomplete(this.gate, errors)
    if (now.state === 'pending') attempt.memo?.delete(this.key)
    return now
  }

  /** What was decided, to go on with. */
  private async given(row: ApprovalRow): Promise<ApprovalAnswer<unknown>> {
    const answer = answerOf(row)!
    if (answer.outcome !== 'approved') return answer
    const fits = await this.fits(answer.data)
    if (!fits.ok) {
      const said = fits.errors.map(({ pointer, message }) => `${pointer || 'it'} ${message}`).join('; ')
      throw new Review(`What was approved at "${this.gate}" does not fit the present schema: ${said}`, {
        code: 'code-changed',
        details: { approval: row.id, errors: fits.errors },
      })
    }
    this.attempt.approved.set(row.id, (step) => this.holdsFor(row, step))
    return { ...answer, data: fits.value }
  }

  /** @throws Reopened when the request would be another one now */
  private async holdsFor(row: ApprovalRow, step: string): Promise<void> {
    if (typeof this.request !== 'function')
      throw new UntildoneError(
        'bad-definition',
        `Step "${step}" is approvedBy "${this.gate}", which was asked for with an object: give job.approve a function, so that the request can be made anew right before the effect.`,
      )
    const now = await this.unlessChanged(row)
    // Also when the new one needs nobody: the handler must go on with its data.
    if (now !== row) throw new Reopened(this.parked(now))
  }

  /**
   * Whether the job has acted on the answer: a later step is recorded, or its effect was begun. From then on the world
   * differs because of the job itself.
   */
  private async actedOn(row: ApprovalRow): Promise<boolean> {
    const { attempt, key } = this
    const closed = attempt.memo?.get(key)
    if (!closed) return false
    const later = (name: string) => !attempt.steps.names.has(name)
    // Nobody was asked, so the attempt went on at once; otherwise it took another attempt.
    const first = row.decisions.length === 0 ? closed.attempt : closed.attempt + 1
    for (const step of attempt.memo!.values())
      if (step.effect && step.effect !== 'read' && step.attempt >= first && later(step.key)) return true
    return (await attempt.store.begun(attempt.id)).some(later)
  }

  /** The request as it is now, checked as a whole. */
  private async body(): Promise<ApprovalBody> {
    const { attempt, request } = this
    const path = attempt.steps.names.path
    const given =
      typeof request === 'function'
        ? await enter({ attempt, path, inside: 'a request' }, async () => (request as () => unknown)())
        : request
    const checked = checkRequest(given)
    const data = (given as { data?: unknown } | null | undefined)?.data ?? null
    const fits = await this.fits(data)
    const errors = [
      ...(checked.ok ? [] : checked.errors),
      ...(fits.ok ? [] : fits.errors.map((error) => ({ ...error, pointer: `/data${error.pointer}` }))),
    ]
    if (errors.length > 0 || !checked.ok) throw incomplete(this.gate, errors)
    return { ...checked.body, actor: await this.actor(checked.body.actor) }
  }

  private async fits(data: unknown) {
    return this.attempt.type.gates.get(this.gate)!(data)
  }

  /** Model and tools as the request says, else as the decision log has them. */
  private async actor(said: ApprovalBody['actor']): Promise<ApprovalBody['actor']> {
    if (said.model !== null || said.version !== null || said.tools.length > 0) return said
    const { attempt } = this
    const last = attempt.notes.lastDecision ?? (await attempt.store.decisions(attempt.id)).at(-1)
    return last ? { model: last.model, version: last.modelVersion, tools: [...last.tools] } : said
  }

  private parked(row: ApprovalRow): Parked {
    const wait: WaitRow = {
      ...{ jobId: row.jobId, key: row.key, kind: 'approval' as const, name: row.gate, childId: null },
      ...{ dueAt: wakeOf(row), createdAt: row.requestedAt },
    }
    return { wait, title: row.request.summary, shown: shownOf(row), stored: true }
  }

  private closed({ id, key, gate, state, requestedAt }: ApprovalRow): StepRow {
    const value = { is: 'value', value: { approval: id, state } }
    return {
      ...{ key, kind: 'approval' as const, attempt: this.attempt.number, startedAt: requestedAt, endedAt: requestedAt },
      ...{ result: JSON.stringify(value), info: JSON.stringify({ name: gate }) },
    }
  }

  private audit(action: string, row: ApprovalRow, before: ApprovalRow | null): AuditDraft {
    const actor: Actor = { kind: 'worker', id: this.attempt.claimed.live.worker ?? '' }
    const { id, tenant, jobId, gate, risk, riskRule, digest, policyVersion, proposal } = row
    const details = { jobId, gate, risk, riskRule, digest, policyVersion, proposal }
    const changed =
      before && changedSince(before.request, row.request).map(({ part, of, field }) => ({ part, of, field }))
    return {
      ...{ tenant, actor, action, target: `approval/${id}`, reason: null },
      details: before ? { ...details, before: before.digest, changed } : details,
    }
  }
}

function incomplete(gate: string, errors: readonly FieldError[]): Permanent {
  const said = errors.map(({ pointer, message }) => `${pointer || 'the request'}: ${message}`).join(' ')
  return new Permanent(`approve("${gate}"): the request is not complete. ${said}`, {
    code: 'approval-incomplete',
    origin: 'engine',
    details: { errors },
  })
}
