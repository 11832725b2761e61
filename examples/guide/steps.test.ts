/** docs/guide/steps-and-retries.md: what each of its snippets really does. */
import { Harmless, LOCAL, Permanent, Transient } from 'untildone'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { bank, fastEngine, HttpError, post, robustEngine, shop } from './far-side.js'
import { handlers } from './steps.js'
import { type Rig, rig } from './support.js'

let jobs: Rig
beforeAll(async () => {
  jobs = await rig(handlers)
})
afterAll(() => jobs.app.stop())
beforeEach(() => {
  for (const side of [bank, post, shop, fastEngine, robustEngine]) side.reset()
})

it('step: what is recorded is not done again', async () => {
  post.trouble.send = [new HttpError(503), new HttpError(503)]
  const job = await jobs.run('charge', { order: 'o-1', cents: 990 })
  expect(job).toMatchObject({ status: 'completed', result: { receipt: 'r-1-990' } })
  expect(bank.calls).toEqual({ charge: 1 })
  expect(post.calls).toEqual({ send: 3 })
  expect(await jobs.attempts(job.id)).toEqual(['error transient', 'error transient', 'ok'])
  expect(await jobs.steps(job.id)).toEqual(['pay', 'mail'])
})

it('read: every attempt looks again', async () => {
  post.trouble.send = [new HttpError(503)]
  shop.stock = 1
  const first = await jobs.run('reserve', { article: 'lamp' })
  expect(first).toMatchObject({ status: 'completed', result: { left: 0 } })
  expect(shop.calls).toEqual({ inStock: 1 })

  shop.reset()
  post.trouble.send = [undefined, new HttpError(503)]
  await jobs.run('reserve', { article: 'lamp' })
  expect(shop.calls).toEqual({ inStock: 2 })

  shop.stock = 0
  expect(await jobs.run('reserve', { article: 'lamp' })).toMatchObject({
    status: 'failed',
    error: { code: 'sold-out', class: 'permanent' },
  })
})

it('first: the next engine when one rejects the input, the same one when it only stumbles', async () => {
  fastEngine.trouble.read = [new HttpError(503), new Permanent('unknown page layout')]
  const job = await jobs.run('recognise', { scan: 'abc' })
  expect(job).toMatchObject({ status: 'completed', result: { text: 'ABC', engine: 'robust' } })
  expect(fastEngine.calls).toEqual({ read: 2 })
  expect(await jobs.attempts(job.id)).toEqual(['error transient', 'ok'])
  expect((await jobs.steps(job.id)).sort()).toEqual(['read', 'read/fast'])
})

it('process: a child with plain output, and one with an envelope', async () => {
  const job = await jobs.run('count', { text: 'one three five' })
  expect(job).toMatchObject({ status: 'completed', result: { words: 3, longest: 'three' } })
})

it('progress, warn and log: what people see, what is kept, what operators read', async () => {
  const job = await jobs.run('translate', { units: ['a', '', 'c'] })
  expect(job).toMatchObject({
    status: 'completed',
    statusText: 'Completed, with notes.',
    result: { units: ['A', '', 'C'] },
    warnings: [{ code: 'empty-units', message: '1 of 3 units have no text.' }],
    progress: { stage: 'check', stageLabel: 'Checking the result' },
  })
  expect(await jobs.steps(job.id)).toEqual(['unit', 'unit#2', 'unit#3'])
  const { items } = await jobs.app.engine.logs(LOCAL, job.id, {})
  expect(items).toMatchObject([{ level: 'info', message: 'Translated', data: { units: 3, empty: 1 } }])
})

it.each([
  ['never', { status: 'failed', error: { code: 'input-locked', message: 'The file is password-protected.' } }],
  ['noise', { status: 'completed', result: { pages: 3 }, warnings: [{ code: 'icc-ignored' }] }],
  ['ask', { status: 'blocked', blockedOn: [{ kind: 'review', title: 'The two totals differ by 3 cents.' }] }],
  ['nothing', { status: 'completed', result: { pages: 3 }, warnings: [] }],
])('verdicts: %s', async (say, expected) => {
  expect(await jobs.run('verdict', { say })).toMatchObject(expected)
})

it('verdicts: later is not before its Retry-After', async () => {
  const { id } = await jobs.app.submit('verdict', { say: 'later' })
  const { engine } = jobs.app
  const seen = await engine.wait(LOCAL, id, { until: 'change', revision: 2, timeoutMs: 10_000 }, ['ops'])
  expect(seen).toMatchObject({ status: 'processing', ops: { phase: 'retrying', lastError: { class: 'transient' } } })
  expect((await engine.attempts(LOCAL, id))[0]!.retryInMs).toBe(30_000)
  await engine.cancel(LOCAL, id, {})
})

it('a review goes on when an operator says so', async () => {
  const { id } = await jobs.run('verdict', { say: 'ask' })
  await jobs.app.engine.retry(LOCAL, id, { reason: 'looked at it' })
  expect(await jobs.attempts(id)).toContain('error review')
})

it.each([
  [new Error('licence server busy'), 'completed', 'error transient'],
  [new Error('not a PDF'), 'failed', 'error permanent'],
  [Object.assign(new Error('see log'), { exitCode: 77 }), 'blocked', 'error review'],
  [new Transient('thrown verdicts win over rules: not a PDF'), 'completed', 'error transient'],
])('error table: %s', async (error, status, attempt) => {
  fastEngine.trouble.read = [error]
  const job = await jobs.run('convert', { scan: 'abc' })
  expect(job.status).toBe(status)
  expect((await jobs.attempts(job.id))[0]).toBe(attempt)
})

it('error table: harmless in a step records its value, and verify has the last look', async () => {
  fastEngine.trouble.read = [new Error('font substitution: Helvetica')]
  expect(await jobs.run('convert', { scan: 'abc' })).toMatchObject({
    status: 'completed',
    result: { text: '' },
    warnings: [{ message: 'font substitution: Helvetica' }],
  })
  expect(await jobs.run('convert', { scan: 'demo version' })).toMatchObject({
    status: 'failed',
    error: { code: 'demo-output' },
  })
})

it('harmless without a usable result is tried again', async () => {
  fastEngine.trouble.read = [new Harmless('nothing to show')]
  const job = await jobs.run('recognise', { scan: 'abc' })
  expect(job.status).toBe('completed')
  expect(await jobs.attempts(job.id)).toEqual(['error transient', 'ok'])
})
