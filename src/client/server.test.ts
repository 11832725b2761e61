/** The client against the real server over the real engine: one job, many jobs, tickets, sockets, restarts. */
import { beforeEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { z } from 'zod'
import type { WireJob } from '../core/wire.js'
import { defineJob, Permanent } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { createServer, type Listening, listen } from '../server/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { fakeClock } from './fake-server.mjs'
import { type ClientOptions, createClient, type JobEvent, type LiveItem } from './index.js'

const work = defineJob('work', { input: z.object({ bad: z.boolean().default(false) }) })
const other = defineJob('other.kind', { input: z.object({}) })
const handlers = [
  work.handler(async (job) => {
    job.progress('half', { message: 'Half', completed: 1, total: 2 })
    await job.step('one', () => 1)
    await job.sleep('pause', '1m')
    if (job.input.bad) throw new Permanent('No good.', { code: 'no-good' })
    return { of: job.id } as never
  }),
  other.handler(async () => null as never),
] as never

const open = rigs()
let rig: TestRig
/** The process that answers now; null while there is none. */
let server: ReturnType<typeof createServer> | null
beforeEach(async () => {
  rig = await open(handlers, { start: fakeClock().now() })
  server = createServer(rig.engine)
  return () => server?.close()
})

const send: typeof fetch = async (input, init) => {
  if (!server) throw new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } })
  return server.fetch(new Request(input, init))
}
const client = (more: Partial<ClientOptions> = {}) =>
  createClient({ url: 'http://localhost', fetch: send, clock: fakeClock(), ...more })
const submit = async (more: object = {}) =>
  (await rig.engine.submit(LOCAL, { type: 'work', input: {}, ...more } as never, null)).job.id
async function restart() {
  const old = server
  server = null
  await old!.close()
  server = createServer(rig.engine)
}
/** Until the reader had its turn, without time passing. */
const turns = async (n = 30) => {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve))
}
async function collect<T>(items: AsyncIterable<T>, isLast: (all: T[]) => boolean): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) {
    all.push(item)
    if (isLast(all)) break
  }
  return all
}
const allDone = (ids: string[]) => (jobs: WireJob[]) => ids.every((id) => jobs.some((job) => job.id === id && job.done))
const allEnded = (ids: string[]) => (events: JobEvent[]) =>
  ids.every((id) => events.some(({ data }) => data.jobId === id && data.done))
function neverBack(all: { id: string; version: number }[]) {
  const last = new Map<string, number>()
  for (const { id, version } of all) {
    expect(version).toBeGreaterThanOrEqual(last.get(id) ?? 0)
    last.set(id, version)
  }
}

describe('one job', () => {
  it('is watched to its end over the stream, and over a restart', async () => {
    const handle = await client().submit(work, {})
    const seen = collect(handle.watch(), (jobs) => jobs.at(-1)!.done)
    await turns()
    await rig.settle()
    await turns()
    await restart()
    await turns()
    await rig.untilDone(handle.id)
    const jobs = await seen
    neverBack(jobs)
    expect(jobs.map((job) => job.status)).toEqual(expect.arrayContaining(['accepted', 'processing', 'completed']))
    expect(jobs.at(-1)).toEqual(await client().get(handle.id))
    expect(await handle.result()).toEqual({ of: handle.id })
  })

  it('is waited for by long-polls', async () => {
    const handle = await client().submit(work, { bad: true })
    const result = handle.result()
    result.catch(() => {})
    await turns()
    await rig.untilDone(handle.id)
    await expect(result).rejects.toMatchObject({ code: 'no-good' })
  })

  it('whose id nobody knows is not there, whatever the way', async () => {
    const id = '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10'
    await expect(collect(client().watch(id), () => true)).rejects.toMatchObject({ code: 'job-not-found' })
  })
})

describe('many jobs', () => {
  it('give their events, each once, over restarts and cuts', async () => {
    const ids: string[] = []
    const seen = collect(client().events(), (events) => ids.length === 4 && allEnded(ids)(events))
    await turns()
    ids.push(await submit(), await submit({ input: { bad: true } }))
    await turns()
    await rig.settle()
    await restart()
    ids.push(await submit())
    await turns()
    await rig.untilDone(ids[0]!)
    await restart()
    ids.push(await submit({ type: 'other.kind' }))
    for (const id of ids) await rig.untilDone(id)
    const events = await seen
    neverBack(events.map(({ data }) => ({ id: data.jobId, version: data.version })))
    for (const id of ids) {
      const job = await client().get(id)
      const ends = events.filter(({ data }) => data.jobId === id && data.done)
      expect(ends.map(({ data }) => [data.status, data.version])).toEqual([[job.status, job.version]])
    }
    const keys = events.filter(({ type }) => type !== 'job.progress').map(({ data }) => `${data.jobId} ${data.version}`)
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('give what a filter asks for', async () => {
    const filter = { types: ['other.*'], tag: 't', status: ['completed'], events: ['job.*'] } as const
    const seen = collect(client().events({ ...filter, types: [...filter.types] }), (events) => events.length === 2)
    await turns()
    const ids = [await submit({ type: 'other.kind', tags: ['t'] }), await submit({ type: 'other.kind', tags: ['t'] })]
    for (const id of [await submit({ tags: ['t'] }), await submit({ type: 'other.kind' }), ...ids])
      await rig.untilDone(id)
    expect((await seen).map(({ type, data }) => [type, data.jobId]).sort()).toEqual(
      ids.map((id) => ['job.completed', id]).sort(),
    )
  })

  it('go on where a stored cursor says, in another process', async () => {
    const id = await submit()
    const [first] = await collect(client().events({ jobId: [id] }), () => true)
    await rig.untilDone(id)
    await restart()
    const later = await collect(client().events({ jobId: [id] }, { after: first!.cursor! }), allEnded([id]))
    expect(later.at(-1)).toMatchObject({ type: 'job.completed', data: { jobId: id } })
  })

  it('of a group come as snapshots, up to the final one with its result', async () => {
    const ids = [await submit({ groupId: 'g' }), await submit({ groupId: 'g', input: { bad: true } })]
    await submit()
    const seen = collect(client().watchGroup('g'), (jobs) => ids.length === 3 && allDone(ids)(jobs))
    await turns()
    await rig.settle()
    await restart()
    ids.push(await submit({ groupId: 'g' }))
    for (const id of ids) await rig.untilDone(id)
    const jobs = await seen
    neverBack(jobs)
    expect(new Set(jobs.map((job) => job.id))).toEqual(new Set(ids))
    for (const id of ids) {
      const final = jobs.filter((job) => job.id === id && job.done)
      expect(final).toEqual([await client().get(id)])
    }
  })

  it('are all told, however large the group is', async () => {
    const body = { type: 'other.kind', input: {}, groupId: 'big' }
    const items = Array.from({ length: 500 }, () => ({ body, key: null }))
    const ids = new Set<string>()
    for (const some of [items, items, items.slice(0, 20)])
      for (const { id } of (await rig.engine.submitBatch(LOCAL, some, null)).items) ids.add(id)
    const seen = await collect(client().watchGroup('big'), (jobs) => jobs.length === ids.size)
    expect(new Set(seen.map((job) => job.id))).toEqual(ids)
    expect(seen).toHaveLength(1020)
  })

  it('of a filter begin with those under way', async () => {
    const done = await submit({ type: 'other.kind' })
    await rig.untilDone(done)
    const under = await submit({ type: 'other.kind', runAt: new Date(rig.clock.now() + 60_000).toISOString() })
    const [first] = await collect(client().watchJobs({ types: ['other.kind'] }), () => true)
    expect(first!.id).toBe(under)
  })

  describe('with tickets', () => {
    let key: string
    beforeEach(async () => {
      key = (await rig.engine.createKey(LOCAL, { name: 'k', scopes: ['jobs:submit', 'jobs:read'] })).key!
    })

    it('a page watches one job to its result, and no other', async () => {
      const [id, hidden] = [await submit(), await submit()]
      const { ticket, expiresAt } = await client({ key }).streamTicket({ filter: { jobId: [id] }, ttlMs: 5 * 60_000 })
      expect(Date.parse(expiresAt)).toBe(rig.clock.now() + 5 * 60_000)
      const page = client({ ticket })
      const seen = collect(page.watch(id), (jobs) => jobs.at(-1)!.done)
      await turns()
      await rig.settle()
      await turns()
      await rig.untilDone(id)
      const jobs = await seen
      neverBack(jobs)
      expect(jobs.at(-1)).toMatchObject({ id, status: 'completed', result: { of: id } })
      await expect(collect(page.watch(hidden), () => true)).rejects.toMatchObject({ status: 404 })
      await expect(page.get(id)).rejects.toMatchObject({ status: 401 })
    })

    it('a page watches a group, and fetches a new ticket when the old one has expired', async () => {
      const id = await submit({ groupId: 'g' })
      let asked = 0
      const ticket = async () => {
        asked++
        return (await client({ key }).streamTicket({ filter: { groupId: 'g' }, ttlMs: 30_000 })).ticket
      }
      const seen = collect(client({ ticket }).watchGroup('g'), allDone([id]))
      await turns()
      await rig.settle()
      await turns()
      await rig.clock.advance(31_000)
      await restart()
      await turns()
      await rig.untilDone(id)
      const jobs = await seen
      neverBack(jobs)
      expect(jobs.at(-1)).toMatchObject({ id, status: 'completed' })
      expect(asked).toBe(2)
    })

    it('ends with its key', async () => {
      const { ticket } = await client({ key }).streamTicket()
      const events = collect(client({ ticket }).events(), () => false)
      events.catch(() => {})
      await turns()
      const [made] = await rig.engine.listKeys(LOCAL)
      await rig.engine.revokeKey(LOCAL, made!.id, null)
      await rig.clock.advance(30_000)
      await expect(events).rejects.toMatchObject({ status: 401, code: 'unauthenticated' })
    })
  })

  describe('over a line', () => {
    let listening: Listening
    const start = async (port = 0) => {
      listening = await listen(createServer(rig.engine), { port, keepGlobals: true })
    }
    beforeEach(async () => {
      await start()
      return () => listening.close()
    })

    it('come as snapshots of a group, over a restart', async () => {
      const id = await submit({ groupId: 'g' })
      const api = createClient({ url: listening.url, clock: fakeClock() })
      const seen = collect(api.watchGroup('g'), allDone([id]))
      await turns(100)
      await rig.settle()
      const { port } = new URL(listening.url)
      await listening.close()
      await rig.untilDone(id)
      await start(Number(port))
      const jobs = await seen
      neverBack(jobs)
      expect(jobs.at(-1)).toEqual(await api.get(id))
    })

    it('are told to several subscriptions of a socket, over a restart', async () => {
      const api = createClient({ url: listening.url, clock: fakeClock() })
      const socket = api.socket({ WebSocket })
      const id = await submit({ groupId: 'g' })
      const later: string[] = []
      const isEnd = (one: string) => (all: LiveItem[]) => {
        const item = all.at(-1)!
        return 'job' in item ? item.job.id === one && item.job.done : item.data.jobId === one && item.data.done
      }
      const group = collect(socket.subscribe({ groupId: 'g' }), isEnd(id))
      const ends = collect(
        socket.subscribe({ events: ['job.completed'] }),
        (all) => later.length > 0 && isEnd(later[0]!)(all),
      )
      await expect.poll(() => socket.state, { interval: 1 }).toBe('open')
      await turns(100)
      await rig.settle()
      const { port } = new URL(listening.url)
      await listening.close()
      await rig.untilDone(id)
      later.push(await submit())
      await start(Number(port))
      expect((await group).at(-1)).toMatchObject({ job: { id, status: 'completed' } })
      await rig.untilDone(later[0]!)
      expect((await ends).length).toBeGreaterThanOrEqual(2)
      await expect.poll(() => socket.state, { interval: 1 }).toBe('idle')
    })

    it('end when a filter makes no sense, with what the server says', async () => {
      const socket = createClient({ url: listening.url, clock: fakeClock() }).socket({ WebSocket })
      const bad = socket.subscribe({ status: ['done'] as never })
      await expect(collect(bad, () => true)).rejects.toMatchObject({ code: 'validation-failed' })
      socket.close()
    })
  })
})
