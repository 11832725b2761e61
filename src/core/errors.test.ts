import { describe, expect, it, vi } from 'vitest'
import { isUntildoneError, UntildoneError } from './errors.js'
import { type ErrorCode, PROBLEMS } from './problems.js'

const codes = Object.keys(PROBLEMS) as ErrorCode[]

describe('the registry', () => {
  it.each(codes)('%s is a slug with a status, a sentence and a fix', (code) => {
    const { status, retryable, title, fix } = PROBLEMS[code]
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(600)
    expect(typeof retryable).toBe('boolean')
    expect(title).toMatch(/^[A-Z].{8,}\.$/)
    expect(fix.trim()).toBe(fix)
    expect(fix.length).toBeGreaterThan(10)
  })

  it('holds the codes that the wire contract names', () => {
    const named = [
      ...['malformed-request', 'idempotency-key-invalid', 'idempotency-key-required', 'unauthenticated', 'forbidden'],
      ...['job-not-found', 'result-not-ready', 'job-failed', 'job-cancelled', 'job-already-done', 'invalid-transition'],
      ...['job-expired', 'result-expired', 'version-mismatch', 'payload-too-large', 'unsupported-media-type'],
      ...['validation-failed', 'input-invalid', 'unknown-job-type', 'idempotency-key-reused', 'rate-limited'],
      ...['store-unavailable', 'overloaded', 'draining', 'outcome-unknown', 'invalid-cursor', 'lease-lost'],
    ]
    expect(codes).toEqual(expect.arrayContaining(named))
  })

  it('a request that may be repeated has a status that says so', () => {
    for (const code of codes.filter((code) => PROBLEMS[code].retryable))
      expect([409, 429, 500, 503]).toContain(PROBLEMS[code].status)
  })
})

describe('UntildoneError', () => {
  it('takes title and fix from the registry unless told otherwise', () => {
    expect(new UntildoneError('overloaded')).toMatchObject({
      message: PROBLEMS.overloaded.title,
      fix: PROBLEMS.overloaded.fix,
      params: {},
      errors: [],
      retryAfterMs: null,
    })
    const cause = new Error('root')
    const error = new UntildoneError('overloaded', 'Too much.', {
      fix: 'Wait.',
      params: { n: 1 },
      retryAfterMs: 5,
      cause,
    })
    expect(error).toMatchObject({ message: 'Too much.', fix: 'Wait.', params: { n: 1 }, retryAfterMs: 5, cause })
    expect(error).toBeInstanceOf(Error)
  })

  it('is recognised across copies of the package, and nothing else is', async () => {
    vi.resetModules()
    const copy = await import('./errors.js')
    expect(copy.UntildoneError).not.toBe(UntildoneError)
    expect(isUntildoneError(new copy.UntildoneError('internal'))).toBe(true)
    for (const other of [new Error('x'), null, undefined, 'internal', { code: 'internal' }])
      expect(isUntildoneError(other)).toBe(false)
  })
})
