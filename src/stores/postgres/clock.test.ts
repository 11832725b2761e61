// How far the clock of the database is ahead: what one answer, late or missing, may change.
import type { Pool, PoolClient } from 'pg'
import { expect, it } from 'vitest'
import type { Clock } from '../../core/clock.js'
import { ServerClock } from './clock.js'

/** A database whose clock is `ahead`, over a line that takes `took` for an answer; null: it cannot be reached. */
function setUp(ahead: number) {
  let at = 1_000_000
  let due: (() => void) | null = null
  const line = { took: 2 as number | null, way: 0.5 }
  const clock = {
    machine: true,
    now: () => at,
    monotonic: () => at,
    after: (_ms: number, fn: () => void) => {
      due = fn
      return { cancel: () => {} }
    },
  } as unknown as Clock
  const client = {
    release: () => {},
    query: async () => {
      at += line.took! * line.way
      const now = at + ahead
      at += line.took! * (1 - line.way)
      return { rows: [{ now }] }
    },
  } as unknown as PoolClient
  const connect = async () => {
    if (line.took === null) throw new Error('It cannot be reached.')
    return client
  }
  const server = new ServerClock(clock, { connect } as unknown as Pool)
  return {
    ...{ server, line, measure: () => server.measure(client) },
    async again(): Promise<boolean> {
      const fn = due
      due = null
      fn?.()
      await new Promise(setImmediate)
      return fn !== null
    },
  }
}

it('a slow answer that may mean what is known leaves it as it is', async () => {
  const { server, line, measure, again } = setUp(700)
  await measure()
  expect(server.offsetMs).toBe(700)
  line.took = 4000
  line.way = 0.9
  expect(await again()).toBe(true)
  expect(server.offsetMs).toBe(700)
})

it('a clock that may be right is right, and one that is off by more than the answer took is corrected', async () => {
  const near = setUp(1.5)
  await near.measure()
  expect(near.server.offsetMs).toBe(0)
  const far = setUp(-90)
  await far.measure()
  expect(far.server.offsetMs).toBe(-90)
})

it('it is asked again after a time when nobody answered', async () => {
  const { server, line, measure, again } = setUp(700)
  await measure()
  line.took = null
  expect([await again(), await again(), await again()]).toEqual([true, true, true])
  expect(server.offsetMs).toBe(700)
})
