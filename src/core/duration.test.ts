import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration, parseDuration } from './duration.js'

describe('parseDuration', () => {
  it.each<[string | number, number]>([
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
    ['2w', 1_209_600_000],
    ['1h30m', 5_400_000],
    ['1h 30m 5s', 5_405_000],
    [' 1.5 h ', 5_400_000],
    ['0s', 0],
    [0, 0],
    [1234.6, 1235],
  ])('%o is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each([
    '',
    ' ',
    '5',
    'm',
    '5 minutes',
    '-5m',
    '5m later',
    '1e3s',
    '5M',
    'PT5M',
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
  ])('refuses %o and says what is accepted', (text) => {
    expect(() => parseDuration(text, 'timeout')).toThrow(/^timeout: .*'5m'/)
    expect(() => parseDuration(text, 'timeout')).toThrow(TypeError)
  })

  it('reads every sum of units, in any order', () => {
    const part = fc.tuple(
      fc.nat(999),
      fc.constantFrom(['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000], ['d', 86_400_000]),
    )
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const sum = parts.reduce((total, [n, [, ms]]) => total + n * (ms as number), 0)
        expect(parseDuration(parts.map(([n, [unit]]) => `${n}${unit}`).join(' '))).toBe(sum)
      }),
    )
  })
})

describe('formatDuration', () => {
  it.each([
    [0, '0 ms'],
    [412, '412 ms'],
    [-5, '0 ms'],
    [1500, '1.5 s'],
    [59_999, '59 s'],
    [100_000, '1 m 40 s'],
    [3_600_000, '1 h'],
    [3_605_000, '1 h'],
    [90_061_000, '1 d 1 h'],
    [86_400_000 * 3 + 3_600_000 * 4, '3 d 4 h'],
  ])('%i ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })
})
