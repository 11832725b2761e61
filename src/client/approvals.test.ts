import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import type { WireApproval, WireApprovalItem } from '../core/wire-approval.js'
import { fakeClock, problem, sendJson, startFakeServer } from './fake-server.mjs'
import { createClient, type UntildoneApiError } from './index.js'

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

describe('client.approvals', () => {
  it('lists page by page, with the filters in the words of the wire', async () => {
    fake.routes['GET /v1/approvals'] = (request, response) =>
      sendJson(
        response,
        200,
        request.query.get('cursor') === null
          ? { items: [{ id: 'apr_1' }], nextCursor: 'c' }
          : { items: [{ id: 'apr_2' }], nextCursor: null },
      )
    const ids: string[] = []
    const list = client().approvals.list({ state: 'pending', risk: ['medium', 'high'], assignee: 'me', limit: 1 })
    for await (const item of list) {
      expectTypeOf(item).toEqualTypeOf<WireApprovalItem>()
      ids.push(item.id)
    }
    expect(ids).toEqual(['apr_1', 'apr_2'])
    expect(Object.fromEntries(fake.requests[1]!.query)).toEqual({
      ...{ state: 'pending', risk: 'medium,high', assignee: 'me', limit: '1', cursor: 'c' },
    })
  })

  it('decides, and sends the same decision again when the answer was lost', async () => {
    answers('POST /v1/approvals/apr_1/decision', 200, { id: 'apr_1', state: 'approved' })
    fake.failOnce('POST /v1/approvals/apr_1/decision', (_, response) => void response.socket!.destroy())
    const decided = await client().approvals.decide('apr_1', {
      ...{ decision: 'approve', evidenceDigest: 'sha256-1', data: { amount: 5 } },
    })
    expectTypeOf(decided).toEqualTypeOf<WireApproval>()
    expect(decided.state).toBe('approved')
    const body = { decision: 'approve', evidenceDigest: 'sha256-1', data: { amount: 5 } }
    expect(sent()).toEqual(Array(2).fill(['POST', '/v1/approvals/apr_1/decision', body]))
  })

  it('keeps what the server says of a decision that came too late', async () => {
    fake.routes['POST /v1/approvals/apr_1/decision'] = (_, response) =>
      problem(response, 409, 'approval-already-decided', { params: { state: 'rejected' } })
    const error = await client()
      .approvals.decide('apr_1', { decision: 'reject', reason: 'r' })
      .catch((error: UntildoneApiError) => error)
    expect(error).toMatchObject({ code: 'approval-already-decided', status: 409, params: { state: 'rejected' } })
    expect(fake.requests).toHaveLength(1)
  })

  it('decides many, each with its own answer', async () => {
    const items = [
      { id: 'a', approval: { id: 'a' }, problem: null },
      { id: 'b', approval: null, problem: { code: 'approval-expired' } },
    ]
    answers('POST /v1/approvals/decisions', 200, { items })
    const decided = await client().approvals.decideMany(['a', 'b'], { decision: 'approve', opened: ['sha256-1'] })
    expect(decided).toEqual(items)
    if (decided[0]!.problem === null) expectTypeOf(decided[0]!.approval).toEqualTypeOf<WireApproval>()
    expect(sent()[0]![2]).toEqual({ ids: ['a', 'b'], decision: 'approve', opened: ['sha256-1'] })
  })

  it('submits for a person', async () => {
    fake.routes['POST /v1/jobs'] = (_, response) => sendJson(response, 202, { id: 'j' })
    const more = { onBehalfOf: { id: 'sam' }, permissions: ['refund'], typeVersion: '1' }
    await client().submit('refund', {}, { key: 'k', ...more })
    expect(sent()[0]![2]).toEqual({ type: 'refund', input: {}, ...more })
  })

  it('makes keys for people', async () => {
    answers('POST /v1/api-keys', 201, { id: 'key_1' })
    const person = { name: 'mara', scopes: ['approvals:decide'], person: { id: 'mara' }, groups: ['finance'] }
    await client().keys.create({ ...person, maxRisk: 'medium' })
    expect(sent()[0]![2]).toEqual({ ...person, maxRisk: 'medium' })
  })
})
