/**
 * Opening an event stream, and when to open the next one; shared by all that follows over server-sent events. Knows
 * statuses and pauses, not frames. Must never take the end of a stream for the end of a job.
 */
import { type ClientClock, LATE, within } from './clock.js'
import { type UntildoneApiError, UntildoneConnectionError } from './errors.js'
import { endsFollowing, retryAfterOf } from './retry.js'
import { type Query, refusalOf, type Transport } from './transport.js'

/** One heartbeat every 15 s: three missed ones mean that the line is cut. */
export const SILENCE_MS = 45_000

const OPEN_MS = 15_000
const FIRST_MS = 500
const LONGEST_MS = 15_000
const NOT_SUPPORTED_MS = 10 * 60_000
/** A stream that lasted less has not shown that streams work here. */
const LIVED_MS = 10_000

export type Opening =
  | { kind: 'open'; body: ReadableStream<Uint8Array>; serverTime: number | null }
  /** 204: nothing followed. */
  | { kind: 'nothing' }
  /** 401, 403, 404, 410: what it means is for the resource to say. */
  | { kind: 'refused'; error: UntildoneApiError }
  /** Something here does not know streams. */
  | { kind: 'unsupported' }
  | { kind: 'trouble'; retryAfterMs: number | null }

export interface StreamRequest {
  path: string
  query?: Query
  lastEventId: string | null
  signal: AbortSignal
}

/** @throws the abort reason, and what a giver of tickets throws that has never given one */
export async function openStream(transport: Transport, request: StreamRequest): Promise<Opening> {
  const { clock, tickets } = transport
  const { path, lastEventId, signal } = request
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (lastEventId !== null) headers['last-event-id'] = lastEventId
  try {
    const query = tickets ? { ...request.query, ticket: await tickets.get() } : request.query
    const response = await transport.open({ path, query, headers, signal, timeoutMs: OPEN_MS })
    const { status } = response
    const isStream = /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')
    if (status === 200 && isStream && response.body) {
      tickets?.taken()
      const serverTime = Date.parse(response.headers.get('date') ?? '')
      return { kind: 'open', body: response.body, serverTime: Number.isNaN(serverTime) ? null : serverTime }
    }
    if (status === 401 || status === 403 || status === 404 || status === 410) {
      const error = await within(clock, OPEN_MS, refusalOf(response, clock))
      if (error !== LATE && endsFollowing(error)) return { kind: 'refused', error }
      return { kind: 'trouble', retryAfterMs: null }
    }
    response.body?.cancel().catch(() => {})
    if (status === 204) return { kind: 'nothing' }
    if (status === 200 || status === 405 || status === 406 || status === 501) return { kind: 'unsupported' }
    return { kind: 'trouble', retryAfterMs: retryAfterOf(response.headers.get('retry-after'), clock.now()) }
  } catch (error) {
    if (signal.aborted) throw signal.reason
    // A giver of tickets that has never worked will not begin to; everything else passes.
    if (tickets && !tickets.worked && !(error instanceof UntildoneConnectionError)) throw error
    return { kind: 'trouble', retryAfterMs: null }
  }
}

/** When to open the next stream: 0.5 s doubling to 15 s with jitter, never under Retry-After. */
export class StreamPace {
  /** Not before this instant. */
  private at = 0
  /** Failures in a row. */
  troubles = 0

  constructor(private readonly clock: ClientClock) {}

  get leftMs(): number {
    return Math.max(0, this.at - this.clock.now())
  }

  /** No stream from now on. */
  never(): void {
    this.at = Infinity
  }

  get isNever(): boolean {
    return this.at === Infinity
  }

  unsupported(): void {
    this.wait(NOT_SUPPORTED_MS)
  }

  /** A stream that was open since `openedAt` is not any more, whoever ended it. */
  ended(openedAt: number): void {
    if (this.clock.now() - openedAt >= LIVED_MS) this.troubles = 0
    this.trouble()
  }

  trouble(retryAfterMs: number | null = null): void {
    this.troubles++
    const own = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.troubles - 1, 20))
    this.wait(own, retryAfterMs ?? 0)
  }

  /** Those who were sent away together must not come back together. */
  private wait(ms: number, leastMs = 0): void {
    const jitter = this.clock.random()
    this.at = this.clock.now() + Math.max(ms * (0.5 + jitter), leastMs * (1 + 0.2 * jitter))
  }
}
