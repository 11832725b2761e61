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
  /** Looks at one job while it waits: whoever asks for any walks over all that are done, at the cost of those who work. */
  let last = null
  const left = async () => {
    const ofLast = `select 1 from pgboss.job where name = $1 and id = $2 and state < 'completed'`
    if (last !== null && (await looker.query(ofLast, [QUEUE, last])).rows.length > 0) return true
    const any = `select 1 from pgboss.job where name = $1 and state < 'completed' limit 1`
    return (await looker.query(any, [QUEUE])).rows.length > 0
  }
  const insert = (items) =>
    boss.insert(
      QUEUE,
      items.map((data) => ({ data })),
    )
  return {
    batch: (jobs) => rateOf(jobs, () => inBatches(jobs, insert)),
    callers: async (jobs, callers) => {
      const worker = await peer('pgboss', { url, begins: true })
      const rate = await rateOf(jobs, () => byCallers(jobs, callers, () => boss.send(QUEUE, INPUT)))
      while (await left()) await sleep(50)
      worker.kill()
      return rate
    },
    drain: (jobs, processes) =>
      drain(jobs, processes, {
        start: () => peer('pgboss', { url }),
        left,
        fill: async () => {
          await inBatches(jobs - 1, insert)
          last = await boss.send(QUEUE, INPUT)
        },
      }),
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
  const insert = (items) => queue.addBulk(items.map((data) => ({ name: QUEUE, data })))
  return {
    batch: (jobs) => rateOf(jobs, () => inBatches(jobs, insert)),
    callers: async (jobs, callers) => {
      const worker = await peer('bullmq', { port, begins: true })
      const rate = await rateOf(jobs, () => byCallers(jobs, callers, () => queue.add(QUEUE, INPUT)))
      while (await left()) await sleep(50)
      worker.kill()
      return rate
    },
    drain: (jobs, processes) =>
      drain(jobs, processes, { start: () => peer('bullmq', { port }), left, fill: () => inBatches(jobs, insert) }),
    stop: async () => {
      await queue.close()
      redis.kill('SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** What waits already is drained first by the same processes: a worker that has just started is not what is measured. */
async function drain(jobs, processes, { start, left, fill }) {
  const workers = await Promise.all(Array.from({ length: processes }, start))
  const tell = (what) => Promise.all(workers.map((worker) => told(worker, what)))
  const drained = async () => {
    await tell('go')
    while (await left()) await sleep(50)
  }
  await drained()
  await tell('hold')
  await fill()
  const rate = await rateOf(jobs, drained)
  for (const worker of workers) worker.kill()
  return rate
}

/** Resolves when it has heard. */
function told(worker, what) {
  return new Promise((resolve) => {
    worker.once('message', resolve)
    worker.send(what)
  })
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
  const { kind, url, port, begins } = JSON.parse(process.env.PEER)
  process.on('disconnect', () => process.exit(0))
  const { go, hold } = await (kind === 'pgboss' ? bossWorker(url) : bullWorker(port))
  process.on('message', async (what) => {
    await (what === 'go' ? go() : hold())
    process.send(what)
  })
  process.send('up')
  if (begins) await go()
}

async function bossWorker(url) {
  const { PgBoss } = await import('pg-boss')
  const boss = new PgBoss({ connectionString: url, max: 4, supervise: false, schedule: false })
  boss.on('error', () => {})
  await boss.start()
  let goes = false
  const work = async () => {
    while (goes) {
      const jobs = await boss.fetch(QUEUE, { batchSize: FETCH.batch })
      if (jobs.length === 0) await sleep(20)
      else
        await boss.complete(
          QUEUE,
          jobs.map(({ id }) => id),
        )
    }
  }
  let working = []
  return {
    go: () => {
      goes = true
      working = Array.from({ length: FETCH.loops }, work)
    },
    hold: async () => {
      goes = false
      await Promise.all(working)
    },
  }
}

async function bullWorker(port) {
  const { Worker } = await import('bullmq')
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }
  const worker = new Worker(QUEUE, async () => null, { connection, concurrency: 256, autorun: false })
  await worker.waitUntilReady()
  let runs = false
  return {
    go: () => {
      if (runs) return worker.resume()
      runs = true
      void worker.run()
    },
    hold: () => worker.pause(),
  }
}
