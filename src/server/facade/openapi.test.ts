/** Facades in the OpenAPI document: valid, complete, and true to what is answered. */
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { Permanent } from '../../define/index.js'
import { LOCAL } from '../../engine/api.js'
import type { Facade } from './facade.js'
import { CONNECTOR_GENERATOR, MORPHEUS, type OldApis, oldApis } from './fixtures/old-apis.js'

const open = oldApis()

/** Every op, both answers for what is absent, numbers for instants, answers for errors. */
const EVERYTHING: Facade = {
  name: 'everything',
  status: 'google-lro',
  time: 'unixSeconds',
  absent: 'null',
  progressWhen: { completed: { text: 'done' }, failed: null },
  notFound: { code: 404, body: { id: '$id', session: '$req.query.session' } },
  expired: { code: 410, body: '$problem', contentType: 'application/problem+json' },
  errors: { unauthenticated: { code: 403, body: { error: '$problem.title' } }, overloaded: { code: 503 } },
  presets: { whole: { job: '$job', done: '$status.done', code: '$status.code', progress: '$progress' } },
  routes: [
    {
      ...{ op: 'submit', method: 'PUT', path: '/e/{s}/jobs', code: 201, summary: 'Start something' },
      map: { type: 'analysis', input: { url: '$req.body.url' }, groupId: '$req.params.s' },
      respond: { id: '$job.id', created: '$job.createdAt', at: '$location', url: '$req.body.url' },
    },
    { op: 'get', method: 'GET', path: '/e/jobs/{id}', jobId: '$req.params.id', respond: '$preset.whole' },
    {
      op: 'get',
      method: 'POST',
      path: '/e/jobs',
      jobId: '$req.body.id',
      respond: { list: ['$job.groupId'], n: 1, s: 'x' },
    },
    {
      op: 'result',
      method: 'GET',
      path: '/e/jobs/{id}/result',
      jobId: '$req.params.id',
      respond: { out: '$job.result' },
    },
    { op: 'cancel', method: 'DELETE', path: '/e/jobs/{id}', jobId: '$req.params.id', respond: { s: '$status.name' } },
    {
      ...{ op: 'list', method: 'GET', path: '/e/{s}/jobs', groupId: '$req.params.s', cursor: '$req.query.after' },
      ...{ item: { id: '$job.id', ended: '$job.finishedAt' }, respond: { items: '$items', next: '$nextCursor' } },
    },
  ],
}

async function opened() {
  const api = await open([MORPHEUS, CONNECTOR_GENERATOR, EVERYTHING])
  const text = await (await api.get('/openapi.json')).text()
  const document = JSON.parse(text)
  const operations = Object.entries<any>(document.paths).flatMap(([path, item]) =>
    Object.entries<any>(item).map(([method, operation]) => ({ method, path, ...operation })),
  )
  const ours = operations.filter(({ tags }) => tags[0].startsWith('Facade '))
  return { api, document, operations, ours }
}

describe('the document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const { document } = await opened()
    const { valid, errors } = await new Validator().validate(structuredClone(document))
    expect(errors).toBeUndefined()
    expect(valid).toBe(true)
  })

  test('has a tag for each facade, and its routes under it with names of their own', async () => {
    const { document, operations, ours } = await opened()
    expect(document.tags.map(({ name }: { name: string }) => name).slice(-3)).toEqual([
      ...['Facade morpheus', 'Facade connector-generator', 'Facade everything'],
    ])
    expect(ours.map(({ method, path, operationId }) => `${operationId}: ${method} ${path}`).sort()).toEqual([
      'connectorGeneratorGetDiscoveryBySessionIdDiscovery: get /discovery/{sessionId}/discovery',
      'connectorGeneratorListSessionBySessionIdJobs: get /session/{sessionId}/jobs',
      'connectorGeneratorSubmitDiscoveryBySessionIdDiscovery: post /discovery/{sessionId}/discovery',
      'everythingCancelEJobsById: delete /e/jobs/{id}',
      'everythingGetEJobs: post /e/jobs',
      'everythingGetEJobsById: get /e/jobs/{id}',
      'everythingListEBySJobs: get /e/{s}/jobs',
      'everythingResultEJobsByIdResult: get /e/jobs/{id}/result',
      'everythingSubmitEBySJobs: put /e/{s}/jobs',
      'morpheusGetApiV1AnalysisStatusByJobId: get /api/v1/analysis/status/{jobId}',
      'morpheusResultApiV1AnalysisResultByJobId: get /api/v1/analysis/result/{jobId}',
      'morpheusSubmitApiV1Analysis: post /api/v1/analysis',
    ])
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
    for (const { path, parameters, summary, description } of ours) {
      const inPath = parameters.filter((one: any) => one.in === 'path').map((one: any) => one.name)
      expect(inPath, path).toEqual(Array.from(path.matchAll(/\{(\w+)\}/g), (match: any) => match[1]))
      expect([summary.length > 5, description.length > 10]).toEqual([true, true])
    }
  })

  test('describes exactly what is served', async () => {
    const { api, operations } = await opened()
    const served = api.server.app.routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
    expect(operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort()).toEqual(served.sort())
  })

  test('says scopes, headers, query, body and problems like the native part', async () => {
    const { ours } = await opened()
    const of = (id: string) => ours.find(({ operationId }) => operationId === id)
    const submit = of('morpheusSubmitApiV1Analysis')
    expect(submit['x-required-scopes']).toEqual(['jobs:submit'])
    expect(submit.parameters.map(({ $ref }: any) => $ref)).toEqual([
      ...['#/components/parameters/IdempotencyKey', '#/components/parameters/traceparent'],
    ])
    expect(Object.keys(submit.responses)).toEqual(
      expect.arrayContaining(['202', '400', '401', '403', '413', '415', '422', '503']),
    )
    expect(Object.keys(submit.responses['202'].headers)).toEqual(
      expect.arrayContaining(['Location', 'Retry-After', 'Idempotent-Replayed']),
    )
    const latest = of('connectorGeneratorGetDiscoveryBySessionIdDiscovery')
    expect(latest.parameters.map(({ name, in: place, required }: any) => [name, place, required])).toEqual([
      ['sessionId', 'path', true],
      ['jobId', 'query', false],
    ])
    expect(latest.requestBody).toBeUndefined()
    expect(of('everythingSubmitEBySJobs').requestBody.content['application/json'].schema).toEqual({
      type: 'object',
      properties: { url: {} },
    })
    // What the facade answers in its own form is not shown as a problem.
    const { responses } = of('everythingGetEJobsById')
    expect(JSON.stringify(responses)).not.toContain('#/components/examples/unauthenticated')
    expect(Object.keys(responses[403].content)).toEqual(['application/json', 'application/problem+json'])
    expect(responses[401]).toBeUndefined()
    expect(JSON.stringify(of('morpheusGetApiV1AnalysisStatusByJobId').responses[404])).not.toContain('problem+json')
  })

  test('says which members may be missing, and which words there are', async () => {
    const { ours } = await opened()
    const { responses } = ours.find(({ operationId }) => operationId.startsWith('connectorGeneratorGet'))
    const [job, missing] = responses[200].content['application/json'].schema.anyOf
    expect(Object.keys(job.properties)).toEqual([
      ...['jobId', 'status', 'createdAt', 'startedAt', 'updatedAt', 'progress', 'result', 'errors'],
    ])
    expect(job.required).toEqual(['jobId', 'status', 'createdAt', 'updatedAt'])
    expect(job.properties.status).toEqual({ enum: ['queued', 'running', 'finished', 'failed'] })
    expect(missing.properties.status).toEqual({ const: 'not_found' })
  })
})

describe('what a facade says of itself', () => {
  const INPUT = { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', required: ['url'] }
  const RESULT = { type: 'object', properties: { score: { type: 'number' } }, required: ['score'] }
  const TALKING: Facade = {
    ...MORPHEUS,
    description: 'Submit, ask, read.',
    time: 'unixSeconds',
    routes: [
      { ...MORPHEUS.routes[0]!, description: 'Give us **work**.', requestSchema: INPUT } as Facade['routes'][number],
      {
        ...{ op: 'get', method: 'GET', path: '/status/{jobId}', jobId: '$req.params.jobId', resultSchema: RESULT },
        respond: { jobId: '$job.id', result: '$job.result' },
      },
      {
        ...{ op: 'result', method: 'GET', path: '/result/{jobId}', jobId: '$req.params.jobId', resultSchema: RESULT },
        notReady: { code: 409, body: { result: '$job.result' } },
      },
    ],
  }

  test('stands in the document: the flow at its tag, each route, what goes in and what comes out', async () => {
    const api = await open([TALKING])
    const document: any = await api.read('/openapi.json')
    const { valid } = await new Validator().validate(structuredClone(document))
    expect(valid).toBe(true)
    expect(document.tags.at(-1)).toEqual({ name: 'Facade morpheus', description: 'Submit, ask, read.' })
    const { post } = document.paths['/api/v1/analysis']
    expect(post.description).toMatch(/^Give us \*\*work\*\*\.\n\nA job of type `analysis`, stored durably/)
    expect(post.requestBody.content['application/json'].schema).toEqual({ type: 'object', required: ['url'] })
    const of = (path: string, status: number) =>
      document.paths[path].get.responses[status].content['application/json'].schema
    // It may not be there yet; at the address of the result it is.
    expect(of('/status/{jobId}', 200)).toMatchObject({ properties: { result: RESULT }, required: ['jobId'] })
    expect(of('/result/{jobId}', 200)).toEqual(RESULT)
    expect(of('/result/{jobId}', 409).properties.result).not.toMatchObject(RESULT)
  })

  test('answers may be problems of its own, beside those of the server', async () => {
    const [submit, get, result] = MORPHEUS.routes
    const own = (code: string) => ({ type: 'about:blank', code, fix: 'Look again.' })
    const type = 'application/problem+json'
    const api = await open([
      {
        ...MORPHEUS,
        notFound: { code: 404, contentType: type, body: { ...own('no-such-analysis'), detail: '$problem.detail' } },
        routes: [
          ...[submit!, get!],
          { ...result!, failed: undefined, notReady: { code: 409, contentType: type, body: own('not-yet') } } as never,
        ],
      },
    ])
    const missing = await api.get('/api/v1/analysis/status/x')
    expect([missing.status, missing.headers.get('content-type')]).toEqual([404, type])
    expect(await missing.json()).toEqual({ ...own('no-such-analysis'), detail: 'There is no job x.' })
    const { jobId } = (await (await api.post('/api/v1/analysis', { url: 'https://a.example' })).json()) as any
    const early = await api.get(`/api/v1/analysis/result/${jobId}`)
    expect([early.status, early.headers.get('content-type'), await early.json()]).toEqual([409, type, own('not-yet')])
    const document: any = await api.read('/openapi.json')
    expect((await new Validator().validate(structuredClone(document))).valid).toBe(true)
    const responses = document.paths['/api/v1/analysis/result/{jobId}'].get.responses
    expect(Object.keys(responses[404].content)).toEqual([type])
    // Not ready is said in its own form, failed in ours.
    expect(responses[409].content[type].schema.anyOf).toHaveLength(2)
    expect(responses[409].content[type].schema.anyOf[1]).toEqual({ $ref: '#/components/schemas/Problem' })
  })

  test('judges nothing: that is for the job type', async () => {
    const strict = { ...TALKING.routes[0]!, requestSchema: { type: 'object', required: ['more'] } } as never
    const api = await open([{ ...TALKING, routes: [strict] }])
    expect((await api.post('/api/v1/analysis', { url: 'https://a.example' })).status).toBe(202)
  })
})

describe('answers', () => {
  /** Asks, and judges the answer by the document. */
  function judge({ api, document, ours }: Awaited<ReturnType<typeof opened>>) {
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    ajv.addSchema({ $id: 'doc', ...document })
    return async (method: string, path: string, template: string, body?: unknown) => {
      const answer = await api.send(method, path, body)
      const operation = ours.find((one) => one.path === template && one.method === method.toLowerCase())
      const type = answer.headers.get('content-type')!
      const said = operation.responses[answer.status]
      const response = said?.$ref ? document.components.responses[said.$ref.split('/').at(-1)] : said
      const schema = response?.content[type]?.schema
      expect(schema, `${method} ${path}: ${answer.status} ${type}`).toBeDefined()
      const value = await answer.json()
      const check = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/')))
      expect(check(value) ? null : `${ajv.errorsText(check.errors)}: ${JSON.stringify(value)}`).toBeNull()
      return value as any
    }
  }
  const end = async ({ rig, attempt }: OldApis, how: (one: Awaited<ReturnType<OldApis['attempt']>>) => void) => {
    how(await attempt())
    await rig.settle()
  }

  test('are what it says, in every state of a job', async () => {
    const all = await opened()
    const ask = judge(all)
    const { api } = all
    const jobs: string[] = []
    for (let i = 0; i < 3; i++)
      jobs.push((await ask('PUT', '/e/g/jobs', '/e/{s}/jobs', { url: 'https://a.example' })).id)
    const look = async () => {
      for (const id of [...jobs, 'none']) {
        await ask('GET', `/e/jobs/${id}`, '/e/jobs/{id}')
        await ask('GET', `/e/jobs/${id}/result`, '/e/jobs/{id}/result')
        await ask('POST', '/e/jobs', '/e/jobs', { id })
        await ask('GET', `/api/v1/analysis/status/${id}`, '/api/v1/analysis/status/{jobId}')
        await ask('GET', `/api/v1/analysis/result/${id}`, '/api/v1/analysis/result/{jobId}')
      }
      await ask('GET', '/e/g/jobs', '/e/{s}/jobs')
      await ask('GET', '/session/g/jobs', '/session/{sessionId}/jobs')
    }
    await look()
    ;(await api.attempt()).job.progress('p', { message: 'm', completed: 1, total: 2, iterations: { completed: 1 } })
    await api.rig.advance(1)
    await look()
    await end(api, ({ finish }) => finish({ a: [1] }))
    await end(api, ({ fail }) => fail(new Permanent('No.')))
    await api.rig.engine.cancel(LOCAL, jobs[2]!, {})
    await api.rig.settle()
    await look()
    await ask('DELETE', `/e/jobs/${jobs[2]}`, '/e/jobs/{id}')
    await ask('DELETE', `/e/jobs/${jobs[0]}`, '/e/jobs/{id}')
    await api.rig.advance('12m')
    await look()
  })

  test('of the connector generator too', async () => {
    const all = await opened()
    const ask = judge(all)
    const [address, template] = ['/discovery/s/discovery', '/discovery/{sessionId}/discovery']
    await ask('GET', address, template)
    await ask('POST', address, template, {})
    const { jobId } = await ask('POST', address, template, { application: 'a' })
    await ask('GET', address, template)
    const { job } = await all.api.attempt()
    job.progress('processing', { message: 'm', iterations: { completed: 1, total: 2 } })
    await all.api.rig.advance(1)
    await ask('GET', `${address}?jobId=${jobId}`, template)
    await end(all.api, ({ finish }) => finish({ a: 1 }))
    await ask('GET', address, template)
    await ask('POST', address, template, { application: 'b' })
    await end(all.api, ({ fail }) => fail(new Permanent('a\nb')))
    await ask('GET', address, template)
    await ask('GET', '/session/s/jobs', '/session/{sessionId}/jobs')
  })
})
