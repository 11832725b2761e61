// A server whose jobs run children that never end, to be killed while they run.
//   node victim.mjs <folder> <jobs>

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const [folder, jobs] = process.argv.slice(2)
const root = new URL('../../dist/', import.meta.url)
const { createUntildone, defineJob } = await import(new URL('index.js', root))
const { sqlite } = await import(new URL('stores/sqlite/index.js', root))

const work = defineJob('work', { input: z.object({ n: z.number() }) })
const handler = work.handler({ maxLost: 1_000, timeout: '10m' }, (job) =>
  job.process('engine', {
    command: fileURLToPath(new URL('./sleeper.sh', import.meta.url)),
    args: [join(folder, 'starts.log'), String(job.input.n)],
  }),
)
const app = await createUntildone({
  store: sqlite(join(folder, 'victim.db')),
  handlers: [handler],
  worker: { slots: Number(jobs) },
})
await app.start()
for (let n = 0; n < Number(jobs); n++) await app.submit(work, { n }, { key: `job-${n}` })
console.log(JSON.stringify(app.recovered))
