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
const busy = defineJob('busy', { input: z.object({}), approvals: { ok: z.null() }, signals: { go: z.object({}) } })
type Job = JobContext<any, { stages: string; approvals: { ok: z.ZodNull }; signals: { go: z.ZodObject<{}> } }>
const retry = until({ backoff: { from: '1h', to: '1h' } })

async function start(
  run: (job: Job) => unknown,
  { options = {}, submit = {} }: { options?: object; submit?: object } = {},
): Promise<{ rig: TestRig; id: string }> {
  const handlers = [
    busy.handler({ retry, ...options }, run as never),
    child.handler(async (job) => {
      await job.sleep('long', '9d')
    }),
  ] as never as JobHandler[]
  const rig = await open(handlers, { worker: { queues: ['default'] } })
  const { id } = await rig.submit(busy, {}, submit)
  await rig.settle()
  return { rig, id }
}
const request = {
  ...({ summary: 'Go on', because: 'It is time.', evidence: 'none', impact: 'small', rollback: 'none' } as const),
  writes: [{ target: 'x', change: { y: [0, 1] as const } }],
}

describe('a cancel', () => {
  it.each<[string, string, (job: Job) => unknown]>([
    ['sleeps', 'waiting', (job) => job.sleep('a day', '1d')],
    ['waits for a signal', 'signal', (job) => job.waitFor('go')],
    ['waits for a callback', 'signal', async (job) => (await job.callback('vendor')).result()],
    ['waits for children', 'waiting', (job) => Promise.all([1, 2, 3].map(() => job.call(child, {})))],
    ['waits for a worker of a queue', 'running', (job) => job.stage('far', { queue: 'nobody' }, () => 1)],
    ['waits for its next try', 'retrying', (job) => job.step('x', () => Promise.reject(new Transient('busy')))],
    ['waits for an approval', 'approval', (job) => job.approve('ok', request)],
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

  it('of a job that has not begun ends it at once, and it never begins', async () => {
    let ran = 0
    const { rig, id } = await start(() => ++ran, { submit: { runAt: new Date(Date.UTC(2030, 0, 1)) } })
    expect((await rig.get(id)).ops!.phase).toBe('scheduled')
    expect(await rig.engine.cancel(LOCAL, id, {})).toMatchObject({ pending: false, job: { status: 'cancelled' } })
    await rig.restart(undefined, { worker: false })
    const { id: stored } = await rig.submit(busy, {})
    expect((await rig.get(stored)).ops!.phase).toBe('queued')
    await rig.engine.cancel(LOCAL, stored, {})
    await rig.restart(undefined, {})
    await rig.advance('1d')
    expect([ran, (await rig.get(stored)).status]).toEqual([0, 'cancelled'])
  })

  it('of a job that a limit holds leaves the place of the one that works, and no place of its own', async () => {
    let finish = () => {}
    const run = (job: Job) => job.step('x', () => new Promise<void>((resolve) => (finish = resolve)))
    const options = { limits: { concurrency: { key: () => 'one', limit: 1 } } }
    const { rig, id } = await start(run, { options })
    const held = await rig.submit(busy, {})
    const next = await rig.submit(busy, {})
    await rig.settle()
    expect((await rig.get(held)).ops!.phase).toBe('held')
    expect(await rig.engine.cancel(LOCAL, held.id, {})).toMatchObject({ pending: false, job: { status: 'cancelled' } })
    expect([(await rig.get(id)).status, (await rig.get(next)).ops!.phase]).toEqual(['processing', 'held'])
    finish()
    await rig.untilDone(id)
    await rig.settle()
    expect((await rig.get(next)).status).toBe('processing')
    finish()
    expect((await rig.untilDone(next)).status).toBe('completed')
  })

  it.each<[string, (job: Job) => unknown]>([
    ['a wait', (job) => job.waitFor('go')],
    ['a sleep', (job) => job.sleep('a day', '1d')],
    ['its next try', (job) => job.step('x', () => Promise.reject(new Transient('busy')))],
  ])('of a job that is paused in %s ends it at once', async (_, run) => {
    const { rig, id } = await start(run)
    expect((await rig.engine.pause(LOCAL, id, {})).blockedOn[0]).toMatchObject({ kind: 'pause' })
    expect(await rig.engine.cancel(LOCAL, id, {})).toMatchObject({ pending: false, job: { status: 'cancelled' } })
    await rig.advance('2d')
    expect(await rig.store.waits(id)).toEqual([])
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

  describe('while a child process in a once step ignores TERM', () => {
    const undone: unknown[] = []
    /** Cancelled as soon as the child is there; goes on when the attempt has ended. */
    async function killed(undo?: (value: unknown) => void) {
      undone.length = 0
      let pid = 0
      let up = false
      let end: unknown
      const { rig, id } = await start((job) =>
        job.step(
          'print',
          async ({ signal }) => {
            const script = `process.on('SIGTERM', () => {}); process.stdout.write('up'); setInterval(() => {}, 1000)`
            const outcome = await runProcess({
              ...{ command: process.execPath, args: ['-e', script], signal, timeoutMs: 60_000, graceMs: 300 },
              ...{ envelope: false, onSpawn: (child) => void (pid = child.pid), onOutput: () => (up = true) },
            })
            end = outcome
            if (!outcome.ok) throw new Error(`the printer was stopped: ${outcome.kind}`)
            return 'printed'
          },
          { effect: 'once', ...(undo ? { undo } : {}) },
        ),
      )
      await untilReal(() => up, 'the child')
      expect((await rig.engine.cancel(LOCAL, id, {})).pending).toBe(true)
      // TERM alone does not end it.
      expect([(await rig.get(id)).status, rig.app.running]).toEqual(['processing', 1])
      expect(() => process.kill(pid, 0)).not.toThrow()
      await untilReal(async () => rig.app.running === 0, 'the end of the attempt')
      expect(() => process.kill(pid, 0)).toThrow()
      expect(end).toMatchObject({ ok: false, kind: 'aborted', signal: 'SIGKILL' })
      await rig.settle()
      return { rig, id }
    }

    it.each([
      ['happened', ['a sheet'], 'rolled-back'],
      ['did-not-happen', [], undefined],
    ] as const)(
      'what it did is not known, and not undone blindly: a person says that it %s',
      async (answer, taken, state) => {
        const { rig, id } = await killed((value) => void undone.push(value))
        expect(await rig.get(id)).toMatchObject({
          status: 'blocked',
          error: { code: 'effect-unknown', details: { question: { step: 'print' } } },
        })
        expect(undone).toEqual([])
        const told = answer === 'happened' ? { result: 'a sheet' } : {}
        await rig.engine.answer(LOCAL, id, { step: 'print', answer, reason: 'looked at the printer', ...told })
        const job = await rig.untilDone(id)
        expect(job).toMatchObject({ status: 'cancelled', error: { code: 'cancelled-by-caller' } })
        expect((job.error!.details?.compensation as { state?: string } | undefined)?.state).toBe(state)
        expect(undone).toEqual(taken)
      },
    )

    it('without an undo there is nothing to wait for: it is cancelled, and says what is not known', async () => {
      const { rig, id } = await killed()
      expect(await rig.get(id)).toMatchObject({
        status: 'cancelled',
        warnings: [{ code: 'effect-unknown', step: 'print' }],
      })
    })
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
