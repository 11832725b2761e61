/**
 * Claiming: a move of many jobs from `queued` to `running`. Takes what is ready in index order; the gate says whether
 * their limits allow it, and the state machine has the last word on each.
 */
import { partsOf } from '../../core/job.js'
import { type Decision, transition } from '../../core/lifecycle.js'
import { fromOf, seenBy } from '../../core/marks.js'
import type { Claimed, ClaimRequest, LaneQuota } from '../store.js'
import { changeOf } from './changes.js'
import { type Found, Gate, isBound } from './gate.js'
import { levelByLevel, readyAt } from './lanes.js'
import { announceMove } from './outbox.js'
import type { PauseBook } from './pauses.js'
import {
  type Asked,
  all,
  answerTo,
  ask,
  type Dialect,
  each,
  type Plan,
  put,
  type Row,
  unpack,
  type Value,
} from './plan.js'
import { askWaiting } from './ready.js'
import {
  CLEAR_HELD,
  claimedValues,
  historyValues,
  INSERT_HISTORY,
  RARE_COLUMNS,
  RARE_VALUES,
  UPDATE_CLAIMED,
  WAITING_COLUMNS,
  waitingOf,
  waitingRecordOf,
} from './rows.js'
import type { Tx } from './tx.js'

/** Ready jobs of one level of a lane, those first that are ready for longest. */
const ready = (
  dialect: Dialect,
  [level, at, limit, from]: readonly [level: number | string, at: string, limit: string, from: string],
) => `select ${dialect.tuple(WAITING_COLUMNS)} as t, case when ${dialect.anyOf(RARE_VALUES)} then ${dialect.tuple(RARE_COLUMNS)} end as rare, j.input
  from live l cross join jobs j where l.lane = ?1 and l.level = ${level} and l.run_at >= ${from} and ${readyAt(at)} and j.id = l.id order by l.run_at, l.id limit ${limit}${dialect.skipHeld}`

/** Texts of `lookAt`, by the order of the levels: a few kilobytes that are put together once. */
const texts = new WeakMap<Dialect, Map<string, string>>()

function readyOfLevels(levels: readonly number[], dialect: Dialect): string {
  let known = texts.get(dialect)
  if (!known) {
    known = new Map()
    texts.set(dialect, known)
  }
  const key = levels.join()
  let text = known.get(key)
  if (text === undefined) {
    text = levelByLevel(levels, 't, rare, input', (level, limit, from) => ready(dialect, [level, '?2', limit, from]))
    known.set(key, text)
  }
  return text
}

interface Look {
  answer: Asked
  /** Up to how many were asked for. */
  limit: number
}

/** The same for all levels of many lanes, each up to its quota. */
function* lookAt(
  lanes: readonly LaneQuota[],
  levels: readonly number[],
  free: number,
  { now, dialect, marks }: Tx,
): Plan<Map<LaneQuota, Look>> {
  const sql = readyOfLevels(levels, dialect)
  const looks = new Map<LaneQuota, Look>()
  for (const quota of lanes) {
    const limit = Math.min(quota.limit, quota.ids?.length ?? quota.limit, free)
    looks.set(quota, { answer: yield* ask(sql, quota.lane, now, limit, ...fromOf(marks, quota.lane)), limit })
  }
  return looks
}

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
  const { now, changes, dialect, marks } = tx
  const round = marks?.begin() ?? 0
  const gate = new Gate({ ...tx, ...(request.numbers ? { numbers: request.numbers } : {}) })
  let free = request.limit()
  const taken: Ready[] = []
  const quotas = request.lanes
  // Over a line every look costs a way there and back, so all are asked at once, and together with what is paused.
  const ahead = dialect.skipHeld !== '' && free > 0
  const seemsPaused = pauses.lately()
  const open = quotas.filter(({ lane }) => !seemsPaused(lane))
  const looks = ahead ? yield* lookAt(open, request.levels, free, tx) : null
  const deliveries = new Deliveries(quotas, tx)
  // Where the lane gives what was delivered, in its order, nobody has to ask.
  const asksFirst = looks === null || request.mixed !== false
  if (asksFirst) yield* deliveries.ask()
  const paused = yield* pauses.paused(tx.paused)
  for (const quota of quotas) {
    const { lane, ids } = quota
    if (paused(lane)) continue
    const from = taken.length
    const look = looks?.get(quota)
    const rows = look && (yield* answerTo(look.answer))
    const found = rows && readyOf(rows, lane, request.worker, now)
    const own = ids && found && !asksFirst ? ownOf(found, ids, look.limit) : null
    const delivered = ids && (own ?? (yield* deliveries.waitingIn(quota)))
    let room = Math.min(quota.limit, delivered?.length ?? quota.limit, free)
    if (found && !found.some(isBound)) taken.push(...found.slice(0, room))
    else
      for (const level of request.levels) {
        if (room <= 0) break
        const some = yield* take(request, lane, level, room, gate, tx)
        room -= some.length
        taken.push(...some)
      }
    // A row that the state machine refused stays where it is; that never was.
    if (marks && found && found.length === rows.length) {
      const gone = new Set(taken.slice(from).map(({ live }) => live.id))
      const left = (i: number) => !gone.has(found[i]!.live.id) && !gate.putsAside(found[i]!.live.id)
      const stood = found.map(({ live }) => live)
      tx.seen.push(...seenBy(lane, request.levels, stood, look.limit, { now, round, left }))
    }
    free -= taken.length - from
    // More wait than the scan has met: it began behind them, or somebody holds them for a moment.
    if (delivered && found && found.length < Math.min(look.limit, delivered.length)) marks?.came(lane, 0)
    if (delivered) tellLeft(request, delivered, taken.slice(from), gate)
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
  for (const { live, record } of claimed) changes.push(changeOf(live, record.groupId, true))
  return claimed
}

/** Up to `quota` jobs of one level of a lane. One scan, unless limits keep some of them: then it goes on behind those. */
function* take(
  request: ClaimRequest,
  lane: string,
  level: number,
  quota: number,
  gate: Gate,
  { now, dialect, marks }: Tx,
): Plan<readonly Ready[]> {
  const sql = ready(dialect, ['?2', '?3', '?4', '?5'])
  const from = fromOf(marks, lane)[level]!
  let taken: readonly Ready[] = []
  for (;;) {
    const rows = yield* all(sql, lane, level, now, quota, from)
    const found = readyOf(rows, lane, request.worker, now)
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

/** Delivered jobs that still wait say how many are claimed; which ones, the order of the lane. */
class Deliveries {
  private asked: Asked | null = null
  /** In which lane each of them waits. */
  private lanes: ReadonlyMap<string, string | null> | null = null

  constructor(
    private readonly quotas: readonly LaneQuota[],
    private readonly tx: Tx,
  ) {}

  *ask(): Plan<void> {
    const ids = new Set(this.quotas.flatMap((quota) => quota.ids ?? []))
    if (ids.size === 0) return
    this.asked = yield* askWaiting(ids, this.tx.now, this.tx.dialect)
  }

  /** Doubled, a delivery permits no more than once. */
  *waitingIn({ lane, ids }: LaneQuota): Plan<string[]> {
    if (this.lanes === null) {
      if (this.asked === null) yield* this.ask()
      const rows = this.asked ? yield* answerTo(this.asked) : []
      this.lanes = new Map(rows.map((row) => [row.id, row.lane]))
    }
    return [...new Set(ids)].filter((id) => this.lanes!.get(id) === lane)
  }
}

/**
 * Where all that was found had been delivered, that much may be claimed, whatever became of the rest: it is left. Null where
 * others were found too, or fewer than there may be.
 */
function ownOf(found: readonly Ready[], ids: readonly string[], limit: number): string[] | null {
  const delivered = new Set(ids)
  if (found.some((one) => isBound(one) || !delivered.has(one.live.id))) return null
  return found.length < Math.min(limit, delivered.size) ? null : [...delivered]
}

function tellLeft(request: ClaimRequest, waiting: readonly string[], taken: readonly Ready[], gate: Gate): void {
  const had = new Set(taken.map(({ live }) => live.id))
  for (const id of waiting) if (!had.has(id) && !gate.putsAside(id)) request.onLeft?.(id)
}

function readyOf(rows: readonly Row[], lane: string, worker: string, now: number): Ready[] {
  const actor = { kind: 'worker' as const, id: worker }
  const parts = partsOf(lane)
  const found: Ready[] = []
  for (const row of rows) {
    const tuple = unpack(row.t)
    const rare = row.rare === null ? null : unpack(row.rare)
    const live = waitingOf(tuple, rare, lane)
    const decision = transition(live, { type: 'claimed', worker, actor }, now)
    // The scan and the rule agree on what is ready; the rule has the last word.
    if (decision.ok) found.push({ live, record: waitingRecordOf(tuple, rare, parts, row.input), decision })
  }
  return found
}
