// What stands beside (k): one job after the other from one process to an idle worker in another. The floor is the least that
// a durable queue on PostgreSQL does, one commit that writes and tells and one that takes; the peer is plain BullMQ.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { sleep } from './tools.mjs'

/** CLOCK_MONOTONIC, the same for all processes of a machine. */
const micros = () => Number(process.hrtime.bigint() / 1000n)

/** Submits before those that are measured, some at a time: who has just started spends the first seconds on compiling. */
const BEFORE = 3000
const TOGETHER = 50

/** @returns milliseconds from submit to start; `submit` gives the id under which `started` tells when it was */
export async function startsOf(submit, started, samples) {
  for (let n = 0; n < BEFORE; n += TOGETHER) {
    const ids = await Promise.all(Array.from({ length: TOGETHER }, submit))
    while (ids.some((id) => !started.has(id))) await sleep(2)
  }
  const took = []
  for (let i = 0; i < samples; i++) {
    const began = micros()
    const id = await submit()
    for (let n = 0; n < 400 && !started.has(id); n++) await sleep(1 + Math.random() * 3)
    took.push((started.get(id) - began) / 1000)
    await sleep(5)
  }
  return took
}

/** The floor. */
export async function bareStarts(url, samples) {
  const { default: pg } = await import('pg')
  const client = new pg.Client(url)
  await client.connect()
  await client.query('create table bare (id int primary key, state text)')
  const { started, stop } = await worker('postgres', url)
  const text = `with put as (insert into bare values ($1, 'waiting') returning id) select pg_notify('bare', id::text) from put`
  let id = 0
  const submit = () => client.query({ name: 'put', text, values: [++id] }).then(() => String(id))
  const took = await startsOf(submit, started, samples)
  stop()
  await client.end()
  return took
}

/** Plain BullMQ. */
export async function bullMqStarts(url, samples) {
  const { Queue } = await import('bullmq')
  const queue = new Queue('idle', { connection: { url, maxRetriesPerRequest: null } })
  const { started, stop } = await worker('bullmq', url)
  const took = await startsOf(() => queue.add('idle', {}).then(({ id }) => String(id)), started, samples)
  stop()
  await queue.close()
  return took
}

async function worker(kind, url) {
  const child = fork(fileURLToPath(import.meta.url), [], {
    env: { ...process.env, IDLE: JSON.stringify({ kind, url }) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const started = new Map()
  await new Promise((resolve) => {
    child.on('message', (message) => (message === 'up' ? resolve() : started.set(message.id, message.at)))
  })
  return { started, stop: () => child.kill() }
}

if (process.env.IDLE) {
  const { kind, url } = JSON.parse(process.env.IDLE)
  const tell = (id) => process.send({ id, at: micros() })
  if (kind === 'postgres') {
    const { default: pg } = await import('pg')
    const [listener, client] = [new pg.Client(url), new pg.Client(url)]
    await Promise.all([listener.connect(), client.connect()])
    const text = `update bare set state = 'running' where id = $1`
    listener.on('notification', async ({ payload }) => {
      await client.query({ name: 'take', text, values: [payload] })
      tell(payload)
    })
    await listener.query('listen bare')
  } else {
    const { Worker } = await import('bullmq')
    const started = new Worker('idle', async ({ id }) => tell(id), { connection: { url, maxRetriesPerRequest: null } })
    await started.waitUntilReady()
  }
  process.send('up')
}
