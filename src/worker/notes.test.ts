import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, type JobHandler, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'

const open = rigs()
const work = defineJob('work', {
  input: z.object({}),
  stages: ['fetch', { name: 'pages', label: 'Reading pages' }, 'write'],
})
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
const of = (fn: (job: JobContext<object>) => unknown) =>
  work.handler({ retry: quick }, fn as never) as unknown as JobHandler

/** A handler that is told from outside what to say. */
async function puppet() {
  let job!: JobContext<object>
  let finish = (_: unknown) => {}
  const rig = await open(
    of((context) => {
      job = context
      return new Promise((resolve) => {
        finish = resolve
      })
    }),
  )
  const { id } = await rig.submit(work, {})
  await rig.settle()
  return { rig, id, job, finish: (value: unknown) => finish(value) }
}

describe('progress', () => {
  it('is what people see: stage, label, percent, sentence', async () => {
    const { rig, id, job, finish } = await puppet()
    expect((await rig.get(id)).progress).toMatchObject({
      stage: null,
      percent: null,
      stages: [{ state: 'pending' }, { state: 'pending' }, { state: 'pending' }],
    })
    job.progress('pages', { message: 'Page 1 of 3', completed: 1, total: 3, unit: 'page' })
    await rig.advance('1s')
    const seen = await rig.get(id)
    expect(seen).toMatchObject({
      statusText: 'Page 1 of 3',
      progress: {
        stage: 'pages',
        stageLabel: 'Reading pages',
        message: 'Page 1 of 3',
        completed: 1,
        total: 3,
        unit: 'page',
        percent: 33,
      },
    })
    expect(seen.progress!.stages.map(({ label, state }) => `${label}: ${state}`)).toEqual([
      'Fetch: done',
      'Reading pages: active',
      'Write: pending',
    ])
    finish(null)
    await rig.settle()
    expect((await rig.get(id)).progress!.stages.map(({ state }) => state)).toEqual(['done', 'done', 'done'])
  })

  it('within a stage is stored at most once a second, and the last value always is', async () => {
    const { rig, id, job, finish } = await puppet()
    job.progress('pages', { completed: 0, total: 1000 })
    await rig.advance('1s')
    const stored: number[] = []
    rig.store.onChange((changes) => {
      for (const change of changes) if (change.jobId === id) stored.push(rig.clock.now())
    })
    for (let i = 1; i <= 500; i++) {
      job.progress('pages', { completed: i, total: 1000 })
      await rig.advance(20)
    }
    expect(stored.length).toBeGreaterThanOrEqual(9)
    expect(stored.length).toBeLessThanOrEqual(11)
    for (let i = 1; i < stored.length; i++) expect(stored[i]! - stored[i - 1]!).toBeGreaterThanOrEqual(1000)
    job.progress('pages', { completed: 777, total: 1000 })
    finish(null)
    await rig.settle()
    expect((await rig.get(id)).progress).toMatchObject({ completed: 777 })
  })

  it('does not fall when a new attempt begins a stage again', async () => {
    const handler = of(async (job) => {
      job.progress('pages', { completed: job.attempt === 1 ? 40 : 5, total: 100 })
      await job.step('s', () => 1)
      if (job.attempt === 1) throw new Error('again')
      await new Promise(() => {})
    })
    const rig = await open(handler)
    const { id } = await rig.submit(work, {})
    await rig.advanceUntil(async () => (await rig.get(id)).ops!.attempt === 2)
    await rig.advance('2s')
    expect((await rig.get(id)).progress).toMatchObject({ stage: 'pages', completed: 40, percent: 40 })
  })

  it.each([
    [{ completed: 5 }, null],
    [{ completed: 5, total: 0 }, null],
    [{ total: 5 }, null],
    [{ completed: 7, total: 5 }, 100],
    [{ completed: 2, total: 3 }, 66],
    [{ completed: Number.NaN, total: Number.POSITIVE_INFINITY }, null],
    [{ iterations: { completed: 1, total: 4 } }, 25],
    [{ iterations: { completed: 1 } }, null],
    [{ completed: 1, total: 2, iterations: { completed: 1, total: 4 } }, 50],
    [{ completed: 1, iterations: { completed: 1, total: 4 } }, 25],
  ])('%o shows %s percent, never an invented one', async (update, percent) => {
    const { rig, id, job } = await puppet()
    job.progress('pages', update)
    await rig.advance('1s')
    expect((await rig.get(id)).progress!.percent).toBe(percent)
  })

  it.each([
    [
      { completed: 2, total: 3 },
      { completed: 2, total: 3 },
    ],
    [{ completed: 2 }, { completed: 2, total: null }],
    [{ completed: Number.NaN, total: 3 }, null],
    [null as never, null],
    [7 as never, null],
    [undefined, null],
  ])('rounds %o are shown as %o', async (iterations, shown) => {
    const { rig, id, job } = await puppet()
    job.progress('pages', { iterations })
    await rig.advance('1s')
    expect((await rig.get(id)).progress!.iterations).toEqual(shown)
  })

  it('survives what JavaScript may hand over', async () => {
    const { rig, id, job, finish } = await puppet()
    job.progress(undefined as never)
    job.progress('x\u0000y', { message: 5 as never, unit: null as never })
    job.warn(7 as never, undefined as never)
    job.log({} as never, () => 1)
    finish('ok')
    await rig.settle()
    const { items } = await rig.engine.logs(LOCAL, id, {})
    expect(items).toHaveLength(1)
    expect(await rig.get(id)).toMatchObject({
      status: 'completed',
      progress: { stage: 'x\ufffdy', message: '5', unit: null },
      warnings: [{ code: '7' }],
    })
  })
})

describe('warnings', () => {
  it('are kept with the job and make it complete withWarnings', async () => {
    const { rig, id, job, finish } = await puppet()
    job.warn('font', 'Helvetica was replaced')
    await rig.advance('1s')
    expect((await rig.get(id)).warnings).toMatchObject([
      { code: 'font', message: 'Helvetica was replaced', step: null, at: expect.any(String) },
    ])
    finish(null)
    await rig.settle()
    expect(await rig.get(id)).toMatchObject({
      status: 'completed',
      statusText: 'Completed, with notes.',
      ops: { phase: 'withWarnings' },
    })
  })

  it('are capped at a hundred, long ones are cut, the same one is kept once', async () => {
    const { rig, id, job, finish } = await puppet()
    for (let i = 0; i < 300; i++) job.warn('w', i < 3 ? 'same' : `m${i} ${'x'.repeat(5000)}`)
    finish(null)
    await rig.settle()
    const { warnings } = await rig.get(id)
    expect(warnings.length).toBeLessThanOrEqual(100)
    expect(warnings.filter(({ message }) => message === 'same')).toHaveLength(1)
    for (const { message } of warnings) expect(message.length).toBeLessThanOrEqual(1024)
  })

  it('of a failed attempt stay, and count for the phase of the attempt that completes', async () => {
    const handler = of((job) => {
      if (job.attempt > 1) return 'fine'
      job.warn('early', 'seen in the first attempt')
      throw new Error('again')
    })
    const rig = await open(handler)
    const job = await rig.untilDone(await rig.submit(work, {}))
    expect(job).toMatchObject({ status: 'completed', ops: { phase: 'withWarnings' }, warnings: [{ code: 'early' }] })
  })
})

describe('logs', () => {
  it('are kept in order with attempt, level and data, in pages', async () => {
    const { rig, id, job, finish } = await puppet()
    job.log('hello', { a: [1, 'é'] })
    job.log.debug('d')
    job.log.warn('w', 5)
    job.log.error('e', null)
    finish(null)
    await rig.settle()
    const page = await rig.engine.logs(LOCAL, id, { limit: 3 })
    const rest = await rig.engine.logs(LOCAL, id, { cursor: page.nextCursor! })
    expect(
      [...page.items, ...rest.items].map(({ level, message, data, attempt }) => [attempt, level, message, data]),
    ).toEqual([
      [1, 'info', 'hello', { a: [1, 'é'] }],
      [1, 'debug', 'd', null],
      [1, 'warn', 'w', 5],
      [1, 'error', 'e', null],
    ])
    expect(rest.nextCursor).toBeNull()
  })

  it('are capped at a thousand lines per attempt, and say so; data that is no JSON or too large is replaced', async () => {
    const { rig, id, job, finish } = await puppet()
    const loop: Record<string, unknown> = {}
    loop.self = loop
    job.log('circular', loop)
    job.log('big', 'x'.repeat(20_000))
    for (let i = 0; i < 1500; i++) job.log(`line ${i}`)
    finish(null)
    await rig.settle()
    const rows = await rig.store.logs(id, 0, 5000)
    expect(rows).toHaveLength(1000)
    expect(rows.at(-1)!.row).toMatchObject({
      level: 'warn',
      message: expect.stringContaining('More than 1000 log lines'),
    })
    expect(rows.slice(0, 2).map(({ row }) => JSON.parse(row.data!))).toEqual([
      { note: expect.any(String) },
      { note: expect.any(String) },
    ])
  })
})
