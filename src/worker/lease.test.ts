import { expect, it } from 'vitest'
import type { Clock } from '../core/clock.js'
import type { Store } from '../stores/store.js'
import { Lease, SELF_FENCE_MS } from './lease.js'

it('is not believed in after a standstill, although no timer has fired yet', async () => {
  let monotonic = 1_000_000
  const timer = { cancel: () => {} }
  const clock: Clock = { now: () => 0, monotonic: () => monotonic, after: () => timer, keepAlive: () => timer }
  const store = { now: () => 0, workers: { beat: async () => 'up' } } as unknown as Store
  const row = { id: 'w', boot: 'b', host: 'h', pid: 1, startedAt: 0, state: 'up' as const, serves: null }
  const lease = new Lease({ store, clock, row: () => row, onLost: () => {}, onStall: () => {}, onDrain: () => {} })
  await lease.start()
  monotonic += SELF_FENCE_MS
  expect(lease.held).toBe(true)
  // The process stood still and goes on with what had arrived, before its timers.
  monotonic += 1
  expect(lease.held).toBe(false)
})
