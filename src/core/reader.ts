/**
 * Reads foreign values member by member and collects everything that is wrong, each with a JSON Pointer and what to do.
 * Pure; never throws.
 */
import { type Duration, parseDuration } from './duration.js'
import type { FieldError } from './errors.js'
import { depthOf, type Json, parseJson, plainText } from './json.js'

/** Collects what is wrong; every method gives a usable value, so that reading goes on after an error. */
export class Reader {
  readonly errors: FieldError[] = []

  fail(pointer: string, code: string, message: string): void {
    // Where the whole was wrong, its members are no news.
    if (this.errors.some((error) => error.pointer !== '' && pointer.startsWith(`${error.pointer}/`))) return
    this.errors.push({ pointer, code, message })
  }

  object(
    pointer: string,
    value: unknown,
    known: readonly string[] | null,
    fix: string,
  ): Record<string, unknown> | null {
    if (!isRecord(value)) {
      this.fail(pointer, value === undefined ? 'required' : 'type', fix)
      return null
    }
    for (const name of Object.keys(value)) {
      if (known && !known.includes(name))
        this.fail(
          `${pointer}/${escaped(name)}`,
          'unknown',
          `There is no member "${name}" here. There are: ${known.join(', ')}.`,
        )
    }
    return value
  }

  list(pointer: string, value: unknown, max: number, fix: string, min = 1): unknown[] {
    if (Array.isArray(value) && value.length >= min && value.length <= max) return value
    if (Array.isArray(value) && value.length > max) this.fail(pointer, 'too-many', `At most ${max} entries. ${fix}`)
    else this.fail(pointer, value === undefined || Array.isArray(value) ? 'required' : 'type', fix)
    return []
  }

  text(pointer: string, value: unknown, max: number, fix: string): string {
    if (typeof value !== 'string') this.fail(pointer, value === undefined ? 'required' : 'type', fix)
    else if (value.trim() === '') this.fail(pointer, 'required', fix)
    else if (value.length > max)
      this.fail(pointer, 'too-long', `At most ${max} characters, not ${value.length}. ${fix}`)
    else return plainText(value.trim())
    return ''
  }

  optional(pointer: string, value: unknown, max: number, fix: string): string | null {
    return value === undefined || value === null ? null : this.text(pointer, value, max, fix)
  }

  name(pointer: string, value: unknown, max = 200): string | null {
    return this.optional(pointer, value, max, `Give a text of at most ${max} characters.`)
  }

  names(pointer: string, value: unknown, max: number): string[] {
    if (value === undefined) return []
    const fix = 'Give a list of names.'
    const names = this.list(pointer, value, max, fix, 0).map((item, i) => this.text(`${pointer}/${i}`, item, 200, fix))
    return [...new Set(names)]
  }

  choices<T extends string>(pointer: string, value: unknown, from: readonly T[]): T[] {
    const fix = `Choose from: ${from.join(', ')}.`
    if (value === undefined) return []
    const chosen = this.list(pointer, value, from.length, fix, 0)
    return chosen.flatMap((item, i) => this.oneOf(`${pointer}/${i}`, item, from) ?? [])
  }

  oneOf<T extends string>(pointer: string, value: unknown, from: readonly T[]): T | undefined {
    if (value === undefined || from.includes(value as T)) return value as T | undefined
    this.fail(pointer, 'not-allowed', `Choose from: ${from.join(', ')}.`)
    return undefined
  }

  flag(pointer: string, value: unknown): boolean | undefined {
    if (value === undefined || typeof value === 'boolean') return value
    this.fail(pointer, 'type', 'Give true or false.')
    return undefined
  }

  count(pointer: string, value: unknown, max: number, min = 1): number | undefined {
    if (value === undefined) return undefined
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number
    this.fail(pointer, 'range', `Give a whole number from ${min} to ${max}.`)
    return undefined
  }

  number(pointer: string, value: unknown): number {
    if (typeof value === 'number' && Number.isFinite(value)) return value
    this.fail(pointer, 'type', 'Give a number.')
    return 0
  }

  duration(pointer: string, value: unknown): number | null {
    if (value === undefined) return null
    try {
      const ms = parseDuration(value as Duration)
      if (ms > 0 && ms <= MAX_DURATION) return ms
    } catch {
      // Said below: one sentence for all that is no duration.
    }
    this.fail(pointer, 'type', `Give a duration such as '4h' or '3d', more than 0 and at most a year.`)
    return null
  }

  instant(pointer: string, value: unknown): number | null {
    if (value === undefined || value === null) return null
    const ms = typeof value === 'string' ? Date.parse(value) : value
    if (Number.isSafeInteger(ms)) return ms as number
    this.fail(pointer, 'type', 'Give an RFC 3339 date and time, or milliseconds since the epoch.')
    return null
  }

  /** Only what a browser can open without running anything. */
  link(pointer: string, value: unknown): string | null {
    const href = this.optional(pointer, value, 2000, 'Give an address.')
    if (!href || /^(https?:\/\/[^\s]|\/(?![/\\]))\S*$/i.test(href)) return href
    this.fail(pointer, 'link', 'Give an address that begins with https://, http:// or a single slash.')
    return null
  }

  /** As JSON keeps it: a Date becomes its text, undefined members go. */
  json(pointer: string, value: unknown): Json {
    try {
      const text = JSON.stringify(value, refusing)
      const json = text === undefined ? undefined : parseJson(text)
      if (json !== undefined && depthOf(json, MAX_DEPTH + 1) <= MAX_DEPTH) return json
    } catch {
      // Said below.
    }
    this.fail(pointer, 'not-json', `Give a value that JSON can hold, nested at most ${MAX_DEPTH} deep.`)
    return null
  }
}

const MAX_DURATION = 366 * 86_400_000
const MAX_DEPTH = 32

/** JSON.stringify would write NaN as null and leave functions out: an amount must not turn into nothing. */
function refusing(_key: string, value: unknown): unknown {
  if (
    typeof value === 'function' ||
    typeof value === 'symbol' ||
    (typeof value === 'number' && !Number.isFinite(value))
  )
    throw new TypeError('not JSON')
  return value
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A name as a part of a JSON Pointer (RFC 6901). */
export function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}
