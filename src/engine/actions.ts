/**
 * What callers and operators do to an unfinished job: cancel and retry. Each is one guarded move with an audit entry in
 * the same transaction; the state machine has the last word.
 */
import { UntildoneError } from '../core/errors.js'
import type { Event } from '../core/lifecycle.js'
import { transition } from '../core/lifecycle.js'
import type { WireJob } from '../core/wire.js'
import type { Moved } from '../stores/store.js'
import type { ActionRequest, Caller } from './api.js'
import { type EngineParts, notFound } from './parts.js'
import { demand, holds, isOwn } from './rights.js'

export class Actions {
  constructor(private readonly parts: EngineParts) {}

  async cancel(
    caller: Caller,
    id: string,
    request: ActionRequest & { mode?: 'graceful' | 'force' },
  ): Promise<{ job: WireJob; pending: boolean }> {
    const { record, outcome } = await this.parts.load(caller, id)
    const own = isOwn(caller, record)
    if (!holds(caller, 'jobs:operate') && !(own && holds(caller, 'jobs:submit'))) demand(caller, 'jobs:operate')
    if (outcome?.status === 'cancelled') return { job: await this.parts.get(caller, id), pending: false }
    const reason = request.reason ?? null
    const moved = await this.move(caller, id, 'job.cancel', request, {
      type: 'cancelRequested',
      actor: caller.actor,
      reason,
      by: own ? 'caller' : 'operator',
      mode: request.mode ?? 'graceful',
    })
    const job = await this.parts.get(caller, id)
    // Asked again while it is stopping: the answer is the same as to the first request.
    if (moved.outcome === 'refused' && moved.live.state !== 'cancelling') throw refused(job)
    // Finished before the cancel reached its worker: `cancelled` is not said of a job that is not.
    return { job, pending: job.status !== 'cancelled' }
  }

  async retry(caller: Caller, id: string, request: ActionRequest & { resetAttempts?: boolean }): Promise<WireJob> {
    const { live } = await this.parts.load(caller, id)
    demand(caller, 'jobs:operate')
    const reason = request.reason ?? null
    const resetAttempts = request.resetAttempts ?? live?.waitKind === 'review'
    const moved = await this.move(caller, id, 'job.retry', request, {
      type: 'retryRequested',
      actor: caller.actor,
      reason,
      resetAttempts,
    })
    const job = await this.parts.get(caller, id)
    if (moved.outcome === 'refused') throw refused(job)
    return job
  }

  private async move(
    caller: Caller,
    jobId: string,
    action: string,
    { reason = null, ifVersion, key }: ActionRequest,
    event: Event,
  ): Promise<Moved> {
    const moved = await this.parts.store.move({
      jobId,
      tenant: caller.tenant,
      decide: (live, now) => transition(live, event, now, ifVersion === undefined ? null : { version: ifVersion }),
      expiresAt: this.parts.expiresAt,
      ...(key ? { operationId: `${action}/${jobId}/${key}` } : {}),
      audit: {
        tenant: caller.tenant,
        actor: caller.actor,
        action,
        target: `job/${jobId}`,
        reason,
        details: caller.requestId ? { requestId: caller.requestId } : null,
      },
    })
    if (moved.outcome === 'not-found') throw notFound(jobId)
    if (moved.outcome === 'finished' && moved.status === 'cancelled' && action === 'job.cancel') return moved
    if (moved.outcome === 'finished') {
      const job = await this.parts.get(caller, jobId)
      throw new UntildoneError(
        'job-already-done',
        `The job is already ${moved.status}; a finished job never changes.`,
        { params: { status: moved.status, next: nextOf(job) } },
      )
    }
    if (moved.outcome === 'refused' && moved.reason === 'stale-lease') {
      throw new UntildoneError('version-mismatch', `The job is at version ${moved.live.version}, not ${ifVersion}.`, {
        params: { version: moved.live.version, ifVersion },
      })
    }
    return moved
  }
}

function nextOf(job: WireJob): string {
  return job.status === 'completed'
    ? `GET ${job.links.result}`
    : `submit it again as a new job: POST /v1/jobs with type "${job.type}"`
}

function refused(job: WireJob): UntildoneError {
  const why =
    job.status === 'accepted'
      ? 'it has not started yet'
      : job.status === 'processing'
        ? 'an attempt is running'
        : `it is ${job.status}`
  return new UntildoneError('invalid-transition', `That is not possible now: ${why}.`, {
    params: { status: job.status },
  })
}
