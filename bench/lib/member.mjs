// One process of a system of several: a worker, or somebody who waits for jobs of others. Told what to do by messages.
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { createUntildone, defineJob, load } from './product.mjs'
import { noopHandler } from './tools.mjs'

const { role, url, redis, slots = 64 } = JSON.parse(process.env.MEMBER)
const { postgres } = await load('stores/postgres/index.js')
const { bullmq } = await load('transports/bullmq/index.js')
/** CLOCK_MONOTONIC, the same for all processes of a machine. */
const micros = () => Number(process.hrtime.bigint() / 1000n)
const startedHandler = defineJob('started', { input: z.object({}) }).handler(async (job) => {
  process.send({ kind: 'started', id: job.id, at: micros() })
  return null
})
const laterHandler = defineJob('later', { input: z.object({}) }).handler(async (job) => {
  await delay(30)
  process.send({ kind: 'returned', id: job.id, at: micros() })
  return null
})
const app = await createUntildone({
  store: postgres(url),
  handlers: [noopHandler, startedHandler, laterHandler],
  worker: role === 'worker' ? { slots } : false,
  maintenance: role === 'worker',
  ...(redis ? { transport: bullmq(redis) } : {}),
})
await app.start()
process.on('message', async (message) => {
  if (message.kind === 'stop') {
    await app.stop()
    process.exit(0)
  }
  if (message.kind === 'wait') {
    // Told of those that were there: the waits go on.
    for (const id of message.ids)
      void app.engine
        .end(id, Number.NEGATIVE_INFINITY)
        .then(({ status }) => process.send({ kind: 'told', id, status, at: micros() }))
    process.send({ kind: 'wait:done' })
  }
})
process.send({ kind: 'up' })
