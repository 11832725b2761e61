/**
 * How the table of lifecycle.ts decides: budgets, losses, deadlines, cancels, and whether steps must be undone before the
 * end. Pure functions of the row, the event and the instant.
 */
import { delayMs, type RetryPolicy } from './backoff.js'
import type { EventOf, Next } from './events.js'
import { type AttemptEnd, type Cancel, type ErrorInfo, type FinalState, type LiveJob, TIES } from './job.js'

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
  if (job.worker !== null || job.held !== null || job.runAt > now) return null
  // Past its deadline a job only fails: work begun now could no longer count. What must be undone is undone all the same.
  if (job.state === 'queued' && job.deadlineAt !== null && job.deadlineAt <= now) return null
  return {
    state: job.state === 'compensating' ? 'compensating' : 'running',
    set: {
      worker: event.worker,
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
  const { errors, wait, runAt, spent, budgetFrom, scope } = budget(job, event, now)
  const pastDeadline = job.deadlineAt !== null && runAt >= job.deadlineAt
  if (!spent && !pastDeadline)
    return again(job, {
      ends: 'error',
      error,
      retryInMs: wait,
      set: {
        errors,
        runAt,
        budgetFrom,
        why: { ...job.why, error, ...(scope === null ? { scope: undefined } : { scope }) },
      },
    })
  if (retry.onExhausted === 'review' && !pastDeadline)
    return review({ ...job, errors }, { ...error, class: 'review' }, 'error')
  const why = spent
    ? givenUp(error, 'exhausted', `Gave up after ${job.attempt} attempts. Last error: ${error.message}`)
    : givenUp(error, 'deadline-passed', `The deadline leaves no time for another attempt. Last error: ${error.message}`)
  return end(job, { state: 'failed', phase: spent ? 'exhausted' : 'deadline', ends: 'error', error: why }, now)
}

/** A step or stage with a budget of its own begins it with its first error. */
function budget(job: LiveJob, { retry, jitter, retryAfterMs, scope = null }: EventOf<'errored'>, now: number) {
  const anew = scope !== null && scope !== job.why?.scope
  const errors = anew ? 1 : job.errors + 1
  const budgetFrom = anew ? (job.attemptAt ?? now) : job.budgetFrom
  const wait = delayMs(retry, errors, jitter, retryAfterMs)
  const runAt = now + wait
  const spent = (retry.attempts !== null && errors >= retry.attempts) || runAt > budgetFrom + retry.withinMs
  return { errors, wait, runAt, spent, budgetFrom, scope }
}

function givenUp(last: ErrorInfo, code: string, message: string): ErrorInfo {
  const { code: lastCode, class: lastClass, message: lastMessage, rule } = last
  return {
    ...last,
    code,
    class: 'transient',
    message,
    details: { last: { code: lastCode, class: lastClass, message: lastMessage, rule } },
  }
}

/** Back into its lane; or, if a pause was asked for meanwhile, there. */
function again(job: LiveJob, next: Omit<Next, 'state'>): Next {
  return job.why?.pause
    ? { ...next, state: 'waiting', set: { ...next.set, waitKind: 'pause', wakeAt: null } }
    : { ...next, state: 'queued' }
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
  return again(job, { ends: 'released', set: { runAt: now } })
}

export function suspend(job: LiveJob, event: EventOf<'suspended'>): Next {
  return {
    state: 'waiting',
    ends: 'suspended',
    set: {
      waitKind: event.waitKind,
      wakeAt: event.wakeAt,
      ties: job.ties | TIES.waits,
      why: { ...job.why, wait: event.wait },
    },
  }
}

/** The time it waited is not taken from its retry budget. */
export function wake(job: LiveJob, _event: unknown, now: number): Next | null {
  if (job.waitKind === 'review' || job.waitKind === 'pause') return null
  const { wait: _over, ...why } = job.why ?? {}
  return { state: 'queued', set: { runAt: now, budgetFrom: job.budgetFrom + (now - job.changedAt), why } }
}

/** Another queue, with a budget of its own. */
export function moveStage(job: LiveJob, event: EventOf<'staged'>, now: number): Next {
  return {
    ...again(job, { ends: 'suspended' }),
    set: {
      ...(job.why?.pause ? { waitKind: 'pause' as const } : {}),
      lane: event.lane,
      runAt: now,
      errors: 0,
      budgetFrom: now,
      why: { ...job.why, stage: { name: event.stage, queue: event.queue } },
    },
  }
}

export function againOrReview(job: LiveJob, event: EventOf<'leaseExpired'>, now: number): Next {
  const losses = job.losses + 1
  if (losses >= event.maxLost) {
    const said = `Its worker was lost ${losses} times in a row of attempts; a human should look before it runs again.`
    return review({ ...job, losses }, engineError(job, 'poison', 'review', said, 'built-in poison', now), 'lost')
  }
  const said = 'The worker died or fell silent; its attempt is void.'
  const error = engineError(job, 'worker-lost', 'transient', said, 'built-in worker-lost', now)
  const runAt = now + delayMs(AFTER_LOSS, losses, event.jitter)
  if (job.state === 'compensating') return { ...undoAgain(job), ends: 'lost', error, set: { losses, runAt } }
  return again(job, { ends: 'lost', error, set: { losses, runAt } })
}

/** The end, or first the undoing of what its steps did. */
export function end(job: LiveJob, next: Next & { state: FinalState }, now: number, compensate = true): Next {
  if (job.undo === 0 || !compensate || next.state === 'completed') return next
  const undo = { status: next.state, phase: next.phase!, error: next.error ?? null }
  return {
    state: 'compensating',
    ends: next.ends,
    error: next.error,
    set: {
      worker: null,
      attemptAt: null,
      held: null,
      runAt: now,
      errors: 0,
      losses: 0,
      budgetFrom: now,
      why: { ...job.why, undo },
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
  if (cancel.end) return stop(job, cancel.end, now, ends)
  const { code, phase } = CANCELS[cancel.by]
  const message = cancel.reason ? `Cancelled: ${cancel.reason}` : 'Cancelled on request.'
  const error = engineError(job, code, null, message, null, now)
  return end(job, { state: 'cancelled', phase, error, ...(ends ? { ends } : {}) }, now, cancel.compensate)
}

/** Ends as the event says: a refused approval, an answer to a review. */
export function stop(job: LiveJob, event: NonNullable<Cancel['end']>, now: number, ends?: AttemptEnd): Next {
  const { status, phase, code, message } = event
  const error = engineError(job, code, status === 'failed' ? 'permanent' : null, message, `stopped ${code}`, now)
  return end(job, { state: status, phase, error: { ...error, origin: 'policy' }, ...(ends ? { ends } : {}) }, now)
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

/** Ends a wait between attempts, or a review; what was being undone goes on being undone. */
export function retryNow(job: LiveJob, event: EventOf<'retryRequested'>, now: number): Next | null {
  const set = { runAt: now, ...reset(event.resetAttempts, now) }
  if (job.state === 'compensating') return job.worker === null ? { state: 'compensating', set } : null
  if (job.state === 'waiting') {
    if (job.waitKind !== 'review') return null
    return { state: job.why?.undo ? 'compensating' : 'queued', set }
  }
  // Only between attempts: a scheduled job that never ran keeps its runAt.
  return job.startedAt === null ? null : { state: 'queued', set }
}

function reset(resetAttempts: boolean, now: number): Partial<LiveJob> {
  return resetAttempts ? { budgetFrom: now, errors: 0, losses: 0, waitKind: null } : { waitKind: null }
}

export function pause(job: LiveJob, event: EventOf<'pauseRequested'>): Next | null {
  const why = { ...job.why, pause: { by: event.actor, reason: event.reason ?? null } }
  if (job.state === 'queued') return { state: 'waiting', set: { waitKind: 'pause', wakeAt: null, held: null, why } }
  return job.why?.pause ? null : { state: 'running', set: { why } }
}

export function resume(job: LiveJob, _event: unknown, now: number): Next | null {
  if (!job.why?.pause) return null
  const { pause: _over, ...why } = job.why
  if (job.state === 'running') return { state: 'running', set: { why } }
  if (job.waitKind !== 'pause') return null
  // The pause is not taken from its budget; a time it still had to wait for stays.
  const budgetFrom = job.budgetFrom + (now - job.changedAt)
  return { state: 'queued', set: { runAt: Math.max(job.runAt, now), budgetFrom, why } }
}

export function override(job: LiveJob, event: EventOf<'overridden'>): Next {
  const { status, error } = event
  return { state: status, phase: 'overridden', error, ...(job.worker === null ? {} : { ends: 'cancelled' as const }) }
}

/** An undo that did not work: tried again like any step; beyond its budget a person must see to it. */
export function undoErrored(job: LiveJob, event: EventOf<'errored'>, now: number): Next {
  const { errors, wait, runAt, spent } = budget(job, event, now)
  const { error } = event
  if (event.verdict === 'transient' && !spent) {
    const set = { errors, runAt, why: { ...job.why, error } }
    return { ...undoAgain(job), ends: 'error', error, retryInMs: wait, set }
  }
  const { code, class: kind, message, rule } = error
  const failed: ErrorInfo = {
    ...error,
    code: 'undo-failed',
    class: 'review',
    message: `Undoing ${error.step ? `"${error.step}"` : 'its steps'} did not work: ${message}`,
    details: { ...error.details, last: { code, class: kind, message, rule } },
  }
  return review({ ...job, errors }, failed, 'error')
}

export function undoAgain(_job: LiveJob, _event?: unknown, now?: number): Next {
  return { state: 'compensating', ends: 'released', ...(now === undefined ? {} : { set: { runAt: now } }) }
}

/** All is put back as far as it can be: the end that was on hold is told, with what became of each step. */
export function undone(job: LiveJob, event: EventOf<'undone'>): Next | null {
  const plan = job.why?.undo
  if (!plan) return null
  const compensation = { state: event.partial.length > 0 ? 'partial' : 'rolled-back', ...steps(event) }
  const error = plan.error && { ...plan.error, details: { ...plan.error.details, compensation } }
  return { state: plan.status, phase: plan.phase, error, ends: 'ok' }
}

function steps({ steps: undone, partial }: EventOf<'undone'>): { undone: string[]; notUndone: string[] } {
  return { undone, notUndone: partial }
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
