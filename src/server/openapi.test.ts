import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type { z } from 'zod'
import {
  PROBLEMS,
  STATUSES,
  type WireApiKey,
  type WireApproval,
  type WireApprovalDecision,
  type WireApprovalItem,
  type WireAttempt,
  type WireAuditCheck,
  type WireAuditEntry,
  type WireBulkPlan,
  type WireDecision,
  type WireEvent,
  type WireFile,
  type WireGroup,
  type WireGroupCancel,
  type WireHistoryEntry,
  type WireJob,
  type WireJobType,
  type WireLog,
  type WireProblem,
  type WireQueue,
  type WireReplayPlan,
  type WireSchedule,
  type WireStep,
  type WireStory,
  type WireTypeStory,
} from '../core/index.js'
import { GREET, harness } from './fakes/harness.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'
import type { components } from './schemas/index.js'

type Operation = {
  operationId: string
  tags: string[]
  summary: string
  description: string
  parameters: any[]
  responses: Record<string, any>
  security?: unknown[]
}
const document = buildOpenapi(routes, { base: '', version: '1.2.3' }) as any
const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, path, operation })),
)

describe('the document', () => {
  test('is valid OpenAPI 3.1, and every reference leads somewhere', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(JSON.parse(JSON.stringify(document)))
    expect(errors).toBeUndefined()
    expect(valid).toBe(true)
    expect(validator.version).toBe('3.1')
    const refs = JSON.stringify(document).match(/"\$ref":"[^"]+"/g)!
    for (const ref of new Set(refs)) {
      const path = ref.slice('"$ref":"#/'.length, -1).split('/')
      expect(
        path.reduce<any>((at, part) => at?.[part], document),
        ref,
      ).toBeDefined()
    }
  })

  test('describes exactly what is served', () => {
    const { server } = harness()
    const served = server.app.routes.map((route) => `${route.method} ${route.path.replace(/:(\w+)/g, '{$1}')}`)
    expect(operations.map(({ name }) => name).sort()).toEqual(served.sort())
  })

  test('every operation has a name of its own, words, and parameters for its path', () => {
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length)
    for (const { name, path, operation } of operations) {
      expect(operation.summary.length, name).toBeGreaterThan(5)
      expect(operation.description.length, name).toBeGreaterThan(10)
      const inPath = operation.parameters
        .filter((parameter) => parameter.in === 'path')
        .map((parameter) => parameter.name)
      expect(inPath, name).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]))
    }
  })

  test('every operation behind a key says 401 and 403, and each problem shows its code', () => {
    for (const { name, operation } of operations) {
      const open = operation.security?.length === 0
      expect('401' in operation.responses && '403' in operation.responses, name).toBe(!open)
      for (const [status, response] of Object.entries(operation.responses)) {
        const group = response.$ref?.slice('#/components/responses/'.length)
        const refusal = group === undefined ? response : document.components.responses[group]
        const examples = refusal.content?.['application/problem+json']?.examples ?? {}
        if (group !== undefined) expect(Object.keys(examples).join('.'), name).toBe(group)
        for (const code of Object.keys(examples))
          expect(PROBLEMS[code as keyof typeof PROBLEMS].status).toBe(Number(status))
      }
    }
  })

  test('explains the asynchronous flow before anything else', () => {
    const { description } = document.info as { description: string }
    for (const word of ['202', 'Idempotency-Key', 'Retry-After', 'events/stream', '/result', ...STATUSES])
      expect(description).toContain(word)
  })

  test('is served with a tag, and says where it is mounted', async () => {
    const { get } = harness({ basePath: '/background' })
    const answer = await get('/background/openapi.json')
    expect(await answer.json()).toMatchObject({
      openapi: '3.1.1',
      info: { version: '1.2.3' },
      servers: [{ url: '/background' }],
    })
    expect((await get('/background/openapi.json', { 'if-none-match': answer.headers.get('etag')! })).status).toBe(304)
  })

  test('is not so large that nobody reads it', () => {
    expect(JSON.stringify(document).length / operations.length).toBeLessThan(6500)
  })
})

describe('the schemas', () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'doc', ...document })
  const valid = (name: string, value: unknown) => {
    const check = ajv.compile({ $ref: `doc#/components/schemas/${name}` })
    return check(value) ? null : ajv.errorsText(check.errors)
  }

  test('describe what is answered', async () => {
    const { get, post, job, engine } = harness()
    const id = await job()
    engine.change(id, { status: 'completed' }, { text: 'Hello' })
    expect(valid('Job', await (await get(`/v1/jobs/${id}?include=input,ops,steps`)).json())).toBeNull()
    expect(valid('JobPage', await (await get('/v1/jobs')).json())).toBeNull()
    expect(valid('EventPage', await (await get(`/v1/jobs/${id}/events`)).json())).toBeNull()
    expect(valid('JobTypeList', await (await get('/v1/job-types')).json())).toBeNull()
    expect(valid('QueueList', await (await get('/v1/queues')).json())).toBeNull()
    expect(valid('WhoAmI', await (await get('/v1/whoami')).json())).toBeNull()
    expect(valid('Problem', await (await get('/v1/jobs/none')).json())).toBeNull()
    expect(valid('TypeStory', await (await get('/v1/job-types/greet/story')).json())).toBeNull()
    expect(valid('Story', await (await get(`/v1/jobs/${id}/story`)).json())).toBeNull()
    expect(valid('BatchAnswer', await (await post('/v1/jobs/batch', { items: [GREET] })).json())).toBeNull()
    expect(valid('ApiKey', await (await post('/v1/api-keys', { name: 'k', scopes: ['admin'] })).json())).toBeNull()
  })

  test('refuse what the server refuses', () => {
    expect(valid('SubmitRequest', GREET)).toBeNull()
    expect(valid('SubmitRequest', { ...GREET, prio: 1 })).toContain('additional')
    expect(valid('SubmitRequest', { ...GREET, priority: 101 })).toContain('100')
    expect(valid('Job', {})).toContain('required')
  })

  test('are the types of the wire', () => {
    type Of<T extends z.ZodType> = z.infer<T>
    expectTypeOf<Of<typeof components.Job>>().toExtend<WireJob>()
    expectTypeOf<WireJob>().toExtend<Of<typeof components.Job>>()
    expectTypeOf<keyof Of<typeof components.Job>>().toEqualTypeOf<keyof WireJob>()
    expectTypeOf<Of<typeof components.ApprovalItem>>().toEqualTypeOf<WireApprovalItem>()
    expectTypeOf<Of<typeof components.Approval>>().toExtend<WireApproval>()
    expectTypeOf<WireApproval>().toExtend<Of<typeof components.Approval>>()
    expectTypeOf<keyof Of<typeof components.Approval>>().toEqualTypeOf<keyof WireApproval>()
    expectTypeOf<Of<typeof components.ApprovalDecision>>().toEqualTypeOf<WireApprovalDecision>()
    expectTypeOf<Of<typeof components.JobEvent>>().toExtend<WireEvent>()
    expectTypeOf<keyof Of<typeof components.JobEvent>['data']>().toEqualTypeOf<keyof WireEvent['data']>()
    expectTypeOf<Of<typeof components.HistoryEntry>>().toExtend<WireHistoryEntry>()
    expectTypeOf<keyof Of<typeof components.HistoryEntry>>().toEqualTypeOf<keyof WireHistoryEntry>()
    expectTypeOf<Of<typeof components.Attempt>>().toEqualTypeOf<WireAttempt>()
    expectTypeOf<Of<typeof components.Step>>().toEqualTypeOf<WireStep>()
    expectTypeOf<Of<typeof components.Story>>().toEqualTypeOf<WireStory>()
    expectTypeOf<Of<typeof components.TypeStory>>().toEqualTypeOf<WireTypeStory>()
    expectTypeOf<Of<typeof components.LogLine>>().toEqualTypeOf<WireLog>()
    expectTypeOf<Of<typeof components.Group>>().toEqualTypeOf<WireGroup>()
    expectTypeOf<Of<typeof components.ReplayPlan>>().toEqualTypeOf<WireReplayPlan>()
    expectTypeOf<Of<typeof components.Decision>>().toEqualTypeOf<WireDecision>()
    expectTypeOf<Of<typeof components.AuditCheck>>().toExtend<WireAuditCheck>()
    expectTypeOf<WireAuditCheck>().toExtend<Of<typeof components.AuditCheck>>()
    expectTypeOf<keyof Of<typeof components.AuditEntry>>().toEqualTypeOf<keyof WireAuditEntry>()
    expectTypeOf<Of<typeof components.GroupCancelAnswer>>().toEqualTypeOf<WireGroupCancel>()
    expectTypeOf<Of<typeof components.BulkPlan>>().toEqualTypeOf<WireBulkPlan>()
    expectTypeOf<Of<typeof components.JobType>>().toEqualTypeOf<WireJobType>()
    expectTypeOf<Of<typeof components.Queue>>().toEqualTypeOf<WireQueue>()
    expectTypeOf<Of<typeof components.StoredFile>>().toEqualTypeOf<WireFile>()
    expectTypeOf<keyof Of<typeof components.ApiKey>>().toEqualTypeOf<keyof WireApiKey>()
    expectTypeOf<Of<typeof components.Schedule>>().toExtend<WireSchedule>()
    expectTypeOf<keyof Of<typeof components.Schedule>>().toEqualTypeOf<keyof WireSchedule>()
    expectTypeOf<Of<typeof components.Problem>>().toEqualTypeOf<WireProblem>()
  })
})

describe('the reference page', () => {
  test('loads nothing from elsewhere and runs no inline script', async () => {
    const { get } = harness()
    const answer = await get('/docs')
    const html = await answer.text()
    const csp = answer.headers.get('content-security-policy')!
    expect(csp).toContain("script-src 'self';")
    expect(csp).not.toContain('unsafe')
    expect(html).not.toMatch(/https?:|<script>|\son\w+=|style=/)
    const linked = [...html.matchAll(/(?:src|href)="([^"]+)"/g)]
      .map((match) => match[1]!)
      .filter((url) => url !== 'data:,')
    expect(linked).toEqual(['docs/swagger-ui.css', 'openapi.json', 'docs/swagger-ui-bundle.js', 'docs/start.js'])
    for (const url of linked) {
      const asset = await get(`/${url}`)
      expect(asset.status, url).toBe(200)
      expect((await asset.arrayBuffer()).byteLength).toBeGreaterThan(100)
      expect((await get(`/${url}`, { 'if-none-match': asset.headers.get('etag')! })).status).toBe(304)
    }
    expect((await get('/docs/start.js')).headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect(await (await get('/docs/start.js')).text()).toContain('validatorUrl: null')
  })
})
