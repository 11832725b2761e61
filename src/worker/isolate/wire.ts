/**
 * Values between a worker and the process of an isolated handler, as JSON: what JSON lacks is marked with `$`. Functions
 * and signals stay where they are and cross as numbers; errors keep who they are, so that one that comes back is the same
 * object. Nothing that arrives is ever run as code. Knows no streams.
 */
import { Harmless, Permanent, Review, Transient } from '../../core/classify.js'
import { BRAND, VERDICTS, type Verdict } from '../../core/error-facts.js'
import { isUntildoneError, UntildoneError } from '../../core/errors.js'
import type { ErrorCode } from '../../core/problems.js'

/** What crosses as a number. */
export interface Handles {
  /** Number of a function of this side. */
  hold(fn: (...args: any[]) => unknown): number
  /** Calls a function of the other side. */
  stub(id: number): (...args: any[]) => Promise<unknown>
  /** Number under which the other side is told when it aborts; null where signals do not cross. */
  holdSignal(signal: AbortSignal): number | null
  signal(id: number): AbortSignal
}

/** Written by JSON itself: what a record would make of it. */
export class AsJson {
  constructor(readonly value: unknown) {}
  toJSON(): unknown {
    return this.value === undefined ? { $: 'json' } : { $: 'json', v: this.value }
  }
}

/** In place of a value that JSON cannot carry: whoever writes it down gets the error that the value itself would give. */
class NoJson {
  constructor(private readonly message: string) {}
  toJSON(): never {
    throw new TypeError(this.message)
  }
}

interface Thrown {
  id: number
  error: boolean
  name: string
  message: string
  stack: string | null
  verdict: Verdict | null
  ours: boolean
  props: Record<string, unknown>
  cause: unknown
}

/** Members that rules look at, wherever the error has them: a getter, its class. */
const LOOKED_AT = [
  ...['code', 'status', 'statusCode', 'exitCode', 'signal', 'output', 'details', 'retryAfterMs', 'evidence', 'result'],
  ...['issues', 'origin', 'happened', 'fix', 'params', 'errors'],
]
const CAUSES_MAX = 3
const CLASSES: Record<string, new (message: string) => Error> = {
  ...{ EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError },
}
const VERDICT_CLASSES: Record<Verdict, new (message: string) => Error> = {
  ...{ transient: Transient, permanent: Permanent, harmless: Harmless, review: Review },
}

export class Wire {
  private readonly mine = new Map<number, object>()
  private readonly theirs = new Map<number, object>()
  private readonly known = new WeakMap<object, { id: number; mine: boolean }>()
  private count = 0

  constructor(private readonly handles: Handles) {}

  /** @param functions false: data only, functions are left out. @throws TypeError for what goes round in circles */
  encode(value: unknown, functions = true, within: readonly object[] = []): unknown {
    switch (typeof value) {
      case 'undefined':
        return { $: 'u' }
      case 'bigint':
        return { $: 'big', v: String(value) }
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
          ? value
          : { $: 'n', v: String(value), m: Object.is(value, -0) }
      case 'function':
        return functions ? { $: 'fn', v: this.handles.hold(value as never) } : { $: 'u' }
      case 'symbol':
        return { $: 'u' }
      case 'object':
        return value === null ? null : this.encodeObject(value, functions, within)
      default:
        return value
    }
  }

  private encodeObject(value: object, functions: boolean, within: readonly object[]): unknown {
    if (value instanceof AsJson) return value
    if (value instanceof Date) return { $: 'date', v: value.getTime() }
    if (value instanceof RegExp) return { $: 're', v: value.source, f: value.flags }
    if (value instanceof Uint8Array)
      return { $: 'bytes', v: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
    if (value instanceof AbortSignal) return { $: 'signal', v: this.handles.holdSignal(value) }
    if (value instanceof Error) return this.thrown(value)
    if (within.includes(value)) throw new TypeError('Converting circular structure to JSON')
    const inside = [...within, value]
    const inner = (one: unknown) => this.encode(one, functions, inside)
    if (Array.isArray(value)) return Array.from(value, inner)
    if (value instanceof Map) return { $: 'map', v: [...value].map(([key, one]) => [inner(key), inner(one)]) }
    if (value instanceof Set) return { $: 'set', v: [...value].map(inner) }
    const { toJSON } = value as { toJSON?: unknown }
    if (typeof toJSON === 'function') return inner(toJSON.call(value))
    const entries = Object.entries(value).map(([key, one]) => [key, inner(one)] as const)
    return entries.some(([key]) => key === '$') ? { $: 'obj', v: entries } : Object.fromEntries(entries)
  }

  decode(data: unknown): unknown {
    if (typeof data !== 'object' || data === null) return data
    if (Array.isArray(data)) return data.map((one) => this.decode(one))
    const { $: kind, v } = data as { $?: string; v: any }
    switch (kind) {
      case undefined:
        return this.members(Object.entries(data))
      case 'obj':
        return this.members(v)
      case 'u':
        return undefined
      case 'big':
        return BigInt(v)
      case 'n':
        return (data as { m?: boolean }).m ? -0 : Number(v)
      case 'fn':
        return this.handles.stub(v)
      case 'date':
        return new Date(v ?? Number.NaN)
      case 're':
        return new RegExp(v, (data as { f?: string }).f)
      case 'bytes':
        return new Uint8Array(Buffer.from(v, 'base64'))
      case 'signal':
        return v === null ? undefined : this.handles.signal(v)
      case 'map':
        return new Map(v.map(([key, one]: [unknown, unknown]) => [this.decode(key), this.decode(one)]))
      case 'set':
        return new Set(v.map((one: unknown) => this.decode(one)))
      case 'json':
        return v
      case 'nojson':
        return new NoJson(v)
      case 'thrown':
        return this.caught(data as never)
      default:
        throw new TypeError(`"${kind}" is no kind of value.`)
    }
  }

  private members(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
    const made: Record<string, unknown> = {}
    for (const [key, one] of entries) if (key !== '__proto__') made[key] = this.decode(one)
    return made
  }

  /** What was thrown, whatever it is; an object stays the same one on its way there and back. */
  thrown(error: unknown, depth = 0): unknown {
    if ((typeof error !== 'object' && typeof error !== 'function') || error === null) return this.data(error)
    const known = this.known.get(error)
    if (known) return { $: 'thrown', ...(known.mine ? { id: known.id, again: true } : { yours: known.id }) }
    const id = ++this.count
    this.mine.set(id, error)
    this.known.set(error, { id, mine: true })
    const at = (name: string | symbol): unknown => {
      try {
        return (error as Record<string | symbol, unknown>)[name]
      } catch {
        return undefined
      }
    }
    const text = (name: string) => (typeof at(name) === 'string' ? (at(name) as string) : null)
    const verdict = at(BRAND) as Verdict
    const props: Record<string, unknown> = {}
    for (const name of new Set([...Object.keys(error), ...LOOKED_AT])) {
      if (name === 'name' || name === 'message' || name === 'stack' || name === 'cause' || name === '$') continue
      const value = at(name)
      if (value !== undefined && typeof value !== 'function') props[name] = this.data(value)
    }
    const cause = depth < CAUSES_MAX && at('cause') !== undefined ? this.thrown(at('cause'), depth + 1) : undefined
    const whole: Thrown = {
      ...{ id, error: error instanceof Error, name: text('name') ?? typeof error, message: text('message') ?? '' },
      ...{ stack: text('stack'), verdict: VERDICTS.includes(verdict) ? verdict : null },
      ...{ ours: isUntildoneError(error), props, cause },
    }
    return { $: 'thrown', ...whole }
  }

  /** Data as far as it can be written; a part of an error that cannot be written must not hide the error. */
  private data(value: unknown): unknown {
    try {
      const data = this.encode(value, false)
      JSON.stringify(data)
      return data
    } catch {
      return { $: 'u' }
    }
  }

  private caught(data: Thrown & { yours?: number }): unknown {
    if (data.yours !== undefined) return this.mine.get(data.yours)
    const before = this.theirs.get(data.id)
    if (before) return before
    const made = madeFrom(data, this.members(Object.entries(data.props ?? {})))
    if (data.cause !== undefined) hidden(made, 'cause', this.decode(data.cause))
    this.theirs.set(data.id, made)
    this.known.set(made, { id: data.id, mine: false })
    return made
  }
}

/** What a value that JSON refuses is sent as. */
export function noJson(error: unknown): unknown {
  return { $: 'nojson', v: (error as Error).message }
}

function madeFrom({ error, name, message, stack, verdict, ours }: Thrown, props: Record<string, unknown>): object {
  if (!error) return { ...props, ...(message ? { message } : {}) }
  if (ours) {
    const { code, fix, params, errors, retryAfterMs } = props
    const more = { fix, params, errors, ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}) }
    return stacked(new UntildoneError(code as ErrorCode, message, more as never), stack)
  }
  const made = new (verdict ? VERDICT_CLASSES[verdict] : (CLASSES[name] ?? Error))(message)
  if (made.name !== name) hidden(made, 'name', name)
  return stacked(Object.assign(made, props), stack)
}

function stacked(error: Error, stack: string | null): Error {
  if (stack !== null) hidden(error, 'stack', stack)
  return error
}

function hidden(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false })
}
