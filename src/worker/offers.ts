/**
 * Deliveries that wait for a free slot of this worker. Each is answered once: its job was claimed, there was nothing to
 * claim, or nobody here had room for it soon enough. What was delivered together is one promise and one timer.
 */
import type { Clock, Timer } from '../core/clock.js'
import { partsOf } from '../core/job.js'
import type { Delivered, Message } from '../transports/transport.js'

/** A delivery that finds no room for so long goes back: another host may have some. */
export const HOLD_MS = 500

/** What came together. */
interface Delivery {
  messages: readonly Message[]
  answers: (Delivered | undefined)[]
  open: number
  resolve: (answers: Delivered[]) => void
  timer: Timer
}

/** One message of a delivery. */
interface Offer {
  of: Delivery
  index: number
}

export class Offers {
  /** By lane and job, in the order in which the jobs came. */
  private readonly waiting = new Map<string, Map<string, Offer[]>>()
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

  /** @returns the answers, in the order of the messages */
  add(messages: readonly Message[]): Promise<Delivered[]> {
    return new Promise((resolve) => {
      const timer = this.clock.after(HOLD_MS, () => this.giveUp(delivery))
      const delivery: Delivery = { messages, answers: [], open: messages.length, resolve, timer }
      for (const [index, { lane, jobId }] of messages.entries()) {
        let jobs = this.waiting.get(lane)
        if (!jobs) this.waiting.set(lane, (jobs = new Map()))
        const offer = { of: delivery, index }
        const offers = jobs.get(jobId)
        if (offers) offers.push(offer)
        else jobs.set(jobId, [offer])
      }
      if (messages.length === 0) this.close(delivery)
    })
  }

  /** Lanes with deliveries, and how many jobs of each were delivered. */
  *lanes(): Generator<{ lane: string; count: number }> {
    for (const [lane, jobs] of this.waiting) yield { lane, count: jobs.size }
  }

  /** Of a lane, those that came first. */
  first(lane: string, most: number): string[] {
    const ids: string[] = []
    for (const id of this.waiting.get(lane)?.keys() ?? []) if (ids.push(id) >= most) break
    return ids
  }

  /** How many wait for this queue, by type. */
  typesOf(queue: string): Map<string, number> {
    const types = new Map<string, number>()
    for (const [lane, jobs] of this.waiting) {
      const parts = partsOf(lane)
      if (parts.queue === queue) types.set(parts.type, (types.get(parts.type) ?? 0) + jobs.size)
    }
    return types
  }

  /** Answers all deliveries of these jobs, duplicates included. */
  settle(lane: string, ids: Iterable<string>, delivered: Delivered): void {
    const jobs = this.waiting.get(lane)
    if (!jobs) return
    for (const id of ids) {
      const offers = jobs.get(id)
      if (!offers) continue
      jobs.delete(id)
      for (const offer of offers) this.answer(offer, delivered)
    }
    if (jobs.size === 0) this.waiting.delete(lane)
  }

  private answer({ of, index }: Offer, delivered: Delivered): void {
    of.answers[index] = delivered
    if (delivered === 'claimed') {
      this.turn()
      this.claimed++
    }
    if (--of.open === 0) this.close(of)
  }

  private close({ timer, resolve, answers }: Delivery): void {
    timer.cancel()
    resolve(answers as Delivered[])
  }

  /** What is left of a delivery that was held for long enough. */
  private giveUp({ messages, answers }: Delivery): void {
    for (const [index, { lane, jobId }] of messages.entries())
      if (answers[index] === undefined) this.settle(lane, [jobId], 'returned')
  }

  returnAll(): void {
    for (const [lane, jobs] of [...this.waiting]) this.settle(lane, [...jobs.keys()], 'returned')
  }
}
