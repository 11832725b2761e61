/**
 * What a handler gives back, before it becomes a Response: status, plain headers, body. Plain because the Node adapter
 * writes plain headers and strings straight to the socket; a Headers object would cost a copy per request.
 */
import type { WireApprovalItem, WireJob } from '../core/index.js'

export interface Reply {
  status: number
  headers: Record<string, string>
  body: string | Uint8Array | ReadableStream<Uint8Array> | null
}

const JSON_TYPE = 'application/json'
export const NO_STORE = 'no-store'
export const PRIVATE = 'private, no-cache'

/** A JSON answer. Not stored by caches unless `headers` say otherwise. */
export function json(value: unknown, status = 200, headers?: Record<string, string>): Reply {
  return {
    status,
    headers: { 'Content-Type': JSON_TYPE, 'Cache-Control': NO_STORE, ...headers },
    body: JSON.stringify(value),
  }
}

/** A JSON answer whose text is ready. */
export function jsonText(text: string, status: number, headers: Record<string, string>): Reply {
  return { status, headers: { 'Content-Type': JSON_TYPE, ...headers }, body: text }
}

export function empty(status: number, headers: Record<string, string> = {}): Reply {
  return { status, headers, body: null }
}

/** The job with its links under the mount prefix; the engine does not know where it is mounted. */
export function underBase(job: WireJob, base: string): WireJob {
  if (base === '') return job
  const { self, result, stream, history } = job.links
  const links = { self: base + self, result: base + result, stream: base + stream, history: base + history }
  const blockedOn = job.blockedOn.map((on) => (on.href?.startsWith('/') ? { ...on, href: base + on.href } : on))
  const { approvals } = job
  return { ...job, blockedOn, links, ...(approvals ? { approvals: approvals.map((item) => under(item, base)) } : {}) }
}

export function under<T extends WireApprovalItem>(item: T, base: string): T {
  if (base === '') return item
  const { self, decision, job } = item.links
  return { ...item, links: { self: base + self, decision: base + decision, job: base + job } }
}

/** Milliseconds as the seconds of a Retry-After header: rounded up, at least 1. */
export function retryAfter(ms: number): string {
  return String(Math.max(1, Math.ceil(ms / 1000)))
}

/**
 * The headers of a job that is still under way or done: its entity tag and when to ask again. The include set is part of
 * the tag, because it changes the bytes.
 */
export function jobHeaders(job: WireJob, include?: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = { ETag: etagOf(job.revision, include), 'Cache-Control': PRIVATE, Vary: VARY }
  if (job.pollAfterMs !== null) headers['Retry-After'] = retryAfter(job.pollAfterMs)
  return headers
}

const VARY = 'Authorization, Accept'

export function etagOf(revision: number, include: readonly string[] = []): string {
  return include.length === 0 ? `"${revision}"` : `"${revision}-${[...new Set(include)].sort().join('.')}"`
}
