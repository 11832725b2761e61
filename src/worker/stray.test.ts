import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, type JobHandler, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { astray } from './stray.js'

const open = rigs()
const work = defineJob('work', { input: z.object({}) })
const of = (fn: (job: JobContext<any>) => unknown) =>
  work.handler({ retry: until({ attempts: 2 }) }, fn as never) as unknown as JobHandler

describe('an error that nobody caught', () => {
  it.each<[string, (job: JobContext<any>, met: () => void) => unknown]>([
    ['the handler itself', (_, met) => met()],
    ['a timer', (_, met) => void setImmediate(met)],
    ['a promise that nobody awaits', (_, met) => void turn().then(met)],
    ['a step', (job, met) => job.step('one', () => new Promise(() => void setImmediate(met)))],
    ['after a step', (job, met) => job.step('one', () => 1).then(met)],
  ])('in %s ends its attempt as an error of that job', async (_, fails) => {
    let after = 0
    const rig = await open([
      of(async (job) => {
        await fails(job, () => void astray(new Error('lost')))
        for (let i = 0; i < 4; i++) await turn()
        await job.step('after', () => void after++)
      }),
    ])
    const job = await rig.submit(work, {})
    const done = await rig.untilDone(job)
    expect(done).toMatchObject({
      status: 'failed',
      error: { details: { last: { code: 'stray-error', message: 'Nobody caught: lost' } } },
    })
    const attempts = await rig.engine.attempts(LOCAL, job.id)
    expect(attempts.map(({ outcome }) => outcome)).toEqual(['error', 'error'])
    expect(after).toBe(0)
  })

  it('outside of handlers is nobody’s, and one that comes after the end changes nothing', async () => {
    let late = () => {}
    const ended = new Promise<void>((resolve) => {
      late = resolve
    })
    const said: unknown[] = []
    const rig = await open([of(() => void ended.then(() => said.push(astray(new Error('late')))))])
    const job = await rig.submit(work, {})
    await rig.untilDone(job)
    expect(astray(new Error('elsewhere'))).toBeNull()
    late()
    await rig.settle()
    expect(said).toEqual([{ jobId: job.id, type: 'work' }])
    expect((await rig.get(job)).status).toBe('completed')
  })

  it('in an undo is an error of that undo', async () => {
    let undone = 0
    const rig = await open([
      of(async (job) => {
        await job.step('made', () => 1, {
          undo: async () => {
            if (undone++ > 0) return
            astray(new Error('lost'))
            await new Promise(() => {})
          },
        })
        throw Object.assign(new Error('no'), { status: 400 })
      }),
    ])
    const job = await rig.submit(work, {})
    expect((await rig.untilDone(job)).status).toBe('failed')
    expect(undone).toBe(2)
    const attempts = await rig.engine.attempts(LOCAL, job.id)
    expect(attempts.some(({ error }) => error?.code === 'stray-error')).toBe(true)
  })
})
