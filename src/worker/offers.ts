/**
 * Deliveries that wait for a free slot of this worker. Each is answered once: its job was claimed, there was nothing to
 * claim, or nobody here had room for it soon enough. What was delivered together is one promise and one timer.
 */
import type { Clock, Timer } from '../core/clock.js'
import { partsOf } from '../core/job.js'
import type { Claimed, LaneQuota } from '../stores/store.js'
import type { Delivered, Message } from '../transports/transport.js'

/** A delivery that finds no room for so long goes back: another host may have some. */
export const HOLD_MS = 500

/** Besides as many deliveries of a lane as are sure to be claimed, so many more are asked for. */
const AHEAD = 16
/** Among those asked for at least one in so many is believed to wait still. */
const DROPPED_MOST = 4
/** After so many claims that met nothing but what was delivered here, the next one expects the same. */
const UNMIXED_AFTER = 4

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
  /** Which part of the deliveries that were asked for had not been claimed elsewhere, lately. */
  private kept = 1
  /** How many claims in a row have met nothing but what was delivered here. */
  private unmixed = 0

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

  get any(): boolean {
    return this.waiting.size > 0
  }

  /** Lanes with deliveries, and how many jobs of each were delivered. */
  *lanes(): Generator<{ lane: string; count: number }> {
    for (const [lane, jobs] of this.waiting) yield { lane, count: jobs.size }
  }

  /**
   * Those of a lane that a claim of up to `limit` jobs asks for. Some were claimed elsewhere meanwhile; those far behind are
   * asked for with the claims that have room for them.
   */
  first(lane: string, limit: number): string[] {
    const most = Math.ceil(limit / this.kept) + AHEAD
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

  /** Whether jobs that others were told of are to be expected in the lanes of what was delivered. */
  get mixed(): boolean {
    return this.unmixed < UNMIXED_AFTER
  }

  /**
   * Answers what a claim has asked for: deliveries whose jobs still wait stay for the next one, all others are done with.
   * @param lanes as they were asked
   * @param left what the claim left waiting
   */
  claimedFrom(lanes: readonly LaneQuota[], claimed: readonly Claimed[], left: ReadonlySet<string>): void {
    let asked = 0
    let dropped = 0
    let others = 0
    for (const { lane, ids } of lanes) {
      if (!ids) continue
      const given = claimed.filter(({ live }) => live.lane === lane).map(({ live }) => live.id)
      const here = new Set(ids)
      others += given.filter((id) => !here.has(id)).length
      // Which ones were claimed is decided by the lane: some may be of those that were not asked for.
      this.settle(lane, given, 'claimed')
      for (const id of given) here.delete(id)
      const none = [...here].filter((id) => !left.has(id))
      this.settle(lane, none, 'dropped')
      asked += ids.length
      dropped += none.length
    }
    if (asked === 0) return
    this.kept = Math.max(1 / DROPPED_MOST, (this.kept + 1 - dropped / asked) / 2)
    this.unmixed = others + dropped > 0 ? 0 : this.unmixed + 1
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
