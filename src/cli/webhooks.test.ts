import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeClock, makeJob, problem, sendJson, startFakeServer } from '../client/fake-server.mjs'
import type { WireDelivery, WireWebhook } from '../core/wire-webhook.js'
import { createContext } from './context.js'
import { fakeIo } from './fake-io.mjs'
import { run } from './program.js'
import { webhookCheck } from './webhook-check.js'

let fake: Awaited<ReturnType<typeof startFakeServer>>
beforeEach(async () => {
  fake = await startFakeServer()
})
afterEach(() => fake.close())

async function ud(line: string | string[], clock = fakeClock()) {
  const io = fakeIo({ env: { UNTILDONE_URL: fake.url } })
  const exit = await run(typeof line === 'string' ? line.split(' ') : line, io, { clock })
  expect(io.listeners(), 'listeners left behind').toBe(0)
  return { exit, out: io.stdout, err: io.stderr }
}
const answers = (route: string, value: unknown, status = 200) => {
  fake.routes[route] = (_, response) => sendJson(response, status, value)
}
const sent = () =>
  fake.requests
    .filter(({ method }) => method !== 'GET')
    .map(({ method, path, body }) => [method, path, body === '' ? null : JSON.parse(body)])

const NOW = '2026-11-22T09:00:00.000Z'
const hook = (more: Partial<WireWebhook> = {}): WireWebhook => ({
  ...{ id: 'wh_1', url: 'https://app.example/hooks', description: null, events: ['job.completed', 'job.failed'] },
  ...{
    filter: {},
    payload: 'thin',
    format: 'standard',
    signing: 'hmac',
    publicKey: null,
    enabled: true,
    disabled: null,
  },
  health: { failingSince: null, disablesAt: null, lastSuccessAt: null, lastFailureAt: null, lastFailure: null },
  secrets: [{ hint: 'whsec_…ab==', until: null }],
  createdBy: { kind: 'apiKey', id: 'key_1', name: 'ops' },
  ...{ createdAt: NOW, updatedAt: NOW, version: 1 },
  links: { self: '/v1/webhooks/wh_1', deliveries: '/v1/webhooks/wh_1/deliveries' },
  ...more,
})
const FAILING = hook({
  id: 'wh_2',
  health: {
    ...{ failingSince: '2026-11-22T07:00:00.000Z', disablesAt: '2026-11-27T07:00:00.000Z', lastSuccessAt: null },
    ...{ lastFailureAt: '2026-11-22T08:59:00.000Z', lastFailure: 'The receiver answered 500.' },
  },
})
const OFF = hook({
  ...{ id: 'wh_3', enabled: false },
  disabled: { why: 'gone', at: '2026-11-22T06:00:00.000Z', message: 'The receiver answered 410.' },
})
const SIGNER = hook({ id: 'wh_notify', url: null, events: [] })
const delivery = (more: Partial<WireDelivery> = {}): WireDelivery => ({
  ...{ id: 'd-1', webhookId: 'wh_1', url: 'https://app.example/hooks', eventId: 'job-1:3', eventType: 'job.completed' },
  ...{ jobId: 'job-1', status: 'completed', done: true, attempts: 1, nextAttemptAt: null, lastStatus: 204 },
  ...{ lastError: null, createdAt: '2026-11-22T08:59:00.000Z', finishedAt: NOW, resendOf: null },
  links: { self: '/v1/deliveries/d-1', webhook: '/v1/webhooks/wh_1', job: '/v1/jobs/job-1' },
  ...more,
})
const RETRYING = delivery({
  ...{ id: 'd-2', status: 'processing', done: false, attempts: 2, lastStatus: 500, finishedAt: null },
  ...{ lastError: 'The receiver answered 500.', nextAttemptAt: '2026-11-22T09:05:00.000Z' },
})

describe('managing', () => {
  it('lists what each hears and how it answers', async () => {
    const narrow = hook({
      ...{ id: 'wh_4', events: ['job.failed'], filter: { types: ['ocr.*'], groupId: 'g' } },
      health: { ...hook().health, lastSuccessAt: '2026-11-22T08:58:00.000Z' },
    })
    answers('GET /v1/webhooks', { items: [narrow, FAILING, OFF, SIGNER], nextCursor: null })
    expect(
      (await ud('webhooks list')).out,
    ).toBe(`ID         URL                         HEARS                       STATE
wh_4       https://app.example/hooks   job.failed, ocr.*, group g  answered 2 m ago
wh_2       https://app.example/hooks   job.completed job.failed    failing for 2 h
wh_3       https://app.example/hooks   job.completed job.failed    disabled: The receiver answered 410.
wh_notify  (addresses that jobs name)  what jobs name it for       not tried yet
`)
    answers('GET /v1/webhooks', { items: [], nextCursor: null })
    expect((await ud('webhooks list')).err).toContain('untildone webhooks add')
  })

  it('add prints the secret alone on stdout', async () => {
    answers('POST /v1/webhooks', hook({ secret: 'whsec_shown', publicKey: 'whpk_x' }), 201)
    const line =
      'webhooks add https://app.example/hooks --events job.failed,job.blocked --types ocr.* --group g --tags a,b'
    const { exit, out, err } = await ud(`${line} --payload full --description desk --signing ed25519 --disabled`)
    expect([exit, out]).toEqual([0, 'whsec_shown\n'])
    expect(err).toBe(
      'Webhook wh_1: https://app.example/hooks. The secret is shown only now: it belongs to the receiver.\n' +
        'Receivers verify with the public key: whpk_x\nTry it: untildone webhooks test wh_1\n',
    )
    await ud('webhooks add https://app.example/hooks')
    expect(sent().map(([, , body]) => body)).toEqual([
      {
        ...{
          url: 'https://app.example/hooks',
          payload: 'full',
          description: 'desk',
          signing: 'ed25519',
          enabled: false,
        },
        ...{ events: ['job.failed', 'job.blocked'], filter: { types: ['ocr.*'], groupId: 'g', tags: ['a', 'b'] } },
      },
      { url: 'https://app.example/hooks' },
    ])
  })

  it('a word that is no event is refused before anything is sent, with all that are', async () => {
    const { exit, err } = await ud('webhooks add https://app.example/hooks --events job.done')
    expect([exit, err]).toEqual([2, expect.stringContaining('"job.done" is no event')])
    expect(err).toContain('job.completed, job.failed')
    expect(fake.requests).toEqual([])
  })

  it('get says since when it fails, why, and what becomes of it', async () => {
    answers('GET /v1/webhooks/wh_2', { ...FAILING, secrets: [{ hint: 'whsec_…old=', until: NOW }, ...FAILING.secrets] })
    const { out } = await ud('webhooks get wh_2')
    expect(out).toBe(`webhook        wh_2
url            https://app.example/hooks
state          failing for 2 h
hears          job.completed job.failed
payload        thin
format         standard
signed by      whsec_…old=  signs until 2026-11-22T09:00:00.000Z
               whsec_…ab==
failing since  2026-11-22T07:00:00.000Z  (2 h ago)
is disabled    at 2026-11-27T07:00:00.000Z if that goes on
last failure   2026-11-22T08:59:00.000Z  (1 m ago)  The receiver answered 500.
made by        ops
version        1
`)
    answers('GET /v1/webhooks/wh_3', OFF)
    expect((await ud('webhooks get wh_3')).out).toContain(
      'disabled   2026-11-22T06:00:00.000Z  (3 h ago)  The receiver answered 410.',
    )
  })

  it('enables, disables, rotates, removes', async () => {
    answers('PATCH /v1/webhooks/wh_1', hook())
    answers('POST /v1/webhooks/wh_1/rotate', hook({ secret: 'whsec_new' }))
    answers('DELETE /v1/webhooks/wh_1', undefined, 204)
    expect((await ud('webhooks enable wh_1 --if-version 2')).err).toContain('deliveries wh_1 --status failed')
    await ud('webhooks disable wh_1 --reason moving')
    expect((await ud('webhooks rotate wh_1 --overlap 0s --reason leaked')).out).toBe('whsec_new\n')
    expect((await ud('webhooks remove wh_1')).err).toBe('Webhook wh_1 is removed.\n')
    expect(sent()).toEqual([
      ['PATCH', '/v1/webhooks/wh_1', { enabled: true, ifVersion: 2 }],
      ['PATCH', '/v1/webhooks/wh_1', { enabled: false, reason: 'moving' }],
      ['POST', '/v1/webhooks/wh_1/rotate', { overlapMs: 0, reason: 'leaked' }],
      ['DELETE', '/v1/webhooks/wh_1', null],
    ])
  })

  it('--json is the resource', async () => {
    for (const [line, route] of [
      ['webhooks add https://app.example/hooks', 'POST /v1/webhooks'],
      ['webhooks get wh_1', 'GET /v1/webhooks/wh_1'],
      ['webhooks enable wh_1', 'PATCH /v1/webhooks/wh_1'],
      ['webhooks rotate wh_1', 'POST /v1/webhooks/wh_1/rotate'],
    ] as const) {
      answers(route, hook({ secret: 's' }))
      const { out, err } = await ud(`${line} --json`)
      expect([JSON.parse(out).id, err], line).toEqual(['wh_1', ''])
    }
  })

  it('a key without the right is told which one makes it', async () => {
    fake.routes['GET /v1/webhooks'] = (_, response) =>
      problem(response, 403, 'forbidden', { params: { requiredScope: 'webhooks:manage' } })
    const { exit, err } = await ud('webhooks list')
    expect([exit, err]).toEqual([4, expect.stringContaining('keys create --name me --scopes webhooks:manage')])
  })
})

describe('deliveries', () => {
  it('of a webhook, with the job of each and what comes next', async () => {
    const failed = delivery({ id: 'd-3', status: 'failed', attempts: 10, lastError: 'No answer in 20 s.' })
    answers('GET /v1/webhooks/wh_1/deliveries', { items: [delivery(), RETRYING, failed], nextCursor: null })
    const { out } = await ud('webhooks deliveries wh_1 --status failed,processing --limit 7')
    expect(out).toBe(`DELIVERY  STATUS      EVENT          JOB    TRIES  WHEN     ANSWER
d-1       completed   job.completed  job-1      1  1 m ago  204
d-2       processing  job.completed  job-1      2  1 m ago  The receiver answered 500. Next try in 5 m.
d-3       failed      job.completed  job-1     10  1 m ago  No answer in 20 s.
`)
    expect(Object.fromEntries(fake.requests[0]!.query)).toEqual({ status: 'failed,processing', limit: '7' })
  })

  it('of a job, with the address of each', async () => {
    answers('GET /v1/jobs/job-1/deliveries', { items: [delivery()], nextCursor: null })
    const { out } = await ud('webhooks deliveries --job job-1')
    expect(out).toContain('TO')
    expect(out).toContain('https://app.example/hooks')
  })

  it('stops at its limit, and goes over pages until then', async () => {
    const page = (id: string, nextCursor: string | null) => ({ items: [delivery({ id })], nextCursor })
    fake.routes['GET /v1/webhooks/wh_1/deliveries'] = ({ query }, response) =>
      sendJson(response, 200, page(`d-${query.get('cursor') ?? 0}`, String(Number(query.get('cursor') ?? 0) + 1)))
    const { out } = await ud('webhooks deliveries wh_1 --limit 2 --ndjson')
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).id),
    ).toEqual(['d-0', 'd-1'])
  })

  it('one, with every try', async () => {
    const error = { code: 'webhook-refused', message: 'The receiver answered 500.' }
    answers('GET /v1/deliveries/d-2', {
      ...RETRYING,
      tries: [
        { attempt: 1, at: NOW, durationMs: 1200, status: 500, outcome: 'failed', error, retryInMs: 5000 },
        { attempt: 2, at: NOW, durationMs: 30, status: null, outcome: 'lost', error: null, retryInMs: null },
        { attempt: 3, at: NOW, durationMs: 30, status: 204, outcome: 'delivered', error: null, retryInMs: null },
      ],
    })
    const { out } = await ud('webhooks deliveries --delivery d-2')
    expect(out).toContain(`tries     1  ${NOW}  1.2 s  did not work: The receiver answered 500.
          2  ${NOW}  30 ms  worker lost
          3  ${NOW}  30 ms  delivered: 204
next try  2026-11-22T09:05:00.000Z  Next try in 5 m.`)
  })

  it('need exactly one thing that they are of', async () => {
    for (const line of ['webhooks deliveries', 'webhooks deliveries wh_1 --job job-1'])
      expect((await ud(line)).err, line).toContain('Give either the id of a webhook, or --job, or --delivery.')
    expect(fake.requests).toEqual([])
  })

  it('are sent again', async () => {
    answers('POST /v1/deliveries/d-3/resend', {
      ...RETRYING,
      id: 'd-4',
      status: 'accepted',
      attempts: 0,
      lastError: null,
    })
    const { out, err } = await ud('webhooks resend d-3')
    expect(out).toBe('accepted  job.completed  https://app.example/hooks\n')
    expect(err).toContain('untildone webhooks deliveries --delivery d-4')
    expect((await ud('webhooks resend d-3 --quiet')).out).toBe('d-4\n')
  })
})

describe('test', () => {
  const begun = delivery({ ...{ status: 'accepted', done: false, attempts: 0, lastStatus: null, finishedAt: null } })

  it('waits for the answer and says it', async () => {
    answers('POST /v1/webhooks/wh_1/test', begun, 202)
    answers('GET /v1/deliveries/d-1', delivery({ eventType: 'webhook.ping' }))
    const { exit, out } = await ud('webhooks test wh_1')
    expect([exit, out]).toEqual([0, 'completed  webhook.ping  https://app.example/hooks  204\n'])
  })

  it('ends with 1 after one try that did not work', async () => {
    answers('POST /v1/webhooks/wh_1/test', begun, 202)
    answers('GET /v1/deliveries/d-1', { ...RETRYING, id: 'd-1', attempts: 1 })
    const { exit, err } = await ud('webhooks test wh_1')
    expect([exit, err]).toEqual([1, expect.stringContaining('The receiver answered 500.')])
    expect((await ud('webhooks test wh_1 --json')).out).toContain('"id": "d-1"')
  })

  it('ends with 1 when no answer came in time, and says that it goes on', async () => {
    answers('POST /v1/webhooks/wh_1/test', begun, 202)
    answers('GET /v1/deliveries/d-1', begun)
    const { exit, err } = await ud('webhooks test wh_1 --timeout 2s')
    expect([exit, err]).toEqual([1, expect.stringContaining('It is still being tried.')])
  })
})

describe('elsewhere', () => {
  const told = { items: [delivery(), RETRYING], nextCursor: 'more' }

  it('jobs get says who was told', async () => {
    fake.jobs.set('job-1', makeJob({ id: 'job-1' }))
    expect((await ud('jobs get job-1')).out).not.toContain('told')
    answers('GET /v1/jobs/job-1/deliveries', told)
    expect((await ud('jobs get job-1')).out).toContain(
      `told      completed  job.completed  https://app.example/hooks  204
          processing  job.completed  https://app.example/hooks  The receiver answered 500. Next try in 5 m.
          more: untildone webhooks deliveries --job job-1`,
    )
    answers('GET /v1/jobs/job-1/deliveries', {}, 403)
    expect((await ud('jobs get job-1')).exit).toBe(0)
  })

  it('jobs explain tells operators', async () => {
    const story = (voice: string) => ({
      ...{ jobId: 'job-1', type: 'greet', status: 'completed', done: true, voice, asOf: NOW, headline: 'Done.' },
      ...{ happened: [], why: null, next: { text: 'Nothing.', at: null, giveUpAt: null }, effects: [], resume: null },
      ...{ act: { who: 'nobody', text: 'Nobody.', href: null }, voices: {} },
    })
    answers('GET /v1/jobs/job-1/deliveries', told)
    answers('GET /v1/jobs/job-1/story', story('operator'))
    expect((await ud('jobs explain job-1')).out).toContain(
      'Who was told\n  completed  job.completed  https://app.example/hooks  204\n',
    )
    answers('GET /v1/jobs/job-1/story', story('support'))
    expect((await ud('jobs explain job-1')).out).not.toContain('Who was told')
  })
})

describe('doctor', () => {
  const check = async (webhooks: WireWebhook[], waiting: Record<string, number> = {}) => {
    answers('GET /v1/webhooks', { items: webhooks, nextCursor: null })
    for (const { id } of webhooks)
      answers(`GET /v1/webhooks/${id}/deliveries`, { items: Array(waiting[id] ?? 0).fill(RETRYING), nextCursor: null })
    const io = fakeIo({ env: { UNTILDONE_URL: fake.url } })
    return webhookCheck(createContext(io, {}, new AbortController().signal, { clock: fakeClock() }))
  }

  it('nothing is wrong with none, and with those that answer', async () => {
    expect(await check([])).toMatchObject([{ state: 'ok', text: 'none' }])
    expect(await check([hook()])).toMatchObject([{ state: 'ok', text: '1 webhook' }])
    expect(await check([hook(), SIGNER], { wh_1: 2 })).toMatchObject([
      { state: 'ok', text: '2 webhooks, 2 events wait' },
    ])
    const byHand = hook({
      enabled: false,
      disabled: { why: 'operator', at: NOW, message: 'Somebody has disabled it.' },
    })
    expect(await check([byHand])).toMatchObject([{ state: 'ok' }])
    expect(fake.requests.at(-1)!.query.get('status')).toBe('accepted,processing')
  })

  it('what fails is named: since when, why, what waits, what to do', async () => {
    expect(await check([hook(), FAILING], { wh_2: 200 })).toEqual([
      {
        what: 'webhooks',
        state: 'bad',
        text: '2 webhooks; wh_2 fails since 2026-11-22T07:00:00.000Z (2 h): The receiver answered 500. (200 or more events wait)',
        fix: 'See what it answers: untildone webhooks deliveries wh_2. When it is put right: untildone webhooks test wh_2',
      },
    ])
    expect(await check([OFF, FAILING])).toMatchObject([
      {
        text: expect.stringContaining('wh_3 disabled 3 h ago: The receiver answered 410.; wh_2 fails'),
        fix: 'Put its receiver right, then: untildone webhooks enable wh_3',
      },
    ])
  })

  it('a key that may not see them is no trouble; a server without them says nothing', async () => {
    const asked = async (status: number, code: string) => {
      fake.routes['GET /v1/webhooks'] = (_, response) => problem(response, status, code)
      const io = fakeIo({ env: { UNTILDONE_URL: fake.url } })
      return webhookCheck(createContext(io, {}, new AbortController().signal, { clock: fakeClock() }))
    }
    expect(await asked(403, 'forbidden')).toMatchObject([
      { state: 'note', fix: expect.stringContaining('webhooks:manage') },
    ])
    expect(await asked(404, 'not-found')).toEqual([])
    expect(await asked(500, 'internal')).toMatchObject([{ state: 'note' }])
  })
})
