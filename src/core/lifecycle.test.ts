import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  checkDecision,
  DAY,
  EVENT_TYPES,
  EVENTS,
  errorInfo,
  freeze,
  JOBS,
  NOW,
  PEOPLE,
  REJECTED,
  SYSTEM,
  WORKER,
} from '../testing/fixtures/lifecycle.js'
import { FINAL_STATES, type JobState, LIVE_STATES, type LiveJob, type Status } from './job.js'
import { accepted, type Event, type EventType, newLive, statusOf, TRANSITIONS, transition } from './lifecycle.js'

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
        const name = `${from.state} + ${event.type}`
        expect(rule!.to, name).toContain(to)
        seen.set(name, (seen.get(name) ?? new Set()).add(to))
        checkDecision(from, event, NOW, decision)
      }
    }
    expect(moves).toBeGreaterThan(2000)
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
        'queued + cancelRequested → cancelled | compensating',
        'queued + stopped → failed | cancelled | compensating',
        'queued + retryRequested → queued',
        'queued + pauseRequested → waiting',
        'queued + deadlinePassed → failed | compensating',
        'queued + overridden → completed | failed | cancelled',
        'running + succeeded → completed',
        'running + errored → queued | waiting | failed | compensating',
        'running + released → queued | waiting',
        'running + suspended → waiting',
        'running + staged → queued | waiting',
        'running + leaseExpired → queued | waiting',
        'running + cancelRequested → cancelling',
        'running + stopped → cancelling',
        'running + pauseRequested → running',
        'running + resumeRequested → running',
        'running + overridden → completed | failed | cancelled',
        'waiting + woken → queued | waiting',
        'waiting + cancelRequested → cancelled | compensating',
        'waiting + stopped → failed | cancelled | compensating',
        'waiting + retryRequested → queued | compensating',
        'waiting + pauseRequested → waiting',
        'waiting + resumeRequested → queued | waiting',
        'waiting + deadlinePassed → failed | compensating',
        'waiting + overridden → completed | failed | cancelled',
        'cancelling + succeeded → completed',
        'cancelling + errored → cancelled | failed | compensating',
        'cancelling + released → cancelled | failed | compensating',
        'cancelling + suspended → cancelled | failed | compensating',
        'cancelling + staged → cancelled | failed | compensating',
        'cancelling + leaseExpired → cancelled | failed | compensating',
        'cancelling + cancelRequested → cancelling',
        'cancelling + overridden → completed | failed | cancelled',
        'compensating + claimed → compensating',
        'compensating + undone → completed | failed | cancelled',
        'compensating + errored → compensating | waiting',
        'compensating + released → compensating',
        'compensating + leaseExpired → compensating | waiting',
        'compensating + retryRequested → compensating',
        'compensating + overridden → completed | failed | cancelled',
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

  it('what only the holder of the lease can say is refused of a job that nobody holds', () => {
    const said = EVENTS.filter(({ type }) =>
      ['succeeded', 'errored', 'released', 'suspended', 'staged', 'leaseExpired', 'undone'].includes(type),
    )
    for (const from of JOBS.filter(({ worker }) => worker === null))
      for (const event of said)
        expect(transition(from, event, NOW, { epoch: from.epoch }).ok, `${from.state} + ${event.type}`).toBe(false)
  })

  it('a lost lease alone never leads to failed: only where it was asked for before', () => {
    for (const from of JOBS) {
      for (const event of EVENTS.filter(({ type }) => type === 'leaseExpired')) {
        const decision = transition(from, event, NOW)
        if (decision.ok && decision.outcome?.status === 'failed') expect(from.why?.cancel?.end?.status).toBe('failed')
      }
    }
  })

  it('an error, a deadline, a no, a person or the end of undoing lead to failed, and nothing else does', () => {
    const causes = Object.entries(TRANSITIONS).flatMap(([state, row]) =>
      Object.entries(row)
        .filter(([, rule]) => rule.to.includes('failed') && state !== 'cancelling')
        .map(([event]) => event),
    )
    expect([...new Set(causes)].sort()).toEqual(['deadlinePassed', 'errored', 'overridden', 'stopped', 'undone'])
  })

  it('a job is completed by its handler, by a person, or by undoing what another one did; never by anything else', () => {
    const causes = Object.values(TRANSITIONS).flatMap((row) =>
      Object.entries(row)
        .filter(([, rule]) => rule.to.includes('completed'))
        .map(([event]) => event),
    )
    expect([...new Set(causes)].sort()).toEqual(['overridden', 'succeeded', 'undone'])
    for (const from of JOBS) {
      for (const event of EVENTS.filter(({ type }) => type === 'undone')) {
        const decision = transition(from, event, NOW)
        if (decision.ok && decision.outcome) expect(decision.outcome.status).toBe(from.why!.undo!.status)
      }
    }
  })
})

describe('the history entry', () => {
  it('carries the reason, and what the event brought along', () => {
    const running = JOBS.find(({ state }) => state === 'running')!
    const entry = (event: Event, from = running) => {
      const decision = transition(from, event, NOW)
      if (!decision.ok) throw new Error(decision.reason)
      return decision.history
    }
    const wait = { id: 'answer', title: 'Waiting for an answer.', dueAt: 5 }
    expect(entry({ type: 'suspended', actor: WORKER, waitKind: 'signal', wakeAt: 5, wait })).toMatchObject({
      state: 'waiting',
      phase: 'signal',
      details: { waitKind: 'signal', ...wait },
    })
    expect(entry({ type: 'staged', actor: WORKER, stage: 'render', queue: 'gpu', lane: 'gpu/t/d' }).details).toEqual({
      stage: 'render',
      queue: 'gpu',
    })
    expect(entry({ type: 'released', actor: WORKER, reason: 'shutdown' })).toMatchObject({
      reason: 'shutdown',
      details: null,
    })
    expect(entry({ type: 'released', actor: WORKER, details: { host: 'a' } }).details).toEqual({ host: 'a' })
    const waiting = JOBS.find(({ waitKind }) => waitKind === 'signal')!
    expect(entry({ type: 'woken', actor: PEOPLE, by: 'signal answer' }, waiting).details).toEqual({
      by: 'signal answer',
    })
    const undoing = JOBS.find(({ state, worker }) => state === 'compensating' && worker !== null)!
    expect(entry({ type: 'undone', actor: WORKER, steps: ['b', 'a'], partial: ['c'] }, undoing)).toMatchObject({
      details: { undone: ['b', 'a'], notUndone: ['c'] },
    })
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
      ...{ held: null, ties: 0, undo: 0, why: null },
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
  const says = <E extends EventType, T extends object>(
    type: E,
    actor: typeof WORKER,
    more?: { [K in keyof T]: fc.Arbitrary<T[K]> },
  ) => fc.record({ type: fc.constant(type), actor: fc.constant(actor), ...more }) as unknown as fc.Arbitrary<Event>
  const arbitraryEvent: fc.Arbitrary<Event> = fc.oneof(
    { weight: 8, arbitrary: says('claimed', WORKER, { worker: pick('a', 'b') }) },
    says('succeeded', WORKER, { warnings: pick(0, 1) }),
    {
      weight: 4,
      arbitrary: says('errored', WORKER, {
        verdict: pick('transient', 'transient', 'permanent', 'review'),
        error: fc.constant(errorInfo()),
        retry: arbitraryPolicy,
        jitter,
        retryAfterMs: pick(0, 0, 100_000),
        scope: pick(null, null, 'a', 'b'),
      }),
    },
    says('released', WORKER),
    {
      weight: 2,
      arbitrary: says('suspended', WORKER, {
        waitKind: pick('approval', 'signal', 'timer', 'child'),
        wakeAt: pick(null, NOW + 1000),
        wait: fc.constant({ id: 'w', title: 'Waits.', dueAt: null }),
      }),
    },
    { weight: 3, arbitrary: says('woken', SYSTEM, { by: fc.constant('signal') }) },
    says('staged', WORKER, { stage: pick('s1', 's2'), queue: pick('gpu'), lane: pick('gpu/t/d', 'q/t/d') }),
    { weight: 2, arbitrary: says('leaseExpired', SYSTEM, { maxLost: pick(1, 3), jitter }) },
    says('cancelRequested', PEOPLE, {
      by: pick('caller', 'operator'),
      reason: pick(null, 'no'),
      mode: pick('graceful', 'force'),
      compensate: pick(true, true, false),
    }),
    says(
      'stopped',
      PEOPLE,
      Object.fromEntries(Object.entries(REJECTED).map(([key, value]) => [key, fc.constant(value)])),
    ),
    { weight: 2, arbitrary: says('retryRequested', PEOPLE, { resetAttempts: fc.boolean() }) },
    says('pauseRequested', PEOPLE),
    { weight: 2, arbitrary: says('resumeRequested', PEOPLE) },
    says('deadlinePassed', SYSTEM),
    { weight: 4, arbitrary: says('undone', WORKER, { steps: pick([], ['charge']), partial: pick([], ['mail']) }) },
  )
  const arbitraryScript = fc.array(
    fc.record({ event: arbitraryEvent, pause: fc.nat(400_000), records: pick(false, true) }),
    { minLength: 10, maxLength: 60 },
  )

  it('keeps history gapless, epochs rising, counters honest and the end final', () => {
    const ends = new Set<EventType>()
    let undos = 0
    fc.assert(
      fc.property(arbitraryScript, (script) => {
        let now = NOW
        let row: LiveJob | null = newLive('j', 'q/t/d', 2, now, { runAt: null, deadlineAt: null, escalateAt: null })
        const seqs = [1]
        const epochs = new Set<number>()
        let last: Status = statusOf(row)
        for (const { event, pause, records } of script) {
          now += pause
          // What the store does when a step is recorded that must be undone.
          if (records && row.state === 'running') row = { ...row, undo: 1, revision: row.revision + 1 }
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
          if (row.state !== 'compensating' && decision.live.state === 'compensating') undos++
          row = decision.live
        }
        expect(seqs).toEqual(seqs.map((_, i) => i + 1))
      }),
      { numRuns: 600, seed: 20261122 },
    )
    expect(undos).toBeGreaterThan(60)
    expect([...ends].sort()).toEqual(
      [
        ...['cancelRequested', 'deadlinePassed', 'errored', 'leaseExpired', 'released', 'staged', 'stopped'],
        ...['succeeded', 'suspended', 'undone'],
      ].sort(),
    )
  })

  it('no job is stuck: from wherever it got to, time, workers and people bring it to its end', () => {
    fc.assert(
      fc.property(arbitraryScript, (script) => {
        let now = NOW
        let row: LiveJob = newLive('j', 'q/t/d', 2, now, { runAt: null, deadlineAt: null, escalateAt: null })
        for (const { event, pause, records } of script) {
          now += pause
          if (records && row.state === 'running') row = { ...row, undo: 1 }
          const decision = transition(row, event, now)
          if (!decision.ok) continue
          if (!decision.live) return
          row = decision.live
        }
        const help: Event[] = [
          { type: 'undone', actor: WORKER, steps: ['charge'], partial: [] },
          { type: 'succeeded', actor: WORKER, warnings: 0 },
          { type: 'claimed', actor: WORKER, worker: 'last' },
          { type: 'woken', actor: SYSTEM, by: 'signal' },
          { type: 'resumeRequested', actor: PEOPLE },
          { type: 'retryRequested', actor: PEOPLE, resetAttempts: true },
        ]
        for (let i = 0; i < 10; i++) {
          now += DAY * 4
          const decision = help.map((event) => transition(row, event, now)).find(({ ok }) => ok)
          if (!decision?.ok) throw new Error(`Nothing leads out of ${row.state}, ${row.waitKind}.`)
          if (!decision.live) return
          row = decision.live
        }
        throw new Error(`It is still ${row.state} after ten events.`)
      }),
      { numRuns: 500, seed: 20261123 },
    )
  })
})
