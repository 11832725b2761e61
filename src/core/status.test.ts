import { describe, expect, it } from 'vitest'
import { job, NOW } from '../testing/fixtures/lifecycle.js'
import { FINAL_STATES, type JobState, LIVE_STATES, type LiveJob, type Status } from './job.js'
import { isFinal, phaseOf, statusAfter, statusOf } from './status.js'

describe('status and phase', () => {
  const queued = { runAt: NOW, startedAt: null, errors: 0, losses: 0 }
  const scopes = [{ name: 'charge', errors: 1, from: NOW }]
  const never = { startedAt: null, epoch: 0 }
  const table: [string, Partial<LiveJob>, Status, string][] = [
    ['queued', queued, 'accepted', 'queued'],
    ['queued', { ...queued, runAt: NOW + 1 }, 'accepted', 'scheduled'],
    ['queued', { ...queued, held: 'concurrency' }, 'accepted', 'held'],
    ['queued', { ...queued, held: 'rate', runAt: NOW + 1 }, 'accepted', 'held'],
    ['queued', { startedAt: NOW, epoch: 1, errors: 1 }, 'processing', 'retrying'],
    ['queued', { startedAt: NOW, epoch: 1, losses: 1 }, 'processing', 'retrying'],
    ['queued', { startedAt: NOW, epoch: 1, why: { scopes } }, 'processing', 'retrying'],
    ['queued', { startedAt: NOW, epoch: 1, errors: 0, losses: 0, runAt: NOW + 9 }, 'processing', 'running'],
    ['queued', { startedAt: NOW, epoch: 1, held: 'order' }, 'processing', 'running'],
    ['running', {}, 'processing', 'running'],
    ['cancelling', {}, 'processing', 'cancelling'],
    ['compensating', {}, 'processing', 'compensating'],
    ['compensating', never, 'processing', 'compensating'],
    ['waiting', { waitKind: 'approval' }, 'blocked', 'approval'],
    ['waiting', { waitKind: 'review' }, 'blocked', 'review'],
    ['waiting', { waitKind: 'signal' }, 'blocked', 'signal'],
    ['waiting', { waitKind: 'pause' }, 'blocked', 'paused'],
    ['waiting', { ...never, waitKind: 'pause' }, 'accepted', 'paused'],
    ['waiting', { waitKind: 'timer' }, 'processing', 'waiting'],
    ['waiting', { waitKind: 'child' }, 'processing', 'waiting'],
  ]
  it.each(table)('%s %o is %s / %s', (state, more, status, phase) => {
    const row = job(state as JobState, more)
    expect(statusOf(row)).toBe(status)
    expect(phaseOf(row, NOW)).toBe(phase)
    expect(statusAfter({ state: row.state, phase, epoch: row.epoch })).toBe(status)
  })

  it('after its end the status is the state', () => {
    for (const state of FINAL_STATES) expect(statusAfter({ state, phase: 'overridden', epoch: 0 })).toBe(state)
  })

  it('isFinal tells the final states', () => {
    expect([...LIVE_STATES, ...FINAL_STATES].filter(isFinal)).toEqual([...FINAL_STATES])
  })
})
