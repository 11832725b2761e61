import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { classify, type ErrorRule, Harmless, matchText, Permanent, Review, Transient, VERDICTS } from './classify.js'

const verdictOf = (error: unknown, type: ErrorRule[] = [], step: ErrorRule[] = []) => {
  const { verdict, rule } = classify(error, { type, step })
  return `${verdict} by ${rule}`
}

describe('order of rules', () => {
  const error = Object.assign(new Error('disk quota: 503'), { code: 'ECONNRESET' })

  it('a thrown verdict wins over every table', () => {
    const all: ErrorRule[] = [{ match: /./, is: 'harmless' }]
    expect(verdictOf(new Permanent('no'), all, all)).toBe('permanent by thrown Permanent')
    expect(verdictOf(new Transient('no'), all, all)).toBe('transient by thrown Transient')
    expect(verdictOf(new Review('no'), all, all)).toBe('review by thrown Review')
    expect(verdictOf(new Harmless('no'), [{ match: /./, is: 'permanent' }])).toBe('harmless by thrown Harmless')
  })

  it('then the step, then the type, then the built-in rules, then transient', () => {
    const type: ErrorRule[] = [{ match: /503/, is: 'permanent' }]
    const step: ErrorRule[] = [{ match: 'quota', is: 'review' }]
    expect(verdictOf(error, type, step)).toBe('review by step[0] quota')
    expect(verdictOf(error, type)).toBe('permanent by type[0] /503/')
    expect(verdictOf(error)).toBe('transient by built-in code ECONNRESET')
    expect(verdictOf(new Error('odd'))).toBe('transient by default transient')
  })

  it('within a table the first line that matches in all its conditions', () => {
    const table: ErrorRule[] = [
      { match: /quota/, code: 'EPERM', is: 'permanent' },
      { code: 'ECONNRESET', is: 'harmless', as: 'cut-off' },
      { match: /./, is: 'review' },
    ]
    expect(classify(error, { type: table })).toMatchObject({
      verdict: 'harmless',
      rule: 'type[1] ECONNRESET',
      code: 'cut-off',
    })
    expect(classify(Object.assign(new Error('quota'), { code: 'EPERM' }), { type: table }).rule).toBe('type[0] /quota/')
  })

  it('a line without any condition matches nothing', () => {
    expect(verdictOf(error, [{ is: 'permanent' }])).toBe('transient by built-in code ECONNRESET')
  })

  it('an expression with the g flag answers the same every time', () => {
    const table: ErrorRule[] = [{ match: /busy/g, is: 'permanent' }]
    const answers = [1, 2, 3].map(() => classify(new Error('busy'), { type: table }).verdict)
    expect(answers).toEqual(['permanent', 'permanent', 'permanent'])
  })
})

describe('conditions', () => {
  it.each<[ErrorRule, object]>([
    [{ status: 404, is: 'permanent' }, { status: 404 }],
    [{ status: 404, is: 'permanent' }, { statusCode: 404 }],
    [{ exit: 3, is: 'permanent' }, { exitCode: 3 }],
    [{ exit: 0, is: 'permanent' }, { exitCode: 0 }],
    [{ signal: 'SIGSEGV', is: 'permanent' }, { signal: 'SIGSEGV' }],
    [{ code: 'E1', is: 'permanent' }, { code: 'E1' }],
    [{ match: 'password', is: 'permanent' }, { output: 'line\npassword required' }],
    [
      { match: /^E1 TypeError: x/, is: 'permanent' },
      { code: 'E1', name: 'TypeError' },
    ],
  ])('%o matches %o', (rule, members) => {
    const plain = new Error('x')
    expect(classify(Object.assign(plain, members), { type: [rule] })).toMatchObject({ verdict: 'permanent' })
    expect(classify(new Error('other'), { type: [rule] }).rule).toBe('default transient')
  })

  it.each([408, 425, 429, 500, 502, 503, 504])('HTTP %i is transient', (status) => {
    expect(verdictOf(Object.assign(new Error('x'), { status }))).toBe(`transient by built-in http-status ${status}`)
  })
  it.each([400, 401, 404, 409, 422])('HTTP %i is permanent', (status) => {
    expect(verdictOf(Object.assign(new Error('x'), { statusCode: status }))).toBe(
      `permanent by built-in http-status ${status}`,
    )
  })
  it('schema errors are permanent', () => {
    expect(verdictOf(Object.assign(new Error('x'), { issues: [{ message: 'no' }] }))).toBe(
      'permanent by built-in schema-error',
    )
  })
})

describe('what it keeps', () => {
  it('codes are slugs, with a fallback', () => {
    expect(classify(Object.assign(new Error('x'), { code: 'ERR_TLS__Bad Thing!' })).code).toBe('err-tls-bad-thing')
    expect(classify(Object.assign(new Error('x'), { code: '***' })).code).toBe('handler-error')
    expect(classify(new Error('x')).code).toBe('handler-error')
    expect(classify(new Permanent('x', { code: 'bad-input' })).code).toBe('bad-input')
  })

  it('details, Retry-After and the result of a Harmless', () => {
    expect(classify(new Permanent('x', { details: { page: 3 } })).details).toEqual({ page: 3 })
    expect(classify(Object.assign(new Error('x'), { details: [1] })).details).toBeNull()
    expect(classify(new Transient('x', { retryAfterMs: 1500 })).retryAfterMs).toBe(1500)
    for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY, '5']) {
      expect(classify(Object.assign(new Error('x'), { retryAfterMs: bad })).retryAfterMs).toBe(0)
    }
    expect(classify(new Harmless('x', { result: { pages: 0 } })).result).toEqual({ pages: 0 })
    expect(classify(new Harmless('x')).result).toBeNull()
  })

  it('clips a huge message', () => {
    expect(classify(new Error('x'.repeat(1_000_000))).message.length).toBeLessThanOrEqual(8192)
    expect(classify('y'.repeat(1_000_000)).message.length).toBeLessThanOrEqual(8192)
  })

  it('the verdict errors carry cause and name', () => {
    const cause = new Error('root')
    expect(new Transient('x', { cause }).cause).toBe(cause)
    expect(new Review('x', { evidence: [1] })).toMatchObject({ name: 'Review', evidence: [1] })
    expect('cause' in new Permanent('x')).toBe(false)
  })
})

describe('whatever is thrown', () => {
  it('a verdict of a second copy of the package is understood', async () => {
    vi.resetModules()
    const copy = await import('./classify.js')
    expect(copy.Permanent).not.toBe(Permanent)
    expect(verdictOf(new copy.Permanent('no'))).toBe('permanent by thrown Permanent')
  })

  const circular: Record<string, unknown> = { name: 'loop' }
  circular.self = circular
  const hostile = new Proxy(
    {},
    {
      get() {
        throw new Error('no getter works')
      },
      ownKeys() {
        throw new Error('no keys either')
      },
    },
  )
  const throwing = {
    get message(): string {
      throw new Error('getter')
    },
    get code(): string {
      throw new Error('getter')
    },
  }
  const toJson = {
    toJSON() {
      throw new Error('toJSON')
    },
  }
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a string', 'boom'],
    ['a number', 42],
    ['a bigint', 1n],
    ['a symbol', Symbol('s')],
    ['a function', () => 1],
    ['circular', circular],
    ['a hostile proxy', hostile],
    ['throwing getters', throwing],
    ['throwing toJSON', toJson],
    ['wrong member types', { message: 5, code: {}, status: 'x', name: [], output: 1, exitCode: 'a' }],
    ['no prototype', Object.create(null)],
    ['a false brand', { [Symbol.for('untildone.verdict')]: 'forever', message: 'x' }],
  ])('%s is classified as transient', (_, thrown) => {
    const answer = classify(thrown, { type: [{ match: /never matches this/, is: 'permanent' }] })
    expect(answer).toMatchObject({ verdict: 'transient', rule: 'default transient', code: 'handler-error' })
    expect(answer.message.length).toBeGreaterThan(0)
  })

  it('anything: never throws, always one of the four verdicts, a slug and a bounded message', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
        (thrown) => {
          const answer = classify(thrown, { step: [{ match: /a/, is: 'review' }] })
          expect(VERDICTS).toContain(answer.verdict)
          expect(answer.code).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*-?$/)
          expect(answer.message.length).toBeLessThanOrEqual(8192)
        },
      ),
    )
  })
})

describe('matchText', () => {
  it('uses only lines that need nothing but text', () => {
    const table: ErrorRule[] = [
      { match: /note/, exit: 1, is: 'permanent' },
      { match: /font substitution/, is: 'harmless', as: 'font' },
      { code: 'X', is: 'review' },
    ]
    expect(matchText('a note on font substitution', table, 'type')).toEqual({
      verdict: 'harmless',
      rule: 'type[1] /font substitution/',
      as: 'font',
    })
    expect(matchText('X', table, 'type')).toBeNull()
    expect(matchText('x', undefined, 'type')).toBeNull()
  })
})
