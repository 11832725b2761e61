/**
 * What a transport is to announce. Announcements are rows beside `live`, so that claims pay nothing for them: a row
 * counts only while its job waits in the same lane under the same epoch, and whoever announces next removes the others.
 * There are never more of them than the windows of all queues together, so all are looked at each time.
 */
import { partsOf } from '../../core/job.js'
import { sharesOf } from '../../core/window.js'
import type { Announcement, Dispatched, DispatchRequest, Store } from '../store.js'
import { CLAIMABLE } from './migrations/0001-initial.js'
import type { PauseBook } from './pauses.js'
import { all, type Dialect, type Driver, each, hold, type Plan, put, type Value } from './plan.js'
import type { Lent } from './workers.js'

/** Name behind which announcements are made: two relays at once would announce the same jobs. */
const DISPATCH = 'dispatch'

const KNOWN = 'select job_id, lane, epoch, no, at from announced order by no, job_id'
/** By id, and the rest is no condition: the index of ready jobs would have the whole lane looked at. */
const WAITS = `select l.id, case when l.lane = ?2 and l.epoch = ?3 and ${CLAIMABLE} then 1 else 0 end as waits from live l where l.id = ?1`

/** Announced ones are left out by whoever reads it: a planner that is asked to do so would look at the whole lane. */
const READY = `select l.id, l.epoch from live l where l.lane = ?1 and ${CLAIMABLE} and l.level = ?2 and l.run_at <= ?3
  and (l.deadline_at is null or l.deadline_at > ?3 or l.state = 'compensating') order by l.run_at, l.id limit ?4`

/** `published` says nothing any more: old programs insist on it. */
const INSERT = `insert into announced (job_id, lane, epoch, no, at, published) values (?1, ?2, ?3, ?4, ?4, 0)`
const REPEAT = 'update announced set at = ?3 where job_id = ?1 and no = ?2'
const REMOVE = 'delete from announced where job_id = ?1 and no = ?2'

interface Ready {
  id: string
  epoch: number
}

interface Row {
  job_id: string
  lane: string
  epoch: number
  no: number
  at: number
}

/** @param together shares a commit with what others ask; null where that would keep them waiting */
export function dispatchOf(driver: Driver, pauses: PauseBook, together: Lent['write'] | null): Store['dispatch'] {
  return async (request) => {
    const plan = () => dispatchPlan(request, driver.now(), driver.dialect, pauses)
    if (together) return together(plan)
    try {
      // Those who announce wait for each other; the claims and ends of their processes do not wait with them.
      return await driver.transact(plan, true)
    } catch (error) {
      throw driver.explain(error)
    }
  }
}

function* dispatchPlan(request: DispatchRequest, now: number, dialect: Dialect, pauses: PauseBook): Plan<Dispatched> {
  yield* hold([DISPATCH], dialect)
  yield* put(REMOVE, request.returned.map(keyOf))
  const paused = yield* pauses.paused()
  const rows = yield* all<Row>(KNOWN)
  const lives = yield* each<{ waits: number }>(
    WAITS,
    rows.map(({ job_id, lane, epoch }) => [job_id, lane, epoch]),
  )
  const counts = (row: Row, i: number) => lives[i]?.waits === 1 && !paused(row.lane)
  yield* put(
    REMOVE,
    rows.filter((row, i) => !counts(row, i)).map((row) => [row.job_id, row.no]),
  )
  const known = rows.filter(counts)
  const late = known.filter(({ at }) => at <= now - request.repeatAfterMs || at > now + request.repeatAfterMs)
  yield* put(
    REPEAT,
    late.map((row) => [row.job_id, row.no, now]),
  )
  /** By lane: what is announced, or is to be. */
  const under = new Map<string, Set<string>>()
  const carried = new Map<string, number>()
  for (const { job_id, lane } of known) {
    const { queue } = partsOf(lane)
    idsIn(under, lane).add(job_id)
    carried.set(queue, (carried.get(queue) ?? 0) + 1)
  }
  const fresh: Announcement[] = []
  const added: Value[][] = []
  const full: string[] = []
  for (const [queue, lanes] of byQueue(request.lanes.filter((lane) => !paused(lane)))) {
    let room = request.window - Math.max(carried.get(queue) ?? 0, request.carried.get(queue) ?? 0)
    let open = lanes
    // Lanes that hold less than their share leave the rest of it to the others.
    while (room > 0 && open.length > 0) {
      const shares = sharesOf(
        room,
        open.map((lane) => idsIn(under, lane).size),
      )
      const asked = open.map((lane, i) => ({ lane, share: shares[i]!, had: idsIn(under, lane) }))
      const given = yield* take(asked, request.levels, now)
      for (const [i, { lane, had }] of asked.entries()) {
        for (const { id, epoch } of given[i]!) {
          had.add(id)
          fresh.push({ jobId: id, lane, dispatchNo: now })
          added.push([id, lane, epoch, now])
          room--
        }
      }
      open = open.filter((_, i) => given[i]!.length === shares[i])
    }
    // Not all at once: there may be more lanes than a call takes arguments.
    for (const lane of open) full.push(lane)
  }
  yield* put(INSERT, added)
  return { fresh, again: late.map((row) => ({ jobId: row.job_id, lane: row.lane, dispatchNo: row.no })), full }
}

const keyOf = ({ jobId, dispatchNo }: Announcement): Value[] => [jobId, dispatchNo]

interface Asked {
  lane: string
  share: number
  /** What is announced there already. */
  had: ReadonlySet<string>
}

/** Up to `share` ready jobs of each lane that nobody has announced. */
function* take(asked: readonly Asked[], levels: readonly number[], now: number): Plan<Ready[][]> {
  const given: Ready[][] = asked.map(() => [])
  // With more lanes than places each gets one: then one statement asks them all.
  const single = asked.flatMap(({ share, had }, i) => (share === 1 && had.size === 0 ? [i] : []))
  const firsts = yield* each<Ready>(
    READY,
    single.flatMap((i) => levels.map((level) => [asked[i]!.lane, level, now, 1])),
  )
  for (const [n, i] of single.entries()) {
    const first = firsts.slice(n * levels.length, (n + 1) * levels.length).find((row) => row !== undefined)
    if (first) given[i]!.push(first)
  }
  for (const [i, { lane, share, had }] of asked.entries()) {
    if (share === 0 || (share === 1 && had.size === 0)) continue
    for (const level of levels) {
      if (given[i]!.length >= share) break
      const rows = yield* all<Ready>(READY, lane, level, now, share + had.size)
      given[i]!.push(...rows.filter(({ id }) => !had.has(id)).slice(0, share - given[i]!.length))
    }
  }
  return given
}

function idsIn(lanes: Map<string, Set<string>>, lane: string): Set<string> {
  const ids = lanes.get(lane) ?? new Set()
  lanes.set(lane, ids)
  return ids
}

function byQueue(lanes: readonly string[]): Map<string, string[]> {
  const queues = new Map<string, string[]>()
  for (const lane of lanes) {
    const { queue } = partsOf(lane)
    queues.set(queue, [...(queues.get(queue) ?? []), lane])
  }
  return queues
}
