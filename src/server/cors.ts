/**
 * CORS: off unless origins are configured, then only for those, one by one. Never answers with `*`.
 */
import type { Settings } from './options.js'
import { empty, type Reply } from './reply.js'

const ALLOWED_HEADERS =
  'Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Match, Prefer, Last-Event-ID, traceparent, Request-Id, Content-Disposition, Range'
const EXPOSED_HEADERS =
  'Location, Content-Location, Retry-After, ETag, Idempotent-Replayed, Duplicate-Of, Preference-Applied, Link, Request-Id, Untildone-Version, RateLimit, RateLimit-Policy, Deprecation, Sunset, Content-Disposition, Content-Range'

/** Adds what a page of a configured origin needs in order to read the answer. */
export function corsHeaders(settings: Settings, request: Request, headers: Record<string, string>): void {
  const origin = request.headers.get('origin')
  headers.Vary = headers.Vary === undefined ? 'Origin' : `${headers.Vary}, Origin`
  if (origin === null || !settings.origins.has(origin)) return
  headers['Access-Control-Allow-Origin'] = origin
  headers['Access-Control-Expose-Headers'] = EXPOSED_HEADERS
  headers['Cross-Origin-Resource-Policy'] = 'cross-origin'
  if (settings.credentials) headers['Access-Control-Allow-Credentials'] = 'true'
}

/** The answer to OPTIONS: which methods the address takes, and for a configured origin that it may use them. */
export function preflight(settings: Settings, request: Request, allowed: readonly string[]): Reply {
  const allow = allowed.join(', ')
  const headers: Record<string, string> = { Allow: allow }
  const origin = request.headers.get('origin')
  if (origin !== null && settings.origins.has(origin) && request.headers.has('access-control-request-method')) {
    headers['Access-Control-Allow-Methods'] = allow
    headers['Access-Control-Allow-Headers'] = ALLOWED_HEADERS
    headers['Access-Control-Max-Age'] = '600'
  }
  return empty(204, headers)
}
