/**
 * What a handler gets: the `job` object. Types only; the worker makes it. Every call says what is memoized and what
 * happens when the attempt is interrupted.
 */
import type { ApprovalAnswer, ApprovalRequest } from '../core/approval.js'
import type { RetryPolicy } from '../core/backoff.js'
import type { ErrorRule } from '../core/classify.js'
import type { Duration } from '../core/duration.js'
import type { Actor, FinalState, Person } from '../core/job.js'
import type { Contract, JobDefinition } from './define-job.js'
import type { OnDuplicate } from './limits.js'
import type { AnySchema, InputOf, OutputOf, RawSchema, StandardSchema } from './schema.js'

/** Handed to the function of a step. */
export interface StepContext {
  /** Aborts on cancel, deadline, step timeout and a lost lease. */
  signal: AbortSignal
  /** 1 for the first attempt of the job. */
  attempt: number
  /**
   * Stable idempotency key of this step, the same in every attempt, in replays, and in other jobs of the same business
   * operation (`operationKey`); another one after the step was undone. Hand it to the far side.
   */
  key: string
}

/** What `confirm` knows of an effect whose outcome was not recorded. */
export type Confirmation<T> = { happened: true; result: T } | { happened: false } | 'unknown'

export interface StepOptions<T = unknown> {
  /** Rules tried before those of the type. @default none */
  errors?: readonly ErrorRule[]
  /** The step fails as transient (`step-timeout`) after this. @default none */
  timeout?: Duration
  /** Value recorded when a harmless error surfaces in the step; the handler goes on and a warning is kept. @default the error ends the attempt */
  onHarmless?: T
  /**
   * What a repeat would do. `read`: nothing. `idempotent`: the same, because the far side takes the key or the work is
   * repeatable. `once`: harm; so the start is recorded first, and a start without a recorded end is confirmed or
   * reviewed, never repeated blindly.
   * @default 'idempotent'
   */
  effect?: 'read' | 'idempotent' | 'once'
  /**
   * Guard, run in every attempt right before the effect and never recorded: read the authoritative state again, and throw.
   * @default none
   */
  before?: () => unknown
  /**
   * The approval that a `once` step rests on, which must have been asked for by a function: right before the effect that
   * function is asked again, and if it now asks for something else, the effect is not begun. The approval is open again
   * with the difference, and the job waits for it.
   * @default none
   */
  approvedBy?: Pick<ApprovalAnswer<unknown>, 'id'>
  /**
   * Asks the far side whether the effect of a `once` step has happened, in a later attempt than the one that began it.
   * @default none: then, and on 'unknown', the job is blocked and a person is asked
   */
  confirm?: (context: StepContext) => Confirmation<NoInfer<T>> | Promise<Confirmation<NoInfer<T>>>
  /**
   * Takes the effect back if the job fails or is cancelled later; run in reverse order, retried like a step. Its `key` is
   * one of its own, because the far side may take the key of the step for a repeat of the step.
   */
  undo?: (value: T, context: StepContext) => unknown
  /** Budget and backoff for errors of this step. @default the stage's, then the type's */
  retry?: RetryPolicy
}

/** What a gate is asked with: `data` has the input type of its schema, and may be left out where that may be null. */
export type RequestFor<S> = S extends StandardSchema<infer I, any>
  ? RequestWith<I>
  : S extends RawSchema<infer T>
    ? RequestWith<T>
    : never
type RequestWith<T> = Omit<ApprovalRequest<T>, 'data'> & (null extends T ? { data?: T } : { data: T })

export interface StageOptions {
  /** Queue that does this stage; the job moves there, and only workers that serve it run the stage. @default the job's queue */
  queue?: string
  /** Budget and backoff for errors in this stage, counted from its start. @default the type's */
  retry?: RetryPolicy
  /** One attempt of this stage; a longer one is stopped and counts as transient. @default none of its own */
  timeout?: Duration
}

export interface WaitOptions {
  /** Ends the wait without a value, so long after it began. @default none: as long as it takes; '7d' for a callback */
  timeout?: Duration
}

/** What a wait for a signal gave. */
export type Received<T> =
  | { timedOut: false; payload: T; by: Actor | null }
  | { timedOut: true; payload: null; by: null }

export interface Callback<T = unknown> {
  /** Where somebody else ends the wait, once: POST with `{ outcome, payload | error }`. Whoever has it, may. */
  url: string
  /** Waits for it. */
  result(): Promise<CallbackResult<T>>
}
export type CallbackResult<T> =
  | { outcome: 'completed'; payload: T }
  | { outcome: 'failed'; error: { code: string; message: string } }
  | { outcome: 'timeout' }

export interface CallOptions {
  /** Name under which the parent records it. @default the child's type, numbered from the second call on */
  name?: string
  /** The longest a parent waits; then the child is cancelled. @default '7d' */
  timeout?: Duration
  /** `throw`: a child that did not complete fails the parent (permanent, `child-failed` or `child-timeout`). `return`: the parent gets how it ended. @default 'throw' */
  onFailure?: 'throw' | 'return'
  /** What becomes of the child when the parent ends first. @default 'cancel' */
  onParentEnd?: 'cancel' | 'leave'
  /** −100 … 100, higher is sooner. @default the parent's */
  priority?: number
  /** To find it by. @default none */
  tags?: string[]
  /** The business operation that its effects belong to. @default its own */
  operationKey?: string
  /**
   * For types with `unique`, when such a job is there. `return`: the parent waits for that one, and never cancels it.
   * @default what the type says
   */
  onDuplicate?: OnDuplicate
}
/** How a child ended, with `onFailure: 'return'`. */
export type ChildEnd<T> =
  | { status: 'completed'; id: string; result: T; error: null }
  | {
      status: Exclude<FinalState, 'completed'> | 'timeout'
      id: string
      result: null
      error: { code: string; message: string }
    }

export interface MapOptions<Item> {
  /** Items under way at once, 1 or more. @default 4 */
  concurrency?: number
  /** Name of an item, part of what is recorded; must not change between attempts. @default its index, which is right only for a list that stays the same */
  key?: (item: Item, index: number) => string
  /**
   * So many items may fail for good, each as a warning and a null; a share below 1 is of all items. An item whose error is
   * harmless is left out in the same way, and is none of them.
   * @default 0: the first one ends the attempt
   */
  tolerate?: number
}

/** An entry of the decision log of an AI step: what decided, with what, on which path. */
export interface DecisionEntry {
  /** What decided. */
  model: string
  /** Version of the model, or of the prompt and model together. */
  version: string
  /** Tools it used; an empty list says that it used none. */
  tools: readonly string[]
  /** The path taken, e.g. `propose/policy-check`. */
  path: string
  /** Whatever else should be found again: scores, prompt ids. JSON. */
  [more: string]: unknown
}

export interface ProcessOptions<T> {
  /** Executable; never run through a shell. */
  command: string
  /** Handed over as they are, one by one. @default none */
  args?: readonly string[]
  /** Handed on stdin, or the file to read it from. @default closed at once */
  stdin?: string | Uint8Array | { path: string }
  /** Working directory. @default a private one that is removed afterwards */
  cwd?: string
  /** Files that are there before the start, as `input/<name>` of the private directory; a path is copied. @default none */
  inputs?: Record<string, string | Uint8Array | { path: string }>
  /** Files to take out after a good end: `from` below the directory it ran in, `to` an absolute path, written whole or not at all. A missing one is an error; links are not followed. @default none */
  collect?: readonly { from: string; to: string }[]
  /** Added to a small allow-list (PATH, HOME, LANG, …); nothing else of the parent's environment is passed on. @default nothing is added */
  env?: Record<string, string>
  /** TERM, then KILL after `grace`. @default '10m' */
  timeout?: Duration
  /** From TERM to KILL. @default '5s' */
  grace?: Duration
  /** Hard limit of the child's address space in MiB. @default none */
  memoryMb?: number
  /** What else the child and all its descendants may take; more ends it. @default no such limits */
  limits?: ChildLimits
  /**
   * What this program is, for rules that are about an engine or some of its versions; recorded with the run, and
   * `engine` and `engineVersion` in the details of its errors.
   * @default not said, and then no such rule matches
   */
  engine?: { name: string; version?: string }
  /** Runs it in a pid namespace of its own where the host gives one (`untildone doctor`), from which no daemon escapes. @default false: daemons are found and killed after the end */
  strong?: boolean
  /** Taken out of everything that is recorded of the run, also in base64 and URL form. @default the values of `env` whose names say that they are secret */
  secrets?: readonly string[]
  /** Kept per stream; a child that prints more is killed. @default 16 MiB */
  maxOutputBytes?: number
  /** The child writes its result as an envelope (`untildone/process`) on fd 3, or with `'file'` as a file, so that half a result is never taken for a whole one. @default false */
  envelope?: boolean | 'file'
  /** Turns the child's output into the value that is recorded. @default the envelope's value, or stdout as text */
  parse?: (out: { stdout: string; stderr: string; envelope: unknown }) => T | Promise<T>
  /** Rules tried before those of the type, against the exit and the last lines of stderr. @default none */
  errors?: readonly ErrorRule[]
  /** Called for each line on stderr while it runs; for progress. `true` says that the child makes progress, for `limits.stall`. @default nobody listens */
  onLine?: (line: string) => unknown
  /** Value recorded when a harmless error surfaces; the handler goes on and a warning is kept. @default the error ends the attempt */
  onHarmless?: T
}

export interface ChildLimits {
  /** Seconds of CPU time, of each process and of all together. @default no limit */
  cpuSeconds?: number
  /** MiB of memory in use by all of them together. @default no limit */
  rssMb?: number
  /** Bytes of the largest file one may write; more is permanent, `process-file-size`. @default no limit */
  fileBytes?: number
  /** Processes at one time. @default no limit */
  processes?: number
  /** Bytes that its private directory may take. @default no limit */
  workBytes?: number
  /** Time without any output. @default no limit */
  silent?: Duration
  /** Time without an `onLine` that returned true. @default no limit */
  stall?: Duration
}

export interface ProgressUpdate {
  /** One line for people. @default the label of the stage stands alone */
  message?: string
  /** How many are done; within a stage it never falls. @default not counted */
  completed?: number
  /** Of how many; with `completed` it makes a percentage. @default not known, and then there is no percentage */
  total?: number
  /** What is counted, a singular noun like `page`. @default none */
  unit?: string
  /** Rounds over the same things, for work that repeats itself. A later round may count `completed` from the start. @default none */
  iterations?: { completed: number; total?: number }
}

/** A stored file, opened for reading. */
export interface OpenFile {
  id: string
  /** Where its bytes are on this host; read only. */
  path: string
  bytes: number
  sha256: string
  contentType: string
  name: string | null
  /** Its bytes as a web stream. */
  stream(): ReadableStream<Uint8Array>
}

export interface JobLog {
  (message: string, data?: unknown): void
  debug(message: string, data?: unknown): void
  warn(message: string, data?: unknown): void
  error(message: string, data?: unknown): void
}

export interface JobContext<Input, C extends Contract = Contract> {
  readonly id: string
  readonly type: string
  readonly tenant: string
  readonly input: Input
  /** 1 for the first attempt. */
  readonly attempt: number
  readonly groupId: string | null
  readonly operationKey: string | null
  /** The person it is done for; null when the submit named none. */
  readonly onBehalfOf: Person | null
  /** What that person was allowed when the job was submitted. */
  readonly permissions: readonly string[]
  readonly tags: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  /** The schedule that made this job and the instant it stands for, which is not when it runs; null for submitted jobs. */
  readonly schedule: { readonly id: string; readonly at: Date } | null
  /** Aborts on cancel, deadline, attempt timeout and a lost lease; hand it to fetch and friends. */
  readonly signal: AbortSignal
  /** True once the worker wants to stop: the next step will not start, and the attempt does not count. */
  readonly draining: boolean

  /** Runs `fn` once and records its value under `name` (a second `charge` is `charge#2`); later attempts get the record. */
  step<T>(name: string, fn: (context: StepContext) => T | Promise<T>, options?: StepOptions<T>): Promise<T>
  /**
   * Runs `fn` in every attempt: for state that must be read again before acting. Only its digest is logged. A read named
   * `permissions` that gives a list of texts is asked again before every `once` effect; a permission that is gone since
   * the submit blocks the job for review.
   */
  read<T>(name: string, fn: () => T | Promise<T>): Promise<T>
  /** Tries the engines in order: the next one on `permanent`, stop on `transient` and `review`. Records which one did it. */
  first<T>(
    name: string,
    engines: Record<string, (context: StepContext) => T | Promise<T>>,
    options?: { errors?: readonly ErrorRule[] },
  ): Promise<{ engine: string; value: T }>
  /** Runs a supervised child process and records its parsed value like a step. */
  process<T = string>(name: string, options: ProcessOptions<T>): Promise<T>
  /**
   * A recovery boundary: its value is recorded as one; with another `queue` the job moves there first, and a worker
   * that does not serve that queue never runs it.
   */
  stage<T>(name: C['stages'], fn: () => T | Promise<T>): Promise<T>
  stage<T>(name: C['stages'], options: StageOptions, fn: () => T | Promise<T>): Promise<T>
  /** Goes on after `duration`, over restarts, without a worker. */
  sleep(name: string, duration: Duration): Promise<void>
  /** Goes on when the signal is there. One that came early is waiting in the job's mailbox. */
  waitFor<S extends keyof C['signals'] & string>(
    signal: S,
    options?: WaitOptions,
  ): Promise<Received<OutputOf<C['signals'][S]>>>
  /** A URL with which somebody else ends a wait, once. It can be used from the moment it is handed out. */
  callback<T = unknown>(name: string, options?: WaitOptions): Promise<Callback<T>>
  /**
   * Asks people, and goes on with their answer; no worker waits meanwhile. Rejection and expiry end the job unless the
   * request says `continue`. The approval holds for what was asked: each attempt asks again until it has acted on the
   * answer, and a request that has become another one is open again. Give a function to have live state read for it, and
   * name the answer in `approvedBy` of the step that acts. It must only read: no steps in it.
   * @throws Permanent `approval-incomplete` listing every member that is missing or wrong
   */
  approve<G extends keyof C['approvals'] & string>(
    gate: G,
    request:
      | RequestFor<C['approvals'][G]>
      | (() => RequestFor<C['approvals'][G]> | Promise<RequestFor<C['approvals'][G]>>),
  ): Promise<ApprovalAnswer<OutputOf<C['approvals'][G]>>>
  /** A child job; the parent holds no worker while it waits. `Promise.all` over it is a fan-out. */
  call<I extends AnySchema, O extends AnySchema>(
    child: JobDefinition<I, O, any>,
    input: InputOf<I>,
    options: CallOptions & { onFailure: 'return' },
  ): Promise<ChildEnd<OutputOf<O>>>
  call<I extends AnySchema, O extends AnySchema>(
    child: JobDefinition<I, O, any>,
    input: InputOf<I>,
    options?: CallOptions,
  ): Promise<OutputOf<O>>
  /** Each item as a step of its own, some at a time. A tolerated failure is null, with a warning. */
  map<Item, T>(
    name: string,
    items: readonly Item[],
    fn: (item: Item, context: StepContext & { index: number }) => T | Promise<T>,
    options?: MapOptions<Item>,
  ): Promise<(T | null)[]>
  /** Puts an entry into the decision log; the same call in a later attempt is the same entry, unless it says something else. @throws UntildoneError decision-incomplete */
  decision(entry: DecisionEntry): void
  /** What people see. Stored at most once a second; the last value always is. */
  progress(stage: C['stages'] | null, update?: ProgressUpdate): void
  /** A harmless note: the job may complete, with this warning on it. */
  warn(code: string, message: string): void
  /** Attempt log, for operators. */
  readonly log: JobLog
  /** Opens a file that the input or an earlier step refers to. */
  open(file: string): Promise<OpenFile>
  /** Stores a file and gives its id, to be returned in the result. */
  file(source: string | Uint8Array, options?: { contentType?: string; name?: string }): Promise<string>
}
