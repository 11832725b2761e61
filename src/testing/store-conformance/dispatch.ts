/** What a transport is told of: ready jobs as claims would take them, which of some still wait, and claims of what was delivered. */
import { expect } from 'vitest'
import { LEVELS, laneOf } from '../../core/job.js'
import type { Claimed, LaneQuota } from '../../stores/store.js'
import { type Bench, CALLER, cancel, errored, LANE, released } from './bench.js'
import type { Suite } from './index.js'

const OTHER = laneOf('default', 'other', 'default')

const ready = async (bench: Bench, limit = 100, { lane = LANE, levels = LEVELS as readonly number[] } = {}) =>
  (await bench.store.ready([{ lane, limit }], levels))[0]!.map(({ id }) => id)
const waiting = async (bench: Bench, ids: readonly string[]) => [...(await bench.store.waiting(ids)).keys()].sort()
const pauseOf = (kind: 'type' | 'queue', name: string) => ({
  ...{ tenant: 'default', kind, name, by: CALLER, reason: null, at: 1 },
})
const AUDIT = { tenant: 'default', actor: CALLER, action: 'x', target: 'type/t', reason: null, details: null }

/** Claims what was delivered. @returns what was claimed, and what was left waiting */
async function deliver(
  bench: Bench,
  ids: readonly string[],
  more: { limit?: number; levels?: readonly number[]; mixed?: boolean } = {},
) {
  const { limit = 100, levels = LEVELS, mixed = true } = more
  const left: string[] = []
  const lanes: LaneQuota[] = [{ lane: LANE, limit, ids }]
  const claimed: Claimed[] = await bench.store.claim({
    ...{ worker: 'w-1', lanes, limit: () => limit, levels, mixed },
    onLeft: (id) => left.push(id),
  })
  return { claimed: claimed.map(({ live }) => live.id), left }
}

export function dispatchTests({ test }: Suite): void {
  test('ready jobs come in the order of a claim, as often as they are asked for, up to the limit', async (bench) => {
    const ids = await bench.submit({}, { priority: 60 }, {}, { priority: -5 })
    const order = [ids[1], ids[0], ids[2], ids[3]]
    expect(await ready(bench)).toEqual(order)
    expect(await ready(bench)).toEqual(order)
    expect(await ready(bench, 1)).toEqual(order.slice(0, 1))
    expect(await ready(bench, 3)).toEqual(order.slice(0, 3))
    expect(await ready(bench, 0)).toEqual([])
    expect(await ready(bench, 2, { levels: [3, 2, 1, 0] })).toEqual([ids[3], ids[0]])
    expect((await bench.claim()).map(({ live }) => live.id)).toEqual(order)
  })

  test('lanes are answered in the order in which they are asked for, each up to its own limit', async (bench) => {
    const ids = await bench.submit({}, { type: 'other' }, { type: 'other' }, {})
    const none = laneOf('default', 'none', 'default')
    const lanes = [
      { lane: OTHER, limit: 1 },
      { lane: none, limit: 1 },
      { lane: LANE, limit: 2 },
      { lane: OTHER, limit: 5 },
      { lane: LANE, limit: 0 },
    ]
    const given = await bench.store.ready(lanes, LEVELS)
    expect(given.map((jobs) => jobs.map(({ id }) => ids.indexOf(id)))).toEqual([[1], [], [0, 3], [1, 2], []])
    expect(await bench.store.ready([], LEVELS)).toEqual([])
  })

  test('from an instant on, by level', async (bench) => {
    const now = bench.clock.now()
    await bench.submit({ runAt: now + 10 }, { runAt: now + 20 }, { runAt: now + 30 }, { runAt: now + 20, priority: 90 })
    await bench.clock.advance(100)
    const from = (...more: number[]) => bench.store.ready([{ lane: LANE, limit: 5, from: more }], LEVELS)
    const given = (await from(now + 21, 0, now + 20, 0))[0]!
    expect(given.map(({ level, runAt }) => [level, runAt - now])).toEqual([
      [2, 20],
      [2, 30],
    ])
    expect((await from(0, 0, now + 31, 0))[0]!.map(({ level, runAt }) => [level, runAt - now])).toEqual([[0, 20]])
    expect(await ready(bench)).toHaveLength(4)
  })

  test('ready and waiting are jobs whose time has come, unless they have ended, run or wait for something else', async (bench) => {
    const now = bench.clock.now()
    const [later, gone, done] = await bench.submit({ runAt: now + 1000 }, {}, {})
    const all = [later!, gone!, done!]
    expect(await ready(bench)).toEqual([gone, done])
    expect(await waiting(bench, all)).toEqual([gone, done].sort())
    await bench.apply(gone!, cancel())
    expect(await ready(bench)).toEqual([done])
    const [claimed] = await bench.claim(1)
    expect(await ready(bench)).toEqual([])
    expect(await waiting(bench, all)).toEqual([])
    await bench.settle(claimed!, errored('transient', { retryAfterMs: 500 }))
    await bench.clock.advance(499)
    expect(await waiting(bench, all)).toEqual([])
    await bench.clock.advance(1)
    expect(await ready(bench)).toEqual([done])
    await bench.clock.advance(500)
    expect((await ready(bench)).sort()).toEqual([later, done].sort())
    expect(await waiting(bench, [...all, ...all, '019-unknown'])).toEqual([later, done].sort())
  })

  test('with the lane and the version under which they wait: each time anew after a claim', async (bench) => {
    const [id] = await bench.submit({})
    const versionNow = async () => (await bench.store.ready([{ lane: LANE, limit: 5 }], LEVELS))[0]![0]!.version
    const first = await versionNow()
    expect((await bench.store.waiting([id!])).get(id!)).toEqual({ lane: LANE, version: first })
    const [claimed] = await bench.claim(1)
    await bench.settle(claimed!, released)
    const second = await versionNow()
    expect(second).toBeGreaterThan(first)
    expect((await bench.store.waiting([id!])).get(id!)).toEqual({ lane: LANE, version: second })
  })

  test('nothing is ready in a lane that is paused, until it goes on', async (bench) => {
    const ids = await bench.submit({}, {})
    for (const pause of [pauseOf('type', 't'), pauseOf('queue', 'default')]) {
      await bench.store.pauses.set(pause, true, AUDIT)
      expect([await ready(bench), await ready(bench, 1)]).toEqual([[], []])
      expect((await deliver(bench, ids)).claimed).toEqual([])
      await bench.store.pauses.set(pause, false, AUDIT)
      expect(await ready(bench)).toEqual(ids)
    }
  })

  test('what a limit holds is not ready, and is when the limit lets it go', async (bench) => {
    const limits = { concurrency: { key: 'k', limit: 1 } }
    const [a, b] = await bench.submit({ limits }, { limits })
    expect(await ready(bench)).toEqual([a, b])
    expect(await deliver(bench, [a!, b!])).toEqual({ claimed: [a], left: [] })
    expect([await ready(bench), await waiting(bench, [a!, b!])]).toEqual([[], []])
    await bench.apply(a!, { type: 'succeeded', actor: CALLER, warnings: 0 })
    expect([await ready(bench), await waiting(bench, [a!, b!])]).toEqual([[b], [b]])
    expect((await deliver(bench, [b!])).claimed).toEqual([b])
  })

  for (const mixed of [true, false]) {
    const expected = mixed ? '' : ', also where no others are expected'
    const given = (bench: Bench, ids: readonly string[], more: { limit?: number; levels?: readonly number[] } = {}) =>
      deliver(bench, ids, { ...more, mixed })

    test(`each delivery claims one job: late, doubled and unknown ones do nothing${expected}`, async (bench) => {
      const [a, b, c] = await bench.submit({}, {}, {})
      expect(await given(bench, [a!, b!])).toEqual({ claimed: [a, b], left: [] })
      expect(await given(bench, [a!, b!, b!, '019-unknown'])).toEqual({ claimed: [], left: [] })
      expect((await bench.stored(c!)).live!.state).toBe('queued')
      const both = await Promise.all([given(bench, [c!]), given(bench, [c!]), given(bench, [c!, c!])])
      expect(both.flatMap(({ claimed }) => claimed)).toEqual([c])
    })

    test(`a delivery that is doubled in one claim permits one job, though others wait${expected}`, async (bench) => {
      const [first, second] = await bench.submit({}, {})
      expect(await given(bench, [first!, first!])).toEqual({ claimed: [first], left: [] })
      expect(await given(bench, [second!])).toEqual({ claimed: [second], left: [] })
    })

    test(`the order of the lane says which job a delivery claims; the others are left${expected}`, async (bench) => {
      const [first, second] = await bench.submit({}, {})
      expect(await given(bench, [second!])).toEqual({ claimed: [first], left: [second] })
      expect(await given(bench, [second!])).toEqual({ claimed: [second], left: [] })
    })

    test(`a delivery for a lane that the job has left does nothing${expected}`, async (bench) => {
      const [id] = await bench.submit({ type: 'other' })
      expect(await given(bench, [id!])).toEqual({ claimed: [], left: [] })
    })

    test(`a higher level that came later goes first, unless lower levels have their turn${expected}`, async (bench) => {
      const [low, next] = await bench.submit({ priority: -5 }, { priority: -5 })
      const [urgent, other] = await bench.submit({ priority: 90 }, { priority: 90 })
      expect(await given(bench, [low!])).toEqual({ claimed: [urgent], left: [low] })
      expect(await given(bench, [low!], { levels: [3, 2, 1, 0] })).toEqual({ claimed: [low], left: [] })
      expect(await given(bench, [next!, other!], { limit: 1 })).toEqual({ claimed: [other], left: [next] })
    })

    test(`without room everything is left${expected}`, async (bench) => {
      const ids = await bench.submit({}, {})
      expect(await given(bench, ids, { limit: 0 })).toEqual({ claimed: [], left: ids })
    })
  }
}
