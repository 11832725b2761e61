/**
 * The worker's one lease for all its jobs: renewed every 5 s for 30 s by the very loop that runs the work, so that a hung
 * loop loses it. If renewal cannot be confirmed within 20 s of the start of the last confirmed one, the worker fences
 * itself before anybody else may take over. Instants are the store's; the deadline is monotonic.
 */
import type { Clock, Timer } from '../core/clock.js'
import { LEASE_MS } from '../core/lease.js'
import { within } from '../core/within.js'
import type { Store, WorkerRow } from '../stores/store.js'

export { LEASE_MS }
export const HEARTBEAT_MS = 5_000
export const SELF_FENCE_MS = 20_000
/** A loop that stood still for so long is worth a warning: some handler blocks it. */
const STALL_MS = 10_000

/** A store that does not answer must not keep a process from ending: then the lease runs out by itself. */
const END_MS = 3_000

export interface LeaseOptions {
  store: Store
  clock: Clock
  row: () => Omit<WorkerRow, 'leaseUntil'>
  /** The lease cannot be trusted any more: abort everything and begin anew. */
  onLost: () => void
  /** Somebody asked this worker to drain. Told once. */
  onDrain: () => void
  onStall: (ms: number) => void
}

export class Lease {
  private confirmedAt = 0
  private timer: Timer | null = null
  private fence: Timer | null = null
  private stopped = false
  private asked = false
  constructor(private readonly options: LeaseOptions) {}

  /** Takes the lease; resolves when the row is on disk. */
  async start(): Promise<void> {
    await this.beat()
    this.arm()
  }

  stop(): void {
    this.stopped = true
    this.timer?.cancel()
    this.fence?.cancel()
  }

  /** Whether this process may still believe in the lease. After a standstill that is over before the timer says so. */
  get held(): boolean {
    return !this.stopped && this.options.clock.monotonic() - this.confirmedAt <= SELF_FENCE_MS
  }

  /** Gives the lease up: whatever this worker still holds may be taken at once. */
  async end(): Promise<void> {
    this.stop()
    const { store, clock, row } = this.options
    const said = store.workers.beat({ ...row(), state: 'gone', leaseUntil: store.now() })
    await within(clock, END_MS, said).catch(() => undefined)
  }

  private arm(): void {
    if (this.stopped) return
    const due = this.options.clock.monotonic() + HEARTBEAT_MS
    this.timer = this.options.clock.after(HEARTBEAT_MS, () => {
      const late = this.options.clock.monotonic() - due
      if (late > STALL_MS) this.options.onStall(late)
      void this.renew()
    })
  }

  private async renew(): Promise<void> {
    // After a standstill the heartbeat may come before the fence; renewing then would bring back what others have taken over.
    if (this.options.clock.monotonic() - this.confirmedAt > SELF_FENCE_MS) return this.lost()
    try {
      if (!(await this.beat())) return this.lost()
    } catch {
      // The store does not answer: keep trying until the fence.
    }
    this.arm()
  }

  private async beat(): Promise<boolean> {
    const { store, clock, row } = this.options
    const sentAt = clock.monotonic()
    const mine = row()
    const state = await store.workers.beat({ ...mine, leaseUntil: store.now() + LEASE_MS })
    if (state === 'gone') return false
    this.confirm(sentAt)
    if (state === 'draining' && mine.state === 'up' && !this.asked) {
      this.asked = true
      this.options.onDrain()
    }
    return true
  }

  /** Counted from when the heartbeat was sent; a timer of its own, because the next answer may never come. */
  private confirm(sentAt: number): void {
    if (this.stopped) return
    this.confirmedAt = sentAt
    this.fence?.cancel()
    const left = sentAt + SELF_FENCE_MS - this.options.clock.monotonic()
    this.fence = this.options.clock.after(Math.max(0, left), () => this.lost())
  }

  private lost(): void {
    if (this.stopped) return
    this.stop()
    this.options.onLost()
  }
}
