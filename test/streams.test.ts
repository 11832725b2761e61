/**
 * A hundred event streams and a hundred WebSockets on one real server, while jobs run: nobody misses anything, and
 * whoever does not read is dropped without the others noticing. `npm run bench -- --only f` is the long form, with figures.
 */
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { createUntildone, defineJob, LOCAL, sqlite, type Untildone } from '../src/index.js'
import { createServer, type Listening, listen, type UntildoneServer } from '../src/server/index.js'
import { systemClock } from '../src/system/index.js'
import { until } from '../src/testing/until.js'

const EACH = 100
const JOBS = 40

const work = defineJob('work', { input: z.object({}) })
const large = defineJob('large', { input: z.object({}) })
const real = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic(),
  after: (ms: number, fn: () => void) => systemClock.after(ms, fn),
  keepAlive: () => systemClock.keepAlive(),
}
let app: Untildone
let server: UntildoneServer
let listening: Listening

beforeAll(async () => {
  const handlers = [work.handler(async () => null), large.handler(async () => null)]
  // What waits for seconds waits for tenths of them: a reader that takes nothing is given up after three, not thirty.
  const clock = { ...real, after: (ms: number, fn: () => void) => real.after(ms / 10, fn) }
  app = await createUntildone({ store: sqlite(':memory:'), handlers, clock })
  const limits = { streams: 1000, streamsPerKey: 1000, streamBufferBytes: 64 << 10 }
  server = createServer(app.engine, { limits })
  listening = await listen(server, { port: 0, keepGlobals: true })
  await app.start()
})
afterAll(async () => {
  await listening.close()
  await app.stop()
})

/** Kinds of events by job, in the order in which they came. */
type Heard = Map<string, string[]>

function hear(heard: Heard, event: { type: string; data: { jobId: string } }): void {
  heard.set(event.data.jobId, [...(heard.get(event.data.jobId) ?? []), event.type])
}

function stream(): Promise<Heard> {
  const heard: Heard = new Map()
  return new Promise((resolve, reject) => {
    const asked = request(`${listening.url}/v1/events/stream?types=work`, { agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk) => {
        const frames = (text + chunk).split('\n\n')
        text = frames.pop()!
        for (const frame of frames) {
          if (frame.includes('event: ready')) resolve(heard)
          else if (frame.includes('event: job.')) hear(heard, JSON.parse(/^data: (.*)$/m.exec(frame)![1]!))
        }
      })
    })
    asked.on('error', reject)
    asked.end()
  })
}

function socket(): Promise<Heard> {
  const heard: Heard = new Map()
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`${listening.url.replace('http', 'ws')}/v1/ws`, 'untildone.v1')
    ws.on('error', reject)
    ws.on('open', () => ws.send('{"op":"subscribe","ref":1,"filter":{"types":["work"]}}'))
    ws.on('message', (data) => {
      const message = JSON.parse(String(data))
      if (message.op === 'subscribed') resolve(heard)
      else if (message.op === 'event') hear(heard, message.event)
    })
  })
}

/** Asks for more than the kernel buffers for a connection, and never reads a byte of it. */
function deaf(): Socket {
  const silent = connect(listening.port, '127.0.0.1')
  silent.pause()
  silent.on('error', () => {})
  silent.write('GET /v1/groups/large/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n')
  return silent
}

/** The same over a WebSocket that wants everything a hundred times. */
function deafSocket(): Promise<WebSocket> {
  return new Promise((resolve) => {
    const ws = new WebSocket(`${listening.url.replace('http', 'ws')}/v1/ws`, 'untildone.v1')
    ws.on('error', () => {})
    ws.on('open', () => {
      for (let ref = 0; ref < 100; ref++) ws.send(`{"op":"subscribe","ref":${ref},"filter":{"groupId":"large"}}`)
    })
    ws.once('message', () => {
      ws.pause()
      resolve(ws)
    })
  })
}

it('100 streams and 100 sockets get everything, and who does not read is dropped', async () => {
  const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`m${i}`, 'x'.repeat(512)]))
  const runAt = new Date(Date.now() + 86_400_000).toISOString()
  const body = { type: 'large', input: {}, groupId: 'large', metadata, runAt }
  for (let i = 0; i < 4; i++)
    await app.engine.submitBatch(
      LOCAL,
      Array.from({ length: 500 }, () => ({ body, key: null })),
      null,
    )

  const readers = await Promise.all(Array.from({ length: EACH }, () => [stream(), socket()]).flat())
  const silent = [deaf(), await deafSocket()] as const
  await until(() => server.held === 2 * EACH + 2)
  const ids: string[] = []
  for (let i = 0; i < JOBS; i++) ids.push((await app.engine.submit(LOCAL, { type: 'work', input: {} }, null)).job.id)
  const all = ['job.accepted', 'job.processing', 'job.completed']
  await until(
    () => readers.every((heard) => ids.every((id) => heard.get(id)?.length === all.length)),
    'all events',
    60_000,
  )
  for (const heard of readers) for (const id of ids) expect(heard.get(id)).toEqual(all)
  await until(() => server.held === 2 * EACH, 'the end of those who do not read', 60_000)
  silent[0].destroy()
  silent[1].terminate()
}, 180_000)
