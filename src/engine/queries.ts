/**
 * Reading for callers: one job, waiting for it, its result, lists, groups, history, attempts, steps, logs and events.
 * Changes nothing.
 */
import { UntildoneError } from '../core/errors.js'
import type { Status } from '../core/job.js'
import { parseJson } from '../core/json.js'
import { statusAfter } from '../core/lifecycle.js'
import type { WireAttempt, WireEvent, WireGroup, WireHistoryEntry, WireJob, WireLog, WireStep } from '../core/wire.js'
import type { JobFilter, StoredHistory, StoredJob } from '../stores/store.js'
import type { Caller, Include, JobReading, ListQuery, Page, WaitOptions } from './api.js'
import type { Approvals } from './approvals.js'
import { eventOf } from './event.js'
import type { EngineParts } from './parts.js'
import { demand, holds, visibleTo } from './rights.js'
import { errorOf, iso } from './view.js'

const PAGE = 50
const PAGE_MAX = 200

export class Queries {
  constructor(
    private readonly parts: EngineParts,
    private readonly approvals: Approvals,
  ) {}

  async get(caller: Caller, id: string, include: readonly Include[] = []): Promise<WireJob> {
    if (include.includes('ops')) demand(caller, 'jobs:operate')
    const job = await this.parts.get(caller, id, include)
    if (include.includes('steps')) job.steps = await this.steps(caller, id)
    if (include.includes('approvals')) job.approvals = await this.approvals.of(caller, id)
    return job
  }

  async wait(
    caller: Caller,
    id: string,
    { timeoutMs, until, revision, signal }: WaitOptions,
    include: readonly Include[] = [],
  ): Promise<WireJob> {
    const reached = (job: WireJob) =>
      job.done ||
      (until === 'attention' && job.status === 'blocked') ||
      (until === 'change' && job.revision !== revision)
    // Register, read, only then sleep: a change between reading and sleeping has already called `wake`.
    let wake = () => {}
    let woken = false
    const remove = this.parts.waiters.add(id, () => {
      woken = true
      wake()
    })
    const deadline = this.parts.clock.monotonic() + timeoutMs
    const sleep = (ms: number) =>
      new Promise<void>((resolve) => {
        const timer = this.parts.clock.after(ms, () => wake())
        wake = () => {
          timer.cancel()
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        signal?.addEventListener('abort', wake, { once: true })
      })
    try {
      for (;;) {
        woken = false
        const job = await this.get(caller, id, include)
        const left = deadline - this.parts.clock.monotonic()
        if (reached(job) || left <= 0 || signal?.aborted) return job
        if (!woken) await sleep(left)
      }
    } finally {
      remove()
    }
  }

  /**
   * The end of a job, told by the commit itself. What ended since `mark` is still remembered, so that a job submitted
   * then needs no question to the store; otherwise: register, read, wait.
   */
  async end(id: string, mark: number): Promise<{ status: Status | 'gone'; json: string | null }> {
    const { waiters, store } = this.parts
    const known = waiters.endOf(id)
    if (known) return known
    let remove = () => {}
    const told = new Promise<{ status: Status; json: string | null }>((resolve) => {
      remove = waiters.add(id, ({ done, status, end }) => {
        if (done) resolve({ status, json: end?.result ?? null })
      })
    })
    try {
      const status = store.info.sole && waiters.remembersSince(mark) ? null : await store.ended(id)
      return status === null ? await told : { status, json: null }
    } finally {
      remove()
    }
  }

  async result(caller: Caller, id: string): Promise<{ json: string; sha256: string; bytes: number }> {
    const { record, live, outcome } = await this.parts.load(caller, id, Number.MAX_SAFE_INTEGER)
    if (!outcome) {
      const job = await this.parts.get(caller, id)
      throw new UntildoneError('result-not-ready', `Job ${id} is ${job.status}; there is no result yet.`, {
        params: { jobId: record.id, status: job.status },
        retryAfterMs: job.pollAfterMs ?? (live ? 1000 : 0),
      })
    }
    if (outcome.status !== 'completed') {
      throw new UntildoneError(
        outcome.status === 'failed' ? 'job-failed' : 'job-cancelled',
        `Job ${id} ${outcome.status === 'failed' ? 'failed' : 'was cancelled'}: ${outcome.error?.message ?? ''}`,
        { params: { jobId: id, status: outcome.status, jobError: outcome.error && errorOf(outcome.error) } },
      )
    }
    const json = outcome.result ?? 'null'
    return { json, sha256: outcome.resultSha256 ?? this.parts.entropy.sha256(json), bytes: outcome.resultBytes }
  }

  async list(caller: Caller, query: ListQuery): Promise<Page<WireJob>> {
    if (query.include?.includes('ops')) demand(caller, 'jobs:operate')
    const limit = Math.min(PAGE_MAX, query.limit ?? PAGE)
    const order = query.order ?? '-createdAt'
    const { cursor, limit: _limit, include = [], ...filters } = query
    const belongs = { tenant: caller.tenant, filters: { ...filters, order } }
    const filter: JobFilter = {
      tenant: caller.tenant,
      order,
      limit: limit + 1,
      ...(query.id ? { ids: query.id } : {}),
      ...(query.status ? { statuses: query.status } : {}),
      ...visibleTo(caller, query.type),
      ...pick(query, [
        'groupId',
        'operationKey',
        'parentId',
        'tag',
        'schedule',
        'createdAfter',
        'createdBefore',
        'updatedAfter',
        'late',
        'needsAttention',
        'origin',
        'model',
        'modelVersion',
        'tool',
      ]),
      ...(cursor ? { after: this.parts.cursors.open<{ value: number; id: string }>(cursor, belongs) } : {}),
    }
    const rows = await this.parts.store.list(filter)
    const items = rows.slice(0, limit).map((row) => ({
      ...this.parts.view(
        row,
        include.filter((name) => name === 'ops'),
      ),
      result: null,
    }))
    const last = rows[limit - 1]
    return {
      items,
      nextCursor: rows.length > limit && last ? this.parts.cursors.seal(positionOf(last, order), belongs) : null,
    }
  }

  async group(caller: Caller, groupId: string): Promise<WireGroup> {
    demand(caller, 'jobs:read')
    const found = await this.parts.store.group(caller.tenant, groupId)
    if (!found) throw new UntildoneError('not-found', `No job names the group "${groupId}".`, { params: { groupId } })
    const { counts } = found
    return {
      ...found,
      done: counts.accepted + counts.processing + counts.blocked === 0,
      firstCreatedAt: iso(found.firstCreatedAt),
      lastUpdatedAt: iso(found.lastUpdatedAt),
    }
  }

  async history(
    caller: Caller,
    id: string,
    { cursor, limit = PAGE_MAX }: { cursor?: string; limit?: number },
  ): Promise<Page<WireHistoryEntry>> {
    await this.parts.load(caller, id)
    const belongs = { history: id, tenant: caller.tenant }
    const after = cursor ? this.parts.cursors.open<number>(cursor, belongs) : 0
    const size = Math.min(PAGE_MAX, limit)
    const { entries, before } = await this.parts.store.history(id, after, size + 1)
    const page = entries.slice(0, size)
    let previous = before
    const items = page.map((entry) => {
      const item = entryOf(id, entry, previous)
      previous = entry
      return item
    })
    return { items, nextCursor: entries.length > size ? this.parts.cursors.seal(page.at(-1)!.seq, belongs) : null }
  }

  async attempts(caller: Caller, id: string): Promise<WireAttempt[]> {
    const { live } = await this.parts.load(caller, id)
    demand(caller, 'jobs:operate')
    const ended = (await this.parts.store.attempts(id)).map(
      (a): WireAttempt => ({
        attempt: a.attempt,
        outcome: a.outcome,
        verdict: a.verdict,
        rule: a.error?.rule ?? null,
        error: a.error && errorOf(a.error),
        workerId: a.worker,
        startedAt: iso(a.startedAt),
        endedAt: iso(a.endedAt),
        durationMs: a.endedAt - a.startedAt,
        retryInMs: a.retryInMs,
      }),
    )
    if (live && live.attemptAt !== null) {
      ended.push({
        attempt: live.attempt,
        outcome: 'running',
        verdict: null,
        rule: null,
        error: null,
        workerId: live.worker,
        startedAt: iso(live.attemptAt),
        endedAt: null,
        durationMs: this.parts.store.now() - live.attemptAt,
        retryInMs: null,
      })
    }
    return ended
  }

  async steps(caller: Caller, id: string): Promise<WireStep[]> {
    await this.parts.load(caller, id)
    return (await this.parts.store.steps(id)).map((step) => ({
      name: step.key,
      kind: step.kind,
      attempt: step.attempt,
      startedAt: iso(step.startedAt),
      endedAt: iso(step.endedAt),
      bytes: step.result?.length ?? 0,
      effect: step.effect ?? null,
      undo: step.undo ?? null,
      info: step.info === null ? null : parseJson(step.info),
    }))
  }

  async logs(
    caller: Caller,
    id: string,
    { cursor, limit = PAGE_MAX }: { cursor?: string; limit?: number },
  ): Promise<Page<WireLog>> {
    await this.parts.load(caller, id)
    demand(caller, 'jobs:operate')
    const belongs = { logs: id, tenant: caller.tenant }
    const size = Math.min(PAGE_MAX, limit)
    const rows = await this.parts.store.logs(
      id,
      cursor ? this.parts.cursors.open<number>(cursor, belongs) : 0,
      size + 1,
    )
    const page = rows.slice(0, size)
    return {
      items: page.map(({ row }) => ({
        at: iso(row.at),
        attempt: row.attempt,
        level: row.level as WireLog['level'],
        message: row.message,
        data: row.data === null ? null : parseJson(row.data),
      })),
      nextCursor: rows.length > size ? this.parts.cursors.seal(page.at(-1)!.id, belongs) : null,
    }
  }

  async events(
    caller: Caller,
    id: string,
    after: string | null,
    limit: number,
  ): Promise<{ items: WireEvent[]; nextCursor: string | null; reset: boolean }> {
    const stored = await this.parts.load(caller, id)
    const known = after === null ? 0 : seqOf(id, after)
    const reset = known === null || known > (stored.outcome?.version ?? stored.live!.version)
    const { entries, before } = await this.parts.store.history(id, reset ? 0 : known, PAGE_MAX)
    const operator = holds(caller, 'jobs:operate')
    const items: WireEvent[] = []
    let previous = before
    let last: StoredHistory | null = null
    for (const entry of entries) {
      if (items.length >= limit) break
      const found = eventOf(stored, entry, previous)
      if (found && (operator || !found.operators)) items.push(found.event)
      previous = last = entry
    }
    const more = last !== null && (entries.length === PAGE_MAX || entries.at(-1)!.seq > last.seq)
    return { items, nextCursor: more ? `${id}:${last!.seq}` : null, reset }
  }

  async happened(tenant: string, id: string, after: number, upTo: number): Promise<JobReading | null> {
    await this.parts.pauses.refresh()
    // Of a list, because what streams show needs no input, which may be large.
    const [stored] = await this.parts.store.list({ tenant, ids: [id], order: 'createdAt', limit: 1 })
    if (!stored) return null
    const events: JobReading['events'] = []
    if (upTo > after) {
      const { entries, before } = await this.parts.store.history(id, after, Math.min(PAGE_MAX, upTo - after))
      let previous = before
      for (const entry of entries) {
        const found = eventOf(stored, entry, previous)
        if (found) events.push(found)
        previous = entry
      }
    }
    return { job: { ...this.parts.view(stored), result: null }, events }
  }
}

/** Event ids are `<jobId>:<seq>` (rulings 17). */
function seqOf(id: string, cursor: string): number | null {
  const match = cursor.startsWith(`${id}:`) ? /^\d{1,15}$/.exec(cursor.slice(id.length + 1)) : null
  return match ? Number(match[0]) : null
}

function entryOf(jobId: string, entry: StoredHistory, previous: StoredHistory | null): WireHistoryEntry {
  const { error } = entry
  return {
    seq: entry.seq,
    at: iso(entry.at),
    jobId,
    event: entry.event,
    from: previous ? { status: statusAfter(previous), phase: previous.phase } : null,
    to: { status: statusAfter(entry), phase: entry.phase },
    cause: error
      ? {
          kind: entry.event === 'errored' ? 'error' : entry.event,
          class: error.class,
          code: error.code,
          message: error.message,
        }
      : null,
    actor: entry.actor,
    attempt: entry.attempt,
    step: error?.step ?? null,
    decision: error?.rule ? { rule: error.rule, path: [`${error.code} → ${error.class ?? entry.state}`] } : null,
    context: entry.details,
    reason: entry.reason,
    hash: entry.hash,
    prevHash: entry.prevHash,
  }
}

function positionOf({ record, live, outcome }: StoredJob, order: JobFilter['order']): { value: number; id: string } {
  const value =
    order === '-updatedAt'
      ? (live?.changedAt ?? outcome!.finishedAt)
      : order === '-finishedAt'
        ? outcome!.finishedAt
        : record.createdAt
  return { value, id: record.id }
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Partial<
    Pick<T, K>
  >
}
