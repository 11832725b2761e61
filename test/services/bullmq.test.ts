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
})
