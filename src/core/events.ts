/**
 * What can happen to a job, and what a rule may say of it. Types only: which event leads where is in lifecycle.ts, why
 * in rules.ts.
 */
import type { RetryPolicy } from './backoff.js'
import type { Actor, AttemptEnd, Cancel, ErrorInfo, FinalState, JobState, LiveJob, Wait, WaitKind } from './job.js'
import type { Json } from './json.js'

type Nothing = Record<never, never>

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
    /** The step or stage whose own budget this is; its errors are counted apart. */
    scope?: string | null
    /** The step that was being undone. */
    undoing?: string | null
  }
  /** The worker gives it back unharmed (shutdown). */
  released: Nothing
  /** The handler can only go on when something outside happens; it costs no worker until then. */
  suspended: {
    waitKind: Exclude<WaitKind, 'review' | 'pause'>
    /** When it wakes by itself; null = only from outside. */
    wakeAt: number | null
    wait: Wait
  }
  /** What a suspended job waited for is there. */
  woken: { by: string }
  /** The handler has reached a stage that another queue does. */
  staged: { stage: string; queue: string; lane: string }
  /** The worker that held the lease is gone. */
  leaseExpired: { maxLost: number; jitter: number }
  cancelRequested: Cancel
  /** Something other than a cancel says that it must not go on: a refused or expired approval, an answer to a review. */
  stopped: NonNullable<Cancel['end']>
  /** "Now, please": skips a wait between attempts or resumes a review. */
  retryRequested: { resetAttempts: boolean }
  pauseRequested: Nothing
  resumeRequested: Nothing
  deadlinePassed: Nothing
  /** An operator sets the end by hand. */
  overridden: { status: FinalState; error: ErrorInfo | null }
  /** Everything that could be undone is. `partial`: steps that nobody undid. */
  undone: { steps: string[]; partial: string[] }
}
export type EventType = keyof Events
export type Event = {
  [E in EventType]: { type: E; actor: Actor; reason?: string | null; details?: Json } & Events[E]
}[EventType]
export type EventOf<E extends EventType> = Extract<Event, { type: E }>

/** What a rule decides: the next state and the columns that change with it. */
export interface Next {
  state: JobState
  phase?: string
  set?: Partial<LiveJob>
  error?: ErrorInfo | null
  /** Set when this ends the running attempt. */
  ends?: AttemptEnd
  retryInMs?: number
}

export interface Rule<E extends EventType> {
  readonly to: readonly JobState[]
  /** Null: not possible for this job. */
  readonly next: (job: LiveJob, event: EventOf<E>, now: number) => Next | null
}
