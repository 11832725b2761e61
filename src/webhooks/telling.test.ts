import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { checkWebhook } from '../core/webhook-signature.js'
import { defineJob, Permanent, until } from '../define/index.js'
import { type Caller, LOCAL } from '../engine/api.js'
import { createTestRig, type TestRig } from '../testing/index.js'
import type { WebhookOptions } from './index.js'
import type { SendResult } from './send.js'

/** Receivers by address: what each answers, and what it was sent. */
class Receivers {
  readonly got: { url: string; headers: Record<string, string>; body: any; raw: string }[] = []
  answer: (url: string, n: number) => Partial<SendResult> | Promise<Partial<SendResult>> = () => ({ status: 200 })
  readonly post: NonNullable<WebhookOptions['post']> = async ({ url, headers, body }) => {
    this.got.push({ url, headers, body: JSON.parse(body), raw: body })
    const answer = await this.answer(url, this.got.filter((one) => one.url === url).length)
    const status = answer.status === undefined ? 200 : answer.status
    return {
      delivered: status !== null && status >= 200 && status < 300,
      ...{ status, failure: null, message: null, fix: null, detail: null },
      ...{ durationMs: 3, retryAfterMs: null, bodyStart: '' },
      ...answer,
    }
  }
  at(url: string) {
    return this.got.filter((one) => one.url === url)
  }
}

const greet = defineJob('greet', { input: z.object({ name: z.string() }), output: z.object({ text: z.string() }) })
const greeting = greet.handler({ retry: until({ attempts: 2, backoff: { from: '1s', to: '1s' } }) }, (job) => {
  if (job.input.name === 'Nobody') throw new Permanent('Nobody is not a name.', { code: 'no-name' })
  return { text: `Hello ${job.input.name}` }
})
const other = defineJob('other.thing', { input: z.object({}), output: z.object({}) }).handler(() => ({}))

const URL_A = 'https://a.example.com/hook'
const URL_B = 'https://b.example.com/hook'

let rig: TestRig
let receivers: Receivers
async function open(more: WebhookOptions = {}) {
  receivers = new Receivers()
  rig = await createTestRig([greeting, other], { webhooks: { post: receivers.post, ...more } })
  return rig
}
afterEach(async () => {
  expect(rig.errors).toEqual([])
  await rig.close()
})

const hooks = () => rig.engine.webhooks

describe('who is told', () => {
  it('hears how a job ended, once, signed, with what a receiver needs to know', async () => {
    await open()
    const made = await hooks().create(LOCAL, { url: URL_A })
    const job = await rig.submit(greet, { name: 'Ada' }, { group: 'g1', operationKey: 'op:1' })
    await rig.untilDone(job)
    await rig.advanceUntil(() => receivers.got.length === 1, 'the delivery')
    const [sent] = receivers.at(URL_A)
    expect(sent!.body).toMatchObject({
      specversion: '1.0',
      type: 'job.completed',
      source: '/v1',
      subject: `job/${job.id}`,
      data: { jobId: job.id, jobType: 'greet', status: 'completed', done: true, previousStatus: 'processing' },
    })
    expect(sent!.body.data).toMatchObject({ groupId: 'g1', operationKey: 'op:1' })
    expect(sent!.raw).not.toContain('Ada')
    expect(sent!.headers['webhook-id']).toBe(sent!.body.id)
    const checked = await checkWebhook({
      headers: sent!.headers,
      body: sent!.raw,
      keys: [made.secret!],
      toleranceMs: 60_000,
      now: rig.clock.now(),
    })
    expect(checked).toMatchObject({ ok: true })
    const events = await rig.engine.events(LOCAL, job.id, null, 10)
    expect(events.items.map(({ id }) => id)).toContain(sent!.body.id)
    await rig.advance('1h')
    expect(receivers.got).toHaveLength(1)
  })

  it('by its filter and its events', async () => {
    await open()
    await hooks().create(LOCAL, { url: URL_A, events: ['job.accepted', 'job.failed'], filter: { types: ['gr*'] } })
    await hooks().create(LOCAL, { url: URL_B, filter: { tags: ['eu'], groupId: 'g1' } })
    const failed = await rig.submit(greet, { name: 'Nobody' })
    const eu = await rig.submit(other.definition as never, {}, { tags: ['eu'], group: 'g1' })
    const us = await rig.submit(other.definition as never, {}, { tags: ['us'], group: 'g1' })
    for (const job of [failed, eu, us]) await rig.untilDone(job)
    // Signing takes real time, which moves no clock of the test.
    await rig.advanceUntil(() => receivers.got.length >= 3, 'the deliveries')
    await rig.advance('1m')
    expect(receivers.at(URL_A).map(({ body }) => [body.type, body.data.jobId])).toEqual([
      ['job.accepted', failed.id],
      ['job.failed', failed.id],
    ])
    expect(receivers.at(URL_B).map(({ body }) => [body.type, body.data.jobId])).toEqual([['job.completed', eu.id]])
  })

  it('whom the submit names, besides; each address once', async () => {
    await open({ notifyHosts: ['b.example.com'] })
    const made = await hooks().create(LOCAL, { url: URL_A })
    const silent = await hooks().create(LOCAL, { url: 'https://c.example.com/', events: [] })
    const notify = [
      { webhookId: made.id },
      { webhookId: silent.id, events: ['job.processing' as const] },
      { url: URL_B },
    ]
    const job = await rig.submit(greet, { name: 'Ada' }, { notify })
    await rig.untilDone(job)
    await rig.advance('1m')
    expect(receivers.got.map(({ url, body }) => [url, body.type]).sort()).toEqual([
      [URL_A, 'job.completed'],
      [URL_B, 'job.completed'],
      ['https://c.example.com/', 'job.processing'],
    ])
    const signer = await hooks().rotate(LOCAL, 'wh_notify', 0)
    expect(signer.secret).toMatch(/^whsec_/)
  })

  it('a job names whom it tells where nobody else has a webhook', async () => {
    await open()
    const job = await rig.submit(greet, { name: 'Ada' }, { notify: [{ url: URL_B }] })
    const quiet = await rig.submit(greet, { name: 'Eve' })
    await rig.untilDone(job)
    await rig.untilDone(quiet)
    await rig.advance('1m')
    expect(receivers.got.map(({ url, body }) => [url, body.data.jobId])).toEqual([[URL_B, job.id]])
  })

  it('full: the job with its result', async () => {
    await open()
    await hooks().create(LOCAL, { url: URL_A, payload: 'full', format: 'cloudevents', signing: 'ed25519' })
    const job = await rig.submit(greet, { name: 'Ada' })
    await rig.untilDone(job)
    await rig.advance('1m')
    const [sent] = receivers.got
    expect(sent!.body.data.job).toMatchObject({ id: job.id, status: 'completed', result: { text: 'Hello Ada' } })
    expect(sent!.headers['content-type']).toBe('application/cloudevents+json; charset=utf-8')
    expect(sent!.headers['webhook-signature']).toMatch(/^v1a,/)
  })
})

describe('a receiver that does not answer', () => {
  it('is tried after 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, under one id, signed anew', async () => {
    await open()
    await hooks().create(LOCAL, { url: URL_A })
    receivers.answer = () => ({ status: 500 })
    const job = await rig.submit(greet, { name: 'Ada' })
    await rig.untilDone(job)
    const begun = rig.clock.now()
    await rig.advance('5d')
    const sent = receivers.at(URL_A)
    expect(sent).toHaveLength(10)
    expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    const at = sent.map(({ headers }) => Number(headers['webhook-timestamp']) * 1000 - begun)
    const hours = [0, 5, 5 * 60, 30 * 60, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    let least = 0
    let most = 0
    for (const [i, s] of hours.entries()) {
      least += s * 1000
      most += s * 1200
      expect(at[i], `try ${i + 1}`).toBeGreaterThanOrEqual(least - 2000)
      expect(at[i], `try ${i + 1}`).toBeLessThanOrEqual(most + 20_000)
    }
    const { items } = await hooks().deliveries(LOCAL, { jobId: job.id })
    expect(items).toHaveLength(1)
    expect(items[0]).toMatchObject({ status: 'failed', attempts: 10, lastStatus: 500, eventType: 'job.completed' })
    const whole = await hooks().delivery(LOCAL, items[0]!.id)
    expect(whole.tries!.map(({ status, outcome }) => [status, outcome])).toEqual(Array(10).fill([500, 'failed']))
  })

  it('gets it when it returns after a day', async () => {
    await open()
    await hooks().create(LOCAL, { url: URL_A })
    const failure = { status: null, failure: 'connect', message: 'Nobody answers there.' } as const
    receivers.answer = () => failure
    const job = await rig.submit(greet, { name: 'Ada' })
    await rig.untilDone(job)
    await rig.advance('1d')
    receivers.answer = () => ({ status: 204 })
    const before = receivers.got.length
    await rig.advance('1d')
    expect(receivers.got.length).toBe(before + 1)
    const { items } = await hooks().deliveries(LOCAL, { jobId: job.id })
    const told = await hooks().delivery(LOCAL, items[0]!.id)
    expect(told).toMatchObject({ status: 'completed', done: true, lastStatus: 204, lastError: null })
    expect(told.tries!.at(0)).toMatchObject({
      outcome: 'failed',
      status: null,
      error: { message: 'Nobody answers there.' },
    })
    expect(told.tries!.at(-1)).toMatchObject({ outcome: 'delivered', status: 204 })
  })

  it('says when to come back', async () => {
    await open()
    await hooks().create(LOCAL, { url: URL_A })
    receivers.answer = (_, n) => (n === 1 ? { status: 503, retryAfterMs: 3_600_000 } : { status: 200 })
    await rig.untilDone(await rig.submit(greet, { name: 'Ada' }))
    await rig.advance('59m')
    expect(receivers.got).toHaveLength(1)
    await rig.advance('2m')
    expect(receivers.got).toHaveLength(2)
  })

  it('410 disables it, and others are told', async () => {
    await open()
    const made = await hooks().create(LOCAL, { url: URL_A })
    await hooks().create(LOCAL, { url: URL_B, events: ['webhook.disabled'] })
    receivers.answer = (url) => ({ status: url === URL_A ? 410 : 200 })
    await rig.untilDone(await rig.submit(greet, { name: 'Ada' }))
    await rig.advance('1m')
    expect(await hooks().get(LOCAL, made.id)).toMatchObject({ enabled: false, disabled: { why: 'gone' } })
    expect(receivers.at(URL_B).map(({ body }) => body.data)).toEqual([
      expect.objectContaining({ webhookId: made.id, why: 'gone' }),
    ])
    await rig.untilDone(await rig.submit(greet, { name: 'Eve' }))
    await rig.advance('10d')
    expect(receivers.at(URL_A)).toHaveLength(1)
  })

  it('is disabled after five days of nothing but failures; enabling it forgets them', async () => {
    await open()
    const made = await hooks().create(LOCAL, { url: URL_A })
    receivers.answer = () => ({ status: 500 })
    for (let day = 0; day < 5; day++) {
      await rig.untilDone(await rig.submit(greet, { name: 'Ada' }))
      await rig.advance('1d')
      if (day === 3) expect(await hooks().get(LOCAL, made.id)).toMatchObject({ enabled: true })
    }
    await rig.untilDone(await rig.submit(greet, { name: 'Ada' }))
    await rig.advanceUntil(async () => !(await hooks().get(LOCAL, made.id)).enabled, 'its end')
    const disabled = await hooks().get(LOCAL, made.id)
    expect(disabled).toMatchObject({ enabled: false, disabled: { why: 'failing' } })
    expect(disabled.disabled!.message).toContain('500')
    receivers.answer = () => ({ status: 200 })
    const enabled = await hooks().update(LOCAL, made.id, { enabled: true })
    expect(enabled).toMatchObject({ enabled: true, disabled: null, health: { failingSince: null, disablesAt: null } })
    const count = receivers.got.length
    await rig.untilDone(await rig.submit(greet, { name: 'Ada' }))
    await rig.advance('1m')
    expect(receivers.got.length).toBeGreaterThan(count)
  })
})

describe('what people do', () => {
  it('sends again, under the same id; once more for each time it is asked for', async () => {
    await open()
    await hooks().create(LOCAL, { url: URL_A })
    const job = await rig.submit(greet, { name: 'Ada' })
    await rig.untilDone(job)
    await rig.advance('1m')
    const [first] = (await hooks().deliveries(LOCAL, { jobId: job.id })).items
    const again = await hooks().resend(LOCAL, first!.id)
    expect(again).toMatchObject({ resendOf: first!.id, eventId: first!.eventId })
    await rig.advance('1m')
    await hooks().resend(LOCAL, first!.id)
    await rig.advance('1m')
    expect(receivers.got).toHaveLength(3)
    expect(new Set(receivers.got.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect((await hooks().deliveries(LOCAL, { jobId: job.id })).items).toHaveLength(3)
  })

  it('asks for the next try now, while it waits for it', async () => {
    await open()
    await hooks().create(LOCAL, { url: URL_A })
    receivers.answer = (_, n) => ({ status: n < 4 ? 500 : 200 })
    const job = await rig.submit(greet, { name: 'Ada' })
    await rig.untilDone(job)
    await rig.advance('10m')
    const [waiting] = (await hooks().deliveries(LOCAL, { jobId: job.id })).items
    expect(waiting).toMatchObject({ status: 'processing', attempts: 3 })
    await hooks().resend(LOCAL, waiting!.id)
    await rig.advance('1m')
    expect(await hooks().delivery(LOCAL, waiting!.id)).toMatchObject({ status: 'completed', attempts: 4 })
  })

  it('tries it out, disabled or not', async () => {
    await open()
    const made = await hooks().create(LOCAL, { url: URL_A, enabled: false })
    const sent = await hooks().test(LOCAL, made.id)
    expect(sent).toMatchObject({ eventType: 'webhook.ping', jobId: null, webhookId: made.id })
    await rig.advance('1m')
    expect(receivers.got.map(({ body }) => body.type)).toEqual(['webhook.ping'])
  })

  it('rotates the secret: both sign for a day, then the new one alone', async () => {
    await open()
    const made = await hooks().create(LOCAL, { url: URL_A })
    const turned = await hooks().rotate(LOCAL, made.id)
    expect(turned.secrets).toHaveLength(2)
    const verify = async (secret: string) => {
      const { headers, raw } = receivers.got.at(-1)!
      const now = Number(headers['webhook-timestamp']) * 1000
      return (await checkWebhook({ headers, body: raw, keys: [secret], toleranceMs: 1000, now })).ok
    }
    await hooks().test(LOCAL, made.id)
    await rig.advanceUntil(() => receivers.got.length === 1)
    expect([await verify(made.secret!), await verify(turned.secret!)]).toEqual([true, true])
    await rig.advance('25h')
    await hooks().test(LOCAL, made.id)
    await rig.advanceUntil(() => receivers.got.length === 2)
    expect([await verify(made.secret!), await verify(turned.secret!)]).toEqual([false, true])
  })

  it('removes it: what is under way ends at its next try, and says why', async () => {
    await open()
    const made = await hooks().create(LOCAL, { url: URL_A })
    receivers.answer = () => ({ status: 500 })
    const job = await rig.submit(greet, { name: 'Ada' })
    await rig.untilDone(job)
    await rig.advance('1m')
    await hooks().remove(LOCAL, made.id)
    await rig.advance('10m')
    expect(receivers.got).toHaveLength(2)
    const [last] = (await hooks().deliveries(LOCAL, { jobId: job.id })).items
    expect(last).toMatchObject({ status: 'failed', lastError: expect.stringContaining('removed') })
  })

  it('of another tenant: there is no such webhook, and no such delivery', async () => {
    await open()
    const stranger: Caller = { ...LOCAL, tenant: 'other', actor: { kind: 'user', id: 'eve' } }
    const made = await hooks().create(LOCAL, { url: URL_A })
    const job = await rig.submit(greet, { name: 'Ada' })
    await rig.untilDone(job)
    await rig.advance('1m')
    const [one] = (await hooks().deliveries(LOCAL, { webhookId: made.id })).items
    const asked: (() => Promise<unknown>)[] = [
      () => hooks().get(stranger, made.id),
      () => hooks().update(stranger, made.id, { enabled: false }),
      () => hooks().remove(stranger, made.id),
      () => hooks().rotate(stranger, made.id),
      () => hooks().test(stranger, made.id),
      () => hooks().deliveries(stranger, { webhookId: made.id }),
      () => hooks().deliveries(stranger, { jobId: job.id }),
      () => hooks().delivery(stranger, one!.id),
      () => hooks().resend(stranger, one!.id),
    ]
    for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code: expect.stringMatching(/not-found$/) })
    expect(await hooks().list(stranger)).toEqual([])
    await expect(rig.engine.get(LOCAL, one!.id)).rejects.toMatchObject({ code: 'job-not-found' })
    const jobs = await rig.engine.list(LOCAL, { limit: 200 })
    expect(jobs.items.map(({ id }) => id)).toEqual([job.id])
  })

  it('refuses what cannot be', async () => {
    await open()
    const create = (body: object) => hooks().create(LOCAL, { url: URL_A, ...body })
    await expect(create({ url: 'https://127.0.0.1/' })).rejects.toMatchObject({ code: 'validation-failed' })
    await expect(create({ url: 'http://a.example.com/' })).rejects.toMatchObject({ code: 'validation-failed' })
    await expect(create({ events: ['job.started'] })).rejects.toMatchObject({ code: 'validation-failed' })
    await expect(create({ filter: { types: [] } })).rejects.toMatchObject({ code: 'validation-failed' })
    const weak: Caller = { ...LOCAL, scopes: ['jobs:submit', 'jobs:read', 'jobs:operate'] }
    await expect(hooks().create(weak, { url: URL_A })).rejects.toMatchObject({ code: 'forbidden' })
    const body = { type: 'greet', input: { name: 'Ada' } }
    const submit = (notify: object[]) => rig.engine.submit(weak, { ...body, notify } as never, null)
    await expect(submit([{ url: URL_B }])).rejects.toMatchObject({ code: 'forbidden' })
    await expect(submit([{ url: URL_B, webhookId: 'x' }])).rejects.toMatchObject({ code: 'validation-failed' })
    await expect(submit([{ webhookId: 'wh_none' }])).rejects.toMatchObject({ code: 'validation-failed' })
    for (let i = 0; i < 50; i++) await create({})
    await expect(create({})).rejects.toMatchObject({ code: 'quota-exceeded' })
  })
})

describe('a process that dies', () => {
  const points = (['claim', 'move', 'tell'] as const).flatMap((op) =>
    (['before', 'after'] as const).flatMap((when) => [1, 2, 3].map((nth) => ({ op, when, nth }))),
  )

  it.each(points)('$when $op, the $nth: the end is told under one id, at least once', async (point) => {
    await open()
    await hooks().create(LOCAL, { url: URL_A })
    const first = await rig.submit(greet, { name: 'Ada' })
    const second = await rig.submit(greet, { name: 'Nobody' })
    const jobs = [first.id, second.id]
    let died = false
    const dying = rig.crashAt(point).then(() => {
      died = true
    })
    await rig.advance('1m')
    expect(died || point.nth > 1).toBe(true)
    if (!died) await rig.crash()
    await dying
    await rig.restart()
    const late = await rig.submit(greet, { name: 'Eve' })
    await rig.advance('1h')
    for (const id of [...jobs, late.id]) {
      const told = receivers.got.filter(({ body }) => body.data.jobId === id)
      expect(told.length).toBeGreaterThanOrEqual(1)
      expect(new Set(told.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
      const { items } = await hooks().deliveries(LOCAL, { jobId: id })
      expect(items.map(({ status }) => status)).toEqual(['completed'])
    }
  })
})
