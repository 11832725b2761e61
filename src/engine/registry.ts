/**
 * The job types of this process: handlers by name, their compiled validators and their page in the catalogue.
 */
import { UntildoneError } from '../core/errors.js'
import { canonicalJson, type Json } from '../core/json.js'
import type { LimitNumbers } from '../core/limits.js'
import type { WireGate, WireJobType } from '../core/wire.js'
import { isJobHandler, type JobHandler } from '../define/define-job.js'
import { filesIn } from '../define/file.js'
import { numbersOf } from '../define/limits.js'
import { type AnySchema, describeSchema } from '../define/schema.js'
import { Expectations } from './expectations.js'
import type { TypeView } from './story/facts.js'
import { type Validator, validatorOf } from './validate.js'

export interface RegisteredType {
  name: string
  handler: JobHandler
  input: Validator
  output: Validator
  /** By gate: the data that goes with a request, and comes back with its answer. */
  gates: ReadonlyMap<string, Validator>
  /** By name. */
  signals: Readonly<Record<string, Validator>>
  /** File ids in an input or result of this type. */
  filesIn: (side: 'input' | 'output', value: unknown) => string[]
  /** The numbers of its limits, which hold for waiting jobs too. */
  numbers: LimitNumbers | undefined
  /** What the input schema is recognised by: a job carries the one it was accepted under. */
  schema: (sha256: (text: string) => string) => string
}

const FILE_MARK = '"untildone-file"'

const BUILT_IN = 'untildone.'
/** The queue of what the engine brings along; every worker serves it. */
export const BUILT_IN_QUEUE = 'untildone'

export function isBuiltIn(type: string): boolean {
  return type.startsWith(BUILT_IN)
}

export class Registry {
  private types = new Map<string, RegisteredType>()
  private readonly builtIns = new Map<string, RegisteredType>()
  readonly expectations = new Expectations()

  constructor(handlers: readonly JobHandler[]) {
    this.replace(handlers)
  }

  /** Takes other handlers; used when job files are reloaded while developing. */
  replace(handlers: readonly JobHandler[]): void {
    const types = new Map<string, RegisteredType>()
    for (const handler of handlers) {
      if (!isJobHandler(handler))
        throw new UntildoneError('bad-definition', 'A handler is not what defineJob(...).handler(...) returns.')
      const { name } = handler.definition
      if (isBuiltIn(name))
        throw new UntildoneError(
          'bad-definition',
          `"${name}": names that begin with "${BUILT_IN}" are the server's own.`,
        )
      if (types.has(name)) throw new UntildoneError('duplicate-job-type', `Two handlers define "${name}".`)
      types.set(name, registered(handler))
    }
    this.types = types
  }

  /** A type that the engine brings along: it runs and is seen like any other, but only the engine submits it. */
  addBuiltIn(handler: JobHandler): void {
    this.builtIns.set(handler.definition.name, registered(handler))
  }

  get(name: string): RegisteredType | undefined {
    return this.types.get(name) ?? this.builtIns.get(name)
  }
  /** Without those that the engine brings along. */
  all(): RegisteredType[] {
    return [...this.types.values()]
  }

  /** What the view of a job needs; for types this process does not have, nothing is assumed. */
  viewOf(name: string): TypeView {
    const type = this.get(name)
    const settings = type?.handler.settings
    return {
      stages: type?.handler.definition.stages ?? [],
      maxAttempts: settings?.retry.attempts ?? null,
      expected: this.expectations.of(name),
      numbers: type?.numbers,
      retry: settings?.retry ?? null,
      targetMs: settings?.targetMs ?? null,
      say: settings?.say ?? null,
    }
  }

  /** The type's page in the catalogue. */
  describe({ name, handler: { definition, settings } }: RegisteredType, paused: boolean): WireJobType {
    const { withinMs, attempts, fromMs, toMs, factor, delaysMs, onExhausted } = settings.retry
    return {
      type: name,
      version: settings.version,
      title: definition.title,
      description: definition.description,
      inputSchema: definition.inputSchema as Json,
      resultSchema: definition.outputSchema as Json,
      stages: [...definition.stages],
      gates: gatesOf(definition.approvals),
      completion: settings.completion,
      retry: {
        ...{ withinMs, maxAttempts: attempts, onExhausted },
        backoff: { fromMs, toMs, factor, ...(delaysMs ? { delaysMs: [...delaysMs] } : {}) },
      },
      errorClasses: settings.errors.map((rule) => ({
        match: String(rule.match ?? rule.code ?? rule.signal ?? rule.status ?? rule.exit),
        is: rule.is,
        code: rule.as ?? null,
      })),
      expected: this.expectations.of(name),
      requireIdempotencyKey: settings.requireIdempotencyKey,
      retentionMs: settings.retentionMs,
      queue: settings.queue,
      limits: settings.limits && {
        concurrency: settings.limits.concurrency?.limit ?? null,
        ordered: settings.limits.order !== null,
        rate: settings.limits.rate && {
          limit: settings.limits.rate.limit,
          perMs: settings.limits.rate.perMs,
          burst: settings.limits.rate.burst,
        },
      },
      unique: settings.unique && { windowMs: settings.unique.forMs, onDuplicate: settings.unique.onDuplicate },
      paused,
    }
  }
}

function registered(handler: JobHandler): RegisteredType {
  const { definition } = handler
  const marked = {
    input: JSON.stringify(definition.inputSchema).includes(FILE_MARK),
    output: JSON.stringify(definition.outputSchema).includes(FILE_MARK),
  }
  let hash: string | undefined
  return {
    name: definition.name,
    handler,
    input: validatorOf(definition.input),
    output: validatorOf(definition.output),
    gates: new Map(
      Object.entries(definition.approvals).map(([gate, schema]) => [gate, validatorOf(schema as AnySchema)]),
    ),
    signals: Object.fromEntries(
      Object.entries(definition.signals).map(([name, schema]) => [name, validatorOf(schema as AnySchema)]),
    ),
    filesIn: (side, value) =>
      marked[side] ? filesIn(side === 'input' ? definition.inputSchema : definition.outputSchema, value) : [],
    numbers: numbersOf(handler.settings.limits),
    schema: (sha256) => (hash ??= sha256(canonicalJson(definition.inputSchema as Json)).slice(0, 16)),
  }
}

export function gatesOf(approvals: Readonly<Record<string, AnySchema>>): WireGate[] {
  return Object.entries(approvals).map(([gate, schema]) => ({ gate, dataSchema: describedIfPossible(schema, gate) }))
}

/** A gate needs no description: what does not fit is refused by the schema itself. */
function describedIfPossible(schema: AnySchema, gate: string): Json {
  try {
    return describeSchema(schema, 'input', undefined, `Data of gate "${gate}"`) as Json
  } catch {
    return null
  }
}
