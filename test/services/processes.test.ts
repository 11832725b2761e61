// Two servers and several workers, each a process, on one PostgreSQL: asked, told and stopped through public interfaces only.
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import type { WireJob } from '../../src/core/wire.js'
import { Reader } from '../../src/server/fakes/reader.js'
import { SocketClient } from '../../src/server/fakes/socket.js'
import { until } from '../../src/testing/until.js'
import { Cast, LEASE_MS, type Member } from './cast.js'
import { POSTGRES_NEEDS } from './postgres.mjs'
import { type Visit, World } from './world.js'

const server = inject('postgres')
/** Of each worker. */
const SLOTS = 4

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

if (server)
  describe('processes on one database', { timeout: 60_000 }, () => {
    let world: World
    let cast: Cast
    let [one, two, first, second] = [] as unknown as [Member, Member, Member, Member]

    beforeAll(async () => {
      world = await World.open()
      cast = await Cast.open(server!, { WORLD: world.url })
      // It does the upkeep: the others find it done.
      first = await cast.start('first', { roles: 'worker,maintenance' })
      ;[one, two, second] = await Promise.all([
        cast.start('one', { roles: 'api' }),
        cast.start('two', { roles: 'api' }),
        cast.start('second', { roles: 'worker' }),
      ])
    }, 60_000)
    // What a failed test has left must not take places from the next one.
    afterEach(() => world.releaseAll())
    afterAll(async () => {
      await cast?.close()
      await world?.close()
    })

    /** As many jobs as two workers have places, all held at the point: each worker has its share. */
    async function spread(point: string): Promise<Map<string, Visit[]>> {
      world.hold(point)
      const submits = Array.from({ length: 2 * SLOTS }, () => one.client.submit('walk', { points: [point] }))
      await Promise.all(submits)
      const visits = await world.reached(point, 2 * SLOTS)
      const by = new Map<string, Visit[]>()
      for (const visit of visits) by.set(visit.worker, [...(by.get(visit.worker) ?? []), visit])
      return by
    }
    const ends = (visits: readonly Visit[], member = two) =>
      Promise.all(visits.map(({ job }) => member.client.result<{ by: string[] }>(job, { timeout: '30s' })))

    it('submitted at one server, a job is read, waited for and told of at the other', async () => {
      for (const point of ['a', 'b']) world.hold(point)
      const { id } = await one.client.submit('walk', { points: ['a', 'b'] }, { group: 'told' })
      const [{ worker }] = (await world.reached('a')) as [Visit]
      expect(['first', 'second']).toContain(worker)
      await until(async () => (await two.client.get(id)).statusText === 'Towards a', 'what the job says')
      expect(await two.client.get(id)).toMatchObject({ status: 'processing', progress: { completed: 0, total: 2 } })

      const [job, group] = await Promise.all(
        [`jobs/${id}`, 'groups/told'].map(
          async (path) => new Reader(await fetch(`${two.url}/v1/${path}/events/stream`)),
        ),
      )
      const { socket } = await SocketClient.open(`${two.url}/v1/ws`)
      socket!.send({ op: 'subscribe', ref: 1, filter: { groupId: 'told' } })
      expect((await socket!.take(3))[1]).toMatchObject({ op: 'snapshot', job: { id, status: 'processing' } })
      expect((await job!.take(1))[0]).toMatchObject({ event: 'snapshot', data: { job: { id, status: 'processing' } } })
      expect((await group!.take(2))[1]).toMatchObject({ event: 'snapshot', data: { job: { id } } })
      const seen = await fetch(`${two.url}/v1/jobs/${id}`)
      const { revision } = (await seen.json()) as WireJob
      const poll = (query: string, headers = {}) =>
        fetch(`${two.url}/v1/jobs/${id}?wait=30&${query}`, { headers }).then((answer) => answer.json())
      const changed = poll('until=change', { 'if-none-match': seen.headers.get('etag')! })
      const done = poll('until=done')

      world.release('a')
      const progress = { type: 'job.progress', data: { progress: { message: 'Towards b', completed: 1, total: 2 } } }
      const told = async (reader: Reader, event: string) => {
        for (;;) {
          const [frame] = await reader.take(1)
          if (frame!.event === event) return frame!.data
        }
      }
      const heard = async (type: string) => {
        for (;;) {
          const { event } = await socket!.next()
          if (event?.type === type) return event
        }
      }
      expect(await told(job!, 'job.progress')).toMatchObject(progress)
      expect(await told(group!, 'job.progress')).toMatchObject(progress)
      expect(await heard('job.progress')).toMatchObject(progress)
      expect(((await changed) as WireJob).revision).toBeGreaterThan(revision)

      world.release('b')
      const end = { data: { jobId: id, status: 'completed' } }
      expect(await told(job!, 'job.completed')).toMatchObject(end)
      expect(await told(group!, 'job.completed')).toMatchObject(end)
      expect(await heard('job.completed')).toMatchObject(end)
      expect(await done).toMatchObject({ status: 'completed', done: true, result: { by: [worker, worker] } })
      expect(await two.client.result(id)).toEqual({ by: [worker, worker] })
      await group!.cancel()
      socket!.ws.close()
    })

    it('a ticket for a socket is used once, whichever server it is used at', async () => {
      const { ticket } = await one.client.streamTicket({ use: 'ws' })
      const { socket } = await SocketClient.open(`${one.url}/v1/ws?ticket=${ticket}`)
      socket!.ws.close()
      for (const { url } of [two, one]) {
        const { refusal } = await SocketClient.open(`${url}/v1/ws?ticket=${ticket}`)
        expect(await refusal!.json()).toMatchObject({
          code: 'unauthenticated',
          detail: expect.stringContaining('used'),
        })
      }
      const { ticket: other } = await one.client.streamTicket({ use: 'ws' })
      const both = await Promise.all([one, two].map(({ url }) => SocketClient.open(`${url}/v1/ws?ticket=${other}`)))
      expect(both.filter(({ socket }) => socket)).toHaveLength(1)
      for (const { socket } of both) socket?.ws.close()
    })

    it('a cancel at one server stops the job in the worker that has it', async () => {
      const by = await spread('cancel')
      expect([...by.keys()].sort()).toEqual(['first', 'second'])
      const took: Record<string, number[]> = { first: [], second: [] }
      const cancelled = [...by].flatMap(([worker, visits]) => visits.slice(0, 2).map(({ job }) => ({ worker, job })))
      for (const { worker, job } of cancelled) {
        const asked = performance.now()
        await two.client.cancel(job, { reason: 'No longer needed.' })
        const [stopped] = (await world.reached('cancel, stopped', 1, (visit) => visit.job === job)) as [Visit]
        took[worker]!.push(performance.now() - asked)
        expect(stopped).toMatchObject({ worker, attempt: 1 })
        for await (const seen of one.client.watch(job)) expect(seen.done ? seen.status : 'processing').toBe(seen.status)
        expect(await one.client.get(job)).toMatchObject({
          status: 'cancelled',
          error: { code: 'cancelled-by-caller', message: expect.stringContaining('No longer needed.') },
        })
      }
      world.release('cancel')
      // Unheard, the second one would be found by the next look, 5 s after the one that has found the first.
      for (const [, second] of Object.values(took)) expect(second).toBeLessThan(4000)
      const others = [...by.values()].flatMap((visits) => visits.slice(2))
      expect(await ends(others)).toEqual(others.map(({ worker }) => ({ by: [worker] })))
    })

    it('a pause at one server keeps every worker from starting; a resume is noticed at once', async () => {
      const took: number[] = []
      for (const round of [1, 2, 3]) {
        const point = `pause ${round}`
        await one.client.pauseType('leg', { reason: 'The road is closed.' })
        const held = await Promise.all(Array.from({ length: 2 * SLOTS }, () => two.client.submit('leg', { point })))
        // Others that were submitted later go through both workers.
        await ends([...(await spreadAndGo(`beside ${round}`)).values()].flat())
        expect(world.at(point)).toEqual([])
        // Words are at most a second behind what another process has paused.
        await until(
          async () =>
            (await two.client.get(held[0]!.id)).statusText === 'Accepted; it starts when the type is resumed.',
          'the words of a paused job',
        )
        const resumed = performance.now()
        await two.client.resumeType('leg')
        await world.reached(point)
        took.push(performance.now() - resumed)
        await Promise.all(held.map(({ id }) => one.client.result(id, { timeout: '30s' })))
      }
      expect(Math.min(...took)).toBeLessThan(1000)
    })
    async function spreadAndGo(point: string) {
      const by = await spread(point)
      expect(by.size).toBe(2)
      world.release(point)
      return by
    }

    it('what a killed worker had goes on in another after its lease', async () => {
      const by = await spread('kill')
      const [lost, kept] = [by.get('second')!, by.get('first')!]
      await second.end('SIGKILL')
      const killed = performance.now()
      // The places of the other one are free again.
      world.release('kill')
      await ends(kept)
      expect(await ends(lost)).toEqual(lost.map(() => ({ by: ['first'] })))
      expect(performance.now() - killed).toBeLessThan(LEASE_MS + 10_000)
      for (const { job } of lost) {
        const attempts = await two.client.attempts(job)
        expect(attempts.map(({ outcome }) => outcome)).toEqual(['lost', 'ok'])
        const history = (await all(two.client.history(job))).map(({ event }) => event)
        expect(history).toEqual(['submitted', 'claimed', 'leaseExpired', 'claimed', 'succeeded'])
      }
      expect(world.at('kill').filter(({ worker }) => worker === 'first')).toHaveLength(2 * SLOTS)
    })

    it('a worker that stood still for longer than its lease writes nothing when it goes on', async () => {
      second = await cast.start('third', { roles: 'worker,maintenance' })
      for (const point of ['freeze', 'on']) world.hold(point)
      const submits = Array.from({ length: 2 * SLOTS }, () => one.client.submit('walk', { points: ['freeze', 'on'] }))
      await Promise.all(submits)
      const visits = await world.reached('freeze', 2 * SLOTS)
      const [lost, kept] = ['third', 'first'].map((name) => visits.filter(({ worker }) => worker === name))
      expect([lost!.length, kept!.length]).toEqual([SLOTS, SLOTS])
      second.signal('SIGSTOP')
      // The first ones go to their end, to make room; those of the frozen worker are held in the other one at the next point.
      world.release('freeze')
      await world.reached('on', SLOTS)
      world.release('on')
      await ends(kept!)
      world.hold('on')
      await world.reached('on', SLOTS, ({ waiting }) => waiting)
      // What a job says of itself is written once a second.
      for (const { job } of lost!)
        await until(async () => (await two.client.get(job)).statusText === 'Towards on', 'what the job says')
      const before = await Promise.all(lost!.map(({ job }) => told(job)))
      // What its handlers were answered is in the line, and is the first thing it finds.
      second.signal('SIGCONT')
      const later = await Promise.all(
        Array.from({ length: SLOTS }, () => one.client.submit('leg', { point: 'thawed' })),
      )
      // It works again under a new lease, so all that it had to say under the former one has been said.
      const thawed = await world.reached('thawed', SLOTS)
      expect(new Set(thawed.map(({ worker }) => worker))).toEqual(new Set(['third']))
      await Promise.all(later.map(({ id }) => two.client.result(id, { timeout: '30s' })))
      expect(await Promise.all(lost!.map(({ job }) => told(job)))).toEqual(before)
      expect(world.at('on').filter(({ worker }) => worker === 'third')).toEqual([])
      world.release('on')
      expect(await ends(lost!)).toEqual(lost!.map(() => ({ by: ['first', 'first'] })))
      for (const { job } of lost!) {
        const [, attempts, history, steps] = await told(job)
        expect(attempts.map(({ outcome }) => outcome)).toEqual(['lost', 'ok'])
        expect(history.map(({ event }) => event)).toEqual([
          'submitted',
          'claimed',
          'leaseExpired',
          'claimed',
          'succeeded',
        ])
        expect(steps).toHaveLength(2)
      }
    })
    /** All that is stored of a job. */
    const told = async (id: string) =>
      [
        await two.client.get(id),
        // How long one is under way grows by itself.
        (await two.client.attempts(id)).map(({ durationMs: _, ...attempt }) => attempt),
        await all(two.client.history(id)),
        await two.client.steps(id),
      ] as const

    it('a signal, a callback and other jobs reach a waiting job through whoever is there', async () => {
      const { id } = await one.client.submit('wait', { point: 'meet', legs: 5 })
      const visit = await world.some(({ job }) => job === id)
      expect(visit.point).toMatch(/^meet http:/)
      const url = new URL(visit.point.slice(5))
      await world.reached('meet, leg', 5)
      await until(async () => (await two.client.get(id)).status === 'blocked', 'a blocked job')
      expect(await two.client.signal(id, 'paid', { by: 'card' }, { signalId: 's' })).toEqual({ delivered: true })
      const body = JSON.stringify({ outcome: 'completed', payload: { text: 'Dear all' } })
      const headers = { 'content-type': 'application/json' }
      const answered = await Promise.all(
        [one, two].map(({ url: at }) => fetch(`${at}${url.pathname}`, { method: 'POST', body, headers })),
      )
      expect(answered.map(({ status }) => status)).toEqual([200, 200])
      expect(await two.client.result(id, { timeout: '30s' })).toEqual({
        paidBy: 'card',
        text: 'Dear all',
        legs: Array(5).fill(expect.stringMatching(/^(first|third)$/)),
      })
      const children = await all(one.client.list({ parentId: id }))
      expect(children.map(({ status }) => status)).toEqual(Array(5).fill('completed'))
      expect((await all(one.client.history(id))).filter(({ event }) => event === 'succeeded')).toHaveLength(1)
    })

    const leader = async () =>
      (await cast.query(`select holder from untildone.leases where name = 'maintenance'`))[0]?.holder

    it('a schedule makes one job for each instant, and goes on when the process that did the upkeep is killed', async () => {
      await one.client.schedules.create('leg', { point: 'tick' }, { id: 'tick', every: '1s' })
      const made = async () =>
        (await all(two.client.list({ schedule: 'tick', order: 'createdAt' }))).map(({ schedule }) => schedule!.at)
      await until(async () => (await made()).length >= 3, 'three instants', 20_000)
      const former = await leader()
      await first.end('SIGKILL')
      const killed = performance.now()
      const count = (await made()).length
      await until(async () => (await made()).length > count, 'the next instant', 20_000)
      // 1.5 s until it may be taken over, 0.5 s between two looks, 1 s between two looks at the schedules; and a slow machine.
      expect(performance.now() - killed).toBeLessThan(10_000)
      expect(await leader()).not.toBe(former)
      await one.client.schedules.pause('tick')
      const instants = await made()
      expect(new Set(instants).size).toBe(instants.length)
      for (const at of instants) expect(Date.parse(at) % 1000).toBe(0)
    })
  })

if (!server)
  describe('processes on one database', () => {
    it('share the work', (context) => context.skip(POSTGRES_NEEDS))
  })
