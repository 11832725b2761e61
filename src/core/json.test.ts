import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, clip, depthOf, linesOf, parseJson, utf8Length } from './json.js'

describe('canonicalJson', () => {
  it('is the example of RFC 8785, section 3.2.2', () => {
    const value = {
      // biome-ignore lint/correctness/noPrecisionLoss: the RFC's own example
      numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    }
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
  })

  it('sorts members by UTF-16 code units (RFC 8785, section 3.2.3)', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }
    const names = Object.values(JSON.parse(canonicalJson(value)))
    // JSON.parse puts the index-like member first; in the text itself the carriage return leads.
    expect(canonicalJson(value).startsWith('{"\\r":"Carriage Return","1":"One"')).toBe(true)
    expect(names.slice(2)).toEqual([
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ])
  })

  it.each([
    [0, '0'],
    [-0, '0'],
    [5e-324, '5e-324'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [9007199254740992, '9007199254740992'],
    [1e21, '1e+21'],
    [999999999999999900000, '999999999999999900000'],
  ])('prints the number %o as ECMAScript does', (number, text) => {
    expect(canonicalJson(number)).toBe(text)
  })

  it('leaves out undefined members and writes undefined items as null', () => {
    expect(canonicalJson({ b: undefined, a: [undefined, 1] })).toBe('{"a":[null,1]}')
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1n, Symbol('x'), () => 1, { a: { b: 1n } }])('refuses %o', (value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError)
  })

  it('any JSON: parses back to the same value, whatever the order of the members was', () => {
    const shuffled = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(shuffled)
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, inner]) => [key, shuffled(inner)]),
      )
    }
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonicalJson(shuffled(value))).toBe(text)
        expect(canonicalJson(JSON.parse(text))).toBe(text)
      }),
    )
  })
})

describe('parseJson', () => {
  it.each([
    '{"a":{"__proto__":{"admin":true},"b":1}}',
    '{"a":{"\\u005f\\u005fproto\\u005f\\u005f":{"admin":true},"b":1}}',
    '{"a":{"__pr\\u006Fto__":{"admin":true},"b":1}}',
    '{"a":{"\\u005F_\\u0070\\u0072\\u006f\\u0074\\u006f__":{"admin":true},"b":1}}',
  ])('drops __proto__ however it is written: %s', (text) => {
    const { a } = parseJson(text) as { a: Record<string, unknown> }
    expect(Object.keys(a)).toEqual(['b'])
    expect(Object.assign({}, a)).not.toHaveProperty('admin')
  })

  it('keeps a value that only says __proto__', () => {
    expect(parseJson('["__proto__",{"a":"__proto__"}]')).toEqual(['__proto__', { a: '__proto__' }])
  })

  it('is JSON.parse otherwise', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        if (!text.includes('__proto__')) expect(parseJson(text)).toEqual(JSON.parse(text))
      }),
    )
    expect(() => parseJson('{')).toThrow(SyntaxError)
  })
})

describe('sizes', () => {
  it('utf8Length is what Buffer.byteLength says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(utf8Length(text)).toBe(Buffer.byteLength(text))
      }),
      { numRuns: 40 },
    )
    for (const text of ['\ud800', 'a\ud800', '\udc00\ud800', 'é€😀'])
      expect(utf8Length(text)).toBe(Buffer.byteLength(text))
  })

  it('depthOf counts nesting and stops at the limit', () => {
    expect([1, null, 'x', [], {}, [[]], { a: { b: [1] } }].map((value) => depthOf(value))).toEqual([
      0, 0, 0, 1, 1, 2, 3,
    ])
    let deep: unknown = 1
    for (let i = 0; i < 10_000; i++) deep = [deep]
    expect(depthOf(deep, 64)).toBe(64)
  })

  it.each([
    ['one', ['one']],
    ['', ['']],
    ['\n  \n', ['']],
    ['a\r\nb  \n\n  c', ['a', 'b', '  c']],
    ['x'.repeat(3000), [`${'x'.repeat(1999)}…`]],
  ])('linesOf %j', (text, lines) => {
    expect(linesOf(text)).toEqual(lines)
  })

  it('linesOf says how many it left out', () => {
    const lines = linesOf(Array.from({ length: 150 }, (_, i) => i).join('\n'))
    expect(lines).toHaveLength(100)
    expect(lines.slice(-2)).toEqual(['98', 'and 51 lines more'])
  })

  it('clip keeps short text and marks what it cut', () => {
    expect(clip('abc', 3)).toBe('abc')
    expect(clip('abcd', 3)).toBe('ab…')
  })
})
