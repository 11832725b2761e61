/**
 * The process that is killed: the library as it ships, over one SQLite file, behind its own HTTP server. Everything that
 * makes it a victim is wrapped around it from outside. Waits for one line on stdin, so that it can be ready in advance.
 */

import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { planted } from './bugs.mjs'
import { handlersOf } from './jobs.mjs'
import { over, report, Seams } from './seams.mjs'
import { suspendable } from './suspend.mjs'

const from = (file) => import(pathToFileURL(join(process.env.TORTURE_DIST, file)).href)
const [lib, { createServer, listen }, { sqliteWith }, { SqliteDriver }, { systemClock }, { z }] = await Promise.all([
  from('index.js'),
  from('server/index.js'),
  from('stores/sqlite/open.js'),
  from('stores/sqlite/driver.js'),
  from('system/index.js'),
  import('zod'),
])

const lines = createInterface({ input: process.stdin })
const orders = lines[Symbol.asyncIterator]()
const {
  dir,
  witness,
  arm = null,
  bug = null,
  skewMs = 0,
  synchronous = 'full',
} = JSON.parse((await orders.next()).value)

const seams = new Seams(arm)
const { passing } = seams
const sleeper = suspendable(systemClock, skewMs, 2)
let store
const factory = sqliteWith(seams.driver(SqliteDriver), join(dir, 'jobs.db'), { synchronous })

const shared = {
  handlers: handlersOf({ ...lib, z }, witness, passing),
  worker: { slots: 24, drainMs: 300 },
  clock: sleeper.clock,
  onError: (error) => console.error(error),
}

passing('start:opening')
const app = await lib.createUntildone({
  ...shared,
  store: {
    async open(env) {
      store = planted(bug, seams.store(await factory.open(env)))
      return sleeper.store(store, 0)
    },
  },
})
passing('start:opened')
await app.start()
// A second worker over the same store: it takes over what the first loses in its sleep, while that one still works on it.
const second = await lib.createUntildone({
  ...shared,
  store: { open: async () => over(sleeper.store(store, 1), { close: async () => {} }) },
})
await second.start()
passing('start:recovered')
const server = createServer(seams.engine(app.engine), { onError: (error) => console.error(error) })
const listening = await listen(server, { port: 0 })
passing('start:listening')
seams.starting = false
report({ ready: listening.url, recovered: app.recovered })

process.on('SIGTERM', async () => {
  await listening.close()
  await second.stop()
  await app.stop()
  process.exit(0)
})
// Nobody is left to kill us: go.
lines.on('close', () => process.kill(process.pid, 'SIGKILL'))

for await (const line of orders) {
  const order = JSON.parse(line)
  if (order.suspend !== undefined) await sleeper.suspend(order.suspend, reaped)
}

/** Until the jobs of the sleeper, if it has any, belong to others. */
async function reaped() {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 10))
  for (const until = Date.now() + 300; (await store.orphans(1)).length === 0 && Date.now() < until; ) await pause()
  for (const until = Date.now() + 2000; (await store.orphans(1)).length > 0 && Date.now() < until; ) await pause()
}
