/**
 * Effects that must happen once. The ledger is written before the effect and again with its outcome, under the same key
 * for every job of one business operation. A start without an outcome is confirmed with the far side or put before a
 * person; it is never repeated on a guess.
 */
import { neverReached, Review } from '../core/classify.js'
import type { Answer, Question } from '../core/question.js'
import type { StepContext, StepOptions } from '../define/context.js'
import { type AttemptRecord, type EffectRow, isTombstone } from '../stores/store.js'
import type { Attempt } from './attempt.js'
import { textOf } from './memo.js'

/**
 * What is known of the effect before it is begun.
 * @returns its value when it has happened, and whether that was for another job; null when it may be begun
 * @throws Review `effect-unknown` when nobody can tell but a person
 */
export async function beginOnce<T>(
  attempt: Attempt,
  step: string,
  { confirm, undo }: Pick<StepOptions<T>, 'confirm' | 'undo'>,
  context: StepContext,
): Promise<{ value: T; info: unknown; another: boolean } | null> {
  const { tenant } = attempt.claimed.record
  const known = (await attempt.store.effect(tenant, context.key)) ?? (await doneBefore(attempt, step, context.key))
  if (!known || known.state === 'absent') return null
  // What another job began and never recorded is nobody's to undo but ours.
  const another = known.state === 'happened' && known.jobId !== attempt.id
  if (confirm) {
    const answer = await confirm(context)
    if (answer === 'unknown') throw unknownEffect(attempt, step, known, undo !== undefined)
    if (!answer.happened) return null
    return { value: answer.result, info: { confirmed: true, job: known.jobId }, another }
  }
  if (known.state === 'started') throw unknownEffect(attempt, step, known, undo !== undefined)
  attempt.notes.log('info', `"${step}" had happened in job ${known.jobId}; its result is used again.`, { step })
  const value = (known.result === null ? undefined : JSON.parse(known.result)) as T
  return { value, info: { reused: known.jobId }, another }
}

/**
 * A replay is asked for after a deploy that made a step `once`. What the jobs before it recorded of that step when it was
 * not, the ledger does not know, and it has happened all the same.
 */
async function doneBefore({ store, claimed }: Attempt, step: string, key: string): Promise<EffectRow | null> {
  for (let job = claimed.record; job.replayOf !== null && !job.options.replay?.newEffects; ) {
    const source = await store.find(job.replayOf, 0)
    if (!source || isTombstone(source)) return null
    const { id: jobId, tenant } = source.record
    const undoing = source.compensatedBy === null ? [] : await store.steps(source.compensatedBy)
    const rows = [...(await store.steps(jobId)), ...undoing].filter((row) => row.key === step)
    if (rows.some(({ undo }) => undo === 'undone' || undo === 'by-hand')) return null
    const done = rows.find(({ effect }) => effect != null && effect !== 'read')
    if (done) return { tenant, key, jobId, step, state: 'happened', result: done.result, at: done.endedAt }
    job = source.record
  }
  return null
}

/** The question that a person can answer: POST /v1/jobs/{id}/answer. */
function unknownEffect(attempt: Attempt, step: string, { at }: EffectRow, undoable: boolean): Review {
  // What is being undone has stopped already.
  const answers: Answer[] = ['happened', 'did-not-happen', ...(attempt.undos ? [] : (['stop'] as const))]
  const question: Question = { step, kind: 'effect', answers, ...(undoable ? { undoable } : {}) }
  return new Review(`Did "${step}" happen? It was begun ${new Date(at).toISOString()}, and its outcome is not known.`, {
    code: 'effect-unknown',
    origin: 'system',
    details: { question },
  })
}

/** The ledger's entry of an effect with its outcome, for the transaction of its record. */
export function happened(attempt: Attempt, step: string, value: unknown): Pick<AttemptRecord, 'effects'> {
  return { effects: [{ ...attempt.effect(step), state: 'happened', result: textOf(value, step) }] }
}

/** The error says that the effect cannot have happened: it was thrown with `happened: false`, or nobody was reached. */
export function notHappened(error: unknown): boolean {
  return neverReached(error)
}
