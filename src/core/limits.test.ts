import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LEVELS } from './job.js'
import { afterStart, levelsOf, limitName, type Rate, startAt, turnOf } from './limits.js'

const T = 1_800_000_000_000
const rates = fc.record({
  limit: fc.integer({ min: 1, max: 5000 }),
  perMs: fc.integer({ min: 1, max: 3_600_000 }),
  burst: fc.integer({ min: 1, max: 50 }),
})

/** Starts as soon as it is allowed and asked: what a worker that is never late would do. */
function starts(rate: Rate, asked: readonly number[]): number[] {
  let due = 0
  let now = T
  return asked.map((gap) => {
    now = startAt(due, now + gap, rate)
    due = afterStart(due, now, rate)
    return now
  })
}
/** The most starts in any stretch of `ms`, its end not counted. */
function most(starts: readonly number[], ms: number): number {
  let from = 0
  let highest = 0
  starts.forEach((at, i) => {
    while (starts[from]! <= at - ms) from++
    highest = Math.max(highest, i - from + 1)
  })
  return highest
}

describe('rate', () => {
  it('a key that was never used starts at once; the next one a step later', () => {
    const rate = { limit: 4, perMs: 1000 }
    expect(starts(rate, [0, 0, 0, 0])).toEqual([T, T + 250, T + 500, T + 750])
    expect(starts(rate, [0, 10_000, 0])).toEqual([T, T + 10_000, T + 10_250])
  })

  it('a burst starts at once after a quiet time, and only then', () => {
    const rate = { limit: 4, perMs: 1000, burst: 3 }
    expect(starts(rate, [0, 0, 0, 0, 0])).toEqual([T, T, T, T + 250, T + 500])
    expect(starts(rate, [0, 0, 0, 250, 0])).toEqual([T, T, T, T + 250, T + 500])
    expect(starts(rate, [0, 0, 0, 5000, 0, 0, 0])).toEqual([T, T, T, T + 5000, T + 5000, T + 5000, T + 5250])
  })

  it('never more than `limit` in any stretch of `per`, or than the burst adds to it', () => {
    fc.assert(
      fc.property(rates, fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 300 }), (rate, asked) => {
        expect(most(starts({ ...rate, burst: 1 }, asked), rate.perMs)).toBeLessThanOrEqual(rate.limit)
        expect(most(starts(rate, asked), rate.perMs)).toBeLessThanOrEqual(rate.limit + rate.burst - 1)
      }),
    )
  })

  it('a rate that does not divide a millisecond is kept as well as one that does', () => {
    const rate = { limit: 600, perMs: 1000 }
    const all = starts(rate, Array(6000).fill(0))
    expect(all.at(-1)! - T).toBeLessThanOrEqual(10_000 + 10)
    expect(most(all, 1000)).toBe(600)
  })

  it('what is foretold for those behind is what happens when all are asked now', () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 0, max: 60_000 }), fc.nat(20), (rate, used, ahead) => {
        const due = (T + used) * 1000
        let state = due
        for (let i = 0; i < ahead; i++) state = afterStart(state, startAt(state, T, rate), rate)
        expect(Math.abs(startAt(state, T, rate) - startAt(due, T, rate, ahead))).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('is never in the past, and asking does not change it', () => {
    fc.assert(
      fc.property(rates, fc.nat(), (rate, due) => {
        const at = startAt(due, T, rate)
        expect(at).toBeGreaterThanOrEqual(T)
        expect(startAt(due, at, rate)).toBe(at)
      }),
    )
  })
})

describe('levels', () => {
  it('nine turns in ten serve the highest first, the tenth begins with each of the lower ones in rotation', () => {
    const turns = Array.from({ length: 30 }, (_, turn) => levelsOf(turn))
    expect(turns.filter(([first]) => first === 0)).toHaveLength(27)
    for (const level of [1, 2, 3]) expect(turns.filter(([first]) => first === level)).toHaveLength(1)
    for (const levels of turns) expect([...levels].sort()).toEqual(LEVELS)
  })

  it('turns made of ids are spread: about one in ten is a fair one', () => {
    const id = (n: number) => `019a7c31-5b0e-7c44-9d0a-${((n * 0x9e3779b1) >>> 0).toString(16).padStart(12, '0')}`
    const fair = Array.from({ length: 3000 }, (_, n) => levelsOf(turnOf(id(n), n % 7))).filter(([first]) => first !== 0)
    expect(fair.length).toBeGreaterThan(200)
    expect(fair.length).toBeLessThan(400)
  })
})

it('names of different kinds, tenants, types and keys never meet', () => {
  const part = fc.stringMatching(/^[a-z./]{1,4}$/)
  const kinds = fc.constantFrom('concurrency' as const, 'order' as const, 'rate' as const, 'unique' as const)
  const one = fc.tuple(kinds, part, part, fc.string())
  fc.assert(
    fc.property(one, one, (a, b) => {
      const name = ([kind, tenant, type, key]: typeof a) => limitName(kind, { tenant, type }, key)
      expect(name(a) === name(b)).toBe(JSON.stringify(a) === JSON.stringify(b))
    }),
  )
})
