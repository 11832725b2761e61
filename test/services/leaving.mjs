/** An application with its jobs told by Redis. It says when it works, is stopped by a line on its standard input, and ends by itself. */

import { createUntildone, defineJob, sqlite } from 'untildone'
import { bullmq } from 'untildone/bullmq'
import { z } from 'zod'

const work = defineJob('work', { input: z.object({}) }).handler({}, () => 'done')
const app = await createUntildone({
  store: sqlite(':memory:'),
  handlers: [work],
  transport: bullmq(process.argv[2]),
  onError: (error) => console.log(error.code),
})
await app.start()
await (await app.submit('work', {})).result()
console.log('works')
process.stdin.once('data', async () => {
  process.stdin.destroy()
  await app.stop()
  console.log('stopped')
})
