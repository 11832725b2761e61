// Other systems doing the same no-op work in the same run, each in the way its documentation gives for throughput: batches
// where it has them, workers in processes of their own. Finished jobs are kept, as ours are.
import { fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../test/services/postgres.mjs'
import { INPUT, now, sleep, THROUGHPUT_FLAGS } from './tools.mjs'

const QUEUE = 'noop'
const BATCH = 500
/** Each process of pg-boss takes the jobs of so many fetches at a time: among 256 to 2000, by one loop or four, the fastest here. */
const FETCH = { batch: 1000, loops: 4 }

/** pg-boss, by `insert`, `send`, and workers that `fetch` and `complete` batches. */
export async function pgBoss(url) {
  const { PgBoss } = await import('pg-boss')
  const boss = new PgBoss({ connectionString: url, max: 8 })
  boss.on('error', () => {})
  await boss.start()
  await boss.createQueue(QUEUE)
  const { default: pg } = await import('pg')
  const looker = new pg.Client(url)
  await looker.connect()
  const left = async () => {
    const { rows } = await looker.query(
      `select 1 from pgboss.job where name = '${QUEUE}' and state < 'completed' limit 1`,
    )
    return rows.length > 0
  }
  return {
    batch: (jobs) =>
      rateOf(jobs, () =>
        inBatches(jobs, (items) =>
          boss.insert(
            QUEUE,
            items.map((data) => ({ data })),
          ),
        ),
      ),
    callers: async (jobs, callers) => {
      const worker = await peer('pgboss', { url })
      const rate = await rateOf(jobs, () => byCallers(jobs, callers, () => boss.send(QUEUE, INPUT)))
      while (await left()) await sleep(50)
      worker.kill()
      return rate
    },
    drain: (jobs, processes) => drain(jobs, processes, () => peer('pgboss', { url }), left),
    stop: async () => {
      await looker.end()
      await boss.stop({ graceful: false })
    },
  }
}

/** Plain BullMQ on a private Redis that writes its log each second, as its guide advises. */
export async function bullMq() {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'untildone-bench-redis-'))
  const settings = [
    '--port',
    port,
    '--dir',
    dir,
    '--appendonly',
    'yes',
    '--save',
    '',
    '--maxmemory-policy',
    'noeviction',
  ]
  const redis = spawn('redis-server', settings.map(String), { stdio: 'ignore' })
  await sleep(500)
  const { Queue } = await import('bullmq')
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }
  const queue = new Queue(QUEUE, { connection })
  const left = async () => {
    const { wait, active, prioritized } = await queue.getJobCounts('wait', 'active', 'prioritized')
    return wait + active + (prioritized ?? 0) > 0
  }
  return {
    batch: (jobs) =>
      rateOf(jobs, () => inBatches(jobs, (items) => queue.addBulk(items.map((data) => ({ name: QUEUE, data }))))),
    callers: async (jobs, callers) => {
      const worker = await peer('bullmq', { port })
      const rate = await rateOf(jobs, () => byCallers(jobs, callers, () => queue.add(QUEUE, INPUT)))
      while (await left()) await sleep(50)
      worker.kill()
      return rate
    },
    drain: (jobs, processes) => drain(jobs, processes, () => peer('bullmq', { port }), left),
    stop: async () => {
      await queue.close()
      redis.kill('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function drain(jobs, processes, start, left) {
  const workers = await Promise.all(Array.from({ length: processes }, start))
  const rate = await rateOf(jobs, async () => {
    for (const worker of workers) worker.send('go')
    while (await left()) await sleep(50)
  })
  for (const worker of workers) worker.kill()
  return rate
}

function peer(kind, where) {
  const child = fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, PEER: JSON.stringify({ kind, ...where }) },
    execArgv: THROUGHPUT_FLAGS,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  return new Promise((resolve) => child.once('message', () => resolve(child)))
}

async function rateOf(jobs, work) {
  const began = now()
  await work()
  return jobs / ((now() - began) / 1000)
}

async function inBatches(jobs, insert) {
  for (let left = jobs; left > 0; left -= BATCH)
    await insert(Array.from({ length: Math.min(BATCH, left) }, () => INPUT))
}

async function byCallers(jobs, callers, submit) {
  let left = Math.floor(jobs)
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (left-- > 0) await submit()
    }),
  )
}

if (process.env.PEER) {
  const { kind, url, port } = JSON.parse(process.env.PEER)
  process.on('disconnect', () => process.exit(0))
  const go = new Promise((resolve) => process.once('message', resolve))
  if (kind === 'pgboss') {
    const { PgBoss } = await import('pg-boss')
    const boss = new PgBoss({ connectionString: url, max: 4, supervise: false, schedule: false })
    boss.on('error', () => {})
    await boss.start()
    process.send('up')
    await Promise.race([go, sleep(300)])
    const work = async () => {
      for (;;) {
        const jobs = await boss.fetch(QUEUE, { batchSize: FETCH.batch })
        if (jobs.length === 0) await sleep(20)
        else
          await boss.complete(
            QUEUE,
            jobs.map(({ id }) => id),
          )
      }
    }
    await Promise.all(Array.from({ length: FETCH.loops }, work))
  }
  const { Worker } = await import('bullmq')
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }
  const worker = new Worker(QUEUE, async () => null, { connection, concurrency: 256, autorun: false })
  process.send('up')
  await Promise.race([go, sleep(300)])
  await worker.run()
}
