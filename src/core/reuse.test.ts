import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isInside, reuse } from './reuse.js'

const rows = (...keys: string[]) => keys.map((key, seq) => ({ key, seq }))
const keysOf = (fromStep: string, ...keys: string[]) => reuse(rows(...keys), fromStep).reused.map(({ key }) => key)

describe('reuse', () => {
  it('takes what was recorded before the step, whatever its name', () => {
    expect(keysOf('b', 'z', 'a', 'b', 'c')).toEqual(['z', 'a'])
    expect(keysOf('charge#2', 'charge', 'mail', 'charge#2')).toEqual(['charge', 'mail'])
  })

  it('does again everything inside a stage, and the stage', () => {
    expect(keysOf('book', 'read', 'book/flight', 'book/hotel', 'book', 'pay')).toEqual(['read'])
  })

  it('does again the stage around a step, because its value rests on it', () => {
    expect(keysOf('book/hotel', 'read', 'book/flight', 'book/hotel', 'book', 'pay')).toEqual(['read', 'book/flight'])
  })

  it('keeps all when the step itself was never recorded: it failed', () => {
    expect(keysOf('write', 'read', 'convert')).toEqual(['read', 'convert'])
  })

  it('goes by the name, not by its beginning', () => {
    expect(keysOf('book', 'booking', 'book-2/x')).toEqual(['booking', 'book-2/x'])
  })

  it('hands out a new address for a callback without an answer', () => {
    expect(keysOf('late', 'ask#url', 'other', 'late')).toEqual(['other'])
    expect(keysOf('late', 'ask#url', 'ask', 'late')).toEqual(['ask#url', 'ask'])
    expect(keysOf('ask', 'read', 'ask#url', 'ask')).toEqual(['read'])
  })

  it('does again what was undone, and what is around it', () => {
    const { reused } = reuse(
      rows('read', 'book/flight', 'book/hotel', 'book', 'mail', 'pay'),
      'pay',
      new Set(['book/flight']),
    )
    expect(reused.map(({ key }) => key)).toEqual(['read', 'book/hotel', 'mail'])
  })

  it('parts the records in two, nothing of the step among what is kept, and nothing that came after it', () => {
    const name = fc.constantFrom('a', 'b', 'a/x', 'a/y', 'b/x', 'a/x/p', 'c#url', 'c')
    fc.assert(
      fc.property(fc.uniqueArray(name), name, (keys, from) => {
        const { reused, again } = reuse(rows(...keys), from)
        expect([...reused, ...again].map(({ key }) => key).sort()).toEqual([...keys].sort())
        expect(reused.some(({ key }) => isInside(key, from))).toBe(false)
        const start = Math.min(...again.filter(({ key }) => isInside(key, from)).map(({ seq }) => seq))
        expect(reused.every(({ seq }) => seq < start)).toBe(true)
      }),
    )
  })
})
