/**
 * A Redis that cannot be used says why, and what to do: each cause for real, at the start, to `doctor` and while a process
 * runs.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { redisCheck } from '../../src/cli/redis-check.js'
import { createUntildone, type Untildone } from '../../src/index.js'
import { sqlite } from '../../src/stores/sqlite/index.js'
import { systemClock } from '../../src/system/index.js'
import { type BullmqOptions, bullmq } from '../../src/transports/bullmq/index.js'
import { RedisServer as Server } from '../../src/transports/bullmq/server.js'
import { Jobs, until } from './hosts.js'
import { freePort } from './postgres.mjs'
import { REDIS_NEEDS, type RedisServer, redisProgram, startRedis } from './redis.mjs'

const OPENSSL_NEEDS = 'needs openssl; enable: apt-get install openssl'

const servers: RedisServer[] = []
const apps: Untildone[] = []
let errors: any[] = []
const folder = mkdtempSync(join(tmpdir(), 'untildone-tls-'))
const ca = join(folder, 'ca.crt')
const key = join(folder, 'ca.key')

beforeEach((context) => {
  if (!redisProgram()) return context.skip(REDIS_NEEDS)
  errors = []
})
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.stop()))
  await Promise.all(servers.splice(0).map((server) => server.remove()))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function redisWith(settings: Record<string, string | number> = {}): Promise<RedisServer> {
  const server = await startRedis({ settings })
  servers.push(server)
  return server
}

/** False where there is no openssl. */
function certified(): boolean {
  const about = ['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', ca, '-days', '2', ...about]
  return spawnSync('openssl', made, { stdio: 'ignore' }).status === 0
}

/** Its plain port is there too, for what tests do to it. */
async function redisWithTls(more: Record<string, string> = {}): Promise<{ server: RedisServer; host: string }> {
  const port = await freePort()
  const files = { 'tls-cert-file': ca, 'tls-key-file': key, 'tls-ca-cert-file': ca }
  const server = await redisWith({ 'tls-port': port, 'tls-auth-clients': 'no', ...files, ...more })
  return { server, host: `127.0.0.1:${port}` }
}

async function open(url: string, options: BullmqOptions = {}): Promise<Untildone> {
  const app = await createUntildone({
    ...{ store: sqlite(':memory:'), handlers: new Jobs().handlers, transport: bullmq(url, options) },
    onError: (error) => void errors.push(error),
  })
  apps.push(app)
  await app.start()
  return app
}
const state = async (app: Untildone) => (await app.engine.health()).checks.transport

/** The same from the app that starts with it, and from doctor. */
async function says(url: string, reason: string, message: RegExp, fix: RegExp, options: BullmqOptions = {}) {
  const app = await open(url, options)
  expect(await state(app)).toMatch(/^away since/)
  expect(errors).toMatchObject([
    {
      ...{ code: 'transport-away', params: { reason } },
      ...{ message: expect.stringMatching(message), fix: expect.stringMatching(fix) },
    },
  ])
  expect(await redisCheck(url)).toMatchObject([
    { state: 'bad', text: expect.stringMatching(message), fix: expect.stringMatching(fix) },
  ])
}

describe('why there is no connection, and what to do', () => {
  it('nothing listens on the port', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`
    await says(url, 'unreachable', /cannot be reached \(connect ECONNREFUSED/, /runs and that its address is right/)
  })

  it('nobody knows the host', async () => {
    await says('rediss://redis.invalid:6380', 'unknown-host', /redis\.invalid.* not known/, /name of the host/)
  })

  it('a certificate of a CA that is not trusted', async (context) => {
    if (!certified()) return context.skip(OPENSSL_NEEDS)
    const { host } = await redisWithTls()
    await says(`rediss://${host}`, 'certificate', /certificate is not trusted/, /NODE_EXTRA_CA_CERTS=\/path\/ca\.crt/)
  })

  it('and is trusted where the process was started with it', async (context) => {
    if (!certified()) return context.skip(OPENSSL_NEEDS)
    const { host } = await redisWithTls()
    expect(doctor(`rediss://${host}`, { NODE_EXTRA_CA_CERTS: ca }).stdout).toMatch(/✓ Redis .*noeviction/)
  })

  it('a certificate of another name', async (context) => {
    if (!certified()) return context.skip(OPENSSL_NEEDS)
    const { host } = await redisWithTls()
    // Trusted, so that its name is what is left to be wrong.
    const url = `rediss://${host.replace('127.0.0.1', 'localhost')}`
    const { stdout } = doctor(url, { NODE_EXTRA_CA_CERTS: ca })
    expect(stdout).toMatch(/certificate is not for this name/)
    expect(stdout).toMatch(/Use a name that the certificate has/)
  })

  it('rediss:// to a port without TLS', async () => {
    const { port } = await redisWith()
    await says(`rediss://127.0.0.1:${port}`, 'no-tls', /does not speak TLS/, /tls-port.*redis:\/\//)
  })

  it('redis:// to a port with TLS', async (context) => {
    if (!certified()) return context.skip(OPENSSL_NEEDS)
    const { host } = await redisWithTls()
    await says(`redis://${host}`, 'tls', /speaks TLS/, /rediss:\/\//)
  })

  it('a server that asks clients for a certificate', async (context) => {
    if (!certified()) return context.skip(OPENSSL_NEEDS)
    const { host } = await redisWithTls({ 'tls-auth-clients': 'yes' })
    const { stdout } = doctor(`rediss://${host}`, { NODE_EXTRA_CA_CERTS: ca })
    expect(stdout).toMatch(/asks for a certificate of the client/)
    expect(stdout).toMatch(/tls-auth-clients no/)
  })

  it('an end while TLS is being agreed on is quiet, whenever it comes', async (context) => {
    if (!certified()) return context.skip(OPENSSL_NEEDS)
    const { host } = await redisWithTls()
    const stray: Error[] = []
    const note = (error: Error) => void stray.push(error)
    process.on('uncaughtException', note)
    try {
      for (let i = 0; i < 100; i++) {
        const server = new Server(`rediss://${host}`, systemClock, 'probe')
        const opened = server.open()
        // Workers of BullMQ have one like this each.
        const copy = server.receiver.duplicate()
        copy.on('error', () => {})
        copy.connect().catch(() => {})
        await new Promise((resolve) => setTimeout(resolve, i % 20))
        copy.disconnect()
        server.close()
        await opened
      }
      await new Promise((resolve) => setTimeout(resolve, 500))
    } finally {
      process.off('uncaughtException', note)
    }
    expect(stray).toEqual([])
  })

  it('protected mode', async (context) => {
    const other = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
    const host = other.find(({ family, internal }) => family === 'IPv4' && !internal)?.address
    if (!host) return context.skip('needs a network')
    const { port } = await redisWith({ bind: '0.0.0.0' })
    const url = `redis://${host}:${port}`
    await says(url, 'protected', /protected mode/, /password/, { plaintext: true })
  })
})

describe('a database that there is not', () => {
  const refused = {
    ...{
      code: 'transport-away',
      params: { reason: 'database' },
      message: expect.stringContaining('no database of this number'),
    },
    fix: expect.stringMatching(/\/0.*databases/),
  }

  it('is refused, and nothing is written to another one', async () => {
    const redis = await redisWith()
    await expect(open(`${redis.url}/99`)).rejects.toMatchObject(refused)
    const { text, fix } = (await redisCheck(`${redis.url}/99`))[0]!
    expect({ message: text, fix }).toEqual({ message: refused.message, fix: refused.fix })
    expect(await redis.command('DBSIZE')).toBe(0)
    await open(`${redis.url}/15`)
  })

  it('any more when it comes back is not used, and nothing is written to another one', async () => {
    const redis = await redisWith()
    const app = await open(`${redis.url}/15`)
    await redis.stop()
    redis.settings = { ...redis.settings, databases: 2 }
    await redis.start()
    await until(() => errors.length === 2, 'the reason to be told')
    expect(errors[1]).toMatchObject({ code: 'transport-away', params: { reason: 'database' } })
    expect(await state(app)).toMatch(/^away/)
    expect(await redis.command('DBSIZE')).toBe(0)
  })
})

describe('why it is not used although it is back', () => {
  it.each<[string, Record<string, string>, object]>([
    [
      'with an eviction policy',
      { 'maxmemory-policy': 'allkeys-lru' },
      { code: 'transport-unsafe', params: { reason: 'eviction' }, fix: expect.stringContaining('noeviction') },
    ],
    [
      'with a password',
      { requirepass: 'secret' },
      { code: 'transport-away', params: { reason: 'refused' }, fix: expect.stringContaining('user:password@') },
    ],
  ])('%s: that is told too, once', async (_, settings, expected) => {
    const redis = await redisWith()
    const app = await open(redis.url)
    await redis.stop()
    await until(() => errors.length === 1, 'it to be missed')
    const before = redis.settings
    redis.settings = { ...before, ...settings }
    await redis.start()
    await until(() => errors.length === 2, 'the reason to be told')
    expect(errors).toMatchObject([{ code: 'transport-away', params: { reason: 'unreachable' } }, expected])
    redis.settings = before
    await redis.restart()
    await until(async () => (await state(app)) === 'ok', 'it to be used')
    expect(errors).toHaveLength(2)
  })
})

describe('while it is used', () => {
  it('memory that is full says so, with a fix of its own', async () => {
    const redis = await redisWith()
    const app = await open(redis.url)
    await redis.command('CONFIG', 'SET', 'maxmemory', 1)
    await until(async () => (await state(app)) !== 'ok', 'it to be noticed')
    const full = /is full.*OOM/
    const fix = expect.stringMatching(/maxmemory.*other keys/)
    expect(errors).toMatchObject([
      { code: 'transport-away', message: expect.stringMatching(full), params: { reason: 'full' }, fix },
    ])
    expect(await redisCheck(redis.url)).toMatchObject([{ state: 'bad', text: expect.stringMatching(full), fix }])
  })

  it('a server that has become a replica says so', async () => {
    const redis = await redisWith()
    const app = await open(redis.url)
    await redis.command('REPLICAOF', '127.0.0.1', await freePort())
    await until(async () => (await state(app)) !== 'ok', 'it to be noticed')
    expect(errors).toMatchObject([
      {
        params: { reason: 'replica' },
        message: expect.stringMatching(/is a replica/),
        fix: expect.stringMatching(/primary/),
      },
    ])
  })

  it('an eviction policy that is set is noticed, told, and forgiven when it is right again', async () => {
    const redis = await redisWith()
    const app = await open(redis.url)
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await until(async () => (await state(app)) !== 'ok', 'it to be noticed', 15_000)
    expect(errors).toMatchObject([
      { code: 'transport-unsafe', message: expect.stringContaining('allkeys-lru'), params: { reason: 'eviction' } },
    ])
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await until(async () => (await state(app)) === 'ok', 'it to be used', 5000)
    expect(errors).toHaveLength(1)
  })
})

/** In a process of its own, whose trust in certificates is its own. */
function doctor(url: string, env: Record<string, string>) {
  const args = ['bin/untildone.js', 'doctor', '--data', folder, '--redis', url]
  return spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 30_000 })
}
