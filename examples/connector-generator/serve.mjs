// `node examples/connector-generator/serve.mjs [port]`: the server on that port (8000), the three sites on the next three,
// until Ctrl-C. What it knows it keeps in the folder .untildone/connector-generator.
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { serve } = await jiti.import('./demo/serve.ts')
await serve(Number(process.argv[2] ?? 8000))
