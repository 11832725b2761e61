/**
 * createTestRig: handlers on an in-memory store with a clock that tests own. Time moves only when told; processes can be
 * killed at a chosen point and started again over the same store.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duration, parseDuration } from '../core/duration.js'
import type { WireJob } from '../core/wire.js'
import type { JobHandler } from '../define/define-job.js'
import { type Caller, type Engine, LOCAL } from '../engine/api.js'
import { createUntildone, type Untildone, type UntildoneOptions } from '../index.js'
import { SqliteDriver } from '../stores/sqlite/driver.js'
import { sqliteWith } from '../stores/sqlite/open.js'
import type { Store } from '../stores/store.js'
import { TestClock } from './clock.js'
import { testEntropy } from './entropy.js'
import { type DeathPoint, Mortal } from './mortal-store.js'

export interface TestRigOptions extends Pick<UntildoneOptions, 'queues' | 'worker' | 'env' | 'schedules'> {
  /** First instant, in milliseconds since the epoch. @default 2026-11-22T09:00:00Z */
  start?: number
  /** Of ids, secrets and jitter. @default 1 */
  seed?: number
}

type JobRef = string | { readonly id: string }

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
    private readonly driver: { transactions: number },
    private readonly filesDir: string,
    private handlers: readonly JobHandler[],
    private options: TestRigOptions,
    private readonly entropy: ReturnType<typeof testEntropy>,
  ) {}

  static async create(handlers: readonly JobHandler[], options: TestRigOptions = {}): Promise<TestRig> {
    const clock = new TestClock(options.start)
    const entropy = testEntropy(clock, options.seed)
    const counter = { transactions: 0 }
    const store = await sqliteWith(counting(counter), ':memory:').open({ clock, entropy })
    const filesDir = await mkdtemp(join(tmpdir(), 'untildone-rig-'))
    const rig = new TestRig(clock, store, counter, filesDir, handlers, options, entropy)
    clock.settleWith(() => rig.settle())
    await rig.boot()
    return rig
  }

  get engine(): Engine {
    return this.app.engine
  }

  /** Submits like the app does; nothing runs before time moves or settle() is called. */
  submit: Untildone['submit'] = ((...args: Parameters<Untildone['submit']>) => this.app.submit(...args)) as never

  get(job: JobRef, caller: Caller = LOCAL): Promise<WireJob> {
    return this.engine.get(caller, idOf(job), ['ops'])
  }

  /** Lets everything that can happen now happen: until three turns of the loop bring no transaction. */
  async settle(): Promise<void> {
    for (let quiet = 0, seen = -1; quiet < 3; ) {
      quiet = this.driver.transactions === seen ? quiet + 1 : 0
      seen = this.driver.transactions
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Moves time; what becomes due happens at its own instant. */
  async advance(duration: Duration): Promise<void> {
    await this.clock.advance(parseDuration(duration))
  }

  /** Moves time from one timer to the next until `condition` holds. @throws Error after `within` of test time */
  async advanceUntil(condition: () => unknown, what = 'the condition', within: Duration = '1d'): Promise<void> {
    const end = this.clock.monotonic() + parseDuration(within)
    await this.settle()
    while (!(await condition())) {
      const next = this.clock.next
      if (next === null || this.clock.monotonic() + next > end) throw new Error(`Waited ${within} in vain for ${what}.`)
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
    const app = await createUntildone({
      ...this.options,
      handlers: this.handlers,
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

function idOf(job: JobRef): string {
  return typeof job === 'string' ? job : job.id
}

/** A driver that counts what it carries out: how a rig knows that nothing happens any more. */
function counting(counter: { transactions: number }): typeof SqliteDriver {
  return class extends SqliteDriver {
    override transact<T>(plan: Parameters<SqliteDriver['transact']>[0], write: boolean): Promise<T> {
      counter.transactions++
      return super.transact(plan, write) as Promise<T>
    }
  }
}
