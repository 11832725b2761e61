/**
 * How an action on a job is carried out: one guarded move with its audit entry in the same transaction, refused in words
 * that say what is possible instead. The state machine has the last word.
 */
import { UntildoneError } from '../core/errors.js'
import type { AuditDraft } from '../core/history.js'
import type { LiveJob } from '../core/job.js'
import type { Json } from '../core/json.js'
import type { Decision, Event, Refusal } from '../core/lifecycle.js'
import { transition } from '../core/lifecycle.js'
import type { WireJob } from '../core/wire.js'
import type { Move, Moved } from '../stores/store.js'
import type { ActionRequest, Caller } from './api.js'
import { type EngineParts, notFound } from './parts.js'

export interface Act {
  /** In the audit trail, e.g. `job.cancel`. */
  action: string
  /** What it comes to; a function decides by the row, and null refuses. */
  event: Event | ((live: LiveJob) => Event | null)
  /** For the audit trail. */
  details?: { [member: string]: Json }
  /** The version that must still hold; @default the one of the request */
  version?: number
  more?: Pick<Move, 'result' | 'resultSha256' | 'files' | 'record'>
}

/** @throws UntildoneError `job-not-found`, `job-already-done`, `version-mismatch` when the request named a version */
export async function act(
  parts: EngineParts,
  caller: Caller,
  jobId: string,
  { reason = null, ifVersion, key }: ActionRequest,
  { action, event, details, version = ifVersion, more }: Act,
): Promise<Exclude<Moved, { outcome: 'not-found' }>> {
  const decide = (live: LiveJob, now: number): Decision | Refusal => {
    const what = typeof event === 'function' ? event(live) : event
    return what === null
      ? { ok: false, reason: 'illegal-transition' }
      : transition(live, what, now, version === undefined ? null : { version })
  }
  const moved = await parts.store.move({
    ...more,
    jobId,
    tenant: caller.tenant,
    decide,
    expiresAt: parts.expiresAt,
    ...(key ? { operationId: `${action}/${jobId}/${key}` } : {}),
    audit: auditOf(caller, action, `job/${jobId}`, reason, details),
  })
  if (moved.outcome === 'not-found') throw notFound(jobId)
  if (moved.outcome === 'refused' && moved.reason === 'stale-lease' && ifVersion !== undefined)
    throw new UntildoneError('version-mismatch', `The job is at version ${moved.live.version}, not ${ifVersion}.`, {
      params: { version: moved.live.version, ifVersion },
    })
  return moved
}

export function auditOf(
  caller: Caller,
  action: string,
  target: string,
  reason: string | null,
  details: { [member: string]: Json } = {},
): AuditDraft {
  const all = { ...details, ...(caller.requestId ? { requestId: caller.requestId } : {}) }
  return {
    tenant: caller.tenant,
    actor: caller.actor,
    action,
    target,
    reason,
    details: Object.keys(all).length > 0 ? all : null,
  }
}

/** Why nothing more can be done to a finished job, and what can be done instead. */
export function alreadyDone(job: WireJob): UntildoneError {
  return new UntildoneError('job-already-done', `The job is already ${job.status}; a finished job never changes.`, {
    params: { status: job.status, next: nextOf(job) },
  })
}

function nextOf({ links: { self, result }, status }: WireJob): string {
  const replay = `replay it as a new job: POST ${self}/replay`
  if (status === 'completed') return `read its result: GET ${result}; or ${replay}`
  return `${replay}; or note how it was dealt with: POST ${self}/resolve`
}

/** @throws UntildoneError `validation-failed` */
export function reasonOf(reason: string | null | undefined, atLeast = 1, pointer = '/reason'): string {
  const text = reason?.trim() ?? ''
  if (text.length >= atLeast) return reason!
  const message =
    atLeast === 1 ? 'is required: say why, for whoever reads it later' : `must have at least ${atLeast} characters`
  throw new UntildoneError('validation-failed', `The reason ${message}.`, {
    errors: [{ pointer, code: text === '' ? 'required' : 'too-short', message }],
  })
}

export function refused(job: WireJob): UntildoneError {
  const why =
    job.status === 'accepted'
      ? 'it has not started yet'
      : job.status === 'processing'
        ? 'it is being worked on'
        : job.blockedOn.some(({ kind }) => kind === 'review')
          ? 'it waits for a person to look at it, and does not move before that'
          : `it is ${job.status}`
  return new UntildoneError('invalid-transition', `That is not possible now: ${why}.`, {
    params: { status: job.status },
  })
}
