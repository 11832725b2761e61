/**
 * Deliveries that wait for a free slot of this worker. Each is answered once: its job was claimed, there was nothing to
 * claim, or nobody here had room for it soon enough.
 */
import type { Clock, Timer } from '../core/clock.js'
import { partsOf } from '../core/job.js'
import type { Delivered, Message } from '../transports/transport.js'

/** A delivery that finds no room for so long goes back: another host may have some. */
export const HOLD_MS = 500

interface Offer {
  message: Message
  answer: (delivered: Delivered) => void
  timer: Timer
}

export class Offers {
  private readonly waiting = new Map<string, Offer[]>()
  private began = Number.NEGATIVE_INFINITY
  private claimed = 0
  private before = 0

  constructor(private readonly clock: Clock) {}

  /**
   * How many were claimed within the time that one is held: so many more are sure to find room before they must go back.
   * Where jobs are short they are at hand when a slot gets free; where they take long none is kept from other hosts.
   */
  get pace(): number {
    this.turn()
    return Math.max(this.before, this.claimed)
  }

  private turn(): void {
    const now = this.clock.monotonic()
    if (now - this.began < HOLD_MS) return
    this.before = now - this.began < 2 * HOLD_MS ? this.claimed : 0
    this.claimed = 0
    this.began = now
  }

  add(message: Message): Promise<Delivered> {
    return new Promise((resolve) => {
      const { lane, jobId } = message
      const timer = this.clock.after(HOLD_MS, () => this.settle(lane, new Set([jobId]), 'returned'))
      const answer = (delivered: Delivered) => {
        timer.cancel()
        if (delivered === 'claimed') {
          this.turn()
          this.claimed++
        }
        resolve(delivered)
      }
      const offers = this.waiting.get(lane)
      if (offers) offers.push({ message, answer, timer })
      else this.waiting.set(lane, [{ message, answer, timer }])
    })
  }

  /** Lanes with deliveries, each with the ids in the order in which they came. */
  *lanes(): Generator<{ lane: string; ids: string[] }> {
    for (const [lane, offers] of this.waiting) yield { lane, ids: [...new Set(offers.map((one) => one.message.jobId))] }
  }

  /** How many wait for this queue, by type. */
  typesOf(queue: string): Map<string, number> {
    const types = new Map<string, number>()
    for (const [lane, offers] of this.waiting) {
      const parts = partsOf(lane)
      if (parts.queue === queue) types.set(parts.type, (types.get(parts.type) ?? 0) + offers.length)
    }
    return types
  }

  /** Answers all deliveries of these jobs, duplicates included. */
  settle(lane: string, ids: ReadonlySet<string>, delivered: Delivered): void {
    const offers = this.waiting.get(lane) ?? []
    const rest = offers.filter(({ message }) => !ids.has(message.jobId))
    if (rest.length > 0) this.waiting.set(lane, rest)
    else this.waiting.delete(lane)
    for (const { message, answer } of offers) if (ids.has(message.jobId)) answer(delivered)
  }

  returnAll(): void {
    for (const { lane, ids } of [...this.lanes()]) this.settle(lane, new Set(ids), 'returned')
  }
}
