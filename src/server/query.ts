/**
 * Query parameters: how their text is read and which values hold. Strict: an unknown name and a value that does not fit
 * are 400 `malformed-request`, so that a typo never silently widens a filter.
 */
import { z } from 'zod'
import { UntildoneError } from '../core/index.js'

/** How the text becomes the value that `schema` judges. */
type Reading = 'text' | 'int' | 'bool' | 'list' | 'instant'

export interface QueryParam<T = unknown> {
  reading: Reading
  schema: z.ZodType<T>
  description: string
  example?: unknown
}

export type QueryDefs = Record<string, QueryParam<any>>
export type QueryOf<Q extends QueryDefs> = { [K in keyof Q]?: Q[K] extends QueryParam<infer T> ? T : never }

type More = { example?: unknown }

export function text(description: string, max = 200, more: More = {}): QueryParam<string> {
  return { reading: 'text', schema: z.string().min(1).max(max), description, ...more }
}

export function oneOf<const T extends readonly [string, ...string[]]>(
  values: T,
  description: string,
  more: More = {},
): QueryParam<T[number]> {
  return { reading: 'text', schema: z.enum(values), description, ...more }
}

export function int(description: string, min: number, more: More = {}): QueryParam<number> {
  return { reading: 'int', schema: z.int().min(min), description, ...more }
}

export function bool(description: string, more: More = {}): QueryParam<boolean> {
  return { reading: 'bool', schema: z.boolean(), description, ...more }
}

/** Milliseconds of an RFC 3339 instant. */
export function instant(description: string): QueryParam<number> {
  return { reading: 'instant', schema: z.number(), description, example: '2026-11-22T09:00:00.000Z' }
}

/** Comma-separated, or the parameter repeated. */
export function list<T>(item: z.ZodType<T>, description: string, more: More = {}): QueryParam<T[]> {
  return { reading: 'list', schema: z.array(item).min(1).max(100), description, ...more }
}

/** RFC 3339 with seconds and an offset; null when it is not one, or no instant of the calendar. */
export function instantMs(text: string): number | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(text)
  if (!match) return null
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) return null
  // Date.parse takes 30 February for 2 March.
  const days = new Date(Date.UTC(Number(match[1]), Number(match[2]), 0)).getUTCDate()
  return Number(match[3]) <= days ? ms : null
}

const READ: Record<Reading, { as: string; from: (text: string) => unknown }> = {
  text: { as: 'text', from: (text) => text },
  int: { as: 'a whole number', from: (text) => (/^-?\d{1,15}$/.test(text) ? Number(text) : undefined) },
  bool: { as: 'true or false', from: (text) => (text === 'true' ? true : text === 'false' ? false : undefined) },
  list: { as: 'a comma-separated list', from: (text) => text.split(',').map((item) => item.trim()) },
  instant: { as: 'an RFC 3339 instant like 2026-11-22T09:00:00Z', from: (text) => instantMs(text) ?? undefined },
}

const NONE: Record<string, never> = Object.freeze({})

/**
 * The query of a URL by its definitions.
 * @param open leave parameters without a definition alone
 * @throws UntildoneError malformed-request
 */
export function readQuery<Q extends QueryDefs>(defs: Q | undefined, url: string, open = false): QueryOf<Q> {
  const at = url.indexOf('?')
  if (at === -1 || at === url.length - 1) return NONE as QueryOf<Q>
  const given = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(url.slice(at + 1))) {
    const def = defs && Object.hasOwn(defs, name) ? defs[name] : undefined
    if (!def && open) continue
    if (!def) throw unknown(name, defs)
    const before = given.get(name)
    if (before !== undefined && def.reading !== 'list') throw bad(name, 'is given twice')
    given.set(name, before === undefined ? value : `${before},${value}`)
  }
  const query: Record<string, unknown> = {}
  for (const [name, raw] of given) {
    const def = defs![name]!
    const value = READ[def.reading].from(raw)
    if (value === undefined) throw bad(name, `must be ${READ[def.reading].as}`)
    const judged = def.schema.safeParse(value)
    if (!judged.success)
      throw bad(
        name,
        judged.error.issues[0]!.message.replace(/^./, (c) => c.toLowerCase()),
      )
    query[name] = judged.data
  }
  return query as QueryOf<Q>
}

function unknown(name: string, defs: QueryDefs | undefined): UntildoneError {
  const known = Object.keys(defs ?? {})
  const takes = known.length === 0 ? 'This address takes none.' : `This address takes: ${known.join(', ')}.`
  return new UntildoneError('malformed-request', `Unknown query parameter "${name.slice(0, 100)}". ${takes}`, {
    params: { parameter: name.slice(0, 100), known },
  })
}

function bad(name: string, what: string): UntildoneError {
  return new UntildoneError('malformed-request', `Query parameter "${name}" ${what}.`, { params: { parameter: name } })
}
