/**
 * What stands in the lanes: what is ready, where there is something to claim, from when on, and how much waits. Seeks and
 * capped counts only, so that the answers cost the same however many jobs wait.
 */
import { LEVELS } from '../../core/job.js'
import type { Marks } from '../../core/marks.js'
import type { LaneLoad } from '../store.js'
import { BEHIND, CLAIMABLE } from './migrations/0001-initial.js'
import type { PauseBook } from './pauses.js'
import { all, each, type Plan } from './plan.js'

/** What is ready at an instant, as a condition on `live l`. @param at its parameter */
export const readyAt = (at: string): string =>
  `${CLAIMABLE} and l.run_at <= ${at} and (l.deadline_at is null or l.deadline_at > ${at} or l.state = 'compensating')`

/**
 * One query for several levels of a lane, in their order and up to `?3` rows together, each from its mark in `?4` and on. Each level is looked at only as far as
 * those before it left room, and materialized, or a planner may hold more rows than it gives.
 * @param ofLevel the query of one level up to a limit, that gives these columns
 */
export function levelByLevel(
  levels: readonly number[],
  columns: string,
  ofLevel: (level: number, limit: string, from: string) => string,
): string {
  const parts = levels.map((level, i) => {
    const room = levels.slice(0, i).map((_, before) => ` - (select count(*) from found${before})`)
    return `found${i} as materialized (${ofLevel(level, `?3${room.join('')}`, `?${4 + level}`)})`
  })
  return `with ${parts.join(', ')} ${levels.map((_, i) => `select ${columns} from found${i}`).join(' union all ')}`
}

const EARLIEST = LEVELS.map(
  (level) =>
    `(select l.run_at from live l where l.lane = found.lane and ${CLAIMABLE} and l.level = ${level} order by l.run_at limit 1) as at${level}`,
)

/** A loose index scan: a few seeks per lane however many jobs wait, in one statement because there may be many lanes. */
const lanesWhere = (condition: string, columns: readonly string[]) => `with recursive found(lane) as (
    select (select lane from live where ${condition} order by lane limit 1)
    union all select (select lane from live where ${condition} and lane > found.lane order by lane limit 1) from found where found.lane is not null
  ) select ${['lane', ...columns].join(', ')} from found where lane is not null`
const LANES = lanesWhere(CLAIMABLE, EARLIEST)

/** Lanes with something to claim, now or later. Each is read from its beginning, which puts its mark right. */
export function* lanesPlan(book: PauseBook, marks: Marks | null): Plan<{ lane: string; runAt: number }[]> {
  const rows = yield* all(LANES)
  const lanes = rows.map(({ lane, ...levels }) => ({
    lane: lane as string,
    runAt: Math.min(...Object.values(levels).filter((at) => at !== null)),
  }))
  for (const { lane, runAt } of lanes) marks?.came(lane, runAt)
  const paused = yield* book.paused()
  return lanes.filter(({ lane }) => !paused(lane))
}

/** The earliest runAt in a lane: one seek per level. */
export function* duePlan(lane: string, book: PauseBook): Plan<number | null> {
  if ((yield* book.paused())(lane)) return null
  const levels = yield* each<{ at: number }>(
    `select run_at as at from live where lane = ?1 and ${CLAIMABLE} and level = ?2 order by run_at limit 1`,
    LEVELS.map((level) => [lane, level]),
  )
  const instants = levels.flatMap((row) => (row ? [row.at] : []))
  return instants.length > 0 ? Math.min(...instants) : null
}

const READY = `select count(*) as n, min(run_at) as at from (select run_at from live where lane = ?1 and ${CLAIMABLE} and level = ?2 and run_at <= ?3 order by run_at limit ?4) r`
const HELD = `select count(*) as n, min(run_at) as at from (select run_at from live where lane = ?1 and ${BEHIND} order by run_at limit ?2) h`
const RUNNING = 'select lane, count(*) as n from live where worker is not null group by lane'

/** How much waits and runs per lane. @param cap counts end there */
export function* loadPlan(now: number, cap: number): Plan<LaneLoad[]> {
  const loads = new Map<string, LaneLoad>()
  const at = (lane: string): LaneLoad => {
    const load = loads.get(lane) ?? { lane, ready: 0, held: 0, oldestAt: null, running: 0 }
    loads.set(lane, load)
    return load
  }
  const older = (load: LaneLoad, { n, at }: { n: number; at: number | null }): number => {
    if (at !== null && (load.oldestAt === null || at < load.oldestAt)) load.oldestAt = at
    return Number(n)
  }
  type Count = { n: number; at: number | null }
  const claimable = (yield* all<{ lane: string }>(LANES)).map(({ lane }) => lane)
  const ready = yield* each<Count>(
    READY,
    claimable.flatMap((lane) => LEVELS.map((level) => [lane, level, now, cap])),
  )
  ready.forEach((row, i) => {
    const load = at(claimable[Math.floor(i / LEVELS.length)]!)
    load.ready += older(load, row!)
  })
  const behind = (yield* all<{ lane: string }>(lanesWhere(BEHIND, []))).map(({ lane }) => lane)
  const held = yield* each<Count>(
    HELD,
    behind.map((lane) => [lane, cap]),
  )
  held.forEach((row, i) => {
    const load = at(behind[i]!)
    load.held += older(load, row!)
  })
  for (const { lane, n } of yield* all<{ lane: string; n: number }>(RUNNING)) at(lane).running = Number(n)
  return [...loads.values()]
}
