/** Schedules over HTTP, against the real engine: the fake has none. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WireJob, WireSchedule } from '../core/index.js'
import { createUntildone, defineJob, LOCAL, sqlite } from '../index.js'
import { TestClock } from '../testing/clock.js'
import { createServer, type ServerOptions } from './index.js'
import { buildOpenapi } from './openapi.js'
import { routes } from './routes/index.js'

const report = defineJob('report.build', { input: z.object({ region: z.string() }) })
const NIGHTLY = {
  ...{ id: 'nightly-report', type: 'report.build', input: { region: 'eu' } },
  ...{ cron: '30 3 * * *', timeZone: 'Europe/Berlin' },
}

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function running(options: ServerOptions = {}) {
  const clock = new TestClock(Date.UTC(2026, 2, 1, 22, 30))
  const app = await createUntildone({
    ...{ store: sqlite(':memory:'), handlers: [report.handler(() => null as never)], worker: false, clock },
    schedules: [{ id: 'declared', definition: report, input: { region: 'us' }, cron: '@hourly' }],
  })
  cleanups.push(() => app.stop())
  await app.start()
  const server = createServer(app.engine, options)
  cleanups.push(() => server.close())
  const send = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    server.fetch(
      new Request(`http://localhost${path}`, {
        method,
        headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
    )
  const schedule = async (asked: Promise<Response>) => (await (await asked).json()) as WireSchedule
  return { app, clock, send, schedule }
}

const document = buildOpenapi(routes, { base: '', version: '1' }) as any
const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ $id: 'doc', ...document })
const wrongIn = (name: string, value: unknown) => {
  const check = ajv.compile({ $ref: `doc#/components/schemas/${name}` })
  return check(value) ? null : ajv.errorsText(check.errors)
}

describe('/v1/schedules', () => {
  test('created, read, changed, paused, resumed, run, deleted', async () => {
    const { send, schedule } = await running()
    const created = await send('POST', '/v1/schedules', { ...NIGHTLY, reason: 'wanted' })
    expect([created.status, created.headers.get('location')]).toEqual([201, '/v1/schedules/nightly-report'])
    const made = (await created.json()) as WireSchedule
    expect(made.statusText).toBe('Next run Monday 2 March 2026, 03:30 Europe/Berlin (in 4 h)')
    expect(await schedule(send('GET', '/v1/schedules/nightly-report'))).toEqual(made)

    const changed = await send('PATCH', '/v1/schedules/nightly-report', { cron: '0 5 * * *', ifVersion: 1 })
    expect([changed.status, ((await changed.json()) as WireSchedule).nextAt]).toEqual([200, '2026-03-02T04:00:00.000Z'])
    expect((await send('PATCH', '/v1/schedules/nightly-report', { priority: 1, ifVersion: 1 })).status).toBe(412)

    const paused = await schedule(send('POST', '/v1/schedules/nightly-report/pause', { reason: 'moving' }))
    expect(paused).toMatchObject({ nextAt: null, paused: { by: 'person', note: 'moving' } })

    const run = await send('POST', '/v1/schedules/nightly-report/run', undefined, { 'idempotency-key': 'k' })
    const job = (await run.json()) as WireJob
    expect([run.status, run.headers.get('location')]).toEqual([202, job.links.self])
    expect(job.schedule).toEqual({ id: 'nightly-report', at: '2026-03-01T22:30:00.000Z' })
    const again = await send('POST', '/v1/schedules/nightly-report/run', undefined, { 'idempotency-key': 'k' })
    expect(((await again.json()) as WireJob).id).toBe(job.id)
    const jobs = (await (await send('GET', '/v1/jobs?schedule=nightly-report')).json()) as { items: WireJob[] }
    expect(jobs.items.map(({ id }) => id)).toEqual([job.id])

    expect((await schedule(send('POST', '/v1/schedules/nightly-report/resume'))).paused).toBeNull()
    expect((await send('DELETE', '/v1/schedules/nightly-report?ifVersion=1')).status).toBe(412)
    expect((await send('DELETE', '/v1/schedules/nightly-report?reason=over')).status).toBe(204)
    expect((await send('GET', '/v1/schedules/nightly-report')).status).toBe(404)
    expect((await send('GET', job.links.self)).status).toBe(200)
  })

  test('a create that is repeated answers 200, another one under the same id 409', async () => {
    const { send } = await running()
    await send('POST', '/v1/schedules', NIGHTLY)
    expect((await send('POST', '/v1/schedules', NIGHTLY)).status).toBe(200)
    const other = await send('POST', '/v1/schedules', { ...NIGHTLY, priority: 1 })
    expect([other.status, ((await other.json()) as any).code]).toEqual([409, 'schedule-exists'])
  })

  test('validateOnly stores nothing and shows the first instants', async () => {
    const { send } = await running()
    const checked = await send('POST', '/v1/schedules?validateOnly=true', NIGHTLY)
    const answer = (await checked.json()) as { upcoming: unknown[] }
    expect([checked.status, answer.upcoming.length]).toEqual([200, 5])
    expect(wrongIn('ScheduleValidation', answer)).toBeNull()
    expect((await send('GET', '/v1/schedules/nightly-report')).status).toBe(404)
    const wrong = await send('POST', '/v1/schedules?validateOnly=true', { ...NIGHTLY, input: {} })
    expect(await wrong.json()).toMatchObject({ code: 'input-invalid', errors: [{ pointer: '/input/region' }] })
  })

  test('looks ahead, across a change of the clock', async () => {
    const { send } = await running()
    await send('POST', '/v1/schedules', { ...NIGHTLY, cron: '30 2 29 3 *' })
    const ahead = (await (await send('GET', '/v1/schedules/nightly-report/upcoming?count=2')).json()) as any
    expect(ahead).toEqual({
      items: [
        { at: '2026-03-29T01:00:00.000Z', text: 'Sunday 29 March 2026, 03:00 Europe/Berlin' },
        { at: '2027-03-29T00:30:00.000Z', text: 'Monday 29 March 2027, 02:30 Europe/Berlin' },
      ],
      nextCursor: null,
    })
    expect(wrongIn('UpcomingList', ahead)).toBeNull()
    const many = (await (await send('GET', '/v1/schedules/declared/upcoming?count=1000')).json()) as any
    expect(many.items).toHaveLength(100)
  })

  test('lists in pages with a link to the next', async () => {
    const { send } = await running()
    await send('POST', '/v1/schedules', NIGHTLY)
    const first = await send('GET', '/v1/schedules?limit=1')
    const page = (await first.json()) as { items: WireSchedule[]; nextCursor: string }
    expect([page.items.map(({ id }) => id), 'input' in page.items[0]!]).toEqual([['declared'], false])
    expect(wrongIn('SchedulePage', page)).toBeNull()
    const next = /<(.+)>; rel="next"/.exec(first.headers.get('link')!)![1]!
    expect(((await (await send('GET', next)).json()) as any).items.map((one: WireSchedule) => one.id)).toEqual([
      'nightly-report',
    ])
  })

  test('what the code declares is changed there', async () => {
    const { send, schedule } = await running()
    expect((await schedule(send('GET', '/v1/schedules/declared'))).declared).toBe(true)
    for (const answer of [
      await send('PATCH', '/v1/schedules/declared', { cron: '@daily' }),
      await send('DELETE', '/v1/schedules/declared'),
    ])
      expect([answer.status, ((await answer.json()) as any).code]).toEqual([409, 'schedule-declared'])
  })

  test.each([
    [{ ...NIGHTLY, corn: '@daily' }, '/corn', 'unknown'],
    [{ ...NIGHTLY, id: 'a/b' }, '/id', 'format'],
    [{ ...NIGHTLY, cron: '* * *' }, '/cron', 'pattern'],
    [{ ...NIGHTLY, everyMs: 60_000 }, '/cron', 'conflict'],
    [{ ...NIGHTLY, cron: null, everyMs: 5 }, '/everyMs', 'range'],
    [{ ...NIGHTLY, timeZone: 'Berlin' }, '/timeZone', 'unknown'],
    [{ ...NIGHTLY, missed: 'some' }, '/missed', 'enum'],
    [{ ...NIGHTLY, priority: 101 }, '/priority', 'range'],
    [{ ...NIGHTLY, endAt: 'never' }, '/endAt', 'format'],
  ])('%j is 422 and names the member', async (body, pointer, code) => {
    const { send } = await running()
    const answer = await send('POST', '/v1/schedules', body)
    expect(answer.status).toBe(422)
    expect(((await answer.json()) as any).errors[0]).toMatchObject({ pointer, code })
  })

  test('scopes: viewers read, operators change', async () => {
    const { app, send } = await running()
    const { key } = await app.engine.createKey(LOCAL, { name: 'v', scopes: ['jobs:read'] })
    const viewer = { authorization: `Bearer ${key}` }
    expect((await send('GET', '/v1/schedules/declared', undefined, viewer)).status).toBe(200)
    for (const [method, path, body] of [
      ['POST', '/v1/schedules', NIGHTLY],
      ['PATCH', '/v1/schedules/declared', {}],
      ['DELETE', '/v1/schedules/declared', undefined],
      ['POST', '/v1/schedules/declared/run', {}],
      ['POST', '/v1/schedules/declared/pause', {}],
      ['POST', '/v1/schedules/declared/resume', {}],
    ] as const)
      expect((await send(method, path, body, viewer)).status, `${method} ${path}`).toBe(403)
  })

  test('links stand under the mount prefix, and answers are what the document says', async () => {
    const { send, schedule } = await running({ basePath: '/background' })
    const made = await schedule(send('POST', '/background/v1/schedules', NIGHTLY))
    expect(made.links).toEqual({
      self: '/background/v1/schedules/nightly-report',
      upcoming: '/background/v1/schedules/nightly-report/upcoming',
      jobs: '/background/v1/jobs?schedule=nightly-report',
    })
    expect(wrongIn('Schedule', made)).toBeNull()
    expect(wrongIn('CreateScheduleRequest', NIGHTLY)).toBeNull()
    expect(wrongIn('CreateScheduleRequest', { ...NIGHTLY, corn: 1 })).toContain('additional')
    expect(wrongIn('Job', await (await send('POST', `${made.links.self}/run`)).json())).toBeNull()
    const options = await send('OPTIONS', made.links.self)
    expect(options.headers.get('allow')).toBe('GET, HEAD, PATCH, DELETE, OPTIONS')
  })
})
