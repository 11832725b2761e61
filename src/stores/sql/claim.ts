/**
 * Claiming: a move of many jobs from `queued` to `running`. Takes what is ready in index order; the gate says whether
 * their limits allow it, and the state machine has the last word on each.
 */
import { LEVELS } from '../../core/job.js'
import { type Decision, transition } from '../../core/lifecycle.js'
import type { Claimed, ClaimRequest } from '../store.js'
import { changeOf } from './changes.js'
import { type Found, Gate, isBound } from './gate.js'
import type { PauseBook } from './lanes.js'
import { CLAIMABLE } from './migrations/0001-initial.js'
import { announceMove } from './outbox.js'
import { all, type Dialect, each, type Plan, put, type Row, unpack, type Value } from './plan.js'
import {
  CLEAR_HELD,
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
import type { Tx } from './tx.js'

const ready = (condition: string, dialect: Dialect) =>
  `select ${dialect.tuple(`${JOB_COLUMNS}, ${LIVE_COLUMNS}`)} as t, j.input from live l cross join jobs j
  where l.lane = ?1 and ${CLAIMABLE} and l.run_at <= ?3 and (l.deadline_at is null or l.deadline_at > ?3 or l.state = 'compensating') and j.id = l.id and ${condition}${dialect.skipHeld}`
const inOrder = (dialect: Dialect) => ready('l.level = ?2 order by l.run_at, l.id limit ?4', dialect)
const named = (dialect: Dialect) => ready('l.id = ?2', dialect)

/** A claim that has put so many jobs aside leaves the rest to the next one, so that it does not hold up the store. */
const ASIDE_MAX = 500

interface Ready extends Found {
  decision: Decision
}

/**
 * Takes ready jobs in index order: per lane and level a range scan of (run_at, id), never a sort, so that its cost does
 * not depend on how many jobs wait for later or in other lanes.
 */
export function* claimPlan(request: ClaimRequest, tx: Tx, pauses: PauseBook): Plan<Claimed[]> {
  const { now, changes, dialect } = tx
  const gate = new Gate({ ...tx, ...(request.numbers ? { numbers: request.numbers } : {}) })
  const paused = yield* pauses.paused()
  let free = request.limit()
  const taken: Ready[] = []
  for (const { lane, limit, ids } of request.lanes) {
    if (paused(lane)) continue
    if (free <= 0) {
      for (const id of ids ?? []) request.onLeft?.(id)
      continue
    }
    let quota = Math.min(limit, free)
    if (ids !== undefined) {
      const found = yield* takeNamed(request, lane, ids, quota, gate, now, dialect)
      free -= found.length
      taken.push(...found)
      continue
    }
    for (const level of request.levels) {
      if (quota <= 0) break
      const found = yield* take(request, lane, level, quota, gate, now, dialect)
      quota -= found.length
      free -= found.length
      taken.push(...found)
    }
  }
  if (taken.length === 0) return []
  const claimed = taken.map(({ decision, record }): Claimed => ({ live: decision.live!, record }))
  yield* put(
    CLEAR_HELD,
    taken.filter(({ live }) => live.held !== null).map(({ live }) => [live.id]),
  )
  yield* put(
    UPDATE_CLAIMED,
    claimed.map(({ live }) => claimedValues(live)),
  )
  yield* put(
    INSERT_HISTORY,
    taken.map(({ live, decision }): Value[] => historyValues(live.id, decision.history)),
  )
  for (const { decision } of taken) announceMove(decision, tx)
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

/** Up to `quota` jobs of one level of a lane. One scan, unless limits keep some of them: then it goes on behind those. */
function* take(
  request: ClaimRequest,
  lane: string,
  level: number,
  quota: number,
  gate: Gate,
  now: number,
  dialect: Dialect,
): Plan<readonly Ready[]> {
  const sql = inOrder(dialect)
  let taken: readonly Ready[] = []
  for (;;) {
    const rows = yield* all(sql, lane, level, now, quota)
    const found = readyOf(rows, request.worker, now)
    if (taken.length === 0 && !found.some(isBound)) return found
    // What was admitted before is still in the index.
    const seen = new Set(taken.map(({ live }) => live.id))
    const { held } = gate
    taken = [...taken, ...(yield* gate.admit(found.filter(({ live }) => !seen.has(live.id))))]
    // Nothing more is there, or nothing was put aside that others come after.
    if (rows.length < quota || gate.held === held) return taken
    if (gate.held >= ASIDE_MAX) {
      request.onCut?.(lane)
      return taken
    }
  }
}

/**
 * Those of these jobs that still wait here, as many as there is room for. Which of a lane's jobs goes first is decided
 * now: ready jobs of higher levels take the places of announced ones, which are told to be left.
 */
function* takeNamed(
  request: ClaimRequest,
  lane: string,
  ids: readonly string[],
  quota: number,
  gate: Gate,
  now: number,
  dialect: Dialect,
): Plan<readonly Ready[]> {
  const rows = yield* each<Row>(
    named(dialect),
    [...new Set(ids)].map((id) => [lane, id, now]),
  )
  const waiting = readyOf(
    rows.filter((row) => row !== undefined),
    request.worker,
    now,
  ).sort((a, b) => a.live.runAt - b.live.runAt || (a.live.id < b.live.id ? -1 : 1))
  if (waiting.length === 0) return []
  const room = Math.max(0, Math.min(quota, waiting.length))
  const lowest = Math.max(...waiting.map(({ live }) => live.level))
  // Where lower levels have their turn, what was announced is what is taken.
  const higher = request.levels[0] === LEVELS[0] ? LEVELS.filter((level) => level < lowest) : []
  const taken: Ready[] = []
  for (const level of higher) {
    if (taken.length >= room) break
    taken.push(...(yield* take(request, lane, level, room - taken.length, gate, now, dialect)))
  }
  const had = new Set(taken.map(({ live }) => live.id))
  const others = waiting.filter(({ live }) => !had.has(live.id))
  const next = others.slice(0, room - taken.length)
  for (const { live } of others.slice(next.length)) request.onLeft?.(live.id)
  return [...taken, ...(yield* gate.admit(next))]
}

function readyOf(rows: readonly Row[], worker: string, now: number): Ready[] {
  const actor = { kind: 'worker' as const, id: worker }
  const found: Ready[] = []
  for (const row of rows) {
    const tuple = unpack(row.t)
    const live = liveOf(tuple, JOB_WIDTH)
    const decision = transition(live, { type: 'claimed', worker, actor }, now)
    // The scan and the rule agree on what is ready; the rule has the last word.
    if (decision.ok) found.push({ live, record: jobOf(tuple, row.input), decision })
  }
  return found
}
