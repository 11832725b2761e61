import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fill, fillBody, own, type Reading, read, readLookup, TemplateError } from './template.js'

const anything: Reading = { check: () => {}, progress: false }
const UNSAFE = ['__proto__', 'constructor', 'prototype']
/** JSON without look-ups and without the names that are refused. */
const literal = fc
  .jsonValue({ maxDepth: 4 })
  .filter(
    (value) => !JSON.stringify(value).includes('"$') && !UNSAFE.some((name) => JSON.stringify(value).includes(name)),
  )

describe('a template without look-ups', () => {
  test('is said as it stands', () => {
    fc.assert(
      fc.property(literal, fc.constantFrom('omit' as const, 'null' as const), (value, absent) => {
        expect(fillBody(read(value as never, anything), { scope: {}, absent })).toEqual(value)
      }),
    )
  })

  test('says text that begins with a dollar when it is doubled', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(fill(read(`$$${text}`, anything), { scope: {}, absent: 'omit' })).toBe(`$${text}`)
      }),
    )
  })
})

describe('a look-up', () => {
  test('finds what JSON has at that path, and nothing else', () => {
    const names = fc.constantFrom('a', 'b', '0', '1', 'length', 'toString', 'hasOwnProperty', 'valueOf', 'map', 'at')
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, 0, '', 'text', false),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(names, tie('value'), { maxKeys: 4 }),
      ),
    }))
    fc.assert(
      fc.property(value, fc.array(names, { maxLength: 4 }), (json, path) => {
        // Without prototypes there is nothing to inherit: the same walk is then safe.
        const bare = JSON.parse(JSON.stringify(json), (_, part) =>
          typeof part === 'object' && part !== null ? Object.assign(Object.create(null), part) : part,
        )
        const walked = path.reduce<any>(
          (at, name) => (typeof at === 'object' && at !== null ? at[name] : undefined),
          bare,
        )
        const found = own(json, path)
        expect(found === undefined).toBe(walked === undefined || walked === null)
        if (found !== undefined) expect(JSON.stringify(found)).toBe(JSON.stringify(unwrapped(json, path)))
      }),
    )
  })

  test.each([
    [{ a: [1, 2] }, 'a.length'],
    [{ a: 'text' }, 'a.0'],
    [{ a: 'text' }, 'a.length'],
    [{ a: () => 1 }, 'a.name'],
    [{ a: null }, 'a'],
    [{ a: null }, 'a.b'],
    [{}, 'toString'],
    [Object.create({ a: 1 }), 'a'],
  ])('of %j finds nothing at %s', (value, path) => {
    expect(own(value, path.split('.'))).toBeUndefined()
  })

  test.each(['$', '$.a', '$a.', '$a..b', '$a b', '$a.b c', '$a[0]', '$a.b()', '$1', '$a+b'])('is not "%s"', (text) => {
    expect(() => readLookup(text)).toThrow(TemplateError)
  })

  test.each(UNSAFE)('never goes through %s', (name) => {
    for (const text of [`$req.${name}`, `$req.body.${name}.x`, `$job.a.${name}`])
      expect(() => read(text, anything)).toThrow(/refused everywhere/)
    const member = JSON.parse(`{"a":{"${name}":1}}`)
    expect(() => read(member, anything)).toThrow(/refused everywhere/)
  })
})

test('a body from hostile JSON leaves the prototypes alone', () => {
  const body = JSON.parse('{"__proto__":{"polluted":1},"a":{"__proto__":{"polluted":1}}}')
  const filled = fillBody(read({ all: '$req', deep: { a: '$req.a' } } as never, anything), {
    ...{ scope: { req: body }, absent: 'omit' },
  }) as any
  expect(filled.polluted).toBeUndefined()
  expect(filled.deep.polluted).toBeUndefined()
  expect(({} as any).polluted).toBeUndefined()
})

test('nesting has an end', () => {
  let template: unknown = 1
  for (let i = 0; i < 40; i++) template = [template]
  expect(() => read(template as never, anything)).toThrow(/nests deeper than 32 levels/)
})

function unwrapped(json: unknown, path: readonly string[]): unknown {
  return path.reduce<any>((at, name) => at[name], json)
}
