/** Jobs whose usual time is over: noted once, and told to whoever hears of it. Nothing else becomes of them here. */
import { partsOf } from '../../core/job.js'
import { touchOf } from './changes.js'
import { announce } from './outbox.js'
import { type Plan, put } from './plan.js'
import { livesPlan } from './read.js'
import type { Tx } from './tx.js'

/** @returns how many */
export function* markLatePlan(limit: number, tx: Tx): Plan<number> {
  const { now, dialect } = tx
  // What another process marks just now, it tells.
  const late = yield* livesPlan(`l.escalate_at <= ?1 limit ?2${dialect.skipHeld}`, [now, limit], dialect)
  // `escalate_at` only wakes us, once; `late_at` is what stays.
  yield* put(
    'update live set escalate_at = null, late_at = ?2, changed_at = ?2, revision = revision + 1 where id = ?1 and escalate_at is not null',
    late.map(({ id }) => [id, now]),
  )
  for (const live of late) {
    tx.changes.push(touchOf({ ...live, revision: live.revision + 1 }))
    announce({ id: `${live.id}:late`, tenant: partsOf(live.lane).tenant, type: 'job.late', jobId: live.id }, tx)
  }
  return late.length
}
