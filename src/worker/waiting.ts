/**
 * Calls that wait for something outside: time, a signal, a callback, a child job. Each finds its value among the records,
 * or parks its branch until there is one. None of them holds a worker.
 */
import { Permanent } from '../core/classify.js'
import { type Duration, parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import type { Callback, CallbackResult, CallOptions, ChildEnd, Received, WaitOptions } from '../define/context.js'
import type { JobDefinition } from '../define/define-job.js'
import type { NewJob, StepRow, WaitRow, WaitValue } from '../stores/store.js'
import type { Attempt } from './attempt.js'
import { recordedValue, sameAsRecorded } from './memo.js'

/** What waiting needs beyond the attempt. */
export interface WaitTools {
  /** The rows of a child job. */
  child(parent: Attempt, key: string, type: string, input: unknown, options: CallOptions): Promise<NewJob>
  /** The URL of a callback of this step, and the hash under which it is kept. */
  callback(jobId: string, key: string): { url: string; hash: string }
}

/** The value under this key, or none: then the branch is parked and never comes back in this attempt. */
async function settled(
  attempt: Attempt,
  key: string,
  kind: WaitRow['kind'],
  park: () => Promise<{ name: string; dueAt: number | null; child?: NewJob }>,
): Promise<WaitValue> {
  attempt.steps.names.outside(key)
  const recorded = attempt.memo?.get(key)
  if (recorded) {
    sameAsRecorded(recorded, kind, null)
    await attempt.parking.arrival(recorded)
    return recordedValue<WaitValue>(recorded)
  }
  await attempt.checkpoint()
  const before = attempt.waiting?.get(key)
  if (before) {
    // Its time runs from when it was begun, and its child exists.
    sameAsRecorded({ key, kind: before.kind, effect: null }, kind, null)
    return attempt.parking.park({ wait: before, title: titleOf(before), stored: true })
  }
  const { name, dueAt, child } = await park()
  const row: WaitRow = { jobId: attempt.id, key, kind, name, dueAt, childId: null, createdAt: attempt.clock.now() }
  return attempt.parking.park({ wait: row, title: titleOf(row), ...(child ? { child } : {}) })
}

const titleOf = ({ kind, name, dueAt }: WaitRow): string =>
  kind === 'timer'
    ? `Goes on at ${new Date(dueAt!).toISOString()}.`
    : kind === 'signal'
      ? `Waiting for the signal "${name}".`
      : kind === 'child'
        ? `Waiting for the job "${name}".`
        : `Waiting for an answer to "${name}".`

function dueAfter(attempt: Attempt, timeout: Duration | undefined, what: string): number | null {
  return timeout === undefined ? null : attempt.clock.now() + parseDuration(timeout, what)
}

export async function sleep(attempt: Attempt, name: string, duration: Duration): Promise<void> {
  const key = attempt.steps.names.next(name)
  await settled(attempt, key, 'timer', async () => {
    return { name, dueAt: dueAfter(attempt, duration, `sleep "${name}"`) }
  })
}

export async function waitFor(attempt: Attempt, signal: string, options: WaitOptions = {}): Promise<Received<any>> {
  const { definition } = attempt.type.handler
  if (!Object.hasOwn(definition.signals, signal))
    throw new UntildoneError(
      'bad-definition',
      `waitFor("${signal}"): job "${definition.name}" declares no such signal.`,
    )
  const key = attempt.steps.names.next(signal)
  const value = await settled(attempt, key, 'signal', async () => ({
    name: signal,
    dueAt: dueAfter(attempt, options.timeout, `waitFor("${signal}")`),
  }))
  return value.is === 'value'
    ? { timedOut: false, payload: value.value, by: value.by ?? null }
    : { timedOut: true, payload: null, by: null }
}

/** The URL works from now on, also while the step that hands it out is still running. */
export async function callback(
  attempt: Attempt,
  tools: WaitTools,
  name: string,
  { timeout = '7d' }: WaitOptions = {},
): Promise<Callback<any>> {
  const key = attempt.steps.names.next(name)
  const { url, hash } = tools.callback(attempt.id, key)
  const madeKey = `${key}#url`
  const minted = attempt.memo?.get(madeKey)
  let expiresAt: number
  if (minted) expiresAt = recordedValue<number>(minted)
  else {
    await attempt.checkpoint()
    expiresAt = dueAfter(attempt, timeout, `callback("${name}")`)!
    const now = attempt.clock.now()
    const row: StepRow = {
      key: madeKey,
      kind: 'callback',
      attempt: attempt.number,
      seq: attempt.nextSeq(),
      startedAt: now,
      endedAt: now,
      result: JSON.stringify(expiresAt),
      info: null,
    }
    const { tenant } = attempt.claimed.record
    await attempt.parking.during(() =>
      attempt.record({
        steps: [row],
        callbacks: [{ hash, tenant, jobId: attempt.id, key, expiresAt, usedAt: null, answerHash: null }],
      }),
    )
    attempt.memo?.set(madeKey, row)
  }
  return {
    url,
    async result(): Promise<CallbackResult<any>> {
      const value = await settled(attempt, key, 'callback', async () => ({
        name,
        dueAt: expiresAt,
      }))
      return value.is === 'value' ? (value.value as CallbackResult<any>) : { outcome: 'timeout' }
    },
  }
}

export async function call(
  attempt: Attempt,
  tools: WaitTools,
  child: JobDefinition<any, any, any>,
  input: unknown,
  options: CallOptions = {},
): Promise<unknown> {
  const { timeout = '7d', onFailure = 'throw', name = child.name } = options
  const key = attempt.steps.names.next(name)
  const value = await settled(attempt, key, 'child', async () => ({
    name: child.name,
    dueAt: dueAfter(attempt, timeout, `call("${name}")`),
    child: await attempt.parking.during(() => tools.child(attempt, key, child.name, input, options)),
  }))
  const end = endOf(value, name, timeout)
  if (onFailure === 'return') return end
  if (end.status === 'completed') return end.result
  const details = { child: end.id, status: end.status, error: end.error }
  const said = `The job "${child.name}" that this one called ${SAID[end.status]}: ${end.error.message}`
  throw new Permanent(said, { code: end.status === 'timeout' ? 'child-timeout' : 'child-failed', details })
}

const SAID = { failed: 'failed', cancelled: 'was cancelled', timeout: 'took too long' } as const

function endOf(value: WaitValue, name: string, timeout: Duration): ChildEnd<unknown> {
  if (value.is === 'child') {
    const { id, status, result } = value
    if (status === 'completed') return { status, id, result, error: null }
    return { status, id, result: null, error: value.error ?? { code: status, message: status } }
  }
  const id = value.is === 'timeout' ? (value.child ?? '') : ''
  const error = { code: 'child-timeout', message: `"${name}" had not ended after ${timeout}.` }
  return { status: 'timeout', id, result: null, error }
}
