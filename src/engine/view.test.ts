import { describe, expect, it } from 'vitest'
import type { LiveJob } from '../core/job.js'
import { newLive } from '../core/lifecycle.js'
import { pollAfterMs } from './view.js'

const NOW = 10_000_000
const live = (more: Partial<LiveJob> = {}): LiveJob => ({
  ...newLive('j', 'q/t/d', 2, NOW, { runAt: null, deadlineAt: null, escalateAt: null }),
  ...more,
})
const running: Partial<LiveJob> = { state: 'running', startedAt: NOW, worker: 'w' }
const retrying: Partial<LiveJob> = { startedAt: NOW - 1000, errors: 1 }

describe('pollAfterMs (http-contract, Retry-After table)', () => {
  it.each<[string, Partial<LiveJob>, number, number | null, number]>([
    ['scheduled: until runAt, at most 300 s', { runAt: NOW + 20_000 }, 0, null, 20],
    ['scheduled far ahead', { runAt: NOW + 9_000_000 }, 0, null, 300],
    ['scheduled at once', { runAt: NOW + 10 }, 0, null, 1],
    ['queued: 10 % of its age', {}, 80_000, null, 8],
    ['queued, young', {}, 100, null, 1],
    ['queued, old', {}, 9_000_000, null, 15],
    ['running without estimate: 10 % of its age', running, 45_000, null, 5],
    ['running with estimate: a quarter of what is left', running, 0, NOW + 40_000, 10],
    ['running with a far estimate', running, 0, NOW + 9_000_000, 30],
    ['running past its estimate: 10 % of its age', running, 45_000, NOW - 1, 5],
    ['between attempts: until the next, and one more', { ...retrying, runAt: NOW + 9_000 }, 0, null, 10],
    ['between attempts, far', { ...retrying, runAt: NOW + 900_000 }, 0, null, 60],
  ])('%s', (_, more, age, expected, seconds) => {
    const status = more.startedAt ? 'processing' : 'accepted'
    expect(pollAfterMs(NOW - age, live(more), status, expected, NOW)).toBe(seconds * 1000)
  })

  it.each([
    [null, 30],
    [NOW + 300_000, 30],
    [NOW + 10_000, 15],
    [NOW + 9_000_000, 60],
  ])('blocked, due %s', (deadlineAt, seconds) => {
    const job = live({ state: 'waiting', waitKind: 'review', startedAt: NOW, deadlineAt })
    expect(pollAfterMs(NOW, job, 'blocked', null, NOW)).toBe(seconds * 1000)
  })
})
