import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LEVELS } from './job.js'
import { fromOf, Marks, type Seen, seenBy } from './marks.js'

const LANE = 'default/report/acme'
const NOW = 100
const READ = { now: NOW, left: () => false }

describe('marks of lanes', () => {
  it('stand behind what was taken, and behind all levels that had nothing left', () => {
    const marks = new Marks()
    const round = marks.begin()
    expect(marks.of(LANE)).toEqual([0, 0, 0, 0])
    const rows = [
      { level: 0, runAt: 7 },
      { level: 2, runAt: 5 },
      { level: 2, runAt: 9 },
    ]
    for (const seen of seenBy(LANE, LEVELS, rows, 3, { ...READ, round })) marks.saw(seen)
    // Level 2 was cut off at its second row, so that nobody has looked at level 3.
    expect(marks.of(LANE)).toEqual([NOW, NOW, 9, 0])
  })

  it('stay before what was read and not taken', () => {
    const rows = [3, 5, 8].map((runAt) => ({ level: 1, runAt }))
    const seen = seenBy(LANE, [1], rows, 10, { ...READ, round: 1, left: (i) => i > 0 })
    expect(seen).toEqual([{ lane: LANE, level: 1, round: 1, at: 5 }])
  })

  it('go back to what comes before them, also while a read that cannot have seen it is under way', () => {
    const marks = new Marks()
    marks.of(LANE)
    const round = marks.begin()
    marks.came(LANE, 12)
    marks.saw({ lane: LANE, level: 2, at: 50, round })
    expect(marks.of(LANE)[2]).toBe(12)
    marks.saw({ lane: LANE, level: 2, at: 50, round: marks.begin() })
    expect(marks.of(LANE)[2]).toBe(50)
    marks.heard([
      { lane: LANE, queuedAt: 20 },
      { lane: LANE, queuedAt: null },
    ])
    expect(marks.of(LANE)[2]).toBe(20)
  })

  it('are not moved by a read that began longer ago than is remembered', () => {
    const marks = new Marks()
    marks.of(LANE)
    const round = marks.begin()
    for (let i = 0; i < 40; i++) {
      marks.begin()
      marks.came(LANE, 30 + i)
    }
    marks.saw({ lane: LANE, level: 0, at: 50, round })
    expect(marks.of(LANE)[0]).toBe(0)
  })

  it('are none where they are not kept', () => {
    expect(fromOf(null, LANE)).toEqual([0, 0, 0, 0])
  })

  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit'), level: fc.nat(3), runAt: fc.nat(NOW) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('tell') }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('read'), limit: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('end'), which: fc.nat(3), fails: fc.boolean() }) },
  )
  interface Row {
    level: number
    runAt: number
    locked: boolean
    taken: boolean
    /** A read that took it has failed: the look at all lanes finds it. */
    lost: boolean
  }

  it('never stand behind a job that waits and of which this process was told', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, looks) => {
        const marks = new Marks()
        const rows: Row[] = []
        let untold: Row[] = []
        const reads: { rows: Row[]; seen: Seen[] }[] = []
        const tell = () => {
          const row = untold.shift()
          if (row) marks.came(LANE, row.runAt)
        }
        const end = (which: number, fails: boolean) => {
          const [read] = reads.splice(which % Math.max(1, reads.length), 1)
          if (!read) return
          for (const row of read.rows) Object.assign(row, { locked: false, taken: !fails, lost: fails })
          if (!fails) for (const seen of read.seen) marks.saw(seen)
        }
        for (const one of steps) {
          if (one.kind === 'commit') {
            const { level, runAt } = one as { level: number; runAt: number }
            const row = { level, runAt, locked: false, taken: false, lost: false }
            rows.push(row)
            untold.push(row)
          } else if (one.kind === 'tell') tell()
          else if (one.kind === 'read') {
            const { limit } = one as { limit: number }
            const round = marks.begin()
            const from = [...marks.of(LANE)]
            const found = LEVELS.flatMap((level) =>
              rows
                .filter((row) => row.level === level && !row.taken && !row.locked && row.runAt >= from[level]!)
                .sort((a, b) => a.runAt - b.runAt),
            ).slice(0, limit)
            for (const row of found) row.locked = true
            reads.push({ rows: found, seen: seenBy(LANE, LEVELS, found, limit, { ...READ, round }) })
          } else {
            const { which, fails } = one as { which: number; fails: boolean }
            end(which, fails)
          }
        }
        while (untold.length > 0) tell()
        while (reads.length > 0) end(0, false)
        const waiting = rows.filter(({ taken }) => !taken)
        if (looks && waiting.length > 0) marks.came(LANE, Math.min(...waiting.map(({ runAt }) => runAt)))
        for (const { level, runAt, lost } of waiting)
          if (looks || !lost) expect(runAt).toBeGreaterThanOrEqual(marks.of(LANE)[level]!)
        untold = []
      }),
      { numRuns: 3000 },
    )
  })
})
