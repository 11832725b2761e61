/**
 * What a transport is to announce. Announcements are rows beside `live`, so that claims pay nothing for them: a row
 * counts only while its job waits in the same lane under the same epoch, and whoever announces next removes the others.
 * There are never more of them than the windows of all queues together, so all are looked at each time.
 */
import { partsOf } from '../../core/job.js'
import { sharesOf } from '../../core/window.js'
import type { Announcement, Dispatched, DispatchRequest } from '../store.js'
import type { PauseBook } from './lanes.js'
import { CLAIMABLE } from './migrations/0001-initial.js'
import { all, each, hold, type Plan, put, type Value } from './plan.js'
import type { Tx } from './tx.js'

/** Name behind which announcements are made: two relays at once would announce the same jobs. */
const DISPATCH = 'dispatch'

const KNOWN = `select a.job_id, a.lane, a.no, a.at,
  (select count(*) from live l where l.id = a.job_id and l.lane = a.lane and l.epoch = a.epoch and ${CLAIMABLE}) as waits from announced a order by a.no, a.job_id`

const READY = `select l.id, l.epoch from live l where l.lane = ?1 and ${CLAIMABLE} and l.level = ?2 and l.run_at <= ?3
  and (l.deadline_at is null or l.deadline_at > ?3 or l.state = 'compensating')
  and not exists (select 1 from announced a where a.job_id = l.id) order by l.run_at, l.id limit ?4`

const INSERT = `insert into announced (job_id, lane, epoch, no, at, published) values (?1, ?2, ?3, ?4, ?4, 0)`
const REPEAT = 'update announced set at = ?3, published = 0 where job_id = ?1 and no = ?2'
const PUBLISHED = 'update announced set published = 1 where job_id = ?1 and no = ?2'
const REMOVE = 'delete from announced where job_id = ?1 and no = ?2'

interface Ready {
  id: string
  epoch: number
}

interface Row {
  job_id: string
  lane: string
  no: number
  at: number
  waits: number
}

export function* dispatchPlan(request: DispatchRequest, tx: Tx, pauses: PauseBook): Plan<Dispatched> {
  const { now, dialect } = tx
  yield* hold([DISPATCH], dialect)
  yield* put(REMOVE, request.returned.map(keyOf))
  yield* put(PUBLISHED, request.published.map(keyOf))
  const paused = yield* pauses.paused()
  const rows = yield* all<Row>(KNOWN)
  const counts = (row: Row) => Number(row.waits) > 0 && !paused(row.lane)
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
  const under = new Map<string, number>()
  const carried = new Map<string, number>()
  const count = (counts: Map<string, number>, key: string, by = 1) => counts.set(key, (counts.get(key) ?? 0) + by)
  for (const { lane } of known) {
    count(under, lane)
    count(carried, partsOf(lane).queue)
  }
  const found = new Map<string, Ready[]>()
  for (const [queue, lanes] of byQueue(request.lanes.filter((lane) => !paused(lane)))) {
    let room = request.window - Math.max(carried.get(queue) ?? 0, request.carried.get(queue) ?? 0)
    let open = lanes
    // Lanes that hold less than their share leave the rest of it to the others.
    while (room > 0 && open.length > 0) {
      const shares = sharesOf(
        room,
        open.map((lane) => (under.get(lane) ?? 0) + (found.get(lane)?.length ?? 0)),
      )
      const asked = open.map((lane, i) => ({ lane, share: shares[i]!, before: found.get(lane) ?? [] }))
      const given = yield* take(asked, request.levels, now)
      for (const [i, { lane, before }] of asked.entries())
        if (given[i]!.length > 0) found.set(lane, [...before, ...given[i]!])
      room -= given.reduce((sum, { length }) => sum + length, 0)
      open = open.filter((_, i) => given[i]!.length === shares[i])
    }
  }
  const fresh: Announcement[] = []
  const added: Value[][] = []
  for (const [lane, ready] of found) {
    for (const { id, epoch } of ready) {
      fresh.push({ jobId: id, lane, dispatchNo: now })
      added.push([id, lane, epoch, now])
    }
  }
  yield* put(INSERT, added)
  return { fresh, again: late.map((row) => ({ jobId: row.job_id, lane: row.lane, dispatchNo: row.no })) }
}

const keyOf = ({ jobId, dispatchNo }: Announcement): Value[] => [jobId, dispatchNo]

interface Asked {
  lane: string
  share: number
  /** What this plan has found there before. */
  before: readonly Ready[]
}

/** Up to `share` ready jobs of each lane that nobody has announced. */
function* take(asked: readonly Asked[], levels: readonly number[], now: number): Plan<Ready[][]> {
  const given: Ready[][] = asked.map(() => [])
  // With more lanes than places each gets one: then one statement asks them all.
  const single = asked.flatMap(({ share, before }, i) => (share === 1 && before.length === 0 ? [i] : []))
  const firsts = yield* each<Ready>(
    READY,
    single.flatMap((i) => levels.map((level) => [asked[i]!.lane, level, now, 1])),
  )
  for (const [n, i] of single.entries()) {
    const first = firsts.slice(n * levels.length, (n + 1) * levels.length).find((row) => row !== undefined)
    if (first) given[i]!.push(first)
  }
  for (const [i, { lane, share, before }] of asked.entries()) {
    if (share === 0 || single.includes(i)) continue
    const had = new Set(before.map(({ id }) => id))
    for (const level of levels) {
      if (given[i]!.length >= share) break
      const rows = yield* all<Ready>(READY, lane, level, now, share + had.size)
      given[i]!.push(...rows.filter(({ id }) => !had.has(id)).slice(0, share - given[i]!.length))
    }
  }
  return given
}

function byQueue(lanes: readonly string[]): Map<string, string[]> {
  const queues = new Map<string, string[]>()
  for (const lane of lanes) {
    const { queue } = partsOf(lane)
    queues.set(queue, [...(queues.get(queue) ?? []), lane])
  }
  return queues
}
