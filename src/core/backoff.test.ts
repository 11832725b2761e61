import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { delayMs, type RetryPolicy, until } from './backoff.js'

const arbitraryPolicy: fc.Arbitrary<RetryPolicy> = fc
  .record({ fromMs: fc.nat(60_000), more: fc.nat(10_000_000), factor: fc.double({ min: 1, max: 50, noNaN: true }) })
  .map(({ fromMs, more, factor }) => ({
    withinMs: 86_400_000,
    attempts: null,
    fromMs,
    toMs: fromMs + more,
    factor,
    onExhausted: 'fail',
  }))
const jitter = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const attempt = fc.integer({ min: 1, max: 5000 })

describe('delayMs', () => {
  it('is a whole number in [0, min(to, from · factor^(n−1))), for any attempt however late', () => {
    fc.assert(
      fc.property(arbitraryPolicy, attempt, jitter, (policy, n, j) => {
        const delay = delayMs(policy, n, j)
        const cap = Math.min(policy.toMs, policy.fromMs * policy.factor ** (n - 1))
        expect(Number.isInteger(delay)).toBe(true)
        expect(delay).toBeGreaterThanOrEqual(0)
        if (cap > 0) expect(delay).toBeLessThan(cap)
        else expect(delay).toBe(0)
      }),
    )
  })

  it('never undercuts a Retry-After, and is the plain delay where that is longer', () => {
    fc.assert(
      fc.property(arbitraryPolicy, attempt, jitter, fc.nat(1_000_000), (policy, n, j, floor) => {
        expect(delayMs(policy, n, j, floor)).toBe(Math.max(delayMs(policy, n, j), floor))
      }),
    )
  })

  it('doubles its reach from one attempt to the next until the cap', () => {
    const policy = until({ backoff: { from: '1s', to: '10s', factor: 2 } })
    expect([1, 2, 3, 4, 5, 100].map((n) => delayMs(policy, n, 0.5))).toEqual([500, 1000, 2000, 4000, 5000, 5000])
    expect(delayMs(policy, 3, 0)).toBe(0)
  })
})

describe('until', () => {
  it('has the defaults of the contract', () => {
    expect(until()).toEqual({
      withinMs: 86_400_000,
      attempts: null,
      fromMs: 1000,
      toMs: 300_000,
      factor: 2,
      onExhausted: 'fail',
    })
  })

  it('takes waiting times one by one; the last of them holds from then on, each up to a fifth longer', () => {
    const policy = until({ backoff: { delays: ['5s', '5m', '1m'] } })
    expect([1, 2, 3, 4, 99].map((n) => delayMs(policy, n, 0))).toEqual([5000, 300_000, 60_000, 60_000, 60_000])
    expect(delayMs(policy, 2, 0.999)).toBe(359_940)
    expect(delayMs(policy, 1, 0, 7000)).toBe(7000)
    expect(policy).toMatchObject({ fromMs: 5000, toMs: 300_000 })
    fc.assert(
      fc.property(attempt, jitter, (n, j) => {
        const listed = delayMs(policy, n, 0)
        expect(delayMs(policy, n, j)).toBeGreaterThanOrEqual(listed)
        expect(delayMs(policy, n, j)).toBeLessThanOrEqual(listed * 1.2)
      }),
    )
  })

  it('takes durations and keeps what it was given', () => {
    expect(
      until({ within: '2h', attempts: 8, backoff: { from: 250, to: '1m', factor: 3 }, onExhausted: 'review' }),
    ).toEqual({ withinMs: 7_200_000, attempts: 8, fromMs: 250, toMs: 60_000, factor: 3, onExhausted: 'review' })
  })

  it.each([
    [{ attempts: 0 }, /attempts/],
    [{ attempts: 1.5 }, /attempts/],
    [{ attempts: -1 }, /attempts/],
    [{ attempts: Number.NaN }, /attempts/],
    [{ backoff: { factor: 0.5 } }, /factor/],
    [{ backoff: { factor: Number.NaN } }, /factor/],
    [{ backoff: { from: '10s', to: '1s' } }, /backoff\.to/],
    [{ within: 'soon' }, /within/],
    [{ backoff: { from: -5 } }, /backoff\.from/],
    [{ backoff: { delays: [] } }, /backoff\.delays/],
    [{ backoff: { delays: ['5s', 'soon'] } }, /backoff\.delays/],
  ])('refuses %o', (options, message) => {
    expect(() => until(options)).toThrow(message)
    expect(() => until(options)).toThrow(TypeError)
  })
})
