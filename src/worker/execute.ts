/**
 * One attempt as a pipeline: memo, handler, output, verify, verdict, commit. Whatever the handler does, exactly one fenced
 * move ends the attempt, and it is repeated until the store has taken or refused it.
 */

import type { Classified } from '../core/classify.js'
import { isUntildoneError, UntildoneError } from '../core/errors.js'
import type { Actor, ErrorInfo } from '../core/job.js'
import { linesOf, parseJson, utf8Length } from '../core/json.js'
import { type Event, transition } from '../core/lifecycle.js'
import type { JobContext } from '../define/context.js'
import type { AttemptRecord, Moved } from '../stores/store.js'
import { type Attempt, LEAVE_AFTER_MS, type Stop, storeRetryMs } from './attempt.js'
import { taughtIn } from './failures.js'
import { scopes } from './scope.js'
import { inputOf } from './upgrade.js'

export interface Environment {
  worker: string
  contextOf(attempt: Attempt, input: unknown): JobContext<any>
  expiresAt(finishedAt: number, live: Attempt['claimed']['live']): number
  /** Runs handlers that are isolated where they belong, and the others here. */
  isolate?(attempt: Attempt, job: JobContext<any>): unknown
  sha256(text: string): string
  random(): number
  onError(error: unknown): void
}

/** `stopped`: why it had been told to stop by then. */
type End = ({ kind: 'returned'; value: unknown } | { kind: 'threw'; error: unknown } | { kind: 'left' }) & {
  stopped: Stop | null
}

/** After so many tries an end that the store does not take, and not for want of space, is given up for a plainer one. */
const TRIES_AS_IS = 3

/** Runs one attempt to its end. */
export async function execute(attempt: Attempt, env: Environment): Promise<Moved | null> {
  armTimers(attempt)
  try {
    const end = await runHandler(attempt, env)
    if (attempt.stopped === 'lease-lost') return null
    return await settle(attempt, env, end)
  } finally {
    attempt.end()
    if (attempt.isolated) await attempt.isolated.leave()
  }
}

/** Time limits of the attempt and of the job. A handler that does not stop when told is left behind, fenced. */
function armTimers(attempt: Attempt): void {
  const { live } = attempt.claimed
  const { attemptTimeoutMs } = attempt.type.handler.settings
  const now = attempt.clock.now()
  attempt.after(attemptTimeoutMs, () => attempt.expire(`The attempt took longer than ${attemptTimeoutMs} ms.`))
  // What must be undone is undone, however late.
  if (live.deadlineAt !== null && !attempt.undos)
    attempt.after(Math.max(0, live.deadlineAt - now), () =>
      attempt.stop('deadline', new UntildoneError('attempt-timeout', 'The deadline passed.'), LEAVE_AFTER_MS),
    )
}

async function runHandler(attempt: Attempt, env: Environment): Promise<End> {
  const end = await endOfHandler(attempt, env)
  const closing = end.kind === 'left' ? undefined : attempt.close(end.kind === 'returned')
  if (closing) await closing
  return end
}

async function endOfHandler(attempt: Attempt, env: Environment): Promise<End> {
  try {
    await attempt.loadMemo()
    const job = env.contextOf(attempt, await inputOf(attempt, env.sha256))
    // What nobody catches of it, later too, is known by this to be its own.
    const returned = scopes.run({ attempt, path: '', inside: null }, () =>
      env.isolate ? env.isolate(attempt, job) : attempt.type.handler.run(job),
    )
    // Not only our own Promise: query builders and other realms have theirs.
    if (typeof (returned as { then?: unknown } | null | undefined)?.then !== 'function')
      return { kind: 'returned', value: returned, stopped: attempt.stopped }
    // What Promise.race does, at half the cost: whichever comes first, and the handler's value if both are there.
    return await new Promise<End>((resolve, reject) => {
      Promise.resolve(returned).then((value) => resolve({ kind: 'returned', value, stopped: attempt.stopped }), reject)
      attempt.onLeave(() => queueMicrotask(() => resolve({ kind: 'left', stopped: attempt.stopped })))
    })
  } catch (error) {
    return { kind: 'threw', error, stopped: attempt.stopped }
  }
}

async function settle(attempt: Attempt, env: Environment, end: End): Promise<Moved | null> {
  // What came while its last steps ended does not change how it ended.
  const { stopped } = end
  const { leaving } = attempt.parking
  const actor: Actor = { kind: 'worker', id: env.worker }
  if (attempt.undos && stopped !== 'drain') return undo(attempt, env, actor, end)
  if (end.kind === 'left' && leaving) {
    const event = leaving.event(attempt.claimed.live)
    return commit(attempt, env, event, { record: leaving.record, blockedOn: leaving.blockedOn })
  }
  // A process of its own has been killed.
  if ((end.kind === 'left' || !attempt.parking.idle) && stopped !== 'drain' && !attempt.isolated)
    attempt.notes.warn(
      'handler-still-running',
      'The handler did not stop when it was told to; whatever it still does is not recorded.',
      null,
    )
  if (end.kind === 'returned') {
    const accepted = await acceptResult(attempt, end.value)
    const ended = attempt.isolated && (await attempt.isolated.leave())
    if (ended) return commit(attempt, env, errored(attempt, env, actor, ended))
    if (accepted.ok)
      return commit(attempt, env, { type: 'succeeded', actor, warnings: attempt.notes.warned }, { accepted })
    return commit(attempt, env, errored(attempt, env, actor, accepted.error))
  }
  if (stopped === 'drain') return commit(attempt, env, { type: 'released', actor })
  const error = end.kind === 'threw' ? end.error : (attempt.failure ?? attempt.stopReason)
  if (stopped === 'timeout' || stopped === 'deadline')
    return commit(attempt, env, errored(attempt, env, actor, attempt.stopReason))
  const classified = attempt.errors.classify(error)
  if (classified.verdict === 'harmless' && stopped === null) {
    const accepted = await acceptResult(attempt, classified.result ?? null)
    if (accepted.ok) {
      attempt.errors.met(classified)
      attempt.notes.warn(classified.code, classified.message, attempt.errors.stepOf(error), taughtIn(classified))
      return commit(attempt, env, { type: 'succeeded', actor, warnings: attempt.notes.warned }, { accepted })
    }
    return commit(
      attempt,
      env,
      errored(attempt, env, actor, error, { ...classified, verdict: 'transient', rule: withoutResult(classified) }),
    )
  }
  if (classified.verdict === 'permanent' || stopped === 'cancel' || stopped === 'force-cancel')
    for (const step of attempt.unknownEffects)
      attempt.notes.warn('effect-unknown', `It is not known whether "${step}" has happened.`, step)
  return commit(attempt, env, errored(attempt, env, actor, error, classified))
}

/** Whoever taught that it is harmless must see why it is tried again all the same. */
function withoutResult({ taught, rule }: Classified): string {
  return taught === null ? 'harmless-without-result' : `${rule} (harmless-without-result)`
}

/** The handler has shown its undos, or stopped before it could: what is due is undone, latest first. */
async function undo(attempt: Attempt, env: Environment, actor: Actor, end: End): Promise<Moved | null> {
  if (attempt.stopped === 'timeout' || attempt.stopped === 'stray')
    return commit(attempt, env, errored(attempt, env, actor, attempt.stopReason))
  try {
    const done = await attempt.undos!.run(attempt)
    const accepted = {
      ok: true as const,
      result: JSON.stringify({ undone: done.steps, notUndone: done.partial }),
      files: [],
    }
    return commit(attempt, env, { type: 'undone', actor, ...done }, { accepted })
  } catch (error) {
    if ((attempt.stopped as string | null) === 'drain') return commit(attempt, env, { type: 'released', actor })
    // Why a step was not reached is what its handler threw on the way.
    const why = isUntildoneError(error) && error.code === 'undo-missing' && end.kind === 'threw' ? end.error : error
    return commit(attempt, env, errored(attempt, env, actor, why))
  }
}

type Accepted = { ok: true; result: string; files: string[] } | { ok: false; error: unknown }

/** The result as it will be stored: through the output schema, then `verify`, within the limit. */
async function acceptResult(attempt: Attempt, value: unknown): Promise<Accepted> {
  const { type, claimed } = attempt
  const { definition, settings } = type.handler
  try {
    let checked = value ?? null
    if (definition.output !== null) {
      const answer = await type.output(checked)
      if (!answer.ok) {
        throw new UntildoneError(
          'output-invalid',
          `The result does not fit the output schema: ${answer.errors
            .map((e) => `${e.pointer || 'it'} ${e.message}`)
            .slice(0, 3)
            .join('; ')}`,
          { errors: answer.errors },
        )
      }
      checked = answer.value ?? null
    }
    if (settings.verify) {
      const context = { input: parseJson(claimed.record.input) }
      await (attempt.isolated ? attempt.isolated.verify(checked, context) : settings.verify(checked, context))
    }
    const result = JSON.stringify(checked) ?? 'null'
    if (
      result.length > settings.maxResultBytes ||
      (result.length * 3 > settings.maxResultBytes && utf8Length(result) > settings.maxResultBytes)
    ) {
      throw new UntildoneError(
        'result-too-large',
        `The result has ${utf8Length(result)} bytes; the limit is ${settings.maxResultBytes}.`,
      )
    }
    return { ok: true, result, files: type.filesIn('output', checked) }
  } catch (error) {
    return { ok: false, error }
  }
}

function errored(attempt: Attempt, env: Environment, actor: Actor, error: unknown, known?: Classified): Event {
  const classified = known ?? attempt.errors.classify(error)
  const deadline = attempt.stopped === 'deadline'
  // One that was told to stop fails because of that.
  if (attempt.stopped === null || attempt.stopped === 'timeout') attempt.errors.met(classified)
  const verdict = deadline ? 'permanent' : classified.verdict === 'harmless' ? 'transient' : classified.verdict
  const info: ErrorInfo = {
    code: deadline ? 'deadline-passed' : classified.code,
    class: verdict,
    origin: deadline ? 'engine' : classified.origin,
    message: classified.message,
    messages: linesOf(classified.message),
    step: attempt.errors.stepOf(error),
    rule: deadline ? 'built-in deadline' : classified.rule,
    details: safeDetails(classified.details),
    attempts: attempt.number,
    occurredAt: attempt.clock.now(),
  }
  const { retry, scope } = attempt.errors.budgetOf(error)
  return {
    type: 'errored',
    actor,
    verdict,
    error: info,
    retry,
    scope,
    undoing: attempt.undos?.at ?? null,
    jitter: env.random(),
    retryAfterMs: classified.retryAfterMs,
  }
}

function safeDetails(details: Record<string, unknown> | null): Record<string, unknown> | null {
  if (details === null) return null
  try {
    const text = JSON.stringify(details)
    return text.length > 16_384
      ? { note: 'the details were larger than 16 KiB and are not kept' }
      : (JSON.parse(text) as Record<string, unknown>)
  } catch {
    return { note: 'the details could not be written as JSON' }
  }
}

/**
 * Repeats until the store has answered: the lease, not an error of the store, decides whether the attempt still counts.
 * It must not give up, because the worker's lease would keep the job from everybody else for as long as the worker lives.
 */
async function commit(
  attempt: Attempt,
  env: Environment,
  event: Event,
  ending: {
    accepted?: { result: string; files: string[] }
    record?: Omit<AttemptRecord, 'jobId' | 'epoch'>
    blockedOn?: readonly string[]
  } = {},
): Promise<Moved | null> {
  let { accepted } = ending
  const { record = null, blockedOn } = ending
  const { live } = attempt.claimed
  // The next attempt may begin with the commit, and must find nobody at work.
  if (attempt.isolated) await attempt.isolated.leave()
  let noted = attempt.notes.take()
  attempt.settling = true
  for (let tries = 0; ; tries++) {
    try {
      const moving = attempt.store.move({
        jobId: attempt.id,
        known: live,
        decide: (row, now) => transition(row, event, now, { epoch: attempt.epoch }),
        expiresAt: env.expiresAt,
        result: accepted?.result,
        resultSha256: accepted && env.sha256(accepted.result),
        files: accepted?.files,
        record: noted || record ? { jobId: attempt.id, epoch: attempt.epoch, ...noted, ...record } : undefined,
        ...(blockedOn?.length ? { blockedOn } : {}),
      })
      if (tries === 0) attempt.onSettling()
      return await moving
    } catch (error) {
      if ((attempt.stopped as string | null) === 'lease-lost') return null
      if (tries === TRIES_AS_IS && (!isUntildoneError(error) || error.code === 'internal')) {
        // Something in it cannot be stored: the attempt ends without it, and says so.
        env.onError(error)
        noted = null
        accepted = undefined
        if (event.type !== 'released') {
          const cause = new UntildoneError('internal', `The end of the attempt could not be stored: ${error}`, {
            cause: error,
          })
          event = errored(attempt, env, event.actor, cause)
        }
      }
      await new Promise<void>((resolve) => attempt.clock.after(storeRetryMs(tries), resolve))
    }
  }
}
