/**
 * What a handler gets: the `job` object. Types only; the worker makes it. Every call says what is memoized and what
 * happens when the attempt is interrupted.
 */
import type { ErrorRule } from '../core/classify.js'
import type { Duration } from '../core/duration.js'

/** Handed to the function of a step. */
export interface StepContext {
  /** Aborts on cancel, deadline, step timeout and a lost lease. */
  signal: AbortSignal
  /** 1 for the first attempt of the job. */
  attempt: number
  /** Stable idempotency key of this step: the same in every attempt and replay. Hand it to the far side. */
  key: string
}

export interface StepOptions<T = unknown> {
  /** Rules tried before those of the type. */
  errors?: readonly ErrorRule[]
  /** The step fails as transient (`step-timeout`) after this. @default none */
  timeout?: Duration
  /** Value recorded when a harmless error surfaces in the step; the handler goes on and a warning is kept. @default the error ends the attempt */
  onHarmless?: T
}

export interface ProcessOptions<T> {
  /** Executable; never run through a shell. */
  command: string
  args?: readonly string[]
  /** Handed on stdin, or the file to read it from. @default closed at once */
  stdin?: string | Uint8Array | { path: string }
  /** Working directory. @default a private one that is removed afterwards */
  cwd?: string
  /** Added to a small allow-list (PATH, HOME, LANG, …); nothing else of the parent's environment is passed on. */
  env?: Record<string, string>
  /** TERM, then KILL after `grace`. @default '10m' */
  timeout?: Duration
  /** @default '5s' */
  grace?: Duration
  /** Hard limit of the child's address space in MiB. @default none */
  memoryMb?: number
  /** Kept per stream; a child that prints more is killed. @default 16 MiB */
  maxOutputBytes?: number
  /** The child writes its result as an envelope on fd 3 (`untildone/process`), so that half a result is never taken for a whole one. @default false */
  envelope?: boolean
  /** Turns the child's output into the value that is recorded. @default the envelope's value, or stdout as text */
  parse?: (out: { stdout: string; stderr: string; envelope: unknown }) => T | Promise<T>
  /** Rules tried before those of the type, against the exit and the last lines of stderr. */
  errors?: readonly ErrorRule[]
  /** Called for each line on stderr while it runs; for progress. */
  onLine?: (line: string) => void
  onHarmless?: T
}

export interface ProgressUpdate {
  message?: string
  completed?: number
  total?: number
  /** Singular noun, e.g. `page`. */
  unit?: string
  /** Rounds over the same things, for work that repeats itself. A later round may count `completed` from the start. */
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

export interface JobContext<Input> {
  readonly id: string
  readonly type: string
  readonly tenant: string
  readonly input: Input
  /** 1 for the first attempt. */
  readonly attempt: number
  readonly groupId: string | null
  readonly operationKey: string | null
  readonly tags: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  /** Aborts on cancel, deadline, attempt timeout and a lost lease; hand it to fetch and friends. */
  readonly signal: AbortSignal
  /** True once the worker wants to stop: the next step will not start, and the attempt does not count. */
  readonly draining: boolean

  /** Runs `fn` once and records its value under `name` (a second `charge` is `charge#2`); later attempts get the record. */
  step<T>(name: string, fn: (context: StepContext) => T | Promise<T>, options?: StepOptions<T>): Promise<T>
  /** Runs `fn` in every attempt: for state that must be read again before acting. Only its digest is logged. */
  read<T>(name: string, fn: () => T | Promise<T>): Promise<T>
  /** Tries the engines in order: the next one on `permanent`, stop on `transient` and `review`. Records which one did it. */
  first<T>(
    name: string,
    engines: Record<string, (context: StepContext) => T | Promise<T>>,
    options?: { errors?: readonly ErrorRule[] },
  ): Promise<{ engine: string; value: T }>
  /** Runs a supervised child process and records its parsed value like a step. */
  process<T = string>(name: string, options: ProcessOptions<T>): Promise<T>
  /** What people see. Stored at most once a second; the last value always is. */
  progress(stage: string | null, update?: ProgressUpdate): void
  /** A harmless note: the job may complete, with this warning on it. */
  warn(code: string, message: string): void
  /** Attempt log, for operators. */
  readonly log: JobLog
  /** Opens a file that the input or an earlier step refers to. */
  open(file: string): Promise<OpenFile>
  /** Stores a file and gives its id, to be returned in the result. */
  file(source: string | Uint8Array, options?: { contentType?: string; name?: string }): Promise<string>
}
