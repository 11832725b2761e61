import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkWhen, instantsUntil, timetableOf, type When } from './timetable.js'

const MINUTE = 60_000
const HOUR = 3_600_000
const formats = new Map<string, Intl.DateTimeFormat>()
const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'America/Havana', 'America/St_Johns']
/** Changes of the clock in these zones; found below, so that no table here can be wrong. */
const CHANGES = new Map(ZONES.map((zone) => [zone, changesOf(zone)]))

const when = (more: Partial<When>): When => ({
  ...{ cron: null, everyMs: null, timeZone: 'UTC', startAt: null, endAt: null },
  ...more,
})
const utc = (text: string) => Date.parse(text)
const due = (more: Partial<When>, after: string, count: number) =>
  instantsUntil(timetableOf(when(more)), utc(after), Number.POSITIVE_INFINITY, count).map((at) =>
    new Date(at).toISOString().slice(0, 16),
  )
const daily = (cron: string, timeZone: string, after: string, count = 3) => due({ cron, timeZone }, after, count)

describe('a time of day that does not exist', () => {
  it('is due once, at the first instant after the gap', () => {
    expect(daily('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z')).toEqual([
      '2026-03-29T01:00', // 03:00 summer time
      '2026-03-30T00:30',
      '2026-03-31T00:30',
    ])
    expect(daily('30 2 * * *', 'America/New_York', '2026-03-07T12:00Z')).toEqual([
      '2026-03-08T07:00',
      '2026-03-09T06:30',
      '2026-03-10T06:30',
    ])
    // Half an hour only.
    expect(daily('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T12:00Z', 2)).toEqual([
      '2026-10-03T15:30',
      '2026-10-04T15:15',
    ])
  })

  it('several in one gap, and the end of the gap itself, are due together', () => {
    expect(daily('0,30 2,3 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', 3)).toEqual([
      '2026-03-29T01:00',
      '2026-03-29T01:30',
      '2026-03-30T00:00',
    ])
    expect(daily('0,30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', 2)).toEqual([
      '2026-03-29T01:00',
      '2026-03-30T00:00',
    ])
  })

  it('midnight is no exception', () => {
    expect(daily('@daily', 'America/Havana', '2026-03-07T12:00Z', 2)).toEqual(['2026-03-08T05:00', '2026-03-09T04:00'])
  })
})

describe('a time of day that comes twice', () => {
  it('is due once, the first time', () => {
    expect(daily('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', 2)).toEqual([
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ])
    expect(daily('30 1 * * *', 'America/New_York', '2026-10-31T12:00Z', 2)).toEqual([
      '2026-11-01T05:30',
      '2026-11-02T06:30',
    ])
    expect(daily('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T12:00Z', 2)).toEqual([
      '2026-04-04T14:45',
      '2026-04-05T15:15',
    ])
  })

  it('lists and ranges are times of day as well', () => {
    expect(daily('0,30 1-2 * * *', 'Europe/Berlin', '2026-10-24T22:59Z', 5)).toEqual([
      ...['2026-10-24T23:00', '2026-10-24T23:30', '2026-10-25T00:00', '2026-10-25T00:30'],
      '2026-10-26T00:00',
    ])
  })

  it('also when it is asked for between the two', () => {
    expect(daily('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:45Z', 1)).toEqual(['2026-10-26T01:30'])
  })
})

describe('a pace', () => {
  it('of wildcards goes on evenly when the clock changes', () => {
    for (const [zone, changes] of CHANGES) {
      for (const change of changes) {
        const timetable = timetableOf(when({ cron: '*/15 * * * *', timeZone: zone }))
        const instants = instantsUntil(timetable, change - 3 * HOUR, change + 3 * HOUR, 100)
        expect(instants, zone).toHaveLength(24)
        expect(new Set(instants.slice(1).map((at, i) => at - instants[i]!)), zone).toEqual(new Set([15 * MINUTE]))
      }
    }
  })

  it('of milliseconds does not look at the clock; it counts from the epoch, or from startAt', () => {
    expect(due({ everyMs: 15 * MINUTE, timeZone: 'Europe/Berlin' }, '2026-03-29T00:50:01Z', 2)).toEqual([
      '2026-03-29T01:00',
      '2026-03-29T01:15',
    ])
    expect(due({ everyMs: HOUR, startAt: utc('2026-01-01T10:20Z') }, '2026-03-29T00:50Z', 1)).toEqual([
      '2026-03-29T01:20',
    ])
    expect(due({ everyMs: HOUR, startAt: utc('2026-01-01T10:20Z') }, '2025-12-01T00:00Z', 2)).toEqual([
      '2026-01-01T10:20',
      '2026-01-01T11:20',
    ])
  })
})

it('nothing is due before startAt, nor at or after endAt', () => {
  const range = { cron: '0 * * * *', startAt: utc('2026-01-01T10:00Z'), endAt: utc('2026-01-01T12:00Z') }
  expect(due(range, '2025-01-01T00:00Z', 9)).toEqual(['2026-01-01T10:00', '2026-01-01T11:00'])
  expect(due(range, '2026-01-01T11:00Z', 9)).toEqual([])
})

it('takes six fields with the second first, names, and the last day of a month', () => {
  const timetable = timetableOf(when({ cron: '*/20 0 0 1 JAN *' }))
  expect(instantsUntil(timetable, utc('2026-01-01T00:00:00Z'), Number.POSITIVE_INFINITY, 2)).toEqual([
    utc('2026-01-01T00:00:20Z'),
    utc('2026-01-01T00:00:40Z'),
  ])
  expect(due({ cron: '0 0 L * *' }, '2028-02-01T00:00Z', 2)).toEqual(['2028-02-29T00:00', '2028-03-31T00:00'])
  expect(due({ cron: '0 0 29 2 *' }, '2026-01-01T00:00Z', 2)).toEqual(['2028-02-29T00:00', '2032-02-29T00:00'])
})

describe('what is refused', () => {
  it.each([
    [{}, '/cron', /either/],
    [{ cron: '@daily', everyMs: 1000 }, '/cron', /either/],
    [{ cron: '' }, '/cron', /five fields.*it has 0/],
    [{ cron: '0 3 * *' }, '/cron', /it has 4/],
    [{ cron: '0 0 3 * * * 2030' }, '/cron', /it has 7/],
    [{ cron: '2026-01-01T00:00:00' }, '/cron', /it has 1/],
    [{ cron: '61 * * * *' }, '/cron', /minute/],
    [{ cron: 'a b c d e' }, '/cron', /illegal/],
    [{ cron: '0 0 30 2 *' }, '/cron', /never comes/],
    [{ cron: '@every 5m' }, '/cron', /everyMs/],
    [{ cron: '@reboot' }, '/cron', /one of @yearly/],
    [{ everyMs: 999 }, '/everyMs', /one second/],
    [{ everyMs: 1500.5 }, '/everyMs', /whole number/],
    [{ cron: '@daily', timeZone: 'Europe/Berlinn' }, '/timeZone', /Europe\/Berlin/],
    [{ cron: '@daily', timeZone: '+02:00' }, '/timeZone', /Europe\/Berlin/],
    [{ cron: '@daily', startAt: 5, endAt: 5 }, '/endAt', /later/],
  ] as [Partial<When>, string, RegExp][])('%j', (more, pointer, message) => {
    const errors = checkWhen(when(more))
    expect(errors.map((error) => error.pointer)).toEqual([pointer])
    expect(errors[0]!.message).toMatch(message)
  })

  it('and nothing else', () => {
    for (const cron of [
      '0 3 * * *',
      '  0   3 * * MON-FRI ',
      '*/5 * * * * *',
      '@Hourly',
      '0 0 1,15 * *',
      '0 9 * * MON#1',
    ])
      expect(checkWhen(when({ cron, timeZone: 'Asia/Kolkata' })), cron).toEqual([])
    expect(checkWhen(when({ everyMs: 1000 }))).toEqual([])
  })
})

describe('for any timetable', () => {
  const field = (max: number) =>
    fc.oneof(
      { weight: 1, arbitrary: fc.constant('*') },
      { weight: 1, arbitrary: fc.integer({ min: 2, max: Math.min(20, max) }).map((step) => `*/${step}`) },
      {
        weight: 6,
        arbitrary: fc
          .uniqueArray(fc.integer({ min: 0, max }), { minLength: 1, maxLength: 3 })
          .map((list) => list.join(',')),
      },
    )
  // Hours at which clocks change, mostly.
  const pattern = fc.tuple(field(59), fc.oneof(field(4), field(23))).map(([minute, hour]) => `${minute} ${hour} * * *`)
  const near = fc
    .constantFrom(...ZONES)
    .chain((zone) => fc.tuple(fc.constant(zone), fc.constantFrom(...CHANGES.get(zone)!)))
  const offset = fc.integer({ min: -36 * 60, max: 36 * 60 }).map((minutes) => minutes * MINUTE)

  it('the next instant is later, and the same from every instant before it', () => {
    fc.assert(
      fc.property(
        pattern,
        near,
        offset,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (cron, [zone, change], shift, share) => {
          const timetable = timetableOf(when({ cron, timeZone: zone }))
          const after = change + shift
          const next = timetable.next(after)!
          expect(next).toBeGreaterThan(after)
          // Any instant in between, also the last millisecond before it.
          for (const between of [after + Math.floor((next - 1 - after) * share), next - 1])
            expect(timetable.next(between)).toBe(next)
          expect(timetable.next(next)).toBeGreaterThan(next)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('a clock on the wall, read minute by minute, says the same', () => {
    fc.assert(
      fc.property(pattern, near, (cron, [zone, change]) => {
        const [from, to] = [change - 5 * HOUR, change + 26 * HOUR]
        const timetable = timetableOf(when({ cron, timeZone: zone }))
        expect(instantsUntil(timetable, from - 1, to, 10_000)).toEqual(byTheWall(cron, zone, from, to))
      }),
      { numRuns: 80 },
    )
  })

  it('a pace is even, wherever one begins to count', () => {
    const ms = fc.integer({ min: 1000, max: 90 * 86_400_000 })
    fc.assert(
      fc.property(
        ms,
        fc.integer({ min: 0, max: 2 ** 41 }),
        fc.integer({ min: 0, max: 2 ** 41 }),
        (everyMs, startAt, after) => {
          const timetable = timetableOf(when({ everyMs, startAt }))
          const next = timetable.next(after)!
          expect(next).toBeGreaterThan(after)
          expect((next - startAt) % everyMs).toBe(0)
          expect(next === startAt || next - everyMs <= after).toBe(true)
        },
      ),
    )
  })
})

/** The rule in the plainest words: walk over the minutes and look at a clock on the wall. */
function byTheWall(cron: string, zone: string, from: number, to: number): number[] {
  const [minutes, hours] = cron.split(' ') as [string, string]
  const pace = /[*/]/.test(minutes + hours)
  const fits = (wall: number) =>
    includes(minutes, new Date(wall).getUTCMinutes()) && includes(hours, new Date(wall).getUTCHours())
  let latest = Number.NEGATIVE_INFINITY
  const found: number[] = []
  for (let at = from - 3 * HOUR; at <= to; at += MINUTE) {
    const wall = at + offsetAt(at, zone)
    let hit = fits(wall) && (pace || wall > latest)
    if (!pace && latest > 0)
      for (let skipped = latest + MINUTE; skipped < wall; skipped += MINUTE) hit ||= fits(skipped)
    if (hit && at >= from) found.push(at)
    latest = Math.max(latest, wall)
  }
  return found
}

function includes(field: string, value: number): boolean {
  if (field === '*') return true
  if (field.startsWith('*/')) return value % Number(field.slice(2)) === 0
  return field.split(',').map(Number).includes(value)
}

function offsetAt(at: number, zone: string): number {
  const format = formats.get(zone) ?? newFormat(zone)
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
  const { year, month, day, hour, minute } = part as Record<string, number>
  return Date.UTC(year!, month! - 1, day!, hour!, minute!) - Math.floor(at / MINUTE) * MINUTE
}

function newFormat(zone: string): Intl.DateTimeFormat {
  const parts = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' } as const
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', ...parts })
  formats.set(zone, format)
  return format
}

function changesOf(zone: string): number[] {
  const found: number[] = []
  const [from, to] = [Date.UTC(2025, 0, 1), Date.UTC(2027, 0, 1)]
  let before = offsetAt(from, zone)
  for (let at = from; at < to; at += 30 * MINUTE) {
    const now = offsetAt(at, zone)
    if (now !== before) found.push(at)
    before = now
  }
  return found
}
