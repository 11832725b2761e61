/**
 * Redis that loses, refuses, freezes or goes away: every job is done once all the same, workers ask the store meanwhile,
 * and what happened is said once.
 */
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest'
import { redisCheck } from '../../src/cli/redis-check.js'
import { createUntildone } from '../../src/index.js'
import { sqlite } from '../../src/stores/sqlite/index.js'
import { systemClock as clock } from '../../src/system/index.js'
import { type BullmqOptions, bullmq } from '../../src/transports/bullmq/index.js'
import { inspectRedis } from '../../src/transports/bullmq/inspect.js'
import { Hosts, Jobs, until } from './hosts.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { startProxy } from './proxy.mjs'
import { REDIS_NEEDS, type RedisServer, redisProgram, startRedis } from './redis.mjs'

const postgresUrl = inject('postgres')
const needs = redisProgram() ? (postgresUrl ? null : POSTGRES_NEEDS) : REDIS_NEEDS

let redis: RedisServer
let hosts: Hosts
let jobs: Jobs
beforeEach(async (context) => {
  if (needs) return context.skip(needs)
  redis = await startRedis()
  hosts = new Hosts(postgresUrl!, redis)
  jobs = new Jobs()
})
afterEach(async () => {
  redis?.signal('SIGCONT')
  await hosts?.stop()
  await redis?.remove()
})

const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)
const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)

async function apart(slots = 4) {
  const worker = await hosts.start(jobs, { worker: { slots, drainMs: 0 } })
  const api = await hosts.start(jobs, { worker: false })
  const submit = (numbers: readonly number[]) => Promise.all(numbers.map((n) => api.submit('quick', { n })))
  return { worker, api, submit }
}
const allRan = (count: number, ms?: number) => until(() => jobs.ran.length >= count, `${count} to run`, ms)
const away = () => hosts.errors.filter(({ code }) => code === 'transport-away')
const state = async (app: Awaited<ReturnType<typeof apart>>['api']) => (await app.engine.health()).checks.transport

describe('Redis that loses everything', () => {
  it('FLUSHALL while jobs wait: they are announced again within seconds', async () => {
    const { submit } = await apart()
    const release = jobs.hold()
    await submit(range(40))
    await allRan(4)
    await until(async () => (await hosts.messages()) > 8, 'the window to fill')
    await redis.command('FLUSHALL')
    release()
    await allRan(40, 20_000)
    expect(sorted(jobs.ran)).toEqual(range(40))
    expect(hosts.errors).toEqual([])
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
  }, 40_000)

  it('killed and back with nothing, again and again', async () => {
    const { submit, api } = await apart()
    let n = 0
    for (let round = 0; round < 3; round++) {
      await submit(range(30, n))
      n += 30
      await redis.restart('kill')
    }
    await allRan(n, 30_000)
    expect(sorted(jobs.ran)).toEqual(range(n))
    await until(async () => (await state(api)) === 'ok', 'it to be back')
    // And it works as before.
    await submit([1000])
    await until(() => jobs.ran.includes(1000), 'one more')
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
  }, 60_000)
})

describe('Redis that is away', () => {
  it('jobs are accepted and done, it is said once, and it is used again when it is back', async () => {
    const { submit, worker, api } = await apart()
    await submit(range(5))
    await allRan(5)
    await redis.stop()
    await until(async () => (await state(worker)) !== 'ok' && (await state(api)) !== 'ok', 'both to notice', 8000)
    await submit(range(50, 5))
    await allRan(55)
    expect(away()).toHaveLength(2)
    expect(away()[0]).toMatchObject({
      message: expect.stringContaining('claimed from the store'),
      fix: expect.any(String),
    })
    expect((await api.engine.health()).status).toBe('degraded')
    expect(await state(api)).toMatch(/^away since 20.*: claiming from the store$/)
    expect(await hosts.numbers(api)).toMatchObject({ transport: 'bullmq', transportAwaySince: expect.any(String) })
    await redis.start()
    await until(async () => (await state(worker)) === 'ok' && (await state(api)) === 'ok', 'both to come back')
    const before = (await hosts.numbers(worker)).transportClaimed
    await submit(range(20, 100))
    await allRan(75)
    expect((await hosts.numbers(worker)).transportClaimed).toBeGreaterThan(before)
    expect(sorted(jobs.ran)).toEqual([...range(55), ...range(20, 100)])
    expect(away()).toHaveLength(2)
  }, 60_000)

  it('its lines fall silent, as behind a firewall that forgets: they are opened again within seconds', async () => {
    const proxy = await startProxy({ host: '127.0.0.1', port: redis.port })
    const url = { value: proxy.through(redis.url) }
    hosts = new Hosts(postgresUrl!, Object.create(redis, { url }))
    try {
      const { submit, worker } = await apart()
      await submit(range(5))
      await allRan(5)
      proxy.silence()
      await until(async () => (await state(worker)) !== 'ok', 'it to notice')
      await submit(range(5, 5))
      await allRan(10)
      await until(async () => (await state(worker)) === 'ok', 'it to be back')
      const before = (await hosts.numbers(worker)).transportClaimed
      for (let n = 10; (await hosts.numbers(worker)).transportClaimed === before; n++) {
        await submit([n])
        await allRan(n + 1)
      }
    } finally {
      await hosts.stop()
      await proxy.close()
    }
  }, 60_000)

  it('frozen: noticed within seconds, nothing waits for it, not even the end', async () => {
    const { submit, worker } = await apart()
    await submit([0])
    await allRan(1)
    redis.signal('SIGSTOP')
    await submit(range(20, 1))
    await allRan(21)
    expect(await state(worker)).toMatch(/^away/)
    const began = Date.now()
    await hosts.stop()
    expect(Date.now() - began).toBeLessThan(12_000)
    expect(sorted(jobs.ran)).toEqual(range(21))
  }, 60_000)

  it('frozen for a while: what it had held back does nothing when it goes on', async () => {
    const { submit, worker } = await apart()
    const release = jobs.hold()
    await submit(range(30))
    await allRan(4)
    redis.signal('SIGSTOP')
    await until(async () => (await state(worker)) !== 'ok', 'it to be noticed')
    release()
    await allRan(30)
    redis.signal('SIGCONT')
    await until(async () => (await state(worker)) === 'ok', 'it to be back')
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    expect(sorted(jobs.ran)).toEqual(range(30))
  }, 60_000)

  it('not there at the start: the app starts, works, and uses it once it is there', async () => {
    await redis.stop()
    const { submit, api } = await apart()
    await submit(range(5))
    await allRan(5)
    expect(away()).toHaveLength(2)
    await redis.start()
    await until(async () => (await state(api)) === 'ok', 'it to be there')
  }, 40_000)

  it('full: a server that refuses writes counts as away, although it answers', async () => {
    const { submit, api } = await apart()
    await redis.command('CONFIG', 'SET', 'maxmemory', 1)
    await until(async () => (await state(api)) !== 'ok', 'it to be noticed')
    await submit(range(10))
    await allRan(10)
    await redis.command('CONFIG', 'SET', 'maxmemory', 0)
    await until(async () => (await state(api)) === 'ok', 'it to be back')
    await submit(range(10, 10))
    await allRan(20)
    expect(sorted(jobs.ran)).toEqual(range(20))
  }, 40_000)
})

describe('Redis that is not fit', () => {
  const open = (url: string, options: BullmqOptions = {}) =>
    createUntildone({ store: sqlite(':memory:'), handlers: jobs.handlers, transport: bullmq(url, options) })

  it('an eviction policy that throws away messages is refused, with what to do', async () => {
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await expect(open(redis.url)).rejects.toMatchObject({
      code: 'transport-unsafe',
      message: expect.stringContaining('allkeys-lru'),
      fix: expect.stringContaining('noeviction'),
      params: { reason: 'eviction' },
    })
  })

  it('one that comes back with such a policy is not used, and that is said', async () => {
    const { submit, api } = await apart()
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru')
    await redis.command('CLIENT', 'KILL', 'TYPE', 'normal')
    await until(async () => (await state(api)) !== 'ok', 'it to be noticed')
    await submit([1])
    await allRan(1)
    expect(await state(api)).toMatch(/^away/)
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await until(async () => (await state(api)) === 'ok', 'it to be back')
  }, 40_000)

  it('a wrong password says so; the right one stands in the address', async () => {
    await redis.command('CONFIG', 'SET', 'requirepass', 'secret')
    const refused = { code: 'transport-away', params: { reason: 'refused' }, fix: expect.stringContaining('redis://') }
    await expect(open(redis.url)).rejects.toMatchObject(refused)
    await expect(open(redis.url.replace('//', '//:wrong@'))).rejects.toMatchObject(refused)
    const app = await open(redis.url.replace('//', '//:secret@'))
    expect((await app.engine.health()).checks.transport).toBe('ok')
    expect(JSON.stringify(await app.engine.health())).not.toContain('secret')
    await app.stop()
  })

  // Nobody is there: whether it would be talked to is decided before.
  it.each([
    ['redis://user:secret@192.0.2.1:1', {}],
    ['redis://127.example:1', {}],
    ['redis://localhost.example:1', {}],
  ])('%s is on another host and asks for no TLS: refused, with what to do', async (url, options) => {
    await expect(open(url, options)).rejects.toMatchObject({
      ...{ code: 'transport-unsafe', params: { reason: 'plaintext' } },
      message: expect.not.stringContaining('secret'),
      fix: expect.stringMatching(/rediss:.*plaintext: true.*--redis-plaintext/),
    })
  })

  it.each([
    ['rediss://redis.invalid:1', {}],
    ['redis://redis.invalid:1', { plaintext: true }],
    ['redis://127.0.0.9:1', {}],
    ['redis://[::1]:1', {}],
    ['redis://LOCALHOST:1', {}],
  ])('%s %j is waited for', async (url, options) => {
    const app = await open(url, options)
    expect((await app.engine.health()).checks.transport).toMatch(/^away/)
    await app.stop()
  })

  it.each([
    ['localhost:6379', /redis:\/\//],
    ['http://localhost:6379', /redis:\/\//],
    ['redis://a:b', /redis:\/\/user:password@host:6379/],
    ['redis://:50%@localhost', /%25/],
    ['redis://localhost/main', /number/],
  ])('%s is no address', (url, what) => {
    expect(() => bullmq(url)).toThrow(TypeError)
    expect(() => bullmq(url)).toThrow(what)
  })
})

describe('beside other stores', () => {
  it('one process on SQLite works the same', async () => {
    const app = await createUntildone({
      ...{ store: sqlite(':memory:'), handlers: jobs.handlers, transport: bullmq(redis.url) },
      onError: (error) => void hosts.errors.push(error),
    })
    await app.start()
    await Promise.all(range(100).map((n) => app.submit('quick', { n })))
    await allRan(100)
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty')
    expect(await hosts.numbers(app)).toMatchObject({ redisVersion: expect.any(String), redisEviction: 'noeviction' })
    await app.stop()
    expect(sorted(jobs.ran)).toEqual(range(100))
    expect(hosts.errors).toEqual([])
  })

  it('two systems on one Redis see nothing of each other', async () => {
    const other = new Hosts(postgresUrl!, redis)
    const theirs = new Jobs()
    const { submit } = await apart()
    const app = await other.start(theirs)
    await submit(range(30))
    await Promise.all(range(30, 500).map((n) => app.submit('quick', { n })))
    await allRan(30)
    await until(() => theirs.ran.length === 30, 'theirs')
    expect(sorted(jobs.ran)).toEqual(range(30))
    expect((await hosts.numbers(app)).transportDropped).toBe(0)
    await other.stop()
  })
})

describe('a host that dies with a message in its hand', () => {
  it('its job runs within seconds, and the message does not stay', async () => {
    const { submit } = await apart()
    await submit([0])
    await allRan(1)
    const meta = (await hosts.keys('*:meta'))[0]!
    const prefix = meta.slice(0, meta.lastIndexOf(':default:'))
    const release = jobs.hold()
    await submit(range(4, 1))
    await allRan(5)
    // All slots are busy, so the next ones are fetched by somebody who never answers and is gone.
    const { Worker } = await import('bullmq')
    let fetched = 0
    const never = new Promise<void>(() => {})
    const fetch = () => {
      fetched++
      return never
    }
    const dying = new Worker('default', fetch, {
      ...{ connection: { host: '127.0.0.1', port: redis.port }, prefix, concurrency: 4, lockDuration: 1000 },
      ...{ skipLockRenewal: true, skipStalledCheck: true },
    })
    dying.on('error', () => {})
    await submit(range(4, 5))
    await until(() => fetched > 0, 'it to fetch one')
    await dying.disconnect()
    release()
    await allRan(9, 25_000)
    expect(sorted(jobs.ran)).toEqual(range(9))
    await until(async () => (await hosts.messages()) === 0, 'Redis to be empty', 25_000)
  }, 60_000)
})

describe('a cluster', () => {
  it('every key of a queue is in one slot, which Redis in cluster mode insists on', async () => {
    const cluster = await startRedis({ settings: { 'cluster-enabled': 'yes' } })
    const other = new Hosts(postgresUrl!, cluster)
    try {
      await cluster.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
      await until(async () => /cluster_state:ok/.test(await cluster.command('CLUSTER', 'INFO')), 'the cluster')
      const app = await other.start(jobs)
      await Promise.all(range(50).map((n) => app.submit('quick', { n })))
      await allRan(50)
      expect((await other.numbers(app)).transportClaimed).toBeGreaterThan(40)
      const keys = (await other.keys()).filter((key) => key.includes(':default:'))
      const slots = await Promise.all(keys.map((key) => cluster.command('CLUSTER', 'KEYSLOT', key)))
      expect(keys.length).toBeGreaterThan(2)
      expect(new Set(slots).size).toBe(1)
      expect(other.errors).toEqual([])
    } finally {
      await other.stop()
      await cluster.remove()
    }
  })
})

describe('doctor', () => {
  it('how long a write takes is said of a line that is warm, and of more than one write', async () => {
    let time = 0
    let asked = 0
    // The first write takes 24 ms, the third 9, all others one.
    const monotonic = () => {
      asked++
      if (asked % 2 === 0) time += asked === 2 ? 24 : asked === 6 ? 9 : 1
      return time
    }
    expect((await inspectRedis(redis.url, { ...clock, monotonic })).latencyMs).toBe(1)
  })

  it('says what Redis is, and what is wrong with it', async () => {
    expect(await redisCheck(redis.url)).toMatchObject([
      {
        what: 'Redis',
        state: expect.stringMatching(/ok|note/),
        text: expect.stringMatching(/^\d.* at 127\.0\.0\.1:\d+, noeviction; a write takes .* ms$/),
      },
    ])
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    expect(await redisCheck(redis.url)).toMatchObject([{ state: 'bad', fix: expect.stringContaining('noeviction') }])
    await redis.stop()
    expect(await redisCheck(redis.url)).toMatchObject([
      { state: 'bad', text: expect.stringContaining('cannot be reached') },
    ])
  })
})
