/**
 * `untildone`: define jobs, run them, submit them. createUntildone is the composition root, the one place in the library
 * that puts a store, the engine, a worker and a clock together.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock, Entropy, Timer } from './core/clock.js'
import { UntildoneError } from './core/errors.js'
import type { Person } from './core/job.js'
import { scheduleMembers } from './core/schedule-options.js'
import type { Notify } from './core/told.js'
import type { WireJob } from './core/wire.js'
import type { JobDefinition, JobHandler } from './define/define-job.js'
import type { OnDuplicate } from './define/limits.js'
import type { ScheduleDeclaration } from './define/schedule.js'
import type { AnySchema, InputOf, OutputOf } from './define/schema.js'
import { type Engine, LOCAL, type SubmitBody } from './engine/api.js'
import type { ApprovalSettings } from './engine/approval-rules.js'
import { WEBHOOK_QUEUE } from './engine/deliveries.js'
import { createEngine, type EngineInside } from './engine/engine.js'
import type { WebhookTools } from './engine/notices.js'
import { Registry } from './engine/registry.js'
import type { ScheduleBody } from './engine/schedule-api.js'
import { diskFiles } from './stores/files.js'
import { sqlite } from './stores/sqlite/index.js'
import type { SqlTransaction, Store, StoreFactory } from './stores/store.js'
import { systemClock, systemEntropy } from './system/index.js'
import type { TransportFactory } from './transports/transport.js'
import { Telling, type WebhookOptions, webhookTools } from './webhooks/index.js'
import { Dispatch } from './worker/dispatch.js'
import { checkIsolated } from './worker/isolate/launch.js'
import { Maintenance } from './worker/maintenance.js'
import { ScheduleClock } from './worker/schedules.js'
import type { WaitTools } from './worker/waiting.js'
import { Worker, type WorkerDrain, type WorkerOptions } from './worker/worker.js'

export { isUntildoneError, UntildoneError } from './core/errors.js'
export type { ErrorCode } from './core/problems.js'
export type { GroupNeed, Risk, RiskFacts, RiskPolicy, RiskRule, RiskVerdict } from './core/risk.js'
export { type RiskWords, wordPolicy } from './core/risk-policy.js'
export type { WireJob as Job, WireSchedule as Schedule } from './core/wire.js'
export type { WireApproval as Approval, WireApprovalItem as ApprovalItem } from './core/wire-approval.js'
export * from './define/index.js'
export { type Caller, type Engine, LOCAL, type Scope } from './engine/api.js'
export type { ApprovalSettings, TierSettings } from './engine/approval-rules.js'
export { sqlite } from './stores/sqlite/index.js'
export type { SqlTransaction } from './stores/store.js'
export type { WorkerDrain } from './worker/worker.js'

export interface UntildoneOptions {
  /** Where the truth is kept. @default sqlite('.untildone/untildone.db') */
  store?: StoreFactory
  /** What tells workers on other hosts of jobs: `bullmq('redis://…')`. @default they look into the store */
  transport?: TransportFactory
  /** What `defineJob(…).handler(…)` returned. */
  handlers: readonly JobHandler[]
  /**
   * Schedules that the code declares, brought up to date at the start: one that is no longer here is paused with a note.
   * @default none are declared, and none are paused
   */
  schedules?: readonly ScheduleDeclaration[]
  /** Capacity per queue in this process. @default as many as the worker has slots */
  queues?: Record<string, { concurrency?: number }>
  /** `false`: accept jobs without running any. Several: each with slots of its own, e.g. one per queue. @default { slots: 16 } */
  worker?: WorkerSettings | readonly WorkerSettings[] | false
  /**
   * Whether this process does what must happen without anybody asking: jobs of dead workers, deadlines, timers, schedules,
   * retention. With a shared store one of the processes does it at a time; some process must. @default true
   */
  maintenance?: boolean
  /** Where this server is reached from outside; callback URLs begin with it. @default 'http://localhost:4884' */
  publicUrl?: string
  /** The risk policy, and what each tier asks for. @default words that mean money, access, deletion, … decide */
  approvals?: ApprovalSettings
  /** Whom webhooks may call. @default every https address that is public */
  webhooks?: WebhookOptions
  /** Folder for uploaded files. @default `<database>-files` beside the database */
  filesDir?: string
  /** Word in API keys made here. @default 'live' */
  env?: string
  /** Told of trouble that no job can report. @default console.error */
  onError?: (error: unknown) => void
  /**
   * Told when somebody asked a worker of this process to drain (`draining`), and when nothing of it runs any more (`gone`).
   * The process stays as it is: its worker takes no jobs until it is started again. @default nobody is
   */
  onDrain?: (worker: WorkerDrain) => void
  /** For tests. @default the real clock */
  clock?: Clock
  /** Ids, secrets and jitter; for tests. @default the machine's */
  entropy?: Entropy
}

export interface WorkerSettings {
  /** Jobs at once. @default 16 */
  slots?: number
  /** Serves only these queues. @default all */
  queues?: readonly string[]
  /** How long running jobs may go on after a stop was asked for, in milliseconds. @default 20 000 */
  drainMs?: number
}

export interface SubmitOptions {
  /** Idempotency key: the same key gives the same job, always. @default none: each submit is a job */
  key?: string
  /** Session or batch that the job belongs to. @default none */
  group?: string
  /** The business operation behind it, for example `invoice:9917`: its effects have the same keys in every such job. @default its own */
  operationKey?: string
  /** −100 … 100, higher is sooner. @default 0 */
  priority?: number
  /** Not before this instant. @default at once */
  runAt?: Date
  /** Stops as `failed` (`deadline-passed`) at this instant. @default none */
  deadlineAt?: Date
  /** To find it by, 16 at most. @default none */
  tags?: string[]
  /** Whatever the submitter wants to read again. @default none */
  metadata?: Record<string, string>
  /** The person it is done for: shown to approvers, and not counted as another person. @default none */
  onBehalfOf?: Person
  /** What that person may do now; checked again before effects that happen once. @default none is checked */
  permissions?: string[]
  /** Version of the definition the input was made for; older input is upgraded by the type. @default the present one */
  typeVersion?: string
  /** What becomes of a duplicate; only for types with `unique`. @default what the type says */
  onDuplicate?: OnDuplicate
  /** Webhooks or addresses that are told of this job. @default the subscriptions of the tenant */
  notify?: Notify[]
  /**
   * A transaction of yours in the database of the store (PostgreSQL): the job is stored when you commit, and never was
   * when you roll back. Workers find it within a second of the commit, or at once after `announce()`.
   * Left out (undefined) is none; null is refused.
   * @default a transaction of its own, durable when submit resolves
   */
  tx?: SqlTransaction
}

/** A submitted job, seen from the process that owns the store. */
export interface LocalHandle<Output> {
  readonly id: string
  /** Set when nothing was stored because this job, of the same unique name, was there before. */
  readonly duplicateOf: string | null
  /** The job as it is now. */
  get(): Promise<WireJob>
  /** Waits for the end. @throws UntildoneError `job-failed`, `job-cancelled` */
  result(): Promise<Output>
  cancel(reason?: string): Promise<WireJob>
  /**
   * For a job that was submitted with `tx`, after your commit: workers and listeners hear of it now instead of within a
   * second. Before the commit, after a rollback, and for every other job it does nothing.
   */
  announce(): Promise<void>
}

export interface Untildone {
  readonly engine: Engine
  /** What the last crash left, as put right by start(). */
  readonly recovered: { jobs: number; children: number; files: number; workDirs: number }
  /** Durable when it resolves. */
  submit<I extends AnySchema, O extends AnySchema>(
    definition: JobDefinition<I, O>,
    input: InputOf<I>,
    options?: SubmitOptions,
  ): Promise<LocalHandle<OutputOf<O>>>
  submit(type: string, input: unknown, options?: SubmitOptions): Promise<LocalHandle<unknown>>
  /** Takes other handlers, e.g. after job files were edited. Running attempts end with the code they began with. */
  replaceHandlers(handlers: readonly JobHandler[]): void
  /**
   * Takes other declared schedules, with the handlers that are there now.
   * @param complete false when some of them could not be read: then none is paused for not being there
   * @throws UntildoneError `bad-definition`, and nothing changed then
   */
  replaceSchedules(schedules: readonly ScheduleDeclaration[], complete?: boolean): Promise<void>
  /** Recovers from the last crash and begins to work. Keeps this process alive until stop(), also while no job runs. */
  start(): Promise<void>
  /** Drains: running jobs stop at their next step, nothing counts as an attempt; then closes the store. */
  stop(): Promise<void>
  /** Ends what still runs now; it goes on at the next start. */
  abort(): void
  /** Jobs that run now. */
  readonly running: number
}

/**
 * Opens the store and puts the parts together; nothing runs before start().
 * @example
 * const app = await createUntildone({ handlers: [greetHandler] })
 * await app.start()
 * const handle = await app.submit(greet, { name: 'Ada' })
 * console.log(await handle.result())
 * await app.stop()
 */
export async function createUntildone(options: UntildoneOptions): Promise<Untildone> {
  // In the process of an isolated handler: nothing is opened twice.
  const inside = (globalThis as Record<symbol, unknown>)[Symbol.for('untildone.isolated')]
  if (typeof inside === 'function') return inside(options.handlers)
  const machine = options.clock ?? systemClock
  const entropy = options.entropy ?? systemEntropy
  const onError = options.onError ?? ((error: unknown) => console.error(error))
  const registry = new Registry(options.handlers)
  const webhooks = webhookTools(options.webhooks ?? {})
  if (options.worker !== false) await checkIsolated(options.handlers)
  const store = await (options.store ?? sqlite('.untildone/untildone.db')).open({ clock: machine, entropy, onError })
  try {
    return await putTogether(options, { store, registry, webhooks, machine, entropy, onError })
  } catch (error) {
    // An open store keeps the process from ending, and a file from whoever tries again.
    await store.close()
    throw error
  }
}

interface Parts {
  store: Store
  registry: Registry
  webhooks: WebhookTools
  machine: Clock
  entropy: Entropy
  onError: (error: unknown) => void
}

async function putTogether(options: UntildoneOptions, parts: Parts): Promise<Untildone> {
  const { store, registry, webhooks, machine, entropy, onError } = parts
  // Where several machines work together, all go by the time of the database.
  const clock: Clock = store.info.sole
    ? machine
    : {
        now: () => store.now(),
        monotonic: () => machine.monotonic(),
        after: (ms, fn) => machine.after(ms, fn),
        keepAlive: () => machine.keepAlive(),
      }
  const workers: Worker[] = []
  const given = options.filesDir ?? store.info.filesDir
  const filesDir = given ?? mkdtempSync(join(tmpdir(), 'untildone-files-'))
  const engine = await createEngine({
    store,
    registry,
    clock,
    entropy,
    files: diskFiles(filesDir, store.info.sole ? null : () => machine.now()),
    env: options.env ?? 'live',
    onSubmitting: (lane, runAt) => {
      telling.hint(lane)
      for (const worker of workers) worker.hint(lane, runAt)
    },
    publicUrl: options.publicUrl ?? 'http://localhost:4884',
    queues: options.queues ?? {},
    ...(options.approvals ? { approvals: options.approvals } : {}),
    webhooks,
  })
  const telling = new Telling(
    {
      ...{ parts: engine.parts, deliveries: engine.deliveries, registry, clock, onError },
      startWorker: async (slots) => {
        // A queue of its own: nothing else takes a place there, and it takes none elsewhere.
        if (settings.length > 0) await work({ slots, queues: [WEBHOOK_QUEUE], drainMs: settings[0]!.drainMs })
      },
    },
    options.webhooks ?? {},
  )
  const schedules = new ScheduleClock({ firings: engine.firings, clock, now: () => store.now(), onError })
  const maintenance = new Maintenance({
    parts: engine.parts,
    files: engine.files,
    clock,
    schedules,
    onError,
    leads: options.maintenance !== false,
    name: entropy.token(9),
    holds: (id) => workers.some((worker) => worker.holds(id)),
  })
  const settings = options.worker === false ? [] : [options.worker ?? {}].flat()
  const waiting: WaitTools = {
    child: (parent, key, type, input, more) => engine.submission.child(parent.claimed.record, key, type, input, more),
    callback: (jobId, key) => engine.parts.callbackOf(jobId, key),
  }
  const work = async ({ slots = 16, queues: serve, drainMs = 20_000 }: WorkerSettings) => {
    if (stopping) return
    const { queues = {}, onDrain = () => {} } = options
    const shared: WorkerOptions = { slots, serve: serve ?? null, drainMs, queues, onError, onDrain, dispatch }
    const worker = new Worker(engine.parts, engine.files, clock, entropy, waiting, shared)
    workers.push(worker)
    await worker.start()
  }
  const dispatch = options.transport ? await dispatchOf(options.transport) : null
  async function dispatchOf(factory: TransportFactory): Promise<Dispatch> {
    const namespace = entropy.sha256(`${await store.secret()}\ntransport`).slice(0, 12)
    const slots = settings.reduce((sum, each) => sum + (each.slots ?? 16), 0)
    const queues = [...Object.keys(options.queues ?? {}), ...settings.flatMap((each) => each.queues ?? [])]
    const transport = await factory.open({ clock, namespace, onError })
    return new Dispatch({ parts: engine.parts, transport, slots, queues, onError })
  }
  let recovered = { jobs: 0, children: 0, files: 0, workDirs: 0 }
  let stopping: Promise<void> | null = null
  // A job that waits for its next attempt is nothing but timers, and timers let the process end.
  let alive: Timer | null = null
  const letGo = () => {
    alive?.cancel()
    alive = null
  }

  return {
    engine,
    get recovered() {
      return recovered
    },
    get running() {
      return workers.reduce((sum, worker) => sum + worker.running, 0)
    },
    async submit(definition: JobDefinition<any, any> | string, input: unknown, more: SubmitOptions = {}) {
      const body: SubmitBody = {
        type: typeof definition === 'string' ? definition : definition.name,
        input: input as SubmitBody['input'],
        groupId: more.group,
        operationKey: more.operationKey,
        priority: more.priority,
        runAt: more.runAt?.toISOString(),
        deadlineAt: more.deadlineAt?.toISOString(),
        tags: more.tags,
        metadata: more.metadata,
        onBehalfOf: more.onBehalfOf,
        permissions: more.permissions,
        typeVersion: more.typeVersion,
        onDuplicate: more.onDuplicate,
        notify: more.notify,
      }
      const mark = engine.waiters.ends
      const { tx, key = null } = more
      const { job, before, duplicate, announce } = await engine.submission.accept(LOCAL, body, key, tx)
      // Nobody here sees the end of one that is committed elsewhere for sure.
      const since = tx === undefined && job ? mark : Number.NEGATIVE_INFINITY
      return localHandle(engine, job?.record.id ?? before!, since, duplicate ? before : null, announce)
    },
    replaceHandlers: (handlers) => registry.replace(handlers),
    replaceSchedules: async (declared, complete = true) =>
      engine.schedules.declare(declared.map(scheduleBody), complete),
    async start() {
      alive ??= clock.keepAlive()
      try {
        recovered = await maintenance.recover()
        if (options.schedules) await engine.schedules.declare(options.schedules.map(scheduleBody), true)
        maintenance.start()
        for (const each of settings) await work(each)
        await dispatch?.start()
        if (settings.length > 0) await telling.start()
        if (options.maintenance !== false) await schedules.start()
      } catch (error) {
        letGo()
        throw error
      }
    },
    stop() {
      stopping ??= (async () => {
        // First of all, and beside what may wait for a store that does not answer: the time to drain is counted from now.
        const drained = workers.map((worker) => worker.drain())
        const others = [maintenance.stop(), telling.stop(), schedules.stop(), dispatch?.stop()]
        await Promise.all([...drained, ...others])
        await store.close()
        if (given === null) rmSync(filesDir, { recursive: true, force: true })
      })().finally(letGo)
      return stopping
    },
    abort: () => {
      for (const worker of workers) worker.abort()
    },
  }
}

function scheduleBody({ id, definition, input, paused, ...options }: ScheduleDeclaration): ScheduleBody {
  try {
    return { id, type: definition.name, input: input as ScheduleBody['input'], paused, ...scheduleMembers(options) }
  } catch (cause) {
    throw new UntildoneError('bad-definition', `Schedule "${id}": ${(cause as Error).message}`, { cause })
  }
}

function localHandle(
  engine: Engine & EngineInside,
  id: string,
  mark: number,
  duplicateOf: string | null,
  announce: () => Promise<void>,
): LocalHandle<any> {
  return {
    id,
    duplicateOf,
    announce,
    get: () => engine.get(LOCAL, id),
    async result() {
      const { status, json } = await engine.end(id, mark)
      // The commit that ended the job brought its result along; everything else is read.
      return JSON.parse(status === 'completed' && json !== null ? json : (await engine.result(LOCAL, id)).json)
    },
    cancel: async (reason) => (await engine.cancel(LOCAL, id, { reason: reason ?? null })).job,
  }
}
