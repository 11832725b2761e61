/**
 * The use cases of operators, and those of the world around a job: answers, replays, compensation, overrides, signals,
 * callbacks, decisions, the audit trail, bulk operations. Types only; api.ts has the rest of the engine.
 */
import type { FinalState } from '../core/job.js'
import type { Json } from '../core/json.js'
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
import type { ActionRequest, Caller, ListQuery, Page } from './api.js'

export interface AnswerRequest extends ActionRequest {
  /** The step that is asked about; needed for every answer but `stop`. */
  step?: string
  answer: Answer
  /** With `happened`: what the step gives. */
  result?: Json
  reason: string
}

export interface ReplayRequest extends Omit<ActionRequest, 'ifVersion'> {
  /** Begin here: what was recorded before it is taken over. @default from the start, taking over nothing */
  fromStep?: string | null
  /** False: nothing is taken over, whatever `fromStep` says. @default true */
  reuseSteps?: boolean
  /** @default the input of the job */
  input?: Json
  reason: string
  /** Effects get new keys, so that what happened before happens again. @default false: effects are protected by their keys */
  newEffects?: { reason: string } | false
}

export interface CompensateRequest {
  reason: string
  /** Only these of the steps that are `due`. @default all of them */
  steps?: string[] | null
}

export interface OverrideRequest extends ActionRequest {
  status: FinalState
  /** With `completed`; must pass the output schema. */
  result?: Json
  /** With `failed` and `cancelled`. @default code `overridden`, and the reason as its message */
  error?: { code?: string; message?: string }
  /** At least 10 characters. */
  reason: string
  evidence?: Json[]
}

export const RESOLUTIONS = ['resolvedManually', 'acceptedAsIs', 'superseded', 'compensated'] as const
export interface ResolveRequest extends ActionRequest {
  kind: (typeof RESOLUTIONS)[number]
  reason: string
  evidence?: Json[]
}

export interface SignalRequest {
  payload: Json
  /** A repeat with the same id is the same signal. @default the idempotency key, else a new id */
  signalId?: string
  key?: string | null
}

export type CallbackBody =
  | { outcome: 'completed'; payload?: Json }
  | { outcome: 'failed'; error: { code: string; message: string } }

/** Query of GET /v1/audit; instants in milliseconds. */
export interface AuditQuery {
  /** `kind:id`, or an id of any kind. */
  actor?: string
  /** Exact, or a prefix that ends in `*`. */
  action?: string
  target?: string
  since?: number
  until?: number
  /** @default 'oldest' first, as they are chained */
  order?: 'oldest' | 'newest'
  /** 1–1000, larger is 1000. @default 100 */
  limit?: number
  /** The `seq` to go on from. */
  after?: number
}

export const BULK_ACTIONS = ['retry', 'cancel', 'replay', 'resolve', 'pause', 'resume'] as const satisfies BulkAction[]

export interface BulkRequest {
  action: BulkAction
  /** Which jobs; as in the list of jobs. Jobs made after this request are never among them. */
  filter: Omit<ListQuery, 'order' | 'limit' | 'cursor' | 'include'>
  reason: string
  /** Ids that are left out. */
  exclude?: string[]
  /** At most so many jobs a minute. @default no limit */
  rate?: number
  /** How a `cancel` is done. @default 'graceful' */
  mode?: 'graceful' | 'force'
  /** What a `resolve` says. @default 'resolvedManually' */
  kind?: ResolveRequest['kind']
}

export interface OperatorUses {
  /** Pausing a running job takes effect at its next step. */
  pause(caller: Caller, id: string, request: ActionRequest): Promise<WireJob>
  resume(caller: Caller, id: string, request: ActionRequest): Promise<WireJob>
  /** @throws nothing-to-answer when the job does not ask that */
  answer(caller: Caller, id: string, request: AnswerRequest): Promise<WireJob>

  /** A new job from a finished one. @throws job-not-done, step-not-replayable, input-invalid */
  replay(caller: Caller, id: string, request: ReplayRequest): Promise<{ job: WireReplay; replayed: boolean }>
  /** What `replay` would do; nothing is stored. */
  planReplay(caller: Caller, id: string, request: ReplayRequest): Promise<WireReplayPlan>
  /** A new job that undoes what a finished one did; asked again, it is the same one. @throws job-not-done, nothing-to-compensate */
  compensate(caller: Caller, id: string, request: CompensateRequest): Promise<{ job: WireJob; replayed: boolean }>

  /** Sets the end of an unfinished job by hand; `ifVersion` is needed. @throws precondition-required, result-invalid */
  override(caller: Caller, id: string, request: OverrideRequest): Promise<WireJob>
  /** A note on a finished job; it needs no more attention. @throws job-not-done */
  resolve(caller: Caller, id: string, request: ResolveRequest): Promise<WireJob>

  /** `delivered`: a wait has taken it; else it is kept until the job waits for it. @throws unknown-signal, payload-invalid, quota-exceeded */
  signal(caller: Caller, id: string, name: string, request: SignalRequest): Promise<{ delivered: boolean }>
  /** Whoever has the token, may. @throws callback-not-found, callback-already-used, callback-expired */
  answerCallback(token: string, body: CallbackBody): Promise<void>

  cancelGroup(
    caller: Caller,
    groupId: string,
    request: Omit<ActionRequest, 'ifVersion'> & { mode?: 'graceful' | 'force' },
  ): Promise<WireGroupCancel>
  /** The decision log of a job. */
  decisions(caller: Caller, id: string): Promise<WireDecision[]>

  audit(caller: Caller, query: AuditQuery): Promise<Page<WireAuditEntry>>
  /** Walks the whole chain. */
  verifyAudit(caller: Caller): Promise<WireAuditCheck>

  /** An operation on all jobs of a filter; itself a job, which can be watched and cancelled. */
  bulk(caller: Caller, request: BulkRequest, key: string | null): Promise<{ job: WireJob; replayed: boolean }>
  /** What `bulk` would do; nothing is stored. */
  planBulk(caller: Caller, request: BulkRequest): Promise<WireBulkPlan>
}
