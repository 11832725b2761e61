import { describe, expect, test } from 'vitest'
import { harness } from './fakes/harness.js'

describe('workers', () => {
  test('are listed fresh, and on request with those that have ended', async () => {
    const { get } = harness()
    const listed = await get('/v1/workers')
    expect([listed.status, listed.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const { items } = (await listed.json()) as { items: { id: string }[] }
    expect(items).toMatchObject([{ id: 'w-1', state: 'up', running: 1, jobs: [{ type: 'greet', running: 1 }] }])
    const all = (await (await get('/v1/workers?all=true')).json()) as typeof items & { items: unknown[] }
    expect(all.items).toMatchObject([{ id: 'w-1' }, { id: 'w-0', state: 'gone' }])
  })

  test('drain: with a reason or without a body, and are seen to', async () => {
    const { get, post, engine } = harness()
    const answer = await post('/v1/workers/w-1/drain', { reason: 'new host' })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ id: 'w-1', state: 'draining' })
    expect((await post('/v1/workers/w-1/drain', undefined)).status).toBe(200)
    expect(await (await get('/v1/workers')).json()).toMatchObject({ items: [{ state: 'draining' }] })
    expect(engine.calls.filter((call) => call.startsWith('drain'))).toEqual(['drain w-1: new host', 'drain w-1'])
  })

  test('one that is not there, and members nobody knows', async () => {
    const { post } = harness()
    expect((await post('/v1/workers/w-9/drain', {})).status).toBe(404)
    expect((await post('/v1/workers/w-1/drain', { why: 'x' })).status).toBe(422)
  })

  test('take the scope jobs:operate', async () => {
    const { get, post, engine } = harness()
    engine.addKey('submitter', ['jobs:submit', 'jobs:read'])
    const authorization = { authorization: 'Bearer submitter' }
    expect((await get('/v1/workers', authorization)).status).toBe(403)
    expect((await post('/v1/workers/w-1/drain', {}, authorization)).status).toBe(403)
  })
})
