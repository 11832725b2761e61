// `node examples/analysis-gateway/demo.mjs`: analyses over the gateway's own API, with its client, through a vendor that is
// away and a repeated request. Exit code 0: all came as promised. Nothing leaves this machine.
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { demo } = await jiti.import('./demo/demo.ts')
process.exitCode = await demo()
