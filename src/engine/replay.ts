/**
 * New jobs from finished ones. A replay does the work once more, from the start or from a step, and takes over what was
 * recorded before it. A compensation undoes what a finished job did. Neither changes the finished job; both are linked
 * to it.
 */
import { UntildoneError } from '../core/errors.js'
import { laneOf, levelOf, TIES } from '../core/job.js'
import { canonicalJson } from '../core/json.js'
import { accepted, newUndoing } from '../core/lifecycle.js'
import { effectKeyOf, operationOf } from '../core/operation.js'
import { isAddress, isInside, reuse } from '../core/reuse.js'
import type { WireJob } from '../core/wire.js'
import type { WireReplay, WireReplayPlan } from '../core/wire-operate.js'
import type { NewJob, StepRow, StoredJob } from '../stores/store.js'
import { auditOf, reasonOf } from './act.js'
import type { Caller } from './api.js'
import type { CompensateRequest, ReplayRequest } from './operator-api.js'
import { notDone } from './override.js'
import type { EngineParts } from './parts.js'
import { isBuiltIn } from './registry.js'
import { demand, holds, isOwn } from './rights.js'
import type { Submission } from './submit.js'
import { undoneOf } from './undone.js'

export class Replays {
  constructor(
    private readonly parts: EngineParts,
    private readonly submission: Submission,
  ) {}

  async replay(caller: Caller, id: string, request: ReplayRequest): Promise<{ job: WireReplay; replayed: boolean }> {
    const { source, plan, reused } = await this.plan(caller, id, request)
    const keyed = this.keyOf(id, request)
    const before = keyed && (await this.submission.keyed(caller, keyed))
    if (before) return { job: { ...(await this.parts.get(caller, before)), replay: plan }, replayed: true }
    const job = await this.submission.again(caller, source, request.input, keyed)
    const { options } = source.record
    const newEffects = request.newEffects ? { reason: request.newEffects.reason, by: caller.actor } : null
    job.record.replayOf = id
    Object.assign(job.record.options, {
      // An operation of its own, if the source had one.
      operationRoot: options.replay?.newEffects ? operationOf(source.record) : (options.operationRoot ?? id),
      replay: { fromStep: plan.fromStep, newEffects },
    })
    const details = { replayOf: id, fromStep: plan.fromStep, ...(newEffects ? { newEffects: newEffects.reason } : {}) }
    this.askedBy(job, caller, request.reason, details)
    job.steps = reused.map((row, i) => ({ ...row, seq: i + 1, undo: 'reused' }))
    job.audit = auditOf(caller, 'job.replay', `job/${id}`, request.reason, { ...details, job: job.record.id })
    const answer = await this.submission.store(caller, job)
    return { job: { ...answer.job, replay: plan }, replayed: answer.replayed }
  }

  async planReplay(caller: Caller, id: string, request: ReplayRequest): Promise<WireReplayPlan> {
    const { source, plan } = await this.plan(caller, id, request)
    // The input is judged as well: what it says must hold when it is asked for in earnest.
    await this.submission.again(caller, source, request.input, null)
    return plan
  }

  private async plan(caller: Caller, id: string, request: ReplayRequest) {
    const { parts } = this
    const source = await parts.load(caller, id)
    if (!holds(caller, 'jobs:operate') && !(isOwn(caller, source.record) && holds(caller, 'jobs:submit')))
      demand(caller, 'jobs:operate')
    reasonOf(request.reason)
    if (request.newEffects) reasonOf(request.newEffects.reason, 1, '/newEffects/reason')
    if (!source.outcome) throw notDone(id)
    const { record } = source
    if (isBuiltIn(record.type))
      throw new UntildoneError('invalid-transition', 'This job was made by the server itself; ask for it again.', {
        params: { type: record.type },
      })
    if (record.options.compensates)
      throw new UntildoneError(
        'invalid-transition',
        'This job only undid what another one did; replay that one instead.',
        {
          params: { compensates: record.options.compensates },
        },
      )
    const fromStep = request.fromStep ?? null
    const rows = await parts.store.steps(id)
    const gone = await this.undoneIn(source, rows)
    if (
      fromStep !== null &&
      !rows.some(({ key }) => isInside(key, fromStep)) &&
      !(await this.hasFailedIn(source, fromStep))
    )
      throw new UntildoneError('step-not-replayable', `Job ${id} has no step "${fromStep}".`, {
        params: { fromStep, steps: rows.map(({ key }) => key).filter((key) => !isAddress(key)) },
      })
    const parted =
      fromStep === null || request.reuseSteps === false ? { reused: [], again: rows } : reuse(rows, fromStep, gone)
    const newEffects = Boolean(request.newEffects)
    const now = parts.store.now()
    const { sha256 } = parts.entropy
    const undone = await undoneOf(parts.store, record, sha256)
    const protectedByKey = (step: string, effect: StepRow['effect']) =>
      newEffects || gone.has(step) || effect === 'read' ? null : effectKeyOf(record, step, sha256, undone)
    const shown = (list: StepRow[]) => list.filter(({ key }) => !isAddress(key))
    const again = shown(parted.again).map(({ key: step, effect = null }) => ({
      ...{ step, effect, protectedByKey: effect === null ? null : protectedByKey(step, effect) },
    }))
    if (fromStep !== null && !rows.some((row) => row.key === fromStep))
      again.push({ step: fromStep, effect: null, protectedByKey: protectedByKey(fromStep, null) })
    const plan: WireReplayPlan = {
      fromStep,
      input: request.input === undefined || request.input === null ? 'same' : 'changed',
      reused: shown(parted.reused).map((row) => ({
        ...{ step: row.key, kind: row.kind, ageMs: Math.max(0, now - row.endedAt), attempt: row.attempt },
      })),
      again,
      newEffects,
    }
    return { source, plan, reused: parted.reused }
  }

  /**
   * Steps whose effects are no more, undone by the job itself or by its compensation.
   * @throws UntildoneError `invalid-transition` while they are being undone
   */
  private async undoneIn(source: StoredJob, rows: readonly StepRow[]): Promise<Set<string>> {
    const undone = [...rows]
    if (source.compensatedBy !== null) {
      if ((await this.parts.store.ended(source.compensatedBy)) === null)
        throw new UntildoneError(
          'invalid-transition',
          'What this job did is being undone; replay it when that has ended.',
          {
            params: { compensatedBy: source.compensatedBy },
          },
        )
      undone.push(...(await this.parts.store.steps(source.compensatedBy)))
    }
    return new Set(undone.flatMap(({ key, undo }) => (undo === 'undone' || undo === 'by-hand' ? [key] : [])))
  }

  /** A step that never came to its end is not recorded, but its errors are. */
  private async hasFailedIn({ record, outcome }: StoredJob, step: string): Promise<boolean> {
    const inStep = (failed: string | null | undefined) => failed != null && isInside(failed, step)
    if (inStep(outcome?.error?.step)) return true
    return (await this.parts.store.attempts(record.id)).some(({ error }) => inStep(error?.step))
  }

  private keyOf(id: string, { key, ...asked }: ReplayRequest): NewJob['idempotency'] {
    if (!key) return null
    return { operation: 'replay', key: `${id}/${key}`, fingerprint: this.parts.entropy.sha256(canonicalJson(asked)) }
  }

  async compensate(
    caller: Caller,
    id: string,
    request: CompensateRequest,
  ): Promise<{ job: WireJob; replayed: boolean }> {
    const { parts } = this
    const source = await parts.load(caller, id)
    demand(caller, 'jobs:operate')
    const reason = reasonOf(request.reason)
    if (!source.outcome) throw notDone(id)
    const { record } = source
    if (source.compensatedBy) return { job: await parts.get(caller, source.compensatedBy), replayed: true }
    const rows = await parts.store.steps(id)
    const steps = chosen(id, rows, request.steps ?? null)
    const type = parts.registry.get(record.type)
    if (!type)
      throw new UntildoneError(
        'unknown-job-type',
        `This server does not know "${record.type}", so it cannot undo a job of it.`,
        {
          params: { type: record.type },
        },
      )
    const { queue, pin, version } = type.handler.settings
    const now = parts.store.now()
    const { tags, metadata, onBehalfOf, permissions, traceparent, schema } = record.options
    // It holds a worker like any other of its key; whose turn it is was decided for the work that it undoes.
    const { order: _, ...limits } = record.options.limits ?? {}
    const newId = parts.entropy.jobId()
    const live = newUndoing(
      newId,
      laneOf(queue, record.type, record.tenant, pin ? version : null),
      levelOf(record.priority),
      now,
    )
    live.ties |= TIES.origin | (Object.keys(limits).length > 0 ? TIES.limits : 0)
    const job: NewJob = {
      record: {
        ...record,
        ...{ id: newId, queue, createdAt: now, runAt: null, deadlineAt: null, parentId: null, replayOf: null },
        options: {
          ...{ tags, metadata, onBehalfOf, permissions, traceparent, schema, compensates: id },
          ...(Object.keys(limits).length > 0 ? { limits } : {}),
          // The keys of its undos are those of the effects.
          operationRoot: operationOf(record),
        },
      },
      live,
      history: accepted(live, caller.actor),
      files: type.filesIn('input', JSON.parse(record.input)),
      idempotency: { operation: 'compensate', key: id, fingerprint: '' },
      steps,
      compensates: id,
    }
    const undoing = steps.flatMap(({ key, undo }) => (undo === 'due' ? [key] : []))
    this.askedBy(job, caller, reason, { compensates: id, steps: undoing })
    job.audit = auditOf(caller, 'job.compensate', `job/${id}`, reason, { job: newId, steps: undoing })
    return this.submission.store(caller, job)
  }

  private askedBy(
    { history, live }: NewJob,
    caller: Caller,
    reason: string,
    details: NonNullable<NewJob['history']['details']>,
  ): void {
    live.ties |= TIES.origin
    history.actor = caller.actor
    history.reason = reason
    history.details = details
  }
}

/** All records go along, because the handler walks over them to find its undos; only what is chosen is undone. */
function chosen(id: string, rows: readonly StepRow[], wanted: readonly string[] | null): StepRow[] {
  const due = rows.filter(({ undo }) => undo === 'due').map(({ key }) => key)
  const unknown = wanted?.find((step) => !due.includes(step))
  if (unknown !== undefined)
    throw new UntildoneError('validation-failed', `"${unknown}" is no step of job ${id} that can be undone.`, {
      errors: [
        {
          pointer: `/steps/${wanted!.indexOf(unknown)}`,
          code: 'unknown',
          message: `must be one of: ${due.join(', ')}`,
        },
      ],
      params: { due },
    })
  const picked = new Set(wanted ?? due)
  if (picked.size === 0)
    throw new UntildoneError('nothing-to-compensate', `Job ${id} has recorded no step that can be undone.`, {
      params: { jobId: id },
    })
  return rows.map((row) => ({ ...row, undo: picked.has(row.key) ? 'due' : row.undo === 'due' ? null : row.undo }))
}
