/**
 * From an error to an RFC 9457 answer. Our own errors say what they are; everything else is `internal`, and nothing of
 * it leaves the process: the text goes to `onError` only.
 */
import { type ErrorCode, isUntildoneError, PROBLEMS, UntildoneError, type WireProblem } from '../core/index.js'
import { type Reply, retryAfter } from './reply.js'

export interface About {
  requestId: string
  base: string
  /** Uniform in [0, 1). */
  random: () => number
}

/** The error as one of ours: what is unknown, or a mistake of the server itself, becomes a bare `internal`. */
export function asUntildone(error: unknown): UntildoneError {
  if (isUntildoneError(error) && error.code in PROBLEMS && PROBLEMS[error.code].status !== 500) return error
  return new UntildoneError('internal')
}

/** Milliseconds to wait before a repeat, when the error does not say: spread out, so that callers do not come at once. */
function defaultRetryMs(code: ErrorCode, random: () => number): number {
  const status = PROBLEMS[code].status
  if (status === 503) return 1000 + Math.floor(random() * 3) * 1000
  return 1000
}

export function problemOf(error: UntildoneError, about: About): WireProblem {
  const entry = PROBLEMS[error.code]
  const retryable: boolean = entry.retryable
  return {
    type: `urn:untildone:problem:${error.code}`,
    title: entry.title,
    status: entry.status,
    detail: error.message,
    instance: `urn:untildone:request:${about.requestId}`,
    code: error.code,
    retryable,
    retryAfterMs: retryable ? (error.retryAfterMs ?? defaultRetryMs(error.code, about.random)) : null,
    fix: error.fix,
    docs: `${about.base}/problems/${error.code}`,
    errors: error.errors,
    params: error.params,
  }
}

/** The answer for an error. `extension` adds members that only one problem has, `headers` what only one answer needs. */
export function problemReply(
  error: UntildoneError,
  about: About,
  more: { extension?: Record<string, unknown>; headers?: Record<string, string>; status?: number } = {},
): Reply {
  const problem = problemOf(error, about)
  if (more.status !== undefined) problem.status = more.status
  const headers: Record<string, string> = {
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    ...more.headers,
  }
  if (problem.retryAfterMs !== null) headers['Retry-After'] = retryAfter(problem.retryAfterMs)
  if (problem.status === 405 && Array.isArray(error.params.allowed)) headers.Allow = error.params.allowed.join(', ')
  if (problem.status === 426) headers.Upgrade = 'websocket'
  if (problem.status === 401) {
    const offered = error.params.offered === true ? ', error="invalid_token"' : ''
    headers['WWW-Authenticate'] = `Bearer realm="untildone"${offered}`
  }
  return {
    status: problem.status,
    headers,
    body: JSON.stringify(more.extension ? { ...problem, ...more.extension } : problem),
  }
}
