/**
 * How the table of lifecycle.ts decides: budgets, losses, deadlines, cancels, and whether steps must be undone before the
 * end. Pure functions of the row, the event and the instant.
 */
import { delayMs, type RetryPolicy } from './backoff.js'
import type { EventOf, Next } from './events.js'
import { type AttemptEnd, type Cancel, type ErrorInfo, type FinalState, type LiveJob, TIES, type Why } from './job.js'

/** A lost attempt waits a moment, so that a job that kills its workers cannot spin; the cap keeps recovery fast. */
const AFTER_LOSS: RetryPolicy = {
  withinMs: Infinity,
  attempts: null,
  fromMs: 100,
  toMs: 5_000,
  factor: 2,
  onExhausted: 'review',
}

export function claim(job: LiveJob, event: EventOf<'claimed'>, now: number): Next | null {
  if (job.worker !== null || (job.held !== null && job.held !== 'granted') || job.runAt > now) return null
  // Past its deadline a job only fails: work begun now could no longer count. What must be undone is undone all the same.
  if (job.state === 'queued' && job.deadlineAt !== null && job.deadlineAt <= now) return null
  return {
    state: job.state === 'compensating' ? 'compensating' : 'running',
    set: {
      worker: event.worker,
      held: null,
      epoch: job.epoch + 1,
      attempt: job.attempt + 1,
      startedAt: job.startedAt ?? now,
      attemptAt: now,
    },
  }
}

export function succeed(_job: LiveJob, event: EventOf<'succeeded'>): Next {
  return { state: 'completed', phase: event.warnings > 0 ? 'withWarnings' : 'clean', ends: 'ok', error: null }
}

export function byVerdict(job: LiveJob, event: EventOf<'errored'>, now: number): Next {
  const { verdict, error, retry } = event
  if (verdict === 'review') return review(job, error, 'error')
  const final = error.code === 'deadline-passed' ? 'deadline' : 'permanent'
  if (verdict === 'permanent') return end(job, { state: 'failed', phase: final, error, ends: 'error' }, now)
  const { counted, wait, runAt, spent } = budget(job, event, now)
  const pastDeadline = job.deadlineAt !== null && runAt >= job.deadlineAt
  if (!spent && !pastDeadline)
    return again(
      job,
      {
        ends: 'error',
        error,
        retryInMs: wait,
        set: { errors: counted.errors, runAt, why: { ...counted.why, error } },
      },
      now,
    )
  if (retry.onExhausted === 'review' && !pastDeadline) return review(counted, { ...error, class: 'review' }, 'error')
  const why = spent
    ? givenUp(error, 'exhausted', `Gave up after ${times(job.attempt, 'attempt')}. Last error: ${error.message}`)
    : givenUp(error, 'deadline-passed', `The deadline leaves no time for another attempt. Last error: ${error.message}`)
  return end(job, { state: 'failed', phase: spent ? 'exhausted' : 'deadline', ends: 'error', error: why }, now)
}

/** So many budgets of steps and stages are kept at once; the one whose last error is oldest begins anew. */
const SCOPES_MAX = 32

/**
 * The error, counted against the budget it belongs to. A step or stage with a budget of its own begins it with its first
 * error and keeps it beside the others: branches that fail in turn must not give each other new budgets.
 */
function budget(job: LiveJob, { retry, jitter, retryAfterMs, scope = null }: EventOf<'errored'>, now: number) {
  const { scopes = [] } = job.why ?? {}
  const before = scopes.find(({ name }) => name === scope)
  const errors = (scope === null ? job.errors : (before?.errors ?? 0)) + 1
  const from = scope === null ? job.budgetFrom : (before?.from ?? job.attemptAt ?? now)
  const wait = delayMs(retry, errors, jitter, retryAfterMs)
  const runAt = now + wait
  const spent = (retry.attempts !== null && errors >= retry.attempts) || runAt > from + retry.withinMs
  if (scope === null) return { counted: { ...job, errors }, wait, runAt, spent }
  const others = scopes.filter(({ name }) => name !== scope).slice(1 - SCOPES_MAX)
  const why = { ...job.why, scopes: [...others, { name: scope, errors, from }] }
  return { counted: { ...job, why }, wait, runAt, spent }
}

function givenUp(last: ErrorInfo, code: string, message: string): ErrorInfo {
  const { code: lastCode, class: lastClass, message: lastMessage, rule, details } = last
  return {
    ...last,
    code,
    class: 'transient',
    message,
    details: {
      last: { code: lastCode, class: lastClass, message: lastMessage, rule, ...(details ? { details } : {}) },
    },
  }
}

function times(n: number, one: string): string {
  return `${n} ${one}${n === 1 ? '' : 's'}`
}

/** Back into its lane; or, if a pause was asked for meanwhile, there. */
function again(job: LiveJob, next: Omit<Next, 'state'>, now: number): Next {
  if (!job.why?.pause) return { ...next, state: 'queued' }
  const why = { ...(next.set?.why ?? job.why), since: now }
  return { ...next, state: 'waiting', set: { ...next.set, waitKind: 'pause', wakeAt: null, why } }
}

function review(job: LiveJob, error: ErrorInfo, ends: AttemptEnd): Next {
  return {
    state: 'waiting',
    ends,
    error,
    set: { waitKind: 'review', wakeAt: null, errors: job.errors, losses: job.losses, why: { ...job.why, error } },
  }
}

export function release(job: LiveJob, _event: unknown, now: number): Next {
  return again(job, { ends: 'released', set: { runAt: now } }, now)
}

export function suspend(job: LiveJob, { waitKind, wakeAt, wait }: EventOf<'suspended'>, now: number): Next {
  const why = { ...job.why, wait, since: now }
  const set = why.pause ? paused(why, { waitKind, wakeAt }) : { waitKind, wakeAt, why }
  return { state: 'waiting', ends: 'suspended', set: { ...set, ties: job.ties | TIES.waits } }
}

/** A pause holds at once, whatever the job waits for. That is settled and times out meanwhile as it would without. */
function paused(why: Why, behind: NonNullable<Why['behind']>): Partial<LiveJob> {
  return { waitKind: 'pause', wakeAt: null, why: { ...why, behind } }
}

/** What it waited for is there. A pause goes on, with nothing behind it any more. */
export function wake(job: LiveJob, _event: unknown, now: number): Next | null {
  const { wait: _over, behind, ...why } = job.why ?? {}
  if (job.waitKind === 'pause' && behind) return { state: 'waiting', set: { runAt: now, why } }
  if (job.waitKind === 'review' || job.waitKind === 'pause') return null
  return { state: 'queued', set: { runAt: now, ...rested({ ...job, why }, now) } }
}

/** The time it waited or was paused is taken from none of its retry budgets; one that had not begun by then loses less. */
function rested(job: LiveJob, now: number): Pick<LiveJob, 'budgetFrom' | 'why'> {
  const { since = now, ...why } = job.why ?? {}
  const later = (from: number) => from + Math.max(0, now - Math.max(since, from))
  const scopes = why.scopes?.map((scope) => ({ ...scope, from: later(scope.from) }))
  return { budgetFrom: later(job.budgetFrom), why: scopes ? { ...why, scopes } : why }
}

/** Another queue, with a budget of its own. */
export function moveStage(job: LiveJob, event: EventOf<'staged'>, now: number): Next {
  const { scopes: _others, ...why } = job.why ?? {}
  const stage = { name: event.stage, queue: event.queue }
  const set = { lane: event.lane, runAt: now, errors: 0, budgetFrom: now, why: { ...why, stage } }
  return again(job, { ends: 'suspended', set }, now)
}

export function againOrReview(job: LiveJob, event: EventOf<'leaseExpired'>, now: number): Next {
  const losses = job.losses + 1
  if (losses >= event.maxLost) {
    const said = `Its worker was lost ${times(losses, 'time')} in a row of attempts; a human should look before it runs again.`
    return review({ ...job, losses }, engineError(job, 'poison', 'review', said, 'built-in poison', now), 'lost')
  }
  const said = 'The worker died or fell silent; its attempt is void.'
  const error = engineError(job, 'worker-lost', 'transient', said, 'built-in worker-lost', now)
  const runAt = now + delayMs(AFTER_LOSS, losses, event.jitter)
  const next = { ends: 'lost' as const, error, set: { losses, runAt } }
  return job.state === 'compensating' ? { ...next, state: 'compensating' } : again(job, next, now)
}

/** The end, or first the undoing of what its steps did: under budgets of its own, and without a deadline. */
export function end(job: LiveJob, next: Next & { state: FinalState }, now: number, compensate = true): Next {
  if (job.undo === 0 || !compensate || next.state === 'completed') return next
  const undo = { status: next.state, phase: next.phase!, error: next.error ?? null }
  const { wait: _wait, pause: _pause, behind: _behind, since: _since, scopes: _scopes, ...why } = job.why ?? {}
  return {
    state: 'compensating',
    ends: next.ends,
    error: next.error,
    set: {
      worker: null,
      attemptAt: null,
      held: null,
      runAt: now,
      deadlineAt: null,
      errors: 0,
      losses: 0,
      budgetFrom: now,
      why: { ...why, undo },
    },
  }
}

const CANCELS = {
  caller: { code: 'cancelled-by-caller', phase: 'byCaller' },
  operator: { code: 'cancelled-by-operator', phase: 'byOperator' },
  parent: { code: 'parent-cancelled', phase: 'parentCancelled' },
  system: { code: 'cancelled-by-operator', phase: 'byOperator' },
} as const

export function cancelled(job: LiveJob, cancel: Cancel, now: number, ends?: AttemptEnd): Next {
  if (cancel.end) return stop(job, cancel.end, now, ends, cancel.compensate)
  const { code, phase } = CANCELS[cancel.by]
  const message = cancel.reason ? `Cancelled: ${cancel.reason}` : 'Cancelled on request.'
  const error = { ...engineError(job, code, null, message, null, now), details: leftOpen(job) }
  return end(job, { state: 'cancelled', phase, error, ...(ends ? { ends } : {}) }, now, cancel.compensate)
}

/** What nobody has answered when it ends over the question: whether an effect has happened. */
function leftOpen({ state, waitKind, why }: LiveJob): ErrorInfo['details'] {
  const asked = state === 'waiting' && waitKind === 'review' ? why?.error : null
  if (asked?.code !== 'effect-unknown') return null
  const { code, class: kind, message, rule } = asked
  return { last: { code, class: kind, message, rule } }
}

/** Ends as the event says: a refused approval, an answer to a review. */
export function stop(
  job: LiveJob,
  event: NonNullable<Cancel['end']>,
  now: number,
  ends?: AttemptEnd,
  compensate?: boolean,
): Next {
  const { status, phase, code, message } = event
  const error = engineError(job, code, status === 'failed' ? 'permanent' : null, message, `stopped ${code}`, now)
  const said = { ...error, origin: 'policy' as const, details: leftOpen(job) }
  const next = { state: status, phase, error: said, ...(ends ? { ends } : {}) }
  return end(job, next, now, compensate)
}

/** Told to stop while it runs. The kind of cancel that came first is kept, unless a later one is sterner. */
export function cancelling(job: LiveJob, cancel: Cancel, now: number): Next {
  return { state: 'cancelling', set: { cancelAt: job.cancelAt ?? now, why: { ...job.why, cancel } } }
}

export function cancelSettled(
  job: LiveJob,
  event: EventOf<'errored' | 'released' | 'leaseExpired' | 'suspended' | 'staged'>,
  now: number,
): Next {
  const request: Cancel = job.why?.cancel ?? { by: 'caller', reason: null, mode: 'graceful' }
  return cancelled(job, request, now, event.type === 'leaseExpired' ? 'lost' : 'cancelled')
}

export function deadlineFailed(job: LiveJob, _event: unknown, now: number): Next {
  const last = job.why?.error
  const said = 'The deadline passed before the work was done.'
  const error = engineError(job, 'deadline-passed', 'permanent', said, 'built-in deadline', now)
  if (last) error.details = { last: { code: last.code, class: last.class, message: last.message, rule: last.rule } }
  return end(job, { state: 'failed', phase: 'deadline', error }, now)
}

/**
 * Ends a wait between attempts, or a review; what was being undone goes on being undone. A pause that was asked for before
 * the review is over as well: "now" is the later word.
 */
export function retryNow(job: LiveJob, event: EventOf<'retryRequested'>, now: number): Next | null {
  const { pause: _over, ...why } = job.why ?? {}
  const set = { runAt: now, ...(event.resetAttempts ? reset(why, now) : { why: job.why && why }) }
  if (job.state === 'compensating') return job.worker === null ? { state: 'compensating', set } : null
  if (job.state === 'waiting') {
    if (job.waitKind !== 'review') return null
    return { state: why.undo ? 'compensating' : 'queued', set }
  }
  // Only between attempts: a scheduled job that never ran keeps its runAt.
  return job.startedAt === null ? null : { state: 'queued', set }
}

function reset({ scopes: _over, ...why }: Why, now: number): Partial<LiveJob> {
  return { budgetFrom: now, errors: 0, losses: 0, why }
}

export function pause(job: LiveJob, event: EventOf<'pauseRequested'>, now: number): Next | null {
  const { state, waitKind, wakeAt } = job
  // In a review nothing moves before a person decides: there is nothing to hold.
  if (job.why?.pause || waitKind === 'review' || waitKind === 'pause') return null
  const why = { ...job.why, pause: { by: event.actor, reason: event.reason ?? null, at: now } }
  if (waitKind !== null) return { state: 'waiting', set: paused(why, { waitKind, wakeAt }) }
  if (state === 'running') return { state, set: { why } }
  return { state: 'waiting', set: { waitKind: 'pause', wakeAt: null, why: { ...why, since: now } } }
}

/** The pause is over, or is taken back before it began. What it waits for still, it goes on waiting for. */
export function resume(job: LiveJob, _event: unknown, now: number): Next | null {
  if (!job.why?.pause) return null
  const { pause: _over, behind, ...why } = job.why
  if (job.state === 'running') return { state: 'running', set: { why } }
  if (behind) return { state: 'waiting', set: { ...behind, why } }
  if (job.waitKind !== 'pause') return { state: 'waiting', set: { why } }
  // A time it still had to wait for stays.
  return { state: 'queued', set: { runAt: Math.max(job.runAt, now), ...rested({ ...job, why }, now) } }
}

export function override(job: LiveJob, event: EventOf<'overridden'>, now: number): Next {
  const { status } = event
  const kind = status === 'failed' ? 'permanent' : null
  const said = `Set to ${status} by hand${event.reason ? `: ${event.reason}` : '.'}`
  const error =
    status === 'completed' ? null : (event.error ?? engineError(job, 'overridden', kind, said, 'override', now))
  return { state: status, phase: 'overridden', error, ...(job.worker === null ? {} : { ends: 'cancelled' as const }) }
}

/** An undo that did not work: tried again like any step; beyond its budget a person must see to it. */
export function undoErrored(job: LiveJob, event: EventOf<'errored'>, now: number): Next {
  const { counted, wait, runAt, spent } = budget(job, event, now)
  const { error } = event
  if (event.verdict === 'transient' && !spent) {
    const set = { errors: counted.errors, runAt, why: { ...counted.why, error } }
    return { state: 'compensating', ends: 'error', error, retryInMs: wait, set }
  }
  // Not the undo, but whether there is something to undo: the question stands as it was asked.
  if (error.code === 'effect-unknown') return review(counted, error, 'error')
  const { code, class: kind, message, rule } = error
  const step = event.undoing ?? error.step
  const failed: ErrorInfo = {
    ...error,
    code: 'undo-failed',
    class: 'review',
    message: `Undoing ${step ? `"${step}"` : 'its steps'} did not work: ${message}`,
    details: {
      ...error.details,
      last: { code, class: kind, message, rule },
      ...(step ? { question: { step, kind: 'undo', answers: ['undone'] } } : {}),
    },
  }
  return review(counted, failed, 'error')
}

export function undoAgain(_job: LiveJob, _event: unknown, now: number): Next {
  return { state: 'compensating', ends: 'released', set: { runAt: now } }
}

/** All is put back as far as it can be: the end that was on hold is told, with what became of each step. */
export function undone(job: LiveJob, { steps, partial }: EventOf<'undone'>): Next | null {
  const plan = job.why?.undo
  if (!plan) return null
  const compensation = { state: partial.length > 0 ? 'partial' : 'rolled-back', undone: steps, notUndone: partial }
  // An effect with an undo was begun and has not happened: there was nothing to undo.
  const nothing = steps.length + partial.length === 0
  const error =
    plan.error && !nothing ? { ...plan.error, details: { ...plan.error.details, compensation } } : plan.error
  return { state: plan.status, phase: plan.phase, error, ends: 'ok' }
}

export function engineError(
  job: LiveJob,
  code: string,
  kind: ErrorInfo['class'],
  message: string,
  rule: string | null,
  now: number,
): ErrorInfo {
  return {
    code,
    class: kind,
    origin: kind === null ? null : 'engine',
    message,
    messages: [message],
    step: null,
    rule,
    details: null,
    attempts: job.attempt,
    occurredAt: now,
  }
}
