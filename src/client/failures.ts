/** Failures and taught rules over HTTP: what `client.failures`, `client.rules` and `client.explainError` offer. */
import type { Verdict } from '../core/error-facts.js'
import type { WireExplainedError, WireFailure, WireRule, WireTeaching } from '../core/wire-failure.js'
import type { CallOptions } from './options.js'
import { type Page, type Paged, paged } from './paged.js'
import type { Call } from './transport.js'

export interface ListFailuresOptions extends CallOptions {
  /** A job type, or a beginning that ends in `*`. @default all */
  type?: string
  /** Seen at this instant or later. @default whenever */
  since?: Date | string
  /** Per page, 200 at most. @default 50 */
  limit?: number
  cursor?: string
}

/** What must hold for a rule; all that is given. */
export interface RuleConditions {
  /** Text that code, name, message or output contain; `/…/i` is a regular expression. @default any */
  match?: string
  code?: string
  /** HTTP status that the error carries. @default any */
  status?: number
  /** Exit code of a child program. @default any */
  exit?: number
  /** Signal that ended a child program. @default any */
  signal?: string
  /** Only errors of this engine; `versions` is a range like `5.3.x` or `>=5 <5.4`. @default any */
  engine?: { name: string; versions?: string | null }
}

export interface TeachOptions extends CallOptions {
  verdict: Verdict
  /** Kept with the rule and in the audit trail. */
  reason: string
  /** Without match, code, status, exit and signal the rule is for the fingerprint. @default just the fingerprint */
  when?: RuleConditions
  /** Store nothing, and see what it would match. @default false */
  dryRun?: boolean
}

/** An error as you have it. */
export interface GivenError {
  message: string
  name?: string
  code?: string
  status?: number
  exit?: number
  signal?: string
  /** Last lines of a child program. */
  output?: string
  engine?: { name: string; version?: string | null }
}

export interface FailureCalls {
  /** Seen latest first. */
  list(options?: ListFailuresOptions): Paged<WireFailure>
  /** @throws UntildoneApiError `not-found` */
  get(fingerprint: string, options?: CallOptions): Promise<WireFailure>
  /**
   * From now on errors like this one have this verdict. Without conditions of its own the rule is for this fingerprint;
   * with some it is for whatever they match. @throws UntildoneApiError `not-found`, `validation-failed`, `quota-exceeded`
   */
  teach(fingerprint: string, options: TeachOptions): Promise<WireTeaching>
}

export interface RuleCalls {
  /** In the order in which they are tried, the latest first. @param options.all those that were forgotten too */
  list(options?: CallOptions & { type?: string; all?: boolean }): Promise<WireRule[]>
  /** For an error that was not seen yet. */
  add(type: string, options: TeachOptions): Promise<WireTeaching>
  /** From now on it is not tried. @throws UntildoneApiError `not-found` */
  forget(id: number, options: CallOptions & { reason: string }): Promise<WireRule>
}

/** @param body sends a call and gives the body of its answer */
export function failureCalls(body: <T>(call: Call) => Promise<T>): {
  failures: FailureCalls
  rules: RuleCalls
  explainError(type: string, error: GivenError, options?: CallOptions): Promise<WireExplainedError>
} {
  const at = (fingerprint: string, rest = '') => `/v1/failures/${encodeURIComponent(fingerprint)}${rest}`
  // A rule that is taught twice is one rule, but two entries in the audit trail.
  const teach = (path: string, json: object, signal: AbortSignal | undefined) =>
    body<WireTeaching>({ method: 'POST', path, json, repeat: 'refused', signal })
  return {
    failures: {
      list: ({ signal, cursor, since, ...query } = {}) => {
        const from = since instanceof Date ? since.toISOString() : since
        const load = (next?: string) =>
          body<Page<WireFailure>>({ path: '/v1/failures', query: { ...query, since: from, cursor: next }, signal })
        return paged(load, cursor)
      },
      get: (fingerprint, { signal } = {}) => body({ path: at(fingerprint), signal }),
      teach: (fingerprint, { signal, when, ...json }) => teach(at(fingerprint, '/teach'), { ...json, ...when }, signal),
    },
    rules: {
      list: async ({ signal, ...query } = {}) =>
        (await body<{ items: WireRule[] }>({ path: '/v1/rules', query, signal })).items,
      add: (type, { signal, when, ...json }) => teach('/v1/rules', { type, ...json, ...when }, signal),
      forget: (id, { signal, reason }) =>
        body({ method: 'DELETE', path: `/v1/rules/${id}`, query: { reason }, signal }),
    },
    explainError: (type, error, { signal } = {}) =>
      body({ method: 'POST', path: '/v1/explain-error', json: { type, ...error }, signal }),
  }
}
