/**
 * Values that a handler waited for and that are there: handed over in the order in which its attempts first saw them. So a
 * race between waits has one winner for ever, also when the one that lost arrives later. When is decided in parking.ts.
 */
import type { StepRow } from '../stores/store.js'

interface Arrival {
  /** The attempt that was the latest when it came: the next one was the first to see it. */
  after: number
  at: number
  give: () => void
}

export class Arrivals {
  private asked: Arrival[] = []

  get size(): number {
    return this.asked.length
  }

  /** @param give called when its turn has come */
  add({ attempt, endedAt }: Pick<StepRow, 'attempt' | 'endedAt'>, give: () => void): void {
    this.asked.push({ after: attempt, at: endedAt, give })
  }

  /** Those that one attempt was the first to see, the earliest first. */
  giveNext(): void {
    const after = this.asked.reduce((least, one) => Math.min(least, one.after), Number.POSITIVE_INFINITY)
    const now = this.asked.filter((one) => one.after === after).sort((a, b) => a.at - b.at)
    this.asked = this.asked.filter((one) => one.after !== after)
    for (const { give } of now) give()
  }
}
