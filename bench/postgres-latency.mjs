// (k) Three processes on one PostgreSQL: from a submit in one to the start of its handler in another whose worker is idle
// (once more with BullMQ as transport, where there is a Redis), and from the return of the handler, before its end is stored, to
// whoever waits for it in a third: word of an end comes with its commit, at times before the worker itself has heard of that.
// Beside it the floor, two bare commits, and plain BullMQ. Then ten thousand waits at once: all must be told.

import { z } from 'zod'
import { redisProgram } from '../test/services/redis.mjs'
import { bareStarts, bullMqStarts, startsOf } from './lib/idle.mjs'
import { createUntildone, defineJob, load } from './lib/product.mjs'
import { member, withPostgres, withRedis } from './lib/services.mjs'
import { noopHandler, sleep } from './lib/tools.mjs'

const { postgres } = await load('stores/postgres/index.js')
const handlers = ['started', 'later'].map((name) => defineJob(name, { input: z.object({}) }).handler(async () => null))

export async function measure({ quick, runs, log }) {
  const samples = (quick ? 50 : 200) * Math.min(runs, 3)
  const waits = quick ? 1000 : 10_000
  const carried = redisProgram() === null ? null : await withBullMq(samples)
  return withPostgres(async ({ url }) => {
    const app = await createUntildone({
      store: postgres(url),
      handlers: [noopHandler, ...handlers],
      worker: false,
      maintenance: false,
    })
    await app.start()
    const worker = await member('worker', url)
    const waiter = await member('waiter', url)
    const at = { started: new Map(), returned: new Map(), told: new Map() }
    worker.onMessage((message) => {
      if (message.kind === 'started') at.started.set(message.id, message.at)
      if (message.kind === 'returned') at.returned.set(message.id, message.at)
    })
    waiter.onMessage((message) => {
      if (message.kind === 'told') at.told.set(message.id, message.at)
    })
    const starts = await startsOf(submitOf(app), at.started, samples)
    const bare = await bareStarts(url, samples)
    for (let i = 0; i < samples; i++) {
      const { id } = await app.submit('later', {})
      await waiter.ask({ kind: 'wait', ids: [id] })
      for (let n = 0; n < 400 && !at.told.has(id); n++) await sleep(5)
    }
    const ends = [...at.told].map(([id, told]) => (told - at.returned.get(id)) / 1000)
    const ids = []
    for (let n = 0; n < waits; n += 100)
      ids.push(...(await Promise.all(Array.from({ length: 100 }, () => app.submit('later', {})))).map(({ id }) => id))
    await waiter.ask({ kind: 'wait', ids })
    const began = Date.now()
    while (ids.some((id) => !at.told.has(id)) && Date.now() - began < 120_000) await sleep(50)
    const missed = ids.filter((id) => !at.told.has(id)).length
    log(`  ${waits} waits at once in a third process: ${waits - missed} were told, ${missed} were not`)
    if (missed > 0) throw new Error(`${missed} of ${waits} waits were not told of their end.`)
    await worker.stop()
    await waiter.stop()
    await app.stop()
    return [
      {
        figure: 'k',
        name: 'submit to start, idle worker in another process, p50',
        unit: 'ms',
        values: [p(starts, 0.5)],
        beside: ['two bare commits', [p(bare, 0.5)]],
        aim: { below: 3 },
      },
      { figure: 'k', name: 'the same, p99', unit: 'ms', values: [p(starts, 0.99)] },
      ...(carried === null
        ? []
        : [
            {
              figure: 'k',
              name: 'submit to start with BullMQ as transport, p50',
              unit: 'ms',
              values: [p(carried.ours, 0.5)],
              beside: ['BullMQ', [p(carried.plain, 0.5)]],
              aim: { below: 3 },
            },
            { figure: 'k', name: 'the same, p99', unit: 'ms', values: [p(carried.ours, 0.99)] },
          ]),
      {
        figure: 'k',
        name: 'handler returns to a waiting caller in a third process, p50',
        unit: 'ms',
        values: [p(ends, 0.5)],
        aim: { below: 5 },
      },
      { figure: 'k', name: 'the same, p99', unit: 'ms', values: [p(ends, 0.99)] },
    ]
  })
}

const submitOf = (app) => () => app.submit('started', {}).then(({ id }) => id)

const p = (values, q) => [...values].sort((a, b) => a - b)[Math.floor(values.length * q)]

function withBullMq(samples) {
  return withPostgres(({ url }) =>
    withRedis(async (redis) => {
      const more = { redis: redis.url }
      const app = await createUntildone({
        store: postgres(url),
        handlers: [noopHandler, ...handlers],
        worker: false,
        maintenance: false,
      })
      await app.start()
      const worker = await member('worker', url, more)
      const started = new Map()
      worker.onMessage((message) => {
        if (message.kind === 'started') started.set(message.id, message.at)
      })
      const ours = await startsOf(submitOf(app), started, samples)
      await worker.stop()
      await app.stop()
      return { ours, plain: await bullMqStarts(redis.url, samples) }
    }),
  )
}
