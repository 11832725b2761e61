import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { belongs, quorumOf } from './approval-quorum.js'

const groups = fc.subarray(['finance', 'legal', 'ops'])
const need = fc.array(
  fc.record({ group: fc.constantFrom('any', 'finance', 'legal', 'ops'), n: fc.integer({ min: 1, max: 2 }) }),
  { maxLength: 3 },
)

describe('a quorum', () => {
  it('seats somebody of two groups where nobody else fits, whoever came first', () => {
    const need = [
      { group: 'finance', n: 1 },
      { group: 'legal', n: 1 },
    ]
    const both = { groups: ['finance', 'legal'] }
    const one = { groups: ['finance'] }
    for (const people of [
      [both, one],
      [one, both],
    ])
      expect(quorumOf(need, people)).toEqual({ needed: 2, filled: 2, open: [] })
    expect(quorumOf(need, [one, one])).toEqual({ needed: 2, filled: 1, open: [{ group: 'legal', n: 1 }] })
  })

  it('leaves the places of any to those who fit nowhere else', () => {
    const need = [
      { group: 'any', n: 1 },
      { group: 'finance', n: 1 },
    ]
    expect(quorumOf(need, [{ groups: ['finance'] }]).open).toEqual([{ group: 'any', n: 1 }])
    expect(quorumOf(need, [{ groups: [] }]).open).toEqual([{ group: 'finance', n: 1 }])
    expect(quorumOf(need, [{ groups: [] }, { groups: [] }]).open).toEqual([{ group: 'finance', n: 1 }])
  })

  it('fills as many places as any seating could', () => {
    const best = (places: string[], people: string[][]): number => {
      const [first, ...rest] = people
      if (!first) return 0
      const tries = places.flatMap((place, i) =>
        belongs(first, place) ? [1 + best(places.toSpliced(i, 1), rest)] : [],
      )
      return Math.max(best(places, rest), ...tries)
    }
    fc.assert(
      fc.property(need, fc.array(groups, { maxLength: 5 }), (need, people) => {
        const places = need.flatMap(({ group, n }) => Array.from({ length: n }, () => group))
        const quorum = quorumOf(
          need,
          people.map((groups) => ({ groups })),
        )
        expect(quorum.filled).toBe(best(places, people))
        expect(quorum.filled + quorum.open.reduce((sum, { n }) => sum + n, 0)).toBe(quorum.needed)
      }),
    )
  })
})
