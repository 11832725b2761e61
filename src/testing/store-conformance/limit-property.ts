/**
 * Limits under whatever may happen, in any order: no limit is ever exceeded, no job is lost, and once nothing more comes
 * everything drains, without any healing.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { type JobLimits, laneOf } from '../../core/job.js'
import type { Event } from '../../core/lifecycle.js'
import { levelsOf } from '../../core/limits.js'
import type { Claimed, Moved } from '../../stores/store.js'
import { type Bench, cancel, errored, lost, released, retry, SYSTEM } from './bench.js'
import type { Suite } from './index.js'

type Op =
  | {
      op: 'submit'
      concurrency: number | null
      order: number | null
      rate: number | null
      priority: number
      later: boolean
    }
  | { op: 'claim'; limit: number; turn: number; queue: number }
  | {
      op: 'end'
      at: number
      how: 'succeed' | 'transient' | 'permanent' | 'review' | 'lost' | 'released' | 'suspend' | 'move'
    }
  | { op: 'touch'; at: number; how: 'cancel' | 'pause' | 'resume' | 'retry' | 'wake' | 'override' }
  | { op: 'wait'; ms: number }

const key = fc.option(fc.nat(1), { freq: 2 })
const ops: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      ...{ op: fc.constant('submit' as const), concurrency: key, order: fc.option(fc.nat(1), { freq: 1 }), rate: key },
      ...{ priority: fc.constantFrom(-5, 0, 5, 90), later: fc.boolean() },
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('claim' as const),
      limit: fc.integer({ min: 1, max: 6 }),
      turn: fc.nat(40),
      queue: fc.nat(1),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      ...{ op: fc.constant('end' as const), at: fc.nat(20) },
      how: fc.constantFrom('succeed', 'transient', 'permanent', 'review', 'lost', 'released', 'suspend', 'move'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ op: fc.constant('touch' as const), at: fc.nat(40) },
      how: fc.constantFrom('cancel', 'pause', 'resume', 'retry', 'wake', 'override'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.nat(400) }) },
)

const CONCURRENCY = [1, 2]
const RATE = [
  { limit: 3, perMs: 300, burst: 1 },
  { limit: 5, perMs: 100, burst: 3 },
]
const QUEUES = ['default', 'other']

/** A model of what is allowed, fed with what the store does. */
class Run {
  readonly jobs: { id: string; limits: JobLimits }[] = []
  readonly running = new Map<string, Claimed>()
  private readonly starts = new Map<string, number[]>()
  private readonly begun = new Map<string, string[]>()

  private turn = 0

  /** @param benches stores of one database, which take turns */
  constructor(
    private readonly benches: readonly Bench[],
    private readonly type: string,
  ) {}

  private get bench(): Bench {
    return this.benches[this.turn++ % this.benches.length]!
  }

  private lane(queue: number): string {
    return laneOf(QUEUES[queue]!, this.type, 'default')
  }

  async carryOut(op: Op): Promise<void> {
    const { bench } = this
    switch (op.op) {
      case 'submit': {
        const limits: JobLimits = {
          ...(op.concurrency === null
            ? {}
            : { concurrency: { key: `${op.concurrency}`, limit: CONCURRENCY[op.concurrency]! } }),
          ...(op.order === null ? {} : { order: `${op.order}` }),
          ...(op.rate === null ? {} : { rate: { key: `${op.rate}`, ...RATE[op.rate]! } }),
        }
        const runAt = op.later ? { runAt: bench.clock.now() + 100 } : {}
        const id = await bench.submitOne({ type: this.type, limits, priority: op.priority, ...runAt })
        this.jobs.push({ id, limits })
        return
      }
      case 'claim':
        return this.claim(op.limit, op.turn, op.queue)
      case 'end': {
        const claimed = [...this.running.values()][op.at % Math.max(1, this.running.size)]
        if (claimed) await this.end(claimed, op.how)
        return
      }
      case 'touch': {
        const job = this.jobs[op.at % Math.max(1, this.jobs.length)]
        if (job) await this.touch(job.id, op.how)
        return
      }
      case 'wait':
        await bench.clock.advance(op.ms)
    }
  }

  async claim(limit: number, turn: number, queue: number): Promise<void> {
    const claimed = await this.bench.claim(limit, { lane: this.lane(queue), levels: levelsOf(turn) })
    for (const one of claimed) {
      const { id } = one.live
      expect(this.running.has(id)).toBe(false)
      this.running.set(id, one)
      this.check(one)
    }
  }

  private check({ live, record }: Claimed): void {
    const { concurrency, order, rate } = record.options.limits!
    if (concurrency) {
      const same = [...this.running.values()].filter(
        ({ record: r }) => r.options.limits!.concurrency?.key === concurrency.key,
      )
      expect(same.length).toBeLessThanOrEqual(concurrency.limit)
    }
    if (rate) {
      const now = this.bench.clock.now()
      const starts = [...(this.starts.get(rate.key) ?? []), now]
      this.starts.set(rate.key, starts)
      const within = starts.filter((at) => at > now - rate.perMs)
      expect(within.length).toBeLessThanOrEqual(rate.limit + (rate.burst ?? 1) - 1)
    }
    if (order !== undefined) {
      const begun = this.begun.get(order) ?? []
      if (begun.at(-1) !== live.id) this.begun.set(order, [...begun, live.id])
    }
  }

  private async end(claimed: Claimed, how: Extract<Op, { op: 'end' }>['how']): Promise<void> {
    const { bench } = this
    const { id, lane } = claimed.live
    const actor = SYSTEM
    const staged = this.lane(lane === this.lane(0) ? 1 : 0)
    const event: Record<typeof how, Event | null> = {
      succeed: null,
      transient: errored('transient', { retryAfterMs: 50 }),
      permanent: errored('permanent'),
      review: errored('review'),
      lost: { ...lost, maxLost: 1000 } as Event,
      released,
      suspend: {
        type: 'suspended',
        actor,
        waitKind: 'signal',
        wakeAt: null,
        wait: { id: 'x', title: 'x', dueAt: null },
      },
      move: { type: 'staged', actor, stage: 's', queue: 'x', lane: staged },
    }
    // From here on another store may start the next one.
    this.running.delete(id)
    const known = (await bench.stored(id)).live
    if (!known) return
    const after =
      how === 'succeed' ? await bench.succeed({ ...claimed, live: known }) : await bench.apply(id, event[how]!)
    await this.afterAll(claimed, after)
  }

  /** What was not moved may run on. */
  private async afterAll(claimed: Claimed, after: Moved): Promise<void> {
    const { id, epoch } = claimed.live
    if (after.outcome !== 'refused') return
    const { live } = await this.bench.stored(id)
    if (live?.worker && live.epoch === epoch && !this.running.has(id)) this.running.set(id, claimed)
  }

  private async touch(id: string, how: Extract<Op, { op: 'touch' }>['how']): Promise<void> {
    const actor = SYSTEM
    const event: Record<typeof how, Event> = {
      cancel: cancel(),
      pause: { type: 'pauseRequested', actor },
      resume: { type: 'resumeRequested', actor },
      retry,
      wake: { type: 'woken', actor, by: 'x' },
      override: { type: 'overridden', actor, status: 'failed', error: null },
    }
    const claimed = this.running.get(id)
    if (how === 'override') this.running.delete(id)
    const moved = await this.bench.apply(id, event[how])
    if (moved.outcome === 'moved' && moved.decision.outcome) this.running.delete(id)
    else if (how === 'override' && claimed) await this.afterAll(claimed, moved)
  }

  /** Nothing more comes: everything ends, in as many turns as there are jobs and a few more. */
  async drain(): Promise<void> {
    const { bench } = this
    const left = new Set(this.jobs.map(({ id }) => id))
    for (let turn = 0; left.size > 0; turn++) {
      expect(turn, `${left.size} of ${this.jobs.length} jobs are left`).toBeLessThan(this.jobs.length * 3 + 20)
      for (const id of left) for (const how of ['resume', 'retry', 'wake'] as const) await this.touch(id, how)
      for (const queue of [0, 1]) await this.claim(100, turn, queue)
      for (const claimed of [...this.running.values()]) await this.end(claimed, 'succeed')
      for (const id of [...left]) if ((await bench.stored(id)).outcome) left.delete(id)
      await bench.clock.advance(120)
    }
  }

  /**
   * Order keys: jobs began in the order of their submits, and none before the one before it was done.
   * @param raced several were submitted at once, so that nobody can say which came first
   */
  checkOrder(raced = false): void {
    for (const begun of this.begun.values()) {
      expect(new Set(begun).size).toBe(begun.length)
      if (!raced) expect(begun).toEqual([...begun].sort())
    }
  }
}

export function limitPropertyTests({ test }: Suite): void {
  test('never exceeded, nothing lost, always drained', async (bench) => {
    let runs = 0
    await fc.assert(
      fc.asyncProperty(fc.array(ops, { minLength: 5, maxLength: 80 }), async (all) => {
        const run = new Run([bench], `r${++runs}`)
        for (const op of all) await run.carryOut(op)
        await run.drain()
        run.checkOrder()
        const rest = await bench.store.load(10)
        expect(rest.filter(({ lane }) => lane.includes(`/r${runs}/`))).toEqual([])
      }),
      { numRuns: 60 },
    )
  })
}

/** The same with several stores of one database, each of which does several things at once. */
export async function raceLimits(benches: readonly Bench[], runs: number): Promise<void> {
  let count = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(ops, { minLength: 20, maxLength: 80 }),
      fc.integer({ min: 2, max: 9 }),
      async (all, wide) => {
        const run = new Run(benches, `w${++count}`)
        for (let i = 0; i < all.length; i += wide) {
          const group = all.slice(i, i + wide)
          await Promise.all(group.filter(({ op }) => op !== 'wait').map((op) => run.carryOut(op)))
          for (const op of group) if (op.op === 'wait') await run.carryOut(op)
        }
        await run.drain()
        run.checkOrder(true)
        const rest = await benches[0]!.store.load(10)
        expect(rest.filter(({ lane }) => lane.includes(`/w${count}/`))).toEqual([])
      },
    ),
    // What raced does not race again in the same way, so there is nothing to shrink.
    { numRuns: runs, endOnFailure: true },
  )
}
