/**
 * What operators do, over HTTP: pause, answer, replay, undo, override, resolve, signal, in bulk, and the audit trail. Each
 * call is sent with a key of its own (or yours), so that a lost answer is asked for again and nothing is done twice.
 */
import type { FinalState, Status } from '../core/job.js'
import type { Answer } from '../core/question.js'
import type { WireJob } from '../core/wire.js'
import type {
  BulkAction,
  WireAuditCheck,
  WireAuditEntry,
  WireBulkPlan,
  WireDecision,
  WireGroupCancel,
  WireReplay,
  WireReplayPlan,
} from '../core/wire-operate.js'
import { keyHeader, newKey } from './key.js'
import type { CallOptions, Instant, ListOptions } from './options.js'
import { type Page, type Paged, paged } from './paged.js'
import type { Call } from './transport.js'

export interface ActOptions extends CallOptions {
  /** Kept in the history and in the audit trail. */
  reason?: string
  /** Refuse (`version-mismatch`) unless the job still has this version. */
  ifVersion?: number
  /** Idempotency key: a repeat with the same one within a day changes nothing. @default a new UUID */
  key?: string
}
type Reasoned = ActOptions & { reason: string }

export interface AnswerOptions extends Reasoned {
  /** The step that is asked about; needed for every answer but `stop`. */
  step?: string
  answer: Answer
  /** With `happened`: the value that the step would have given. */
  result?: unknown
}

export interface ReplayOptions extends Omit<Reasoned, 'ifVersion'> {
  /** Begin here and take over what was recorded before. @default from the start, taking over nothing */
  fromStep?: string
  /** False takes over nothing. @default true */
  reuseSteps?: boolean
  /** @default the input of the job */
  input?: unknown
  /** Effects get new keys, so that what happened before happens again. @default false */
  newEffects?: { reason: string } | false
}

export interface CompensateOptions extends CallOptions {
  reason: string
  /** Only these of the steps that are `due`. @default all of them */
  steps?: readonly string[]
}

export interface OverrideOptions extends Reasoned {
  status: FinalState
  /** With `completed`; must fit the type. */
  result?: unknown
  /** With `failed` or `cancelled`. @default `overridden`, with the reason as its message */
  error?: { code?: string; message?: string }
  evidence?: readonly unknown[]
  /** The version that you saw. */
  ifVersion: number
}

export interface ResolveOptions extends Reasoned {
  kind: 'resolvedManually' | 'acceptedAsIs' | 'superseded' | 'compensated'
  evidence?: readonly unknown[]
}

export interface SignalOptions extends CallOptions {
  /** A repeat with the same id is the same signal. @default a new UUID */
  signalId?: string
}

export interface GroupCancelOptions extends Omit<ActOptions, 'ifVersion'> {
  /** `force`: children are killed now. @default 'graceful' */
  mode?: 'graceful' | 'force'
}

/** The filters of list(); at least one. */
export type BulkFilter = Omit<ListOptions, 'order' | 'limit' | 'cursor' | 'include' | 'signal'>

export interface BulkOptions extends CallOptions {
  action: BulkAction
  filter: BulkFilter
  reason: string
  /** Ids that are left out. */
  exclude?: readonly string[]
  /** At most so many jobs a minute. @default no limit */
  rate?: number
  /** How a `cancel` is done. @default 'graceful' */
  mode?: 'graceful' | 'force'
  /** What a `resolve` says. @default 'resolvedManually' */
  kind?: ResolveOptions['kind']
  key?: string
}

export interface AuditOptions extends CallOptions {
  /** `kind:id`, or an id of any kind. */
  actor?: string
  /** Exact, or a beginning that ends in `*`. */
  action?: string
  target?: string
  since?: Instant
  until?: Instant
  /** @default 'oldest' */
  order?: 'oldest' | 'newest'
  /** Entries per page, 1000 at most. @default 100 */
  limit?: number
  /** `seq` of the last entry you have. */
  after?: number
}

export interface OperatorCalls {
  /** A running job stops at its next step. @throws UntildoneApiError `job-already-done`, `invalid-transition` */
  pause(id: string, options?: ActOptions): Promise<WireJob>
  resume(id: string, options?: ActOptions): Promise<WireJob>
  /** Answers what a blocked job asks (`blockedOn[].question`). @throws UntildoneApiError `nothing-to-answer` */
  answer(id: string, options: AnswerOptions): Promise<WireJob>
  /**
   * Does a finished job once more, as a new job; `replay` says what it takes over and what it does again.
   * @throws UntildoneApiError `job-not-done`, `step-not-replayable`, `input-invalid`
   */
  replay(id: string, options: ReplayOptions): Promise<WireReplay>
  /** What replay() would do; nothing is stored. */
  planReplay(id: string, options: ReplayOptions): Promise<WireReplayPlan>
  /** Undoes what a finished job did, as a new job; asked again, it is the same one. @throws UntildoneApiError `nothing-to-compensate` */
  compensate(id: string, options: CompensateOptions): Promise<WireJob>
  /** Sets the end of an unfinished job by hand, for ever. @throws UntildoneApiError `version-mismatch`, `result-invalid` */
  override(id: string, options: OverrideOptions): Promise<WireJob>
  /** A note on a finished job; it needs no more attention. @throws UntildoneApiError `job-not-done` */
  resolve(id: string, options: ResolveOptions): Promise<WireJob>
  /** `delivered`: the job waited for it; else it is kept. @throws UntildoneApiError `unknown-signal`, `payload-invalid` */
  signal(id: string, name: string, payload?: unknown, options?: SignalOptions): Promise<{ delivered: boolean }>
  /** Every unfinished job of the group. @throws UntildoneApiError `not-found` */
  cancelGroup(id: string, options?: GroupCancelOptions): Promise<WireGroupCancel>
  /** The decision log of a job. */
  decisions(id: string, options?: CallOptions): Promise<WireDecision[]>
  /** One action on all jobs of a filter. The job that does it can be watched, and cancelled. */
  bulk(options: BulkOptions): Promise<WireJob>
  /** What bulk() would do; nothing is stored. */
  planBulk(options: BulkOptions): Promise<WireBulkPlan>
  readonly audit: {
    list(options?: AuditOptions): Paged<WireAuditEntry>
    /** Walks the whole chain. */
    verify(options?: CallOptions): Promise<WireAuditCheck>
  }
}

type Send = <T>(call: Call) => Promise<T>

export function operatorCalls(send: Send): OperatorCalls {
  const at = (id: string, rest: string) => `/v1/jobs/${encodeURIComponent(id)}${rest}`
  const act = <T>(path: string, { signal, key, ...json }: CallOptions & { key?: string }, query?: Call['query']) =>
    send<T>({ method: 'POST', path, json, query, headers: keyHeader(key ?? newKey()), signal })
  return {
    pause: (id, options = {}) => act(at(id, '/pause'), options),
    resume: (id, options = {}) => act(at(id, '/resume'), options),
    answer: (id, options) => act(at(id, '/answer'), options),
    replay: (id, options) => act(at(id, '/replay'), options),
    planReplay: (id, options) => act(at(id, '/replay'), options, { dryRun: true }),
    compensate: (id, options) => act(at(id, '/compensate'), options),
    override: (id, options) => act(at(id, '/override'), options),
    resolve: (id, options) => act(at(id, '/resolve'), options),
    signal: (id, name, payload = null, { signal, signalId = newKey() } = {}) =>
      send({
        method: 'POST',
        path: at(id, `/signals/${encodeURIComponent(name)}`),
        json: { payload, signalId },
        signal,
      }),
    cancelGroup: (id, options = {}) => act(`/v1/groups/${encodeURIComponent(id)}/cancel`, options),
    decisions: async (id, { signal } = {}) =>
      (await send<{ items: WireDecision[] }>({ path: at(id, '/decisions'), signal })).items,
    bulk: (options) => act('/v1/operations/bulk', bulkOf(options)),
    planBulk: (options) => act('/v1/operations/bulk', { ...bulkOf(options), dryRun: true } as CallOptions),
    audit: {
      list: ({ signal, after, ...filters } = {}) => {
        const query = { ...filters, since: instant(filters.since), until: instant(filters.until) }
        const load = (cursor?: string) =>
          send<Page<WireAuditEntry>>({ path: '/v1/audit', query: { ...query, after: cursor }, signal })
        return paged(load, after === undefined ? undefined : String(after))
      },
      verify: ({ signal } = {}) => send({ path: '/v1/audit', query: { verify: true }, signal }),
    },
  }
}

function bulkOf({ filter, ...rest }: BulkOptions) {
  const { status, type, group, createdAfter, createdBefore, updatedAfter, ...more } = filter
  const listed = <T extends string>(value: T | readonly T[] | undefined) =>
    value === undefined ? undefined : [value].flat()
  return {
    ...rest,
    filter: {
      ...more,
      status: listed<Status>(status),
      type: listed<string>(type),
      groupId: group,
      createdAfter: instant(createdAfter),
      createdBefore: instant(createdBefore),
      updatedAfter: instant(updatedAfter),
    },
  }
}

function instant(value: Instant | undefined): string | undefined {
  return value instanceof Date ? value.toISOString() : value
}
