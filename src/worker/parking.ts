/**
 * When an attempt can only go on from outside, it leaves: branches that wait are parked, and once nothing of the handler
 * moves by itself any more, the attempt ends as suspended, without an exception that user code could catch. On its next
 * attempt the handler finds the values of its waits among the recorded steps.
 */
import type { ApprovalRow } from '../core/approval.js'
import type { LiveJob, Wait } from '../core/job.js'
import { laneOf, partsOf } from '../core/job.js'
import type { Event } from '../core/lifecycle.js'
import type { AttemptRecord, NewJob, StepRow, WaitRow } from '../stores/store.js'
import { Arrivals } from './arrivals.js'
import type { Attempt } from './attempt.js'
import { scopes } from './scope.js'

const NEVER = new Promise<never>(() => {})

/** What a branch waits for, and what must be stored with it. */
export interface Parked {
  wait: WaitRow
  /** For people: `Waiting for the signal customerReplied.` */
  title: string
  child?: NewJob
  /** A former attempt has stored it. */
  stored?: boolean
  /** What is told of an approval: its id, when it ends, how many have decided. */
  shown?: Wait
  /** A new one. */
  approval?: ApprovalRow
}

type Waits = Pick<AttemptRecord, 'waits' | 'children' | 'approvals'>

/** How an attempt leaves that has nothing to do now. */
export interface Leaving {
  event: (live: LiveJob) => Extract<Event, { type: 'suspended' | 'staged' }>
  record: Waits
  blockedOn: string[]
}

/** What the public status follows when several things are waited for: what needs somebody comes first. */
const RANK = ['approval', 'signal', 'callback', 'child', 'timer'] as const

export class Parking {
  private busy = 0
  /** Raised whenever the handler has moved; two turns without a move mean that it cannot. */
  private moves = 0
  private readonly parked = new Map<string, Parked>()
  /** Parked, but not stored yet. */
  private fresh: Parked[] = []
  private nextStage: { name: string; queue: string } | null = null
  private checking = false
  private readonly arrivals = new Arrivals()
  /** Set once the attempt leaves this way. */
  leaving: Leaving | null = null
  private stopped = false

  constructor(private readonly attempt: Attempt) {}

  /** Runs what will let the handler go on by itself; as long as it runs, the attempt stays. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.busy++
    this.moves++
    try {
      return await work()
    } finally {
      this.ended()
    }
  }

  /** The same for code that may wait in there: meanwhile it does not move by itself. */
  async duringBranch<T>(work: (hold: Hold) => Promise<T>): Promise<T> {
    const hold = new Hold(this, scopes.getStore()?.hold)
    this.begun()
    try {
      return await work(hold)
    } finally {
      hold.over()
    }
  }

  begun(): void {
    this.busy++
    this.moves++
  }

  ended(): void {
    this.busy--
    this.moves++
    if (this.parked.size > 0 || this.nextStage || this.stopped || this.arrivals.size > 0) this.soon()
    if (this.busy === 0) this.whenIdle?.()
  }

  /** Nothing is under way. */
  get idle(): boolean {
    return this.busy === 0
  }
  /** Called when nothing is under way any more. */
  whenIdle: (() => void) | null = null

  /**
   * Resolves when it is the turn of this recorded value: the attempt that saw it first had come to a stop before, so now
   * as well everything that is under way comes before it.
   */
  arrival(row: StepRow): Promise<void> {
    return new Promise((resolve) => {
      const hold = scopes.getStore()?.hold
      hold?.pause()
      this.arrivals.add(row, () => {
        hold?.resume()
        resolve()
      })
      this.moves++
      if (this.alone) void this.giveIfAlone()
      else this.soon()
    })
  }

  /** Nothing but this one value can let the handler go on: then there is no order to be kept. */
  private get alone(): boolean {
    return this.arrivals.size === 1 && this.busy === 0 && this.parked.size === 0
  }

  /** A handler with one wait after the other would take long over its records, if each took turns of the loop. */
  private async giveIfAlone(): Promise<void> {
    const seen = this.moves
    for (let i = 0; i < HOPS && seen === this.moves; i++) await null
    if (seen === this.moves && !this.attempt.over) this.giveNext()
    else this.soon()
  }

  private giveNext(): void {
    this.moves++
    this.arrivals.giveNext()
    this.soon()
  }

  /** This branch goes on when the wait is over, in another attempt. */
  park(parked: Parked): Promise<never> {
    this.still()
    this.parked.set(parked.wait.key, parked)
    if (!parked.stored) this.fresh.push(parked)
    this.soon()
    return NEVER
  }

  /** The stage belongs to another queue: the job goes there as soon as nothing here is under way. */
  moveTo(name: string, queue: string): Promise<never> {
    this.still()
    this.nextStage = { name, queue }
    this.soon()
    return NEVER
  }

  /** While undoing, nothing new begins: whatever would, ends the handler's part. */
  stop(): Promise<never> {
    this.still()
    this.stopped = true
    this.soon()
    return NEVER
  }

  /** This branch does not go on by itself. */
  private still(): void {
    this.moves++
    scopes.getStore()?.hold?.pause()
  }

  private soon(): void {
    if (this.checking || this.leaving) return
    this.checking = true
    void this.check()
  }

  private async check(): Promise<void> {
    // Code between steps runs in microtasks; what it starts counts as a move.
    for (let seen = -1; seen !== this.moves; ) {
      seen = this.moves
      await turn()
      await turn()
    }
    this.checking = false
    if (this.leaving || this.attempt.over) return
    if (this.busy > 0) return this.store()
    if (this.arrivals.size > 0) this.giveNext()
    else if (this.stopped) this.attempt.leave()
    else if (this.nextStage) this.leave(this.toStage(this.nextStage))
    else if (this.parked.size > 0) this.leave(this.suspended())
  }

  /** Other branches still work: what is waited for is stored now, so that children begin and early signals find it. */
  private store(): void {
    if (this.fresh.length === 0) return
    const record = this.takeFresh()
    void this.during(() => this.attempt.record(record)).catch((error) => this.attempt.fail(error))
  }

  private takeFresh(): Waits {
    const fresh = this.fresh
    this.fresh = []
    const children = fresh.flatMap(({ child }) => (child ? [child] : []))
    const approvals = fresh.flatMap(({ approval }) => (approval ? [approval] : []))
    return {
      ...(fresh.length > 0 ? { waits: fresh.map(({ wait }) => wait) } : {}),
      ...(children.length > 0 ? { children } : {}),
      ...(approvals.length > 0 ? { approvals } : {}),
    }
  }

  private leave(leaving: Leaving): void {
    this.leaving = leaving
    this.attempt.leave()
  }

  private suspended(): Leaving {
    const all = [...this.parked.values()].sort((a, b) => RANK.indexOf(a.wait.kind) - RANK.indexOf(b.wait.kind))
    const first = all[0]!
    const due = all.flatMap(({ wait }) => (wait.dueAt === null ? [] : [wait.dueAt]))
    const { kind, key, dueAt } = first.wait
    const title = all.length > 1 && kind === 'child' ? `Waiting for ${all.length} jobs.` : first.title
    return {
      event: () => ({
        type: 'suspended',
        actor: { kind: 'worker', id: this.attempt.claimed.live.worker ?? '' },
        waitKind: kind === 'callback' ? 'signal' : kind,
        wakeAt: due.length > 0 ? Math.min(...due) : null,
        wait: first.shown ?? { id: key, title, dueAt },
      }),
      record: this.takeFresh(),
      blockedOn: all.map(({ wait }) => wait.key),
    }
  }

  private toStage({ name, queue }: { name: string; queue: string }): Leaving {
    return {
      event: (live) => {
        const { type, tenant, pin } = partsOf(live.lane)
        return {
          type: 'staged',
          actor: { kind: 'worker', id: live.worker ?? '' },
          stage: name,
          queue,
          lane: laneOf(queue, type, tenant, pin),
        }
      },
      record: this.takeFresh(),
      blockedOn: [],
    }
  }
}

/** More than what leads from one recorded value to the next wait of a branch that has begun. */
const HOPS = 32

/** Code that counts as work except while something in it waits. */
export class Hold {
  private waits = 0
  private done = false

  constructor(
    private readonly parking: Pick<Parking, 'begun' | 'ended'>,
    private readonly around: Hold | undefined,
  ) {}

  pause(): void {
    if (this.done) return
    if (++this.waits === 1) this.parking.ended()
    this.around?.pause()
  }

  resume(): void {
    if (this.done) return
    if (--this.waits === 0) this.parking.begun()
    this.around?.resume()
  }

  /** Whatever still waits in there, nobody waits for it. */
  over(): void {
    if (this.waits === 0) this.parking.ended()
    for (; this.waits > 0; this.waits--) this.around?.resume()
    this.done = true
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
