/**
 * An engine in memory for tests of the wire: keeps what it is told, wakes who waits, and lets a test say what happens to
 * a job. No attempts, no schedule, no durability. Never in the package.
 */
import { createHash } from 'node:crypto'
import {
  canonicalJson,
  type Json,
  type Status,
  UntildoneError,
  type Voice,
  type WireEvent,
  type WireJob,
  type WireJobType,
} from '../../core/index.js'
import type { ActionRequest, Caller, Engine, Include, KeyRequest, SubmitBody, WaitOptions } from '../../engine/api.js'
import { Cursors } from '../../engine/cursor.js'
import type { Change } from '../../stores/store.js'
import { noApprovals } from './approvals.js'
import { Catalogue } from './catalogue.js'
import { FakeClock } from './clock.js'
import { type ByteSource, FakeFiles, type FileMeta } from './files.js'
import { Keyring } from './keyring.js'
import { listed } from './listing.js'
import { UnfakedOperator } from './operator.js'
import { blankJob, blankStory, changeOf, eventOf } from './samples.js'
import { FakeWebhooks } from './webhooks.js'
import { FakeWorkers } from './workers.js'

interface Kept {
  job: WireJob
  input: Json
  events: WireEvent[]
  result: Json
}

const DONE: readonly Status[] = ['completed', 'failed', 'cancelled']

export class FakeEngine extends UnfakedOperator implements Engine {
  readonly clock = new FakeClock()
  readonly store = {
    kind: 'sqlite' as const,
    location: ':memory:',
    durability: 'none: this is a fake',
    sole: true,
    overlaps: false,
    filesDir: null,
  }
  readonly jobs = new Map<string, Kept>()
  readonly approvals = noApprovals
  readonly #keyring = new Keyring()
  /** Tests of schedules use the real engine. */
  readonly schedules = null as unknown as Engine['schedules']
  /** So do those of taught rules. */
  readonly teaching = null as unknown as Engine['teaching']
  readonly webhooks = new FakeWebhooks(
    () => this.#at(),
    (caller, id) => void this.#visible(caller, id),
  )
  /** By bearer key. */
  readonly callers = this.#keyring.callers
  /** Calls by name, for tests that assert what was not done. */
  readonly calls: string[] = []
  ready: 'ready' | 'degraded' | 'down' = 'ready'
  completion: WireJobType['completion'] = { mode: 'background' }
  /** Thrown by the next submit. */
  failNext: unknown = null
  #keys = new Map<string, { fingerprint: string; ids: string[] }>()
  #listeners = new Set<(changes: readonly Change[]) => void>()
  #files = new FakeFiles()
  #number = 0
  readonly #seals = { stream: new Cursors('secret', 'stream'), ticket: new Cursors('secret', 'ticket') }

  /** Registers a bearer key; from then on one is needed. */
  addKey(key: string, scopes: Caller['scopes'], more: Partial<Caller> = {}): Caller {
    return this.#keyring.add(key, scopes, more)
  }

  /** From this instant on the key is void. */
  expireKey(key: string, at: number): void {
    this.#keyring.expiries.set(`key_${key}`, at)
  }

  async submit(caller: Caller, body: SubmitBody, key: string | null) {
    this.calls.push('submit')
    if (this.failNext) {
      const error = this.failNext
      this.failNext = null
      throw error
    }
    const { traceparent: _trace, ...content } = body
    const fingerprint = canonicalJson(content)
    const scoped = `${caller.tenant}/${key}`
    const known = key === null ? undefined : this.#keys.get(scoped)
    if (known) {
      if (known.fingerprint !== fingerprint) {
        throw new UntildoneError('idempotency-key-reused', undefined, { params: { existingJobId: known.ids[0] } })
      }
      return { job: this.#kept(known.ids[0]!).job, replayed: true, duplicateOf: null }
    }
    this.#check(body)
    const there = body.onDuplicate && [...this.jobs.values()].find(({ job }) => job.operationKey === body.operationKey)
    if (there && body.onDuplicate === 'reject')
      throw new UntildoneError('duplicate-operation', undefined, { params: { existingJobId: there.job.id } })
    if (there) return { job: there.job, replayed: false, duplicateOf: there.job.id }
    const job = this.#store(caller, body)
    if (key !== null) this.#keys.set(scoped, { fingerprint, ids: [job.id] })
    return { job, replayed: false, duplicateOf: null }
  }

  async submitBatch(caller: Caller, items: { body: SubmitBody; key: string | null }[], key: string | null) {
    const scoped = `${caller.tenant}/batch/${key}`
    const fingerprint = canonicalJson(items)
    const known = key === null ? undefined : this.#keys.get(scoped)
    if (known && known.fingerprint !== fingerprint) throw new UntildoneError('idempotency-key-reused')
    if (known) return { items: known.ids.map((id) => this.#kept(id).job), replayed: true, duplicates: [] }
    for (const [i, { body }] of items.entries()) this.#check(body, `/items/${i}`)
    const jobs = items.map(({ body }) => this.#store(caller, body))
    if (key !== null) this.#keys.set(scoped, { fingerprint, ids: jobs.map((job) => job.id) })
    return { items: jobs, replayed: false, duplicates: [] }
  }

  async validate(_caller: Caller, body: SubmitBody) {
    this.#check(body)
    return { valid: true as const, type: body.type, gates: [], estimates: { p50Ms: null, p95Ms: null } }
  }

  completionOf() {
    return this.completion
  }

  async get(caller: Caller, id: string, include: readonly Include[] = []): Promise<WireJob> {
    this.calls.push('get')
    const { job, input } = this.#visible(caller, id)
    return {
      ...job,
      ...(include.includes('input') && { input }),
      ...(include.includes('ops') && {
        ops: {
          phase: 'queued',
          heldBy: null,
          attempt: 0,
          maxAttempts: null,
          nextAttemptAt: null,
          lastError: null,
          queue: 'default',
          workerId: null,
          leaseExpiresAt: null,
        },
      }),
      ...(include.includes('steps') && { steps: [] }),
    }
  }

  async wait(caller: Caller, id: string, options: WaitOptions, include: readonly Include[] = []): Promise<WireJob> {
    this.calls.push(`wait:${options.until}:${options.timeoutMs}`)
    const enough = (job: WireJob) =>
      job.done ||
      (options.until === 'change' && job.revision !== options.revision) ||
      (options.until === 'attention' && job.status === 'blocked')
    await new Promise<void>((resolve) => {
      const look = () => {
        if (enough(this.#visible(caller, id).job)) finish()
      }
      const timer = this.clock.after(options.timeoutMs, () => finish())
      const stop = this.onChange(look)
      const finish = () => {
        timer.cancel()
        stop()
        options.signal?.removeEventListener('abort', finish)
        resolve()
      }
      options.signal?.addEventListener('abort', finish)
      if (options.signal?.aborted) finish()
      else look()
    })
    return this.get(caller, id, include)
  }

  async result(caller: Caller, id: string) {
    const { job, result } = this.#visible(caller, id)
    if (job.status === 'failed') throw new UntildoneError('job-failed')
    if (job.status === 'cancelled') throw new UntildoneError('job-cancelled')
    if (!job.done) throw new UntildoneError('result-not-ready')
    const json = JSON.stringify(result)
    return { json, sha256: createHash('sha256').update(json).digest('hex'), bytes: json.length }
  }

  async list(caller: Caller, query: Parameters<Engine['list']>[1]) {
    this.calls.push(`list:${JSON.stringify(query)}`)
    const visible = [...this.jobs.values()].map((kept) => kept.job).filter((job) => this.#sees(caller, job))
    const all = listed(visible, query)
    const from = query.cursor ? Number(query.cursor.replace('after:', '')) : 0
    if (Number.isNaN(from)) throw new UntildoneError('invalid-cursor')
    const to = from + (query.limit ?? 50)
    const items = all.slice(from, to).map((job) => ({ ...job, result: null }))
    return { items, nextCursor: to < all.length ? `after:${to}` : null }
  }

  async group(caller: Caller, groupId: string) {
    const jobs = [...this.jobs.values()]
      .map((kept) => kept.job)
      .filter((job) => job.groupId === groupId && this.#sees(caller, job))
    if (jobs.length === 0) throw new UntildoneError('not-found')
    const counts = { accepted: 0, processing: 0, blocked: 0, completed: 0, failed: 0, cancelled: 0 }
    for (const job of jobs) counts[job.status]++
    const [first] = jobs
    return {
      groupId,
      counts,
      total: jobs.length,
      done: jobs.every((job) => job.done),
      firstCreatedAt: first!.createdAt,
      lastUpdatedAt: first!.updatedAt,
      latestByType: { [first!.type]: first!.id },
    }
  }

  async cancel(caller: Caller, id: string, request: { ifVersion?: number }) {
    const { job } = this.#visible(caller, id)
    if (request.ifVersion !== undefined && request.ifVersion !== job.version)
      throw new UntildoneError('version-mismatch')
    if (job.status === 'completed' || job.status === 'failed')
      throw new UntildoneError('job-already-done', undefined, { params: { status: job.status } })
    if (job.status === 'processing') return { job: this.change(id, { cancelRequestedAt: this.#at() }), pending: true }
    return { job: job.done ? job : this.change(id, { status: 'cancelled' }), pending: false }
  }

  async retry(caller: Caller, id: string, request: { ifVersion?: number }) {
    const { job } = this.#visible(caller, id)
    if (request.ifVersion !== undefined && request.ifVersion !== job.version)
      throw new UntildoneError('version-mismatch')
    if (job.done) throw new UntildoneError('job-already-done', undefined, { params: { next: 'replay' } })
    return this.change(id, {})
  }

  async history(caller: Caller, id: string) {
    this.#visible(caller, id)
    return { items: [], nextCursor: null }
  }

  async attempts(caller: Caller, id: string) {
    this.#visible(caller, id)
    return []
  }

  async steps(caller: Caller, id: string) {
    this.#visible(caller, id)
    return []
  }

  async story(caller: Caller, id: string, voice?: Voice) {
    const { job } = this.#visible(caller, id)
    if (voice === 'operator' && !caller.scopes.some((scope) => scope === 'admin' || scope === 'jobs:operate'))
      throw new UntildoneError('forbidden')
    return blankStory(job, voice ?? 'caller', this.#at())
  }

  async logs(caller: Caller, id: string) {
    this.#visible(caller, id)
    return { items: [], nextCursor: null }
  }

  async events(caller: Caller, id: string, after: string | null, limit: number) {
    const { events, job } = this.#visible(caller, id)
    const seq =
      after === null ? 0 : after.startsWith(`${job.id}:`) ? Number(after.slice(job.id.length + 1)) : Number.NaN
    if (!(seq <= job.version)) return { items: [], nextCursor: null, reset: true }
    const items = events.filter((event) => event.data.version > seq).slice(0, limit)
    return { items, nextCursor: items.length === limit ? items.at(-1)!.id : null, reset: false }
  }

  async happened(tenant: string, id: string, after: number, upTo: number) {
    this.calls.push(`happened:${after}-${upTo}`)
    const kept = this.jobs.get(id)
    if (!kept || kept.job.tenant !== tenant) return null
    const events = kept.events.filter(({ data }) => data.version > after && data.version <= upTo)
    return {
      job: { ...kept.job, result: null },
      events: events.map((event) => ({ event, operators: event.type === 'job.retrying' })),
    }
  }

  seal = (purpose: 'stream' | 'ticket', value: unknown, belongs: unknown) => this.#seals[purpose].seal(value, belongs)
  /** Names that were asked for; fakes may share them, as processes share a store. */
  firsts = new Set<string>()
  first = async (name: string) => !this.firsts.has(name) && this.firsts.add(name).has(name)
  unseal = <T>(purpose: 'stream' | 'ticket', text: string, belongs: unknown) =>
    this.#seals[purpose].tryOpen<T>(text, belongs)
  standing = async (keyId: string) => this.#keyring.standing(keyId, this.clock.now())

  // One process: nobody else changes anything.
  watch = () => () => {}
  follow = () => () => {}
  onGap = () => () => {}

  onChange(listener: (changes: readonly Change[]) => void) {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  readonly #catalogue = new Catalogue(this.calls, () => this.completion)
  /** `type/greet`, `queue/default`. */
  readonly paused = this.#catalogue.paused
  types = async () => this.#catalogue.types()
  type = async (_caller: Caller, name: string) => this.#catalogue.type(name)
  typeStory = async (_caller: Caller, name: string, from?: string) => this.#catalogue.typeStory(name, from ?? null)
  pauseType = async (_caller: Caller, name: string, { reason }: ActionRequest) =>
    this.#catalogue.pauseType(name, true, reason)
  resumeType = async (_caller: Caller, name: string, { reason }: ActionRequest) =>
    this.#catalogue.pauseType(name, false, reason)
  queues = async () => this.#catalogue.queues()
  pauseQueue = async (_caller: Caller, name: string, { reason }: ActionRequest) =>
    this.#catalogue.pauseQueue(name, true, reason)
  resumeQueue = async (_caller: Caller, name: string, { reason }: ActionRequest) =>
    this.#catalogue.pauseQueue(name, false, reason)

  readonly #workers = new FakeWorkers(this.calls)
  workers = async (_caller: Caller, all: boolean) => this.#workers.list(all)
  drainWorker = async (_caller: Caller, id: string, { reason }: ActionRequest) => this.#workers.drain(id, reason)

  addFile(_caller: Caller, source: ByteSource, meta: FileMeta) {
    return this.#files.add(source, meta, this.#at())
  }

  async openFile(_caller: Caller, id: string) {
    return this.#files.open(id)
  }

  createKey = async (_caller: Caller, request: KeyRequest) => this.#keyring.create(request, this.#at())
  listKeys = async () => this.#keyring.list(this.#at())
  getKey = async (_caller: Caller, id: string) => this.#keyring.get(id, this.#at())

  async rotateKey(_caller: Caller, id: string, _overlapMs: number) {
    this.#keyring.get(id, this.#at())
    return this.#keyring.create({ name: 'rotated', scopes: ['admin'] }, this.#at())
  }

  revokeKey = async (_caller: Caller, id: string) => this.#keyring.revoke(id)
  authenticate = async (key: string) => this.callers.get(key) ?? null

  async keysExist() {
    this.calls.push('keysExist')
    return this.#keyring.locked
  }

  async health() {
    return { status: this.ready, checks: { store: this.ready === 'down' ? 'failed' : 'ok' } }
  }

  async check() {
    return {}
  }

  /** What a worker or the engine would do: changes the job, notes the event, tells everybody. */
  change(id: string, patch: Partial<WireJob>, result: Json = null): WireJob {
    const kept = this.#kept(id)
    const before = kept.job
    const moved = patch.status !== undefined && patch.status !== before.status
    const status = patch.status ?? before.status
    const done = DONE.includes(status)
    const at = this.#at()
    const retried = patch.version !== undefined && patch.version > before.version
    kept.job = {
      ...before,
      ...patch,
      done,
      updatedAt: at,
      finishedAt: done ? at : null,
      pollAfterMs: done ? null : before.pollAfterMs,
      version: before.version + (moved || retried ? 1 : 0),
      revision: before.revision + 1,
      ...(done && { result, resultInfo: { ...before.resultInfo, state: 'inline' as const } }),
    }
    if (done) kept.result = result
    if (moved || retried) kept.events.push(eventOf(kept.job, before.status, at))
    this.#tell(kept.job, moved || retried)
    return kept.job
  }

  /** Removes what files the tests made. */
  dispose(): void {
    this.#files.dispose()
  }

  get listeners(): number {
    return this.#listeners.size
  }

  #store(caller: Caller, body: SubmitBody): WireJob {
    const at = this.#at()
    const job = blankJob(`019a7c31-5b0e-7c44-9d0a-${String(++this.#number).padStart(12, '0')}`, at, {
      type: body.type,
      tenant: caller.tenant,
      tags: body.tags ?? [],
      groupId: body.groupId ?? null,
      operationKey: body.operationKey ?? null,
      createdBy: caller.actor,
      traceparent: body.traceparent ?? null,
    })
    this.jobs.set(job.id, { job, input: body.input, events: [eventOf(job, null, at)], result: null })
    this.#tell(job, true)
    return job
  }

  #check(body: SubmitBody, at = ''): void {
    if (body.type !== 'greet') throw new UntildoneError('unknown-job-type', `There is no job type "${body.type}".`)
    if (typeof (body.input as { name?: unknown } | null)?.name === 'string') return
    throw new UntildoneError('input-invalid', undefined, {
      errors: [{ pointer: `${at}/input/name`, code: 'type', message: 'must be text' }],
    })
  }

  #tell(job: WireJob, moved: boolean): void {
    const change = changeOf(job, moved)
    for (const listener of [...this.#listeners]) listener([change])
  }

  #kept(id: string): Kept {
    const kept = this.jobs.get(id)
    if (!kept) throw new UntildoneError('job-not-found')
    return kept
  }

  #visible(caller: Caller, id: string): Kept {
    const kept = this.#kept(id)
    if (!this.#sees(caller, kept.job)) throw new UntildoneError('job-not-found')
    return kept
  }

  #sees(caller: Caller, job: WireJob): boolean {
    if (caller.tenant !== job.tenant) return false
    return (
      caller.scopes.some((scope) => scope === 'admin' || scope === 'jobs:read' || scope === 'jobs:operate') ||
      job.createdBy.id === caller.actor.id
    )
  }

  #at(): string {
    return new Date(this.clock.now()).toISOString()
  }
}
