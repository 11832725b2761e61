import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import { type Caller, LOCAL, type Scope } from './api.js'

const open = rigs()
const key = (id: string, scopes: Scope[]): Caller => ({
  ...{ tenant: 'default', actor: { kind: 'apiKey', id, name: id }, scopes, types: null },
})
const order = defineJob('order', {
  input: z.object({}),
  stages: ['prepare', 'pay'],
  signals: { customerReplied: z.object({ text: z.string() }) },
})
const quick = until({ within: '1h', backoff: { from: '10s', to: '10s' } })

describe('the story of a job', () => {
  it('is told from what really happened: a try that did not work, a wait, an effect, the end', async () => {
    let tries = 0
    const rig = await open(
      order.handler({ retry: quick }, async (job) => {
        await job.stage('prepare', () => job.step('fetch', () => 1))
        if (tries++ === 0) throw new Error('the licence server is busy')
        await job.waitFor('customerReplied')
        job.decision({ model: 'm-1', version: '7', tools: ['shop'], path: 'pay' })
        await job.step('pay', () => 'receipt', { effect: 'once' })
        return 1 as never
      }) as unknown as JobHandler,
    )
    const { id } = await rig.submit(order, {})
    await rig.settle()
    const retrying = await rig.engine.story(LOCAL, id)
    expect(retrying).toMatchObject({ status: 'processing', voice: 'operator', act: { who: 'nobody' } })
    expect(retrying.next.at).toBe((await rig.get(id)).ops?.nextAttemptAt)
    expect(Date.parse(retrying.next.giveUpAt!)).toBe(Date.parse((await rig.get(id)).createdAt) + 3_600_000)
    expect(retrying.why).toContain('the licence server is busy')
    expect(retrying.resume).toMatchObject({ reusedSteps: ['prepare/fetch', 'prepare'], stage: 'prepare' })
    expect(retrying.voices.endUser).toBe('Prepare.')

    await rig.advance('1m')
    expect(await rig.engine.story(LOCAL, id)).toMatchObject({
      status: 'blocked',
      act: { who: 'outside', text: 'Send the signal "customerReplied".', href: `/v1/jobs/${id}` },
      next: { at: null, giveUpAt: null },
    })
    await rig.store.signal({
      ...{ jobId: id, tenant: 'default', name: 'customerReplied', signalId: 's', payload: '{"text":"yes"}', limit: 9 },
      actor: { kind: 'user', id: 'u-1', name: 'Ada' },
    })
    await rig.untilDone(id)
    const { happened, effects, headline } = await rig.engine.story(LOCAL, id)
    expect(
      happened.map(({ text }) => text.replace(/worker \S+?([.,]|$)/, 'worker w$1').replace(/in [\d.]+ m?s/, 'in n s')),
    ).toEqual([
      'Accepted from this process. Queue "default", priority 0.',
      'Try 1 began on worker w.',
      'Recorded: "prepare/fetch" and "prepare".',
      'Try 1 did not work (handler-error, transient, rule default transient): the licence server is busy. Next one in n s.',
      'Try 2 began on worker w.',
      'Waiting for the signal "customerReplied".',
      'Went on: the signal "customerReplied" came from Ada.',
      'Try 2 went on, on worker w.',
      'Decided by m-1 7 on the path pay with shop.',
      '"pay" happened, in n s.',
      expect.stringMatching(/^Completed in 1 m, 2 tries\.$/),
    ])
    expect(effects).toEqual([{ step: 'pay', state: 'happened', text: '"pay" happened.' }])
    expect(headline).toBe(happened.at(-1)!.text)
  })

  it('has the sentence of the caller as statusText, in the job and in lists', async () => {
    const say = { error: { 'no-postcode': 'The address has no postcode.' } }
    const rig = await open(
      order.handler({ say }, () => {
        throw new Permanent('field 7 empty', { code: 'no-postcode' })
      }) as unknown as JobHandler,
    )
    const { id } = await rig.submit(order, {})
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'failed', statusText: 'The address has no postcode.' })
    expect((await rig.engine.list(LOCAL, {})).items[0]!.statusText).toBe(job.statusText)
    expect((await rig.engine.story(LOCAL, id)).voices.caller).toBe(job.statusText)
  })

  it('gives each key the voices that it may hear, and refuses the others by scope', async () => {
    const rig = await open(order.handler(() => 1 as never) as unknown as JobHandler)
    const shop = key('shop', ['jobs:submit'])
    const { job } = await rig.engine.submit(shop, { type: 'order', input: {} }, null)
    const { story } = rig.engine
    expect(await story(shop, job.id)).toMatchObject({
      voice: 'endUser',
      voices: { support: null, operator: null },
      resume: null,
    })
    await expect(story(shop, job.id, 'support')).rejects.toMatchObject({
      code: 'forbidden',
      params: { requiredScope: 'jobs:read' },
    })
    const reader = key('help', ['jobs:read'])
    expect(await story(reader, job.id)).toMatchObject({ voice: 'support', voices: { operator: null } })
    await expect(story(reader, job.id, 'operator')).rejects.toMatchObject({ params: { requiredScope: 'jobs:operate' } })
    await expect(story(key('other', ['jobs:submit']), job.id)).rejects.toMatchObject({ code: 'job-not-found' })
    expect(await story(key('ops', ['jobs:read', 'jobs:operate']), job.id, 'caller')).toMatchObject({ voice: 'caller' })
  })

  it('of a long history tells the beginning and the end, and says what it leaves out', async () => {
    const rig = await open(
      order.handler({ retry: until({ within: '365d', backoff: { from: '1s', to: '1s' } }) }, () => {
        throw new Error('busy')
      }) as unknown as JobHandler,
      { worker: { slots: 1 } },
    )
    const { id } = await rig.submit(order, {})
    await rig.advanceUntil(async () => (await rig.get(id)).version > 620, 'a long history')
    const { happened } = await rig.engine.story(LOCAL, id)
    const { version } = await rig.get(id)
    const seqs = happened.flatMap(({ seq }) => (seq === null ? [] : [seq]))
    expect([seqs[0], seqs[99], seqs[100], seqs.at(-1)]).toEqual([1, 100, version - 399, version])
    expect(happened[100]!.text).toBe(`${version - 500} changes are left out here; the history has them all.`)
  })

  it('of a type needs a job that the caller may see, and says what it does not know', async () => {
    const other = defineJob('other', { input: z.object({}) })
    const handlers = [order.handler(() => 1 as never), other.handler(() => 1 as never)] as unknown as JobHandler[]
    const rig = await open(handlers)
    const { typeStory } = rig.engine
    expect((await typeStory(LOCAL, 'order')).source).toMatchObject({ kind: 'declaration', jobId: null })
    const { id } = await rig.submit(order, {})
    const { id: strange } = await rig.submit(other, {})
    await rig.untilDone(id)
    expect((await typeStory(LOCAL, 'order')).source).toMatchObject({ kind: 'job', jobId: id })
    expect((await typeStory(LOCAL, 'order', id)).source.jobId).toBe(id)
    await expect(typeStory(LOCAL, 'order', strange)).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('"other"'),
    })
    await expect(typeStory(LOCAL, 'none')).rejects.toMatchObject({ code: 'not-found' })
    const shop = key('shop', ['jobs:submit'])
    expect((await typeStory(shop, 'order')).source.kind).toBe('declaration')
    await expect(typeStory(shop, 'order', id)).rejects.toMatchObject({ code: 'job-not-found' })
    const foreign = { ...key('mail', ['jobs:read']), types: ['mail'] }
    await expect(typeStory(foreign, 'order')).rejects.toMatchObject({ code: 'not-found' })
  })

  it('knows the pause of a type', async () => {
    const rig = await open(order.handler(() => 1 as never) as unknown as JobHandler, { worker: false })
    const { id } = await rig.submit(order, {})
    const by = { kind: 'user', id: 'u-2', name: 'M. Kern' } as const
    await rig.store.pauses.set(
      { tenant: 'default', kind: 'queue', name: 'default', by, reason: 'engine update', at: rig.clock.now() },
      true,
      { tenant: 'default', actor: by, action: 'queue.pause', target: 'queue/default', reason: null, details: null },
    )
    expect((await rig.engine.story(LOCAL, id)).act).toMatchObject({
      who: 'operator',
      text: 'Resume the queue "default".',
    })
  })
})
