/**
 * BullMQ as a transport over a real Redis and a real PostgreSQL: the whole path, several hosts on one store, what is
 * decided late, and that a window is all that Redis ever holds.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { LOCAL } from '../../src/engine/api.js'
import { Hosts, Jobs, until } from './hosts.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { REDIS_NEEDS, type RedisServer, redisProgram, startRedis } from './redis.mjs'

const postgresUrl = inject('postgres')
const needs = redisProgram() ? (postgresUrl ? null : POSTGRES_NEEDS) : REDIS_NEEDS

let redis: RedisServer
let hosts: Hosts
let jobs: Jobs
beforeAll(async () => {
  if (!needs) redis = await startRedis()
})
afterAll(() => redis?.remove())
beforeEach(async (context) => {
  if (needs) return context.skip(needs)
  await redis.command('FLUSHALL')
  hosts = new Hosts(postgresUrl!, redis)
  jobs = new Jobs()
})
afterEach(() => hosts?.stop())

describe('the whole path', () => {
  it('a job that one host accepts runs on another one, and nothing of it stays in Redis', async () => {
    const worker = await hosts.start(jobs)
    const api = await hosts.start(jobs, { worker: false })
    const { id } = await api.submit('quick', { n: 1 })
    await until(async () => (await api.engine.get(LOCAL, id)).done, 'the end of the job')
    expect(jobs.ran).toEqual([1])
    expect(await hosts.numbers(worker)).toMatchObject({ transportClaimed: 1, transportReturned: 0 })
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    expect(hosts.errors).toEqual([])
  })

  it('a job that a host accepts starts without the way over Redis where a worker beside the relay does nothing', async () => {
    const worker = await hosts.start(jobs, { bullmq: { direct: true } })
    const api = await hosts.start(jobs, { worker: false, bullmq: { direct: true } })
    const direct = async () => (await hosts.numbers(worker)).transportDirect
    // Two that have just begun may not know of each other yet.
    let n = 0
    while ((await direct()) === 0) {
      const { id } = await api.submit('quick', { n: ++n })
      await until(async () => (await api.engine.get(LOCAL, id)).done, 'the end of the job')
    }
    const { transportClaimed } = await hosts.numbers(worker)
    expect(transportClaimed).toBe(n - 1)
    expect(jobs.ran).toHaveLength(n)
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    expect(hosts.errors).toEqual([])
  })
})

/** Numbers from `from` on. */
const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)
const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)

/** An API that runs nothing, and a worker beside it to which all jobs come through Redis. */
async function apart(options: { slots?: number; window?: number } = {}) {
  const { slots = 4, window } = options
  const bullmq = window === undefined ? {} : { window }
  const worker = await hosts.start(jobs, { worker: { slots, drainMs: 0 }, bullmq })
  const api = await hosts.start(jobs, { worker: false, bullmq })
  const submit = (numbers: readonly number[], type = 'quick', more = {}) =>
    Promise.all(numbers.map((n) => api.submit(type, { n }, more)))
  return { worker, api, submit }
}

const underWay = async () => {
  const lists = [...(await hosts.keys('*:wait')), ...(await hosts.keys('*:active'))]
  const lengths = await Promise.all(lists.map((list) => redis.command('LLEN', list)))
  return lengths.reduce((sum, n) => sum + n, 0)
}

describe('many hosts', () => {
  it('each job once, on whichever host, and every host gets some', async () => {
    const slots = 8
    const first = [await hosts.start(jobs, { worker: { slots } }), await hosts.start(jobs, { worker: { slots } })]
    const { submit, worker } = await apart({ slots })
    const workers = [worker, ...first]
    let count = 0
    // Who is quicker has no more than its slots until the others have as many. Until it is known who is there, they look
    // for themselves.
    await until(async () => {
      const release = jobs.hold()
      await submit(range(100, count))
      await until(() => jobs.ran.length >= count + workers.length * slots, 'every slot of every host to be taken')
      release()
      count += 100
      await until(() => jobs.ran.length >= count, 'all to have run')
      const told = await Promise.all(workers.map((one) => hosts.numbers(one)))
      return told.every(({ transportClaimed }) => transportClaimed > 20)
    }, 'every host to have got some')
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    expect(sorted(jobs.ran)).toEqual(range(count))
  })

  it('a host without room does not keep messages from one that has some', async () => {
    const release = jobs.hold()
    await hosts.start(jobs, { worker: { slots: 2 } })
    const { submit } = await apart({ slots: 2 })
    await submit(range(4))
    await until(() => jobs.ran.length === 4, 'four to run')
    await submit(range(6, 4))
    const third = new Jobs()
    await hosts.start(third, { worker: { slots: 8 } })
    await until(() => third.ran.length === 6, 'the third host to run the rest')
    release()
  })

  it('a host that stops gives back what it had fetched, and another one runs it', async () => {
    const release = jobs.hold()
    const { submit, worker } = await apart({ slots: 1 })
    await submit(range(6))
    await until(() => jobs.ran.length === 1, 'the first')
    await until(
      async () => (await redis.command('LLEN', (await hosts.keys('*:active'))[0] ?? 'none')) > 0,
      'a held one',
    )
    const second = new Jobs()
    await hosts.start(second)
    release()
    await hosts.stop(worker)
    await until(() => jobs.ran.length + second.ran.length >= 6, 'the others')
    expect(new Set([...jobs.ran, ...second.ran])).toEqual(new Set(range(6)))
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
  })

  it('jobs of a type that not every worker of the queue has are not announced, and run all the same', async () => {
    const few = new Jobs()
    few.handlers.splice(2)
    await hosts.start(few)
    const { submit } = await apart()
    await submit(range(20), 'rare')
    await until(() => jobs.ran.length === 20, 'all to have run')
    expect(few.ran).toEqual([])
  })
})

describe('where many wait', () => {
  it('several of a lane travel as one, and each of them is claimed once', async () => {
    const release = jobs.hold()
    const worker = await hosts.start(jobs, { worker: { slots: 128, drainMs: 0 }, bullmq: {} })
    const api = await hosts.start(jobs, { worker: false, bullmq: {} })
    await api.engine.pauseQueue(LOCAL, 'default', { reason: 'Until all are there.' })
    await Promise.all(range(400).map((n) => api.submit(n % 2 ? 'quick' : 'other', { n })))
    await api.engine.resumeQueue(LOCAL, 'default', { reason: 'All are there.' })
    await until(() => jobs.ran.length === 128, 'all slots to be taken')
    const added = (await Promise.all((await hosts.keys('*:id')).map((key) => redis.command('GET', key)))).map(Number)
    // What BullMQ numbers are its jobs: fewer than the messages in them.
    expect(Math.max(...added)).toBeLessThan(Number((await hosts.numbers(worker)).transportAnnounced) / 2)
    release()
    await until(() => jobs.ran.length >= 400, 'all to have run')
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    expect(sorted(jobs.ran)).toEqual(range(400))
  })
})

describe('deliveries that should not be', () => {
  it('ten of the same, and one long after its end, run nothing twice', async () => {
    const { submit, worker, api } = await apart()
    const [handle] = await submit([1])
    await until(async () => (await api.engine.get(LOCAL, handle!.id)).done, 'the end')
    const [meta] = await hosts.keys('*:meta')
    const prefix = meta!.slice(0, meta!.lastIndexOf(':default:'))
    const { Queue } = await import('bullmq')
    const queue = new Queue('default', { connection: { host: '127.0.0.1', port: redis.port }, prefix })
    const message = (jobId: string, dispatchNo: number) => ({
      name: 'default/quick/default',
      data: { messages: [[jobId, dispatchNo]] },
      opts: { jobId: `${jobId}-${dispatchNo}`, removeOnComplete: true },
    })
    await queue.addBulk(range(10, 1).map((no) => message(handle!.id, no)))
    await queue.addBulk([message('nobody', 1), { name: 'nonsense', data: 'what?' as any }])
    await until(async () => (await hosts.numbers(worker)).transportDropped >= 11, 'all to be dropped')
    const release = jobs.hold()
    const [running] = await submit([2])
    await until(() => jobs.ran.length === 2, 'the second')
    await queue.addBulk(range(10, 1).map((no) => message(running!.id, no)))
    await until(async () => (await hosts.numbers(worker)).transportDropped >= 21, 'all to be dropped')
    release()
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    await queue.close()
    expect(jobs.ran).toEqual([1, 2])
  })
})

describe('what is decided late', () => {
  it('priority: what is urgent goes before all that was announced before it', async () => {
    const { submit } = await apart({ slots: 1 })
    const release = jobs.hold()
    await submit([0])
    await until(() => jobs.ran.length === 1, 'the first')
    await submit(range(3, 1), 'quick', { priority: -10 })
    await until(async () => (await underWay()) >= 3, 'the announcements')
    await submit([100, 101], 'quick', { priority: 90 })
    release()
    await until(() => jobs.ran.length === 6, 'all')
    expect(jobs.ran).toEqual([0, 100, 101, 1, 2, 3])
  })

  it('order: first in, first out, however often messages go back and forth', async () => {
    const { submit, worker } = await apart({ slots: 1 })
    const release = jobs.hold()
    for (const n of range(12)) await submit([n])
    await until(async () => (await hosts.numbers(worker)).transportReturned >= 3, 'some to be given back')
    release()
    await until(() => jobs.ran.length === 12, 'all')
    expect(jobs.ran).toEqual(range(12))
  })

  it('fairness: a lane full of work keeps no other lane of its queue waiting', async () => {
    const { submit } = await apart({ slots: 2 })
    await submit(range(200))
    await submit([1000], 'rare')
    await until(() => jobs.ran.includes(1000), 'the rare one')
    const before = jobs.ran.indexOf(1000)
    expect(before).toBeLessThan(120)
    await until(() => jobs.ran.length === 201, 'all')
  })

  it('pause and cancel: what was announced does not start', async () => {
    const { submit, api } = await apart({ slots: 1 })
    const release = jobs.hold()
    await submit([0])
    await until(() => jobs.ran.length === 1, 'the first')
    const [one, two] = await submit([1, 2])
    await until(async () => (await underWay()) >= 2, 'the announcements')
    await one!.cancel()
    await api.engine.pauseQueue(LOCAL, 'default', { reason: 'a test' })
    release()
    await until(async () => (await hosts.messages()) === 0, 'the messages to be dropped')
    expect(jobs.ran).toEqual([0])
    await api.engine.resumeQueue(LOCAL, 'default', { reason: 'a test' })
    await until(async () => (await two!.get()).done, 'the other one')
    expect(jobs.ran).toEqual([0, 2])
  })

  it('limits and delays: not before their time, and no message while they wait', async () => {
    const { submit } = await apart()
    await submit([1], 'quick', { runAt: new Date(Date.now() + 5000) })
    // What has come later has been announced, run and forgotten.
    await submit([2])
    await until(() => jobs.ran.length === 1, 'the one without a delay')
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    expect(await underWay()).toBe(0)
    expect(jobs.ran).toEqual([2])
    await until(() => jobs.ran.length === 2, 'its time')
    expect(jobs.ran).toEqual([2, 1])
  })
})

describe('the window', () => {
  it('is all that Redis holds of 10 000 jobs, and its memory does not grow with them', async () => {
    const release = jobs.hold()
    const { submit, api } = await apart({ slots: 4, window: 16 })
    await submit(range(100))
    await until(() => jobs.ran.length === 4, 'four to run')
    const memory = async () => Number(/used_memory_dataset:(\d+)/.exec(await redis.command('INFO', 'memory'))![1])
    const few = await memory()
    for (const part of range(10)) {
      const items = range(990, 100 + part * 990).map((n) => ({ body: { type: 'quick', input: { n } }, key: null }))
      for (let i = 0; i < items.length; i += 99) await api.engine.submitBatch(LOCAL, items.slice(i, i + 99), null)
      expect(await underWay()).toBeLessThanOrEqual(16)
    }
    expect((await memory()) - few).toBeLessThan(100_000)
    release()
    let most = 0
    // For so long that the window was filled a hundred times.
    await until(
      async () => {
        most = Math.max(most, await underWay())
        return jobs.ran.length >= 1600
      },
      'enough to have run',
      60_000,
    )
    // What was just claimed stays until it is acknowledged.
    expect(most).toBeLessThanOrEqual(16 + 8)
    expect(new Set(jobs.ran).size).toBe(jobs.ran.length)
  }, 120_000)
})
