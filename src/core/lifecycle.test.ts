import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RetryPolicy } from './backoff.js'
import {
  type Actor,
  ATTEMPT_ENDS,
  type ErrorInfo,
  FINAL_STATES,
  type JobState,
  LIVE_STATES,
  type LiveJob,
  type Status,
  type WaitKind,
} from './job.js'
import {
  accepted,
  type Decision,
  type Event,
  type EventType,
  isFinal,
  newLive,
  phaseOf,
  statusOf,
  TRANSITIONS,
  transition,
} from './lifecycle.js'

const NOW = 1_000_000
const DAY = 86_400_000
const WORKER: Actor = { kind: 'worker', id: 'w-1' }
const PEOPLE: Actor = { kind: 'user', id: 'u-1' }
const SYSTEM: Actor = { kind: 'system', id: 'engine' }

const policy = (more: Partial<RetryPolicy> = {}): RetryPolicy => ({
  withinMs: DAY,
  attempts: null,
  fromMs: 1000,
  toMs: 300_000,
  factor: 2,
  onExhausted: 'fail',
  ...more,
})
const errorInfo = (more: Partial<ErrorInfo> = {}): ErrorInfo => ({
  code: 'busy',
  class: 'transient',
  message: 'The licence server is busy',
  messages: ['The licence server is busy'],
  step: null,
  rule: 'default transient',
  details: null,
  attempts: 1,
  occurredAt: NOW,
  ...more,
})
const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null)
    for (const inner of Object.values(Object.freeze(value))) freeze(inner)
  return value
}

/** A live row in some state, as transition() itself would have left it. */
function job(state: JobState, more: Partial<LiveJob> = {}): LiveJob {
  const born = newLive('job-1', 'default/t/default', 2, NOW - 5000, { runAt: null, deadlineAt: null, escalateAt: null })
  const begun: Partial<LiveJob> = { startedAt: NOW - 4000, attempt: 1, epoch: 1, version: 3, revision: 7 }
  const busy = { ...begun, worker: 'w-1', attemptAt: NOW - 4000 }
  const by: Record<JobState, Partial<LiveJob>> = {
    queued: {},
    running: busy,
    waiting: { ...begun, waitKind: 'review' },
    cancelling: { ...busy, cancelAt: NOW - 10 },
    completed: begun,
    failed: begun,
    cancelled: begun,
  }
  return freeze({ ...born, ...by[state], state: state as LiveJob['state'], ...more })
}

const WAIT_KINDS: WaitKind[] = ['approval', 'review', 'signal', 'pause', 'timer', 'child']
const begunQueued = { startedAt: NOW - 4000, attempt: 2, epoch: 2, errors: 2, version: 6, why: { error: errorInfo() } }

/** Every state with the variants that its rules look at. */
const JOBS: readonly LiveJob[] = [
  job('queued'),
  job('queued', { runAt: NOW + 1000 }),
  job('queued', begunQueued),
  job('queued', { ...begunQueued, runAt: NOW + 60_000 }),
  job('queued', { deadlineAt: NOW - 1 }),
  ...[0, 2, 3].flatMap((errors) =>
    [0, 1, 2].map((losses) => job('running', { errors, losses, attempt: errors + losses + 1 })),
  ),
  job('running', { deadlineAt: NOW + 500 }),
  job('running', { deadlineAt: NOW + DAY * 2 }),
  job('running', { why: { error: errorInfo() } }),
  ...WAIT_KINDS.map((waitKind) => job('waiting', { waitKind, losses: 3, errors: 4 })),
  job('cancelling'),
  ...(['graceful', 'force'] as const).map((mode) =>
    job('cancelling', { why: { cancel: { by: 'operator', reason: 'wrong file', mode } } }),
  ),
  ...FINAL_STATES.map((state) => job(state)),
]

/** Every event with the payloads that decide something. */
const EVENTS: readonly Event[] = [
  { type: 'claimed', actor: WORKER, worker: 'w-2' },
  ...[0, 2].map((warnings): Event => ({ type: 'succeeded', actor: WORKER, warnings })),
  ...(['transient', 'permanent', 'review'] as const).flatMap((verdict) =>
    ['busy', 'deadline-passed'].flatMap((code) =>
      [
        policy(),
        policy({ attempts: 1 }),
        policy({ attempts: 3 }),
        policy({ withinMs: 0 }),
        policy({ attempts: 1, onExhausted: 'review' }),
      ].flatMap((retry) =>
        [0, 0.999].flatMap((jitter) =>
          [0, 5000, DAY * 3].map((retryAfterMs): Event => {
            const error = errorInfo({ code, class: verdict })
            return { type: 'errored', actor: WORKER, verdict, error, retry, jitter, retryAfterMs }
          }),
        ),
      ),
    ),
  ),
  { type: 'released', actor: WORKER },
  ...[1, 3].flatMap((maxLost) =>
    [0, 0.99].map((jitter): Event => ({ type: 'leaseExpired', actor: SYSTEM, maxLost, jitter })),
  ),
  ...(['caller', 'operator'] as const).flatMap((by) =>
    (['graceful', 'force'] as const).map(
      (mode): Event => ({ type: 'cancelRequested', actor: PEOPLE, by, reason: 'wrong file', mode }),
    ),
  ),
  ...[true, false].map((resetAttempts): Event => ({ type: 'retryRequested', actor: PEOPLE, resetAttempts })),
  { type: 'deadlinePassed', actor: SYSTEM },
]
const EVENT_TYPES = [...new Set(EVENTS.map((event) => event.type))]

/** http-contract 2.1: what a reader may see follow what. */
const PUBLIC_MOVES: Record<Status, readonly Status[]> = {
  accepted: ['accepted', 'processing', 'blocked', 'cancelled', 'failed'],
  processing: ['processing', 'blocked', 'completed', 'failed', 'cancelled'],
  blocked: ['blocked', 'processing', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
}
const FINAL_PHASES: Record<string, readonly string[]> = {
  completed: ['clean', 'withWarnings'],
  failed: ['permanent', 'exhausted', 'deadline'],
  cancelled: ['byCaller', 'byOperator'],
}

/** What holds for every accepted transition, whatever the event. */
function checkDecision(from: LiveJob, event: Event, now: number, decision: Decision): void {
  const { live, outcome, attempt, history } = decision
  const to: JobState = live ? live.state : outcome!.status
  expect((live === null) !== (outcome === null)).toBe(true)
  expect(history).toMatchObject({ seq: from.version + 1, at: now, event: event.type, state: to, actor: event.actor })
  expect((live ?? outcome!).version).toBe(from.version + 1)
  expect((live ?? outcome!).revision).toBe(from.revision + 1)
  const claimed = event.type === 'claimed'
  expect((live ?? outcome!).epoch).toBe(from.epoch + (claimed ? 1 : 0))
  expect((live ?? outcome!).attempt).toBe(from.attempt + (claimed ? 1 : 0))

  const busy = (state: JobState) => state === 'running' || state === 'cancelling'
  if (busy(from.state) && !busy(to)) {
    expect(attempt).toMatchObject({
      jobId: from.id,
      attempt: from.attempt,
      epoch: from.epoch,
      worker: from.worker,
      startedAt: from.attemptAt,
      endedAt: now,
    })
    expect(ATTEMPT_ENDS).toContain(attempt!.outcome)
    if (attempt!.outcome === 'ok') expect(attempt!.error).toBeNull()
    if (event.type === 'errored') expect(attempt!.error).toEqual(event.error)
  } else expect(attempt).toBeNull()

  const before = statusOf(from)
  const reached = outcome ? outcome.status : statusOf(live!)
  expect(PUBLIC_MOVES[before]).toContain(reached)

  if (live) {
    // The CHECK constraints of the live table.
    expect(live.state === 'waiting').toBe(live.waitKind !== null)
    expect(busy(live.state)).toBe(live.worker !== null)
    expect(busy(live.state)).toBe(live.attemptAt !== null)
    expect(live).toMatchObject({
      id: from.id,
      lane: from.lane,
      level: from.level,
      deadlineAt: from.deadlineAt,
      changedAt: now,
    })
    expect(live.startedAt).toBe(from.startedAt ?? (claimed ? now : null))
    expect(history.phase).toBe(phaseOf(live, now))
    const resets = event.type === 'retryRequested' && event.resetAttempts
    if (resets) expect(live).toMatchObject({ errors: 0, losses: 0, budgetFrom: now })
    else {
      expect(live.errors).toBeGreaterThanOrEqual(from.errors)
      expect(live.losses).toBeGreaterThanOrEqual(from.losses)
      expect(live.budgetFrom).toBe(from.budgetFrom)
    }
    if (live.state === 'queued') expect(live.runAt).toBeGreaterThanOrEqual(now)
  } else {
    expect(outcome).toMatchObject({ jobId: from.id, startedAt: from.startedAt, finishedAt: now })
    expect(FINAL_PHASES[outcome!.status]).toContain(outcome!.phase)
    expect(history.phase).toBe(outcome!.phase)
    expect(outcome!.error === null).toBe(outcome!.status === 'completed')
    if (outcome!.status === 'cancelled') expect(outcome!.error!.class).toBeNull()
  }
}

describe('the table', () => {
  it('next stays inside to, every declared target occurs, and what it leads to is sound', () => {
    const seen = new Map<string, Set<JobState>>()
    let moves = 0
    for (const from of JOBS) {
      for (const event of EVENTS) {
        const rule = TRANSITIONS[from.state][event.type]
        const decision = transition(from, freeze(event), NOW)
        if (!decision.ok) {
          expect(decision).toEqual({ ok: false, reason: 'illegal-transition' })
          continue
        }
        moves++
        const to = decision.live ? decision.live.state : decision.outcome!.status
        expect(rule!.to, `${from.state} + ${event.type}`).toContain(to)
        const name = `${from.state} + ${event.type}`
        seen.set(name, (seen.get(name) ?? new Set()).add(to))
        checkDecision(from, event, NOW, decision)
      }
    }
    expect(moves).toBeGreaterThan(1000)
    for (const state of [...LIVE_STATES, ...FINAL_STATES]) {
      for (const type of EVENT_TYPES) {
        const rule = TRANSITIONS[state][type]
        expect([...(seen.get(`${state} + ${type}`) ?? [])].sort(), `${state} + ${type}`).toEqual(
          [...(rule?.to ?? [])].sort(),
        )
      }
    }
  })

  it('has exactly the moves of the design, and none out of a final state', () => {
    const declared = [...LIVE_STATES, ...FINAL_STATES].flatMap((state) =>
      Object.entries(TRANSITIONS[state]).map(([event, rule]) => `${state} + ${event} → ${rule.to.join(' | ')}`),
    )
    expect(declared.sort()).toEqual(
      [
        'queued + claimed → running',
        'queued + cancelRequested → cancelled',
        'queued + retryRequested → queued',
        'queued + deadlinePassed → failed',
        'running + succeeded → completed',
        'running + errored → queued | waiting | failed',
        'running + released → queued',
        'running + leaseExpired → queued | waiting',
        'running + cancelRequested → cancelling',
        'waiting + cancelRequested → cancelled',
        'waiting + retryRequested → queued',
        'waiting + deadlinePassed → failed',
        'cancelling + succeeded → completed',
        'cancelling + errored → cancelled',
        'cancelling + released → cancelled',
        'cancelling + leaseExpired → cancelled',
        'cancelling + cancelRequested → cancelling',
      ].sort(),
    )
    for (const state of FINAL_STATES) expect(TRANSITIONS[state]).toEqual({})
  })

  it('refuses a stale fence before anything else, and takes a true one', () => {
    for (const from of JOBS) {
      for (const event of EVENT_TYPES.map((type) => EVENTS.find((one) => one.type === type)!)) {
        for (const fence of [
          { epoch: from.epoch - 1 },
          { epoch: from.epoch + 1 },
          { version: from.version - 1 },
          { version: from.version + 1 },
        ]) {
          expect(transition(from, event, NOW, fence)).toEqual({ ok: false, reason: 'stale-lease' })
        }
        const free = transition(from, event, NOW)
        expect(transition(from, event, NOW, { epoch: from.epoch })).toEqual(free)
        expect(transition(from, event, NOW, { version: from.version })).toEqual(free)
      }
    }
  })

  it('a lost lease alone never leads to failed, and nothing but an error or a deadline does', () => {
    const causes = Object.values(TRANSITIONS).flatMap((row) =>
      Object.entries(row)
        .filter(([, rule]) => rule.to.includes('failed'))
        .map(([event]) => event),
    )
    expect([...new Set(causes)].sort()).toEqual(['deadlinePassed', 'errored'])
  })
})

/** The decision of one event, which must be accepted. */
function reach(from: LiveJob, event: Event, now = NOW): Decision {
  const decision = transition(from, event, now)
  if (!decision.ok) throw new Error(`${from.state} + ${event.type}: ${decision.reason}`)
  return decision
}
const errored = (more: Partial<Extract<Event, { type: 'errored' }>> = {}): Event => ({
  type: 'errored',
  actor: WORKER,
  verdict: 'transient',
  error: errorInfo(),
  retry: policy(),
  jitter: 0.5,
  retryAfterMs: 0,
  ...more,
})

describe('claimed', () => {
  it('starts the first attempt and keeps startedAt for ever', () => {
    const first = reach(job('queued'), { type: 'claimed', actor: WORKER, worker: 'w-9' })
    expect(first.live).toMatchObject({
      state: 'running',
      worker: 'w-9',
      epoch: 1,
      attempt: 1,
      startedAt: NOW,
      attemptAt: NOW,
    })
    const again = reach(job('queued', begunQueued), { type: 'claimed', actor: WORKER, worker: 'w-9' })
    expect(again.live).toMatchObject({ epoch: 3, attempt: 3, startedAt: NOW - 4000, attemptAt: NOW })
  })

  it('never before runAt, and exactly at it', () => {
    const event: Event = { type: 'claimed', actor: WORKER, worker: 'w' }
    expect(transition(job('queued', { runAt: NOW + 1 }), event, NOW).ok).toBe(false)
    expect(transition(job('queued', { runAt: NOW }), event, NOW).ok).toBe(true)
  })

  it('not once the deadline has passed: such a job only fails', () => {
    const event: Event = { type: 'claimed', actor: WORKER, worker: 'w' }
    expect(transition(job('queued', { deadlineAt: NOW }), event, NOW)).toEqual({
      ok: false,
      reason: 'illegal-transition',
    })
    expect(transition(job('queued', { deadlineAt: NOW + 1 }), event, NOW).ok).toBe(true)
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
})

describe('leaseExpired', () => {
  const lost = (more = {}): Event => ({ type: 'leaseExpired', actor: SYSTEM, maxLost: 3, jitter: 0.5, ...more })

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

describe('cancel', () => {
  const cancel = (more = {}): Event => ({
    type: 'cancelRequested',
    actor: PEOPLE,
    by: 'caller',
    reason: null,
    mode: 'graceful',
    ...more,
  })

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
})

describe('retryRequested', () => {
  const retry = (resetAttempts: boolean): Event => ({ type: 'retryRequested', actor: PEOPLE, resetAttempts })

  it('skips the wait between attempts', () => {
    const waiting = job('queued', { ...begunQueued, runAt: NOW + 60_000 })
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
})

describe('deadlinePassed', () => {
  it('fails with the last error in the details', () => {
    const { outcome } = reach(job('queued', begunQueued), { type: 'deadlinePassed', actor: SYSTEM })
    expect(outcome).toMatchObject({
      status: 'failed',
      phase: 'deadline',
      error: { code: 'deadline-passed', details: { last: { code: 'busy', rule: 'default transient' } } },
    })
    expect(reach(job('queued'), { type: 'deadlinePassed', actor: SYSTEM }).outcome!.error!.details).toBeNull()
  })
})

describe('status and phase', () => {
  const queued = { runAt: NOW, startedAt: null, errors: 0, losses: 0 }
  const table: [string, Partial<LiveJob>, Status, string][] = [
    ['queued', queued, 'accepted', 'queued'],
    ['queued', { ...queued, runAt: NOW + 1 }, 'accepted', 'scheduled'],
    ['queued', { startedAt: NOW, errors: 1 }, 'processing', 'retrying'],
    ['queued', { startedAt: NOW, losses: 1 }, 'processing', 'retrying'],
    ['queued', { startedAt: NOW, errors: 0, losses: 0, runAt: NOW + 9 }, 'processing', 'running'],
    ['running', {}, 'processing', 'running'],
    ['cancelling', {}, 'processing', 'cancelling'],
    ['waiting', { waitKind: 'approval' }, 'blocked', 'approval'],
    ['waiting', { waitKind: 'review' }, 'blocked', 'review'],
    ['waiting', { waitKind: 'signal' }, 'blocked', 'signal'],
    ['waiting', { waitKind: 'pause' }, 'blocked', 'pause'],
    ['waiting', { waitKind: 'timer' }, 'processing', 'waiting'],
    ['waiting', { waitKind: 'child' }, 'processing', 'waiting'],
  ]
  it.each(table)('%s %o is %s / %s', (state, more, status, phase) => {
    const row = job(state as JobState, more)
    expect(statusOf(row)).toBe(status)
    expect(phaseOf(row, NOW)).toBe(phase)
  })

  it('isFinal tells the final states', () => {
    expect([...LIVE_STATES, ...FINAL_STATES].filter(isFinal)).toEqual([...FINAL_STATES])
  })
})

describe('a new job', () => {
  it('starts queued at version 1, never before now, with its budget from runAt', () => {
    const times = { runAt: NOW + 500, deadlineAt: NOW + 900, escalateAt: null }
    const live = newLive('j', 'q/t/d', 1, NOW, times)
    expect(live).toMatchObject({
      state: 'queued',
      version: 1,
      revision: 1,
      epoch: 0,
      attempt: 0,
      budgetFrom: NOW + 500,
    })
    expect(newLive('j', 'q/t/d', 1, NOW, { ...times, runAt: NOW - 5 })).toMatchObject({ runAt: NOW, budgetFrom: NOW })
    expect(accepted(live, PEOPLE)).toMatchObject({
      seq: 1,
      at: NOW,
      event: 'submitted',
      phase: 'scheduled',
      actor: PEOPLE,
    })
  })
})

describe('any sequence of events', () => {
  const pick = <T>(...values: T[]) => fc.constantFrom(...values)
  const arbitraryPolicy = fc.record({
    withinMs: pick(0, 1000, 60_000, DAY),
    attempts: pick(null, 1, 2, 5),
    fromMs: pick(0, 10, 1000),
    toMs: pick(1000, 300_000),
    factor: pick(1, 2, 10),
    onExhausted: pick('fail' as const, 'review' as const),
  })
  const jitter = fc.double({ min: 0, max: 0.999999, noNaN: true })
  const arbitraryEvent: fc.Arbitrary<Event> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('claimed' as const),
        actor: fc.constant(WORKER),
        worker: pick('a', 'b'),
      }),
    },
    fc.record({ type: fc.constant('succeeded' as const), actor: fc.constant(WORKER), warnings: pick(0, 1) }),
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('errored' as const),
        actor: fc.constant(WORKER),
        verdict: pick('transient' as const, 'transient' as const, 'permanent' as const, 'review' as const),
        error: fc.constant(errorInfo()),
        retry: arbitraryPolicy,
        jitter,
        retryAfterMs: pick(0, 0, 100_000),
      }),
    },
    fc.record({ type: fc.constant('released' as const), actor: fc.constant(WORKER) }),
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('leaseExpired' as const),
        actor: fc.constant(SYSTEM),
        maxLost: pick(1, 3),
        jitter,
      }),
    },
    fc.record({
      type: fc.constant('cancelRequested' as const),
      actor: fc.constant(PEOPLE),
      by: pick('caller' as const, 'operator' as const),
      reason: pick(null, 'no'),
      mode: pick('graceful' as const, 'force' as const),
    }),
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('retryRequested' as const),
        actor: fc.constant(PEOPLE),
        resetAttempts: fc.boolean(),
      }),
    },
    fc.record({ type: fc.constant('deadlinePassed' as const), actor: fc.constant(SYSTEM) }),
  )

  it('keeps history gapless, epochs rising, counters honest and the end final', () => {
    const ends = new Set<EventType>()
    fc.assert(
      fc.property(fc.array(fc.tuple(arbitraryEvent, fc.nat(400_000)), { maxLength: 40 }), (script) => {
        let now = NOW
        let row: LiveJob | null = newLive('j', 'q/t/d', 2, now, { runAt: null, deadlineAt: null, escalateAt: null })
        const seqs = [1]
        const epochs = new Set<number>()
        let last: Status = statusOf(row)
        for (const [event, pause] of script) {
          now += pause
          const decision = transition(freeze(row), event, now)
          if (!decision.ok) continue
          checkDecision(row, event, now, decision)
          seqs.push(decision.history.seq)
          if (decision.attempt) {
            expect(epochs.has(decision.attempt.epoch)).toBe(false)
            epochs.add(decision.attempt.epoch)
          }
          const status: Status = decision.outcome ? decision.outcome.status : statusOf(decision.live!)
          if (last !== 'accepted') expect(status).not.toBe('accepted')
          last = status
          if (!decision.live) {
            const { outcome } = decision
            const dead = { ...row, state: outcome!.status as never, version: outcome!.version }
            for (const other of EVENTS) expect(transition(dead, other, now).ok).toBe(false)
            expect(epochs.size).toBe(outcome!.epoch)
            ends.add(event.type)
            break
          }
          row = decision.live
        }
        expect(seqs).toEqual(seqs.map((_, i) => i + 1))
      }),
      { numRuns: 400, seed: 20261122 },
    )
    expect([...ends].sort()).toEqual([
      'cancelRequested',
      'deadlinePassed',
      'errored',
      'leaseExpired',
      'released',
      'succeeded',
    ])
  })
})
