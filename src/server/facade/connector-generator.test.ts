/** An old job API kept whole: every body of its documentation, compared with what is answered, key by key. */
import { describe, expect, test } from 'vitest'
import { Permanent } from '../../define/index.js'
import { LOCAL } from '../../engine/api.js'
import { CONNECTOR_GENERATOR, DISCOVERY, oldApis } from './fixtures/old-apis.js'

const open = oldApis()
const START = Date.parse('2026-03-10T12:00:00Z')
const ADDRESS = '/discovery/session-42/discovery'
const INPUT = { application: 'Example' }
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** A discovery that is submitted at 12:00:00 and, as in the documentation, has to wait its turn until 12:00:05. */
async function discovery() {
  const api = await open(undefined, { start: START })
  await api.post('/api/v1/analysis', { url: 'https://example.com' })
  const front = await api.attempt()
  const { jobId: id } = (await (await api.post(ADDRESS, INPUT)).json()) as { jobId: string }
  await api.rig.advance('5s')
  return {
    ...api,
    id,
    /** The body as text, so that the order of members counts as well. */
    status: async () => (await api.get(`${ADDRESS}?jobId=${id}`)).text(),
    begin: () => {
      front.finish(null)
      return api.attempt()
    },
  }
}
const pretty = (value: unknown) => JSON.stringify(value, null, 2)
const bodyOf = (text: string) => pretty(JSON.parse(text))

describe('the bodies of the documentation', () => {
  test('queued: no startedAt, no progress, no result, no errors', async () => {
    const { id, status } = await discovery()
    expect(bodyOf(await status())).toBe(
      pretty({
        jobId: id,
        status: 'queued',
        createdAt: '2026-03-10T12:00:00Z',
        updatedAt: '2026-03-10T12:00:00Z',
      }),
    )
  })

  test('running, with progress', async () => {
    const { id, status, begin, rig } = await discovery()
    const { job } = await begin()
    await rig.advance('85s')
    job.progress('processing', { message: 'Analyzing documentation chunks' })
    await rig.advance(1)
    expect(bodyOf(await status())).toBe(
      pretty({
        jobId: id,
        status: 'running',
        createdAt: '2026-03-10T12:00:00Z',
        startedAt: '2026-03-10T12:00:05Z',
        updatedAt: '2026-03-10T12:01:30Z',
        progress: { stage: 'processing', message: 'Analyzing documentation chunks' },
      }),
    )
  })

  test('running, with documents and iterations: what the clients make a percentage of', async () => {
    const { status, begin, rig } = await discovery()
    const { job } = await begin()
    job.progress('processing_chunks', {
      message: 'Chunk 15',
      completed: 15,
      total: 50,
      iterations: { completed: 1, total: 3 },
    })
    await rig.advance(1)
    expect(JSON.parse(await status()).progress).toEqual({
      stage: 'processing_chunks',
      message: 'Chunk 15',
      processedDocuments: 15,
      totalDocuments: 50,
      completedIterations: 1,
      totalIterations: 3,
    })
  })

  test('finished, with the result, and progress in its last words', async () => {
    const { id, status, begin, rig } = await discovery()
    const { job, finish } = await begin()
    job.progress('processing', { message: 'Analyzing documentation chunks' })
    await rig.advance('160s')
    const result = {
      candidateLinks: ['https://api.example.com/docs', 'https://docs.example.com/api/reference'],
      searchQuery: 'Example API documentation',
      totalFound: 2,
    }
    finish(result)
    await rig.settle()
    expect(bodyOf(await status())).toBe(
      pretty({
        jobId: id,
        status: 'finished',
        createdAt: '2026-03-10T12:00:00Z',
        startedAt: '2026-03-10T12:00:05Z',
        updatedAt: '2026-03-10T12:02:45Z',
        progress: { stage: 'finished', message: 'completed' },
        result,
      }),
    )
  })

  test('failed, with one entry per line of the error', async () => {
    const { id, status, begin, rig } = await discovery()
    const { job, fail } = await begin()
    job.progress('processing', { message: 'Analyzing documentation chunks' })
    await rig.advance('85s')
    const errors = [
      'Failed to extract schema from documentation',
      "Insufficient documentation coverage for object 'Account'",
      'Consider uploading more comprehensive API documentation',
    ]
    fail(new Permanent(errors.join('\n')))
    await rig.settle()
    expect(bodyOf(await status())).toBe(
      pretty({
        jobId: id,
        status: 'failed',
        createdAt: '2026-03-10T12:00:00Z',
        startedAt: '2026-03-10T12:00:05Z',
        updatedAt: '2026-03-10T12:01:30Z',
        errors,
      }),
    )
  })

  test.each([
    [null, 'Job cancelled.'],
    ['customer\nwithdrew', 'Job cancelled: customer withdrew'],
  ])('cancelled for %j is failed with one line', async (reason, line) => {
    const { id, status, rig } = await discovery()
    await rig.engine.cancel(LOCAL, id, { reason })
    expect(JSON.parse(await status())).toMatchObject({ status: 'failed', errors: [line] })
  })

  test('not_found is 200, with the id that was asked for', async () => {
    const { get } = await open()
    const answer = await get(`${ADDRESS}?jobId=8f2c5d90-3a17-4b3e-9c4e-7fa8b1d6e8a2`)
    expect(answer.status).toBe(200)
    expect(await answer.text()).toBe('{"jobId":"8f2c5d90-3a17-4b3e-9c4e-7fa8b1d6e8a2","status":"not_found"}')
  })

  test('what retention has removed is not_found too', async () => {
    const { id, status, begin, rig } = await discovery()
    ;(await begin()).finish(1)
    await rig.settle()
    expect(JSON.parse(await status()).status).toBe('finished')
    await rig.advance('12m')
    expect((await rig.engine.get(LOCAL, id).catch((error) => error)).code).toBe('job-expired')
    expect(JSON.parse(await status())).toEqual({ jobId: id, status: 'not_found' })
  })
})

describe('submit', () => {
  test('answers with id and status, and says where to ask', async () => {
    const { post, rig } = await open()
    const answer = await post(ADDRESS, INPUT)
    expect(answer.status).toBe(202)
    const body = (await answer.json()) as { jobId: string }
    expect(body).toEqual({ jobId: expect.stringMatching(UUID), status: 'queued' })
    expect(answer.headers.get('location')).toBe(`${ADDRESS}?jobId=${body.jobId}`)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(await rig.get(body.jobId)).toMatchObject({ type: DISCOVERY, groupId: 'session-42' })
  })
})

describe('latestOf: the job without its id', () => {
  test('is the newest of its type in the session', async () => {
    const { post, read } = await open()
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push(((await (await post(ADDRESS, INPUT)).json()) as { jobId: string }).jobId)
    await post('/discovery/other/discovery', INPUT)
    await post('/v1/jobs', { type: 'scrape.getRelevantDocumentation', input: {}, groupId: 'session-42' })
    expect((await read(ADDRESS)).jobId).toBe(ids[2])
    expect((await read(`${ADDRESS}?jobId=`)).jobId).toBe(ids[2])
    expect((await read(`${ADDRESS}?jobId=${ids[0]}`)).jobId).toBe(ids[0])
  })

  test('is not_found, without an id, in a session that has none', async () => {
    const { get, post } = await open()
    await post('/discovery/other/discovery', INPUT)
    const answer = await get(ADDRESS)
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'not_found' }])
  })

  test('does not show a job of another session or type that is named by its id', async () => {
    const { post, read } = await open()
    const other = (await (await post('/discovery/other/discovery', INPUT)).json()) as { jobId: string }
    const job = { type: 'scrape.getRelevantDocumentation', input: {}, groupId: 'session-42' }
    const scrape = (await (await post('/v1/jobs', job)).json()) as { id: string }
    for (const id of [other.jobId, scrape.id])
      expect(await read(`${ADDRESS}?jobId=${id}`)).toEqual({ jobId: id, status: 'not_found' })
  })

  test('takes a type from the request as a name, not as a pattern', async () => {
    const [submit, get, list] = CONNECTOR_GENERATOR.routes
    const byType = { ...get!, path: '/latest/{sessionId}/{type}', op: 'get', jobId: undefined } as typeof get & object
    const latestOf = { groupId: '$req.params.sessionId', type: '$req.params.type' }
    const { post, read } = await open([
      { ...CONNECTOR_GENERATOR, routes: [submit!, { ...byType, latestOf } as never, list!] },
    ])
    await post(ADDRESS, INPUT)
    expect((await read(`/latest/session-42/${DISCOVERY}`)).jobId).toMatch(UUID)
    for (const type of ['*', 'discovery.*']) expect((await read(`/latest/session-42/${type}`)).status).toBe('not_found')
  })
})

describe('the jobs of a session', () => {
  test('newest first, each with its type and without its result', async () => {
    const { post, read, attempt, rig } = await open(undefined, { start: START })
    const { jobId: first } = (await (await post(ADDRESS, INPUT)).json()) as { jobId: string }
    await (await attempt()).finish({ found: 2 })
    await rig.advance('1s')
    const scrape = { type: 'scrape.getRelevantDocumentation', input: {}, groupId: 'session-42' }
    await post('/discovery/other/discovery', INPUT)
    await attempt()
    const { id: second } = (await (await post('/v1/jobs', scrape)).json()) as { id: string }
    const { jobs } = await read('/session/session-42/jobs')
    expect(jobs).toEqual([
      {
        jobId: second,
        status: 'queued',
        createdAt: '2026-03-10T12:00:01Z',
        updatedAt: '2026-03-10T12:00:01Z',
        jobType: 'scrape.getRelevantDocumentation',
      },
      {
        jobId: first,
        status: 'finished',
        createdAt: '2026-03-10T12:00:00Z',
        startedAt: '2026-03-10T12:00:00Z',
        updatedAt: '2026-03-10T12:00:00Z',
        progress: { stage: 'finished', message: 'completed' },
        jobType: DISCOVERY,
      },
    ])
    expect(Object.keys(jobs[0]).at(-1)).toBe('jobType')
  })

  test('an unknown session is an empty list', async () => {
    const { read } = await open()
    expect(await read('/session/none/jobs')).toEqual({ jobs: [] })
  })

  test('all of them, however many pages they are', async () => {
    const { post, read } = await open()
    const items = Array.from({ length: 450 }, () => ({ type: DISCOVERY, input: INPUT, groupId: 'session-42' }))
    await post('/v1/jobs/batch', { items })
    const { jobs } = await read('/session/session-42/jobs')
    expect(new Set(jobs.map(({ jobId }: { jobId: string }) => jobId)).size).toBe(450)
  })
})
