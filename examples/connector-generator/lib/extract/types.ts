// Types of fields as documentation writes them, in the few words that a connector knows.
import type { AttributeType } from './facts.js'

const WORDS: [RegExp, AttributeType][] = [
  [/^(array|list|set)\b|\[\]$|^\w+\[\]/, 'array'],
  [/\b(date-?time|timestamp|instant)\b|iso ?-?8601.*time/, 'datetime'],
  [/\bdate\b/, 'date'],
  [/\b(int|integer|int32|int64|long|bigint|smallint)\b/, 'integer'],
  [/\b(number|decimal|float|double|money|numeric|amount|currency)\b/, 'number'],
  [/\b(bool|boolean|flag|yes\/no)\b/, 'boolean'],
  [/\b(string|text|varchar|char|uuid|guid|uri|url|email|e-mail|phone|enum|id|identifier|reference|one of)\b/, 'string'],
  [/\b(object|map|json|dictionary|struct|hash)\b/, 'object'],
]

export function typeOf(words: string): AttributeType {
  const text = words.toLowerCase().trim()
  return WORDS.find(([pattern]) => pattern.test(text))?.[1] ?? 'unknown'
}

/** `array of strings`, `string[]`, `list<integer>` → type of the elements. */
export function itemsOf(words: string): AttributeType | null {
  if (typeOf(words) !== 'array') return null
  const inner = words.toLowerCase().replace(/^(array|list|set)\s*(of|<)?\s*|[[\]<>]/g, ' ')
  const type = typeOf(inner.replace(/\b(\w+?)s\b/g, '$1'))
  return type === 'array' ? 'unknown' : type
}

/** `one of `draft`, `open`, `paid`` → the values. */
export function valuesOf(words: string): string[] | null {
  const list =
    /\b(?:one of|either|allowed values?|possible values?|enum)\b[:\s]*((?:[`"'][^`"']+[`"'](?:,\s*or\s+|\s*,\s*|\s+or\s+|\s*\|\s*)?){2,})/i.exec(
      words,
    )?.[1]
  if (!list) return null
  return [...list.matchAll(/[`"']([^`"']+)[`"']/g)].map(([, value]) => value!)
}

/** The type of a value in an example. */
export function typeOfExample(value: unknown): AttributeType {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  if (typeof value === 'object' && value !== null) return 'object'
  if (typeof value !== 'string') return 'unknown'
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value)) return 'datetime'
  return /^\d{4}-\d\d-\d\d$/.test(value) ? 'date' : 'string'
}
