/**
 * Ends waits whose time is over and does what commits have left to do: timers, timeouts of signals and children, children
 * of parents that ended. A timer for the next instant makes it punctual; the look every second is what makes it correct.
 * Doing anything twice changes nothing.
 */
import type { Clock, Timer } from '../core/clock.js'
import type { Actor } from '../core/job.js'
import { transition } from '../core/lifecycle.js'
import type { EngineParts } from '../engine/parts.js'
import { type Change, type DutyRow, isTombstone, type WaitRow, type WaitValue } from '../stores/store.js'

const CHUNK = 500
const SYSTEM: Actor = { kind: 'system', id: 'engine' }

export class Waker {
  private timer: Timer | null = null
  private armedFor = Number.POSITIVE_INFINITY
  private unsubscribe: (() => void) | null = null
  private working: Promise<void> | null = null
  private again = false
  private stopped = false

  constructor(
    private readonly parts: EngineParts,
    private readonly clock: Clock,
    private readonly onError: (error: unknown) => void,
    /** Whether this process does it; another one may. */
    private readonly leads: () => boolean,
  ) {}

  start(): void {
    this.unsubscribe = this.parts.store.onChange((changes) => this.changed(changes))
    this.parts.store.attend()
  }

  stop(): void {
    this.stopped = true
    this.timer?.cancel()
    this.unsubscribe?.()
  }

  /** A hint: something will be due then, or a job with children ended. */
  private changed(changes: readonly Change[]): void {
    for (const { wakeAt, done, ties } of changes) {
      if (wakeAt !== null) this.arm(wakeAt)
      if (done && ties) this.soon()
    }
  }

  private arm(at: number): void {
    if (this.stopped || at >= this.armedFor) return
    this.timer?.cancel()
    this.armedFor = at
    this.timer = this.clock.after(Math.max(0, at - this.parts.store.now()), () => {
      this.armedFor = Number.POSITIVE_INFINITY
      this.soon()
    })
  }

  private soon(): void {
    this.tick().catch(this.onError)
  }

  /** Everything that is due now; one at a time, and once more if asked meanwhile. */
  tick(): Promise<void> {
    if (this.stopped || !this.leads()) return Promise.resolve()
    const next = this.armedFor
    // The wall clock may have been set since the timer was: it is judged anew.
    if (Number.isFinite(next)) {
      this.armedFor = Number.POSITIVE_INFINITY
      this.arm(next)
    }
    if (this.working) {
      this.again = true
      return this.working
    }
    this.working = this.work().finally(() => {
      this.working = null
      if (this.again) {
        this.again = false
        this.soon()
      }
    })
    return this.working
  }

  private async work(): Promise<void> {
    const { store } = this.parts
    await this.all(
      () => store.dueWaits(CHUNK),
      (wait) => this.timeOut(wait),
    )
    await this.all(
      () => store.dueWakes(CHUNK),
      ({ id }) =>
        store.move({
          jobId: id,
          decide: (live, now) =>
            live.wakeAt !== null && live.wakeAt <= now
              ? transition(live, { type: 'woken', actor: SYSTEM, by: 'time' }, now)
              : { ok: false, reason: 'illegal-transition' },
        }),
    )
    await this.all(
      () => store.duties(CHUNK),
      (duty) => this.discharge(duty),
    )
  }

  /** One that fails is told of, and keeps no other from its turn; where all of a chunk fail, the next tick tries again. */
  private async all<T>(due: () => Promise<T[]>, act: (one: T) => Promise<unknown>): Promise<void> {
    for (let more = true; more && !this.stopped; ) {
      const found = await due()
      let done = 0
      await Promise.all(found.map((one) => act(one).then(() => done++, this.onError)))
      more = found.length === CHUNK && done > 0
    }
  }

  private async timeOut(wait: WaitRow): Promise<void> {
    const { jobId, key, kind, name, childId } = wait
    if (kind === 'approval') return this.parts.onApprovalDue(wait)
    const value: WaitValue = childId === null ? { is: 'timeout' } : { is: 'timeout', child: childId }
    const by = kind === 'timer' ? `timer ${name}` : `timeout of ${kind} ${name}`
    await this.parts.store.settle({ jobId, key, value: JSON.stringify(value), actor: SYSTEM, by })
    if (childId !== null && (await this.isChildOf(childId, jobId)))
      await this.cancelChild(childId, `${jobId} waited no longer`)
  }

  /** A job that was there before, and that this one only waited for, is nobody's to cancel. */
  private async isChildOf(childId: string, jobId: string): Promise<boolean> {
    const child = await this.parts.store.find(childId, 0)
    return child !== null && !isTombstone(child) && child.record.parentId === jobId
  }

  private async discharge(duty: DutyRow): Promise<void> {
    await this.cancelChild(duty.jobId, 'its parent has ended')
    await this.parts.store.dutyDone(duty)
  }

  private async cancelChild(jobId: string, reason: string): Promise<void> {
    await this.parts.store.move({
      jobId,
      decide: (live, now) =>
        transition(live, { type: 'cancelRequested', actor: SYSTEM, by: 'parent', reason, mode: 'graceful' }, now),
      expiresAt: this.parts.expiresAt,
    })
  }
}
