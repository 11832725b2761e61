import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type HandlerOptions, type JobHandler } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { LOCAL } from './api.js'
import { Expectations } from './expectations.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ ms: z.number() }) })
const handlerOf = (rig: () => TestRig, options: HandlerOptions<any, any> = {}) =>
  work.handler(
    options,
    (job) => new Promise<never>((resolve) => rig().clock.after(job.input.ms, () => resolve(null as never))),
  ) as unknown as JobHandler

async function begun(options: HandlerOptions<any, any> = {}) {
  const holder: { rig?: TestRig } = {}
  const handler = handlerOf(() => holder.rig!, options)
  holder.rig = await open(handler)
  return { rig: holder.rig, handler }
}

describe('what is usual', () => {
  it('is unknown before 20 runs, then p50 and p95 of the latest 200', () => {
    const usual = new Expectations()
    for (let i = 1; i <= 19; i++) usual.add('t', i * 1000)
    expect(usual.of('t')).toEqual({ p50Ms: null, p95Ms: null, samples: 19 })
    usual.add('t', 20_000)
    expect(usual.of('t')).toEqual({ p50Ms: 11_000, p95Ms: 20_000, samples: 20 })
    for (let i = 0; i < 400; i++) usual.add('t', 5000)
    expect(usual.of('t')).toEqual({ p50Ms: 5000, p95Ms: 5000, samples: 200 })
    expect(usual.of('other')).toEqual({ p50Ms: null, p95Ms: null, samples: 0 })
  })

  it('counts from when a job was to run, not from when it was submitted, now and after a restart', async () => {
    const { rig } = await begun()
    for (let i = 0; i < 20; i++) await rig.submit(work, { ms: 400 }, { runAt: new Date(rig.clock.now() + 60_000) })
    await rig.untilIdle()
    const expected = { p50Ms: expect.toBeOneOf([400, 401]), samples: 20 }
    expect((await rig.engine.type(LOCAL, 'work')).expected).toMatchObject(expected)
    await rig.restart()
    expect((await rig.engine.type(LOCAL, 'work')).expected).toMatchObject(expected)
  })

  it('gives expectedDoneAt to jobs under way', async () => {
    const { rig } = await begun()
    for (let i = 0; i < 20; i++) await rig.submit(work, { ms: 30_000 })
    await rig.untilIdle()
    const { id } = await rig.submit(work, { ms: 60_000 })
    const job = await rig.get(id)
    expect(Date.parse(job.expectedDoneAt!) - Date.parse(job.createdAt)).toBeGreaterThanOrEqual(30_000)
    expect((await rig.untilDone(id)).expectedDoneAt).toBeNull()
  })
})

describe('late', () => {
  it('past the target of the type, until it is done; it is shown, told and listed, and changes nothing else', async () => {
    const { rig } = await begun({ target: { p95: '10s' } })
    const { id } = await rig.submit(work, { ms: 15_000 })
    await rig.advance('9s')
    expect(await rig.get(id)).toMatchObject({ late: false, statusText: 'Being worked on.' })
    await rig.advance('2s')
    const late = await rig.get(id)
    expect(late).toMatchObject({ late: true, status: 'processing', version: 2, revision: 3 })
    expect(late.statusText).toContain('longer than usual')
    expect((await rig.engine.list(LOCAL, { late: true })).items.map((job) => job.id)).toEqual([id])
    expect((await rig.engine.list(LOCAL, { needsAttention: true })).items).toHaveLength(1)
    expect(await rig.untilDone(id)).toMatchObject({ late: false, status: 'completed' })
    expect((await rig.engine.list(LOCAL, { late: true })).items).toEqual([])
  })

  it('counts from runAt', async () => {
    const { rig } = await begun({ target: { p95: '10s' } })
    const { id } = await rig.submit(work, { ms: 60_000 }, { runAt: new Date(rig.clock.now() + 30_000) })
    await rig.advance('35s')
    expect((await rig.get(id)).late).toBe(false)
    await rig.advance('7s')
    expect((await rig.get(id)).late).toBe(true)
  })

  it('past its own p95 once that is known and long', async () => {
    const { rig } = await begun()
    const unknown = await rig.submit(work, { ms: 20_000 })
    await rig.advance('15s')
    expect((await rig.get(unknown)).late).toBe(false)
    for (let i = 0; i < 20; i++) await rig.submit(work, { ms: 12_000 })
    await rig.untilIdle()
    const { id } = await rig.submit(work, { ms: 300_000 })
    await rig.advance('30s')
    expect((await rig.get(id)).late).toBe(true)
  })
})
