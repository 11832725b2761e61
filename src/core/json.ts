/**
 * JSON values and the three things we do with them: canonical text (for fingerprints and hash chains),
 * safe parsing of foreign text, and sizes. Pure; never reads anything but its arguments.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/**
 * Canonical JSON after RFC 8785: object members sorted by UTF-16 code units, no white space, numbers as ECMAScript
 * prints them. Members whose value is `undefined` are left out, as JSON.stringify does.
 * @throws TypeError for values JSON cannot hold (functions, symbols, bigint, NaN, infinities).
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (typeof value === 'object') {
    const object = value as Record<string, unknown>
    const parts: string[] = []
    for (const key of Object.keys(object).sort()) {
      if (object[key] !== undefined) parts.push(`${JSON.stringify(key)}:${canonicalJson(object[key])}`)
    }
    return `{${parts.join(',')}}`
  }
  throw new TypeError(`JSON has no ${typeof value}`)
}

/** How deep a value nests: 0 for a scalar, 1 for `[]` or `{}`. Stops counting past `limit`. */
export function depthOf(value: unknown, limit = 64): number {
  if (typeof value !== 'object' || value === null || limit <= 0) return 0
  let deepest = 0
  for (const item of Object.values(value)) {
    if (typeof item === 'object' && item !== null) deepest = Math.max(deepest, depthOf(item, limit - 1))
  }
  return deepest + 1
}

/** A string `__proto__`, with any of its characters escaped. */
const PROTO = /"(?:_|\\u005f){2}(?:p|\\u0070)(?:r|\\u0072)(?:o|\\u006f)(?:t|\\u0074)(?:o|\\u006f)(?:_|\\u005f){2}"/i

/** Parses stored or foreign JSON text; a member called `__proto__` is dropped, so that no reader can be poisoned by it. */
export function parseJson(text: string): Json {
  if (!PROTO.test(text)) return JSON.parse(text) as Json
  return JSON.parse(text, (key, value) => {
    if (key === '__proto__') return undefined
    return value
  }) as Json
}

/** Length of `text` in UTF-8 bytes. */
export function utf8Length(text: string): number {
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) bytes += 1
    else if (unit < 0x800) bytes += 2
    else if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < text.length) {
      bytes += 4
      i++
    } else bytes += 3
  }
  return bytes
}

/** `text` without NUL, which no database keeps: one ends the text there, another refuses it. */
export function plainText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text
}

const LINES_MAX = 100

/** The lines of a text that hold something, each cut to 2000 characters, at most 100; one empty line for none. */
export function linesOf(text: string): string[] {
  const lines = text
    .split(/\r\n|\r|\n/)
    .map((line) => clip(line.trimEnd(), 2000))
    .filter((line) => line !== '')
  if (lines.length > LINES_MAX)
    return [...lines.slice(0, LINES_MAX - 1), `and ${lines.length - LINES_MAX + 1} lines more`]
  return lines.length > 0 ? lines : ['']
}

/** Cuts `text` to at most `max` characters and says that it did. */
export function clip(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`
}
