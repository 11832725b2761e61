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
/** Milliseconds from the end of a job to its telling. */
const lags = []
const counts = { armed: 0, told: 0, lost: 0, dropped: 0 }

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

async function hear(told, about) {
  if (!told.hear(about)) return
  const job = await read(about.id)
  told.compare(job)
  lags.push(Date.now() - Date.parse(job.finishedAt))
  if (told.missing.length === 0) counts.told++
}

const onConnection = (connection) => {
  if (connection === 'lost') counts.lost++
}

const KINDS = {
  async poll(told, [id]) {
    counts.armed++
    const end = await client.result(id).then(
      () => ({ status: 'completed' }),
      (error) => {
        if (!error.job) throw error
        return error.job
      },
    )
    await hear(told, { id, version: end.version ?? null, status: end.status, done: true })
  },
  async watch(told, [id]) {
    let first = true
    for await (const job of client.watch(id, { onConnection })) {
      if (first) counts.armed++
      first = false
      await hear(told, job)
    }
  },
  async group(told, ids, { groupId, slow }) {
    let first = true
    for await (const job of client.watchGroup(groupId, { onConnection })) {
      if (first) counts.armed++
      first = false
      await hear(told, job)
      if (slow) await sleep(r.int(20, 400))
      if (told.missing.length === 0) break
    }
  },
  async socket(told, ids, { groupId, slow, socket }) {
    let first = true
    for await (const item of socket.subscribe(groupId ? { groupId } : { jobId: ids })) {
      if (first) counts.armed++
      first = false
      await hear(told, 'job' in item ? item.job : { ...item.data, id: item.data.jobId })
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
  KINDS[wait.kind](told, wait.ids, wait).catch((error) => {
    const text = `${told.name}: ended with ${error?.stack ?? error}`
    violations.push({ invariant: 'T1', job: wait.ids[0], text })
  })
  // Everybody at once would be a test of the listen queue.
  if (n % 20 === 19) await sleep(10)
}
for (let i = 0; i < never; i++) neverRead()

const news = setInterval(() => report({ counts }), 250)
for await (const line of orders) {
  if (!JSON.parse(line).finish) continue
  clearInterval(news)
  for (const told of everybody) told.close()
  lags.sort((a, b) => a - b)
  const at = (q) => lags[Math.min(lags.length - 1, Math.floor(lags.length * q))] ?? null
  report({
    finished: {
      violations: violations.slice(0, 50),
      found: violations.length,
      counts,
      lags: [at(0.5), at(0.99), at(1)],
    },
  })
}
process.exit(0)
