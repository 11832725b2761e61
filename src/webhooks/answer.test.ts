import { describe, expect, it } from 'vitest'
import { retryAfterOf, shown, textOf } from './answer.js'

const NOW = Date.UTC(2026, 10, 22, 9)
const DAY = 86_400_000

describe('Retry-After', () => {
  it.each([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7000],
    ['86400', DAY],
    ['86401', DAY],
    ['9'.repeat(400), DAY],
    ['Sun, 22 Nov 2026 09:01:00 GMT', 60_000],
    ['Sunday, 22-Nov-26 09:01:00 GMT', 60_000],
    ['Sun Nov 22 09:01:00 2026 GMT', 60_000],
    ['Sun, 22 Nov 2026 08:00:00 GMT', 0],
    ['Sat, 22 Nov 2036 09:00:00 GMT', DAY],
    [undefined, null],
    ['', null],
    ['-1', null],
    ['1.5', null],
    ['1e3', null],
    ['soon', null],
    ['2026', 2_026_000],
    ['2026-11-22T09:01:00Z', null],
    ['Sun, never', null],
  ])('%j is %s ms', (header, expected) => {
    expect(retryAfterOf(header, NOW)).toBe(expected)
  })
})

describe('foreign text', () => {
  it('shows what could move a cursor or turn the line', () => {
    expect(shown('a\u001b[31mb\u0000c\u0007\u009b\u202ed\u200be\ufefff\u2028g')).toBe(
      'a\\u001b[31mb\\u0000c\\u0007\\u009b\\u202ed\\u200be\\ufefff\\u2028g',
    )
    expect(shown('one\r\ntwo\tthree\rfour\n')).toBe('one\ntwo\tthree\\u000dfour\n')
    expect(shown('Grüße 你好 🎉')).toBe('Grüße 你好 🎉')
  })

  it('is cut by bytes, never inside a character', () => {
    const bytes = [Buffer.from('ab'), Buffer.from('€uro')]
    expect([1, 2, 3, 4, 5, 6, 100].map((most) => textOf(bytes, most))).toEqual([
      'a',
      'ab',
      'ab',
      'ab',
      'ab€',
      'ab€u',
      'ab€uro',
    ])
    expect(textOf([], 10)).toBe('')
    expect(textOf([Buffer.from([0x61, 0xff, 0x62])], 10)).toBe('a\ufffdb')
  })
})
