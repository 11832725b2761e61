import { expect, it } from 'vitest'
import { systemClock } from './index.js'

/** Timers that keep this process alive; those that do not are no part of it. */
const holding = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

it('a timer lets the process end, keepAlive() does not until it is cancelled', () => {
  const before = holding()
  const timer = systemClock.after(60_000, () => {})
  expect(holding()).toBe(before)
  const alive = systemClock.keepAlive()
  expect(holding()).toBe(before + 1)
  alive.cancel()
  expect(holding()).toBe(before)
  timer.cancel()
})
