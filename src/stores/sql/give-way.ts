/**
 * Jobs that give way: cancelled before they began because a newer one of the same name takes their place, in the
 * transaction that stores it. The state machine says how they end, as with any cancel.
 */

import { TIES } from '../../core/job.js'
import { type Decision, transition } from '../../core/lifecycle.js'
import type { Change } from '../store.js'
import { changeOf, endOf } from './changes.js'
import { leaveLimits } from './limits.js'
import type { Dialect, Plan } from './plan.js'
import { run } from './plan.js'
import {
  DELETE_LIVE,
  historyValues,
  INSERT_HISTORY,
  INSERT_OUTCOME,
  liveValues,
  outcomeValues,
  readLive,
  UPDATE_LIVE,
} from './rows.js'
import type { Replaced } from './unique.js'
import { untie } from './untie.js'

export function* giveWayPlan(
  replaced: readonly Replaced[],
  now: number,
  changes: Change[],
  dialect: Dialect,
): Plan<void> {
  const lives = yield* readLive(
    replaced.map(({ jobId }) => jobId),
    dialect,
  )
  for (const [i, { by }] of replaced.entries()) {
    const reason = `replaced by job ${by.record.id}`
    const decision = transition(
      lives[i]!,
      {
        ...{ type: 'cancelRequested', by: 'caller', mode: 'graceful', reason, actor: by.record.createdBy },
        details: { replacedBy: by.record.id },
      },
      now,
    )
    if (decision.ok) yield* write(decision, by.unique!.expiresAt(now, decision.from), now, changes, dialect)
  }
}

function* write(decision: Decision, expiresAt: number, now: number, changes: Change[], dialect: Dialect): Plan<void> {
  const { from, live, outcome, history } = decision
  if (live) yield* run(UPDATE_LIVE, [[...liveValues(live), from.version, from.revision]])
  else yield* run(DELETE_LIVE, [[from.id, from.version, from.revision]])
  if (outcome) yield* run(INSERT_OUTCOME, [outcomeValues(outcome, null, 0, null, expiresAt)])
  yield* run(INSERT_HISTORY, [historyValues(from.id, history)])
  changes.push(live ? changeOf(live) : endOf(decision, null))
  if (from.ties & TIES.limits) yield* leaveLimits(decision, { now, changes, dialect })
  if (from.ties !== 0) yield* untie(decision, now, changes, dialect)
}
