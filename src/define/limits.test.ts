import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob } from './define-job.js'
import { numbersOf } from './limits.js'

const job = defineJob('pay', { input: z.object({ customer: z.string() }) })
const settings = (options: object) => job.handler(options as never, () => undefined as never).settings

describe('limits and unique of a handler', () => {
  it('are settled with durations in milliseconds and defaults filled in', () => {
    const key = ({ customer }: { customer: string }) => customer
    expect(settings({}).limits).toBeNull()
    expect(settings({}).unique).toBeNull()
    const { limits, unique } = settings({
      limits: { concurrency: { key, limit: 2 }, order: key, rate: { limit: 5, per: '1m' } },
      unique: { for: '10m', key, onDuplicate: 'replace' },
    })
    expect(limits).toEqual({
      concurrency: { key, limit: 2 },
      order: key,
      rate: { key: null, limit: 5, perMs: 60_000, burst: 1 },
    })
    expect(numbersOf(limits)).toEqual({ concurrency: 2, rate: { limit: 5, perMs: 60_000, burst: 1 } })
    expect(numbersOf(settings({ limits: { order: key } }).limits)).toBeUndefined()
    expect(unique).toEqual({ forMs: 600_000, key, onDuplicate: 'replace' })
    expect(settings({ unique: 'active' }).unique).toEqual({ forMs: null, key: null, onDuplicate: 'return' })
    expect(settings({ unique: {} }).unique).toEqual({ forMs: null, key: null, onDuplicate: 'return' })
  })

  it.each<[object, string]>([
    [{ limits: { concurency: { limit: 1 } } }, 'limits knows no "concurency"'],
    [{ limits: { concurrency: { limit: 0 } } }, 'limits.concurrency.limit must be a whole number'],
    [{ limits: { concurrency: { limit: 1, keys: 1 } } }, 'limits.concurrency knows no "keys"'],
    [{ limits: { concurrency: { limit: 1, key: 'customer' } } }, 'limits.concurrency.key must be a function'],
    [{ limits: { order: 'customer' } }, 'limits.order must be a function'],
    [{ limits: { rate: { limit: 1.5, per: '1s' } } }, 'limits.rate.limit must be a whole number'],
    [{ limits: { rate: { limit: 1, per: 'soon' } } }, '"soon" is not a duration'],
    [{ limits: { rate: { limit: 1, per: '60d' } } }, 'limits.rate.per must be from 1 ms to 31 d'],
    [{ limits: { rate: { limit: 1, per: '1s', burst: 0 } } }, 'limits.rate.burst must be a whole number'],
    [{ unique: 'always' }, "unique must be 'active' or an object"],
    [{ unique: { for: 0 } }, 'unique.for must be longer than 0'],
    [{ unique: { onDuplicate: 'ignore' } }, 'unique.onDuplicate must be one of return, reject, replace'],
    [{ unique: { until: '1h' } }, 'unique knows no "until"'],
    [{ unique: { key: 'operationKey' } }, 'unique.key must be a function'],
  ])('%j is refused: %s', (options, said) => {
    expect(() => settings(options)).toThrow(expect.objectContaining({ code: 'bad-definition' }))
    expect(() => settings(options)).toThrow(said)
  })
})
