/**
 * A process of examples/agent-refund on PostgreSQL, in the version that a folder holds: a server, or its three workers.
 * Prints the `ready` line of `untildone serve`.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createJiti } from 'jiti'
import * as zod from 'zod'

const { DIST, UNTILDONE_DATABASE, EXAMPLE, ROLES, SHOP_URL } = process.env
const from = (file) => import(pathToFileURL(join(DIST, file)).href)
const [untildone, server, { postgres }] = await Promise.all([
  from('index.js'),
  from('server/index.js'),
  from('stores/postgres/index.js'),
])
const virtualModules = { untildone, zod, 'untildone/server': server }
const jiti = createJiti(join(EXAMPLE, 'start.ts'), { fsCache: false, virtualModules })
const [{ WORKERS }, { approvals }, { readTicket }, { refundHandler }, { shopAt }] = await Promise.all(
  ['start.ts', 'agent/policy.ts', 'agent/agent.ts', 'jobs/refund.ts', 'shop/client.ts'].map((file) =>
    jiti.import(join(EXAMPLE, file)),
  ),
)

const roles = ROLES.split(',')
const app = await untildone.createUntildone({
  store: postgres(UNTILDONE_DATABASE),
  handlers: [refundHandler({ shop: shopAt(SHOP_URL), propose: readTicket })],
  worker: roles.includes('worker') && WORKERS,
  maintenance: roles.includes('maintenance'),
  approvals,
})
const listening = roles.includes('api') ? await server.listen(server.createServer(app.engine), { port: 0 }) : null
await app.start()
console.log(JSON.stringify({ event: 'ready', url: listening?.url ?? null }))
