/**
 * Why a queued job does not start although nothing is wrong with it, as one sentence for people: a pause of its type or
 * queue, a limit of its type. Pure.
 */
import { formatDuration } from '../core/duration.js'
import type { LiveJob } from '../core/job.js'
import { isHeld } from '../core/lifecycle.js'
import type { PauseRow, StoredJob } from '../stores/store.js'
import type { TypeView } from './view.js'

/** Null when nothing of the kind keeps it back. */
export function keptBack(stored: StoredJob, now: number, type: Pick<TypeView, 'numbers' | 'pause'>): string | null {
  const { live } = stored
  return type.pause ? pausedSentence(live!, type.pause) : heldSentence(stored, now, type)
}

/** Between two attempts it is the same: nothing goes on before somebody resumes it. */
function pausedSentence({ startedAt }: LiveJob, pause: PauseRow): string {
  const what = pause.kind === 'type' ? 'Jobs of this type are' : `The queue "${pause.name}" is`
  const why = pause.reason ? `: ${pause.reason.replace(/\.$/, '')}.` : '.'
  return `${startedAt === null ? 'Accepted. ' : ''}${what} paused by ${pause.by.name ?? pause.by.id}${why}`
}

function heldSentence(
  { record, live, heldBy }: StoredJob,
  now: number,
  type: Pick<TypeView, 'numbers'>,
): string | null {
  if (!isHeld(live!, now)) return null
  const { numbers } = type
  const { concurrency, order, rate } = record.options.limits ?? {}
  switch (live!.held) {
    case 'concurrency': {
      const limit = numbers?.concurrency ?? concurrency?.limit
      const those = `jobs ${whose(concurrency?.key)}`
      return heldBy?.running != null && limit !== undefined
        ? `Waiting: ${heldBy.running} of ${limit} ${those} are running.`
        : `Waiting: other ${those} come first.`
    }
    case 'order':
      if (heldBy?.ahead == null) return `Waiting its turn: other jobs ${whose(order)} come first.`
      return heldBy.ahead === 1
        ? `Waiting its turn: 1 job ${whose(order)} comes first.`
        : `Waiting its turn: ${heldBy.ahead} jobs ${whose(order)} come first.`
    default: {
      const { limit, perMs } = numbers?.rate ?? rate ?? {}
      const most = `at most ${limit} in ${formatDuration(perMs ?? 0)} start ${whose(rate?.key)}`
      const from = live!.held === 'granted' ? `; it starts ${new Date(live!.runAt).toISOString()}` : ''
      return `Waiting: ${most}${from}.`
    }
  }
}

function whose(key: string | undefined): string {
  return key ? `for ${key}` : 'of this type'
}
