import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, type JobHandler, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'

const open = rigs()
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
const gate = defineJob('gate', { input: z.object({}), signals: { go: z.object({}) } })
const go = (rig: Awaited<ReturnType<typeof open>>, jobId: string) =>
  rig.store.signal({
    ...{ jobId, tenant: 'default', name: 'go', signalId: 'go', payload: '{}' },
    ...{ actor: { kind: 'user', id: 'u' } as const, limit: 100 },
  })

describe('a deploy', () => {
  it('that reorders and adds steps while a hundred jobs are in flight repeats no recorded step', async () => {
    const ran = new Map<string, number>()
    const step = (job: JobContext<any, any>, name: string) =>
      job.step(name, () => void ran.set(`${job.id} ${name}`, (ran.get(`${job.id} ${name}`) ?? 0) + 1))
    const old = gate.handler({ retry: quick }, async (job) => {
      await step(job, 'a')
      await step(job, 'b')
      await job.waitFor('go')
      await step(job, 'c')
    }) as never as JobHandler
    const renewed = gate.handler({ retry: quick }, async (job) => {
      await step(job, 'b')
      await step(job, 'new')
      await job.waitFor('go')
      await step(job, 'c')
      await step(job, 'a')
    }) as never as JobHandler
    const rig = await open(old)
    const jobs = await Promise.all(Array.from({ length: 100 }, () => rig.submit(gate, {})))
    await rig.settle()
    await rig.restart([renewed])
    await Promise.all(jobs.map(({ id }) => go(rig, id)))
    for (const { id } of jobs) expect((await rig.untilDone(id)).status).toBe('completed')
    expect([...ran.values()].every((times) => times === 1)).toBe(true)
    expect(ran.size).toBe(400)
  })

  it("that changes a step's effect, or makes a step of a wait, blocks as code-changed", async () => {
    const rig = await open(
      gate.handler(async (job) => {
        await job.step('pay', () => 1)
        await job.waitFor('go')
      }) as never,
    )
    const { id } = await rig.submit(gate, {})
    await rig.settle()
    await rig.restart([
      gate.handler(async (job) => {
        await job.step('pay', () => 1, { effect: 'once' })
        await job.waitFor('go')
      }) as never,
    ])
    await go(rig, id)
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: {
        code: 'code-changed',
        message: `"pay" was recorded as effect: 'idempotent', and the present code has it as effect: 'once'.`,
      },
    })
  })
})

describe('input of an older schema', () => {
  const v1 = defineJob('order', { input: z.object({ name: z.string() }) })
  const v2 = defineJob('order', { input: z.object({ title: z.string(), lang: z.string() }) })
  const old = (hold = true) =>
    v1.handler({ version: '1', queue: hold ? 'held' : 'default' }, async (job) => job.input.name) as never as JobHandler

  it('is upgraded by the type; a hundred jobs and a rollback, none failed, none run on by guess', async () => {
    const rig = await open(old(), { worker: { queues: ['default'] } })
    const jobs = await Promise.all(Array.from({ length: 100 }, (_, i) => rig.submit(v1, { name: `n${i}` })))
    const upgrading = v2.handler(
      { version: '2', upgrade: (input: any, from) => (from === '1' ? { title: input.name, lang: 'en' } : input) },
      async (job) => `${job.input.title}/${job.input.lang}`,
    ) as never as JobHandler
    await rig.restart([upgrading], { worker: { queues: ['held'], slots: 50 } })
    await rig.advance('10s')
    for (const [i, { id }] of jobs.entries())
      expect(await rig.get(id)).toMatchObject({ status: 'completed', result: `n${i}/en` })
    // Accepted by the new version, then rolled back: the old code must not guess.
    await rig.restart([upgrading], { worker: false })
    const late = await rig.submit(v2, { title: 't', lang: 'de' })
    await rig.restart([old(false)], {})
    await rig.advance('10s')
    expect(await rig.get(late.id)).toMatchObject({
      status: 'blocked',
      error: { code: 'code-changed', details: { pointer: '/input/name', fromVersion: '2' } },
    })
  })

  it('without an upgrade must fit as it stands, else it is blocked with the field named', async () => {
    const rig = await open(old(), { worker: { queues: ['default'] } })
    const { id } = await rig.submit(v1, { name: 'x' })
    await rig.restart([v2.handler({ version: '2' }, async (job) => job.input.title) as never], {})
    await rig.advance('10s')
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', error: { code: 'code-changed' } })
    expect((await rig.get(id)).error!.message).toContain('/title')
  })

  it('is taken from a producer that names its version', async () => {
    const rig = await open(
      v2.handler(
        { version: '2', upgrade: (input: any, from) => (from === '1' ? { title: input.name, lang: 'en' } : input) },
        async (job) => job.input.title,
      ) as never,
    )
    const { id } = await rig.submit('order', { name: 'old' }, { typeVersion: '1' })
    expect((await rig.untilDone(id)).result).toBe('old')
    await expect(rig.submit('order', { name: 'old' })).rejects.toMatchObject({ code: 'input-invalid' })
  })
})

describe('a pinned job', () => {
  it('stays with workers of its version', async () => {
    const of = (version: string) =>
      gate.handler({ version, pin: true }, async (job) => {
        await job.waitFor('go')
        return version
      }) as never as JobHandler
    const rig = await open(of('1'))
    const { id } = await rig.submit(gate, {})
    await rig.settle()
    await rig.restart([of('2')])
    await go(rig, id)
    await rig.advance('10s')
    expect(await rig.get(id)).toMatchObject({
      status: 'processing',
      statusText: expect.stringMatching(
        /^Goes on later; no worker for version 1 of "gate" in queue "default" since \d+ s\.$/,
      ),
    })
    await rig.advance('4m')
    expect((await rig.get(id)).statusText).toMatch(/since 4 m\.$/)
    const fresh = await rig.submit(gate, {})
    await go(rig, fresh.id)
    expect((await rig.untilDone(fresh.id)).result).toBe('2')
    await rig.restart([of('1')])
    expect((await rig.untilDone(id)).result).toBe('1')
  })
})
