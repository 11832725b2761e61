/**
 * When to claim, from which lanes, and how many. Hints (a submit on its way, a change, a timer) only make it look sooner;
 * a look at all lanes every second is what makes it correct. Owns no job.
 */
import type { Clock, Timer } from '../core/clock.js'
import { isUntildoneError } from '../core/errors.js'
import { partsOf } from '../core/job.js'
import { levelsOf } from '../core/limits.js'
import type { Registry } from '../engine/registry.js'
import type { Claimed, LaneQuota, Store } from '../stores/store.js'
import type { Delivered, Message } from '../transports/transport.js'
import { LOOK_EVERY_MS, Looks } from './looks.js'
import { Offers } from './offers.js'
import { Planned } from './planned.js'
import { Turns } from './turns.js'

/** With a transport the relay looks every second and says what it saw; this is the net under that. */
const NET_MS = 5000
/** What waits for so long with nothing delivered is claimed without: later than the relay says it again. */
const OVERDUE_MS = 8000

export interface ClaimLoopOptions {
  store: Store
  registry: Registry
  clock: Clock
  random: () => number
  worker: string
  slots: number
  /** Whether this worker takes jobs of a queue at all. */
  serves: (queue: string) => boolean
  /** Most jobs of a queue at once in this process. */
  queueLimit: (queue: string) => number
  onClaimed: (claimed: readonly Claimed[]) => void
  onError: (error: unknown) => void
  /** Whether jobs of this lane are delivered by a transport, so that nobody needs to look for them. @default none are */
  carried?: (lane: string) => boolean
  /** Told when there is more or less room than before. */
  onRoom?: () => void
  /** Told when the store does not answer claims, before the deliveries that it was asked for are answered. */
  onStoreAway?: () => void
}

export class ClaimLoop {
  /** Lanes that may hold ready jobs, with the earliest instant worth looking. */
  private readonly lanes = new Map<string, number>()
  /** Lanes of which we were told that they hold jobs for later; once they are empty now, the store says when to look again. */
  private readonly timed = new Set<string>()
  private readonly busy = new Planned()
  private readonly offers: Offers
  /** When something of a lane was delivered last. */
  private readonly heard = new Map<string, number>()
  /** Carried lanes in which something waits although nothing is delivered: they are claimed from as if they were not. */
  private readonly overdue = new Set<string>()
  /** The claim that is under way. */
  private claiming: Promise<void> | null = null
  /** Claims whose jobs have not been handed over. */
  private readonly open = new Set<Promise<void>>()
  private readonly turns = new Turns()
  private stopped = true
  private claims = 0
  private timer: Timer | null = null
  /** The instant the timer is set for. */
  private armedFor = Number.POSITIVE_INFINITY
  private readonly looks: Looks

  constructor(private readonly options: ClaimLoopOptions) {
    const { clock, random, carried } = options
    this.offers = new Offers(clock)
    this.looks = new Looks(clock, random, () => this.look(), carried ? NET_MS : LOOK_EVERY_MS)
  }

  start(): void {
    this.stopped = false
    void this.looks.now()
  }

  stop(): void {
    this.stopped = true
    this.timer?.cancel()
    void this.looks.stop()
    this.offers.returnAll()
  }

  /** Resolves when no claim is under way, and what it brought has been handed over. Of a stopped loop. */
  async settled(): Promise<void> {
    while (this.open.size > 0) await Promise.all(this.open)
  }

  get free(): number {
    return this.options.slots - this.busy.total
  }

  /**
   * How many one claim takes. Where commits overlap, half of the slots at most: while the jobs of one claim run and end,
   * the next one is under way, so that neither the worker nor the database waits for the other.
   */
  private get most(): number {
    const { slots, store } = this.options
    return Math.min(this.free, store.info.overlaps ? Math.ceil(slots / 2) : slots)
  }

  /** How many deliveries of this queue it can do with now: as many as may start or soon will, and those that wait for their type. */
  room(queue: string): number {
    if (this.stopped) return 0
    let blocked = 0
    for (const [type, waiting] of this.offers.typesOf(queue))
      blocked += Math.max(0, waiting - Math.max(0, this.left(queue, type)))
    const limit = this.options.queueLimit(queue)
    const ahead = Math.min(this.offers.pace, this.options.slots, limit)
    return Math.max(0, Math.min(this.free, limit - this.busy.queue(queue))) + blocked + ahead
  }

  /** Whether nothing runs or is on its way here, and a job of this lane could start. */
  rests(lane: string): boolean {
    if (this.stopped || this.busy.total > 0 || this.open.size > 0 || !this.takes(lane)) return false
    const { queue, type } = partsOf(lane)
    return !this.offers.any && this.left(queue, type) > 0
  }

  /** A delivery. It is answered when its jobs were claimed or need not be, and after a while in any case. */
  offer(messages: readonly Message[]): Promise<Delivered[]> {
    if (this.stopped) return Promise.resolve(messages.map(() => 'returned'))
    const now = this.options.clock.now()
    for (const { lane } of messages) this.heard.set(lane, now)
    const answers = this.offers.add(messages)
    this.claimSoon()
    return answers
  }

  /** A job is, or is about to be, ready in this lane at `at`. */
  hint(lane: string, at: number): void {
    if (this.stopped || this.options.carried?.(lane)) return
    if (this.mind(lane, at)) this.claimSoon()
    // The timer is set for something sooner already, or must be set anew.
    else if (!(at >= this.armedFor)) this.arm()
  }

  /** What a look at all lanes has found. */
  saw(lanes: readonly { lane: string; runAt: number }[]): void {
    const { carried, clock } = this.options
    const since = clock.now() - OVERDUE_MS
    for (const [lane, at] of this.heard) if (at <= since) this.heard.delete(lane)
    // All of them first: whoever arms or claims walks over the lanes, and once for each would be their square.
    if (this.stopped) return
    let ready = false
    for (const { lane, runAt } of lanes) {
      const overdue = carried?.(lane) && runAt <= since && !this.heard.has(lane)
      if (overdue) this.overdue.add(lane)
      if (overdue || !carried?.(lane)) ready = this.mind(lane, runAt) || ready
    }
    this.arm()
    if (ready) this.claimSoon()
  }

  /** @returns whether it is worth looking now */
  private mind(lane: string, at: number): boolean {
    const known = this.lanes.get(lane)
    if (known === undefined || at < known) this.lanes.set(lane, at)
    if (at <= this.options.clock.now()) return true
    this.timed.add(lane)
    return false
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
    this.busy.add(queue, type, by)
    this.options.onRoom?.()
  }

  /** How many more of this queue and type may start, slots aside. */
  private left(queue: string, type: string, ...planned: Planned[]): number {
    const { registry, queueLimit } = this.options
    let ofQueue = queueLimit(queue)
    let ofType = registry.get(type)?.handler.settings.concurrency ?? 0
    for (const taken of [this.busy, ...planned]) {
      ofQueue -= taken.queue(queue)
      ofType -= taken.type(type)
    }
    return Math.min(ofQueue, ofType)
  }

  /** Whether this process can run the jobs of a lane. */
  private takes(lane: string): boolean {
    const { queue, type, pin } = partsOf(lane)
    const known = this.options.registry.get(type)
    return known !== undefined && this.options.serves(queue) && (pin === null || pin === known.handler.settings.version)
  }

  /** Something was missed. */
  lookSooner(): void {
    if (!this.stopped) this.looks.sooner()
  }

  private async look(): Promise<void> {
    const { store, onError } = this.options
    try {
      this.saw(await store.lanes())
    } catch (error) {
      onError(error)
    }
    if (this.stopped) return
    // The wall clock may have been set since the timer was: it is judged anew.
    this.armedFor = Number.NaN
    this.arm()
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
    if (this.named(new Planned(), true).length === 0 && this.ready(1).length === 0) {
      this.arm()
      return
    }
    this.claims++
    const { store, worker, registry } = this.options
    const cut: string[] = []
    let lanes: readonly LaneQuota[] = []
    let asked = 0
    const left = new Set<string>()
    // Only the claim itself knows what is free: the ends of attempts that share its commit come before it.
    const ask = () => {
      for (const { lane, ids } of lanes) if (!ids) this.lanes.set(lane, 0) // asked before, in a commit that failed
      left.clear()
      lanes = this.stopped ? [] : this.quotas()
      // Lanes are forgotten now and remembered afterwards if they gave all that was asked: a hint that comes meanwhile stays.
      for (const { lane, ids } of lanes) if (!ids) this.lanes.delete(lane)
      return lanes
    }
    const claim: Promise<void> = store
      .claim({
        worker,
        get lanes() {
          return ask()
        },
        limit: () => (asked = this.stopped ? 0 : this.most),
        levels: levelsOf(this.claims),
        mixed: this.offers.mixed,
        numbers: (type) => registry.get(type)?.numbers,
        onCut: (lane) => cut.push(lane),
        onLeft: (id) => left.add(id),
      })
      .then((claimed) => {
        this.took(lanes, claimed, asked, cut)
        this.offers.claimedFrom(lanes, claimed, left)
        if (!store.info.overlaps) return this.options.onClaimed(claimed)
        this.claiming = null
        this.claimSoon()
        // If there is a next claim, it is on its way before these have the turn.
        return this.turns.next(this.claiming !== null, () => this.options.onClaimed(claimed))
      })
      .catch((error) => {
        if (isUntildoneError(error) && error.code === 'store-unavailable') this.options.onStoreAway?.()
        const later = this.options.clock.now() + LOOK_EVERY_MS
        for (const { lane, ids } of lanes) {
          if (ids) this.offers.settle(lane, ids, 'returned')
          else if (!this.lanes.has(lane)) this.lanes.set(lane, later)
        }
        // It failed before it asked for them: all are ready still, and at once again would be again and again.
        if (lanes.length === 0) {
          this.offers.returnAll()
          for (const { lane } of this.ready(this.free)) this.lanes.set(lane, later)
        }
        this.options.onError(error)
      })
      .finally(() => {
        this.open.delete(claim)
        if (this.claiming === claim) this.claiming = null
        this.claimSoon()
      })
    this.claiming = claim
    this.open.add(claim)
  }

  private took(lanes: readonly LaneQuota[], claimed: readonly Claimed[], asked: number, cut: readonly string[]): void {
    const given = new Map<string, number>()
    for (const { live } of claimed) {
      this.count(live.lane, 1)
      given.set(live.lane, (given.get(live.lane) ?? 0) + 1)
    }
    // A lane that gave everything that was asked, or that was cut off by the total, may hold more.
    const full = claimed.length >= asked
    for (const { lane, limit, ids } of lanes) {
      if (ids || this.options.carried?.(lane)) continue
      if (full || (given.get(lane) ?? 0) >= limit || cut.includes(lane)) this.lanes.set(lane, 0)
      else if (this.timed.delete(lane)) void this.askWhen(lane)
    }
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
   * Lanes of which something was delivered, with as many jobs as may start.
   * @param any the first one is enough
   */
  private named(planned: Planned, any = false): LaneQuota[] {
    const quotas: LaneQuota[] = []
    for (const { lane, count } of this.offers.lanes()) {
      const { queue, type } = partsOf(lane)
      // What came here by mistake goes back when its time is over: at once, it would go back and forth without a pause.
      if (!this.takes(lane)) continue
      const limit = Math.min(count, this.most - planned.total, this.left(queue, type, planned))
      if (limit <= 0) continue
      planned.add(queue, type, limit)
      quotas.push({ lane, limit, ids: any ? [] : this.offers.first(lane, limit) })
      if (any) break
    }
    return quotas
  }

  /**
   * The first `most` ready lanes of types that this process has and that have capacity left. A lane that was asked goes to
   * the end of the row, so with more lanes than slots each has its turn, at a cost that does not grow with the lanes.
   */
  private ready(
    most: number,
    before = new Planned(),
    except: ReadonlySet<string> = new Set(),
  ): { lane: string; queue: string; type: string; limit: number }[] {
    const free = this.free - before.total
    const ready: { lane: string; queue: string; type: string; limit: number }[] = []
    if (free <= 0) return ready
    const now = this.options.clock.now()
    // Of a queue or type no more lanes than it may run jobs, or they would keep the others out.
    const found = new Planned()
    for (const [lane, at] of this.lanes) {
      if (at > now || except.has(lane)) continue
      const { queue, type } = partsOf(lane)
      const carried = this.options.carried?.(lane) && !this.overdue.has(lane)
      if (carried || !this.takes(lane)) {
        this.overdue.delete(lane)
        this.lanes.delete(lane) // the look at all lanes brings it back, should the type or version come
        continue
      }
      const limit = Math.min(free, this.left(queue, type, before, found))
      if (limit <= 0) continue
      if (ready.push({ lane, queue, type, limit }) >= most) break
      found.add(queue, type, 1)
    }
    return ready
  }

  /** Deliveries first; then each ready lane with its share. The order turns, so that no lane is always last. */
  private quotas(): LaneQuota[] {
    // Lanes of one queue or type share its limit: what one may take in this claim, the next may not.
    const planned = new Planned()
    const shares = this.named(planned)
    const free = this.most - planned.total
    if (free <= 0) return shares
    // A claim asks a lane once.
    const ready = this.ready(free, planned, new Set(shares.map(({ lane }) => lane)))
    for (const { lane } of ready) this.overdue.delete(lane)
    if (ready.length === 0) return shares
    const share = Math.max(1, Math.ceil(free / ready.length))
    const start = this.claims % ready.length
    for (const { lane, queue, type, limit: most } of [...ready.slice(start), ...ready.slice(0, start)]) {
      const limit = Math.min(share, most, this.left(queue, type, planned))
      if (limit <= 0) continue
      planned.add(queue, type, limit)
      shares.push({ lane, limit })
    }
    return shares
  }
}
