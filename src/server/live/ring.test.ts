import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Change } from '../../stores/store.js'
import { Ring } from './ring.js'

const change = (jobId: string, version: number) =>
  ({ jobId, version, tenant: 'default', type: 't', groupId: null }) as Change

it('who was there before something was missed starts again, also when more has come meanwhile', () => {
  const ring = new Ring(10)
  for (const version of [1, 2, 3]) ring.push(change('a', version), 0)
  ring.forget()
  const since = ring.head
  ring.push(change('a', 7), 0)
  expect([3, since - 1].map((position) => ring.covers(position))).toEqual([false, false])
  expect(ring.covers(since)).toBe(true)
  expect(ring.at(since + 1)).toMatchObject({ jobId: 'a', version: 7, after: 6 })
})

it('what it covers is there, whatever came, went and was missed', () => {
  const pushed = fc.record({ job: fc.constantFrom('a', 'b', 'c'), by: fc.integer({ min: 1, max: 3 }) })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.option(pushed), { maxLength: 40 }), (size, steps) => {
      const ring = new Ring(size)
      const versions = new Map<string, number>()
      let missedAt = 0
      for (const step of steps) {
        if (step === null) {
          ring.forget()
          missedAt = ring.head
        } else {
          const version = (versions.get(step.job) ?? 0) + step.by
          versions.set(step.job, version)
          ring.push(change(step.job, version), 0)
        }
        for (let position = 0; position <= ring.head; position++) {
          expect(ring.covers(position)).toBe(position >= Math.max(missedAt, ring.head - size))
          for (let at = position + 1; ring.covers(position) && at <= ring.head; at++)
            expect(ring.at(at).position).toBe(at)
        }
      }
    }),
  )
})
