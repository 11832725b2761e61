/** Several things under way when an attempt ends: what was begun comes to its end, and nothing begins beside the next attempt. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, type JobHandler, Permanent, Transient, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'

const open = rigs()
const pair = defineJob('pair', { input: z.object({}) })
const handlerOf = (run: (job: JobContext<any>) => unknown): JobHandler =>
  pair.handler({ retry: until({ backoff: { from: '10ms', to: '10ms' } }) }, run as never) as never

/** Promises that the test settles, each for the next who asks. */
function gate() {
  const asked: (() => void)[] = []
  return {
    pass: () => new Promise<void>((resolve) => asked.push(resolve)),
    open: () => asked.shift()!(),
    get waiting() {
      return asked.length
    },
  }
}

describe('a branch that fails while another is at work', () => {
  it('the other one is recorded, begins nothing new, and never runs beside the next attempt', async () => {
    const ran: string[] = []
    const slow = gate()
    const rig = await open(
      handlerOf(async (job) => {
        const fails = job.step('fails', () => {
          if (job.attempt === 1) throw new Transient('busy')
        })
        const works = async () => {
          await job.step('slow', async () => {
            ran.push(`slow ${job.attempt}`)
            await slow.pass()
          })
          await job.step('next', () => void ran.push(`next ${job.attempt}`))
        }
        await Promise.all([fails, works()])
      }),
    )
    const { id } = await rig.submit(pair, {})
    await rig.advance('1s')
    expect((await rig.get(id)).ops).toMatchObject({ phase: 'running', attempt: 1 })
    slow.open()
    expect((await rig.untilDone(id)).status).toBe('completed')
    expect(ran).toEqual(['slow 1', 'next 2'])
    expect((await rig.store.steps(id)).map(({ key, attempt }) => `${key} ${attempt}`).sort()).toEqual([
      ...['fails 2', 'next 2', 'slow 1'],
    ])
  })

  it('for good: an effect that was under way is known, and taken back', async () => {
    const log: string[] = []
    const bank = gate()
    const rig = await open(
      handlerOf(async (job) => {
        await Promise.all([
          job.step(
            'pay',
            async () => {
              await bank.pass()
              log.push('paid')
              return 'receipt'
            },
            { effect: 'once', undo: (receipt) => void log.push(`void ${receipt}`) },
          ),
          job.step('check', () => {
            throw new Permanent('sold out')
          }),
        ])
      }),
    )
    const { id } = await rig.submit(pair, {})
    await rig.settle()
    bank.open()
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { message: 'sold out' } })
    expect(log).toEqual(['paid', 'void receipt'])
  })

  it('what does not end is told to at the time limit, and then left; the error stays the first one', async () => {
    let aborted = 0
    const rig = await open(
      pair.handler({ timeout: { attempt: '1m' }, retry: until({ attempts: 1 }) }, async (job) => {
        await Promise.all([
          job.step('hangs', ({ signal }) => {
            signal.addEventListener('abort', () => aborted++)
            return new Promise(() => {})
          }),
          job.step('fails', () => {
            throw new Permanent('sold out')
          }),
        ])
      }) as never,
    )
    const { id } = await rig.submit(pair, {})
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({
      status: 'failed',
      error: { message: 'sold out' },
      warnings: [{ code: 'handler-still-running' }],
    })
    expect(Date.parse(job.finishedAt!) - Date.parse(job.createdAt)).toBe(68_000)
    expect(aborted).toBe(1)
  })
})

describe('a handler that returns with a step under way', () => {
  it('is done when the step is recorded', async () => {
    const mail = gate()
    const rig = await open(
      handlerOf(async (job) => {
        void job.step('mail', () => mail.pass())
        return 'done'
      }),
    )
    const { id } = await rig.submit(pair, {})
    await rig.settle()
    expect((await rig.get(id)).status).toBe('processing')
    mail.open()
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'completed', result: 'done', warnings: [] })
    expect(await rig.store.steps(id)).toHaveLength(1)
  })

  it('does not wait for ever: the step is told to stop after 8 s', async () => {
    const rig = await open(
      handlerOf(async (job) => {
        const stopped = (signal: AbortSignal) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        return Promise.race([job.step('slow', ({ signal }) => stopped(signal)), 'quick'])
      }),
    )
    const { id } = await rig.submit(pair, {})
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'completed', result: 'quick', warnings: [] })
    expect(Date.parse(job.finishedAt!) - Date.parse(job.createdAt)).toBe(8000)
  })

  it('a step that fails unseen is a warning, and does not end the process', async () => {
    const rig = await open(
      handlerOf(async (job) => {
        void job.step('mail', () => Promise.reject(new Error('no such address')))
        return 'done'
      }),
    )
    const { id } = await rig.submit(pair, {})
    expect(await rig.untilDone(id)).toMatchObject({
      status: 'completed',
      warnings: [{ code: 'step-failed-unseen', message: expect.stringContaining('no such address'), step: 'mail' }],
    })
  })
})

describe('a suspended attempt', () => {
  it('begins no step when code of it comes along late', async () => {
    const ran: string[] = []
    const own = gate()
    const rig = await open(
      handlerOf(async (job) => {
        const late = async () => {
          await own.pass()
          await job.step('pay', () => void ran.push(`pay ${job.attempt}`))
        }
        await Promise.all([job.sleep('an hour', '1h'), late()])
      }),
    )
    const { id } = await rig.submit(pair, {})
    await rig.settle()
    expect((await rig.get(id)).ops!.phase).toBe('waiting')
    own.open()
    await rig.settle()
    expect(ran).toEqual([])
    await rig.advanceUntil(() => own.waiting > 0, 'the next attempt')
    own.open()
    expect((await rig.untilDone(id)).status).toBe('completed')
    expect(ran).toEqual(['pay 2'])
  })
})
