/** A clock for tests that stands still until it is told to go on. Never in the package. */
import type { Clock, Timer } from '../../core/index.js'

export class FakeClock implements Clock {
  #now: number
  #timers: { at: number; fn: () => void }[] = []

  constructor(now = Date.parse('2026-11-22T09:00:00.000Z')) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, fn: () => void): Timer {
    const timer = { at: this.#now + ms, fn }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  keepAlive(): Timer {
    return { cancel: () => {} }
  }

  /** Timers that are still armed: what a closed stream must not leave behind. */
  get armed(): number {
    return this.#timers.length
  }

  /** Goes on by `ms`, firing what is due in its order. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const next = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = Math.max(this.#now, next.at)
      next.fn()
    }
    this.#now = until
  }
}
