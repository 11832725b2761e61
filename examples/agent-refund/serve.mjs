// `node examples/agent-refund/serve.mjs [port]`: the server on that port (8000) and the shop on the next, until Ctrl-C. With
// SHOP_URL, no shop of its own. What it knows it keeps in the folder .untildone/agent-refund.
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { serve } = await jiti.import('./demo/serve.ts')
await serve(Number(process.argv[2] ?? 8000))
