// The normalised object class: what the digester gives and the code generator takes. Says where everything is, so that no
// later step has to look into documentation again.
import { z } from 'zod'
import { attributeSchema } from '../extract/facts.js'

const path = z.array(z.string())

const pagingSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  z.object({
    kind: z.literal('page'),
    page: z.string(),
    size: z.string().nullable(),
    first: z.int(),
    pages: path.nullable(),
  }),
  z.object({ kind: z.literal('offset'), offset: z.string(), size: z.string().nullable(), total: path.nullable() }),
  z.object({ kind: z.literal('cursor'), cursor: z.string(), size: z.string().nullable(), next: path.nullable() }),
  z.object({ kind: z.literal('nextUrl'), next: path, size: z.string().nullable() }),
  z.object({ kind: z.literal('link'), size: z.string().nullable() }),
])

const operationSchema = z.object({
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  /** Below the base URL; `{id}` stands for the object's id. */
  path: z.string(),
  /** Where the objects, or the object, stand in the answer. */
  answerPath: path,
  /** What the object is wrapped in when it is sent. */
  bodyPath: path,
})

export const objectClassSchema = z.object({
  name: z.string(),
  description: z.string().nullable(),
  idAttribute: z.string(),
  attributes: z.array(
    attributeSchema.extend({ required: z.boolean(), readonly: z.boolean() }).describe('required: when one is created'),
  ),
  /** Null where the documentation does not name one. */
  baseUrl: z.string().nullable(),
  auth: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('header'), name: z.string() }),
    z.object({ kind: z.literal('query'), name: z.string() }),
    z.object({ kind: z.literal('bearer') }),
    z.object({ kind: z.literal('basic') }),
    z.object({ kind: z.literal('none') }),
  ]),
  paging: pagingSchema,
  operations: z.object({
    list: operationSchema.nullable(),
    get: operationSchema.nullable(),
    create: operationSchema.nullable(),
    update: operationSchema.nullable(),
    delete: operationSchema.nullable(),
  }),
})

export type ObjectClass = z.output<typeof objectClassSchema>
export type OperationOf = z.output<typeof operationSchema>
