import { describe, expect, test } from 'vitest'
import type { WireEvent, WireJob } from '../core/index.js'
import { type Harness, harness, settled } from './fakes/harness.js'
import { Reader } from './fakes/reader.js'
import type { ServerOptions } from './options.js'

async function opened(
  options: ServerOptions = {},
): Promise<Harness & { id: string; stream(headers?: Record<string, string>, query?: string): Promise<Reader> }> {
  const h = harness(options)
  const id = await h.job()
  const stream = async (headers = {}, query = '') => {
    const answer = await h.get(`/v1/jobs/${id}/events/stream${query}`, headers)
    expect(answer.status).toBe(200)
    return new Reader(answer)
  }
  return { ...h, id, stream }
}

describe('a stream from the beginning', () => {
  test('snapshot, events as they happen, end', async () => {
    const { engine, id, stream, get, server } = await opened()
    const answer = await get(`/v1/jobs/${id}/events/stream`)
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('x-accel-buffering')).toBe('no')
    await answer.body!.cancel()

    const reader = await stream()
    expect((await reader.next())?.text).toBe('retry: 2000')
    const snapshot = await reader.next()
    expect(snapshot).toMatchObject({
      event: 'snapshot',
      id: `${id}:1`,
      data: { job: { id, status: 'accepted', done: false } },
    })
    engine.change(id, { status: 'processing' })
    expect(await reader.next()).toMatchObject({
      event: 'job.processing',
      id: `${id}:2`,
      data: { type: 'job.processing', data: { previousStatus: 'accepted' } },
    })
    engine.change(id, { status: 'completed' }, 1)
    expect(await reader.next()).toMatchObject({ event: 'job.completed', id: `${id}:3`, data: { data: { done: true } } })
    expect(await reader.next()).toMatchObject({ event: 'end', id: null, data: { reason: 'done' } })
    expect(await reader.next()).toBeNull()
    expect(server.held).toBe(0)
    expect(engine.clock.armed).toBe(0)
  })

  test('what happens between the first read and the snapshot is in one of them', async () => {
    const { engine, id, stream } = await opened()
    const get = engine.get.bind(engine)
    let reads = 0
    engine.get = async (...args) => {
      const job = await get(...args)
      if (++reads === 2) engine.change(id, { status: 'processing' })
      return job
    }
    const reader = await stream()
    await reader.next()
    expect(await reader.next()).toMatchObject({ event: 'snapshot', id: `${id}:1` })
    expect(await reader.next()).toMatchObject({ event: 'job.processing', id: `${id}:2` })
    await reader.cancel()
  })

  test('of a finished job: snapshot and end', async () => {
    const { engine, id, stream } = await opened()
    engine.change(id, { status: 'failed' })
    expect((await (await stream()).rest()).map((frame) => frame.event)).toEqual([null, 'snapshot', 'end'])
  })
})

describe('resuming', () => {
  test('replays what followed, without a snapshot', async () => {
    const { engine, id, stream } = await opened()
    engine.change(id, { status: 'processing' })
    engine.change(id, { status: 'blocked' })
    engine.change(id, { status: 'completed' })
    const frames = await (await stream({ 'last-event-id': `${id}:1` })).rest()
    expect(frames.map((frame) => frame.id ?? frame.event)).toEqual([null, `${id}:2`, `${id}:3`, `${id}:4`, 'end'])
  })

  test('from each place there is no gap and no repeat', async () => {
    const { engine, id, get } = await opened()
    const words = ['processing', 'blocked', 'processing', 'blocked', 'completed'] as const
    for (const status of words) engine.change(id, { status })
    for (let seen = 1; seen <= words.length; seen++) {
      const answer = await get(`/v1/jobs/${id}/events/stream?after=${id}:${seen}`)
      const ids = (await new Reader(answer).rest()).filter((frame) => frame.id).map((frame) => frame.id)
      expect(ids).toEqual(words.slice(seen - 1).map((_, i) => `${id}:${seen + 1 + i}`))
    }
  })

  test('the header of a reconnect wins over the address', async () => {
    const { engine, id, stream } = await opened()
    engine.change(id, { status: 'completed' })
    const frames = await (await stream({ 'last-event-id': `${id}:1` }, `?after=${id}:2`)).rest()
    expect(frames.map((frame) => frame.event)).toEqual([null, 'job.completed', 'end'])
  })

  test('204 when it is done and nothing followed', async () => {
    const { engine, id, get } = await opened()
    engine.change(id, { status: 'completed' })
    const answer = await get(`/v1/jobs/${id}/events/stream`, { 'last-event-id': `${id}:2` })
    expect(answer.status).toBe(204)
    expect(await answer.text()).toBe('')
  })

  test.each(['nonsense', 'other-job:1', 'ID:99'])(
    'an unknown cursor (%s) gives reset and a snapshot',
    async (cursor) => {
      const { id, stream } = await opened()
      const reader = await stream({ 'last-event-id': cursor.replace('ID', id) })
      expect((await reader.next())?.text).toBe('retry: 2000')
      expect(await reader.next()).toMatchObject({ event: 'reset', id: null })
      expect(await reader.next()).toMatchObject({ event: 'snapshot', id: `${id}:1` })
      await reader.cancel()
    },
  )

  test('a long history comes whole, page by page, without tripping the limit', async () => {
    const { engine, id, stream } = await opened({ limits: { streamBufferBytes: 256 << 10 } })
    for (let i = 0; i < 450; i++) engine.change(id, { status: i % 2 === 0 ? 'processing' : 'blocked' })
    engine.change(id, { status: 'completed' })
    const frames = await (await stream({ 'last-event-id': `${id}:1` })).rest()
    expect(frames).toHaveLength(1 + 451 + 1)
    expect(frames.at(-1)).toMatchObject({ event: 'end', data: { reason: 'done' } })
  })
})

describe('progress', () => {
  const progress = (completed: number, at: string): WireJob['progress'] => ({
    stage: 'pages',
    stageLabel: 'Reading pages',
    message: null,
    completed,
    total: 40,
    unit: 'page',
    iterations: null,
    percent: null,
    stages: [],
    updatedAt: at,
  })

  test('has no id, is merged to one a second, and the latest always comes', async () => {
    const { engine, id, stream } = await opened()
    const reader = await stream()
    await reader.next()
    await reader.next()
    engine.change(id, { progress: progress(1, 'a') })
    expect(await reader.next()).toMatchObject({
      event: 'job.progress',
      id: null,
      data: { data: { progress: { completed: 1 } } },
    })
    engine.change(id, { progress: progress(2, 'b') })
    engine.change(id, { progress: progress(3, 'c') })
    await settled()
    engine.clock.advance(1000)
    expect(await reader.next()).toMatchObject({
      event: 'job.progress',
      id: null,
      data: { data: { progress: { completed: 3 } } },
    })
    engine.change(id, { status: 'completed' })
    expect((await reader.rest()).map((frame) => frame.event)).toEqual(['job.completed', 'end'])
    expect(engine.clock.armed).toBe(0)
  })

  test('comes after a resume, since it is not in the history', async () => {
    const { engine, id, stream } = await opened()
    engine.change(id, { progress: progress(7, 'a') })
    const reader = await stream({ 'last-event-id': `${id}:1` })
    await reader.next()
    expect(await reader.next()).toMatchObject({ event: 'job.progress', data: { data: { progress: { completed: 7 } } } })
    await reader.cancel()
  })
})

describe('keeping and ending', () => {
  test('a heartbeat comment after 15 s of silence', async () => {
    const { engine, stream } = await opened()
    const reader = await stream()
    await reader.next()
    await reader.next()
    for (let i = 0; i < 3; i++) {
      const next = reader.next()
      engine.clock.advance(15_000)
      expect((await next)?.text).toBe(': still here')
    }
    await reader.cancel()
  })

  test('ends politely with age after 30 minutes, give or take', async () => {
    const { engine, stream } = await opened({ limits: { heartbeatMs: 3_600_000 }, random: () => 1 })
    const reader = await stream()
    await reader.next()
    await reader.next()
    engine.clock.advance(33 * 60_000 - 1)
    await settled()
    engine.clock.advance(1)
    expect(await reader.rest()).toMatchObject([{ event: 'end', data: { reason: 'age' } }])
    expect(engine.clock.armed).toBe(0)
  })

  test('ends politely when the server drains', async () => {
    const { server, stream } = await opened()
    const reader = await stream()
    await reader.next()
    await reader.next()
    await server.close()
    expect(await reader.rest()).toMatchObject([{ event: 'end', data: { reason: 'drain' } }])
    expect(server.held).toBe(0)
  })

  test('a reader that does not read is ended as slow, and then cut off', async () => {
    const { engine, id, get, server } = await opened({ limits: { streamBufferBytes: 4000 } })
    const answer = await get(`/v1/jobs/${id}/events/stream`)
    await settled()
    for (let i = 0; i < 20; i++) {
      engine.change(id, { status: i % 2 === 0 ? 'processing' : 'blocked' })
      await settled()
    }
    expect(server.held).toBe(0)
    const frames = await new Reader(answer).rest()
    expect(frames.at(-1)).toMatchObject({ event: 'end', data: { reason: 'slow' } })
    expect(frames.length).toBeLessThan(12)

    const deaf = await get(`/v1/jobs/${id}/events/stream`)
    await settled()
    for (let i = 0; i < 20; i++) {
      engine.change(id, { status: i % 2 === 0 ? 'processing' : 'blocked' })
      await settled()
    }
    engine.clock.advance(10_000)
    await expect(deaf.text()).rejects.toThrow()
    expect(engine.clock.armed).toBe(0)
  })

  test('progress is left out before anything else is', async () => {
    const { engine, id, get } = await opened({ limits: { streamBufferBytes: 8000 } })
    const answer = await get(`/v1/jobs/${id}/events/stream`)
    await settled()
    for (let i = 0; i < 30; i++) {
      engine.clock.advance(1000)
      engine.change(id, { progress: { ...progressOf(i), updatedAt: String(i) } })
      await settled()
    }
    engine.change(id, { status: 'completed' })
    await settled()
    const frames = await new Reader(answer).rest()
    expect(frames.filter((frame) => frame.event === 'job.progress').length).toBeLessThan(10)
    expect(frames.slice(-2).map((frame) => frame.event)).toEqual(['job.completed', 'end'])
  })

  test('a reader that goes away frees everything', async () => {
    const { engine, stream, server, get, id } = await opened()
    const reader = await stream()
    await reader.next()
    expect(server.held).toBe(1)
    await reader.cancel()
    expect(server.held).toBe(0)
    expect(engine.clock.armed).toBe(0)

    const gone = new AbortController()
    await get(`/v1/jobs/${id}/events/stream`, {}, { signal: gone.signal })
    expect(server.held).toBe(1)
    gone.abort()
    expect(server.held).toBe(0)
    expect(engine.clock.armed).toBe(0)
  })

  test('trouble in the store ends it with error, and the log hears of it', async () => {
    const { engine, id, stream, errors } = await opened()
    const reader = await stream()
    await reader.next()
    await reader.next()
    engine.events = () => Promise.reject(new Error('disk gone'))
    engine.change(id, { status: 'processing' })
    expect(await reader.rest()).toMatchObject([{ event: 'end', data: { reason: 'error' } }])
    expect(errors).toHaveLength(1)
  })

  test('streams are counted per key', async () => {
    const { get, id } = await opened({ limits: { streamsPerKey: 2 } })
    const open = await Promise.all([1, 2].map(() => get(`/v1/jobs/${id}/events/stream`)))
    expect((await get(`/v1/jobs/${id}/events/stream`)).status).toBe(429)
    await open[0]!.body!.cancel()
    expect((await get(`/v1/jobs/${id}/events/stream`)).status).toBe(200)
  })

  test('an unknown job is a problem, not a stream', async () => {
    const { get } = await opened()
    const answer = await get('/v1/jobs/none/events/stream')
    expect(answer.status).toBe(404)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })
})

describe('pages of events', () => {
  test('go on after a cursor, in JSON or JSON Lines', async () => {
    const { engine, id, get } = await opened()
    engine.change(id, { status: 'processing' })
    engine.change(id, { status: 'completed' })
    const first = await get(`/v1/jobs/${id}/events?limit=2`)
    const page = (await first.json()) as { items: WireEvent[]; nextCursor: string }
    expect(page.items.map((event) => event.type)).toEqual(['job.accepted', 'job.processing'])
    expect(first.headers.get('link')).toContain('rel="next"')
    const rest = await get(`/v1/jobs/${id}/events?limit=2&after=${page.nextCursor}`, { accept: 'application/jsonl' })
    expect(rest.headers.get('content-type')).toBe('application/jsonl')
    const lines = (await rest.text()).split('\n')
    expect(lines).toHaveLength(2)
    expect(JSON.parse(lines[0]!)).toMatchObject({ type: 'job.completed' })
  })

  test('an unknown cursor is 400', async () => {
    const { id, get } = await opened()
    expect(await (await get(`/v1/jobs/${id}/events?after=nope`)).json()).toMatchObject({ code: 'invalid-cursor' })
  })
})

function progressOf(completed: number): NonNullable<WireJob['progress']> {
  return {
    stage: null,
    stageLabel: null,
    message: 'm'.repeat(300),
    completed,
    total: null,
    unit: null,
    iterations: null,
    percent: null,
    stages: [],
    updatedAt: '',
  }
}
