/**
 * What must happen without anybody asking: jobs of dead workers go on, deadlines end jobs, lateness is noted, what has had
 * its time is removed. Every action is a guarded move or a chunk; doing it twice changes nothing.
 */
import type { Clock, Timer } from '../core/clock.js'
import type { Actor } from '../core/job.js'
import { partsOf } from '../core/job.js'
import { type Event, transition } from '../core/lifecycle.js'
import { within } from '../core/within.js'
import type { Files } from '../engine/files.js'
import type { EngineParts } from '../engine/parts.js'
import { isBuiltIn } from '../engine/registry.js'
import { killAbandoned, killStrays, sweepWorkDirs } from '../process/index.js'
import { bootId as hostBoot } from '../process/procfs.js'
import type { WorkerRow } from '../stores/store.js'
import { hostChecks, hostNumbers } from './host.js'
import type { ScheduleClock } from './schedules.js'
import { Waker } from './waker.js'

const TICK_MS = 1000
/** One process at a time does what need not be done by all; when it dies, another follows after so long. */
const LEAD_MS = 6000
const REAP_MS = 5000
const HEAL_MS = 5000
/** Another process may have taught something. */
const TAUGHT_MS = 5000
const SWEEP_MS = 60_000
const CHUNK = 500
/** Removing a job touches a dozen tables; so many hold up a claim for about 2 ms, at the same cost per job as more. */
const EXPIRE_CHUNK = 100
/** How long it may take to say at the end that another one may lead. */
const STOP_MS = 3000
const SYSTEM: Actor = { kind: 'system', id: 'engine' }
const DEFAULT_MAX_LOST = 3

export interface MaintenanceOptions {
  parts: EngineParts
  files: Files
  clock: Clock
  schedules: ScheduleClock
  onError: (error: unknown) => void
  /** Whether this process does what one process does for all. */
  leads: boolean
  /** Names this process among others that share the store. */
  name: string
  /** Whether this worker lives in this process and believes in its lease; a jump of the clock must not kill it. */
  holds: (worker: string) => boolean
}

export class Maintenance {
  private readonly timers = new Map<string, Timer>()
  private stopped = false
  private readonly waker: Waker
  /** Until when this process does what one does for all, by the monotonic clock. */
  private leadsUntil = Number.NEGATIVE_INFINITY
  constructor(private readonly options: MaintenanceOptions) {
    this.waker = new Waker(options.parts, options.clock, options.onError, () => this.leading)
    options.parts.host = { checks: hostChecks, numbers: hostNumbers }
  }

  /** What a crash left is put right before the first claim: child processes first, so that no two attempts overlap. */
  async recover(): Promise<{ jobs: number; children: number; files: number; workDirs: number }> {
    const killed = await this.strays()
    // Whoever left its group, or was started so late that nobody wrote it down, bears the mark of its dead supervisor.
    const abandoned = await killAbandoned()
    const { dirs } = await sweepWorkDirs()
    const files = await this.options.files.recover()
    let jobs = 0
    for (let n = -1; n !== 0; jobs += n) n = await this.reap()
    return { jobs, children: killed + abandoned.killed, files, workDirs: dirs }
  }

  /** Ends what the killed workers of this machine have left running, also where their jobs went on elsewhere. @returns how many */
  private async strays(): Promise<number> {
    const { parts, holds } = this.options
    const { info, workers } = parts.store
    // Of another machine, or of another life of this one: whoever is there looks after them.
    const rows = (await workers.strays()).filter(
      ({ worker, bootId }) => !holds(worker) && (info.sole || bootId === hostBoot()),
    )
    const { killed } = await killStrays(rows)
    for (const { jobId, pgid } of rows) await workers.removeProcess(jobId, pgid)
    return killed
  }

  start(): void {
    const { parts, leads } = this.options
    this.every('words', REAP_MS, () => this.lookForWorkers().catch(() => undefined))
    this.every('taught', TAUGHT_MS, () => parts.taught.load())
    this.every('strays', REAP_MS, () => this.strays())
    this.every('leftovers', SWEEP_MS, () => sweepWorkDirs())
    if (!leads) return
    this.waker.start()
    if (!parts.store.info.sole) {
      this.every('lead', LEAD_MS / 3, () => this.lead())
      void this.lead().catch(this.options.onError)
    }
    this.every('tick', TICK_MS, async () => this.leading && this.tick())
    this.every('reap', REAP_MS, async () => this.leading && this.reap())
    this.every('heal', HEAL_MS, async () => this.leading && this.heal())
    this.every('sweep', SWEEP_MS, async () => this.leading && this.sweep())
  }

  /** Whether this process does it now. Two that believe so for a moment do no harm: every action is guarded. */
  private get leading(): boolean {
    const { parts, leads, clock } = this.options
    return leads && (parts.store.info.sole || clock.monotonic() < this.leadsUntil)
  }

  private async lead(): Promise<void> {
    const { parts, clock, name } = this.options
    const asked = clock.monotonic()
    const leads = await parts.store.workers.lead('maintenance', name, LEAD_MS)
    this.leadsUntil = leads ? asked + LEAD_MS : Number.NEGATIVE_INFINITY
  }

  async stop(): Promise<void> {
    const { leading } = this
    this.stopped = true
    this.waker.stop()
    for (const timer of this.timers.values()) timer.cancel()
    // Another process need not wait until it has run out.
    const { parts, clock, name } = this.options
    if (leading && !parts.store.info.sole)
      await within(clock, STOP_MS, parts.store.workers.lead('maintenance', name, 0)).catch(() => false)
  }

  private every(name: string, ms: number, duty: () => Promise<unknown>): void {
    const arm = () => {
      if (this.stopped) return
      this.timers.set(
        name,
        this.options.clock.after(ms, () => void duty().catch(this.options.onError).finally(arm)),
      )
    }
    arm()
  }

  /** Schedules, deadlines and lateness. */
  async tick(): Promise<void> {
    const { store } = this.options.parts
    // Not waited for: a long outage that is caught up must not hold up deadlines.
    void this.options.schedules.look()
    await this.waker.tick()
    const overdue = await store.overdue(CHUNK)
    await Promise.all(overdue.map((job) => this.move(job.id, { type: 'deadlinePassed', actor: SYSTEM })))
    await store.markLate(CHUNK)
  }

  /** Ends the attempts of workers that are gone. @returns how many */
  async reap(): Promise<number> {
    const { store, registry, entropy } = this.options.parts
    const orphans = (await store.orphans(CHUNK)).filter(({ worker }) => !this.options.holds(worker ?? ''))
    // The next attempt may begin as soon as they are moved.
    if (orphans.length > 0) await killAbandoned()
    const moved = await Promise.all(
      orphans.map((job) => {
        const maxLost = registry.get(partsOf(job.lane).type)?.handler.settings.maxLost ?? DEFAULT_MAX_LOST
        return this.move(job.id, { type: 'leaseExpired', actor: SYSTEM, maxLost, jitter: entropy.random() }, job.epoch)
      }),
    )
    return moved.filter(Boolean).length
  }

  /** Which lanes wait for a worker that is not there, so that their jobs can say so. */
  async lookForWorkers(): Promise<void> {
    const { store, unserved } = this.options.parts
    const now = store.now()
    const [lanes, workers] = await Promise.all([store.lanes(), store.workers.list()])
    const living = workers.filter(
      ({ id, state, leaseUntil }) => state === 'up' && (leaseUntil > now || this.options.holds(id)),
    )
    const waiting = new Set<string>()
    for (const { lane, runAt } of lanes) {
      if (runAt > now || living.some(({ serves }) => serves === null || takes(serves, lane))) continue
      waiting.add(lane)
      if (unserved.has(lane)) continue
      // From when the last one who took it has left; one that drains has not left, and takes nothing any more.
      const taken = workers.filter(({ serves }) => serves === null || takes(serves, lane))
      unserved.set(lane, Math.max(runAt, ...taken.map(({ leaseUntil }) => Math.min(leaseUntil, now))))
    }
    for (const lane of unserved.keys()) if (!waiting.has(lane)) unserved.delete(lane)
  }

  /** Gives free places in limits to whoever is next, a number of keys at a time: a look that costs little when all is well. */
  async heal(): Promise<void> {
    const { store, registry } = this.options.parts
    for (let after: string | null = ''; after !== null && !this.stopped; )
      after = await store.heal(after, CHUNK, (type) => registry.get(type)?.numbers)
  }

  /** Retention: finished jobs, tombstones, files nobody refers to. */
  async sweep(): Promise<number> {
    let removed = 0
    for (let n = EXPIRE_CHUNK; n >= EXPIRE_CHUNK && !this.stopped; removed += n)
      n = await this.options.parts.store.expire(EXPIRE_CHUNK)
    for (let n = CHUNK; n === CHUNK && !this.stopped; removed += n) n = await this.options.files.sweep(CHUNK)
    return removed
  }

  private async move(jobId: string, event: Event, epoch?: number): Promise<boolean> {
    const { store, expiresAt } = this.options.parts
    const moved = await store.move({
      jobId,
      decide: (live, now) => transition(live, event, now, epoch === undefined ? null : { epoch }),
      expiresAt,
    })
    return moved.outcome === 'moved'
  }
}

function takes({ types, queues }: NonNullable<WorkerRow['serves']>, lane: string): boolean {
  const { queue, type, pin } = partsOf(lane)
  // What the engine brings along, every worker takes.
  if (isBuiltIn(type)) return true
  if (queues !== null && !queues.includes(queue)) return false
  return types.some(({ name, version }) => name === type && (pin === null || pin === version))
}
