import { describe, expect, it } from 'vitest'
import { type Column, facts, table } from './table.js'
import { ago, bytes, clean, cutTo, shortId, widthOf } from './text.js'

const ID = '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10'
const columns: Column[] = [
  { title: 'STATUS' },
  { title: 'ID', key: true },
  { title: 'TYPE', shrinkTo: 8 },
  { title: 'WHAT', shrinkTo: 10 },
]
const rows = [
  ['completed', ID, 'ocr.convert.everything', 'Reading page 12 of 40 of a long document'],
  ['failed', ID, 'hello', '変換に失敗しました'],
]
const longest = (text: string) => Math.max(...text.split('\n').map(widthOf))

describe('table', () => {
  it('cuts nothing when it is not a terminal', () => {
    expect(table(columns, rows, null)).toBe(
      [
        `STATUS     ID                                    TYPE                    WHAT`,
        `completed  ${ID}  ocr.convert.everything  Reading page 12 of 40 of a long document`,
        `failed     ${ID}  hello                   変換に失敗しました`,
      ].join('\n'),
    )
  })

  it('fits 80 columns by cutting the flexible ones, last first', () => {
    const text = table(columns, rows, 80)
    expect(longest(text)).toBeLessThanOrEqual(80)
    expect(text.split('\n')[1]).toBe(`completed  ${ID}  ocr.convert.everyt…  Reading p…`)
  })

  it('becomes blocks at 40 columns, with ids whole', () => {
    const text = table(columns, rows, 40)
    expect(longest(text)).toBeLessThanOrEqual(40)
    expect(text).toBe(
      [
        ID,
        '  status  completed',
        '  type    ocr.convert.everything',
        '  what    Reading page 12 of 40 of a lo…',
        '',
        ID,
        '  status  failed',
        '  type    hello',
        '  what    変換に失敗しました',
      ].join('\n'),
    )
  })

  it('measures without colours', () => {
    const coloured = [['\u001b[32mok\u001b[39m', 'x']]
    expect(table([{ title: 'A' }, { title: 'B' }], coloured, 80)).toBe('A   B\n\u001b[32mok\u001b[39m  x')
  })
})

it('facts leave out what is empty and indent what has several lines', () => {
  expect(
    facts([
      ['id', 'a'],
      ['none', null],
      ['empty', ''],
      ['notes', 'x\ny'],
    ]),
  ).toBe('id     a\nnotes  x\n       y')
})

describe('foreign text', () => {
  it('cannot move the cursor, forge lines or turn directions', () => {
    expect(clean('a\u001b[2J\u001b]0;title\u0007b\r\nc\u202ed\u0000')).toBe('a[2J]0;titleb cd')
  })

  it('is cut by columns, not by characters', () => {
    expect(cutTo('変換に失敗', 5)).toBe('変換…')
    expect(cutTo('abcde', 5)).toBe('abcde')
    expect(widthOf('e\u0301')).toBe(1)
  })
})

it('short forms', () => {
  expect([bytes(0), bytes(999), bytes(4100), bytes(4_123_456), bytes(123_000_000)]).toEqual([
    '0 B',
    '999 B',
    '4.1 kB',
    '4.1 MB',
    '123 MB',
  ])
  const now = Date.parse('2026-11-22T09:00:00Z')
  expect([ago(now - 400, now), ago('2026-11-22T08:57:59Z', now), ago(now - 90_000_000, now)]).toEqual([
    'just now',
    '2 m ago',
    '1 d ago',
  ])
  // The beginning of a UUIDv7 is the time: jobs of the same minute would look the same.
  expect(shortId(ID)).toBe('1b7e4a10')
})
