import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MissedRule, ScheduleDefinition } from '../core/schedule.js'
import { instantsOf } from './firing.js'
import { settleDefinition } from './schedule-definition.js'
import { timetableOf } from './timetable.js'

const MINUTE = 60_000
const every = (missed: MissedRule, more: Partial<ScheduleDefinition> = {}): ScheduleDefinition => ({
  ...settleDefinition({ type: 't', everyMs: 10 * MINUTE, missed }),
  ...more,
})
/** What becomes of everything up to `now`, look after look. */
function all(definition: ScheduleDefinition, first: number, now: number) {
  const timetable = timetableOf(definition)
  const fired: number[] = []
  let missed = 0
  let nextAt: number | null = first
  let looks = 0
  for (; nextAt !== null && nextAt <= now; looks++) {
    const instants = instantsOf({ definition, nextAt }, timetable, now)
    fired.push(...instants.fire)
    missed += instants.missed
    nextAt = instants.nextAt
  }
  return { fired, missed, nextAt, looks }
}

describe('the missed-run rule', () => {
  const at = (n: number) => n * 10 * MINUTE

  it('an instant that has just come is fired whatever the rule says', () => {
    for (const rule of ['skip', 'latest', 'all'] as const)
      expect(all(every(rule), at(1), at(1) + 59_000)).toMatchObject({ fired: [at(1)], missed: 0, nextAt: at(2) })
  })

  it.each([
    ['skip', [], 5],
    ['latest', [at(5)], 4],
    ['all', [at(1), at(2), at(3), at(4), at(5)], 0],
  ] as [MissedRule, number[], number][])('%s, after an outage', (rule, fired, missed) => {
    expect(all(every(rule), at(1), at(5) + 5 * MINUTE)).toMatchObject({ fired, missed, nextAt: at(6) })
  })

  it('skip still fires the instant at which the service is back', () => {
    expect(all(every('skip'), at(1), at(5) + 60_000)).toMatchObject({ fired: [at(5)], missed: 4 })
    expect(all(every('skip'), at(1), at(5) + 60_001)).toMatchObject({ fired: [], missed: 5 })
  })

  it('all stops at its limit: the latest ones are caught up, the others counted', () => {
    const { fired, missed } = all(every('all', { missedLimit: 3 }), at(1), at(10))
    expect([fired, missed]).toEqual([[at(8), at(9), at(10)], 7])
  })

  it('ends where the timetable ends', () => {
    expect(all(every('all', { endAt: at(3) }), at(1), at(9))).toMatchObject({ fired: [at(1), at(2)], nextAt: null })
  })

  it('a year of seconds is counted in portions', () => {
    const seconds = { everyMs: 1000 }
    const first = instantsOf(
      { definition: every('latest', seconds), nextAt: 1000 },
      timetableOf(every('latest', seconds)),
      1e9,
    )
    expect(first).toEqual({ fire: [], missed: 200, nextAt: 201_000 })
  })

  it('every instant is fired or counted, once, in order, whatever the rule', () => {
    const rules = fc.constantFrom<MissedRule>('skip', 'latest', 'all')
    fc.assert(
      fc.property(
        rules,
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1000, max: 3_600_000 }),
        fc.integer({ min: 0, max: 1500 }),
        fc.integer({ min: 0, max: 3_600_000 }),
        (missed, missedLimit, everyMs, count, late) => {
          const definition = every(missed, { everyMs, missedLimit })
          const now = everyMs * (1 + count) + (late % everyMs)
          const { fired, missed: lost, nextAt, looks } = all(definition, everyMs, now)
          expect(fired.length + lost).toBe(count + 1)
          expect(nextAt).toBe(everyMs * (count + 2))
          expect(fired).toEqual([...new Set(fired)].sort((a, b) => a - b))
          expect(fired.length).toBeLessThanOrEqual(missed === 'all' ? missedLimit : 1)
          if (missed === 'all') expect(fired.length).toBe(Math.min(missedLimit, count + 1))
          if (missed === 'latest') expect(fired).toEqual([everyMs * (count + 1)])
          expect(looks).toBeLessThan(20)
        },
      ),
    )
  })
})
