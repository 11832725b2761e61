import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, Review } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL } from './api.js'
import type { BulkRequest } from './operator-api.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ how: z.enum(['review', 'fail', 'ok']) }) })
const other = defineJob('other', { input: z.object({}) })
const OPS: Caller = {
  tenant: 'default',
  actor: { kind: 'user', id: 'ops', name: 'Ops' },
  scopes: ['jobs:operate', 'jobs:read'],
  types: null,
}

/** Counts the attempts of each job; reviews and failures happen on the first one only, until it is repaired. */
async function shop(jobs: { how: 'review' | 'fail' | 'ok'; n: number }[]) {
  const tries = new Map<string, number>()
  const state = { broken: true }
  const handlers = [
    work.handler(async (job) => {
      tries.set(job.id, (tries.get(job.id) ?? 0) + 1)
      if (!state.broken) return 'ok' as never
      if (job.input.how === 'review') throw new Review('look')
      if (job.input.how === 'fail') throw new Permanent('broken')
      return 'ok' as never
    }) as unknown as JobHandler,
    other.handler(async () => {}) as unknown as JobHandler,
  ]
  const rig = await open(handlers)
  const ids: string[] = []
  for (const { how, n } of jobs)
    for (let i = 0; i < n; i++) ids.push((await rig.submit(work, { how }, { tags: [how] })).id)
  await rig.untilIdle()
  state.broken = false
  return { rig, ids, tries, engine: rig.engine }
}
const retryAll: BulkRequest = { action: 'retry', filter: { status: ['blocked'] }, reason: 'licence renewed' }

async function statuses(rig: TestRig, ids: readonly string[]) {
  const counts: Record<string, number> = {}
  for (const id of ids) {
    const { status } = await rig.get(id)
    counts[status] = (counts[status] ?? 0) + 1
  }
  return counts
}

describe('a bulk operation', () => {
  it('acts on all jobs of its filter, each once, and says what it did', async () => {
    const { rig, ids, tries, engine } = await shop([
      { how: 'review', n: 130 },
      { how: 'ok', n: 3 },
    ])
    const { job, replayed } = await engine.bulk(OPS, retryAll, null)
    expect(replayed).toBe(false)
    expect(job).toMatchObject({ type: 'untildone.bulk', status: 'accepted', createdBy: { id: 'ops' } })
    const done = await rig.untilDone(job.id)
    expect(done).toMatchObject({
      status: 'completed',
      result: { action: 'retry', done: 130, excluded: {}, excludedJobs: [], jobs: [] },
      progress: { message: 'Retried 130 jobs.', completed: 130, total: 130, percent: 100 },
    })
    await rig.untilIdle()
    expect(await statuses(rig, ids)).toEqual({ completed: 133 })
    expect([...tries.values()].filter((n) => n === 2)).toHaveLength(130)
    const trail = await rig.store.audit('default', 0, 1000)
    expect(trail[0]).toMatchObject({
      action: 'bulk.retry',
      target: `job/${job.id}`,
      reason: 'licence renewed',
      details: { filter: { status: ['blocked'] }, count: 130 },
    })
    expect(
      trail
        .slice(1)
        .every(
          ({ action, actor, reason }) => action === 'job.retry' && actor.id === 'ops' && reason === 'licence renewed',
        ),
    ).toBe(true)
    expect(trail).toHaveLength(131)
  })

  it('a crash at any commit does nothing twice and leaves nothing out', async () => {
    for (const point of [
      ...[1, 2, 12].map((nth) => ({ op: 'move' as const, when: 'after' as const, nth })),
      ...[1, 2].map((nth) => ({ op: 'record' as const, when: 'after' as const, nth })),
      { op: 'record' as const, when: 'before' as const, nth: 2 },
    ]) {
      const { rig, ids, tries, engine } = await shop([{ how: 'review', n: 20 }])
      const dying = rig.crashAt(point)
      const { job } = await engine.bulk(OPS, retryAll, null)
      await dying
      await rig.restart()
      expect(await rig.untilDone(job.id), JSON.stringify(point)).toMatchObject({
        status: 'completed',
        result: { done: 20 },
      })
      await rig.untilIdle()
      expect(await statuses(rig, ids)).toEqual({ completed: 20 })
      // Lost attempts are begun again; what an operator asked for is asked for once.
      expect((await rig.store.audit('default', 0, 1000)).filter(({ action }) => action === 'job.retry')).toHaveLength(
        20,
      )
      expect(Math.max(...tries.values())).toBeLessThanOrEqual(3)
    }
  })

  it('replays what failed into new jobs, and not what was replayed before', async () => {
    const { rig, ids, engine } = await shop([{ how: 'fail', n: 5 }])
    await engine.replay(OPS, ids[0]!, { reason: 'tried one' })
    await rig.untilIdle()
    const request: BulkRequest = {
      action: 'replay',
      filter: { status: ['failed'] },
      reason: 'repaired',
      exclude: [ids[1]!],
    }
    const { job } = await engine.bulk(OPS, request, null)
    const done = await rig.untilDone(job.id)
    expect(done.result).toMatchObject({
      done: 3,
      excluded: { 'already-replayed': 1, excluded: 1 },
      excludedJobs: expect.arrayContaining([{ id: ids[1], code: 'excluded' }]),
      jobs: [expect.any(String), expect.any(String), expect.any(String)],
    })
    await rig.untilIdle()
    for (const id of ids.slice(2)) expect(await rig.get(id)).toMatchObject({ resolution: { kind: 'superseded' } })
  })

  it('resolves, pauses, resumes and cancels', async () => {
    const { rig, ids, engine } = await shop([{ how: 'fail', n: 3 }])
    const run = async (request: BulkRequest) =>
      (await rig.untilDone((await engine.bulk(OPS, request, null)).job.id)).result
    expect(
      await run({ action: 'resolve', filter: { needsAttention: true }, reason: 'by post', kind: 'acceptedAsIs' }),
    ).toMatchObject({ done: 3 })
    expect((await rig.get(ids[0]!)).resolution).toMatchObject({
      kind: 'acceptedAsIs',
      reason: 'by post',
      by: { id: 'ops' },
    })
    const runAt = new Date(rig.clock.now() + 3_600_000)
    const waiting = [
      await rig.submit(work, { how: 'ok' }, { runAt, group: 'g' }),
      await rig.submit(work, { how: 'ok' }, { runAt, group: 'g' }),
    ]
    const of = { filter: { groupId: 'g' }, reason: 'maintenance' }
    expect(await run({ action: 'pause', ...of })).toMatchObject({ done: 2 })
    expect((await rig.get(waiting[0]!)).ops!.phase).toBe('paused')
    expect(
      await statuses(
        rig,
        waiting.map(({ id }) => id),
      ),
    ).toEqual({ accepted: 2 })
    expect(await run({ action: 'pause', ...of })).toMatchObject({ done: 0, excluded: { 'invalid-transition': 2 } })
    expect(await run({ action: 'resume', ...of })).toMatchObject({ done: 2 })
    expect(await run({ action: 'cancel', ...of })).toMatchObject({ done: 2 })
    expect(await run({ action: 'cancel', ...of })).toMatchObject({ done: 0, excluded: { 'job-already-done': 2 } })
  })

  it('leaves out what changed meanwhile, with the reason', async () => {
    const { rig, ids, engine } = await shop([{ how: 'review', n: 3 }])
    const plain = rig.store.list.bind(rig.store)
    const { job } = await engine.bulk(OPS, retryAll, null)
    let raced = false
    rig.store.list = async (filter) => {
      const rows = await plain(filter)
      // Between looking and acting somebody else cancels one.
      if (!raced && filter.limit === 100) {
        raced = true
        await engine.cancel(LOCAL, ids[1]!, {})
      }
      return rows
    }
    expect((await rig.untilDone(job.id)).result).toMatchObject({
      done: 2,
      excluded: { 'job-already-done': 1 },
      excludedJobs: [{ id: ids[1], code: 'job-already-done' }],
    })
  })

  it('with a rate spreads them over time, without a worker in between', async () => {
    const { rig, engine } = await shop([{ how: 'review', n: 25 }])
    const began = rig.clock.now()
    const { job } = await engine.bulk(OPS, { ...retryAll, rate: 60 }, null)
    await rig.advance('1s')
    expect(await rig.get(job.id)).toMatchObject({
      status: 'processing',
      progress: { completed: 10, total: 25 },
      ops: { workerId: null },
    })
    const done = await rig.untilDone(job.id)
    expect(done.result).toMatchObject({ done: 25 })
    expect(Date.parse(done.finishedAt!) - began).toBeGreaterThanOrEqual(20_000)
  })

  it('stops where it is when it is cancelled', async () => {
    const { rig, ids, engine } = await shop([{ how: 'review', n: 25 }])
    const { job } = await engine.bulk(OPS, { ...retryAll, rate: 60 }, null)
    await rig.advance('1s')
    expect(await engine.cancel(OPS, job.id, { reason: 'enough' })).toMatchObject({ pending: false })
    await rig.advance('1m')
    expect(await rig.get(job.id)).toMatchObject({ status: 'cancelled', progress: { completed: 10 } })
    expect(await statuses(rig, ids)).toEqual({ completed: 10, blocked: 15 })
  })

  it('is done by workers that serve other queues only, and waits for a slot like any job', async () => {
    let release = () => {}
    const handler = work.handler(async (job) => {
      if (job.input.how === 'review' && job.attempt === 1) throw new Review('look')
      if (job.input.how === 'ok') await new Promise<void>((resolve) => (release = resolve))
    }) as unknown as JobHandler
    const rig = await open(handler, { worker: { slots: 1, queues: ['default'] } })
    await rig.submit(work, { how: 'review' })
    await rig.settle()
    await rig.submit(work, { how: 'ok' })
    await rig.settle()
    const { job } = await rig.engine.bulk(OPS, retryAll, null)
    await rig.advance('10m')
    expect(await rig.get(job.id)).toMatchObject({ status: 'accepted', statusText: 'Accepted; waiting for a worker.' })
    release()
    expect((await rig.untilDone(job.id)).result).toMatchObject({ done: 1 })
  })

  it('asked twice with one key is one operation', async () => {
    const { rig, engine } = await shop([{ how: 'review', n: 2 }])
    const both = await Promise.all([engine.bulk(OPS, retryAll, 'k'), engine.bulk(OPS, retryAll, 'k')])
    expect(both[0].job.id).toBe(both[1].job.id)
    await rig.untilDone(both[0].job.id)
    expect(await engine.bulk(OPS, retryAll, 'k')).toMatchObject({ replayed: true, job: { status: 'completed' } })
    await expect(engine.bulk(OPS, { ...retryAll, action: 'cancel' }, 'k')).rejects.toMatchObject({
      code: 'idempotency-key-reused',
    })
  })
})

describe('a dry run', () => {
  it('counts, shows the first twenty and what is left out, and stores nothing', async () => {
    const { rig, ids, engine } = await shop([
      { how: 'review', n: 210 },
      { how: 'ok', n: 15 },
    ])
    const plan = await engine.planBulk(OPS, { ...retryAll, filter: { type: ['work'] }, exclude: [ids[0]!] })
    expect(plan).toMatchObject({
      action: 'retry',
      count: 209,
      more: false,
      excluded: { excluded: 1, 'job-already-done': 15 },
    })
    expect(plan.jobs).toHaveLength(20)
    expect(plan.jobs[0]).toEqual({ id: ids[1], type: 'work', status: 'blocked', statusText: expect.any(String) })
    expect(await statuses(rig, ids)).toEqual({ blocked: 210, completed: 15 })
    expect(await rig.store.audit('default', 0, 10)).toEqual([])
  })
})

describe('what it may do', () => {
  it('is refused without the right, a reason or a filter', async () => {
    const { engine } = await shop([])
    await expect(engine.bulk({ ...OPS, scopes: ['jobs:submit', 'jobs:read'] }, retryAll, null)).rejects.toMatchObject({
      code: 'forbidden',
    })
    await expect(engine.bulk(OPS, { ...retryAll, reason: '' }, null)).rejects.toMatchObject({
      errors: [{ pointer: '/reason' }],
    })
    await expect(engine.bulk(OPS, { ...retryAll, filter: {} }, null)).rejects.toMatchObject({
      errors: [{ pointer: '/filter' }],
    })
  })

  it('reaches only what its caller may see, and is theirs to follow', async () => {
    const { rig, engine } = await shop([{ how: 'fail', n: 2 }])
    await rig.submit(other, {})
    await rig.untilIdle()
    const limited: Caller = { ...OPS, types: ['other'] }
    const { job } = await engine.bulk(
      limited,
      { action: 'replay', filter: { status: ['failed', 'completed'] }, reason: 'again' },
      null,
    )
    expect((await rig.untilDone(job.id)).result).toMatchObject({ done: 1, excluded: {} })
    expect((await engine.get(limited, job.id)).status).toBe('completed')
    await expect(engine.get({ ...limited, actor: { kind: 'user', id: 'else' } }, job.id)).rejects.toMatchObject({
      code: 'job-not-found',
    })
  })

  it('is no job type of its own: nobody submits, defines or replays it, and it acts on none of its kind', async () => {
    const { rig, engine } = await shop([{ how: 'fail', n: 1 }])
    await expect(engine.submit(LOCAL, { type: 'untildone.bulk', input: {} }, null)).rejects.toMatchObject({
      code: 'unknown-job-type',
    })
    expect((await engine.types(LOCAL)).map(({ type }) => type)).toEqual(['work', 'other'])
    await expect(engine.type(LOCAL, 'untildone.bulk')).rejects.toThrow()
    await expect(engine.pauseType(OPS, 'untildone.bulk', {})).rejects.toMatchObject({ code: 'not-found' })
    const mine = defineJob('untildone.mine', { input: z.object({}) }).handler(async () => {})
    expect(() => rig.app.replaceHandlers([mine as never])).toThrow(/server's own/)
    const { job } = await engine.bulk(OPS, { action: 'resolve', filter: { status: ['failed'] }, reason: 'x' }, null)
    await rig.untilDone(job.id)
    expect((await engine.list(LOCAL, { type: ['untildone.*'] })).items).toHaveLength(1)
    await expect(engine.replay(LOCAL, job.id, { reason: 'x' })).rejects.toMatchObject({ code: 'invalid-transition' })
    const again = await engine.planBulk(OPS, { action: 'replay', filter: { status: ['completed'] }, reason: 'x' })
    expect(again).toMatchObject({ count: 0, excluded: { 'built-in': 1 } })
  })
})
