/**
 * THE state machine. TRANSITIONS says for each state and event which states may follow and which function decides;
 * transition() is the only way from one to the next. Pure: SQL moves the rows it returns and never decides.
 * No other file may know which state follows which.
 */
import { delayMs, type RetryPolicy } from './backoff.js'
import type {
  Actor,
  Attempt,
  AttemptEnd,
  Cancel,
  ErrorInfo,
  FinalState,
  JobState,
  LiveJob,
  LiveState,
  Outcome,
  Status,
} from './job.js'

export interface Events {
  /** A worker takes the job for an attempt. */
  claimed: { worker: string }
  /** The handler returned, its output passed the schema and `verify`. */
  succeeded: { warnings: number }
  /** The handler threw; the verdict is already decided, the budget is decided here. */
  errored: {
    verdict: 'transient' | 'permanent' | 'review'
    error: ErrorInfo
    retry: RetryPolicy
    jitter: number
    retryAfterMs: number
  }
  /** The worker gives it back unharmed (shutdown). */
  released: Record<never, never>
  /** The worker that held the lease is gone. */
  leaseExpired: { maxLost: number; jitter: number }
  cancelRequested: Cancel
  /** "Now, please": skips a wait between attempts or resumes a review. */
  retryRequested: { resetAttempts: boolean }
  deadlinePassed: Record<never, never>
}
export type EventType = keyof Events
export type Event = { [E in EventType]: { type: E; actor: Actor; reason?: string | null } & Events[E] }[EventType]
type EventOf<E extends EventType> = Extract<Event, { type: E }>

/** What a rule decides: the next state and the columns that change with it. */
interface Next {
  state: JobState
  phase?: string
  set?: Partial<LiveJob>
  error?: ErrorInfo | null
  /** Set when this ends the running attempt. */
  ends?: AttemptEnd
  retryInMs?: number
}

interface Rule<E extends EventType> {
  readonly to: readonly JobState[]
  readonly next: (job: LiveJob, event: EventOf<E>, now: number) => Next | null
}
type Row = { readonly [E in EventType]?: Rule<E> }

/** A lost attempt waits a moment, so that a job that kills its workers cannot spin; the cap keeps recovery fast. */
const AFTER_LOSS: RetryPolicy = {
  withinMs: Infinity,
  attempts: null,
  fromMs: 100,
  toMs: 5_000,
  factor: 2,
  onExhausted: 'review',
}

export const TRANSITIONS: { readonly [S in JobState]: Row } = {
  queued: {
    claimed: {
      to: ['running'],
      next: (job, event, now) =>
        // Past its deadline a job only fails: work begun now could no longer count.
        job.runAt > now || (job.deadlineAt !== null && job.deadlineAt <= now)
          ? null
          : {
              state: 'running',
              set: {
                worker: event.worker,
                epoch: job.epoch + 1,
                attempt: job.attempt + 1,
                startedAt: job.startedAt ?? now,
                attemptAt: now,
              },
            },
    },
    cancelRequested: { to: ['cancelled'], next: (job, event, now) => cancelled(job, event, now) },
    retryRequested: {
      to: ['queued'],
      // Only between attempts: a scheduled job that never ran keeps its runAt.
      next: (job, event, now) =>
        job.startedAt === null ? null : { state: 'queued', set: { runAt: now, ...reset(event.resetAttempts, now) } },
    },
    deadlinePassed: { to: ['failed'], next: deadlineFailed },
  },
  running: {
    succeeded: {
      to: ['completed'],
      next: (_job, event) => ({
        state: 'completed',
        phase: event.warnings > 0 ? 'withWarnings' : 'clean',
        ends: 'ok',
        error: null,
      }),
    },
    errored: { to: ['queued', 'waiting', 'failed'], next: byVerdict },
    released: {
      to: ['queued'],
      next: (_job, _event, now) => ({ state: 'queued', ends: 'released', set: { runAt: now } }),
    },
    leaseExpired: { to: ['queued', 'waiting'], next: againOrReview },
    cancelRequested: {
      to: ['cancelling'],
      next: (job, event, now) => ({
        state: 'cancelling',
        set: { cancelAt: now, why: { ...job.why, cancel: { by: event.by, reason: event.reason, mode: event.mode } } },
      }),
    },
  },
  waiting: {
    cancelRequested: { to: ['cancelled'], next: (job, event, now) => cancelled(job, event, now) },
    retryRequested: {
      to: ['queued'],
      next: (job, event, now) =>
        job.waitKind === 'review' ? { state: 'queued', set: { runAt: now, ...reset(event.resetAttempts, now) } } : null,
    },
    deadlinePassed: { to: ['failed'], next: deadlineFailed },
  },
  cancelling: {
    // It finished before the cancel reached it: that is what happened, so that is what we say.
    succeeded: {
      to: ['completed'],
      next: (_job, event) => ({
        state: 'completed',
        phase: event.warnings > 0 ? 'withWarnings' : 'clean',
        ends: 'ok',
        error: null,
      }),
    },
    errored: { to: ['cancelled'], next: cancelSettled },
    released: { to: ['cancelled'], next: cancelSettled },
    leaseExpired: { to: ['cancelled'], next: cancelSettled },
    cancelRequested: {
      to: ['cancelling'],
      // Only an escalation is news: graceful → force.
      next: (job, event) =>
        event.mode === 'force' && job.why?.cancel?.mode !== 'force'
          ? {
              state: 'cancelling',
              set: { why: { ...job.why, cancel: { by: event.by, reason: event.reason, mode: 'force' } } },
            }
          : null,
    },
  },
  completed: {},
  failed: {},
  cancelled: {},
}

function byVerdict(job: LiveJob, event: EventOf<'errored'>, now: number): Next {
  const { verdict, error, retry } = event
  if (verdict === 'review') return review(job, error, 'error')
  const final = error.code === 'deadline-passed' ? 'deadline' : 'permanent'
  if (verdict === 'permanent') return { state: 'failed', phase: final, error, ends: 'error' }
  const errors = job.errors + 1
  const wait = delayMs(retry, errors, event.jitter, event.retryAfterMs)
  const runAt = now + wait
  const spent = (retry.attempts !== null && errors >= retry.attempts) || runAt > job.budgetFrom + retry.withinMs
  const pastDeadline = job.deadlineAt !== null && runAt >= job.deadlineAt
  if (!spent && !pastDeadline) {
    return {
      state: 'queued',
      ends: 'error',
      error,
      retryInMs: wait,
      set: { errors, runAt, why: { ...job.why, error } },
    }
  }
  if (retry.onExhausted === 'review' && !pastDeadline)
    return review({ ...job, errors }, { ...error, class: 'review' }, 'error')
  return spent
    ? {
        state: 'failed',
        phase: 'exhausted',
        ends: 'error',
        error: givenUp(error, 'exhausted', `Gave up after ${job.attempt} attempts. Last error: ${error.message}`),
      }
    : {
        state: 'failed',
        phase: 'deadline',
        ends: 'error',
        error: givenUp(
          error,
          'deadline-passed',
          `The deadline leaves no time for another attempt. Last error: ${error.message}`,
        ),
      }
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

function review(job: LiveJob, error: ErrorInfo, ends: AttemptEnd): Next {
  return {
    state: 'waiting',
    ends,
    error,
    set: { waitKind: 'review', wakeAt: null, errors: job.errors, losses: job.losses, why: { ...job.why, error } },
  }
}

function againOrReview(job: LiveJob, event: EventOf<'leaseExpired'>, now: number): Next {
  const losses = job.losses + 1
  const error = engineError(
    job,
    'worker-lost',
    'transient',
    'The worker died or fell silent; its attempt is void.',
    'built-in worker-lost',
    now,
  )
  if (losses >= event.maxLost) {
    const poison = engineError(
      job,
      'poison',
      'review',
      `Its worker was lost ${losses} times in a row of attempts; a human should look before it runs again.`,
      'built-in poison',
      now,
    )
    return review({ ...job, losses }, poison, 'lost')
  }
  return {
    state: 'queued',
    ends: 'lost',
    error,
    set: { losses, runAt: now + delayMs(AFTER_LOSS, losses, event.jitter) },
  }
}

function cancelled(job: LiveJob, { by, reason }: Cancel, now: number): Next {
  const operator = by === 'operator'
  const code = operator ? 'cancelled-by-operator' : 'cancelled-by-caller'
  const message = reason ? `Cancelled: ${reason}` : 'Cancelled on request.'
  return {
    state: 'cancelled',
    phase: operator ? 'byOperator' : 'byCaller',
    error: engineError(job, code, null, message, null, now),
  }
}

function cancelSettled(job: LiveJob, event: EventOf<'errored' | 'released' | 'leaseExpired'>, now: number): Next {
  const request: Cancel = job.why?.cancel ?? { by: 'caller', reason: null, mode: 'graceful' }
  const ends: AttemptEnd = event.type === 'leaseExpired' ? 'lost' : 'cancelled'
  return { ...cancelled(job, request, now), ends }
}

function deadlineFailed(job: LiveJob, _event: EventOf<'deadlinePassed'>, now: number): Next {
  const last = job.why?.error
  const error = engineError(
    job,
    'deadline-passed',
    'permanent',
    'The deadline passed before the work was done.',
    'built-in deadline',
    now,
  )
  if (last) error.details = { last: { code: last.code, class: last.class, message: last.message, rule: last.rule } }
  return { state: 'failed', phase: 'deadline', error }
}

function engineError(
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
    message,
    messages: [message],
    step: null,
    rule,
    details: null,
    attempts: job.attempt,
    occurredAt: now,
  }
}

function reset(resetAttempts: boolean, now: number): Partial<LiveJob> {
  return resetAttempts ? { budgetFrom: now, errors: 0, losses: 0, waitKind: null } : { waitKind: null }
}

/** Who may write: the attempt of this epoch, or whoever read this version. */
export type Fence = { epoch: number } | { version: number } | null

/** A history row without its job: `seq` is the job's version after the transition. */
export interface HistoryEntry {
  seq: number
  at: number
  event: string
  state: JobState
  phase: string
  epoch: number
  attempt: number
  actor: Actor
  reason: string | null
  error: ErrorInfo | null
}

/** The rows a transition leads to, as data. Exactly one of `live` and `outcome` is set. */
export interface Decision {
  ok: true
  from: LiveJob
  live: LiveJob | null
  outcome: Outcome | null
  /** Set when the transition ends an attempt. */
  attempt: Attempt | null
  history: HistoryEntry
}
export interface Refusal {
  ok: false
  reason: 'illegal-transition' | 'stale-lease'
}

/**
 * Applies one event. Never throws for a refused one: refusals are values.
 * @param fence the epoch or version the writer believes in; a mismatch is `stale-lease`
 */
export function transition(job: LiveJob, event: Event, now: number, fence: Fence = null): Decision | Refusal {
  if (fence !== null && ('epoch' in fence ? fence.epoch !== job.epoch : fence.version !== job.version))
    return { ok: false, reason: 'stale-lease' }
  const rule = TRANSITIONS[job.state][event.type] as Rule<EventType> | undefined
  const next = rule?.next(job, event as never, now)
  if (!rule || !next) return { ok: false, reason: 'illegal-transition' }
  const version = job.version + 1
  const revision = job.revision + 1
  const final = isFinal(next.state)
  const live: LiveJob | null = final
    ? null
    : {
        ...job,
        ...entering(next.state as LiveState),
        ...next.set,
        state: next.state as LiveState,
        version,
        revision,
        changedAt: now,
      }
  const outcome: Outcome | null = final
    ? {
        jobId: job.id,
        status: next.state as FinalState,
        phase: next.phase!,
        error: next.error ?? null,
        attempt: job.attempt,
        epoch: job.epoch,
        version,
        revision,
        startedAt: job.startedAt,
        finishedAt: now,
      }
    : null
  const attempt: Attempt | null = next.ends
    ? {
        jobId: job.id,
        attempt: job.attempt,
        epoch: job.epoch,
        worker: job.worker,
        outcome: next.ends,
        startedAt: job.attemptAt ?? now,
        endedAt: now,
        error: attemptError(event, next),
        verdict: event.type === 'errored' ? event.verdict : null,
        retryInMs: next.retryInMs ?? null,
      }
    : null
  const history: HistoryEntry = {
    seq: version,
    at: now,
    event: event.type,
    state: next.state,
    phase: live ? phaseOf(live, now) : next.phase!,
    epoch: live ? live.epoch : job.epoch,
    attempt: live ? live.attempt : job.attempt,
    actor: event.actor,
    reason: event.reason ?? null,
    error: next.error ?? null,
  }
  return { ok: true, from: job, live, outcome, attempt, history }
}

/** The attempt keeps the error as it surfaced, not the verdict on the whole job. */
function attemptError(event: Event, next: Next): ErrorInfo | null {
  return event.type === 'errored' ? event.error : next.ends === 'ok' ? null : (next.error ?? null)
}

/** Columns that a state never has. */
function entering(state: LiveState): Partial<LiveJob> {
  if (state === 'running' || state === 'cancelling') return { waitKind: null, wakeAt: null }
  return { worker: null, attemptAt: null, ...(state === 'queued' ? { waitKind: null, wakeAt: null } : {}) }
}

/** The live row a new job starts with. */
export function newLive(
  id: string,
  lane: string,
  level: number,
  now: number,
  times: { runAt: number | null; deadlineAt: number | null; escalateAt: number | null },
): LiveJob {
  const runAt = Math.max(now, times.runAt ?? now)
  return {
    id,
    lane,
    level,
    state: 'queued',
    waitKind: null,
    runAt,
    wakeAt: null,
    escalateAt: times.escalateAt,
    lateAt: null,
    deadlineAt: times.deadlineAt,
    version: 1,
    revision: 1,
    epoch: 0,
    attempt: 0,
    errors: 0,
    losses: 0,
    budgetFrom: runAt,
    worker: null,
    startedAt: null,
    attemptAt: null,
    cancelAt: null,
    why: null,
    changedAt: now,
  }
}

/** The first history row of a job. */
export function accepted(job: LiveJob, actor: Actor): HistoryEntry {
  return {
    seq: job.version,
    at: job.changedAt,
    event: 'submitted',
    state: 'queued',
    phase: phaseOf(job, job.changedAt),
    epoch: 0,
    attempt: 0,
    actor,
    reason: null,
    error: null,
  }
}

export function isFinal(state: JobState): state is FinalState {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}

/** The public word for an unfinished job (rulings 7). */
export function statusOf(job: Pick<LiveJob, 'state' | 'waitKind' | 'startedAt'>): Status {
  if (job.state === 'waiting') return job.waitKind === 'timer' || job.waitKind === 'child' ? 'processing' : 'blocked'
  return job.state === 'queued' && job.startedAt === null ? 'accepted' : 'processing'
}

/** The operator's phase of an unfinished job (http-contract 2.1). */
export function phaseOf(
  job: Pick<LiveJob, 'state' | 'waitKind' | 'startedAt' | 'runAt' | 'errors' | 'losses' | 'why'>,
  now: number,
): string {
  if (job.state === 'waiting') return job.waitKind === 'timer' || job.waitKind === 'child' ? 'waiting' : job.waitKind!
  if (job.state === 'cancelling') return 'cancelling'
  if (job.state === 'running') return 'running'
  if (job.startedAt === null) return job.runAt > now ? 'scheduled' : 'queued'
  return job.errors + job.losses > 0 ? 'retrying' : 'running'
}
