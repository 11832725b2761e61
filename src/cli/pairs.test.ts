import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Json } from '../core/json.js'
import { inputFromPairs } from './pairs.js'

const schema = z.toJSONSchema(
  z.object({
    name: z.string(),
    pages: z.number(),
    wide: z.boolean().optional(),
    tags: z.array(z.string()),
    at: z.object({ city: z.string() }),
    level: z.enum(['low', 'high']),
    limit: z.number().nullable(),
    either: z.union([z.string(), z.number()]),
    size: z.literal([1, 2]),
  }),
) as Json
const read = (...pairs: string[]) => inputFromPairs(pairs, schema, async (path) => `file_of_${path}`)

describe('name=value', () => {
  it.each([
    ['name=Ada', { name: 'Ada' }],
    ['name=', { name: '' }],
    ['name=a=b', { name: 'a=b' }],
    ['name=01234', { name: '01234' }],
    ['name=true', { name: 'true' }],
    ['pages=3', { pages: 3 }],
    ['pages=ten', { pages: 'ten' }],
    ['wide=true', { wide: true }],
    ['tags=["a","b"]', { tags: ['a', 'b'] }],
    ['at={"city":"Bonn"}', { at: { city: 'Bonn' } }],
    ['level=low', { level: 'low' }],
    ['limit=null', { limit: null }],
    ['limit=5', { limit: 5 }],
    ['either=5', { either: '5' }],
    ['size=2', { size: 2 }],
    ['unknown=5', { unknown: '5' }],
  ])('%s', async (pair, input) => {
    expect(await read(pair)).toEqual(input)
  })

  it('takes JSON after := whatever the schema says', async () => {
    expect(await read('name:=5', 'x:={"a":[1]}')).toEqual({ name: 5, x: { a: [1] } })
    await expect(read('x:=five')).rejects.toMatchObject({ failure: { code: 'usage', exit: 2 } })
  })

  it('uploads what begins with @, and has a way to say a literal one', async () => {
    expect(await read('name=@scan.pdf', 'level=@@home')).toEqual({ name: 'file_of_scan.pdf', level: '@home' })
  })

  it.each(['Ada', '=Ada', ':=5'])('refuses %s', async (pair) => {
    await expect(read(pair)).rejects.toMatchObject({ failure: { code: 'usage' } })
  })

  it('refuses a name given twice, and takes names that objects have by nature', async () => {
    await expect(read('name=a', 'name=b')).rejects.toThrow('twice')
    const input = await read('toString=x', '__proto__=y')
    expect(Object.keys(input).sort()).toEqual(['__proto__', 'toString'])
    expect(Object.getPrototypeOf(input)).toBe(Object.prototype)
  })

  it('finds types behind $ref and anyOf, and reads all as text without a schema', async () => {
    const refs: Json = {
      type: 'object',
      properties: { n: { $ref: '#/$defs/n' }, m: { anyOf: [{ type: 'integer' }, { type: 'null' }] } },
      $defs: { n: { type: 'number' } },
    }
    expect(await inputFromPairs(['n=1', 'm=2'], refs, async () => '')).toEqual({ n: 1, m: 2 })
    expect(await inputFromPairs(['n=1'], null, async () => '')).toEqual({ n: '1' })
    const loop: Json = { properties: { n: { $ref: '#/properties/n' } } }
    expect(await inputFromPairs(['n=1'], loop, async () => '')).toEqual({ n: '1' })
  })
})
