/**
 * A process of examples/analysis-gateway, as its `serve.mjs` starts it but over the library in DIST: one with short leases.
 */
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createJiti } from 'jiti'

const from = (file) => import(pathToFileURL(join(process.env.DIST, file)).href)
const [untildone, server, postgres, bullmq] = await Promise.all([
  from('index.js'),
  from('server/index.js'),
  from('stores/postgres/index.js'),
  from('transports/bullmq/index.js'),
])
const virtualModules = {
  ...{ untildone, 'untildone/server': server },
  ...{ 'untildone/postgres': postgres, 'untildone/bullmq': bullmq },
}
const file = fileURLToPath(new URL('../../examples/analysis-gateway/demo/serve.ts', import.meta.url))
const { serve } = await createJiti(file, { fsCache: process.env.GATEWAY_COMPILED || false, virtualModules }).import(
  file,
)
await serve(process.argv.slice(2))
