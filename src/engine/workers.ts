/**
 * Workers as operators see them: who is there, what each runs, and the wish that one drains. The wish is a word in its row;
 * the worker reads it at its next heartbeat, in whichever process it is. Nothing here ends a job.
 */
import { UntildoneError } from '../core/errors.js'
import { partsOf } from '../core/job.js'
import { LEASE_MS } from '../core/lease.js'
import type { WireWorker } from '../core/wire.js'
import type { Store, WorkerLoad, WorkerRow } from '../stores/store.js'
import type { ActionRequest, Caller } from './api.js'
import { allTypes, demand } from './rights.js'
import { iso } from './view.js'

/** Counts of waiting jobs end here, per lane. */
const COUNT_MAX = 10_000

export class Workers {
  constructor(private readonly store: Store) {}

  async list(caller: Caller, all: boolean): Promise<WireWorker[]> {
    demand(caller, 'jobs:operate')
    const [rows, load] = await Promise.all([this.store.workers.list(), this.store.workers.load()])
    const now = this.store.now()
    return rows.filter(({ state }) => all || state !== 'gone').map((row) => shown(row, load, caller.tenant, now))
  }

  /** For health: who is there, and what waits for them in all lanes. */
  async numbers(): Promise<Record<'workers' | 'workersDraining' | 'workersLost' | 'waiting' | 'held', number>> {
    const [rows, lanes] = await Promise.all([this.store.workers.list(), this.store.load(COUNT_MAX)])
    const now = this.store.now()
    const of = (wanted: WireWorker['state']) => rows.filter((row) => stateOf(row, now) === wanted).length
    const sum = (key: 'ready' | 'held') => lanes.reduce((total, lane) => total + lane[key], 0)
    const there = { workers: of('up'), workersDraining: of('draining'), workersLost: of('lost') }
    return { ...there, waiting: sum('ready'), held: sum('held') }
  }

  /** @throws UntildoneError `forbidden`, `not-found` */
  async drain(caller: Caller, id: string, { reason = null }: ActionRequest): Promise<WireWorker> {
    demand(caller, 'jobs:operate')
    allTypes(caller, 'A worker runs jobs of other types, too.')
    const { tenant, actor, requestId } = caller
    const row = await this.store.workers.drain(id, {
      ...{ tenant, actor, action: 'worker.drain', target: `worker/${id}`, reason },
      details: requestId ? { requestId } : null,
    })
    if (row === null)
      throw new UntildoneError('not-found', `There is no worker ${id}.`, {
        params: { worker: id },
        fix: 'GET /v1/workers lists those that are there; a process that was started again has workers with new ids.',
      })
    return shown(row, await this.store.workers.load(), tenant, this.store.now())
  }
}

const stateOf = ({ state, leaseUntil }: WorkerRow, now: number): WireWorker['state'] =>
  state !== 'gone' && leaseUntil <= now ? 'lost' : state

function shown(row: WorkerRow, load: readonly WorkerLoad[], tenant: string, now: number): WireWorker {
  const { id, host, pid, startedAt, leaseUntil, serves } = row
  const jobs = new Map<string, { running: number; oldestAt: number }>()
  for (const { worker, lane, running, oldestAt } of load) {
    const of = partsOf(lane)
    if (worker !== id || of.tenant !== tenant) continue
    const sum = jobs.get(of.type) ?? { running: 0, oldestAt }
    jobs.set(of.type, { running: sum.running + running, oldestAt: Math.min(sum.oldestAt, oldestAt) })
  }
  const gone = row.state === 'gone'
  return {
    ...{ id, host, pid },
    state: stateOf(row, now),
    startedAt: iso(startedAt),
    // Each heartbeat renews the lease for the same time; the last one of all gives it up.
    lastSeenAt: iso(gone ? leaseUntil : leaseUntil - LEASE_MS),
    leaseUntil: iso(leaseUntil),
    types: serves === null ? null : serves.types,
    queues: serves === null ? null : serves.queues,
    running: [...jobs.values()].reduce((sum, { running }) => sum + running, 0),
    jobs: [...jobs]
      .map(([type, { running, oldestAt }]) => ({ type, running, oldestAgeMs: Math.max(0, now - oldestAt) }))
      .sort((a, b) => b.oldestAgeMs - a.oldestAgeMs || (a.type < b.type ? -1 : 1)),
  }
}
