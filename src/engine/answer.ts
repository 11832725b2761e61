/**
 * A person answers what a job waits for: whether an effect has happened, that a step was undone by hand, or that it shall
 * stop. What the answer means is recorded in the transaction in which the job goes on.
 */
import { UntildoneError } from '../core/errors.js'
import { type JobRecord, type LiveJob, seqAfter } from '../core/job.js'
import { utf8Length } from '../core/json.js'
import type { Event } from '../core/lifecycle.js'
import { effectKeyOf } from '../core/operation.js'
import { type Question, questionOf } from '../core/question.js'
import type { WireJob } from '../core/wire.js'
import type { AttemptRecord, EffectRow } from '../stores/store.js'
import { act, alreadyDone, reasonOf } from './act.js'
import type { Caller } from './api.js'
import type { AnswerRequest } from './operator-api.js'
import type { EngineParts } from './parts.js'
import { demand } from './rights.js'
import { undoneOf, undoneOnceMore } from './undone.js'

/** A job may change while its question is read; more than a few times means that somebody else is at it. */
const TRIES = 5
const DEFAULT_MAX_RESULT = 64 * 1024 * 1024

export class Answers {
  constructor(private readonly parts: EngineParts) {}

  async answer(caller: Caller, id: string, request: AnswerRequest): Promise<WireJob> {
    const { parts } = this
    reasonOf(request.reason)
    for (let tries = 1; ; tries++) {
      const { record, live } = await parts.load(caller, id)
      demand(caller, 'jobs:operate')
      const question = live && questionOf(live)
      if (question) this.check(record, question, request)
      const moved = await act(parts, caller, id, request, {
        action: 'job.answer',
        // Without a question it is moved all the same: a repeat by key answers the job as it is.
        event: question ? this.eventOf(caller, question, request) : () => null,
        details: { answer: request.answer, ...(question ? { step: question.step } : {}) },
        ...(live ? { version: request.ifVersion ?? live.version } : {}),
        ...(question ? { more: { record: await this.recordOf(caller, record, live, question, request) } } : {}),
      })
      if (moved.outcome === 'moved' || moved.outcome === 'repeated') return parts.get(caller, id)
      if (moved.outcome === 'finished') throw alreadyDone(await parts.get(caller, id))
      if (!question || tries === TRIES) throw nothingToAnswer(await parts.get(caller, id))
    }
  }

  /** @throws UntildoneError `nothing-to-answer`, `validation-failed`, `payload-too-large` */
  private check(record: JobRecord, question: Question, { answer, step, result }: AnswerRequest): void {
    if (!question.answers.includes(answer))
      throw new UntildoneError(
        'nothing-to-answer',
        `The question about "${question.step}" takes ${question.answers.join(', ')}.`,
        { params: { step: question.step, answers: question.answers } },
      )
    if (step === undefined ? answer !== 'stop' : step !== question.step) {
      const message = `must be "${question.step}", the step that is asked about`
      throw new UntildoneError('validation-failed', `The step ${message}.`, {
        errors: [{ pointer: '/step', code: step === undefined ? 'required' : 'mismatch', message }],
      })
    }
    if (result === undefined) return
    if (answer !== 'happened')
      throw new UntildoneError('validation-failed', `A result belongs to the answer "happened" only.`, {
        errors: [{ pointer: '/result', code: 'conflict', message: 'belongs to the answer "happened" only' }],
      })
    const maxBytes = this.parts.registry.get(record.type)?.handler.settings.maxResultBytes ?? DEFAULT_MAX_RESULT
    if (utf8Length(JSON.stringify(result)) > maxBytes)
      throw new UntildoneError('payload-too-large', `The result is larger than ${maxBytes} bytes.`, {
        params: { maxBytes },
      })
  }

  private eventOf(caller: Caller, { step }: Question, { answer, reason }: AnswerRequest): Event {
    const who = { actor: caller.actor, reason, details: { answer, step } }
    if (answer !== 'stop') return { type: 'retryRequested', resetAttempts: true, ...who }
    const message = `Stopped by ${caller.actor.name ?? caller.actor.id}: ${reason}`
    return { type: 'stopped', status: 'cancelled', phase: 'byOperator', code: 'stopped-by-operator', message, ...who }
  }

  private async recordOf(
    caller: Caller,
    record: JobRecord,
    live: LiveJob,
    { step, undoable }: Question,
    { answer, result, reason }: AnswerRequest,
  ): Promise<AttemptRecord> {
    const { entropy, store } = this.parts
    const { sha256 } = entropy
    const at = store.now()
    const undone = await undoneOf(store, record, sha256)
    const whole: AttemptRecord = { jobId: live.id, epoch: live.epoch }
    const effect: Omit<EffectRow, 'state'> = {
      ...{ tenant: record.tenant, key: effectKeyOf(record, step, sha256, undone) },
      ...{ jobId: live.id, step, result: null, at },
    }
    if (answer === 'undone') {
      whole.undone = [{ key: step, undo: 'by-hand' }]
      whole.effects = [undoneOnceMore(record, undone, step, at, sha256).row]
    }
    if (answer === 'did-not-happen') whole.effects = [{ ...effect, state: 'absent' }]
    if (answer === 'happened') {
      const text = result === undefined ? null : JSON.stringify(result)
      whole.effects = [{ ...effect, state: 'happened', result: text }]
      const { attempt } = live
      whole.steps = [
        {
          ...{ key: step, kind: 'step', attempt, seq: seqAfter(attempt), startedAt: at, endedAt: at, result: text },
          ...{ info: JSON.stringify({ answeredBy: caller.actor, reason }), effect: 'once' },
          undo: undoable ? 'due' : null,
        },
      ]
    }
    return whole
  }
}

function nothingToAnswer(job: WireJob): UntildoneError {
  return new UntildoneError('nothing-to-answer', `The job is ${job.status} and asks nothing now.`, {
    params: { status: job.status },
  })
}
