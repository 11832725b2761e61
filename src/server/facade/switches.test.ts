/** What else can be configured, each switch once: answers for our errors, times, nulls, cancel, pages, vocabularies. */
import { describe, expect, test } from 'vitest'
import { Permanent, Review } from '../../define/index.js'
import { LOCAL } from '../../engine/api.js'
import type { Facade, FacadeRoute, Template, VocabularyName } from './facade.js'
import { DISCOVERY, type OldApis, oldApis } from './fixtures/old-apis.js'

const open = oldApis()
const START = Date.parse('2026-03-10T12:00:00Z')
const INPUT = { url: 'https://example.com' }

/** Three routes around one body. */
function around(respond: Template, more: Partial<Facade> = {}, routes: FacadeRoute[] = []): Facade[] {
  const job = { method: 'GET', path: '/jobs/{jobId}', jobId: '$req.params.jobId' } as const
  const submit = { op: 'submit', method: 'POST', path: '/jobs', map: { type: 'analysis', input: '$req.body' } } as const
  return [
    {
      name: 'old',
      status: 'openai',
      ...more,
      routes: [{ ...submit, respond: { id: '$job.id' } }, { ...job, op: 'get', respond }, ...routes],
    },
  ]
}
async function submitted(api: OldApis, input: unknown = INPUT): Promise<string> {
  return ((await (await api.post('/jobs', input)).json()) as { id: string }).id
}
async function shown(respond: Template, more: Partial<Facade> = {}): Promise<any> {
  const api = await open(around(respond, more), { start: START })
  const id = await submitted(api)
  const text = JSON.stringify(await api.read(`/jobs/${id}?x=1`))
  return JSON.parse(text.replaceAll(id, 'ID'))
}

describe('bodies', () => {
  test('say literals as they stand, and $$ is a dollar', async () => {
    const literals = { a: 1, b: true, c: null, d: '$$5', e: ['x', { f: [] }], g: {}, 'a/b.c': '' }
    expect(await shown(literals)).toEqual({ ...literals, d: '$5' })
  })

  test('a look-up that leads to nothing leaves its member out, and so an object of nothing else', async () => {
    const body = {
      id: '$job.id',
      started: '$job.groupId',
      error: { code: '$job.error.code', kind: 'x' },
      list: ['$job.groupId'],
    }
    expect(await shown(body)).toEqual({ id: 'ID', list: [null] })
    expect(await shown('$job.groupId')).toBeNull()
    expect(await shown({ error: '$job.error.code', kind: 'x' })).toEqual({ kind: 'x' })
    expect(await shown({ deep: { er: { code: '$job.error.code' }, id: '$job.id' } })).toEqual({ deep: { id: 'ID' } })
  })

  test('or says null, with absent: null', async () => {
    const body = { id: '$job.id', group: '$job.groupId', error: { code: '$job.error.code', kind: 'x' } }
    expect(await shown(body, { absent: 'null' })).toEqual({
      id: 'ID',
      group: null,
      error: { code: null, kind: 'x' },
    })
  })

  test('false, 0 and empty text are something', async () => {
    expect(await shown({ a: '$job.late', b: '$job.priority', c: '$job.done', d: '$job.tags' })).toEqual({
      ...{ a: false, b: 0, c: false, d: [] },
    })
  })

  test.each([
    ['milliseconds', '2026-03-10T12:00:00.000Z'],
    ['seconds', '2026-03-10T12:00:00Z'],
    ['unixSeconds', 1_773_144_000],
    ['unixMilliseconds', 1_773_144_000_000],
  ] as const)('time: %s', async (time, instant) => {
    const body = { at: '$job.createdAt', all: '$job' }
    const { at, all } = await shown(body, { time })
    expect([at, all.createdAt, all.startedAt ?? instant]).toEqual([instant, instant, instant])
  })

  test('time never touches what a handler or a caller made', async () => {
    const api = await open(around({ result: '$job.result', error: '$job.error.details' }, { time: 'unixSeconds' }))
    const id = await submitted(api)
    const result = { createdAt: '2026-03-10T12:00:00.123Z', at: '2026-03-10T12:00:00.123Z' }
    ;(await api.attempt()).finish(result)
    await api.rig.settle()
    expect(await api.read(`/jobs/${id}`)).toEqual({ result })
    const failed = await submitted(api)
    ;(await api.attempt()).fail(new Permanent('x', { details: result }))
    await api.rig.settle()
    expect(await api.read(`/jobs/${failed}`)).toEqual({ error: result })
  })

  test('presets of the facade stand beside those that are there', async () => {
    const presets = { mine: { id: '$job.id', status: 'mine' } }
    expect(await shown('$preset.jobType+mine', { presets })).toEqual({ jobType: 'analysis', id: 'ID', status: 'mine' })
  })

  test('progress without a word about it is ours', async () => {
    const api = await open(around({ all: '$progress', stage: '$progress.stage' }))
    const id = await submitted(api)
    const { job } = await api.attempt()
    job.progress('read', { completed: 1, total: 2 })
    await api.rig.advance(1)
    expect(await api.read(`/jobs/${id}`)).toMatchObject({ stage: 'read', all: { percent: 50, iterations: null } })
  })

  test('a result that is too large for the job is there all the same', async () => {
    const result = { text: 'x'.repeat(300_000) }
    const api = await open(around({ out: '$job.result.text', state: '$job.resultInfo.state' }))
    const id = await submitted(api)
    ;(await api.attempt()).finish(result)
    await api.rig.settle()
    const body = await api.read(`/jobs/${id}`)
    expect([body.state, body.out.length]).toEqual(['external', 300_000])
  })

  test('members of the input are put together, and errors point to where they came from', async () => {
    const submit: FacadeRoute = {
      ...{ op: 'submit', method: 'PUT', path: '/put/{tag}', respond: { at: '$location' } },
      map: {
        type: 'analysis',
        input: { url: '$req.body.source.href', 'a/b': '$req.body.ab', size: '$req.query.size' },
        tags: ['$req.params.tag', 'old'],
        metadata: { from: 'old' },
      },
    } as const
    const api = await open(around('$job', {}, [submit]))
    const answer = await api.send('PUT', '/put/eu', { source: { href: 'https://a.example' } })
    const { at } = (await answer.json()) as { at: string }
    expect([answer.status, at]).toEqual([202, answer.headers.get('location')])
    const [job] = (await api.rig.engine.list(LOCAL, {})).items
    expect(at).toBe(`/jobs/${job!.id}`)
    expect(job).toMatchObject({ tags: ['eu', 'old'], metadata: { from: 'old' } })
    expect((await api.rig.engine.get(LOCAL, job!.id, ['input'])).input).toEqual({ url: 'https://a.example' })
    const wrong = await api.send('PUT', '/put/eu', { source: { href: 7 } })
    expect(await wrong.json()).toMatchObject({ code: 'input-invalid', errors: [{ pointer: '/source/href' }] })
    const missing = await api.send('PUT', '/put/eu', {})
    expect(await missing.json()).toMatchObject({ errors: [{ pointer: '/source/href' }] })
    const tag = await api.send('PUT', `/put/${'t'.repeat(65)}`, {})
    expect(((await tag.json()) as any).errors[0].message).toBe('path parameter tag must have 1 to 64 characters')
  })

  test('look-ups find own members of the body only', async () => {
    const submit: FacadeRoute = {
      ...{
        op: 'submit',
        method: 'POST',
        path: '/own',
        respond: { echo: ['$req.body.toString', '$req.body.list.length', '$req.body.list.1', '$req.body.text.0'] },
      },
      map: { type: 'analysis', input: { url: 'https://a.example' } },
    } as const
    const api = await open(around('$job', {}, [submit]))
    const body = '{"list":[1,2],"text":"abc","__proto__":{"toString":"polluted"}}'
    expect(await (await api.post('/own', body)).json()).toEqual({ echo: [null, null, 2, null] })
    expect(await (await api.post('/own', '{"toString":"mine"}')).json()).toMatchObject({
      echo: ['mine', null, null, null],
    })
    expect(({} as any).polluted).toBeUndefined()
  })
})

describe('answers for our errors', () => {
  const errors: Facade['errors'] = {
    unauthenticated: { code: 401, body: { message: 'who are you?' } },
    'input-invalid': { code: 400, body: { error: '$problem.detail', fields: '$problem.errors', q: '$req.query.q' } },
    'job-not-found': { code: 410 },
  }

  test('have the form that old clients know, and keep the headers of ours', async () => {
    const api = await open(around('$job', { errors }))
    const invalid = await api.post('/jobs?q=7', { url: 'x' })
    expect([invalid.status, invalid.headers.get('content-type')]).toEqual([400, 'application/json'])
    expect(await invalid.json()).toMatchObject({
      error: expect.stringContaining('"analysis" was refused'),
      fields: [{ pointer: '/url' }],
      q: '7',
    })
    const gone = await api.get('/jobs/nope')
    expect([gone.status, await gone.text(), gone.headers.get('content-type')]).toEqual([410, '', null])
    // What it says nothing about stays ours.
    expect((await api.post('/jobs', '{')).headers.get('content-type')).toBe('application/problem+json')
    await api.key('admin')
    await api.rig.clock.advance(1001)
    const refused = await api.post('/jobs', INPUT)
    expect([refused.status, await refused.json()]).toEqual([401, { message: 'who are you?' }])
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="untildone"')
    expect((await api.get('/v1/jobs')).headers.get('content-type')).toBe('application/problem+json')
  })

  test.each<[string, Facade['expired'], number, object]>([
    ['problem', 'problem', 410, { code: 'job-expired' }],
    ['an answer of its own', { code: 410, body: { gone: '$id', why: '$problem.code' } }, 410, { why: 'job-expired' }],
    ['nothing', undefined, 404, { missing: true }],
  ])('expired: %s', async (_, expired, code, body) => {
    const notFound = { code: 404, body: { missing: true, id: '$id' } }
    const api = await open(around('$job', { notFound, expired }))
    const id = await submitted(api)
    ;(await api.attempt()).finish(1)
    await api.rig.advance('12m')
    const answer = await api.get(`/jobs/${id}`)
    expect([answer.status, await answer.json()]).toMatchObject([code, body])
  })
})

describe('cancel', () => {
  const cancel: FacadeRoute = {
    ...{ op: 'cancel', method: 'POST', path: '/jobs/{jobId}/stop', jobId: '$req.params.jobId' },
    ...{ reason: '$req.body.why', respond: { status: '$status', errors: '$errors' } },
    alreadyDone: { code: 409, body: { status: '$status' } },
  }

  test('a job that waits, one that runs, one that is done', async () => {
    const api = await open(around('$job', { status: 'replicate' }, [cancel]))
    const [running, waiting] = [await submitted(api), await submitted(api)]
    await api.attempt()
    const stop = async (id: string, body?: unknown) => {
      const answer = await api.post(`/jobs/${id}/stop`, body)
      return [answer.status, await answer.json()]
    }
    expect(await stop(waiting, { why: 'withdrawn' })).toEqual([
      200,
      { status: 'canceled', errors: ['Job cancelled: withdrawn'] },
    ])
    expect(await stop(waiting)).toMatchObject([200, { status: 'canceled' }])
    expect(await stop(running)).toEqual([202, { status: 'processing' }])
    await api.rig.settle()
    const done = await submitted(api)
    ;(await api.attempt()).finish(1)
    await api.rig.settle()
    expect(await stop(done)).toEqual([409, { status: 'succeeded' }])
    expect(await stop(done, { why: 'w'.repeat(3000) })).toMatchObject([422, { code: 'validation-failed' }])
    const [last] = (await api.rig.engine.history(LOCAL, waiting, {})).items.slice(-1)
    expect(last).toMatchObject({ reason: 'withdrawn', to: { status: 'cancelled' } })
  })

  test('with a code of its own and no body', async () => {
    const quiet = {
      ...cancel,
      code: 204,
      respond: undefined,
      method: 'DELETE',
      path: '/jobs/{jobId}',
      reason: undefined,
    } as FacadeRoute
    const api = await open(around('$job', {}, [quiet]))
    const id = await submitted(api)
    const answer = await api.send('DELETE', `/jobs/${id}`)
    expect([answer.status, await answer.text()]).toEqual([204, ''])
  })
})

describe('lists', () => {
  const list: FacadeRoute = {
    ...{ op: 'list', method: 'GET', path: '/list', groupId: '$req.query.session', type: '$req.query.type' },
    ...{ cursor: '$req.query.after', limit: '$req.query.size', order: 'createdAt' },
    item: '$job.id',
    respond: { data: '$items', next: '$nextCursor' },
  }

  test('page by page, by group and type', async () => {
    const api = await open(around('$job', {}, [list]))
    const items = Array.from({ length: 5 }, (_, i) => ({
      type: 'analysis',
      input: INPUT,
      groupId: i === 2 ? 'b' : 'a',
    }))
    const { items: made } = (await (await api.post('/v1/jobs/batch', { items })).json()) as { items: { id: string }[] }
    const a = made.filter((_, i) => i !== 2).map(({ id }) => id)
    const first = await api.read('/list?session=a&size=3&type=analysis')
    expect(first.data).toEqual(a.slice(0, 3))
    const second = await api.read(`/list?session=a&size=3&type=analysis&after=${encodeURIComponent(first.next)}`)
    expect(second).toEqual({ data: a.slice(3) })
    expect(await api.read(`/list?session=a&type=${DISCOVERY}`)).toEqual({ data: [] })
    expect((await api.read('/list?session=b')).data).toEqual([made[2]!.id])
  })

  test('a group that is missing never widens the list, and a wrong page is 400', async () => {
    const { get } = await open(around('$job', {}, [list]))
    const refused = async (path: string) => {
      const answer = await get(path)
      return `${answer.status} ${((await answer.json()) as { detail: string }).detail}`
    }
    expect(await refused('/list')).toBe('400 The query parameter "session" is missing.')
    expect(await refused('/list?session=')).toBe('400 The query parameter "session" is missing.')
    expect(await refused('/list?session=a&size=0')).toBe(
      '400 The query parameter "size" must be a whole number from 1.',
    )
    expect(await refused('/list?session=a&after=x')).toMatch(/^400 .*cursor/)
  })
})

describe('addresses', () => {
  test('a fixed segment wins over a parameter, in whatever order they are written', async () => {
    const latest: FacadeRoute = {
      ...{ op: 'get', method: 'GET', path: '/jobs/latest', respond: { latest: '$job.id' } },
      latestOf: { groupId: '$req.query.g', type: 'analysis' },
    }
    const api = await open(around('$job', { notFound: { code: 404, body: { none: true } } }, [latest]))
    expect(await api.read('/jobs/latest?g=x')).toEqual({ none: true })
    await api.post('/v1/jobs', { type: 'analysis', input: INPUT, groupId: 'x' })
    expect(await api.read('/jobs/latest?g=x')).toEqual({ latest: expect.any(String) })
  })

  test('an id may stand in a body', async () => {
    const rpc: FacadeRoute = {
      op: 'get',
      method: 'POST',
      path: '/status',
      jobId: '$req.body.id',
      respond: { s: '$status' },
    }
    const api = await open(around('$job', {}, [rpc]))
    const id = await submitted(api)
    expect(await (await api.post('/status', { id })).json()).toEqual({
      s: expect.stringMatching(/^(queued|in_progress)$/),
    })
    const missing = await api.post('/status', {})
    expect(await missing.json()).toMatchObject({ code: 'malformed-request', detail: 'The member "id" is missing.' })
  })

  test('without an address of its own, Location is the native one', async () => {
    const [facade] = around('$job')
    const api = await open([{ ...facade!, routes: [facade!.routes[0]!] }])
    const answer = await api.post('/jobs', INPUT)
    expect(answer.headers.get('location')).toMatch(/^\/v1\/jobs\/[0-9a-f-]{36}$/)
  })
})

describe('vocabularies', () => {
  type Words = [
    accepted: unknown,
    processing: unknown,
    blocked: unknown,
    completed: unknown,
    failed: unknown,
    cancelled: unknown,
  ]
  const state = (state: string, more = {}) => ({ state, ...more })
  test.each<[VocabularyName, Words]>([
    ['morpheus', ['pending', 'in_progress', 'in_progress', 'completed', 'failed', 'failed']],
    ['connector-generator', ['queued', 'running', 'running', 'finished', 'failed', 'failed']],
    ['azure', ['NotStarted', 'Running', 'Running', 'Succeeded', 'Failed', 'Canceled']],
    ['replicate', ['starting', 'processing', 'processing', 'succeeded', 'failed', 'canceled']],
    ['openai', ['queued', 'in_progress', 'in_progress', 'completed', 'failed', 'cancelled']],
    ['a2a', ['submitted', 'working', 'input-required', 'completed', 'failed', 'canceled']],
    [
      'google-lro',
      [
        ...([{ done: false }, { done: false }, { done: false }, { done: true }] as const),
        ...([
          { done: true, code: 13, name: 'INTERNAL' },
          { done: true, code: 1, name: 'CANCELLED' },
        ] as const),
      ],
    ],
    [
      'mcp',
      [
        ...([state('working'), state('working'), state('working'), state('completed')] as const),
        ...([state('completed', { isError: true }), state('cancelled')] as const),
      ],
    ],
  ])('%s', async (status, words) => {
    const api = await open(around({ status: '$status' }, { status }))
    const [failed, blocked, completed, cancelled] = [1, 2, 3, 4].map(() => submitted(api))
    const said = async (id: Promise<string> | undefined) => (await api.read(`/jobs/${await id}`)).status
    const seen: Record<string, unknown> = {}
    await cancelled
    await api.attempt()
    seen.processing = await said(failed)
    seen.accepted = await said(completed)
    await api.rig.engine.cancel(LOCAL, await cancelled!, {})
    ;(await api.attempt()).fail(new Permanent('No.'))
    ;(await api.attempt()).fail(new Review('Look.'))
    ;(await api.attempt()).finish(1)
    await api.rig.settle()
    expect([seen.accepted, seen.processing]).toEqual(words.slice(0, 2))
    expect(await said(blocked)).toEqual(words[2])
    expect(await said(completed)).toEqual(words[3])
    expect(await said(failed)).toEqual(words[4])
    expect(await said(cancelled)).toEqual(words[5])
  })

  test('one that needs more than a word is looked into, and a case of a word wins over the word', async () => {
    const status = {
      ...{ accepted: { done: false }, processing: { done: false }, completed: { done: true } },
      ...{ blocked: { done: false }, 'blocked:review': { done: false, why: 'review' } },
      ...{
        failed: { done: true, code: 13 },
        'failed:no-luck': { done: true, code: 9 },
        cancelled: { done: true, code: 1 },
      },
    }
    const body = {
      done: '$status.done',
      why: '$status.why',
      response: '$job.result',
      error: { code: '$status.code', message: '$job.error.message' },
    }
    const api = await open(around(body, { status }))
    const end = async (how: (attempt: Awaited<ReturnType<OldApis['attempt']>>) => void) => {
      const id = await submitted(api)
      how(await api.attempt())
      await api.rig.settle()
      return api.read(`/jobs/${id}`)
    }
    expect(await end(({ finish }) => finish({ a: 1 }))).toEqual({ done: true, response: { a: 1 } })
    expect(await end(({ fail }) => fail(new Permanent('No.')))).toEqual({
      done: true,
      error: { code: 13, message: 'No.' },
    })
    expect(await end(({ fail }) => fail(new Permanent('No.', { code: 'no-luck' })))).toMatchObject({
      error: { code: 9 },
    })
    expect(await end(({ fail }) => fail(new Review('Look.')))).toMatchObject({ done: false, why: 'review' })
  })
})
