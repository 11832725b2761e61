import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import type { WireSchedule } from '../core/wire.js'
import { defineJob } from '../define/index.js'
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

const report = defineJob('report', { input: z.object({ region: z.string(), year: z.number().optional() }) })

describe('create', () => {
  it('sends what was given in the words of the wire, and nothing else', async () => {
    answers('POST /v1/schedules', 201, { id: 'n' })
    const made = await client().schedules.create(
      report,
      { region: 'eu' },
      {
        ...{ id: 'n', every: '15m', jitter: '1m', group: 'g', startAt: new Date(0), missed: 'all', tags: ['t'] },
        ...{ paused: true, reason: 'why' },
      },
    )
    expect(made.id).toBe('n')
    expect(sent()).toEqual([
      [
        'POST',
        '/v1/schedules',
        {
          ...{ id: 'n', type: 'report', input: { region: 'eu' }, everyMs: 900_000, jitterMs: 60_000, groupId: 'g' },
          ...{ startAt: '1970-01-01T00:00:00.000Z', missed: 'all', tags: ['t'], paused: true, reason: 'why' },
        },
      ],
    ])
  })

  it('is sent again when the answer was lost: the server knows the definition', async () => {
    answers('POST /v1/schedules', 200, { id: 'n' })
    fake.failOnce('POST /v1/schedules', (_, response) => void response.socket!.destroy())
    await client().schedules.create('report', {}, { id: 'n', cron: '@daily' })
    expect(fake.requests).toHaveLength(2)
  })

  it('validates on request', async () => {
    answers('POST /v1/schedules', 200, { valid: true, upcoming: [] })
    expect((await client().schedules.validate('report', {}, { id: 'n', cron: '@daily' })).valid).toBe(true)
    expect(fake.requests[0]!.query.get('validateOnly')).toBe('true')
  })

  it('says what is no duration before anything is sent', async () => {
    expect(() => client().schedules.create('report', {}, { id: 'n', every: 'often' })).toThrow(/every: "often"/)
    expect(fake.requests).toEqual([])
  })
})

it('reads, lists, looks ahead', async () => {
  answers('GET /v1/schedules/a%20b', 200, { id: 'a b' })
  answers('GET /v1/schedules', 200, { items: [{ id: 'x' }], nextCursor: null })
  answers('GET /v1/schedules/x/upcoming', 200, { items: [{ at: '1', text: '2' }], nextCursor: null })
  const { schedules } = client()
  expect((await schedules.get('a b')).id).toBe('a b')
  const ids: string[] = []
  for await (const one of schedules.list({ limit: 7 })) ids.push(one.id)
  expect([ids, fake.requests[1]!.query.get('limit')]).toEqual([['x'], '7'])
  expect(await schedules.upcoming('x', { count: 3 })).toEqual([{ at: '1', text: '2' }])
  expect(fake.requests[2]!.query.get('count')).toBe('3')
})

it('changes: null puts a member back, what is left out stays', async () => {
  answers('PATCH /v1/schedules/n', 200, { id: 'n' })
  await client().schedules.update('n', { every: '1h', endAt: null, group: null, input: { a: 1 }, ifVersion: 3 })
  expect(sent()).toEqual([
    ['PATCH', '/v1/schedules/n', { everyMs: 3_600_000, endAt: null, groupId: null, input: { a: 1 }, ifVersion: 3 }],
  ])
})

it('acts; a run has a key of its own', async () => {
  for (const what of ['pause', 'resume', 'run']) answers(`POST /v1/schedules/n/${what}`, 200, { id: 'n' })
  answers('DELETE /v1/schedules/n', 204)
  const { schedules } = client()
  await schedules.pause('n', { reason: 'r' })
  await schedules.resume('n')
  await schedules.run('n')
  await schedules.run('n', { key: 'my"key', ifVersion: 2 })
  await schedules.delete('n', { reason: 'over', ifVersion: 2 })
  expect(sent()).toEqual([
    ['POST', '/v1/schedules/n/pause', { reason: 'r' }],
    ['POST', '/v1/schedules/n/resume', {}],
    ['POST', '/v1/schedules/n/run', {}],
    ['POST', '/v1/schedules/n/run', { ifVersion: 2 }],
    ['DELETE', '/v1/schedules/n', null],
  ])
  const keys = fake.requests.map(({ headers }) => headers['idempotency-key'])
  expect([keys[2], keys[3]]).toEqual([expect.stringMatching(/^"[0-9a-f-]{36}"$/), '"my\\"key"'])
  expect(Object.fromEntries(fake.requests[4]!.query)).toEqual({ reason: 'over', ifVersion: '2' })
})

it('what would be refused because of itself is not sent again blindly', async () => {
  const { schedules } = client()
  for (const [route, act] of [
    ['POST /v1/schedules/n/pause', () => schedules.pause('n', { ifVersion: 1 })],
    ['PATCH /v1/schedules/n', () => schedules.update('n', { ifVersion: 1 })],
    ['DELETE /v1/schedules/n', () => schedules.delete('n')],
  ] as const) {
    fake.requests.length = 0
    fake.routes[route] = (_, response) => void response.socket!.destroy()
    await expect(act()).rejects.toMatchObject({ name: 'UntildoneConnectionError' })
    expect(fake.requests, route).toHaveLength(1)
    fake.routes[route] = (_, response) => problem(response, 503, 'store-unavailable')
    fake.failOnce(route, (_, response) => problem(response, 404, 'not-found'))
    await expect(act()).rejects.toMatchObject({ code: 'not-found' })
  }
})

it('is typed by the definition', () => {
  const typed = async () => {
    const { schedules } = client()
    expectTypeOf(
      schedules.create(report, { region: 'eu' }, { id: 'n', cron: '@daily' }),
    ).resolves.toEqualTypeOf<WireSchedule>()
    // @ts-expect-error a member is missing
    schedules.create(report, {}, { id: 'n', cron: '@daily' })
    // @ts-expect-error not an option
    schedules.create(report, { region: 'eu' }, { id: 'n', everyMs: 5 })
    // @ts-expect-error not one of the words
    schedules.create('by.name', {}, { id: 'n', missed: 'some' })
  }
  expect(typed).toBeTypeOf('function')
})
