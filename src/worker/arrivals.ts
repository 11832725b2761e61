/**
 * The order in which a handler gets the values it waited for: that in which its attempts first saw them. So a race between
 * waits has one winner for ever, also when the one that lost arrives later. Decides nothing else.
 */
import type { StepRow } from '../stores/store.js'

interface Arrival {
  /** The attempt that was the latest when it came; the next one was the first to see it. */
  after: number
  at: number
  give: () => void
}

export class Arrivals {
  private asked: Arrival[] = []
  private giving = false

  /** Resolves when everything that came before it has been given, and has led to what it leads to by itself. */
  turnOf({ attempt, endedAt }: Pick<StepRow, 'attempt' | 'endedAt'>): Promise<void> {
    return new Promise((give) => {
      this.asked.push({ after: attempt, at: endedAt, give })
      if (!this.giving) void this.give()
    })
  }

  private async give(): Promise<void> {
    this.giving = true
    // Whoever races asks for all of them before the first is given.
    await null
    while (this.asked.length > 0) {
      const after = this.asked.reduce((least, one) => Math.min(least, one.after), Number.POSITIVE_INFINITY)
      const now = this.asked.filter((one) => one.after === after).sort((a, b) => a.at - b.at)
      this.asked = this.asked.filter((one) => one.after !== after)
      for (const { give } of now) give()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    this.giving = false
  }
}
