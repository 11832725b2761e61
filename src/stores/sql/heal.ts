/**
 * Puts places in limits right: those that were given to nobody, or to a job that no worker takes. Nothing of it is needed
 * as long as every change of a job goes through its plans and every lane is served; limits that were raised since, lanes
 * that are paused or that no worker serves are what it is for. Doing it twice changes nothing.
 */

import type { JobLimits } from '../../core/job.js'
import { isOrderName, isRateName } from '../../core/limits.js'
import { giveNext, giveSlots, giveStarts, LIMITS, nextIn, passTurn } from './limits.js'
import { all, hold, one, type Plan, put } from './plan.js'
import type { Tx } from './tx.js'

/** A job that was granted its place and has not been claimed for so long does not hold up others. */
const STALE_MS = 10_000
/** At most so many places of one limit are given at once. */
const AT_ONCE = 100
const SWEEP = 1000

/** Slots whose job has no worker. */
const ORPHANS = `select s.name, s.job_id from slots s left join live l on l.id = s.job_id where l.worker is null limit ?1`
/** A loose index scan: one seek per name, however many jobs stand in its line. */
const names = (table: 'held' | 'turns') => `with recursive found(name) as (
    select (select name from ${table} where name > ?1 order by name limit 1)
    union all select (select name from ${table} where name > found.name order by name limit 1) from found where found.name is not null
  ) select name from found where name is not null limit ?2`

/**
 * Looks at up to `limit` names after `after`.
 * @returns the last name it looked at; null when there are no more
 */
export function* healPlan(after: string, limit: number, tx: Tx): Plan<string | null> {
  yield* hold([LIMITS], tx.dialect)
  if (after === '') yield* sweep(limit, tx)
  const lines = yield* all<{ name: string }>(names('held'), after, limit)
  const rows = yield* all<{ name: string }>(names('turns'), after, limit)
  const found = [...lines, ...rows].map(({ name }) => name).sort((a, b) => (a < b ? -1 : 1))
  const looked = found.slice(0, limit)
  for (const name of looked) {
    if (isOrderName(name)) yield* healTurn(name, tx)
    else yield* healLine(name, tx)
  }
  return found.length >= limit ? looked.at(-1)! : null
}

function* sweep(limit: number, tx: Tx): Plan<void> {
  const { now } = tx
  const orphans = yield* all<{ name: string; job_id: string }>(ORPHANS, limit)
  yield* put(
    'delete from slots where name = ?1 and job_id = ?2',
    orphans.map(({ name, job_id }) => [name, job_id]),
  )
  for (const { name } of orphans) yield* giveNext(name, 0, tx)
  // A window that is over, and a rate that is not used, are as good as none.
  // Said twice: a name that was taken again meanwhile must stay, and only what is asked of the row itself is asked again.
  yield* put(
    'delete from uniques where name in (select name from uniques where expires_at <= ?1 limit ?2) and expires_at <= ?1',
    [[now, SWEEP]],
  )
  yield* put('delete from buckets where name in (select name from buckets where due <= ?1 limit ?2)', [
    [now * 1000, SWEEP],
  ])
}

function* healTurn(name: string, tx: Tx): Plan<void> {
  const has = yield* one<{ live: string | null }>(
    'select l.id as live from turns t left join live l on l.id = t.job_id where t.name = ?1 and t.has = 1',
    name,
  )
  if (has && has.live !== null) return
  yield* put('delete from turns where name = ?1 and has = 1', [[name]])
  yield* passTurn(name, tx)
}

function* healLine(name: string, tx: Tx): Plan<void> {
  const { now, numbers } = tx
  yield* put(
    `delete from held where name = ?1 and granted = 1 and not exists (select 1 from live l where l.id = held.job_id and l.held = 'granted')`,
    [[name]],
  )
  const next = yield* nextIn(name, 0)
  if (!next) return
  if (isRateName(name)) {
    const told = yield* one<{ n: number }>(
      'select count(*) as n from held h join live l on l.id = h.job_id where h.name = ?1 and h.granted = 1 and l.run_at > ?2',
      ...[name, now - STALE_MS],
    )
    if (Number(told!.n) === 0) yield* giveStarts(name, 0, tx, 0)
    return
  }
  const taken = yield* one<{ n: number }>(
    'select (select count(*) from slots where name = ?1) + (select count(*) from held where name = ?1 and granted = 1 and since > ?2) as n',
    ...[name, now - STALE_MS],
  )
  const limits = JSON.parse(next.options).limits as JobLimits
  const limit = numbers?.(next.type)?.concurrency ?? limits.concurrency!.limit
  yield* giveSlots(name, Math.min(AT_ONCE, limit - Number(taken!.n)), 0, tx)
}
