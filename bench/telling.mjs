// (h) From the commit that ends a job to a client in another process that waits for it: by long-poll, event stream and
// WebSocket, through the client library. Both processes read CLOCK_MONOTONIC, which belongs to the machine.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { defineJob, LOCAL, load } from './lib/product.mjs'
import { percentile } from './lib/sample.mjs'
import { INPUT, inFolder, noop, openApp, sleep } from './lib/tools.mjs'

const { createServer, listen } = await load('server/index.js')

const KINDS = { poll: 'long-poll', watch: 'event stream', socket: 'WebSocket' }
/** How many wait, for how many jobs of their own or for one and the same; how often. */
const SHAPES = [
  { waiters: 1, jobs: 1, name: '1 waits', rounds: 200, aim: { below: 5 } },
  { waiters: 100, jobs: 100, name: '100 wait, each for its own job', rounds: 3, aim: { below: 5 } },
  { waiters: 100, jobs: 1, name: '100 wait for one job', rounds: 10 },
]

const clock = () => Number(process.hrtime.bigint()) / 1e6

export async function measure({ quick, runs, dir, log }) {
  const rows = []
  log('  from the commit (and, behind the slash, from the return of the handler) to what the library gives, p50')
  for (const [kind, kindName] of Object.entries(KINDS)) {
    for (const { name, aim, rounds, ...shape } of SHAPES) {
      const found = []
      for (let run = 0; run < runs; run++) {
        const times = quick ? Math.ceil(rounds / 5) : rounds
        found.push(await inFolder(dir, (folder) => told(folder, { kind, rounds: times, ...shape })))
      }
      const of = (what, p) => found.map((one) => percentile(one[what], p))
      const label = `${kindName}, ${name}`
      rows.push({ figure: 'h', name: `${label}: p50`, unit: 'ms', values: of('committed', 0.5), aim })
      rows.push({ figure: 'h', name: `${label}: p99`, unit: 'ms', values: of('committed', 0.99) })
      log(`  ${label}: ${of('committed', 0.5)[0].toFixed(2)} / ${of('returned', 0.5)[0].toFixed(2)} ms`)
    }
  }
  return rows
}

/** @returns sorted milliseconds from the commit, and from the return of the handler */
async function told(folder, { kind, waiters, jobs, rounds }) {
  /** Ends a job: job id → function. */
  const ending = new Map()
  const definition = defineJob('noop', { input: noop.input })
  const handler = definition.handler((job) => new Promise((resolve) => ending.set(job.id, () => resolve(null))))
  const app = await openApp(folder, { handlers: [handler], worker: { slots: 128 } })
  const committed = new Map()
  const returned = new Map()
  // Before there is a server: what it does about a commit comes after this.
  app.engine.onChange((changes) => {
    for (const { jobId, done } of changes) if (done) committed.set(jobId, clock())
  })
  await app.start()
  const server = createServer(app.engine, { limits: { streams: 10_000, streamsPerKey: 10_000 } })
  const listening = await listen(server, { port: 0 })
  const clients = fork(fileURLToPath(new URL('./waiters.mjs', import.meta.url)))
  const waits = { committed: [], returned: [] }
  try {
    // The first round warms both processes up.
    for (let round = 0; round <= rounds; round++) {
      const items = Array.from({ length: jobs }, () => ({ body: { type: 'noop', input: INPUT }, key: null }))
      const ids = (await app.engine.submitBatch(LOCAL, items, null)).items.map(({ id }) => id)
      while (!ids.every((id) => ending.has(id))) await sleep(1)
      const perWaiter = Array.from({ length: waiters }, (_, i) => ids[i % jobs])
      const answered = once(clients, 'message')
      clients.send({ url: listening.url, kind, ids: perWaiter })
      while (server.held < waiters) await sleep(1)
      // Whoever waits has nothing else to do any more.
      await sleep(waiters === 1 ? 10 : 250)
      for (const id of ids) {
        returned.set(id, clock())
        ending.get(id)()
        if (jobs > 1) await sleep(5)
      }
      const [{ arrivals }] = await answered
      while (server.held > 0) await sleep(1)
      if (round === 0) continue
      for (const [id, at] of arrivals) {
        waits.committed.push(at - committed.get(id))
        waits.returned.push(at - returned.get(id))
      }
    }
    if (waits.committed.length !== rounds * waiters)
      throw new Error(`${waits.committed.length} were told; ${rounds * waiters} waited.`)
    for (const list of Object.values(waits)) list.sort((a, b) => a - b)
    return waits
  } finally {
    clients.kill()
    await listening.close()
    await app.stop()
  }
}
