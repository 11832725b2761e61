/**
 * The relay: tells a transport of ready jobs. Of the relays of a system one leads: it keeps the window of each queue full, and
 * remembers what it has announced until it hears that somebody has claimed it. It keeps nothing that matters: what it forgets,
 * the store answers again, and what it announces twice is claimed once.
 */
import type { Clock, Timer } from '../core/clock.js'
import { partsOf } from '../core/job.js'
import { Marks } from '../core/marks.js'
import { togetherOf } from '../core/window.js'
import type { Change, Store } from '../stores/store.js'
import type { Message, Transport } from '../transports/transport.js'
import { Announced } from './announced.js'
import { Filling, type FillingParts } from './filling.js'
import { Looks } from './looks.js'
import { Publisher, type Together } from './publisher.js'

/** Between two passes of the relay that leads: what becomes ready meanwhile travels together. */
const PASS_EVERY_MS = 4
/** Between two passes of the others, which only announce anew what came back to them. */
const HELP_EVERY_MS = 100
/** What was announced so long ago is asked for at the next look: whoever claimed it may not have been heard. */
const ASK_AFTER_MS = 1000
/** What was announced and not claimed for so long is announced again; the transport drops what it has by itself already. */
const REPEAT_AFTER_MS = 5000

export interface RelayOptions {
  store: Pick<Store, 'lanes' | 'ready' | 'waiting'>
  transport: Transport
  clock: Clock
  random: () => number
  /** Most jobs of a queue that may be announced and unclaimed. */
  window: number
  /** Whether word of this lane reaches somebody who can run its jobs. */
  reaches: (lane: string) => boolean
  /** Whether a worker of this process does nothing, and could begin a job of this lane. */
  rests: (lane: string) => boolean
  /** Gives it what was just told of. @returns what is left for the transport */
  direct: (messages: readonly Message[]) => readonly Message[]
  /** Told of what a look at all lanes found. */
  onLook: (lanes: readonly { lane: string; runAt: number }[]) => Promise<void> | void
  /** Told when a look has failed. */
  onLost: () => void
  onError: (error: unknown) => void
}

export class Relay {
  /** Lanes that may hold ready jobs, with the earliest instant worth asking. */
  private readonly lanes = new Map<string, number>()
  private readonly known = new Announced()
  private readonly publisher: Publisher
  private readonly parts: FillingParts
  private readonly filling: Filling
  /** Delivered to somebody who could not use it, or refused by the transport. */
  private returned: Message[] = []
  /** What is announced as soon as all that was told with it has been heard. */
  private told: Message[] = []
  /** Versions of jobs that were heard of while the store was asked: its answer may be older. */
  private heardSince = new Map<string, number>()
  private passing: Promise<void> | null = null
  private readonly looks: Looks
  private lastPass = Number.NEGATIVE_INFINITY
  private stopped = true
  private timer: Timer | null = null
  /** When something is to be announced first, for which the timer is set. */
  private armedFor = Number.POSITIVE_INFINITY
  /** Until when it leads, by the monotonic clock. */
  private leadsUntil = Number.NEGATIVE_INFINITY

  constructor(private readonly options: RelayOptions) {
    const { store, transport, window, clock } = options
    this.publisher = new Publisher(transport, window)
    this.parts = {
      ...{ store, window, clock, known: this.known, marks: new Marks(), again: new Map() },
      carried: (queue) => this.publisher.ask(queue),
      isOlder: (id, version) => (this.heardSince.get(id) ?? version) > version,
    }
    this.filling = new Filling(this.parts)
    this.looks = new Looks(clock, options.random, () => this.lookOnce())
  }

  /** Messages that were handed to the transport. */
  get announced(): number {
    return this.publisher.published
  }

  /** Ten that announce the same jobs would only make messages that are dropped. */
  get leads(): boolean {
    return this.options.clock.monotonic() < this.leadsUntil
  }

  lead(until: number): void {
    const led = this.leads
    this.leadsUntil = until
    if (!this.leads) this.forget()
    // What waits has not been told to it.
    else if (!led && !this.looks.busy) void this.look()
  }

  private forget(): void {
    this.known.clear()
    this.parts.marks.clear()
    this.parts.again.clear()
    this.lanes.clear()
    this.filling.clear()
  }

  /** Resolves after the first look. */
  async start(): Promise<void> {
    this.stopped = false
    await this.look()
  }

  /** Jobs have changed. Those that have become ready are announced without asking, where there is plenty of room. */
  heard(changes: readonly Change[]): void {
    if (this.stopped || !this.leads) return
    for (const change of changes) this.hear(change)
    if (this.told.length > 0) queueMicrotask(() => void this.announceTold())
  }

  private hear({ jobId, lane, version, queuedAt }: Change): void {
    if (this.passing) this.heardSince.set(jobId, version)
    const known = this.known.get(jobId)
    if (known && known.version < version) this.known.gone(jobId)
    if (queuedAt === null) this.refill(lane)
    else if (!this.known.get(jobId)) {
      this.parts.marks.came(lane, queuedAt)
      const now = this.options.clock.now()
      if (queuedAt <= now && this.hasRoom(lane, now)) this.told.push(this.add(jobId, version, lane))
      else this.hint(lane, queuedAt)
    }
  }

  /** Whether there is plenty of room for jobs of this lane, or somebody here for the first one, and none waits already. */
  private hasRoom(lane: string, now: number): boolean {
    const { transport, reaches, rests, window } = this.options
    const { queue } = partsOf(lane)
    const known = this.known.inQueue(queue)
    const under = Math.max(known, this.publisher.holds(queue))
    return (
      (under < window / 2 || (known === 0 && rests(lane))) &&
      !transport.away &&
      !this.filling.busy &&
      !this.filling.isFull(lane) &&
      !((this.lanes.get(lane) ?? Number.POSITIVE_INFINITY) <= now) &&
      reaches(lane)
    )
  }

  private async announceTold(): Promise<void> {
    const { told } = this
    this.told = []
    await this.publish(this.options.direct(told))
  }

  private add(id: string, version: number, lane: string, after = 0): Message {
    const now = this.options.clock.now()
    const before = this.known.get(id)
    const since = before?.version === version ? before.since : now
    // Each announcement of a job has a number of its own, also where the clock stood still or was set back.
    this.known.gone(id)
    const dispatchNo = Math.max(now, after + 1, this.known.unused)
    this.known.add({ id, version, lane, dispatchNo, since, at: now, askedAt: now })
    return { jobId: id, lane, dispatchNo }
  }

  private hint(lane: string, at: number): void {
    this.mind(lane, at)
    // Who arms walks over all lanes; most hints change nothing, because a pass comes sooner already.
    if (this.timer === null || at < this.armedFor) this.arm()
  }

  private mind(lane: string, at: number): void {
    if (this.stopped || !this.leads) return
    const known = this.lanes.get(lane)
    if (known === undefined || at < known) this.lanes.set(lane, at)
  }

  /** Something of this lane was claimed or has ended: there may be room for what had none, also in other lanes of its queue. */
  private refill(lane: string): void {
    const full = this.filling.refillOf(partsOf(lane).queue)
    if (full !== undefined) this.hint(full, 0)
  }

  /** This announcement was delivered to somebody who could not use it. */
  giveBack(message: Message): void {
    this.returned.push(message)
    // While it stops this is still said: stop() hands them to others.
    this.arm()
  }

  /** This one was delivered, and there was nothing to claim. Should its job still wait, it is announced anew. */
  dropped({ jobId, lane }: Message): void {
    if (this.unknow(jobId, lane)) this.hint(lane, 0)
  }

  /** It is not known to be claimed: should it still wait, it stands before the mark of its lane. */
  private unknow(id: string, lane: string): boolean {
    // Most of what is dropped was claimed by another host, and that was heard.
    if (!this.known.gone(id)) return false
    this.rewind(lane, 0)
    return true
  }

  /** The lane is read from here on again, over what is announced. */
  private rewind(lane: string, runAt: number): void {
    this.parts.marks.came(lane, runAt)
    this.parts.again.set(lane, this.known.inLane(lane))
  }

  /** Looks at all lanes: now, or once more when the look that is under way is over. */
  look(): Promise<void> {
    return this.stopped ? Promise.resolve() : this.looks.now()
  }

  /** Something was missed. */
  lookSooner(): void {
    if (!this.stopped) this.looks.sooner()
  }

  private async lookOnce(): Promise<void> {
    const { clock, store, onLook, onLost, onError } = this.options
    const since = clock.now()
    try {
      const lanes = await store.lanes()
      await onLook(lanes)
      const listed = new Set(lanes.map(({ lane }) => lane))
      await this.check(listed, since)
      for (const lane of this.parts.again.keys()) if (!listed.has(lane)) this.parts.again.delete(lane)
      // Armed once: to arm walks over all lanes.
      for (const { lane, runAt } of lanes) {
        if (this.options.reaches(lane)) this.rewind(lane, runAt)
        this.mind(lane, runAt)
      }
      this.arm()
    } catch (error) {
      onLost()
      if (!this.stopped) onError(error)
    }
  }

  /**
   * What was announced a while ago and not heard of since: does it still wait? Then it is announced again from time to time.
   * @param lanes those in which something waits and is not paused
   * @param since when they were asked for
   */
  private async check(lanes: ReadonlySet<string>, since: number): Promise<void> {
    const { clock, store, transport } = this.options
    if (!this.leads || transport.away) return
    const now = clock.now()
    // Set back, the clock makes everything old.
    const isOld = (at: number, ms: number) => at <= now - ms || at > now + ms
    for (const { id, lane, at } of [...this.known.all()]) if (at < since && !lanes.has(lane)) this.unknow(id, lane)
    const old = [...this.known.all()].filter(({ askedAt }) => isOld(askedAt, ASK_AFTER_MS))
    if (old.length === 0) return
    const waiting = await store.waiting(old.map(({ id }) => id))
    const again: Message[] = []
    for (const entry of old) {
      const { id, version, lane, dispatchNo } = entry
      // Heard of, or announced anew, while the store was asked.
      if (this.known.get(id) !== entry) continue
      const row = waiting.get(id)
      if (row?.version !== version || row.lane !== lane) this.unknow(id, lane)
      else {
        entry.askedAt = now
        if (!isOld(entry.at, REPEAT_AFTER_MS)) continue
        entry.at = now
        again.push({ jobId: id, lane, dispatchNo })
      }
    }
    // Each by itself, so that the transport knows what it still has.
    await this.publish(again, () => 1)
  }

  /** Sets the timer for what is to be announced first, not before the next pass is due. */
  private arm(): void {
    if (this.stopped) return
    // Its end arms.
    if (this.passing) return
    const { clock, transport } = this.options
    const now = clock.now()
    let next = this.returned.length > 0 && !transport.away ? now : Number.POSITIVE_INFINITY
    for (const at of this.lanes.values()) next = Math.min(next, at)
    this.timer?.cancel()
    this.timer = null
    this.armedFor = next
    if (!Number.isFinite(next)) return
    const soonest = this.lastPass + (this.leads ? PASS_EVERY_MS : HELP_EVERY_MS) - clock.monotonic()
    const wait = Math.max(soonest, next - now)
    this.timer = (wait > 0 ? (run: () => void) => clock.after(wait, run) : atOnce)(() => {
      this.timer = null
      this.passing = this.pass()
        .catch((error) => {
          // The store is away: the next look asks again.
          this.lanes.clear()
          this.options.onError(error)
        })
        .finally(() => {
          this.passing = null
          this.heardSince.clear()
          // Also for lanes that become ready later than those of this pass.
          this.arm()
        })
    })
  }

  private async pass(): Promise<void> {
    const { clock, transport } = this.options
    this.lastPass = clock.monotonic()
    const now = clock.now()
    const ready = [...this.lanes].filter(([, at]) => at <= now).map(([lane]) => lane)
    for (const lane of ready) this.lanes.delete(lane)
    // While it is away nothing is announced; workers find the jobs, and the look finds what is left when it is back.
    if (transport.away) return
    await this.announceReturned()
    // What had no room before is asked again with whatever is asked.
    if (this.leads && (ready.length > 0 || this.filling.waits)) await this.fill(ready)
  }

  /** What came back and still waits is announced anew, by whoever has it. */
  private async announceReturned(): Promise<void> {
    const { store, reaches, window } = this.options
    const returned = new Map(this.returned.map((message) => [message.jobId, message]))
    this.returned = []
    if (returned.size === 0) return
    const waiting = await store.waiting([...returned.keys()]).catch((error) => {
      // Nobody else knows of them.
      this.returned.push(...returned.values())
      throw error
    })
    const anew: Message[] = []
    for (const [id, { dispatchNo }] of returned) {
      const row = waiting.get(id)
      // Heard of while the store was asked, it is known as it is now.
      if (this.parts.isOlder(id, row?.version ?? -1)) continue
      if (row === undefined || !reaches(row.lane)) this.known.gone(id)
      // Where nobody takes so much, it stands back behind others.
      else if (this.known.inQueue(partsOf(row.lane).queue) > window && this.unknow(id, row.lane)) this.mind(row.lane, 0)
      else anew.push(this.add(id, row.version, row.lane, dispatchNo))
    }
    if (!this.leads) this.known.clear()
    await this.publish(anew)
  }

  /** Announces what there is room for, of lanes that may hold ready jobs. */
  private async fill(ready: readonly string[]): Promise<void> {
    const fresh = await this.filling.next(ready, this.options.reaches)
    // Meanwhile some were announced as soon as they were told of.
    const others = fresh.filter(({ id }) => !this.known.get(id))
    // Where more waits than there is room for, all hosts get some in any case.
    const { window } = this.options
    const together = (queue: string, count: number) =>
      togetherOf(window, this.filling.fullOf(queue) === undefined ? count : window)
    const messages = others.map(({ id, version, lane }) => this.add(id, version, lane))
    await this.publish(messages, together)
  }

  private async publish(messages: readonly Message[], together?: Together): Promise<void> {
    if (messages.length === 0) return
    const refused = await this.publisher.publish(messages, together)
    if (refused.length === 0) return
    this.returned.push(...refused)
    this.arm()
  }

  /** Gives back what is left, so that others run it, and ends. */
  async stop(): Promise<void> {
    const wasRunning = !this.stopped
    this.stopped = true
    this.timer?.cancel()
    await this.looks.stop()
    await this.passing
    this.forget()
    // Where nobody else hears of them, whoever looks next finds them.
    if (wasRunning && this.returned.length > 0 && !this.options.transport.away)
      await this.announceReturned().catch(() => {})
    this.returned = []
  }
}

/** After what is being done now: a timer would come a millisecond later. */
function atOnce(run: () => void): Timer {
  let cancelled = false
  queueMicrotask(() => {
    if (!cancelled) run()
  })
  return {
    cancel() {
      cancelled = true
    },
  }
}
