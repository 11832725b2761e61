/**
 * Whom a transport reaches: a message of a queue is delivered to any worker that hears of the queue, so a lane is only
 * announced where each of these can run its jobs. Jobs of other lanes are found by looking, as without a transport.
 */
import { partsOf } from '../core/job.js'
import { WEBHOOK_QUEUE } from '../engine/deliveries.js'
import { isBuiltIn } from '../engine/registry.js'
import type { WorkerRow } from '../stores/store.js'

type Serves = NonNullable<WorkerRow['serves']>

/**
 * @param kind of the transport
 * @param except workers that are about to go
 * @returns whether word of this lane's jobs reaches somebody, and only such as can run them
 */
export function reachOf(
  workers: readonly WorkerRow[],
  kind: string,
  now: number,
  except: (id: string) => boolean = () => false,
): (lane: string) => boolean {
  const hearing = workers.flatMap(({ id, state, leaseUntil, serves }) =>
    state === 'up' && leaseUntil > now && serves?.transport === kind && !except(id) ? [serves] : [],
  )
  const known = new Map<string, boolean>()
  return (lane) => {
    let reached = known.get(lane)
    if (reached === undefined) known.set(lane, (reached = reaches(lane, hearing)))
    return reached
  }
}

function reaches(lane: string, hearing: readonly Serves[]): boolean {
  const { queue, type, pin } = partsOf(lane)
  if (!isCarried(lane)) return false
  const takers = hearing.filter(({ queues }) => queues === null || queues.includes(queue))
  return (
    takers.length > 0 &&
    takers.every(({ types }) => types.some(({ name, version }) => name === type && (pin === null || pin === version)))
  )
}

/** What the engine brings along is run by whoever asks for it, in queues that have workers of their own. */
export function isCarried(lane: string): boolean {
  const { queue, type } = partsOf(lane)
  return !isBuiltIn(type) && queue !== WEBHOOK_QUEUE
}
