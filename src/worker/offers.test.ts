import { describe, expect, it } from 'vitest'
import type { Claimed } from '../stores/store.js'
import { TestClock } from '../testing/clock.js'
import { HOLD_MS, Offers } from './offers.js'

const LANE = 'q/t/x'
const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `${from + i}`)
const messages = (ids: readonly string[], lane = LANE) => ids.map((jobId) => ({ jobId, lane, dispatchNo: 1 }))
const claimed = (ids: readonly string[], lane = LANE) => ids.map((id) => ({ live: { id, lane } }) as unknown as Claimed)

function open() {
  const clock = new TestClock()
  const offers = new Offers(clock)
  /** A claim of all that is asked for, of which `gone` were claimed elsewhere, and with `more` that were not delivered here. */
  const claim = (limit: number, { gone = 0, more = [] as string[], left = [] as string[] } = {}) => {
    const ids = offers.first(LANE, limit)
    const got = ids.slice(gone).filter((id) => !left.includes(id))
    offers.claimedFrom([{ lane: LANE, limit, ids }], claimed([...got, ...more]), new Set(left))
    return ids.length
  }
  return { clock, offers, claim }
}

describe('deliveries', () => {
  it('are answered together, in the order of their messages, when the last of them is', async () => {
    const { offers } = open()
    const answers = offers.add(messages(['a', 'b', 'c', 'a']))
    offers.settle(LANE, ['b'], 'dropped')
    expect(offers.first(LANE, 10)).toEqual(['a', 'c'])
    offers.settle(LANE, ['c', 'unknown'], 'returned')
    offers.settle(LANE, ['a'], 'claimed')
    expect(await answers).toEqual(['claimed', 'dropped', 'returned', 'claimed'])
    expect([...offers.lanes()]).toEqual([])
    expect(await offers.add([])).toEqual([])
  })

  it('of one job that came twice are both answered, and permit it once', async () => {
    const { offers } = open()
    const both = [offers.add(messages(['a'])), offers.add(messages(['a']))]
    expect([...offers.lanes()]).toEqual([{ lane: LANE, count: 1 }])
    offers.settle(LANE, ['a'], 'claimed')
    expect(await Promise.all(both)).toEqual([['claimed'], ['claimed']])
  })

  it('go back when they were held for long enough, those that came together each by itself, and no timer is left', async () => {
    const { clock, offers } = open()
    const first = offers.add([...messages(['a', 'b']), ...messages(['c'], 'q/u/x')])
    await clock.advance(HOLD_MS - 1)
    offers.settle(LANE, ['b'], 'claimed')
    const second = offers.add(messages(['b', 'd']))
    await clock.advance(1)
    expect(await first).toEqual(['returned', 'claimed', 'returned'])
    // What came later is held for as long, also where an earlier delivery had the same job.
    expect([...offers.lanes()]).toEqual([{ lane: LANE, count: 2 }])
    offers.returnAll()
    expect(await second).toEqual(['returned', 'returned'])
    expect(clock.timers).toBe(0)
  })

  it('are counted by type of a queue', () => {
    const { offers } = open()
    void offers.add([...messages(['a', 'b']), ...messages(['c'], 'q/u/x'), ...messages(['d'], 'p/t/x')])
    expect([...offers.typesOf('q')].sort()).toEqual([
      ['t', 2],
      ['u', 1],
    ])
  })
})

describe('what a claim asks for', () => {
  it('is a little more than it may take, those first that came first', () => {
    const { offers } = open()
    void offers.add(messages(range(100)))
    expect(offers.first(LANE, 10)).toEqual(range(26))
  })

  it('is the more, the more were claimed elsewhere; then jobs of others are expected, until none was met for a while', () => {
    const { offers, claim } = open()
    void offers.add(messages(range(1000)))
    expect(offers.mixed).toBe(true)
    for (let i = 0; i < 4; i++) expect(claim(10)).toBe(26)
    expect(offers.mixed).toBe(false)
    // Half of those that were asked for were not there any more.
    for (let i = 0; i < 12; i++) claim(10, { gone: 13 })
    expect(offers.mixed).toBe(true)
    expect(offers.first(LANE, 10).length).toBeGreaterThanOrEqual(33)
    for (let i = 0; i < 4; i++) claim(10)
    expect(offers.mixed).toBe(false)
    claim(10, { more: ['of another'] })
    expect(offers.mixed).toBe(true)
  })

  it('keeps what it left', () => {
    const { offers, claim } = open()
    void offers.add(messages(range(20)))
    claim(5, { left: range(8, 12) })
    expect(offers.first(LANE, 20)).toEqual(range(8, 12))
  })
})
