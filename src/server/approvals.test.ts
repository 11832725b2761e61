/** Approvals over HTTP, on the real engine with a clock of its own. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Risk, WireApproval, WireApprovalItem, WireJob, WireProblem } from '../core/index.js'
import { type ApprovalRequest, defineJob } from '../define/index.js'
import { LOCAL, type Scope } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { createServer, type ServerOptions, type UntildoneServer } from './index.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'

const open = rigs()
const servers: UntildoneServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

const publish = defineJob('cms.publish', {
  input: z.object({
    page: z.string().default('home'),
    risk: z.string().default('medium'),
    edit: z.boolean().default(false),
  }),
  approvals: { live: z.object({ title: z.string().min(1) }) },
})

const asked = (page: string, more: Partial<ApprovalRequest<{ title: string }>> = {}) => ({
  summary: `Publish ${page}`,
  because: 'The text is ready.',
  writes: [{ target: 'cms', object: page, change: { title: { now: 'Old', after: 'New', from: 'title' } } }],
  evidence: [{ label: 'Draft', href: 'https://cms.example/draft', version: 'v7', asOf: Date.UTC(2026, 10, 22) }],
  impact: 'Readers see it',
  rollback: 'Publish the old one',
  data: { title: 'New' },
  ...more,
})

type Answer<T> = { status: number; body: T; headers: Headers }

async function setup(options: ServerOptions = {}) {
  const handler = publish.handler(async (job) => {
    const { page, edit } = job.input
    const answer = await job.approve('live', asked(page, { allow: { edit }, due: '1d' }))
    return answer.outcome === 'approved' ? answer.data : answer.outcome
  }) as never
  // The tier is the page's first word, so that a test can choose it.
  const policy = ({ writes }: { writes: { object: string | null }[] }) => {
    const risk = (/^(low|high)/.exec(writes[0]!.object ?? '')?.[0] ?? 'medium') as Risk
    return { risk, rule: 'by-page', why: 'Because of the page.' }
  }
  const rig = await open(handler, { approvals: { policy, policyVersion: 'v1' } })
  const server = createServer(rig.engine, { version: '1.2.3', ...options })
  servers.push(server)
  const base = options.basePath ?? ''
  const send = async <T>(method: string, path: string, key: string | null, body?: unknown): Promise<Answer<T>> => {
    const headers: Record<string, string> = { ...(key ? { authorization: `Bearer ${key}` } : {}) }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const answer = await server.fetch(new Request(`http://localhost${base}${path}`, init))
    return { status: answer.status, body: (await answer.json()) as T, headers: answer.headers }
  }
  const key = async (name: string, scopes: Scope[], more: object = {}) =>
    (await rig.engine.createKey(LOCAL, { name, scopes, ...more })).key!
  const approver = (id: string, more: object = {}) =>
    key(id, ['approvals:read', 'approvals:decide'], { person: { id, name: id.toUpperCase() }, ...more })
  const waiting = async (input: object = {}, more: object = {}): Promise<WireApprovalItem> => {
    const { job } = await rig.engine.submit(LOCAL, { type: 'cms.publish', input: input as never, ...more }, null)
    await rig.settle()
    return (await rig.engine.approvals.list(LOCAL, { jobId: job.id })).items[0]!
  }
  const decide = <T = WireApproval>(id: string, key: string | null, body: unknown) =>
    send<T>('POST', `/v1/approvals/${id}/decision`, key, body)
  return { rig, send, key, approver, waiting, decide }
}

describe('reading', () => {
  test('the card has everything that a decision needs', async () => {
    const { send, approver, waiting } = await setup()
    const mara = await approver('mara')
    const { id, jobId } = await waiting({ page: 'home' }, { onBehalfOf: { id: 'sam', name: 'Sam' } })
    const { status, body } = await send<WireApproval>('GET', `/v1/approvals/${id}`, mara)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      ...{ id, jobId, jobType: 'cms.publish', jobStatus: 'blocked', gate: 'live', key: 'live', state: 'pending' },
      ...{ risk: 'medium', riskRule: 'by-page', riskWhy: 'Because of the page.', policyVersion: 'v1' },
      ...{ rule: 'Medium risk: one other person must approve.', summary: 'Publish home' },
      ...{ requesters: [{ id: 'sam', name: 'Sam' }], quorum: { filled: 0, needed: 1, open: [{ group: 'any', n: 1 }] } },
      diff: [{ target: 'cms', object: 'home', field: 'title', now: 'Old', after: 'New', change: 'changed' }],
      evidence: [{ label: 'Draft', version: 'v7', asOf: '2026-11-22T00:00:00.000Z' }],
      ...{ onExpire: 'cancel', endsAt: body.dueAt, decisions: [], earlier: [] },
      atExpiry: 'If nobody has decided by then, the job is cancelled. Nothing is approved by the passing of time.',
      mayDecide: { approve: { may: true, why: null }, reject: { may: true }, requestChanges: { may: true } },
      links: { self: `/v1/approvals/${id}`, decision: `/v1/approvals/${id}/decision`, job: `/v1/jobs/${jobId}` },
    })
    expect(Date.parse(body.dueAt) - Date.parse(body.requestedAt)).toBe(86_400_000)
  })

  test('whoever may not decide is told why', async () => {
    const { send, approver, key, waiting } = await setup()
    const { id } = await waiting({ page: 'home' }, { onBehalfOf: { id: 'sam' } })
    const why = async (key: string) =>
      (await send<WireApproval>('GET', `/v1/approvals/${id}`, key)).body.mayDecide.approve.why
    expect(await why(await key('viewer', ['approvals:read']))).toBe('This key lacks the scope approvals:decide.')
    expect(await why(await approver('sam'))).toContain('You asked for this job')
    expect(await why(await approver('lou', { maxRisk: 'low' }))).toContain('you may decide up to low')
    expect(await why(await key('bot', ['approvals:read', 'approvals:decide']))).toContain('belongs to nobody')
  })

  test('the inbox: filters, order, pages, and what my groups are asked', async () => {
    const { send, approver, waiting, rig } = await setup()
    const mara = await approver('mara', { maxRisk: 'medium' })
    const ids: string[] = []
    for (const page of ['low-a', 'home', 'high-a', 'low-b']) {
      ids.push((await waiting({ page })).id)
      await rig.advance('1s')
    }
    await rig.approve(ids[3]!, { by: 'otto' })
    const list = async (query: string) => {
      const answer = await send<{ items: WireApprovalItem[]; nextCursor: string | null }>(
        'GET',
        `/v1/approvals${query}`,
        mara,
      )
      expect(answer.status, query).toBe(200)
      return { names: answer.body.items.map(({ id }) => ids.indexOf(id)), ...answer }
    }
    expect((await list('')).names).toEqual([0, 1, 2, 3])
    expect((await list('?order=-requestedAt')).names).toEqual([3, 2, 1, 0])
    expect((await list('?state=pending')).names).toEqual([0, 1, 2])
    expect((await list('?state=pending&risk=medium,high')).names).toEqual([1, 2])
    expect((await list('?state=pending&assignee=me')).names).toEqual([0, 1])
    expect((await list('?type=cms.*&gate=live')).names).toEqual([0, 1, 2, 3])
    expect((await list('?type=other')).names).toEqual([])
    const first = await list('?limit=3&state=pending,approved')
    expect(first.names).toEqual([0, 1, 2])
    expect(first.headers.get('link')).toContain('cursor=')
    const rest = await list(`?limit=3&state=pending,approved&cursor=${first.body.nextCursor}`)
    expect([rest.names, rest.body.nextCursor]).toEqual([[3], null])
    const other = await send<WireProblem>('GET', `/v1/approvals?cursor=${first.body.nextCursor}`, mara)
    expect(other.body.code).toBe('invalid-cursor')
    expect((await send<WireProblem>('GET', '/v1/approvals?sate=pending', mara)).body.code).toBe('malformed-request')
  })

  test('needs its scope; other types and tenants do not exist', async () => {
    const { send, key, waiting, decide } = await setup()
    const { id, digest } = await waiting()
    const operator = await key('ops', ['jobs:read', 'jobs:operate', 'jobs:override'])
    for (const path of ['/v1/approvals', `/v1/approvals/${id}`])
      expect((await send<WireProblem>('GET', path, operator)).body).toMatchObject({
        code: 'forbidden',
        params: { requiredScope: 'approvals:read' },
      })
    const input = { decision: 'approve', evidenceDigest: digest }
    expect((await decide<WireProblem>(id, operator, input)).body).toMatchObject({
      ...{ status: 403, code: 'forbidden', params: { requiredScope: 'approvals:decide' } },
    })
    const narrow = await key('crm', ['approvals:read', 'approvals:decide'], { types: ['crm.*'], person: { id: 'x' } })
    expect((await send('GET', `/v1/approvals/${id}`, narrow)).status).toBe(404)
    expect((await decide(id, narrow, input)).status).toBe(404)
    expect((await send<{ items: [] }>('GET', '/v1/approvals', narrow)).body.items).toEqual([])
    expect((await send<WireProblem>('GET', '/v1/approvals/apr_none', await key('a', ['admin']))).body).toMatchObject({
      ...{ code: 'not-found', detail: 'There is no approval apr_none.' },
    })
  })

  test('a job shows its approvals on request, and its type where people decide', async () => {
    const { send, key, waiting } = await setup()
    const admin = await key('a', ['admin'])
    const { id, jobId } = await waiting()
    const job = await send<WireJob>('GET', `/v1/jobs/${jobId}?include=approvals`, admin)
    expect(job.body.approvals).toMatchObject([{ id, state: 'pending', quorum: { needed: 1 } }])
    expect(job.body.blockedOn).toMatchObject([{ kind: 'approval', id, quorum: { filled: 0, needed: 1 } }])
    const reader = await key('r', ['jobs:read'])
    expect((await send('GET', `/v1/jobs/${jobId}?include=approvals`, reader)).status).toBe(403)
    expect((await send<WireJob>('GET', `/v1/jobs/${jobId}`, reader)).body.approvals).toBeUndefined()
    const gates = [{ gate: 'live', dataSchema: expect.objectContaining({ type: 'object' }) }]
    expect((await send('GET', '/v1/job-types/cms.publish', admin)).body).toMatchObject({ gates })
    expect(
      (await send('POST', '/v1/jobs?validateOnly=true', admin, { type: 'cms.publish', input: {} })).body,
    ).toMatchObject({ valid: true, gates })
  })

  test('links stand under the mount prefix', async () => {
    const { send, key, waiting } = await setup({ basePath: '/background' })
    const admin = await key('a', ['admin'])
    const { id, jobId } = await waiting()
    const { body } = await send<WireApproval>('GET', `/v1/approvals/${id}`, admin)
    expect(body.links.decision).toBe(`/background/v1/approvals/${id}/decision`)
    const job = await send<WireJob>('GET', `/v1/jobs/${jobId}?include=approvals`, admin)
    expect(job.body.approvals![0]!.links.job).toBe(`/background/v1/jobs/${jobId}`)
    expect(job.body.blockedOn[0]!.href).toBe(`/background/v1/approvals/${id}`)
  })
})

describe('deciding', () => {
  test('approve: 200, the job goes on; the same again is 200 and changes nothing', async () => {
    const { decide, approver, waiting, rig } = await setup()
    const mara = await approver('mara')
    const { id, jobId, digest } = await waiting()
    const input = { decision: 'approve', evidenceDigest: digest, reason: 'Read it.' }
    const { status, body } = await decide(id, mara, input)
    expect([status, body.state]).toEqual([200, 'approved'])
    expect(body.decisions).toMatchObject([
      { by: { id: 'mara', name: 'MARA' }, actor: { kind: 'apiKey', name: 'mara' } },
    ])
    const again = await decide(id, mara, input)
    expect([again.status, again.body.version]).toEqual([200, body.version])
    expect((await rig.untilDone(jobId)).result).toEqual({ title: 'New' })
    const audit = await rig.store.audit('default', 0, 100)
    expect(audit.find(({ action }) => action === 'approval.approve')).toMatchObject({
      ...{ target: `approval/${id}`, reason: 'Read it.' },
      details: {
        ...{
          jobId,
          gate: 'live',
          risk: 'medium',
          policyVersion: 'v1',
          person: 'mara',
          seen: digest,
          closed: 'approved',
        },
        ...{ afterMs: expect.any(Number), requestId: expect.stringMatching(/^req_/) },
      },
    })
  })

  test('an edit within the gate, and one beyond it', async () => {
    const { decide, approver, waiting, rig } = await setup()
    const mara = await approver('mara')
    const { id, jobId, digest } = await waiting({ edit: true })
    const edit = (data: object) => decide(id, mara, { decision: 'approve', evidenceDigest: digest, data })
    expect((await edit({ title: '' })).body).toMatchObject({
      ...{ status: 422, code: 'validation-failed', errors: [{ pointer: '/data/title' }] },
    })
    expect((await edit({ text: 'x' })).body).toMatchObject({ errors: [{ pointer: '/data/text', code: 'not-allowed' }] })
    expect((await edit({ title: 'Newest' })).body).toMatchObject({ state: 'approved', proposal: 2 })
    expect((await rig.untilDone(jobId)).result).toEqual({ title: 'Newest' })
  })

  test('each refusal says what to do, and counts nothing', async () => {
    const { decide, approver, waiting, rig, send } = await setup()
    const [mara, sam, lou] = await Promise.all([approver('mara'), approver('sam'), approver('lou', { maxRisk: 'low' })])
    const { id, digest } = await waiting({}, { onBehalfOf: { id: 'sam' } })
    const approve = { decision: 'approve', evidenceDigest: digest }
    const cases: [string, string, unknown, object][] = [
      ['no digest', mara, { decision: 'approve' }, { status: 428, code: 'precondition-required' }],
      ['another digest', mara, { ...approve, evidenceDigest: 'sha256-0' }, { status: 412, code: 'evidence-changed' }],
      ['the requester', sam, approve, { status: 403, code: 'self-approval-forbidden' }],
      ['beyond the limit', lou, approve, { status: 403, code: 'risk-above-limit', params: { maxRisk: 'low' } }],
      [
        'no reason',
        mara,
        { decision: 'reject', evidenceDigest: digest },
        { status: 422, errors: [{ pointer: '/reason' }] },
      ],
      ['a typo', mara, { ...approve, reson: 'x' }, { status: 422, errors: [{ pointer: '/reson' }] }],
      [
        'no such decision',
        mara,
        { ...approve, decision: 'accept' },
        { status: 422, errors: [{ pointer: '/decision' }] },
      ],
      [
        'wishes with an approval',
        mara,
        { ...approve, changes: [{ text: 'x' }] },
        { status: 422, errors: [{ pointer: '/changes', code: 'not-allowed' }] },
      ],
    ]
    for (const [name, key, body, expected] of cases) {
      const { body: problem } = await decide<WireProblem>(id, key, body)
      expect(problem, name).toMatchObject({ ...expected, retryable: false, fix: expect.stringMatching(/\w/) })
    }
    expect((await send<WireApproval>('GET', `/v1/approvals/${id}`, mara)).body.decisions).toEqual([])

    await decide(id, mara, { decision: 'reject', evidenceDigest: digest, reason: 'Not yet.' })
    const late = await decide<WireProblem>(id, await approver('otto'), approve)
    expect(late.body).toMatchObject({
      ...{ status: 409, code: 'approval-already-decided' },
      params: { state: 'rejected', by: { id: 'mara', name: 'MARA' }, decidedAt: expect.stringMatching(/Z$/) },
    })
    const next = await waiting()
    await rig.advance('25h')
    expect((await decide<WireProblem>(next.id, mara, { ...approve, evidenceDigest: next.digest })).body).toMatchObject({
      ...{ status: 410, code: 'approval-expired', params: { dueAt: next.dueAt } },
    })
  })

  test('several of low risk at once: all may be, or none is; each has its own answer', async () => {
    const { send, approver, waiting } = await setup()
    const mara = await approver('mara')
    const rows = [await waiting({ page: 'low-a' }), await waiting({ page: 'low-b' }), await waiting({ page: 'low-c' })]
    const other = await waiting({ page: 'home' })
    const ids = rows.map(({ id }) => id)
    type Batch = { items: { id: string; approval: WireApproval | null; problem: WireProblem | null }[] }
    const decide = (ids: string[], opened: string[]) =>
      send<Batch & WireProblem>('POST', '/v1/approvals/decisions', mara, { ids, decision: 'approve', opened })
    expect((await decide([...ids, other.id], [rows[0]!.digest])).body).toMatchObject({
      ...{ status: 422, errors: [{ pointer: '/ids', message: 'Requests of medium risk are decided one at a time.' }] },
    })
    expect((await decide(ids, [])).body.errors[0]!.message).toContain('Open at least one of them')
    expect((await decide([ids[0]!, 'apr_none'], [rows[0]!.digest])).status).toBe(404)
    expect((await send<{ items: [] }>('GET', '/v1/approvals?state=approved', mara)).body.items).toEqual([])

    await send('POST', `/v1/approvals/${ids[1]}/decision`, await approver('otto'), {
      decision: 'reject',
      reason: 'No.',
    })
    const { status, body } = await decide(ids, [rows[0]!.digest])
    expect(status).toBe(200)
    expect(body.items.map(({ id, approval, problem }) => [id, approval?.state ?? problem!.code])).toEqual([
      [ids[0], 'approved'],
      [ids[1], 'approval-already-decided'],
      [ids[2], 'approved'],
    ])
  })

  test('a key without a person decides low risk as itself, and is nobody’s second', async () => {
    const { decide, key, waiting } = await setup()
    const bot = await key('bot', ['approvals:read', 'approvals:decide'])
    const low = await waiting({ page: 'low-a' })
    expect((await decide(low.id, bot, { decision: 'approve' })).body).toMatchObject({
      ...{ state: 'approved', decisions: [{ by: { id: expect.stringMatching(/^key:key_/), name: 'bot' } }] },
    })
    const high = await waiting({ page: 'high-a' })
    const input = { decision: 'approve', reason: 'r', evidenceDigest: high.digest }
    expect((await decide<WireProblem>(high.id, bot, input)).body).toMatchObject({
      ...{ status: 403, code: 'forbidden', fix: expect.stringContaining('--person') },
    })
    expect((await decide(high.id, bot, { ...input, decision: 'reject' })).status).toBe(200)
  })

  test('without keys the machine may decide what it has submitted, once', async () => {
    const { decide, send, rig } = await setup()
    const submitted = await send<WireJob>('POST', '/v1/jobs', null, { type: 'cms.publish', input: { page: 'high' } })
    await rig.settle()
    const { items } = (await send<{ items: WireApprovalItem[] }>('GET', '/v1/approvals', null)).body
    expect(items[0]).toMatchObject({ jobId: submitted.body.id, requesters: [], mayDecide: { approve: { may: true } } })
    const input = { decision: 'approve', reason: 'r', evidenceDigest: items[0]!.digest }
    const { body } = await decide(items[0]!.id, null, input)
    expect(body).toMatchObject({ state: 'pending', decisions: [{ by: { id: 'loopback', name: 'this machine' } }] })
    expect((await decide(items[0]!.id, null, input)).body.quorum.filled).toBe(1)
  })
})

test('every answer is what the OpenAPI document says', async () => {
  const { send, decide, approver, waiting, rig } = await setup()
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'doc', ...(buildOpenapi(routes, { base: '', version: '1' }) as object) })
  const expectValid = (name: string, value: unknown) => {
    const check = ajv.compile({ $ref: `doc#/components/schemas/${name}` })
    check(value)
    expect(check.errors, `${name}: ${JSON.stringify(value)}`).toBeNull()
  }
  const mara = await approver('mara')
  const { id, digest, jobId } = await waiting({ edit: true })
  const changes = { decision: 'requestChanges', reason: 'r', evidenceDigest: digest, changes: [{ text: 'shorter' }] }
  expectValid('Approval', (await decide(id, mara, changes)).body)
  const low = await waiting({ page: 'low-a', edit: true })
  expectValid('Approval', (await decide(low.id, mara, { decision: 'approve', data: { title: 'X' } })).body)
  expectValid('ApprovalPage', (await send('GET', '/v1/approvals', mara)).body)
  expectValid('Approval', (await send('GET', `/v1/approvals/${low.id}`, mara)).body)
  const batch = { ids: [low.id, id], decision: 'reject', reason: 'r', opened: [low.digest] }
  expectValid('Problem', (await send('POST', '/v1/approvals/decisions', mara, batch)).body)
  expectValid(
    'BatchDecisionAnswer',
    (await send('POST', '/v1/approvals/decisions', mara, { ...batch, ids: [low.id] })).body,
  )
  expectValid('Job', await rig.engine.get(LOCAL, jobId, ['approvals']))
})
