// A program of one file: its handlers, and the server that runs them. `node program.mjs <database>`; kills are its end.
import { createServer } from 'node:http'
import { createUntildone, defineJob, sqlite } from 'untildone'
import { z } from 'zod'

const spin = defineJob('spin', { input: z.object({}) })
const handler = spin.handler({ isolate: { module: import.meta.url } }, async (job) => {
  await job.step('begun', () => console.log(`at work ${process.pid}`))
  for (;;);
})
const app = await createUntildone({ store: sqlite(process.argv[2]), handlers: [handler] })
await app.start()
// Only here, not in the process of the handler.
const server = createServer().listen(0, async () => {
  console.log(`server ${process.pid}`)
  await app.submit(spin, {})
})
process.on('SIGTERM', () => server.close())
