/**
 * Schemas at the border: any Standard Schema library, or raw JSON Schema. Types and the two small functions that
 * find out what a schema can do; validation itself is the engine's. No server code.
 */
import { UntildoneError } from '../core/errors.js'
import type { Json } from '../core/json.js'

/** Standard Schema v1 (standardschema.dev), the part that we use. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
    /** Standard JSON Schema v1, where the library has it. */
    readonly jsonSchema?: {
      input(options: { target: string }): Record<string, unknown>
      output(options: { target: string }): Record<string, unknown>
    }
  }
}
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
      }[]
    }

/** A JSON Schema 2020-12 document, with the TypeScript type it stands for: `jsonSchema<Input>({ type: 'object', … })`. */
export interface RawSchema<T = Json> {
  readonly jsonSchema: Record<string, unknown>
  readonly '~type'?: T
}

export type AnySchema = StandardSchema<any, any> | RawSchema<any>

export type InputOf<S> = S extends StandardSchema<infer I, any> ? I : S extends RawSchema<infer T> ? T : never
export type OutputOf<S> = S extends StandardSchema<any, infer O> ? O : S extends RawSchema<infer T> ? T : never

/** Raw JSON Schema (2020-12) as a schema. The type parameter is your claim; nothing checks it. */
export function jsonSchema<T = Json>(document: Record<string, unknown>): RawSchema<T> {
  return { jsonSchema: document }
}

/**
 * JSON Schema 2020-12 of a schema, for the catalogue and for OpenAPI.
 * @throws UntildoneError `schema-not-describable` when the library cannot emit it and none was given beside it.
 */
export function describeSchema(
  schema: AnySchema,
  side: 'input' | 'output',
  given: Record<string, unknown> | undefined,
  what: string,
): Record<string, unknown> {
  if (given) return given
  if ('jsonSchema' in schema) return schema.jsonSchema
  const emit = schema['~standard'].jsonSchema
  try {
    if (emit)
      return side === 'input' ? emit.input({ target: 'draft-2020-12' }) : emit.output({ target: 'draft-2020-12' })
  } catch (cause) {
    throw new UntildoneError('schema-not-describable', `${what}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
  }
  throw new UntildoneError(
    'schema-not-describable',
    `${what}: the schema library "${schema['~standard'].vendor}" does not emit JSON Schema.`,
  )
}
