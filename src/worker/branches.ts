/**
 * Calls with steps inside: fallback engines, stages, and one step per item. Their paths name what is recorded in them.
 */
import type { ErrorRule } from '../core/classify.js'
import type { Timer } from '../core/clock.js'
import { parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import type { MapOptions, StageOptions, StepContext } from '../define/context.js'
import type { StepRow } from '../stores/store.js'
import type { Attempt } from './attempt.js'
import { declaredIn, infoText } from './declared.js'
import { taughtIn } from './failures.js'
import { recordedValue, sameAsRecorded, textOf } from './memo.js'
import { checkName, enter } from './scope.js'
import { contextOf } from './steps.js'

/** Fallback: the next engine on `permanent`; `transient` and `review` end the attempt. A rejection is recorded, so that a later attempt does not ask that engine again. */
export async function first<T>(
  attempt: Attempt,
  name: string,
  engines: Record<string, (context: StepContext) => T | Promise<T>>,
  options: { errors?: readonly ErrorRule[] } = {},
): Promise<{ engine: string; value: T }> {
  const names = Object.keys(engines)
  if (names.length === 0) throw new UntildoneError('bad-definition', `first("${name}") has no engines.`)
  return attempt.steps.memoized(
    'first',
    name,
    async (_, path) => {
      const rejected: { engine: string; code: string; message: string; rule: string }[] = []
      for (const engine of names) {
        checkName(engine)
        const key = `${path}/${engine}`
        const before = attempt.memo?.get(key)
        if (before) {
          rejected.push(recordedValue(before))
          continue
        }
        const context = contextOf(attempt, key)
        try {
          const value = await attempt.parking.duringBranch((hold) =>
            enter({ attempt, path: key, inside: null, hold }, async () => engines[engine]!(context)),
          )
          return { value: { engine, value }, info: { engine, rejected } }
        } catch (error) {
          const classified = attempt.errors.classify(error, options.errors, key)
          const { verdict, code, message, rule } = classified
          if (verdict !== 'permanent') throw error
          const rejection = { engine, code, message, rule }
          rejected.push(rejection)
          attempt.notes.log('warn', `Engine "${engine}" rejected the input: ${message}`, { code, rule })
          if (engine === names.at(-1)) throw error
          attempt.errors.met(classified)
          const row = rowOf(attempt, 'first', key, attempt.clock.now(), rejection)
          await attempt.parking.during(() => attempt.record({ steps: [row] }))
        }
      }
      throw new UntildoneError('handler-error', `Every engine of first("${name}") has rejected the input.`)
    },
    { branches: true, walk: (path, made) => walk(attempt, path, engines, made?.engine ?? null) },
  )
}

/** While undoing: the engines in which something is due are run over their records, those before the one that did it as well. */
async function walk(
  attempt: Attempt,
  path: string,
  engines: Record<string, (context: StepContext) => unknown>,
  chosen: string | null,
): Promise<void> {
  for (const engine of Object.keys(engines)) {
    const key = `${path}/${engine}`
    if (attempt.undos?.within(attempt, key)) {
      const scope = { attempt, path: key, inside: null, ...(engine === chosen ? {} : { aside: true as const }) }
      const walking = enter(scope, async () => engines[engine]!(contextOf(attempt, key))).catch(() => undefined)
      if (engine === chosen) await walking
    }
    if (engine === chosen) return
  }
}

function rowOf(
  attempt: Attempt,
  kind: StepRow['kind'],
  key: string,
  startedAt: number,
  value: unknown,
  info: string | null = null,
): StepRow {
  const endedAt = attempt.clock.now()
  const seq = attempt.nextSeq()
  return { key, kind, attempt: attempt.number, seq, startedAt, endedAt, result: textOf(value, key), info }
}

/** A recovery boundary: its value is recorded as one, and it runs only where its queue is served. */
export async function stage<T>(
  attempt: Attempt,
  name: string,
  options: StageOptions,
  fn: () => T | Promise<T>,
): Promise<T> {
  const key = attempt.steps.names.next(name)
  const recorded = attempt.memo?.get(key)
  const inside = () => enter({ attempt, path: key, inside: null }, async () => fn())
  if (recorded) {
    sameAsRecorded(recorded, 'stage', null)
    // While undoing, what is inside is walked through as well if something in it is due: that is where its undo is.
    if (attempt.undos?.within(attempt, key)) await inside()
    return recordedValue<T>(recorded)
  }
  if (attempt.stage)
    throw new UntildoneError(
      'nested-step',
      `Stage "${name}" begins while stage "${attempt.stage.key}" is under way; stages follow one another.`,
    )
  attempt.stage = { key, retry: options.retry ?? null }
  let timer: Timer | null = null
  try {
    const queue = options.queue ?? attempt.type.handler.settings.queue
    if (!attempt.undos) {
      await attempt.checkpoint()
      attempt.notes.enterStage(name)
      if (queue !== attempt.queue) return await attempt.parking.moveTo(name, queue)
    }
    const startedAt = attempt.clock.now()
    if (options.timeout !== undefined) {
      const limit = parseDuration(options.timeout, `timeout of stage "${name}"`)
      timer = attempt.limit(limit, () => attempt.expire(`Stage "${name}" took longer than ${limit} ms.`))
    }
    const value = await inside()
    // Undoing never comes to an end of its own; a stage that was cut short has no value.
    if (attempt.undos) return await attempt.parking.stop()
    const row = rowOf(attempt, 'stage', key, startedAt, value, infoText(null, declaredIn({ ...options, queue })))
    await attempt.parking.during(() => attempt.record({ steps: [row] }))
    attempt.memo?.set(key, row)
    return recordedValue<T>(row)
  } catch (error) {
    attempt.errors.stageFailed(attempt.stage, error)
    throw error
  } finally {
    timer?.cancel()
    attempt.stage = null
  }
}

interface Gone {
  code: string
  message: string
  rule?: string | null
}
type Item<T> = { ok: T | null } | { failed: Gone } | { left: Gone }

/**
 * Each item as a step; the value says whether it failed for good and was tolerated, or was left out because its error is
 * harmless, so that it is not tried again.
 */
export async function map<In, Out>(
  attempt: Attempt,
  name: string,
  items: readonly In[],
  fn: (item: In, context: StepContext & { index: number }) => Out | Promise<Out>,
  { concurrency = 4, key: keyOf, tolerate = 0 }: MapOptions<In> = {},
): Promise<(Out | null)[]> {
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new UntildoneError('bad-definition', `map("${name}"): concurrency must be a whole number of 1 or more.`)
  if (!(tolerate >= 0) || (tolerate >= 1 && !Number.isInteger(tolerate)))
    throw new UntildoneError(
      'bad-definition',
      `map("${name}"): tolerate must be a whole number of items, or a share of them below 1.`,
    )
  const path = attempt.steps.names.next(name)
  const allowed = tolerate < 1 ? Math.floor(tolerate * items.length) : tolerate
  const names = items.map((item, i) => nameOf(attempt, String(keyOf ? keyOf(item, i) : i)))
  const results = new Array<Out | null>(items.length)
  // Those of former attempts count from the start, wherever they are in the list.
  let failed = failuresIn(attempt, path)
  let next = 0
  const one = async (i: number): Promise<void> => {
    const made = await enter({ attempt, path, inside: null }, () =>
      attempt.steps.step<Item<Out>>(names[i]!, async (context) => {
        try {
          return { ok: (await fn(items[i]!, itemContext(context, i))) ?? null }
        } catch (error) {
          const classified = attempt.errors.classify(error, undefined, `${path}/${names[i]}`)
          const { verdict, code, message } = classified
          const harmless = verdict === 'harmless'
          // Counted here and not when it is recorded: others fail meanwhile.
          if (!harmless && (verdict !== 'permanent' || failed++ >= allowed)) throw error
          attempt.errors.met(classified)
          return harmless ? { left: { code, message, rule: taughtIn(classified) } } : { failed: { code, message } }
        }
      }),
    )
    if ('ok' in made) results[i] = made.ok
    else {
      results[i] = null
      const { code, message, rule = null } = 'left' in made ? made.left : made.failed
      attempt.notes.warn(code, message, `${path}/${names[i]}`, rule)
    }
  }
  const errors: unknown[] = []
  const lane = async () => {
    while (next < items.length && errors.length === 0)
      await one(next++).catch((error: unknown) => {
        errors.push(error)
      })
  }
  // The items that are under way come to their end; no further one begins.
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, lane))
  if (errors.length > 0) throw errors[0]
  return results
}

const FAILED = '{"failed":'
function failuresIn(attempt: Attempt, path: string): number {
  let count = 0
  for (const [key, { result }] of attempt.memo ?? [])
    if (result?.startsWith(FAILED) && key.startsWith(`${path}/`)) count++
  return count
}

/** Keys come from data: what no name may hold is written as its code; what is too long, or no text, ends in a hash. */
function nameOf(attempt: Attempt, key: string): string {
  const name = key.replace(/[/#%\0]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
  const whole = name.replace(/\p{Surrogate}/gu, '')
  if (whole === name && name.length > 0 && name.length <= 100) return name
  return `${whole.slice(0, 80).replace(/\p{Surrogate}/u, '')}~${attempt.sha256(key).slice(0, 16)}`
}

function itemContext(context: StepContext, index: number): StepContext & { index: number } {
  return {
    get signal() {
      return context.signal
    },
    attempt: context.attempt,
    get key() {
      return context.key
    },
    index,
  }
}
