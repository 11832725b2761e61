/**
 * Memoized steps by name and counter: run once, recorded under the lease's epoch, given back from the record ever after.
 * A value is handed to the handler only after its record is on disk. Never runs a recorded step again.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { ErrorRule } from '../core/classify.js'
import { type Duration, parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import type { StepContext, StepOptions } from '../define/context.js'
import type { StepRow } from '../stores/store.js'
import type { Attempt } from './attempt.js'

interface Scope {
  attempt: Attempt
  path: string
  inStep: boolean
}

const scopes = new AsyncLocalStorage<Scope>()

export class Steps {
  private counters: Map<string, number> | null = null
  constructor(private readonly attempt: Attempt) {}

  async step<T>(name: string, fn: (context: StepContext) => T | Promise<T>, options: StepOptions<T> = {}): Promise<T> {
    return this.memoized('step', name, async (context) => ({ value: await fn(context), info: null }), options)
  }

  /** Runs `fn` unless its value is recorded; records it; gives back what the record says. */
  async memoized<T>(
    kind: StepRow['kind'],
    name: string,
    fn: (context: StepContext, key: string) => Promise<{ value: T; info: unknown }>,
    options: StepOptions<T> & { branches?: boolean } = {},
  ): Promise<T> {
    const key = this.keyOf(name)
    const { attempt } = this
    const recorded = attempt.memo?.get(key)
    if (recorded) return recordedValue<T>(recorded)
    await attempt.checkpoint()
    const startedAt = attempt.clock.now()
    const limit = options.timeout === undefined ? null : timeLimit(attempt, key, options.timeout)
    const context = contextOf(attempt, key, limit?.signal)
    let made: { value: T; info: unknown }
    try {
      const running = scopes.run({ attempt, path: options.branches ? key : this.path, inStep: !options.branches }, () =>
        fn(context, key),
      )
      made = await (limit ? Promise.race([running, limit.passed]) : running)
    } catch (error) {
      made = { value: this.failed(error, key, options), info: null }
    } finally {
      limit?.stop()
    }
    const row: StepRow = {
      key,
      kind,
      attempt: attempt.number,
      startedAt,
      endedAt: attempt.clock.now(),
      result: textOf(made.value, key),
      info: made.info === null ? null : JSON.stringify(made.info),
    }
    await attempt.record({ steps: [row] })
    attempt.memo?.set(key, row)
    return recordedValue<T>(row)
  }

  /** Fallback: the next engine on `permanent`; `transient` and `review` end the attempt. A rejection is recorded, so that a later attempt does not ask that engine again. */
  async first<T>(
    name: string,
    engines: Record<string, (context: StepContext) => T | Promise<T>>,
    options: { errors?: readonly ErrorRule[] } = {},
  ): Promise<{ engine: string; value: T }> {
    const names = Object.keys(engines)
    if (names.length === 0) throw new UntildoneError('bad-definition', `first("${name}") has no engines.`)
    const { attempt } = this
    return this.memoized(
      'first',
      name,
      async () => {
        const scope = scopes.getStore()!
        const rejected: { engine: string; code: string; message: string; rule: string }[] = []
        for (const engine of names) {
          checkName(engine)
          const key = `${scope.path}/${engine}`
          const before = attempt.memo?.get(key)
          if (before) {
            rejected.push(recordedValue(before))
            continue
          }
          const context = contextOf(attempt, key)
          try {
            const value = await scopes.run({ attempt, path: key, inStep: false }, async () => engines[engine]!(context))
            return { value: { engine, value }, info: { engine, rejected } }
          } catch (error) {
            const { verdict, code, message, rule } = attempt.classify(error, options.errors, key)
            if (verdict !== 'permanent') throw error
            const rejection = { engine, code, message, rule }
            rejected.push(rejection)
            attempt.notes.log('warn', `Engine "${engine}" rejected the input: ${message}`, { code, rule })
            if (engine === names.at(-1)) throw error
            const now = attempt.clock.now()
            await attempt.record({
              steps: [
                {
                  key,
                  kind: 'first',
                  attempt: attempt.number,
                  startedAt: now,
                  endedAt: now,
                  result: JSON.stringify(rejection),
                  info: null,
                },
              ],
            })
          }
        }
        throw new UntildoneError('handler-error', `Every engine of first("${name}") has rejected the input.`)
      },
      { branches: true },
    )
  }

  private get path(): string {
    return scopes.getStore()?.path ?? ''
  }

  /** Path and name, with a counter from the second use on. @throws nested-step, bad-step-name */
  private keyOf(name: string): string {
    checkName(name)
    const scope = scopes.getStore()
    if (scope?.inStep && scope.attempt === this.attempt)
      throw new UntildoneError('nested-step', `Step "${name}" was started inside another step.`)
    const full = scope?.path && scope.attempt === this.attempt ? `${scope.path}/${name}` : name
    this.counters ??= new Map()
    const n = (this.counters.get(full) ?? 0) + 1
    this.counters.set(full, n)
    return n === 1 ? full : `${full}#${n}`
  }

  /** The value to record for a harmless error; everything else is thrown on, remembered with its verdict. */
  private failed<T>(error: unknown, key: string, options: StepOptions<T>): T {
    const classified = this.attempt.classify(error, options.errors, key)
    if (classified.verdict === 'harmless' && 'onHarmless' in options) {
      this.attempt.notes.warn(classified.code, classified.message, key)
      return options.onHarmless as T
    }
    throw error
  }
}

/** Signal and key are made when they are asked for: many steps need neither. */
function contextOf(attempt: Attempt, key: string, signal?: AbortSignal): StepContext {
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

function checkName(name: string): void {
  if (typeof name !== 'string' || name.length === 0 || name.length > 100 || /[/#\0]/.test(name))
    throw new UntildoneError('bad-step-name', `"${name}" is not a usable step name.`)
}

function textOf(value: unknown, key: string): string | null {
  try {
    return value === undefined ? null : JSON.stringify(value)
  } catch (cause) {
    throw new UntildoneError('bad-definition', `The value of step "${key}" cannot be written as JSON.`, { cause })
  }
}

/** What every attempt sees is what the record holds, also the attempt that made it. */
function recordedValue<T>(row: StepRow): T {
  return (row.result === null ? undefined : JSON.parse(row.result)) as T
}

function timeLimit(attempt: Attempt, key: string, timeout: Duration) {
  const ms = parseDuration(timeout, `timeout of step "${key}"`)
  const controller = new AbortController()
  const forward = () => controller.abort(attempt.signal.reason)
  attempt.signal.addEventListener('abort', forward, { once: true })
  let stop = () => {}
  const passed = new Promise<never>((_, reject) => {
    const timer = attempt.clock.after(ms, () => {
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
