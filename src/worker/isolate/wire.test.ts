import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Permanent } from '../../core/classify.js'
import { look } from '../../core/error-facts.js'
import { isUntildoneError, UntildoneError } from '../../core/errors.js'
import { AsJson, noJson, Wire } from './wire.js'

/** Two sides whose functions and signals are numbers of one table. */
function pair() {
  const held: unknown[] = []
  const handles = {
    hold: (fn: unknown) => held.push(fn) - 1,
    stub: (id: number) => held[id] as never,
    holdSignal: (signal: AbortSignal) => held.push(signal) - 1,
    signal: (id: number) => held[id] as AbortSignal,
  }
  const here = new Wire(handles)
  const there = new Wire(handles)
  const into = (to: Wire) => (data: unknown) => to.decode(JSON.parse(JSON.stringify(data)))
  return { here, there, go: into(there), back: into(here) }
}
const over = (value: unknown) => {
  const { here, go } = pair()
  return go(here.encode(value))
}

describe('values', () => {
  const leaf = fc.oneof(
    ...[fc.string(), fc.double(), fc.boolean(), fc.constant(null), fc.constant(undefined), fc.bigInt()],
    ...[fc.date({ noInvalidDate: false }), fc.uint8Array()],
  )
  // A prototype is never taken from data, at no depth: the next test.
  const key = fc.oneof(fc.string(), fc.constant('$')).filter((name) => name !== '__proto__')
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value')),
      fc.dictionary(key, tie('value')),
      fc.array(fc.tuple(fc.string(), tie('value'))).map((entries) => new Map(entries)),
    ),
  }))

  it('arrive as they were', () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(over(given)).toEqual(given)
      }),
    )
    const rule = over({ match: /^a\/b/gi }) as { match: RegExp }
    expect([rule.match.source, rule.match.flags]).toEqual(['^a\\/b', 'gi'])
    expect(Object.is(over(-0), -0)).toBe(true)
    const fn = () => 1
    expect(over({ fn })).toEqual({ fn })
  })

  it('take no prototype, and no function where data is asked for', () => {
    const { here, go } = pair()
    const decoded = go(JSON.parse('{"__proto__":{"admin":true},"a":1}')) as Record<string, unknown>
    expect([decoded.a, decoded.admin]).toEqual([1, undefined])
    expect(go(here.encode({ a: 1, fn: () => 1 }, false))).toEqual({ a: 1, fn: undefined })
  })

  it('are what a record makes of them, and what cannot be written is not written there either', () => {
    const { here, go } = pair()
    expect(go(new AsJson({ at: new Date(0), fn: () => 1, $: 'x' }))).toEqual({ at: '1970-01-01T00:00:00.000Z', $: 'x' })
    expect(go(new AsJson(undefined))).toBeUndefined()
    const round: unknown[] = []
    round.push(round)
    expect(() => here.encode(round)).toThrow('circular')
    expect(() => JSON.stringify(go(noJson(new TypeError('no bigint'))))).toThrow('no bigint')
  })
})

describe('errors', () => {
  it('are looked at in the same way on both sides', () => {
    class Odd extends TypeError {
      readonly details = { engine: 'reader', engineVersion: '5.3' }
      get status() {
        return 503
      }
    }
    const thrown = [
      new Permanent('no', { code: 'bad-input', details: { page: 3 } }),
      new UntildoneError('nested-step', 'in there'),
      Object.assign(new Odd('odd'), { exitCode: 3, signal: 'SIGSEGV', output: 'last words' }),
      Object.assign(new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) })),
      Object.assign(new Error('schema'), { issues: [{ message: 'x' }] }),
      ...['a text', 7, null, undefined, { code: 'E7' }],
    ]
    for (const error of thrown) {
      const { here, go } = pair()
      expect(look(go(here.thrown(error)))).toEqual(look(error))
    }
    const { here, go } = pair()
    expect(isUntildoneError(go(here.thrown(new UntildoneError('nested-step'))))).toBe(true)
    expect(go(here.thrown(new Permanent('no')))).toBeInstanceOf(Permanent)
  })

  it('stay the same object, there and back', () => {
    const { here, there, go, back } = pair()
    const error = new Error('x')
    const arrived = go(here.thrown(error))
    expect(arrived).not.toBe(error)
    expect(go(here.thrown(error))).toBe(arrived)
    expect(back(there.thrown(arrived))).toBe(error)
  })

  it('tell what they can when a part of them cannot be told', () => {
    const error = Object.assign(new Error('x'), { code: 'E7', round: {} as Record<string, unknown> })
    error.round.round = error.round
    const { here, go } = pair()
    expect(look(go(here.thrown(error)))).toMatchObject({ message: 'x', code: 'E7' })
  })
})
