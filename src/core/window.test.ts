import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharesOf, togetherOf, windowOf } from './window.js'

describe('window', () => {
  it('is four messages per slot, and that of 16 slots where nothing is run', () => {
    expect(windowOf(16)).toBe(64)
    expect(windowOf(1)).toBe(4)
    expect(windowOf(0)).toBe(64)
  })
})

describe('together', () => {
  it.each([
    ['a small window', 64 / 2, 1000, 1],
    ['few', 1024, 8, 1],
    ['some: eight parts of them', 1024, 64, 8],
    ['many', 1024, 1024, 32],
    ['a huge window', 10_000, 10_000, 64],
    ['none', 1024, 0, 1],
  ])('%s', (_, window, count, together) => {
    expect(togetherOf(window, count)).toBe(together)
  })
})

describe('shares', () => {
  it.each([
    [10, [], []],
    [0, [0, 0], [0, 0]],
    [-3, [0], [0]],
    [5, [0], [5]],
    [4, [0, 0], [2, 2]],
    [5, [0, 0, 0], [2, 2, 1]],
    [2, [0, 0, 0], [1, 1, 0]],
    [3, [60, 0], [0, 3]],
    [10, [4, 0, 8], [3, 7, 0]],
    [1, [0, 0], [1, 0]],
  ])('%i places beside %j under way are %j', (room, under, shares) => {
    expect(sharesOf(room, under)).toEqual(shares)
  })

  it('is the same as handing out one place after the other to whoever has the fewest', () => {
    const counts = fc.array(fc.nat(40), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(fc.nat(80), counts, (room, under) => {
        const slow = under.map(() => 0)
        for (let n = 0; n < room; n++) {
          const all = under.map((had, i) => had + slow[i]!)
          slow[all.indexOf(Math.min(...all))]!++
        }
        expect(sharesOf(room, under)).toEqual(slow)
      }),
    )
  })
})
