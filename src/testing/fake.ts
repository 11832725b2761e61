/**
 * Fakes that count effects per idempotency key while assertReplaySafe runs a handler. Outside of a check they are the
 * object they were made from.
 */
import type { Effect } from './replay/attempt.js'
import { placeOf } from './replay/place.js'
import { type Zone, zone } from './replay/zones.js'

export interface FakeOptions<M> {
  /**
   * The idempotency key of a call; undefined for a call without one, which is a new effect every time.
   * @default the last argument if it is text, else its `key`
   */
  keyOf?: (method: string, args: readonly any[]) => string | undefined
  /** Methods that only look, and have no effect. @default none */
  reads?: readonly (keyof M & string)[]
}

/**
 * A far side whose effects are counted, with the type and the methods of `methods`. During a check it does what a service
 * with idempotency keys does: a second call with the same key has no second effect, and gets the first answer.
 * @example
 * const shop = fake('shop', { refund: async (order: string, amount: number, key: string) => ({ receipt: `r-${order}` }) })
 */
export function fake<M extends object>(name: string, methods: M, options: FakeOptions<M> = {}): M {
  const { keyOf = (_method, args) => usualKey(args), reads = [] } = options
  return new Proxy(methods, {
    get(target, method, receiver) {
      const value = Reflect.get(target, method, receiver)
      if (typeof value !== 'function' || typeof method !== 'string' || reads.includes(method as never)) return value
      return (...args: unknown[]) => {
        const call = () => Reflect.apply(value, target, args)
        const here = zone()
        if (!here) return call()
        const what = `${name}.${method}`
        const key = keyOf(method, args)
        note(here, what, key)
        return key === undefined ? call() : once(here, `${what} ${key}`, call)
      }
    },
  })
}

/**
 * For a fake of your own: says that an effect happened. True when it is the first with this key in this run; with false a
 * far side that takes keys would do nothing and give its first answer again.
 * @param key idempotency key; undefined when the call has none
 */
export function recordEffect(name: string, key: string | undefined): boolean {
  const here = zone()
  if (!here) return true
  const known =
    key !== undefined && here.attempt.run.effects.some((effect) => effect.what === name && effect.key === key)
  note(here, name, key)
  return !known
}

function usualKey(args: readonly any[]): string | undefined {
  const last = args.at(-1)
  const key = typeof last === 'object' && last !== null ? last.key : last
  return typeof key === 'string' ? key : undefined
}

function note({ attempt, kind, call }: Zone, what: string, key: string | undefined): void {
  const place = placeOf() ?? call?.place ?? attempt.last
  const effect: Effect = { what, key, place, call, attempt: attempt.number }
  attempt.run.effects.push(effect)
  if (kind === 'handler')
    attempt.run.found({
      kind: 'effect-outside-step',
      place,
      what: `${what} was called outside a step`,
      fix: `It happens again in every attempt. Wrap it in job.step('…', ({ key }) => …) and hand it the key.`,
    })
  if (kind === 'read')
    attempt.run.found({
      kind: 'write-in-read',
      place,
      what: `${what} was called where the handler only looks`,
      fix: `It happens again in every attempt. Wrap it in job.step('…', ({ key }) => …), or name it in \`reads\` if it only looks.`,
    })
  if (key === undefined || !call) return
  const other = attempt.run.effects.find((one) => one.what === what && one.key === key && one.call?.key !== call.key)
  if (other)
    attempt.run.found({
      kind: 'effect-key-shared',
      place,
      step: call.key,
      what: `${what} was called in "${call.key}" with the key that "${other.call?.key}" had used`,
      fix: "The far side takes it for a repetition and does nothing. Hand it the key of this step: job.step('…', ({ key }) => …).",
    })
}

function once({ attempt }: Zone, id: string, call: () => unknown): unknown {
  const { answers } = attempt.run
  if (answers.has(id)) return answers.get(id)
  const answer = call()
  answers.set(id, answer)
  if (answer instanceof Promise) answer.catch(() => answers.delete(id))
  return answer
}
