/**
 * The JSON Schemas that a facade may give for its document. They describe and never judge; what could not stand in an
 * OpenAPI document is refused at the start.
 */
import { validatorOf } from '../../engine/validate.js'
import { wrong } from './check.js'
import type { SchemaDocument } from './facade.js'
import type { Doc } from './lookups.js'

/** The schema as a part of the document; null when none is given. @throws UntildoneError bad-definition */
export function schemaDocument(member: string, given: SchemaDocument | undefined, where: string): Doc | null {
  if (given === undefined) return null
  const { $schema: _dialect, ...schema } = given
  if (refersToItself(schema)) {
    wrong(where, `\`${member}\` has a $ref, which would lead into the OpenAPI document; write out what it refers to`)
  }
  try {
    validatorOf({ jsonSchema: schema })
  } catch (error) {
    wrong(where, `\`${member}\` is no JSON Schema: ${(error as Error).message}`)
  }
  return schema
}

function refersToItself(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (!Array.isArray(value) && typeof (value as Doc).$ref === 'string') return true
  return Object.values(value).some(refersToItself)
}
