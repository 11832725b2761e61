/**
 * The job types of this process: handlers by name, their compiled validators and their page in the catalogue.
 */
import { UntildoneError } from '../core/errors.js'
import { canonicalJson, type Json } from '../core/json.js'
import type { LimitNumbers } from '../core/limits.js'
import type { WireJobType } from '../core/wire.js'
import { isJobHandler, type JobHandler } from '../define/define-job.js'
import { filesIn } from '../define/file.js'
import { numbersOf } from '../define/limits.js'
import { Expectations } from './expectations.js'
import { type Validator, validatorOf } from './validate.js'
import type { TypeView } from './view.js'

export interface RegisteredType {
  name: string
  handler: JobHandler
  input: Validator
  output: Validator
  /** File ids in an input or result of this type. */
  filesIn: (side: 'input' | 'output', value: unknown) => string[]
  /** The numbers of its limits, which hold for waiting jobs too. */
  numbers: LimitNumbers | undefined
  /** What the input schema is recognised by: a job carries the one it was accepted under. */
  schema: (sha256: (text: string) => string) => string
}

const FILE_MARK = '"untildone-file"'

export class Registry {
  private types = new Map<string, RegisteredType>()
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
      const { definition } = handler
      if (types.has(definition.name))
        throw new UntildoneError('duplicate-job-type', `Two handlers define "${definition.name}".`)
      const marked = {
        input: JSON.stringify(definition.inputSchema).includes(FILE_MARK),
        output: JSON.stringify(definition.outputSchema).includes(FILE_MARK),
      }
      let hash: string | undefined
      types.set(definition.name, {
        name: definition.name,
        handler,
        input: validatorOf(definition.input),
        output: validatorOf(definition.output),
        filesIn: (side, value) =>
          marked[side] ? filesIn(side === 'input' ? definition.inputSchema : definition.outputSchema, value) : [],
        numbers: numbersOf(handler.settings.limits),
        schema: (sha256) => (hash ??= sha256(canonicalJson(definition.inputSchema as Json)).slice(0, 16)),
      })
    }
    this.types = types
  }

  get(name: string): RegisteredType | undefined {
    return this.types.get(name)
  }
  all(): RegisteredType[] {
    return [...this.types.values()]
  }

  /** What the view of a job needs; for types this process does not have, nothing is assumed. */
  viewOf(name: string): TypeView {
    const type = this.types.get(name)
    return {
      stages: type?.handler.definition.stages ?? [],
      maxAttempts: type?.handler.settings.retry.attempts ?? null,
      expected: this.expectations.of(name),
      numbers: type?.numbers,
    }
  }

  /** The type's page in the catalogue. */
  describe({ name, handler: { definition, settings } }: RegisteredType, paused: boolean): WireJobType {
    const { withinMs, attempts, fromMs, toMs, factor, onExhausted } = settings.retry
    return {
      type: name,
      version: settings.version,
      title: definition.title,
      description: definition.description,
      inputSchema: definition.inputSchema as Json,
      resultSchema: definition.outputSchema as Json,
      stages: [...definition.stages],
      completion: settings.completion,
      retry: { withinMs, maxAttempts: attempts, backoff: { fromMs, toMs, factor }, onExhausted },
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
