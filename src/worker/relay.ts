/**
 * The relay: asks the store which ready jobs to announce, and hands them to the transport. Any number of processes may
 * run one. It keeps nothing that matters: what it forgets, the store answers again.
 */
import type { Clock, Timer } from '../core/clock.js'
import { partsOf } from '../core/job.js'
import { levelsOf } from '../core/limits.js'
import { togetherOf } from '../core/window.js'
import type { Announcement, Store } from '../stores/store.js'
import type { Message, Transport } from '../transports/transport.js'

const LOOK_EVERY_MS = 1000
/** A look may take one part in so many of the time. */
const LOOK_SHARE = 50
/** Between two passes of the relay that leads: what becomes ready meanwhile travels together. */
const PASS_EVERY_MS = 4
/** A pass may take one part in so many of the time: each looks at the whole window. */
const PASS_SHARE = 2
/** Between two passes of the others, which fill the window only where the one that leads may not have heard. */
const HELP_EVERY_MS = 100
/** What was announced and not claimed for so long is announced again; the transport drops it if it has it still. */
const REPEAT_AFTER_MS = 5000

export interface RelayOptions {
  store: Store
  transport: Transport
  clock: Clock
  random: () => number
  /** Most jobs of a queue that may be announced and unclaimed. */
  window: number
  /** Whether word of this lane reaches somebody who can run its jobs. */
  reaches: (lane: string) => boolean
  /** Told of what a look at all lanes found. */
  onLook: (lanes: readonly { lane: string; runAt: number }[]) => Promise<void> | void
  /** Told when a look has failed. */
  onLost: () => void
  onError: (error: unknown) => void
}

export class Relay {
  /** Lanes that may hold ready jobs, with the earliest instant worth asking. */
  private readonly lanes = new Map<string, number>()
  /** Lanes for which there was no room last time: asked again with whatever is asked next, or they would never have a turn. */
  private full = new Set<string>()
  private returned: Announcement[] = []
  /** By queue. */
  private readonly held = new Map<string, Held>()
  private passing: Promise<void> | null = null
  private looking: Promise<void> | null = null
  private lookAgain = false
  private passes = 0
  private lastPass = Number.NEGATIVE_INFINITY
  private passTook = 0
  private stopped = true
  private timer: Timer | null = null
  /** The lane that is ready first, for which the timer is set. */
  private armedFor = Number.POSITIVE_INFINITY
  private looker: Timer | null = null
  /** Messages that were handed to the transport. */
  announced = 0
  /** Until when it leads, by the monotonic clock. */
  leadsUntil = Number.NEGATIVE_INFINITY

  constructor(private readonly options: RelayOptions) {}

  /** Of the relays of a system one leads at a time: ten that ask for the same jobs would mostly wait for each other. */
  get leads(): boolean {
    return this.options.clock.monotonic() < this.leadsUntil
  }

  /** Resolves after the first look. */
  async start(): Promise<void> {
    this.stopped = false
    await this.look()
  }

  /** A job is ready in this lane at `at`. */
  hint(lane: string, at: number): void {
    this.mind(lane, at)
    // Who arms walks over all lanes; most hints change nothing, because a pass comes sooner already.
    if (this.timer === null || at < this.armedFor) this.arm()
  }

  private mind(lane: string, at: number): void {
    if (this.stopped) return
    const known = this.lanes.get(lane)
    if (known === undefined || at < known) this.lanes.set(lane, at)
  }

  /** Something of this lane was claimed or has ended: there may be room for what had none. */
  refill(lane: string): void {
    if (this.full.has(lane)) this.hint(lane, 0)
  }

  /** This announcement was delivered to somebody who could not use it. */
  giveBack({ jobId, lane, dispatchNo }: Message): void {
    this.returned.push({ jobId, lane, dispatchNo })
    // While it stops this is still said: stop() hands them to others.
    this.hint(lane, 0)
  }

  /** One at a time; what is asked for meanwhile is another one after it. */
  look(): Promise<void> {
    if (this.looking) {
      this.lookAgain = true
      return this.looking
    }
    this.lookAgain = false
    this.looking = this.lookOnce().finally(() => {
      this.looking = null
      if (this.lookAgain) void this.look()
    })
    return this.looking
  }

  private async lookOnce(): Promise<void> {
    const { clock, store, random, onLook, onLost, onError } = this.options
    if (this.stopped) return
    this.looker?.cancel()
    const began = clock.monotonic()
    try {
      const lanes = await store.lanes()
      await onLook(lanes)
      // Armed once: to arm walks over all lanes.
      for (const { lane, runAt } of lanes) this.mind(lane, runAt)
      this.arm()
    } catch (error) {
      onLost()
      if (!this.stopped) onError(error)
    }
    // Processes that were started together do not look together.
    const ms = Math.max(LOOK_EVERY_MS, (clock.monotonic() - began) * LOOK_SHARE) * (0.75 + random() / 2)
    if (!this.stopped) this.looker = clock.after(ms, () => void this.look())
  }

  /** Sets the timer for the next lane that becomes ready, not before the next pass is due. */
  private arm(): void {
    if (this.stopped) return
    // Its end arms.
    if (this.passing) return
    const { clock } = this.options
    const now = clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const at of this.lanes.values()) next = Math.min(next, at)
    this.timer?.cancel()
    this.timer = null
    this.armedFor = next
    if (!Number.isFinite(next)) return
    const between = Math.max(this.leads ? PASS_EVERY_MS : HELP_EVERY_MS, PASS_SHARE * this.passTook)
    const soonest = this.lastPass + between - clock.monotonic()
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
          this.passTook = clock.monotonic() - this.lastPass
          this.passing = null
          // Also for lanes that become ready later than those of this pass.
          this.arm()
        })
    })
  }

  private async pass(): Promise<void> {
    const { clock, store, transport, reaches, window } = this.options
    this.lastPass = clock.monotonic()
    const now = clock.now()
    const ready = [...this.lanes].filter(([, at]) => at <= now).map(([lane]) => lane)
    for (const lane of ready) this.lanes.delete(lane)
    if (ready.length === 0) return
    const lanes = [...new Set([...ready, ...this.full])].filter(reaches)
    // While it is away nothing is announced; workers find the jobs, and the look finds what is left when it is back.
    if (transport.away || (lanes.length === 0 && this.returned.length === 0)) return
    const turn = this.passes++ % Math.max(1, lanes.length)
    const queues = [...new Set(lanes.map((lane) => partsOf(lane).queue))]
    let carried: Map<string, number>
    try {
      carried = new Map(await Promise.all(queues.map(async (queue) => [queue, await this.heldOf(queue)] as const)))
    } catch {
      return // It has just gone away, and says so itself.
    }
    const { returned } = this
    this.returned = []
    const dispatched = store.dispatch({
      lanes: [...lanes.slice(turn), ...lanes.slice(0, turn)],
      ...{ levels: levelsOf(this.passes), window, carried, returned, repeatAfterMs: REPEAT_AFTER_MS },
    })
    const { fresh, again, full } = await dispatched.catch((error) => {
      // Nobody else knows of them.
      this.returned.push(...returned)
      throw error
    })
    this.full = new Set(full)
    await this.publish(fresh, again)
  }

  /**
   * How many messages of a queue the transport holds, or more. What it said last, and what it was given since, is enough
   * while the window is mostly empty: then nobody waits for its answer.
   */
  private async heldOf(queue: string): Promise<number> {
    const { transport, window } = this.options
    const held = this.held.get(queue) ?? { given: 0, said: Number.POSITIVE_INFINITY, of: 0 }
    this.held.set(queue, held)
    const of = held.given
    const asked = transport.underWay(queue).then((said) => Object.assign(held, { said, of }))
    if (heldBy(held) > window / 2) await asked
    else asked.catch(() => {})
    return heldBy(held)
  }

  /** @param again what was announced before: each by itself, so that the transport knows what it still has */
  private async publish(fresh: readonly Announcement[], again: readonly Announcement[] = []): Promise<void> {
    const { transport, window } = this.options
    const send = async (queue: string, messages: readonly Announcement[], together: number) => {
      try {
        const held = this.held.get(queue)
        if (held) held.given += messages.length
        await transport.publish(queue, messages, together)
        this.announced += messages.length
      } catch {
        this.returned.push(...messages)
      }
    }
    await Promise.all([
      ...[...byQueue(fresh)].map(([queue, messages]) => send(queue, messages, togetherOf(window, messages.length))),
      ...[...byQueue(again)].map(([queue, messages]) => send(queue, messages, 1)),
    ])
  }

  /** Gives back what is left, so that others announce it, and ends. */
  async stop(): Promise<void> {
    const wasRunning = !this.stopped
    this.stopped = true
    this.looker?.cancel()
    this.timer?.cancel()
    await this.looking
    this.looker?.cancel()
    await this.passing
    const { returned } = this
    this.returned = []
    this.lanes.clear()
    if (wasRunning && returned.length > 0) {
      const { store, transport, reaches, window } = this.options
      // Where somebody else hears of these lanes, at once; else whoever asks next.
      const lanes = transport.away ? [] : [...new Set(returned.map(({ lane }) => lane))].filter(reaches)
      try {
        const { fresh } = await store.dispatch({
          ...{ lanes, levels: levelsOf(0), window, carried: new Map(), returned },
          repeatAfterMs: REPEAT_AFTER_MS,
        })
        await this.publish(fresh)
      } catch {
        // They come back by themselves, some seconds later.
      }
    }
  }
}

interface Held {
  /** Messages that the transport was given. */
  given: number
  /** How many it said that it holds, of those that it had been given when it was asked. */
  said: number
  of: number
}

const heldBy = ({ given, said, of }: Held): number => said + given - of

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

function byQueue(announcements: readonly Announcement[]): Map<string, Announcement[]> {
  const queues = new Map<string, Announcement[]>()
  for (const one of announcements) {
    const { queue } = partsOf(one.lane)
    const known = queues.get(queue)
    if (known) known.push(one)
    else queues.set(queue, [one])
  }
  return queues
}
