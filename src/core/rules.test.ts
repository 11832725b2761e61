import { describe, expect, it } from 'vitest'
import {
  BETWEEN,
  cancel,
  claimed,
  DAY,
  deadline,
  errored,
  errorInfo,
  JOBS,
  job,
  lost,
  NOW,
  PAUSED,
  PEOPLE,
  pauseIt,
  policy,
  reach,
  refuses,
  released,
  resumeIt,
  retry,
  SYSTEM,
  staged,
  stopped,
  succeeded,
  suspended,
  WAIT_KINDS,
  WAITS,
  WORKER,
  woken,
} from '../testing/fixtures/lifecycle.js'
import type { RetryPolicy } from './backoff.js'
import { type LiveJob, TIES } from './job.js'
import { type Event, statusOf, transition } from './lifecycle.js'

describe('claimed', () => {
  it('starts the first attempt and keeps startedAt for ever', () => {
    const first = reach(job('queued'), claimed)
    expect(first.live).toMatchObject({
      state: 'running',
      worker: 'w-9',
      epoch: 1,
      attempt: 1,
      startedAt: NOW,
      attemptAt: NOW,
    })
    const again = reach(job('queued', BETWEEN), claimed)
    expect(again.live).toMatchObject({ epoch: 3, attempt: 3, startedAt: NOW - 4000, attemptAt: NOW })
  })

  it('never before runAt, and exactly at it', () => {
    expect(transition(job('queued', { runAt: NOW + 1 }), claimed, NOW).ok).toBe(false)
    expect(transition(job('queued', { runAt: NOW }), claimed, NOW).ok).toBe(true)
  })

  it('not once the deadline has passed: such a job only fails', () => {
    expect(transition(job('queued', { deadlineAt: NOW }), claimed, NOW)).toEqual({
      ok: false,
      reason: 'illegal-transition',
    })
    expect(transition(job('queued', { deadlineAt: NOW + 1 }), claimed, NOW).ok).toBe(true)
  })

  it('not while a limit holds it', () => {
    for (const held of ['concurrency', 'order', 'rate'] as const) {
      expect(refuses(job('queued', { held }), claimed)).toBe(true)
      expect(refuses(job('queued', { ...BETWEEN, held }), claimed)).toBe(true)
    }
  })

  it('nothing but a queued job, and one whose steps are to be undone, is claimed', () => {
    for (const from of JOBS) {
      const free = from.worker === null && from.held === null && from.runAt <= NOW
      const inTime = from.deadlineAt === null || from.deadlineAt > NOW
      const claimable = (from.state === 'queued' && inTime) || from.state === 'compensating'
      expect(!refuses(from, claimed), `${from.state} ${from.waitKind} ${from.worker}`).toBe(free && claimable)
    }
  })
})

describe('errored', () => {
  it('transient: waits by backoff, counts errors only, keeps the error for people', () => {
    const { live, attempt, history } = reach(job('running', { errors: 2, losses: 1 }), errored())
    expect(live).toMatchObject({
      state: 'queued',
      runAt: NOW + 2000,
      errors: 3,
      losses: 1,
      why: { error: errorInfo() },
      startedAt: NOW - 4000,
    })
    expect(attempt).toMatchObject({ outcome: 'error', verdict: 'transient', retryInMs: 2000, error: errorInfo() })
    expect(history).toMatchObject({ phase: 'retrying', error: errorInfo() })
  })

  it('permanent: fails with its own code at once, whatever budget is left', () => {
    const error = errorInfo({ code: 'bad-input', class: 'permanent' })
    const { outcome, attempt } = reach(job('running'), errored({ verdict: 'permanent', error }))
    expect(outcome).toMatchObject({ status: 'failed', phase: 'permanent', error })
    expect(attempt).toMatchObject({ outcome: 'error', verdict: 'permanent', retryInMs: null })
  })

  it('review: waits for a human, also when the budget is used up', () => {
    const error = errorInfo({ code: 'odd', class: 'review' })
    const event = errored({ verdict: 'review', error, retry: policy({ attempts: 1 }) })
    const { live, attempt } = reach(job('running', { errors: 5 }), event)
    expect(live).toMatchObject({ state: 'waiting', waitKind: 'review', wakeAt: null, why: { error }, errors: 5 })
    expect(attempt!.outcome).toBe('error')
  })

  it('attempts counts error attempts since the last reset; lost and released ones are free', () => {
    const three = policy({ attempts: 3 })
    const second = reach(job('running', { errors: 1, losses: 2, attempt: 9 }), errored({ retry: three }))
    expect(second.live).toMatchObject({ state: 'queued', errors: 2 })
    const third = reach(job('running', { errors: 2, losses: 2, attempt: 10 }), errored({ retry: three }))
    expect(third.outcome).toMatchObject({ status: 'failed', phase: 'exhausted' })
    expect(third.outcome!.error).toMatchObject({
      code: 'exhausted',
      class: 'transient',
      details: {
        last: {
          code: 'busy',
          class: 'transient',
          message: 'The licence server is busy',
          rule: 'default transient',
        },
      },
    })
    expect(third.outcome!.error!.message).toContain('The licence server is busy')
    expect(third.attempt).toMatchObject({ error: errorInfo(), retryInMs: null })
  })

  it('within forbids an attempt that would start later than max(createdAt, runAt) + within', () => {
    const retry = policy({ withinMs: 10_000, fromMs: 4000, toMs: 4000 })
    const at = (budgetFrom: number) => reach(job('running', { budgetFrom }), errored({ retry, jitter: 0.5 }))
    expect(at(NOW - 8000).live).toMatchObject({ state: 'queued', runAt: NOW + 2000 })
    expect(at(NOW - 8001).outcome).toMatchObject({ phase: 'exhausted' })
  })

  it('a Retry-After is never undercut, and counts against the budget', () => {
    expect(reach(job('running'), errored({ retryAfterMs: 60_000 })).live!.runAt).toBe(NOW + 60_000)
    expect(reach(job('running'), errored({ retryAfterMs: DAY * 2 })).outcome).toMatchObject({ phase: 'exhausted' })
  })

  it('onExhausted: review blocks instead, with the last error under class review', () => {
    const retry = policy({ attempts: 2, onExhausted: 'review' })
    const { live } = reach(job('running', { errors: 1 }), errored({ retry }))
    expect(live).toMatchObject({
      state: 'waiting',
      waitKind: 'review',
      errors: 2,
      why: { error: { code: 'busy', class: 'review' } },
    })
  })

  it('a deadline before the next attempt fails the job as deadline-passed', () => {
    const { outcome } = reach(job('running', { deadlineAt: NOW + 500 }), errored({ retryAfterMs: 500 }))
    expect(outcome).toMatchObject({
      status: 'failed',
      phase: 'deadline',
      error: { code: 'deadline-passed', details: { last: { code: 'busy' } } },
    })
    expect(reach(job('running', { deadlineAt: NOW + 501 }), errored({ retryAfterMs: 500 })).live!.state).toBe('queued')
  })

  describe('in a step or stage with a budget of its own', () => {
    const inStep = (scope: string, more: Partial<RetryPolicy> = {}) =>
      errored({ scope, retry: policy({ attempts: 3, ...more }) })
    /** The next attempt, begun as soon as it may. */
    const next = (from: LiveJob, event: Event) => {
      const { live } = reach(from, event)
      return live === null ? null : { ...reach(live, claimed, live.runAt).live!, attemptAt: NOW }
    }

    it('its errors are counted there, and not against the budget of the job', () => {
      const from = job('running', { errors: 2, budgetFrom: NOW - DAY + 5000 })
      const { live, attempt } = reach(from, inStep('charge'))
      expect(live).toMatchObject({ state: 'queued', errors: 2, budgetFrom: from.budgetFrom, runAt: NOW + 500 })
      expect(live!.why!.scopes).toEqual([{ name: 'charge', errors: 1, from: from.attemptAt }])
      expect(attempt!.retryInMs).toBe(500)
      // An error elsewhere goes on where the job had been.
      const elsewhere = reach({ ...from, why: live!.why }, errored({ retry: policy({ attempts: 4 }) })).live!
      expect(elsewhere).toMatchObject({ errors: 3, runAt: NOW + 2000, why: { scopes: live!.why!.scopes } })
    })

    it('uses up its attempts and its time from its own first error', () => {
      const scopes = (errors: number, from: number) => ({ why: { scopes: [{ name: 'charge', errors, from }] } })
      const old = { errors: 50, budgetFrom: NOW - DAY * 30 }
      expect(reach(job('running', { ...old, ...scopes(1, NOW) }), inStep('charge')).live!.state).toBe('queued')
      const last = reach(job('running', { ...old, ...scopes(2, NOW) }), inStep('charge'))
      expect(last.outcome).toMatchObject({ status: 'failed', phase: 'exhausted', error: { code: 'exhausted' } })
      const minute = { attempts: null, withinMs: 60_000 }
      const at = (from: number) => reach(job('running', { ...old, ...scopes(1, from) }), inStep('charge', minute))
      expect(at(NOW - 59_000).live!.state).toBe('queued')
      expect(at(NOW - 59_001).outcome).toMatchObject({ phase: 'exhausted' })
      const blocked = reach(job('running', scopes(2, NOW)), inStep('charge', { onExhausted: 'review' })).live!
      expect(blocked).toMatchObject({ waitKind: 'review', why: { scopes: [{ name: 'charge', errors: 3 }] } })
    })

    it('branches that fail in turn do not give each other new budgets', () => {
      let row: LiveJob | null = job('running')
      let tries = 0
      for (; row !== null && tries < 50; tries++) row = next(row, inStep(tries % 2 ? 'mail' : 'charge'))
      expect(tries).toBe(5)
    })

    it('any names may be theirs, and the oldest of very many makes room', () => {
      let row: LiveJob = job('running')
      for (const name of ['__proto__', 'constructor', ...Array.from({ length: 40 }, (_, i) => `s${i}`)])
        row = next(row, inStep(name))!
      expect(row.why!.scopes!.length).toBe(32)
      expect(row.why!.scopes!.at(-1)).toEqual({ name: 's39', errors: 1, from: NOW })
      expect(row.errors).toBe(0)
      expect(next(row, inStep('s39'))!.why!.scopes!.at(-1)).toEqual({ name: 's39', errors: 2, from: NOW })
    })

    it('a fresh start is one for them all', () => {
      const why = { error: errorInfo(), scopes: [{ name: 'charge', errors: 2, from: NOW }] }
      const reset = reach(job('queued', { ...BETWEEN, why }), retry(true)).live!
      expect(reset.why).toEqual({ error: errorInfo() })
      expect(reach(job('queued', { ...BETWEEN, why }), retry(false)).live!.why).toEqual(why)
      expect(reach(job('running', { why }), staged).live!.why!.scopes).toBeUndefined()
    })
  })
})

describe('leaseExpired', () => {
  it('goes on after a short wait, errors untouched', () => {
    const { live, attempt } = reach(job('running', { errors: 2 }), lost())
    expect(live).toMatchObject({ state: 'queued', errors: 2, losses: 1, runAt: NOW + 50 })
    expect(attempt).toMatchObject({ outcome: 'lost', verdict: null, error: { code: 'worker-lost' } })
  })

  it('the third loss is poison: a review, never failed', () => {
    const { live, history } = reach(job('running', { losses: 2 }), lost())
    expect(live).toMatchObject({
      state: 'waiting',
      waitKind: 'review',
      losses: 3,
      why: { error: { code: 'poison', class: 'review' } },
    })
    expect(history.phase).toBe('review')
    expect(reach(job('running', { losses: 1 }), lost()).live!.state).toBe('queued')
  })

  it('waits at most five seconds however often it was lost', () => {
    const { live } = reach(job('running', { losses: 40 }), lost({ maxLost: 100, jitter: 0.9999 }))
    expect(live!.runAt - NOW).toBeLessThan(5000)
    expect(live!.runAt - NOW).toBeGreaterThan(4990)
  })
})

describe('released', () => {
  it('is free: no counter moves, the job is ready at once and stays processing', () => {
    const { live, attempt } = reach(job('running', { errors: 0, losses: 0 }), { type: 'released', actor: WORKER })
    expect(live).toMatchObject({ state: 'queued', errors: 0, losses: 0, runAt: NOW })
    expect(attempt).toMatchObject({ outcome: 'released', error: null })
    expect(statusOf(live!)).toBe('processing')
  })
})

describe('suspended and woken', () => {
  it('waits without a worker, and says for what and until when', () => {
    const wait = { id: 'answer', title: 'Waiting for the signal "answer".', dueAt: NOW + 9 }
    const { live, attempt } = reach(
      job('running', { errors: 1, ties: TIES.parent }),
      suspended({ wait, wakeAt: NOW + 9 }),
    )
    expect(live).toMatchObject({
      ...{ state: 'waiting', waitKind: 'signal', wakeAt: NOW + 9, worker: null, errors: 1 },
      ties: TIES.parent | TIES.waits,
      why: { wait },
    })
    expect(attempt).toMatchObject({ outcome: 'suspended', error: null, verdict: null, retryInMs: null })
  })

  it('goes on at once, with nothing left of the wait but its error before it', () => {
    const why = { ...WAITS, error: errorInfo() }
    const { live } = reach(job('waiting', { waitKind: 'timer', wakeAt: NOW, errors: 2, why }), woken)
    expect(live).toMatchObject({ state: 'queued', runAt: NOW, wakeAt: null, waitKind: null, errors: 2 })
    expect(live!.why).toEqual({ error: errorInfo() })
  })

  it('nobody but a person ends a review or a pause', () => {
    for (const waitKind of WAIT_KINDS)
      expect(refuses(job('waiting', { waitKind, why: waitKind === 'pause' ? PAUSED : WAITS }), woken), waitKind).toBe(
        waitKind === 'review' || waitKind === 'pause',
      )
  })

  it('what it waited is taken from no budget, whatever readers saw meanwhile', () => {
    const scopes = [
      { name: 'charge', errors: 1, from: NOW - 5000 },
      { name: 'mail', errors: 1, from: NOW - 40 },
    ]
    const started = job('running', { budgetFrom: NOW - 9000, why: { scopes } })
    const waits = reach(started, suspended()).live!
    // It became late, which readers see: the row changed, its wait did not.
    const later = { ...waits, changedAt: NOW + DAY * 2, lateAt: NOW + DAY * 2, revision: waits.revision + 1 }
    const { live } = reach(later, woken, NOW + DAY * 3)
    expect(live).toMatchObject({ budgetFrom: NOW - 9000 + DAY * 3, runAt: NOW + DAY * 3 })
    expect(live!.why!.scopes!.map(({ from }) => from)).toEqual([NOW - 5000 + DAY * 3, NOW - 40 + DAY * 3])
    const again = { ...reach(live!, claimed, NOW + DAY * 3).live!, attemptAt: NOW + DAY * 3 }
    expect(reach(again, errored(), NOW + DAY * 3).live!.state).toBe('queued')
  })
})

describe('staged', () => {
  it('goes to the lane of the stage at once, with a budget of its own', () => {
    const why = { error: errorInfo(), scopes: [{ name: 'a', errors: 1, from: NOW }] }
    const { live, attempt } = reach(job('running', { errors: 2, losses: 1, why }), staged)
    expect(live).toMatchObject({
      ...{ state: 'queued', lane: 'gpu/t/default', runAt: NOW, errors: 0, losses: 1, budgetFrom: NOW, worker: null },
    })
    expect(live!.why).toEqual({ error: errorInfo(), stage: { name: 'render', queue: 'gpu' } })
    expect(attempt).toMatchObject({ outcome: 'suspended', error: null })
  })

  it('a pause that was asked for meanwhile holds it there', () => {
    const { live } = reach(job('running', { why: PAUSED }), staged)
    expect(live).toMatchObject({ state: 'waiting', waitKind: 'pause', lane: 'gpu/t/default', errors: 0 })
    expect(live!.why).toEqual({ ...PAUSED, stage: { name: 'render', queue: 'gpu' }, since: NOW })
  })
})

describe('pause and resume', () => {
  const pausedBy = { pause: { by: PEOPLE, reason: 'month end' } }

  it('between attempts: it stops there, and a later start stays later', () => {
    const between = job('queued', { ...BETWEEN, runAt: NOW + 60_000 })
    const { live } = reach(between, pauseIt)
    expect(live).toMatchObject({ state: 'waiting', waitKind: 'pause', runAt: NOW + 60_000, why: pausedBy })
    expect(refuses(live!, pauseIt)).toBe(true)
    const soon = reach(live!, resumeIt, NOW + 5000).live!
    expect(soon).toMatchObject({ state: 'queued', runAt: NOW + 60_000, budgetFrom: between.budgetFrom + 5000 })
    expect(soon.why).toEqual({ error: errorInfo() })
    expect(reach(live!, resumeIt, NOW + 90_000).live!.runAt).toBe(NOW + 90_000)
  })

  it('before its first attempt: it is still accepted, paused and after it', () => {
    const scheduled = job('queued', { runAt: NOW + 60_000, budgetFrom: NOW + 60_000 })
    const { live, history } = reach(scheduled, pauseIt)
    expect(history.phase).toBe('paused')
    expect(statusOf(live!)).toBe('accepted')
    const early = reach(live!, resumeIt, NOW + 5000)
    expect(early.live).toMatchObject({ runAt: NOW + 60_000, budgetFrom: NOW + 60_000 })
    expect(early.history.phase).toBe('scheduled')
    // Its budget begins with its time; of the pause only what lay after that is given back.
    expect(reach(live!, resumeIt, NOW + 70_000).live).toMatchObject({ runAt: NOW + 70_000, budgetFrom: NOW + 70_000 })
  })

  it('of a held job gives up its place with the limit; it is held anew by whoever holds', () => {
    expect(reach(job('queued', { held: 'concurrency' }), pauseIt).live).toMatchObject({ waitKind: 'pause', held: null })
  })

  it('while it runs: the attempt is told, and however it lets go the job stops there', () => {
    const told = reach(job('running', { errors: 1 }), pauseIt).live!
    expect(told).toMatchObject({ state: 'running', worker: 'w-1', epoch: 1, why: pausedBy })
    expect(refuses(told, pauseIt)).toBe(true)
    const ends: [Event, Partial<LiveJob>][] = [
      [released, { runAt: NOW + 10, errors: 1 }],
      [errored({ retryAfterMs: 5000 }), { runAt: NOW + 5010, errors: 2 }],
      [lost({ jitter: 0 }), { losses: 1 }],
    ]
    for (const [event, more] of ends) {
      const { live, attempt } = reach(told, event, NOW + 10)
      expect(live, event.type).toMatchObject({ state: 'waiting', waitKind: 'pause', wakeAt: null, ...more })
      expect(live!.why, event.type).toMatchObject({ ...pausedBy, since: NOW + 10 })
      expect(attempt).not.toBeNull()
      const on = reach(live!, resumeIt, NOW + 110).live!
      expect(on).toMatchObject({ state: 'queued', budgetFrom: told.budgetFrom + 100 })
      expect(on.runAt).toBe(Math.max(live!.runAt, NOW + 110))
    }
    expect(reach(told, succeeded).outcome!.status).toBe('completed')
    expect(reach(told, errored({ verdict: 'permanent' })).outcome!.status).toBe('failed')
    expect(reach(told, errored({ verdict: 'review' })).live!.waitKind).toBe('review')
  })

  it('taken back before the attempt let go, nothing is left of it', () => {
    const before = job('running', { errors: 1, why: { error: errorInfo() } })
    const { live } = reach(reach(before, pauseIt).live!, resumeIt)
    expect(live).toEqual({ ...before, version: before.version + 2, revision: before.revision + 2, changedAt: NOW })
    expect(refuses(live!, resumeIt)).toBe(true)
    expect(reach(live!, released).live!.state).toBe('queued')
  })

  it('while it waits: it is paused at once, and what it waits for is taken in meanwhile', () => {
    for (const waitKind of ['approval', 'signal', 'timer', 'child'] as const) {
      const waits = job('waiting', { waitKind, wakeAt: NOW + 50, budgetFrom: NOW - 9000, why: WAITS })
      const { live, history } = reach(waits, pauseIt)
      expect([statusOf(live!), history.phase], waitKind).toEqual(['blocked', 'paused'])
      expect(live).toMatchObject({ waitKind: 'pause', wakeAt: null, why: { ...WAITS, ...pausedBy } })
      expect(refuses(live!, pauseIt)).toBe(true)
      const settled = reach(live!, woken, NOW + 1000).live!
      expect(settled).toMatchObject({ state: 'waiting', waitKind: 'pause', wakeAt: null, why: pausedBy })
      expect(settled.why!.wait).toBeUndefined()
      expect(refuses(settled, woken)).toBe(true)
      // The wait and the pause are one rest.
      expect(reach(settled, resumeIt, NOW + 3000).live).toMatchObject({
        ...{ state: 'queued', runAt: NOW + 3000, budgetFrom: NOW - 9000 + 3900, why: {} },
      })
    }
  })

  it('is over before what it waits for is there: then it waits as if nothing had been', () => {
    for (const wakeAt of [null, NOW + 50]) {
      const waits = job('waiting', { waitKind: 'child', wakeAt, why: WAITS })
      const { live } = reach(reach(waits, pauseIt).live!, resumeIt)
      expect(live).toEqual({ ...waits, version: waits.version + 2, revision: waits.revision + 2, changedAt: NOW })
      expect(reach(live!, woken).live!.state).toBe('queued')
    }
  })

  it('asked for while it ran and then had to wait: no attempt begins before it is over', () => {
    const waits = reach(reach(job('running'), pauseIt).live!, suspended({ wakeAt: NOW + 50 }), NOW + 10).live!
    expect(waits).toMatchObject({ waitKind: 'pause', wakeAt: null, ties: TIES.waits, why: pausedBy })
    expect(reach(waits, resumeIt).live).toMatchObject({ waitKind: 'signal', wakeAt: NOW + 50 })
    const { live } = reach(waits, woken, NOW + 1010)
    expect(live).toMatchObject({ state: 'waiting', waitKind: 'pause', wakeAt: null })
    expect(reach(live!, resumeIt, NOW + 3010).live).toMatchObject({
      ...{ state: 'queued', runAt: NOW + 3010, budgetFrom: waits.budgetFrom + 3000 },
      why: {},
    })
  })

  it('ends with the job, whatever ends it', () => {
    const waits = reach(job('waiting', { waitKind: 'approval', why: WAITS }), pauseIt).live!
    for (const event of [cancel(), stopped, deadline]) expect(reach(waits, event).outcome, event.type).not.toBeNull()
  })

  it('is refused in a review, where nothing moves before a person decides; one that was asked for can be taken back', () => {
    expect(refuses(job('waiting', { why: { error: errorInfo() } }), pauseIt)).toBe(true)
    const blocked = reach(job('waiting', { why: { ...PAUSED, error: errorInfo() } }), resumeIt).live!
    expect(blocked).toMatchObject({ waitKind: 'review', why: { error: errorInfo() } })
    expect(refuses(blocked, resumeIt)).toBe(true)
  })

  it('is nothing to a job that is being cancelled or undone', () => {
    for (const state of ['cancelling', 'compensating'] as const) {
      expect(refuses(job(state), pauseIt)).toBe(true)
      expect(refuses(job(state), resumeIt)).toBe(true)
    }
    const cancelling = reach(job('running', { why: PAUSED }), cancel()).live!
    expect(reach(cancelling, released).outcome!.status).toBe('cancelled')
  })
})

describe('cancel', () => {
  it('ends a job that does not run at once, with who and why', () => {
    expect(reach(job('queued'), cancel()).outcome).toMatchObject({
      status: 'cancelled',
      phase: 'byCaller',
      error: { code: 'cancelled-by-caller' },
    })
    const byOperator = reach(job('waiting'), cancel({ by: 'operator', reason: 'wrong file' })).outcome
    expect(byOperator).toMatchObject({
      phase: 'byOperator',
      error: { code: 'cancelled-by-operator', message: 'Cancelled: wrong file' },
    })
  })

  it('of a running job keeps the lease until the worker has stopped, then remembers who asked', () => {
    const asked = reach(job('running'), cancel({ by: 'operator', reason: 'wrong file' })).live!
    expect(asked).toMatchObject({ state: 'cancelling', worker: 'w-1', epoch: 1, cancelAt: NOW })
    const ends = {
      errored: ['cancelled', errored()],
      released: ['cancelled', { type: 'released', actor: WORKER }],
      leaseExpired: ['lost', { type: 'leaseExpired', actor: SYSTEM, maxLost: 1, jitter: 0 }],
    } as const
    for (const [end, event] of Object.values(ends)) {
      const { outcome, attempt } = reach(asked, event as Event)
      expect(outcome).toMatchObject({
        status: 'cancelled',
        phase: 'byOperator',
        error: { code: 'cancelled-by-operator', message: 'Cancelled: wrong file' },
      })
      expect(attempt!.outcome).toBe(end)
    }
  })

  it('beats retry: an error after the request never starts another attempt', () => {
    const asked = reach(job('running'), cancel()).live!
    expect(reach(asked, errored({ verdict: 'transient' })).outcome!.status).toBe('cancelled')
    expect(reach(asked, errored({ verdict: 'permanent' })).outcome!.status).toBe('cancelled')
    expect(reach(asked, errored({ verdict: 'review' })).outcome!.status).toBe('cancelled')
  })

  it('loses against a finish, and says completed', () => {
    const asked = reach(job('running'), cancel()).live!
    expect(reach(asked, { type: 'succeeded', actor: WORKER, warnings: 1 }).outcome).toMatchObject({
      status: 'completed',
      phase: 'withWarnings',
      error: null,
    })
  })

  it('twice is no news, except that force is stronger', () => {
    const asked = reach(job('running'), cancel({ reason: 'first' })).live!
    expect(transition(asked, cancel(), NOW).ok).toBe(false)
    const forced = reach(asked, cancel({ mode: 'force', reason: 'now' })).live!
    expect(forced.why!.cancel).toEqual({ by: 'caller', reason: 'now', mode: 'force' })
    expect(transition(forced, cancel({ mode: 'force' }), NOW).ok).toBe(false)
  })

  it('of a parent says so', () => {
    expect(reach(job('waiting', { waitKind: 'child' }), cancel({ by: 'parent' })).outcome).toMatchObject({
      status: 'cancelled',
      phase: 'parentCancelled',
      error: { code: 'parent-cancelled', class: null, origin: null },
    })
  })

  it('reaches whatever waits or is paused, also before its first attempt', () => {
    for (const waitKind of WAIT_KINDS)
      expect(reach(job('waiting', { waitKind }), cancel()).outcome!.status, waitKind).toBe('cancelled')
    const held = job('queued', { held: 'order' })
    expect(reach(held, cancel()).outcome).toMatchObject({ status: 'cancelled', attempt: 0, startedAt: null })
  })

  it('beats a suspension and a move to another queue as well', () => {
    const asked = reach(job('running'), cancel()).live!
    for (const event of [suspended(), staged])
      expect(reach(asked, event)).toMatchObject({
        outcome: { status: 'cancelled', phase: 'byCaller' },
        attempt: { outcome: 'cancelled' },
      })
  })

  it('a request that came later and is sterner keeps when the first one came', () => {
    const first = reach(job('running'), cancel()).live!
    const second = reach(first, cancel({ mode: 'force' }), NOW + 700).live!
    expect(second).toMatchObject({ cancelAt: NOW, changedAt: NOW + 700 })
  })
})

describe('retryRequested', () => {
  it('skips the wait between attempts', () => {
    const waiting = job('queued', { ...BETWEEN, runAt: NOW + 60_000 })
    expect(reach(waiting, retry(false)).live).toMatchObject({
      state: 'queued',
      runAt: NOW,
      errors: 2,
      budgetFrom: waiting.budgetFrom,
    })
    expect(reach(waiting, retry(true)).live).toMatchObject({ runAt: NOW, errors: 0, losses: 0, budgetFrom: NOW })
  })

  it('resumes a review and nothing else that waits', () => {
    for (const waitKind of WAIT_KINDS) {
      const decision = transition(job('waiting', { waitKind }), retry(true), NOW)
      expect(decision.ok, waitKind).toBe(waitKind === 'review')
    }
  })

  it('does not start a scheduled job early, nor touch a running one', () => {
    expect(transition(job('queued', { runAt: NOW + 1000 }), retry(true), NOW).ok).toBe(false)
    expect(transition(job('running'), retry(true), NOW).ok).toBe(false)
  })

  it('is no way around a limit that holds it', () => {
    expect(reach(job('queued', { ...BETWEEN, held: 'concurrency' }), retry()).live).toMatchObject({
      held: 'concurrency',
      runAt: NOW,
    })
  })

  it('of a review takes back a pause that was asked for before: "now" is the later word', () => {
    const why = { ...PAUSED, error: errorInfo() }
    expect(reach(job('waiting', { why }), retry(false)).live).toMatchObject({ state: 'queued', why: { error: {} } })
  })
})

describe('deadlinePassed', () => {
  it('fails with the last error in the details', () => {
    const { outcome } = reach(job('queued', BETWEEN), deadline)
    expect(outcome).toMatchObject({
      status: 'failed',
      phase: 'deadline',
      error: { code: 'deadline-passed', details: { last: { code: 'busy', rule: 'default transient' } } },
    })
    expect(reach(job('queued'), deadline).outcome!.error!.details).toBeNull()
  })

  it('ends whatever waits, and what is paused; what runs is told by its worker', () => {
    for (const waitKind of WAIT_KINDS)
      expect(reach(job('waiting', { waitKind }), deadline).outcome, waitKind).toMatchObject({ phase: 'deadline' })
    for (const state of ['running', 'cancelling', 'compensating'] as const)
      expect(refuses(job(state, { deadlineAt: NOW - 1 }), deadline), state).toBe(true)
  })
})
