/**
 * What an end means for rows that hang on the job: its parent is told, its children are to be cancelled, its waits are
 * over, its name is free. Most jobs have none of these and pay nothing.
 */
import { type LiveJob, TIES } from '../../core/job.js'
import type { Change } from '../store.js'
import { all, type Dialect, type Plan, run } from './plan.js'
import { settleParent } from './waits.js'

/** @param live the row as it was before the end */
export function* untie(live: LiveJob, now: number, changes: Change[], dialect: Dialect): Plan<void> {
  if (live.ties & TIES.waits) {
    yield* run('delete from waits where job_id = ?1', [[live.id]])
  }
  // A window goes on after the end; a name that is held until the end is free with it.
  if (live.ties & TIES.unique) yield* run('delete from uniques where job_id = ?1 and expires_at is null', [[live.id]])
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
  yield* settleParent(live, now, changes, dialect)
}
