/**
 * Request headers that mean something here, parsed: Idempotency-Key, Prefer, traceparent, conditional headers,
 * Content-Disposition. Pure; each function says what it does with a value that it cannot read.
 */
import { UntildoneError } from '../core/index.js'

/**
 * The key of `Idempotency-Key`, or null. `"abc"` (structured field) and `abc` are the same key.
 * @throws UntildoneError idempotency-key-invalid
 */
export function idempotencyKey(raw: string | null): string | null {
  if (raw === null) return null
  let key = raw
  if (raw.startsWith('"')) {
    const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(raw)
    key = quoted ? quoted[1]!.replace(/\\(["\\])/g, '$1') : ''
  }
  checkKey(key)
  return key
}

/** @throws UntildoneError idempotency-key-invalid */
export function checkKey(key: string, pointer?: string): void {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return
  const message = 'The idempotency key must be 1 to 255 visible ASCII characters.'
  throw new UntildoneError('idempotency-key-invalid', message, {
    errors:
      pointer === undefined ? [] : [{ pointer, code: 'format', message: 'must be 1 to 255 visible ASCII characters' }],
  })
}

export interface Preference {
  /** `wait=N` in milliseconds, uncapped; null when not given. */
  waitMs: number | null
  respondAsync: boolean
}

/** RFC 7240. A preference that is not understood is ignored, as the RFC demands. */
export function preference(raw: string | null): Preference | null {
  if (raw === null) return null
  const wait = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?(?=$|[,;\s])/i.exec(raw)
  return {
    waitMs: wait ? Number(wait[1]) * 1000 : null,
    respondAsync: /(?:^|[,;\s])respond-async(?=$|[,;\s])/i.test(raw),
  }
}

/** A W3C trace context that can be passed on; anything else is ignored, as the specification demands. */
export function traceparent(raw: string | null): string | null {
  if (raw === null || !/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/.test(raw)) return null
  const worthless = raw.startsWith('ff') || raw.startsWith('0'.repeat(32), 3) || raw.startsWith('0'.repeat(16), 36)
  return worthless || raw.length > 55 ? null : raw
}

/** True when `tag` is among the entity tags of an If-None-Match or If-Match header (weak comparison, or `*`). */
export function matches(header: string | null, tag: string): boolean {
  if (header === null) return false
  if (header.trim() === '*') return true
  return entityTags(header).includes(tag)
}

/** The revision named by an entity tag of a job, or null: `"17"` and `"17-ops"` are both 17. */
export function revisionIn(header: string): number | null {
  for (const tag of entityTags(header)) {
    const number = /^"(\d{1,15})(?:-[a-z.]+)?"$/.exec(tag)
    if (number) return Number(number[1])
  }
  return null
}

function entityTags(header: string): string[] {
  return Array.from(header.matchAll(/(?:W\/)?("[^"]*")/g), (match) => match[1]!)
}

/** True when the Accept header names this media type. */
export function accepts(accept: string | null, type: string): boolean {
  if (accept === null) return false
  return accept.split(',').some((part) => part.split(';', 1)[0]!.trim().toLowerCase() === type)
}

/** The file name of a Content-Disposition header (RFC 6266), or null. */
export function dispositionName(header: string | null): string | null {
  if (header === null) return null
  const extended = /filename\*\s*=\s*utf-8''([^;\s]+)/i.exec(header)
  if (extended) {
    try {
      return decodeURIComponent(extended[1]!)
    } catch {
      // A broken extended form: fall back to the plain one.
    }
  }
  const plain = /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(header)
  return plain ? (plain[1]?.replace(/\\(.)/g, '$1') ?? plain[2] ?? null) : null
}

/** A name that is safe to show and to save: last path segment, no control characters, at most 200 characters; or null. */
export function safeName(name: string | null): string | null {
  const last = (name ?? '').split(/[/\\]/).pop()!
  const clean = last
    .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
    .trim()
    .slice(0, 200)
    .replace(/[\ud800-\udbff]$/, '')
  return clean === '' || clean === '.' || clean === '..' ? null : clean
}

/** Content-Disposition of a download: never shown in the page, with the name in both forms. */
export function attachment(name: string | null): string {
  if (name === null) return 'attachment'
  const ascii = name.replace(/[^\x20-\x7e]|["\\]/g, '_')
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`
}

export type Range = { start: number; end: number } | 'unsatisfiable' | null

/** One byte range (RFC 9110, inclusive), or null for a header that is to be ignored: absent, several, another unit. */
export function byteRange(header: string | null, size: number): Range {
  const match = header === null ? null : /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim())
  if (!match || (match[1] === '' && match[2] === '')) return null
  if (match[1] === '') {
    const last = Number(match[2])
    return last === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - last), end: size - 1 }
  }
  const start = Number(match[1])
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1)
  if (match[2] !== '' && Number(match[2]) < start) return null
  return start >= size ? 'unsatisfiable' : { start, end }
}
