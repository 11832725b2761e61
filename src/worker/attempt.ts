/**
 * One attempt of one job: its abort signal, its memo, its fenced writes, and the ways in which it can end other than by
 * its handler (cancelled, drained, timed out, lease lost). Never writes without its epoch.
 */
import { Review } from '../core/classify.js'
import type { Clock, Timer } from '../core/clock.js'
import { isUntildoneError, UntildoneError } from '../core/errors.js'
import { partsOf, SEQ_PER_ATTEMPT, TIES } from '../core/job.js'
import { effectKeyOf, sharesOperation, type Undone } from '../core/operation.js'
import type { TaughtRule } from '../core/taught.js'
import type { RegisteredType } from '../engine/registry.js'
import { undoneOf, undoneOnceMore } from '../engine/undone.js'
import {
  type AttemptRecord,
  type Claimed,
  type EffectRow,
  isTombstone,
  type StepRow,
  type Store,
  type WaitRow,
} from '../stores/store.js'
import { AttemptErrors, type StageBudget } from './attempt-errors.js'
import type { Isolated } from './isolate/host.js'
import { Notes } from './notes.js'
import { type Leaving, Parking } from './parking.js'
import { scopes } from './scope.js'
import { Steps } from './steps.js'
import { Undos } from './undo.js'

/** Why an attempt was told to stop. */
export type Stop = 'cancel' | 'force-cancel' | 'deadline' | 'timeout' | 'stray' | 'drain' | 'lease-lost' | 'left-behind'

/** Grace after the signal: children get TERM, and KILL after 5 s; then the attempt ends without its handler. */
export const LEAVE_AFTER_MS = 8_000

const NEVER = new Promise<never>(() => {})

const STORE_RETRY_MS = [100, 250, 500, 1000, 2000]

/** How long to wait before a write is repeated that the store could not take; the lease decides how often. */
export function storeRetryMs(tries: number): number {
  return STORE_RETRY_MS[Math.min(tries, STORE_RETRY_MS.length - 1)]!
}

export class Attempt {
  readonly number: number
  readonly notes: Notes
  readonly errors: AttemptErrors
  /** Set while it undoes what a job did: then nothing new begins. */
  readonly undos: Undos | null
  /** The stage it is in. */
  stage: StageBudget | null = null
  /** Recorded steps of former attempts; null while there can be none. */
  memo: Map<string, StepRow> | null = null
  /** Waits of former attempts that are not over. */
  waiting: Map<string, WaitRow> | null = null
  /** Told when it drains. */
  onDraining: (() => void) | null = null
  private isDraining = false
  /** Children of job.process that run now. */
  processes: Set<Promise<unknown>> | null = null
  /** Its handler's process, when it has one. */
  isolated: Isolated | null = null
  /** Its end is on its way to the store: whoever ends the job now, it was not somebody else against it. */
  settling = false
  /** The first reason wins, except that a lost lease beats everything: then nothing may be written. */
  stopped: Stop | null = null
  /** Called when the attempt ends without waiting for its handler. */
  private whenLeft: (() => void) | null = null
  private hasLeft = false
  /** The handler has ended by itself; what it left under way comes to its end, and nothing of it begins any more. */
  private closed = false
  /** Made when somebody asks: most short handlers never do. */
  private controller: AbortController | null = null
  private reason: UntildoneError | null = null
  private readonly timers: Timer[] = []
  private limits: Set<Timer> | null = null
  private killers: Set<() => void> | null = null

  constructor(
    readonly claimed: Claimed,
    readonly type: RegisteredType,
    readonly store: Store,
    readonly clock: Clock,
    readonly sha256: (text: string) => string,
    /** Told when the end of the attempt is in the next commit. */
    readonly onSettling: () => void,
    /** What people have taught about its type. */
    taught: () => readonly TaughtRule[],
  ) {
    this.number = claimed.live.attempt
    this.notes = new Notes(clock, this.number, (record) => this.write(record))
    this.errors = new AttemptErrors(this, taught)
    this.undos = claimed.live.state === 'compensating' ? new Undos() : null
  }

  /** Made when something of it is asked for, like all that a handler which only returns does without. */
  get steps(): Steps {
    return (this.madeSteps ??= new Steps(this))
  }
  private madeSteps: Steps | null = null
  get parking(): Parking {
    return (this.madeParking ??= new Parking(this))
  }
  private madeParking: Parking | null = null
  /** How it leaves because it has nothing to do now. */
  get leaving(): Leaving | null {
    return this.madeParking === null ? null : this.madeParking.leaving
  }
  /** Nothing of it is under way. */
  get idle(): boolean {
    return this.madeParking === null || this.madeParking.idle
  }

  get id(): string {
    return this.claimed.record.id
  }
  get epoch(): number {
    return this.claimed.live.epoch
  }
  get draining(): boolean {
    return this.isDraining
  }
  set draining(draining: boolean) {
    this.isDraining = draining
    if (draining) this.onDraining?.()
  }
  get signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController()
      if (this.reason) this.controller.abort(this.reason)
    }
    return this.controller.signal
  }
  /** Why it was told to stop; null while it was not. */
  get stopReason(): UntildoneError | null {
    return this.reason
  }

  /** Reads what former attempts recorded; their warnings count, because the job keeps them. Undefined where there is nothing. */
  loadMemo(): Promise<void> | undefined {
    const { record } = this.claimed
    const { replay, compensates } = record.options
    const operation = this.undos !== null || sharesOperation(record)
    const former = this.number > 1 || Boolean(replay || compensates)
    return operation || former ? this.readMemo(operation, former) : undefined
  }

  private async readMemo(operation: boolean, former: boolean): Promise<void> {
    if (operation) this.undone = await undoneOf(this.store, this.claimed.record, this.sha256)
    if (!former) return
    this.memo = new Map((await this.store.steps(this.id)).map((row) => [row.key, row]))
    if (this.claimed.live.ties & TIES.waits)
      this.waiting = new Map((await this.store.waits(this.id)).map((row) => [row.key, row]))
    const stored = await this.store.find(this.id, 0)
    if (stored && !isTombstone(stored)) this.notes.warned = stored.warnings.length
  }

  /** Tells the handler to stop. `leaveAfterMs`: how long to wait for it before the attempt ends without it. */
  stop(why: Stop, reason: UntildoneError, leaveAfterMs: number | null): void {
    if (this.stopped === 'lease-lost') return
    if (this.stopped === null || why === 'lease-lost' || why === 'force-cancel') this.stopped = why
    if (this.reason === null) {
      this.errors.stoppedIn(this.stage)
      this.reason = Object.assign(reason, why === 'force-cancel' || why === 'lease-lost' ? { force: true } : {})
      this.controller?.abort(this.reason)
    } else if (why === 'force-cancel' || why === 'lease-lost') {
      // The signal has fired before, gently; it cannot fire again.
      for (const kill of this.killers ?? []) kill()
    }
    if (leaveAfterMs !== null) this.timers.push(this.clock.after(leaveAfterMs, () => this.leave()))
  }

  /** `fn` is called once, at the latest when the attempt ends without waiting for its handler. */
  onLeave(fn: () => void): void {
    this.whenLeft = fn
    if (this.hasLeft) fn()
  }

  /** The attempt is over for the handler: nobody waits for it any more, or it has ended by itself. */
  get over(): boolean {
    return this.hasLeft || this.closed
  }

  /**
   * The handler has returned or thrown. An attempt ends when all that it began has ended: what one branch left under way is
   * recorded, and never runs beside the next attempt. After a return nobody waits for it, so it is given little time.
   */
  close(returned: boolean): Promise<void> | undefined {
    this.closed = true
    if (returned) this.errors.handlerReturned()
    if (this.idle) return undefined
    const { parking } = this
    if (returned)
      this.after(LEAVE_AFTER_MS, () =>
        this.stop('left-behind', new UntildoneError('attempt-timeout', 'The handler has returned.'), LEAVE_AFTER_MS),
      )
    return new Promise((resolve) => {
      parking.whenIdle = resolve
      this.onLeave(resolve)
    })
  }

  /** An error of ours, not of the handler's own code. */
  failure: unknown = null
  fail(error: unknown): void {
    this.failure = error
    this.leave()
  }

  /** The time for this attempt, or for a part of it, is over. */
  expire(message: string): void {
    this.stop('timeout', new UntildoneError('attempt-timeout', message), LEAVE_AFTER_MS)
  }

  /** Its handler has been left or is through, and the attempt goes on without it. @returns rejects when it must end */
  goOn(): Promise<never> {
    this.hasLeft = false
    const stopped = new Promise<never>((_, reject) => this.onLeave(() => reject(this.reason)))
    stopped.catch(() => undefined)
    return stopped
  }

  leave(): void {
    this.hasLeft = true
    this.whenLeft?.()
  }

  /** `kill` is called when the attempt must end at once after it was asked to end gently. Returns what takes it back. */
  onForce(kill: () => void): () => void {
    const killers = (this.killers ??= new Set())
    killers.add(kill)
    return () => killers.delete(kill)
  }

  after(ms: number, fn: () => void): void {
    this.timers.push(this.clock.after(ms, fn))
  }

  /** The time limit of a part of it; over with the attempt, which may end without that part. */
  limit(ms: number, fn: () => void): Timer {
    const limits = (this.limits ??= new Set())
    const timer = this.clock.after(ms, fn)
    limits.add(timer)
    return {
      cancel: () => {
        limits.delete(timer)
        timer.cancel()
      },
    }
  }

  /** It stops between two things because the worker wants to: it is given back, uncounted. */
  drained(): UntildoneError {
    this.stopped ??= 'drain'
    return new UntildoneError('draining', 'The worker is shutting down.')
  }

  /** Ends the attempt here: the handler's code after this point never runs, and no `catch` of it sees anything. */
  park(): Promise<never> {
    this.leave()
    return NEVER
  }

  /** Called before anything begins: a draining attempt goes no further, one that is over or without its lease must not. */
  checkpoint(): Promise<void> | undefined {
    if (this.closed) return NEVER
    if (this.undos) return scopes.getStore()?.aside ? NEVER : this.parking.stop()
    if (this.draining) {
      this.stopped ??= 'drain'
      return this.park()
    }
    if (this.stopped === 'lease-lost') return this.park()
    if (this.reason) throw this.reason
    // Suspended: code that comes here late, after an await of its own, would act beside the next attempt.
    return this.hasLeft ? NEVER : undefined
  }

  /** A fenced write with everything noted so far. Resolves when it is on disk; never resolves once the lease is lost. */
  record(record: Omit<AttemptRecord, 'jobId' | 'epoch'>): Promise<void> {
    const noted = this.notes.take()
    const whole = noted ? { ...record, ...noted } : record
    return this.fenced(() => this.write(whole))
  }

  /** Repeats a write until the store has taken it. @param write false when the lease is lost */
  async fenced(write: () => Promise<boolean>): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        if (await write()) return
        this.stop('lease-lost', new UntildoneError('lease-lost'), 0)
      } catch (error) {
        // A store that cannot be written is no error of the handler, which would pay for it with an attempt.
        if (!isUntildoneError(error) || error.code !== 'store-unavailable') throw error
      }
      if (this.stopped === 'lease-lost') return this.park()
      await new Promise<void>((resolve) => this.clock.after(storeRetryMs(tries), resolve))
    }
  }

  private write(record: Omit<AttemptRecord, 'jobId' | 'epoch'>): Promise<boolean> {
    return this.store.record({ jobId: this.id, epoch: this.epoch, ...record })
  }

  /** The queue whose worker this is. */
  get queue(): string {
    return partsOf(this.claimed.live.lane).queue
  }

  /** An entry of the effect ledger, without what became of it. */
  effect(step: string): Pick<EffectRow, 'tenant' | 'key' | 'jobId' | 'step' | 'at'> {
    const { tenant } = this.claimed.record
    return { tenant, key: this.effectKey(step), jobId: this.id, step, at: this.clock.now() }
  }

  /** By id of an approval that was given: makes sure that it still holds for what is about to be done. */
  get approved(): Map<string, (step: string) => Promise<void>> {
    return (this.approvals ??= new Map())
  }
  private approvals: Map<string, (step: string) => Promise<void>> | null = null

  /** Effects that may have happened, and that nobody will look after when the job ends now. */
  get unknownEffects(): Set<string> {
    return (this.unknown ??= new Set())
  }
  private unknown: Set<string> | null = null

  /** Set by a read named `permissions`. */
  permissionsNow: (() => unknown) | null = null

  /**
   * Asked before every `once` effect: what the person was allowed at the submit must still hold.
   * @throws Review `permission-withdrawn`
   */
  async recheckPermissions(): Promise<void> {
    if (!this.permissionsNow) return
    const { permissions = [], onBehalfOf } = this.claimed.record.options
    const now = await this.permissionsNow()
    if (!Array.isArray(now)) return
    const gone = permissions.filter((permission) => !now.includes(permission))
    if (gone.length === 0) return
    const who = onBehalfOf ? (onBehalfOf.name ?? onBehalfOf.id) : 'The requester'
    throw new Review(`${who} no longer has the permission ${gone.join(', ')}.`, {
      code: 'permission-withdrawn',
      origin: 'policy',
      details: { withdrawn: gone, onBehalfOf: onBehalfOf ?? null },
    })
  }

  /** Stable across attempts and submits of the same business operation. */
  effectKey(step: string): string {
    return effectKeyOf(this.claimed.record, step, this.sha256, this.undone)
  }

  /** How often steps of its operation were undone, by whichever job. */
  private undone: Undone = {}

  /** A step was undone: what it did may happen again, under another key. */
  async recordUndone(step: string): Promise<void> {
    const { record } = this.claimed
    const { undone, row } = undoneOnceMore(record, this.undone, step, this.clock.now(), this.sha256)
    await this.record({ undone: [{ key: step, undo: 'undone' }], effects: [row] })
    this.undone = undone
  }

  private recorded = 0
  /** Place of the next record in the order in which the job made them. */
  nextSeq(): number {
    return this.number * SEQ_PER_ATTEMPT + this.recorded++
  }

  end(): void {
    for (const timer of this.timers) timer.cancel()
    for (const timer of this.limits ?? []) timer.cancel()
    this.notes.stop()
  }
}
