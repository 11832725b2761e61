/**
 * Pausing types and queues: nothing of them is started, all of it is still accepted. The claim asks the store itself; what
 * is kept here is only for views, so that no read costs another look-up.
 */
import { UntildoneError } from '../core/errors.js'
import { partsOf } from '../core/job.js'
import type { WireQueue } from '../core/wire.js'
import type { PauseRow, Store } from '../stores/store.js'
import type { ActionRequest, Caller } from './api.js'
import { isBuiltIn, type Registry } from './registry.js'
import { allTypes, demand, mayUseType } from './rights.js'
import { iso } from './view.js'

/** Counts of waiting jobs end here, so that a look never counts a million. */
const COUNT_MAX = 10_000
/** How old the list may be that views are made from, when other processes may change it. */
const FRESH_MS = 1000

export class Pauses {
  private rows: readonly PauseRow[] = []
  private readAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly store: Store,
    private readonly registry: Registry,
    private readonly queueLimits: Readonly<Record<string, { concurrency?: number }>>,
    /** Tells the worker that there is something to claim in this lane. A hint. */
    private readonly hint: (lane: string, runAt: number) => void,
  ) {}

  async load(): Promise<void> {
    this.readAt = this.store.now()
    this.rows = await this.store.pauses.list()
  }

  /** Before views are made: what other processes have paused or resumed is known within a second. */
  async refresh(): Promise<void> {
    if (!this.store.info.sole && this.store.now() - this.readAt >= FRESH_MS) await this.load()
  }

  /** What keeps the jobs of this lane from being started; the type before the queue. */
  of({ tenant, type, queue }: { tenant: string; type: string; queue: string }): PauseRow | null {
    if (this.rows.length === 0) return null
    return this.find(tenant, 'type', type) ?? this.find(tenant, 'queue', queue)
  }

  ofType(tenant: string, type: string): PauseRow | null {
    return this.find(tenant, 'type', type)
  }

  private stateOf(tenant: string, queue: string): Pick<WireQueue, 'paused' | 'pause'> {
    const row = this.find(tenant, 'queue', queue)
    return { paused: row !== null, pause: row && { actor: row.by, reason: row.reason, at: iso(row.at) } }
  }

  private find(tenant: string, kind: PauseRow['kind'], name: string): PauseRow | null {
    return this.rows.find((row) => row.tenant === tenant && row.kind === kind && row.name === name) ?? null
  }

  /** @throws UntildoneError `forbidden`, `not-found` */
  async setType(caller: Caller, type: string, on: boolean, request: ActionRequest): Promise<void> {
    demand(caller, 'jobs:operate')
    if (!this.registry.get(type) || isBuiltIn(type) || !mayUseType(caller, type))
      throw new UntildoneError('not-found', `There is no job type "${type}".`, { params: { type } })
    await this.set(caller, 'type', type, on, request)
  }

  /** @throws UntildoneError `forbidden`, `not-found` */
  async setQueue(caller: Caller, queue: string, on: boolean, request: ActionRequest): Promise<WireQueue> {
    demand(caller, 'jobs:operate')
    allTypes(caller, 'A queue may hold others.', 'Pause the types instead, or use a key without `types`.')
    const queues = await this.queues(caller)
    const before = queues.find(({ name }) => name === queue)
    if (!before) throw new UntildoneError('not-found', `There is no queue "${queue}".`, { params: { queue } })
    await this.set(caller, 'queue', queue, on, request)
    return { ...before, ...this.stateOf(caller.tenant, queue) }
  }

  private async set(
    caller: Caller,
    kind: PauseRow['kind'],
    name: string,
    on: boolean,
    { reason = null }: ActionRequest,
  ): Promise<void> {
    const { tenant, actor } = caller
    const row: PauseRow = { tenant, kind, name, by: actor, reason, at: this.store.now() }
    await this.store.pauses.set(row, on, {
      tenant,
      actor,
      action: `${kind}.${on ? 'pause' : 'resume'}`,
      target: `${kind}/${name}`,
      reason,
      details: caller.requestId ? { requestId: caller.requestId } : null,
    })
    await this.load()
    if (on) return
    for (const { lane, runAt } of await this.store.lanes()) {
      const parts = partsOf(lane)
      if (parts.tenant === tenant && parts[kind] === name) this.hint(lane, runAt)
    }
  }

  /** The queues of this process's types and settings, and those that hold jobs of this tenant. */
  async queues(caller: Caller): Promise<WireQueue[]> {
    demand(caller, 'jobs:operate')
    await this.refresh()
    const { tenant } = caller
    const names = [
      ...this.registry.all().map(({ handler }) => handler.settings.queue),
      ...Object.keys(this.queueLimits),
    ]
    const paused = this.rows.filter((row) => row.tenant === tenant && row.kind === 'queue').map(({ name }) => name)
    const found = new Map<string, { depth: number; held: number; oldestAt: number | null; running: number }>()
    for (const name of [...names, ...paused]) found.set(name, { depth: 0, held: 0, oldestAt: null, running: 0 })
    for (const { lane, ready, held, oldestAt, running } of await this.store.load(COUNT_MAX)) {
      const of = partsOf(lane)
      if (of.tenant !== tenant) continue
      const sum = found.get(of.queue) ?? { depth: 0, held: 0, oldestAt: null, running: 0 }
      found.set(of.queue, {
        depth: sum.depth + ready + held,
        held: sum.held + held,
        oldestAt: oldestAt === null ? sum.oldestAt : Math.min(oldestAt, sum.oldestAt ?? oldestAt),
        running: sum.running + running,
      })
    }
    const now = this.store.now()
    return [...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { oldestAt, ...counts }]) => ({
        name,
        ...this.stateOf(tenant, name),
        ...counts,
        oldestAgeMs: oldestAt === null ? null : Math.max(0, now - oldestAt),
        concurrency: this.queueLimits[name]?.concurrency ?? null,
      }))
  }
}
