/**
 * Claiming: a move of many jobs from `queued` to `running`. Takes what is ready in index order; the state machine has the
 * last word on each.
 */
import { LEVELS } from '../../core/job.js'
import { transition } from '../../core/lifecycle.js'
import type { Change, Claimed, ClaimRequest } from '../store.js'
import { CLAIMABLE } from './migrations/0001-initial.js'
import { all, type Dialect, each, type Plan, type Row, run, unpack, type Value } from './plan.js'
import {
  claimedValues,
  historyValues,
  INSERT_HISTORY,
  JOB_COLUMNS,
  JOB_WIDTH,
  jobOf,
  LIVE_COLUMNS,
  liveOf,
  UPDATE_CLAIMED,
} from './rows.js'
import { changeOf } from './submit.js'

const ready = (
  dialect: Dialect,
) => `select ${dialect.tuple(`${JOB_COLUMNS}, ${LIVE_COLUMNS}`)} as t, j.input from live l cross join jobs j
  where l.lane = ?1 and ${CLAIMABLE} and l.level = ?2 and l.run_at <= ?3 and (l.deadline_at is null or l.deadline_at > ?3 or l.state = 'compensating') and j.id = l.id order by l.run_at, l.id limit ?4`
const LEVELS_DOWN = [...LEVELS].reverse()

/**
 * Takes ready jobs in index order: per lane and level a range scan of (run_at, id), never a sort, so that its cost does
 * not depend on how many jobs wait for later or in other lanes.
 */
export function* claimPlan(request: ClaimRequest, now: number, changes: Change[], dialect: Dialect): Plan<Claimed[]> {
  const sql = ready(dialect)
  let free = request.limit()
  const taken: Row[] = []
  for (const { lane, limit } of request.lanes) {
    let quota = Math.min(limit, free)
    for (const level of request.reverse ? LEVELS_DOWN : LEVELS) {
      if (quota <= 0) break
      const rows = yield* all(sql, lane, level, now, quota)
      quota -= rows.length
      free -= rows.length
      taken.push(...rows)
    }
    if (free <= 0) break
  }
  if (taken.length === 0) return []
  const actor = { kind: 'worker' as const, id: request.worker }
  const claimed: Claimed[] = []
  const entries: Value[][] = []
  for (const row of taken) {
    const tuple = unpack(row.t)
    const decision = transition(liveOf(tuple, JOB_WIDTH), { type: 'claimed', worker: request.worker, actor }, now)
    if (!decision.ok) continue // the scan and the rule agree on what is ready; the rule has the last word
    claimed.push({ live: decision.live!, record: jobOf(tuple, row.input) })
    entries.push(historyValues(decision.live!.id, decision.history))
  }
  yield* run(
    UPDATE_CLAIMED,
    claimed.map(({ live }) => claimedValues(live)),
  )
  yield* run(INSERT_HISTORY, entries)
  const large = claimed.filter(({ record }) => record.input === null)
  const blobs = yield* each<{ data: string }>(
    `select data from blobs where job_id = ?1 and name = 'input'`,
    large.map(({ record }) => [record.id]),
  )
  large.forEach(({ record }, i) => {
    record.input = blobs[i]!.data
  })
  for (const { live, record } of claimed) changes.push(changeOf(live, record.groupId))
  return claimed
}
