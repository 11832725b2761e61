/** Webhooks over HTTP, against a fake that sends nothing: what the wire takes, gives and refuses. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type { z } from 'zod'
import type { WireDelivery, WireWebhook } from '../core/index.js'
import { LOCAL, SCOPES, type Scope } from '../engine/api.js'
import { GREET, harness } from './fakes/harness.js'
import { buildOpenapi } from './openapi.js'
import { webhookDocs } from './openapi-webhooks.js'
import type { ServerOptions } from './options.js'
import { routes } from './routes/index.js'
import { webhookRoutes } from './routes/webhooks.js'
import type { components } from './schemas/index.js'

const URL_ = 'https://app.example/hooks'

function running(options: ServerOptions = {}) {
  const { engine, send, post, get, job } = harness(options)
  const patch = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    send('PATCH', path, { 'content-type': 'application/json', ...headers }, { body: JSON.stringify(body) })
  const hook = async (body: object = {}) =>
    (await (await post('/v1/webhooks', { url: URL_, ...body })).json()) as WireWebhook
  return { engine, webhooks: engine.webhooks, send, post, get, job, patch, hook }
}

const document = buildOpenapi(routes, { base: '', version: '1' }) as any
const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ $id: 'doc', ...document })
const wrongIn = (name: string, value: unknown) => {
  const check = ajv.compile({ $ref: `doc#/components/schemas/${name}` })
  return check(value) ? null : ajv.errorsText(check.errors)
}
const problemIn = async (answer: Response) => {
  const { code, errors } = (await answer.json()) as { code: string; errors: { pointer: string; code: string }[] }
  return { status: answer.status, code, errors: errors.map((error) => `${error.pointer} ${error.code}`) }
}

describe('/v1/webhooks', () => {
  test('created with its secret, read without, changed, rotated, deleted', async () => {
    const { post, get, patch, send, webhooks } = running()
    const created = await post('/v1/webhooks', { url: URL_, filter: { types: ['ocr.*'] }, reason: 'wanted' })
    expect([created.status, created.headers.get('location')]).toEqual([201, '/v1/webhooks/wh_1'])
    expect(created.headers.get('cache-control')).toBe('no-store')
    const { secret, ...made } = (await created.json()) as WireWebhook
    expect(secret).toBe('whsec_made1')
    expect(made).toMatchObject({
      filter: { types: ['ocr.*'] },
      events: ['job.completed', 'job.failed', 'job.cancelled'],
    })
    expect(await (await get('/v1/webhooks/wh_1')).json()).toEqual(made)
    expect(await (await get('/v1/webhooks')).json()).toEqual({ items: [made], nextCursor: null })

    const changed = await patch('/v1/webhooks/wh_1', { enabled: false, description: null, ifVersion: 1, reason: 'no' })
    expect([changed.status, await changed.json()]).toMatchObject([200, { enabled: false, version: 2 }])
    expect((await patch('/v1/webhooks/wh_1', { ifVersion: 1 })).status).toBe(412)

    const rotated = await post('/v1/webhooks/wh_1/rotate', { overlapMs: 0, reason: 'leaked' })
    expect([rotated.status, await rotated.json()]).toMatchObject([200, { id: 'wh_1', secret: 'whsec_made2' }])
    expect((await post('/v1/webhooks/wh_1/rotate')).status).toBe(200)

    expect((await send('DELETE', '/v1/webhooks/wh_1?reason=over')).status).toBe(204)
    expect(await problemIn(await get('/v1/webhooks/wh_1'))).toMatchObject({ status: 404, code: 'not-found' })
    expect(webhooks.reasons).toEqual([
      ...['create: wanted', 'update: no', 'rotate 0: leaked', 'rotate 86400000: null', 'remove: over'],
    ])
  })

  test('what the engine refuses comes back with its member', async () => {
    const { post, hook } = running()
    expect(await problemIn(await post('/v1/webhooks', { url: 'http://10.0.0.1/' }))).toEqual({
      ...{ status: 422, code: 'validation-failed', errors: ['/url address-not-allowed'] },
    })
    for (let i = 0; i < 50; i++) await hook()
    expect(await problemIn(await post('/v1/webhooks', { url: URL_ }))).toMatchObject({ code: 'quota-exceeded' })
  })

  test.each([
    [{}, '/url required'],
    [{ url: `https://a.example/${'x'.repeat(2048)}` }, '/url range'],
    [{ url: URL_, urls: [] }, '/urls unknown'],
    [{ url: URL_, description: 'x'.repeat(201) }, '/description range'],
    [{ url: URL_, events: ['job.done'] }, '/events/0 enum'],
    [{ url: URL_, events: Array(14).fill('job.failed') }, '/events range'],
    [{ url: URL_, filter: { type: 'a' } }, '/filter/type unknown'],
    [{ url: URL_, filter: { types: [] } }, '/filter/types range'],
    [{ url: URL_, filter: { types: Array(17).fill('a') } }, '/filter/types range'],
    [{ url: URL_, filter: { types: ['a b'] } }, '/filter/types/0 format'],
    [{ url: URL_, filter: { groupId: '' } }, '/filter/groupId range'],
    [{ url: URL_, filter: { tags: ['x'.repeat(65)] } }, '/filter/tags/0 range'],
    [{ url: URL_, payload: 'fat' }, '/payload enum'],
    [{ url: URL_, format: 'xml' }, '/format enum'],
    [{ url: URL_, signing: 'rsa' }, '/signing enum'],
    [{ url: URL_, enabled: 'yes' }, '/enabled type'],
  ])('%j is 422 and names the member', async (body, error) => {
    const { post, webhooks } = running()
    expect(await problemIn(await post('/v1/webhooks', body))).toEqual({
      ...{ status: 422, code: 'validation-failed', errors: [error] },
    })
    expect(webhooks.hooks.size).toBe(0)
  })

  test('a change takes neither another signing nor an unknown member', async () => {
    const { hook, patch, post } = running()
    await hook()
    expect((await problemIn(await patch('/v1/webhooks/wh_1', { signing: 'hmac' }))).errors).toEqual([
      '/signing unknown',
    ])
    expect((await problemIn(await patch('/v1/webhooks/wh_1', { ifVersion: -1 }))).errors).toEqual(['/ifVersion range'])
    expect((await problemIn(await post('/v1/webhooks/wh_1/rotate', { overlapMs: 1e12 }))).errors).toEqual([
      '/overlapMs range',
    ])
  })
})

describe('deliveries', () => {
  test('a ping is a delivery to look at', async () => {
    const { hook, post, get } = running()
    await hook()
    const answer = await post('/v1/webhooks/wh_1/test')
    const sent = (await answer.json()) as WireDelivery
    expect([answer.status, answer.headers.get('location')]).toEqual([202, `/v1/deliveries/${sent.id}`])
    expect(sent).toMatchObject({ eventType: 'webhook.ping', jobId: null, links: { job: null } })
    const read = (await (await get(sent.links.self)).json()) as WireDelivery
    expect(read.tries).toMatchObject([{ status: 500, outcome: 'failed', retryInMs: 5000 }])
    expect(wrongIn('Delivery', read)).toBeNull()
  })

  test('come newest first, by status, in pages with a link to the next', async () => {
    const { hook, webhooks, get } = running()
    const made = await hook()
    const ids = ['completed', 'failed', 'failed'].map(
      (status) => webhooks.deliver(LOCAL, made, { status: status as 'failed' }).id,
    )
    const page = await get('/v1/webhooks/wh_1/deliveries?limit=2')
    const { items, nextCursor } = (await page.json()) as { items: WireDelivery[]; nextCursor: string }
    expect([items.map(({ id }) => id), nextCursor]).toEqual([[ids[2], ids[1]], '2'])
    expect(wrongIn('DeliveryPage', { items, nextCursor })).toBeNull()
    const next = /<(.+)>; rel="next"/.exec(page.headers.get('link')!)![1]!
    expect(((await (await get(next)).json()) as any).items.map(({ id }: WireDelivery) => id)).toEqual([ids[0]])
    const failed = (await (await get('/v1/webhooks/wh_1/deliveries?status=failed')).json()) as any
    expect(failed.items).toHaveLength(2)
    expect((await get('/v1/webhooks/wh_1/deliveries?cursor=x')).status).toBe(400)
    expect((await get('/v1/webhooks/wh_1/deliveries?status=sent')).status).toBe(400)
    expect((await get('/v1/webhooks/wh_2/deliveries')).status).toBe(404)
  })

  test('of a job, whichever webhook they go to', async () => {
    const { hook, webhooks, get, job } = running()
    const id = await job()
    const [one, two] = [await hook(), await hook()]
    webhooks.deliver(LOCAL, one, { jobId: id })
    webhooks.deliver(LOCAL, two, { jobId: id })
    webhooks.deliver(LOCAL, two, {})
    const found = (await (await get(`/v1/jobs/${id}/deliveries`)).json()) as { items: WireDelivery[] }
    expect(found.items.map(({ webhookId }) => webhookId)).toEqual([two.id, one.id])
    expect(found.items[0]!.links.job).toBe(`/v1/jobs/${id}`)
    expect(await problemIn(await get('/v1/jobs/none/deliveries'))).toMatchObject({ code: 'job-not-found' })
  })

  test('are sent again as deliveries of their own', async () => {
    const { hook, webhooks, post, send } = running()
    const { id } = webhooks.deliver(LOCAL, await hook(), { status: 'failed' })
    const answer = await post(`/v1/deliveries/${id}/resend`)
    const again = (await answer.json()) as WireDelivery
    expect([answer.status, again.resendOf, answer.headers.get('location')]).toEqual([202, id, again.links.self])
    await send('DELETE', '/v1/webhooks/wh_1')
    expect(await problemIn(await post(`/v1/deliveries/${id}/resend`))).toMatchObject({ code: 'invalid-transition' })
  })
})

describe('notify', () => {
  const TARGETS = [{ webhookId: 'wh_1' }, { url: URL_, events: ['job.completed', 'approval.requested'] }]

  test('goes with a submit and with the items of a batch', async () => {
    const { post, engine } = running()
    const bodies: unknown[] = []
    const { submit, submitBatch } = engine
    engine.submit = (caller, body, key) => {
      bodies.push(body)
      return submit.call(engine, caller, body, key)
    }
    engine.submitBatch = (caller, items, key) => {
      bodies.push(...items.map(({ body }) => body))
      return submitBatch.call(engine, caller, items, key)
    }
    expect((await post('/v1/jobs', { ...GREET, notify: TARGETS })).status).toBe(202)
    expect((await post('/v1/jobs/batch', { items: [{ ...GREET, notify: TARGETS }] })).status).toBe(202)
    expect(bodies).toEqual([
      { ...GREET, notify: TARGETS },
      { ...GREET, notify: TARGETS },
    ])
    expect(wrongIn('SubmitRequest', { ...GREET, notify: TARGETS })).toBeNull()
  })

  test.each([
    [{}, '/notify type'],
    [Array(6).fill({ webhookId: 'wh_1' }), '/notify too-many'],
    [['wh_1'], '/notify/0 type'],
    [[{}], '/notify/0 required'],
    [[{ webhookId: 'wh_1', url: URL_ }], '/notify/0 required'],
    [[{ webhookId: 'wh_1', secret: 'x' }], '/notify/0/secret unknown'],
    [[{ webhookId: '' }], '/notify/0/webhookId range'],
    [[{ url: `https://a.example/${'x'.repeat(2048)}` }], '/notify/0/url range'],
    [[{ url: URL_, events: [] }], '/notify/0/events range'],
    [[{ url: URL_, events: ['job.done'] }], '/notify/0/events/0 enum'],
    [[{ url: URL_, events: 'job.failed' }], '/notify/0/events type'],
  ])('%j is refused, in a batch too', async (notify, error) => {
    const { post, engine } = running()
    expect((await problemIn(await post('/v1/jobs', { ...GREET, notify }))).errors).toEqual([error])
    const batch = await problemIn(await post('/v1/jobs/batch', { items: [{ ...GREET, notify }] }))
    expect(batch.errors).toEqual([`/items/0${error}`])
    expect(engine.jobs.size).toBe(0)
    expect(wrongIn('SubmitRequest', { ...GREET, notify })).not.toBeNull()
  })
})

describe('rights', () => {
  const url = (path: string) => path.replace(/\{\w+\}/g, 'some')
  const named = webhookRoutes.map((route) => [`${route.method} ${route.path}`, route] as const)

  test.each(named)('%s is open to webhooks:manage, and deliveries to operators', async (name, route) => {
    const forOperators = ['GET /v1/jobs/{id}/deliveries', 'GET /v1/deliveries/{id}'].includes(name)
    const open: Scope[] = ['admin', 'webhooks:manage', ...(forOperators ? (['jobs:operate'] as const) : [])]
    for (const scope of SCOPES) {
      const { send, engine } = harness()
      engine.addKey('key', [scope])
      const { status } = await send(route.method, url(route.path), { authorization: 'Bearer key' })
      expect(status === 403, scope).toBe(!open.includes(scope))
    }
  })

  test('another tenant gets 404, and nothing of what is there', async () => {
    const { engine, send } = harness()
    const mine = engine.addKey('mine', ['admin'])
    engine.callers.set('theirs', { ...engine.addKey('theirs', ['admin']), tenant: 'other' })
    const canary = 'canary-5b0e7c44'
    const made = await engine.webhooks.create(mine, {
      ...{ url: `https://${canary}.example/`, description: canary, filter: { groupId: canary } },
    })
    const { job } = await engine.submit(mine, GREET, null)
    const sent = engine.webhooks.deliver(mine, made, { jobId: job.id, lastError: canary })
    const before = JSON.stringify([...engine.webhooks.hooks, ...engine.webhooks.sent])

    for (const { method, path } of webhookRoutes) {
      const id = path.includes('deliveries/{') ? sent.id : path.includes('/jobs/') ? job.id : made.id
      const init = method === 'PATCH' ? { body: '{"enabled":false}' } : {}
      const type: Record<string, string> = method === 'PATCH' ? { 'content-type': 'application/json' } : {}
      const headers = { authorization: 'Bearer theirs', ...type }
      const answer = await send(method, path.replace('{id}', id), headers, init)
      const text = await answer.text()
      if (path.includes('{id}')) expect(answer.status, `${method} ${path}`).toBe(404)
      expect(text, `${method} ${path}`).not.toContain(canary)
    }
    expect(JSON.stringify([...engine.webhooks.hooks, ...engine.webhooks.sent])).toBe(before)
  })
})

describe('the document', () => {
  test('answers are what it says', async () => {
    const { hook, get } = running()
    expect(wrongIn('Webhook', await hook({ signing: 'ed25519', format: 'cloudevents' }))).toBeNull()
    expect(wrongIn('WebhookList', await (await get('/v1/webhooks')).json())).toBeNull()
    expect(wrongIn('Webhook', {})).toContain('required')
  })

  test('examples of requests are requests', () => {
    for (const { body } of webhookRoutes)
      for (const example of Object.values(body?.examples ?? {}))
        expect(wrongIn(body!.component as string, example), JSON.stringify(example)).toBeNull()
  })

  test('examples of what a receiver gets are events', () => {
    const { event } = document.webhooks
    const media = event.post.requestBody.content['application/json']
    expect(Object.keys(media.examples)).toEqual(['thin', 'full', 'approval', 'ping'])
    for (const [name, { value }] of Object.entries<any>(media.examples))
      expect(wrongIn('WebhookEvent', value), name).toBeNull()
    expect(wrongIn('Job', media.examples.full.value.data.job)).toBeNull()
    expect(event.post.parameters.map((one: { name: string }) => one.name)).toEqual([
      ...['webhook-id', 'webhook-timestamp', 'webhook-signature'],
    ])
    expect(webhookDocs({})).toBeDefined()
  })

  test('links stand under the mount prefix', async () => {
    const { post, get, webhooks } = running({ basePath: '/background' })
    const answer = await post('/background/v1/webhooks', { url: URL_ })
    const made = (await answer.json()) as WireWebhook
    expect([made.links, answer.headers.get('location')]).toEqual([
      { self: '/background/v1/webhooks/wh_1', deliveries: '/background/v1/webhooks/wh_1/deliveries' },
      '/background/v1/webhooks/wh_1',
    ])
    webhooks.deliver(LOCAL, made, { jobId: 'j' })
    const { items } = (await (await get(made.links.deliveries)).json()) as { items: WireDelivery[] }
    expect(items[0]!.links).toMatchObject({ webhook: '/background/v1/webhooks/wh_1', job: '/background/v1/jobs/j' })
    expect(items[0]!.links.self).toMatch(/^\/background\/v1\/deliveries\//)
  })

  test('its schemas are the types of the wire', () => {
    type Of<T extends z.ZodType> = z.infer<T>
    expectTypeOf<Of<typeof components.Webhook>>().toExtend<WireWebhook>()
    expectTypeOf<keyof Of<typeof components.Webhook>>().toEqualTypeOf<keyof WireWebhook>()
    expectTypeOf<Of<typeof components.Delivery>>().toEqualTypeOf<WireDelivery>()
  })
})
