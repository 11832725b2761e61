/**
 * What the conformance files share: a fresh store per test with a clock of its own, rows as the engine would write them,
 * and the moves of a worker. Knows the Store contract and the state machine, never a database.
 */
import { until } from '../../core/backoff.js'
import type { Entropy } from '../../core/clock.js'
import type { AuditDraft } from '../../core/history.js'
import {
  type Actor,
  type ErrorInfo,
  type JobLimits,
  type JobOptions,
  LEVELS,
  type LiveJob,
  laneOf,
  levelOf,
  TIES,
} from '../../core/job.js'
import {
  accepted,
  type Decision,
  type Event,
  type EventOf,
  newLive,
  type Refusal,
  transition,
} from '../../core/lifecycle.js'
import { limitName } from '../../core/limits.js'
import type {
  AttemptRecord,
  Change,
  Claimed,
  FileRow,
  Move,
  Moved,
  NewJob,
  SignalAnswer,
  SignalRow,
  StepRow,
  Store,
  StoredJob,
  StoreFactory,
  WaitRow,
  WaitValue,
  WorkerRow,
} from '../../stores/store.js'
import { isTombstone } from '../../stores/store.js'
import { TestClock } from '../clock.js'
import { testEntropy } from '../entropy.js'

export const DAY = 86_400_000
export const WORKER: Actor = { kind: 'worker', id: 'w-1' }
export const SYSTEM: Actor = { kind: 'system', id: 'engine' }
export const CALLER: Actor = { kind: 'apiKey', id: 'key_1', name: 'crm' }
export const LANE = laneOf('default', 't', 'default')

/** What a test says of a new job; everything else is ordinary. */
export interface Wanted {
  tenant?: string
  type?: string
  queue?: string
  priority?: number
  input?: unknown
  key?: string
  fingerprint?: string
  /** The key stands for all jobs of the call. */
  wholeBatch?: boolean
  groupId?: string
  operationKey?: string
  parentId?: string
  replayOf?: string
  tags?: string[]
  runAt?: number
  deadlineAt?: number
  escalateAt?: number
  files?: string[]
  createdBy?: Actor
  limits?: JobLimits
  /** `for` in milliseconds; absent: until it is done. */
  unique?: { key: string; for?: number; onDuplicate?: 'return' | 'reject' | 'replace'; ownOnly?: boolean }
  /** The wait of `parentId` that it is the child for. */
  childOf?: string
}

export class Bench {
  readonly clock: TestClock
  readonly entropy: Entropy
  /** Everything the store has told, in order. */
  readonly told: Change[] = []
  store!: Store

  private readonly others: Bench[] = []

  /** @param like another process: it has the same time and makes no id that the other has made */
  private constructor(
    readonly factory: StoreFactory,
    like?: Bench,
  ) {
    this.clock = like?.clock ?? new TestClock()
    this.entropy = like?.entropy ?? testEntropy(this.clock)
  }

  static async open(factory: StoreFactory): Promise<Bench> {
    const bench = new Bench(factory)
    await bench.reopen()
    return bench
  }

  /** This store, and others that write into the same database at the same time. */
  async beside(): Promise<[Bench, Bench, Bench]> {
    while (this.others.length < 2) {
      const other = new Bench(this.factory, this)
      this.others.push(other)
      await other.reopen()
    }
    return [this, this.others[0]!, this.others[1]!]
  }

  async close(): Promise<void> {
    await Promise.all([this, ...this.others].map(({ store }) => store?.close()))
  }

  /** Opens the same database again, as after a restart. */
  async reopen(): Promise<void> {
    await this.store?.close()
    this.store = await this.factory.open(this)
    this.store.onChange((changes) => this.told.push(...changes))
  }

  job(wanted: Wanted = {}): NewJob {
    const { tenant = 'default', type = 't', queue = 'default', priority = 0, createdBy = CALLER } = wanted
    const now = this.clock.now()
    const id = this.entropy.jobId()
    const { runAt = null, deadlineAt = null, escalateAt = null } = wanted
    const live = newLive(id, laneOf(queue, type, tenant), levelOf(priority), now, { runAt, deadlineAt, escalateAt })
    live.ties =
      (wanted.limits ? TIES.limits : 0) | (wanted.unique ? TIES.unique : 0) | (wanted.parentId ? TIES.parent : 0)
    const input = JSON.stringify(wanted.input ?? {})
    return {
      record: {
        ...{
          id,
          tenant,
          type,
          typeVersion: null,
          queue,
          priority,
          input,
          createdBy,
          createdAt: now,
          runAt,
          deadlineAt,
        },
        groupId: wanted.groupId ?? null,
        operationKey: wanted.operationKey ?? null,
        parentId: wanted.parentId ?? null,
        replayOf: wanted.replayOf ?? null,
        options: optionsOf(wanted, now),
      },
      live,
      history: accepted(live, createdBy),
      idempotency: wanted.key
        ? {
            operation: wanted.wholeBatch ? 'batch' : 'submit',
            key: wanted.key,
            fingerprint: wanted.fingerprint ?? 'f',
            ...(wanted.wholeBatch ? { batch: true as const } : {}),
          }
        : null,
      files: wanted.files ?? [],
      ...(wanted.unique ? { unique: uniqueOf(wanted.unique, tenant, type) } : {}),
    }
  }

  /** Stores jobs, each by a call of its own, and gives their ids. */
  async submit(...wanted: Wanted[]): Promise<string[]> {
    const jobs = wanted.map((one) => this.job(one))
    await Promise.all(jobs.map((job) => this.store.submit([job])))
    return jobs.map(({ record }) => record.id)
  }

  async submitOne(wanted: Wanted = {}): Promise<string> {
    return (await this.submit(wanted))[0]!
  }

  claim(limit = 100, { lane = LANE, worker = 'w-1', levels = LEVELS as readonly number[] } = {}): Promise<Claimed[]> {
    return this.store.claim({ worker, lanes: [{ lane, limit }], limit: () => limit, levels })
  }

  async claimOne(worker = 'w-1'): Promise<Claimed> {
    const [claimed] = await this.claim(1, { worker })
    if (!claimed) throw new Error('There was nothing to claim.')
    return claimed
  }

  /** Submits a job and claims it. */
  async started(wanted: Wanted = {}, worker = 'w-1'): Promise<Claimed> {
    const id = await this.submitOne(wanted)
    const lane = laneOf(wanted.queue ?? 'default', wanted.type ?? 't', wanted.tenant ?? 'default')
    const claimed = await this.claim(1000, { lane, worker })
    return claimed.find(({ live }) => live.id === id)!
  }

  /** One event on a job as it is now. */
  apply(jobId: string, event: Event, more: Partial<Move> = {}): Promise<Moved> {
    return this.store.move({ jobId, decide: (live, now) => transition(live, event, now), ...more })
  }

  /** What the worker of a claim does at the end of its attempt: the fenced move with the row as it knows it. */
  settle(claimed: Claimed, event: Event, more: Partial<Move> = {}): Promise<Moved> {
    const { live } = claimed
    const fence = { epoch: live.epoch }
    return this.store.move({
      jobId: live.id,
      known: live,
      decide: (row, now) => transition(row, event, now, fence),
      ...more,
    })
  }

  succeed(claimed: Claimed, result: unknown = { ok: true }, more: Partial<Move> = {}): Promise<Moved> {
    const text = JSON.stringify(result)
    const keep = { result: text, resultSha256: this.entropy.sha256(text), expiresAt: (at: number) => at + 30 * DAY }
    return this.settle(claimed, { type: 'succeeded', actor: WORKER, warnings: 0 }, { ...keep, ...more })
  }

  /** A job that another one calls, as the wait of that one stores it. */
  child(parentId: string, key: string, wanted: Wanted = {}, onParentEnd: 'cancel' | 'leave' = 'cancel'): NewJob {
    const job = this.job({ ...wanted, parentId })
    job.live.ties |= TIES.parent
    job.record.options.child = { key, onParentEnd }
    return { ...job, idempotency: { operation: 'child', key: `${parentId}/${key}`, fingerprint: '' } }
  }

  wait(jobId: string, key: string, more: Partial<WaitRow> = {}): WaitRow {
    return { jobId, key, kind: 'signal', name: key, dueAt: null, childId: null, createdAt: this.clock.now(), ...more }
  }

  /** The attempt leaves, because it can only go on when one of these is there. */
  suspend(
    { live }: Claimed,
    waits: WaitRow[],
    more: {
      children?: NewJob[]
      blockedOn?: string[]
      wakeAt?: number
      waitKind?: EventOf<'suspended'>['waitKind']
    } = {},
  ): Promise<Moved> {
    const { children, blockedOn = waits.map(({ key }) => key), wakeAt = null, waitKind = 'signal' } = more
    const wait = { id: blockedOn[0] ?? '', title: 'Waits.', dueAt: wakeAt }
    const event: Event = { type: 'suspended', actor: WORKER, waitKind, wakeAt, wait }
    const record: AttemptRecord = { jobId: live.id, epoch: live.epoch, waits, ...(children ? { children } : {}) }
    return this.settle({ live } as Claimed, event, { record, blockedOn })
  }

  /** A job that waits for a signal of this name. */
  async waiting(name = 'answer', wanted: Wanted = {}): Promise<Claimed> {
    const claimed = await this.started(wanted)
    await this.suspend(claimed, [this.wait(claimed.live.id, name)])
    return claimed
  }

  signal(jobId: string, name: string, more: Partial<SignalRow> = {}): Promise<SignalAnswer> {
    const signalId = more.signalId ?? this.entropy.token(8)
    const row = { jobId, tenant: 'default', name, payload: '{"ok":true}', actor: CALLER, limit: 100 }
    return this.store.signal({ ...row, ...more, signalId })
  }

  /** The value recorded under a key; undefined when there is none. */
  async value(jobId: string, key: string): Promise<WaitValue | undefined> {
    const row = (await this.store.steps(jobId)).find((step) => step.key === key)
    return row && JSON.parse(row.result!)
  }

  /** A row in any state, also in those that no event leads to yet. */
  async force(jobId: string, change: Partial<LiveJob>): Promise<void> {
    await this.store.move({ jobId, decide: (live, now) => forced(live, change, now) })
  }

  beat(id = 'w-1', leaseMs = 30_000): Promise<WorkerRow['state']> {
    const leaseUntil = this.clock.now() + leaseMs
    return this.store.workers.beat({
      id,
      boot: 'b',
      host: 'h',
      pid: 1,
      startedAt: this.clock.now(),
      leaseUntil,
      state: 'up',
      serves: null,
    })
  }

  async stored(id: string): Promise<StoredJob> {
    const found = await this.store.find(id)
    if (!found || isTombstone(found)) throw new Error(`There is no job ${id}.`)
    return found
  }

  async addFile(more: Partial<FileRow> = {}): Promise<string> {
    const id = `file_${this.entropy.token(16)}`
    const now = this.clock.now()
    const row = { id, tenant: 'default', bytes: 3, sha256: 'abc', contentType: 'text/plain', name: null }
    await this.store.files.add({ ...row, createdBy: 'apiKey:key_1', createdAt: now, expiresAt: now + DAY, ...more })
    return id
  }
}

export const step = (key: string, more: Partial<StepRow> = {}): StepRow => ({
  ...{ key, kind: 'step', attempt: 1, startedAt: 1, endedAt: 2, result: '{"a":1}', info: null },
  ...{ effect: null, undo: null },
  ...more,
})
export const errored = (verdict: 'transient' | 'permanent' | 'review' = 'transient', more: object = {}): Event => ({
  type: 'errored',
  actor: WORKER,
  verdict,
  error: errorInfo(verdict),
  retry: until(),
  jitter: 0,
  retryAfterMs: 0,
  ...more,
})
export const errorInfo = (kind: ErrorInfo['class'] = 'transient', message = 'busy'): ErrorInfo => {
  const about = { code: 'busy', class: kind, message, messages: [message], step: null, rule: 'r', details: { n: 1 } }
  return { ...about, attempts: 1, occurredAt: 1 }
}
export const succeeded: Event = { type: 'succeeded', actor: WORKER, warnings: 0 }
export const released: Event = { type: 'released', actor: WORKER }
export const lost: Event = { type: 'leaseExpired', actor: SYSTEM, maxLost: 3, jitter: 0 }
export const cancel = (more: object = {}): Event => ({
  ...{ type: 'cancelRequested', actor: CALLER, by: 'caller', reason: null, mode: 'graceful' },
  ...more,
})
export const retry: Event = { type: 'retryRequested', actor: CALLER, resetAttempts: true }
export const undone: Event = { type: 'undone', actor: WORKER, steps: ['pay'], partial: [] }
export const audit = (more: Partial<AuditDraft> = {}): AuditDraft => ({
  ...{ tenant: 'default', actor: CALLER, action: 'job.cancel', target: 'job/x', reason: 'because', details: { n: 1 } },
  ...more,
})

function optionsOf({ tags, limits, unique, childOf }: Wanted, now: number): JobOptions {
  return {
    ...(tags ? { tags } : {}),
    ...(limits ? { limits } : {}),
    ...(unique
      ? { unique: { key: unique.key, until: unique.for === undefined ? ('done' as const) : now + unique.for } }
      : {}),
    ...(childOf === undefined ? {} : { child: { key: childOf, onParentEnd: 'cancel' as const } }),
  }
}

function uniqueOf(
  { key, onDuplicate = 'return', ownOnly }: NonNullable<Wanted['unique']>,
  tenant: string,
  type: string,
) {
  return {
    name: limitName('unique', { tenant, type }, key),
    onDuplicate,
    expiresAt: (at: number) => at + 30 * DAY,
    ...(ownOnly ? { ownOnly } : {}),
  }
}

function forced(live: LiveJob, change: Partial<LiveJob>, now: number): Decision | Refusal {
  const next = { ...live, ...change, version: live.version + 1, revision: live.revision + 1, changedAt: now }
  const entry = { seq: next.version, at: now, event: 'forced', state: next.state, phase: 'x', epoch: next.epoch }
  const history = { ...entry, attempt: next.attempt, actor: SYSTEM, reason: null, error: null, details: null }
  return { ok: true, from: live, live: next, outcome: null, attempt: null, history }
}
