// An API of another shape, whose documentation somebody has as a file: uploaded through the product, digested, generated,
// and the connector used at the running API.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { quarry, quarryDocument } from './fixtures/quarry.js'
import { all, type Bench, bench, importConnector, serveAll } from './support.js'

let sites: Awaited<ReturnType<typeof serveAll>>
let jobs: Bench
beforeAll(async () => {
  sites = await serveAll(quarry())
  // Not one host may be read: what is needed comes with the upload.
  jobs = await bench([])
})
afterAll(async () => {
  await jobs?.stop()
  await sites?.close()
})

async function upload(body: string | Uint8Array, name: string, contentType: string): Promise<string> {
  const answer = await fetch(`${jobs.url}/v1/files`, {
    method: 'POST',
    headers: { 'content-type': contentType, 'content-disposition': `attachment; filename="${name}"` },
    body: body as BodyInit,
  })
  return ((await answer.json()) as { file: string }).file
}

test('Swagger 2.0, basic authentication, offsets, envelopes around everything', { timeout: 60_000 }, async () => {
  const [{ host, origin, api }] = sites.running as [any]
  const file = await upload(quarryDocument(host), 'quarry.yaml', 'application/yaml')
  const uploaded = await jobs.run('quarry', 'documentation', { file })
  expect(uploaded.result).toMatchObject({
    totalProcessed: 1,
    documents: [{ url: 'upload:quarry.yaml', title: 'Quarry Assets', kind: 'openapi', chunks: 3 }],
  })
  const { result } = await jobs.run('quarry', 'digester', { objectClass: 'asset' })
  expect(result.objectClass).toMatchObject({
    idAttribute: 'assetNo',
    baseUrl: `${origin}/quarry/rest`,
    auth: { kind: 'basic' },
    paging: { kind: 'offset', offset: 'startAt', size: 'maxResults', total: ['page', 'total'] },
    operations: {
      list: { path: '/assets', answerPath: ['page', 'values'] },
      create: { bodyPath: ['asset'], answerPath: ['asset'] },
      update: { method: 'PATCH', path: '/assets/{id}', bodyPath: ['asset'] },
      delete: null,
    },
  })

  const made = await jobs.run('quarry', 'codegen', {})
  const { createConnector } = await importConnector(made.result.files, jobs.dir)
  const connector = createConnector({ username: 'miner', password: 'pick & shovel' })
  expect(await all(connector.assets.list())).toEqual(api.records('assets'))
  expect(api.requests).toEqual([0, 6, 12].map((from) => `GET /quarry/rest/assets?startAt=${from}`))
  const asset = await connector.assets.create({
    label: 'Lamp',
    location: { pit: 'North', level: 3 },
    serials: ['a', 'b'],
  })
  await connector.assets.update(asset.assetNo, { state: 'in repair' })
  expect(api.records('assets').at(-1)).toEqual({
    assetNo: asset.assetNo,
    label: 'Lamp',
    location: { pit: 'North', level: 3 },
    serials: ['a', 'b'],
    state: 'in repair',
  })
})

test("the product's own API, whose document is a quarter of a megabyte", { timeout: 60_000 }, async () => {
  const spec = await (await fetch(`${jobs.url}/openapi.json`)).text()
  await jobs.run('own', 'documentation', { file: await upload(spec, 'openapi.json', 'application/json') })
  for (const objectClass of ['Job', 'JobType']) await jobs.run('own', 'digester', { objectClass })
  const made = await jobs.run('own', 'codegen', {})
  expect(made.result.objectClasses).toEqual([
    { name: 'Job', operations: ['list', 'get', 'create'] },
    { name: 'JobType', operations: ['list', 'get'] },
  ])
  // Files are not sent or answered as JSON, so they are no objects.
  expect((await jobs.run('own', 'digester', { objectClass: 'File' })).errors![1]).toBe(
    "Insufficient documentation coverage for object 'File'",
  )
  const { createConnector } = await importConnector(made.result.files, jobs.dir)
  const connector = createConnector({ token: 'none is needed here', baseUrl: jobs.url })
  const input = { name: 'x.md', text: 'Nothing.' }
  const created = await connector.jobs.create({ type: 'documentation.processUpload', input, groupId: 'by-connector' })
  expect(await connector.jobs.get(created.id)).toMatchObject({
    type: 'documentation.processUpload',
    groupId: 'by-connector',
  })
  const listed = await all<any>(connector.jobs.list({ pageSize: 2 }))
  expect(listed.length).toBeGreaterThan(4)
  expect(new Set(listed.map(({ id }) => id)).size).toBe(listed.length)
  expect(listed[0].id).toBe(created.id)
  expect((await all<any>(connector.jobTypes.list())).map(({ type }) => type)).toContain('codegen.generateConnector')
})

test('what cannot be used is refused in words', async () => {
  const run = async (input: object) => (await jobs.run('bad', 'documentation', input)).errors
  expect(await run({ name: 'x.txt', text: 'Dear diary, nothing happened today.' })).toEqual([
    'No relevant documentation was found',
    'Consider uploading more comprehensive API documentation',
  ])
  expect(await run({ file: await upload(new Uint8Array([1, 0, 2]), 'x.bin', 'application/octet-stream') })).toEqual([
    'Invalid input: the file is not a text.',
  ])
  expect((await run({ name: 'x.yaml', text: 'openapi: 3.1.0\npaths: [}' }))![0]).toMatch(
    /^The OpenAPI document cannot be read: /,
  )
  expect((await jobs.run('bad', 'digester', { objectClass: 'X' })).errors).toEqual([
    'Invalid input: the session has no documentation; scrape or upload some first.',
  ])
  expect((await jobs.run('bad', 'scrape', {})).errors).toEqual([
    'Invalid input: there are no links; give some, or run discovery in this session first.',
  ])
  expect((await jobs.run('bad', 'scrape', { links: ['http://127.0.0.1:9/docs'] })).errors).toEqual([
    'Invalid input: http://127.0.0.1:9/docs is not on a host that may be read.',
  ])
  expect(
    (await jobs.run('bad', 'discovery', { applicationName: 'X', startUrls: ['http://10.0.0.1/'] })).errors,
  ).toEqual(['Invalid input: http://10.0.0.1/ is not on a host that may be read.'])
})
