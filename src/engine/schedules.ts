/**
 * Schedules as people and programs manage them: create, change, pause, resume, run now, remove, look ahead; and keeping
 * those that the code declares in step with it. Every change is audited. Firing is firing.ts.
 */
import { UntildoneError } from '../core/errors.js'
import { canonicalJson, type Json, parseJson } from '../core/json.js'
import type { Schedule, ScheduleDefinition } from '../core/schedule.js'
import type { WireJob, WireSchedule, WireUpcoming } from '../core/wire.js'
import type { ScheduleDecision } from '../stores/store.js'
import { type ActionRequest, type Caller, LOCAL, type Page } from './api.js'
import { bodyOf } from './firing.js'
import type { EngineParts } from './parts.js'
import { demand, mayUseType } from './rights.js'
import type { ScheduleBody, ScheduleUpdate, ScheduleUses } from './schedule-api.js'
import { checkId, settleDefinition, updated } from './schedule-definition.js'
import { scheduleView, upcomingOf } from './schedule-view.js'
import { duplicate, type Submission } from './submit.js'
import { instantsUntil, timetableOf, type When } from './timetable.js'

const PAGE = 50
const PAGE_MAX = 200
const PREVIEW = 5
/** Who acts when the code says what there is. */
const CODE: Caller = { ...LOCAL, actor: { kind: 'system', id: 'code', name: 'declared in code' } }

type Request = Omit<ActionRequest, 'key'>
type Decide = (schedule: Schedule, now: number) => ScheduleDecision | null

export class Schedules implements ScheduleUses {
  constructor(
    private readonly parts: EngineParts,
    private readonly submission: Submission,
  ) {}

  async create(
    caller: Caller,
    body: ScheduleBody,
    reason: string | null = null,
  ): Promise<{ schedule: WireSchedule; created: boolean }> {
    const { definition, input, files } = await this.settle(caller, body)
    const { id } = body
    let there: Schedule | null = null
    const changed = await this.parts.store.schedules.change({
      tenant: caller.tenant,
      id,
      decide: (before, now) => {
        there = before
        if (before) return null
        const next = fresh(caller, id, definition, input, now)
        if (body.paused) next.paused = { by: 'person', actor: caller.actor, note: reason, at: now }
        return { next, files, audit: this.audit(caller, 'create', next, reason) }
      },
    })
    if (changed.outcome === 'file-missing') throw fileMissing(changed.file)
    if (changed.outcome === 'written') return { schedule: this.view(changed.schedule!), created: true }
    // A repeat of the same request, after a lost answer for example, gets the same answer.
    const before = there as Schedule | null
    if (before && mayUseType(caller, before.definition.type) && same(before, definition, input))
      return { schedule: this.view(before), created: false }
    throw new UntildoneError('schedule-exists', `There is a schedule ${id} with another definition.`, {
      params: { id },
    })
  }

  async validate(caller: Caller, body: ScheduleBody) {
    const { definition } = await this.settle(caller, body)
    return { valid: true as const, type: definition.type, upcoming: this.ahead(definition, PREVIEW) }
  }

  async get(caller: Caller, id: string): Promise<WireSchedule> {
    demand(caller, 'jobs:read')
    return this.view(await this.load(caller, id))
  }

  async list(caller: Caller, page: { limit?: number; cursor?: string }): Promise<Page<WireSchedule>> {
    demand(caller, 'jobs:read')
    const limit = Math.min(PAGE_MAX, page.limit ?? PAGE)
    const { store, cursors } = this.parts
    const belongs = { tenant: caller.tenant, list: 'schedules' }
    const found: Schedule[] = []
    let after = page.cursor ? cursors.open<string>(page.cursor, belongs) : null
    for (let read = PAGE_MAX; read === PAGE_MAX && found.length <= limit; ) {
      const rows = await store.schedules.list(caller.tenant, after, PAGE_MAX)
      read = rows.length
      after = rows.at(-1)?.id ?? after
      found.push(...rows.filter((row) => mayUseType(caller, row.definition.type)))
    }
    const items = found.slice(0, limit).map((row) => this.view(row, false))
    return { items, nextCursor: found.length > limit ? cursors.seal(items.at(-1)!.id, belongs) : null }
  }

  async update(caller: Caller, id: string, changes: ScheduleUpdate, request: Request = {}): Promise<WireSchedule> {
    demand(caller, 'jobs:operate')
    for (;;) {
      const seen = await this.load(caller, id)
      checkVersion(seen, request.ifVersion)
      refuseDeclared(seen)
      const input = changes.input === undefined ? parseJson(seen.input) : changes.input
      const {
        definition,
        input: text,
        files,
      } = await this.settle(caller, {
        ...updated(seen.definition, changes),
        ...{ id, input },
      })
      let outdated = false
      const schedule = await this.change(caller, id, request, (before, now) => {
        // The changes were laid over what was read: after a change in between they are laid over that.
        outdated = before.version !== seen.version
        if (outdated || same(before, definition, text)) return null
        const next = moved(before, definition, text, now)
        return { next, files, audit: this.audit(caller, 'update', next, request.reason ?? null) }
      })
      if (!outdated) return schedule
    }
  }

  pause(caller: Caller, id: string, request: Request): Promise<WireSchedule> {
    return this.change(caller, id, request, (before, now) => {
      if (before.paused) return null
      const paused = { by: 'person' as const, actor: caller.actor, note: request.reason ?? null, at: now }
      const next = { ...before, paused, version: before.version + 1, updatedAt: now }
      return { next, audit: this.audit(caller, 'pause', next, request.reason ?? null) }
    })
  }

  resume(caller: Caller, id: string, request: Request): Promise<WireSchedule> {
    return this.change(caller, id, request, (before, now) => {
      if (!before.paused) return null
      const next = { ...before, paused: null, version: before.version + 1, updatedAt: now }
      return { next, audit: this.audit(caller, 'resume', next, request.reason ?? null) }
    })
  }

  async run(caller: Caller, id: string, { reason = null, ifVersion, key }: ActionRequest): Promise<WireJob> {
    demand(caller, 'jobs:operate')
    const { store, entropy } = this.parts
    const schedule = await this.load(caller, id)
    checkVersion(schedule, ifVersion)
    const { definition, input } = schedule
    const keyed = { operation: 'schedule-run', key: key ?? entropy.token(16), fingerprint: id }
    const job = await this.submission.prepare(caller, bodyOf(definition, input), keyed, '')
    const at = job.record.createdAt
    job.record.options.schedule = { id, at }
    const audit = this.audit(caller, 'run', schedule, reason, { jobId: job.record.id })
    this.parts.onSubmitting(job.live.lane, job.live.runAt)
    const submitted = await store.schedules.run({ tenant: caller.tenant, id, at, job, audit })
    if (!submitted) throw notFound(id)
    if (submitted.outcome === 'file-missing') throw fileMissing(submitted.file)
    if (submitted.outcome === 'key-reused')
      throw new UntildoneError('idempotency-key-reused', 'The key was used for a run of another schedule.')
    if (submitted.outcome === 'duplicate-refused') throw duplicate(submitted.jobId, submitted.why)
    return this.parts.get(caller, submitted.jobId)
  }

  async remove(caller: Caller, id: string, request: Request): Promise<void> {
    await this.change(caller, id, request, (before) => {
      refuseDeclared(before)
      return { next: null, audit: this.audit(caller, 'delete', before, request.reason ?? null) }
    })
  }

  async upcoming(caller: Caller, id: string, count: number): Promise<WireUpcoming[]> {
    demand(caller, 'jobs:read')
    return this.ahead((await this.load(caller, id)).definition, count)
  }

  /**
   * Makes the declared schedules what the code says: new ones are created, changed ones changed. One that the code no
   * longer declares is paused with a note, never removed; declared again, it goes on. A pause by a person stays.
   * @param complete false when some code could not be read: then nothing counts as no longer declared
   * @throws UntildoneError `bad-definition`, before anything is written
   */
  async declare(bodies: readonly ScheduleBody[], complete: boolean): Promise<void> {
    const settled = await Promise.all(bodies.map((body) => this.declared(body)))
    const { store } = this.parts
    for (const { id, definition, input, files, paused } of settled) {
      const changed = await store.schedules.change({
        tenant: CODE.tenant,
        id,
        decide: (before, now) => {
          if (!before) {
            const next = { ...fresh(CODE, id, definition, input, now), declared: true }
            if (paused) next.paused = { by: 'person', actor: CODE.actor, note: 'Declared as paused.', at: now }
            return { next, files, audit: this.audit(CODE, 'create', next, null) }
          }
          const back = before.paused?.by === 'code'
          if (before.declared && !back && same(before, definition, input)) return null
          const next = moved(before, definition, input, now)
          next.declared = true
          if (back) next.paused = null
          return { next, files, audit: this.audit(CODE, 'update', next, null) }
        },
      })
      if (changed.outcome === 'file-missing')
        throw badSchedule(id, `the file ${changed.file} of its input is not there`)
    }
    if (complete) await this.retire(new Set(settled.map(({ id }) => id)))
  }

  private async declared(body: ScheduleBody) {
    try {
      return { ...(await this.settle(CODE, body)), id: body.id, paused: body.paused === true }
    } catch (error) {
      if (!(error instanceof UntildoneError)) throw error
      throw badSchedule(body.id, error.message.replace(' Nothing was stored.', ''), error)
    }
  }

  private async retire(kept: ReadonlySet<string>): Promise<void> {
    const { store } = this.parts
    const note = 'The code no longer declares it.'
    let after: string | null = null
    for (let read = PAGE_MAX; read === PAGE_MAX; ) {
      const rows: Schedule[] = await store.schedules.list(CODE.tenant, after, PAGE_MAX)
      read = rows.length
      after = rows.at(-1)?.id ?? after
      for (const { id } of rows.filter((row) => row.declared && !kept.has(row.id))) {
        await store.schedules.change({
          tenant: CODE.tenant,
          id,
          decide: (before, now) => {
            if (!before?.declared) return null
            const paused = before.paused ?? { by: 'code' as const, actor: CODE.actor, note, at: now }
            const next = { ...before, paused, declared: false, version: before.version + 1, updatedAt: now }
            return { next, audit: this.audit(CODE, 'pause', next, note) }
          },
        })
      }
    }
  }

  /** Checks what was asked as far as it can be checked before an instant comes. */
  private async settle(caller: Caller, body: ScheduleBody) {
    demand(caller, 'jobs:operate')
    checkId(body.id)
    const definition = settleDefinition(body)
    const input = JSON.stringify(body.input ?? null)
    const keyed = { operation: 'schedule', key: body.id, fingerprint: '' }
    const { files } = await this.submission.prepare(caller, bodyOf(definition, input), keyed, '')
    return { definition, input, files }
  }

  private async change(caller: Caller, id: string, { ifVersion }: Request, decide: Decide): Promise<WireSchedule> {
    demand(caller, 'jobs:operate')
    let seen: Schedule | null = null
    let refused: unknown = null
    const changed = await this.parts.store.schedules.change({
      tenant: caller.tenant,
      id,
      decide: (before, now) => {
        seen = before
        refused = null
        // A refusal must not break the transaction, which other operations share.
        try {
          if (!before || !mayUseType(caller, before.definition.type)) throw notFound(id)
          checkVersion(before, ifVersion)
          return decide(before, now)
        } catch (error) {
          refused = error
          return null
        }
      },
    })
    if (refused) throw refused
    if (changed.outcome === 'file-missing') throw fileMissing(changed.file)
    return this.view((changed.outcome === 'written' && changed.schedule) || seen!)
  }

  private async load(caller: Caller, id: string): Promise<Schedule> {
    const schedule = await this.parts.store.schedules.get(caller.tenant, id)
    if (!schedule || !mayUseType(caller, schedule.definition.type)) throw notFound(id)
    return schedule
  }

  private view(schedule: Schedule, withInput = true): WireSchedule {
    const { store, registry } = this.parts
    return scheduleView(schedule, store.now(), registry.get(schedule.definition.type) !== undefined, withInput)
  }

  private ahead(definition: ScheduleDefinition, count: number): WireUpcoming[] {
    const instants = instantsUntil(timetableOf(definition), this.parts.store.now(), Number.POSITIVE_INFINITY, count)
    return instants.map((at) => upcomingOf(at, definition.timeZone))
  }

  private audit(caller: Caller, what: string, { id, definition }: Schedule, reason: string | null, more: Json = {}) {
    const { type, cron, everyMs, timeZone } = definition
    return {
      tenant: caller.tenant,
      actor: caller.actor,
      action: `schedule.${what}`,
      target: `schedule/${id}`,
      reason,
      details: {
        ...{ type, cron, everyMs, timeZone },
        ...(more as object),
        ...(caller.requestId ? { requestId: caller.requestId } : {}),
      },
    }
  }
}

function fresh(caller: Caller, id: string, definition: ScheduleDefinition, input: string, now: number): Schedule {
  return {
    tenant: caller.tenant,
    id,
    definition,
    input,
    declared: false,
    paused: null,
    nextAt: timetableOf(definition).next(now),
    decidedAt: now,
    previousAt: null,
    lastJobId: null,
    lastProblem: null,
    ...{ firedCount: 0, missedCount: 0, skippedCount: 0, problemCount: 0 },
    createdBy: caller.actor,
    createdAt: now,
    updatedAt: now,
    version: 1,
    revision: 1,
  }
}

/** With another definition. A changed timetable starts anew: instants of the old one are not caught up. */
function moved(before: Schedule, definition: ScheduleDefinition, input: string, now: number): Schedule {
  const next = { ...before, definition, input, lastProblem: null, version: before.version + 1, updatedAt: now }
  if (canonicalJson(whenOf(before.definition)) === canonicalJson(whenOf(definition))) return next
  return { ...next, nextAt: timetableOf(definition).next(now), decidedAt: now }
}

function whenOf({ cron, everyMs, timeZone, startAt, endAt }: When): When {
  return { cron, everyMs, timeZone, startAt, endAt }
}

function same(schedule: Schedule, definition: ScheduleDefinition, input: string): boolean {
  return (
    canonicalJson(schedule.definition) === canonicalJson(definition) &&
    canonicalJson(parseJson(schedule.input)) === canonicalJson(parseJson(input))
  )
}

function checkVersion(schedule: Schedule, ifVersion: number | undefined): void {
  if (ifVersion === undefined || ifVersion === schedule.version) return
  throw new UntildoneError('version-mismatch', `The schedule is at version ${schedule.version}, not ${ifVersion}.`, {
    params: { version: schedule.version, ifVersion },
  })
}

function refuseDeclared({ id, declared }: Schedule): void {
  if (declared)
    throw new UntildoneError('schedule-declared', `The schedule ${id} is declared in code.`, { params: { id } })
}

function notFound(id: string): UntildoneError {
  return new UntildoneError('not-found', `There is no schedule ${id}.`, { params: { id } })
}

function badSchedule(id: string, why: string, cause?: unknown): UntildoneError {
  return new UntildoneError('bad-definition', `Schedule "${id}": ${why}`, { params: { schedule: id }, cause })
}

function fileMissing(file: string): UntildoneError {
  return new UntildoneError(
    'input-invalid',
    `The file ${file} does not exist, is not yours or has expired. Nothing was stored.`,
    {
      params: { file },
      errors: [{ pointer: '/input', code: 'file-not-found', message: `${file} does not exist or has expired` }],
      fix: 'Upload the file again with POST /v1/files and send the new id.',
    },
  )
}
