import { beforeEach, describe, expect, it } from 'vitest'
import { fakeLive } from './fake-live.mjs'
import { dice, virtualClock } from './fake-time.mjs'
import { type ClientOptions, type Connection, createClient, type EventFilter, type EventsOptions } from './index.js'

let clock: ReturnType<typeof virtualClock>
let live: ReturnType<typeof fakeLive>
const client = (more: Partial<ClientOptions> = {}) =>
  createClient({ url: 'http://fake', clock, fetch: live.fetch, ...more })
beforeEach(() => {
  clock = virtualClock()
  live = fakeLive(clock)
})

/** What comes out, until something has come `n` times. */
async function take<T>(items: AsyncIterable<T>, n: number, onItem: (item: T) => void = () => {}): Promise<T[]> {
  const taken: T[] = []
  for await (const item of items) {
    taken.push(item)
    onItem(item)
    if (taken.length === n) break
  }
  return taken
}
const events = (n: number, filter?: EventFilter, options?: EventsOptions) =>
  take(client().events(filter, options), n).then((all) =>
    all.map(({ type, data }) => `${data.jobId} ${type} ${data.version}`),
  )
/** Runs the steps one second apart, the first one after a second. */
async function script(...steps: (() => void)[]): Promise<void> {
  for (const step of steps) {
    await clock.sleep(1000)
    step()
  }
}
const streams = () => live.requests.filter(({ path }) => path === '/v1/events/stream')
const lists = () => live.requests.filter(({ path }) => path === '/v1/jobs')

describe('events over the stream', () => {
  it('come as they happen, with the place after each', async () => {
    const seen = take(client().events(), 3)
    await script(
      () => live.add('a'),
      () => live.add('b'),
      () => live.move('a', 'processing'),
    )
    const all = await seen
    expect(all.map(({ type, data }) => [data.jobId, type, data.version])).toEqual([
      ['a', 'job.accepted', 1],
      ['b', 'job.accepted', 1],
      ['a', 'job.processing', 2],
    ])
    expect(new Set(all.map(({ cursor }) => cursor)).size).toBe(3)
    expect(streams()).toHaveLength(1)
  })

  it('are asked for by the whole filter, as it is in the contract', async () => {
    const filter: EventFilter = {
      ...{ types: ['ocr.*', 'x'], groupId: 'g', status: ['failed', 'blocked'], tag: 't', jobId: ['a', 'b'] },
      events: ['job.*'],
    }
    live.add('a', { type: 'ocr.a', groupId: 'g', tags: ['t'] })
    live.move('a', 'failed')
    expect(await events(1, filter)).toEqual(['a job.failed 2'])
    expect(Object.fromEntries(streams()[0]!.query)).toEqual({
      ...{ types: 'ocr.*,x', groupId: 'g', status: 'failed,blocked', tag: 't', jobId: 'a,b', events: 'job.*' },
    })
  })

  it('go on after a cut from the last one, without repeating or missing any', async () => {
    const seen = events(4)
    await script(
      () => live.add('a'),
      () => live.cut(),
      () => live.move('a', 'processing'),
      () => live.end('drain'),
      () => live.move('a', 'blocked'),
      () => live.restart(),
      () => live.move('a', 'completed'),
    )
    expect(await seen).toEqual(['a job.accepted 1', 'a job.processing 2', 'a job.blocked 3', 'a job.completed 4'])
  })

  it('happened while the line was down: they come when it is back, each version once', async () => {
    const seen = events(3)
    await script(
      () => live.add('a'),
      () => {
        live.streams = 'down'
        live.rest = 'down'
        live.cut()
      },
      () => live.move('a', 'processing'),
      () => live.add('b'),
      () => {
        live.streams = live.rest = 'up'
      },
    )
    // In the order of versions for each job, in any order between jobs.
    expect((await seen).sort()).toEqual(['a job.accepted 1', 'a job.processing 2', 'b job.accepted 1'])
  })

  it('begin where a stored cursor says', async () => {
    live.add('a')
    const [first] = await take(client().events({ jobId: ['a'] }), 1)
    live.move('a', 'processing')
    live.add('b')
    const rest = await events(2, {}, { after: first!.cursor! })
    expect(rest.sort()).toEqual(['a job.processing 2', 'b job.accepted 1'])
    expect(streams().at(-1)!.headers['last-event-id']).toBe(first!.cursor)
  })

  it('become the newest event of each job when the server no longer knows the place', async () => {
    live = fakeLive(clock, { ring: 2 })
    const seen = events(5)
    await script(
      () => live.add('a'),
      () => live.add('b'),
      () => {
        live.streams = 'down'
        live.cut()
        live.move('a', 'processing')
        for (const status of ['processing', 'blocked', 'processing', 'completed']) live.move('b', status)
        live.add('c')
        live.streams = 'up'
      },
    )
    // "a" and "c" as they are; the end of "b"; nothing that was told before.
    expect((await seen).sort()).toEqual([
      'a job.accepted 1',
      'a job.processing 2',
      'b job.accepted 1',
      'b job.completed 5',
      'c job.accepted 1',
    ])
  })

  it('of a group begin with all its jobs, also of a large one', async () => {
    live = fakeLive(clock, { begin: 3 })
    for (const id of ['a', 'b', 'c', 'd', 'e']) live.add(id, { groupId: 'g' })
    live.add('other')
    expect((await events(5, { groupId: 'g' })).map((text) => text[0]).sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('leave out what is not asked for, also when a job is told as a whole', async () => {
    live.add('a')
    live.add('b')
    live.move('b', 'completed')
    const seen = events(2, { jobId: ['a', 'b'], events: ['job.completed'] })
    await script(() => live.move('a', 'completed'))
    expect(await seen).toEqual(['b job.completed 2', 'a job.completed 2'])
  })

  it('of progress come only when it is newer', async () => {
    live.add('a')
    const seen = take(client().events({ events: ['job.progress', 'job.completed'] }), 3)
    await script(
      () => live.progress('a', 1),
      () => live.progress('a', 2),
      () => live.move('a', 'completed'),
    )
    expect((await seen).map(({ type, data }) => [type, data.progress?.completed])).toEqual([
      ['job.progress', 1],
      ['job.progress', 2],
      ['job.completed', undefined],
    ])
  })

  it('are waited for with pauses from half a second to fifteen, and the place is not lost', async () => {
    const seen = take(client({ ticket: 't' }).events(), 2)
    live.tickets.add('t')
    await script(() => live.add('a'))
    const begun = clock.now()
    live.streams = '502'
    live.cut()
    await clock.sleep(120_000)
    live.streams = 'up'
    live.move('a', 'processing')
    await seen
    const at = streams().slice(1)
    const pauses = at.map((request, i) => request.at - (at[i - 1]?.at ?? begun))
    expect(pauses.slice(0, 7)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000])
    expect(new Set(at.map(({ headers }) => headers['last-event-id'])).size).toBe(1)
  })

  it('are not waited for on a line that has fallen silent', async () => {
    const seen = events(2)
    await script(
      () => live.add('a'),
      () => {
        // Heard of by nobody, as on a line that was cut somewhere on the way.
        live.taps.clear()
        live.move('a', 'processing')
      },
    )
    expect(await seen).toEqual(['a job.accepted 1', 'a job.processing 2'])
    expect(streams()[1]!.at - streams()[0]!.at).toBeGreaterThanOrEqual(45_000)
  })

  it.each([
    [401, 'unauthenticated'],
    [403, 'forbidden'],
  ])('end when the server says %i', async (status, code) => {
    live.refusals.push({ status, code })
    await expect(events(1)).rejects.toMatchObject({ status, code })
  })

  it('end with the reason of an abort, and leave nothing behind', async () => {
    const stop = new AbortController()
    const seen = events(1, {}, { signal: stop.signal })
    await Promise.all([expect(seen).rejects.toThrow('enough'), script(() => stop.abort(new Error('enough')))])
    expect([live.taps.size, clock.waiting]).toEqual([0, 0])
  })

  it('leave nothing behind when the reader leaves', async () => {
    const seen = events(1)
    await script(() => live.add('a'))
    await seen
    expect([live.taps.size, clock.waiting]).toEqual([0, 0])
  })
})

describe('events without a stream', () => {
  it.each(['none', '501', 'html'] as const)('are polled for (%s), and streamed again later', async (state) => {
    live.streams = state
    live.add('before')
    const said: Connection[] = []
    const seen = events(3, {}, { onConnection: (connection) => said.push(connection) })
    await clock.sleep(20_000)
    live.add('a')
    await clock.sleep(20_000)
    live.move('a', 'processing')
    await clock.sleep(20_000)
    live.streams = 'up'
    await clock.sleep(15 * 60_000)
    live.move('a', 'completed')
    expect(await seen).toEqual(['a job.accepted 1', 'a job.processing 2', 'a job.completed 3'])
    expect(said).toEqual(['poll', 'stream'])
    expect(streams()).toHaveLength(2)
    // From two seconds to fifteen apart while nothing happens, and no more often.
    expect(lists().length).toBeLessThan(75)
  })

  it('are polled for after three failures in a row, not after one, and streamed again', async () => {
    const said: Connection[] = []
    const seen = events(4, {}, { onConnection: (connection) => said.push(connection) })
    const fail = async (ms: number) => {
      live.streams = '502'
      live.cut()
      await clock.sleep(ms)
    }
    live.showsDate = false
    await script(() => live.add('a'))
    await fail(100)
    live.streams = 'up'
    await script(() => live.move('a', 'processing'))
    const listed = lists().length
    await fail(100)
    live.move('a', 'blocked')
    await clock.sleep(60_000)
    expect(lists().length).toBeGreaterThan(listed)
    live.streams = 'up'
    await clock.sleep(60_000)
    live.move('a', 'completed')
    await seen
    expect(listed).toBe(1)
    expect(said).toEqual(['stream', 'lost', 'poll', 'stream'])
  })

  it('of a stream that every proxy cuts at once are polled for as well', async () => {
    const seen = events(2)
    const cutter = setIntervalOf(1, () => live.end('age'))
    await clock.sleep(30_000)
    live.add('a')
    live.move('a', 'processing')
    cutter.abort()
    await seen
    expect(lists().length).toBeGreaterThan(2)
  })

  it.each(['with', 'without'])(
    'of a group are not missed when the line never lives to tell all jobs (%s a date)',
    async (date) => {
      live.showsDate = date === 'with'
      for (let i = 0; i < 30; i++) live.add(`job-${i}`, { groupId: 'g' })
      await clock.sleep(60_000)
      live.noise = { chance: dice(1), duplicate: 0, hold: 0, cut: 0.3 }
      expect(new Set(await events(30, { groupId: 'g' })).size).toBe(30)
    },
  )

  it('of a reader with a cursor are not missed when the line breaks before they are repeated', async () => {
    const [first] = await Promise.all([take(client().events(), 1), script(() => live.add('a'))])
    live.move('a', 'completed')
    await clock.sleep(60_000)
    live.noise = { chance: () => 0.1, duplicate: 0, hold: 0, cut: 0.3 }
    expect(await events(1, {}, { after: first![0]!.cursor! })).toEqual(['a job.completed 2'])
  })

  it('are found by the pages of a list, each job once', async () => {
    live.streams = 'none'
    const seen = events(450)
    await clock.sleep(5000)
    for (let i = 0; i < 450; i++) live.add(`job-${i}`)
    expect(new Set(await seen).size).toBe(450)
  })

  it('of named jobs are asked for by their tags; one that is gone does not disturb', async () => {
    live.streams = 'none'
    live.add('a')
    const seen = events(2, { jobId: ['a', 'gone'] })
    await clock.sleep(30_000)
    live.move('a', 'completed')
    expect(await seen).toEqual(['a job.accepted 1', 'a job.completed 2'])
    const asked = live.requests
      .filter(({ path }) => path === '/v1/jobs/a')
      .map(({ headers }) => headers['if-none-match'])
    expect(asked.slice(0, 3)).toEqual([undefined, '"1"', '"1"'])
    expect(live.requests.filter(({ path }) => path === '/v1/jobs/gone')).toHaveLength(1)
  })

  it('of a reader who comes back with a cursor are those of all jobs: nobody knows what it has seen', async () => {
    live.streams = 'none'
    live.add('a')
    live.add('b')
    live.move('b', 'completed')
    expect((await events(2, {}, { after: '1.0.0' })).sort()).toEqual(['a job.accepted 1', 'b job.completed 2'])
  })

  it('go on while the lists fail too', async () => {
    live.streams = 'none'
    const seen = events(1)
    await clock.sleep(5000)
    live.rest = '502'
    await clock.sleep(60_000)
    live.add('a')
    live.rest = 'up'
    expect(await seen).toEqual(['a job.accepted 1'])
  })
})

/** Again and again, in the time of the clock. */
function setIntervalOf(ms: number, act: () => void): AbortController {
  const stop = new AbortController()
  const turn = (): void => {
    clock.sleep(ms, stop.signal).then(
      () => {
        act()
        turn()
      },
      () => {},
    )
  }
  turn()
  return stop
}
