/** The public words for what a job is doing: pure functions of its row. */
import type { FinalState, JobState, LiveJob, Status } from './job.js'

export function isFinal(state: JobState): state is FinalState {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}

/** The public word for an unfinished job. What has not begun stays `accepted`, paused or not: a status never goes back. */
export function statusOf(job: Pick<LiveJob, 'state' | 'waitKind' | 'startedAt'>): Status {
  if (job.startedAt === null && (job.state === 'queued' || job.waitKind === 'pause')) return 'accepted'
  if (job.state !== 'waiting') return 'processing'
  return job.waitKind === 'timer' || job.waitKind === 'child' ? 'processing' : 'blocked'
}

/** The public word after a history entry; epoch 0 says that no worker has ever had the job. */
export function statusAfter(entry: { state: JobState; phase: string; epoch: number }): Status {
  if (isFinal(entry.state)) return entry.state
  const waiting = entry.state === 'waiting'
  if (entry.epoch === 0 && (entry.state === 'queued' || (waiting && entry.phase === 'paused'))) return 'accepted'
  return waiting && entry.phase !== 'waiting' ? 'blocked' : 'processing'
}

/** The operator's phase of an unfinished job (http-contract 2.1). A pause of its type or queue is the view's to add. */
export function phaseOf(
  job: Pick<LiveJob, 'state' | 'waitKind' | 'startedAt' | 'runAt' | 'errors' | 'losses' | 'why' | 'held'>,
  now: number,
): string {
  if (job.waitKind === 'pause') return 'paused'
  if (job.state === 'waiting') return job.waitKind === 'timer' || job.waitKind === 'child' ? 'waiting' : job.waitKind!
  if (job.state !== 'queued') return job.state
  if (job.startedAt === null) return isHeld(job, now) ? 'held' : job.runAt > now ? 'scheduled' : 'queued'
  return job.errors + job.losses > 0 || job.why?.scopes ? 'retrying' : 'running'
}

/** A limit of its type keeps it from starting now. */
export function isHeld({ held, runAt }: Pick<LiveJob, 'held' | 'runAt'>, now: number): boolean {
  return held !== null && (held !== 'granted' || runAt > now)
}
