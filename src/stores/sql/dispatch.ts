/**
 * What a transport is to announce. Announcements are rows beside `live`, so that claims pay nothing for them: a row
 * counts only while its job waits in the same lane under the same epoch, and whoever announces next removes the others.
 * There are never more of them than the windows of all queues together, so all are looked at each time.
 */
import { partsOf } from '../../core/job.js'
import { sharesOf } from '../../core/window.js'
import type { Announcement, Dispatched, DispatchRequest, Store } from '../store.js'
import { levelByLevel, readyAt } from './lanes.js'
import { CLAIMABLE } from './migrations/0001-initial.js'
import type { PauseBook } from './pauses.js'
import { type Asked, answerTo, ask, type Dialect, type Driver, each, hold, type Plan, put, type Value } from './plan.js'
import type { Lent } from './tx.js'

/** Name behind which announcements are made: two relays at once would announce the same jobs. */
const DISPATCH = 'dispatch'

/** Whether it still waits is asked by id, and is no condition: the index of ready jobs would have whole lanes looked at. */
const KNOWN = `select a.job_id, a.lane, a.epoch, a.no, a.at, (select case when l.lane = a.lane and l.epoch = a.epoch and ${CLAIMABLE} then 1 else 0 end
  from live l where l.id = a.job_id) as waits from announced a order by a.no, a.job_id`

/** Announced ones are left out by whoever reads it: a planner that is asked to do so would look at the whole lane. */
const ready = (levels: readonly number[]) =>
  levelByLevel(
    levels,
    'id, epoch',
    (level, limit, from) =>
      `select l.id, l.epoch from live l where l.lane = ?1 and l.level = ${level} and l.run_at >= ${from} and ${readyAt('?2')} order by l.run_at, l.id limit ${limit}`,
  )

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
  /** Null where its job is over. */
  waits: number | null
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
  const asked = yield* ask(KNOWN)
  const paused = yield* pauses.paused()
  const rows = (yield* answerTo(asked)) as Row[]
  const counts = ({ waits, lane }: Row) => waits === 1 && !paused(lane)
  yield* put(
    REMOVE,
    rows.filter((row) => !counts(row)).map((row) => [row.job_id, row.no]),
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

interface Share {
  lane: string
  share: number
  /** What is announced there already. */
  had: ReadonlySet<string>
}

/** Up to `share` ready jobs of each lane that nobody has announced. */
function* take(asked: readonly Share[], levels: readonly number[], now: number): Plan<Ready[][]> {
  const given: Ready[][] = asked.map(() => [])
  // With more lanes than places each gets one: then one statement asks them all.
  const single = asked.flatMap(({ share, had }, i) => (share === 1 && had.size === 0 ? [i] : []))
  const sql = ready(levels)
  const firsts = yield* each<Ready>(
    sql,
    single.map((i) => [asked[i]!.lane, now, 1, 0, 0, 0, 0]),
  )
  for (const [n, i] of single.entries()) if (firsts[n]) given[i]!.push(firsts[n])
  const looks: [index: number, Asked][] = []
  for (const [i, { lane, share, had }] of asked.entries())
    if (share > 0 && !(share === 1 && had.size === 0))
      looks.push([i, yield* ask(sql, lane, now, share + had.size, 0, 0, 0, 0)])
  for (const [i, look] of looks) {
    const { share, had } = asked[i]!
    const rows = (yield* answerTo(look)) as Ready[]
    given[i]!.push(...rows.filter(({ id }) => !had.has(id)).slice(0, share))
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
