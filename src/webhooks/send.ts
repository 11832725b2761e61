/**
 * Sends one webhook: a POST to an address that a stranger has entered, whose answer a stranger writes. Connects only to
 * addresses that were checked, follows nothing, and is over by its deadline whatever the other side does. Must never
 * repeat by itself, and never leave a socket behind.
 */
import { lookup } from 'node:dns/promises'
import { type ClientRequest, type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction, type TcpNetConnectOpts } from 'node:net'
import { type Clock, clip } from '../core/index.js'
import { type AddressOptions, addressRules, checkAddresses, checkUrl, type Refusal, type Target } from './address.js'
import { retryAfterOf, shown, textOf } from './answer.js'

/** All addresses of a name, IPv4 and IPv6. Rejects, or gives none, when there are none. */
export type Resolver = (host: string) => Promise<readonly string[]>

export interface SendOptions extends AddressOptions {
  url: string
  /** Names in any case. What belongs to the connection (host, content-length …) is refused. @default {} */
  headers?: Record<string, string>
  body: string | Uint8Array
  clock: Clock
  /** For all of it: looking up, connecting, TLS, the status and the body of the answer. @default 20 000 */
  timeoutMs?: number
  /** Bytes of the answer's body that are read; the rest is cut off. @default 65 536 */
  maxResponseBytes?: number
  /** @default the one of the operating system, with its hosts file */
  resolver?: Resolver
  /** Stops it; `send` then rejects with the reason. */
  signal?: AbortSignal
  /** Certificates in PEM to trust instead of the usual ones. */
  ca?: string
}

export type SendFailure =
  | 'refused-address'
  | 'dns'
  | 'connect'
  | 'tls'
  | 'timeout'
  | 'reset'
  | 'protocol'
  | 'response-too-large'
  | 'redirect'

export interface SendResult {
  /** True for a status of 200 to 299. What came of the body afterwards does not matter: the status has been said. */
  delivered: boolean
  /** Null when none came. */
  status: number | null
  /** Why there is no status, or `redirect` for one of 300 to 399; null otherwise. */
  failure: SendFailure | null
  /** One sentence about the failure, fit to be shown to whoever entered the URL. */
  message: string | null
  fix: string | null
  /** For the operator's log: the code of the system (ECONNREFUSED …), or the address that was refused. */
  detail: string | null
  /** Until the status was there, or until the failure. */
  durationMs: number
  /** What the receiver asks for, at most 24 h. */
  retryAfterMs: number | null
  /** The first 1024 bytes of the body as text, control characters written out. */
  bodyStart: string
}

const TIMEOUT_MS = 20_000
const MAX_BODY = 65_536
const MAX_HEADERS = 16_384
const SHOWN_BYTES = 1024
const NEXT_ADDRESS_MS = 2000
/** Interim answers (1xx) before the status; more are somebody who keeps us busy. */
const MOST_INTERIM = 8

/**
 * Sends it once.
 * @throws TypeError for options that only a programmer can have got wrong; the signal's reason when it was stopped
 */
export async function send(options: SendOptions): Promise<SendResult> {
  const { clock, signal, timeoutMs = TIMEOUT_MS } = options
  const rules = addressRules(options)
  const headers = headersOf(options)
  signal?.throwIfAborted()

  const began = clock.monotonic()
  const duration = () => Math.round(clock.monotonic() - began)
  const end = new AbortController()
  const deadline = clock.after(timeoutMs, () => end.abort(LATE))
  const stop = () => end.abort(signal!.reason)
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const target = checkUrl(options.url, rules)
    if (!target.ok) throw refusedBy(target)
    const addresses = await addressesOf(target, options.resolver ?? systemResolver, end.signal)
    const refusal = checkAddresses(target, addresses, rules)
    if (refusal) throw refusedBy(refusal)
    return resultOf(await exchange(target, addresses, headers, options, end.signal, duration), clock.now())
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof Failed)) throw error
    return failureOf(error, timeoutMs, duration())
  } finally {
    deadline.cancel()
    signal?.removeEventListener('abort', stop)
  }
}

// ── before the connection ──

/** What `send` sets itself. A caller's would break the framing, or reach a proxy. */
const OWN_HEADERS = new Set([
  ...['host', 'connection', 'content-length', 'transfer-encoding', 'trailer', 'te', 'upgrade', 'expect', 'keep-alive'],
  ...['accept-encoding', 'proxy-authorization', 'proxy-connection'],
])

function headersOf({ headers = {}, body }: SendOptions): Record<string, string | number> {
  const given = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  for (const [name] of given) if (OWN_HEADERS.has(name)) throw new TypeError(`headers: ${name} is set by send itself.`)
  return {
    'user-agent': 'Untildone-Webhooks',
    'content-type': 'application/json',
    ...Object.fromEntries(given),
    // Nothing is decompressed: a few bytes could become gigabytes.
    'accept-encoding': 'identity',
    'content-length': Buffer.byteLength(body),
  }
}

const systemResolver: Resolver = async (host) => (await lookup(host, { all: true })).map(({ address }) => address)

async function addressesOf(target: Target, resolver: Resolver, end: AbortSignal): Promise<readonly string[]> {
  if (target.family !== 0) return [target.host]
  const found = await unless(end, Promise.resolve(target.host).then(resolver)).catch((cause) => {
    throw cause === LATE ? new Failed('timeout', 'lookup') : new Failed('dns', codeOf(cause))
  })
  if (found.length === 0) throw new Failed('dns', 'ENOTFOUND')
  return found
}

/** `promise`, or a rejection with the signal's reason. A look-up cannot be stopped, only left alone. */
function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

// ── the exchange ──

interface Answer {
  response: IncomingMessage
  durationMs: number
  body: Uint8Array[]
}

/** Where it is; decides what an error means. */
type Phase = 'lookup' | 'connect' | 'tls' | 'answer'

/**
 * Resolves or rejects once the request is closed, so that no socket outlives the call. From the status on nothing can go
 * wrong any more: whatever ends the body, the answer is there.
 */
function exchange(
  target: Target,
  addresses: readonly string[],
  headers: Record<string, string | number>,
  options: SendOptions,
  end: AbortSignal,
  duration: () => number,
): Promise<Answer> {
  const { maxResponseBytes = MAX_BODY } = options
  return new Promise((resolve, reject) => {
    const request = open(target, addresses, headers, options)
    let phase: Phase = 'connect'
    let failed: Failed | null = null
    let answer: Answer | null = null
    const fail = (failure: Failed) => {
      failed ??= failure
      request.destroy()
    }
    const stop = () => fail(new Failed('timeout', phase))
    if (end.aborted) stop()
    end.addEventListener('abort', stop, { once: true })

    request.on('socket', (socket) => {
      socket.once('connect', () => (phase = target.secure ? 'tls' : 'answer'))
      socket.once('secureConnect', () => (phase = 'answer'))
    })
    request.on('response', (response) => {
      if (response.statusCode === 101) return fail(new Failed('protocol', '101'))
      answer = { response, durationMs: duration(), body: [] }
      if (isRedirect(response)) return void request.destroy()
      receive(request, answer, maxResponseBytes)
    })
    let interim = 0
    request.on('information', ({ statusCode }) => {
      if (++interim > MOST_INTERIM) fail(new Failed('protocol', String(statusCode)))
    })
    request.on('upgrade', () => fail(new Failed('protocol', '101')))
    request.on('error', (error) => fail(failureAt(phase, error)))
    request.on('close', () => {
      if (answer) resolve(answer)
      else reject(failed ?? new Failed('reset', null))
    })
    request.end(options.body)
  })
}

function open(
  { url, host, port, family, secure }: Target,
  addresses: readonly string[],
  headers: Record<string, string | number>,
  { ca }: SendOptions,
): ClientRequest {
  const pinned = addresses.map((address) => ({ address, family: isIP(address) }))
  // Between a check and a second look-up the name could get another address (DNS rebinding): there is no second one.
  const lookup: LookupFunction = (_name, { all }, done) =>
    all ? done(null, pinned) : done(null, pinned[0]!.address, pinned[0]!.family)
  // Said expressly, because NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default. An address has no SNI.
  const tls = { servername: family === 0 ? host : '', rejectUnauthorized: true, ca }
  const wanted: RequestOptions & TcpNetConnectOpts = {
    method: 'POST',
    host,
    port,
    path: url.pathname + url.search,
    headers: { host: url.host.replace(/\.(?=:\d+$|$)/, ''), ...headers },
    lookup,
    // Of several addresses the next one is tried after this. Node's 250 ms give up on receivers that are far away.
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
    // A new agent for each: no connection is used again, and no proxy of the environment is asked.
    agent: false,
    maxHeaderSize: MAX_HEADERS,
    insecureHTTPParser: false,
  }
  return secure ? requestHttps({ ...wanted, ...tls }) : requestHttp(wanted)
}

function receive(request: ClientRequest, { response, body }: Answer, most: number): void {
  let bytes = 0
  let kept = 0
  response.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length
    if (kept < SHOWN_BYTES) body.push(chunk)
    kept += chunk.length
    if (bytes > most) request.destroy()
  })
  response.on('end', () => request.destroy())
  // Cut off in the middle of the body; 'close' of the request follows.
  response.on('error', () => {})
}

const isRedirect = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 300 && statusCode <= 399

// ── results ──

const LATE = Symbol('late')

class Failed extends Error {
  constructor(
    readonly failure: SendFailure,
    readonly detail: string | null,
    readonly refusal: Refusal | null = null,
  ) {
    super(failure)
  }
}

const refusedBy = (refusal: Refusal): Failed => new Failed('refused-address', refusal.address, refusal)

function codeOf(error: unknown): string | null {
  const { code, errors } = (error ?? {}) as { code?: unknown; errors?: unknown[] }
  if (typeof code === 'string') return code
  return errors?.length ? codeOf(errors[0]) : null
}

function failureAt(phase: Phase, error: Error): Failed {
  const code = codeOf(error)
  if (code === 'HPE_HEADER_OVERFLOW') return new Failed('response-too-large', code)
  if (code?.startsWith('HPE_')) return new Failed('protocol', code)
  if (phase === 'connect') return new Failed('connect', code)
  return new Failed(phase === 'tls' ? 'tls' : 'reset', code)
}

const SAY: Record<SendFailure, { message: string; fix: string }> = {
  'refused-address': { message: 'This address may not be called.', fix: 'Give another address.' },
  dns: { message: 'The name could not be looked up.', fix: 'Check the name and its DNS records.' },
  connect: {
    message: 'Nobody takes the connection.',
    fix: 'Check that the receiver runs and its firewall lets us in.',
  },
  tls: {
    message: 'The TLS connection could not be made.',
    fix: 'The certificate must be valid, for this name, with its chain, from an authority that is known here.',
  },
  timeout: { message: 'It took too long.', fix: 'Answer with 204 first and do the work afterwards.' },
  reset: { message: 'The connection was cut before a status came.', fix: 'See the log of the receiver.' },
  protocol: { message: 'What answered speaks no HTTP/1.1.', fix: 'Check the port and what listens there.' },
  'response-too-large': {
    message: `The headers of the answer are larger than ${MAX_HEADERS / 1024} KiB.`,
    fix: 'Answer with a status and no more headers than needed.',
  },
  redirect: { message: 'Redirects are not followed.', fix: 'Give the address that it points to.' },
}

const TOO_LONG: Record<Phase, string> = {
  lookup: 'The name was not looked up',
  connect: 'There was no connection',
  tls: 'The TLS handshake was not done',
  answer: 'There was no status',
}

function failureOf({ failure, detail, refusal }: Failed, timeoutMs: number, durationMs: number): SendResult {
  const { message, fix } = refusal ?? SAY[failure]
  const late = failure === 'timeout' ? `${TOO_LONG[detail as Phase]} within ${timeoutMs / 1000} s.` : null
  return {
    ...{ delivered: false, status: null, failure, message: late ?? message, fix, detail, durationMs },
    ...{ retryAfterMs: null, bodyStart: '' },
  }
}

function resultOf({ response, durationMs, body }: Answer, now: number): SendResult {
  const { statusCode: status = 0, headers } = response
  const redirect = isRedirect(response)
  const where = headers.location ? ` and points to ${shown(clip(headers.location, 200))}` : ''
  return {
    delivered: status >= 200 && status <= 299,
    status,
    failure: redirect ? 'redirect' : null,
    message: redirect ? `It answered ${status}${where}. ${SAY.redirect.message}` : null,
    fix: redirect ? SAY.redirect.fix : null,
    detail: null,
    durationMs,
    retryAfterMs: retryAfterOf(headers['retry-after'], now),
    bodyStart: textOf(body, SHOWN_BYTES),
  }
}
