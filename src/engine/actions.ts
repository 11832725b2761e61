/**
 * What callers and operators do to an unfinished job: cancel, retry, pause, resume, and cancel a whole group. Each is one
 * guarded move with an audit entry in the same transaction; the state machine has the last word.
 */
import { isUntildoneError, UntildoneError } from '../core/errors.js'
import type { Event } from '../core/lifecycle.js'
import type { WireJob } from '../core/wire.js'
import type { WireGroupCancel } from '../core/wire-operate.js'
import type { Moved } from '../stores/store.js'
import { act, alreadyDone, refused } from './act.js'
import type { ActionRequest, Caller, CancelRequest } from './api.js'
import type { EngineParts } from './parts.js'
import { demand, holds, isOwn, visibleTo } from './rights.js'

const PAGE = 200

export class Actions {
  constructor(private readonly parts: EngineParts) {}

  async cancel(caller: Caller, id: string, request: CancelRequest): Promise<{ job: WireJob; pending: boolean }> {
    const { record, outcome } = await this.parts.load(caller, id)
    const own = isOwn(caller, record)
    const submitter = own && holds(caller, 'jobs:submit') && request.compensate !== false
    if (!submitter) demand(caller, 'jobs:operate')
    if (outcome?.status === 'cancelled') return { job: await this.parts.get(caller, id), pending: false }
    const moved = await act(this.parts, caller, id, request, {
      action: 'job.cancel',
      event: {
        type: 'cancelRequested',
        actor: caller.actor,
        reason: request.reason ?? null,
        by: own ? 'caller' : 'operator',
        mode: request.mode ?? 'graceful',
        ...(request.compensate === false ? { compensate: false } : {}),
      },
      ...(request.compensate === false ? { details: { compensate: false } } : {}),
    })
    const job = await this.parts.get(caller, id)
    if (moved.outcome === 'finished' && moved.status !== 'cancelled') throw alreadyDone(job)
    // Asked again while it is stopping: the answer is the same as to the first request.
    if (moved.outcome === 'refused' && moved.live.state !== 'cancelling') throw refused(job)
    // Finished before the cancel reached its worker: `cancelled` is not said of a job that is not.
    return { job, pending: job.status !== 'cancelled' }
  }

  async retry(caller: Caller, id: string, request: ActionRequest & { resetAttempts?: boolean }): Promise<WireJob> {
    const { live } = await this.parts.load(caller, id)
    const resetAttempts = request.resetAttempts ?? live?.waitKind === 'review'
    return this.operate(caller, id, request, 'job.retry', { type: 'retryRequested', resetAttempts })
  }

  async pause(caller: Caller, id: string, request: ActionRequest): Promise<WireJob> {
    return this.operate(caller, id, request, 'job.pause', { type: 'pauseRequested' })
  }

  async resume(caller: Caller, id: string, request: ActionRequest): Promise<WireJob> {
    return this.operate(caller, id, request, 'job.resume', { type: 'resumeRequested' })
  }

  private async operate(
    caller: Caller,
    id: string,
    request: ActionRequest,
    action: string,
    what: { type: 'retryRequested'; resetAttempts: boolean } | { type: 'pauseRequested' } | { type: 'resumeRequested' },
  ): Promise<WireJob> {
    await this.parts.load(caller, id)
    demand(caller, 'jobs:operate')
    const event = { ...what, actor: caller.actor, reason: request.reason ?? null } as Event
    const moved = await act(this.parts, caller, id, request, { action, event })
    const job = await this.parts.get(caller, id)
    if (moved.outcome === 'finished') throw alreadyDone(job)
    if (moved.outcome === 'refused' && !(what.type === 'pauseRequested' && isPaused(moved))) throw refused(job)
    return job
  }

  /** Every unfinished job of the group that this caller may cancel. Jobs that join it meanwhile are not among them. */
  async cancelGroup(
    caller: Caller,
    groupId: string,
    request: Omit<ActionRequest, 'ifVersion'> & { mode?: 'graceful' | 'force' },
  ): Promise<WireGroupCancel> {
    if (!holds(caller, 'jobs:submit')) demand(caller, 'jobs:operate')
    const { store } = this.parts
    if (!(await store.group(caller.tenant, groupId)))
      throw new UntildoneError('not-found', `No job names the group "${groupId}".`, { params: { groupId } })
    const mine = holds(caller, 'jobs:operate') ? {} : { createdBy: `${caller.actor.kind}:${caller.actor.id}` }
    const told: WireGroupCancel = { groupId, cancelled: 0, stopping: 0, refused: [] }
    const createdBefore = store.now() + 1
    for (let after: { value: number; id: string } | undefined; ; ) {
      const rows = await store.list({
        ...{ tenant: caller.tenant, groupId, order: 'createdAt', limit: PAGE, createdBefore },
        ...{ statuses: ['accepted', 'processing', 'blocked'], ...visibleTo(caller, undefined), ...mine },
        ...(after ? { after } : {}),
      })
      await Promise.all(rows.map(({ record }) => this.cancelOne(caller, record.id, request, told)))
      const last = rows.at(-1)
      if (rows.length < PAGE || !last) return told
      after = { value: last.record.createdAt, id: last.record.id }
    }
  }

  private async cancelOne(
    caller: Caller,
    id: string,
    request: ActionRequest & { mode?: 'graceful' | 'force' },
    told: WireGroupCancel,
  ): Promise<void> {
    try {
      const { pending } = await this.cancel(caller, id, request)
      told[pending ? 'stopping' : 'cancelled']++
    } catch (error) {
      if (!isUntildoneError(error) || error.code === 'store-unavailable') throw error
      told.refused.push({ id, code: error.code, message: error.message })
    }
  }
}

/** Asked again: it is paused, or will be at its next step. */
function isPaused(moved: Extract<Moved, { outcome: 'refused' }>): boolean {
  return moved.live.why?.pause !== undefined
}
