/**
 * Validation at the border: any Standard Schema, or JSON Schema 2020-12 through ajv. Answers values or field errors with
 * JSON Pointers; never throws for bad data.
 */

import { Ajv2020, type Options } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { FieldError } from '../core/errors.js'
import { isFileId } from '../core/file-id.js'
import { FILE_FORMAT } from '../define/file.js'
import type { AnySchema } from '../define/schema.js'

export type Validated = { ok: true; value: unknown } | { ok: false; errors: FieldError[] }
export type Validator = (value: unknown) => Validated | Promise<Validated>

const ERRORS_MAX = 50

/** By document: the built-in ones are the same for every engine. */
const compiled = new WeakMap<object, Validator>()

/** A validator for one schema, compiled once. */
export function validatorOf(schema: AnySchema | null): Validator {
  if (schema === null) return (value) => ({ ok: true, value })
  if (!('jsonSchema' in schema)) return standardValidator(schema)
  const validator = compiled.get(schema.jsonSchema) ?? jsonSchemaValidator(schema.jsonSchema)
  compiled.set(schema.jsonSchema, validator)
  return validator
}

function standardValidator(schema: Extract<AnySchema, { '~standard': unknown }>): Validator {
  const settle = (result: Awaited<ReturnType<(typeof schema)['~standard']['validate']>>): Validated => {
    if (!result.issues) return { ok: true, value: result.value }
    return {
      ok: false,
      errors: result.issues
        .slice(0, ERRORS_MAX)
        .map((issue) => ({ pointer: pointer(issue.path ?? []), code: codeOf(issue), message: issue.message })),
    }
  }
  return (value) => {
    const result = schema['~standard'].validate(value)
    return result instanceof Promise ? result.then(settle) : settle(result)
  }
}

/** Knows what a JSON Schema is. To learn that takes longer than all else here, so it is learned once. */
let judge: Ajv2020 | undefined

function ajvWith(options: Options): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, strict: false, useDefaults: true, ...options })
  ;(addFormats as unknown as (ajv: Ajv2020) => void)(ajv)
  return ajv.addFormat(FILE_FORMAT, isFileId)
}

function jsonSchemaValidator(document: Record<string, unknown>): Validator {
  judge ??= ajvWith({ useDefaults: false })
  judge.validateSchema(document, true)
  // One for each document: two may have the same `$id`.
  const ajv = ajvWith({ validateSchema: false })
  const check = ajv.compile(document)
  return (value) => {
    const copy = structuredClone(value) // ajv fills defaults in place
    if (check(copy)) return { ok: true, value: copy }
    return {
      ok: false,
      errors: (check.errors ?? []).slice(0, ERRORS_MAX).map((error) => ({
        pointer:
          error.keyword === 'required'
            ? `${error.instancePath}/${escapePart(String(error.params.missingProperty))}`
            : error.instancePath,
        code: error.keyword,
        message: error.message ?? 'is not valid',
      })),
    }
  }
}

function pointer(path: readonly (PropertyKey | { readonly key: PropertyKey })[]): string {
  return path.map((part) => `/${escapePart(String(typeof part === 'object' ? part.key : part))}`).join('')
}

function escapePart(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1')
}

function codeOf(issue: object): string {
  const code = (issue as { code?: unknown }).code
  return typeof code === 'string' ? code.replaceAll('_', '-') : 'invalid'
}
