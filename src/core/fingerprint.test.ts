import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { factsFrom } from './error-facts.js'
import { FINGERPRINT, fingerprintOf, wordsOf } from './fingerprint.js'

// Long enough to tell texts apart, and not a hash that tests depend on.
const hash = (text: string): string => {
  let [a, b] = [0xdeadbeef, 0x41c6ce57]
  for (const char of text) {
    a = Math.imul(a ^ char.codePointAt(0)!, 2_654_435_761)
    b = Math.imul(b ^ char.codePointAt(0)!, 1_597_334_677)
  }
  return [a >>> 0, b >>> 0].map((n) => n.toString(16).padStart(8, '0')).join('')
}
const of = (message: string, more: object = {}, type = 'ocr') =>
  fingerprintOf(type, factsFrom({ message, ...more }), hash)

describe('what varies is taken out', () => {
  it.each([
    ['page 12 of 340 took 1,250.5 ms', 'page <n> of <n> took <n> ms'],
    ['cannot read /tmp/job-7/in.pdf: no such file', 'cannot read <path>: no such file'],
    ['cannot read C:\\jobs\\a b', 'cannot read <path> b'],
    ['at ../lib/x.mjs:12:7 in handler', 'at <path> in handler'],
    ['job 019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10 is gone', 'job <id> is gone'],
    ['object 0x7ffde3 and a1b2c3d4 collide', 'object <hex> and <hex> collide'],
    ['webhook wh_7QmZ2xk4VbT9aLpE refused', 'webhook <id> refused'],
    [`no font "Foo Bar", 'Baz' or \`Qux\``, 'no font <value>, <value> or <value>'],
    [`can't open, won't retry`, `can't open, won't retry`],
    ['2026-11-25T09:30:12.123Z: due 2026-11-26 at 10:15:00', '<time>: due <time> at <time>'],
    ['connect ECONNREFUSED 127.0.0.1:5432', 'connect ECONNREFUSED <address>'],
    ['GET https://api.example.com/v1/x?y=1 gave 502', 'GET <url> gave <n>'],
    ['read and/or  write\n\tfailed', 'read and/or write failed'],
    ['offset -12 and +7', 'offset <n> and <n>'],
  ])('%s', (message, words) => {
    expect(wordsOf(message)).toBe(words)
  })

  it('code, signal, exit and status count; a shell and the kernel tell of one crash', () => {
    const all = [of('x'), of('x', { code: 'A' }), of('x', { exit: 3 }), of('x', { status: 503 }), of('x', {}, 'other')]
    expect(new Set(all).size).toBe(all.length)
    expect(of('x', { exit: 139 })).toBe(of('x', { signal: 'SIGSEGV', code: 'process-signal' }))
    expect(all.every((one) => FINGERPRINT.test(one))).toBe(true)
  })
})

describe('properties', () => {
  const word = fc.stringMatching(/^[a-z]{2,9}$/)
  const slots = {
    number: fc
      .oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }))
      .map((n) => n.toFixed(2)),
    uuid: fc.uuid(),
    hex: fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((n) => `0x${n.toString(16)}`),
    path: fc
      .array(fc.stringMatching(/^[a-z0-9_.-]{1,8}$/), { minLength: 1, maxLength: 4 })
      .map((parts) => `/${parts.join('/')}`),
    quoted: fc.stringMatching(/^[^"\\\n]{0,12}$/).map((text) => `"${text}"`),
    time: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString()),
  }
  const kind = fc.constantFrom(...(Object.keys(slots) as (keyof typeof slots)[]))
  const shape = fc.array(fc.tuple(word, kind), { minLength: 1, maxLength: 6 })
  const filled = shape.chain((parts) => {
    const one = fc.tuple(...parts.map(([, of]) => slots[of]))
    return fc.tuple(fc.constant(parts), one, one)
  })
  const text = (parts: [string, string][], values: string[]) => parts.map(([w], i) => `${w} ${values[i]}`).join(' ')

  it('the same shape with other values is the same failure', () => {
    fc.assert(
      fc.property(filled, ([parts, a, b]) => {
        expect(wordsOf(text(parts, a))).toBe(wordsOf(text(parts, b)))
      }),
      { numRuns: 500 },
    )
  })

  it('other words are another failure', () => {
    fc.assert(
      fc.property(filled, word, fc.nat(), ([parts, a], other, at) => {
        const i = at % parts.length
        fc.pre(parts[i]![0] !== other)
        const changed = parts.map((part, n): [string, string] => (n === i ? [other, part[1]] : part))
        expect(of(text(changed, a))).not.toBe(of(text(parts, a)))
      }),
      { numRuns: 500 },
    )
  })

  it('whatever it is given, it answers, quickly, and the same when asked again of its own words', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 3000, unit: 'binary' }), (message) => {
        expect(of(message)).toBe(of(message))
      }),
    )
    const started = performance.now()
    for (const piece of ['a1', '/a', '"', "'a ", 'a:', '1.', '\\', 'aaaa_', ' 0x']) wordsOf(piece.repeat(2000))
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
