/**
 * What a relay has announced and nobody has claimed, as far as it has heard. In memory only, because it says nothing that
 * cannot be asked again: who has forgotten announces some jobs a second time, and the store lets one of the messages count.
 */
import { partsOf } from '../core/job.js'

export interface Entry {
  readonly id: string
  readonly lane: string
  /** Of the job as it waits: a newer one has been claimed since, or changed. */
  readonly version: number
  readonly dispatchNo: number
  /** When it was announced first, as it waits. */
  readonly since: number
  /** When it was announced last. */
  at: number
  /** When it was known to wait, last. */
  askedAt: number
}

export class Announced {
  private readonly entries = new Map<string, Entry>()
  private readonly lanes = new Map<string, number>()
  private readonly queues = new Map<string, number>()
  /** Above the numbers of all that has gone: it may be announced anew while its message is still being acknowledged. */
  unused = 0

  add(entry: Entry): void {
    this.gone(entry.id)
    this.entries.set(entry.id, entry)
    this.count(entry.lane, 1)
  }

  get(id: string): Entry | undefined {
    return this.entries.get(id)
  }

  /** @returns whether it was announced */
  gone(id: string): boolean {
    const entry = this.entries.get(id)
    if (!entry) return false
    this.entries.delete(id)
    this.unused = Math.max(this.unused, entry.dispatchNo + 1)
    this.count(entry.lane, -1)
    return true
  }

  private count(lane: string, by: number): void {
    const { queue } = partsOf(lane)
    for (const [counts, name] of [
      [this.lanes, lane],
      [this.queues, queue],
    ] as const) {
      const count = (counts.get(name) ?? 0) + by
      if (count > 0) counts.set(name, count)
      else counts.delete(name)
    }
  }

  inLane(lane: string): number {
    return this.lanes.get(lane) ?? 0
  }

  inQueue(queue: string): number {
    return this.queues.get(queue) ?? 0
  }

  /** Lanes of this queue in which something was announced that long ago and nobody takes it, with all that they have. */
  stuck(queue: string, before: number): ReadonlyMap<string, number> {
    const lanes = new Map<string, number>()
    for (const { lane, since } of this.entries.values())
      if (since <= before && !lanes.has(lane) && partsOf(lane).queue === queue) lanes.set(lane, this.inLane(lane))
    return lanes
  }

  all(): IterableIterator<Entry> {
    return this.entries.values()
  }

  clear(): void {
    for (const id of [...this.entries.keys()]) this.gone(id)
  }
}
