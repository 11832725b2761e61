/**
 * Places in limits. A job that a limit holds stands in `held` under the limit's name, out of the claim's way; when a place
 * is free, the next one is granted it in the same transaction, and whether it may start is judged again by its claim
 * (gate.ts). Jobs without limits come by none of this.
 */

import { isOrderName, isRateName, LEVELS, levelsOf, limitName, type Rate, startAt, turnOf } from '../../core/index.js'
import type { JobLimits, JobRecord, LiveJob } from '../../core/job.js'
import { type Decision, phaseOf } from '../../core/lifecycle.js'
import type { HeldBy, NewJob } from '../store.js'
import { touchOf } from './changes.js'
import { holdLive } from './live.js'
import { all, each, hold, one, type Plan, put, type Value } from './plan.js'
import type { Tx } from './tx.js'

/**
 * Where several processes write, one transaction at a time counts places. One name for all limits: with one for each, two
 * transactions that each touch several would wait for each other.
 */
export const LIMITS = 'limits'

/** Starts that are due within this time are granted together, so that high rates do not need a claim for each. */
export const AHEAD_MS = 50
const MOST_AHEAD = 100

const SET_HELD = `update live set held = ?2, run_at = ?3, budget_from = ?4, revision = ?5, changed_at = ?6 where id = ?1 and revision = ?7`

/** Changes what readers see of jobs and when they may be claimed; no transition, so no history. */
export function* setHeld(
  rows: readonly { live: LiveJob; set: Partial<Pick<LiveJob, 'held' | 'runAt' | 'budgetFrom'>> }[],
  { now, changes }: Tx,
): Plan<void> {
  const next = rows.map(({ live, set }) => ({ ...live, ...set, revision: live.revision + 1, changedAt: now }))
  yield* put(
    SET_HELD,
    next.map((live, i) => [
      ...[live.id, live.held, live.runAt, live.budgetFrom, live.revision, now],
      rows[i]!.live.revision,
    ]),
  )
  for (const live of next) changes.push(touchOf(live))
}

export const INSERT_HELD =
  'insert into held (name, granted, level, run_at, job_id, since) values (?1, ?2, ?3, ?4, ?5, ?6)'
export const heldValues = (name: string, granted: boolean, live: LiveJob, now: number): Value[] => [
  ...[name, granted ? 1 : 0, live.level, live.runAt, live.id, now],
]

const INSERT_TURN = 'insert into turns (name, job_id, has) values (?1, ?2, ?3)'

/**
 * New jobs take their place in the row of their order key. One that is due joins those that are held already, so that it
 * neither overtakes them nor is met by a claim. Writes the rows besides `live`; `live` says what it waits for.
 */
export function* enterLimits(jobs: readonly NewJob[], { now, dialect }: Tx): Plan<void> {
  const bound = jobs.filter(({ record }) => record.options.limits)
  if (bound.length === 0) return
  yield* hold([LIMITS], dialect)
  const names = bound.map(({ record }) => namesOf(record, record.options.limits!))
  const taken = new Set<string>()
  const asked = [...new Set(names.flatMap(({ order }) => order ?? []))]
  const ordered = yield* each(
    'select 1 as found from turns where name = ?1 limit 1',
    asked.map((name) => [name]),
  )
  const lines = [...new Set(names.flatMap(({ concurrency, rate }) => [concurrency ?? [], rate ?? []].flat()))]
  const waiting = yield* each(
    'select 1 as found from held where name = ?1 limit 1',
    lines.map((name) => [name]),
  )
  for (const [i, name] of asked.entries()) if (ordered[i]) taken.add(name)
  for (const [i, name] of lines.entries()) if (waiting[i]) taken.add(name)
  const turns: Value[][] = []
  const held: Value[][] = []
  bound.forEach(({ live, history }, i) => {
    const { order, concurrency, rate } = names[i]!
    // Set anew: a commit that failed is carried out again with the same rows.
    live.held = null
    if (order !== undefined) {
      turns.push([order, live.id, taken.has(order) ? 0 : 1])
      if (taken.has(order)) live.held = 'order'
      taken.add(order)
    }
    if (live.held === null && live.runAt <= now) {
      const kind = concurrency !== undefined && taken.has(concurrency) ? 'concurrency' : 'rate'
      const name = kind === 'rate' ? rate : concurrency
      if (name !== undefined && taken.has(name)) {
        live.held = kind
        held.push(heldValues(name, false, live, now))
      }
    }
    history.phase = phaseOf(live, now)
  })
  yield* put(INSERT_TURN, turns)
  yield* put(INSERT_HELD, held)
}

/** The names under which a job is counted. */
export function namesOf(
  job: { tenant: string; type: string },
  { concurrency, order, rate }: JobLimits,
): { concurrency?: string; order?: string; rate?: string } {
  return {
    ...(concurrency ? { concurrency: limitName('concurrency', job, concurrency.key) } : {}),
    ...(order === undefined ? {} : { order: limitName('order', job, order) }),
    ...(rate ? { rate: limitName('rate', job, rate.key) } : {}),
  }
}

const RUNNING = 'select count(*) as n from slots where name = ?1'
const AHEAD = 'select count(*) as n from (select 1 from turns where name = ?1 and job_id < ?2 limit 1000) t'

/** For readers: what holds this job. One look-up, for held jobs only. */
export function* heldByPlan(record: JobRecord, live: LiveJob): Plan<HeldBy | null> {
  const { limits } = record.options
  if (live.held === null || !limits) return null
  const names = namesOf(record, limits)
  if (live.held === 'order')
    return {
      ...{ limit: 'order', key: limits.order ?? '', running: null },
      ahead: Number((yield* one<{ n: number }>(AHEAD, names.order ?? '', live.id))!.n),
    }
  if (live.held === 'concurrency')
    return {
      ...{ limit: 'concurrency', key: limits.concurrency?.key ?? '', ahead: null },
      running: Number((yield* one<{ n: number }>(RUNNING, names.concurrency ?? ''))!.n),
    }
  return limits.rate ? { limit: 'rate', key: limits.rate.key, running: null, ahead: null } : null
}

/** What a move means for the places of a limited job: those it gives up go to the next in line. */
export function* leaveLimits({ from, live, outcome, history }: Decision, tx: Tx): Plan<void> {
  // Told to stop, it still has its worker; held, it goes on standing where it stands.
  if (live !== null && (live.worker ?? live.held) !== null) return
  yield* hold([LIMITS], tx.dialect)
  const turn = turnOf(from.id, history.seq)
  if (from.worker !== null) {
    const freed = yield* all<{ name: string }>('delete from slots where job_id = ?1 returning name', from.id)
    for (const { name } of freed) yield* giveNext(name, turn, tx)
  } else if (from.held !== null && from.held !== 'order') {
    const places = yield* all<{ name: string; granted: number }>(
      'delete from held where job_id = ?1 returning name, granted',
      from.id,
    )
    for (const { name, granted } of places) if (granted) yield* giveNext(name, turn, tx)
  }
  if (!outcome) return
  const turns = yield* all<{ name: string; has: number }>(
    'delete from turns where job_id = ?1 returning name, has',
    from.id,
  )
  for (const { name, has } of turns) if (has) yield* passTurn(name, tx)
}

/** A place under this name is free, or will be: whoever is next may be claimed. */
export function* giveNext(name: string, turn: number, tx: Tx): Plan<void> {
  if (isOrderName(name)) yield* passTurn(name, tx)
  else if (isRateName(name)) yield* giveStarts(name, turn, tx)
  else yield* giveSlots(name, 1, turn, tx)
}

export function* giveSlots(name: string, count: number, turn: number, tx: Tx): Plan<void> {
  for (let given = 0; given < count; ) {
    const next = yield* nextIn(name, turn + given)
    if (!next) return
    if (yield* grant(name, next, null, tx)) given++
  }
}

/** One start that is granted keeps the line moving: its claim grants the next. */
export function* giveStarts(name: string, turn: number, tx: Tx, granted?: number): Plan<void> {
  const { now } = tx
  granted ??= Number(
    (yield* one<{ n: number }>('select count(*) as n from held where name = ?1 and granted = 1', name))!.n,
  )
  const due = (yield* one<{ due: number }>('select due from buckets where name = ?1', name))?.due ?? 0
  while (granted < MOST_AHEAD) {
    const next = yield* nextIn(name, turn + granted)
    if (!next) return
    const at = startAt(due, now, rateOf(next, tx), granted)
    if (granted > 0 && at > now + AHEAD_MS) return
    if (yield* grant(name, next, at, tx)) granted++
  }
}

export interface InLine {
  job_id: string
  since: number
  type: string
  options: string
}

const NEXT = `select h.job_id, h.since, j.type, j.options from held h join jobs j on j.id = h.job_id where h.name = ?1 and h.granted = 0`

/** Who is next: by level, run_at and id; in fair turns from a lower level first. */
export function* nextIn(name: string, turn: number): Plan<InLine | undefined> {
  const levels = levelsOf(turn)
  if (levels === LEVELS) return yield* one<InLine>(`${NEXT} order by h.level, h.run_at, h.job_id limit 1`, name)
  for (const level of levels) {
    const found = yield* one<InLine>(`${NEXT} and h.level = ?2 order by h.run_at, h.job_id limit 1`, name, level)
    if (found) return found
  }
  return undefined
}

function rateOf({ type, options }: InLine, { numbers }: Tx): Rate {
  return numbers?.(type)?.rate ?? (JSON.parse(options).limits as JobLimits).rate!
}

/** @param at when it may start; null: now. @returns false when there is no such job any more */
function* grant(name: string, next: InLine, at: number | null, tx: Tx): Plan<boolean> {
  const { now, dialect } = tx
  const [live] = yield* holdLive([next.job_id], dialect)
  if (!live || live.held === null || live.held === 'granted') {
    yield* put('delete from held where name = ?1 and job_id = ?2', [[name, next.job_id]])
    return false
  }
  yield* put('update held set granted = 1, since = ?3 where name = ?1 and job_id = ?2', [[name, next.job_id, now]])
  const runAt = at ?? live.runAt
  // What it stood in line is not taken from its retry budget.
  const budgetFrom = live.budgetFrom + Math.max(runAt, now) - next.since
  yield* setHeld([{ live, set: { held: 'granted', runAt, budgetFrom } }], tx)
  return true
}

/** The turn goes to the job that was submitted first. */
export function* passTurn(name: string, tx: Tx): Plan<void> {
  for (;;) {
    const next = yield* one<{ job_id: string }>(
      'select job_id from turns where name = ?1 order by job_id limit 1',
      name,
    )
    if (!next) return
    const [live] = yield* holdLive([next.job_id], tx.dialect)
    if (live) {
      yield* put('update turns set has = 1 where name = ?1 and job_id = ?2', [[name, live.id]])
      const budgetFrom = Math.max(live.budgetFrom, tx.now)
      if (live.held === 'order') yield* setHeld([{ live, set: { held: null, budgetFrom } }], tx)
      return
    }
    yield* put('delete from turns where name = ?1 and job_id = ?2', [[name, next.job_id]])
  }
}
