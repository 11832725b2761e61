/**
 * Signatures of webhooks after Standard Webhooks 1.0.0: `<id>.<timestamp>.<body>` under HMAC-SHA256 (`v1`) or ed25519
 * (`v1a`). One implementation for who sends and who receives. Pure: the instant is handed in, and WebCrypto is used for
 * arithmetic only. Must never put a key, a signature or a body into a message.
 */
import { type Json, parseJson } from './json.js'

export interface OutgoingWebhook {
  /** Stays the same when the delivery is repeated. Visible ASCII without a full stop. */
  id: string
  /** The instant of this delivery, in milliseconds since the epoch; a repeated delivery has a new one. */
  sentAt: number
  /** What is sent, byte for byte. */
  body: string | Uint8Array
}

export interface SignedHeaders {
  'webhook-id': string
  'webhook-timestamp': string
  'webhook-signature': string
}

export type WebhookProblem =
  | 'webhook-header-missing'
  | 'webhook-header-invalid'
  | 'webhook-too-old'
  | 'webhook-too-new'
  | 'webhook-signature-mismatch'
  | 'webhook-body-not-json'
  | 'webhook-body-parsed'
  | 'webhook-key-invalid'

export interface IncomingWebhook {
  /** `Headers`, or an object with names in any case (Node's `request.headers` too). */
  headers: unknown
  /** Text or bytes as they came. */
  body: unknown
  /** Each `whsec_…` or `whpk_…`; one that fits is enough. */
  keys: readonly string[]
  /** How far the time of the delivery may be from `now`, either way, in milliseconds. */
  toleranceMs: number
  /** Milliseconds since the epoch. */
  now: number
}

export type CheckedWebhook =
  | { ok: true; event: { [key: string]: Json } }
  | { ok: false; code: WebhookProblem; message: string }

/** HMAC secrets: what the specification allows, in bytes. */
const SECRET_BYTES = [24, 64] as const
/** Signatures of one kind that are looked at. A rotation needs two; a header with hundreds is somebody guessing. */
const MOST_SIGNATURES = 16

const encoder = new TextEncoder()

type Bytes = Uint8Array<ArrayBuffer>
interface Key {
  version: 'v1' | 'v1a'
  algorithm: 'HMAC' | 'Ed25519'
  key: CryptoKey
}

/**
 * The three headers of one delivery. With several keys (old and new one during a rotation) there is a signature of each,
 * in their order.
 * @param keys each `whsec_…` or `whsk_…`
 * @throws TypeError for an id or a key that cannot be used
 */
export async function signWebhook(webhook: OutgoingWebhook, keys: readonly string[]): Promise<SignedHeaders> {
  const { id, sentAt, body } = webhook
  if (!isId(id)) throw new TypeError('The id of a webhook is visible ASCII without a full stop.')
  if (!Number.isFinite(sentAt) || sentAt < 0) throw new TypeError('sentAt: not an instant in milliseconds.')
  if (keys.length === 0) throw new TypeError('A webhook needs a key to be signed with.')
  const timestamp = String(Math.floor(sentAt / 1000))
  const content = contentOf(id, timestamp, typeof body === 'string' ? encoder.encode(body) : body)
  const signatures: string[] = []
  for (const text of keys) {
    const key = await importKey(text, 'sign')
    if (typeof key === 'string') throw new TypeError(key)
    const signature = await crypto.subtle.sign(key.algorithm, key.key, content)
    signatures.push(`${key.version},${toBase64(new Uint8Array(signature))}`)
  }
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
}

/**
 * Whether a request is a delivery that an owner of one of the keys has signed lately, and the event in it. Mistakes of
 * the receiver (keys, a body that was parsed) come first: they are there whatever arrives.
 */
export async function checkWebhook(webhook: IncomingWebhook): Promise<CheckedWebhook> {
  const { headers, keys, toleranceMs, now } = webhook
  if (keys.length === 0) return refused('webhook-key-invalid', 'There is no key to verify with.')
  const trusted: Key[] = []
  for (const text of keys) {
    const key = await importKey(text, 'verify')
    if (typeof key === 'string') return refused('webhook-key-invalid', key)
    trusted.push(key)
  }
  const body = bytesOf(webhook.body)
  if (body === null) return refused('webhook-body-parsed', `The body is ${kindOf(webhook.body)}, not what was sent.`)

  const id = headerOf(headers, 'webhook-id')
  const timestamp = headerOf(headers, 'webhook-timestamp')
  const signatures = headerOf(headers, 'webhook-signature')
  for (const [name, value] of Object.entries({ id, timestamp, signature: signatures })) {
    if (value === undefined || value === '')
      return refused('webhook-header-missing', `The header webhook-${name} is missing.`)
    if (value === null) return refused('webhook-header-invalid', `The header webhook-${name} is there more than once.`)
  }
  // A full stop in the id would let a part of it pass for the timestamp.
  if (!isId(id!)) return refused('webhook-header-invalid', 'The header webhook-id is not an id.')
  if (!/^\d{1,12}$/.test(timestamp!))
    return refused('webhook-header-invalid', 'The header webhook-timestamp is not a number of seconds.')

  // Written so that NaN lets nothing through.
  const ageMs = now - Number(timestamp) * 1000
  if (!(ageMs <= toleranceMs))
    return refused('webhook-too-old', `It was sent ${seconds(ageMs)} ago; ${seconds(toleranceMs)} are allowed.`)
  if (!(-ageMs <= toleranceMs))
    return refused('webhook-too-new', `It was sent ${seconds(-ageMs)} ahead; ${seconds(toleranceMs)} are allowed.`)

  if (!(await isSigned(contentOf(id!, timestamp!, body), signatures!, trusted)))
    return refused('webhook-signature-mismatch', 'No signature fits this body, id and time under a key given.')

  const event = objectOf(body)
  if (event === null) return refused('webhook-body-not-json', 'It is signed, and the body is not a JSON object.')
  return { ok: true, event }
}

/** The `whpk_…` that verifies what this `whsk_…` signs. @throws TypeError for a key that cannot be used */
export async function publicKeyOf(secretKey: string): Promise<string> {
  const key = await importKey(secretKey, 'sign')
  if (typeof key === 'string') throw new TypeError(key)
  if (key.version !== 'v1a') throw new TypeError('Only a key that begins with whsk_ has a public key.')
  return `whpk_${toBase64(await publicBytesOf(key.key))}`
}

// ── signatures ──

/**
 * Comparing is left to subtle.verify: WebCrypto demands that it takes the same time wherever the bytes differ, which
 * JavaScript of our own could not promise.
 */
async function isSigned(content: Bytes, header: string, keys: readonly Key[]): Promise<boolean> {
  const given = header.split(' ')
  for (const { version, algorithm, key } of keys) {
    const own = given.filter((one) => one.startsWith(`${version},`)).slice(0, MOST_SIGNATURES)
    for (const one of own) {
      const signature = fromBase64(one.slice(version.length + 1))
      if (signature && (await crypto.subtle.verify(algorithm, key, signature, content))) return true
    }
  }
  return false
}

function contentOf(id: string, timestamp: string, body: Uint8Array): Bytes {
  const head = encoder.encode(`${id}.${timestamp}.`)
  const content = new Uint8Array(head.length + body.length)
  content.set(head)
  content.set(body, head.length)
  return content
}

// ── keys ──

/** The DER head of an ed25519 private key (RFC 8410); the 32 bytes of its seed follow. WebCrypto takes no bare seed. */
const PKCS8_HEAD = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]

/** The key, or a sentence about what is wrong with it. */
async function importKey(text: unknown, use: 'sign' | 'verify'): Promise<Key | string> {
  const [, prefix, encoded] = (typeof text === 'string' && /^(whsec|whsk|whpk)_(.*)$/s.exec(text)) || []
  if (!prefix) return 'A key begins with whsec_, whsk_ or whpk_.'
  if (prefix === 'whpk' && use === 'sign') return 'A public key (whpk_) cannot sign.'
  if (prefix === 'whsk' && use === 'verify')
    return 'This is the secret key of the sender (whsk_). Verify with its public key (whpk_).'
  const bytes = fromBase64(padded(encoded!))
  if (!bytes) return `What follows ${prefix}_ is not base64.`
  if (prefix === 'whsec') return importSecret(bytes, use)
  try {
    return prefix === 'whsk' ? await importSeed(bytes) : await importPublic(bytes)
  } catch (cause) {
    const { name } = cause as Error
    return name === 'NotSupportedError' ? 'This runtime knows no ed25519.' : 'This is not an ed25519 key.'
  }
}

async function importSecret(bytes: Bytes, use: 'sign' | 'verify'): Promise<Key | string> {
  const [least, most] = SECRET_BYTES
  if (bytes.length < least || bytes.length > most) return `A secret has ${least} to ${most} bytes, not ${bytes.length}.`
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, [use])
  return { version: 'v1', algorithm: 'HMAC', key }
}

/** 32 bytes are the seed. 64 are the seed and the public key behind it, as libsodium writes secret keys. */
async function importSeed(bytes: Bytes): Promise<Key | string> {
  if (bytes.length !== 32 && bytes.length !== 64) return `A secret key has 32 or 64 bytes, not ${bytes.length}.`
  const der = new Uint8Array([...PKCS8_HEAD, ...bytes.subarray(0, 32)])
  const key = await crypto.subtle.importKey('pkcs8', der, 'Ed25519', true, ['sign'])
  if (bytes.length === 64 && toBase64(await publicBytesOf(key)) !== toBase64(bytes.subarray(32)))
    return 'The two halves of this secret key do not belong together.'
  return { version: 'v1a', algorithm: 'Ed25519', key }
}

async function importPublic(bytes: Bytes): Promise<Key | string> {
  if (bytes.length !== 32) return `A public key has 32 bytes, not ${bytes.length}.`
  const key = await crypto.subtle.importKey('raw', bytes, 'Ed25519', false, ['verify'])
  return { version: 'v1a', algorithm: 'Ed25519', key }
}

async function publicBytesOf(key: CryptoKey): Promise<Bytes> {
  const { x } = await crypto.subtle.exportKey('jwk', key)
  return fromBase64(padded(x!.replaceAll('-', '+').replaceAll('_', '/')))!
}

// ── what arrives ──

function refused(code: WebhookProblem, message: string): CheckedWebhook {
  return { ok: false, code, message }
}

const isId = (id: string): boolean => /^[\x21-\x7e]{1,256}$/.test(id) && !id.includes('.')
const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`

/** A header by its lower-case name; undefined when it is missing, null when it is there more than once. */
function headerOf(headers: unknown, name: string): string | undefined | null {
  if (typeof headers !== 'object' || headers === null) return undefined
  // By its method, not by instanceof: frameworks bring their own Headers.
  const { get } = headers as { get?: unknown }
  if (typeof get === 'function') return (get.call(headers, name) as string | null | undefined) ?? undefined
  const found = Object.entries(headers)
    .filter(([key, value]) => key.toLowerCase() === name && value !== undefined && value !== null)
    .flatMap(([, value]) => value as string | string[])
  return found.length > 1 ? null : found[0] && String(found[0])
}

/** By tag, not by instanceof: test runners and sandboxes have an ArrayBuffer of their own. */
function bytesOf(body: unknown): Uint8Array | null {
  if (typeof body === 'string') return encoder.encode(body)
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
  if (Object.prototype.toString.call(body) === '[object ArrayBuffer]') return new Uint8Array(body as ArrayBuffer)
  return null
}

function kindOf(body: unknown): string {
  if (body === undefined || body === null) return 'missing'
  return typeof body === 'object' ? 'an object that somebody has parsed' : `a ${typeof body}`
}

function objectOf(body: Uint8Array): { [key: string]: Json } | null {
  try {
    const value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(body))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

// ── base64 ──

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

/** Null for what is not base64 in its one right form: atob alone takes white space and lets padding be left out. */
function fromBase64(text: string): Bytes | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length % 4 !== 0) return null
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
  return toBase64(bytes) === text ? bytes : null
}

/** Keys are copied by hand, and their padding gets lost. */
const padded = (text: string): string => text.padEnd(Math.ceil(text.length / 4) * 4, '=')
