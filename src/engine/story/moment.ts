/**
 * In which moment of its life a job is, as people would tell them apart. Finer than its phase, and derived from the same
 * rows. What is said of each moment is in the tables beside this file.
 */
import type { LiveJob } from '../../core/job.js'
import { isHeld } from '../../core/lifecycle.js'
import { type Facts, failures, undoes } from './facts.js'

export type OpenMoment =
  | 'stored'
  | 'scheduled'
  | 'held'
  | 'noWorker'
  | 'lanePaused'
  | 'inLine'
  | 'running'
  | 'betweenTries'
  | 'timer'
  | 'child'
  | 'cancelling'
  | 'compensating'
export type BlockedMoment = 'approval' | 'review' | 'signal' | 'paused'
export type EndMoment =
  | 'completed'
  | 'completedWithNotes'
  | 'undidOther'
  | 'failed'
  | 'exhausted'
  | 'deadline'
  | 'cancelled'
  | 'rejected'
  | 'approvalExpired'
  | 'parentEnded'
  | 'overridden'
export type Moment = OpenMoment | BlockedMoment | EndMoment

export function momentOf(facts: Facts): Moment {
  return facts.job.outcome ? endOf(facts) : openOf(facts, facts.job.live!)
}

function endOf(facts: Facts): EndMoment {
  const { status, phase, error } = facts.job.outcome!
  if (phase === 'overridden') return 'overridden'
  if (status === 'completed') {
    if (undoes(facts)) return 'undidOther'
    return phase === 'withWarnings' ? 'completedWithNotes' : 'completed'
  }
  // A request may want a failure instead of a cancel; what happened is the same.
  if (phase === 'rejected' || error?.code === 'approval-rejected') return 'rejected'
  if (phase === 'approvalExpired' || error?.code === 'approval-expired') return 'approvalExpired'
  if (status === 'failed') return phase === 'exhausted' || phase === 'deadline' ? phase : 'failed'
  return phase === 'parentCancelled' ? 'parentEnded' : 'cancelled'
}

const WAITS = {
  approval: 'approval',
  review: 'review',
  signal: 'signal',
  pause: 'paused',
  timer: 'timer',
  child: 'child',
} as const

function openOf({ type, now }: Facts, live: LiveJob): OpenMoment | BlockedMoment {
  if (live.state === 'cancelling' || live.state === 'running') return live.state
  if (live.state === 'waiting') return WAITS[live.waitKind ?? 'review']
  const due = live.worker === null && live.runAt <= now
  if (due && !isHeld(live, now) && type.pause == null && (type.unservedSince ?? null) !== null) return 'noWorker'
  if (live.state === 'compensating') return 'compensating'
  const held = isHeld(live, now)
  if (type.pause && (held || live.runAt <= now)) return 'lanePaused'
  if (held) return 'held'
  if (live.startedAt !== null && failures(live) > 0) return 'betweenTries'
  if (live.startedAt !== null) return 'inLine'
  return live.runAt > now ? 'scheduled' : 'stored'
}
