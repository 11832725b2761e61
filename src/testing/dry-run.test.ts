import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { typeStoryOf } from '../engine/story/type-story.js'
import { typeStoryMarkdown } from '../engine/story/type-text.js'
import { dryRun } from './dry-run.js'
import { rigs } from './fixtures/rigs.js'

const open = rigs()
const mail = defineJob('mail', { input: z.object({ to: z.string() }), output: z.object({ id: z.string() }) })
const mailHandler = mail.handler(() => ({ id: 'm-1' })) as unknown as JobHandler
const refund = defineJob('refund', {
  input: z.object({ order: z.string(), amount: z.number().default(1) }),
  output: z.object({ receipt: z.string() }),
  stages: ['intake', { name: 'payment', label: 'Payment' }],
  signals: { customerReplied: z.object({ text: z.string() }) },
})
const acted: string[] = []
const refundHandler = refund.handler(
  {
    ...{ version: '3', retry: until({ within: '7d', backoff: { from: '1s', to: '1m' } }), target: { p95: '10m' } },
    errors: [{ code: 'already-refunded', is: 'permanent' }],
    say: { error: { 'already-refunded': 'This order has been refunded already.' } },
  },
  async (job) => {
    job.progress('intake', { message: 'Looking at the order' })
    await job.stage('intake', async () => {
      const order = await job.read('order', () => ({ lines: [1, 2], refundable: 5 }))
      return job.map('check', order.lines, (line) => line * 2)
    })
    const { engine } = await job.first('propose', {
      fast: () => job.process('model', { command: process.execPath, args: ['-p', '1'] }),
      slow: () => job.step('ask', () => 'asked'),
    })
    job.decision({ model: 'm-1', version: '7', tools: [], path: engine })
    const reply = await job.waitFor('customerReplied', { timeout: '2d' })
    await job.sleep('cool down', '1h')
    await job.call(mail, { to: String(reply.payload?.text) })
    return job.stage('payment', { queue: 'payments', retry: until({ attempts: 3 }), timeout: '5m' }, async () => {
      const receipt = await job.step('pay', () => void acted.push('pay') as never as string, {
        ...{ effect: 'once', timeout: '30s', before: () => undefined, confirm: () => 'unknown' as const },
        undo: () => undefined,
      })
      await job.step('note', () => 1, { retry: until({ attempts: 2 }) })
      return { receipt: String(receipt) }
    })
  },
) as unknown as JobHandler

const EXAMPLE = {
  input: { order: 'o-1' },
  values: {
    order: { lines: [1, 2], refundable: 5 },
    'intake/check/*': 2,
    'propose/fast/model': '1\n',
    'propose/slow/ask': 'asked',
    customerReplied: { text: 'yes' },
    mail: { id: 'm-1' },
    'payment/pay': 'r-1',
    'payment/note': 1,
  },
}

describe('a dry run', () => {
  it('records what a real run records, and touches nothing', async () => {
    acted.length = 0
    const dry = await dryRun(refundHandler, EXAMPLE)
    expect(acted).toEqual([])
    expect(dry).toMatchObject({ stoppedBy: null, madeUp: [] })
    expect([...dry.shown]).toEqual([
      ['intake', 'Looking at the order'],
      ['payment', null],
    ])
    const rig = await open([refundHandler, mailHandler])
    const { id } = await rig.submit('refund', EXAMPLE.input)
    await rig.advanceUntil(async () => (await rig.get(id)).status === 'blocked', 'the wait')
    await rig.store.signal({
      ...{ jobId: id, tenant: 'default', name: 'customerReplied', signalId: 's', payload: '{"text":"yes"}', limit: 9 },
      actor: { kind: 'user', id: 'u-1' },
    })
    await rig.untilDone(id)
    expect(acted).toEqual(['pay'])
    const real = await rig.engine.typeStory(LOCAL, 'refund')
    expect(real.source).toEqual({
      kind: 'job',
      jobId: id,
      text: `Made from the declaration and from job ${id}, version 3.`,
    })
    const told = typeStoryOf(refundHandler, dry)
    // A record knows the engine that did it, not the others; how long a wait may take and what a child is, it does not.
    const known = ({ steps }: typeof told) =>
      steps
        .filter(({ key }) => !key.startsWith('propose/slow'))
        .map((step) => ({
          ...step,
          engines: step.engines?.slice(0, 1) ?? null,
          ...(step.kind in WAITS ? { timeoutMs: null, of: null } : {}),
        }))
    const order = (steps: { key: string }[]) => steps.map(({ key }) => key)
    expect(order(known(real)).sort()).toEqual(order(known(told)).sort())
    const byKey = (story: typeof told) =>
      Object.fromEntries(known(story).map((step) => [`${step.kind} ${step.key}`, step]))
    expect(byKey(real)).toEqual(byKey(told))
    expect(real.findings).toEqual([])
  })

  it('goes on with stand-ins where the example has no value, and says so', async () => {
    const run = await dryRun(refundHandler, { input: { order: 'o-1' } })
    expect(run.steps.map(({ key }) => key)).toEqual([
      ...['intake', 'order', 'intake/check/*', 'propose', 'decision', 'customerReplied', 'cool down', 'mail'],
      ...['payment', 'payment/pay', 'payment/note'],
    ])
    expect(run.madeUp).toEqual(expect.arrayContaining(['order', 'customerReplied', 'mail', 'payment/pay']))
    expect(typeStoryOf(refundHandler, run).unknown[0]).toMatch(/^What depends on "order", .+: a value was made up\.$/)
  })

  it('that stops early says where, and what is unknown', async () => {
    const handler = mail.handler(async (job) => {
      await job.step('send', () => 1)
      throw new Error('no such template')
    }) as unknown as JobHandler
    const run = await dryRun(handler, { input: { to: 'Ada' }, values: { send: 1 } })
    expect([run.steps.map(({ key }) => key), run.stoppedBy]).toEqual([['send'], 'no such template'])
    expect(typeStoryOf(handler, run).unknown[0]).toBe(
      'What follows the last step: the run ended early, because no such template.',
    )
    await expect(dryRun(handler, { input: {} })).rejects.toMatchObject({ code: 'input-invalid' })
  })

  it('names repeated steps as the worker does', async () => {
    const handler = mail.handler(async (job) => {
      for (const _ of [1, 2]) await job.step('charge', () => 1)
      await job.stage('s' as never, () => job.step('charge', () => 1))
      return { id: 'x' }
    }) as unknown as JobHandler
    const { steps } = await dryRun(handler, { input: { to: 'Ada' } })
    expect(steps.map(({ key }) => key)).toEqual(['charge', 'charge#2', 's', 's/charge'])
  })
})

const WAITS: Record<string, true> = { signal: true, callback: true, child: true, timer: true }

describe('the story of a type', () => {
  it('goes from intake to visible end', async () => {
    await expect(
      typeStoryMarkdown(typeStoryOf(refundHandler, await dryRun(refundHandler, EXAMPLE))),
    ).toMatchFileSnapshot('../engine/story/fixtures/type-story.md')
  })

  it('of the declaration alone says of each chapter what is unknown', () => {
    const story = typeStoryOf(refundHandler, null)
    expect(story.source.kind).toBe('declaration')
    for (const id of ['stages', 'guards', 'effects', 'waits'])
      expect(story.sections.find((section) => section.id === id)!.lines.join('\n'), id).toContain('unknown')
    expect(typeStoryMarkdown(story)).toContain('Steps: unknown')
  })
})
