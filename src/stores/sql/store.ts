/**
 * The one implementation of the Store contract, over a driver: which plan answers which call, and who is told of what was
 * committed. It moves rows and never decides.
 */
import type { Entropy } from '../../core/clock.js'
import type { AuditDraft } from '../../core/history.js'
import { Marks } from '../../core/marks.js'
import type {
  ApprovalChange,
  ApprovalChanged,
  ApprovalFilter,
  AttemptRecord,
  AuditFilter,
  CallbackAnswer,
  CallbackAnswered,
  Change,
  Claimed,
  ClaimRequest,
  DutyRow,
  JobFilter,
  Move,
  Moved,
  NewJob,
  ReadyQuota,
  ResolutionRow,
  Settle,
  SettleAnswer,
  SignalAnswer,
  SignalRow,
  SqlTransaction,
  Store,
  StoreInfo,
  Submitted,
  SubmittedWithin,
} from '../store.js'
import { approvalPlan, approvalsOfPlan, approvalsPlan } from './approvals.js'
import { auditListPlan } from './audit.js'
import { Commits } from './commits.js'
import { decidePlan } from './decide.js'
import { expirePlan } from './expire.js'
import { failuresOf } from './failures.js'
import { filesOf } from './files.js'
import { healPlan } from './heal.js'
import { keysOf } from './keys.js'
import { duePlan, lanesPlan, loadPlan } from './lanes.js'
import { markLatePlan } from './late.js'
import { decisionsPlan, dutiesPlan, effectPlan, effectsPlan, resolvePlan } from './ledger.js'
import { movePlan } from './move.js'
import { WebhookBook } from './outbox.js'
import { PauseBook, pausesOf } from './pauses.js'
import { type Driver, type Plan, run } from './plan.js'
import {
  attemptsPlan,
  countsPlan,
  durationsPlan,
  endedPlan,
  findPlan,
  groupPlan,
  historyPlan,
  listPlan,
  livesPlan,
  logsPlan,
  lookPlan,
  stepsPlan,
} from './read.js'
import { readyPlan, waitingPlan } from './ready.js'
import { rulesOf } from './rules.js'
import { schedulesOf } from './schedules.js'
import { type Bell, Shared, type Told } from './shared.js'
import { INLINE_BYTES, keyedPlan } from './submit.js'
import type { Lent, Tx } from './tx.js'
import { answerCallbackPlan, callbackPlan, dueWaitsPlan, settlePlan, signalPlan, waitsPlan } from './waits.js'
import { webhooksOf } from './webhooks.js'
import { secretPlan, submitInside, withinPlan } from './within.js'
import { workersOf } from './workers.js'

export interface SqlStoreOptions {
  /** How long a tombstone (and with it the idempotency key) is kept. @default 365 d */
  tombstonesMs?: number
  /** How long a file is kept that no job refers to. @default 24 h */
  fileGraceMs?: number
}

const FILE_GRACE_MS = 86_400_000

const noop = () => {}

export class SqlStore implements Store {
  private readonly commits: Commits
  private readonly listeners = new Set<(changes: readonly Change[]) => void>()
  private readonly outboxListeners = new Set<() => void>()
  private readonly book: PauseBook
  private readonly webhookBook: WebhookBook
  private readonly marks: Marks | null
  /** Rows were removed since the last tidying. */
  private untidy = false
  private shared: Shared | null = null
  /** The secret of this database. */
  private known: string | null = null
  private closing: Promise<void> | null = null

  constructor(
    readonly info: StoreInfo,
    private readonly driver: Driver,
    private readonly entropy: Entropy,
    private readonly options: SqlStoreOptions = {},
  ) {
    this.book = new PauseBook(info.sole)
    this.webhookBook = new WebhookBook(info.sole)
    this.marks = driver.dialect.keepsEntries ? new Marks() : null
    this.commits = new Commits(
      driver,
      () => this.newTx(),
      this.book,
      this.webhookBook,
      (tx) => {
        for (const seen of tx.seen) this.marks?.saw(seen)
        this.told(tx.changes, tx.toOutbox, tx.behind)
      },
      (tx) => {
        tx.behind = this.shared?.behind(tx.changes, tx.toOutbox) ?? null
        return tx.behind
      },
    )
    const lent: Lent = {
      read: (plan) => this.read(plan),
      write: (plan) => this.write(plan),
      alone: (plan) => this.commits.alone(plan),
      now: () => this.now(),
    }
    this.workers = workersOf(lent)
    this.files = filesOf({ ...lent, dialect: driver.dialect })
    // What was resumed is claimed at once, wherever its workers are.
    this.pauses = pausesOf(lent, this.book, () => this.shared?.stir())
    this.keys = keysOf(lent)
    this.failures = failuresOf(lent)
    this.rules = rulesOf(lent)
    this.webhooks = webhooksOf(lent, this.webhookBook, (listener) => {
      this.outboxListeners.add(listener)
      return () => this.outboxListeners.delete(listener)
    })
    this.schedules = schedulesOf({
      ...lent,
      dialect: driver.dialect,
      fileGraceMs: options.fileGraceMs ?? FILE_GRACE_MS,
    })
  }

  now(): number {
    return this.driver.now()
  }

  onChange(listener: (changes: readonly Change[]) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
  watch(jobId: string, reads = true): () => void {
    return this.shared?.watch(jobId, reads) ?? noop
  }
  attend(): void {
    this.shared?.attend()
  }
  follow(): () => void {
    return this.shared?.follow() ?? noop
  }
  onGap(listener: () => void): () => void {
    return this.shared?.onGap(listener) ?? noop
  }

  /**
   * For a database that other processes write to as well.
   * @param name of this process among them
   * @param elapsed milliseconds of a clock that never goes back
   */
  share(bell: Bell, name: string, elapsed: () => number): void {
    const { tellChanges: tell, tellOutbox, look } = this
    this.shared = new Shared(bell, { name, tell, tellOutbox, look }, elapsed)
  }
  private readonly look = (ids: readonly string[]) => this.read(() => lookPlan(ids, this.driver.dialect))

  submit(jobs: readonly NewJob[]): Promise<Submitted[]> {
    return this.commits.enqueue('submits', jobs)
  }
  async submitWithin(within: SqlTransaction, jobs: readonly NewJob[]): Promise<SubmittedWithin> {
    const secret = await this.secret()
    return submitInside(within, this.driver, {
      newTx: () => this.newTx(),
      plan: (tx) => withinPlan(jobs, secret, tx, this.book, this.webhookBook),
      look: this.look,
      told: (changes, happened) => this.told(changes, happened),
    })
  }
  keyed(tenant: string, operation: string, key: string) {
    return this.read(() => keyedPlan(tenant, operation, key))
  }
  claim(request: ClaimRequest): Promise<Claimed[]> {
    return this.commits.enqueue('claims', request)
  }
  ready(lanes: readonly ReadyQuota[], levels: readonly number[]) {
    const about = { now: this.now(), marks: this.marks, pauses: this.book }
    return this.read(() => readyPlan({ lanes, levels }, about))
  }
  waiting(ids: readonly string[]) {
    const now = this.now()
    return this.read(() => waitingPlan(ids, now, this.driver.dialect))
  }
  move(move: Move): Promise<Moved> {
    return this.commits.enqueue('moves', move)
  }
  record(record: AttemptRecord): Promise<boolean> {
    return this.commits.enqueue('records', record)
  }

  private write<T>(plan: (tx: Tx) => Plan<T>): Promise<T> {
    return this.commits.write(plan)
  }
  private read<T>(plan: () => Plan<T>): Promise<T> {
    return this.commits.read(plan)
  }

  private newTx(): Tx {
    const { driver, entropy } = this
    return {
      now: driver.now(),
      sha256: entropy.sha256,
      dialect: driver.dialect,
      move: movePlan,
      changes: [],
      events: [],
      toOutbox: false,
      guessed: null,
      behind: null,
      audits: [],
      failures: [],
      marks: this.marks,
      seen: [],
      paused: null,
      heard: null,
    }
  }

  private told(changes: readonly Change[], happened: boolean, behind: Told | null = null): void {
    // The others first: what is done here takes a while.
    if (behind === null) this.shared?.publish(changes, happened)
    else if (!behind.toAll) this.shared?.toReaders(changes)
    this.shared?.saw(changes)
    if (changes.length > 0) this.tellChanges(changes)
    if (happened) this.tellOutbox()
  }
  private readonly tellChanges = (changes: readonly Change[]) => {
    // First of all: who is told may read.
    this.marks?.heard(changes)
    for (const listener of this.listeners) this.tell(listener, changes)
  }
  private readonly tellOutbox = () => {
    for (const listener of this.outboxListeners) this.tell(listener, undefined)
  }

  /** What is committed stays committed, whatever a listener makes of it: an error here must not repeat the batch. */
  private tell<T>(listener: (what: T) => void, what: T): void {
    try {
      listener(what)
    } catch (error) {
      console.error('untildone: a listener of the store failed', error)
    }
  }

  settle(settle: Settle): Promise<SettleAnswer> {
    return this.write((tx) => settlePlan(settle, tx))
  }
  signal(signal: SignalRow): Promise<SignalAnswer> {
    return this.write((tx) => signalPlan(signal, tx))
  }
  decide(change: ApprovalChange): Promise<ApprovalChanged> {
    return this.write((tx) => decidePlan(change, tx))
  }
  approval(id: string) {
    return this.read(() => approvalPlan(id))
  }
  approvalsOf(jobId: string) {
    return this.read(() => approvalsOfPlan(jobId))
  }
  approvals(filter: ApprovalFilter) {
    return this.read(() => approvalsPlan(filter, this.driver.dialect))
  }
  dueWaits(limit: number) {
    const now = this.now()
    return this.read(() => dueWaitsPlan(now, limit))
  }
  dueWakes(limit: number) {
    const now = this.now()
    const child = `exists (select 1 from waits w where w.job_id = l.id and w.kind = 'child')`
    const where = `l.wake_at <= ?1 and ${child} order by l.wake_at limit ?2`
    return this.read(() => livesPlan(where, [now, limit], this.driver.dialect))
  }
  duties(limit: number) {
    return this.read(() => dutiesPlan(limit))
  }
  dutyDone({ jobId, duty }: DutyRow): Promise<void> {
    return this.write(() => run('delete from duties where job_id = ?1 and duty = ?2', [[jobId, duty]])).then(
      () => undefined,
    )
  }
  callback(hash: string) {
    return this.read(() => callbackPlan(hash))
  }
  answerCallback(answer: CallbackAnswer): Promise<CallbackAnswered> {
    return this.write((tx) => answerCallbackPlan(answer, tx))
  }
  effect(tenant: string, key: string) {
    return this.read(() => effectPlan(tenant, key))
  }
  effects(jobId: string) {
    return this.read(() => effectsPlan(jobId))
  }
  decisions(jobId: string) {
    return this.read(() => decisionsPlan(jobId))
  }
  waits(jobId: string) {
    return this.read(() => waitsPlan(jobId))
  }
  resolve(row: ResolutionRow, tenant: string, audit: AuditDraft, operationId?: string): Promise<boolean> {
    return this.write((tx) => resolvePlan(row, tenant, audit, operationId, tx))
  }
  readonly pauses: Store['pauses']

  orphans(limit: number, worker?: string) {
    const now = this.now()
    const dead = `not exists (select 1 from workers w where w.id = l.worker and w.state <> 'gone' and w.lease_until > ?2)`
    const where = `l.worker is not null and ${worker === undefined ? dead : 'l.worker = ?2'} limit ?1`
    return this.read(() => livesPlan(where, [limit, worker ?? now], this.driver.dialect))
  }

  overdue(limit: number) {
    const now = this.now()
    const where = `l.deadline_at <= ?1 and l.state in ('queued', 'waiting') order by l.deadline_at limit ?2`
    return this.read(() => livesPlan(where, [now, limit], this.driver.dialect))
  }

  markLate(limit: number): Promise<number> {
    return this.write((tx) => markLatePlan(limit, tx))
  }

  lanes() {
    return this.read(() => lanesPlan(this.book, this.marks))
  }
  due(lane: string) {
    return this.read(() => duePlan(lane, this.book))
  }
  load(cap: number) {
    const now = this.now()
    return this.read(() => loadPlan(now, cap))
  }
  heal(after: string, limit: number, numbers?: ClaimRequest['numbers']): Promise<string | null> {
    return this.write((tx) => healPlan(after, limit, { ...tx, ...(numbers ? { numbers } : {}) }))
  }
  find(id: string, values = INLINE_BYTES * 4) {
    return this.read(() => findPlan(id, values, this.driver.dialect))
  }
  ended(id: string) {
    return this.read(() => endedPlan(id))
  }
  list(filter: JobFilter) {
    const now = this.now()
    return this.read(() => listPlan(filter, now, this.driver.dialect))
  }
  group(tenant: string, groupId: string) {
    return this.read(() => groupPlan(tenant, groupId))
  }
  steps(jobId: string) {
    return this.read(() => stepsPlan(jobId))
  }
  attempts(jobId: string) {
    return this.read(() => attemptsPlan(jobId))
  }
  history(jobId: string, after: number, limit: number) {
    return this.read(() => historyPlan(jobId, after, limit))
  }
  logs(jobId: string, after: number, limit: number) {
    return this.read(() => logsPlan(jobId, after, limit))
  }
  durations(perType: number) {
    return this.read(() => durationsPlan(perType))
  }

  readonly workers: Store['workers']

  readonly files: Store['files']

  readonly keys: Store['keys']

  readonly schedules: Store['schedules']

  readonly webhooks: Store['webhooks']

  readonly failures: Store['failures']

  readonly rules: Store['rules']

  audit(tenant: string, after: number, limit: number, filter: AuditFilter = {}) {
    return this.read(() => auditListPlan(tenant, after, limit, filter))
  }

  async expire(limit: number, finishedBy?: number): Promise<number> {
    const { tombstonesMs = 365 * 86_400_000, fileGraceMs = FILE_GRACE_MS } = this.options
    const removed = await this.write((tx) => expirePlan({ limit, tombstonesMs, fileGraceMs, finishedBy }, tx))
    this.untidy ||= removed > 0
    // Once per sweep, after its last chunk.
    if (this.untidy && removed < limit) {
      this.untidy = false
      await this.driver.tidy()
    }
    return removed
  }

  async secret(): Promise<string> {
    this.known ??= await this.write(() => secretPlan(this.entropy.token(32)))
    return this.known
  }

  async check(): Promise<Record<string, string | number>> {
    return { ...(await this.driver.check()), ...(await this.read(countsPlan)) }
  }

  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    await this.commits.close()
    await this.shared?.close()
    await this.driver.close()
  }
}
