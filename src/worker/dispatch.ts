/**
 * What a transport means to the workers of one process: which lanes it carries, to whom a delivery goes, how much is
 * fetched. Made once per process; the claim loop decides what a delivery may claim, and the store has the last word.
 */
import type { Timer } from '../core/clock.js'
import { UntildoneError } from '../core/errors.js'
import { partsOf } from '../core/job.js'
import { windowOf } from '../core/window.js'
import type { EngineParts } from '../engine/parts.js'
import type { Change } from '../stores/store.js'
import type { Away, Delivered, Message, Subscription, Transport } from '../transports/transport.js'
import { HOLD_MS } from './offers.js'
import { isCarried, reachOf } from './reach.js'
import { Relay } from './relay.js'

/** A worker, as deliveries see it. */
export interface Taker {
  serves(queue: string): boolean
  /** How many deliveries of this queue it can do with. */
  room(queue: string): number
  /** Whether it does nothing at all, and may begin a job of this lane. */
  rests(lane: string): boolean
  /** Answers each message. */
  offer(messages: readonly Message[]): Promise<Delivered[]>
  /** What a look at all lanes has found. */
  saw(lanes: readonly { lane: string; runAt: number }[]): void
  /** Whether this is the id under which it works now. */
  holds(id: string): boolean
}

/** The duty of announcing, and how long it is kept without being renewed at the next look. */
const DUTY = 'dispatch'
const LEAD_MS = 2000

export interface DispatchOptions {
  parts: EngineParts
  transport: Transport
  /** Slots of this process; its windows are made for them. */
  slots: number
  /** Queues that are known from the start, besides those of the handlers. */
  queues: readonly string[]
  onError: (error: unknown) => void
}

export class Dispatch {
  readonly kind: string
  private readonly takers = new Set<Taker>()
  /** Those that are leaving included. */
  private readonly all: Taker[] = []
  private readonly subscriptions = new Map<string, Subscription>()
  /** Subscriptions that are ending. */
  private readonly ending = new Set<Promise<void>>()
  /** The store does not answer: what would be delivered now could only be given back, for which the store is needed too. */
  private deaf = false
  private readonly relay: Relay
  private readonly window: number
  private readonly name: string
  private readonly counts: Record<Delivered, number> = { claimed: 0, dropped: 0, returned: 0 }
  /** Jobs that were given to workers here without the transport. */
  private given = 0
  private reaches: (lane: string) => boolean = () => false
  private unsubscribe: (() => void) | null = null
  private duty: Timer | null = null
  /** While the relay leads it hears of claims, which make room for others. */
  private unfollow: (() => void) | null = null
  private closing = false
  /** Why it is away, each reason once until it is back: two of them may take turns as often as it is tried. */
  private readonly told = new Set<unknown>()

  constructor(private readonly options: DispatchOptions) {
    const { parts, transport, onError } = options
    const { store, clock, entropy } = parts
    this.kind = transport.kind
    this.name = entropy.token(9)
    this.window = transport.window ?? windowOf(options.slots)
    this.relay = new Relay({
      ...{ store, transport, clock, onError, window: this.window },
      random: () => entropy.random(),
      reaches: (lane) => this.reaches(lane),
      rests: (lane) => this.direct && [...this.takers].some((taker) => taker.rests(lane)),
      direct: (messages) => this.giveDirectly(messages),
      onLook: (lanes) => this.looked(lanes),
      onLost: () => this.deafen(),
    })
    transport.onTurn(() => this.turned())
    parts.transport = { checks: () => this.checks(), numbers: () => this.numbers() }
  }

  /** After the workers: what they serve is known by then. */
  async start(): Promise<void> {
    const { store } = this.options.parts
    const offs = [
      store.onChange((changes) => this.changed(changes)),
      // Something was missed, or goes on after a pause.
      store.onGap(() => this.relay.lookSooner()),
    ]
    this.unsubscribe = () => {
      for (const off of offs) off()
    }
    if (this.options.transport.away) this.turned()
    await this.relay.start()
    this.keepLead()
  }

  /** Whether jobs of this lane are delivered now; what is not, workers look for. */
  carries(lane: string): boolean {
    return this.options.transport.away === null && !this.closing && this.reaches(lane)
  }

  attach(taker: Taker): void {
    if (this.closing) return
    this.takers.add(taker)
    if (!this.all.includes(taker)) this.all.push(taker)
    this.hearAll()
    this.resize()
  }

  /** Its messages are for others: who fetches what nobody here takes keeps it from them. */
  detach(taker: Taker): void {
    this.takers.delete(taker)
    for (const queue of this.subscriptions.keys()) if (!this.serves(queue)) this.unhear(queue)
    this.resize()
  }

  /** The store has failed a worker: nothing is fetched any more until it has answered a look. */
  deafen(): void {
    this.deaf = true
    for (const queue of this.subscriptions.keys()) this.unhear(queue)
  }

  /** The room of the workers has changed. */
  resize(): void {
    for (const [queue, subscription] of this.subscriptions) subscription.resize(this.room(queue))
  }

  private room(queue: string): number {
    let room = 0
    for (const taker of this.takers) if (taker.serves(queue)) room += taker.room(queue)
    return room
  }

  private serves(queue: string): boolean {
    return [...this.takers].some((taker) => taker.serves(queue))
  }

  private hearAll(): void {
    const { parts, queues } = this.options
    for (const queue of [...queues, ...parts.registry.all().map(({ handler }) => handler.settings.queue)])
      this.hear(queue)
  }

  private unhear(queue: string): void {
    const subscription = this.subscriptions.get(queue)
    this.subscriptions.delete(queue)
    if (!subscription) return
    const ending = subscription
      .close()
      .catch(this.options.onError)
      .finally(() => this.ending.delete(ending))
    this.ending.add(ending)
  }

  private hear(queue: string): void {
    if (this.closing || this.deaf || this.subscriptions.has(queue) || !this.serves(queue)) return
    const take = (messages: readonly Message[]) => this.take(queue, messages)
    this.subscriptions.set(queue, this.options.transport.subscribe(queue, this.room(queue), take))
  }

  /** To the worker with the most room; whatever becomes of them, these messages are done with. */
  private async take(queue: string, messages: readonly Message[]): Promise<Delivered[]> {
    const takers = [...this.takers].filter((taker) => taker.serves(queue))
    const answers = await this.give(takers.sort((a, b) => b.room(queue) - a.room(queue))[0], messages)
    for (const delivered of answers) this.counts[delivered]++
    return answers
  }

  /** Whether workers here may have jobs without the detour over the transport. */
  private get direct(): boolean {
    return this.options.transport.direct !== false && !this.closing && !this.deaf
  }

  /** One to each worker that does nothing; all others are for whoever fetches first, on whichever host. */
  private giveDirectly(messages: readonly Message[]): readonly Message[] {
    if (!this.direct) return messages
    const left = [...messages]
    for (const taker of this.takers) {
      const at = left.findIndex(({ lane }) => taker.rests(lane))
      if (at < 0) continue
      this.given++
      void this.give(taker, left.splice(at, 1))
    }
    return left
  }

  private async give(taker: Taker | undefined, messages: readonly Message[]): Promise<Delivered[]> {
    // At once, they would come back at once, and go round as fast as the line allows.
    const answers = taker ? await taker.offer(messages) : await this.refuse(messages)
    for (const [i, message] of messages.entries()) {
      const delivered = answers[i]!
      if (delivered === 'returned') this.relay.giveBack(message)
      else if (delivered === 'dropped') this.relay.dropped(message)
    }
    return answers
  }

  private refuse(messages: readonly Message[]): Promise<Delivered[]> {
    return new Promise((resolve) =>
      this.options.parts.clock.after(HOLD_MS, () => resolve(messages.map(() => 'returned'))),
    )
  }

  private changed(changes: readonly Change[]): void {
    if (this.relay.leads) this.relay.heard(changes.filter(({ lane }) => isCarried(lane)))
  }

  private async looked(lanes: readonly { lane: string; runAt: number }[]): Promise<void> {
    await this.lead()
    this.reaches = await this.reach()
    this.deaf = false
    this.hearAll()
    for (const { lane } of lanes) if (this.reaches(lane)) this.hear(partsOf(lane).queue)
    for (const taker of this.takers) taker.saw(lanes)
  }

  /** Of itself it ends, so that one that stood still does not go on beside the next. */
  private async lead(): Promise<void> {
    const { clock, store } = this.options.parts
    const asked = clock.monotonic()
    const leads = store.info.sole || (await store.workers.lead(DUTY, this.name, LEAD_MS))
    const ms = store.info.sole ? Number.POSITIVE_INFINITY : LEAD_MS
    this.relay.lead(leads ? asked + ms : Number.NEGATIVE_INFINITY)
    if (leads && !this.closing) this.unfollow ??= store.follow()
    else this.stopFollowing()
  }

  private stopFollowing(): void {
    this.unfollow?.()
    this.unfollow = null
  }

  /** A look at very many lanes may come later than the duty ends. */
  private keepLead(): void {
    const { clock, store } = this.options.parts
    if (this.closing || store.info.sole) return
    // What the store has against it, the next look says.
    const renew = () => this.lead().catch(() => {})
    this.duty = clock.after(LEAD_MS / 2, () => void renew().finally(() => this.keepLead()))
  }

  /** While it closes, its own workers hear of nothing any more. */
  private async reach(): Promise<(lane: string) => boolean> {
    const { store } = this.options.parts
    const own = (id: string) => this.closing && this.all.some((taker) => taker.holds(id))
    return reachOf(await store.workers.list(), this.kind, store.now(), own)
  }

  /** Gone, back, or gone for another reason: the workers are told at once who looks for jobs now. */
  private turned(): void {
    const { away } = this.options.transport
    const reason = away?.error?.params.reason
    if (away === null) this.told.clear()
    else if (!this.told.has(reason)) {
      this.told.add(reason)
      this.options.onError(goneAs(away))
    }
    if (!this.closing) void this.relay.look()
  }

  /** In one word each, for /readyz. */
  checks(): Record<string, string> {
    const { away } = this.options.transport
    return { transport: away ? `away since ${new Date(away.since).toISOString()}: claiming from the store` : 'ok' }
  }

  async numbers(): Promise<Record<string, string | number>> {
    const { transport } = this.options
    const { away } = transport
    return {
      transport: this.kind,
      ...(away ? { transportAwaySince: new Date(away.since).toISOString(), transportAwayWhy: away.why } : {}),
      transportWindow: this.window,
      transportAnnounced: this.relay.announced,
      transportDirect: this.given,
      ...Object.fromEntries(
        Object.entries(this.counts).map(([name, n]) => [`transport${name[0]!.toUpperCase()}${name.slice(1)}`, n]),
      ),
      ...(await transport.check()),
    }
  }

  /** Takes nothing more; what was delivered and not claimed goes back. Once the workers have begun to drain. */
  async stop(): Promise<void> {
    this.closing = true
    this.unsubscribe?.()
    this.duty?.cancel()
    this.stopFollowing()
    for (const queue of this.subscriptions.keys()) this.unhear(queue)
    await Promise.all(this.ending)
    this.reaches = await this.reach().catch(() => () => false)
    const { workers, info } = this.options.parts.store
    if (this.relay.leads && !info.sole) await workers.lead(DUTY, this.name, 0).catch(() => false)
    await this.relay.stop()
    await this.options.transport.close()
  }
}

function goneAs({ why, error }: Away): UntildoneError {
  const { code = 'transport-away', fix, params = {} } = error ?? {}
  return new UntildoneError(code, `${why} Jobs are claimed from the store until it is back.`, {
    ...(fix === undefined ? {} : { fix }),
    ...{ params, cause: error },
  })
}
