/**
 * What an end means for rows that hang on the job: its parent is told, its children are to be cancelled, its waits are
 * over, its name is free, the job that it replays or undoes is noted. Most jobs have none of these and pay nothing.
 */
import { type LiveJob, TIES } from '../../core/job.js'
import type { Decision } from '../../core/lifecycle.js'
import { withdrawPlan } from './approvals.js'
import { noteOrigin } from './ledger.js'
import { all, type Plan, put } from './plan.js'
import type { Tx } from './tx.js'
import { settleParent } from './waits.js'

export function* untie({ from, live, outcome }: Decision, tx: Tx): Plan<void> {
  // Once its end is decided it waits for nothing any more, also while its steps are undone first.
  if (outcome || (live!.state === 'compensating' && from.why?.undo === undefined))
    yield* letGo(from, tx.now, outcome ? 'The job has ended.' : 'What the job did is being undone.')
  if (!outcome) return
  // A window goes on after the end; a name that is held until the end is free with it.
  if (from.ties & TIES.unique) yield* put('delete from uniques where job_id = ?1 and expires_at is null', [[from.id]])
  if (from.ties & TIES.origin && outcome.status === 'completed') yield* noteOrigin(from.id, tx)
  yield* settleParent(from, tx)
}

function* letGo({ id, ties }: LiveJob, now: number, why: string): Plan<void> {
  if (ties & TIES.waits) {
    yield* withdrawPlan(id, why, now)
    yield* put('delete from waits where job_id = ?1', [[id]])
  }
  if ((ties & TIES.children) === 0) return
  const children = yield* all<{ id: string; options: string | null }>(
    'select j.id, j.options from jobs j join live l on l.id = j.id where j.parent_id = ?1',
    id,
  )
  yield* put(
    `insert into duties (job_id, duty, body) values (?1, 'cancel-by-parent', ?2) on conflict do nothing`,
    children
      // Jobs that only name it as their parent, without being called by it, are none of its business.
      .filter(({ options }) => options !== null && JSON.parse(options).child?.onParentEnd === 'cancel')
      .map((child) => [child.id, id]),
  )
}
