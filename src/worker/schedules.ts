/**
 * Keeps the time for schedules: maintenance has it look every second, which is what makes it correct, and it sets a timer
 * for an instant that comes before the next look, which is what makes it precise. What becomes of an instant is decided
 * by the engine.
 */
import type { Clock, Timer } from '../core/clock.js'
import type { Firings } from '../engine/firing.js'

/** Instants up to so far ahead get a timer: a little more than the time until the next look. */
const HORIZON_MS = 1500

export interface ScheduleClockOptions {
  firings: Firings
  clock: Clock
  /** The instant all rows are judged by. */
  now: () => number
  onError: (error: unknown) => void
}

export class ScheduleClock {
  private timer: Timer | null = null
  private passing: Promise<void> | null = null
  private stopped = false
  constructor(private readonly options: ScheduleClockOptions) {}

  /** What came while nobody was there is dealt with at once. */
  async start(): Promise<void> {
    await this.options.firings.recover()
    void this.look()
  }

  /** Resolves when a look under way has ended; nothing is asked of the store after that. */
  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.cancel()
    await this.passing
  }

  /** Fires what has come. Never rejects; a second look while one is under way is that one. */
  look(): Promise<void> {
    if (this.stopped) return Promise.resolve()
    this.passing ??= this.pass().finally(() => {
      this.passing = null
    })
    return this.passing
  }

  private async pass(): Promise<void> {
    const { firings, onError, clock, now } = this.options
    try {
      const nextAt = await firings.pass(HORIZON_MS, onError, () => this.stopped)
      this.timer?.cancel()
      if (nextAt === null || this.stopped) return
      this.timer = clock.after(Math.max(1, nextAt - now()), () => void this.look())
    } catch (error) {
      onError(error)
    }
  }
}
