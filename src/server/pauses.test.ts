import { describe, expect, test } from 'vitest'
import { harness } from './fakes/harness.js'

describe('pausing', () => {
  test('a type and a queue: on, seen, off; with a reason or without a body', async () => {
    const { get, post, engine } = harness()
    const paused = await post('/v1/job-types/greet/pause', { reason: 'vendor' })
    expect([paused.status, paused.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(await paused.json()).toMatchObject({ type: 'greet', paused: true })
    expect(await (await get('/v1/job-types/greet')).json()).toMatchObject({ paused: true })
    expect(await (await post('/v1/job-types/greet/resume', undefined)).json()).toMatchObject({ paused: false })
    expect(await (await post('/v1/queues/default/pause', {})).json()).toMatchObject({ name: 'default', paused: true })
    expect(await (await get('/v1/queues')).json()).toEqual({
      items: [
        {
          name: 'default',
          paused: true,
          pause: { actor: { kind: 'apiKey', id: 'key_o' }, reason: null, at: expect.any(String) },
          depth: 0,
          held: 0,
          oldestAgeMs: null,
          running: 0,
          concurrency: null,
        },
      ],
      nextCursor: null,
    })
    expect(await (await post('/v1/queues/default/resume', {})).json()).toMatchObject({ paused: false })
    expect(engine.calls.filter((call) => /pause|resume/.test(call))).toEqual([
      ...['pause type/greet: vendor', 'resume type/greet', 'pause queue/default', 'resume queue/default'],
    ])
  })

  test('the catalogue changes its ETag with it', async () => {
    const { get, post } = harness()
    const etag = (await get('/v1/job-types')).headers.get('etag')!
    expect((await get('/v1/job-types', { 'if-none-match': etag })).status).toBe(304)
    await post('/v1/job-types/greet/pause', {})
    expect((await get('/v1/job-types', { 'if-none-match': etag })).status).toBe(200)
  })

  test.each(['/v1/job-types/nope/pause', '/v1/queues/nope/resume'])('%s is not there', async (path) => {
    const { post } = harness()
    expect((await post(path, {})).status).toBe(404)
  })

  test('members nobody knows are refused', async () => {
    const { post } = harness()
    expect((await post('/v1/queues/default/pause', { why: 'x' })).status).toBe(422)
  })

  test('takes the scope jobs:operate', async () => {
    const { get, post, engine } = harness()
    engine.addKey('submitter', ['jobs:submit', 'jobs:read'])
    const authorization = { authorization: 'Bearer submitter' }
    for (const path of ['/v1/job-types/greet/pause', '/v1/job-types/greet/resume', '/v1/queues/default/pause'])
      expect((await post(path, {}, authorization)).status).toBe(403)
    expect((await get('/v1/queues', authorization)).status).toBe(403)
  })
})
