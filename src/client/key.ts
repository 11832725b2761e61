/** Idempotency keys: making one, and sending one. */
import { UntildoneApiError } from './errors.js'

/**
 * The header of a key, quoted as the draft wants it: a bare key that starts with a quote would be read as another one.
 * @throws UntildoneApiError `idempotency-key-invalid`
 */
export function keyHeader(key: string): Record<string, string> {
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) throw keyInvalid(key)
  return { 'idempotency-key': `"${key.replace(/["\\]/g, '\\$&')}"` }
}

/**
 * What the server would answer. Checked here because fetch refuses such a header as if the network were down, and that
 * would be repeated.
 */
function keyInvalid(key: string): UntildoneApiError {
  const detail = `"${key}" is not a usable idempotency key.`
  const fix = 'Give 1 to 255 visible ASCII characters, for example a UUID.'
  const problem = { code: 'idempotency-key-invalid', detail, fix }
  return new UntildoneApiError(400, problem, { requestId: null, retryAfterMs: null, retryable: false })
}

/** A random UUID (version 4). crypto.randomUUID exists only in secure contexts; getRandomValues everywhere. */
export function newKey(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID()
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
