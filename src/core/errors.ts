/** The error that we throw. Which there are, with their sentences and fixes, is in problems.ts. */
import { type ErrorCode, PROBLEMS } from './problems.js'

const BRAND = Symbol.for('untildone.error')

/**
 * The error that we throw: `code` says which, `message` what happened, `fix` what to do. Recognise it by
 * isUntildoneError or `code`, not by instanceof: two copies of the package may be loaded.
 */
export class UntildoneError extends Error {
  readonly [BRAND] = true
  override readonly name = 'UntildoneError'
  readonly code: ErrorCode
  readonly fix: string
  readonly params: Record<string, unknown>
  /** Problems of single members, each with a JSON Pointer. */
  readonly errors: FieldError[]
  readonly retryAfterMs: number | null

  constructor(
    code: ErrorCode,
    message?: string,
    more: {
      fix?: string
      params?: Record<string, unknown>
      errors?: FieldError[]
      retryAfterMs?: number
      cause?: unknown
    } = {},
  ) {
    super(message ?? PROBLEMS[code].title, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.fix = more.fix ?? PROBLEMS[code].fix
    this.params = more.params ?? {}
    this.errors = more.errors ?? []
    this.retryAfterMs = more.retryAfterMs ?? null
  }
}

export interface FieldError {
  /** JSON Pointer (RFC 6901) into the request body. */
  pointer: string
  code: string
  message: string
}

export function isUntildoneError(error: unknown): error is UntildoneError {
  return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[BRAND] === true
}
