import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { UntildoneError } from '../core/errors.js'
import {
  defineJob,
  type HandlerOptions,
  Harmless,
  type JobContext,
  type JobHandler,
  jsonSchema,
  Permanent,
  Review,
  Transient,
  until,
} from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import type { SubmitOptions } from '../index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ n: z.number().default(0) }) })
const strict = defineJob('strict', {
  input: z.object({}),
  output: z.object({ pages: z.number(), note: z.string().default('none') }),
})
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
type Fn = (job: JobContext<{ n: number }>) => unknown
const of = (fn: Fn, options: HandlerOptions<any, any> = {}) =>
  work.handler({ retry: quick, ...options }, fn as never) as unknown as JobHandler
const strictly = (fn: (job: any) => unknown, options: HandlerOptions<any, any> = {}) =>
  strict.handler({ retry: quick, ...options }, fn as never) as unknown as JobHandler

async function submitted(handler: JobHandler, options: SubmitOptions = {}) {
  const rig = await open(handler)
  const handle = await rig.submit(handler.definition.name, {}, options)
  await rig.settle()
  return { rig, id: handle.id, handle }
}
async function finished(handler: JobHandler, options: SubmitOptions = {}) {
  const { rig, id, handle } = await submitted(handler, options)
  return { rig, id, handle, job: await rig.untilDone(id) }
}
const attemptsOf = async (rig: TestRig, id: string) =>
  (await rig.engine.attempts(LOCAL, id)).map(({ outcome, verdict, rule }) =>
    [outcome, verdict, rule].filter(Boolean).join(' '),
  )

describe('verdicts', () => {
  it('Permanent: failed at once, with its own code, message and details', async () => {
    const { rig, id, job, handle } = await finished(
      of(() => Promise.reject(new Permanent('not a PDF', { code: 'bad-input', details: { page: 1 } }))),
    )
    expect(job).toMatchObject({
      status: 'failed',
      done: true,
      result: null,
      statusText: 'Could not be completed: not a PDF',
      error: { code: 'bad-input', class: 'permanent', message: 'not a PDF', attempts: 1, details: { page: 1 } },
      ops: { phase: 'permanent', attempt: 1 },
    })
    expect(await attemptsOf(rig, id)).toEqual(['error permanent thrown Permanent'])
    await expect(handle.result()).rejects.toMatchObject({
      code: 'job-failed',
      params: { jobError: { code: 'bad-input' } },
    })
  })

  it('Harmless with a result that fits: completed, with a warning', async () => {
    const { job, handle } = await finished(
      strictly(() => Promise.reject(new Harmless('no text found', { code: 'empty', result: { pages: 0 } }))),
    )
    expect(job).toMatchObject({
      status: 'completed',
      result: { pages: 0, note: 'none' },
      ops: { phase: 'withWarnings' },
    })
    expect(job.warnings).toMatchObject([{ code: 'empty', message: 'no text found', step: null }])
    expect(await handle.result()).toEqual({ pages: 0, note: 'none' })
  })

  it('Harmless without a result that fits is transient, by the rule harmless-without-result', async () => {
    const handler = strictly((job) => {
      if (job.attempt === 1) throw new Harmless('noise')
      if (job.attempt === 2) throw new Harmless('noise', { result: { pages: 'many' } })
      return { pages: 3 }
    })
    const { rig, id, job } = await finished(handler)
    expect(job).toMatchObject({ status: 'completed', ops: { phase: 'clean' }, warnings: [] })
    const rule = 'error transient harmless-without-result'
    expect(await attemptsOf(rig, id)).toEqual([rule, rule, 'ok'])
  })

  it('a harmless rule of the type completes a job without an output schema with null', async () => {
    const { job } = await finished(
      of(() => Promise.reject(new Error('ICC profile ignored')), {
        errors: [{ match: /ICC profile/, is: 'harmless' }],
      }),
    )
    expect(job).toMatchObject({ status: 'completed', result: null, warnings: [{ message: 'ICC profile ignored' }] })
  })

  it('Review: blocked with the error, until a human retries; then it goes on', async () => {
    const handler = of((job) => {
      if (job.attempt === 1) throw new Review('no evidence', { code: 'no-evidence' })
      return 'fine'
    })
    const { rig, id } = await submitted(handler)
    const blocked = await rig.get(id)
    expect(blocked).toMatchObject({
      status: 'blocked',
      done: false,
      error: { code: 'no-evidence', class: 'review' },
      ops: { phase: 'review' },
    })
    expect(blocked.blockedOn).toMatchObject([{ kind: 'review', title: 'no evidence' }])
    expect(blocked.statusText).toBe('Action required: no evidence')
    await rig.advance('1m')
    expect((await rig.get(id)).status).toBe('blocked')
    await rig.engine.retry(LOCAL, id, { reason: 'looked at it' })
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'completed', result: 'fine', error: null })
    expect(await attemptsOf(rig, id)).toEqual(['error review thrown Review', 'ok'])
  })

  it('anything else is transient, and the job is processing between attempts', async () => {
    const handler = of((job) => {
      if (job.attempt === 1) throw 'a string'
      return 1
    })
    const { rig, id } = await submitted(handler)
    expect(await rig.get(id)).toMatchObject({
      status: 'processing',
      error: null,
      ops: { phase: 'retrying', attempt: 1, lastError: { message: 'a string' } },
    })
    expect((await rig.untilDone(id)).result).toBe(1)
  })

  it.each([
    ['undefined', () => Promise.reject(undefined)],
    [
      'a circular object',
      () =>
        Promise.reject(
          Object.assign(
            {},
            {
              get self() {
                return this
              },
            },
          ),
        ),
    ],
    ['a huge message', () => Promise.reject(new Error('x'.repeat(5_000_000)))],
    [
      'circular details',
      () => {
        const details: Record<string, unknown> = {}
        details.self = details
        return Promise.reject(new Permanent('x', { details }))
      },
    ],
    [
      'details that throw',
      () =>
        Promise.reject(
          new Permanent('x', {
            details: {
              get a(): string {
                throw new Error('no')
              },
            },
          }),
        ),
    ],
    ['huge details', () => Promise.reject(new Permanent('x', { details: { big: 'y'.repeat(1_000_000) } }))],
    ['details with a NUL and bigint', () => Promise.reject(new Permanent('a\u0000b', { details: { n: 1n } }))],
  ])('%s: classified, stored, bounded', async (_, fn) => {
    const { rig, id, job } = await finished(of(fn as never, { retry: until({ attempts: 1 }) }))
    expect(job.status).toBe('failed')
    expect(JSON.stringify(job).length).toBeLessThan(60_000)
    expect(await attemptsOf(rig, id)).toHaveLength(1)
  })

  it('a handler that throws before its first await is like any other', async () => {
    const { job } = await finished(
      of(() => {
        throw new Permanent('at once')
      }),
    )
    expect(job).toMatchObject({ status: 'failed', error: { message: 'at once' } })
  })

  it('a rejection after the end of a handler changes nothing', async () => {
    const { rig, id, job } = await finished(
      of((job) => {
        void job
          .step('late', async () => {
            throw new Error('nobody waits for me')
          })
          .catch(() => undefined)
        job.warn('w', 'said')
        return 'done'
      }),
    )
    expect(job).toMatchObject({ status: 'completed', result: 'done' })
    await rig.advance('10s')
    expect(await rig.get(id)).toEqual(job)
  })
})

describe('the result', () => {
  it('goes through the output schema: what is stored is its output', async () => {
    const { job } = await finished(strictly(() => ({ pages: 2, extra: 'dropped' })))
    expect(job.result).toEqual({ pages: 2, note: 'none' })
  })

  it('that does not fit fails as output-invalid at once', async () => {
    const { rig, id, job } = await finished(strictly(() => ({ pages: 'two' })))
    expect(job).toMatchObject({ status: 'failed', error: { code: 'output-invalid', class: 'permanent' } })
    expect(job.error!.message).toContain('/pages')
    expect(await attemptsOf(rig, id)).toEqual(['error permanent built-in code output-invalid'])
  })

  it('raw JSON Schema checks it as well', async () => {
    const raw = defineJob('raw', {
      input: jsonSchema({ type: 'object' }),
      output: jsonSchema({ type: 'integer', minimum: 3 }),
    })
    const rig = await open(
      raw.handler(((job: { input: { n: number } }) => job.input.n) as never) as unknown as JobHandler,
    )
    const good = await rig.untilDone(await rig.submit('raw', { n: 3 }))
    expect(good).toMatchObject({ status: 'completed', result: 3 })
    expect(await rig.untilDone(await rig.submit('raw', { n: 2 }))).toMatchObject({ error: { code: 'output-invalid' } })
  })

  it('verify sees output and input, and its verdict counts', async () => {
    const seen: unknown[] = []
    const verify = (out: unknown, { input }: { input: unknown }) => {
      seen.push([out, input])
      if (seen.length === 1) throw new Transient('not yet visible')
      if (seen.length === 2) throw new Permanent('engine returned no pages', { code: 'truncated-output' })
    }
    const { rig, id, job } = await finished(strictly(() => ({ pages: 0 }), { verify }))
    expect(seen).toEqual([
      [{ pages: 0, note: 'none' }, {}],
      [{ pages: 0, note: 'none' }, {}],
    ])
    expect(job).toMatchObject({ status: 'failed', error: { code: 'truncated-output' } })
    expect(await attemptsOf(rig, id)).toEqual(['error transient thrown Transient', 'error permanent thrown Permanent'])
  })

  it.each<[unknown, unknown]>([
    [undefined, null],
    [null, null],
    [0, 0],
    ['', ''],
    [false, false],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [{ a: undefined }, {}],
  ])('%j is stored as JSON', async (value, stored) => {
    const { job, handle } = await finished(of(() => value))
    expect(job.result).toEqual(stored)
    expect(await handle.result()).toEqual(stored)
    expect(job.resultInfo).toMatchObject({
      state: 'inline',
      bytes: JSON.stringify(stored).length,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })

  it('a promise of another realm or library is waited for', async () => {
    type Settle = (value: unknown) => void
    const thenable = (then: (resolve: Settle, reject: Settle) => void) => ({ then })
    const { job } = await finished(of(() => thenable((resolve) => resolve('waited'))))
    expect(job.result).toBe('waited')
    const patched = Object.assign(Promise.resolve(), {
      // biome-ignore lint/suspicious/noThenProperty: as tools do that follow calls
      then() {
        throw new Permanent('patched')
      },
    })
    expect((await finished(of(() => patched))).job.error?.message).toBe('patched')
    const { job: failed } = await finished(of(() => thenable((_, reject) => reject(new Permanent('rejected')))))
    expect(failed).toMatchObject({ status: 'failed', error: { message: 'rejected' } })
  })

  it('larger than maxResult fails as result-too-large; at the limit it passes, counted in bytes', async () => {
    const limit = { maxResult: 100 }
    expect((await finished(of(() => 'x'.repeat(98), limit))).job.status).toBe('completed')
    expect((await finished(of(() => 'x'.repeat(99), limit))).job).toMatchObject({
      status: 'failed',
      error: { code: 'result-too-large' },
    })
    expect((await finished(of(() => 'é'.repeat(49), limit))).job.status).toBe('completed')
    expect((await finished(of(() => 'é'.repeat(50), limit))).job.error!.code).toBe('result-too-large')
  })

  it('of 300 KiB is external, and whole where it is asked for', async () => {
    const text = 'z'.repeat(300 * 1024)
    const { rig, id, job, handle } = await finished(of(() => text))
    expect(job).toMatchObject({ result: null, resultInfo: { state: 'external', bytes: text.length + 2 } })
    expect(await handle.result()).toBe(text)
    expect(JSON.parse((await rig.engine.result(LOCAL, id)).json)).toBe(text)
  })
})

describe('retry budgets', () => {
  const failing = (retry: ReturnType<typeof until>, error: () => unknown = () => new Error('busy')) =>
    of(() => Promise.reject(error()), { retry })

  it('attempts: so many errors, then failed as exhausted with the last error', async () => {
    const { rig, id, job } = await finished(failing(until({ attempts: 4, backoff: { from: '10ms', to: '10ms' } })))
    expect(job).toMatchObject({
      status: 'failed',
      error: { code: 'exhausted', attempts: 4, details: { last: { code: 'handler-error', message: 'busy' } } },
      ops: { phase: 'exhausted' },
    })
    expect(await attemptsOf(rig, id)).toHaveLength(4)
  })

  it('within: no attempt starts later than that after the job was to run', async () => {
    const runAt = new Date(Date.UTC(2026, 10, 22, 9, 1))
    const { rig, id, job } = await finished(failing(until({ within: '1m', backoff: { from: '10s', to: '10s' } })), {
      runAt,
    })
    expect(job.error!.code).toBe('exhausted')
    const attempts = await rig.engine.attempts(LOCAL, id)
    expect(attempts.length).toBeGreaterThan(5)
    for (const { startedAt } of attempts) {
      expect(Date.parse(startedAt)).toBeGreaterThanOrEqual(runAt.getTime())
      expect(Date.parse(startedAt)).toBeLessThanOrEqual(runAt.getTime() + 60_000)
    }
  })

  it('backs off with full jitter under a growing cap', async () => {
    const { rig, id } = await finished(failing(until({ attempts: 8, backoff: { from: '1s', to: '8s', factor: 2 } })))
    const waits = (await rig.engine.attempts(LOCAL, id)).slice(0, -1).map(({ retryInMs }) => retryInMs!)
    const caps = [1000, 2000, 4000, 8000, 8000, 8000, 8000]
    waits.forEach((wait, i) => {
      expect(wait).toBeGreaterThanOrEqual(0)
      expect(wait).toBeLessThan(caps[i]!)
    })
    expect(new Set(waits).size).toBe(7)
    const attempts = await rig.engine.attempts(LOCAL, id)
    for (let i = 1; i < attempts.length; i++) {
      expect(Date.parse(attempts[i]!.startedAt) - Date.parse(attempts[i - 1]!.endedAt!)).toBe(waits[i - 1])
    }
  })

  it('Retry-After is never undercut', async () => {
    const { rig, id } = await submitted(
      failing(
        until({ attempts: 2, backoff: { from: '10ms', to: '10ms' } }),
        () => new Transient('busy', { retryAfterMs: 30_000 }),
      ),
    )
    await rig.advance(29_999)
    expect(await attemptsOf(rig, id)).toHaveLength(1)
    await rig.advance(1)
    expect(await attemptsOf(rig, id)).toHaveLength(2)
  })

  it('onExhausted: review blocks instead; a retry gives a new budget', async () => {
    const handler = of(
      (job) => {
        if (job.attempt <= 3) throw new Error('busy')
        return 'at last'
      },
      { retry: until({ attempts: 2, backoff: { from: '10ms', to: '10ms' }, onExhausted: 'review' }) },
    )
    const { rig, id } = await submitted(handler)
    await rig.advanceUntil(async () => (await rig.get(id)).status === 'blocked')
    expect(await rig.get(id)).toMatchObject({
      error: { code: 'handler-error', class: 'review', message: 'busy' },
      ops: { attempt: 2 },
    })
    await rig.engine.retry(LOCAL, id, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', ops: { attempt: 4 } })
  })

  it('a retry by an operator without resetting does not refill the budget', async () => {
    const retry = until({ attempts: 2, backoff: { from: '10ms', to: '10ms' }, onExhausted: 'review' })
    const { rig, id } = await submitted(failing(retry))
    await rig.advanceUntil(async () => (await rig.get(id)).status === 'blocked')
    await rig.engine.retry(LOCAL, id, { resetAttempts: false })
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({ status: 'blocked', ops: { attempt: 3 } })
  })

  it('"now, please" skips the wait between attempts', async () => {
    const handler = of((job) => {
      if (job.attempt === 1) throw new Transient('busy', { retryAfterMs: 3_600_000 })
      return 'early'
    })
    const { rig, id } = await submitted(handler)
    const before = rig.clock.now()
    await rig.engine.retry(LOCAL, id, {})
    expect((await rig.untilDone(id)).result).toBe('early')
    expect(rig.clock.now() - before).toBeLessThan(2000)
  })
})

describe('time limits', () => {
  it('an attempt that takes too long is aborted and counts as transient', async () => {
    const reasons: unknown[] = []
    const handler = of(
      async (job) => {
        if (job.attempt > 1) return 'quick'
        await new Promise((_, reject) =>
          job.signal.addEventListener('abort', () => {
            reasons.push((job.signal.reason as UntildoneError).code)
            reject(job.signal.reason)
          }),
        )
      },
      { timeout: { attempt: '10s' } },
    )
    const { rig, id } = await submitted(handler)
    await rig.advance('10s')
    expect(reasons).toEqual(['attempt-timeout'])
    expect(await rig.untilDone(id)).toMatchObject({ result: 'quick', warnings: [] })
    expect((await rig.engine.attempts(LOCAL, id))[0]).toMatchObject({
      outcome: 'error',
      error: { code: 'attempt-timeout', class: 'transient' },
      durationMs: 10_000,
    })
  })

  it('a handler that never settles is left behind, and the job goes on', async () => {
    const late: unknown[] = []
    let go = () => {}
    const handler = of(
      async (job) => {
        if (job.attempt > 1) return 'second'
        await new Promise<void>((resolve) => {
          go = resolve
        })
        job.warn('late', 'too late')
        late.push(await job.step('late', () => 1).catch((error) => error.code))
        return 'first'
      },
      { timeout: { attempt: '10s' } },
    )
    const { rig, id } = await submitted(handler)
    await rig.advance('17s')
    expect(await rig.get(id)).toMatchObject({ ops: { phase: 'running', attempt: 1 } })
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'completed', result: 'second', warnings: [{ code: 'handler-still-running' }] })
    go()
    await rig.advance('5s')
    expect(await rig.get(id)).toEqual(job)
    expect(await rig.store.steps(id)).toEqual([])
    expect(late).toEqual(['attempt-timeout'])
  })

  it('a deadline aborts a running attempt and fails the job', async () => {
    const handler = of(
      (job) => new Promise((_, reject) => job.signal.addEventListener('abort', () => reject(new Error('stopped')))),
    )
    const rig = await open(handler)
    const { id } = await rig.submit(work, {}, { deadlineAt: new Date(rig.clock.now() + 30_000) })
    await rig.advance(29_999)
    expect((await rig.get(id)).status).toBe('processing')
    await rig.advance(1)
    expect(await rig.get(id)).toMatchObject({
      status: 'failed',
      error: { code: 'deadline-passed' },
      ops: { phase: 'deadline' },
    })
    expect(await attemptsOf(rig, id)).toEqual(['error permanent built-in deadline'])
  })

  it('a deadline ends a job that waits: queued, between attempts, in review', async () => {
    const handler = of((job) => {
      throw job.input.n === 1 ? new Review('look') : new Transient('busy', { retryAfterMs: 50_000 })
    })
    const rig = await open(handler)
    const deadlineAt = new Date(rig.clock.now() + 60_000)
    const waiting = await rig.submit(work, {}, { deadlineAt })
    const blocked = await rig.submit(work, { n: 1 }, { deadlineAt })
    await rig.advance('61s')
    for (const { id } of [waiting, blocked]) {
      expect(await rig.get(id)).toMatchObject({
        status: 'failed',
        error: { code: 'deadline-passed' },
        ops: { phase: 'deadline' },
      })
    }
  })

  it('a job whose deadline passed while nobody worked is not begun', async () => {
    let runs = 0
    const handler = of(() => void runs++)
    const rig = await open(handler, { worker: false })
    const { id } = await rig.submit(work, {}, { deadlineAt: new Date(rig.clock.now() + 10_000) })
    await rig.crash()
    await rig.advance('20s')
    await rig.restart([handler], {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { code: 'deadline-passed' } })
    expect(runs).toBe(0)
  })

  it('runAt: not before', async () => {
    const starts: number[] = []
    const rig = await open(of(() => starts.push(rig.clock.now()) && null))
    const at = rig.clock.now() + 90_000
    const { id } = await rig.submit(work, {}, { runAt: new Date(at) })
    expect(await rig.get(id)).toMatchObject({ status: 'accepted', ops: { phase: 'scheduled' } })
    await rig.advance(89_999)
    expect(starts).toEqual([])
    await rig.advance(1)
    expect(starts).toEqual([at])
    expect((await rig.get(id)).status).toBe('completed')
  })
})
