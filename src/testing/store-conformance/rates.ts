/** Rates: starts are spread over time, whoever comes late, goes or is tried again, and none is made up for. */
import { expect } from 'vitest'
import type { JobLimits } from '../../core/job.js'
import { cancel, errored, LANE } from './bench.js'
import type { Suite } from './index.js'
import { heldOf, idsOf, many } from './limits.js'

const slow: JobLimits = { rate: { key: 'a', limit: 1, perMs: 1000 } }

export function rateTests({ test }: Suite): void {
  test('rate: starts are spread evenly, each at its instant, and held until then', async (bench) => {
    const ids = await bench.submit(...many(4, { limits: slow }))
    const now = bench.clock.now()
    expect(idsOf(await bench.claim())).toEqual([ids[0]])
    expect(await heldOf(bench, ids.slice(1))).toEqual(['granted', 'rate', 'rate'])
    expect((await bench.stored(ids[1]!)).live!.runAt).toBe(now + 1000)
    expect(await bench.store.due(LANE)).toBe(now + 1000)
    await bench.clock.advance(999)
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(1)
    expect(idsOf(await bench.claim())).toEqual([ids[1]])
    expect((await bench.stored(ids[2]!)).live).toMatchObject({ held: 'granted', runAt: now + 2000 })
    await bench.clock.advance(5000)
    expect(idsOf(await bench.claim())).toEqual([ids[2]])
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(1000)
    expect(idsOf(await bench.claim())).toEqual([ids[3]])
  })

  test('rate: a burst starts at once; every attempt counts', async (bench) => {
    const limits: JobLimits = { rate: { key: 'a', limit: 2, perMs: 1000, burst: 3 } }
    await bench.submit(...many(5, { limits }))
    const first = await bench.claim()
    expect(first).toHaveLength(3)
    await bench.settle(first[0]!, errored('transient'))
    expect(await bench.claim()).toEqual([])
    const started: number[] = []
    for (let n = 0; n < 4; n++) {
      await bench.clock.advance(500)
      started.push((await bench.claim()).length)
    }
    expect(started).toEqual([1, 1, 1, 0])
  })

  test('rate: a higher priority that comes later waits for one start at most', async (bench) => {
    const ids = await bench.submit(...many(4, { limits: slow, priority: -1 }))
    await bench.claim()
    const [high] = await bench.submit({ limits: slow, priority: 90 })
    const got: string[] = []
    for (let n = 0; n < 4; n++) {
      await bench.clock.advance(1000)
      got.push(...idsOf(await bench.claim()))
    }
    expect(got.indexOf(high!)).toBeLessThanOrEqual(1)
    expect(new Set(got)).toEqual(new Set([...ids.slice(1), high]))
  })

  test('rate: the instant of one that is cancelled goes to the next', async (bench) => {
    const ids = await bench.submit(...many(3, { limits: slow }))
    const now = bench.clock.now()
    await bench.claim()
    await bench.apply(ids[1]!, cancel())
    expect((await bench.stored(ids[2]!)).live).toMatchObject({ held: 'granted', runAt: now + 1000 })
  })

  test('rate: high rates are not slowed by the line', async (bench) => {
    const limits: JobLimits = { rate: { key: 'a', limit: 1000, perMs: 1000 } }
    await bench.submit(...many(300, { limits }))
    let started = (await bench.claim(1000)).length
    let ms = 0
    for (; started < 300 && ms < 1000; ms++) {
      await bench.clock.advance(1)
      started += (await bench.claim(1000)).length
    }
    expect(ms).toBeGreaterThanOrEqual(299)
    expect(ms).toBeLessThan(320)
  })

  test('a rate that no worker keeps up with does not make up for it', async (bench) => {
    await bench.submit(...many(6, { limits: slow }))
    await bench.claim()
    await bench.clock.advance(60_000)
    expect(await bench.claim()).toHaveLength(1)
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(1000)
    expect(await bench.claim()).toHaveLength(1)
    const fast: JobLimits = { rate: { key: 'b', limit: 100, perMs: 1000 } }
    await bench.submit(...many(9, { limits: fast }))
    await bench.claim()
    await bench.clock.advance(1000)
    expect(await bench.claim()).toHaveLength(2)
    await bench.clock.advance(10)
    expect(await bench.claim()).toHaveLength(1)
  })

  test('rate: one that comes back from a retry does not take the start of those in line', async (bench) => {
    const ids = await bench.submit(...many(3, { limits: slow }))
    const [first] = await bench.claim()
    await bench.settle(first!, errored('transient', { retryAfterMs: 1000 }))
    const got: string[] = []
    for (let n = 0; n < 3; n++) {
      await bench.clock.advance(1000)
      got.push(...idsOf(await bench.claim()))
    }
    expect(got).toEqual([ids[1], ids[2], ids[0]])
  })
}
