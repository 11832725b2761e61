import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import {
  classify,
  type ErrorRule,
  Harmless,
  matchText,
  neverReached,
  Permanent,
  Review,
  Transient,
  VERDICTS,
} from './classify.js'
import { ORIGINS } from './job.js'

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

  it('evidence of a Review is among its details, for whoever must look', () => {
    const details = { page: 3 }
    expect(classify(new Review('x', { evidence: ['a'] })).details).toEqual({ evidence: ['a'] })
    expect(classify(new Review('x', { evidence: 'a', details })).details).toEqual({ page: 3, evidence: 'a' })
    expect(classify(new Review('x', { evidence: 'a', details: { evidence: 'b' } })).details).toEqual({ evidence: 'b' })
    expect(classify(new Review('x')).details).toBeNull()
  })

  it('of what fetch throws, the reason: it says so only in its cause', () => {
    const fetchFailed = (cause: unknown) => classify(Object.assign(new TypeError('fetch failed'), { cause }))
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9'), { code: 'ECONNREFUSED' })
    expect(fetchFailed(refused)).toMatchObject({
      ...{ verdict: 'transient', rule: 'built-in code ECONNREFUSED', code: 'econnrefused' },
      message: 'fetch failed: connect ECONNREFUSED 127.0.0.1:9',
    })
    // Of several addresses tried, none has a sentence for all.
    expect(fetchFailed(Object.assign(new AggregateError([refused]), { code: 'ECONNREFUSED' })).message).toBe(
      'fetch failed: ECONNREFUSED',
    )
    expect(fetchFailed(undefined)).toMatchObject({ rule: 'default transient', message: 'fetch failed' })
    const itself: Error = new TypeError('fetch failed')
    itself.cause = itself
    expect(classify(itself).verdict).toBe('transient')
    const other = Object.assign(new TypeError('other'), { cause: refused })
    expect(classify(other)).toMatchObject({ rule: 'default transient', message: 'other' })
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

describe('origin', () => {
  const originOf = (error: unknown, type: ErrorRule[] = []) => classify(error, { type }).origin
  const failed = (members: object) => Object.assign(new Error('x'), members)

  it('the rule that decided says it; it wins over what was thrown', () => {
    const table: ErrorRule[] = [
      { match: /refused to answer/, is: 'permanent', origin: 'model' },
      { code: 'E_LIMIT', is: 'transient' },
    ]
    expect(originOf(new Error('The model refused to answer'), table)).toBe('model')
    expect(originOf(failed({ code: 'E_LIMIT', origin: 'policy' }), table)).toBe('policy')
    expect(originOf(failed({ message: 'refused to answer', origin: 'policy' }), table)).toBe('model')
  })

  it('a thrown verdict says it, whatever the tables say', () => {
    const table: ErrorRule[] = [{ match: /./, is: 'transient', origin: 'system' }]
    for (const origin of ORIGINS) {
      expect(originOf(new Permanent('no', { origin }), table)).toBe(origin)
      expect(originOf(new Transient('no', { origin }))).toBe(origin)
    }
  })

  it('a word that is no origin is none', () => {
    expect(originOf(new Permanent('no', { origin: 'weather' as never }))).toBe('input')
    expect(originOf(failed({ origin: 5 }))).toBe('system')
  })

  it('the step’s rule comes before the type’s', () => {
    const step: ErrorRule[] = [{ match: 'x', is: 'review', origin: 'model' }]
    const type: ErrorRule[] = [{ match: 'x', is: 'review', origin: 'policy' }]
    expect(classify(new Error('x'), { step, type }).origin).toBe('model')
  })

  it.each<[string, string, unknown]>([
    ['input', 'Permanent', new Permanent('no')],
    ['policy', 'Review', new Review('look')],
    ['system', 'Transient', new Transient('again')],
    ['system', 'Harmless', new Harmless('noise')],
    ['system', 'any error', new Error('odd')],
    ['system', 'a thrown text', 'odd'],
    ['system', 'a network error', failed({ code: 'ECONNRESET' })],
    ['system', 'HTTP 503', failed({ status: 503 })],
    ['system', 'HTTP 429', failed({ status: 429 })],
    ['system', 'a child that ended', failed({ exitCode: 2 })],
    ['system', 'a time limit', failed({ code: 'attempt-timeout' })],
    ['input', 'HTTP 404', failed({ status: 404 })],
    ['input', 'HTTP 422', failed({ statusCode: 422 })],
    ['policy', 'HTTP 401', failed({ status: 401 })],
    ['policy', 'HTTP 403', failed({ status: 403 })],
    ['input', 'a schema error', failed({ issues: [{ message: 'no' }] })],
    ['engine', 'changed code', failed({ code: 'code-changed' })],
    ['engine', 'a review for changed code', new Review('look', { code: 'code-changed' })],
    ['engine', 'a missing undo', failed({ code: 'undo-missing' })],
    ['engine', 'a nested step', failed({ code: 'nested-step' })],
    ['engine', 'a wrong definition', failed({ code: 'bad-definition' })],
    ['engine', 'an error of ours', failed({ code: 'internal' })],
  ])('without a word of it: %s for %s', (origin, _, error) => {
    expect(originOf(error)).toBe(origin)
  })
})

describe('neverReached', () => {
  const failed = (members: object) => Object.assign(new Error('x'), members)
  const fetchFailed = (cause: unknown) => Object.assign(new TypeError('fetch failed'), { cause })

  it('whoever throws may say that the effect has not happened', () => {
    expect(neverReached(new Transient('queue full', { happened: false }))).toBe(true)
    expect(neverReached(new Permanent('declined', { happened: false }))).toBe(true)
    expect(neverReached(failed({ happened: false }))).toBe(true)
    expect(neverReached(new Transient('queue full'))).toBe(false)
    for (const happened of [true, 0, null, undefined, 'false']) expect(neverReached(failed({ happened }))).toBe(false)
  })

  it.each(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])(
    '%s: nobody was reached',
    (code) => {
      expect(neverReached(failed({ code }))).toBe(true)
      expect(neverReached(fetchFailed(failed({ code })))).toBe(true)
    },
  )

  it.each([
    'ECONNRESET',
    'ETIMEDOUT',
    'EPIPE',
    'ECONNABORTED',
    'UND_ERR_SOCKET',
    'UND_ERR_HEADERS_TIMEOUT',
    'step-timeout',
  ])('%s: somebody may have been', (code) => {
    expect(neverReached(failed({ code }))).toBe(false)
    expect(neverReached(fetchFailed(failed({ code })))).toBe(false)
  })

  it('looks into what fetch throws and into no other error: that one may tell of a later call', () => {
    const refused = failed({ code: 'ECONNREFUSED' })
    expect(neverReached(Object.assign(new Error('paid, but the mail failed'), { cause: refused }))).toBe(false)
    expect(neverReached(Object.assign(new TypeError('other'), { cause: refused }))).toBe(false)
    expect(neverReached(fetchFailed(undefined))).toBe(false)
    expect(neverReached(failed({ status: 503 }))).toBe(false)
  })

  it('never throws, whatever was thrown', () => {
    const get = (): never => {
      throw new Error('no getter works')
    }
    const hostile = new Proxy({}, { get })
    for (const thrown of [undefined, null, 'x', 1n, Symbol('s'), hostile, Object.create(null)])
      expect(neverReached(thrown)).toBe(false)
    fc.assert(fc.property(fc.anything(), (thrown) => typeof neverReached(thrown) === 'boolean'))
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
    const line = (text: string) => ({ text, engine: null, engineVersion: null })
    expect(matchText(line('a note on font substitution'), { type: table })).toEqual({
      ...{ by: 'type', verdict: 'harmless', rule: 'type[1] /font substitution/', as: 'font' },
    })
    expect(matchText(line('X'), { type: table })).toBeNull()
    expect(matchText(line('x'), {})).toBeNull()
  })

  it('asks the step, then the type, then what was taught, each for the engine it names', () => {
    const line = { text: 'ICC profile ignored', engine: 'gs', engineVersion: '9.56.1' }
    const rule = (versions?: string): ErrorRule => ({ match: 'ICC', engine: { name: 'gs', versions }, is: 'harmless' })
    const taught = (when: object) => ({
      ...{ id: 3, tenant: 't', type: 'x', is: 'harmless' as const, reason: 'noise', used: 0, lastUsedAt: null },
      ...{ by: { kind: 'user' as const, id: 'Mara' }, at: 0, forgotten: null, when },
    })
    expect(matchText(line, { step: [rule('<9.56')], type: [rule()] })?.rule).toBe('type[0] ICC of gs')
    expect(matchText(line, { step: [rule('^9.56')], type: [rule()] })?.rule).toBe('step[0] ICC of gs ^9.56')
    const other = taught({ match: 'ICC', engine: { name: 'gs', versions: '10.x' } })
    const same = taught({ match: '/icc/i', engine: { name: 'gs', versions: '9.x' } })
    expect(matchText(line, { taught: [other, same] })).toMatchObject({ by: 'taught', taught: 3, verdict: 'harmless' })
    expect(matchText(line, { taught: [taught({ match: 'ICC', exit: 1 }), other] })).toBeNull()
    expect(matchText({ ...line, engineVersion: null }, { taught: [same], type: [rule('*')] })).toBeNull()
  })
})
