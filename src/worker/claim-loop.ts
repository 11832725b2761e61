/**
 * When to claim, from which lanes, and how many. Hints (a submit on its way, a change, a timer) only make it look sooner;
 * a look at all lanes every second is what makes it correct. Owns no job.
 */
import type { Clock, Timer } from '../core/clock.js'
import { partsOf } from '../core/job.js'
import { levelsOf } from '../core/limits.js'
import type { Registry } from '../engine/registry.js'
import type { Claimed, ClaimRequest, Store } from '../stores/store.js'

const LOOK_EVERY_MS = 1000
/** A look may take one part in so many of the time. */
const LOOK_SHARE = 50

type Quota = ClaimRequest['lanes'][number]

export interface ClaimLoopOptions {
  store: Store
  registry: Registry
  clock: Clock
  worker: string
  slots: number
  /** Whether this worker takes jobs of a queue at all. */
  serves: (queue: string) => boolean
  /** Most jobs of a queue at once in this process. */
  queueLimit: (queue: string) => number
  onClaimed: (claimed: readonly Claimed[]) => void
  onError: (error: unknown) => void
}

export class ClaimLoop {
  /** Lanes that may hold ready jobs, with the earliest instant worth looking. */
  private readonly lanes = new Map<string, number>()
  /** Lanes of which we were told that they hold jobs for later; once they are empty now, the store says when to look again. */
  private readonly timed = new Set<string>()
  private readonly busy = { total: 0, queues: new Map<string, number>(), types: new Map<string, number>() }
  private claiming = false
  private stopped = true
  private claims = 0
  private timer: Timer | null = null
  /** The instant the timer is set for. */
  private armedFor = Number.POSITIVE_INFINITY
  private looker: Timer | null = null

  constructor(private readonly options: ClaimLoopOptions) {}

  start(): void {
    this.stopped = false
    this.look()
  }

  stop(): void {
    this.stopped = true
    this.timer?.cancel()
    this.looker?.cancel()
  }

  get free(): number {
    return this.options.slots - this.busy.total
  }

  /** A job is, or is about to be, ready in this lane at `at`. */
  hint(lane: string, at: number): void {
    if (this.stopped) return
    const known = this.lanes.get(lane)
    if (known === undefined || at < known) this.lanes.set(lane, at)
    if (at > this.options.clock.now()) {
      this.timed.add(lane)
      this.arm()
    } else this.claimSoon()
  }

  /**
   * An attempt of this lane is over: its end is in the next commit, where the next claim follows it, or it has lost its
   * lease. Told once per claimed job.
   */
  ended(lane: string): void {
    this.count(lane, -1)
    this.claimSoon()
  }

  private count(lane: string, by: number): void {
    const { queue, type } = partsOf(lane)
    this.busy.total += by
    this.busy.queues.set(queue, (this.busy.queues.get(queue) ?? 0) + by)
    this.busy.types.set(type, (this.busy.types.get(type) ?? 0) + by)
  }

  /** Something was missed: the look that would come within a second comes now. */
  lookNow(): void {
    if (this.stopped || !this.looker) return
    this.looker.cancel()
    this.looker = null
    void this.look()
  }

  private async look(): Promise<void> {
    if (this.stopped) return
    const { clock, store, onError } = this.options
    const began = clock.monotonic()
    try {
      for (const { lane, runAt } of await store.lanes()) this.hint(lane, runAt)
    } catch (error) {
      onError(error)
    }
    // Ten thousand lanes take a while to look at: it must stay a small part of the time.
    const ms = Math.max(LOOK_EVERY_MS, (clock.monotonic() - began) * LOOK_SHARE)
    if (this.stopped) return
    // The wall clock may have been set since the timer was: it is judged anew.
    this.armedFor = Number.NaN
    this.arm()
    this.looker = clock.after(ms, () => void this.look())
  }

  /** Sets the timer for the next lane that becomes ready; lanes that are ready now wait for a slot, not for time. */
  private arm(): void {
    const now = this.options.clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const at of this.lanes.values()) if (at > now && at < next) next = at
    if (next === this.armedFor) return
    this.timer?.cancel()
    this.armedFor = next
    this.timer = Number.isFinite(next)
      ? this.options.clock.after(next - now, () => {
          this.armedFor = Number.POSITIVE_INFINITY
          this.claimSoon()
        })
      : null
  }

  private claimSoon(): void {
    // While a claim is under way its end looks again.
    if (this.stopped || this.claiming) return
    if (this.ready(1).length === 0) {
      this.arm()
      return
    }
    this.claiming = true
    this.claims++
    const { store, worker, registry } = this.options
    const cut: string[] = []
    let lanes: readonly Quota[] = []
    let asked = 0
    // Only the claim itself knows what is free: the ends of attempts that share its commit come before it.
    const ask = () => {
      for (const { lane } of lanes) this.lanes.set(lane, 0) // asked before, in a commit that failed
      lanes = this.stopped ? [] : this.quotas()
      // Lanes are forgotten now and remembered afterwards if they gave all that was asked: a hint that comes meanwhile stays.
      for (const { lane } of lanes) this.lanes.delete(lane)
      return lanes
    }
    store
      .claim({
        worker,
        get lanes() {
          return ask()
        },
        limit: () => (asked = this.stopped ? 0 : this.free),
        levels: levelsOf(this.claims),
        numbers: (type) => registry.get(type)?.numbers,
        onCut: (lane) => cut.push(lane),
      })
      .then((claimed) => this.took(lanes, claimed, asked, cut))
      .catch((error) => {
        for (const { lane } of lanes)
          if (!this.lanes.has(lane)) this.lanes.set(lane, this.options.clock.now() + LOOK_EVERY_MS)
        this.options.onError(error)
      })
      .finally(() => {
        this.claiming = false
        this.claimSoon()
      })
  }

  private took(lanes: readonly Quota[], claimed: readonly Claimed[], asked: number, cut: readonly string[]): void {
    const given = new Map<string, number>()
    for (const { live } of claimed) {
      this.count(live.lane, 1)
      given.set(live.lane, (given.get(live.lane) ?? 0) + 1)
    }
    // A lane that gave everything that was asked, or that was cut off by the total, may hold more.
    const full = claimed.length >= asked
    for (const { lane, limit } of lanes) {
      if (full || (given.get(lane) ?? 0) >= limit || cut.includes(lane)) this.lanes.set(lane, 0)
      else if (this.timed.delete(lane)) void this.askWhen(lane)
    }
    if (claimed.length > 0) this.options.onClaimed(claimed)
  }

  /** A lane that gave all it had may hold jobs for later, whose hints were swallowed by the earlier ones. */
  private async askWhen(lane: string): Promise<void> {
    try {
      const at = await this.options.store.due(lane)
      if (at !== null) this.hint(lane, at)
    } catch (error) {
      this.options.onError(error)
    }
  }

  /**
   * The first `most` ready lanes of types that this process has and that have capacity left. A lane that was asked goes to
   * the end of the row, so with more lanes than slots each has its turn, at a cost that does not grow with the lanes.
   */
  private ready(most: number): { lane: string; queue: string; type: string; limit: number }[] {
    const { free, busy } = this
    const ready: { lane: string; queue: string; type: string; limit: number }[] = []
    if (free <= 0) return ready
    const now = this.options.clock.now()
    const found = { queues: new Map<string, number>(), types: new Map<string, number>() }
    for (const [lane, at] of this.lanes) {
      if (at > now) continue
      const { queue, type, pin } = partsOf(lane)
      const known = this.options.registry.get(type)
      if (!known || !this.options.serves(queue) || (pin !== null && pin !== known.handler.settings.version)) {
        this.lanes.delete(lane) // the look at all lanes brings it back, should the type or version come
        continue
      }
      // Of a queue or type no more lanes than it may run jobs, or they would keep the others out.
      const queued = found.queues.get(queue) ?? 0
      const typed = found.types.get(type) ?? 0
      const limit = Math.min(
        free,
        this.options.queueLimit(queue) - (busy.queues.get(queue) ?? 0) - queued,
        known.handler.settings.concurrency - (busy.types.get(type) ?? 0) - typed,
      )
      if (limit <= 0) continue
      if (ready.push({ lane, queue, type, limit }) >= most) break
      found.queues.set(queue, queued + 1)
      found.types.set(type, typed + 1)
    }
    return ready
  }

  /** Each ready lane with its share; the order turns, so that no lane is always last. */
  private quotas(): Quota[] {
    const free = this.free
    const ready = this.ready(free)
    if (ready.length <= 1) return ready
    const share = Math.max(1, Math.ceil(free / ready.length))
    const start = this.claims % ready.length
    // Lanes of one queue or type share its limit: what one may take in this claim, the next may not.
    const planned = { queues: new Map<string, number>(), types: new Map<string, number>() }
    const shares: Quota[] = []
    for (const one of [...ready.slice(start), ...ready.slice(0, start)]) {
      const { lane, queue, type } = one
      const queued = planned.queues.get(queue) ?? 0
      const typed = planned.types.get(type) ?? 0
      const limit = Math.min(
        share,
        one.limit,
        this.options.queueLimit(queue) - (this.busy.queues.get(queue) ?? 0) - queued,
        this.options.registry.get(type)!.handler.settings.concurrency - (this.busy.types.get(type) ?? 0) - typed,
      )
      if (limit <= 0) continue
      planned.queues.set(queue, queued + limit)
      planned.types.set(type, typed + limit)
      shares.push({ lane, limit })
    }
    return shares
  }
}
