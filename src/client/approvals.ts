/**
 * Approvals over HTTP: what `client.approvals` offers, and how each call is sent. A decision is harmless to send twice: the
 * same one again changes nothing, so it is repeated after a lost answer.
 */
import type { ApprovalState, DecisionKind } from '../core/approval.js'
import type { Json } from '../core/json.js'
import type { Risk } from '../core/risk.js'
import type { WireProblem } from '../core/wire.js'
import type { WireApproval, WireApprovalItem } from '../core/wire-approval.js'
import type { CallOptions } from './options.js'
import { type Page, type Paged, paged } from './paged.js'
import type { Call } from './transport.js'

export interface ListApprovalsOptions extends CallOptions {
  /** @default all */
  state?: ApprovalState | readonly ApprovalState[]
  risk?: Risk | readonly Risk[]
  /** Exact names, or prefixes that end in `*`. */
  type?: string | readonly string[]
  gate?: string
  jobId?: string
  /** `me`: what my groups are asked, of the tiers that I may decide. */
  assignee?: 'me'
  /** @default 'dueAt' */
  order?: 'dueAt' | '-requestedAt'
  /** Per page, 200 at most. @default 50 */
  limit?: number
  cursor?: string
}

export interface DecideOptions extends CallOptions {
  decision: DecisionKind
  /** Needed to reject, to ask for changes, and to approve at high risk. */
  reason?: string
  /** The `digest` of the card that was shown. Needed from medium risk upwards, and once the request has changed. */
  evidenceDigest?: string
  /** With `approve`: members of `data` as they should be, as far as the request allows. */
  data?: Record<string, Json>
  /** With `requestChanges`: the wishes one by one; `about` is a JSON Pointer into the request. */
  changes?: readonly { about?: string | null; text: string }[]
}

export interface DecideManyOptions extends CallOptions {
  decision: DecisionKind
  reason?: string
  /** Digests of those that were looked at; at least one. */
  opened?: readonly string[]
}

/** What became of one of several: decided, or why not. */
export type DecidedApproval =
  | { id: string; approval: WireApproval; problem: null }
  | { id: string; approval: null; problem: WireProblem }

export interface ApprovalCalls {
  /** What ends soonest first, without the parts that only a decision needs. */
  list(options?: ListApprovalsOptions): Paged<WireApprovalItem>
  /** The whole card. @throws UntildoneApiError `not-found` */
  get(id: string, options?: CallOptions): Promise<WireApproval>
  /**
   * One decision of the person behind the key. Of several at once only those count that the state then allows.
   * @throws UntildoneApiError `approval-already-decided`, `approval-expired`, `evidence-changed`, `precondition-required`,
   * `self-approval-forbidden`, `risk-above-limit`, `forbidden`, `validation-failed`
   */
  decide(id: string, options: DecideOptions): Promise<WireApproval>
  /** Several of one shape and of low risk. All may be decided together, or none is; then each has its own answer. */
  decideMany(ids: readonly string[], options: DecideManyOptions): Promise<DecidedApproval[]>
}

/** @param body sends a call and gives the body of its answer */
export function approvalCalls(body: <T>(call: Call) => Promise<T>): ApprovalCalls {
  const at = (id: string, rest = '') => `/v1/approvals/${encodeURIComponent(id)}${rest}`
  return {
    list: ({ signal, cursor, ...query } = {}) => {
      const load = (from?: string) =>
        body<Page<WireApprovalItem>>({ path: '/v1/approvals', query: { ...query, cursor: from }, signal })
      return paged(load, cursor)
    },
    get: (id, { signal } = {}) => body({ path: at(id), signal }),
    decide: (id, { signal, ...json }) => body({ method: 'POST', path: at(id, '/decision'), json, signal }),
    decideMany: async (ids, { signal, ...more }) => {
      const json = { ids, ...more }
      return (
        await body<{ items: DecidedApproval[] }>({ method: 'POST', path: '/v1/approvals/decisions', json, signal })
      ).items
    },
  }
}
