/** Ends on hold: steps are undone first; and the two ends that people set, a no and an override. */
import { describe, expect, it } from 'vitest'
import {
  AT_WORK,
  BETWEEN,
  cancel,
  claimed,
  DAY,
  deadline,
  EVENTS,
  errored,
  errorInfo,
  HELD_END,
  JOBS,
  job,
  lost,
  NOW,
  PAUSED,
  PEOPLE,
  pauseIt,
  policy,
  REJECTED,
  reach,
  refuses,
  released,
  resumeIt,
  retry,
  staged,
  stopped,
  succeeded,
  suspended,
  undone,
  WAIT_KINDS,
  WAITS,
  woken,
} from '../testing/fixtures/lifecycle.js'
import { FINAL_STATES, type LiveJob } from './job.js'
import { type Event, type EventOf, TRANSITIONS, transition } from './lifecycle.js'

const DUE = { undo: 1 }

describe('an end with steps to undo', () => {
  const error = errorInfo({ code: 'no-money', class: 'permanent' })
  const permanent = errored({ verdict: 'permanent', error })

  it('is put on hold: ready for a worker at once, under budgets of its own', () => {
    const from = job('running', { ...DUE, errors: 4, losses: 2, budgetFrom: NOW - DAY })
    const { live, outcome, attempt, history } = reach(from, permanent)
    expect(outcome).toBeNull()
    expect(live).toMatchObject({
      ...{ state: 'compensating', worker: null, runAt: NOW, errors: 0, losses: 0, budgetFrom: NOW, epoch: 1 },
      why: { undo: { status: 'failed', phase: 'permanent', error } },
    })
    expect(attempt).toMatchObject({ outcome: 'error', error, verdict: 'permanent' })
    expect(history).toMatchObject({ state: 'compensating', phase: 'compensating', error })
  })

  it('whatever the end: the plan says which, and the attempt says how it ended', () => {
    const shortly = { ...DUE, deadlineAt: NOW + 10 }
    const rejectedAt = {
      ...DUE,
      why: { cancel: { by: 'system' as const, reason: null, mode: 'graceful' as const, end: REJECTED } },
    }
    const table: [LiveJob, Event, object, string | null][] = [
      [
        job('running', DUE),
        errored({ retry: policy({ attempts: 1 }) }),
        { status: 'failed', phase: 'exhausted' },
        'error',
      ],
      [job('running', shortly), errored(), { status: 'failed', phase: 'deadline' }, 'error'],
      [job('queued', { ...BETWEEN, ...DUE }), cancel(), { status: 'cancelled', phase: 'byCaller' }, null],
      [job('queued', { ...BETWEEN, ...DUE }), stopped, { status: 'cancelled', phase: 'rejected' }, null],
      [job('queued', { ...BETWEEN, ...DUE }), deadline, { status: 'failed', phase: 'deadline' }, null],
      [job('waiting', DUE), cancel({ by: 'operator' }), { status: 'cancelled', phase: 'byOperator' }, null],
      [job('waiting', { ...DUE, waitKind: 'approval' }), stopped, { status: 'cancelled', phase: 'rejected' }, null],
      [
        job('waiting', { ...DUE, waitKind: 'pause', why: PAUSED }),
        deadline,
        { status: 'failed', phase: 'deadline' },
        null,
      ],
      [job('cancelling', DUE), errored(), { status: 'cancelled', phase: 'byCaller' }, 'cancelled'],
      [job('cancelling', DUE), released, { status: 'cancelled', phase: 'byCaller' }, 'cancelled'],
      [job('cancelling', DUE), suspended(), { status: 'cancelled', phase: 'byCaller' }, 'cancelled'],
      [job('cancelling', DUE), staged, { status: 'cancelled', phase: 'byCaller' }, 'cancelled'],
      [job('cancelling', DUE), lost(), { status: 'cancelled', phase: 'byCaller' }, 'lost'],
      [job('cancelling', rejectedAt), released, { status: 'cancelled', phase: 'rejected' }, 'cancelled'],
    ]
    for (const [from, event, plan, end] of table) {
      const { live, attempt } = reach(from, event)
      const name = `${from.state} ${from.waitKind} + ${event.type}`
      expect(live, name).toMatchObject({ state: 'compensating', worker: null, why: { undo: plan } })
      expect(attempt?.outcome ?? null, name).toBe(end)
    }
  })

  it('leaves nothing behind of what it waited for, of a pause, or of the budgets of steps', () => {
    const scopes = [{ name: 'a', errors: 1, from: NOW }]
    const behind = { waitKind: 'signal' as const, wakeAt: NOW + 9 }
    const why = { ...WAITS, ...PAUSED, behind, scopes, error: errorInfo(), stage: { name: 'render', queue: 'gpu' } }
    const { live } = reach(job('waiting', { ...DUE, waitKind: 'pause', why }), cancel())
    expect(live).toMatchObject({ waitKind: null, wakeAt: null })
    expect(Object.keys(live!.why!).sort()).toEqual(['error', 'stage', 'undo'])
  })

  it('a success undoes nothing, also when a cancel came first', () => {
    expect(reach(job('running', DUE), succeeded).outcome!.status).toBe('completed')
    expect(reach(job('cancelling', DUE), succeeded).outcome!.status).toBe('completed')
  })

  it('a cancel may say that nothing is to be undone', () => {
    const asIs = cancel({ compensate: false })
    expect(reach(job('queued', { ...BETWEEN, ...DUE }), asIs).outcome!.status).toBe('cancelled')
    expect(reach(job('waiting', DUE), asIs).outcome!.status).toBe('cancelled')
    const asked = reach(job('running', DUE), asIs).live!
    expect(asked.why!.cancel).toEqual({ by: 'caller', reason: null, mode: 'graceful', compensate: false })
    for (const event of [released, errored(), lost(), suspended()])
      expect(reach(asked, event).outcome!.status, event.type).toBe('cancelled')
    // A later, sterner request that says nothing of it does not change that.
    const forced = reach(asked, cancel({ mode: 'force' })).live!
    expect(reach(forced, released).outcome!.status).toBe('cancelled')
  })
})

describe('undoing', () => {
  const undoing = (more: Partial<LiveJob> = {}) => job('compensating', { ...AT_WORK, ...more })

  it('is claimed like any job, under the next epoch, also past the deadline and by a job that never began', () => {
    const { live, attempt } = reach(job('compensating', { deadlineAt: NOW - 1 }), claimed)
    expect(live).toMatchObject({ state: 'compensating', worker: 'w-9', epoch: 2, attempt: 2, attemptAt: NOW })
    expect(attempt).toBeNull()
    expect(refuses(live!, claimed)).toBe(true)
    expect(refuses(job('compensating', { runAt: NOW + 1 }), claimed)).toBe(true)
    const fresh = job('compensating', { startedAt: null, epoch: 0, attempt: 0 })
    expect(reach(fresh, claimed).live).toMatchObject({ epoch: 1, startedAt: NOW })
  })

  it('done, the end that was on hold is told, with what became of each step', () => {
    const { outcome, attempt } = reach(undoing(), undone())
    const compensation = { state: 'rolled-back', undone: ['charge'], notUndone: [] }
    expect(outcome).toMatchObject({
      ...{ status: 'failed', phase: 'permanent', attempt: 2, epoch: 2 },
      error: { ...HELD_END.error, details: { account: 7, compensation } },
    })
    expect(attempt).toMatchObject({ outcome: 'ok', error: null, verdict: null })
    expect(reach(undoing(), undone(['mail'])).outcome!.error!.details!.compensation).toEqual({
      ...{ state: 'partial', undone: ['charge'], notUndone: ['mail'] },
    })
  })

  it('each end comes back as it was', () => {
    const cancelledBy = reach(job('running', { undo: 1 }), cancel({ by: 'operator', reason: 'wrong file' })).live!
    const onHold = reach(reach(cancelledBy, released).live!, claimed).live!
    expect(reach(onHold, undone()).outcome).toMatchObject({
      ...{ status: 'cancelled', phase: 'byOperator' },
      error: { code: 'cancelled-by-operator', class: null, message: 'Cancelled: wrong file' },
    })
    const another = undoing({ why: { undo: { status: 'completed', phase: 'clean', error: null } } })
    expect(reach(another, undone()).outcome).toMatchObject({ status: 'completed', phase: 'clean', error: null })
  })

  it('an error is tried again with backoff and its own count, whatever the deadline', () => {
    let row = undoing({ deadlineAt: NOW })
    const waits = []
    for (let i = 0; i < 3; i++) {
      const { live, attempt } = reach(row, errored({ retry: policy({ attempts: 4 }) }))
      expect(live).toMatchObject({ state: 'compensating', worker: null, errors: i + 1, why: { undo: HELD_END } })
      expect(attempt).toMatchObject({ outcome: 'error', verdict: 'transient' })
      waits.push(attempt!.retryInMs)
      expect(live!.runAt).toBe(NOW + attempt!.retryInMs!)
      row = reach(live!, claimed, live!.runAt).live!
    }
    expect(waits).toEqual([500, 1000, 2000])
    expect(reach(row, errored({ retry: policy({ attempts: 4 }) })).live!.waitKind).toBe('review')
  })

  it('an undo with a budget of its own uses it up as well', () => {
    let row: LiveJob = undoing()
    const event = errored({ scope: 'charge', retry: policy({ attempts: 3 }) })
    let tries = 0
    for (; row.state === 'compensating' && tries < 20; tries++) {
      const { live } = reach(row, event)
      row = live!.state === 'compensating' ? reach(live!, claimed, live!.runAt).live! : live!
    }
    expect(tries).toBe(3)
    expect(row).toMatchObject({ waitKind: 'review', errors: 0, why: { scopes: [{ name: 'charge', errors: 3 }] } })
  })

  it('what cannot be undone waits for a person, never for the budget', () => {
    const error = errorInfo({ code: 'card-closed', class: 'permanent', step: 'charge', details: { card: 4 } })
    for (const verdict of ['permanent', 'review'] as const) {
      const { live, attempt } = reach(undoing(), errored({ verdict, error }))
      expect(live).toMatchObject({ state: 'waiting', waitKind: 'review', worker: null, why: { undo: HELD_END } })
      expect(live!.why!.error).toMatchObject({
        ...{ code: 'undo-failed', class: 'review', step: 'charge' },
        message: 'Undoing "charge" did not work: The licence server is busy',
        details: { card: 4, last: { code: 'card-closed', class: 'permanent' } },
      })
      expect(attempt).toMatchObject({ outcome: 'error', error, verdict })
    }
    const { live } = reach(undoing(), errored({ verdict: 'permanent' }))
    expect(live!.why!.error!.message).toMatch(/^Undoing its steps did not work/)
  })

  it('retry from that review goes back to undoing, with a fresh start or the old count', () => {
    const blocked = reach(undoing(), errored({ retry: policy({ attempts: 1 }) })).live!
    expect(reach(blocked, retry(true)).live).toMatchObject({
      ...{ state: 'compensating', waitKind: null, worker: null, runAt: NOW, errors: 0, why: { undo: HELD_END } },
    })
    expect(reach(blocked, retry(false)).live).toMatchObject({ state: 'compensating', errors: 1 })
  })

  it('retry skips a wait between tries, and touches none that is under way', () => {
    const between = job('compensating', { runAt: NOW + 60_000, errors: 2 })
    expect(reach(between, retry(false)).live).toMatchObject({ state: 'compensating', runAt: NOW, errors: 2 })
    expect(refuses(undoing(), retry())).toBe(true)
  })

  it('a lost worker is replaced; one that is lost too often is for a person to see', () => {
    const { live, attempt } = reach(undoing(), lost())
    expect(live).toMatchObject({
      state: 'compensating',
      worker: null,
      losses: 1,
      runAt: NOW + 50,
      why: { undo: HELD_END },
    })
    expect(attempt!.outcome).toBe('lost')
    const poison = reach(undoing({ losses: 2 }), lost()).live!
    expect(poison).toMatchObject({ waitKind: 'review', why: { undo: HELD_END, error: { code: 'poison' } } })
    expect(reach(poison, retry()).live!.state).toBe('compensating')
  })

  it('given back, it is ready at once and nothing is counted', () => {
    expect(reach(undoing({ errors: 2, losses: 1 }), released)).toMatchObject({
      live: { state: 'compensating', worker: null, runAt: NOW, errors: 2, losses: 1 },
      attempt: { outcome: 'released', error: null },
    })
  })

  it('an end that is told twice counts once: the epoch of the last worker says nothing any more', () => {
    const first = reach(job('running', { undo: 1 }), errored({ verdict: 'permanent' })).live!
    for (const again of [errored({ verdict: 'permanent' }), released, lost(), undone()])
      expect(transition(first, again, NOW, { epoch: first.epoch })).toEqual({ ok: false, reason: 'illegal-transition' })
    const back = reach(undoing(), errored()).live!
    for (const again of [errored(), released, lost(), undone()])
      expect(transition(back, again, NOW, { epoch: back.epoch }).ok, again.type).toBe(false)
  })

  it('neither deadlines nor cancels, pauses or refusals stop it, before or after an undo failed', () => {
    const halfUndone = job('waiting', { undo: 1, why: { undo: HELD_END } })
    for (const from of [undoing(), job('compensating'), halfUndone])
      for (const event of [deadline, cancel(), cancel({ mode: 'force' }), stopped, pauseIt, resumeIt, woken])
        expect(refuses(from, event), `${from.state} + ${event.type}`).toBe(true)
  })

  it('what is on hold has no deadline any more', () => {
    const { live } = reach(job('running', { undo: 1, deadlineAt: NOW + 5 }), errored({ verdict: 'permanent' }))
    expect(live!.deadlineAt).toBeNull()
  })
})

describe('stopped', () => {
  it('ends whatever does not run as it says, by policy', () => {
    const failed: Event = { type: 'stopped', actor: PEOPLE, ...REJECTED, status: 'failed', phase: 'permanent' }
    for (const from of [job('queued'), ...WAIT_KINDS.map((waitKind) => job('waiting', { waitKind }))]) {
      expect(reach(from, stopped).outcome).toMatchObject({
        ...{ status: 'cancelled', phase: 'rejected' },
        error: { code: 'approval-rejected', class: null, origin: 'policy', message: 'Nora said no.' },
      })
      expect(reach(from, failed).outcome).toMatchObject({
        ...{ status: 'failed', phase: 'permanent', error: { code: 'approval-rejected', class: 'permanent' } },
      })
    }
  })

  it('what runs is told first, and ends that way once its worker has let go', () => {
    const told = reach(job('running'), { ...stopped, reason: 'too dear' } as Event).live!
    expect(told).toMatchObject({ state: 'cancelling', worker: 'w-1', cancelAt: NOW })
    expect(told.why!.cancel).toEqual({ by: 'system', reason: 'too dear', mode: 'graceful', end: REJECTED })
    for (const event of [errored(), released, suspended(), staged, lost()])
      expect(reach(told, event), event.type).toMatchObject({
        outcome: { status: 'cancelled', phase: 'rejected', error: { code: 'approval-rejected' } },
        attempt: { outcome: event.type === 'leaseExpired' ? 'lost' : 'cancelled' },
      })
    expect(reach(told, succeeded).outcome!.status).toBe('completed')
  })

  it('a sterner cancel hurries it, and says whether steps are undone; the end stays the one that came first', () => {
    const told = reach(job('running', { undo: 1 }), stopped).live!
    const forced = reach(told, cancel({ mode: 'force', compensate: false })).live!
    expect(forced.why!.cancel).toMatchObject({ mode: 'force', end: REJECTED, compensate: false })
    expect(reach(forced, released).outcome).toMatchObject({ phase: 'rejected' })
    expect(reach(told, released).live!.state).toBe('compensating')
  })

  it('comes too late for what is being cancelled', () => {
    expect(refuses(job('cancelling'), stopped)).toBe(true)
  })
})

describe('overridden', () => {
  const overridden = (status: EventOf<'overridden'>['status'], more: Partial<EventOf<'overridden'>> = {}): Event => ({
    ...{ type: 'overridden', actor: PEOPLE, status, error: null, reason: 'paid by cheque' },
    ...more,
  })

  it('ends every unfinished job, in each way, and marks it for ever; a running attempt ends with it', () => {
    for (const from of JOBS.filter(({ state }) => !FINAL_STATES.includes(state as never))) {
      for (const status of FINAL_STATES) {
        const { outcome, attempt, history } = reach(from, overridden(status))
        expect(outcome, from.state).toMatchObject({ status, phase: 'overridden', epoch: from.epoch })
        expect(attempt?.outcome ?? null, from.state).toBe(from.worker === null ? null : 'cancelled')
        expect(history).toMatchObject({ event: 'overridden', phase: 'overridden', reason: 'paid by cheque' })
      }
    }
  })

  it('undoes nothing: whoever sets the end has seen to it', () => {
    expect(reach(job('running', { undo: 1 }), overridden('failed')).outcome!.status).toBe('failed')
  })

  it('tells the error that it was given, or says who set the end; a completed job has none', () => {
    const error = errorInfo({ code: 'written-off', class: 'permanent' })
    expect(reach(job('waiting'), overridden('failed', { error })).outcome!.error).toEqual(error)
    expect(reach(job('waiting'), overridden('completed', { error })).outcome!.error).toBeNull()
    expect(reach(job('waiting'), overridden('cancelled')).outcome!.error).toMatchObject({
      ...{ code: 'overridden', class: null, message: 'Set to cancelled by hand: paid by cheque' },
    })
    expect(reach(job('waiting'), overridden('failed')).outcome!.error).toMatchObject({ class: 'permanent' })
  })

  it('a finished job is finished', () => {
    for (const state of FINAL_STATES) {
      expect(TRANSITIONS[state]).toEqual({})
      for (const event of EVENTS) expect(refuses(job(state), event)).toBe(true)
    }
  })
})
