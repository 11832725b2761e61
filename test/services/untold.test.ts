// Processes that are not told of each other's changes: what one waits for comes to its end all the same, within seconds.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { Reader } from '../../src/server/fakes/reader.js'
import { Cast, type Member, type Start } from './cast.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { type Visit, World } from './world.js'

const server = inject('postgres')
/** Longer than two looks of whoever is told nothing and does not know it yet, on a busy machine. */
const SECONDS = 10_000

describe.skipIf(!server).each([
  ['whose lines for it are cut again and again', {}, true],
  ['that say there is a pooler', { program: 'member.mjs' }, false],
] as [string, Start, boolean][])('processes %s', { timeout: 60_000 }, (_name, how, listens) => {
  let world: World
  let cast: Cast
  let [one, two] = [] as unknown as [Member, Member]
  let cutting = listens
  let cuts = 0
  let cutter: Promise<void>

  const member = (name: string, roles: string) => cast.start(name, { roles, env: { ROLES: roles }, ...how })
  const LISTENING = `from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
    and (query like 'listen %' or query like 'select pg_notify(%')`

  beforeAll(async () => {
    world = await World.open()
    cast = await Cast.open(server!, { WORLD: world.url })
    await member('first', 'worker,maintenance')
    ;[one, two] = await Promise.all([member('one', 'api'), member('two', 'api'), member('second', 'worker')])
    cutter = (async () => {
      while (cutting) {
        cuts += (await cast.query(`select pg_terminate_backend(pid) ${LISTENING}`)).length
        await delay(20)
      }
    })()
    // What went wrong with it is said at the end, where it is waited for.
    cutter.catch(() => {})
  }, 60_000)
  afterEach(() => world.releaseAll())
  afterAll(async () => {
    cutting = false
    await cutter
    await cast?.close()
    await world?.close()
  })

  it('begin, tell and end what was submitted elsewhere', async () => {
    world.hold('go')
    const ids = await Promise.all(
      Array.from({ length: 6 }, async () => (await one.client.submit('walk', { points: ['go'] }, { group: 'g' })).id),
    )
    const visits = await world.reached('go', 6)
    const stream = new Reader(await fetch(`${two.url}/v1/groups/g/events/stream`))
    const begun = performance.now()
    const told = new Set<string>()
    const streamed = (async () => {
      for (;;) {
        // Whoever may have missed something is told of the jobs as they are.
        const { event, data } = (await stream.take(1))[0]!
        if (event === 'job.completed') told.add(data.data.jobId)
        expect(event, JSON.stringify(data)).not.toBe('end')
        if (event === 'snapshot' && data.job.status === 'completed') told.add(data.job.id)
        if (told.size === ids.length) return
      }
    })()
    const results = Promise.all(ids.map((id) => two.client.result<{ by: string[] }>(id, { timeout: SECONDS })))
    const watched = (async () => {
      const seen: string[] = []
      for await (const { status } of two.client.watch(ids[0]!)) seen.push(status)
      return seen.at(-1)
    })()
    world.release('go')
    const byJob = new Map(visits.map(({ job, worker }) => [job, worker]))
    const [ends, last] = await Promise.all([results, watched, streamed])
    expect(ends).toEqual(ids.map((id) => ({ by: [byJob.get(id)] })))
    expect(last).toBe('completed')
    expect(performance.now() - begun).toBeLessThan(SECONDS)
    await stream.cancel()
  })

  it('stop what was cancelled elsewhere, and go on when a signal came there', async () => {
    world.hold('stop')
    const { id } = await one.client.submit('walk', { points: ['stop'] })
    await world.reached('stop')
    const begun = performance.now()
    await two.client.cancel(id)
    const [stopped] = (await world.reached('stop, stopped')) as [Visit]
    expect(stopped.job).toBe(id)
    await expect(one.client.result(id, { timeout: SECONDS })).rejects.toThrow(/[Cc]ancelled/)
    const waiting = await one.client.submit('wait', { point: 'meet', legs: 2 })
    const visit = (await world.some(({ job }) => job === waiting.id)) as Visit
    await two.client.signal(waiting.id, 'paid', { by: 'card' })
    const body = JSON.stringify({ outcome: 'completed', payload: { text: 'Dear all' } })
    const headers = { 'content-type': 'application/json' }
    const at = `${two.url}${new URL(visit.point.slice(5)).pathname}`
    expect((await fetch(at, { method: 'POST', body, headers })).status).toBe(200)
    expect(await one.client.result(waiting.id, { timeout: SECONDS })).toMatchObject({
      paidBy: 'card',
      text: 'Dear all',
    })
    expect(performance.now() - begun).toBeLessThan(SECONDS)
  })

  it(listens ? 'and come back to the line each time' : 'and keep no line for it', async () => {
    if (listens) return expect(cuts).toBeGreaterThan(8)
    expect(await cast.query(`select query ${LISTENING}`)).toEqual([])
  })
})

if (!server)
  describe('processes that are told nothing', () => {
    it('look for themselves', (context) => context.skip(POSTGRES_NEEDS))
  })
