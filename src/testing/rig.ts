/**
 * createTestRig: handlers on an in-memory store with a clock that tests own. Time moves only when told; processes can be
 * killed at a chosen point and started again over the same store.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DecisionKind } from '../core/approval.js'
import type { DecisionInput } from '../core/approval-input.js'
import { type Duration, parseDuration } from '../core/duration.js'
import type { Person } from '../core/job.js'
import type { Json } from '../core/json.js'
import type { WireJob } from '../core/wire.js'
import type { WireApproval } from '../core/wire-approval.js'
import type { JobHandler } from '../define/define-job.js'
import { type Caller, type Engine, LOCAL } from '../engine/api.js'
import type { EngineInside } from '../engine/engine.js'
import type { CallbackBody } from '../engine/operator-api.js'
import { createUntildone, type Untildone, type UntildoneOptions } from '../index.js'
import { PostgresDriver } from '../stores/postgres/driver.js'
import { postgresWith } from '../stores/postgres/open.js'
import { type Driver, one, type Plan } from '../stores/sql/plan.js'
import { SqliteDriver } from '../stores/sqlite/driver.js'
import { sqliteWith } from '../stores/sqlite/open.js'
import type { Store, StoreFactory } from '../stores/store.js'
import { TestClock } from './clock.js'
import { testEntropy } from './entropy.js'
import { type DeathPoint, Mortal } from './mortal-store.js'

/** Where isolated handlers run in a rig. */
type Isolation = 'inline' | 'process'

export interface TestRigOptions
  extends Pick<
    UntildoneOptions,
    'queues' | 'worker' | 'env' | 'schedules' | 'approvals' | 'webhooks' | 'onDrain' | 'transport'
  > {
  /** First instant, in milliseconds since the epoch. @default 2026-11-22T09:00:00Z */
  start?: number
  /** Of ids, secrets and jitter. @default 1 */
  seed?: number
  /**
   * Where handlers with `isolate: 'process'` run. In a process they cannot see what a test has put in place of something,
   * and live in real time.
   * @default 'inline'
   */
  isolated?: Isolation
}

type JobRef = string | { readonly id: string }

/** A person by id, with the groups that a gate may need. Each is somebody else; the same id is the same person. */
export type Somebody = string | (Person & { groups?: readonly string[] })

export class TestRig {
  /** Everything that was reported to onError. */
  readonly errors: unknown[] = []
  /** Timers that processes still had after they were stopped in good order. */
  leftBehind = 0
  app!: Untildone
  private process!: Mortal

  private constructor(
    readonly clock: TestClock,
    /** The truth, whatever becomes of the processes. */
    readonly store: Store,
    private readonly counter: Counter,
    private readonly filesDir: string,
    private handlers: readonly JobHandler[],
    private options: TestRigOptions,
    private readonly entropy: ReturnType<typeof testEntropy>,
  ) {}

  static async create(handlers: readonly JobHandler[], options: TestRigOptions = {}): Promise<TestRig> {
    const clock = new TestClock(options.start)
    const entropy = testEntropy(clock, options.seed)
    const counter = new Counter()
    const store = await storeOf(counter).open({ clock, entropy })
    const filesDir = await mkdtemp(join(tmpdir(), 'untildone-rig-'))
    const rig = new TestRig(clock, store, counter, filesDir, handlers, options, entropy)
    clock.settleWith(() => rig.settle())
    await rig.boot()
    return rig
  }

  get engine(): Engine {
    return this.app.engine
  }

  /** False from the death of its process until restart(). */
  get alive(): boolean {
    return this.process.alive
  }

  /** Submits like the app does; nothing runs before time moves or settle() is called. */
  submit: Untildone['submit'] = ((...args: Parameters<Untildone['submit']>) => this.app.submit(...args)) as never

  get(job: JobRef, caller: Caller = LOCAL): Promise<WireJob> {
    return this.engine.get(caller, idOf(job), ['ops'])
  }

  /** The card of the approval that the job waits for, or of this id. */
  async approval(ref: JobRef): Promise<WireApproval> {
    return this.engine.approvals.get(LOCAL, await this.approvalId(ref))
  }

  /** Approves what the job waits for, as it is now. `data`: edited members. @throws UntildoneError as the inbox would */
  approve(
    ref: JobRef,
    decision: { by: Somebody; data?: Record<string, Json>; reason?: string },
  ): Promise<WireApproval> {
    return this.decide(ref, 'approve', decision)
  }

  reject(ref: JobRef, decision: { by: Somebody; reason: string }): Promise<WireApproval> {
    return this.decide(ref, 'reject', decision)
  }

  requestChanges(
    ref: JobRef,
    decision: { by: Somebody; reason: string; changes?: { about?: string | null; text: string }[] },
  ): Promise<WireApproval> {
    return this.decide(ref, 'requestChanges', decision)
  }

  private async decide(
    ref: JobRef,
    decision: DecisionKind,
    { by, ...input }: Omit<DecisionInput, 'decision'> & { by: Somebody },
  ): Promise<WireApproval> {
    const { id, digest } = await this.approval(ref)
    return this.engine.approvals.decide(callerOf(by), id, { decision, evidenceDigest: digest, ...input })
  }

  private async approvalId(ref: JobRef): Promise<string> {
    await this.settle()
    const id = idOf(ref)
    if (id.startsWith('apr_')) return id
    const open = (await this.store.approvalsOf(id)).filter(({ state }) => state === 'pending')
    if (open.length === 1) return open[0]!.id
    const { statusText } = await this.get(id)
    throw new Error(
      open.length === 0
        ? `Job ${id} waits for no approval: ${statusText}`
        : `Job ${id} waits for ${open.length} approvals; name one of them: ${open.map((row) => `${row.id} (${row.gate})`).join(', ')}`,
    )
  }

  /** Sends a signal that the job's definition declares; it may come before the job waits for it. @throws UntildoneError */
  async signal(job: JobRef, name: string, payload: unknown): Promise<void> {
    await this.engine.signal(LOCAL, idOf(job), name, { payload: payload as Json })
  }

  /** Answers a callback of the job, as whoever was given its URL would. `step`: its name, with the stages around it. */
  async callback(job: JobRef, step: string, answer: CallbackBody): Promise<void> {
    const { parts } = this.engine as Engine & EngineInside
    await this.engine.answerCallback(parts.callbackOf(idOf(job), step).token, answer)
  }

  /** Lets everything that can happen now happen: until some turns of the loop bring no transaction. */
  async settle(): Promise<void> {
    // An attempt takes two turns to find that nothing of it moves any more, after each value that it waited for.
    for (let quiet = 0, seen = -1; quiet < (this.app?.running > 0 ? 16 : 6); ) {
      quiet = this.counter.transactions === seen && this.counter.active === 0 ? quiet + 1 : 0
      seen = this.counter.transactions
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Moves time; what becomes due happens at its own instant. Days in which nothing happens cost nothing. */
  async advance(duration: Duration): Promise<void> {
    const target = this.clock.now() + parseDuration(duration)
    await this.settle()
    while (this.clock.now() < target) {
      if (await this.skip(target)) continue
      const next = this.clock.next
      const left = target - this.clock.now()
      await this.clock.advance(next === null ? left : Math.min(next, left))
    }
    await this.clock.advance(0)
  }

  /**
   * Sets the wall clock to shortly before something is due, when nothing runs and nothing is due for a while. Heartbeats
   * and looks measure monotonic time and do not notice, like processes on a machine that was suspended.
   * @returns whether it did
   */
  private async skip(target: number): Promise<boolean> {
    if (this.process.alive && this.app.running > 0) return false
    const now = this.clock.now()
    const due = Math.min(target, (await this.counter.next(now)) ?? Number.POSITIVE_INFINITY)
    const gap = due - now - BEFORE_DUE_MS
    if (gap < SKIP_FROM_MS) return false
    this.clock.skew(gap)
    return true
  }

  /** Moves time from one timer to the next until `condition` holds. @throws Error after `within` of test time */
  async advanceUntil(condition: () => unknown, what = 'the condition', within: Duration = '1d'): Promise<void> {
    const end = this.clock.now() + parseDuration(within)
    await this.settle()
    while (!(await condition())) {
      if (await this.skip(end)) continue
      const next = this.clock.next
      if (next === null || this.clock.now() + next > end) throw new Error(`Waited ${within} in vain for ${what}.`)
      await this.clock.advance(next)
    }
  }

  /** Moves time until the job is done, and gives it as it then is. */
  async untilDone(job: JobRef, within?: Duration): Promise<WireJob> {
    await this.advanceUntil(async () => (await this.get(job)).done, `the end of job ${idOf(job)}`, within)
    return this.get(job)
  }

  /** Moves time until nothing is queued or under way: every job is finished, or waits for somebody. */
  async untilIdle(within?: Duration): Promise<void> {
    const idle = async () => {
      const page = await this.engine.list(LOCAL, { status: ['accepted', 'processing'], limit: 1 })
      return page.items.length === 0
    }
    await this.advanceUntil(idle, 'an idle store', within)
  }

  /** Kills the process, as by SIGKILL: its handlers can write nothing more, its worker's lease ends with it. */
  async crash(): Promise<void> {
    this.process.kill()
    await this.buried()
  }

  /** The process will die at this point of its own doing; resolves when it has. Then restart(). */
  async crashAt(point: DeathPoint): Promise<void> {
    await this.process.dieAt(point)
    await this.buried()
  }

  /** Starts a new process over the same store, with other handlers and options if given. */
  async restart(
    handlers: readonly JobHandler[] = this.handlers,
    options: TestRigOptions = this.options,
  ): Promise<void> {
    if (this.process.alive) await this.stop()
    this.handlers = handlers
    this.options = options
    await this.boot()
  }

  /** Stops the process in good order: drains, moving time as far as that takes. */
  async stop(): Promise<void> {
    if (!this.process.alive) return
    let stopped = false
    const stopping = this.app.stop().finally(() => {
      stopped = true
    })
    stopping.catch(() => undefined)
    await this.settle()
    for (let step = this.clock.next; !stopped && step !== null; step = this.clock.next) await this.clock.advance(step)
    await stopping
    this.leftBehind += this.process.pending
    this.process.kill()
  }

  /** Stops and removes everything. Call it after each test. */
  async close(): Promise<void> {
    await this.stop()
    await this.store.close()
    await rm(this.filesDir, { recursive: true, force: true })
  }

  private async boot(): Promise<void> {
    const mortal = new Mortal(this.store)
    this.process = mortal
    const { isolated = 'inline', ...options } = this.options
    const app = await createUntildone({
      ...options,
      handlers: isolated === 'process' ? this.handlers : this.handlers.map(inline),
      store: { open: async () => mortal.store },
      clock: mortal.clock(this.clock),
      entropy: this.entropy,
      filesDir: this.filesDir,
      onError: (error) => {
        if (mortal.alive) this.errors.push(error)
      },
    })
    this.app = app
    await app.start()
  }

  /** What the kernel and the next owner of the store do after a process died. */
  private async buried(): Promise<void> {
    await this.settle()
    const workers = await this.store.workers.list()
    for (const worker of workers)
      if (worker.state !== 'gone') await this.store.workers.beat({ ...worker, state: 'gone' })
  }
}

/**
 * Handlers on an in-memory store with a clock of their own.
 * @example
 * const rig = await createTestRig([greetHandler])
 * const job = await rig.untilDone(await rig.submit(greet, { name: 'Ada' }))
 * expect(job.result).toEqual({ text: 'Hello Ada' })
 * await rig.close()
 */
export function createTestRig(handlers: readonly JobHandler[], options?: TestRigOptions): Promise<TestRig> {
  return TestRig.create(handlers, options)
}

function inline<H extends JobHandler<any, any>>(handler: H): H {
  if (handler.settings?.isolate == null) return handler
  return { ...handler, settings: { ...handler.settings, isolate: null } }
}

function callerOf(by: Somebody): Caller {
  const { groups = [], ...person } = typeof by === 'string' ? { id: by } : by
  return {
    ...LOCAL,
    actor: { kind: 'user', id: person.id },
    person,
    groups,
    scopes: ['approvals:read', 'approvals:decide'],
  }
}

function idOf(job: JobRef): string {
  return typeof job === 'string' ? job : job.id
}

/** The next instant after ?1 at which the store has something to do by itself; what waits to be swept or woken is due now. */
const NEXT_DUE = `select min(at) as at from (
  select min(run_at) as at from live where run_at > ?1 and worker is null
  union all select 0 from live where worker is not null
  union all select min(wake_at) from live l where exists (select 1 from waits w where w.job_id = l.id and w.kind = 'child')
  union all select min(deadline_at) from live where deadline_at > ?1
  union all select min(escalate_at) from live where escalate_at > ?1
  union all select min(due_at) from waits
  union all select min(next_at) from schedules where next_at > ?1
  union all select min(expires_at) from outcomes
  union all select min(expires_at) from files
) d`
const BEFORE_DUE_MS = 2_500
const SKIP_FROM_MS = 10_000

/** What a rig knows of the driver below its store: how much it did and does, and when it will have something to do. */
class Counter {
  transactions = 0
  active = 0
  driver: Driver | null = null

  async next(now: number): Promise<number | null> {
    const before = this.transactions
    const row = await this.driver!.transact(() => one<{ at: number | null }>(NEXT_DUE, now), false)
    this.transactions = before
    return row!.at
  }
}

/** A driver that counts what it carries out: how a rig knows that nothing happens any more. */
function counting<D extends new (...args: any[]) => Driver>(Class: D, counter: Counter): D {
  return class extends Class {
    constructor(...args: any[]) {
      super(...args)
      counter.driver = this
    }
    override transact<T>(plan: () => Plan<T>, write: boolean): Promise<T> {
      counter.transactions++
      counter.active++
      return super.transact(plan, write).finally(() => {
        counter.active--
      })
    }
  }
}

/**
 * In memory; or, for the project's own tests, in a schema of a PostgreSQL that UNTILDONE_TEST_DATABASE names, so that the
 * same tests show the same on both.
 */
function storeOf(counter: Counter): StoreFactory {
  const url = process.env.UNTILDONE_TEST_DATABASE
  if (!url) return sqliteWith(counting(SqliteDriver, counter), ':memory:')
  return postgresWith(counting(PostgresDriver, counter), url, { schema: `rig_${process.pid}_${++rigs}` })
}
let rigs = 0
