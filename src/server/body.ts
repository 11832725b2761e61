/**
 * Reads request bodies: capped while reading, never twice, and with the body another framework has already parsed where
 * there is one. Never buffers an upload; that is handed on as bytes.
 */
import type { IncomingMessage } from 'node:http'
import { depthOf, type Json, parseJson, UntildoneError } from '../core/index.js'
import type { Env } from './route.js'

export interface JsonBody {
  value: Json
  /** Length of the text in bytes; an upper bound for any part of it. */
  bytes: number
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * The parsed JSON body, or undefined when there is none.
 * @throws UntildoneError unsupported-media-type, payload-too-large, malformed-request
 */
export async function readJson(
  request: Request,
  env: Env,
  maxBytes: number,
  maxDepth: number,
): Promise<JsonBody | undefined> {
  const declared = declaredLength(request)
  const parsed = parsedElsewhere(env)
  if (declared === 0 || (declared === null && parsed === undefined && !hasBody(request, env))) return undefined
  assertJsonType(request.headers.get('content-type'))
  if (declared !== null && declared > maxBytes) throw tooLarge(maxBytes)
  if (parsed !== undefined && typeof parsed !== 'string' && !(parsed instanceof Uint8Array)) {
    const bytes = declared ?? Buffer.byteLength(JSON.stringify(parsed))
    if (bytes > maxBytes) throw tooLarge(maxBytes)
    return { value: withDepth(parsed as Json, maxDepth), bytes }
  }
  const raw = parsed === undefined ? await readBytes(request, env, declared, maxBytes) : toBytes(parsed)
  if (raw.byteLength > maxBytes) throw tooLarge(maxBytes)
  if (raw.byteLength === 0) return undefined
  return { value: withDepth(parse(raw), maxDepth), bytes: raw.byteLength }
}

/** The body as a stream of bytes, nothing read yet. @throws UntildoneError malformed-request when somebody else read it */
export function byteStream(request: Request, env: Env): AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> {
  const parsed = parsedElsewhere(env)
  if (parsed instanceof Uint8Array) return oneChunk(parsed)
  if (parsed !== undefined) throw consumed()
  const incoming = env.incoming
  // Straight from the socket. Kept open when the reader stops early: the refusal has to go out over it.
  if (incoming) return incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  return request.body ?? oneChunk(new Uint8Array())
}

/** Content-Length as a number; null when it is absent. */
export function declaredLength(request: Request): number | null {
  const header = request.headers.get('content-length')
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : null
}

export function tooLarge(maxBytes: number, what = 'The body'): UntildoneError {
  return new UntildoneError('payload-too-large', `${what} is larger than ${maxBytes} bytes.`, { params: { maxBytes } })
}

/** What a body parser in front of us left in `req.body`; undefined when the body is still ours to read. */
function parsedElsewhere(env: Env): unknown {
  const incoming = env.incoming
  if (!incoming?.readableDidRead) return undefined
  if (incoming.body === undefined) throw consumed()
  return incoming.body
}

function consumed(): UntildoneError {
  return new UntildoneError('malformed-request', 'The body was already read by other middleware of this server.', {
    fix: 'Mount Untildone before the body parser, or let the parser keep its result in req.body.',
  })
}

function hasBody(request: Request, env: Env): boolean {
  if (env.incoming) return env.incoming.headers['transfer-encoding'] !== undefined
  return request.body !== null
}

function assertJsonType(type: string | null): void {
  const [name, ...parameters] = (type ?? '').split(';')
  const charset = parameters.map((parameter) => /^\s*charset\s*=\s*"?([^"\s]*)/i.exec(parameter)?.[1]).find(Boolean)
  const isJson = /^application\/(?:[\w.+-]+\+)?json$/i.test(name!.trim())
  if (isJson && (charset === undefined || /^utf-?8$/i.test(charset))) return
  const sent = type === null ? 'it has no Content-Type' : `it is ${type.slice(0, 100)}`
  throw new UntildoneError('unsupported-media-type', `The body must be application/json in UTF-8; ${sent}.`)
}

async function readBytes(request: Request, env: Env, declared: number | null, maxBytes: number): Promise<Uint8Array> {
  try {
    if (env.incoming) return await collect(env.incoming, maxBytes)
    if (declared !== null) return new Uint8Array(await request.arrayBuffer())
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of byteStream(request, env)) {
      bytes += chunk.byteLength
      if (bytes > maxBytes) throw tooLarge(maxBytes)
      chunks.push(chunk)
    }
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
  } catch (cause) {
    if (cause instanceof UntildoneError) throw cause
    throw new UntildoneError('malformed-request', 'The body ended before it was complete.', { cause })
  }
}

/** Straight from the socket: the way through a web stream costs several times as much, and every submit goes here. */
function collect(incoming: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let bytes = 0
    const settle = (then: () => void) => {
      incoming.off('data', onData)
      incoming.off('end', onEnd)
      incoming.off('error', onError)
      incoming.off('close', onClose)
      then()
    }
    const onData = (chunk: Uint8Array) => {
      bytes += chunk.byteLength
      // The rest is left to the adapter, which drains it for a while so that the refusal can be read.
      if (bytes > maxBytes) settle(() => reject(tooLarge(maxBytes)))
      else chunks.push(chunk)
    }
    const onEnd = () => settle(() => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    const onError = (error: Error) => settle(() => reject(error))
    const onClose = () => settle(() => reject(new Error('the connection was closed')))
    incoming.on('data', onData)
    incoming.on('end', onEnd)
    incoming.on('error', onError)
    incoming.on('close', onClose)
    if (incoming.destroyed) onClose()
  })
}

function toBytes(parsed: string | Uint8Array): Uint8Array {
  return typeof parsed === 'string' ? Buffer.from(parsed) : parsed
}

function parse(raw: Uint8Array): Json {
  let text: string
  try {
    text = decoder.decode(raw)
  } catch (cause) {
    throw new UntildoneError('malformed-request', 'The body is not UTF-8.', { cause })
  }
  try {
    return parseJson(text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.slice(0, 200) : ''
    throw new UntildoneError('malformed-request', `The body is not JSON: ${why}`, { cause })
  }
}

function withDepth(value: Json, maxDepth: number): Json {
  if (depthOf(value, maxDepth + 1) <= maxDepth) return value
  throw new UntildoneError('malformed-request', `The body nests deeper than ${maxDepth} levels.`, {
    params: { maxDepth },
  })
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes
}
