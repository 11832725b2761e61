import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WireEvent, WireJob } from '../core/wire.js'
import { makeJob } from './fake-server.mjs'
import { eventOf } from './filter.js'
import { Ledger } from './ledger.js'

const job = (id: string, version: number, more: object = {}): WireJob =>
  makeJob({ id, version, revision: version, status: 'processing', ...more }) as WireJob
const event = (id: string, version: number, type = 'job.processing', more: object = {}): WireEvent => {
  const made = eventOf(job(id, version))
  return { ...made, id: `${id}:${version}`, type, data: { ...made.data, ...more } }
}
const progress = (id: string, version: number, at: string) =>
  event(id, version, 'job.progress', { progress: { updatedAt: at } })

describe('what was told', () => {
  it('is not told again, and no version goes back', () => {
    const ledger = new Ledger()
    expect([2, 2, 1, 3, 2, 4].map((version) => ledger.event(event('a', version)))).toEqual([
      true,
      false,
      false,
      true,
      false,
      true,
    ])
    expect(ledger.event(event('b', 1))).toBe(true)
  })

  it('is known from a job as well, and the other way round', () => {
    const ledger = new Ledger()
    expect([ledger.job(job('a', 3)), ledger.event(event('a', 3)), ledger.event(event('a', 2))]).toEqual([
      true,
      false,
      false,
    ])
    expect([ledger.event(event('a', 4)), ledger.job(job('a', 4)), ledger.job(job('a', 5))]).toEqual([true, false, true])
  })

  it('takes the status once per version, and other things of the same version once each', () => {
    const ledger = new Ledger()
    const told = ['job.retrying', 'job.processing', 'approval.requested', 'approval.requested', 'job.late']
    expect(told.map((type) => ledger.event(event('a', 2, type)))).toEqual([true, false, true, false, true])
  })

  it('takes progress when it is newer, of no version that is over, and not in place of the status', () => {
    const ledger = new Ledger()
    const taken = [progress('a', 2, 't1'), progress('a', 2, 't1'), progress('a', 2, 't3'), progress('a', 2, 't2')]
    expect(taken.map((one) => ledger.event(one))).toEqual([true, false, true, false])
    expect(ledger.event(event('a', 2))).toBe(true)
    expect(ledger.event(event('a', 3))).toBe(true)
    expect(ledger.event(progress('a', 2, 't9'))).toBe(false)
    ledger.event(event('a', 4, 'job.completed', { done: true }))
    expect(ledger.event(progress('a', 4, 't9'))).toBe(false)
  })

  it('lets snapshots through that show more, and none after the final one', () => {
    const ledger = new Ledger()
    const offered = [
      job('a', 2),
      job('a', 2),
      job('a', 2, { revision: 5 }),
      job('a', 1, { revision: 9 }),
      job('a', 3, { revision: 6, done: true }),
      job('a', 3, { revision: 7, done: true }),
    ]
    expect(offered.map((one) => ledger.snapshot(one))).toEqual([true, false, true, false, true, false])
    expect([ledger.isBehind('a', 9), ledger.isBehind('new', 1)]).toEqual([false, true])
  })

  it('is forgotten of the jobs that were not heard of for longest', () => {
    const ledger = new Ledger(3)
    for (const id of ['a', 'b', 'c']) ledger.event(event(id, 1))
    ledger.event(event('a', 2))
    ledger.event(event('d', 1))
    expect(ledger.size).toBe(3)
    expect(['a', 'c', 'd'].map((id) => ledger.event(event(id, 1)))).toEqual([false, false, false])
    expect(ledger.event(event('b', 1))).toBe(true)
  })

  it('never exceeds its bound, whatever comes', () => {
    const one = fc.record({
      id: fc.integer({ max: 40, min: 0 }),
      version: fc.integer({ max: 6, min: 1 }),
      done: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 200 }), (all) => {
        const ledger = new Ledger(5)
        for (const { id, version, done } of all) {
          ledger.event(event(`j${id}`, version, 'job.processing', { done }))
          expect(ledger.size).toBeLessThanOrEqual(10)
        }
      }),
    )
  })
})
