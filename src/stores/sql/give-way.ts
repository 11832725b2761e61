/**
 * Jobs that give way: cancelled before they began because a newer one of the same name takes their place, in the
 * transaction that stores it. The state machine says how they end, as with any cancel.
 */

import type { LiveJob } from '../../core/job.js'
import { type Event, transition } from '../../core/lifecycle.js'
import type { Plan } from './plan.js'
import type { Tx } from './tx.js'
import type { Replaced } from './unique.js'

export function* giveWayPlan(replaced: readonly Replaced[], tx: Tx): Plan<void> {
  yield* tx.move(
    replaced.map(({ jobId, by: { record, unique } }) => {
      const event: Event = {
        ...{ type: 'cancelRequested', by: 'caller', mode: 'graceful', actor: record.createdBy },
        reason: `replaced by job ${record.id}`,
        details: { replacedBy: record.id },
      }
      const decide = (live: LiveJob, at: number) => transition(live, event, at)
      return { jobId, decide, expiresAt: unique!.expiresAt }
    }),
    tx,
  )
}
