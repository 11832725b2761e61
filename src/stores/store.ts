/**
 * The Store contract: what engine and worker may ask of a store, and what each answer guarantees. The store keeps the
 * truth and moves rows; it never decides what a job does next (core/lifecycle.ts does, handed in as `decide`).
 * Every write is durable (fsynced) before its promise resolves; a rejected promise means that nothing of it is stored,
 * unless its code is `outcome-unknown`.
 */
import type { ApprovalRow } from '../core/approval.js'
import type { Clock, Entropy } from '../core/clock.js'
import type { AuditDraft, AuditEntry } from '../core/history.js'
import type { Attempt, LiveJob, Outcome, Status } from '../core/job.js'
import type { Decision, Refusal } from '../core/lifecycle.js'
import type { Schedule } from '../core/schedule.js'
import type { Happened, Webhook } from '../core/webhook.js'
import type { FailureStore, RuleStore } from './failures.js'
import type {
  AttemptRecord,
  Claimed,
  LogRow,
  NewJob,
  StepRow,
  StoredHistory,
  StoredJob,
  Submitted,
  Tombstone,
} from './jobs.js'
import type {
  ApiKeyRow,
  ClaimRequest,
  FileRow,
  Fired,
  Firing,
  GroupSummary,
  JobFilter,
  ProcessRow,
  ReadyJob,
  ReadyQuota,
  ScheduleChange,
  ScheduleChanged,
  Telling,
  WaitingJob,
  WebhookChange,
  WorkerLoad,
  WorkerRow,
} from './resources.js'
import type {
  ApprovalChange,
  ApprovalChanged,
  ApprovalFilter,
  AuditFilter,
  CallbackAnswer,
  CallbackAnswered,
  CallbackRow,
  DecisionRow,
  DutyRow,
  EffectRow,
  PauseRow,
  ResolutionRow,
  Settle,
  SettleAnswer,
  SignalAnswer,
  SignalRow,
  WaitRow,
} from './waits.js'

export type * from './failures.js'
export * from './jobs.js'
export type * from './resources.js'
export type * from './waits.js'

/** Opens a store; made by `sqlite(path)` and its siblings. */
export interface StoreFactory {
  /** @param env `onError`: told of what no call can report. @default nobody is */
  open(env: { clock: Clock; entropy: Entropy; onError?: (error: unknown) => void }): Promise<Store>
}

/** One change of one job: the row is read, `decide` says what follows, and that is written, in one transaction. */
export interface Move {
  jobId: string
  /** Given: a job of another tenant is `not-found`. */
  tenant?: string
  decide(live: LiveJob, now: number): Decision | Refusal
  /** The row as the caller last saw it; saves the read when its version still holds. */
  known?: LiveJob
  /** JSON text of the result; stored with a completed outcome. */
  result?: string | null
  resultSha256?: string | null
  /** When the finished job may be removed. */
  expiresAt?: (finishedAt: number, live: LiveJob) => number
  /** Files the result refers to. */
  files?: readonly string[]
  /** Written in the same transaction. */
  record?: AttemptRecord
  /** The waits that a `suspended` attempt cannot go on without: if one is settled already, the job wakes at once. */
  blockedOn?: readonly string[]
  audit?: AuditDraft
  /** Given: a repeat with the same id within a day changes nothing and answers `repeated`. */
  operationId?: string
}

export type Moved =
  | { outcome: 'repeated' }
  | { outcome: 'moved'; decision: Decision }
  | { outcome: 'refused'; reason: Refusal['reason']; live: LiveJob }
  | { outcome: 'finished'; status: Outcome['status'] }
  | { outcome: 'not-found' }

/**
 * A transaction of the application's own. A `Client` or `PoolClient` of `pg` is one after `begin`; for other libraries
 * there are `kyselyTransaction` and `drizzleTransaction`, or two lines that call what they call.
 */
export interface SqlTransaction {
  /** Runs one statement with `$1` parameters in that transaction and gives its rows, bare or as `rows`. */
  query(
    text: string,
    values?: (string | null)[],
  ): PromiseLike<{ rows: Record<string, any>[] } | readonly Record<string, any>[]>
}

export interface SubmittedWithin {
  answers: Submitted[]
  /** After their commit: tells listeners and other processes. Before it, or after a rollback, it does nothing. */
  announce(): Promise<void>
}

/** Told after each commit, in commit order; a hint for waiters, streams and idle workers. */
export interface Change {
  jobId: string
  tenant: string
  type: string
  groupId: string | null
  lane: string
  /** The public status after the change. */
  status: Status
  done: boolean
  version: number
  revision: number
  /** True when this commit raised the version; false when only something more is shown, such as progress. */
  moved: boolean
  /** For moves that were told as one: the version that came before them. @default version - 1 */
  from?: number
  /** Set when the job waits in its lane: not before this instant. */
  queuedAt: number | null
  /** What a worker of the job must know of: a cancel or a pause was asked for. */
  cancelling: 'graceful' | 'force' | null
  pausing: boolean
  /** Set when the job waits for an instant. */
  wakeAt: number | null
  /** True for the end of a job on which other jobs hang. */
  ties?: boolean
  /** True where only those who read the job need to hear of it: its own worker has begun or ended it, or shows something. */
  forReaders?: boolean
  /** How it ended and the JSON text of its result; only with `done`, and only from this process's own commits. */
  end?: {
    outcome: Outcome
    result: string | null
    /** When it was to start: max(createdAt, runAt), or the last time its budget was reset. */
    since: number
  }
}

export interface Store {
  readonly info: StoreInfo
  /** The instant all rows are judged by. */
  now(): number
  /**
   * Called after each commit, in commit order; of other processes, while somebody here reads (`watch`, `follow`), and
   * without what is `forReaders` while somebody works (`attend`). Returns the function that ends it.
   */
  onChange(listener: (changes: readonly Change[]) => void): () => void
  /**
   * Somebody in this process waits for changes of this job: where others may write, they are then told of within seconds
   * even if the others' words are lost. Returns the function that ends it.
   * @param reads false for a worker that runs it, which needs only what others do to it
   */
  watch(jobId: string, reads?: boolean): () => void
  /**
   * Somebody in this process follows changes of many jobs; until then, and while nobody reads a single one, others may keep
   * what is `forReaders` to themselves. `onGap` is called once they tell it. Returns the function that ends it.
   */
  follow(): () => void
  /** Jobs or duties are carried out in this process: from now on others tell it of what is to be done, after an `onGap`. */
  attend(): void
  /** Called when changes of other processes may have been missed: whoever follows many jobs reads anew. */
  onGap(listener: () => void): () => void

  /**
   * All jobs of one call are stored together or not at all; per key at most one job ever exists. One answer per job, in
   * order: jobs whose key was used before are replays, those whose unique name is taken are duplicates, the others are
   * stored. A refusal, and the replay of a batch key, is one answer for the whole call.
   */
  submit(jobs: readonly NewJob[]): Promise<Submitted[]>
  /**
   * The same inside a transaction of the application, with which it is stored or not. Nobody is told by itself.
   * @throws UntildoneError `transaction-unsupported`, `transaction-unusable`, `transaction-lost`; the transaction is then
   * as it was before
   */
  submitWithin(within: SqlTransaction, jobs: readonly NewJob[]): Promise<SubmittedWithin>
  /** The job that has this key, finished, unfinished or expired; null when the key is free. */
  keyed(tenant: string, operation: string, key: string): Promise<{ jobId: string; fingerprint: string } | null>
  /** Up to `limit` ready jobs per lane in (level, runAt, id) order, each leased to `worker` under a new epoch. No job is given twice. */
  claim(request: ClaimRequest): Promise<Claimed[]>
  /** For transports: up to `limit` ready jobs of each lane in the order in which claims take them, none of what is paused. */
  ready(lanes: readonly ReadyQuota[], levels: readonly number[]): Promise<ReadyJob[][]>
  /** For transports: those of these jobs that are ready to be claimed, by id. */
  waiting(ids: readonly string[]): Promise<ReadonlyMap<string, WaitingJob>>
  /** Read, decide, write: see Move. A job in its final state is never changed. */
  move(move: Move): Promise<Moved>
  /** False when the epoch is no longer the job's: then nothing was written. */
  record(record: AttemptRecord): Promise<boolean>

  /** Records the value of a wait and wakes its job, once. */
  settle(settle: Settle): Promise<SettleAnswer>
  /** Hands a signal to the wait for it, or keeps it until somebody waits. */
  signal(signal: SignalRow): Promise<SignalAnswer>
  /** The only way in which an approval changes: see ApprovalChange. Of many at once each sees what the one before has left. */
  decide(change: ApprovalChange): Promise<ApprovalChanged>
  approval(id: string): Promise<ApprovalRow | null>
  /** All of one job, in the order of their requests. */
  approvalsOf(jobId: string): Promise<ApprovalRow[]>
  approvals(filter: ApprovalFilter): Promise<ApprovalRow[]>
  /** Waits whose time is over. */
  dueWaits(limit: number): Promise<WaitRow[]>
  /** Jobs whose first children have ended a moment ago, so that they wake for several at once. */
  dueWakes(limit: number): Promise<LiveJob[]>
  /** What hangs over from commits, oldest first; `dutyDone` takes one off. */
  duties(limit: number): Promise<DutyRow[]>
  dutyDone(duty: DutyRow): Promise<void>
  /** The callback of a token's hash. */
  callback(hash: string): Promise<CallbackRow | null>
  /** Uses it up and hands its value to the wait for it, or keeps it until somebody waits. */
  answerCallback(answer: CallbackAnswer): Promise<CallbackAnswered>
  /** What is known of an effect, in whichever job. */
  effect(tenant: string, key: string): Promise<EffectRow | null>
  /** The entries that this job wrote last, oldest first. */
  effects(jobId: string): Promise<EffectRow[]>
  decisions(jobId: string): Promise<DecisionRow[]>
  waits(jobId: string): Promise<WaitRow[]>
  /** A note on a finished job; raises its revision. False when the job is not finished. A repeat with the same `operationId` within a day changes nothing. */
  resolve(row: ResolutionRow, tenant: string, audit: AuditDraft, operationId?: string): Promise<boolean>

  /** Jobs under way whose worker's lease has ended (or whose worker is `worker`, if given). */
  orphans(limit: number, worker?: string): Promise<LiveJob[]>
  /** Unfinished jobs, not running, whose deadline has passed. */
  overdue(limit: number): Promise<LiveJob[]>
  /** Counts lateness into the revision of jobs that became late; returns how many. */
  markLate(limit: number): Promise<number>
  /** Lanes that hold jobs which may be claimed, with the earliest runAt of each; without paused ones. */
  lanes(): Promise<{ lane: string; runAt: number }[]>
  /** The earliest runAt of the jobs of one lane that may be claimed, null when it holds none or is paused. */
  due(lane: string): Promise<number | null>
  /** What waits and runs in each lane that is not empty; counts end at `cap`. Paused lanes are told like others. */
  load(cap: number): Promise<LaneLoad[]>
  /**
   * Gives places in limits that are free to whoever is next; looks at up to `limit` keys after `after` ('' for the first).
   * Returns the last key it looked at, null when there are no more. Doing it twice changes nothing.
   */
  heal(after: string, limit: number, numbers?: ClaimRequest['numbers']): Promise<string | null>

  /** The job, its tombstone, or null. `values` limits inline results and inputs, in bytes. */
  find(id: string, values?: number): Promise<StoredJob | Tombstone | null>
  /** The final status, null while it is under way, `gone` when it is neither: the cheapest question about a job. */
  ended(id: string): Promise<Status | 'gone' | null>
  /** Without inputs and results. */
  list(filter: JobFilter): Promise<StoredJob[]>
  group(tenant: string, groupId: string): Promise<GroupSummary | null>
  steps(jobId: string): Promise<StepRow[]>
  attempts(jobId: string): Promise<Attempt[]>
  /** Entries with seq > after, and the entry before the first of them, in order. */
  history(
    jobId: string,
    after: number,
    limit: number,
  ): Promise<{ entries: StoredHistory[]; before: StoredHistory | null }>
  logs(jobId: string, after: number, limit: number): Promise<{ id: number; row: LogRow }[]>
  /** Milliseconds from start to end of the latest completed jobs per type, newest first. */
  durations(perType: number): Promise<Map<string, number[]>>

  readonly pauses: {
    /** On: from now on nothing of it is claimed. Off: it goes on. False, and no audit entry, when it was so before. */
    set(row: PauseRow, on: boolean, audit: AuditDraft): Promise<boolean>
    list(): Promise<PauseRow[]>
  }
  readonly workers: {
    /**
     * Writes the row and extends the lease. Answers what the worker is to be: `draining` once somebody asked for that, also
     * under the next id of the same worker (`boot`); `gone` when another process declared it so, and nothing is written.
     */
    beat(worker: WorkerRow): Promise<WorkerRow['state']>
    /** Asks a worker that is up to drain. @returns its row as it is then, null for an id that nobody has */
    drain(id: string, audit: AuditDraft): Promise<WorkerRow | null>
    list(): Promise<WorkerRow[]>
    /** What is under way, per worker and lane: how many jobs, and since when the oldest attempt of them. */
    load(): Promise<WorkerLoad[]>
    /** Takes or renews the duty of this name for `ms` milliseconds; false while another holder has it. 0 gives it up. */
    lead(name: string, holder: string, ms: number): Promise<boolean>
    /** True for whoever asks first for this name, in all processes and within a day; false for everybody after. */
    first(name: string): Promise<boolean>
    addProcess(row: ProcessRow): Promise<void>
    removeProcess(jobId: string, pgid: number): Promise<void>
    /** Process groups recorded by workers that are gone. */
    strays(): Promise<ProcessRow[]>
  }
  readonly files: {
    /** `jobId`: the job that made it, and keeps it as long as itself. */
    add(row: FileRow, jobId?: string): Promise<void>
    get(id: string): Promise<FileRow | null>
    /** Removes rows that expired by `now` and returns their ids; bytes are the caller's to remove. */
    sweep(now: number, limit: number): Promise<string[]>
    /** Which of these ids exist; for finding bytes without a row. */
    known(ids: readonly string[]): Promise<Set<string>>
  }
  readonly keys: {
    put(row: ApiKeyRow, audit: AuditDraft): Promise<void>
    get(id: string): Promise<ApiKeyRow | null>
    list(tenant: string): Promise<ApiKeyRow[]>
    /** True once any key was ever created, revoked or not. */
    any(): Promise<boolean>
    used(id: string, at: number): Promise<void>
  }
  readonly schedules: {
    /** Read, decide, write: see ScheduleChange. Counters of firings under way are never lost. */
    change(change: ScheduleChange): Promise<ScheduleChanged>
    get(tenant: string, id: string): Promise<Schedule | null>
    /** By id, after `after`; without inputs (`null`). */
    list(tenant: string, after: string | null, limit: number): Promise<Schedule[]>
    /** Schedules of these types that are not paused and have an instant up to `until`, or whose clock went back; soonest first. */
    due(types: readonly string[], until: number, limit: number): Promise<Schedule[]>
    /** The jobs and the new place in the timetable are stored together or not at all. */
    fire(firing: Firing): Promise<Fired>
    /** A job out of turn, with its audit entry, in one transaction; null when the schedule is gone. */
    run(run: { tenant: string; id: string; at: number; job: NewJob; audit: AuditDraft }): Promise<Submitted | null>
  }
  readonly webhooks: {
    /** Read, decide, write: see WebhookChange. @returns what is there now */
    change(change: WebhookChange): Promise<Webhook | null>
    get(tenant: string, id: string): Promise<Webhook | null>
    /** By id. */
    list(tenant: string): Promise<Webhook[]>
    /** What happened and has not been handed on, oldest first. */
    outbox(limit: number): Promise<Happened[]>
    /** Takes it out of the outbox and stores its deliveries, together or not at all. @returns how many were stored */
    tell(telling: Telling): Promise<number>
    /** Called after each commit that put something into the outbox; a hint. Returns the function that ends it. */
    onHappened(listener: () => void): () => void
  }
  /** Errors about which the code says nothing, counted by what they have in common. */
  readonly failures: FailureStore
  /** What people have taught about them. */
  readonly rules: RuleStore
  /** Entries of the tenant's chain after (or, newest first, before) a seq; 0 is the beginning (or the end). */
  audit(tenant: string, after: number, limit: number, filter?: AuditFilter): Promise<AuditEntry[]>
  /**
   * Removes up to `limit` finished jobs whose retention ended, leaving tombstones; returns how many.
   * @param finishedBy given: those that had finished by then, whether their retention ended or not
   */
  expire(limit: number, finishedBy?: number): Promise<number>
  /** A random secret of this store, the same after a restart; seals cursors. */
  secret(): Promise<string>
  /** Numbers for `doctor` and health. */
  check(): Promise<Record<string, string | number>>
  close(): Promise<void>
}

export interface StoreInfo {
  kind: 'sqlite' | 'postgres'
  location: string
  /** In one sentence, e.g. `SQLite WAL, synchronous=FULL`. */
  durability: string
  /** True when every change passes through this process, so that onChange misses none. */
  sole: boolean
  /** Whether it carries out something else while a commit is under way: else more commits are only more of the same work. */
  overlaps: boolean
  /** Folder for the bytes of files that belongs to this store; null for a store that ends with the process. */
  filesDir: string | null
}

/** How full a lane is. */
export interface LaneLoad {
  lane: string
  /** Jobs whose time has come and that only wait for a worker. */
  ready: number
  /** Jobs that a limit holds. */
  held: number
  /** Since when the oldest of them could have started. */
  oldestAt: number | null
  running: number
}
