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
import type { Validated } from '../engine/validate.js'
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

/**
 * Runs one attempt to its end. Like all of the path of a handler that only returns, it awaits what has to be waited for
 * and nothing else: where async contexts are followed by hooks (before Node 24), each Promise costs about a microsecond.
 */
export async function execute(attempt: Attempt, env: Environment): Promise<Moved | null> {
  armTimers(attempt)
  try {
    const end = await endOfHandler(attempt, env)
    const closing = end.kind === 'left' ? undefined : attempt.close(end.kind === 'returned')
    if (closing) await closing
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

function endOfHandler(attempt: Attempt, env: Environment): End | Promise<End> {
  try {
    const memo = attempt.loadMemo()
    if (memo) return preparedHandler(attempt, env, memo)
    const input = inputOf(attempt, env.sha256)
    return input instanceof Promise ? preparedHandler(attempt, env, null, input) : runHandler(attempt, env, input)
  } catch (error) {
    return thrown(attempt, error)
  }
}

/** One that needs more than what its claim has brought. */
async function preparedHandler(
  attempt: Attempt,
  env: Environment,
  memo: Promise<void> | null,
  upgraded?: Promise<unknown>,
): Promise<End> {
  try {
    await memo
    return await runHandler(attempt, env, await (upgraded ?? inputOf(attempt, env.sha256)))
  } catch (error) {
    return thrown(attempt, error)
  }
}

/** Resolves with what the handler returns or throws, or as soon as the attempt ends without waiting for it. */
function runHandler(attempt: Attempt, env: Environment, input: unknown): End | Promise<End> {
  const job = env.contextOf(attempt, input)
  // What nobody catches of it, later too, is known by this to be its own.
  const returned = scopes.run({ attempt, path: '', inside: null }, () =>
    env.isolate ? env.isolate(attempt, job) : attempt.type.handler.run(job),
  )
  // Not only our own Promise: query builders and other realms have theirs.
  if (typeof (returned as { then?: unknown } | null | undefined)?.then !== 'function')
    return { kind: 'returned', value: returned, stopped: attempt.stopped }
  // What Promise.race does, at half the cost: whichever comes first, and the handler's value if both are there.
  return new Promise<End>((resolve) => {
    try {
      Promise.resolve(returned).then(
        (value) => resolve({ kind: 'returned', value, stopped: attempt.stopped }),
        (error) => resolve(thrown(attempt, error)),
      )
    } catch (error) {
      resolve(thrown(attempt, error)) // a Promise that tools have patched
    }
    attempt.onLeave(() => queueMicrotask(() => resolve({ kind: 'left', stopped: attempt.stopped })))
  })
}

const thrown = (attempt: Attempt, error: unknown): End => ({ kind: 'threw', error, stopped: attempt.stopped })

function settle(attempt: Attempt, env: Environment, end: End): Promise<Moved | null> {
  // What came while its last steps ended does not change how it ended.
  const { stopped } = end
  const { leaving } = attempt
  const actor: Actor = { kind: 'worker', id: env.worker }
  if (attempt.undos && stopped !== 'drain') return undo(attempt, env, actor, end)
  if (end.kind === 'left' && leaving) {
    const event = leaving.event(attempt.claimed.live)
    return commit(attempt, env, event, { record: leaving.record, blockedOn: leaving.blockedOn })
  }
  // A process of its own has been killed.
  if ((end.kind === 'left' || !attempt.idle) && stopped !== 'drain' && !attempt.isolated)
    attempt.notes.warn(
      'handler-still-running',
      'The handler did not stop when it was told to; whatever it still does is not recorded.',
      null,
    )
  return end.kind === 'returned' ? returned(attempt, env, actor, end.value) : failed(attempt, env, actor, end)
}

function returned(attempt: Attempt, env: Environment, actor: Actor, value: unknown): Promise<Moved | null> {
  const end = (accepted: Accepted) =>
    accepted.ok
      ? commit(attempt, env, { type: 'succeeded', actor, warnings: attempt.notes.warned }, { accepted })
      : commit(attempt, env, errored(attempt, env, actor, accepted.error))
  const accepted = acceptResult(attempt, value)
  const { isolated } = attempt
  if (!isolated) return accepted instanceof Promise ? accepted.then(end) : end(accepted)
  return (async () => {
    const last = await accepted
    const crashed = await isolated.leave()
    return crashed ? commit(attempt, env, errored(attempt, env, actor, crashed)) : end(last)
  })()
}

async function failed(attempt: Attempt, env: Environment, actor: Actor, end: End): Promise<Moved | null> {
  const { stopped } = end
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
function acceptResult(attempt: Attempt, value: unknown): Accepted | Promise<Accepted> {
  const refused = (error: unknown): Accepted => ({ ok: false, error })
  try {
    const { type } = attempt
    const checked = type.handler.definition.output === null ? null : type.output(value ?? null)
    if (checked instanceof Promise) return checked.then((answer) => verified(attempt, fitting(answer))).catch(refused)
    const result = verified(attempt, checked === null ? (value ?? null) : fitting(checked))
    return result instanceof Promise ? result.catch(refused) : result
  } catch (error) {
    return refused(error)
  }
}

/** @throws UntildoneError output-invalid */
function fitting(answer: Validated): unknown {
  if (answer.ok) return answer.value ?? null
  const said = answer.errors.map((e) => `${e.pointer || 'it'} ${e.message}`)
  throw new UntildoneError(
    'output-invalid',
    `The result does not fit the output schema: ${said.slice(0, 3).join('; ')}`,
    { errors: answer.errors },
  )
}

function verified(attempt: Attempt, value: unknown): Accepted | Promise<Accepted> {
  const { type, claimed, isolated } = attempt
  const { verify } = type.handler.settings
  if (!verify) return keptAs(attempt, value)
  const context = { input: parseJson(claimed.record.input) }
  return (async () => {
    await (isolated ? isolated.verify(value, context) : verify(value, context))
    return keptAs(attempt, value)
  })()
}

/** @throws UntildoneError result-too-large */
function keptAs({ type }: Attempt, value: unknown): Accepted {
  const { maxResultBytes } = type.handler.settings
  const result = JSON.stringify(value) ?? 'null'
  if (result.length > maxResultBytes || (result.length * 3 > maxResultBytes && utf8Length(result) > maxResultBytes))
    throw new UntildoneError(
      'result-too-large',
      `The result has ${utf8Length(result)} bytes; the limit is ${maxResultBytes}.`,
    )
  return { ok: true, result, files: type.filesIn('output', value) }
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
