import { beforeEach, describe, expect, it } from 'vitest'
import { fakeLive } from './fake-live.mjs'
import { virtualClock } from './fake-time.mjs'
import { type ClientOptions, createClient, type LiveItem, type LiveSocket, type SocketOptions } from './index.js'

let clock: ReturnType<typeof virtualClock>
let live: ReturnType<typeof fakeLive>
const client = (more: Partial<ClientOptions> = {}) =>
  createClient({ url: 'http://fake/base', clock, fetch: live.fetch, ...more })
const open = (more: SocketOptions = {}): LiveSocket => client().socket({ WebSocket: live.WebSocket, ...more })
beforeEach(() => {
  clock = virtualClock()
  live = fakeLive(clock)
})

const short = (item: LiveItem) =>
  'job' in item ? `${item.job.id} snapshot ${item.job.version}` : `${item.data.jobId} ${item.type} ${item.data.version}`
async function take(items: AsyncIterable<LiveItem>, n: number): Promise<string[]> {
  const taken: string[] = []
  for await (const item of items) {
    taken.push(short(item))
    if (taken.length === n) break
  }
  return taken
}
const only = () => [...live.sockets][0]
const tickets = () => live.requests.filter(({ path }) => path.endsWith('/v1/stream-tickets'))

describe('a socket', () => {
  it('carries many subscriptions over one connection, with a ticket and the protocol', async () => {
    live.add('a', { groupId: 'g' })
    const socket = open()
    const group = take(socket.subscribe({ groupId: 'g' }), 2)
    const ends = take(socket.subscribe({ events: ['job.completed'] }), 1)
    await clock.sleep(1000)
    expect(live.sockets.size).toBe(1)
    expect([only().url.href, only().protocol]).toEqual([
      expect.stringMatching(/^ws:\/\/fake\/base\/v1\/ws\?ticket=ticket-1$/),
      'untildone.v1',
    ])
    live.move('a', 'completed')
    expect(await group).toEqual(['a snapshot 1', 'a job.completed 2'])
    expect(await ends).toEqual(['a job.completed 2'])
    expect(only()).toBeUndefined()
    expect(tickets().map(({ body }) => body)).toEqual([{ filter: {}, use: 'ws', ttlMs: 60_000 }])
  })

  it('counts from the subscription on, not from the first reading', async () => {
    const items = open().subscribe()
    await clock.sleep(1000)
    live.add('a')
    await clock.sleep(1000)
    expect(await take(items, 1)).toEqual(['a job.accepted 1'])
  })

  it('comes back after a cut with a new ticket, and each subscription goes on where it was', async () => {
    const states: string[] = []
    const socket = open({ onState: (state) => states.push(state) })
    const seen = take(socket.subscribe(), 3)
    await clock.sleep(1000)
    live.add('a')
    await clock.sleep(1000)
    live.cut()
    live.move('a', 'processing')
    await clock.sleep(3000)
    live.restart()
    live.move('a', 'completed')
    // A restart forgets every place: the job comes as it is.
    expect(await seen).toEqual(['a job.accepted 1', 'a job.processing 2', 'a snapshot 3'])
    expect(states).toEqual([
      ...['connecting', 'open', 'waiting', 'connecting', 'open', 'waiting', 'connecting', 'open', 'idle'],
    ])
    expect(tickets()).toHaveLength(3)
    expect([live.taps.size, clock.waiting]).toEqual([0, 0])
  })

  it('tries again from half a second to fifteen seconds apart', async () => {
    live.streams = 'down'
    const socket = open()
    const seen = take(socket.subscribe(), 1)
    await clock.sleep(60_000)
    expect(socket.state).toBe('waiting')
    const at = tickets().map((request) => request.at)
    expect(at.slice(1).map((instant, i) => instant - at[i]!)).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000])
    live.streams = 'up'
    await clock.sleep(20_000)
    live.add('a')
    expect(await seen).toEqual(['a job.accepted 1'])
  })

  it('asks whether somebody is there after 20 s, and takes 45 s of silence for a cut', async () => {
    const seen = take(open().subscribe(), 1)
    await clock.sleep(30_000)
    const first = only()
    expect(first.received.map(({ op }: { op: string }) => op)).toEqual(['subscribe', 'ping'])
    await clock.sleep(60_000)
    expect(only()).toBe(first)
    first.deaf = true
    await clock.sleep(90_000)
    expect(only()).not.toBe(first)
    live.add('a')
    expect(await seen).toEqual(['a job.accepted 1'])
  })

  it.each([1001, 4401, 4408, 4429])('comes back after close code %i', async (code) => {
    const seen = take(open().subscribe(), 2)
    await clock.sleep(1000)
    live.add('a')
    await clock.sleep(1000)
    only().drop(code)
    live.move('a', 'completed')
    expect(await seen).toEqual(['a job.accepted 1', 'a job.completed 2'])
    // Who was one too many waits for long.
    const [first, second] = tickets()
    expect(second!.at - first!.at).toBeGreaterThan(code === 4429 ? 12_000 : 2000)
  })

  it('ends all when the key may not read any more', async () => {
    const socket = open()
    const both = [take(socket.subscribe(), 1), take(socket.subscribe({ groupId: 'g' }), 1)]
    await clock.sleep(1000)
    only().drop(4403)
    for (const one of both) await expect(one).rejects.toMatchObject({ code: 'forbidden', status: 403 })
    expect(socket.state).toBe('idle')
  })

  it('ends all when the server gives no ticket, and can be used again', async () => {
    const socket = open()
    const fetch = live.fetch
    live.fetch = async () =>
      new Response('{"code":"unauthenticated"}', {
        status: 401,
        headers: { 'content-type': 'application/problem+json' },
      })
    const refused = client({ fetch: live.fetch }).socket({ WebSocket: live.WebSocket }).subscribe()
    await expect(take(refused, 1)).rejects.toMatchObject({ code: 'unauthenticated' })
    live.fetch = fetch
    const seen = take(socket.subscribe(), 1)
    await clock.sleep(1000)
    live.add('a')
    expect(await seen).toEqual(['a job.accepted 1'])
  })

  it('fails one subscription that is refused, repeats one that may pass, and keeps the others', async () => {
    const socket = open()
    live.refusals.push({ status: 422, code: 'validation-failed' }, { status: 429, code: 'too-many-streams' })
    const refused = take(socket.subscribe({ tag: 'x' }), 1)
    const later = take(socket.subscribe(), 1)
    await expect(refused).rejects.toMatchObject({ code: 'validation-failed', fix: 'Fix of validation-failed.' })
    await clock.sleep(5000)
    live.add('a')
    expect(await later).toEqual(['a job.accepted 1'])
  })

  it('does not fill the memory for a slow reader, who goes on later without missing an end', async () => {
    live = fakeLive(clock, { ring: 100_000 })
    const socket = open()
    const items = socket.subscribe()
    const other = take(socket.subscribe({ events: ['job.blocked'] }), 1)
    await clock.sleep(1000)
    for (let i = 0; i < 1500; i++) {
      live.add(`job-${i}`)
      live.move(`job-${i}`, 'completed')
    }
    await clock.sleep(1000)
    // Given back, while the other subscription goes on.
    expect(live.taps.size).toBe(1)
    live.add('late')
    live.move('late', 'blocked')
    expect(await other).toEqual(['late job.blocked 2'])
    const seen = await take(items, 3002)
    expect(new Set(seen).size).toBe(3002)
    expect(seen.filter((text) => text.includes('completed'))).toHaveLength(1500)
  })

  it('leaves out progress first', async () => {
    live.add('a')
    const items = open().subscribe()
    await clock.sleep(1000)
    for (let n = 1; n <= 500; n++) {
      await clock.sleep(1000)
      live.progress('a', n)
    }
    live.move('a', 'completed')
    const seen: string[] = []
    for await (const item of items) {
      seen.push(short(item))
      if (short(item) === 'a job.completed 2') break
    }
    expect(seen.length).toBeLessThan(260)
  })

  it('closes: what has come is still read, then all subscriptions end', async () => {
    const socket = open()
    const items = socket.subscribe()
    await clock.sleep(1000)
    live.add('a')
    await clock.sleep(1000)
    socket.close()
    expect(await take(items, 9)).toEqual(['a job.accepted 1'])
    expect([socket.state, live.sockets.size, clock.waiting]).toEqual(['closed', 0, 0])
    expect(() => socket.subscribe()).toThrow('was closed')
  })

  it('ends one subscription by its signal, and the connection with the last one', async () => {
    const stop = new AbortController()
    const socket = open()
    const first = take(socket.subscribe({}, { signal: stop.signal }), 1)
    const second = take(socket.subscribe(), 1)
    await clock.sleep(1000)
    const connection = only()
    stop.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    expect(connection.received.at(-1)).toEqual({ op: 'unsubscribe', ref: 1 })
    expect(live.taps.size).toBe(1)
    live.add('a')
    await second
    expect([live.taps.size, live.sockets.size, socket.state]).toEqual([0, 0, 'idle'])
  })

  it('goes on from a cursor that was stored', async () => {
    const socket = open()
    const items = socket.subscribe()
    await clock.sleep(1000)
    live.add('a')
    const { value } = await items.next()
    await items.return!()
    live.move('a', 'completed')
    expect(await take(socket.subscribe({}, { after: value!.cursor! }), 1)).toEqual(['a job.completed 2'])
  })

  it('takes tickets from somebody else where there is no key', async () => {
    live.tickets.add('mine')
    const browser = client({ ticket: 'of-streams' })
    await expect(take(browser.socket({ WebSocket: live.WebSocket }).subscribe(), 1)).rejects.toMatchObject({
      message: expect.stringContaining('a socket without `ticket`'),
    })
    let broken = true
    const ticket = () => {
      if (broken) throw new Error('my own server says no')
      return 'mine'
    }
    const socket = browser.socket({ WebSocket: live.WebSocket, ticket })
    await expect(take(socket.subscribe(), 1)).rejects.toThrow('my own server says no')
    broken = false
    const seen = take(socket.subscribe(), 2)
    await clock.sleep(1000)
    live.add('a')
    broken = true
    live.cut()
    await clock.sleep(5000)
    expect(socket.state).toBe('waiting')
    broken = false
    live.tickets.add('mine')
    live.move('a', 'completed')
    expect(await seen).toEqual(['a job.accepted 1', 'a job.completed 2'])
    expect(live.requests).toEqual([])
  })
})

it('says what to do where there is no WebSocket', () => {
  const had = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket')
  Reflect.deleteProperty(globalThis, 'WebSocket')
  try {
    expect(() => client().socket()).toThrow("import WebSocket from 'ws'")
  } finally {
    if (had) Object.defineProperty(globalThis, 'WebSocket', had)
  }
})
