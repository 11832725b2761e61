/** Announcing to a transport: a window of ready jobs, each announced once, whatever is lost or said twice. */
import { expect } from 'vitest'
import { LEVELS, laneOf } from '../../core/job.js'
import type { Announcement, Claimed, DispatchRequest, LaneQuota } from '../../stores/store.js'
import { type Bench, CALLER, cancel, LANE, released } from './bench.js'
import type { Suite } from './index.js'

const REPEAT_MS = 5000
const OTHER = laneOf('default', 'other', 'default')

const ask = (bench: Bench, more: Partial<DispatchRequest> = {}) =>
  bench.store.dispatch({
    ...{ lanes: [LANE], levels: LEVELS, window: 8, carried: new Map(), returned: [] },
    ...{ repeatAfterMs: REPEAT_MS, ...more },
  })
const idsOf = (announced: readonly Announcement[]) => announced.map(({ jobId }) => jobId)

/** Claims what was delivered. @returns what was claimed, and what was left waiting */
async function deliver(
  bench: Bench,
  ids: readonly string[],
  more: { limit?: number; levels?: readonly number[] } = {},
) {
  const { limit = 100, levels = LEVELS } = more
  const left: string[] = []
  const lanes: LaneQuota[] = [{ lane: LANE, limit, ids }]
  const claimed: Claimed[] = await bench.store.claim({
    ...{ worker: 'w-1', lanes, limit: () => limit, levels },
    onLeft: (id) => left.push(id),
  })
  return { claimed: claimed.map(({ live }) => live.id), left }
}

export function dispatchTests({ test }: Suite): void {
  test('ready jobs are announced in the order of a claim, each once', async (bench) => {
    const ids = await bench.submit({}, { priority: 60 }, {}, { priority: -5 })
    const { fresh, again, full } = await ask(bench)
    expect(idsOf(fresh)).toEqual([ids[1], ids[0], ids[2], ids[3]])
    expect(fresh.every(({ lane }) => lane === LANE)).toBe(true)
    expect({ again, full }).toEqual({ again: [], full: [] })
    expect((await ask(bench)).fresh).toEqual([])
  })

  test('no more than the window, and more when some of it was claimed', async (bench) => {
    const ids = await bench.submit(...Array.from({ length: 12 }, () => ({})))
    const first = await ask(bench)
    expect(idsOf(first.fresh)).toEqual(ids.slice(0, 8))
    expect(first.full).toEqual([LANE])
    expect(await ask(bench)).toEqual({ fresh: [], again: [], full: [LANE] })
    await deliver(bench, ids.slice(0, 3))
    expect(idsOf((await ask(bench)).fresh)).toEqual(ids.slice(8, 11))
  })

  test('what the transport says it carries counts, if it is more', async (bench) => {
    const ids = await bench.submit(...Array.from({ length: 12 }, () => ({})))
    const carried = new Map([['default', 5]])
    expect(idsOf((await ask(bench, { carried })).fresh)).toEqual(ids.slice(0, 3))
    expect((await ask(bench, { carried: new Map([['default', 99]]) })).fresh).toEqual([])
    expect(idsOf((await ask(bench, { carried })).fresh)).toEqual(ids.slice(3, 6))
  })

  test('lanes of a queue share its window, whoever has more in it', async (bench) => {
    await bench.submit(...Array.from({ length: 20 }, () => ({})))
    const others = await bench.submit({ type: 'other' }, { type: 'other' })
    const { fresh } = await ask(bench, { lanes: [LANE, OTHER] })
    expect(fresh.filter(({ lane }) => lane === LANE)).toHaveLength(6)
    expect(idsOf(fresh.filter(({ lane }) => lane === OTHER))).toEqual(others)
  })

  test('with more lanes than places each lane gets one', async (bench) => {
    const tenants = Array.from({ length: 6 }, (_, i) => `tenant-${i}`)
    for (const tenant of tenants) await bench.submit({ tenant, priority: -5 }, { tenant })
    const lanes = tenants.map((tenant) => laneOf('default', 't', tenant))
    const { fresh } = await ask(bench, { lanes, window: 4 })
    expect(fresh.map(({ lane }) => lane)).toEqual(lanes.slice(0, 4))
    const rest = await ask(bench, { lanes, window: 6 })
    expect(rest.fresh.map(({ lane }) => lane)).toEqual(lanes.slice(4))
  })

  test('each queue has a window of its own', async (bench) => {
    await bench.submit(...Array.from({ length: 5 }, () => ({})), ...Array.from({ length: 5 }, () => ({ queue: 'q' })))
    const { fresh } = await ask(bench, { lanes: [LANE, laneOf('q', 't', 'default')], window: 3 })
    expect(fresh).toHaveLength(6)
  })

  test('not before its time, not while a lane is paused, not after it was cancelled', async (bench) => {
    const now = bench.clock.now()
    const [later, gone] = await bench.submit({ runAt: now + 1000 }, {})
    const pause = { tenant: 'default', kind: 'type' as const, name: 't', by: CALLER, reason: null, at: now }
    const audit = { tenant: 'default', actor: CALLER, action: 'x', target: 'type/t', reason: null, details: null }
    await bench.store.pauses.set(pause, true, audit)
    expect((await ask(bench)).fresh).toEqual([])
    await bench.store.pauses.set(pause, false, audit)
    expect(idsOf((await ask(bench)).fresh)).toEqual([gone])
    await bench.apply(gone!, cancel())
    await bench.clock.advance(1000)
    expect(idsOf((await ask(bench)).fresh)).toEqual([later])
  })

  test('what was paused after its announcement is announced anew when it goes on', async (bench) => {
    const [id] = await bench.submit({})
    const [first] = (await ask(bench)).fresh
    const pause = { tenant: 'default', kind: 'queue' as const, name: 'default', by: CALLER, reason: null, at: 1 }
    const audit = {
      tenant: 'default',
      actor: CALLER,
      action: 'x',
      target: 'queue/default',
      reason: null,
      details: null,
    }
    await bench.store.pauses.set(pause, true, audit)
    expect((await deliver(bench, [id!])).claimed).toEqual([])
    await ask(bench)
    await bench.store.pauses.set(pause, false, audit)
    await bench.clock.advance(1)
    const [second] = (await ask(bench)).fresh
    expect(second!.jobId).toBe(id)
    expect(second!.dispatchNo).toBeGreaterThan(first!.dispatchNo)
  })

  test('what nobody claims is announced again under its number', async (bench) => {
    await bench.submit({}, {})
    const { fresh } = await ask(bench)
    await bench.clock.advance(REPEAT_MS - 1)
    expect((await ask(bench)).again).toEqual([])
    await bench.clock.advance(1)
    expect((await ask(bench)).again).toEqual(fresh)
    expect((await ask(bench)).again).toEqual([])
    await bench.clock.advance(REPEAT_MS)
    expect((await ask(bench)).again).toEqual(fresh)
  })

  test('the next attempt is a new announcement, at once', async (bench) => {
    const [id] = await bench.submit({})
    const [first] = (await ask(bench)).fresh
    const [claimed] = await bench.claim(1)
    await bench.settle(claimed!, released)
    await bench.clock.advance(1)
    const { fresh } = await ask(bench)
    expect(idsOf(fresh)).toEqual([id])
    expect(fresh[0]!.dispatchNo).toBeGreaterThan(first!.dispatchNo)
  })

  test('what comes back is announced anew, to whoever asks next; an old one that comes back is not', async (bench) => {
    const [id] = await bench.submit({})
    const old = (await ask(bench)).fresh
    await bench.clock.advance(1)
    const anew = (await ask(bench, { returned: old })).fresh
    expect(idsOf(anew)).toEqual([id])
    await bench.clock.advance(1)
    expect((await ask(bench, { returned: old })).fresh).toEqual([])
  })

  test('of many that ask at once nobody gets what another one got', async (bench) => {
    const ids = await bench.submit(...Array.from({ length: 30 }, () => ({})))
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(bench, { window: 20 })))
    const all = answers.flatMap(({ fresh }) => idsOf(fresh))
    expect(all.sort()).toEqual(ids.slice(0, 20).sort())
  })

  test('each delivery claims one job: late, doubled and unknown ones do nothing', async (bench) => {
    const [a, b, c] = await bench.submit({}, {}, {})
    expect(await deliver(bench, [a!, b!])).toEqual({ claimed: [a, b], left: [] })
    expect(await deliver(bench, [a!, b!, b!, '019-unknown'])).toEqual({ claimed: [], left: [] })
    expect((await bench.stored(c!)).live!.state).toBe('queued')
    const both = await Promise.all([deliver(bench, [c!]), deliver(bench, [c!]), deliver(bench, [c!, c!])])
    expect(both.flatMap(({ claimed }) => claimed)).toEqual([c])
  })

  test('a delivery that is doubled in one claim permits one job, though others wait', async (bench) => {
    const [first, second] = await bench.submit({}, {})
    expect(await deliver(bench, [first!, first!])).toEqual({ claimed: [first], left: [] })
    expect(await deliver(bench, [second!])).toEqual({ claimed: [second], left: [] })
  })

  test('the order of the lane says which job a delivery claims; the others are left', async (bench) => {
    const [first, second] = await bench.submit({}, {})
    expect(await deliver(bench, [second!])).toEqual({ claimed: [first], left: [second] })
    expect(await deliver(bench, [second!])).toEqual({ claimed: [second], left: [] })
  })

  test('a delivery for a lane that the job has left does nothing', async (bench) => {
    const [id] = await bench.submit({ type: 'other' })
    expect(await deliver(bench, [id!])).toEqual({ claimed: [], left: [] })
  })

  test('a higher level that came later goes first, unless lower levels have their turn', async (bench) => {
    const [low, next] = await bench.submit({ priority: -5 }, { priority: -5 })
    const [urgent, other] = await bench.submit({ priority: 90 }, { priority: 90 })
    expect(await deliver(bench, [low!])).toEqual({ claimed: [urgent], left: [low] })
    expect(await deliver(bench, [low!], { levels: [3, 2, 1, 0] })).toEqual({ claimed: [low], left: [] })
    expect(await deliver(bench, [next!, other!], { limit: 1 })).toEqual({ claimed: [other], left: [next] })
  })

  test('without room everything is left', async (bench) => {
    const ids = await bench.submit({}, {})
    expect(await deliver(bench, ids, { limit: 0 })).toEqual({ claimed: [], left: ids })
  })

  test('a limit holds what was announced, and what it lets go is announced anew', async (bench) => {
    const limits = { concurrency: { key: 'k', limit: 1 } }
    const [a, b] = await bench.submit({ limits }, { limits })
    expect(idsOf((await ask(bench)).fresh)).toEqual([a, b])
    expect(await deliver(bench, [a!, b!])).toEqual({ claimed: [a], left: [] })
    await bench.clock.advance(1)
    expect((await ask(bench)).fresh).toEqual([])
    await bench.apply(a!, { type: 'succeeded', actor: CALLER, warnings: 0 })
    expect(idsOf((await ask(bench)).fresh)).toEqual([b])
    expect((await deliver(bench, [b!])).claimed).toEqual([b])
  })
}
