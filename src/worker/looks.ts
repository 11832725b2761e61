/**
 * When somebody looks at everything: about every second or less often, a small part of the time however long it takes,
 * and sooner when something was missed.
 */
import type { Clock, Timer } from '../core/clock.js'

export const LOOK_EVERY_MS = 1000
/** A look may take one part in so many of the time, and one that comes sooner because something was missed. */
const SHARE = 50
const SOONER_SHARE = 10
/** However long looks take, somebody who was not told of something finds it within this time. */
const MOST_MS = 30_000

export class Looks {
  private looking: Promise<void> | null = null
  private again = false
  private missed = false
  private lastAt = Number.NEGATIVE_INFINITY
  /** How long the last one took, and the one before it. */
  private took = 0
  private tookBefore = 0
  private timer: Timer | null = null
  private stopped = false

  /**
   * @param once never rejects
   * @param everyMs between two looks, where they take no time
   */
  constructor(
    private readonly clock: Clock,
    private readonly random: () => number,
    private readonly once: () => Promise<void>,
    private readonly everyMs = LOOK_EVERY_MS,
  ) {}

  /** Whether one is under way. */
  get busy(): boolean {
    return this.looking !== null
  }

  /** One at a time; what is asked for meanwhile is another one after it. Resolves with the one that is under way. */
  now(): Promise<void> {
    if (this.looking) {
      this.again = true
      return this.looking
    }
    this.again = false
    this.looking = this.look().finally(() => {
      this.looking = null
      if (this.again) void this.now()
      else if (this.missed) this.sooner()
    })
    return this.looking
  }

  /** Something was missed: the look that would come within a second comes now, or as soon as may be. */
  sooner(): void {
    if (this.stopped) return
    this.missed = true
    if (this.looking) return
    const wait = this.lastAt + Math.min(SOONER_SHARE * this.took, LOOK_EVERY_MS) - this.clock.monotonic()
    this.timer?.cancel()
    if (wait > 0) this.timer = this.clock.after(wait, () => void this.now())
    else void this.now()
  }

  private async look(): Promise<void> {
    if (this.stopped) return
    const { clock } = this
    this.timer?.cancel()
    this.missed = false
    const began = clock.monotonic()
    await this.once()
    this.lastAt = clock.monotonic()
    this.tookBefore = this.took
    this.took = this.lastAt - began
    if (this.stopped) return
    // Processes that were started together do not look together.
    // One that hung because nothing answered says nothing of the next.
    const usual = Math.min(this.took, this.tookBefore)
    const ms = Math.ceil(Math.max(this.everyMs, Math.min(usual * SHARE, MOST_MS)) * (0.75 + this.random() / 2))
    this.timer = clock.after(ms, () => void this.now())
  }

  /** Resolves when none is under way. */
  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.cancel()
    await this.looking
  }
}
