/**
 * What an end means for rows that hang on the job: its parent is told, its children are to be cancelled, its waits are
 * over, its place in limits goes to the next, the job that it replays or undoes is noted. Most jobs have none of these and pay nothing.
 */
import { type LiveJob, type Outcome, TIES } from '../../core/job.js'
import type { Change } from '../store.js'
import { noteOrigin } from './ledger.js'
import { all, type Dialect, type Plan, run } from './plan.js'
import { settleParent } from './waits.js'

/** @param live the row as it was before the end */
export function* untie(
  live: LiveJob,
  { status }: Outcome,
  now: number,
  changes: Change[],
  dialect: Dialect,
): Plan<void> {
  if (live.ties & TIES.waits) {
    yield* run('delete from waits where job_id = ?1', [[live.id]])
  }
  if (live.ties & TIES.children) {
    const children = yield* all<{ id: string; options: string }>(
      'select j.id, j.options from jobs j join live l on l.id = j.id where j.parent_id = ?1',
      live.id,
    )
    yield* run(
      `insert into duties (job_id, duty, body) values (?1, 'cancel-by-parent', ?2) on conflict do nothing`,
      children
        .filter(({ options }) => JSON.parse(options).child?.onParentEnd !== 'leave')
        .map(({ id }) => [id, live.id]),
    )
  }
  if (live.ties & TIES.origin && status === 'completed') yield* noteOrigin(live.id, now, changes)
  yield* settleParent(live, now, changes, dialect)
}
