import { beforeEach, describe, expect, it } from 'vitest'
import type { WireJob } from '../core/wire.js'
import { fakeLive } from './fake-live.mjs'
import { virtualClock } from './fake-time.mjs'
import { type ClientOptions, type Connection, createClient } from './index.js'

let clock: ReturnType<typeof virtualClock>
let live: ReturnType<typeof fakeLive>
const client = (more: Partial<ClientOptions> = {}) =>
  createClient({ url: 'http://fake', clock, fetch: live.fetch, ...more })
beforeEach(() => {
  clock = virtualClock()
  live = fakeLive(clock)
})

/** Snapshots until all these jobs are done. */
async function untilDone(jobs: AsyncIterable<WireJob>, ids: string[], slowMs = 0): Promise<WireJob[]> {
  const seen: WireJob[] = []
  const left = new Set(ids)
  for await (const job of jobs) {
    seen.push(job)
    if (job.done) left.delete(job.id)
    if (left.size === 0) break
    if (slowMs > 0) await clock.sleep(slowMs)
  }
  return seen
}
const short = ({ id, status, version }: WireJob) => `${id} ${status} ${version}`
const reads = (id: string) => live.requests.filter(({ path }) => path === `/v1/jobs/${id}`)

describe('the jobs of a group', () => {
  it('come as they are, then as they change, up to the final one of each with its result', async () => {
    live.add('a', { groupId: 'g' })
    live.add('b', { groupId: 'g' })
    live.move('b', 'completed')
    live.add('other')
    const seen = untilDone(client().watchGroup('g'), ['a', 'b', 'c'])
    await clock.sleep(1000)
    live.move('a', 'processing')
    await clock.sleep(1000)
    live.add('c', { groupId: 'g' })
    live.move('a', 'completed')
    await clock.sleep(1000)
    live.move('c', 'failed')
    const jobs = await seen
    expect(jobs.map(short).sort()).toEqual([
      ...['a accepted 1', 'a completed 3', 'a processing 2', 'b completed 2', 'c accepted 1', 'c failed 2'],
    ])
    const results = jobs.filter((job) => job.done).map((job) => [job.id, job.result])
    expect(Object.fromEntries(results)).toEqual({ a: { of: 'a' }, b: { of: 'b' }, c: null })
    expect([live.taps.size, clock.waiting]).toEqual([0, 0])
  })

  it('take progress from its event, and never older progress', async () => {
    live.add('a', { groupId: 'g' })
    const seen = untilDone(client().watchGroup('g'), ['a'])
    for (const n of [1, 2, 3]) {
      await clock.sleep(1000)
      live.progress('a', n)
    }
    await clock.sleep(1000)
    live.move('a', 'completed')
    expect((await seen).map((job) => job.progress?.completed ?? null)).toEqual([null, 1, 2, 3, 3])
    // The job itself is read once, for its end.
    expect(reads('a')).toHaveLength(1)
  })

  it('are all told when they are more than the stream begins with', async () => {
    live = fakeLive(clock, { begin: 10 })
    const ids = Array.from({ length: 230 }, (_, i) => `job-${i}`)
    for (const id of ids) {
      live.add(id, { groupId: 'g' })
      live.move(id, 'completed')
    }
    const jobs = await untilDone(client().watchGroup('g'), ids)
    expect(jobs).toHaveLength(230)
    expect(jobs.every((job) => job.result !== null)).toBe(true)
  })

  it('are polled for where there is no stream', async () => {
    live.streams = '501'
    live.add('a', { groupId: 'g' })
    const seen = untilDone(client().watchGroup('g'), ['a', 'b'])
    await clock.sleep(10_000)
    live.add('b', { groupId: 'g' })
    await clock.sleep(20_000)
    live.move('b', 'completed')
    live.move('a', 'completed')
    const jobs = await seen
    expect(jobs.map(short).sort()).toEqual(['a accepted 1', 'a completed 2', 'b accepted 1', 'b completed 2'])
    expect(jobs.at(-1)!.result).not.toBeNull()
  })

  it('wait for a reader who is slow, and leave out only what is old by then', async () => {
    const ids = Array.from({ length: 40 }, (_, i) => `job-${i}`)
    for (const id of ids) live.add(id, { groupId: 'g' })
    const seen = untilDone(client().watchGroup('g'), ids, 2000)
    await clock.sleep(5000)
    for (const status of ['processing', 'blocked', 'processing', 'completed'])
      for (const id of ids) live.move(id, status)
    const jobs = await seen
    expect(jobs.filter((job) => job.done)).toHaveLength(40)
    expect(jobs.length).toBeLessThan(40 * 5)
  })

  it('end when all are done, if that is asked for, and no sooner than each was given', async () => {
    for (const id of ['a', 'b', 'c']) live.add(id, { groupId: 'g' })
    live.move('b', 'completed')
    const seen: string[] = []
    const watching = (async () => {
      for await (const job of client().watchGroup('g', { until: 'done' })) seen.push(short(job))
    })()
    await clock.sleep(1000)
    live.move('a', 'completed')
    live.rest = '502'
    await clock.sleep(1000)
    live.move('c', 'failed')
    await clock.sleep(20_000)
    live.rest = 'up'
    await watching
    expect(seen.filter((text) => !text.includes('accepted')).sort()).toEqual([
      'a completed 2',
      'b completed 2',
      'c failed 2',
    ])
    const done = client().watchGroup('g', { until: 'done' })
    expect((await untilDone(done, ['none'])).map(short).sort()).toEqual([
      'a completed 2',
      'b completed 2',
      'c failed 2',
    ])
    expect([live.taps.size, clock.waiting]).toEqual([0, 0])
  })

  it('say when jobs cannot be read, and when they can again', async () => {
    live.add('a', { groupId: 'g' })
    const said: Connection[] = []
    const onConnection = (connection: Connection) => said.push(connection)
    const seen = untilDone(client().watchGroup('g', { onConnection }), ['a'])
    await clock.sleep(1000)
    live.rest = '502'
    live.move('a', 'processing')
    await clock.sleep(20_000)
    live.rest = 'up'
    await clock.sleep(20_000)
    live.move('a', 'completed')
    await seen
    expect(said).toEqual(['stream', 'lost', 'poll', 'stream'])
  })

  it('throw what ends the watch, and the reason of an abort', async () => {
    live.refusals.push({ status: 403, code: 'forbidden' })
    await expect(untilDone(client().watchGroup('g'), ['a'])).rejects.toMatchObject({ code: 'forbidden' })
    const stop = new AbortController()
    const seen = untilDone(client().watchGroup('g', { signal: stop.signal }), ['a'])
    stop.abort(new Error('enough'))
    await expect(seen).rejects.toThrow('enough')
    expect([live.taps.size, clock.waiting]).toEqual([0, 0])
  })

  it('say nothing more of a job that is gone by the time it is read', async () => {
    for (const id of ['a', 'b']) live.add(id, { groupId: 'g' })
    const seen = untilDone(client().watchGroup('g'), ['b'])
    await clock.sleep(1000)
    live.move('a', 'completed')
    live.jobs.delete('a')
    live.history.delete('a')
    await clock.sleep(1000)
    live.move('b', 'completed')
    expect((await seen).map(short)).toContain('b completed 2')
  })
})

it('the jobs of a filter begin with those under way', async () => {
  for (const [id, type] of [
    ...[
      ['a', 'ocr.x'],
      ['b', 'ocr.y'],
      ['c', 'mail'],
    ],
  ] as const)
    live.add(id, { type })
  live.move('b', 'completed')
  const seen = untilDone(client().watchJobs({ types: ['ocr.*'] }), ['a', 'd'])
  await clock.sleep(1000)
  live.add('d', { type: 'ocr.z' })
  await clock.sleep(1000)
  live.move('a', 'completed')
  live.move('d', 'completed')
  expect((await seen).map(short).sort()).toEqual(['a accepted 1', 'a completed 2', 'd accepted 1', 'd completed 2'])
})

describe('with a ticket and no key', () => {
  const TICKET = 'ticket-of-a-browser'
  beforeEach(() => {
    live.tickets.add(TICKET)
    live.add('a', { groupId: 'g' })
  })
  const paths = () => new Set(live.requests.map(({ path }) => path))

  it('a job is watched over its stream alone, to the end with its result', async () => {
    const seen = untilDone(client({ ticket: TICKET }).watch('a'), ['a'])
    await clock.sleep(1000)
    live.progress('a', 1)
    await clock.sleep(1000)
    live.cut()
    await clock.sleep(1000)
    live.move('a', 'completed')
    const jobs = await seen
    expect(jobs.map(short)).toEqual(['a accepted 1', 'a accepted 1', 'a completed 2'])
    expect([jobs[1]!.progress?.completed, jobs[2]!.result]).toEqual([1, { of: 'a' }])
    expect(paths()).toEqual(new Set(['/v1/jobs/a/events/stream']))
    expect(live.requests.every(({ query, headers }) => query.get('ticket') === TICKET && !headers.authorization)).toBe(
      true,
    )
  })

  it('a result is waited for over the stream', async () => {
    const result = client({ ticket: TICKET }).result('a')
    await clock.sleep(1000)
    live.move('a', 'completed')
    expect(await result).toEqual({ of: 'a' })
    expect(paths()).toEqual(new Set(['/v1/jobs/a/events/stream']))
  })

  it('a group is watched over its stream alone', async () => {
    const seen = untilDone(client({ ticket: TICKET }).watchGroup('g'), ['a', 'b'])
    await clock.sleep(1000)
    live.add('b', { groupId: 'g' })
    await clock.sleep(5000)
    live.move('a', 'completed')
    live.move('b', 'completed')
    expect((await seen).map(short).sort()).toEqual(['a accepted 1', 'a completed 2', 'b accepted 1', 'b completed 2'])
    expect(paths()).toEqual(new Set(['/v1/events/stream']))
  })

  it('a new ticket is fetched when the old one has expired, and asked for once', async () => {
    const given: string[] = []
    const ticket = async () => {
      const next = `t${given.length}`
      given.push(next)
      live.tickets.add(next)
      return next
    }
    const seen = untilDone(client({ ticket }).watch('a'), ['a'])
    await clock.sleep(1000)
    live.tickets.delete('t0')
    live.cut()
    await clock.sleep(5000)
    live.move('a', 'completed')
    expect((await seen).at(-1)!.status).toBe('completed')
    expect(given).toEqual(['t0', 't1'])
  })

  it('a ticket that is not taken ends the watch: a fixed one at once, a new one after one more', async () => {
    const code = 'unauthenticated'
    await expect(untilDone(client({ ticket: 'other' }).watch('a'), ['a'])).rejects.toMatchObject({ code })
    const ticket = () => 'other'
    await expect(untilDone(client({ ticket }).watchGroup('g'), ['a'])).rejects.toMatchObject({ code })
    expect(live.requests).toHaveLength(3)
  })

  it('a giver of tickets that fails at first is heard; later it is only trouble', async () => {
    let broken = true
    const ticket = async () => {
      if (broken) throw new Error('my own server says no')
      return TICKET
    }
    await expect(untilDone(client({ ticket }).watch('a'), ['a'])).rejects.toThrow('my own server says no')
    broken = false
    const seen = untilDone(client({ ticket }).watch('a'), ['a'])
    await clock.sleep(1000)
    broken = true
    live.refusals.push({ status: 401, code: 'unauthenticated' })
    live.cut()
    await clock.sleep(5000)
    broken = false
    live.move('a', 'completed')
    expect((await seen).at(-1)!.status).toBe('completed')
  })

  it('says what cannot be had with it', async () => {
    const fix = 'Ask your own server for it, which holds the key, or give this client a key.'
    await expect(untilDone(client({ ticket: TICKET }).watchJobs({}), ['a'])).rejects.toMatchObject({ fix })
    expect(() => client({ ticket: TICKET }).watch('a', { include: ['ops'] })).toThrow("include: ['ops']")
    expect(() => client({ ticket: TICKET, key: 'ud_live_1' })).toThrow('not both')
  })
})

it('a ticket is asked for with its filter', async () => {
  const ticket = await client().streamTicket({ filter: { jobId: ['a'] }, ttlMs: 5000, use: 'sse' })
  expect(ticket.ticket).toMatch(/^ticket-/)
  expect(live.requests[0]!.body).toEqual({ filter: { jobId: ['a'] }, ttlMs: 5000, use: 'sse' })
})
