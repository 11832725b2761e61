/**
 * A worker: claims jobs, runs them, keeps its lease, drains. Start, drain, stop; everything else is in the files beside it.
 */
import { hostname } from 'node:os'
import type { Clock, Entropy } from '../core/clock.js'
import { UntildoneError } from '../core/errors.js'
import { transition } from '../core/lifecycle.js'
import { WEBHOOK_QUEUE } from '../engine/deliveries.js'
import type { Files } from '../engine/files.js'
import type { EngineParts } from '../engine/parts.js'
import { BUILT_IN_QUEUE } from '../engine/registry.js'
import type { Change, Claimed } from '../stores/store.js'
import type { Delivered, Message } from '../transports/transport.js'
import { Attempt, LEAVE_AFTER_MS } from './attempt.js'
import { ClaimLoop } from './claim-loop.js'
import { contextOf } from './context.js'
import type { Dispatch, Taker } from './dispatch.js'
import { type Environment, execute } from './execute.js'
import { runIsolated } from './isolate/launch.js'
import { Lease } from './lease.js'
import type { WaitTools } from './waiting.js'

export interface WorkerOptions {
  /** Jobs at once. @default 16 */
  slots: number
  queues: Readonly<Record<string, { concurrency?: number }>>
  /** Only these queues are served. @default null: all */
  serve: readonly string[] | null
  /** How long running jobs may go on after a stop was asked for, in milliseconds. @default 20 000 */
  drainMs: number
  onError: (error: unknown) => void
  /** What delivers jobs to it. @default null: it looks for them by itself */
  dispatch?: Dispatch | null
  /** Somebody asked this worker to drain (`draining`), and nothing of it runs any more (`gone`). */
  onDrain: (worker: WorkerDrain) => void
}

export interface WorkerDrain {
  id: string
  state: 'draining' | 'gone'
  /** Jobs that it runs now. */
  running: number
}

export class Worker implements Taker {
  private id = ''
  private readonly boot: string
  private readonly startedAt: number
  /** A plain list: a Map with such a coming and going leaves tables behind through which the dead survive collections. */
  private readonly attempts: Attempt[] = []
  private loop: ClaimLoop | null = null
  private lease: Lease | null = null
  private draining = false
  private idle: (() => void)[] = []
  private unsubscribe: (() => void) | null = null

  constructor(
    private readonly parts: EngineParts,
    private readonly files: Files,
    private readonly clock: Clock,
    private readonly entropy: Entropy,
    private readonly waiting: WaitTools,
    private readonly options: WorkerOptions,
  ) {
    this.boot = this.entropy.token(9)
    this.startedAt = this.clock.now()
  }

  /** Jobs this worker runs now. */
  get running(): number {
    return this.attempts.length
  }

  async start(): Promise<void> {
    this.draining = false
    if (!this.unsubscribe) {
      const { store } = this.parts
      const offs = [store.onChange((changes) => this.changed(changes)), store.onGap(() => this.loop?.lookSooner())]
      this.unsubscribe = () => {
        for (const off of offs) off()
      }
      store.attend()
    }
    await this.join()
  }

  /** Takes a lease under a new id and begins to claim. */
  private async join(): Promise<void> {
    const { parts, clock, entropy, options } = this
    this.id = `w-${entropy.token(6)}`
    const id = this.id
    this.lease = new Lease({
      store: parts.store,
      clock,
      row: () => ({
        id,
        boot: this.boot,
        host: hostname(),
        pid: process.pid,
        startedAt: this.startedAt,
        state: this.draining ? 'draining' : 'up',
        serves: {
          types: parts.registry.all().map(({ name, handler }) => ({ name, version: handler.settings.version })),
          queues: options.serve === null ? null : [...options.serve],
          ...(options.dispatch ? { transport: options.dispatch.kind } : {}),
        },
      }),
      onLost: () => void this.fenced(),
      onDrain: () => void this.retire(),
      onStall: (ms) =>
        options.onError(
          new Error(
            `The event loop of this worker stood still for ${Math.round(ms)} ms: a handler blocks it, or the process was stopped. Move work that blocks into job.process or a worker thread.`,
          ),
        ),
    })
    await this.lease.start()
    const tools = {
      ...{ worker: id, files: this.files, sha256: entropy.sha256, waiting: this.waiting },
      approvals: { rules: parts.approvals, newId: () => parts.newApprovalId() },
    }
    const env: Environment = {
      worker: id,
      contextOf: (attempt, input) => contextOf(attempt, input, tools),
      isolate: (attempt, job) => runIsolated(attempt, job, id),
      expiresAt: parts.expiresAt,
      sha256: entropy.sha256,
      random: () => entropy.random(),
      onError: options.onError,
    }
    if (this.draining) return
    this.loop = new ClaimLoop({
      store: parts.store,
      registry: parts.registry,
      clock,
      random: env.random,
      worker: id,
      slots: options.slots,
      serves: (queue) => serves(options.serve, queue),
      queueLimit: (queue) => options.queues[queue]?.concurrency ?? Number.POSITIVE_INFINITY,
      onClaimed: (claimed) => {
        // Claimed while the lease was lost: they belong to a worker that is no more, and go on when its lease has run out.
        if (this.holds(id)) for (const one of claimed) this.run(one, env)
      },
      onError: options.onError,
      ...(options.dispatch
        ? {
            carried: (lane) => options.dispatch!.carries(lane),
            onRoom: () => options.dispatch!.resize(),
            onStoreAway: () => options.dispatch!.deafen(),
          }
        : {}),
    })
    this.loop.start()
    options.dispatch?.attach(this)
  }

  serves(queue: string): boolean {
    return serves(this.options.serve, queue)
  }

  room(queue: string): number {
    return this.loop?.room(queue) ?? 0
  }

  rests(lane: string): boolean {
    return this.loop?.rests(lane) ?? false
  }

  offer(messages: readonly Message[]): Promise<Delivered[]> {
    return this.loop?.offer(messages) ?? Promise.resolve(messages.map(() => 'returned'))
  }

  saw(lanes: readonly { lane: string; runAt: number }[]): void {
    this.loop?.saw(lanes)
  }

  /** Whether this is the worker's present id and its lease is believed in: then nobody in this process may call it dead. */
  holds(id: string): boolean {
    return id === this.id && this.lease !== null && this.lease.held
  }

  /** A hint: a job is on its way into this lane. */
  hint(lane: string, at: number): void {
    this.loop?.hint(lane, at)
  }

  private changed(changes: readonly Change[]): void {
    // Only the last word on each job counts: one that was submitted and claimed in the same commit is no hint.
    let waiting: Map<string, Change> | null = null
    let ends: Set<string> | null = null
    for (const change of changes) {
      if (change.queuedAt !== null) (waiting ??= new Map()).set(change.jobId, change)
      else {
        waiting?.delete(change.jobId)
        if (change.cancelling) this.cancel(change.jobId, change.cancelling)
        if (change.pausing) this.pause(change.jobId)
        if (change.done) (ends ??= new Set()).add(change.jobId)
      }
    }
    if (ends) this.ended(ends)
    if (waiting) for (const { lane, queuedAt } of waiting.values()) this.hint(lane, queuedAt!)
  }

  private cancel(jobId: string, mode: 'graceful' | 'force'): void {
    const force = mode === 'force'
    for (const attempt of this.attempts) {
      if (attempt.id !== jobId) continue
      const reason = new UntildoneError('lease-lost', 'The job was cancelled.')
      attempt.stop(force ? 'force-cancel' : 'cancel', reason, force ? FORCE_LEAVE_MS : null)
    }
  }

  /** Where somebody else has ended the job, by an override, its attempt can write nothing more, and its children are killed. */
  private ended(jobs: ReadonlySet<string>): void {
    for (const attempt of this.attempts) {
      if (!attempt.settling && jobs.has(attempt.id))
        attempt.stop('lease-lost', new UntildoneError('lease-lost', 'The job was ended by somebody else.'), 0)
    }
  }

  /** Stops at its next step, uncounted; the state machine keeps it paused. */
  private pause(jobId: string): void {
    for (const attempt of this.attempts) if (attempt.id === jobId) attempt.draining = true
  }

  private run(claimed: Claimed, env: Environment): void {
    const { parts, loop } = this
    const { live } = claimed
    const type = parts.registry.get(claimed.record.type)
    if (!type) return void this.giveBack(claimed)
    let over = false
    const settling = () => {
      if (!over) loop!.ended(live.lane)
      over = true
    }
    const taught = () => parts.taught.of(claimed.record)
    const attempt = new Attempt(claimed, type, parts.store, this.clock, this.entropy.sha256, settling, taught)
    this.attempts.push(attempt)
    if (this.draining) attempt.draining = true
    // Where others may write: a cancel or a pause from another process.
    const release = parts.store.watch(live.id, false)
    const ended = () => {
      release()
      const last = this.attempts.pop()!
      if (last !== attempt) this.attempts[this.attempts.indexOf(attempt)] = last
      settling()
      if (this.attempts.length === 0) this.nowIdle()
    }
    void execute(attempt, env).then(ended, (error) => {
      ended()
      this.options.onError(error)
    })
  }

  /** Claimed just before its type was taken out of this process: it waits for a worker that has it. */
  private async giveBack({ live }: Claimed): Promise<void> {
    const { id, loop } = this
    const actor = { kind: 'worker' as const, id }
    // Until it is stored: while this worker lives, nobody else takes the job from it.
    while (this.holds(id)) {
      try {
        await this.parts.store.move({
          jobId: live.id,
          known: live,
          decide: (row, now) => transition(row, { type: 'released', actor }, now, { epoch: live.epoch }),
        })
        break
      } catch (error) {
        this.options.onError(error)
        await new Promise<void>((resolve) => this.clock.after(1000, resolve))
      }
    }
    loop?.ended(live.lane)
  }

  /** The lease is gone: abort everything, write nothing more for it, and go on as a new worker. */
  private async fenced(): Promise<void> {
    this.options.dispatch?.detach(this)
    this.loop?.stop()
    for (const attempt of this.attempts) attempt.stop('lease-lost', new UntildoneError('lease-lost'), 0)
    this.options.onError(
      new UntildoneError(
        'lease-lost',
        `Worker ${this.id} could not renew its lease in time; its jobs go on elsewhere.`,
      ),
    )
    while (!this.draining) {
      try {
        return await this.join()
      } catch (error) {
        this.options.onError(error)
        await new Promise<void>((resolve) => this.clock.after(1000, resolve))
      }
    }
  }

  /**
   * Somebody asked for it over the row of this worker, while the process goes on. Unlike in a stop nobody waits for the
   * end, so that a running step has all the time it needs.
   */
  private async retire(): Promise<void> {
    if (this.draining) return
    const { id } = this
    this.cease()
    this.tell({ id, state: 'draining', running: this.running })
    await this.emptied()
    await this.leave()
    this.tell({ id: this.id, state: 'gone', running: 0 })
  }

  /** What a listener of the user throws must not keep the worker from leaving. */
  private tell(drain: WorkerDrain): void {
    try {
      this.options.onDrain(drain)
    } catch (error) {
      this.options.onError(error)
    }
  }

  /** Stops claiming; running jobs stop at their next step or end. Nothing of it counts as an attempt. */
  async drain(): Promise<void> {
    this.cease()
    const { drainMs, onError } = this.options
    const late = this.clock.after(drainMs, () => {
      for (const attempt of this.attempts)
        attempt.stop('drain', new UntildoneError('draining', 'The worker is shutting down.'), LEAVE_AFTER_MS)
    })
    await new Promise<void>((resolve) => {
      // A store that takes nothing (a full disk) must not keep the process from ending: the lease ends, the jobs go on.
      const giveUp = this.clock.after(drainMs + LEAVE_AFTER_MS + GIVE_UP_MS, () => {
        const left = this.attempts.length
        if (left > 0)
          onError(new UntildoneError('store-unavailable', `${left} attempts could not be ended in the store.`))
        for (const attempt of this.attempts) attempt.stop('lease-lost', new UntildoneError('lease-lost'), 0)
        resolve()
      })
      void this.emptied().then(() => {
        giveUp.cancel()
        resolve()
      })
    })
    late.cancel()
    await this.leave()
  }

  /** Nothing runs, and no claim is under way: what one still brings runs as draining, and is given back uncounted. */
  private async emptied(): Promise<void> {
    await this.loop?.settled()
    await this.whenIdle()
  }

  private cease(): void {
    this.draining = true
    this.options.dispatch?.detach(this)
    this.loop?.stop()
    for (const attempt of this.attempts) attempt.draining = true
  }

  private whenIdle(): Promise<void> {
    return this.attempts.length === 0 ? Promise.resolve() : new Promise((resolve) => this.idle.push(resolve))
  }

  private nowIdle(): void {
    for (const resolve of this.idle.splice(0)) resolve()
  }

  private async leave(): Promise<void> {
    await this.lease?.end()
    this.unsubscribe?.()
    this.unsubscribe = null
  }

  /** Aborts what still runs now; used by a second signal. */
  abort(): void {
    for (const attempt of this.attempts)
      attempt.stop('drain', new UntildoneError('draining', 'The worker is stopping now.'), 0)
  }
}

/** Deliveries have a worker of their own: a receiver that hangs must not keep jobs waiting, nor the reverse. */
function serves(only: readonly string[] | null, queue: string): boolean {
  if (only === null) return queue !== WEBHOOK_QUEUE
  return only.includes(queue) || (queue === BUILT_IN_QUEUE && !only.includes(WEBHOOK_QUEUE))
}

/** How long the store may refuse the ends of attempts while the worker stops. */
const GIVE_UP_MS = 5_000

/** A forced cancel kills the children at once; this is the time their death takes. */
const FORCE_LEAVE_MS = 250
