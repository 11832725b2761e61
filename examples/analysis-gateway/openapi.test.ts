// The document that the gateway serves: valid, prominent about how the calls work together, true to what is answered, and
// the source of the SDK's types.
import { readFileSync } from 'node:fs'
import { validate } from '@scalar/openapi-parser'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { servedTypes } from './sdk/types-of.js'
import { type Bench, bench } from './support.js'

let gateway: Bench
let document: any
beforeAll(async () => {
  gateway = await bench()
  document = (await gateway.get('/openapi.json')).body
})
afterAll(() => gateway?.stop())

const own = () =>
  Object.entries<any>(document.paths).flatMap(([path, item]) =>
    path.startsWith('/api/') ? Object.entries<any>(item).map(([method, one]) => ({ method, path, ...one })) : [],
  )

describe('the document', () => {
  test('is valid, by two opinions', async () => {
    expect((await validate(structuredClone(document))).errors ?? []).toEqual([])
    expect((await new Validator().validate(structuredClone(document))).errors).toBeUndefined()
  })

  test('has a title and a version of its own', () => {
    expect(document.info).toMatchObject({ title: 'Analysis gateway', version: '1.0.0' })
  })

  test('has each call of the gateway, with a line and a description', () => {
    expect(own().map(({ method, path }) => `${method} ${path}`)).toEqual([
      ...['get /api/v1/analysis', 'post /api/v1/analysis'].reverse(),
      'get /api/v1/analysis/status/{jobId}',
      'get /api/v1/analysis/result/{jobId}',
      'post /api/v1/analysis/cancel/{jobId}',
    ])
    for (const { summary, description, tags } of own()) {
      expect([summary.length > 10, description.length > 30, tags]).toEqual([true, true, ['Facade analysis']])
    }
  })

  test('explains the flow where its calls are: three calls, the words, what is final, the key, the push', () => {
    const { description } = document.tags.find(({ name }: any) => name === 'Facade analysis')
    for (const said of ['202', 'Idempotency-Key', 'Retry-After', 'WebSocket', 'never change'])
      expect(description).toContain(said)
    const status = own().find(({ path }) => path.includes('/status/'))
    const words = status.responses[200].content['application/json'].schema.properties.status.enum
    expect(words).toEqual(['pending', 'in_progress', 'completed', 'failed', 'cancelled'])
    for (const word of words) expect(description).toContain(`\`${word}\``)
    // Every address that it names is there.
    for (const [, method, path] of description.matchAll(/\b(GET|POST) +(\/[\w/{}-]+)/g))
      expect(document.paths[path]?.[method.toLowerCase()], `${method} ${path}`).toBeDefined()
  })

  test('says what goes in and what comes out, member by member', () => {
    const submit = own().find(({ method, path }) => method === 'post' && path === '/api/v1/analysis')
    const { schema } = submit.requestBody.content['application/json']
    expect(Object.keys(schema.properties)).toEqual(['text', 'documents', 'file', 'analyses', 'topTerms'])
    expect(schema.additionalProperties).toBe(false)
    expect(submit.responses[202].headers).toHaveProperty('Location')
    const result = own().find(({ path }) => path.includes('/result/'))
    const members = result.responses[200].content['application/json'].schema.properties.documents.items.properties
    expect(Object.keys(members)).toEqual([
      ...['name', 'language', 'statistics', 'extraction', 'classification', 'summary'],
    ])
  })
})

test('what is answered is what it says', async () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'doc', ...document })
  const judge = (method: string, path: string, { status, type, body }: Awaited<ReturnType<Bench['get']>>) => {
    const said = document.paths[`/api/v1/analysis${path}`][method].responses[status]
    const response = said?.$ref ? document.components.responses[said.$ref.split('/').at(-1)] : said
    const schema = response?.content[type!]?.schema
    expect(schema, `${method} ${path}: ${status} ${type}`).toBeDefined()
    const check = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/')))
    expect(check(body) ? null : `${ajv.errorsText(check.errors)}: ${JSON.stringify(body)}`).toBeNull()
    return body
  }
  const { jobId } = judge(
    'post',
    '',
    await gateway.post({ text: 'Invoice 12, due on 3 May 2026, total 12 EUR. Please pay.' }),
  )
  await gateway.ended(jobId)
  judge('get', '/status/{jobId}', await gateway.get(`/status/${jobId}`))
  judge('get', '/result/{jobId}', await gateway.get(`/result/${jobId}`))
  judge('post', '/cancel/{jobId}', await gateway.send('POST', `/cancel/${jobId}`, {}))
  judge('get', '', await gateway.get(''))
  judge('get', '', await gateway.get('?limit=x'))
  judge('post', '', await gateway.post({ text: 7 }))
  judge('get', '/status/{jobId}', await gateway.get('/status/x'))
  judge('get', '/result/{jobId}', await gateway.get('/result/x'))
})

test('the types of the SDK are those of the document', async () => {
  const kept = readFileSync(new URL('sdk/api.generated.ts', import.meta.url), 'utf8')
  expect(await servedTypes(), 'run: node examples/analysis-gateway/sdk/generate.mjs').toBe(kept)
})
