import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { differenceOf, lossIn, show } from './json.js'

class Money {
  constructor(readonly cents: number) {}
  get euros() {
    return this.cents / 100
  }
}
const ONCE = { a: 1 }
class Row {
  id = 1
}

describe('lossIn', () => {
  const parent: Record<string, unknown> = {}
  parent.child = { parent }
  it.each([
    ['a date', { paid: { at: new Date(0) } }, '/paid/at', /a Date, which comes back as a string/],
    ['a map', new Map(), '', /a Map, which comes back as \{\}/],
    ['a set in an array', [new Set()], '/0', /a Set/],
    ['an instance with methods', { price: new Money(5) }, '/price', /an instance of Money.*without its methods/],
    ['an error', [{ error: new Error('no') }], '/0/error', /an instance of Error/],
    ['undefined in an array', { a: [1, undefined] }, '/a/1', /comes back as null/],
    ['a BigInt', { n: 5n }, '/n', /BigInt, which JSON cannot hold/],
    ['bytes', new Uint8Array(2), '', /a Uint8Array, which comes back as an object/],
    ['a buffer', Buffer.from('a'), '', /a Buffer, which comes back as an object/],
    ['a function', { go: () => 1 }, '/go', /a function, which is left out/],
    ['no number', { n: Number.NaN }, '/n', /NaN, which comes back as null/],
    ['a circle', parent, '/child/parent', /its own parent/],
  ])('%s', (_, value, path, what) => {
    expect(lossIn(value)).toEqual({ path, what: expect.stringMatching(what) })
  })

  it.each([
    ['nothing', undefined],
    ['a part that is not there', { a: undefined, b: null }],
    ['an instance that is only data, as database drivers give them', [new Row()]],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
    ['the same object twice', [ONCE, ONCE]],
  ])('has nothing against %s', (_, value) => {
    expect(lossIn(value)).toBeNull()
  })

  it('finds nothing only in what comes back from JSON as it was', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
    })
    fc.assert(
      fc.property(anything, (value) => {
        if (lossIn(value) !== null || value === undefined) return
        const once = JSON.parse(JSON.stringify(value))
        expect(sameData(value, once)).toBe(true)
      }),
    )
    fc.assert(fc.property(fc.jsonValue(), (value) => lossIn(value) === null))
  })
})

/** Equal up to what nobody reads: parts that are undefined, prototypes, and the sign of zero. */
function sameData(a: any, b: any): boolean {
  if (typeof a !== 'object' || a === null) return Object.is(a, b) || (a === 0 && b === 0)
  if (typeof b !== 'object' || b === null || Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a).filter((key) => a[key] !== undefined)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameData(a[key], b[key]))
}

describe('differenceOf', () => {
  it.each([
    [1, 2, ''],
    [{ a: { b: [1, 2] } }, { a: { b: [1, 3] } }, '/a/b/1'],
    [{ a: 1 }, { a: 1, b: 2 }, '/b'],
    [[1, 2], [1], '/1'],
    [{}, [], ''],
    [null, {}, ''],
  ])('%j and %j differ at "%s"', (was, is, path) => {
    expect(differenceOf(was, is)).toMatchObject({ path })
  })

  it('is none between a value and its copy', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => differenceOf(value, structuredClone(value)) === null))
  })
})

it('show: short, and never throws', () => {
  expect(show(undefined)).toBe('nothing')
  expect(show({ a: 'x'.repeat(100) })).toHaveLength(78)
  expect(show(5n)).toBe('5')
})
