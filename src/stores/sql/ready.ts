/**
 * What a transport may tell workers of: which jobs of a lane are ready, in the order in which claims take them, and which of
 * some jobs still wait. Reads only; nothing is written down of what is announced.
 */
import { fromOf, type Marks } from '../../core/marks.js'
import type { ReadyJob, ReadyQuota, WaitingJob } from '../store.js'
import { levelByLevel, readyAt } from './lanes.js'
import type { PauseBook } from './pauses.js'
import { type Asked, answerTo, ask, type Dialect, each, type Plan } from './plan.js'

const readyOf = (levels: readonly number[]) =>
  levelByLevel(
    levels,
    'id, version, level, run_at',
    (level, limit, from) =>
      `select l.id, l.version, l.level, l.run_at from live l where l.lane = ?1 and l.level = ${level} and l.run_at >= ${from} and ${readyAt('?2')} order by l.run_at, l.id limit ${limit}`,
  )

interface Row {
  id: string
  version: number
  level: number
  run_at: number
}

export interface ReadyRequest {
  lanes: readonly ReadyQuota[]
  levels: readonly number[]
}

/** Nothing of what is paused. */
export function* readyPlan(
  { lanes, levels }: ReadyRequest,
  { now, marks, pauses }: { now: number; marks: Marks | null; pauses: PauseBook },
): Plan<ReadyJob[][]> {
  const sql = readyOf(levels)
  const given: ReadyJob[][] = lanes.map(() => [])
  const give = (i: number, rows: readonly Row[]) => {
    given[i] = rows.map(({ id, version, level, run_at }) => ({ id, version, level, runAt: run_at }))
  }
  // With more lanes than places each gets one: then one statement asks them all.
  const single = lanes.flatMap(({ limit }, i) => (limit === 1 ? [i] : []))
  const looks: [index: number, Asked][] = []
  const fromFor = ({ lane, from }: ReadyQuota) =>
    fromOf(marks, lane).map((at, level) => Math.max(at, from?.[level] ?? 0))
  for (const [i, quota] of lanes.entries())
    if (quota.limit > 1) looks.push([i, yield* ask(sql, quota.lane, now, quota.limit, ...fromFor(quota))])
  const paused = yield* pauses.paused()
  const firsts = yield* each<Row>(
    sql,
    single.map((i) => [lanes[i]!.lane, now, 1, ...fromFor(lanes[i]!)]),
  )
  for (const [n, i] of single.entries()) if (firsts[n] && !paused(lanes[i]!.lane)) give(i, [firsts[n]])
  for (const [i, look] of looks) {
    const rows = (yield* answerTo(look)) as Row[]
    if (!paused(lanes[i]!.lane)) give(i, rows)
  }
  return given
}

/** In which lane each of these jobs waits. That they are ready is no condition: the index of ready jobs would have whole lanes looked at. */
export function* askWaiting(ids: Iterable<string>, now: number, dialect: Dialect): Plan<Asked> {
  return yield* ask(
    `select l.id, case when ${readyAt('?2')} then l.lane end as lane, l.version from live l where ${dialect.inList('l.id', 1)}`,
    JSON.stringify([...new Set(ids)]),
    now,
  )
}

export function* waitingPlan(
  ids: readonly string[],
  now: number,
  dialect: Dialect,
): Plan<ReadonlyMap<string, WaitingJob>> {
  const rows = yield* answerTo(yield* askWaiting(ids, now, dialect))
  return new Map(rows.flatMap(({ id, lane, version }) => (lane === null ? [] : [[id, { lane, version }]])))
}
