// (i) No-op jobs on PostgreSQL, with history kept, beside pg-boss (and BullMQ where there is a Redis) doing the same in the
// same run: submits one at a time by 64 callers while a worker process runs, batches of 500, and a backlog drained by one
// worker process and by two. Where there is a Redis, the backlog is also drained with BullMQ as our transport.
import { spawnSync } from 'node:child_process'
import { createUntildone, LOCAL, load } from './lib/product.mjs'
import { member, withPostgres, withRedis } from './lib/services.mjs'
import { fill, INPUT, noopHandler, now, sleep, THROUGHPUT_FLAGS } from './lib/tools.mjs'

const { postgres } = await load('stores/postgres/index.js')
const { default: pg } = await import('pg')
const CALLERS = 64
/** Among 512 to 4096 the fastest here. */
const SLOTS = 2048

export async function measure({ quick, runs, log }) {
  const jobs = quick ? 5000 : 120_000
  const redis = spawnSync('redis-server', ['--version']).status === 0
  if (!redis) log('  BullMQ is left out: there is no redis-server (apt-get install redis-server).')
  const names = ['batch', 'callers', 'drain1', 'drain2']
  const ours = Object.fromEntries(names.map((name) => [name, []]))
  const boss = Object.fromEntries(names.map((name) => [name, []]))
  const bull = Object.fromEntries(names.map((name) => [name, []]))
  const carried = { drain1: [], drain2: [] }
  for (let run = 0; run < runs; run++) {
    await withPostgres(async ({ url }) => {
      const app = await createUntildone({
        store: postgres(url),
        handlers: [noopHandler],
        worker: false,
        maintenance: false,
      })
      ours.batch.push(jobs / (await fill(app, jobs)))
      ours.drain1.push(await drained(app, url, jobs, 1))
      await fill(app, 2 * jobs)
      ours.drain2.push(await drained(app, url, jobs, 2))
      const worker = await member('worker', url, { slots: CALLERS, flags: THROUGHPUT_FLAGS })
      ours.callers.push(await byCallers(jobs / 8, () => app.submit('noop', INPUT)))
      await settled(app)
      await worker.stop()
      await app.stop()
    })
    await withPostgres(async ({ url }) => {
      const { pgBoss } = await import('./lib/peers.mjs')
      const peer = await pgBoss(url)
      boss.batch.push(await peer.batch(jobs))
      boss.drain1.push(await peer.drain(jobs, 1))
      await peer.batch(2 * jobs)
      boss.drain2.push(await peer.drain(jobs, 2))
      boss.callers.push(await peer.callers(jobs / 8, CALLERS))
      await peer.stop()
    })
    if (redis) {
      await withPostgres(({ url }) =>
        withRedis(async (server) => {
          const app = await createUntildone({
            store: postgres(url),
            handlers: [noopHandler],
            worker: false,
            maintenance: false,
          })
          for (const [name, processes] of Object.entries({ drain1: 1, drain2: 2 })) {
            await fill(app, processes * jobs)
            carried[name].push(await drained(app, url, jobs, processes, { redis: server.url }))
          }
          await app.stop()
        }),
      )
      const { bullMq } = await import('./lib/peers.mjs')
      const peer = await bullMq()
      bull.batch.push(await peer.batch(jobs))
      bull.drain1.push(await peer.drain(jobs, 1))
      await peer.batch(2 * jobs)
      bull.drain2.push(await peer.drain(jobs, 2))
      bull.callers.push(await peer.callers(jobs / 8, CALLERS))
      await peer.stop()
    }
  }
  const titles = {
    batch: 'bulk submit, batches of 500',
    drain1: 'drain a backlog, one worker process',
    drain2: 'drain a backlog, two worker processes',
    callers: `${CALLERS} callers, each awaits its submit, a worker beside`,
  }
  const aims = { drain1: { ratio: 1 }, callers: { atLeast: 8000 } }
  const overBull = Object.entries(redis ? carried : {}).map(([name, values]) => ({
    figure: 'i',
    name: `${titles[name]}, with BullMQ as transport`,
    unit: 'jobs/s',
    values,
    beside: ['BullMQ', bull[name]],
    aim: { ratio: 0.8 },
  }))
  const rows = names.flatMap((name) => [
    {
      figure: 'i',
      name: titles[name],
      unit: 'jobs/s',
      values: ours[name],
      beside: ['pg-boss', boss[name]],
      aim: aims[name],
    },
    ...(redis
      ? [{ figure: 'i', name: titles[name], unit: 'jobs/s', values: ours[name], beside: ['BullMQ', bull[name]] }]
      : []),
  ])
  return [...rows, ...overBull]
}

/**
 * What waits already is drained first by the same processes: a worker that has just started is not what is measured. Then
 * they start at the same moment: the jobs are held until then by a pause of the queue.
 */
async function drained(app, url, jobs, processes, more = {}) {
  const workers = await Promise.all(
    Array.from({ length: processes }, () => member('worker', url, { slots: SLOTS, flags: THROUGHPUT_FLAGS, ...more })),
  )
  const looker = new pg.Client(url)
  await looker.connect()
  const none = async () => {
    while (await isLeft(looker)) await sleep(50)
  }
  await none()
  await app.engine.pauseQueue(LOCAL, 'default', { reason: 'bench' })
  const before = Number((await app.engine.check(LOCAL)).finished)
  await fill(app, jobs)
  const began = now()
  await app.engine.resumeQueue(LOCAL, 'default', { reason: 'bench' })
  await none()
  const rate = jobs / ((now() - began) / 1000)
  await looker.end()
  const done = Number((await app.engine.check(LOCAL)).finished) - before
  if (done !== jobs) throw new Error(`${done} of ${jobs} jobs are finished.`)
  await Promise.all(workers.map((worker) => worker.stop()))
  return rate
}

/** Looks at the last job while it waits: whoever asks for any walks over all that are done, at the cost of those who work. */
async function isLeft(looker) {
  const last = 'select 1 from untildone.live where id = (select max(id) from untildone.jobs)'
  if ((await looker.query(last)).rows.length > 0) return true
  return (await looker.query('select 1 from untildone.live limit 1')).rows.length > 0
}

async function byCallers(count, submit) {
  let left = Math.floor(count)
  const all = left
  const began = now()
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (left-- > 0) await submit()
    }),
  )
  return all / ((now() - began) / 1000)
}

async function settled(app) {
  while (Number((await app.engine.check(LOCAL)).unfinished) > 0) await sleep(50)
}
