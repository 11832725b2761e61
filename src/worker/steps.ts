/**
 * Memoized steps by name and counter: run once, recorded under the lease's epoch, given back from the record ever after.
 * A value is handed to the handler only after its record is on disk. Never runs a recorded step again.
 */
import { type Duration, parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import type { StepContext, StepOptions } from '../define/context.js'
import type { AttemptRecord, StepRow } from '../stores/store.js'
import { Reopened, reopened, stillApproved } from './approve.js'
import type { Attempt } from './attempt.js'
import { declaredIn, infoText } from './declared.js'
import { taughtIn } from './failures.js'
import { recordedValue, sameAsRecorded, textOf } from './memo.js'
import { beginOnce, happened, notHappened } from './once.js'
import { enter, Names } from './scope.js'

type Effect = NonNullable<StepRow['effect']>

/** What a step gives: its value, and what operators may want to know of how it came about. */
interface Made<T> {
  value: T
  info: unknown
  /** The effect is another job's, which this one never undoes. */
  another?: boolean
  /** Written in the transaction of the record. */
  with?: Omit<AttemptRecord, 'jobId' | 'epoch' | 'steps'>
}

/** Of a call that has steps inside. */
interface Branches<T> {
  branches?: boolean
  /** While undoing: runs what is inside over its records; null when it was not recorded as a whole. */
  walk?: (key: string, value: T | null) => Promise<void>
}

export class Steps {
  readonly names: Names
  constructor(private readonly attempt: Attempt) {
    this.names = new Names(attempt)
  }

  async step<T>(name: string, fn: (context: StepContext) => T | Promise<T>, options: StepOptions<T> = {}): Promise<T> {
    return this.memoized('step', name, async (context) => ({ value: await fn(context), info: null }), options)
  }

  /** Runs `fn` unless its value is recorded; records it; gives back what the record says. */
  async memoized<T>(
    kind: StepRow['kind'],
    name: string,
    fn: (context: StepContext, key: string) => Promise<Made<T>>,
    options: StepOptions<T> & Branches<T> = {},
  ): Promise<T> {
    const key = this.names.next(name)
    const { attempt } = this
    const effect: Effect | null = options.branches ? null : (options.effect ?? 'idempotent')
    if (options.approvedBy && effect !== 'once')
      throw new UntildoneError('bad-definition', `Step "${key}" is approved: it needs effect: 'once'.`)
    const recorded = attempt.memo?.get(key)
    if (recorded) {
      sameAsRecorded(recorded, kind, effect)
      const value = recordedValue<T>(recorded)
      if (attempt.undos) {
        // Keys of its own: the far side must not take the undoing for the effect.
        attempt.undos.offer(key, options.undo, contextOf(attempt, `${key}#undo`))
        await options.walk?.(key, value)
      }
      return value
    }
    if (attempt.undos) await options.walk?.(key, null)
    if (attempt.undos && effect === 'once' && options.undo) {
      const made = await attempt.parking.during(() => this.lookBack(key, options))
      if (made) return made.value
    }
    await attempt.checkpoint()
    const work = () => this.make(kind, key, effect, fn, options)
    // A branch is as busy as the steps in it.
    if (options.branches) return work()
    const made = await attempt.parking.during(work).catch(reopened)
    return made instanceof Reopened ? attempt.parking.park(made.parked) : made
  }

  private async make<T>(
    kind: StepRow['kind'],
    key: string,
    effect: Effect | null,
    fn: (context: StepContext, key: string) => Promise<Made<T>>,
    options: StepOptions<T> & Branches<T>,
  ): Promise<T> {
    const { attempt } = this
    const startedAt = attempt.clock.now()
    const limit = options.timeout === undefined ? null : timeLimit(attempt, key, options.timeout)
    const context = contextOf(attempt, key, limit?.signal)
    let made: Made<T>
    try {
      const running = enter(
        { attempt, path: options.branches ? key : this.names.path, inside: options.branches ? null : 'a step' },
        () => (effect === null ? fn(context, key) : this.act(key, effect, fn, options, context)),
      )
      made = await (limit ? Promise.race([running, limit.passed]) : running)
    } catch (error) {
      if (error instanceof Reopened) throw error
      made = { value: this.failed(error, key, options), info: null }
    } finally {
      limit?.stop()
    }
    const row = this.rowOf(kind, key, effect, startedAt, made, options)
    const record = () => attempt.record({ ...made.with, steps: [row] })
    await (options.branches ? attempt.parking.during(record) : record())
    attempt.memo?.set(key, row)
    return recordedValue<T>(row)
  }

  private rowOf<T>(
    kind: StepRow['kind'],
    key: string,
    effect: Effect | null,
    startedAt: number,
    made: Made<T>,
    options: StepOptions<T>,
  ): StepRow {
    const { attempt } = this
    return {
      key,
      kind,
      attempt: attempt.number,
      seq: attempt.nextSeq(),
      startedAt,
      endedAt: attempt.clock.now(),
      result: textOf(made.value, key),
      info: infoText(made.info, declaredIn(options)),
      effect,
      undo: options.undo ? (made.another ? 'reused' : 'due') : null,
    }
  }

  /** Guard, then effect; a `once` effect is announced before it and accounted for after it. */
  private async act<T>(
    key: string,
    effect: Effect,
    fn: (context: StepContext, key: string) => Promise<Made<T>>,
    options: StepOptions<T>,
    context: StepContext,
  ): Promise<Made<T>> {
    const { attempt } = this
    if (effect !== 'once') {
      if (options.before) await options.before()
      return fn(context, key)
    }
    const known = await beginOnce(attempt, key, options, context)
    const { approvedBy } = options
    const about = (info: unknown) => (approvedBy ? { ...(info ?? {}), approvedBy: approvedBy.id } : info)
    if (known) return { ...known, info: about(known.info), with: happened(attempt, key, known.value) }
    await attempt.recheckPermissions()
    if (options.before) await options.before()
    if (approvedBy) await stillApproved(attempt, approvedBy.id, key)
    const started = { ...attempt.effect(key), state: 'started' as const, result: null }
    await attempt.record({ effects: [started], ...(options.undo ? { mayUndo: true } : {}) })
    try {
      const made = await fn(context, key)
      return { ...made, info: about(made.info), with: happened(attempt, key, made.value) }
    } catch (error) {
      if (notHappened(error))
        await attempt.record({ effects: [{ ...attempt.effect(key), state: 'absent', result: null }] })
      else if (!options.undo) attempt.unknownEffects.add(key)
      throw error
    }
  }

  /**
   * While undoing: an effect that was begun and has no record may have happened. What the far side says of it is recorded,
   * to be undone with the rest. Who cannot tell keeps everything from being undone, because it would be the first.
   */
  private async lookBack<T>(key: string, options: StepOptions<T>): Promise<{ value: T } | null> {
    const { attempt } = this
    const context = contextOf(attempt, key)
    const known = await attempt.store.effect(attempt.claimed.record.tenant, context.key)
    if (known?.jobId !== attempt.id || known.state === 'absent') return null
    try {
      const scope = { attempt, path: this.names.path, inside: 'a step' } as const
      const made = await enter(scope, () => beginOnce(attempt, key, options, context))
      if (!made) {
        await attempt.record({ effects: [{ ...attempt.effect(key), state: 'absent', result: null }] })
        return null
      }
      const row = this.rowOf('step', key, 'once', attempt.clock.now(), made, options)
      await attempt.record({ ...happened(attempt, key, made.value), steps: [row] })
      attempt.memo?.set(key, row)
      attempt.undos?.offer(key, options.undo, contextOf(attempt, `${key}#undo`))
      return { value: recordedValue<T>(row) }
    } catch (error) {
      attempt.undos?.cannotTell(error)
      return null
    }
  }

  /** The value to record for a harmless error; everything else is thrown on, remembered with its verdict. */
  private failed<T>(error: unknown, key: string, options: StepOptions<T>): T {
    const { attempt } = this
    const classified = this.attempt.errors.classify(error, options.errors, key, options.retry)
    if (classified.verdict === 'harmless' && 'onHarmless' in options) {
      attempt.errors.met(classified)
      attempt.notes.warn(classified.code, classified.message, key, taughtIn(classified))
      return options.onHarmless as T
    }
    attempt.errors.stepFailed(key, classified.message)
    throw error
  }
}

/** Signal and key are made when they are asked for: many steps need neither. */
export function contextOf(attempt: Attempt, key: string, signal?: AbortSignal): StepContext {
  return {
    get signal() {
      return signal ?? attempt.signal
    },
    attempt: attempt.number,
    get key() {
      return attempt.effectKey(key)
    },
  }
}

function timeLimit(attempt: Attempt, key: string, timeout: Duration) {
  const ms = parseDuration(timeout, `timeout of step "${key}"`)
  const controller = new AbortController()
  const forward = () => controller.abort(attempt.signal.reason)
  attempt.signal.addEventListener('abort', forward, { once: true })
  let stop = () => {}
  const passed = new Promise<never>((_, reject) => {
    const timer = attempt.limit(ms, () => {
      const error = new UntildoneError('step-timeout', `Step "${key}" took longer than ${ms} ms.`)
      controller.abort(error)
      reject(error)
    })
    stop = () => {
      timer.cancel()
      attempt.signal.removeEventListener('abort', forward)
    }
  })
  return { signal: controller.signal, passed, stop }
}
