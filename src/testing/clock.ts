/**
 * A clock that tests own: time stands still until it is moved. advance() runs each due timer at its own instant;
 * stall() is a process that stood still (SIGSTOP, blocked loop): time passes, then everything that is due runs late.
 */
import type { Clock, Timer } from '../core/clock.js'

interface Pending {
  due: number
  fn: () => void
}

export class TestClock implements Clock {
  private elapsed = 0
  private readonly pending = new Set<Pending>()
  private wall: number

  /**
   * @param start the first instant, in milliseconds since the epoch
   * @param settle called after each timer, so that what it began can get as far as it can
   */
  constructor(
    start = Date.UTC(2026, 10, 22, 9),
    private settle: () => Promise<void> = turn,
  ) {
    this.wall = start
  }

  now(): number {
    return this.wall + this.elapsed
  }

  monotonic(): number {
    return this.elapsed
  }

  after(ms: number, fn: () => void): Timer {
    const timer = { due: this.elapsed + Math.max(0, ms), fn }
    this.pending.add(timer)
    return { cancel: () => void this.pending.delete(timer) }
  }

  /** Its time passes only while somebody moves it, and that somebody is alive. */
  keepAlive(): Timer {
    return { cancel: () => {} }
  }

  /** Timers that have not fired; a rig that is closed leaves none. */
  get timers(): number {
    return this.pending.size
  }

  /** Milliseconds until the next timer, or null when there is none. */
  get next(): number | null {
    const first = this.first()
    return first && Math.max(0, first.due - this.elapsed)
  }

  /** Moves time by `ms`; timers that become due run in order, each at its own instant. */
  async advance(ms: number): Promise<void> {
    const target = this.elapsed + ms
    await this.settle()
    for (let timer = this.first(); timer && timer.due <= target; timer = this.first()) {
      this.elapsed = Math.max(this.elapsed, timer.due)
      await this.fire(timer)
    }
    this.elapsed = Math.max(this.elapsed, target)
  }

  /** Time passes while nothing runs; what became due meanwhile runs afterwards, late, without a pause between. */
  async stall(ms: number): Promise<void> {
    this.elapsed += ms
    const late = [...this.pending].filter((timer) => timer.due <= this.elapsed).sort((a, b) => a.due - b.due)
    for (const timer of late) if (this.pending.delete(timer)) timer.fn()
    await this.settle()
  }

  /** Sets the wall clock forward or back; monotonic time and timers do not notice. */
  skew(ms: number): void {
    this.wall += ms
  }

  /** Replaces what happens after each timer; a rig knows better than the default when its store is idle. */
  settleWith(settle: () => Promise<void>): void {
    this.settle = settle
  }

  private async fire(timer: Pending): Promise<void> {
    this.pending.delete(timer)
    timer.fn()
    await this.settle()
  }

  private first(): Pending | null {
    let first: Pending | null = null
    for (const timer of this.pending) if (!first || timer.due < first.due) first = timer
    return first
  }
}

/** One turn of the event loop: everything that waits for the next commit has been committed and answered. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
}
