import { describe, expect, test } from 'vitest'
import type { WireJob } from '../../core/index.js'
import type { SubmitBody } from '../../engine/api.js'
import type { FakeEngine } from '../fakes/engine.js'
import { type Harness, harness, settled } from '../fakes/harness.js'
import { type Frame, Reader } from '../fakes/reader.js'
import type { ServerOptions } from '../options.js'

interface Opened extends Harness {
  stream(query?: string, headers?: Record<string, string>): Promise<Reader>
  submit(more?: Partial<SubmitBody>, headers?: Record<string, string>): Promise<string>
  /** Ends the stream politely and gives everything that was in it; comments left out. */
  all(reader: Reader): Promise<Frame[]>
}

function opened(options: ServerOptions = {}, engine?: FakeEngine): Opened {
  const h = harness(options, engine)
  return {
    ...h,
    stream: async (query = '', headers = {}) => {
      const answer = await h.get(query.startsWith('/') ? query : `/v1/events/stream${query}`, headers)
      expect(answer.status).toBe(200)
      return new Reader(answer)
    },
    submit: async (more = {}, headers = {}) => {
      const answer = await h.post('/v1/jobs', { type: 'greet', input: { name: 'Ada' }, ...more }, headers)
      return ((await answer.json()) as { id: string }).id
    },
    all: async (reader) => {
      await settled()
      await h.server.close()
      return (await reader.rest()).filter(({ event }) => event !== null)
    },
  }
}

const at = (updatedAt: string, completed = 1): WireJob['progress'] => ({
  ...{ stage: null, stageLabel: null, message: null, completed, total: 40, unit: null },
  ...{ iterations: null, percent: null, stages: [], updatedAt },
})
/** `job.completed 3`, `snapshot 2`, `ready`. */
const said = (frames: readonly Frame[]) =>
  frames.map(({ event, data }) => [event, data?.data?.version ?? data?.job?.version].filter(Boolean).join(' '))

describe('a filter', () => {
  test('ready with an id, then what happens, of all jobs', async () => {
    const { engine, stream, submit, server } = opened()
    const old = await submit()
    const reader = await stream()
    expect(await reader.take(1)).toMatchObject([{ event: 'ready', data: { complete: true }, id: expect.any(String) }])
    const young = await submit()
    engine.change(old, { status: 'processing' })
    engine.change(young, { status: 'completed' })
    const frames = await reader.take(3)
    expect(frames.map(({ event, data }) => [event, data.data.jobId])).toEqual([
      ['job.accepted', young],
      ['job.processing', old],
      ['job.completed', young],
    ])
    expect(new Set(frames.map(({ id }) => id)).size).toBe(3)
    await reader.cancel()
    expect(server.held).toBe(0)
    expect(engine.clock.armed).toBe(0)
  })

  test.each([
    ['types=greet', true],
    ['types=other,gre*', true],
    ['types=other,greetx', false],
    ['tag=eu', true],
    ['tag=us', false],
    ['groupId=g', true],
    ['groupId=h', false],
    ['status=failed,completed', true],
    ['status=failed', false],
    ['events=job.completed', true],
    ['events=job.com*', true],
    ['events=job.failed', false],
    ['types=greet&tag=eu&status=completed&groupId=g', true],
    ['types=greet&tag=us&status=completed&groupId=g', false],
  ])('?%s', async (query, isTold) => {
    const { engine, stream, submit, all } = opened()
    const id = await submit({ tags: ['eu', 'vip'], groupId: 'g' })
    const reader = await stream(`?${query}`)
    engine.change(id, { status: 'completed' })
    expect(said(await all(reader)).includes('job.completed 2')).toBe(isTold)
  })

  test.each([
    ['?types=', 'types'],
    ['?status=finished', 'status'],
    ['?events=job%20done', 'events'],
    ['?group=g', 'group'],
  ])('%s is refused, and names what is wrong', async (query, parameter) => {
    const { get } = opened()
    const answer = await get(`/v1/events/stream${query}`)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ code: 'malformed-request', params: { parameter } })
  })

  test('more than 100 ids are refused', async () => {
    const { get } = opened()
    const answer = await get(`/v1/events/stream?jobId=${Array.from({ length: 101 }, (_, i) => i).join()}`)
    expect(await answer.json()).toMatchObject({ status: 400, params: { parameter: 'jobId' } })
  })

  test('links and sources carry the prefix', async () => {
    const { engine, stream, submit, get } = opened({ basePath: '/background' })
    const id = await submit()
    expect((await get('/v1/events/stream')).status).toBe(200)
    const reader = await stream(`?jobId=${id}`)
    engine.change(id, { status: 'completed' })
    const [, snapshot, , event] = await reader.take(4)
    expect(snapshot!.data.job.links.self).toBe(`/background/v1/jobs/${id}`)
    expect(event!.data.source).toBe('/background/v1')
    await reader.cancel()
  })
})

describe('jobs that are named', () => {
  test('are told first, whatever their state; without results', async () => {
    const { engine, stream, submit } = opened()
    const [a, b] = [await submit({ groupId: 'g' }), await submit({ groupId: 'g' })]
    await submit({ groupId: 'other' })
    engine.change(a!, { status: 'completed' }, { big: 1 })
    const reader = await stream('/v1/groups/g/events/stream')
    const frames = await reader.take(4)
    expect(said(frames)).toEqual(['ready', 'snapshot 1', 'snapshot 2', 'ready'])
    expect(frames.map(({ data }) => data.job?.id ?? data.complete)).toEqual([false, b, a, true])
    expect(frames[2]!.data.job).toMatchObject({ status: 'completed', result: null, resultInfo: { state: 'inline' } })
    const young = await submit({ groupId: 'g' })
    expect(await reader.take(1)).toMatchObject([{ event: 'job.accepted', data: { data: { jobId: young } } }])
    await reader.cancel()
  })

  test('by id, and those that are not there are left out', async () => {
    const { stream, submit } = opened()
    const id = await submit()
    const reader = await stream(`?jobId=${id},019a7c31-0000-7000-8000-000000000000`)
    expect(said(await reader.take(3))).toEqual(['ready', 'snapshot 1', 'ready'])
    await reader.cancel()
  })

  test('a group that nobody named yet is silent', async () => {
    const { stream, submit } = opened()
    const reader = await stream('/v1/groups/new/events/stream')
    expect(said(await reader.take(2))).toEqual(['ready', 'ready'])
    await submit({ groupId: 'new' })
    expect(said(await reader.take(1))).toEqual(['job.accepted 1'])
    await reader.cancel()
  })

  test('the newest thousand, and that there are more', async () => {
    const { engine, stream, submit } = opened()
    const ids: string[] = []
    for (let i = 0; i < 1001; i++) ids.push(await submit({ groupId: 'g' }))
    const reader = await stream('?groupId=g')
    const frames = await reader.take(1002)
    expect(frames.at(-1)).toMatchObject({ event: 'ready', data: { complete: true, more: true } })
    expect(frames.slice(1, -1).map(({ data }) => data.job.id)).toEqual(ids.slice(1).reverse())
    await reader.cancel()
    engine.jobs.delete(ids[0]!)
    const again = await stream('?groupId=g')
    expect((await again.take(1002)).at(-1)!.data).toEqual({ complete: true })
    await again.cancel()
  })

  test('snapshots obey the kinds of events that are wanted', async () => {
    const { engine, stream, submit } = opened()
    for (const status of ['processing', 'completed', 'failed'] as const)
      engine.change(await submit({ groupId: 'g' }), { status })
    const reader = await stream('?groupId=g&events=job.completed')
    const frames = await reader.take(3)
    expect(frames.map(({ data }) => data.job?.status)).toEqual([undefined, 'completed', undefined])
    await reader.cancel()
    const progress = await stream('?groupId=g&events=job.progress')
    expect((await progress.take(3)).map(({ data }) => data.job?.status)).toEqual([undefined, 'processing', undefined])
    await progress.cancel()
  })

  test('nothing falls between the jobs and what follows, and nothing is told twice', async () => {
    const { engine, stream, submit } = opened()
    const ids = [await submit({ groupId: 'g' }), await submit({ groupId: 'g' })]
    const list = engine.list.bind(engine)
    engine.list = async (...args) => {
      // Before the reading: in the snapshot. After it: as an event.
      engine.change(ids[0]!, { status: 'processing' })
      const page = await list(...args)
      engine.change(ids[0]!, { status: 'completed' })
      engine.change(ids[1]!, { status: 'processing' })
      return page
    }
    const reader = await stream('?groupId=g')
    const frames = await reader.take(6)
    expect(said(frames)).toEqual([
      ...['ready', 'snapshot 1', 'snapshot 2', 'ready'],
      ...['job.completed 3', 'job.processing 2'],
    ])
    await reader.cancel()
  })
})

describe('coming back', () => {
  test('exactly what followed is repeated, from each place', async () => {
    const { engine, stream, submit } = opened()
    const first = await stream()
    const ids = [await submit(), await submit()]
    for (const status of ['processing', 'blocked', 'processing', 'completed'] as const)
      for (const id of ids) engine.change(id, { status })
    const frames = await first.take(11)
    await first.cancel()
    for (const [i, { id }] of frames.entries()) {
      const reader = await stream('', { 'last-event-id': id! })
      expect(await reader.take(1)).toMatchObject([{ event: 'ready', data: { complete: true }, id }])
      const rest = frames.slice(i + 1)
      expect((await reader.take(rest.length)).map(({ text }) => text)).toEqual(rest.map(({ text }) => text))
      await reader.cancel()
    }
  })

  test('whoever saw nothing goes on from `ready`; also by `after`, which the header outdoes', async () => {
    const { stream, submit } = opened()
    const reader = await stream()
    const [ready] = await reader.take(1)
    await reader.cancel()
    await submit()
    const again = await stream(`?after=${ready!.id}`)
    const [, event] = await again.take(2)
    expect(event).toMatchObject({ event: 'job.accepted' })
    await again.cancel()
    const last = await stream(`?after=${ready!.id}`, { 'last-event-id': event!.id! })
    await submit()
    expect((await last.take(2))[1]!.data.data.jobId).not.toBe(event!.data.data.jobId)
    await last.cancel()
  })

  test('to another filter of the same tenant it is as good', async () => {
    const { engine, stream, submit } = opened()
    const reader = await stream('?tag=eu')
    const [ready] = await reader.take(1)
    await reader.cancel()
    engine.change(await submit({ groupId: 'g' }), { status: 'completed' })
    const again = await stream('?groupId=g', { 'last-event-id': ready!.id! })
    expect(said(await again.take(3))).toEqual(['ready', 'job.accepted 1', 'job.completed 2'])
    await again.cancel()
  })

  test('while nobody listens it is remembered for a while, then costs nothing', async () => {
    const { engine, stream, submit } = opened()
    expect(engine.listeners).toBe(0)
    const reader = await stream()
    expect(engine.listeners).toBe(1)
    const [ready] = await reader.take(1)
    await reader.cancel()
    engine.clock.advance(299_000)
    const id = await submit()
    const back = await stream('', { 'last-event-id': ready!.id! })
    expect(said(await back.take(2))).toEqual(['ready', 'job.accepted 1'])
    await back.cancel()
    engine.clock.advance(301_000)
    expect(engine.listeners).toBe(1)
    engine.change(id, { status: 'processing' })
    expect(engine.listeners).toBe(0)
    const late = await stream('', { 'last-event-id': ready!.id! })
    expect(said(await late.take(4))).toEqual(['ready', 'reset', 'snapshot 2', 'ready'])
    await late.cancel()
  })

  test('what is no longer remembered: reset, and the jobs that are unfinished or changed since', async () => {
    const { engine, stream, submit } = opened({ limits: { streamChanges: 5 } })
    const old = await submit()
    engine.change(old, { status: 'completed' })
    const [waiting, ended] = [await submit(), await submit()]
    engine.clock.advance(120_000)
    const reader = await stream()
    const [ready] = await reader.take(1)
    await reader.cancel()
    engine.change(ended!, { status: 'failed' })
    for (let i = 0; i < 5; i++) await submit({ tags: ['noise'] })
    const again = await stream('', { 'last-event-id': ready!.id! })
    const frames = await again.take(9)
    expect(frames.map(({ event }) => event)).toEqual(['ready', 'reset', ...Array(7).fill('snapshot')])
    const ids = frames.flatMap(({ data }) => data.job?.id ?? [])
    expect(ids).toContain(waiting)
    expect(ids).toContain(ended)
    expect(ids).not.toContain(old)
    // Cut in the middle of this, it begins again: `ready` did not move the place.
    await again.cancel()
    const third = await stream('', { 'last-event-id': frames[0]!.id! })
    const whole = await third.take(10)
    expect(whole.slice(2, 9).map(({ data }) => data.job.id)).toEqual(ids)
    expect(whole.at(-1)).toMatchObject({ event: 'ready', data: { complete: true } })
    await third.cancel()
  })

  test('cut in the middle of the first jobs, they are all told again', async () => {
    const { stream, submit } = opened()
    for (let i = 0; i < 3; i++) await submit({ groupId: 'g' })
    const reader = await stream('?groupId=g')
    const [ready] = await reader.take(2)
    await reader.cancel()
    const again = await stream('?groupId=g', { 'last-event-id': ready!.id! })
    expect(said(await again.take(6))).toEqual(['ready', 'reset', 'snapshot 1', 'snapshot 1', 'snapshot 1', 'ready'])
    await again.cancel()
  })

  test.each(['nonsense', 'job:1', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'])(
    '%s is no cursor: reset, and what is unfinished',
    async (id) => {
      const { engine, stream, submit } = opened()
      engine.change(await submit(), { status: 'completed' })
      engine.clock.advance(120_000)
      await submit()
      const reader = await stream('', { 'last-event-id': id })
      expect(said(await reader.take(4))).toEqual(['ready', 'reset', 'snapshot 1', 'ready'])
      await reader.cancel()
    },
  )

  test('a stream that falls behind what is remembered starts again by itself', async () => {
    const { engine, stream, submit } = opened({ limits: { streamChanges: 4 } })
    const reader = await stream()
    await reader.take(1)
    let go = () => {}
    const happened = engine.happened.bind(engine)
    engine.happened = async (...args) => {
      await new Promise<void>((resolve) => (go = resolve))
      return happened(...args)
    }
    const ids: string[] = []
    for (let i = 0; i < 8; i++) ids.push(await submit())
    engine.change(ids[0]!, { status: 'completed' })
    await settled()
    engine.happened = happened
    go()
    const frames = await reader.take(10)
    expect(said(frames).slice(0, 2)).toEqual(['job.accepted 1', 'reset'])
    const snapshots = frames.filter(({ event }) => event === 'snapshot').map(({ data }) => data.job)
    expect(snapshots.map(({ id }) => id).sort()).toEqual([...ids].sort())
    expect(snapshots.find(({ id }) => id === ids[0]).status).toBe('completed')
    await reader.cancel()
  })

  test('a new place is sent to whoever hears nothing, by the heartbeat and before a polite end', async () => {
    const { engine, stream, submit, all } = opened()
    const reader = await stream('?tag=never')
    const [ready] = await reader.take(1)
    await submit()
    await settled()
    engine.clock.advance(15_000)
    const [mark] = await reader.take(1)
    expect(mark).toMatchObject({ event: 'ready', data: { complete: true } })
    expect(mark!.id).not.toBe(ready!.id)
    engine.clock.advance(15_000)
    const quiet = await reader.next()
    expect(quiet!.text).toBe(': still here')
    await submit({ tags: ['never'] })
    await reader.take(1)
    await submit()
    const [last, end] = await all(reader)
    expect(last).toMatchObject({ event: 'ready' })
    expect(end).toMatchObject({ event: 'end', id: null, data: { reason: 'drain' } })
  })
})

describe('one reading for all', () => {
  test('a change is read once, however many stream; each is told by its own rights', async () => {
    const { engine, stream, submit, all } = opened()
    engine.addKey('submitter', ['jobs:submit'])
    engine.addKey('other', ['jobs:submit'])
    engine.addKey('reader', ['jobs:read'])
    engine.addKey('narrow', ['jobs:read'], { types: ['ocr.*'] })
    engine.addKey('operator', ['jobs:read', 'jobs:operate'])
    const as = (key: string) => ({ authorization: `Bearer ${key}` })
    const readers: Record<string, Reader> = {}
    for (const key of ['submitter', 'other', 'reader', 'narrow', 'operator']) readers[key] = await stream('', as(key))
    for (let i = 0; i < 20; i++) await stream('', as('reader'))
    const id = await submit({}, as('submitter'))
    engine.change(id, { status: 'processing' })
    engine.change(id, { version: 3 })
    engine.change(id, { status: 'completed' })
    await settled()
    expect(engine.calls.filter((call) => call.startsWith('happened'))).toEqual([
      ...['happened:0-1', 'happened:1-2', 'happened:2-3', 'happened:3-4'],
    ])
    const events = async (key: string) => said(await all(readers[key]!)).filter((one) => one.startsWith('job.'))
    const plain = ['job.accepted 1', 'job.processing 2', 'job.completed 4']
    expect(await events('operator')).toEqual([...plain.slice(0, 2), 'job.retrying 3', 'job.completed 4'])
    expect(await events('reader')).toEqual(plain)
    expect(await events('submitter')).toEqual(plain)
    expect(await events('other')).toEqual([])
    expect(await events('narrow')).toEqual([])
  })

  test('all streams of one job share its readings as well', async () => {
    const { engine, stream, submit } = opened()
    const id = await submit()
    const readers = await Promise.all(Array.from({ length: 30 }, () => stream(`/v1/jobs/${id}/events/stream`)))
    for (const reader of readers) await reader.take(1)
    const events = engine.events.bind(engine)
    let reads = 0
    engine.events = (...args) => {
      reads++
      return events(...args)
    }
    engine.change(id, { status: 'processing' })
    for (const reader of readers) expect(said(await reader.take(1))).toEqual(['job.processing 2'])
    await settled()
    expect(reads).toBeLessThanOrEqual(2)
    for (const reader of readers) await reader.cancel()
  })

  test('changes that nobody can want are not read', async () => {
    const { engine, stream, submit } = opened()
    const reader = await stream('?types=ocr.*')
    const id = await submit()
    engine.change(id, { status: 'completed' })
    await settled()
    expect(engine.calls.filter((call) => call.startsWith('happened'))).toEqual([])
    await reader.cancel()
  })

  test('trouble in the store ends the stream with error, and the log hears of it without query', async () => {
    const { engine, stream, submit, errors } = opened()
    const reader = await stream('?tag=secret-tag')
    await reader.take(1)
    engine.happened = () => Promise.reject(new Error('disk gone'))
    await submit()
    expect(await reader.take(1)).toMatchObject([{ event: 'end', data: { reason: 'error' } }])
    expect(errors).toHaveLength(1)
    expect(errors[0]!.code).toBe('stream')
  })
})

describe('progress', () => {
  test('has no id, comes once a second for each job, and the latest comes', async () => {
    const { engine, stream, submit } = opened()
    const [a, b] = [await submit(), await submit()]
    const reader = await stream()
    await reader.take(1)
    const progress = async () => {
      const [frame] = await reader.take(1)
      expect(frame).toMatchObject({ event: 'job.progress', id: null })
      return [frame!.data.data.jobId, frame!.data.data.progress.completed]
    }
    engine.change(a!, { progress: at('1', 1) })
    expect(await progress()).toEqual([a, 1])
    engine.change(a!, { progress: at('2', 2) })
    engine.change(a!, { progress: at('3', 3) })
    engine.change(b!, { progress: at('1', 9) })
    expect(await progress()).toEqual([b, 9])
    await settled()
    engine.clock.advance(1000)
    expect(await progress()).toEqual([a, 3])
    await settled()
    engine.clock.advance(5000)
    engine.change(a!, { progress: at('4', 4) })
    expect(await progress()).toEqual([a, 4])
    await reader.cancel()
    expect(engine.clock.armed).toBe(0)
  })

  test('is not read when nobody wants it', async () => {
    const { engine, stream, submit } = opened()
    const id = await submit()
    const reader = await stream('?events=job.completed')
    engine.change(id, { progress: at('1') })
    await settled()
    expect(engine.calls.filter((call) => call.startsWith('happened'))).toEqual([])
    await reader.cancel()
  })

  test('of a job that has moved on before we heard of it is left out', async () => {
    const { engine, stream, submit, all } = opened()
    const id = await submit()
    const reader = await stream()
    await reader.take(1)
    const happened = engine.happened.bind(engine)
    // The store is ahead of its notices: two moves are committed and not told yet.
    engine.happened = async (...args) => {
      const read = (await happened(...args))!
      return { ...read, job: { ...read.job, version: 3 } }
    }
    engine.change(id, { progress: at('1') })
    await settled()
    engine.happened = happened
    engine.change(id, { status: 'processing' })
    engine.change(id, { status: 'completed' })
    expect(said(await all(reader))).toEqual(['job.processing 2', 'job.completed 3', 'end'])
  })

  test('never comes after a newer version, nor before what it belongs to', async () => {
    const { engine, stream, submit, all } = opened()
    const id = await submit()
    const reader = await stream()
    await reader.take(1)
    let go = () => {}
    const happened = engine.happened.bind(engine)
    engine.happened = async (...args) => {
      const read = await happened(...args)
      // The reading of the move takes longer than that of the progress after it.
      if (args[3] > args[2]) await new Promise<void>((resolve) => (go = resolve))
      return read
    }
    engine.change(id, { status: 'processing' })
    engine.change(id, { progress: at('1') })
    await settled()
    go()
    await settled()
    engine.happened = happened
    expect(said(await all(reader))).toEqual(['job.processing 2', 'job.progress 2', 'end'])
  })
})

describe('keeping and ending', () => {
  test('ends by age; counted with the other streams of the key', async () => {
    const { engine, stream, get, submit } = opened({ limits: { streamsPerKey: 2 }, random: () => 1 })
    await submit()
    const reader = await stream()
    const group = await stream('/v1/groups/g/events/stream')
    expect((await get('/v1/events/stream')).status).toBe(429)
    engine.clock.advance(33 * 60_000)
    for (const one of [reader, group])
      expect((await one.rest()).at(-1)).toMatchObject({ event: 'end', data: { reason: 'age' } })
    expect(engine.clock.armed).toBe(0)
    await (await stream()).cancel()
  })

  test('a reader that does not read is ended as slow while the others get everything', async () => {
    const { engine, stream, submit, get, server } = opened({ limits: { streamBufferBytes: 20_000 } })
    const deaf = await get('/v1/events/stream')
    const others = await Promise.all(Array.from({ length: 50 }, () => stream()))
    const kept: Promise<Frame[]>[] = others.map((reader) => reader.take(1 + 200))
    for (let i = 0; i < 200; i++) {
      await submit()
      await settled(1)
    }
    for (const frames of await Promise.all(kept)) expect(frames.at(-1)!.event).toBe('job.accepted')
    expect(server.held).toBe(50)
    const frames = await new Reader(deaf).rest()
    expect(frames.at(-1)).toMatchObject({ event: 'end', data: { reason: 'slow' } })
    expect(frames.length).toBeLessThan(100)
    for (const reader of others) await reader.cancel()
    engine.clock.advance(10_000)
    expect(engine.clock.armed).toBe(0)
  })

  test('jobs are read no faster than they are taken; whoever takes none for long is ended', async () => {
    const { engine, get, submit } = opened({ limits: { streamBufferBytes: 100_000 } })
    for (let i = 0; i < 900; i++) await submit({ groupId: 'g' })
    engine.calls.length = 0
    const answer = await get('/v1/events/stream?groupId=g')
    await settled(20)
    const pages = () => engine.calls.filter((call) => call.startsWith('list')).length
    expect(pages()).toBe(1)
    engine.clock.advance(31_000)
    expect((await new Reader(answer).rest()).at(-1)).toMatchObject({ event: 'end', data: { reason: 'slow' } })
    expect(pages()).toBe(1)
    engine.clock.advance(10_000)
    expect(engine.clock.armed).toBe(0)
    const patient = new Reader(await get('/v1/events/stream?groupId=g'))
    expect((await patient.take(902)).at(-1)).toMatchObject({ event: 'ready', data: { complete: true } })
    await patient.cancel()
  })

  test('HEAD is refused, and leaves nothing open', async () => {
    const { send, server } = opened()
    for (const path of ['/v1/events/stream', '/v1/groups/g/events/stream', '/v1/ws'])
      expect((await send('HEAD', path)).status).toBe(405)
    expect(server.held).toBe(0)
  })
})

describe('a key', () => {
  const as = (key: string) => ({ authorization: `Bearer ${key}` })

  test.each(['/v1/events/stream', '/v1/groups/g/events/stream', '/v1/jobs/ID/events/stream'])(
    'that is revoked or expires ends %s within 30 s; trouble in the store does not',
    async (path) => {
      const { engine, stream, submit, server } = opened()
      for (const key of ['a', 'b', 'c']) engine.addKey(key, ['jobs:read'])
      engine.addKey('root', ['admin'])
      const id = await submit({}, as('root'))
      const open = async (key: string) => await stream(path.replace('ID', id), as(key))
      const [a, b, c] = [await open('a'), await open('b'), await open('c')]
      const { standing } = engine
      engine.standing = () => Promise.reject(new Error('busy'))
      await engine.revokeKey(null as never, 'key_a')
      engine.expireKey('b', engine.clock.now() + 20_000)
      engine.clock.advance(15_000)
      await settled()
      engine.standing = standing
      engine.clock.advance(15_000)
      for (const reader of [a, b])
        expect((await reader.rest()).at(-1)).toMatchObject({ event: 'end', data: { reason: 'credential' } })
      expect(server.held).toBe(1)
      await c.cancel()
      expect(engine.clock.armed).toBe(0)
    },
  )

  test('the first key ends the streams of a server that had none', async () => {
    const { engine, stream } = opened()
    const reader = await stream()
    await reader.take(1)
    engine.addKey('first', ['admin'])
    engine.clock.advance(15_000)
    expect(await reader.take(1)).toMatchObject([{ event: 'end', data: { reason: 'credential' } }])
  })

  test('a session of the host is asked again, with the same request', async () => {
    const sessions = new Map([['s1', ['jobs:read']]])
    const { engine, stream } = opened({
      authenticate: (request) => {
        const id = request.headers.get('x-session') ?? ''
        const scopes = sessions.get(id)
        return scopes
          ? { tenant: 'default', actor: { kind: 'user', id }, scopes: scopes as ['jobs:read'], types: null }
          : null
      },
    })
    const reader = await stream('', { 'x-session': 's1' })
    await reader.take(1)
    engine.clock.advance(15_000)
    await settled()
    sessions.delete('s1')
    engine.clock.advance(15_000)
    expect((await reader.rest()).at(-1)).toMatchObject({ event: 'end', data: { reason: 'credential' } })
  })
})
