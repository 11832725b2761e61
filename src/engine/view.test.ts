import { describe, expect, it } from 'vitest'
import type { JobRecord, LiveJob } from '../core/job.js'
import { newLive } from '../core/lifecycle.js'
import type { StoredJob } from '../stores/store.js'
import { pollAfterMs, viewOf } from './view.js'

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

describe('a job that waits or is paused', () => {
  const record: JobRecord = {
    ...{ id: 'j', tenant: 'd', type: 't', typeVersion: null, queue: 'q', priority: 0, input: '{}', groupId: null },
    ...{ operationKey: null, parentId: null, replayOf: null, options: {}, runAt: null, deadlineAt: null },
    createdBy: { kind: 'apiKey', id: 'k' },
    createdAt: NOW - 5000,
  }
  const type = { stages: [], maxAttempts: null, expected: { p50Ms: null, p95Ms: null, samples: 0 } }
  const view = (more: Partial<LiveJob>) => {
    const notes = { supersededBy: null, compensatedBy: null, resolution: null }
    const stored: StoredJob = { record, live: live(more), outcome: null, progress: null, warnings: [], ...notes }
    return viewOf(stored, NOW, type)
  }
  const pause = { by: { kind: 'user' as const, id: 'u1', name: 'Nora' }, reason: 'month end' }

  it('before its first attempt a paused job is accepted, and the sentence says who paused it and why', () => {
    const job = view({ state: 'waiting', waitKind: 'pause', why: { pause, since: NOW - 700 } })
    expect(job).toMatchObject({ status: 'accepted', blockedOn: [], statusText: 'Accepted. Paused by Nora: month end' })
  })

  it('afterwards it is blocked until somebody resumes it', () => {
    const job = view({ state: 'waiting', waitKind: 'pause', startedAt: NOW - 900, why: { pause, since: NOW - 700 } })
    expect(job).toMatchObject({
      status: 'blocked',
      blockedOn: [{ kind: 'pause', title: 'Paused by Nora: month end', since: new Date(NOW - 700).toISOString() }],
    })
  })

  it('paused while it waits, it names both, each since its own time; what only time or jobs end is not named', () => {
    const wait = { id: 'apr-1', title: 'Refund 5 EUR', dueAt: NOW + 9, quorum: { filled: 0, needed: 1 } }
    const why = { pause: { ...pause, at: NOW - 100 }, wait, since: NOW - 700 }
    const paused = (waitKind: 'approval' | 'timer') =>
      view({
        ...{ state: 'waiting', waitKind: 'pause', startedAt: NOW - 900, deadlineAt: NOW + 50 },
        why: { ...why, behind: { waitKind, wakeAt: null } },
      })
    expect(paused('approval').blockedOn).toMatchObject([
      {
        kind: 'pause',
        since: new Date(NOW - 100).toISOString(),
        dueAt: new Date(NOW + 50).toISOString(),
        quorum: null,
      },
      {
        ...{ kind: 'approval', id: 'apr-1', since: new Date(NOW - 700).toISOString(), quorum: { needed: 1 } },
        ...{ dueAt: new Date(NOW + 9).toISOString(), href: '/v1/approvals/apr-1' },
      },
    ])
    expect(paused('approval').statusText).toBe('Paused by Nora: month end. Also needed: Refund 5 EUR.')
    expect(paused('timer').blockedOn.map(({ kind }) => kind)).toEqual(['pause'])
    expect(paused('timer')).toMatchObject({ status: 'blocked', statusText: 'Paused by Nora: month end' })
  })

  it('tells since when it waits, although it became late meanwhile', () => {
    const wait = { id: 'answer', title: 'Waiting for the signal "answer".', dueAt: null }
    const job = view({
      ...{ state: 'waiting', waitKind: 'signal', startedAt: NOW - 900, lateAt: NOW - 5, changedAt: NOW - 5 },
      why: { wait, since: NOW - 700 },
    })
    expect(job.blockedOn).toMatchObject([{ kind: 'signal', id: 'answer', since: new Date(NOW - 700).toISOString() }])
  })
})
