/** Operator actions, signals, the audit trail and bulk operations over the wire, against the real engine. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WireAuditEntry, WireJob } from '../core/index.js'
import { defineJob, type JobHandler, Permanent, Review, Transient, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { createServer } from './index.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'

const open = rigs()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const work = defineJob('work', {
  input: z.object({ how: z.enum(['review', 'fail', 'pay', 'wait', 'call', 'trip']) }),
  output: z.object({ pages: z.number() }),
  signals: { paid: z.object({ amount: z.number() }) },
})
const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ $id: 'doc', ...(buildOpenapi(routes, { base: '', version: '1' }) as object) })

async function begun() {
  const urls: string[] = []
  const undone: string[] = []
  const handler = work.handler(
    { retry: until({ attempts: 2, backoff: { from: '10ms', to: '10ms' } }) },
    async (job) => {
      const { how } = job.input
      if (how === 'review') throw new Review('look')
      if (how === 'fail') {
        await job.step('fetch', () => 1)
        throw new Permanent('broken', { code: 'broken' })
      }
      if (how === 'wait') return { pages: ((await job.waitFor('paid')).payload ?? { amount: 0 }).amount }
      if (how === 'call') {
        const callback = await job.callback('signed')
        urls.push(callback.url)
        return { pages: (await callback.result()).outcome === 'completed' ? 1 : 0 }
      }
      if (how === 'trip') await job.step('car', () => 'C1', { undo: (value) => void undone.push(value) })
      if (how === 'pay')
        await job.step(
          'pay',
          () => {
            throw new Transient('the answer was lost')
          },
          { effect: 'once' },
        )
      return { pages: 1 }
    },
  ) as unknown as JobHandler
  const rig = await open(handler)
  const errors: unknown[] = []
  const server = createServer(rig.engine, { version: '1.2.3', onError: (error) => errors.push(error) })
  cleanups.push(
    () => server.close(),
    () => expect(errors).toEqual([]),
  )
  const send = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    server.fetch(
      new Request(`http://localhost${path}`, {
        method,
        headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
    )
  const post = (path: string, body: unknown = {}, headers?: Record<string, string>) => send('POST', path, body, headers)
  const get = (path: string, headers?: Record<string, string>) => send('GET', path, undefined, headers)
  /** Asserts status and form of an answer, and gives its body. */
  const answer = async (asked: Promise<Response>, status: number, component: string): Promise<any> => {
    const got = await asked
    const value = await got.json()
    expect(got.status, JSON.stringify(value)).toBe(status)
    const check = ajv.compile({ $ref: `doc#/components/schemas/${component}` })
    check(value)
    expect(check.errors, `${component}: ${JSON.stringify(value)}`).toBeNull()
    return value
  }
  const problem = async (asked: Promise<Response>, status: number, code: string) => {
    const value = await answer(asked, status, 'Problem')
    expect(value).toMatchObject({ status, code })
    return value
  }
  const job = async (how: string, more: object = {}) => {
    const made = (await (await post('/v1/jobs', { type: 'work', input: { how }, ...more })).json()) as WireJob
    await rig.advance('1s')
    return made.id
  }
  return { rig, post, get, answer, problem, job, urls, undone }
}

describe('pause, resume, answer', () => {
  test('a paused job stands still, a resumed one goes on', async () => {
    const { answer, problem, post, job } = await begun()
    const id = await job('fail', { runAt: '2030-01-01T00:00:00Z' })
    const paused = await answer(post(`/v1/jobs/${id}/pause`, { reason: 'later' }), 200, 'Job')
    expect(paused).toMatchObject({ status: 'accepted', statusText: 'Accepted. Paused by this machine: later' })
    await problem(post(`/v1/jobs/${id}/resume`, {}, { 'if-match': '"1"' }), 412, 'version-mismatch')
    expect(await answer(post(`/v1/jobs/${id}/resume`), 200, 'Job')).toMatchObject({ status: 'accepted' })
    await problem(post(`/v1/jobs/${id}/resume`), 409, 'invalid-transition')
    await problem(post(`/v1/jobs/${id}/pause`, { because: 'x' }), 422, 'validation-failed')
  })

  test('a job that waits is paused and resumed, and still waits', async () => {
    const { answer, problem, post, get, job, rig } = await begun()
    const id = await job('wait')
    const paused = await answer(post(`/v1/jobs/${id}/pause`, { reason: 'audit' }), 200, 'Job')
    expect(paused).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'pause' }, { kind: 'signal' }] })
    expect(await (await get('/v1/jobs?status=blocked')).json()).toMatchObject({ items: [{ id }] })
    const resumed = await answer(post(`/v1/jobs/${id}/resume`), 200, 'Job')
    expect(resumed).toMatchObject({ status: 'blocked', blockedOn: [{ kind: 'signal' }] })
    await answer(post(`/v1/jobs/${id}/pause`), 200, 'Job')
    await rig.signal(id, 'paid', { amount: 2 })
    await rig.settle()
    expect(await answer(get(`/v1/jobs/${id}`), 200, 'Job')).toMatchObject({ blockedOn: [{ kind: 'pause' }] })
    await answer(post(`/v1/jobs/${id}/resume`), 200, 'Job')
    expect((await rig.untilDone(id)).status).toBe('completed')
    await problem(post(`/v1/jobs/${await job('review')}/pause`), 409, 'invalid-transition')
  })

  test('a question is shown and answered', async () => {
    const { answer, problem, post, get, job, rig } = await begun()
    const id = await job('pay')
    const blocked = await answer(get(`/v1/jobs/${id}`), 200, 'Job')
    expect(blocked.blockedOn[0].question).toMatchObject({
      step: 'pay',
      answers: ['happened', 'did-not-happen', 'stop'],
    })
    const good = { step: 'pay', answer: 'happened', result: 'R-1', reason: 'seen', ifVersion: blocked.version }
    expect(
      (await problem(post(`/v1/jobs/${id}/answer`, { ...good, reason: '' }), 422, 'validation-failed')).errors,
    ).toMatchObject([{ pointer: '/reason' }])
    expect(await answer(post(`/v1/jobs/${id}/answer`, good), 200, 'Job')).toMatchObject({ status: 'processing' })
    await rig.untilDone(id)
    await problem(post(`/v1/jobs/${id}/answer`, good), 409, 'job-already-done')
    const other = await job('review')
    await problem(post(`/v1/jobs/${other}/answer`, { answer: 'stop', reason: 'x' }), 409, 'nothing-to-answer')
  })
})

describe('replay and compensate', () => {
  test('202 with the new job and what it takes over; its key gives it again', async () => {
    const { answer, problem, post, get, job } = await begun()
    const id = await job('fail')
    const plan = await answer(
      post(`/v1/jobs/${id}/replay?dryRun=true`, { fromStep: 'fetch', reason: 'x' }),
      200,
      'ReplayPlan',
    )
    expect(plan).toMatchObject({ reused: [], again: [{ step: 'fetch', effect: 'idempotent' }] })
    const made = await post(`/v1/jobs/${id}/replay`, { reason: 'repaired' }, { 'idempotency-key': 'k' })
    expect(made.status).toBe(202)
    const fresh = (await made.json()) as WireJob
    expect(made.headers.get('location')).toBe(`/v1/jobs/${fresh.id}`)
    expect(fresh).toMatchObject({ replayOf: id, replay: { fromStep: null, input: 'same' } })
    const again = await post(`/v1/jobs/${id}/replay`, { reason: 'repaired' }, { 'idempotency-key': 'k' })
    expect([again.status, again.headers.get('idempotent-replayed'), ((await again.json()) as WireJob).id]).toEqual([
      200,
      'true',
      fresh.id,
    ])
    expect(await answer(get(`/v1/jobs/${id}`), 200, 'Job')).toMatchObject({ supersededBy: fresh.id })
    await problem(
      post(`/v1/jobs/${id}/replay`, { reason: 'other' }, { 'idempotency-key': 'k' }),
      422,
      'idempotency-key-reused',
    )
    await problem(post(`/v1/jobs/${id}/replay`, { reason: 'x', fromStep: 'print' }), 409, 'step-not-replayable')
    await problem(post(`/v1/jobs/${id}/replay`, { reason: 'x', input: { how: 'else' } }), 422, 'input-invalid')
    await problem(post(`/v1/jobs/${id}/replay`, {}), 422, 'validation-failed')
    await problem(post(`/v1/jobs/${await job('review')}/replay`, { reason: 'x' }), 409, 'job-not-done')
  })

  test('a compensation undoes, is made once, and is linked', async () => {
    const { answer, problem, post, get, job, rig, undone } = await begun()
    const id = await job('trip')
    const made = await answer(post(`/v1/jobs/${id}/compensate`, { reason: 'withdrew' }), 202, 'Job')
    expect(made).toMatchObject({ compensates: id, status: 'processing' })
    const again = await post(`/v1/jobs/${id}/compensate`, { reason: 'withdrew' })
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([200, 'true'])
    expect(await rig.untilDone(made.id)).toMatchObject({ result: { undone: ['car'], notUndone: [] } })
    expect(undone).toEqual(['C1'])
    expect(await answer(get(`/v1/jobs/${id}`), 200, 'Job')).toMatchObject({
      compensatedBy: made.id,
      resolution: { kind: 'compensated', jobId: made.id },
    })
    await problem(post(`/v1/jobs/${await job('fail')}/compensate`, { reason: 'x' }), 409, 'nothing-to-compensate')
    await problem(post(`/v1/jobs/${await job('review')}/compensate`, { reason: 'x' }), 409, 'job-not-done')
  })
})

describe('override and resolve', () => {
  test('an override needs the version that was seen, a reason and a result that fits', async () => {
    const { answer, problem, post, get, job } = await begun()
    const id = await job('review')
    const { version, revision } = await answer(get(`/v1/jobs/${id}`), 200, 'Job')
    const good = { status: 'completed', result: { pages: 2 }, reason: 'typed from the paper copy' }
    const at = `/v1/jobs/${id}/override`
    expect((await problem(post(at, good), 428, 'precondition-required')).params).toEqual({ version })
    await problem(post(at, { ...good, ifVersion: version + 1 }), 412, 'version-mismatch')
    expect(
      (await problem(post(at, { ...good, result: {}, ifVersion: version }), 422, 'result-invalid')).errors,
    ).toMatchObject([{ pointer: '/result/pages' }])
    await problem(post(at, { ...good, reason: 'short', ifVersion: version }), 422, 'validation-failed')
    const done = await answer(post(at, good, { 'if-match': `"${revision}"` }), 200, 'Job')
    expect(done).toMatchObject({
      status: 'completed',
      result: { pages: 2 },
      statusText: expect.stringContaining('by hand'),
    })
    expect((await problem(post(at, { ...good, ifVersion: version }), 409, 'job-already-done')).params.next).toContain(
      '/replay',
    )
  })

  test('a note takes a failed job off the list of what needs attention', async () => {
    const { answer, problem, post, get, job } = await begun()
    const id = await job('fail')
    expect((await answer(get('/v1/jobs?needsAttention=true'), 200, 'JobPage')).items).toHaveLength(1)
    const note = { kind: 'resolvedManually', reason: 'by post', evidence: [{ ticket: 1 }] }
    expect(await answer(post(`/v1/jobs/${id}/resolve`, note), 200, 'Job')).toMatchObject({
      status: 'failed',
      resolution: { kind: 'resolvedManually', reason: 'by post' },
    })
    expect((await answer(get('/v1/jobs?needsAttention=true'), 200, 'JobPage')).items).toEqual([])
    await problem(post(`/v1/jobs/${id}/resolve`, { kind: 'fine', reason: 'x' }), 422, 'validation-failed')
    await problem(post(`/v1/jobs/${await job('review')}/resolve`, note), 409, 'job-not-done')
  })
})

describe('signals and callbacks', () => {
  test('a signal ends the wait; its id or key makes it one', async () => {
    const { answer, problem, post, job, rig } = await begun()
    const id = await job('wait')
    const at = `/v1/jobs/${id}/signals/paid`
    expect((await problem(post(at, { payload: { amount: 'x' } }), 422, 'payload-invalid')).errors).toMatchObject([
      { pointer: '/payload/amount' },
    ])
    expect((await problem(post(`/v1/jobs/${id}/signals/payed`, {}), 404, 'unknown-signal')).params).toMatchObject({
      known: ['paid'],
    })
    const paid = { payload: { amount: 7 } }
    expect(await answer(post(at, paid, { 'idempotency-key': 'evt' }), 202, 'SignalAnswer')).toEqual({ delivered: true })
    expect((await rig.untilDone(id)).result).toEqual({ pages: 7 })
    expect(await answer(post(at, paid, { 'idempotency-key': 'evt' }), 202, 'SignalAnswer')).toEqual({ delivered: true })
    await problem(post(at, paid), 409, 'job-already-done')
  })

  test('a callback needs no key, works once, and says nothing of what there is', async () => {
    const { answer, problem, post, job, rig, urls } = await begun()
    const id = await job('call')
    const path = new URL(urls[0]!).pathname
    // Also where the server answers nobody without a key.
    await answer(post('/v1/api-keys', { name: 'root', scopes: ['admin'] }), 201, 'ApiKey')
    await rig.advance('2s')
    await problem(post(`/v1/jobs/${id}/cancel`), 401, 'unauthenticated')
    const yes = { outcome: 'completed', payload: 1 }
    await problem(post(path, { outcome: 'done' }), 422, 'validation-failed')
    await problem(post(`${path.slice(0, -1)}x`, yes), 404, 'callback-not-found')
    expect(await answer(post(path, yes), 200, 'CallbackAnswer')).toEqual({ received: true })
    expect(await answer(post(path, yes), 200, 'CallbackAnswer')).toEqual({ received: true })
    await problem(post(path, { outcome: 'failed', error: { code: 'no', message: 'no' } }), 409, 'callback-already-used')
    expect((await rig.untilDone(id)).result).toEqual({ pages: 1 })
  })

  test('a callback whose time is over is gone', async () => {
    const { problem, post, job, rig, urls } = await begun()
    await job('call')
    await rig.advance('8d')
    await problem(post(new URL(urls[0]!).pathname, { outcome: 'completed' }), 410, 'callback-expired')
  })
})

describe('groups, decisions, audit, bulk', () => {
  test('a group is cancelled as a whole', async () => {
    const { answer, problem, post, job } = await begun()
    await job('wait', { groupId: 'g' })
    await job('review', { groupId: 'g' })
    await job('fail', { groupId: 'g' })
    expect(await answer(post('/v1/groups/g/cancel', { reason: 'over' }), 202, 'GroupCancelAnswer')).toEqual({
      groupId: 'g',
      cancelled: 2,
      stopping: 0,
      refused: [],
    })
    await problem(post('/v1/groups/none/cancel'), 404, 'not-found')
  })

  test('the decision log is a list, and filters are taken', async () => {
    const { answer, problem, get, job } = await begun()
    expect(await answer(get(`/v1/jobs/${await job('fail')}/decisions`), 200, 'DecisionList')).toEqual({
      items: [],
      nextCursor: null,
    })
    expect(await answer(get('/v1/jobs?model=m&modelVersion=1&tool=t&origin=model'), 200, 'JobPage')).toMatchObject({
      items: [],
    })
    await problem(get('/v1/jobs?origin=weather'), 400, 'malformed-request')
  })

  test('the audit trail is read in pages or lines, and proves itself', async () => {
    const { answer, post, get, job } = await begun()
    for (const how of ['review', 'review', 'wait']) await post(`/v1/jobs/${await job(how)}/cancel`, { reason: 'over' })
    const page = await get('/v1/audit?limit=2&action=job.*')
    expect(page.headers.get('link')).toBe('</v1/audit?limit=2&action=job.*&after=2>; rel="next"')
    expect(await answer(Promise.resolve(page), 200, 'AuditPage')).toMatchObject({
      items: [{ seq: 1 }, { seq: 2 }],
      nextCursor: '2',
    })
    const lines = await get('/v1/audit?after=2', { accept: 'application/jsonl' })
    expect(lines.headers.get('content-type')).toBe('application/jsonl')
    const entries = (await lines.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as WireAuditEntry)
    expect(entries.map(({ seq, action, reason }) => [seq, action, reason])).toEqual([[3, 'job.cancel', 'over']])
    expect(await answer(get('/v1/audit?verify=true'), 200, 'AuditCheck')).toEqual({
      intact: true,
      entries: 3,
      head: { seq: 3, hash: entries[0]!.hash },
      firstBreak: null,
    })
  })

  test('a bulk operation is a job; a dry run stores nothing', async () => {
    const { answer, problem, post, get, job, rig } = await begun()
    await job('fail')
    await job('fail')
    await job('review')
    const at = '/v1/operations/bulk'
    const request = { action: 'resolve', filter: { status: ['failed'] }, reason: 'by post' }
    expect(await answer(post(at, { ...request, dryRun: true }), 200, 'BulkPlan')).toMatchObject({
      count: 2,
      more: false,
    })
    expect((await answer(get('/v1/jobs'), 200, 'JobPage')).items).toHaveLength(3)
    const made = await answer(post(at, request), 202, 'Job')
    expect(await rig.untilDone(made.id)).toMatchObject({ status: 'completed', result: { done: 2 } })
    await problem(post(at, { ...request, filter: {} }), 422, 'validation-failed')
    const bad = { ...request, filter: { createdAfter: 'yesterday' } }
    expect((await problem(post(at, bad), 422, 'validation-failed')).errors).toMatchObject([
      { pointer: '/filter/createdAfter' },
    ])
    await problem(post(at, { ...request, action: 'delete' }), 422, 'validation-failed')
  })

  test('each needs its own right', async () => {
    const { post, get, job, rig } = await begun()
    const id = await job('review')
    const made = await post('/v1/api-keys', { name: 'root', scopes: ['admin'] })
    const root = { authorization: `Bearer ${((await made.json()) as { key: string }).key}` }
    await rig.advance('2s')
    const keyed = await post(
      '/v1/api-keys',
      { name: 'reader', scopes: ['jobs:read', 'jobs:submit', 'approvals:decide'] },
      root,
    )
    const reader = { authorization: `Bearer ${((await keyed.json()) as { key: string }).key}` }
    const why = { reason: 'no right to this' }
    const asked: [string, object][] = [
      [`/v1/jobs/${id}/pause`, why],
      [`/v1/jobs/${id}/resume`, why],
      [`/v1/jobs/${id}/answer`, { ...why, answer: 'stop' }],
      [`/v1/jobs/${id}/replay`, why],
      [`/v1/jobs/${id}/compensate`, why],
      [`/v1/jobs/${id}/override`, { ...why, status: 'failed', ifVersion: 3 }],
      [`/v1/jobs/${id}/resolve`, { ...why, kind: 'acceptedAsIs' }],
      [`/v1/jobs/${id}/signals/paid`, { payload: { amount: 1 } }],
      ['/v1/operations/bulk', { ...why, action: 'cancel', filter: { tag: 'x' } }],
    ]
    for (const [path, body] of asked) expect((await post(path, body, reader)).status, path).toBe(403)
    expect((await get('/v1/audit', reader)).status).toBe(403)
    expect((await get(`/v1/jobs/${id}`, reader)).status).toBe(200)
    expect((await post(`/v1/jobs/${id}/override`, { ...why, status: 'failed', ifVersion: 3 }, root)).status).toBe(200)
  })
})
