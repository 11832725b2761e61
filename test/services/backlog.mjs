// A backlog beside Redis: stores many jobs, then says what Redis holds of them and how fast they are done, with the
// transport and without it. Its own PostgreSQL and Redis, nothing left behind.
//   node test/services/backlog.mjs [--jobs 1000000] [--seconds 20] [--hosts 2]
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { ensureBuilt } from '../../scripts/lib/ensure.mjs'
import { startPostgres } from './postgres.mjs'
import { startRedis } from './redis.mjs'

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '20' },
    hosts: { type: 'string', default: '2' },
  },
})
await ensureBuilt()
const { createUntildone, defineJob, LOCAL } = await import('../../dist/index.js')
const { postgres } = await import('../../dist/stores/postgres/index.js')
const { bullmq } = await import('../../dist/transports/bullmq/index.js')

const database = await startPostgres({ inMemory: true })
const redis = await startRedis()
const handlers = [defineJob('backlog', { input: z.object({ n: z.number() }) }).handler(async () => null)]
const open = (more) => createUntildone({ store: postgres(database.url), handlers, onError: console.error, ...more })

const say = (what, number, unit = '') =>
  console.log(`${what.padEnd(44)} ${Math.round(number).toLocaleString('en')} ${unit}`)
const memory = async () => Number(/used_memory_dataset:(\d+)/.exec(await redis.command('INFO', 'memory'))[1])
const held = async () => {
  let count = 0
  for (const list of [...(await redis.command('KEYS', '*:wait')), ...(await redis.command('KEYS', '*:active'))])
    count += await redis.command('LLEN', list)
  return count
}

try {
  const jobs = Number(values.jobs)
  const api = await open({ worker: false, transport: bullmq(redis.url) })
  await api.start()
  let most = 0
  let before = null
  const began = performance.now()
  for (let n = 0; n < jobs; n += 1000) {
    const calls = Array.from({ length: 10 }, (_, part) =>
      Array.from({ length: 100 }, (_, i) => ({
        body: { type: 'backlog', input: { n: n + part * 100 + i } },
        key: null,
      })),
    )
    await Promise.all(calls.map((items) => api.engine.submitBatch(LOCAL, items, null)))
    if (n % 50_000 === 0) most = Math.max(most, await held())
    before ??= await memory()
  }
  say('jobs stored', jobs)
  say('  a second', jobs / ((performance.now() - began) / 1000))
  say('most messages in Redis meanwhile', most)
  for (const kind of ['with the transport', 'without it']) {
    const transport = kind === 'without it' ? {} : { transport: bullmq(redis.url) }
    const hosts = []
    for (let i = 0; i < Number(values.hosts); i++) {
      const host = await open({ ...transport, worker: { slots: 16 } })
      hosts.push(host)
      await host.start()
    }
    await delay(2000)
    const done = async () => Number((await api.engine.check(LOCAL)).finished)
    const [first, at] = [await done(), performance.now()]
    most = 0
    for (const end = at + Number(values.seconds) * 1000; performance.now() < end; await delay(200))
      most = Math.max(most, await held())
    say(`done a second, ${hosts.length} hosts, ${kind}`, ((await done()) - first) / ((performance.now() - at) / 1000))
    if (kind !== 'without it') {
      say('most messages in Redis meanwhile', most)
      say('memory of Redis grown since the first jobs by', ((await memory()) - before) / 1024, 'KiB')
      for (const host of hosts) {
        const numbers = await host.engine.check(LOCAL)
        console.log(Object.fromEntries(Object.entries(numbers).filter(([name]) => /^(transport|redis)/.test(name))))
      }
    }
    await Promise.all(hosts.map((host) => host.stop()))
  }
  await api.stop()
} finally {
  await database.remove()
  await redis.remove()
}
