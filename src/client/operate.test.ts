import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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

describe('actions', () => {
  it('are sent in the words of the wire, each with a key', async () => {
    const at = (rest: string) => `/v1/jobs/j%2F1${rest}`
    const reason = 'because'
    for (const rest of ['pause', 'resume', 'answer', 'replay', 'compensate', 'override', 'resolve'])
      answers(`POST ${at(`/${rest}`)}`, 200, { id: 'j/1' })
    const c = client()
    await c.pause('j/1', { reason, ifVersion: 3 })
    await c.resume('j/1')
    await c.answer('j/1', { step: 'pay', answer: 'happened', result: { r: 1 }, reason })
    await c.replay('j/1', { fromStep: 'convert', input: { dpi: 300 }, reason, newEffects: { reason: 'x' } })
    await c.compensate('j/1', { reason, steps: ['car'] })
    await c.override('j/1', { status: 'completed', result: 2, reason: 'typed from paper', ifVersion: 4 })
    await c.resolve('j/1', { kind: 'acceptedAsIs', reason, evidence: ['OPS-1'] })
    expect(sent()).toEqual([
      ['POST', at('/pause'), { reason, ifVersion: 3 }],
      ['POST', at('/resume'), {}],
      ['POST', at('/answer'), { step: 'pay', answer: 'happened', result: { r: 1 }, reason }],
      ['POST', at('/replay'), { fromStep: 'convert', input: { dpi: 300 }, reason, newEffects: { reason: 'x' } }],
      ['POST', at('/compensate'), { reason, steps: ['car'] }],
      ['POST', at('/override'), { status: 'completed', result: 2, reason: 'typed from paper', ifVersion: 4 }],
      ['POST', at('/resolve'), { kind: 'acceptedAsIs', reason, evidence: ['OPS-1'] }],
    ])
    const keys = fake.requests.map(({ headers }) => headers['idempotency-key'])
    expect(new Set(keys).size).toBe(7)
    expect(keys.every((key) => /^"[0-9a-f-]{36}"$/.test(key as string))).toBe(true)
  })

  it('are repeated with the same key when the answer was lost', async () => {
    answers('POST /v1/jobs/j/replay', 202, { id: 'new', replay: { reused: [] } })
    fake.failOnce('POST /v1/jobs/j/replay', (_, response) => void response.socket!.destroy())
    expect((await client().replay('j', { reason: 'x', key: 'mine' })).replay.reused).toEqual([])
    expect(fake.requests.map(({ headers }) => headers['idempotency-key'])).toEqual(['"mine"', '"mine"'])
  })

  it('tell what the server says', async () => {
    fake.routes['POST /v1/jobs/j/answer'] = (_, response) =>
      problem(response, 409, 'nothing-to-answer', { params: { status: 'processing' } })
    await expect(client().answer('j', { answer: 'stop', reason: 'x' })).rejects.toMatchObject({
      code: 'nothing-to-answer',
      params: { status: 'processing' },
    })
    expect(fake.requests).toHaveLength(1)
  })

  it('plans ask for a dry run', async () => {
    answers('POST /v1/jobs/j/replay', 200, { reused: [], again: [] })
    answers('POST /v1/operations/bulk', 200, { count: 7 })
    await client().planReplay('j', { reason: 'x' })
    const filter = { status: 'failed' as const, group: 'g', updatedAfter: new Date(0) }
    expect((await client().planBulk({ action: 'retry', filter, reason: 'x' })).count).toBe(7)
    expect(fake.requests[0]!.query.get('dryRun')).toBe('true')
    expect(sent()[1]![2]).toEqual({
      ...{ action: 'retry', reason: 'x', dryRun: true },
      filter: { status: ['failed'], groupId: 'g', updatedAfter: '1970-01-01T00:00:00.000Z' },
    })
  })
})

describe('signals', () => {
  it('carry an id of their own, so that a lost answer makes no second one', async () => {
    answers('POST /v1/jobs/j/signals/paid', 202, { delivered: true })
    fake.failOnce('POST /v1/jobs/j/signals/paid', (_, response) => void response.socket!.destroy())
    expect(await client().signal('j', 'paid', { amount: 1 })).toEqual({ delivered: true })
    const [first, second] = sent()
    expect(first).toEqual(second)
    expect(first![2]).toEqual({ payload: { amount: 1 }, signalId: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    await client().signal('j', 'paid', undefined, { signalId: 'evt' })
    expect(sent()[2]![2]).toEqual({ payload: null, signalId: 'evt' })
  })
})

describe('lists', () => {
  it('decisions are items', async () => {
    answers('GET /v1/jobs/j/decisions', 200, { items: [{ model: 'm' }], nextCursor: null })
    expect(await client().decisions('j')).toEqual([{ model: 'm' }])
  })

  it('the audit trail is paged by seq', async () => {
    fake.routes['GET /v1/audit'] = (request, response) =>
      sendJson(
        response,
        200,
        request.query.get('after') === '2'
          ? { items: [{ seq: 3 }], nextCursor: null }
          : { items: [{ seq: 1 }, { seq: 2 }], nextCursor: '2' },
      )
    const seqs: number[] = []
    for await (const { seq } of client().audit.list({ action: 'job.*', since: new Date(0) })) seqs.push(seq)
    expect(seqs).toEqual([1, 2, 3])
    expect(fake.requests[0]!.query.get('since')).toBe('1970-01-01T00:00:00.000Z')
    const from: number[] = []
    for await (const { seq } of client().audit.list({ after: 2 })) from.push(seq)
    expect(from).toEqual([3])
  })
})
