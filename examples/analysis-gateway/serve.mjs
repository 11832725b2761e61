// `node examples/analysis-gateway/serve.mjs [port] [--roles api,worker] [--tenants acme,globex]`: the gateway on that port
// (8000), until Ctrl-C. What it knows it keeps in the folder .untildone/analysis-gateway.
import { createJiti } from 'jiti'

// Several processes that are started together need not each compile it.
const jiti = createJiti(import.meta.url, { fsCache: process.env.GATEWAY_COMPILED || false })
const { serve } = await jiti.import('./demo/serve.ts')
await serve(process.argv.slice(2))
