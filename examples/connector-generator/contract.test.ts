// The older API as its documentation has it: its bodies member by member, and its own client code, with the real jobs
// behind it.
import { readFileSync } from 'node:fs'
import { LOCAL } from 'untildone'
import { until as eventually } from 'untildone/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { documentedClient, type JobStatus } from './fixtures/documented-client.js'
import type { RunningSite } from './sites/serve.js'
import { harbor, opal } from './sites/sites.js'
import { type Bench, bench, serveAll } from './support.js'

const documented = JSON.parse(readFileSync(new URL('fixtures/documented-bodies.json', import.meta.url), 'utf8'))

let sites: Awaited<ReturnType<typeof serveAll>>
let jobs: Bench
let harborSite: RunningSite
let opalSite: RunningSite
beforeAll(async () => {
  sites = await serveAll(harbor(), opal())
  ;[harborSite, opalSite] = sites.running as [RunningSite, RunningSite]
  jobs = await bench(sites.running)
})
afterAll(async () => {
  await jobs?.stop()
  await sites?.close()
})
afterEach(() => {
  harborSite.holds.clear()
})

/** A page that is not answered before `release`. */
function hold(path: string): { release(): void } {
  let release = () => {}
  harborSite.holds.set(path, new Promise((resolve) => (release = resolve)))
  return { release: () => release() }
}

/** Waits until the job shows that, by the product's own long-poll. */
async function until(
  id: string,
  session: string,
  module: string,
  holds: (status: JobStatus) => boolean,
): Promise<JobStatus> {
  for (;;) {
    const { revision } = await jobs.app.engine.get(LOCAL, id)
    const status = await jobs.client.checkJobStatus(session, id, module)
    if (holds(status)) return status
    await jobs.app.engine.wait(LOCAL, id, { until: 'change', revision, timeoutMs: 20_000 })
  }
}

const digest = { objectClass: 'Account' }
const discover = () => ({ applicationName: 'Harbor Desk', startUrls: [harborSite.origin] })
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

/** The same members in the same order, down to the leaves, which have the same types. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? [shapeOf(value[0])] : []
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.entries(value).map(([name, inner]) => [name, shapeOf(inner)])
}

describe('bodies, member by member', () => {
  test('running', async () => {
    const held = hold('/developers')
    const { jobId } = await jobs.client.startJob('bodies', discover(), 'discovery')
    const body = await until(jobId, 'bodies', 'discovery', ({ progress }) => /developers/.test(progress?.message))
    expect(shapeOf(body)).toEqual(shapeOf(documented.running))
    expect(body).toMatchObject({ jobId, status: 'running', progress: { stage: 'processing' } })
    for (const at of [body.createdAt, body.startedAt, body.updatedAt]) expect(at).toMatch(INSTANT)
    held.release()
  })

  test('finished', async () => {
    const body = await jobs.run('bodies', 'discovery', discover())
    expect(shapeOf(body)).toEqual(shapeOf(documented.finished))
    expect(body).toMatchObject({ status: 'finished', progress: documented.finished.progress })
    expect(body.result.searchQuery).toBe('Harbor Desk API documentation')
    expect(body.result.totalFound).toBe(body.result.candidateLinks.length)
  })

  test('failed', async () => {
    await jobs.run('bodies-opal', 'scrape', { links: [`${opalSite.origin}/docs`] })
    const body = await jobs.run('bodies-opal', 'digester', digest)
    expect(shapeOf(body)).toEqual(shapeOf(documented.failed))
    expect(body.errors).toEqual(documented.failed.errors)
  })

  test('queued: neither startedAt nor progress', async () => {
    const held = hold('/')
    const first = await jobs.client.startJob('queue', discover(), 'discovery')
    const second = await jobs.client.startJob('queue', discover(), 'discovery')
    expect(second).toEqual({ jobId: second.jobId, status: 'queued' })
    const body = await jobs.client.checkJobStatus('queue', second.jobId, 'discovery')
    expect(Object.keys(body)).toEqual(['jobId', 'status', 'createdAt', 'updatedAt'])
    // It is safe to cancel one that has not begun, and the other is not touched.
    await jobs.app.engine.cancel(LOCAL, second.jobId, {})
    expect(await jobs.client.checkJobStatus('queue', second.jobId, 'discovery')).toMatchObject({
      status: 'failed',
      errors: ['Job cancelled.'],
    })
    held.release()
    expect(await jobs.client.waitForJob('queue', first.jobId, 'discovery')).toMatchObject({ success: true })
  })

  test('not_found, and whose job it is', async () => {
    const unknown = '8f2c5d90-3a17-4b3e-9c4e-7fa8b1d6e8a2'
    const expected = { jobId: unknown, status: 'not_found' }
    expect(await jobs.client.checkJobStatus('bodies', unknown, 'discovery')).toEqual(expected)
    const mine = await jobs.run('bodies', 'discovery', discover())
    // The address says session and type; a job of another session or type is not found there.
    expect(await jobs.client.checkJobStatus('other', mine.jobId, 'discovery')).toMatchObject({ status: 'not_found' })
    expect(await jobs.client.checkJobStatus('bodies', mine.jobId, 'digester')).toMatchObject({ status: 'not_found' })
  })

  test('without jobId: the newest job of that type in the session', async () => {
    await jobs.run('latest', 'discovery', discover())
    const second = await jobs.run('latest', 'discovery', discover())
    await jobs.run('latest', 'scrape', {})
    expect(await jobs.client.checkJobStatus('latest', null, 'discovery')).toEqual(second)
  })

  test('all jobs of a session, failed ones included', async () => {
    await jobs.run('listed', 'discovery', discover())
    await jobs.run('listed', 'codegen', {})
    const { jobs: list } = (await (await fetch(`${jobs.url}/session/listed/jobs`)).json()) as { jobs: JobStatus[] }
    expect(list.map(({ jobType, status }) => `${jobType} ${status}`)).toEqual([
      'codegen.generateConnector failed',
      'discovery.getCandidateLinks finished',
    ])
    expect(list[0]!.errors).toEqual([expect.stringMatching(/^Invalid input: /)])
  })

  test('an input that cannot be is refused with its place in the request', async () => {
    const answer = await fetch(`${jobs.url}/digester/bodies/digester`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"objectClass":""}',
    })
    expect(answer.status).toBe(422)
    expect(await answer.json()).toMatchObject({ code: 'input-invalid', errors: [{ pointer: '/objectClass' }] })
  })
})

describe('progress', () => {
  test('counts only rise, and the documented percentage comes out of them', async () => {
    const pages = ['/developers/getting-started', '/developers/openapi.yaml', '/pricing']
    const held = hold('/developers/openapi.yaml')
    const links = pages.map((page) => harborSite.origin + page)
    const { jobId } = await jobs.client.startJob('progress', { links }, 'scrape')
    const seen: (number | null)[] = []
    const body = await until(jobId, 'progress', 'scrape', ({ progress }) => {
      seen.push(jobs.client.calculateProgress(progress))
      return progress?.processedDocuments === 1
    })
    expect(body.progress).toEqual({
      stage: 'processing',
      message: `Scraping ${harborSite.origin}/developers/openapi.yaml`,
      processedDocuments: 1,
      totalDocuments: 3,
    })
    held.release()
    await until(jobId, 'progress', 'scrape', ({ status, progress }) => {
      seen.push(jobs.client.calculateProgress(progress))
      return status === 'finished'
    })
    const numbers = seen.filter((percent) => percent !== null)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    expect([numbers.includes(33), numbers.at(-1)]).toEqual([true, 100])
  })

  test('iterations where nothing else is counted', { timeout: 60_000 }, async () => {
    await jobs.run('progress', 'digester', digest)
    const made = await jobs.run('progress', 'codegen', {})
    expect(made.progress).toEqual({
      stage: 'finished',
      message: 'completed',
      completedIterations: 1,
      totalIterations: 1,
    })
    expect(jobs.client.calculateProgress(made.progress)).toBe(100)
  })
})

test('one job of a type after the other, in their order; other types go on', async () => {
  const held = hold('/developers/openapi.yaml')
  const links = [`${harborSite.origin}/developers/openapi.yaml`]
  const ids: string[] = []
  for (const session of ['f1', 'f2', 'f3']) ids.push((await jobs.client.startJob(session, { links }, 'scrape')).jobId)
  await until(ids[0]!, 'f1', 'scrape', ({ status }) => status === 'running')
  expect(await jobs.run('f1', 'digester', digest)).toMatchObject({ status: 'failed' })
  expect((await jobs.client.checkJobStatus('f2', ids[1]!, 'scrape')).status).toBe('queued')
  held.release()
  const ended = await Promise.all(
    ids.map((id) => jobs.app.engine.wait(LOCAL, id, { until: 'done', timeoutMs: 20_000 })),
  )
  for (const [index, job] of ended.entries()) {
    expect(job.status).toBe('completed')
    if (index > 0) expect(job.startedAt! >= ended[index - 1]!.finishedAt!).toBe(true)
  }
})

describe('the documented client code', () => {
  test('waitForJob: success, failure, and what it prints', async () => {
    const client = documentedClient(jobs.url)
    const held = hold('/developers/openapi.yaml')
    const links = [`${harborSite.origin}/developers/getting-started`, `${harborSite.origin}/developers/openapi.yaml`]
    const { jobId } = await client.startJob('client', { links }, 'scrape')
    await until(jobId, 'client', 'scrape', ({ progress }) => progress?.processedDocuments === 1)
    const waiting = client.waitForJob('client', jobId, 'scrape')
    await eventually(() => client.waits.length > 0, 'the first look')
    held.release()
    expect(await waiting).toMatchObject({ success: true, result: { totalProcessed: 2 } })
    expect(client.lines.slice(0, 4)).toEqual([
      `Job ${jobId}: running`,
      '  Stage: processing',
      `  Message: Scraping ${harborSite.origin}/developers/openapi.yaml`,
      '  Progress: 1/2',
    ])
    expect(client.lines.slice(-4)).toEqual([
      `Job ${jobId}: finished`,
      '  Stage: finished',
      '  Message: completed',
      '  Progress: 2/2',
    ])
    expect(new Set(client.waits)).toEqual(new Set([5000]))

    const failing = await client.startJob('client', { objectClass: 'Nothing' }, 'digester')
    expect(await client.waitForJob('client', failing.jobId, 'digester')).toEqual({
      success: false,
      errors: documented.failed.errors.map((line: string) => line.replace('Account', 'Nothing')),
    })
  })

  test('pollWithBackoff: its pauses grow to ten seconds', async () => {
    const client = documentedClient(jobs.url)
    const held = hold('/')
    const { jobId } = await client.startJob('backoff', discover(), 'discovery')
    const waiting = client.pollWithBackoff('backoff', jobId, 'discovery')
    await eventually(() => client.waits.length >= 6, 'six looks', 20_000)
    held.release()
    expect(await waiting).toMatchObject({ jobId, status: 'finished' })
    expect(client.waits.slice(0, 6)).toEqual([2000, 3000, 4500, 6750, 10_000, 10_000])
  })

  test('retryJob: does not repeat what cannot become better', async () => {
    const client = documentedClient(jobs.url)
    await jobs.run('retry', 'scrape', { links: [`${opalSite.origin}/docs`] })
    await expect(client.retryJob('retry', digest, 'digester')).rejects.toThrow(
      `Job failed: ${documented.failed.errors.join(', ')}`,
    )
    expect(client.lines.filter((line) => /^Attempt|^Non/.test(line))).toEqual([
      'Attempt 1/3',
      'Non-retriable error, aborting',
    ])
    await expect(client.retryJob('retry', {}, 'codegen')).rejects.toThrow('Invalid input')
  })

  test('retryJob: gives up after three jobs, or brings the result of the one that works', async () => {
    const client = documentedClient(jobs.url)
    const nothing = { links: [`${harborSite.origin}/pricing`] }
    await expect(client.retryJob('retry-2', nothing, 'scrape')).rejects.toThrow('Max retries exceeded')
    expect(client.lines.filter((line) => /^Attempt/.test(line))).toHaveLength(3)
    // Trouble that passes never reaches the client: the product has tried again by itself.
    harborSite.trouble.set('/developers/openapi.yaml', [503, 503])
    const input = { links: [`${harborSite.origin}/developers/openapi.yaml`] }
    expect(await client.retryJob('retry-2', input, 'scrape')).toMatchObject({ success: true })
    const { jobId } = await client.checkJobStatus('retry-2', null, 'scrape')
    expect(await jobs.attempts(jobId)).toEqual(['error transient', 'error transient', 'ok'])
  })
})

test('the addresses are in the OpenAPI document, under a tag of their own', async () => {
  const document = (await (await fetch(`${jobs.url}/openapi.json`)).json()) as any
  const own = Object.entries<any>(document.paths).filter(([, item]) =>
    Object.values<any>(item).some(({ tags }) => tags?.includes('Facade connector-generator')),
  )
  expect(own.map(([path]) => path)).toEqual([
    '/discovery/{sessionId}/discovery',
    '/scrape/{sessionId}/scrape',
    '/documentation/{sessionId}/documentation',
    '/digester/{sessionId}/digester',
    '/codegen/{sessionId}/codegen',
    '/session/{sessionId}/jobs',
  ])
})
