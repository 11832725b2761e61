import { describe, expect, it } from 'vitest'
import { TestClock } from '../testing/clock.js'
import { Looks } from './looks.js'

/** @param took each of them, the last one from then on */
function open(...took: number[]) {
  const clock = new TestClock()
  const at: number[] = []
  const began = clock.now()
  const looks = new Looks(
    clock,
    () => 0.5,
    async () => {
      at.push(clock.now() - began)
      const ms = took[Math.min(at.length, took.length) - 1] ?? 0
      if (ms > 0) await new Promise<void>((resolve) => clock.after(ms, resolve))
    },
  )
  return { clock, looks, at }
}

describe('looks', () => {
  it('come every second, and one that takes long more seldom', async () => {
    const quick = open()
    await quick.looks.now()
    await quick.clock.advance(3500)
    expect(quick.at).toEqual([0, 1000, 2000, 3000])
    const slow = open(100)
    void slow.looks.now()
    await slow.clock.advance(11_000)
    expect(slow.at).toEqual([0, 1100, 6200])
  })

  it('of which one hung because nothing answered are followed by the next as if it had not', async () => {
    const { clock, looks, at } = open(0, 1200, 10, 1200)
    void looks.now()
    await clock.advance(5300)
    expect(at).toEqual([0, 1000, 3200, 4210])
  })

  it('that always take very long come all the same', async () => {
    const { clock, looks, at } = open(2000)
    void looks.now()
    await clock.advance(100_000)
    expect(at).toEqual([0, 3000, 35_000, 67_000, 99_000])
  })

  it('come sooner when something was missed, also during one', async () => {
    const { clock, looks, at } = open(20)
    void looks.now()
    await clock.advance(10)
    looks.sooner()
    await clock.advance(5)
    looks.sooner()
    await clock.advance(400)
    // A tenth of the time, however often something is missed.
    expect(at).toEqual([0, 220])
    looks.sooner()
    await clock.advance(100)
    expect(at).toEqual([0, 220, 440])
  })

  it('of which several are asked for at once are two: the one that is under way, and one after it', async () => {
    const { clock, looks, at } = open(10)
    const all = Promise.all([looks.now(), looks.now(), looks.now()])
    await clock.advance(10)
    await all
    expect(looks.busy).toBe(true)
    await clock.advance(100)
    expect(at).toEqual([0, 10])
  })

  it('end, and leave no timer', async () => {
    const { clock, looks, at } = open(10)
    void looks.now()
    looks.sooner()
    const stopped = looks.stop()
    await clock.advance(10)
    await stopped
    looks.sooner()
    await looks.now()
    await clock.advance(5000)
    expect({ at, timers: clock.timers, busy: looks.busy }).toEqual({ at: [0], timers: 0, busy: false })
  })
})
