// `node examples/agent-refund/demo.mjs`: refunds that an agent proposes and people approve, over HTTP, with a policy that
// says no and a shop that is not always there. Exit code 0: all came as promised. Nothing leaves this machine.
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { demo } = await jiti.import('./demo/demo.ts')
process.exitCode = await demo()
