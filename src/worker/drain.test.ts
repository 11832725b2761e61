import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, type JobHandler } from '../define/index.js'
import { type Caller, LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const work = defineJob('work', { input: z.object({}) })
const of = (fn: (job: JobContext<any>) => unknown) => work.handler({}, fn as never) as unknown as JobHandler
const gate = () => {
  let go!: () => void
  const passed = new Promise<void>((resolve) => {
    go = resolve
  })
  return { passed, go }
}
const only = async (rig: TestRig, all = true) => {
  const workers = (await rig.engine.workers(LOCAL, all)).filter(({ queues }) => queues === null)
  expect(workers).toHaveLength(1)
  return workers[0]!
}
const operator: Caller = {
  ...{ tenant: 'default', actor: { kind: 'apiKey', id: 'key_o', name: 'ops' }, scopes: ['jobs:operate'], types: null },
}

describe('a worker that somebody asked to drain', () => {
  it('hears of it at its next heartbeat, lets the running step end however long it takes, and is gone', async () => {
    const step = gate()
    let after = 0
    const told: string[] = []
    const handler = of(async (job) => {
      await job.step('long', () => step.passed)
      await job.step('next', () => void after++)
    })
    const rig = await open([handler], { onDrain: ({ state, running }) => void told.push(`${state} ${running}`) })
    const first = await rig.submit(work, {})
    await rig.settle()
    const { id } = await only(rig)
    expect(await rig.engine.drainWorker(operator, id, { reason: 'new host' })).toMatchObject({
      ...{ state: 'draining', running: 1 },
      jobs: [{ type: 'work', running: 1, oldestAgeMs: 0 }],
    })
    await rig.advance('5s')
    const second = await rig.submit(work, {})
    await rig.advance('10m')
    expect(told).toEqual(['draining 1'])
    expect(await only(rig)).toMatchObject({ id, state: 'draining', running: 1 })
    expect((await rig.get(second)).status).toBe('accepted')
    step.go()
    await rig.settle()
    await rig.advance('1s')
    expect(told).toEqual(['draining 1', 'gone 0'])
    expect(await only(rig)).toMatchObject({ id, state: 'gone', running: 0, jobs: [] })
    expect(await rig.engine.workers(LOCAL, false)).toEqual([])
    const [attempt] = await rig.engine.attempts(LOCAL, first.id)
    expect([attempt!.outcome, after]).toEqual(['released', 0])
    expect(await rig.store.audit('default', 0, 10)).toMatchObject([
      { action: 'worker.drain', target: `worker/${id}`, reason: 'new host', actor: operator.actor },
    ])
    await rig.restart()
    expect([(await rig.untilDone(first)).status, (await rig.untilDone(second)).status]).toEqual([
      'completed',
      'completed',
    ])
    expect(after).toBe(2)
  })

  it('that runs nothing is gone at once, and its jobs say that nobody takes them', async () => {
    const rig = await open([of(() => null)])
    const { id } = await only(rig)
    await rig.engine.drainWorker(operator, id, {})
    await rig.advance('5s')
    expect(await only(rig)).toMatchObject({ state: 'gone' })
    expect(await rig.engine.drainWorker(operator, id, {})).toMatchObject({ state: 'gone' })
    const job = await rig.submit(work, {})
    await rig.advance('10s')
    expect((await rig.get(job)).statusText).toContain('no worker')
  })

  it('that was busy until a moment ago was there: its jobs count from when it left', async () => {
    const step = gate()
    const rig = await open([of(async (job) => void (await job.step('long', () => step.passed)))], {
      worker: { slots: 1 },
    })
    await rig.submit(work, {})
    await rig.settle()
    const second = await rig.submit(work, {})
    await rig.advance('10m')
    expect((await rig.get(second)).statusText).not.toContain('no worker')
    await rig.engine.drainWorker(operator, (await only(rig)).id, {})
    await rig.advance('15s')
    expect((await rig.get(second)).statusText).toMatch(/no worker for .* since \d+ s\.$/)
    step.go()
    await rig.settle()
    await rig.advance('1m')
    expect((await rig.get(second)).statusText).toMatch(/no worker for .* since 1 m/)
  })

  it('is gone also when whoever is told throws', async () => {
    const rig = await open([of(() => null)], {
      onDrain: ({ state }) => {
        throw new Error(`told of ${state}`)
      },
    })
    await rig.engine.drainWorker(operator, (await only(rig)).id, {})
    await rig.advance('5s')
    expect(await only(rig)).toMatchObject({ state: 'gone' })
    expect(rig.errors.splice(0).map(String)).toEqual(['Error: told of draining', 'Error: told of gone'])
  })

  it('does not come back when it loses its lease meanwhile', async () => {
    const step = gate()
    const rig = await open([of(async (job) => void (await job.step('long', () => step.passed)))])
    await rig.submit(work, {})
    await rig.settle()
    const { id } = await only(rig)
    await rig.engine.drainWorker(operator, id, {})
    await rig.advance('5s')
    const { beat } = rig.store.workers
    rig.store.workers.beat = () => Promise.reject(new Error('the store does not answer'))
    await rig.advance('26s')
    rig.store.workers.beat = beat
    await rig.advance('1m')
    expect((await rig.engine.workers(LOCAL, true)).map((one) => one.id)).toEqual([id])
    expect(rig.errors.map(String)).toEqual([expect.stringContaining('could not renew its lease')])
    rig.errors.length = 0
    step.go()
  })

  it('ends with its process all the same, by the clock of the stop', async () => {
    const rig = await open([of((job) => job.step('long', () => new Promise(() => {})))])
    const job = await rig.submit(work, {})
    await rig.settle()
    await rig.engine.drainWorker(operator, (await only(rig)).id, {})
    await rig.advance('5s')
    const began = rig.clock.now()
    await rig.stop()
    expect(rig.clock.now() - began).toBeLessThan(60_000)
    await rig.restart([of(() => null)])
    expect((await rig.untilDone(job)).status).toBe('completed')
  })
})

describe('the list of workers', () => {
  it('calls who has not been heard of lost, and says when each was seen last', async () => {
    const rig = await open([of(() => null)])
    await rig.advance('7s')
    const now = rig.clock.now()
    const row = { boot: 'x', host: 'far', pid: 9, startedAt: now - 90_000, state: 'up', serves: null } as const
    await rig.store.workers.beat({ ...row, id: 'w-far', leaseUntil: now })
    const [far, here] = await rig.engine.workers(operator, false)
    const at = (ms: number) => new Date(now + ms).toISOString()
    expect(far).toMatchObject({ id: 'w-far', state: 'lost', lastSeenAt: at(-30_000), types: null, running: 0 })
    expect(here).toMatchObject({ state: 'up', lastSeenAt: at(-2000), leaseUntil: at(28_000), queues: null })
    expect(here!.types).toContainEqual({ name: 'work', version: null })
  })

  it('is counted in the numbers of health, with what waits', async () => {
    const rig = await open([of(() => null)])
    const row = { boot: 'x', host: 'far', pid: 9, startedAt: 1, state: 'up', serves: null } as const
    await rig.store.workers.beat({ ...row, id: 'w-far', leaseUntil: rig.clock.now() })
    const numbers = () => rig.engine.check(LOCAL)
    expect(await numbers()).toMatchObject({ workers: 1, workersDraining: 0, workersLost: 1, waiting: 0, held: 0 })
    const here = (await rig.engine.workers(LOCAL, false)).find(({ host }) => host !== 'far')!
    await rig.engine.drainWorker(operator, here.id, {})
    expect(await numbers()).toMatchObject({ workers: 0, workersDraining: 1 })
    await rig.advance('5s')
    await rig.submit(work, {})
    expect(await numbers()).toMatchObject({ workers: 0, workersDraining: 0, waiting: 1 })
    await rig.restart()
    await rig.untilIdle()
  })

  it('counts the jobs of the tenant that asks', async () => {
    const step = gate()
    const rig = await open([of(() => step.passed)])
    await rig.submit(work, {})
    const other: Caller = { ...operator, tenant: 'other', scopes: ['admin'] }
    for (let i = 0; i < 2; i++) await rig.engine.submit(other, { type: 'work', input: {} }, null)
    await rig.settle()
    expect((await rig.engine.workers(other, false))[0]).toMatchObject({ running: 2, jobs: [{ running: 2 }] })
    expect((await only(rig)).running).toBe(1)
    step.go()
    await rig.untilIdle()
  })

  it('and draining take the right to operate; a key for some types may not stop what runs others', async () => {
    const rig = await open([of(() => null)])
    const { id } = await only(rig)
    const reader: Caller = { ...operator, scopes: ['jobs:read'] }
    for (const act of [
      () => rig.engine.workers(reader, false),
      () => rig.engine.drainWorker(reader, id, {}),
      () => rig.engine.drainWorker({ ...operator, types: ['work'] }, id, {}),
    ])
      await expect(act()).rejects.toMatchObject({ code: 'forbidden' })
    await expect(rig.engine.drainWorker(operator, 'w-none', {})).rejects.toMatchObject({ code: 'not-found' })
  })
})
