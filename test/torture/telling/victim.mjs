/**
 * The process that is killed while it tells: the library as it ships behind its own HTTP server, with webhooks to a
 * receiver on this machine and streams for whoever waits. Two tenants, told apart by a header. Waits for its order on stdin.
 */
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { report, Seams } from '../victim/seams.mjs'
import { planted } from './bugs.mjs'
import { handlersOf } from './jobs.mjs'

const from = (file) => import(pathToFileURL(join(process.env.TORTURE_DIST, file)).href)
const [lib, { createServer, listen }, { sqliteWith }, { SqliteDriver }, { systemClock }, { send }] = await Promise.all([
  from('index.js'),
  from('server/index.js'),
  from('stores/sqlite/open.js'),
  from('stores/sqlite/driver.js'),
  from('system/index.js'),
  from('webhooks/send.js'),
])
const { z } = await import('zod')

const lines = createInterface({ input: process.stdin })
const orders = lines[Symbol.asyncIterator]()
const { dir, arm = null, bug = null, limits = {}, port = 0, slots = 24 } = JSON.parse((await orders.next()).value)

const allow = ['127.0.0.1']
const seams = new Seams(arm)
const { passing } = seams
const bugs = planted(bug, { passing })

/** The real sender, with a point on either side and one while the receiver has it. */
async function post(request) {
  passing('post:begun')
  const sent = setTimeout(() => passing('post:sent'), 1)
  const answer = await send({ ...request, clock: systemClock, allow })
  clearTimeout(sent)
  passing('post:answered')
  return answer
}

let store
const factory = sqliteWith(bugs.driver(seams.driver(SqliteDriver)), join(dir, 'jobs.db'))
const app = await lib.createUntildone({
  handlers: handlersOf({ ...lib, z }),
  worker: { slots, drainMs: 300 },
  webhooks: { allow, notifyHosts: allow, post: bugs.post(post) },
  store: {
    async open(env) {
      store = bugs.store(seams.store(await factory.open(env)))
      return store
    },
  },
  onError: (error) => console.error(error),
})
await app.start()
const server = createServer(app.engine, {
  limits,
  authenticate: (request) => ({
    tenant: request.headers.get('x-tenant') ?? 'a',
    actor: { kind: 'user', id: 'torture' },
    scopes: ['admin'],
    types: null,
    person: null,
  }),
  onError: (error) => console.error(error),
})
const listening = await listen(server, { port, graceMs: 1000 })
seams.starting = false
report({ ready: listening.url, recovered: app.recovered })

process.on('SIGTERM', async () => {
  await listening.close()
  await app.stop()
  process.exit(0)
})
// Nobody is left to kill us: go.
lines.on('close', () => process.kill(process.pid, 'SIGKILL'))

for await (const line of orders) {
  const { untold, held } = JSON.parse(line)
  if (untold) report({ untold: (await store.webhooks.outbox(1000)).length })
  if (held) report({ held: server.held, rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20) })
}
