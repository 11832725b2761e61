import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, type JobHandler, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
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

describe('a job that is blocked because the code changed', () => {
  const order = defineJob('order', { input: z.object({ no: z.int() }), signals: { go: z.object({}) } })

  /** A warehouse that knows keys, and a bank that knows none: whoever pays twice has paid twice. */
  function farSide() {
    const reserved = new Map<string, number>()
    const paid = new Map<number, number>()
    const shipped = new Map<number, number>()
    const count = <K>(all: Map<K, number>, of: K) => void all.set(of, (all.get(of) ?? 0) + 1)
    const handler = (version: string, effect: 'idempotent' | 'once', confirm = false) =>
      order.handler({ version, retry: quick }, async (job) => {
        const { no } = job.input
        await job.step('quote', () => `quote ${no}`, { effect: 'read' })
        await job.step('reserve', ({ key }) => count(reserved, `${no} ${key}`))
        const receipt = await job.step(
          'pay',
          () => {
            count(paid, no)
            return `R-${no}`
          },
          {
            effect,
            ...(confirm
              ? {
                  confirm: () =>
                    paid.has(no) ? { happened: true as const, result: `R-${no}` } : { happened: false as const },
                }
              : {}),
          },
        )
        await job.waitFor('go')
        await job.step('ship', () => count(shipped, no), { effect: 'once' })
        return receipt
      }) as never as JobHandler
    return { reserved, paid, shipped, handler }
  }

  it('is moved by a replay, from before the change or whole: a hundred jobs, no effect doubled, linked both ways', async () => {
    const { reserved, paid, shipped, handler } = farSide()
    const rig = await open(handler('1', 'idempotent'))
    const jobs = await Promise.all(Array.from({ length: 100 }, (_, no) => rig.submit(order, { no })))
    await rig.settle()
    await rig.restart([handler('2', 'once')])
    await Promise.all(jobs.map(({ id }) => go(rig, id)))
    await rig.advance('10s')
    const { items } = await rig.engine.list(LOCAL, { needsAttention: true, limit: 200 })
    expect(items.map(({ id }) => id).sort()).toEqual(jobs.map(({ id }) => id).sort())
    for (const { status, error } of items) expect([status, error!.code]).toEqual(['blocked', 'code-changed'])
    expect((await rig.engine.story(LOCAL, items[0]!.id, 'operator')).act.text).toContain('replay')

    const replays: string[] = []
    for (const [i, { id }] of jobs.entries()) {
      await expect(rig.engine.replay(LOCAL, id, { reason: 'new version' })).rejects.toMatchObject({
        code: 'job-not-done',
      })
      await rig.engine.cancel(LOCAL, id, { reason: 'replayed under version 2', compensate: false })
      const from = i % 2 === 0 ? { fromStep: 'reserve' } : {}
      const { job } = await rig.engine.replay(LOCAL, id, { ...from, reason: 'new version' })
      expect(job.replay.reused.map(({ step }) => step)).toEqual(i % 2 === 0 ? ['quote'] : [])
      replays.push(job.id)
    }
    await rig.advance('10s')
    await Promise.all(replays.map((id) => go(rig, id)))
    for (const [no, id] of replays.entries()) {
      const { id: source } = jobs[no]!
      expect(await rig.untilDone(id)).toMatchObject({
        ...{ status: 'completed', result: `R-${no}`, typeVersion: '2', replayOf: source },
      })
      expect(await rig.get(source)).toMatchObject({
        ...{ status: 'cancelled', typeVersion: '1', supersededBy: id, resolution: { kind: 'superseded', jobId: id } },
      })
      const pay = (await rig.engine.steps(LOCAL, id)).find(({ name }) => name === 'pay')
      expect(pay).toMatchObject({ effect: 'once', info: { reused: source } })
    }
    const once = Array.from({ length: 100 }, (_, no) => [no, 1])
    expect([[...paid], [...shipped]]).toEqual([once, expect.arrayContaining(once)])
    // Asked once more under the same key: the far side tells the repeat.
    expect([...reserved.values()]).toEqual(Array(100).fill(2))
    expect((await rig.engine.list(LOCAL, { needsAttention: true })).items).toEqual([])
    expect((await rig.engine.audit(LOCAL, { action: 'job.replay', limit: 200 })).items).toHaveLength(100)
  })

  it('asks the far side first where it can be asked, and does again what was not done or shall be done anew', async () => {
    const { paid, handler } = farSide()
    const rig = await open(handler('1', 'idempotent'))
    const { id } = await rig.submit(order, { no: 7 })
    await rig.settle()
    await rig.engine.cancel(LOCAL, id, {})
    await rig.restart([handler('2', 'once', true)])
    const end = async (source: string, request: { newEffects?: { reason: string } } = {}) => {
      const { job } = await rig.engine.replay(LOCAL, source, { reason: 'new version', ...request })
      await rig.settle()
      await go(rig, job.id)
      return (await rig.untilDone(job.id)).id
    }
    const second = await end(id)
    expect((await rig.engine.steps(LOCAL, second)).find(({ name }) => name === 'pay')!.info).toMatchObject({
      ...{ confirmed: true, job: id },
    })
    expect([...paid]).toEqual([[7, 1]])
    await end(id, { newEffects: { reason: 'the bank lost it' } })
    expect([...paid]).toEqual([[7, 2]])
  })

  it('does again what was undone', async () => {
    let paid = 0
    const handler = (effect: 'idempotent' | 'once') =>
      order.handler({ retry: quick }, async (job) => {
        await job.step('pay', () => ++paid, { effect, undo: () => undefined })
        await job.waitFor('go')
      }) as never as JobHandler
    const rig = await open(handler('idempotent'))
    const { id } = await rig.submit(order, { no: 1 })
    await rig.settle()
    await rig.engine.cancel(LOCAL, id, {})
    expect((await rig.untilDone(id)).error!.details).toMatchObject({ compensation: { undone: ['pay'] } })
    await rig.restart([handler('once')])
    const { job } = await rig.engine.replay(LOCAL, id, { reason: 'wanted after all' })
    await rig.settle()
    await go(rig, job.id)
    expect((await rig.untilDone(job.id)).status).toBe('completed')
    expect(paid).toBe(2)
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
