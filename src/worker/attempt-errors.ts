/**
 * What one attempt knows of its errors: the verdict of each, the step or stage in which it surfaced, and with that its
 * retry budget. What is done about an error is decided by whoever met it.
 */
import type { RetryPolicy } from '../core/backoff.js'
import { type Classified, classify, type ErrorRule, type Found, type Line, matchText } from '../core/classify.js'
import { fingerprintOf } from '../core/fingerprint.js'
import type { TaughtRule } from '../core/taught.js'
import type { Attempt } from './attempt.js'
import { failureOf } from './failures.js'

/** A stage, and the budget of its own if it has one. */
export interface StageBudget {
  key: string
  retry: RetryPolicy | null
}

export class AttemptErrors {
  /** What a failing step knew of its error. Per attempt: programs share error objects between jobs. */
  private surfaced: WeakMap<object, { step: string; classified: Classified; retry: RetryPolicy | null }> | null = null
  /** The last stage that failed, and with what. */
  private failedStage: { error: unknown; stage: StageBudget | null } | null = null
  /** The stage in which the attempt was told to stop. */
  private stoppedStage: StageBudget | null = null
  /** The handler has returned: the error of a step that ends now reaches nobody. */
  private returned = false
  private failedSteps: { step: string; message: string }[] | null = null

  constructor(
    private readonly attempt: Attempt,
    /** Asked at each error, because people teach while it runs. */
    private readonly taught: () => readonly TaughtRule[],
  ) {}

  /** Verdict of an error by the rules of step and type; the step in which it first surfaced has decided it for good. */
  classify(error: unknown, step?: readonly ErrorRule[], key = '', retry: RetryPolicy | null = null): Classified {
    const object = typeof error === 'object' && error !== null ? error : null
    const known = object && this.surfaced?.get(object)
    if (known) return known.classified
    const { claimed, type, sha256 } = this.attempt
    const classified = classify(error, {
      ...{ step, type: type.handler.settings.errors, taught: this.taught() },
      fingerprint: (facts) => fingerprintOf(claimed.record.type, facts, sha256),
    })
    if (object) (this.surfaced ??= new WeakMap()).set(object, { step: key, classified, retry })
    return classified
  }

  /** What rules say of a line that a child printed which ended well. */
  noteOf(line: Line, step?: readonly ErrorRule[]): Found | null {
    return matchText(line, { step, type: this.attempt.type.handler.settings.errors, taught: this.taught() })
  }

  /** An error that ends the attempt, or that a step went on from: counted if the code says nothing of it. */
  met(classified: Classified): void {
    const { claimed, number, clock, sha256, notes } = this.attempt
    const failure = failureOf(classified, claimed.record, number, clock.now(), sha256)
    if (failure) notes.met(failure)
  }

  /** The budget for an error: its step's own, the stage's, or the type's; `scope` names what has one of its own. */
  budgetOf(error: unknown): { retry: RetryPolicy; scope: string | null } {
    const failed = typeof error === 'object' && error !== null ? this.surfaced?.get(error) : undefined
    if (failed?.retry) return { retry: failed.retry, scope: failed.step }
    const failedIn = this.failedStage?.error === error ? this.failedStage?.stage : null
    const stage = error === this.attempt.stopReason ? this.stoppedStage : failedIn
    if (stage?.retry) return { retry: stage.retry, scope: stage.key }
    return { retry: this.attempt.type.handler.settings.retry, scope: null }
  }

  stageFailed(stage: StageBudget | null, error: unknown): void {
    this.failedStage = { error, stage }
  }

  stoppedIn(stage: StageBudget | null): void {
    this.stoppedStage = stage
  }

  /** The error of a step is the handler's business; one that nobody waited for must show all the same. */
  stepFailed(step: string, message: string): void {
    if (!this.returned) (this.failedSteps ??= []).push({ step, message })
    else if (this.attempt.stopped === null)
      this.attempt.notes.warn('step-failed-unseen', `The handler had returned when it failed: ${message}`, step)
  }

  /** What failed until now was caught, or never waited for: no attempt says what it was. */
  handlerReturned(): void {
    this.returned = true
    for (const { step, message } of this.failedSteps ?? [])
      this.attempt.notes.log('warn', `"${step}" failed, and the handler went on: ${message}`, { step })
  }

  /** The step in which this error surfaced, or null. */
  stepOf(error: unknown): string | null {
    return (typeof error === 'object' && error !== null && this.surfaced?.get(error)?.step) || null
  }
}
