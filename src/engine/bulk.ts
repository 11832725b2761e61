/**
 * One action on all jobs of a filter. It is a job like any other, of a type that the engine brings along: it goes on after
 * a restart, shows its progress, and is stopped by cancelling it. Each item is acted on under a key of its own, so that a
 * crash in between does nothing twice.
 */
import { until } from '../core/backoff.js'
import { isUntildoneError, UntildoneError } from '../core/errors.js'
import type { LiveJob } from '../core/job.js'
import { canonicalJson, type Json } from '../core/json.js'
import { type Event, transition } from '../core/lifecycle.js'
import type { WireJob } from '../core/wire.js'
import type { BulkAction, WireBulkPlan } from '../core/wire-operate.js'
import type { JobContext } from '../define/context.js'
import { defineJob, type JobHandler } from '../define/define-job.js'
import { jsonSchema } from '../define/schema.js'
import type { JobFilter, StoredJob } from '../stores/store.js'
import { auditOf, reasonOf } from './act.js'
import type { Caller, Scope } from './api.js'
import type { BulkRequest, OperatorUses } from './operator-api.js'
import type { EngineParts } from './parts.js'
import { BUILT_IN_QUEUE, isBuiltIn } from './registry.js'
import { demand, visibleTo } from './rights.js'
import type { Submission } from './submit.js'

/** Jobs per step: what a crash may have to look at again. */
const CHUNK = 100
/** With a rate, so many chunks a minute. */
const CHUNKS_PER_MINUTE = 6
const COUNT_MAX = 10_000
const FIRST = 20
const SAMPLES = 100

interface BulkInput {
  action: BulkAction
  filter: BulkRequest['filter']
  reason: string
  exclude: string[]
  rate: number | null
  mode: 'graceful' | 'force'
  kind: NonNullable<BulkRequest['kind']>
  /** Jobs to act on when it was asked for; null when there were too many to count. */
  count: number | null
  /** No job made later is among them. */
  before: number
  /** Whose rights hold. */
  rights: { scopes: readonly Scope[]; types: readonly string[] | null }
}

interface Told {
  done: number
  excluded: Record<string, number>
  excludedJobs: { id: string; code: string }[]
  /** Of a replay: the new jobs, the first of them. */
  jobs: string[]
}

interface Page {
  ids: string[]
  left: { id: string; code: string }[]
  next: string | null
}

const bulk = defineJob('untildone.bulk', {
  title: 'Bulk operation',
  description: 'One action on all jobs of a filter: POST /v1/operations/bulk.',
  input: jsonSchema<BulkInput>({ type: 'object' }),
  output: jsonSchema<Told & { action: BulkAction }>({ type: 'object' }),
})

type Acting = Pick<OperatorUses, 'replay' | 'resolve' | 'pause' | 'resume'> & {
  cancel(
    caller: Caller,
    id: string,
    request: { reason: string; key: string; mode: 'graceful' | 'force' },
  ): Promise<unknown>
  retry(caller: Caller, id: string, request: { reason: string; key: string }): Promise<unknown>
}

export class Bulk {
  constructor(
    private readonly parts: EngineParts,
    private readonly submission: Submission,
    private readonly acting: Acting,
  ) {}

  async submit(caller: Caller, request: BulkRequest, key: string | null): Promise<{ job: WireJob; replayed: boolean }> {
    const { parts } = this
    this.check(caller, request)
    const fingerprint = parts.entropy.sha256(canonicalJson(request as unknown as Json))
    const keyed = key === null ? null : { operation: 'bulk', key, fingerprint }
    const before = keyed && (await this.submission.keyed(caller, keyed))
    if (before) return { job: await parts.get(caller, before), replayed: true }
    const asked = parts.store.now()
    const { count, more } = await this.plan(caller, request)
    const { action, filter, reason } = request
    const input: BulkInput = {
      ...{ action, filter, reason, exclude: request.exclude ?? [], rate: request.rate ?? null },
      ...{ mode: request.mode ?? 'graceful', kind: request.kind ?? 'resolvedManually' },
      ...{ count: more ? null : count, before: asked + 1 },
      rights: { scopes: caller.scopes, types: caller.types },
    }
    const job = await this.submission.builtIn(caller, bulk.name, input as unknown as Json, keyed)
    job.history.reason = reason
    const details = { filter: filter as unknown as Json, count: input.count }
    job.audit = auditOf(caller, `bulk.${action}`, `job/${job.record.id}`, reason, details)
    return this.submission.store(caller, job)
  }

  async plan(caller: Caller, request: BulkRequest): Promise<WireBulkPlan> {
    this.check(caller, request)
    const input = { ...request, exclude: request.exclude ?? [], before: this.parts.store.now() + 1 }
    const told: WireBulkPlan = {
      action: request.action,
      count: 0,
      more: false,
      jobs: [],
      excluded: {},
      excludedJobs: [],
    }
    for (let after: string | null = null; ; ) {
      const rows = await this.rows(caller, input, after, 200)
      for (const row of rows) {
        const code = this.refusal(caller, input, row)
        if (code !== null) leave(told, row.record.id, code)
        else if (++told.count <= FIRST) {
          const { id, type, status, statusText } = this.parts.view(row)
          told.jobs.push({ id, type, status, statusText })
        }
      }
      after = rows.at(-1)?.record.id ?? null
      told.more = told.count >= COUNT_MAX && rows.length === 200
      if (rows.length < 200 || told.more) return told
    }
  }

  /** @throws UntildoneError `forbidden`, `validation-failed` */
  private check(caller: Caller, { filter, reason }: BulkRequest): void {
    demand(caller, 'jobs:operate')
    reasonOf(reason)
    if (Object.values(filter).some((value) => value !== undefined)) return
    throw new UntildoneError('validation-failed', 'The filter is empty, so this would be every job there is.', {
      errors: [{ pointer: '/filter', code: 'required', message: 'needs at least one member' }],
    })
  }

  private rows(
    caller: Caller,
    { filter, before }: Pick<BulkInput, 'filter' | 'before'>,
    after: string | null,
    limit: number,
  ): Promise<StoredJob[]> {
    const { status, type, createdBefore = before, ...rest } = filter
    const wanted: JobFilter = {
      ...rest,
      ...(status ? { statuses: status } : {}),
      ...visibleTo(caller, type),
      ...{ tenant: caller.tenant, order: 'createdAt', limit, createdBefore: Math.min(createdBefore, before) },
      // Ids are in the order of creation; acting on jobs does not change it.
      ...(after === null ? {} : { after: { value: 0, id: after } }),
    }
    return this.parts.store.list(wanted)
  }

  /** Why a job is left out, or null. */
  private refusal(
    caller: Caller,
    { action, exclude, mode = 'graceful' }: Pick<BulkRequest, 'action' | 'mode'> & { exclude: string[] },
    { record, live, outcome, supersededBy, resolution }: StoredJob,
  ): string | null {
    if (isBuiltIn(record.type)) return 'built-in'
    if (exclude.includes(record.id)) return 'excluded'
    if (action === 'replay') {
      if (!outcome) return 'job-not-done'
      if (supersededBy !== null) return 'already-replayed'
      return record.options.compensates ? 'invalid-transition' : null
    }
    if (action === 'resolve') return !outcome ? 'job-not-done' : resolution ? 'already-resolved' : null
    if (!live) return 'job-already-done'
    const event = eventOf(action, live, caller, mode)
    return transition(live, event, this.parts.store.now()).ok ? null : 'invalid-transition'
  }

  handler(): JobHandler {
    return bulk.handler({ queue: BUILT_IN_QUEUE, retry: until({ within: '7d' }), timeout: { attempt: '24h' } }, (job) =>
      this.run(job),
    ) as JobHandler
  }

  private async run(job: JobContext<BulkInput>): Promise<Told & { action: BulkAction }> {
    const { input } = job
    const { action, rate, count } = input
    const { createdBy } = (await this.parts.load(SYSTEM(job.tenant), job.id, 0)).record
    const caller: Caller = { tenant: job.tenant, actor: createdBy, ...input.rights }
    const chunk = rate === null ? CHUNK : Math.min(CHUNK, Math.max(1, Math.ceil(rate / CHUNKS_PER_MINUTE)))
    const told: Told = { done: 0, excluded: {}, excludedJobs: [], jobs: [] }
    for (let after: string | null = null; ; ) {
      const page: Page = await job.step('page', () => this.page(caller, input, after, chunk), { effect: 'read' })
      for (const { id, code } of page.left) leave(told, id, code)
      if (page.ids.length > 0) {
        const acted = await job.step('act', () => this.act(caller, input, page.ids, job.id))
        told.done += acted.done
        told.jobs.push(...acted.jobs.slice(0, SAMPLES - told.jobs.length))
        for (const { id, code } of acted.left) leave(told, id, code)
        const total = count === null ? {} : { total: Math.max(count, told.done) }
        job.progress(null, {
          message: `${DONE[action]} ${told.done} jobs.`,
          completed: told.done,
          ...total,
          unit: 'job',
        })
      }
      after = page.next
      if (after === null) return { action, ...told }
      if (rate !== null && page.ids.length > 0) await job.sleep('spread', Math.ceil((page.ids.length / rate) * 60_000))
    }
  }

  private async page(caller: Caller, input: BulkInput, after: string | null, limit: number): Promise<Page> {
    const rows = await this.rows(caller, input, after, limit)
    const page: Page = { ids: [], left: [], next: rows.length === limit ? rows.at(-1)!.record.id : null }
    for (const row of rows) {
      const { id } = row.record
      const code = this.refusal(caller, input, row)
      if (code === null) page.ids.push(id)
      else page.left.push({ id, code })
    }
    return page
  }

  private async act(caller: Caller, input: BulkInput, ids: readonly string[], jobId: string) {
    const told = { done: 0, jobs: [] as string[], left: [] as Page['left'] }
    await Promise.all(
      ids.map(async (id) => {
        try {
          const made = await this.actOne(caller, input, id, `bulk/${jobId}`)
          told.done++
          if (made) told.jobs.push(made)
        } catch (error) {
          // It changed meanwhile, or cannot be done; anything else stops the whole, which is tried again.
          if (!isUntildoneError(error) || error.code === 'store-unavailable' || error.code === 'outcome-unknown')
            throw error
          told.left.push({ id, code: error.code })
        }
      }),
    )
    return told
  }

  /** @returns the id of the new job, of a replay */
  private async actOne(caller: Caller, { action, reason, mode, kind }: BulkInput, id: string, key: string) {
    const request = { reason, key }
    if (action === 'replay') return (await this.acting.replay(caller, id, request)).job.id
    if (action === 'resolve') await this.acting.resolve(caller, id, { ...request, kind })
    else if (action === 'cancel') await this.acting.cancel(caller, id, { ...request, mode })
    else await this.acting[action](caller, id, request)
    return null
  }
}

const DONE: Record<BulkAction, string> = {
  retry: 'Retried',
  cancel: 'Cancelled',
  replay: 'Replayed',
  resolve: 'Resolved',
  pause: 'Paused',
  resume: 'Resumed',
}

const SYSTEM = (tenant: string): Caller => ({
  tenant,
  actor: { kind: 'system', id: 'engine' },
  scopes: ['admin'],
  types: null,
})

function leave(told: Pick<Told, 'excluded' | 'excludedJobs'>, id: string, code: string): void {
  told.excluded[code] = (told.excluded[code] ?? 0) + 1
  if (told.excludedJobs.length < SAMPLES) told.excludedJobs.push({ id, code })
}

function eventOf(
  action: Exclude<BulkAction, 'replay' | 'resolve'>,
  live: LiveJob,
  { actor }: Caller,
  mode: 'graceful' | 'force',
): Event {
  if (action === 'cancel') return { type: 'cancelRequested', actor, by: 'operator', reason: null, mode }
  if (action === 'retry') return { type: 'retryRequested', actor, resetAttempts: live.waitKind === 'review' }
  return { type: action === 'pause' ? 'pauseRequested' : 'resumeRequested', actor }
}
