// The result envelope a child writes on fd 3 or to a file, so that exit code 0 with half a result is never taken for success.
// Format: one line of JSON `{ "untildone": 1, "nonce", "bytes", "sha256" }`, a newline, then exactly `bytes` bytes of JSON.
// Must never accept a body that is not whole, and never do I/O.
import { createHash } from 'node:crypto'
import type { EnvelopeError } from './spec.js'

/** File descriptor of the envelope in the child. */
export const ENVELOPE_FD = 3
/** Env variable through which the child gets the nonce of this run. */
export const NONCE_ENV = 'UNTILDONE_NONCE'
/** Env variable that names the file of an envelope that does not come on fd 3. */
export const RESULT_ENV = 'UNTILDONE_RESULT'

// A real header has about 140 bytes; the bound keeps garbage without a newline from being called merely "truncated".
const MAX_HEADER_BYTES = 1024
const NEWLINE = 0x0a
const OPENING_BRACE = 0x7b

export type ParsedEnvelope = { ok: true; value: unknown } | { ok: false; error: EnvelopeError }

/** The bytes of one envelope. `undefined` is sent as null. Throws TypeError for what JSON cannot carry. */
export function encodeEnvelope(value: unknown, nonce: string): Buffer {
  const json = JSON.stringify(value === undefined ? null : value)
  if (json === undefined) throw new TypeError(`an envelope cannot carry a ${typeof value}`)
  const body = Buffer.from(json)
  const header = JSON.stringify({ untildone: 1, nonce, bytes: body.length, sha256: sha256(body) })
  return Buffer.concat([Buffer.from(`${header}\n`), body])
}

/** Reads what arrived on fd 3. Ok only if header, nonce, length and hash all agree and nothing follows. */
export function parseEnvelope(data: Uint8Array, nonce: string): ParsedEnvelope {
  if (data.length === 0) return refuse('missing')
  if (data[0] !== OPENING_BRACE) return refuse('malformed')
  const end = data.indexOf(NEWLINE)
  if (end === -1) return refuse(data.length > MAX_HEADER_BYTES ? 'malformed' : 'truncated')
  if (end > MAX_HEADER_BYTES) return refuse('malformed')
  const header = readJson(data.subarray(0, end)) as Record<string, unknown> | null | undefined
  if (typeof header !== 'object' || header === null || header.untildone !== 1) return refuse('malformed')
  const { bytes } = header
  if (typeof header.nonce !== 'string' || typeof header.sha256 !== 'string') return refuse('malformed')
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 1) return refuse('malformed')
  if (header.nonce !== nonce) return refuse('nonce-mismatch')
  const body = data.subarray(end + 1)
  if (body.length < bytes) return refuse('truncated')
  if (body.length > bytes) return refuse('malformed')
  if (sha256(body) !== header.sha256) return refuse('hash-mismatch')
  const value = readJson(body)
  return value === undefined ? refuse('malformed') : { ok: true, value }
}

/** Undefined when it is not UTF-8 JSON; JSON itself has no undefined. */
function readJson(bytes: Uint8Array): unknown {
  try {
    // ignoreBOM keeps a byte order mark visible, so that JSON.parse refuses it instead of it vanishing.
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    return undefined
  }
}

function refuse(error: EnvelopeError): ParsedEnvelope {
  return { ok: false, error }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
