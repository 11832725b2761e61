/** The public words for what a job is doing: pure functions of its row. */
import type { FinalState, JobState, LiveJob, Status } from './job.js'

export function isFinal(state: JobState): state is FinalState {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}

/** The public word for an unfinished job (rulings 7). */
export function statusOf(job: Pick<LiveJob, 'state' | 'waitKind' | 'startedAt'>): Status {
  if (job.state === 'waiting') return job.waitKind === 'timer' || job.waitKind === 'child' ? 'processing' : 'blocked'
  return job.state === 'queued' && job.startedAt === null ? 'accepted' : 'processing'
}

/** The operator's phase of an unfinished job (http-contract 2.1). A pause of its type or queue is the view's to add. */
export function phaseOf(
  job: Pick<LiveJob, 'state' | 'waitKind' | 'startedAt' | 'runAt' | 'errors' | 'losses' | 'why' | 'held'>,
  now: number,
): string {
  if (job.state === 'waiting') return job.waitKind === 'timer' || job.waitKind === 'child' ? 'waiting' : job.waitKind!
  if (job.state !== 'queued') return job.state
  if (job.startedAt === null) return job.held ? 'held' : job.runAt > now ? 'scheduled' : 'queued'
  return job.errors + job.losses > 0 ? 'retrying' : 'running'
}
