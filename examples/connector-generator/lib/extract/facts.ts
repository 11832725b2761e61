// What can be learned from a piece of documentation. Both extractors speak this form; nothing in it is certain before the
// pieces are put together.
import { z } from 'zod'

export const TYPES = [
  'string',
  'integer',
  'number',
  'boolean',
  'date',
  'datetime',
  'object',
  'array',
  'unknown',
] as const
export const OPERATIONS = ['list', 'get', 'create', 'update', 'delete'] as const

const text = z.string().max(500)
const path = z.array(text).max(6)

export const attributeSchema = z.object({
  name: text.min(1),
  type: z.enum(TYPES).default('unknown'),
  /** Of the elements, for an array. */
  items: z.enum(TYPES).nullable().default(null),
  /** Null where the documentation does not say. */
  required: z.boolean().nullable().default(null),
  readonly: z.boolean().nullable().default(null),
  values: z.array(text).max(100).nullable().default(null),
  description: z.string().max(2000).nullable().default(null),
})

const parameterSchema = z.object({
  name: text.min(1),
  description: z.string().max(2000).default(''),
  first: z.number().int().nullable().default(null),
})

/** A member of an answer, by its path from the top: `['meta', 'next_cursor']`. */
const memberSchema = z.object({
  path,
  /** A link rather than a token. */
  isUrl: z.boolean().default(false),
})

const endpointSchema = z.object({
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  path: text.min(1),
  objectClass: text.nullable().default(null),
  operation: z.enum(OPERATIONS).nullable().default(null),
  parameters: z.array(parameterSchema).max(100).default([]),
  /** Where the objects, or the object, stand in the answer; null where the documentation does not say. */
  answerPath: path.nullable().default(null),
  /** What the object is wrapped in when it is sent. */
  bodyPath: path.nullable().default(null),
  members: z.array(memberSchema).max(100).default([]),
})

export const factsSchema = z.object({
  baseUrls: z.array(text).max(20).default([]),
  auth: z
    .array(z.object({ kind: z.enum(['header', 'query', 'bearer', 'basic']), name: text.nullable().default(null) }))
    .max(20)
    .default([]),
  /** Remarks on paging that belong to no single endpoint. */
  paging: z
    .object({
      parameters: z.array(parameterSchema).max(100).default([]),
      members: z.array(memberSchema).max(100).default([]),
      linkHeader: z.boolean().default(false),
      firstPage: z.number().int().nullable().default(null),
    })
    .prefault({}),
  objectClasses: z
    .array(
      z.object({
        name: text.min(1),
        aliases: z.array(text).max(20).default([]),
        description: z.string().max(2000).nullable().default(null),
        attributes: z.array(attributeSchema).max(500).default([]),
        /** The documentation lists what may be sent; whatever else is read only. */
        bodyKnown: z.boolean().default(false),
      }),
    )
    .max(200)
    .default([]),
  endpoints: z.array(endpointSchema).max(500).default([]),
})

export type Facts = z.output<typeof factsSchema>
export type Attribute = z.output<typeof attributeSchema>
export type Endpoint = z.output<typeof endpointSchema>
export type Parameter = z.output<typeof parameterSchema>
export type Member = z.output<typeof memberSchema>
export type AttributeType = (typeof TYPES)[number]
export type Operation = (typeof OPERATIONS)[number]

export function noFacts(): Facts {
  return factsSchema.parse({})
}

/** How much was learned; how the crawler knows documentation from other pages. */
export function countFacts(facts: Facts): number {
  const { baseUrls, auth, paging, objectClasses, endpoints } = facts
  const attributes = objectClasses.reduce((sum, { attributes }) => sum + attributes.length, 0)
  const remarks = paging.parameters.length + paging.members.length + (paging.linkHeader ? 1 : 0)
  return baseUrls.length + auth.length + remarks + attributes + endpoints.length
}
