// (f) What an open stream costs, and how long an event takes from its commit to its readers, with 1,000 event streams or
// 1,000 WebSockets on one process and one more that never reads. The readers are a second process.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { LOCAL, load } from './lib/product.mjs'
import { percentile } from './lib/sample.mjs'
import { INPUT, inFolder, openApp, sleep } from './lib/tools.mjs'

const { createServer, listen } = await load('server/index.js')

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')
/** Of the machine, so that two processes can be compared. */
const clock = () => Number(process.hrtime.bigint()) / 1e6

export async function measure({ quick, runs, dir, log }) {
  const count = quick ? 100 : 1000
  const events = quick ? 40 : 150
  const rows = []
  log(`  ${count} readers and one that never reads, ${events} events, one every 30 ms`)
  for (const kind of ['sse', 'ws']) {
    const found = []
    for (let run = 0; run < runs; run++)
      found.push(await inFolder(dir, (folder) => measured(folder, kind, count, events)))
    const what = kind === 'sse' ? 'event stream' : 'WebSocket'
    const row = (name, unit, of) => rows.push({ figure: 'f', name: `${what}: ${name}`, unit, values: found.map(of) })
    row('heap and buffers of each', 'KiB', ({ memory }) => memory)
    row('commit to first reader, p50', 'ms', ({ first }) => percentile(first, 0.5))
    row('commit to last reader, p50', 'ms', ({ last }) => percentile(last, 0.5))
    row('commit to any reader, p99', 'ms', ({ all }) => percentile(all, 0.99))
  }
  return rows
}

async function measured(folder, kind, count, events) {
  const app = await openApp(folder, { worker: false })
  const server = createServer(app.engine, { limits: { streams: 10_000, streamsPerKey: 10_000 } })
  const listening = await listen(server, { port: 0 })
  const readers = fork(fileURLToPath(new URL('./readers.mjs', import.meta.url)))
  const ask = async (message) => {
    readers.send(message)
    return (await once(readers, 'message'))[0]
  }
  try {
    // One stream warms up what all of them share.
    await ask({ open: { url: listening.url, kind, count: 1 } })
    await app.engine.submit(LOCAL, { type: 'noop', input: INPUT }, null)
    const before = await memory()
    await ask({ open: { url: listening.url, kind, count: count - 1 } })
    const after = await memory()
    await ask({ deaf: listening.url })
    while (server.held < count + 1) await sleep(5)

    const committed = new Map()
    const stop = app.engine.onChange((changes) => {
      for (const { jobId } of changes) committed.set(jobId, clock())
    })
    for (let i = 0; i < events; i++) {
      await app.engine.submit(LOCAL, { type: 'noop', input: INPUT }, null)
      await sleep(30)
    }
    stop()
    await sleep(500)
    const { arrivals } = await ask({ report: true })
    const waits = arrivals
      .filter(([jobId]) => committed.has(jobId))
      .map(([jobId, times]) => times.map((at) => at - committed.get(jobId)).sort((a, b) => a - b))
    const told = waits.reduce((sum, times) => sum + times.length, 0)
    if (told !== events * count) throw new Error(`${told} events arrived; ${events * count} were expected to.`)
    const sorted = (values) => values.sort((a, b) => a - b)
    return {
      memory: (after - before) / 1024 / (count - 1),
      first: sorted(waits.map((times) => times[0])),
      last: sorted(waits.map((times) => times.at(-1))),
      all: sorted(waits.flat()),
    }
  } finally {
    readers.kill()
    await listening.close()
    await app.stop()
  }
}

async function memory() {
  await sleep(300)
  collect()
  const { heapUsed, external } = process.memoryUsage()
  // Not the resident set: it is not given back, so that the second kind of readers would seem to cost nothing.
  return heapUsed + external
}
