import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, it } from 'vitest'
import { z } from 'zod'
import type { Json } from '../../core/json.js'
import { file } from '../../define/index.js'
import { sampleInput } from './sample-input.js'

const schemas = {
  plain: z.object({
    name: z.string(),
    n: z.number().min(3),
    ok: z.boolean(),
    list: z.array(z.string()),
    optional: z.string().optional(),
  }),
  nested: z.object({
    at: z.object({ city: z.string(), zip: z.string().nullable() }),
    level: z.enum(['low', 'high']),
    kind: z.literal('a'),
  }),
  union: z.object({
    x: z.union([z.number(), z.string()]),
    y: z.string().default('why'),
    z: z.string().meta({ examples: ['zed'] }),
  }),
  formats: z.object({ mail: z.email(), at: z.iso.datetime(), day: z.iso.date(), id: z.uuid(), link: z.url() }),
}

it.each(Object.entries(schemas))('makes up an input that fits (%s)', (_, schema) => {
  const document = z.toJSONSchema(schema, { io: 'input' }) as Json
  const input = sampleInput(document)!.value
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  expect(ajv.validate(document as object, input), JSON.stringify({ input, errors: ajv.errors })).toBe(true)
  expect(schema.safeParse(input).error).toBeUndefined()
})

it('prefers what the author gave, and does not invent files', () => {
  expect(sampleInput(z.toJSONSchema(schemas.union, { io: 'input' }) as Json)!.value).toMatchObject({
    y: 'why',
    z: 'zed',
  })
  expect(sampleInput(z.toJSONSchema(z.object({ pdf: file() })) as Json)).toBeNull()
  const loop: Json = { type: 'object', required: ['self'], properties: { self: { $ref: '#' } } }
  expect(sampleInput(loop)).not.toBeUndefined()
})
