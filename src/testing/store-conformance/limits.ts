/** Limits: who may start, who stands in line, and that a free place goes to the next in the transaction that frees it. */
import { expect } from 'vitest'
import { type JobLimits, LEVELS, laneOf } from '../../core/job.js'
import type { Event } from '../../core/lifecycle.js'
import type { Claimed } from '../../stores/store.js'
import { type Bench, cancel, errored, LANE, lost, released, retry, SYSTEM, type Wanted } from './bench.js'
import type { Suite } from './index.js'

const two: JobLimits = { concurrency: { key: 'a', limit: 2 } }
const one: JobLimits = { concurrency: { key: 'a', limit: 1 } }
const ordered: JobLimits = { order: 'a' }
export const many = (n: number, wanted: Wanted): Wanted[] => Array.from({ length: n }, () => wanted)
export const idsOf = (claimed: readonly Claimed[]) => claimed.map(({ live }) => live.id)
export const heldOf = async (bench: Bench, ids: readonly string[]) =>
  Promise.all(ids.map(async (id) => (await bench.stored(id)).live?.held ?? null))
const pause: Event = { type: 'pauseRequested', actor: SYSTEM }
const resume: Event = { type: 'resumeRequested', actor: SYSTEM }

export function limitTests({ test }: Suite): void {
  test('at most `limit` jobs of a key have a worker; the others are held, out of the way of jobs without limits', async (bench) => {
    const ids = await bench.submit(...many(4, { limits: two }), {})
    expect(idsOf(await bench.claim())).toEqual([ids[0], ids[1], ids[4]])
    expect(await heldOf(bench, ids)).toEqual([null, null, 'concurrency', 'concurrency', null])
    expect(await bench.claim()).toEqual([])
    expect(await bench.store.due(LANE)).toBeNull()
    expect((await bench.stored(ids[2]!)).heldBy).toEqual({ limit: 'concurrency', key: 'a', running: 2, ahead: null })
  })

  test('keys, types and tenants do not meet', async (bench) => {
    const other: JobLimits = { concurrency: { key: 'b', limit: 1 } }
    await bench.submit({ limits: one }, { limits: other }, { limits: one, type: 'x' }, { limits: one, tenant: 'z' })
    expect(await bench.claim()).toHaveLength(2)
    expect(await bench.claim(9, { lane: laneOf('default', 'x', 'default') })).toHaveLength(1)
    expect(await bench.claim(9, { lane: laneOf('default', 't', 'z') })).toHaveLength(1)
  })

  test('a claim looks behind those it puts aside until it has what was asked', async (bench) => {
    await bench.submit(...many(30, { limits: one }), ...many(5, {}))
    expect(await bench.claim(4)).toHaveLength(4)
    expect(await bench.claim(4)).toHaveLength(2)
  })

  test('more than one claim puts aside is put aside by the next, and the worker is told', async (bench) => {
    await bench.submit(...many(1300, { limits: one }), {})
    let cut = 0
    const claim = () =>
      bench.store.claim({
        ...{ worker: 'w-1', lanes: [{ lane: LANE, limit: 5 }], limit: () => 5, levels: LEVELS },
        onCut: (lane) => {
          expect(lane).toBe(LANE)
          cut++
        },
      })
    const waves = [await claim(), await claim(), await claim(), await claim()]
    expect(waves.map((wave) => wave.length)).toEqual([1, 0, 1, 0])
    expect(cut).toBe(2)
  })

  for (const [what, free] of Object.entries<(bench: Bench, claimed: Claimed) => Promise<unknown>>({
    'the end': (bench, claimed) => bench.succeed(claimed),
    'an error that is tried again': (bench, claimed) =>
      bench.settle(claimed, errored('transient', { retryAfterMs: 1000 })),
    'a permanent error': (bench, claimed) => bench.settle(claimed, errored('permanent')),
    'a review': (bench, claimed) => bench.settle(claimed, errored('review')),
    'a release': async (bench, claimed) => {
      await bench.apply(claimed.live.id, pause)
      await bench.settle(claimed, released)
    },
    'a wait': (bench, claimed) =>
      bench.settle(claimed, {
        ...{ type: 'suspended', actor: SYSTEM, waitKind: 'timer', wakeAt: null },
        wait: { id: 'x', title: 'x', dueAt: null },
      }),
    'a lost worker': (bench, claimed) => bench.settle(claimed, { ...lost, jitter: 1 } as Event),
    'a cancel that is through': async (bench, claimed) => {
      await bench.apply(claimed.live.id, cancel())
      expect(await bench.claim()).toEqual([])
      await bench.apply(claimed.live.id, released)
    },
    'an override': (bench, claimed) =>
      bench.apply(claimed.live.id, { type: 'overridden', actor: SYSTEM, status: 'failed', error: null }),
  }))
    test(`${what} gives the place to the next, and listeners hear of it`, async (bench) => {
      const ids = await bench.submit(...many(3, { limits: one }))
      const [claimed] = await bench.claim()
      bench.told.length = 0
      await free(bench, claimed!)
      expect(await heldOf(bench, ids.slice(1))).toEqual(['granted', 'concurrency'])
      const told = bench.told.filter(({ jobId }) => jobId === ids[1])
      expect(told.at(-1)).toMatchObject({ queuedAt: expect.any(Number), lane: LANE, status: 'accepted' })
      expect(idsOf(await bench.claim()).filter((id) => id !== ids[0])).toEqual([ids[1]])
    })

  test('a job that is told to stop keeps its place until it has stopped', async (bench) => {
    const ids = await bench.submit(...many(2, { limits: one }))
    await bench.claim()
    await bench.apply(ids[0]!, cancel())
    expect(await bench.claim()).toEqual([])
    await bench.apply(ids[0]!, released)
    expect(idsOf(await bench.claim())).toEqual([ids[1]])
  })

  test('the next is the highest level, then the earliest; a newcomer joins the line and overtakes nobody', async (bench) => {
    const now = bench.clock.now()
    const ids = await bench.submit(
      { limits: one },
      { limits: one, priority: -1 },
      { limits: one, runAt: now },
      { limits: one, priority: 60 },
    )
    const first = await bench.claim()
    expect(idsOf(first)).toEqual([ids[3]])
    const [late] = await bench.submit({ limits: one, priority: 60 })
    expect(await heldOf(bench, [late!])).toEqual(['concurrency'])
    const order: (string | undefined)[] = []
    for (let running = first; running.length > 0; running = await bench.claim()) {
      await bench.succeed(running[0]!)
      order.push(idsOf(running)[0])
    }
    expect(order.slice(0, 2)).toEqual([ids[3], late])
    expect(new Set(order)).toEqual(new Set([...ids, late]))
  })

  test('one free place in ten goes to a lower level first, so that nothing held starves under a higher load', async (bench) => {
    const [low, middle] = await bench.submit(
      { limits: one, priority: -50 },
      { limits: one, priority: 10 },
      ...many(2, { limits: one, priority: 90 }),
    )
    const seen: string[] = []
    let running = await bench.claim()
    for (let n = 0; n < 400 && !(seen.includes(low!) && seen.includes(middle!)); n++) {
      await bench.submit({ limits: one, priority: 90 })
      await bench.succeed(running[0]!)
      seen.push(running[0]!.live.id)
      running = await bench.claim()
    }
    expect(seen).toContain(low)
    expect(seen).toContain(middle)
    expect(seen.length).toBeGreaterThan(4)
  })

  test('a held job that is cancelled, paused or fails its deadline leaves the line', async (bench) => {
    const now = bench.clock.now()
    const ids = await bench.submit(
      { limits: one },
      { limits: one },
      { limits: one },
      { limits: one, deadlineAt: now + 50 },
    )
    const [last] = await bench.submit({ limits: one })
    const [running] = await bench.claim()
    await bench.apply(ids[1]!, cancel())
    await bench.apply(ids[2]!, pause)
    await bench.clock.advance(100)
    await bench.apply(ids[3]!, { type: 'deadlinePassed', actor: SYSTEM })
    await bench.succeed(running!)
    const [next] = await bench.claim()
    expect(next!.live.id).toBe(last)
    await bench.apply(ids[2]!, resume)
    expect(await bench.claim()).toEqual([])
    await bench.succeed(next!)
    expect(idsOf(await bench.claim())).toEqual([ids[2]])
  })

  test('a granted job that goes away before its claim hands its place on', async (bench) => {
    const ids = await bench.submit(...many(4, { limits: one }))
    const [running] = await bench.claim()
    await bench.succeed(running!)
    await bench.apply(ids[1]!, cancel())
    await bench.apply(ids[2]!, pause)
    expect(idsOf(await bench.claim())).toEqual([ids[3]])
  })

  test('two that end in one transaction give two places, and the end of one that was just granted gives its on', async (bench) => {
    const ids = await bench.submit(...many(6, { limits: two }))
    const running = await bench.claim()
    await Promise.all([
      ...running.map((claimed) => bench.succeed(claimed)),
      bench.apply(ids[2]!, cancel()),
      bench.apply(ids[3]!, cancel()),
    ])
    expect(idsOf(await bench.claim()).sort()).toEqual([ids[4], ids[5]])
  })

  test('an undo takes a place as well', async (bench) => {
    const ids = await bench.submit({ limits: one }, { limits: one })
    const [running] = await bench.claim()
    await bench.force(ids[0]!, { undo: 1 })
    await bench.apply(running!.live.id, errored('permanent'))
    expect(idsOf(await bench.claim(1))).toEqual([ids[0]])
    expect(await bench.claim()).toEqual([])
    await bench.apply(ids[0]!, { type: 'undone', actor: SYSTEM, steps: [], partial: [] })
    expect(idsOf(await bench.claim())).toEqual([ids[1]])
  })

  test('what it stood in line is not taken from its retry budget', async (bench) => {
    const ids = await bench.submit(...many(2, { limits: one }))
    const [running] = await bench.claim()
    await bench.clock.advance(5000)
    await bench.succeed(running!)
    const [next] = await bench.claim()
    expect(next!.live.budgetFrom).toBe(bench.clock.now())
    expect(next!.live.id).toBe(ids[1])
  })

  test('numbers that were changed since count for jobs that wait already', async (bench) => {
    await bench.submit(...many(6, { limits: two }))
    const claim = (concurrency: number) =>
      bench.store.claim({
        ...{ worker: 'w-1', lanes: [{ lane: LANE, limit: 9 }], limit: () => 9, levels: LEVELS },
        numbers: () => ({ concurrency }),
      })
    expect(await claim(1)).toHaveLength(1)
    expect(await bench.store.heal('', 100, () => ({ concurrency: 3 }))).toBeNull()
    expect(await claim(3)).toHaveLength(2)
    expect(await claim(3)).toEqual([])
  })

  test('heal gives free places to whoever is next, and does nothing the second time', async (bench) => {
    const ids = await bench.submit(
      ...many(3, { limits: two }),
      ...many(3, { limits: { concurrency: { key: 'b', limit: 2 } } }),
    )
    await bench.claim()
    await bench.store.heal('', 1)
    expect(await heldOf(bench, ids)).toEqual([null, null, 'concurrency', null, null, 'concurrency'])
    const three = () => ({ concurrency: 3 })
    let pages = 0
    for (let after: string | null = ''; after !== null; pages++) after = await bench.store.heal(after, 1, three)
    expect(await heldOf(bench, ids)).toEqual([null, null, 'granted', null, null, 'granted'])
    expect(pages).toBeGreaterThan(1)
    const told = bench.told.length
    await bench.store.heal('', 100, three)
    expect(bench.told.length).toBe(told)
  })

  test('a granted job that no worker takes does not hold up the others for ever', async (bench) => {
    const ids = await bench.submit({ limits: one }, { limits: one, queue: 'nobody' }, { limits: one })
    const [running] = await bench.claim()
    await bench.claim(1, { lane: laneOf('nobody', 't', 'default') })
    expect(await heldOf(bench, ids.slice(1))).toEqual(['concurrency', 'concurrency'])
    await bench.succeed(running!)
    expect(await heldOf(bench, ids.slice(1))).toEqual(['granted', 'concurrency'])
    await bench.store.heal('', 100)
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(10_001)
    await bench.store.heal('', 100)
    expect(idsOf(await bench.claim())).toEqual([ids[2]])
  })

  test('order: one after the other, whatever the first waits for', async (bench) => {
    const ids = await bench.submit(...many(3, { limits: ordered }))
    expect(await heldOf(bench, ids)).toEqual([null, 'order', 'order'])
    expect((await bench.stored(ids[2]!)).heldBy).toEqual({ limit: 'order', key: 'a', running: null, ahead: 2 })
    const [first] = await bench.claim()
    expect(first!.live.id).toBe(ids[0])
    await bench.settle(first!, errored('transient', { retryAfterMs: 1000 }))
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(1000)
    const [again] = await bench.claim()
    await bench.settle(again!, errored('review'))
    expect(await bench.claim()).toEqual([])
    await bench.apply(ids[0]!, retry)
    const [third] = await bench.claim()
    expect(third!.live.id).toBe(ids[0])
    await bench.succeed(third!)
    expect(idsOf(await bench.claim())).toEqual([ids[1]])
  })

  test('order: the turn passes to the earliest that is left; one that was paused is still in its place', async (bench) => {
    const ids = await bench.submit(...many(4, { limits: ordered }))
    await bench.apply(ids[1]!, cancel())
    await bench.apply(ids[2]!, pause)
    await bench.apply(ids[2]!, resume)
    expect(idsOf(await bench.claim())).toEqual([ids[0]])
    expect(await bench.claim()).toEqual([])
    await bench.apply(ids[0]!, { type: 'overridden', actor: SYSTEM, status: 'completed', error: null })
    const [next] = await bench.claim()
    expect(next!.live.id).toBe(ids[2])
    await bench.succeed(next!)
    expect(idsOf(await bench.claim())).toEqual([ids[3]])
  })

  test('order: jobs of one transaction keep the order of their ids', async (bench) => {
    const jobs = many(3, { limits: ordered }).map((wanted) => bench.job(wanted))
    await Promise.all([bench.store.submit([jobs[0]!, jobs[1]!]), bench.store.submit([jobs[2]!])])
    const got: string[] = []
    for (let running = await bench.claim(); running.length > 0; running = await bench.claim()) {
      got.push(...idsOf(running))
      await bench.succeed(running[0]!)
    }
    expect(got).toEqual(jobs.map(({ record }) => record.id))
  })

  test('together: a job that its rate holds does not keep the place of its key', async (bench) => {
    const both = (rate: string): JobLimits => ({ ...one, rate: { key: rate, limit: 1, perMs: 60_000 } })
    const ids = await bench.submit({ limits: both('x') }, { limits: both('x') }, { limits: both('y') })
    const [first] = await bench.claim()
    await bench.succeed(first!)
    // The second is offered the place and has no start left; so the third is offered it.
    expect(await bench.claim()).toEqual([])
    expect(idsOf(await bench.claim())).toEqual([ids[2]])
    const told = (await bench.stored(ids[1]!)).live
    expect(told!.held).toBe('granted')
    await bench.clock.advance(60_000)
    expect(await bench.claim()).toEqual([])
    expect(await heldOf(bench, [ids[1]!])).toEqual(['concurrency'])
  })

  test('places survive a restart', async (bench) => {
    const ids = await bench.submit(...many(3, { limits: one }), ...many(2, { limits: ordered }))
    const running = await bench.claim()
    await bench.reopen()
    expect(await bench.claim()).toEqual([])
    for (const claimed of running) await bench.succeed(claimed)
    expect(idsOf(await bench.claim()).sort()).toEqual([ids[1], ids[4]])
  })

  test('load tells what waits, is held and runs in each lane', async (bench) => {
    const now = bench.clock.now()
    await bench.submit(...many(3, { limits: one }), {}, { runAt: now + 5000 }, { type: 'x' })
    await bench.claim(1)
    await bench.clock.advance(1000)
    await bench.claim(0)
    const [x, t] = (await bench.store.load(100)).sort((a, b) => (a.lane > b.lane ? -1 : 1))
    expect(x).toEqual({ lane: laneOf('default', 'x', 'default'), ready: 1, held: 0, oldestAt: now, running: 0 })
    expect(t).toMatchObject({ lane: LANE, running: 1, oldestAt: now })
    expect(t!.ready + t!.held).toBe(3)
    expect((await bench.store.load(1)).find(({ lane }) => lane === LANE)!.ready).toBe(1)
  })
}
