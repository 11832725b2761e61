/** What `webhooks listen` hears, against a server made of lists: tests say what happens, and when it can be seen. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeJob } from '../../client/fake-server.mjs'
import { UntildoneApiError, UntildoneConnectionError } from '../../client/index.js'
import type { EventType } from '../../core/webhook.js'
import type { WireEvent, WireJob } from '../../core/wire.js'
import type { WireApprovalItem } from '../../core/wire-approval.js'
import type { Context } from '../context.js'
import { type ListenEvent, pollingSource, type Wanted } from './source.js'

const STATUSES = ['accepted', 'processing', 'blocked', 'completed'] as const
const iso = (at: number) => new Date(at).toISOString()

interface Change {
  /** The instant it carries. */
  at: number
  /** When lists show it: commits come a little later, and not in order. */
  seenAt: number
  /** Null: a change that is no event, like a try that did not work. */
  status: (typeof STATUSES)[number] | null
}

class Server {
  now = Date.UTC(2026, 10, 22, 9)
  /** Lists cannot be read; reads of events cannot. */
  down = false
  downForEvents = false
  readonly jobs = new Map<string, { tags: string[]; changes: Change[] }>()
  approvals: WireApprovalItem[] = []

  change(id: string, status: Change['status'], delay = 0): void {
    const job = this.jobs.get(id) ?? { tags: [], changes: [] }
    this.jobs.set(id, job)
    // What one job does is seen in its order.
    const seenAt = Math.max(this.now + delay, job.changes.at(-1)?.seenAt ?? 0)
    job.changes.push({ at: this.now, seenAt, status })
  }

  seen(id: string): Change[] {
    return this.jobs.get(id)!.changes.filter(({ seenAt }) => seenAt <= this.now)
  }

  events(id: string): WireEvent[] {
    return this.seen(id).flatMap(({ at, status }, i) =>
      status === null
        ? []
        : [
            {
              ...{ specversion: '1.0', id: `${id}:${i + 1}`, source: '/base/v1', type: `job.${status}` },
              ...{ subject: `job/${id}`, time: iso(at), timestamp: iso(at), datacontenttype: 'application/json' },
              data: { jobId: id, status, version: i + 1 },
            } as WireEvent,
          ],
    )
  }

  list(after: number): WireJob[] {
    if (this.down) throw new UntildoneConnectionError('http://server', new Error('refused'))
    return [...this.jobs]
      .map(([id, { tags }]) => ({ id, tags, changes: this.seen(id) }))
      .filter(({ changes }) => changes.length > 0 && changes.at(-1)!.at > after)
      .sort((a, b) => b.changes.at(-1)!.at - a.changes.at(-1)!.at)
      .map(({ id, tags, changes }) =>
        makeJob({ ...{ id, tags, version: changes.length }, updatedAt: iso(changes.at(-1)!.at) }),
      ) as WireJob[]
  }
}

/** @param pause called instead of each pause between two looks */
function contextOf(server: Server, pause: () => void): Context {
  const stop = new AbortController()
  const paged = (items: unknown[]) => ({
    page: async () => ({ items, nextCursor: null }),
    async *[Symbol.asyncIterator]() {
      yield* items
    },
  })
  return {
    io: {
      fetch: async (url: string) => {
        if (server.downForEvents) return new Response(null, { status: 502 })
        const id = /jobs\/([^/]+)\/events/.exec(url)![1]!
        return Response.json({ items: server.events(id), nextCursor: null })
      },
    },
    address: { url: 'http://server', key: undefined, from: 'flag' },
    interrupted: stop.signal,
    sleep: async () => pause(),
    client: {
      list: ({ updatedAfter, limit }: { updatedAfter?: Date; limit: number }) => {
        const jobs = server.list(updatedAfter?.getTime() ?? -1)
        return paged(jobs.slice(0, limit))
      },
      get: async (id: string) => makeJob({ id, type: 'docs', version: 4, status: 'blocked' }),
      approvals: { list: () => paged(server.approvals) },
    },
  } as unknown as Context
}

const JOBS: Wanted = { events: STATUSES.map((status) => `job.${status}` as const), filter: {} }
class Over extends Error {}

/** What is heard while `pauses` are lived through, one after the other. */
async function heard(
  server: Server,
  pauses: (() => void)[],
  wanted = JOBS,
): Promise<{ events: ListenEvent[]; connections: boolean[] }> {
  const events: ListenEvent[] = []
  const connections: boolean[] = []
  let next = 0
  const context = contextOf(server, () => {
    if (next === pauses.length) throw new Over()
    pauses[next++]!()
  })
  const stream = await pollingSource(context).open(wanted, (connected) => connections.push(connected))
  try {
    for await (const event of stream) events.push(event)
  } catch (error) {
    if (!(error instanceof Over)) throw error
  }
  return { events, connections }
}
const told = ({ events }: { events: ListenEvent[] }) => events.map(({ id }) => id)

describe('jobs', () => {
  it('what was there before is not told, what comes afterwards is, in the order of time', async () => {
    const server = new Server()
    server.change('old', 'accepted')
    server.now += 600_000
    server.change('fresh', 'accepted')
    server.change('fresh', 'processing')
    const pauses = [
      () => {
        server.now += 10
        server.change('b', 'accepted')
        server.now += 10
        server.change('old', 'completed')
        server.now += 10
        server.change('fresh', 'completed')
      },
      () => {},
    ]
    const result = await heard(server, pauses)
    expect(told(result)).toEqual(['b:1', 'old:2', 'fresh:3'])
    expect(result.events[0]!.source).toBe('/v1')
  })

  it('each event is told once and none is missed, whatever is seen late, whenever the server is away', async () => {
    const op = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('change' as const),
          job: fc.nat(4),
          status: fc.option(fc.constantFrom(...STATUSES), { nil: null }),
          delay: fc.constantFrom(0, 0, 700, 3000),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('time' as const),
          ms: fc.constantFrom(1, 400, 5000, 70_000, 3_600_000),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('away' as const), lists: fc.boolean(), events: fc.boolean() }),
      },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(op, { maxLength: 10 }),
        fc.array(fc.array(op, { maxLength: 4 }), { maxLength: 12 }),
        async (before, turns) => {
          const server = new Server()
          const carryOut = (one: (typeof before)[number]) => {
            if (one.kind === 'change') server.change(`job${one.job}`, one.status, one.delay)
            else if (one.kind === 'time') server.now += one.ms
            else [server.down, server.downForEvents] = [one.lists, one.events]
          }
          for (const one of before) carryOut(one)
          server.down = server.downForEvents = false
          const known = new Map([...server.jobs.keys()].map((id) => [id, server.seen(id).length]))
          const pauses = turns.map((ops) => () => {
            server.now += 1000
            for (const one of ops) carryOut(one)
          })
          const atLast = () => {
            server.now += 4000
            server.down = server.downForEvents = false
          }
          const ids = told(await heard(server, [...pauses, atLast, () => {}]))
          const expected = [...server.jobs.keys()].flatMap((id) =>
            server
              .events(id)
              .filter(({ data }) => data.version > (known.get(id) ?? 0))
              .map((event) => event.id),
          )
          expect([...ids].sort()).toEqual(expected.sort())
          for (const id of server.jobs.keys()) {
            const versions = ids.filter((one) => one.startsWith(`${id}:`)).map((one) => Number(one.split(':')[1]))
            expect(versions).toEqual([...versions].sort((a, b) => a - b))
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('asks again while the server is away, and gives up when it says no', async () => {
    const server = new Server()
    const away = await heard(server, [() => (server.down = true), () => {}, () => (server.down = false), () => {}])
    expect(away.connections).toEqual([true, false, false, true, true])
    const { list } = server
    const refuse = () => {
      server.list = () => {
        server.list = list
        throw new UntildoneApiError(
          401,
          { code: 'unauthenticated' },
          { requestId: null, retryAfterMs: null, retryable: false },
        )
      }
    }
    await expect(heard(server, [refuse, () => {}])).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('hears by event and tag', async () => {
    const server = new Server()
    const happen = () => {
      server.jobs.set('a', { tags: ['eu'], changes: [] })
      for (const id of ['a', 'b']) {
        server.change(id, 'accepted')
        server.change(id, 'completed')
      }
    }
    const wanted: Wanted = { events: ['job.completed'], filter: { tags: ['eu', 'us'] } }
    expect(told(await heard(server, [happen, () => {}], wanted))).toEqual(['a:2'])
  })
})

describe('approvals', () => {
  const item = (more: Partial<WireApprovalItem>) =>
    ({
      ...{ id: 'p', jobId: 'j', jobType: 'docs', gate: 'publish', risk: 'high', state: 'pending', version: 1 },
      ...{ requestedAt: iso(0), dueAt: iso(9000), decidedAt: null },
      ...more,
    }) as WireApprovalItem
  const events: EventType[] = ['approval.requested', 'approval.decided', 'approval.expired']
  const during = async (...states: WireApprovalItem[][]) => {
    const server = new Server()
    const [first = [], ...later] = states
    server.approvals = first
    const pauses = later.map((items) => () => {
      server.approvals = items
    })
    return (await heard(server, [...pauses, () => {}], { events, filter: {} })).events
  }

  it('are told when they are asked, asked anew, decided, and over', async () => {
    const heardOf = await during(
      [item({ id: 'before' })],
      [item({}), item({ id: 'before' })],
      [item({ version: 2 })],
      [item({ version: 3, requestedAt: iso(5000) })],
      [item({ version: 4, state: 'approved', decidedAt: iso(6000) }), item({ id: 'q', version: 2, state: 'expired' })],
      [item({ version: 4, state: 'approved', decidedAt: iso(6000) }), item({ id: 'r', state: 'withdrawn' })],
    )
    expect(heardOf.map(({ type, id, time }) => [type, id, time])).toEqual([
      ['approval.requested', 'p:1', iso(0)],
      ['approval.requested', 'p:3', iso(5000)],
      ['approval.decided', 'p:4', iso(6000)],
      ['approval.expired', 'q:2', iso(9000)],
    ])
    expect(heardOf[0]!.data).toEqual({
      ...{ jobId: 'j', jobType: 'docs', groupId: null, operationKey: null, status: 'blocked', done: false, version: 4 },
      ...{ previousStatus: null, approvalId: 'p', gate: 'publish', risk: 'high', state: 'pending' },
    })
  })
})
