/**
 * One HTTP call to the server: headers, time limit, repeats, and errors as values of errors.ts. Knows no endpoint.
 * Must never follow a redirect (it would turn a POST into a GET and leak the key) and never repeat what is not safe.
 */
import { type ClientClock, LATE, linked, within } from './clock.js'
import { UntildoneApiError, UntildoneConnectionError } from './errors.js'
import { endsFollowing, mayRepeat, pauseMs, type Repeat, type RetryOptions, retryAfterOf } from './retry.js'
import type { TicketSource } from './ticket.js'

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>

export interface Call {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** After the base address, starting with `/`. */
  path: string
  query?: Query
  headers?: Record<string, string>
  json?: unknown
  /** Bytes instead of JSON; a stream can be sent only once. */
  bytes?: Blob | Uint8Array | ArrayBuffer | string | ReadableStream<Uint8Array>
  /** @default 'always' */
  repeat?: Repeat
  /**
   * Goes on without a limit of attempts or time, whatever is answered but "you may not" and "it is not there": for
   * following a job that carries on whatever we do.
   */
  patient?: boolean
  /** Told before each repeat. */
  onTrouble?: (error: unknown) => void
  /** Time limit of one sending. @default the client's */
  timeoutMs?: number
  signal?: AbortSignal
}

export interface Answer<T> {
  status: number
  headers: Headers
  /** undefined for 204 and 304. */
  body: T
  /** Retry-After in milliseconds, or null. */
  retryAfterMs: number | null
}

export interface TransportOptions {
  base: string
  fetch: typeof fetch
  clock: ClientClock
  headers: Record<string, string>
  timeoutMs: number
  retry: Required<RetryOptions>
  tickets: TicketSource | null
}

export interface Transport {
  readonly clock: ClientClock
  /** Where the server is, without a slash at the end. */
  readonly base: string
  /** Set when a ticket stands in for the key: only streams can be read then. */
  readonly tickets: TicketSource | null
  /** Sends, repeats as allowed, and gives the JSON. @throws UntildoneApiError, UntildoneConnectionError, the abort reason */
  json<T>(call: Call): Promise<Answer<T>>
  /** Sends once and gives the open response whatever its status; the caller reads or cancels the body. */
  open(call: Call): Promise<Response>
  /** The response with its body unread when it is 2xx; else as json(). */
  response(call: Call): Promise<Response>
}

export function createTransport(options: TransportOptions): Transport {
  const { clock } = options

  async function send(call: Call, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json', ...options.headers, ...call.headers }
    const init: RequestInit & { duplex?: 'half' } = {
      method: call.method ?? 'GET',
      headers,
      signal,
      redirect: 'manual',
    }
    if (call.json !== undefined) {
      headers['content-type'] = 'application/json'
      init.body = JSON.stringify(call.json)
    } else if (call.bytes !== undefined) {
      init.body = call.bytes as BodyInit
      if (isStream(call.bytes)) init.duplex = 'half'
    }
    return options.fetch(options.base + call.path + queryOf(call.query), init)
  }

  /**
   * One sending under the time limit; `read` runs under it too, so that a body that stops coming is noticed.
   * @param open the body is read later: the caller's signal must go on reaching it
   */
  async function once<T>(call: Call, read: (response: Response) => Promise<T>, open = false): Promise<T> {
    const stop = linked(call.signal)
    try {
      const work = send(call, stop.signal).then(read)
      const result = await within(clock, call.timeoutMs ?? options.timeoutMs, work)
      if (result !== LATE) return result
      stop.abort()
      throw new UntildoneConnectionError(options.base, new Error('no answer in time'))
    } catch (error) {
      if (call.signal?.aborted) throw call.signal.reason
      if (error instanceof UntildoneApiError || error instanceof UntildoneConnectionError) throw error
      throw new UntildoneConnectionError(options.base, error)
    } finally {
      if (!open) stop.release()
    }
  }

  async function repeating<T>(call: Call, read: (response: Response) => Promise<T>, open = false): Promise<T> {
    call.signal?.throwIfAborted()
    const begun = clock.now()
    for (let n = 1; ; n++) {
      try {
        return await once(call, read, open)
      } catch (error) {
        if (!(call.patient ? passes(error) : mayRepeat(error, repeatOf(call)))) throw error
        const pause = pauseMs(n, clock.random(), error instanceof UntildoneApiError ? error.retryAfterMs : null)
        if (!call.patient) {
          if (n >= options.retry.attempts || clock.now() + pause - begun > options.retry.withinMs) throw error
        }
        call.onTrouble?.(error)
        await clock.sleep(pause, call.signal)
      }
    }
  }

  return {
    clock,
    base: options.base,
    tickets: options.tickets,
    json: <T>(call: Call) => repeating(call, (response) => readJson<T>(response, clock)),
    open: (call) => once(call, async (response) => response, true),
    response: (call) => {
      const read = async (response: Response) => {
        if (!response.ok) await readJson(response, clock)
        return response
      }
      return repeating(call, read, true)
    },
  }
}

function queryOf(query: Query = {}): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue
    params.set(name, Array.isArray(value) ? value.join(',') : String(value))
  }
  const text = params.toString()
  return text ? `?${text}` : ''
}

async function readJson<T>(response: Response, clock: ClientClock): Promise<Answer<T>> {
  const { status, headers } = response
  const retryAfterMs = retryAfterOf(headers.get('retry-after'), clock.now())
  if (status === 304 || status === 204) return { status, headers, body: undefined as T, retryAfterMs }
  const isJson = /[/+]json\b/i.test(headers.get('content-type') ?? '')
  // Read even when it is of no use: an unread body keeps the connection.
  const text = await response.text()
  if (response.ok && isJson) return { status, headers, body: JSON.parse(text) as T, retryAfterMs }
  throw refusal(response, isJson ? text : '', retryAfterMs)
}

/** What a response that is no success says, with its body read. */
export async function refusalOf(response: Response, clock: ClientClock): Promise<UntildoneApiError> {
  const isJson = /[/+]json\b/i.test(response.headers.get('content-type') ?? '')
  const text = await response.text()
  return refusal(response, isJson ? text : '', retryAfterOf(response.headers.get('retry-after'), clock.now()))
}

function refusal({ status, headers }: Response, text: string, retryAfterMs: number | null): UntildoneApiError {
  const problem = parseProblem(text)
  return new UntildoneApiError(status, problem, {
    requestId: headers.get('request-id'),
    retryAfterMs: retryAfterMs ?? (typeof problem.retryAfterMs === 'number' ? problem.retryAfterMs : null),
    retryable: typeof problem.retryable === 'boolean' ? problem.retryable : mayPass(status),
  })
}

function repeatOf(call: Call): Repeat {
  return isStream(call.bytes) ? 'never' : (call.repeat ?? 'always')
}

function passes(error: unknown): boolean {
  return error instanceof UntildoneConnectionError || (error instanceof UntildoneApiError && !endsFollowing(error))
}

function isStream(bytes: Call['bytes']): bytes is ReadableStream<Uint8Array> {
  return typeof ReadableStream !== 'undefined' && bytes instanceof ReadableStream
}

function parseProblem(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {}
  } catch {
    return {}
  }
}

/** For answers that are not ours, typically of a proxy that could not reach the server. */
function mayPass(status: number): boolean {
  if (status === 408 || status === 425 || status === 429) return true
  return status >= 500 && status !== 501 && status !== 505
}
