/**
 * Accepting work: checks in the order of the contract, then one durable write of job, key, history and pins. Nothing is
 * answered before the commit.
 */
import { UntildoneError } from '../core/errors.js'
import { type JobRecord, laneOf, levelOf, TIES } from '../core/job.js'
import { canonicalJson, type Json, parseJson } from '../core/json.js'
import { accepted, newLive } from '../core/lifecycle.js'
import type { WireJob } from '../core/wire.js'
import type { CallOptions } from '../define/context.js'
import { isTombstone, type NewJob, type SqlTransaction, type StoredJob, type Submitted } from '../stores/store.js'
import type { Caller, SubmitAnswer, SubmitBody } from './api.js'
import { bindUnique, limitsFor, uniqueFor, withinTurns } from './limits.js'
import type { Notices } from './notices.js'
import type { EngineParts } from './parts.js'
import { gatesOf, isBuiltIn, type RegisteredType } from './registry.js'
import { demand, maySee, mayUseType, personOf } from './rights.js'

/** Types whose usual time is above this count as late past their own p95; for shorter ones the note would cost more than it tells. */
const LATE_FROM_MS = 10_000

export type Accepted = { announce: () => Promise<void> } & (
  | { job: NewJob; before: null; duplicate: false }
  | { job: null; before: string; duplicate: boolean }
)

const nothing = () => Promise.resolve()

export class Submission {
  constructor(
    private readonly parts: EngineParts,
    private readonly notices: Notices,
  ) {}

  async submit(caller: Caller, body: SubmitBody, key: string | null): Promise<SubmitAnswer> {
    const { job, before, duplicate } = await this.accept(caller, body, key)
    if (job) return { job: this.fresh(job), replayed: false, duplicateOf: null }
    if (!duplicate) return { job: await this.parts.get(caller, before), replayed: true, duplicateOf: null }
    return { job: await this.existing(caller, before), replayed: false, duplicateOf: before }
  }

  /**
   * The durable part alone. `before`: the job that took the key first, or whose duplicate this would be.
   * @param within a transaction of the application: stored with its commit, and announced by whoever knows of that
   */
  async accept(caller: Caller, body: SubmitBody, key: string | null, within?: SqlTransaction): Promise<Accepted> {
    demand(caller, 'jobs:submit')
    // A known key answers at once, whatever has become of the type and its schema since (rulings 20).
    const keyed = key === null ? null : { operation: 'submit', key, fingerprint: this.fingerprint(body) }
    const before = keyed && (await this.keyed(caller, keyed))
    if (before) return { job: null, before, duplicate: false, announce: nothing }
    const job = await this.prepare(caller, body, keyed, '')
    const { store } = this.parts
    // Only what is left out is none: with anything else the caller relies on a rollback.
    const own = within === undefined
    if (own) this.parts.onSubmitting(job.live.lane, job.live.runAt)
    const { answers, announce } = own
      ? { answers: await store.submit([job]), announce: nothing }
      : await store.submitWithin(within, [job])
    const answer = answers[0]!
    if (answer.outcome === 'created') return { job, before: null, duplicate: false, announce }
    const duplicate = answer.outcome === 'duplicate'
    return { job: null, before: await this.replayed(caller, answer), duplicate, announce }
  }

  /** The job whose duplicate was submitted, for a caller who may see it; others are only told that there is one. */
  async existing(caller: Caller, id: string): Promise<WireJob> {
    const found = await this.parts.store.find(id)
    if (found && !isTombstone(found) && !maySee(caller, found.record)) throw duplicate(null, 'exists')
    return this.parts.get(caller, id)
  }

  async validate(caller: Caller, body: SubmitBody, key: string | null) {
    demand(caller, 'jobs:submit')
    const job = await this.prepare(
      caller,
      body,
      key === null ? null : { operation: 'submit', key, fingerprint: '' },
      '',
    )
    const { registry } = this.parts
    const { p50Ms, p95Ms } = registry.expectations.of(job.record.type)
    const gates = gatesOf(registry.get(job.record.type)!.handler.definition.approvals)
    return { valid: true as const, type: job.record.type, gates, estimates: { p50Ms, p95Ms } }
  }

  /** The job that took this key first. @throws UntildoneError idempotency-key-reused */
  async keyed(caller: Caller, wanted: NonNullable<NewJob['idempotency']>): Promise<string | null> {
    const found = await this.parts.store.keyed(caller.tenant, wanted.operation, wanted.key)
    if (!found) return null
    const { jobId } = found
    return this.replayed(caller, {
      outcome: found.fingerprint === wanted.fingerprint ? 'replayed' : 'key-reused',
      jobId,
    })
  }

  /** The trace belongs to the request, not to what is asked: a repeat has its own. */
  fingerprint(body: SubmitBody | SubmitBody[]): string {
    const asked = [body].flat().map(({ traceparent: _, ...rest }) => rest)
    return this.parts.entropy.sha256(canonicalJson(asked))
  }

  /** All checks, and the rows as they will be stored. */
  async prepare(
    caller: Caller,
    body: SubmitBody,
    keyed: NewJob['idempotency'],
    at: string,
    /** `judged`: its input passed the present schema before, and is not judged again. `builtIn`: the engine asks itself. */
    { judged = false, builtIn = false }: { judged?: boolean; builtIn?: boolean } = {},
  ): Promise<NewJob> {
    const { entropy, store } = this.parts
    const type = builtIn ? this.parts.registry.get(body.type)! : this.typeOf(caller, body, at)
    const { settings } = type.handler
    if (settings.requireIdempotencyKey && !keyed)
      throw new UntildoneError(
        'idempotency-key-required',
        `Jobs of type "${type.name}" are only taken with an Idempotency-Key.`,
      )
    refuseNul(body, at)
    if (body.notify?.length) await this.notices.check(caller, body.notify, at)
    const checked = judged
      ? ({ ok: true, value: body.input } as const)
      : await type.input(await this.upgraded(type, body))
    if (!checked.ok) {
      throw new UntildoneError(
        'input-invalid',
        `Input for "${type.name}" was refused: ${checked.errors
          .map((e) => `${e.pointer || 'it'} ${e.message}`)
          .slice(0, 3)
          .join('; ')}. Nothing was stored.`,
        {
          errors: checked.errors.map((error) => ({ ...error, pointer: `${at}/input${error.pointer}` })),
          params: { type: type.name },
        },
      )
    }
    const now = store.now()
    const id = entropy.jobId()
    const runAt = body.runAt ? Date.parse(body.runAt) : null
    const deadlineAt = body.deadlineAt ? Date.parse(body.deadlineAt) : null
    if (deadlineAt !== null && deadlineAt <= Math.max(now, runAt ?? 0)) {
      throw new UntildoneError('validation-failed', 'The deadline is not after the start.', {
        errors: [{ pointer: `${at}/deadlineAt`, code: 'too-early', message: 'must be later than now and than runAt' }],
      })
    }
    const unique = uniqueFor(this.parts, caller, type, checked.value, body, at)
    const limits = limitsFor(type, checked.value, entropy.sha256)
    const priority = body.priority ?? 0
    const record: JobRecord = {
      id,
      tenant: caller.tenant,
      type: type.name,
      typeVersion: settings.version,
      queue: settings.queue,
      priority,
      input: JSON.stringify(checked.value ?? null),
      groupId: body.groupId ?? null,
      operationKey: body.operationKey ?? null,
      parentId: null,
      replayOf: null,
      options: {
        ...optionsOf(body),
        ...submitterIn(caller),
        ...(limits ? { limits } : {}),
        schema: type.schema(entropy.sha256),
      },
      createdBy: caller.actor,
      createdAt: now,
      runAt,
      deadlineAt,
    }
    const p95 = this.parts.registry.expectations.of(type.name).p95Ms
    const patience = settings.targetMs ?? (p95 !== null && p95 >= LATE_FROM_MS ? p95 : null)
    const lane = laneOf(settings.queue, type.name, caller.tenant, settings.pin ? settings.version : null)
    const live = newLive(id, lane, levelOf(priority), now, {
      runAt,
      deadlineAt,
      escalateAt: patience === null ? null : Math.max(now, runAt ?? 0) + patience,
    })
    live.ties |= (limits ? TIES.limits : 0) | (unique ? TIES.unique : 0) | (body.notify?.length ? TIES.told : 0)
    const job: NewJob = {
      record,
      live,
      history: accepted(live, caller.actor),
      files: type.filesIn('input', checked.value),
      idempotency: keyed,
    }
    if (unique) bindUnique(job, unique, settings.unique!.forMs)
    return job
  }

  /** What a producer built against an older definition sends is brought to the present form before it is judged. */
  private async upgraded(type: RegisteredType, { input, typeVersion }: SubmitBody): Promise<Json> {
    const { upgrade, version } = type.handler.settings
    if (!upgrade || !typeVersion || typeVersion === version) return input
    try {
      return (await upgrade(input, typeVersion)) as Json
    } catch (error) {
      throw new UntildoneError(
        'input-invalid',
        `Input for "${type.name}" of version ${typeVersion} could not be upgraded: ${error instanceof Error ? error.message : error}. Nothing was stored.`,
        { errors: [{ pointer: '/input', code: 'not-upgradable', message: 'does not fit the version it names' }] },
      )
    }
  }

  /**
   * The rows of a child job, created for whoever created the parent. Only its parent's wait stores it.
   * @param key the wait of the parent; a parent has one child per wait, however often it asks
   */
  async child(parent: JobRecord, key: string, type: string, input: unknown, options: CallOptions): Promise<NewJob> {
    const caller: Caller = { tenant: parent.tenant, actor: parent.createdBy, scopes: ['admin'], types: null }
    const body: SubmitBody = {
      type,
      input: input as Json,
      groupId: parent.groupId,
      priority: options.priority ?? parent.priority,
      ...(options.tags ? { tags: options.tags } : {}),
      ...(options.operationKey ? { operationKey: options.operationKey } : {}),
      ...(options.onDuplicate ? { onDuplicate: options.onDuplicate } : {}),
      ...(parent.options.traceparent ? { traceparent: parent.options.traceparent } : {}),
    }
    const keyed = { operation: 'child', key: `${parent.id}/${key}`, fingerprint: '' }
    const job = await this.prepare(caller, body, keyed, '')
    const { onBehalfOf, submitter, permissions, rootId } = parent.options
    job.record.parentId = parent.id
    Object.assign(job.record.options, {
      rootId: rootId ?? parent.id,
      child: { key, onParentEnd: options.onParentEnd ?? 'cancel' },
      ...(onBehalfOf ? { onBehalfOf } : {}),
      ...(submitter ? { submitter } : {}),
      ...(permissions ? { permissions } : {}),
    })
    job.live.ties |= TIES.parent
    withinTurns(job.record, parent)
    return job
  }

  /**
   * The rows of a finished job once more, for whoever submitted it. Its input is taken as it is while its schema is the
   * present one, and upgraded or judged anew otherwise.
   */
  async again(
    caller: Caller,
    { record }: StoredJob,
    input: Json | undefined,
    keyed: NewJob['idempotency'],
  ): Promise<NewJob> {
    const { type, options, typeVersion, groupId, operationKey, priority } = record
    const registered = this.typeOf(caller, { type, input: null }, '')
    const { upgrade, version } = registered.handler.settings
    const changed = input !== undefined && input !== null
    const same = options.schema === registered.schema(this.parts.entropy.sha256)
    const judged = !changed && same && (!upgrade || typeVersion === version)
    const { tags, metadata, traceparent, onBehalfOf, permissions } = options
    const body: SubmitBody = {
      ...{ type, groupId, operationKey, priority, tags, metadata, traceparent, onBehalfOf, permissions },
      input: changed ? input : parseJson(record.input),
      ...(changed ? {} : { typeVersion }),
    }
    const job = await this.prepare(caller, body, keyed, '', { judged })
    job.record.createdBy = record.createdBy
    // It is known that there was one before; beside one that is under way there is no second all the same.
    if (job.unique) Object.assign(job.unique, { onDuplicate: 'reject', again: true })
    // Whoever asks for it does not count among those who approve it.
    if (caller.actor.kind === 'apiKey') job.record.options.submitter ??= personOf(caller)
    return job
  }

  /** The rows of a job that the engine does for a caller. */
  builtIn(
    caller: Caller,
    type: string,
    input: Json,
    keyed: NewJob['idempotency'],
    more: Pick<SubmitBody, 'groupId' | 'operationKey' | 'metadata'> = {},
  ): Promise<NewJob> {
    return this.prepare(caller, { ...more, type, input }, keyed, '', { builtIn: true })
  }

  /** Stores one prepared job, or finds the one that took its key first. */
  async store(caller: Caller, job: NewJob): Promise<{ job: WireJob; replayed: boolean }> {
    this.parts.onSubmitting(job.live.lane, job.live.runAt)
    const [answer] = await this.parts.store.submit([job])
    if (answer!.outcome === 'created') return { job: this.fresh(job), replayed: false }
    return { job: await this.parts.get(caller, await this.replayed(caller, answer!)), replayed: true }
  }

  private typeOf(caller: Caller, body: SubmitBody, at: string): RegisteredType {
    const type = isBuiltIn(body.type) ? undefined : this.parts.registry.get(body.type)
    if (!type)
      throw new UntildoneError('unknown-job-type', `There is no job type "${body.type}". Nothing was stored.`, {
        params: { type: body.type },
        errors: [{ pointer: `${at}/type`, code: 'unknown', message: 'is not a job type of this server' }],
      })
    if (!mayUseType(caller, type.name))
      throw new UntildoneError('forbidden', `This key may not submit jobs of type "${type.name}".`, {
        params: { type: type.name },
      })
    return type
  }

  /** A job as it is right after it was stored. */
  fresh({ record, live }: NewJob): WireJob {
    return this.parts.view({
      record,
      live,
      outcome: null,
      progress: null,
      warnings: [],
      supersededBy: null,
      compensatedBy: null,
      resolution: null,
    })
  }

  /** The job that took the key first, or whose duplicate this is; or the reason why this request is refused. */
  async replayed(caller: Caller, answer: Submitted): Promise<string> {
    if (answer.outcome === 'file-missing') {
      throw new UntildoneError(
        'input-invalid',
        `The file ${answer.file} does not exist, is not yours or has expired. Nothing was stored.`,
        {
          params: { file: answer.file },
          errors: [
            { pointer: '/input', code: 'file-not-found', message: `${answer.file} does not exist or has expired` },
          ],
          fix: 'Upload the file again with POST /v1/files and send the new id.',
        },
      )
    }
    if (answer.outcome !== 'key-reused' && answer.outcome !== 'duplicate-refused') return answer.jobId
    const before = await this.parts.store.find(answer.jobId)
    const visible = before !== null && !isTombstone(before) && maySee(caller, before.record)
    if (answer.outcome === 'duplicate-refused') throw duplicate(visible ? answer.jobId : null, answer.why)
    throw new UntildoneError(
      'idempotency-key-reused',
      visible
        ? `The key belongs to job ${answer.jobId} with other content. Nothing was done.`
        : 'The key belongs to a job with other content. Nothing was done.',
      { params: visible ? { existingJobId: answer.jobId } : {} },
    )
  }
}

const WHY = {
  exists: 'is there already',
  started: 'has begun already, so it cannot be replaced',
  done: 'is done already, so it cannot be replaced',
  'not-yours': 'was submitted by somebody else, so it cannot be replaced',
} as const

/** @param id null for a caller who may not see it */
export function duplicate(id: string | null, why: keyof typeof WHY): UntildoneError {
  const said = `${id === null ? 'A job' : `Job ${id}`} for the same operation ${WHY[why]}. Nothing was stored.`
  return new UntildoneError('duplicate-operation', said, {
    params: { ...(id === null ? {} : { existingJobId: id }), why },
  })
}

/** No database keeps a NUL in a text of its own: one cuts the text there, another refuses the row. */
function refuseNul({ groupId, operationKey, tags = [] }: SubmitBody, at: string): void {
  const texts: [string, string | null | undefined][] = [
    ['/groupId', groupId],
    ['/operationKey', operationKey],
    ...tags.map((tag, i): [string, string] => [`/tags/${i}`, tag]),
  ]
  const bad = texts.find(([, text]) => text?.includes('\0'))
  if (bad)
    throw new UntildoneError('validation-failed', `The member ${bad[0]} holds a NUL character.`, {
      errors: [{ pointer: `${at}${bad[0]}`, code: 'nul', message: 'must not hold a NUL character' }],
    })
}

/** A key without a person is found by `createdBy`; null is somebody that is no person, like a machine. */
function submitterIn(caller: Caller): JobRecord['options'] {
  if (caller.person) return { submitter: caller.person }
  return caller.person === undefined && caller.actor.kind === 'user' ? { submitter: personOf(caller) } : {}
}

function optionsOf(body: SubmitBody): JobRecord['options'] {
  return {
    ...(body.tags?.length ? { tags: [...new Set(body.tags)] } : {}),
    ...(body.metadata && Object.keys(body.metadata).length > 0 ? { metadata: body.metadata } : {}),
    ...(body.traceparent ? { traceparent: body.traceparent } : {}),
    ...(body.onBehalfOf ? { onBehalfOf: body.onBehalfOf } : {}),
    ...(body.permissions ? { permissions: body.permissions } : {}),
    ...(body.notify?.length ? { notify: body.notify } : {}),
  }
}
