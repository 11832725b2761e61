/**
 * THE state machine. TRANSITIONS says for each state and event which states may follow and which function decides (rules.ts
 * has the functions); transition() is the only way from one to the next. Pure: SQL moves the rows it returns and never
 * decides. No other file may know which state follows which.
 */
import type { Event, EventOf, EventType, Next, Rule } from './events.js'
import type { Actor, Attempt, ErrorInfo, FinalState, JobState, LiveJob, LiveState, Outcome } from './job.js'
import type { Json } from './json.js'
import {
  againOrReview,
  byVerdict,
  cancelled,
  cancelling,
  cancelSettled,
  claim,
  deadlineFailed,
  moveStage,
  override,
  pause,
  release,
  resume,
  retryNow,
  stop,
  succeed,
  suspend,
  undoAgain,
  undoErrored,
  undone,
  wake,
} from './rules.js'
import { isFinal, phaseOf } from './status.js'

export type { Event, EventOf, Events, EventType } from './events.js'
export { isFinal, isHeld, phaseOf, statusAfter, statusOf } from './status.js'

type Row = { readonly [E in EventType]?: Rule<E> }

const ENDS: readonly JobState[] = ['completed', 'failed', 'cancelled']
const overridden: Rule<'overridden'> = { to: ENDS, next: override }
const toCancelling: Rule<'stopped'> = {
  to: ['cancelling'],
  next: (job, { status, phase, code, message, reason = null }, now) =>
    cancelling(job, { by: 'system', reason, mode: 'graceful', end: { status, phase, code, message } }, now),
}

export const TRANSITIONS: { readonly [S in JobState]: Row } = {
  queued: {
    claimed: { to: ['running'], next: claim },
    cancelRequested: {
      to: ['cancelled', 'compensating'],
      next: (job, event, now) => cancelled(job, asked(event), now),
    },
    stopped: { to: ['failed', 'cancelled', 'compensating'], next: (job, event, now) => stop(job, event, now) },
    retryRequested: { to: ['queued'], next: retryNow },
    pauseRequested: { to: ['waiting'], next: pause },
    deadlinePassed: { to: ['failed', 'compensating'], next: deadlineFailed },
    overridden,
  },
  running: {
    succeeded: { to: ['completed'], next: succeed },
    errored: { to: ['queued', 'waiting', 'failed', 'compensating'], next: byVerdict },
    released: { to: ['queued', 'waiting'], next: release },
    suspended: { to: ['waiting'], next: suspend },
    staged: { to: ['queued', 'waiting'], next: moveStage },
    leaseExpired: { to: ['queued', 'waiting'], next: againOrReview },
    cancelRequested: { to: ['cancelling'], next: (job, event, now) => cancelling(job, asked(event), now) },
    stopped: toCancelling,
    pauseRequested: { to: ['running'], next: pause },
    resumeRequested: { to: ['running'], next: resume },
    overridden,
  },
  waiting: {
    woken: { to: ['queued', 'waiting'], next: wake },
    cancelRequested: {
      to: ['cancelled', 'compensating'],
      next: unlessHalfUndone((job, event, now) => cancelled(job, asked(event), now)),
    },
    stopped: {
      to: ['failed', 'cancelled', 'compensating'],
      next: unlessHalfUndone((job, event, now) => stop(job, event, now)),
    },
    retryRequested: { to: ['queued', 'compensating'], next: retryNow },
    pauseRequested: { to: ['waiting'], next: pause },
    resumeRequested: { to: ['queued', 'waiting'], next: resume },
    deadlinePassed: { to: ['failed', 'compensating'], next: unlessHalfUndone(deadlineFailed) },
    overridden,
  },
  cancelling: {
    // It finished before the cancel reached it: that is what happened, so that is what we say.
    succeeded: { to: ['completed'], next: succeed },
    errored: { to: ['cancelled', 'failed', 'compensating'], next: cancelSettled },
    released: { to: ['cancelled', 'failed', 'compensating'], next: cancelSettled },
    suspended: { to: ['cancelled', 'failed', 'compensating'], next: cancelSettled },
    staged: { to: ['cancelled', 'failed', 'compensating'], next: cancelSettled },
    leaseExpired: { to: ['cancelled', 'failed', 'compensating'], next: cancelSettled },
    cancelRequested: {
      to: ['cancelling'],
      // Only an escalation is news: graceful → force.
      next: (job, event, now) =>
        event.mode === 'force' && job.why?.cancel?.mode !== 'force'
          ? cancelling(job, { ...job.why?.cancel, ...asked(event) }, now)
          : null,
    },
    overridden,
  },
  compensating: {
    claimed: { to: ['compensating'], next: claim },
    undone: { to: ENDS, next: byHolder(undone) },
    errored: { to: ['compensating', 'waiting'], next: byHolder(undoErrored) },
    released: { to: ['compensating'], next: byHolder(undoAgain) },
    leaseExpired: { to: ['compensating', 'waiting'], next: byHolder(againOrReview) },
    retryRequested: { to: ['compensating'], next: retryNow },
    overridden,
  },
  completed: {},
  failed: {},
  cancelled: {},
}

function asked({ by, reason, mode, compensate, end }: EventOf<'cancelRequested'>) {
  return { by, reason, mode, ...(compensate === undefined ? {} : { compensate }), ...(end ? { end } : {}) }
}

type Decide<E extends EventType> = Rule<E>['next']

/** What is half undone has its end already: it waits for somebody to see to the rest, or for an override. */
function unlessHalfUndone<E extends EventType>(next: Decide<E>): Decide<E> {
  return (job, event, now) => (job.why?.undo ? null : next(job, event, now))
}

/**
 * `compensating` does not say whether a worker is at it, and the epoch of the last one stays until the next claim: what
 * only the holder can say is refused when there is none, or an end that is told twice would count twice.
 */
function byHolder<E extends EventType>(next: Decide<E>): Decide<E> {
  return (job, event, now) => (job.worker === null ? null : next(job, event, now))
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
  /** What the event brought along, for the story: the wait, the stage, the steps undone. */
  details: Json
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
        ...entering(next.state as LiveState, event.type),
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
  const attempt: Attempt | null =
    next.ends && job.worker !== null
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
    details: event.details ?? detailsOf(event),
  }
  return { ok: true, from: job, live, outcome, attempt, history }
}

/** What the story will want to say of an event, beyond the states. */
function detailsOf(event: Event): Json {
  switch (event.type) {
    case 'suspended': {
      const { quorum, ...wait } = event.wait
      return { waitKind: event.waitKind, ...wait, ...(quorum ? { quorum } : {}) }
    }
    case 'staged':
      return { stage: event.stage, queue: event.queue }
    case 'woken':
      return { by: event.by }
    case 'undone':
      return { undone: event.steps, notUndone: event.partial }
    default:
      return null
  }
}

/** The attempt keeps the error as it surfaced, not the verdict on the whole job. */
function attemptError(event: Event, next: Next): ErrorInfo | null {
  return event.type === 'errored' ? event.error : next.ends === 'ok' ? null : (next.error ?? null)
}

/** Columns that a state never has. A limit that holds a job goes on holding it while it stays in its lane. */
function entering(state: LiveState, event: EventType): Partial<LiveJob> {
  if (state === 'running' || state === 'cancelling') return { waitKind: null, wakeAt: null }
  const idle = event === 'claimed' ? {} : { worker: null, attemptAt: null }
  return state === 'waiting' ? { ...idle, held: null } : { ...idle, waitKind: null, wakeAt: null }
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
    held: null,
    ties: 0,
    undo: 0,
    why: null,
    changedAt: now,
  }
}

/** The live row of a job that does nothing but undo what a finished one did. */
export function newUndoing(id: string, lane: string, level: number, now: number): LiveJob {
  const live = newLive(id, lane, level, now, { runAt: null, deadlineAt: null, escalateAt: null })
  return {
    ...live,
    state: 'compensating',
    undo: 1,
    why: { undo: { status: 'completed', phase: 'clean', error: null } },
  }
}

/** The first history row of a job. */
export function accepted(job: LiveJob, actor: Actor): HistoryEntry {
  return {
    seq: job.version,
    at: job.changedAt,
    event: 'submitted',
    state: job.state,
    phase: phaseOf(job, job.changedAt),
    epoch: 0,
    attempt: 0,
    actor,
    reason: null,
    error: null,
    details: null,
  }
}
