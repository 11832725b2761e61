/**
 * Decisions that stand for ever: the end of an unfinished job set by hand, and the note on how a finished one was dealt
 * with. A finished job is never changed by either.
 */
import { type FieldError, UntildoneError } from '../core/errors.js'
import type { ErrorInfo, JobRecord } from '../core/job.js'
import { utf8Length } from '../core/json.js'
import type { WireJob } from '../core/wire.js'
import { act, alreadyDone, auditOf, reasonOf, refused } from './act.js'
import type { Caller } from './api.js'
import type { OverrideRequest, ResolveRequest } from './operator-api.js'
import type { EngineParts } from './parts.js'
import { demand } from './rights.js'

/** A word is no reason for an end that nobody can take back. */
const REASON_MIN = 10
const EVIDENCE_MAX = 64 * 1024

export class Overrides {
  constructor(private readonly parts: EngineParts) {}

  async override(caller: Caller, id: string, request: OverrideRequest): Promise<WireJob> {
    const { parts } = this
    const { record, live, outcome } = await parts.load(caller, id)
    demand(caller, 'jobs:override')
    if (outcome && !request.key) throw alreadyDone(await parts.get(caller, id))
    if (request.ifVersion === undefined)
      throw new UntildoneError('precondition-required', 'An override must name the version of the job that you saw.', {
        params: { version: live?.version ?? outcome!.version },
      })
    reasonOf(request.reason, REASON_MIN)
    const evidence = evidenceOf(request.evidence)
    const accepted = await this.resultOf(record, request)
    const at = parts.store.now()
    const who = caller.actor.name ?? caller.actor.id
    const warning = { code: 'overridden', message: `Set to ${request.status} by hand by ${who}.`, step: null, at }
    const moved = await act(parts, caller, id, request, {
      action: 'job.override',
      event: {
        type: 'overridden',
        actor: caller.actor,
        reason: request.reason,
        status: request.status,
        error: errorOf(request, live?.attempt ?? 0, at),
        details: { status: request.status, ...evidence },
      },
      details: { status: request.status, ...evidence },
      more: { ...accepted, record: { jobId: id, epoch: live?.epoch ?? 0, warnings: [warning] } },
    })
    const job = await parts.get(caller, id)
    if (moved.outcome === 'finished') throw alreadyDone(job)
    if (moved.outcome === 'refused') throw refused(job)
    return job
  }

  /** What a job completed by hand must have: the result that its type promises. */
  private async resultOf(record: JobRecord, { status, result, error }: OverrideRequest) {
    const wrong: FieldError[] = []
    if (status === 'completed' && error !== undefined)
      wrong.push({ pointer: '/error', code: 'conflict', message: 'belongs to failed or cancelled' })
    if (status !== 'completed' && result !== undefined)
      wrong.push({ pointer: '/result', code: 'conflict', message: 'belongs to completed' })
    if (wrong.length > 0)
      throw new UntildoneError('validation-failed', `${wrong[0]!.pointer} ${wrong[0]!.message}.`, { errors: wrong })
    if (status !== 'completed') return {}
    const type = this.parts.registry.get(record.type)
    if (!type)
      throw new UntildoneError(
        'unknown-job-type',
        `This server does not know "${record.type}", so it cannot judge a result of it.`,
        {
          params: { type: record.type },
        },
      )
    const checked =
      type.handler.definition.output === null ? { ok: true as const, value: result } : await type.output(result ?? null)
    if (!checked.ok) throw resultInvalid(record.type, checked.errors)
    const value = checked.value ?? null
    const files = type.filesIn('output', value)
    for (const file of files) {
      const found = await this.parts.store.files.get(file)
      if (found?.tenant !== record.tenant)
        throw resultInvalid(record.type, [
          { pointer: '', code: 'file-not-found', message: `${file} does not exist or has expired` },
        ])
    }
    const text = JSON.stringify(value)
    const maxBytes = type.handler.settings.maxResultBytes
    if (utf8Length(text) > maxBytes)
      throw new UntildoneError('payload-too-large', `The result is larger than ${maxBytes} bytes.`, {
        params: { maxBytes },
      })
    return { result: text, resultSha256: this.parts.entropy.sha256(text), files }
  }

  async resolve(caller: Caller, id: string, request: ResolveRequest): Promise<WireJob> {
    const { parts } = this
    const { outcome } = await parts.load(caller, id)
    demand(caller, 'jobs:operate')
    const reason = reasonOf(request.reason)
    if (!outcome) throw notDone(id)
    if (request.ifVersion !== undefined && request.ifVersion !== outcome.version)
      throw new UntildoneError(
        'version-mismatch',
        `The job is at version ${outcome.version}, not ${request.ifVersion}.`,
        {
          params: { version: outcome.version, ifVersion: request.ifVersion },
        },
      )
    const evidence = evidenceOf(request.evidence)
    const { kind, key } = request
    await parts.store.resolve(
      {
        ...{ jobId: id, kind, reason, by: caller.actor, at: parts.store.now(), otherId: null },
        evidence: request.evidence ? JSON.stringify(request.evidence) : null,
      },
      caller.tenant,
      auditOf(caller, 'job.resolve', `job/${id}`, reason, { kind, ...evidence }),
      key ? `job.resolve/${id}/${key}` : undefined,
    )
    return parts.get(caller, id)
  }
}

export function notDone(id: string): UntildoneError {
  return new UntildoneError('job-not-done', `Job ${id} is not finished.`, { params: { jobId: id } })
}

function resultInvalid(type: string, errors: FieldError[]): UntildoneError {
  const said = errors.map((e) => `${e.pointer || 'it'} ${e.message}`).slice(0, 3)
  return new UntildoneError(
    'result-invalid',
    `The result does not fit "${type}": ${said.join('; ')}. Nothing was done.`,
    {
      errors: errors.map((error) => ({ ...error, pointer: `/result${error.pointer}` })),
      params: { type },
    },
  )
}

function errorOf({ status, reason, error }: OverrideRequest, attempts: number, occurredAt: number): ErrorInfo | null {
  if (status === 'completed') return null
  const { code = 'overridden', message = reason } = error ?? {}
  return {
    ...{ code, class: status === 'failed' ? 'permanent' : null, origin: status === 'failed' ? 'policy' : null },
    ...{ message, messages: [message], step: null, rule: 'overridden by hand', details: null, attempts, occurredAt },
  }
}

function evidenceOf(evidence: OverrideRequest['evidence']): { evidence?: OverrideRequest['evidence'] } {
  if (!evidence || evidence.length === 0) return {}
  if (utf8Length(JSON.stringify(evidence)) > EVIDENCE_MAX)
    throw new UntildoneError('payload-too-large', `The evidence is larger than ${EVIDENCE_MAX} bytes.`, {
      params: { maxBytes: EVIDENCE_MAX },
    })
  return { evidence }
}
