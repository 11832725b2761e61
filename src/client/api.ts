/**
 * The client as its users see it. Types only; every method throws UntildoneApiError when the server says no and
 * UntildoneConnectionError when no answer came, both after the repeats that are safe.
 */
import type { Duration } from '../core/duration.js'
import type { Actor } from '../core/job.js'
import type {
  WireApiKey,
  WireAttempt,
  WireFile,
  WireGroup,
  WireHistoryEntry,
  WireJob,
  WireJobType,
  WireLog,
  WireQueue,
  WireStep,
  WireWorker,
} from '../core/wire.js'
import type { WireExplainedError } from '../core/wire-failure.js'
import type { WireStory } from '../core/wire-story.js'
import type { WireTypeStory } from '../core/wire-type-story.js'
import type { AnySchema, InputOf, JobDefinition, OutputOf } from '../define/index.js'
import type { ApprovalCalls } from './approvals.js'
import type { FailureCalls, GivenError, RuleCalls } from './failures.js'
import type { JobHandle } from './handle.js'
import type { LiveCalls } from './live.js'
import type { OperatorCalls } from './operate.js'
import type {
  CallOptions,
  CancelOptions,
  KeyOptions,
  ListOptions,
  PageOptions,
  PauseOptions,
  ReadOptions,
  ResultOptions,
  RetryJobOptions,
  StoryOptions,
  SubmitOptions,
  UploadOptions,
  WatchOptions,
} from './options.js'
import type { Paged } from './paged.js'
import type { ScheduleCalls } from './schedules.js'
import type { WebhookCalls } from './webhooks.js'

/** GET /v1: what this server is and allows. Members may be added. */
export interface Root {
  version?: string
  limits?: Record<string, number>
  [member: string]: unknown
}

/** GET /v1/whoami. */
export interface WhoAmI {
  tenant: string
  actor: Actor
  scopes: string[]
}

export type Bytes = Blob | Uint8Array | ArrayBuffer | string | ReadableStream<Uint8Array>

export interface UntildoneClient extends OperatorCalls, LiveCalls {
  /**
   * Submits a job and resolves once it is stored durably. Always sends an idempotency key and repeats with the same one,
   * so a lost answer never makes a second job. Input and output are typed by the definition.
   * @throws UntildoneApiError `input-invalid`, `unknown-job-type`, `idempotency-key-reused`, …
   */
  submit<I extends AnySchema, O extends AnySchema>(
    job: JobDefinition<I, O>,
    input: InputOf<I>,
    options?: SubmitOptions,
  ): Promise<JobHandle<OutputOf<O>>>
  /** The same by name, without types. */
  submit<Output = unknown>(type: string, input: unknown, options?: SubmitOptions): Promise<JobHandle<Output>>

  /** @throws UntildoneApiError `job-not-found`, `job-expired` */
  get(id: string, options?: ReadOptions): Promise<WireJob>
  /** Waits for the end. @throws JobFailedError, JobCancelledError, WaitTimeoutError */
  result<Output = unknown>(id: string, options?: ResultOptions): Promise<Output>
  /** Snapshots until the job is done; survives lost connections and restarts of the server. */
  watch(id: string, options?: WatchOptions): AsyncIterable<WireJob>
  /** @throws UntildoneApiError `job-already-done` */
  cancel(id: string, options?: CancelOptions): Promise<WireJob>
  /** "Now, please": ends the pause before the next attempt, or a review. @throws UntildoneApiError `job-already-done` */
  retry(id: string, options?: RetryJobOptions): Promise<WireJob>
  /** Jobs without input and result, newest first. */
  list(options?: ListOptions): Paged<WireJob>
  /** Counts of a group. @throws UntildoneApiError `not-found` when no job ever named it */
  group(id: string, options?: CallOptions): Promise<WireGroup>

  history(id: string, options?: PageOptions): Paged<WireHistoryEntry>
  logs(id: string, options?: PageOptions): Paged<WireLog>
  attempts(id: string, options?: CallOptions): Promise<WireAttempt[]>
  steps(id: string, options?: CallOptions): Promise<WireStep[]>
  /** What happened, why, what happens next, who must act. @throws UntildoneApiError `forbidden` for a voice this key may not hear */
  story(id: string, options?: StoryOptions): Promise<WireStory>

  types(options?: CallOptions): Promise<WireJobType[]>
  type(name: string, options?: CallOptions): Promise<WireJobType>
  /** Starts none of its jobs from now on; they are still accepted, and running ones go on. */
  pauseType(name: string, options?: PauseOptions): Promise<WireJobType>
  resumeType(name: string, options?: PauseOptions): Promise<WireJobType>
  readonly queues: {
    list(options?: CallOptions): Promise<WireQueue[]>
    /** The same for all types of a queue. @throws UntildoneApiError `not-found` */
    pause(name: string, options?: PauseOptions): Promise<WireQueue>
    resume(name: string, options?: PauseOptions): Promise<WireQueue>
  }
  readonly workers: {
    /** Workers of all processes that share the database. @param options `all`: those that have ended in order, too */
    list(options?: CallOptions & { all?: boolean }): Promise<WireWorker[]>
    /** It takes no more jobs, and is gone when what runs has come to its next step. @throws UntildoneApiError `not-found` */
    drain(id: string, options?: PauseOptions): Promise<WireWorker>
  }
  /** The whole way of a type, from intake to visible end, told from a job that ran. @throws UntildoneApiError `not-found` */
  typeStory(name: string, options?: CallOptions & { from?: string }): Promise<WireTypeStory>

  /** Uploads bytes; the `file` of the answer goes into an input. A stream is sent once, anything else is repeated. */
  uploadFile(source: Bytes, options?: UploadOptions): Promise<WireFile>
  readonly files: {
    upload(source: Bytes, options?: UploadOptions): Promise<WireFile>
    /** The response with its body unread. @throws UntildoneApiError `file-not-found` */
    get(id: string, options?: CallOptions): Promise<Response>
  }
  readonly keys: {
    list(options?: CallOptions): Promise<WireApiKey[]>
    get(id: string, options?: CallOptions): Promise<WireApiKey>
    /** The secret (`key`) is in this answer only. Not repeated after a lost answer. */
    create(options: KeyOptions): Promise<WireApiKey>
    /** A new key with the same rights; the old one works for `overlap` more. */
    rotate(id: string, options?: CallOptions & { overlap?: Duration }): Promise<WireApiKey>
    revoke(id: string, options?: CallOptions & { reason?: string }): Promise<void>
  }
  readonly schedules: ScheduleCalls
  /** Who is told of events, and what became of it. */
  readonly webhooks: WebhookCalls
  /** What waits for people, and their decisions. */
  readonly approvals: ApprovalCalls
  /** Errors that the code says nothing of, by what they have in common. */
  readonly failures: FailureCalls
  /** What people have taught about them. */
  readonly rules: RuleCalls
  /** Which rule would decide about an error, and every rule that was looked at before. @throws UntildoneApiError `not-found` */
  explainError(type: string, error: GivenError, options?: CallOptions): Promise<WireExplainedError>
  whoami(options?: CallOptions): Promise<WhoAmI>
  root(options?: CallOptions): Promise<Root>
}
