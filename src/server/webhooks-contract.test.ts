/** Webhooks over HTTP with the real engine behind them; what is sent is caught before the network. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WireDelivery, WireJob, WireWebhook } from '../core/index.js'
import { defineJob, Permanent, until } from '../define/index.js'
import { type Caller, LOCAL } from '../engine/api.js'
import { createTestRig } from '../testing/index.js'
import { createServer } from './index.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'
import { webhookRoutes } from './routes/webhooks.js'

const greet = defineJob('greet', { input: z.object({ name: z.string() }), approvals: { hail: z.object({}) } })
const greeting = greet.handler({ retry: until({ attempts: 1 }) }, async (job) => {
  if (job.input.name === 'Nobody') throw new Permanent('Nobody is not a name.', { code: 'no-name' })
  if (job.input.name === 'Caesar')
    await job.approve('hail', {
      ...{ summary: 'Hail Caesar', because: 'He is here.', data: {}, rollback: 'Say nothing' },
      writes: [{ target: 'forum', change: { text: { now: null, after: 'Hail' } } }],
      evidence: [{ label: 'Calendar', quote: 'the Ides of March' }],
      impact: { description: 'People hear it', visibility: 'public' },
    })
  return { text: `Hello ${job.input.name}` }
})

const URL_A = 'https://a.example.com/hook'
const OTHER: Caller = { ...LOCAL, tenant: 'other' }
const SUBMITTER: Caller = { ...LOCAL, actor: { kind: 'apiKey', id: 'k', name: 'crm' }, scopes: ['jobs:submit'] }
const CALLERS: Record<string, Caller> = { other: OTHER, submitter: SUBMITTER }

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function running() {
  const got: { url: string; body: any }[] = []
  const answer = { status: 200 }
  const rig = await createTestRig([greeting], {
    webhooks: {
      post: async ({ url, body }) => {
        got.push({ url, body: JSON.parse(body) })
        const { status } = answer
        return {
          ...{ delivered: status < 300, status, failure: null, message: null, fix: null, detail: null },
          ...{ durationMs: 3, retryAfterMs: null, bodyStart: '' },
        }
      },
    },
  })
  cleanups.push(() => rig.close())
  const server = createServer(rig.engine, {
    authenticate: async (request) => CALLERS[request.headers.get('x-who') ?? ''] ?? LOCAL,
  })
  cleanups.push(() => server.close())
  const send = (method: string, path: string, body?: unknown, who = '') =>
    server.fetch(
      new Request(`http://localhost${path}`, {
        method,
        headers: { 'x-who': who, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
    )
  const json = async <T>(method: string, path: string, body?: unknown) =>
    (await (await send(method, path, body)).json()) as T
  const hook = (body: object = {}) => json<WireWebhook>('POST', '/v1/webhooks', { url: URL_A, ...body })
  const submit = (name: string, more: object = {}) =>
    json<WireJob>('POST', '/v1/jobs', { type: 'greet', input: { name }, ...more })
  const sent = (n: number) => rig.advanceUntil(() => got.length >= n, `delivery ${n}`)
  return { rig, got, answer, send, json, hook, submit, sent }
}

const document = buildOpenapi(routes, { base: '', version: '1' }) as any
const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ $id: 'doc', ...document })
const wrongIn = (name: string, value: unknown) => {
  const check = ajv.compile({ $ref: `doc#/components/schemas/${name}` })
  return check(value) ? null : ajv.errorsText(check.errors)
}
const documented = Object.keys(document.components.schemas.WebhookEvent.properties.data.properties)

describe('what is sent', () => {
  test('is what the document says, for each kind of event', async () => {
    const { json, hook, submit, sent, got, answer, rig } = await running()
    const events = ['job.accepted', 'job.processing', 'job.completed', 'job.failed', 'job.resolved', 'webhook.disabled']
    const { id } = await hook({ events: [...events, 'approval.requested', 'approval.decided'], payload: 'full' })
    const ada = await submit('Ada', { groupId: 'g', operationKey: 'op' })
    await sent(3)
    await submit('Caesar')
    await sent(6)
    const [item] = (await json<any>('GET', '/v1/approvals')).items
    await rig.engine.approvals.decide(
      { ...LOCAL, actor: { kind: 'user', id: 'mara' }, person: { id: 'mara' } },
      item.id,
      { decision: 'reject', reason: 'Not now.', evidenceDigest: item.digest },
    )
    await sent(7)
    const failed = await submit('Nobody')
    await sent(10)
    await json('POST', `/v1/jobs/${failed.id}/resolve`, { kind: 'resolvedManually', reason: 'He has a name now.' })
    await sent(11)
    await json('POST', `/v1/webhooks/${id}/test`)
    await sent(12)
    // It is gone: another one is told.
    await hook({ url: 'https://b.example.com/', events: ['webhook.disabled'] })
    answer.status = 410
    await submit('Ada')
    await rig.advanceUntil(() => got.some(({ url }) => url.includes('b.example')), 'the notice')

    const types = new Set(got.map(({ body }) => body.type))
    expect([...types].sort()).toEqual([...events, 'approval.requested', 'approval.decided', 'webhook.ping'].sort())
    for (const { body } of got) {
      expect(wrongIn('WebhookEvent', body), body.type).toBeNull()
      expect(documented, body.type).toEqual(expect.arrayContaining(Object.keys(body.data)))
    }
    const { body } = got.find(({ body }) => body.type === 'job.completed')!
    expect(wrongIn('Job', body.data.job)).toBeNull()
    expect(body.data.job).toMatchObject({ id: ada.id, result: { text: 'Hello Ada' } })
  })

  test('goes to whom the submit names, which needs the right to', async () => {
    const { json, send, submit, sent, got } = await running()
    const { id } = await json<WireWebhook>('POST', '/v1/webhooks', { url: 'https://w.example.com/', events: [] })
    const notify = [{ webhookId: id }, { url: URL_A, events: ['job.accepted'] }]
    const job = await submit('Ada', { notify })
    await sent(2)
    expect(got.map(({ url, body }) => [url, body.type]).sort()).toEqual([
      [URL_A, 'job.accepted'],
      ['https://w.example.com/', 'job.completed'],
    ])
    const told = await json<{ items: WireDelivery[] }>('GET', `/v1/jobs/${job.id}/deliveries`)
    expect(told.items.map(({ webhookId }) => webhookId).sort()).toEqual([id, 'wh_notify'].sort())
    expect(wrongIn('DeliveryPage', told)).toBeNull()
    const all = await json<{ items: WireWebhook[] }>('GET', '/v1/webhooks')
    expect(all.items.find((one) => one.id === 'wh_notify')).toMatchObject({ url: null })
    expect(wrongIn('WebhookList', all)).toBeNull()

    const body = { type: 'greet', input: { name: 'Ada' }, notify }
    const refused = await send('POST', '/v1/jobs', body, 'submitter')
    expect([refused.status, await refused.json()]).toMatchObject([
      403,
      { code: 'forbidden', params: { requiredScope: 'webhooks:manage' } },
    ])
    expect((await send('POST', '/v1/jobs', { ...body, notify: [{ webhookId: id }] }, 'submitter')).status).toBe(202)
    const batch = await send('POST', '/v1/jobs/batch', { items: [{ ...body, notify: [{ webhookId: 'wh_x' }] }] })
    expect([batch.status, ((await batch.json()) as any).errors[0].pointer]).toEqual([
      422,
      '/items/0/notify/0/webhookId',
    ])
  })
})

describe('managing', () => {
  test('an address that may not be called is refused with its member and a fix', async () => {
    const { send } = await running()
    for (const url of [
      'https://10.0.0.1/',
      'https://localhost/',
      'ftp://a.example.com/',
      'https://u:p@a.example.com/',
    ]) {
      const answer = await send('POST', '/v1/webhooks', { url })
      const { code, errors, fix } = (await answer.json()) as any
      expect([answer.status, code, errors[0]?.pointer, fix.length > 0], url).toEqual([
        422,
        'validation-failed',
        '/url',
        true,
      ])
    }
  })

  test('answers are what the document says, from creation to the end', async () => {
    const { json, send, hook, submit, sent, answer } = await running()
    const made = await hook({ signing: 'ed25519', format: 'cloudevents', filter: { types: ['gr*'], tags: ['eu'] } })
    expect(wrongIn('Webhook', made)).toBeNull()
    expect(made.secret).toMatch(/^whsk_/)
    const path = `/v1/webhooks/${made.id}`
    const read = await json<WireWebhook>('GET', path)
    expect([wrongIn('Webhook', read), read.secret]).toEqual([null, undefined])
    expect((await send('PATCH', path, { filter: {}, ifVersion: 1 })).status).toBe(200)
    expect((await send('PATCH', path, { payload: 'full', ifVersion: 1 })).status).toBe(412)
    const rotated = await json<WireWebhook>('POST', `${path}/rotate`, { overlapMs: 60_000 })
    expect([wrongIn('Webhook', rotated), rotated.secrets.length]).toEqual([null, 2])

    answer.status = 500
    await submit('Ada')
    await sent(2)
    const page = await json<{ items: WireDelivery[]; nextCursor: null }>('GET', `${path}/deliveries?status=processing`)
    expect([wrongIn('DeliveryPage', page), page.items.length]).toEqual([null, 1])
    const one = await json<WireDelivery>('GET', page.items[0]!.links.self)
    expect([wrongIn('Delivery', one), one.tries?.[0]?.status]).toEqual([null, 500])
    const resent = await send('POST', `${one.links.self}/resend`)
    expect([resent.status, wrongIn('Delivery', await resent.json())]).toEqual([202, null])
    const failing = await json<WireWebhook>('GET', path)
    expect(failing.health).toMatchObject({
      failingSince: expect.any(String),
      lastFailure: 'The receiver answered 500.',
    })

    expect((await send('DELETE', path)).status).toBe(204)
    expect((await send('GET', path)).status).toBe(404)
  })

  test('another tenant gets 404, and not a byte of what is there', async () => {
    const { send, hook, submit, sent, rig, json } = await running()
    const canary = 'canary-5b0e7c44'
    const made = await hook({ url: `https://${canary}.example.com/`, description: canary, events: ['job.completed'] })
    const job = await submit(canary)
    await sent(1)
    const { items } = await json<{ items: WireDelivery[] }>('GET', `/v1/jobs/${job.id}/deliveries`)
    for (const { method, path } of webhookRoutes) {
      const id = path.includes('deliveries/{') ? items[0]!.id : path.includes('/jobs/') ? job.id : made.id
      const body =
        method === 'PATCH'
          ? { enabled: false }
          : path === '/v1/webhooks' && method === 'POST'
            ? { url: URL_A }
            : undefined
      const answer = await send(method, path.replace('{id}', id), body, 'other')
      if (path.includes('{id}')) expect(answer.status, `${method} ${path}`).toBe(404)
      expect(await answer.text(), `${method} ${path}`).not.toContain(canary)
    }
    const named = { type: 'greet', input: { name: 'Ada' }, notify: [{ webhookId: made.id }] }
    expect((await send('POST', '/v1/jobs', named, 'other')).status).toBe(422)
    expect((await rig.engine.webhooks.get(LOCAL, made.id)).version).toBe(1)
  })
})
