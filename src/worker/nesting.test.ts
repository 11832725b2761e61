/** What may be inside what: refused at once and by name, never a handler that waits for itself. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobContext, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'

const open = rigs()
const child = defineJob('child', { input: z.object({}) })
const gates = { ok: z.object({}) }
const nest = defineJob('nest', { input: z.object({}), signals: { go: z.object({}) }, approvals: gates })
type Job = JobContext<any, { stages: string; approvals: typeof gates; signals: { go: z.ZodObject<{}> } }>

/** The message with which a handler that does this fails at once. */
async function said(run: (job: Job) => unknown): Promise<string | null> {
  const rig = await open(nest.handler({ retry: until({ attempts: 1 }) }, run as never) as never)
  const { id } = await rig.submit(nest, {})
  await rig.settle()
  const job = await rig.get(id)
  if (!job.done) await rig.crash()
  return job.ops!.lastError && `${job.ops!.lastError.code}: ${job.ops!.lastError.message}`
}

const CALLS: [string, (job: Job) => unknown][] = [
  ['step', (job) => job.step('x', () => 1)],
  ['first', (job) => job.first('x', { a: () => 1 })],
  ['process', (job) => job.process('x', { command: 'true' })],
  ['map', (job) => job.map('x', [1], () => 1)],
  ['stage', (job) => job.stage('x', () => 1)],
  ['sleep', (job) => job.sleep('x', '1m')],
  ['waitFor', (job) => job.waitFor('go')],
  ['callback', (job) => job.callback('x')],
  ['call', (job) => job.call(child, {}, { name: 'x' })],
  ['approve', (job) => job.approve('ok', {} as never)],
]
const name = (call: string) => ({ waitFor: 'go', approve: 'ok' })[call] ?? 'x'

describe.each(CALLS)('%s', (call, inside) => {
  it('inside a step or a read is refused', async () => {
    expect(await said((job) => job.step('outer', () => inside(job)))).toBe(
      `exhausted: Gave up after 1 attempt. Last error: "${name(call)}" was asked for inside a step, where nothing is recorded and nothing waits.`,
    )
    expect(await said((job) => job.read('outer', () => inside(job)))).toContain('was asked for inside a read')
    expect(await said((job) => job.map('outer', [1], () => inside(job)))).toContain('was asked for inside a step')
    expect(await said((job) => job.step('outer', () => 1, { before: () => inside(job) }))).toContain('inside a step')
  })
})

it('the answer of a callback is not waited for inside a step', async () => {
  const text = await said(async (job) => {
    const answer = await job.callback('vendor')
    await job.step('ask', () => answer.result())
  })
  expect(text).toContain('"vendor" was asked for inside a step')
})

it('a decision is not logged inside a step', async () => {
  const entry = { model: 'm', version: '1', tools: [], path: 'p' }
  expect(await said((job) => job.step('ask', () => job.decision(entry)))).toContain(
    'return what it needs from the step',
  )
})

it('a signal with the name of something every object has is not declared', async () => {
  expect(await said((job) => job.waitFor('toString' as never))).toContain('declares no such signal')
})

it('a read inside a step, and steps and waits inside an engine or a stage, are all right', async () => {
  const rig = await open(
    nest.handler(async (job) => {
      const a = await job.step('a', () => job.read('r', () => 1))
      const { value } = await job.first('f', {
        late: async () => {
          await job.sleep('nap', '1m')
          return job.step('b', () => a + 1)
        },
      })
      return job.stage('s', async () => {
        await job.sleep('nap', '1m')
        return job.step('c', () => value + 1)
      })
    }) as never,
  )
  const { id } = await rig.submit(nest, {})
  expect((await rig.untilDone(id)).result).toBe(3)
  expect((await rig.store.steps(id)).map(({ key }) => key).sort()).toEqual([
    ...['a', 'f', 'f/late/b', 'f/late/nap', 's', 's/c', 's/nap'],
  ])
})
