/**
 * A process full of people who wait: for one job or a group, by long-polls, event streams and WebSockets, all through the
 * client library as it ships and a bad line. Some read slowly; some open a stream and never read.
 */
import { writeSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import WebSocket from 'ws'
import { chance, sleep } from '../lib/common.mjs'
import { Told } from './told.mjs'

const { createClient } = await import(pathToFileURL(join(process.env.TORTURE_DIST, 'client/index.js')).href)

/** Subscriptions of one socket. */
const PER_SOCKET = 5

const report = (message) => writeSync(3, `${JSON.stringify(message)}\n`)
const lines = createInterface({ input: process.stdin })
const orders = lines[Symbol.asyncIterator]()
const { url, seed, waits, never } = JSON.parse((await orders.next()).value)

const r = chance(seed)
const client = createClient({ url })
const violations = []
const everybody = []
/** Milliseconds from the end of a job to its telling, by kind. */
const lags = { poll: [], watch: [], group: [], socket: [] }
const counts = { told: 0, lost: 0, dropped: 0 }
/** Names of those who have not begun to wait. */
const coming = new Set()

/** The newest of these jobs is told as long as somebody asks. */
const read = async (id) => {
  for (;;) {
    try {
      return await client.get(id)
    } catch (error) {
      if (!error.retryable) throw error
      await sleep(200)
    }
  }
}

async function hear(told, kind, about) {
  if (!told.hear(about)) return
  const job = await read(about.id)
  told.compare(job)
  lags[kind].push(Date.now() - Date.parse(job.finishedAt))
  if (told.missing.length === 0) counts.told++
}

const onConnection = (connection) => {
  if (connection === 'lost') counts.lost++
}

const KINDS = {
  async poll(told, { ids: [id] }) {
    coming.delete(told.name)
    const end = await client.result(id).then(
      () => ({ status: 'completed' }),
      (error) => {
        if (!error.job) throw error
        return error.job
      },
    )
    await hear(told, 'poll', { id, version: end.version ?? null, status: end.status, done: true })
  },
  async watch(told, { ids: [id] }) {
    for await (const job of client.watch(id, { onConnection })) {
      coming.delete(told.name)
      await hear(told, 'watch', job)
    }
  },
  async group(told, { groupId, slow }) {
    for await (const job of client.watchGroup(groupId, { onConnection })) {
      coming.delete(told.name)
      await hear(told, 'group', job)
      if (slow) await sleep(r.int(20, 400))
      if (told.missing.length === 0) break
    }
  },
  async socket(told, { ids, groupId, slow, socket }) {
    for await (const item of socket.subscribe(groupId ? { groupId } : { jobId: ids })) {
      coming.delete(told.name)
      await hear(told, 'socket', 'job' in item ? item.job : { ...item.data, id: item.data.jobId })
      if (slow) await sleep(r.int(20, 400))
      if (told.missing.length === 0) break
    }
  },
}

/** Opens the stream of everything and never reads a byte of it. */
function neverRead() {
  const { host, hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.pause()
  socket.on('error', () => {})
  socket.on('close', () => {
    counts.dropped++
    setTimeout(neverRead, 1000)
  })
  socket.write(`GET /v1/events/stream HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n\r\n`)
}

const armed = () => ({ armed: everybody.length - coming.size, coming: [...coming].slice(0, 3) })
const news = setInterval(() => report({ counts: { ...counts, ...armed() } }), 250)

// The first answers of a process wait for the HTTP parser of fetch to be compiled, and fetch does not notice a cut in that
// moment until its time limit.
await read(waits[0].ids[0])

let sockets = []
for (const [n, wait] of waits.entries()) {
  if (wait.kind === 'socket') {
    if (sockets.length === 0) {
      const socket = client.socket({ WebSocket })
      sockets = new Array(PER_SOCKET).fill(socket)
    }
    wait.socket = sockets.pop()
  }
  const told = new Told(`${wait.kind} ${n}`, wait.ids, (violation) => violations.push(violation))
  everybody.push(told)
  coming.add(told.name)
  KINDS[wait.kind](told, wait).catch((error) => {
    const text = `${told.name}: ended with ${error?.stack ?? error}`
    violations.push({ invariant: 'T1', job: wait.ids[0], text })
  })
  // Everybody at once would be a test of the listen queue.
  if (n % 20 === 19) await sleep(10)
}
for (let i = 0; i < never; i++) neverRead()

for await (const line of orders) {
  if (!JSON.parse(line).finish) continue
  clearInterval(news)
  for (const told of everybody) told.close()
  report({ finished: { violations: violations.slice(0, 50), found: violations.length, counts, lags } })
}
process.exit(0)
