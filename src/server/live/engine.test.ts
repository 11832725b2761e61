/** Live streams over the real engine and a real store: restarts, rights, tenants. */
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob, Transient } from '../../define/index.js'
import { type Caller, LOCAL, type Scope } from '../../engine/api.js'
import { rigs } from '../../testing/fixtures/rigs.js'
import type { TestRig } from '../../testing/index.js'
import { type Frame, Reader } from '../fakes/reader.js'
import { SocketClient } from '../fakes/socket.js'
import { createServer, listen, type UntildoneServer } from '../index.js'

const open = rigs()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let flaky = 0
const work = defineJob('work', { input: z.object({ n: z.number().optional(), note: z.string().optional() }) }).handler(
  async (job) => {
    job.progress('half', { message: job.input.note ?? 'Half', completed: 1, total: 2 })
    await job.step('flaky', () => {
      if (flaky-- > 0) throw new Transient('vendor: 503')
      return 1
    })
    return { big: 'x'.repeat(100) } as never
  },
)
const idle = defineJob('idle', { input: z.object({}) }).handler(async (job) => {
  await job.sleep('long', '100d')
  return null as never
})
const handlers = [work, idle] as never

function serve(
  rig: TestRig,
): UntildoneServer & { read(path: string, headers?: Record<string, string>): Promise<Reader> } {
  const server = createServer(rig.engine)
  cleanups.push(() => server.close())
  const read = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await server.fetch(new Request(`http://localhost${path}`, { headers }))
    expect(answer.status).toBe(200)
    return new Reader(answer)
  }
  return Object.assign(server, { read })
}

const submit = async (rig: TestRig, more: object = {}, caller: Caller = LOCAL) =>
  (await rig.engine.submit(caller, { type: 'work', input: {}, ...more }, null)).job.id
const said = (frames: readonly Frame[]) =>
  frames.map(({ event, data }) => [event, data?.data?.version ?? data?.job?.version].filter(Boolean).join(' '))
const moves = (frames: readonly Frame[]) => frames.filter(({ id, event }) => id !== null && event !== 'ready')

test('a job from its submit to its end, with a retry that only operators see', async () => {
  const rig = await open(handlers)
  const server = serve(rig)
  const key = async (scopes: Scope[]) => (await rig.engine.createKey(LOCAL, { name: 'k', scopes })).key!
  const operator = await server.read('/v1/events/stream', {
    authorization: `Bearer ${await key(['jobs:read', 'jobs:operate'])}`,
  })
  const reader = await server.read('/v1/events/stream', { authorization: `Bearer ${await key(['jobs:read'])}` })
  flaky = 1
  const id = await submit(rig, { groupId: 'g' })
  await rig.untilDone(id)
  await server.close()
  const seen = [await operator.rest(), await reader.rest()]
  const plain = ['job.accepted 1', 'job.processing 2', 'job.completed 5']
  expect(said(moves(seen[0]!))).toEqual([...plain.slice(0, 2), 'job.retrying 3', plain[2]])
  expect(said(moves(seen[1]!))).toEqual(plain)
  const end = moves(seen[1]!).at(-1)!.data
  const page = await rig.engine.events(LOCAL, id, null, 50)
  expect(end).toEqual(page.items.at(-1))
})

test('progress comes with what the job says of itself', async () => {
  const rig = await open(handlers)
  const server = serve(rig)
  const reader = await server.read('/v1/events/stream?events=job.progress')
  flaky = 1
  await rig.untilDone(await submit(rig, { input: { note: 'Page 1 of 2' } }))
  await server.close()
  const frames = (await reader.rest()).filter(({ event }) => event === 'job.progress')
  expect(frames.length).toBeGreaterThan(0)
  expect(frames[0]).toMatchObject({ id: null, data: { data: { progress: { message: 'Page 1 of 2', percent: 50 } } } })
})

test('over a restart nothing that ended meanwhile is missed, and what did not change is not told again', async () => {
  const rig = await open(handlers)
  const [before, waiting] = [await submit(rig), await submit(rig, { type: 'idle' })]
  await rig.untilDone(before)
  await rig.advance('10m')
  const first = await serve(rig).read('/v1/events/stream')
  const [ready] = await first.take(1)
  const meanwhile = await submit(rig, { runAt: new Date(rig.clock.now() + 60_000).toISOString() })
  const event = (await first.take(1))[0]!
  await first.cancel()
  await rig.restart()
  // It ends while nobody is connected to the new process.
  await rig.untilDone(meanwhile)
  for (const { id } of [ready!, event]) {
    const again = await serve(rig).read('/v1/events/stream', { 'last-event-id': id! })
    const frames = await again.take(5)
    expect(said(frames)).toEqual([
      'ready',
      'reset',
      expect.stringMatching(/^snapshot/),
      expect.stringMatching(/^snapshot/),
      'ready',
    ])
    const jobs = frames.flatMap(({ data }) => data.job ?? [])
    expect(jobs.map(({ id, status }) => [id, status])).toEqual([
      [waiting, 'processing'],
      [meanwhile, 'completed'],
    ])
    expect(jobs[1].result).toBeNull()
    // And from there on without a reset.
    await again.cancel()
    const last = await serve(rig).read('/v1/events/stream', { 'last-event-id': frames[4]!.id! })
    expect((await last.take(1))[0]!.event).toBe('ready')
    await last.cancel()
  }
})

test('pages of a large group and of what is unfinished hold every job once', async () => {
  const rig = await open(handlers, { worker: false })
  const ids: string[] = []
  for (let i = 0; i < 450; i++) ids.push(await submit(rig, { groupId: 'g', type: i % 2 === 0 ? 'work' : 'idle' }))
  const server = serve(rig)
  const group = await server.read('/v1/groups/g/events/stream')
  const frames = await group.take(452)
  expect(frames.slice(1, -1).map(({ data }) => data.job.id)).toEqual(ids.toReversed())
  const typed = await server.read('/v1/events/stream?types=idle', { 'last-event-id': 'unknown' })
  const told = (await typed.take(228)).flatMap(({ data }) => data.job?.id ?? [])
  expect(told).toEqual(ids.filter((_, i) => i % 2 === 1))
})

describe('another tenant', () => {
  const CANARY = 'canary-7f3a91'
  const foreign: Caller = { ...LOCAL, tenant: 'foreign' }

  test('sees nothing of it on any stream, by whatever it names', async () => {
    const rig = await open(handlers)
    const server = serve(rig)
    const listening = await listen(server, { port: 0, keepGlobals: true })
    cleanups.push(() => listening.close())
    const { key } = await rig.engine.createKey(foreign, { name: 'theirs', scopes: ['admin'] })
    const auth = { authorization: `Bearer ${key}` }
    const mark = {
      ...{ groupId: 'g', operationKey: CANARY, tags: [CANARY], metadata: { [CANARY]: CANARY } },
      input: { note: CANARY },
    }
    const ours = await submit(rig, mark)
    const cursors = await serve(rig).read('/v1/events/stream', {
      authorization: `Bearer ${(await rig.engine.createKey(LOCAL, { name: 'ours', scopes: ['admin'] })).key}`,
    })
    const [{ id: cursor }] = (await cursors.take(1)) as [Frame]
    const ticketFor = async (body: object) => {
      const init = {
        method: 'POST',
        headers: { ...auth, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }
      const answer = await server.fetch(new Request('http://localhost/v1/stream-tickets', init))
      expect(answer.status).toBe(201)
      return ((await answer.json()) as { ticket: string }).ticket
    }
    const filters = [{}, { jobId: [ours] }, { groupId: 'g' }, { tag: CANARY }]
    const tickets = await Promise.all(filters.map((filter) => ticketFor({ filter })))

    const refused = [
      `/v1/jobs/${ours}/events/stream`,
      ...tickets.map((t) => `/v1/jobs/${ours}/events/stream?ticket=${t}`),
    ]
    for (const path of refused) {
      const answer = await server.fetch(
        new Request(`http://localhost${path}`, { headers: path.includes('?') ? {} : auth }),
      )
      const text = await answer.text()
      expect(answer.status).toBe(404)
      expect(text).not.toContain(CANARY)
    }

    const paths = ['/v1/events/stream', '/v1/groups/g/events/stream', `/v1/events/stream?jobId=${ours}`]
    paths.push('/v1/events/stream?groupId=g', `/v1/events/stream?tag=${CANARY}`)
    const silent: Reader[] = []
    for (const path of paths) {
      silent.push(await server.read(path, auth))
      for (const id of [cursor!, 'unknown']) silent.push(await server.read(path, { ...auth, 'last-event-id': id }))
    }
    for (const ticket of tickets) {
      silent.push(await server.read(`/v1/events/stream?ticket=${ticket}`))
      silent.push(await server.read(`/v1/events/stream?ticket=${ticket}`, { 'last-event-id': cursor! }))
    }
    silent.push(await server.read(`/v1/groups/g/events/stream?ticket=${tickets[2]}`))

    const { socket } = await SocketClient.open(`${listening.url}/v1/ws`, { headers: auth })
    const bound = await SocketClient.open(
      `${listening.url}/v1/ws?ticket=${await ticketFor({ use: 'ws', filter: { jobId: [ours] } })}`,
    )
    let ref = 0
    for (const filter of filters)
      for (const after of [undefined, cursor!, 'unknown'])
        for (const one of [socket!, bound.socket!]) one.send({ op: 'subscribe', ref: ref++, filter, after })

    flaky = 1
    await rig.untilDone(ours)
    const more = await submit(rig, mark)
    await rig.engine.cancel(LOCAL, more, { reason: CANARY })
    await rig.settle()
    // Something of their own comes through, so these streams do live.
    const own = await submit(rig, {}, foreign)
    await rig.advanceUntil(async () => (await rig.get(own, foreign)).done)
    for (const one of [socket!, bound.socket!]) one.send({ op: 'ping' })
    const heard: any[] = []
    for (const one of [socket!, bound.socket!])
      for (let message = await one.next(); message.op !== 'pong'; message = await one.next()) heard.push(message)
    await server.close()
    const streams = await Promise.all(silent.map((reader) => reader.rest()))
    const all = JSON.stringify([streams.flat().map(({ text }) => text), heard])
    expect(all).toContain(own)
    expect(all).not.toContain(CANARY)
    expect(all).not.toContain(ours)
    expect(all).not.toContain(more)
  }, 60_000)
})
