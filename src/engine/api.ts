/**
 * What the engine offers to server, CLI and embedding programs: the use cases over one store, in the words of the wire.
 * Types only. Every method checks the caller's rights and throws UntildoneError with a code of the registry.
 */
import type { ApprovalState, DecisionKind } from '../core/approval.js'
import type { DecisionInput } from '../core/approval-input.js'
import type { Clock } from '../core/clock.js'
import type { UntildoneError } from '../core/errors.js'
import type { Actor, Origin, Person, Status } from '../core/job.js'
import type { Json } from '../core/json.js'
import type { Risk } from '../core/risk.js'
import type { Notify } from '../core/told.js'
import type {
  WireApiKey,
  WireAttempt,
  WireEvent,
  WireFile,
  WireGate,
  WireGroup,
  WireHistoryEntry,
  WireJob,
  WireJobType,
  WireLog,
  WireQueue,
  WireStep,
  WireWorker,
} from '../core/wire.js'
import type { WireApproval, WireApprovalItem } from '../core/wire-approval.js'
import type { Voice, WireStory } from '../core/wire-story.js'
import type { WireTypeStory } from '../core/wire-type-story.js'
import type { OpenFile } from '../define/context.js'
import { ON_DUPLICATE, type OnDuplicate } from '../define/limits.js'
import type { Change, StoreInfo } from '../stores/store.js'
import type { OperatorUses } from './operator-api.js'
import type { ScheduleUses } from './schedule-api.js'
import type { TeachingUses } from './teaching-api.js'
import type { WebhookUses } from './webhook-api.js'

export { ON_DUPLICATE }

export const SCOPES = [
  'jobs:submit',
  'jobs:read',
  'jobs:signal',
  'jobs:operate',
  'jobs:override',
  'approvals:read',
  'approvals:decide',
  'webhooks:manage',
  'admin',
] as const
export type Scope = (typeof SCOPES)[number]

/** Who asks. Made by the server's authentication, or `LOCAL` when embedded. `admin` holds every scope. */
export interface Caller {
  tenant: string
  actor: Actor
  scopes: readonly Scope[]
  /** Job types this key may use (`ocr.*` allowed); null = all. */
  types: readonly string[] | null
  /** The person behind the credential; absent: the actor stands for itself. Null: nobody who could ask for an approval. */
  person?: Person | null
  groups?: readonly string[]
  /** Highest risk it may approve; absent: any. */
  maxRisk?: string | null
  requestId?: string
}

/** The submit body after the envelope check. */
export interface SubmitBody {
  type: string
  input: Json
  groupId?: string | null
  operationKey?: string | null
  priority?: number
  runAt?: string | null
  deadlineAt?: string | null
  tags?: string[]
  metadata?: Record<string, string>
  /** The person it is done for, and what they are allowed now. */
  onBehalfOf?: Person | null
  permissions?: string[]
  /** What becomes of a duplicate; only for types with `unique`. Absent: as the type says. */
  onDuplicate?: OnDuplicate | null
  /** Version of the definition that the caller was built against; older input is upgraded by the type. */
  typeVersion?: string | null
  /** Who is told of it besides the webhooks of the tenant. */
  notify?: Notify[]
  /** W3C trace context; the server takes it from the header. */
  traceparent?: string | null
}

export interface SubmitAnswer {
  job: WireJob
  /** The key was used before with the same content: this is that job, as it is now. */
  replayed: boolean
  /** Nothing was stored: this job, of the same unique name, was there before. */
  duplicateOf: string | null
}

export interface BatchAnswer {
  items: WireJob[]
  replayed: boolean
  /** Places of items that were there before, as duplicates. */
  duplicates: number[]
}

export type Include = 'input' | 'ops' | 'steps' | 'approvals'

/** Query of GET /v1/jobs after parsing; instants in milliseconds. */
export interface ListQuery {
  /** Only these jobs. */
  id?: string[]
  status?: Status[]
  /** Exact names or prefixes that end in `*`. */
  type?: string[]
  groupId?: string
  operationKey?: string
  parentId?: string
  tag?: string
  /** Id of the schedule that made them. */
  schedule?: string
  createdAfter?: number
  createdBefore?: number
  updatedAfter?: number
  late?: boolean
  needsAttention?: boolean
  /** With an attempt that failed for this origin. */
  origin?: Origin
  /** With a decision by this model (and version), or with this tool. */
  model?: string
  modelVersion?: string
  tool?: string
  /** @default '-createdAt' */
  order?: 'createdAt' | '-createdAt' | '-updatedAt' | '-finishedAt'
  /** 1–200, larger is 200. @default 50 */
  limit?: number
  cursor?: string
  include?: Include[]
}

/** Query of GET /v1/approvals after parsing. */
export interface ApprovalQuery {
  state?: ApprovalState[]
  risk?: Risk[]
  /** Exact names or prefixes that end in `*`. */
  type?: string[]
  gate?: string
  jobId?: string
  /** `me`: what my groups are asked, of tiers that I may decide. */
  assignee?: 'me'
  /** @default 'dueAt' */
  order?: 'dueAt' | '-requestedAt'
  /** 1–200, larger is 200. @default 50 */
  limit?: number
  cursor?: string
}

/** Several requests of one shape and of low risk, decided at once. */
export interface BatchDecision {
  ids: readonly string[]
  /** Digests of those that were looked at; at least one. */
  opened?: readonly string[]
  decision: DecisionKind
  reason?: string | null
}
export type DecidedOne =
  | { id: string; approval: WireApproval; error: null }
  | { id: string; approval: null; error: UntildoneError }

export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

export interface WaitOptions {
  /** At most so long; the answer is then the job as it is. */
  timeoutMs: number
  /** `change`: revision differs from `revision`. `done`: final. `attention`: final or blocked. */
  until: 'change' | 'done' | 'attention'
  revision?: number
  signal?: AbortSignal
}

/** What one reading of a job says to all who stream it. */
export interface JobReading {
  /** As it is now; without its result. */
  job: WireJob
  /** In order; `operators`: only callers with jobs:operate are told. */
  events: { event: WireEvent; operators: boolean }[]
}

/** What every action on a job may carry. */
export interface ActionRequest {
  reason?: string | null
  /** Refuse with `version-mismatch` unless the job is at this version. */
  ifVersion?: number
  /** Idempotency key: a repeat within a day changes nothing and answers the job as it is. */
  key?: string | null
}

export interface KeyRequest {
  name: string
  scopes: Scope[]
  types?: string[] | null
  /** Whose key it is; two-person rules compare persons, never keys. @default the key stands for itself */
  person?: Person | null
  /** Groups of that person, for approvals that need one of them. */
  groups?: string[] | null
  /** Highest risk it may approve. @default any */
  maxRisk?: 'low' | 'medium' | 'high' | null
  expiresAt?: string | null
}

export interface CancelRequest extends ActionRequest {
  /** How a running job is stopped. @default 'graceful' */
  mode?: 'graceful' | 'force'
  /** False: what its steps did stays as it is; operators only. @default true: steps with an undo are undone first */
  compensate?: boolean
}

export interface Engine extends OperatorUses {
  readonly clock: Clock
  readonly store: StoreInfo

  submit(caller: Caller, body: SubmitBody, key: string | null): Promise<SubmitAnswer>
  /** All or nothing; field errors have pointers under /items/<n>. */
  submitBatch(
    caller: Caller,
    items: { body: SubmitBody; key: string | null }[],
    key: string | null,
  ): Promise<BatchAnswer>
  /** All checks of a submit, nothing stored. */
  validate(
    caller: Caller,
    body: SubmitBody,
    key: string | null,
  ): Promise<{
    valid: true
    type: string
    gates: WireGate[]
    estimates: { p50Ms: number | null; p95Ms: number | null }
  }>
  /** How the server should answer a submit of this type when the client sends no Prefer. */
  completionOf(type: string): WireJobType['completion']

  get(caller: Caller, id: string, include?: readonly Include[]): Promise<WireJob>
  /** Registers, reads, then sleeps: no change between read and sleep is missed. */
  wait(caller: Caller, id: string, options: WaitOptions, include?: readonly Include[]): Promise<WireJob>
  /** @throws result-not-ready, job-failed, job-cancelled, result-expired */
  result(caller: Caller, id: string): Promise<{ json: string; sha256: string; bytes: number }>
  list(caller: Caller, query: ListQuery): Promise<Page<WireJob>>
  group(caller: Caller, groupId: string): Promise<WireGroup>

  /** `pending: false`: it is cancelled (200). Else the worker was asked to stop (202); the job says how it ended if it already has. */
  cancel(caller: Caller, id: string, request: CancelRequest): Promise<{ job: WireJob; pending: boolean }>
  retry(caller: Caller, id: string, request: ActionRequest & { resetAttempts?: boolean }): Promise<WireJob>

  history(caller: Caller, id: string, page: { cursor?: string; limit?: number }): Promise<Page<WireHistoryEntry>>
  attempts(caller: Caller, id: string): Promise<WireAttempt[]>
  steps(caller: Caller, id: string): Promise<WireStep[]>
  logs(caller: Caller, id: string, page: { cursor?: string; limit?: number }): Promise<Page<WireLog>>
  /**
   * What happened, why, what happens next, who must act. `support` needs jobs:read, `operator` jobs:operate.
   * @param voice @default the one that hears most of those this caller may hear
   */
  story(caller: Caller, id: string, voice?: Voice): Promise<WireStory>
  /** Events of one job after a cursor (an event id, or null for the beginning). An unknown cursor gives `reset: true`. */
  events(
    caller: Caller,
    id: string,
    after: string | null,
    limit: number,
  ): Promise<{ items: WireEvent[]; nextCursor: string | null; reset: boolean }>
  /**
   * Events of one job with after < version <= upTo, at most 200, and the job. Asks for no rights, so that many readers
   * share one reading: whoever passes it on asks `maySee` for each of them. Null when there is no such job any more.
   */
  happened(tenant: string, id: string, after: number, upTo: number): Promise<JobReading | null>
  /**
   * Told after each commit. Of other processes, what only readers need to hear comes while somebody reads (`watch`, `follow`).
   * Hints only: read the job before believing anything. Returns the function that ends it.
   */
  onChange(listener: (changes: readonly Change[]) => void): () => void
  /** Somebody waits for changes of this job, which other processes may make; returns the function that ends it. */
  watch(jobId: string): () => void
  /** Somebody follows changes of many jobs, which other processes may make; returns the function that ends it. */
  follow(): () => void
  /** Called when changes may have been missed. */
  onGap(listener: () => void): () => void

  readonly approvals: {
    list(caller: Caller, query: ApprovalQuery): Promise<Page<WireApprovalItem>>
    /** @throws not-found */
    get(caller: Caller, id: string): Promise<WireApproval>
    /**
     * One decision in one transaction; of several at once only those count that the state then allows.
     * @throws approval-already-decided, approval-expired, evidence-changed, precondition-required,
     * self-approval-forbidden, risk-above-limit, forbidden, validation-failed
     */
    decide(caller: Caller, id: string, input: DecisionInput): Promise<WireApproval>
    /** All may be decided together, or none is; then each on its own. */
    decideMany(caller: Caller, batch: BatchDecision): Promise<DecidedOne[]>
  }

  types(caller: Caller): Promise<WireJobType[]>
  /** @throws not-found */
  type(caller: Caller, name: string): Promise<WireJobType>
  /**
   * From intake to visible end, told from the declaration and from a job that ran: `from`, or the latest that completed.
   * @throws not-found, job-not-found; forbidden when `from` is given without jobs:read
   */
  typeStory(caller: Caller, name: string, from?: string): Promise<WireTypeStory>
  /** From now on none of its jobs of this tenant is started; they are still accepted. @throws not-found */
  pauseType(caller: Caller, name: string, request: ActionRequest): Promise<WireJobType>
  resumeType(caller: Caller, name: string, request: ActionRequest): Promise<WireJobType>
  queues(caller: Caller): Promise<WireQueue[]>
  /** The same for all types of a queue. @throws not-found */
  pauseQueue(caller: Caller, name: string, request: ActionRequest): Promise<WireQueue>
  resumeQueue(caller: Caller, name: string, request: ActionRequest): Promise<WireQueue>
  /** Workers of all processes that share the store; the longest there first. @param all those that have ended, too */
  workers(caller: Caller, all: boolean): Promise<WireWorker[]>
  /** It takes no more jobs from its next heartbeat on; running ones stop at their next step. Twice is once. @throws not-found */
  drainWorker(caller: Caller, id: string, request: ActionRequest): Promise<WireWorker>

  /** Streams to disk, hashes, syncs, then stores the row. @throws payload-too-large; nothing is left behind then */
  addFile(
    caller: Caller,
    source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
    meta: { contentType: string; name: string | null; maxBytes: number },
  ): Promise<WireFile>
  openFile(caller: Caller, id: string): Promise<{ meta: WireFile; file: OpenFile }>

  readonly schedules: ScheduleUses
  readonly webhooks: WebhookUses
  /** Errors that the code says nothing of, and what people teach about them. */
  readonly teaching: TeachingUses

  createKey(caller: Caller, request: KeyRequest): Promise<WireApiKey>
  listKeys(caller: Caller): Promise<WireApiKey[]>
  getKey(caller: Caller, id: string): Promise<WireApiKey>
  /** A new key with the same rights; the old one works for `overlapMs` more. */
  rotateKey(caller: Caller, id: string, overlapMs: number): Promise<WireApiKey>
  revokeKey(caller: Caller, id: string, reason: string | null): Promise<void>
  /** The caller of a bearer key, or null when it is unknown, expired or revoked. Compared in constant time. */
  authenticate(key: string): Promise<Caller | null>
  /** What the key of this id may do now, for tickets and connections that stay open; null when it is expired or revoked. */
  standing(keyId: string): Promise<{ caller: Caller; expiresAt: number | null } | null>
  /** A text that says nothing to its holder and can be opened only here, for the same `belongs`; lasts over restarts. */
  seal(purpose: 'stream' | 'ticket', value: unknown, belongs: unknown): string
  /** What was sealed, or null: it was changed, or sealed for something else. */
  unseal<T>(purpose: 'stream' | 'ticket', text: string, belongs: unknown): T | null
  /** True for whoever asks first with this name, in all processes that share the store and within a day. */
  first(name: string): Promise<boolean>
  /** True once any key exists: from then on every request needs one. */
  keysExist(): Promise<boolean>

  /** For GET /readyz. Never throws. */
  health(): Promise<{ status: 'ready' | 'degraded' | 'down'; checks: Record<string, string> }>
  /** For `doctor`: numbers of the store and the workers. */
  check(caller: Caller): Promise<Record<string, string | number>>
}

/** The caller of an embedding program: its own tenant, all rights. */
export const LOCAL: Caller = {
  tenant: 'default',
  actor: { kind: 'system', id: 'local', name: 'this process' },
  scopes: ['admin'],
  types: null,
}
