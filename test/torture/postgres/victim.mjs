/**
 * One process of several over one PostgreSQL: the library as it ships, as a server or as a worker that also does the
 * upkeep. Waits for its order on stdin, so that it can be ready in advance; takes further ones while it lives.
 */
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { handlersOf } from '../victim/jobs.mjs'
import { report } from '../victim/seams.mjs'
import { manyOf } from './jobs.mjs'
import { Seams } from './seams.mjs'

const from = (file) => import(pathToFileURL(join(process.env.TORTURE_DIST, file)).href)
const [lib, { createServer, listen }, { postgresWith }, { PostgresDriver }, { z }] = await Promise.all([
  from('index.js'),
  from('server/index.js'),
  from('stores/postgres/open.js'),
  from('stores/postgres/driver.js'),
  import('zod'),
])

const lines = createInterface({ input: process.stdin })
const orders = lines[Symbol.asyncIterator]()
const {
  role,
  url,
  redis = null,
  witness,
  filesDir,
  statementTimeoutMs,
  patienceMs,
  slots,
} = JSON.parse((await orders.next()).value)

// Nobody is left to kill us: go.
lines.on('close', () => process.kill(process.pid, 'SIGKILL'))

const seams = new Seams()
// What the database refuses while it is away is no news here; everything else is kept for whoever looks.
const onError = (error) => console.error(error)
const factory = postgresWith(seams.driver(PostgresDriver), url, { statementTimeoutMs, patienceMs })
const works = role === 'worker'
const transport = redis === null ? {} : { transport: (await from('transports/bullmq/index.js')).bullmq(redis) }

/** The database may be away when a process starts; whoever started it would start it again. */
async function start() {
  for (;;) {
    let app
    try {
      app = await lib.createUntildone({
        handlers: handlersOf({ ...lib, z }, witness, seams.passing, manyOf),
        worker: works && { slots, drainMs: 300 },
        maintenance: works,
        filesDir,
        onError,
        ...transport,
        store: { open: async (env) => seams.store(await factory.open(env)) },
      })
      await app.start()
      return app
    } catch (error) {
      if (error?.code !== 'store-unavailable') throw error
      await app?.stop().catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

const app = await start()
const listening = works ? null : await listen(createServer(seams.engine(app.engine), { onError }), { port: 0 })
report({ ready: listening?.url ?? 'worker' })

process.on('SIGTERM', async () => {
  await listening?.close()
  await app.stop()
  process.exit(0)
})

for await (const line of orders) {
  const { arm } = JSON.parse(line)
  if (arm !== undefined) seams.arm = arm
}
