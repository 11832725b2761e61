/**
 * What a relay announces next: as many ready jobs as the window of their queue has room for, shared among its lanes. Lanes
 * whose announcements nobody takes (their type is at its limit, say) have the window to themselves, and the others another
 * one, or they would be kept out for as long as that lasts.
 */
import type { Clock } from '../core/clock.js'
import { partsOf } from '../core/job.js'
import { levelsOf } from '../core/limits.js'
import { type Marks, seenBy } from '../core/marks.js'
import { sharesOf } from '../core/window.js'
import type { Store } from '../stores/store.js'
import type { Announced } from './announced.js'
import { HOLD_MS } from './offers.js'

/** A window of which so much is free is filled again: several together, or each claim would be one more question. */
const REFILL_PARTS = 8

/** A job to be announced. */
export interface Fresh {
  id: string
  lane: string
  version: number
}

export interface Filled {
  fresh: Fresh[]
  /** Lanes for which there was not room enough: they may hold more. */
  full: string[]
}

export interface FillingParts {
  store: Pick<Store, 'ready'>
  clock: Clock
  /** Most jobs of a queue that may be announced and unclaimed. */
  window: number
  known: Pick<Announced, 'get' | 'inLane' | 'inQueue' | 'stuck'>
  /** How many messages of a queue the transport itself carries; it counts if it is more than what is known. */
  carried: (queue: string) => Promise<number>
  /** Behind what was announced, and how many of a lane stand on its mark: they are read again. */
  marks: Marks
  again: Map<string, number>
  /** Whether something newer was heard of a job while the store was asked. */
  isOlder: (id: string, version: number) => boolean
}

export class Filling {
  /** Lanes for which there was no room last time: asked again with whatever is asked next, or they would never have a turn. */
  private full = new Set<string>()
  /** One of them by queue. */
  private byQueue = new Map<string, string>()
  /** By queue: how many of its announcements nobody takes. */
  private readonly idle = new Map<string, number>()
  private turn = 0
  /** Whether the store is being asked. */
  busy = false

  constructor(private readonly parts: FillingParts) {}

  isFull(lane: string): boolean {
    return this.full.has(lane)
  }

  /** A lane of this queue that had no room: with it all are asked that had none. */
  fullOf(queue: string): string | undefined {
    return this.byQueue.get(queue)
  }

  /** The same, once there is enough room again. */
  refillOf(queue: string): string | undefined {
    const { known, window } = this.parts
    return known.inQueue(queue) - (this.idle.get(queue) ?? 0) <= enough(window) ? this.byQueue.get(queue) : undefined
  }

  get waits(): boolean {
    return this.full.size > 0
  }

  clear(): void {
    this.full.clear()
    this.byQueue.clear()
    this.idle.clear()
  }

  /** @param ready lanes that may hold ready jobs, besides those that had no room */
  async next(ready: readonly string[], reaches: (lane: string) => boolean): Promise<Fresh[]> {
    const lanes = [...new Set([...ready, ...this.full])].filter(reaches)
    this.busy = true
    try {
      const { fresh, full } = await fill(lanes, this.turn++, this.parts, this.idle)
      this.full = new Set(full)
      this.byQueue = new Map(full.map((lane) => [partsOf(lane).queue, lane]))
      return fresh
    } finally {
      this.busy = false
    }
  }
}

/** @param turn which pass it is: lanes and levels take turns in who comes first */
async function fill(
  lanes: readonly string[],
  turn: number,
  parts: FillingParts,
  idle: Map<string, number>,
): Promise<Filled> {
  const first = turn % Math.max(1, lanes.length)
  const queues = new Map<string, string[]>()
  for (const lane of [...lanes.slice(first), ...lanes.slice(0, first)]) {
    const { queue } = partsOf(lane)
    const known = queues.get(queue)
    if (known) known.push(lane)
    else queues.set(queue, [lane])
  }
  const levels = levelsOf(turn)
  const filled = await Promise.all([...queues].map(([queue, of]) => fillQueue(queue, of, levels, parts, idle)))
  return { fresh: filled.flatMap(({ fresh }) => fresh), full: filled.flatMap(({ full }) => full) }
}

/** What was announced so long ago is not wanted now: whoever had no room for it has said so. */
const STUCK_AFTER_MS = HOLD_MS

async function fillQueue(
  queue: string,
  lanes: readonly string[],
  levels: readonly number[],
  parts: FillingParts,
  idleOf: Map<string, number>,
): Promise<Filled> {
  const { window, known, carried, clock } = parts
  let messages: number
  try {
    messages = await carried(queue)
  } catch {
    // The transport has just gone away, and says so itself.
    return { fresh: [], full: [] }
  }
  const used = Math.max(known.inQueue(queue), messages)
  const stuck = used <= window / 2 ? NONE : known.stuck(queue, clock.now() - STUCK_AFTER_MS)
  const idle = [...stuck.values()].reduce((sum, n) => sum + n, 0)
  if (idle > 0) idleOf.set(queue, idle)
  else idleOf.delete(queue)
  const flowing = lanes.filter((lane) => !stuck.has(lane))
  // Two windows in all, and one place for each lane that has none.
  const most = Math.max(2 * window - used, flowing.filter((lane) => known.inLane(lane) === 0).length)
  const first = await share(flowing, Math.min(window - (used - idle), most), levels, parts)
  const others = lanes.filter((lane) => stuck.has(lane))
  const second = await share(others, window - used - first.fresh.length, levels, parts)
  return { fresh: [...first.fresh, ...second.fresh], full: [...first.full, ...second.full] }
}

/** With no more than so many announced there is enough room to fill. */
const enough = (window: number) => window - Math.ceil(window / REFILL_PARTS)

const NONE: ReadonlyMap<string, number> = new Map()

async function share(
  lanes: readonly string[],
  places: number,
  levels: readonly number[],
  { store, clock, known, marks, again, isOlder }: FillingParts,
): Promise<Filled> {
  const fresh: Fresh[] = []
  const added = new Map<string, number>()
  const taken = new Set<string>()
  let room = places
  let open = lanes
  // Lanes that hold less than their share leave the rest of it to the others.
  while (room > 0 && open.length > 0) {
    const under = open.map((lane) => known.inLane(lane) + (added.get(lane) ?? 0))
    const shares = sharesOf(room, under)
    const round = marks.begin()
    const now = clock.now()
    const asked = open.map((lane, i) => ({
      ...{ lane, from: [...marks.of(lane)] },
      limit: shares[i]! > 0 ? shares[i]! + (again.get(lane) ?? 0) : 0,
    }))
    const given = await store.ready(asked, levels)
    const more: string[] = []
    for (const [i, { lane, limit }] of asked.entries()) {
      const rows = given[i]!
      const left = new Set<string>()
      let places = shares[i]!
      for (const { id, version } of rows) {
        if (known.get(id) || taken.has(id) || isOlder(id, version)) continue
        if (places-- <= 0) {
          left.add(id)
          continue
        }
        taken.add(id)
        added.set(lane, (added.get(lane) ?? 0) + 1)
        fresh.push({ id, lane, version })
        room--
      }
      const seen = seenBy(lane, levels, rows, limit, { now, round, left: (n) => left.has(rows[n]!.id) })
      for (const one of seen) marks.saw(one)
      // What had no place is still there, also where the lane was read to its end.
      if (rows.length < limit && left.size === 0) again.delete(lane)
      else {
        more.push(lane)
        // Announced, these stand where the next read begins or behind it.
        const from = new Map(seen.map(({ level, at }) => [level, at]))
        const onMark = rows.filter(({ id, level, runAt }) => !left.has(id) && runAt >= from.get(level)!)
        if (rows.length > 0) again.set(lane, onMark.length)
      }
    }
    open = more
  }
  return { fresh, full: [...open] }
}
