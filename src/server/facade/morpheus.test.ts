/** An accepted design of an asynchronous API: submit, status, result. And what every facade has from the server itself. */
import { describe, expect, test } from 'vitest'
import { Permanent } from '../../define/index.js'
import { LOCAL } from '../../engine/api.js'
import { CONNECTOR_GENERATOR, MORPHEUS, type OldApis, oldApis } from './fixtures/old-apis.js'

const open = oldApis()
const INPUT = { url: 'https://example.com' }
const SUBMIT = '/api/v1/analysis'

async function submitted(api: OldApis, headers?: Record<string, string>): Promise<string> {
  return ((await (await api.post(SUBMIT, INPUT, headers)).json()) as { jobId: string }).jobId
}

describe('the three endpoints', () => {
  test('submit: 202 with the id, stored, with Location and Retry-After', async () => {
    const { post, rig } = await open()
    const answer = await post(SUBMIT, INPUT)
    const body = (await answer.json()) as { jobId: string }
    expect([answer.status, Object.keys(body)]).toEqual([202, ['jobId']])
    expect(answer.headers.get('location')).toBe(`/api/v1/analysis/status/${body.jobId}`)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const job = await rig.engine.get(LOCAL, body.jobId, ['input'])
    expect(job).toMatchObject({ type: 'analysis', input: INPUT, groupId: null })
  })

  test('status: each of the words, and when to ask again', async () => {
    const api = await open()
    const [first, second] = [await submitted(api), await submitted(api)]
    const status = async (id: string) => {
      const answer = await api.get(`/api/v1/analysis/status/${id}`)
      return [answer.status, await answer.json(), answer.headers.has('retry-after')]
    }
    const { finish } = await api.attempt()
    expect(await status(first)).toEqual([200, { jobId: first, status: 'in_progress' }, true])
    expect(await status(second)).toEqual([200, { jobId: second, status: 'pending' }, true])
    finish({ score: 1 })
    const { fail } = await api.attempt()
    fail(new Permanent('No.'))
    await api.rig.settle()
    expect(await status(first)).toEqual([200, { jobId: first, status: 'completed' }, false])
    expect(await status(second)).toEqual([200, { jobId: second, status: 'failed' }, false])
  })

  test('result: not yet, then the bare result byte for byte, with a tag', async () => {
    const api = await open()
    const id = await submitted(api)
    const { finish } = await api.attempt()
    const early = await api.get(`/api/v1/analysis/result/${id}`)
    expect([early.status, await early.json()]).toEqual([409, { jobId: id, status: 'in_progress' }])
    expect(early.headers.get('retry-after')).toMatch(/^\d+$/)
    finish({ score: 0.5, text: 'é' })
    await api.rig.settle()
    const answer = await api.get(`/api/v1/analysis/result/${id}`)
    expect([answer.status, await answer.text()]).toEqual([200, '{"score":0.5,"text":"é"}'])
    const etag = answer.headers.get('etag')!
    expect((await api.get(`/api/v1/analysis/result/${id}`, { 'if-none-match': etag })).status).toBe(304)
  })

  test('result of a failed and of a cancelled job', async () => {
    const api = await open()
    const [failed, cancelled] = [await submitted(api), await submitted(api)]
    await api.rig.engine.cancel(LOCAL, cancelled, {})
    ;(await api.attempt()).fail(new Permanent('The page\nis empty.'))
    await api.rig.settle()
    const result = async (id: string) => {
      const answer = await api.get(`/api/v1/analysis/result/${id}`)
      return [answer.status, await answer.json()]
    }
    expect(await result(failed)).toEqual([409, { status: 'failed', errors: ['The page', 'is empty.'] }])
    expect(await result(cancelled)).toEqual([409, { status: 'failed', errors: ['Job cancelled.'] }])
  })

  test('unknown ids are 404 in its words, whatever they look like', async () => {
    const { get } = await open()
    for (const id of ['8f2c5d90-3a17-4b3e-9c4e-7fa8b1d6e8a2', 'x', '__proto__', '%00', "'", '..%2f..']) {
      for (const what of ['status', 'result']) {
        const answer = await get(`/api/v1/analysis/${what}/${id}`)
        expect([answer.status, await answer.json()], id).toEqual([404, { error: 'job not found' }])
      }
    }
  })

  test('without notReady and failed, our own problems say it', async () => {
    const [submit, get, result] = MORPHEUS.routes
    const bare = { ...result!, notReady: undefined, failed: undefined }
    const api = await open([{ ...MORPHEUS, routes: [submit!, get!, bare] }])
    const id = await submitted(api)
    const early = await api.get(`/api/v1/analysis/result/${id}`)
    expect([early.status, early.headers.get('content-type')]).toEqual([409, 'application/problem+json'])
    expect(await early.json()).toMatchObject({ code: 'result-not-ready', retryable: true })
    ;(await api.attempt()).fail(new Permanent('No.'))
    await api.rig.settle()
    expect(await api.read(`/api/v1/analysis/result/${id}`)).toMatchObject({ code: 'job-failed' })
  })
})

describe('what comes from the server', () => {
  test('input that does not fit is 422, and the pointer is into the body that was sent', async () => {
    const { post, rig } = await open()
    const answer = await post(SUBMIT, { url: 'x' })
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ code: 'input-invalid', errors: [{ pointer: '/url' }] })
    expect(await (await post(SUBMIT)).json()).toMatchObject({ code: 'input-invalid', errors: [{ pointer: '/url' }] })
    expect((await rig.engine.list(LOCAL, {})).items).toEqual([])
  })

  test('an error about a part of the path names that part', async () => {
    const { post } = await open()
    const answer = await post(`/discovery/${'s'.repeat(201)}/discovery`, { application: 'a' })
    expect(await answer.json()).toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '', message: 'path parameter sessionId must have 1 to 200 characters' }],
    })
  })

  test('broken, large, deep and foreign bodies are refused as everywhere', async () => {
    const { post } = await open(undefined, { limits: { bodyBytes: 600, inputBytes: 200, jsonDepth: 4 } })
    const code = async (body: unknown, headers = {}) => {
      const answer = await post(SUBMIT, body, headers)
      return [answer.status, ((await answer.json()) as { code: string }).code]
    }
    expect(await code('{')).toEqual([400, 'malformed-request'])
    expect(await code({ url: 'x'.repeat(700) })).toEqual([413, 'payload-too-large'])
    expect(await code({ url: 'x'.repeat(300) })).toEqual([413, 'payload-too-large'])
    expect(await code('[[[[[1]]]]]')).toEqual([400, 'malformed-request'])
    expect(await code('a=1', { 'content-type': 'application/x-www-form-urlencoded' })).toEqual([
      415,
      'unsupported-media-type',
    ])
  })

  test('one key, one job: also when sent again, and another body is 422', async () => {
    const api = await open()
    const headers = { 'idempotency-key': 'K1' }
    const id = await submitted(api, headers)
    const again = await api.post(SUBMIT, INPUT, headers)
    expect([again.status, await again.json()]).toEqual([202, { jobId: id }])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    const other = await api.post(SUBMIT, { url: 'https://other.example' }, headers)
    expect([other.status, ((await other.json()) as { code: string }).code]).toEqual([422, 'idempotency-key-reused'])
    expect((await api.rig.engine.list(LOCAL, {})).items).toHaveLength(1)
    // The same request of the native API is the same operation.
    const native = await api.post('/v1/jobs', { type: 'analysis', input: INPUT }, headers)
    expect(await native.json()).toMatchObject({ id })
  })

  test('keys and scopes hold', async () => {
    const api = await open()
    const admin = await api.key('admin')
    const [one, other, reader] = [
      await api.key('jobs:submit'),
      await api.key('jobs:submit'),
      await api.key('jobs:read'),
    ]
    await api.rig.clock.advance(1001)
    const status = async (path: string, headers = {}) => (await api.get(path, headers)).status
    const refused = await api.post(SUBMIT, INPUT)
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="untildone"'])
    expect((await api.post(SUBMIT, INPUT, reader)).status).toBe(403)
    const id = await submitted(api, one)
    const path = `/api/v1/analysis/status/${id}`
    expect(await status(path)).toBe(401)
    expect([await status(path, one), await status(path, reader), await status(path, admin)]).toEqual([200, 200, 200])
    // Of somebody else: as if it did not exist.
    expect(await status(path, other)).toBe(404)
    expect((await api.get('/session/none/jobs')).status).toBe(401)
    expect(await (await api.get('/session/none/jobs', other)).json()).toEqual({ jobs: [] })
  })

  test('other methods are 405 with Allow, OPTIONS says them, HEAD has no body', async () => {
    const { send, get } = await open()
    const wrong = await send('DELETE', SUBMIT)
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST, OPTIONS'])
    const options = await send('OPTIONS', '/discovery/s/discovery')
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'POST, GET, HEAD, OPTIONS'])
    const head = await send('HEAD', '/session/none/jobs')
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect((await get('/api/v1/nothing')).status).toBe(404)
  })

  test('405 is told to those only who may ask', async () => {
    const api = await open()
    await api.key('admin')
    await api.rig.clock.advance(1001)
    expect((await api.send('DELETE', SUBMIT)).status).toBe(401)
  })

  test('parameters of the query that it does not know are left alone, those it knows are not', async () => {
    const { get } = await open()
    expect((await get('/session/none/jobs?_=1773144000')).status).toBe(200)
    expect((await get('/discovery/s/discovery?jobId=1&jobId=2')).status).toBe(400)
  })

  test('answers with the headers of every answer, and 503 while draining', async () => {
    const { get, server } = await open()
    const answer = await get('/session/none/jobs', { 'request-id': 'mine' })
    expect(answer.headers.get('request-id')).toBe('mine')
    expect(answer.headers.get('untildone-version')).toBe('1.2.3')
    await server.close()
    expect((await get('/session/none/jobs')).status).toBe(503)
  })

  test('is below the mount prefix, and so is Location', async () => {
    const { post, server } = await open(undefined, { basePath: '/background' })
    const answer = await post(`/background${SUBMIT}`, INPUT)
    expect(answer.headers.get('location')).toMatch(/^\/background\/api\/v1\/analysis\/status\//)
    expect(server.owns('/background/api/v1/analysis')).toBe(true)
    expect(server.owns('/background/api/v1/other')).toBe(false)
  })

  test('is owned, named in the root document, and absent without configuration', async () => {
    const { server, read } = await open()
    expect(server.owns('/session/x/jobs')).toBe(true)
    expect(server.facades).toEqual(['morpheus', 'connector-generator'])
    expect((await read('/v1')).facades).toEqual(['morpheus', 'connector-generator'])
    const without = await open([])
    expect(without.server.owns('/session/x/jobs')).toBe(false)
    expect((await without.read('/v1')).facades).toEqual([])
  })

  test('the order in which facades are given does not matter', async () => {
    const { get } = await open([CONNECTOR_GENERATOR, MORPHEUS])
    expect((await get('/api/v1/analysis/status/x')).status).toBe(404)
    expect((await get('/session/none/jobs')).status).toBe(200)
  })
})
