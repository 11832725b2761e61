/**
 * defineJob: the shared contract of a job type, read by worker, server, client and OpenAPI alike, and its server half
 * `.handler()`. Imports no server code, so a browser may import a definition.
 */
import { type RetryPolicy, until } from '../core/backoff.js'
import type { ErrorRule } from '../core/classify.js'
import { type Duration, parseDuration } from '../core/duration.js'
import { UntildoneError } from '../core/errors.js'
import { isRange } from '../core/version-range.js'
import type { ChildLimits, JobContext } from './context.js'
import {
  type LimitOptions,
  type LimitSettings,
  settleLimits,
  settleUnique,
  type UniqueOptions,
  type UniqueSettings,
} from './limits.js'
import { type AnySchema, describeSchema, type InputOf, type OutputOf } from './schema.js'

const VERSION = /^[A-Za-z0-9._+-]{1,64}$/
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/

/** What a definition promises besides input and output; the types of handler calls come from it. */
export interface Contract {
  stages: string
  approvals: Record<string, AnySchema>
  signals: Record<string, AnySchema>
}
type StageSpec = string | { name: string; label: string }
type StageName<S> = S extends string ? S : S extends { name: infer N extends string } ? N : never
/** The contract of a definition: undeclared stages may have any name, undeclared approvals and signals do not exist. */
export interface ContractOf<
  S extends readonly StageSpec[] | undefined,
  A extends Record<string, AnySchema>,
  G extends Record<string, AnySchema>,
> extends Contract {
  stages: S extends readonly StageSpec[] ? StageName<S[number]> : string
  approvals: A
  signals: G
}

export interface DefineOptions<
  I extends AnySchema,
  O extends AnySchema,
  S extends readonly StageSpec[] | undefined = readonly StageSpec[] | undefined,
  A extends Record<string, AnySchema> = Record<string, AnySchema>,
  G extends Record<string, AnySchema> = Record<string, AnySchema>,
> {
  /** Schema of the input: any Standard Schema library, or `jsonSchema(…)`. What it gives is what the handler gets. */
  input: I
  /** Schema of the result, checked before the job completes. @default anything that JSON can hold */
  output?: O
  /** For people; the name is an address, not a text. @default the name */
  title?: string
  /** For people, in catalogues and documentation. @default none */
  description?: string
  /** What progress shows, in order; `job.stage` takes only these. @default none: then a stage may have any name */
  stages?: S
  /** Gates at which people decide: name → schema of the data that an approver may edit. @default none */
  approvals?: A
  /** Signals that a job of this type may be sent: name → schema of the payload. @default none, and none may be sent */
  signals?: G
  /** For schema libraries that cannot emit JSON Schema. @default what the schema says of itself */
  jsonSchema?: { input?: Record<string, unknown>; output?: Record<string, unknown> }
}

export type Completion = { mode: 'wait'; upTo: Duration } | { mode: 'staged' } | { mode: 'background' }

/** What people are told, in the words of the type: whole sentences for callers, end users and support. */
export interface Say<C extends Contract = Contract> {
  /** While a stage is under way: `{ recognise: 'We are reading your document.' }`. */
  stage?: Partial<Record<C['stages'], string>>
  /** When it fails, is cancelled or needs a review with this code, instead of the error's own message. */
  error?: Record<string, string>
  /** While it waits at a gate, or for a signal or callback, of this name. */
  wait?: Record<string, string>
}

export interface HandlerOptions<Input, Output, C extends Contract = Contract> {
  /** Version of this handler's code; shown with each job. @default none */
  version?: string
  /** A job stays with workers of the version it was submitted to. @default false: names decide, any version goes on with it */
  pin?: boolean
  /**
   * Brings the input of a job that was accepted under another version or schema to the present one; what it gives must
   * pass the present schema, else the job is blocked (`code-changed`). Also asked for submits that name an older
   * `typeVersion`.
   * @default none: older input must fit as it stands
   */
  upgrade?: (input: unknown, fromVersion: string | null) => unknown
  /** Named lane with its own capacity. @default 'default' */
  queue?: string
  /** @default until({ within: '24h' }) */
  retry?: RetryPolicy
  /** One attempt; a longer one is stopped and counts as transient. @default attempt: '1h' */
  timeout?: { attempt?: Duration }
  /** When 95 % should be done, from runAt; an older job counts as late. @default the type's own p95 once it has 20 runs */
  target?: { p95: Duration }
  /** The type's error table, tried in order. @default none: the built-in rules decide */
  errors?: readonly ErrorRule[]
  /** Last look at the result before the job completes; throw to refuse it. @default none */
  verify?: (output: Output, context: { input: Input }) => void | Promise<void>
  /**
   * Where the handler runs. `'process'`: each attempt in a supervised Node process of its own, so that a crash, an endless
   * loop or a `process.exit` of its code ends that attempt and nothing else. Costs the start of a process per attempt, and
   * memory per running job. The process loads the module that exports the handler: its `module`, or its job file.
   * @default 'inline': in the worker's process
   */
  isolate?: 'inline' | 'process' | IsolateOptions
  /** How a caller should wait: `wait` answers the submit with the end if it comes within `upTo`. @default { mode: 'background' } */
  completion?: Completion
  /** At most so many jobs of this type run at once in this process; 1 makes it strictly one after the other. @default the queue's */
  concurrency?: number
  /** Limits by key, counted over all processes. @default none */
  limits?: LimitOptions<Input>
  /** `'active'`: while a job of the same operation is not done, there is no second one. @default as many as are submitted */
  unique?: 'active' | UniqueOptions<Input>
  /** How long a finished job is kept. @default '30d' */
  retention?: Duration
  /** Refuse a submit without an Idempotency-Key. @default false */
  requireIdempotencyKey?: boolean
  /** Attempts that may be lost with their worker before a human must look (`poison`). @default 3 */
  maxLost?: number
  /** Largest result in bytes; larger ones belong into a file. @default 64 MiB */
  maxResult?: number
  /** Sentences for people, per stage, error code and wait; at most 280 characters each. @default general ones */
  say?: Say<C>
}

/** A process for each attempt of a handler. */
export interface IsolateOptions {
  /**
   * `import.meta.url` of the module that exports the handler. The process imports it, so it should define jobs and do
   * nothing else; `createUntildone` in it opens nothing there.
   * @default the job file, for handlers that the CLI has loaded; others must say it
   */
  module?: string
  /** MiB of V8 heap; more ends the process (`process-memory`). @default what Node takes */
  heapMb?: number
  /** What the process and all its descendants may take. `stall`: time in which its event loop does not turn. @default no such limits */
  limits?: Omit<ChildLimits, 'silent'>
  /** From the abort of `job.signal` to the KILL. @default '5s' */
  grace?: Duration
  /** In a pid namespace of its own where the host gives one. @default false */
  strong?: boolean
  /** Arguments for Node, before those that are ours. @default those of this process that are about loading code */
  execArgv?: readonly string[]
}

/** With defaults filled in. */
export interface IsolateSettings {
  module: string | null
  /** A job file that the CLI has loaded, compiled in the same way. */
  project: boolean
  heapMb: number | null
  limits: Omit<ChildLimits, 'silent'>
  graceMs: number
  strong: boolean
  execArgv: readonly string[] | null
}

export interface Stage {
  name: string
  label: string
}

/** The shared half of a job type. */
export interface JobDefinition<
  I extends AnySchema = AnySchema,
  O extends AnySchema = AnySchema,
  C extends Contract = Contract,
> {
  readonly name: string
  readonly title: string | null
  readonly description: string | null
  readonly input: I
  readonly output: O | null
  readonly stages: readonly Stage[]
  readonly approvals: Readonly<C['approvals']>
  readonly signals: Readonly<C['signals']>
  readonly '~contract'?: C
  /** JSON Schema 2020-12 of input and output. */
  readonly inputSchema: Record<string, unknown>
  readonly outputSchema: Record<string, unknown>
  /** The server half. A job file exports what this returns. */
  handler(fn: HandlerFn<I, O, C>): JobHandler<I, O>
  handler(options: HandlerOptions<OutputOf<I>, OutputOf<O>, C>, fn: HandlerFn<I, O, C>): JobHandler<I, O>
}

type HandlerFn<I extends AnySchema, O extends AnySchema, C extends Contract> = (
  job: JobContext<OutputOf<I>, C>,
) => Promise<InputOf<O>> | InputOf<O>

/** Options with defaults filled in and durations in milliseconds. */
export interface HandlerSettings {
  version: string | null
  pin: boolean
  upgrade: ((input: unknown, fromVersion: string | null) => unknown) | null
  queue: string
  retry: RetryPolicy
  attemptTimeoutMs: number
  targetMs: number | null
  errors: readonly ErrorRule[]
  verify: ((output: any, context: { input: any }) => void | Promise<void>) | null
  isolate: IsolateSettings | null
  completion: { mode: 'wait'; upToMs: number } | { mode: 'staged' } | { mode: 'background' }
  concurrency: number
  limits: LimitSettings | null
  unique: UniqueSettings | null
  retentionMs: number
  requireIdempotencyKey: boolean
  maxLost: number
  maxResultBytes: number
  say: Say | null
  /** False: nobody chose when to give up, so the default holds. */
  retryChosen: boolean
}

export interface JobHandler<I extends AnySchema = AnySchema, O extends AnySchema = AnySchema> {
  readonly [HANDLER]: true
  readonly definition: JobDefinition<I, O, any>
  readonly settings: HandlerSettings
  readonly run: (job: JobContext<any, any>) => unknown
}

const HANDLER = Symbol.for('untildone.handler')

/** Recognises handlers by symbol, so that a job file may come with its own copy of the package. */
export function isJobHandler(value: unknown): value is JobHandler {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[HANDLER] === true
}

/**
 * The contract of a job type.
 * @param name permanent address: letters, digits, `.`, `_`, `-`; 1 to 128 characters
 * @example
 * const greet = defineJob('greet', { input: z.object({ name: z.string() }), output: z.object({ text: z.string() }) })
 * export const greetHandler = greet.handler(async (job) => ({ text: `Hello ${job.input.name}` }))
 * @throws UntildoneError `bad-definition`, `schema-not-describable`
 */
export function defineJob<
  I extends AnySchema,
  O extends AnySchema = AnySchema,
  const S extends readonly StageSpec[] | undefined = undefined,
  A extends Record<string, AnySchema> = Record<never, never>,
  G extends Record<string, AnySchema> = Record<never, never>,
>(name: string, options: DefineOptions<I, O, S, A, G>): JobDefinition<I, O, ContractOf<S, A, G>> {
  if (!NAME.test(name))
    throw bad(
      `"${name}" is not a usable job name: use letters, digits, ".", "_" and "-", 1 to 128 characters, with a letter or digit at both ends.`,
    )
  if (!options?.input) throw bad(`Job "${name}" has no input schema.`)
  const stages = (options.stages ?? []).map((stage) =>
    typeof stage === 'string' ? { name: stage, label: labelOf(stage) } : stage,
  )
  for (const kind of ['approvals', 'signals'] as const) {
    for (const given of Object.keys(options[kind] ?? {}))
      if (!NAME.test(given)) throw bad(`Job "${name}": "${given}" is not a usable name in ${kind}.`)
  }
  type Fn = HandlerFn<I, O, ContractOf<S, A, G>>
  const definition: JobDefinition<I, O, ContractOf<S, A, G>> = {
    name,
    title: options.title ?? null,
    description: options.description ?? null,
    input: options.input,
    output: options.output ?? null,
    stages,
    approvals: options.approvals ?? ({} as A),
    signals: options.signals ?? ({} as G),
    inputSchema: describeSchema(options.input, 'input', options.jsonSchema?.input, `Input of job "${name}"`),
    outputSchema: options.output
      ? describeSchema(options.output, 'output', options.jsonSchema?.output, `Output of job "${name}"`)
      : {},
    handler(first: HandlerOptions<any, any> | Fn, second?: Fn): JobHandler<I, O> {
      const run = typeof first === 'function' ? first : second
      if (typeof run !== 'function') throw bad(`Job "${name}": handler() needs a function.`)
      return {
        [HANDLER]: true,
        definition,
        settings: settle(definition, typeof first === 'function' ? {} : first),
        run,
      }
    },
  }
  return definition
}

function settle(definition: JobDefinition<any, any, any>, options: HandlerOptions<any, any>): HandlerSettings {
  const { name } = definition
  const whole = (value: number | undefined, what: string, fallback: number): number => {
    if (value === undefined) return fallback
    if (!Number.isInteger(value) || value < 1)
      throw bad(`Job "${name}": ${what} must be a whole number of 1 or more, not ${value}.`)
    return value
  }
  if (options.queue !== undefined && !NAME.test(options.queue))
    throw bad(`Job "${name}": "${options.queue}" is not a usable queue name.`)
  if (options.pin && !options.version) throw bad(`Job "${name}": pin needs a version.`)
  if (options.version !== undefined && !VERSION.test(options.version))
    throw bad(`Job "${name}": "${options.version}" is not a usable version: letters, digits, ".", "_", "+" and "-".`)
  for (const [i, rule] of (options.errors ?? []).entries()) {
    if ((rule.match ?? rule.code ?? rule.status ?? rule.exit ?? rule.signal) === undefined)
      throw bad(`Job "${name}": errors[${i}] has no condition; give match, code, status, exit or signal.`)
    const { versions } = rule.engine ?? {}
    if (versions !== undefined && !isRange(versions))
      throw bad(
        `Job "${name}": errors[${i}].engine.versions is no range of versions: "${versions}". Write 5.3.x, ">=5 <5.4", ^5.3 or "4.1.1 || >=5.3".`,
      )
  }
  try {
    const completion = options.completion ?? { mode: 'background' }
    return {
      version: options.version ?? null,
      pin: options.pin ?? false,
      upgrade: options.upgrade ?? null,
      queue: options.queue ?? 'default',
      retry: options.retry ?? until(),
      attemptTimeoutMs: parseDuration(options.timeout?.attempt ?? '1h', 'timeout.attempt'),
      targetMs: options.target ? parseDuration(options.target.p95, 'target.p95') : null,
      errors: options.errors ?? [],
      verify: options.verify ?? null,
      isolate: settleIsolate(name, options.isolate ?? 'inline'),
      completion:
        completion.mode === 'wait'
          ? { mode: 'wait', upToMs: parseDuration(completion.upTo, 'completion.upTo') }
          : completion,
      concurrency: options.concurrency === undefined ? Infinity : whole(options.concurrency, 'concurrency', 1),
      limits: settleLimits(name, options.limits),
      unique: settleUnique(name, options.unique),
      retentionMs: parseDuration(options.retention ?? '30d', 'retention'),
      requireIdempotencyKey: options.requireIdempotencyKey ?? false,
      maxLost: whole(options.maxLost, 'maxLost', 3),
      maxResultBytes: whole(options.maxResult, 'maxResult', 64 * 1024 * 1024),
      say: options.say ? checkSay(definition, options.say) : null,
      retryChosen: options.retry !== undefined,
    }
  } catch (cause) {
    if (cause instanceof TypeError) throw bad(`Job "${name}": ${cause.message}`)
    throw cause
  }
}

function settleIsolate(name: string, isolate: 'inline' | 'process' | IsolateOptions): IsolateSettings | null {
  if (isolate === 'inline') return null
  if (isolate !== 'process' && (typeof isolate !== 'object' || isolate === null))
    throw bad(`Job "${name}": isolate must be 'inline', 'process' or its options, not ${isolate}.`)
  const given: IsolateOptions = isolate === 'process' ? {} : isolate
  const { module, heapMb } = given
  if (module !== undefined && !module.startsWith('file:'))
    throw bad(
      `Job "${name}": isolate.module must be import.meta.url of the module that exports the handler, not "${module}".`,
    )
  if (heapMb !== undefined && !(Number.isInteger(heapMb) && heapMb >= 8))
    throw bad(`Job "${name}": isolate.heapMb must be a whole number of 8 or more, not ${heapMb}.`)
  return {
    ...{ module: module ?? null, project: false, heapMb: heapMb ?? null, limits: given.limits ?? {} },
    ...{ graceMs: parseDuration(given.grace ?? '5s', 'isolate.grace'), strong: given.strong ?? false },
    execArgv: given.execArgv ?? null,
  }
}

const SAY_MAX = 280

/** Sentences are shown where they cannot be mended, so they are looked at when the type is defined. */
function checkSay({ name, stages }: JobDefinition<any, any, any>, say: Say): Say {
  for (const kind of ['stage', 'error', 'wait'] as const) {
    for (const [about, text] of Object.entries(say[kind] ?? {})) {
      const where = `Job "${name}": say.${kind}["${about}"]`
      if (typeof text !== 'string' || text.trim() === '' || text.length > SAY_MAX)
        throw bad(`${where} must be a sentence of 1 to ${SAY_MAX} characters.`)
      if (kind === 'stage' && stages.length > 0 && !stages.some((stage) => stage.name === about))
        throw bad(`${where} names no stage; there are: ${stages.map((stage) => stage.name).join(', ')}.`)
    }
  }
  return say
}

function labelOf(stage: string): string {
  const words = stage.replace(/[-_.]+/g, ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function bad(message: string): UntildoneError {
  return new UntildoneError('bad-definition', message)
}
