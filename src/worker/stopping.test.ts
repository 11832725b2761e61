import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, defineSchedule, type JobContext, type JobHandler } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'

const open = rigs()
const work = defineJob('work', { input: z.object({}) })
const of = (fn: (job: JobContext<any>) => unknown) => work.handler({}, fn as never) as unknown as JobHandler
const gate = <T = void>() => {
  let go!: (value: T) => void
  const passed = new Promise<T>((resolve) => {
    go = resolve
  })
  return { passed, go }
}

describe('a stop', () => {
  it('begins to drain at once, whatever else waits for the store', async () => {
    const step = gate()
    const rig = await open([
      of(async (job) => {
        await job.step('long', () => step.passed)
        await job.step('next', () => 1)
      }),
    ])
    const job = await rig.submit(work, {})
    const answer = gate<never[]>()
    const { outbox } = rig.store.webhooks
    let asked = 0
    rig.store.webhooks.outbox = () => {
      asked++
      return answer.passed
    }
    await rig.advanceUntil(() => asked > 0)
    const stopping = rig.app.stop()
    step.go()
    await rig.settle()
    expect(await rig.store.attempts(job.id)).toMatchObject([{ outcome: 'released' }])
    rig.store.webhooks.outbox = outbox
    answer.go([])
    await stopping
  })

  it('ends although the store does not take the end of the lease', async () => {
    const rig = await open([of(() => null)])
    const { beat } = rig.store.workers
    rig.store.workers.beat = (row) => (row.state === 'gone' ? new Promise<never>(() => {}) : beat(row))
    const began = rig.clock.now()
    await rig.stop()
    expect(rig.clock.now() - began).toBeLessThanOrEqual(3000)
  })

  it('does not wait until an outage is caught up by schedules', async () => {
    const every = defineSchedule({
      ...{ id: 'often', definition: work, input: {}, every: '1m', missed: 'all', missedLimit: 500 },
    })
    const rig = await open([of(() => null)], { schedules: [every] })
    await rig.stop()
    rig.clock.skew(400 * 60_000)
    const { fire } = rig.store.schedules
    let fired = 0
    rig.store.schedules.fire = (request) => {
      if (++fired === 1) void rig.app.stop()
      return fire.call(rig.store.schedules, request)
    }
    await rig.restart()
    await rig.stop()
    expect(fired).toBe(1)
    rig.store.schedules.fire = fire
    await rig.restart()
    await rig.settle()
    expect((await rig.engine.list(LOCAL, { limit: 200 })).items).toHaveLength(200)
  })

  it.each(['stop', 'drain'] as const)('while a claim is under way: a %s gives back what it brings', async (how) => {
    let ran = 0
    const rig = await open([of((job) => job.step('one', () => void ran++))])
    const { claim } = rig.store
    const answer = gate()
    rig.store.claim = async (request) => {
      const claimed = await claim.call(rig.store, request)
      if (claimed.length > 0) await answer.passed
      return claimed
    }
    const job = await rig.submit(work, {})
    await rig.settle()
    const [worker] = await rig.engine.workers(LOCAL, false)
    const stopping = how === 'stop' ? rig.app.stop() : rig.engine.drainWorker(LOCAL, worker!.id, {})
    await (how === 'stop' ? rig.settle() : rig.advance('6s'))
    answer.go()
    await stopping
    await rig.settle()
    rig.store.claim = claim
    expect(ran).toBe(0)
    expect(await rig.store.attempts(job.id)).toMatchObject([{ outcome: 'released' }])
    await rig.restart()
    await rig.untilDone(job)
    expect(ran).toBe(1)
  })
})
