import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WireJob } from '../core/wire.js'
import { fakeLive } from './fake-live.mjs'
import { beginStream, completed, fakeClock, makeJob, problem, startFakeServer } from './fake-server.mjs'
import { virtualClock } from './fake-time.mjs'
import { type Connection, createClient, type WatchOptions } from './index.js'

let fake: Awaited<ReturnType<typeof startFakeServer>>
let clock: ReturnType<typeof fakeClock>
const client = () => createClient({ url: fake.url, clock })
const id = 'job-1'
const path = '/v1/jobs/job-1'
const paths = () => fake.requests.map((r) => r.path.replace(path, '') + (r.query.has('wait') ? '?wait' : ''))

beforeEach(async () => {
  fake = await startFakeServer()
  clock = fakeClock()
  fake.jobs.set(id, makeJob({ id, status: 'processing', version: 2, revision: 5 }))
})
afterEach(() => fake.close())

/** Watches to the end and gives what came out. */
async function watchAll(options: WatchOptions & { onJob?: (job: WireJob) => void } = {}): Promise<WireJob[]> {
  const { onJob, ...rest } = options
  const jobs: WireJob[] = []
  for await (const job of client().watch(id, rest)) {
    jobs.push(job)
    onJob?.(job)
  }
  return jobs
}
const statuses = (jobs: WireJob[]) => jobs.map((job) => job.status)
/** What the next long-poll meets. */
const onHold = (act: () => void) =>
  fake.faults.push(function fault(request: any) {
    if (!request.query.has('wait')) return false
    fake.faults.splice(fake.faults.indexOf(fault), 1)
    // After the request is held, as the server would have it.
    setImmediate(act)
    return false
  })
const finish = () => fake.change(id, completed('fine'))
const event = (type: string, data: object) =>
  [type, { type, data: { jobId: id, version: 2, done: false, ...data } }] as const

describe('watching over the stream', () => {
  it('gives the first snapshot, each newer one, and ends with the final one read from the job', async () => {
    fake.streams.push((response) => {
      const write = beginStream(response)
      write('snapshot', { job: fake.jobs.get(id) }, 'e1')
      fake.change(id, { statusText: 'Reading page 2' })
      write('snapshot', { job: fake.jobs.get(id) }, 'e2')
      finish()
      write(...event('job.completed', { status: 'completed', done: true }), 'e3')
    })
    const jobs = await watchAll()
    expect(jobs.map((job) => [job.revision, job.done])).toEqual([
      [5, false],
      [6, false],
      [7, true],
    ])
    expect(paths()).toEqual(['', '/events/stream', ''])
  })

  it('does not believe an end frame, a closed stream or an event that says done', async () => {
    fake.streams.push(
      (response) => {
        const write = beginStream(response)
        write(...event('job.completed', { status: 'completed', done: true }), 'e1')
        write('end', { reason: 'done' })
        response.end()
      },
      (response) => {
        beginStream(response)
        response.end()
      },
      (response) => {
        beginStream(response)
        // Cut in the middle of a frame that would have said that it is done.
        response.write('event: snapshot\ndata: {"job":{"id":"job-1","done":true,"status":"comple')
        response.destroy()
      },
      (response) => {
        beginStream(response)
        finish()
        response.end()
      },
    )
    // Between the streams nothing is held, and the paced polls see the truth.
    fake.holds = false
    const jobs = await watchAll()
    expect(statuses(jobs)).toEqual(['processing', 'completed'])
    expect(fake.streams).toHaveLength(0)
  })

  it('confirms a snapshot that says done by reading the job', async () => {
    fake.streams.push((response) => {
      const write = beginStream(response)
      write('snapshot', { job: { ...fake.jobs.get(id), ...completed('a lie'), revision: 99 } }, 'e1')
      response.end()
    })
    onHold(() => finish())
    const jobs = await watchAll()
    expect(jobs.map((job) => job.result)).toEqual([null, 'fine'])
  })

  it('survives a 502 and comes back to the stream', async () => {
    const seen: Connection[] = []
    fake.streams.push(
      (response) => void response.writeHead(502, { 'content-type': 'text/html' }).end('Bad Gateway'),
      (response) => {
        beginStream(response)
        finish()
        response.end(': beat\n\nevent: job.completed\ndata: {}\n\n')
      },
    )
    // The long-poll in between ends when the time for the next stream has come.
    onHold(() => {
      clock.advance(5000)
      fake.release()
    })
    const jobs = await watchAll({ onConnection: (connection) => seen.push(connection) })
    expect(statuses(jobs)).toEqual(['processing', 'completed'])
    expect(paths()).toEqual(['', '/events/stream', '', '?wait', '/events/stream', ''])
    expect(seen).toEqual(['long-poll', 'stream'])
  })

  it('resumes with the last event id, and forgets it after a reset', async () => {
    const asked: unknown[] = []
    const closing = (write: (write: ReturnType<typeof beginStream>) => void) => (response: any, request: any) => {
      asked.push(request.headers['last-event-id'])
      write(beginStream(response))
      response.end()
    }
    fake.streams.push(
      closing((write) => void write('snapshot', { job: fake.jobs.get(id) }, 'e7')),
      closing((write) => {
        write('reset', {})
        write('end', { reason: 'drain' })
      }),
      closing(() => finish()),
    )
    fake.holds = false
    await watchAll()
    expect(asked).toEqual([undefined, 'e7', undefined])
  })

  it('never goes back to an older snapshot', async () => {
    fake.streams.push((response) => {
      const old = fake.jobs.get(id)
      const write = beginStream(response)
      fake.change(id, { statusText: 'newer' })
      write('snapshot', { job: fake.jobs.get(id) }, 'e2')
      write('snapshot', { job: old }, 'e1')
      write('snapshot', { job: { ...old, revision: 50, version: 1, statusText: 'an older version' } }, 'e1')
      finish()
      write('job.completed', {}, 'e3')
    })
    const jobs = await watchAll()
    expect(jobs.map((job) => job.statusText)).toEqual([makeJob({}).statusText, 'newer', 'Completed'])
  })

  it('takes progress from its event without another request', async () => {
    const progress = (message: string | null, at: string) => ({
      stage: 'pages',
      stageLabel: 'Reading',
      message,
      updatedAt: at,
    })
    fake.streams.push((response) => {
      const write = beginStream(response)
      write(...event('job.progress', { progress: progress('Page 1', '2026-11-22T09:00:01.000Z') }))
      write(...event('job.progress', { progress: progress('Page 2', '2026-11-22T09:00:02.000Z') }))
      write(...event('job.progress', { progress: progress(null, '2026-11-22T09:00:03.000Z') }))
      finish()
      write(...event('job.completed', {}), 'e3')
    })
    const jobs = await watchAll()
    expect(jobs.map((job) => job.statusText)).toEqual([
      'Accepted',
      'Page 1',
      'Page 2',
      'Working: Reading.',
      'Completed',
    ])
    expect(paths()).toEqual(['', '/events/stream', ''])
  })

  it('reads the job for each hint when more than the plain job was asked for', async () => {
    fake.streams.push((response) => {
      const write = beginStream(response)
      fake.change(id, { ops: { attempt: 2 } })
      write('snapshot', { job: makeJob({ id, revision: 90, version: 90 }) }, 'e1')
      finish()
      write('job.completed', {}, 'e2')
    })
    const jobs = await watchAll({ include: ['ops'] })
    expect(jobs.map((job) => job.ops?.attempt)).toEqual([undefined, 2])
    expect(fake.requests.filter((r) => r.path === path).every((r) => r.query.get('include') === 'ops')).toBe(true)
  })

  it('takes 45 s of silence for a cut line', async () => {
    fake.streams.push((response) => {
      beginStream(response)
      response.write(': heartbeat\n\n')
      const timer = setInterval(() => clock.fire(45_000) > 0 && clearInterval(timer), 1)
    })
    onHold(() => finish())
    expect(statuses(await watchAll())).toEqual(['processing', 'completed'])
    expect(paths()).toEqual(['', '/events/stream', '', '?wait'])
  })

  it('closes the stream when the reader stops', async () => {
    let closed: Promise<void> | undefined
    fake.streams.push((response) => {
      closed = new Promise((resolve) => response.on('close', () => resolve()))
      fake.change(id, { statusText: 'newer' })
      beginStream(response)('snapshot', { job: fake.jobs.get(id) }, 'e1')
    })
    for await (const job of client().watch(id)) if (job.statusText === 'newer') break
    await closed
  })

  it('throws the reason of an abort, also while nothing happens', async () => {
    const stop = new AbortController()
    fake.streams.push((response) => {
      beginStream(response)
      response.write(': heartbeat\n\n')
      setImmediate(() => stop.abort(new Error('enough')))
    })
    await expect(watchAll({ signal: stop.signal })).rejects.toThrow('enough')
  })
})

describe('watching without a stream', () => {
  it('holds requests with the tag of what it knows', async () => {
    onHold(() => {
      fake.change(id, { statusText: 'newer' })
      onHold(() => finish())
    })
    const jobs = await watchAll()
    expect(jobs.map((job) => job.statusText)).toEqual(['Accepted', 'newer', 'Completed'])
    expect(paths()).toEqual(['', '/events/stream', '', '?wait', '?wait'])
    const held = fake.requests.filter((r) => r.query.has('wait'))
    expect(held.map((r) => [r.headers['if-none-match'], r.query.get('until')])).toEqual([
      ['"5"', 'change'],
      ['"6"', 'change'],
    ])
  })

  it('polls at the pace of the server when requests are not held', async () => {
    fake.holds = false
    fake.change(id, { pollAfterMs: 4000 })
    let reads = 0
    fake.faults.push((request: any) => {
      if (request.path === path && ++reads === 12) finish()
      return false
    })
    clock.random = () => 0.75
    await watchAll()
    // Three tries to hold, answered at once; then 4 s, plus 10 % from the jitter.
    expect(clock.slept.slice(0, 3)).toEqual([437.5, 437.5, 437.5])
    expect(new Set(clock.slept.slice(3))).toEqual(new Set([4400]))
    expect(clock.slept.length).toBeGreaterThanOrEqual(5)
  })

  it('treats a page in place of a stream as "not supported"', async () => {
    fake.streams.push((response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'))
    onHold(() => {
      clock.advance(60_000)
      fake.change(id, {})
      onHold(() => finish())
    })
    await watchAll()
    expect(paths()).toEqual(['', '/events/stream', '', '?wait', '?wait'])
  })

  it('looks at the job after a 204', async () => {
    fake.streams.push((response) => {
      finish()
      response.writeHead(204).end()
    })
    expect(statuses(await watchAll())).toEqual(['processing', 'completed'])
  })

  it('keeps trying while the server is away, and says so', async () => {
    const seen: Connection[] = []
    const { port } = fake
    fake.streams.push(async (response) => {
      await Promise.all([fake.close(), response.destroy()])
    })
    const watching = watchAll({ onConnection: (connection) => seen.push(connection) })
    const jobs = fake.jobs
    await expect.poll(() => seen, { interval: 1 }).toContain('lost')
    fake = await startFakeServer({ port })
    fake.jobs = jobs
    finish()
    expect(statuses(await watching)).toEqual(['processing', 'completed'])
    expect(seen.at(-1)).toBe('poll')
  })

  it('throws at once for a job that is not there', async () => {
    await expect(client().watch('nope')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'job-not-found' })
  })

  it.each([302, 400, 404, 405, 410, 418, 422, 500, 501])(
    'goes on after a %i of something on the way',
    async (status) => {
      const answer = (response: any) => response.writeHead(status, { 'content-type': 'text/html' }).end('<html>')
      fake.streams.push(
        (response) => {
          fake.failOnce(`GET ${path}`, (_, response) => void answer(response))
          answer(response)
        },
        (response) => {
          finish()
          beginStream(response)('job.completed', {}, 'e1')
        },
      )
      // The long-poll meets it as well.
      fake.faults.push(function fault(request: any, response: any) {
        if (!request.query.has('wait')) return false
        fake.faults.splice(fake.faults.indexOf(fault), 1)
        answer(response)
        clock.advance(20 * 60_000)
        return true
      })
      expect(statuses(await watchAll())).toEqual(['processing', 'completed'])
    },
  )

  it.each([
    [401, 'unauthenticated'],
    [403, 'forbidden'],
    [404, 'job-not-found'],
    [410, 'job-expired'],
  ])('ends when the server itself says %i', async (status, code) => {
    onHold(() => {
      fake.routes[`GET ${path}`] = (_, response) => problem(response, status, code)
      fake.release()
    })
    await expect(watchAll()).rejects.toMatchObject({ status, code })
  })

  it('tries the stream again after half a second, doubling to fifteen', async () => {
    const time = virtualClock()
    const live = fakeLive(time)
    live.add(id)
    live.streams = '502'
    const watching = createClient({ url: 'http://fake', clock: time, fetch: live.fetch })
      .watch(id)
      [Symbol.asyncIterator]()
    expect((await watching.next()).value?.status).toBe('accepted')
    const ended = watching.next()
    await time.sleep(120_000)
    live.move(id, 'completed')
    expect((await ended).value?.status).toBe('completed')
    const at = live.requests.filter((request) => request.path.endsWith('/stream')).map((request) => request.at)
    const pauses = at.slice(1).map((instant, i) => instant - at[i]!)
    for (const [i, pause] of [500, 1000, 2000, 4000, 8000, 15_000, 15_000].entries()) {
      expect(pauses[i]).toBeGreaterThanOrEqual(pause)
      // Whatever is held or slept in between may be a little longer.
      expect(pauses[i]).toBeLessThan(pause + 1500)
    }
  })

  it('holds again at once after a held request was cut off, as a restart does', async () => {
    onHold(() => {})
    fake.faults.unshift((request: any, response: any) => {
      if (!request.query.has('wait')) return false
      fake.faults.shift()
      onHold(() => finish())
      response.destroy()
      return true
    })
    expect(statuses(await watchAll())).toEqual(['processing', 'completed'])
    expect(paths()).toEqual(['', '/events/stream', '', '?wait', '', '?wait'])
    expect(clock.slept).toEqual([])
  })

  it('polls for a minute after three held requests in a row that came to nothing', async () => {
    let cut = 0
    fake.faults.unshift((request: any, response: any) => {
      if (!request.query.has('wait')) return false
      cut++
      response.destroy()
      return true
    })
    let reads = 0
    fake.faults.push((request: any) => {
      if (request.path === path && !request.query.has('wait') && ++reads === 12) finish()
      return false
    })
    await watchAll()
    expect(cut).toBe(3)
  })

  it('goes on polling when holding fails', async () => {
    onHold(() => {})
    fake.faults.unshift((request: any, response: any) => {
      if (!request.query.has('wait')) return false
      fake.faults.shift()
      finish()
      response.writeHead(504).end()
      return true
    })
    expect(statuses(await watchAll())).toEqual(['processing', 'completed'])
    expect(paths()).toEqual(['', '/events/stream', '', '?wait', ''])
  })
})
