/**
 * What becomes of a value on its way through JSON, and where two values differ. Paths are JSON pointers.
 */

export interface Loss {
  /** JSON pointer; empty for the value itself. */
  path: string
  /** What is there, and what comes back. */
  what: string
}

/** The first part of `value` that a step would not get back from its record, or null. */
export function lossIn(value: unknown, path = '', parents: readonly object[] = []): Loss | null {
  const loss = (what: string): Loss => ({ path, what })
  if (typeof value === 'bigint') return loss('a BigInt, which JSON cannot hold')
  if (typeof value === 'function' || typeof value === 'symbol') return loss(`a ${typeof value}, which is left out`)
  if (typeof value === 'number' && !Number.isFinite(value)) return loss(`${value}, which comes back as null`)
  if (typeof value !== 'object' || value === null) return null
  if (parents.includes(value)) return loss('a reference to its own parent, which JSON cannot hold')
  const inside = [...parents, value]
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      if (item === undefined) return { path: `${path}/${i}`, what: 'undefined in an array, which comes back as null' }
      const found = lossIn(item, `${path}/${i}`, inside)
      if (found) return found
    }
    return null
  }
  const name = value.constructor?.name || 'an object'
  if (value instanceof Map || value instanceof Set) return loss(`a ${name}, which comes back as {}`)
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    const back = (value as { toJSON(): unknown }).toJSON()
    return loss(`a ${name}, which comes back as ${back === null ? 'null' : aOr(typeof back)}`)
  }
  if (ArrayBuffer.isView(value)) return loss(`a ${name}, which comes back as an object of numbers`)
  if (!isPlain(value)) return loss(`an instance of ${name}, which comes back without its methods`)
  for (const [key, item] of Object.entries(value)) {
    const found = lossIn(item, `${path}/${key}`, inside)
    if (found) return found
  }
  return null
}

function aOr(type: string): string {
  return type === 'object' ? 'an object' : `a ${type}`
}

/** Plain data of any realm, and instances that have nothing but data, as database drivers make them. */
function isPlain(value: object): boolean {
  const proto = Object.getPrototypeOf(value) as object | null
  if (proto === null || Object.getPrototypeOf(proto) === null) return true
  return Reflect.ownKeys(proto).every((key) => key === 'constructor') && isPlain(proto)
}

export interface Difference {
  path: string
  was: unknown
  is: unknown
}

/** The first place where two JSON values differ, or null. */
export function differenceOf(was: unknown, is: unknown, path = ''): Difference | null {
  if (Object.is(was, is)) return null
  const bothObjects = typeof was === 'object' && typeof is === 'object' && was !== null && is !== null
  if (!bothObjects || Array.isArray(was) !== Array.isArray(is)) return { path, was, is }
  const [a, b] = [was as Record<string, unknown>, is as Record<string, unknown>]
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = differenceOf(a[key], b[key], `${path}/${key}`)
    if (found) return found
  }
  return null
}

/** As it would be in the record: through JSON and back. */
export function recorded(value: unknown): unknown {
  const text = jsonOf(value)
  return text === null ? undefined : JSON.parse(text)
}

/** Null for what JSON has no text for. */
export function jsonOf(value: unknown): string | null {
  try {
    return JSON.stringify(value) ?? null
  } catch {
    return null
  }
}

/** Short, for messages. */
export function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : (jsonOf(value) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}
