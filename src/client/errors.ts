/**
 * The errors a caller of the client meets. Each has a `code` (a slug of the registry, or the job's own) and says what to
 * do. Must never hide what the server said: the whole problem document is kept.
 */
import type { WireError, WireJob, WireProblem } from '../core/wire.js'

/** The server answered, and the answer is no. */
export class UntildoneApiError extends Error {
  override readonly name = 'UntildoneApiError'
  /** Slug of the problem, for example `input-invalid`. `unexpected-answer` when it was no answer of an Untildone server. */
  readonly code: string
  /** HTTP status. */
  readonly status: number
  /** True when the same request may work later. The client has already repeated it as often as it may. */
  readonly retryable: boolean
  /** What to do about it, one sentence. */
  readonly fix: string
  readonly params: Record<string, unknown>
  /** Problems of single members, each with a JSON Pointer into the request. */
  readonly errors: { pointer: string; code: string; message: string }[]
  /** To quote when asking the operator; null when the server gave none. */
  readonly requestId: string | null
  /** How long the server asks to wait before a repeat, in milliseconds; null when it does not say. */
  readonly retryAfterMs: number | null
  /** The problem document as it came, with its extensions (`jobError` and so on). */
  readonly problem: Partial<WireProblem> & Record<string, unknown>

  constructor(
    status: number,
    problem: Partial<WireProblem> & Record<string, unknown>,
    more: { requestId: string | null; retryAfterMs: number | null; retryable: boolean },
  ) {
    super(problem.detail || problem.title || `The server answered with HTTP ${status}.`)
    this.code = problem.code ?? 'unexpected-answer'
    this.status = status
    this.retryable = more.retryable
    this.fix = problem.fix ?? 'Check that the address is that of an Untildone server, and what stands between.'
    this.params = problem.params ?? {}
    this.errors = problem.errors ?? []
    this.requestId = more.requestId
    this.retryAfterMs = more.retryAfterMs
    this.problem = problem
  }
}

/** No whole answer came: connection refused or cut, name not found, time limit. It may or may not have been done. */
export class UntildoneConnectionError extends Error {
  override readonly name = 'UntildoneConnectionError'
  readonly code = 'server-unreachable'
  readonly retryable = true
  readonly fix = 'Check that the server runs and that the address is right. Repeat with the same idempotency key.'
  readonly url: string

  constructor(url: string, cause: unknown) {
    super(`No answer from ${url} (${reasonOf(cause)}).`, { cause })
    this.url = url
  }
}

/** The job ended as `failed`: we have stopped trying. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError'
  /** The job's own code, for example `exhausted` or one of your `Permanent` codes. */
  readonly code: string
  readonly job: WireJob
  readonly error: WireError | null

  constructor(job: WireJob) {
    super(`Job ${job.id} (${job.type}) failed: ${job.error?.message ?? job.statusText}`)
    this.code = job.error?.code ?? 'failed'
    this.job = job
    this.error = job.error
  }
}

/** The job ended as `cancelled`: somebody decided that it should not happen. */
export class JobCancelledError extends Error {
  override readonly name = 'JobCancelledError'
  /** `cancelled-by-caller`, `cancelled-by-operator`, `approval-rejected`, … */
  readonly code: string
  readonly job: WireJob
  readonly error: WireError | null

  constructor(job: WireJob) {
    super(`Job ${job.id} (${job.type}) was cancelled: ${job.error?.message ?? job.statusText}`)
    this.code = job.error?.code ?? 'cancelled'
    this.job = job
    this.error = job.error
  }
}

/** The time you gave is over. The job is still being worked on; this is not a failure. */
export class WaitTimeoutError extends Error {
  override readonly name = 'WaitTimeoutError'
  readonly code = 'wait-timeout'
  readonly fix = 'Wait again with the id, or watch it; the job carries on.'
  readonly jobId: string
  /** The job as last seen. */
  readonly job: WireJob

  constructor(job: WireJob) {
    super(`Job ${job.id} (${job.type}) is still being worked on (${job.status}). This is not a failure.`)
    this.jobId = job.id
    this.job = job
  }
}

/** The innermost reason of a fetch that failed: "fetch failed" helps nobody. */
function reasonOf(cause: unknown): string {
  let deepest = cause
  for (let i = 0; i < 5; i++) {
    const inner: unknown =
      (deepest as { cause?: unknown } | null)?.cause ?? (deepest as AggregateError | null)?.errors?.[0]
    if (!inner) break
    deepest = inner
  }
  const { code, message } = (deepest ?? {}) as { code?: unknown; message?: unknown }
  if (typeof code === 'string') return code
  return typeof message === 'string' && message ? message : String(deepest)
}
