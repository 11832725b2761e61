import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { partsOf } from '../core/job.js'
import { range, relaying } from '../testing/fixtures/relaying.js'

describe('whatever is told, lost and taken', () => {
  const WINDOW = 4
  const LANES = ['q/a/x', 'q/b/x', 'q/c/x', 'p/a/x']
  const lane = fc.constantFrom(...LANES)
  const told = fc.boolean()
  const some = fc.integer({ min: 1, max: 6 })
  const step = fc.oneof(
    fc.record({ does: fc.constant('submit' as const), lane, some, told, level: fc.nat(3), since: fc.nat(50) }),
    fc.record({ does: fc.constant('take' as const), some, told }),
    fc.record({ does: fc.constant('release' as const), some, told }),
    fc.record({ does: fc.constant('return' as const), some }),
    fc.record({ does: fc.constant('lose' as const), some }),
    fc.record({ does: fc.constant('pause' as const), lane }),
    fc.record({ does: fc.constant('resume' as const), lane }),
    fc.record({ does: fc.constant('look' as const) }),
    fc.record({ does: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 5, 600, 1100, 5100) }),
  )

  it('all that waits is announced in the end, and never more than two windows, and one for each lane', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const rig = relaying({ window: WINDOW })
        const { clock, store, wire, relay } = rig
        /** As workers do: what waits and is not paused is claimed, the rest is dropped. */
        const take = (count: number, told: boolean) => {
          for (const message of wire.carried.splice(0, count)) {
            const job = store.all[Number(message.jobId)]!
            if (job.waits && !store.paused.has(job.lane)) rig.claim([Number(job.id)], told)
            else relay.dropped(message)
          }
        }
        const release = (count: number, told: boolean) => {
          const jobs = store.all.filter(({ waits }) => !waits).slice(0, count)
          for (const job of jobs) Object.assign(job, { waits: true, version: job.version + 1 })
          if (told) rig.tell(jobs)
        }
        const act = (one: typeof step extends fc.Arbitrary<infer S> ? S : never) => {
          if (one.does === 'submit') {
            const about = { lane: one.lane, level: one.level, runAt: clock.now() - one.since }
            if (one.told) rig.submit(one.some, about)
            else rig.put(one.some, about)
          } else if (one.does === 'take') take(one.some, one.told)
          else if (one.does === 'release') release(one.some, one.told)
          else if (one.does === 'return') for (const m of wire.carried.splice(0, one.some)) relay.giveBack(m)
          else if (one.does === 'lose') wire.carried.splice(0, one.some)
          else if (one.does === 'pause') store.paused.add(one.lane)
          else if (one.does === 'resume') store.paused.delete(one.lane)
          else if (one.does === 'look') void relay.look()
        }
        await rig.start()
        for (const one of steps) {
          act(one)
          await clock.advance(one.does === 'wait' ? one.ms : 0)
          for (const queue of ['p', 'q']) {
            const lanes = LANES.filter((lane) => partsOf(lane).queue === queue).length
            expect(wire.of(queue)).toBeLessThanOrEqual(2 * WINDOW + lanes)
          }
        }
        const left = () => store.all.filter((job) => job.waits && !store.paused.has(job.lane))
        await clock.advance(20)
        const paused = wire.carried.filter(({ lane }) => store.paused.has(lane))
        wire.carried = wire.carried.filter(({ lane }) => !store.paused.has(lane))
        for (const message of paused) relay.dropped(message)
        // By then what was lost is repeated, and what was not heard is asked for.
        await clock.advance(8000)
        // Only what is announced is taken; as soon as it is, others have its place.
        while (left().length > 0) {
          const ids = new Set(wire.carried.map(({ jobId }) => jobId))
          expect(left().filter(({ id }) => ids.has(id))).not.toEqual([])
          take(wire.carried.length, true)
          await clock.advance(20)
        }
        expect(left()).toEqual([])
        await relay.stop()
        expect({ errors: rig.errors, timers: clock.timers }).toEqual({ errors: [], timers: 0 })
      }),
    )
  })

  it('however many lanes one after the other find nobody who takes their jobs, a queue holds two windows', async () => {
    const { clock, submit, wire, start, relay } = relaying({ window: WINDOW })
    await start()
    for (const n of range(6)) {
      submit(20, { lane: `q/t${n}/x` })
      await clock.advance(2000)
      expect(wire.carried.some(({ lane }) => lane === `q/t${n}/x`)).toBe(true)
    }
    expect(wire.of('q')).toBeLessThanOrEqual(2 * WINDOW + 6)
    await relay.stop()
  })
})

describe('a lane whose jobs nobody takes', () => {
  it.each([3, 13, 15, 16, 40])(
    'slows no other lane of its queue, whether it has %s of a window of 16 or more',
    async (stuck) => {
      const { clock, store, submit, claim, wire, start, relay } = relaying({ window: 16 })
      await start()
      submit(stuck, { lane: 'q/stuck/x' })
      await clock.advance(1000)
      submit(300, { lane: 'q/b/x' })
      const left = () => store.all.filter(({ lane, waits }) => waits && lane === 'q/b/x').length
      let rounds = 0
      for (; left() > 0 && rounds < 200; rounds++) {
        const got = wire.carried.filter(({ lane }) => lane === 'q/b/x')
        wire.carried = wire.carried.filter((message) => !got.includes(message))
        claim(
          got.map(({ jobId }) => Number(jobId)),
          true,
        )
        await clock.advance(10)
      }
      expect(left()).toBe(0)
      expect(rounds).toBeLessThan(80)
      await relay.stop()
    },
  )
})

describe('something that was missed', () => {
  it('is looked for at once, and again and again no more than a part of the time', async () => {
    const { clock, put, wire, start, relay, store } = relaying()
    await start()
    await clock.advance(300)
    put(1)
    relay.lookSooner()
    await clock.advance(0)
    expect(wire.sent).toHaveLength(1)
    let looks = 0
    const { lanes } = store
    store.lanes = async () => {
      looks++
      await new Promise<void>((resolve) => clock.after(10, resolve))
      return lanes.call(store)
    }
    for (const _ of range(1000)) {
      relay.lookSooner()
      await clock.advance(1)
    }
    expect(looks).toBeGreaterThan(2)
    expect(looks).toBeLessThan(15)
    await relay.stop()
  })
})
