/** What listeners are told of a job after the commit. Hints, made from the rows as they were written. */
import { type LiveJob, partsOf } from '../../core/job.js'
import { type Decision, statusOf } from '../../core/lifecycle.js'
import type { Change } from '../store.js'
import type { Row } from './plan.js'

/** Of an unfinished job that moved. @param byWorker whether the worker did it that runs it */
export function changeOf(live: LiveJob, groupId: string | null = null, byWorker = false): Change {
  const { tenant, type } = partsOf(live.lane)
  const idle = live.worker === null && (live.state === 'queued' || live.state === 'compensating')
  const change: Change = {
    jobId: live.id,
    tenant,
    type,
    groupId,
    lane: live.lane,
    status: statusOf(live),
    done: false,
    version: live.version,
    revision: live.revision,
    moved: true,
    queuedAt: idle && (live.held === null || live.held === 'granted') ? live.runAt : null,
    cancelling: live.state === 'cancelling' ? (live.why?.cancel?.mode ?? 'graceful') : null,
    pausing: live.state === 'running' && live.why?.pause !== undefined,
    wakeAt: live.wakeAt,
  }
  const { queuedAt, cancelling, pausing, wakeAt } = change
  if (byWorker && queuedAt === null && cancelling === null && !pausing && wakeAt === null) change.forReaders = true
  return change
}

/** Of an unfinished job that shows something more and has not moved: progress, lateness, a place in a limit. */
export function touchOf(live: LiveJob, byWorker = false): Change {
  return { ...changeOf(live, null, byWorker), moved: false }
}

/** Of what the state machine decided. @param result JSON text, of an end */
export function moveOf(decision: Decision, result: string | null): Change {
  const byWorker = decision.history.actor.kind === 'worker'
  return decision.live ? changeOf(decision.live, null, byWorker) : endOf(decision, result, byWorker)
}

function endOf({ from, outcome }: Decision, result: string | null, byWorker: boolean): Change {
  const { tenant, type } = partsOf(from.lane)
  return {
    jobId: from.id,
    tenant,
    type,
    groupId: null,
    lane: from.lane,
    status: outcome!.status,
    done: true,
    version: outcome!.version,
    revision: outcome!.revision,
    moved: true,
    queuedAt: null,
    cancelling: null,
    pausing: false,
    wakeAt: null,
    ties: from.ties !== 0,
    forReaders: byWorker && from.ties === 0,
    end: {
      outcome: outcome!,
      result: outcome!.status === 'completed' ? result : null,
      since: from.budgetFrom,
    },
  }
}

/** Of a job that has ended before. @param row of its job and outcome */
export function endedOf(row: Row, revision: number): Change {
  return {
    jobId: row.id,
    tenant: row.tenant,
    type: row.type,
    groupId: row.group_id,
    lane: '',
    status: row.status,
    done: true,
    version: row.version,
    revision,
    moved: false,
    queuedAt: null,
    cancelling: null,
    pausing: false,
    wakeAt: null,
  }
}
