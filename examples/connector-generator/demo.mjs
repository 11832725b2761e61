// `node examples/connector-generator/demo.mjs`: three sites become connectors over the older API, and the connectors are
// used. Exit code 0: all came as promised. Nothing leaves this machine.
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { demo } = await jiti.import('./demo/demo.ts')
process.exitCode = await demo((file) => jiti.import(file))
