// JSON examples in documentation: where the objects stand in an answer, what tells how to go on, and, where nothing else
// says it, which fields there are.
import { type Attribute, attributeSchema, type Member } from './facts.js'
import { isPagingMember } from './paging.js'
import { typeOfExample } from './types.js'
import { isWrapper, looksLikeId } from './words.js'

type Members = Record<string, unknown>

const LONGEST = 100_000
const TRIES = 50

/** The first JSON value that begins a line. */
export function jsonIn(code: string): unknown {
  if (code.length > LONGEST) return undefined
  const start = /^\s*[{[]/m.exec(code)
  if (!start) return undefined
  const text = code.slice(start.index).trim()
  for (let end = text.length, tries = 0; end > 0 && tries < TRIES; end = text.lastIndexOf('\n', end - 1), tries++) {
    try {
      return JSON.parse(text.slice(0, end).replace(/,?\s*(?:\.\.\.|…)/g, ''))
    } catch {
      // Perhaps something stands behind it.
    }
  }
  return undefined
}

export function listOfExample(value: unknown, path: string[] = []): { path: string[]; item: Members } | null {
  if (Array.isArray(value)) return isObject(value[0]) ? { path, item: value[0] } : null
  if (!isObject(value) || path.length > 2) return null
  const entries = Object.entries(value)
  const lists = entries.filter(([, inner]) => Array.isArray(inner))
  for (const [name, inner] of [...lists, ...entries.filter(([, inner]) => isObject(inner))]) {
    const found = listOfExample(inner, [...path, name])
    if (found) return found
  }
  return null
}

export function membersOfExample(value: unknown, path: string[] = []): Member[] {
  if (!isObject(value) || path.length > 2) return []
  return Object.entries(value).flatMap(([name, inner]) => {
    if (isObject(inner)) return membersOfExample(inner, [...path, name])
    if (Array.isArray(inner) || !isPagingMember(name)) return []
    return [{ path: [...path, name], isUrl: typeof inner === 'string' && /^(https?:\/)?\//.test(inner) }]
  })
}

export function unwrapExample(value: unknown, objectClass: string): { path: string[]; object: Members } | null {
  if (!isObject(value)) return null
  const entries = Object.entries(value)
  const wrapped = entries.find(([name, inner]) => isObject(inner) && isWrapper(name, objectClass))
  if (!wrapped || entries.length > 3 || entries.some(([name]) => looksLikeId(name))) return { path: [], object: value }
  return { path: [wrapped[0]], object: wrapped[1] as Members }
}

export function attributesOfExample(object: Members): Attribute[] {
  return Object.entries(object).map(([name, value]) =>
    attributeSchema.parse({
      name,
      type: typeOfExample(value),
      items: Array.isArray(value) ? typeOfExample(value[0]) : null,
    }),
  )
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
