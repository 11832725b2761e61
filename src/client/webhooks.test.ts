import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import type { WireDelivery, WireWebhook } from '../core/wire-webhook.js'
import { fakeClock, problem, sendJson, startFakeServer } from './fake-server.mjs'
import { createClient } from './index.js'

let fake: Awaited<ReturnType<typeof startFakeServer>>
const client = () => createClient({ url: fake.url, clock: fakeClock() })
const sent = () => fake.requests.map(({ method, path, body }) => [method, path, body === '' ? null : JSON.parse(body)])
const answers = (route: string, status: number, value: unknown = {}) => {
  fake.routes[route] = (_, response) => sendJson(response, status, value)
}
beforeEach(async () => {
  fake = await startFakeServer()
})
afterEach(() => fake.close())

const URL_ = 'https://app.example/hooks'

it('creates with what was given in the words of the wire, and nothing else', async () => {
  answers('POST /v1/webhooks', 201, { id: 'wh_1', secret: 'whsec_x' })
  const { webhooks } = client()
  expect((await webhooks.create({ url: URL_ })).secret).toBe('whsec_x')
  await webhooks.create({
    ...{ url: URL_, events: ['job.failed'], filter: { types: ['ocr.*'], group: 'g', tags: ['eu'] }, payload: 'full' },
    ...{ format: 'cloudevents', signing: 'ed25519', enabled: false, description: 'desk', reason: 'why' },
  })
  expect(sent()).toEqual([
    ['POST', '/v1/webhooks', { url: URL_ }],
    [
      'POST',
      '/v1/webhooks',
      {
        ...{ url: URL_, events: ['job.failed'], filter: { types: ['ocr.*'], groupId: 'g', tags: ['eu'] } },
        ...{ payload: 'full', format: 'cloudevents', signing: 'ed25519', enabled: false, description: 'desk' },
        reason: 'why',
      },
    ],
  ])
})

it('reads, lists, changes, rotates, removes', async () => {
  answers('GET /v1/webhooks', 200, { items: [{ id: 'a' }], nextCursor: null })
  answers('GET /v1/webhooks/a%2Fb', 200, { id: 'a/b' })
  answers('PATCH /v1/webhooks/a', 200, { id: 'a' })
  answers('POST /v1/webhooks/a/rotate', 200, { id: 'a', secret: 'whsec_y' })
  answers('DELETE /v1/webhooks/a', 204)
  const { webhooks } = client()
  expect((await webhooks.list()).map(({ id }) => id)).toEqual(['a'])
  expect((await webhooks.get('a/b')).id).toBe('a/b')
  await webhooks.update('a', { filter: { group: 'h' }, description: null, ifVersion: 3 })
  expect((await webhooks.rotate('a', { overlap: '1h', reason: 'leaked' })).secret).toBe('whsec_y')
  await webhooks.rotate('a')
  await webhooks.remove('a', { reason: 'over' })
  expect(sent().slice(2)).toEqual([
    ['PATCH', '/v1/webhooks/a', { filter: { groupId: 'h' }, description: null, ifVersion: 3 }],
    ['POST', '/v1/webhooks/a/rotate', { overlapMs: 3_600_000, reason: 'leaked' }],
    ['POST', '/v1/webhooks/a/rotate', {}],
    ['DELETE', '/v1/webhooks/a', null],
  ])
  expect(fake.requests.at(-1)!.query.get('reason')).toBe('over')
  expect(() => webhooks.rotate('a', { overlap: 'long' })).toThrow(/overlap: "long"/)
})

it('goes through deliveries, of a webhook and of a job, page by page', async () => {
  fake.routes['GET /v1/webhooks/a/deliveries'] = ({ query }, response) =>
    sendJson(
      response,
      200,
      query.has('cursor') ? { items: [{ id: '2' }], nextCursor: null } : { items: [{ id: '1' }], nextCursor: 'c' },
    )
  answers('GET /v1/jobs/j/deliveries', 200, { items: [], nextCursor: null })
  const { webhooks } = client()
  const ids: string[] = []
  for await (const one of webhooks.deliveries('a', { status: ['failed', 'processing'], limit: 1 })) ids.push(one.id)
  expect(ids).toEqual(['1', '2'])
  expect(Object.fromEntries(fake.requests[1]!.query)).toEqual({ status: 'failed,processing', limit: '1', cursor: 'c' })
  expect((await webhooks.jobDeliveries('j', { cursor: 'x' }).page()).items).toEqual([])
  expect(fake.requests[2]!.query.get('cursor')).toBe('x')
})

it('tries out, reads a delivery, sends it again', async () => {
  answers('POST /v1/webhooks/a/test', 202, { id: 'd' })
  answers('GET /v1/deliveries/d', 200, { id: 'd', tries: [] })
  answers('POST /v1/deliveries/d/resend', 202, { id: 'e', resendOf: 'd' })
  const { webhooks } = client()
  expect((await webhooks.test('a')).id).toBe('d')
  expect((await webhooks.delivery('d')).tries).toEqual([])
  expect((await webhooks.resend('d')).resendOf).toBe('d')
})

it('who is told goes with a submit', async () => {
  const notify = [{ webhookId: 'wh_1' }, { url: URL_, events: ['job.failed'] }] as const
  await client().submit('greet', {}, { notify })
  expect(JSON.parse(fake.requests[0]!.body)).toEqual({ type: 'greet', input: {}, notify })
})

describe('after a lost answer', () => {
  const lost = (route: string) => fake.failOnce(route, (_, response) => void response.socket!.destroy())

  it('what made a secret, or an effect, is not sent again', async () => {
    const { webhooks } = client()
    for (const [route, act] of [
      ['POST /v1/webhooks', () => webhooks.create({ url: URL_ })],
      ['POST /v1/webhooks/a/rotate', () => webhooks.rotate('a')],
      ['PATCH /v1/webhooks/a', () => webhooks.update('a', { ifVersion: 1 })],
      ['DELETE /v1/webhooks/a', () => webhooks.remove('a')],
      ['POST /v1/deliveries/d/resend', () => webhooks.resend('d')],
    ] as const) {
      fake.requests.length = 0
      answers(route, 200)
      lost(route)
      await expect(act(), route).rejects.toMatchObject({ name: 'UntildoneConnectionError' })
      expect(fake.requests, route).toHaveLength(1)
      fake.failOnce(route, (_, response) => problem(response, 503, 'store-unavailable'))
      await act()
      expect(fake.requests, route).toHaveLength(3)
    }
  })

  it('what is harmless twice is', async () => {
    const { webhooks } = client()
    for (const [route, act] of [
      ['PATCH /v1/webhooks/a', () => webhooks.update('a', { enabled: true })],
      ['POST /v1/webhooks/a/test', () => webhooks.test('a')],
      ['GET /v1/deliveries/d', () => webhooks.delivery('d')],
    ] as const) {
      fake.requests.length = 0
      answers(route, 200)
      lost(route)
      await act()
      expect(fake.requests, route).toHaveLength(2)
    }
  })
})

it('is typed by the words of the wire', () => {
  const typed = async () => {
    const { webhooks, submit } = client()
    expectTypeOf(webhooks.create({ url: URL_ })).resolves.toEqualTypeOf<WireWebhook>()
    expectTypeOf(webhooks.test('a')).resolves.toEqualTypeOf<WireDelivery>()
    // @ts-expect-error no such event
    webhooks.create({ url: URL_, events: ['job.done'] })
    // @ts-expect-error its signing stays
    webhooks.update('a', { signing: 'hmac' })
    // @ts-expect-error names nobody
    submit('greet', {}, { notify: [{ events: ['job.failed'] }] })
  }
  expect(typed).toBeTypeOf('function')
})
