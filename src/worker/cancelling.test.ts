/** A cancel finds a job wherever it is, and what hangs on it; a stop of the worker finds it waiting. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, type JobHandler, Permanent, Review, Transient, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { runProcess } from '../process/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type TestRig, until as untilReal } from '../testing/index.js'

const open = rigs()
const child = defineJob('child', { input: z.object({}) })
const busy = defineJob('busy', { input: z.object({}), signals: { go: z.object({}) } })
type Job = JobContext<any, { stages: string; approvals: {}; signals: { go: z.ZodObject<{}> } }>
const retry = until({ backoff: { from: '1h', to: '1h' } })

async function start(run: (job: Job) => unknown): Promise<{ rig: TestRig; id: string }> {
  const handlers = [
    busy.handler({ retry }, run as never),
    child.handler(async (job) => {
      await job.sleep('long', '9d')
    }),
  ] as never as JobHandler[]
  const rig = await open(handlers, { worker: { queues: ['default'] } })
  const { id } = await rig.submit(busy, {})
  await rig.settle()
  return { rig, id }
}

describe('a cancel', () => {
  it.each<[string, string, (job: Job) => unknown]>([
    ['sleeps', 'waiting', (job) => job.sleep('a day', '1d')],
    ['waits for a signal', 'signal', (job) => job.waitFor('go')],
    ['waits for a callback', 'signal', async (job) => (await job.callback('vendor')).result()],
    ['waits for children', 'waiting', (job) => Promise.all([1, 2, 3].map(() => job.call(child, {})))],
    ['waits for a worker of a queue', 'running', (job) => job.stage('far', { queue: 'nobody' }, () => 1)],
    ['waits for its next try', 'retrying', (job) => job.step('x', () => Promise.reject(new Transient('busy')))],
    ['waits for a person', 'review', (job) => job.step('x', () => Promise.reject(new Review('look')))],
  ])('of a job that %s ends it at once, and what hangs on it', async (_, phase, run) => {
    const { rig, id } = await start(run)
    expect((await rig.get(id)).ops!.phase).toBe(phase)
    expect(await rig.engine.cancel(LOCAL, id, {})).toMatchObject({ pending: false, job: { status: 'cancelled' } })
    await rig.untilIdle()
    expect(await rig.store.waits(id)).toEqual([])
    for (const { status, error } of (await rig.engine.list(LOCAL, { parentId: id })).items)
      expect([status, error!.code]).toEqual(['cancelled', 'parent-cancelled'])
    expect(rig.app.running).toBe(0)
  })

  it('of a job with a wait and a step side by side ends it when the step has ended', async () => {
    let finish = () => {}
    const { rig, id } = await start((job) =>
      Promise.all([
        job.sleep('a day', '1d'),
        job.step('deaf', () => new Promise<void>((resolve) => (finish = resolve))),
      ]),
    )
    expect((await rig.engine.cancel(LOCAL, id, {})).pending).toBe(true)
    await rig.advance('1m')
    expect((await rig.get(id)).status).toBe('processing')
    finish()
    await rig.settle()
    expect((await rig.get(id)).status).toBe('cancelled')
  })

  it('of a job that is being undone is refused; it goes on being undone', async () => {
    let down = true
    const { rig, id } = await start(async (job) => {
      await job.step('x', () => 1, {
        undo: () => {
          if (down) throw new Transient('down')
        },
      })
      throw new Permanent('no')
    })
    expect((await rig.get(id)).ops!.phase).toBe('compensating')
    await expect(rig.engine.cancel(LOCAL, id, {})).rejects.toMatchObject({ code: 'invalid-transition' })
    down = false
    expect((await rig.untilDone(id)).status).toBe('failed')
  })

  it('reaches a child process in a once step that ignores TERM; what it did is not known, and not undone blindly', async () => {
    const undone: unknown[] = []
    let pid = 0
    let up = false
    const { rig, id } = await start((job) =>
      job.step(
        'print',
        async ({ signal }) => {
          const script = `process.on('SIGTERM', () => {}); process.stdout.write('up'); setInterval(() => {}, 1000)`
          const outcome = await runProcess({
            ...{ command: process.execPath, args: ['-e', script], signal, timeoutMs: 60_000, graceMs: 300 },
            ...{ envelope: false, onSpawn: (child) => void (pid = child.pid), onOutput: () => (up = true) },
          })
          if (!outcome.ok) throw new Error(`the printer was stopped: ${outcome.kind}`)
          return 'printed'
        },
        { effect: 'once', undo: (value) => void undone.push(value) },
      ),
    )
    await untilReal(() => up, 'the child')
    await rig.engine.cancel(LOCAL, id, {})
    await untilReal(async () => rig.app.running === 0, 'the end of the attempt')
    expect(() => process.kill(pid, 0)).toThrow()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({
      status: 'blocked',
      error: { code: 'effect-unknown', details: { question: { step: 'print' } } },
    })
    expect(undone).toEqual([])
  })
})

describe('a stop of the worker', () => {
  it('finds jobs that wait, and they go on after it', async () => {
    const { rig, id } = await start((job) => Promise.race([job.waitFor('go'), job.sleep('a day', '1d')]))
    await rig.stop()
    await rig.restart()
    expect((await rig.untilDone(id, '2d')).status).toBe('completed')
    expect((await rig.engine.attempts(LOCAL, id)).map(({ outcome }) => outcome)).toEqual(['suspended', 'ok'])
  })

  it('in the middle of a job that is about to wait costs it nothing', async () => {
    const ran: number[] = []
    let finish = () => {}
    const { rig, id } = await start(async (job) => {
      await Promise.all([
        job.sleep('a day', '1d'),
        job.step('slow', async () => {
          ran.push(job.attempt)
          await new Promise<void>((resolve) => (finish = resolve))
        }),
      ])
      return 'rested'
    })
    const began = rig.clock.now()
    const stopping = rig.stop()
    await rig.settle()
    finish()
    await stopping
    await rig.restart()
    const job = await rig.untilDone(id, '2d')
    expect(job.result).toBe('rested')
    // A process that has just started looks every second.
    expect(Date.parse(job.finishedAt!) - began - 86_400_000).toBeLessThan(1000)
    expect(ran).toEqual([1])
  })
})

it('a sleep of nothing is a moment, and leaves a record', async () => {
  const { rig, id } = await start(async (job) => {
    for (let i = 0; i < 20; i++) await job.sleep('none', 0)
    return 'on'
  })
  const job = await rig.untilDone(id)
  expect(job.result).toBe('on')
  expect(Date.parse(job.finishedAt!) - Date.parse(job.createdAt)).toBe(0)
  expect(await rig.store.steps(id)).toHaveLength(20)
})
