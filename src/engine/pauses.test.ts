import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type HandlerOptions, type JobHandler, until } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL } from './api.js'

const open = rigs()
const handlerOf = (name: string, options: HandlerOptions<any, any> = {}) =>
  defineJob(name, { input: z.object({ fail: z.boolean().default(false) }) }).handler(options, (job) => {
    if (job.input.fail && job.attempt === 1) throw new Error('once')
    return null as never
  }) as unknown as JobHandler
const operator: Caller = {
  ...{ tenant: 'default', actor: { kind: 'apiKey', id: 'key_o', name: 'ops' }, scopes: ['jobs:operate', 'jobs:read'] },
  types: null,
}
const statuses = async (rig: TestRig, jobs: { id: string }[]) =>
  Promise.all(jobs.map(async (job) => (await rig.get(job)).status))

describe('a paused type', () => {
  it('is accepted and not started, and says so; resumed it starts at once', async () => {
    const rig = await open([handlerOf('a'), handlerOf('b')])
    expect((await rig.engine.pauseType(operator, 'a', { reason: 'vendor is down.' })).paused).toBe(true)
    const jobs = [await rig.submit('a', {}), await rig.submit('b', {})]
    await rig.advance('5s')
    expect(await statuses(rig, jobs)).toEqual(['accepted', 'completed'])
    const waiting = await rig.get(jobs[0]!)
    expect(waiting.statusText).toBe('Accepted; it starts when the type is resumed.')
    expect(waiting.ops!.phase).toBe('paused')
    const { job } = await rig.engine.submit(LOCAL, { type: 'a', input: {} }, null)
    expect(job.statusText).toBe('Accepted; it starts when the type is resumed.')
    const { headline, why, act } = await rig.engine.story(LOCAL, jobs[0]!.id, 'operator')
    expect(headline).toMatch(/^Accepted, paused\. The type "a" was paused by ops .* ago: vendor is down\./)
    expect(why).toBe('vendor is down.')
    expect(act).toMatchObject({ who: 'operator', text: 'Resume the type "a".' })
    const at = rig.clock.now()
    expect((await rig.engine.resumeType(operator, 'a', {})).paused).toBe(false)
    await rig.settle()
    expect(await statuses(rig, jobs)).toEqual(['completed', 'completed'])
    expect(rig.clock.now()).toBe(at)
  })

  it('costs nothing while it waits: no claim is tried over and over', async () => {
    const rig = await open([handlerOf('a')])
    let claims = 0
    const claim = rig.store.claim.bind(rig.store)
    rig.store.claim = (request) => {
      claims++
      return claim(request)
    }
    await rig.engine.pauseType(operator, 'a', {})
    await rig.submit('a', {}, { runAt: new Date(rig.clock.now() + 500) })
    await rig.submit('a', {})
    await rig.advance('20s')
    expect(claims).toBeLessThan(5)
    await rig.engine.resumeType(operator, 'a', {})
    await rig.untilIdle()
  })

  it('holds between two attempts as well, and after a restart', async () => {
    const retry = until({ backoff: { from: '2s', to: '2s' } })
    const rig = await open([handlerOf('a', { retry })])
    const job = await rig.submit('a', { fail: true })
    await rig.settle()
    await rig.engine.pauseType(operator, 'a', {})
    await rig.restart()
    await rig.advance('1m')
    expect(await rig.get(job)).toMatchObject({
      status: 'processing',
      statusText: 'Goes on when the type is resumed.',
      ops: { phase: 'retrying' },
    })
    expect((await rig.engine.types(LOCAL))[0]!.paused).toBe(true)
    await rig.engine.resumeType(operator, 'a', {})
    expect((await rig.untilDone(job)).status).toBe('completed')
  })

  it('is one of its tenant only', async () => {
    const rig = await open([handlerOf('a')])
    const other: Caller = { ...operator, tenant: 'other', scopes: ['admin'] }
    await rig.engine.pauseType(other, 'a', {})
    expect((await rig.untilDone(await rig.submit('a', {}))).status).toBe('completed')
    const theirs = await rig.engine.submit(other, { type: 'a', input: {} }, null)
    await rig.advance('5s')
    expect((await rig.engine.get(other, theirs.job.id)).status).toBe('accepted')
    expect((await rig.engine.type(LOCAL, 'a')).paused).toBe(false)
    await rig.engine.resumeType(other, 'a', {})
    await rig.settle()
  })

  it('is in the audit chain: who, what and why, once however often it is asked', async () => {
    const rig = await open([handlerOf('a')])
    for (let i = 0; i < 3; i++) await rig.engine.pauseType(operator, 'a', { reason: 'x' })
    await rig.engine.resumeType(operator, 'a', { reason: 'y' })
    const entries = await rig.store.audit('default', 0, 10)
    expect(entries.map(({ action, target, reason }) => [action, target, reason])).toEqual([
      ['type.pause', 'type/a', 'x'],
      ['type.resume', 'type/a', 'y'],
    ])
    expect(entries[0]!.actor).toEqual(operator.actor)
  })

  it.each([
    ['pauseType', 'nope', 'not-found'],
    ['resumeType', 'nope', 'not-found'],
    ['pauseQueue', 'nope', 'not-found'],
  ] as const)('%s of "%s" is %s', async (method, name, code) => {
    const rig = await open([handlerOf('a')])
    await expect(rig.engine[method](operator, name, {})).rejects.toMatchObject({ code })
  })

  it('takes the right to operate; a key for some types cannot stop a queue', async () => {
    const rig = await open([handlerOf('a')])
    const reader: Caller = { ...operator, scopes: ['jobs:read', 'jobs:submit'] }
    const some: Caller = { ...operator, types: ['a'] }
    for (const act of [
      () => rig.engine.pauseType(reader, 'a', {}),
      () => rig.engine.resumeQueue(reader, 'default', {}),
      () => rig.engine.queues(reader),
      () => rig.engine.pauseQueue(some, 'default', {}),
    ])
      await expect(act()).rejects.toMatchObject({ code: 'forbidden' })
    await expect(rig.engine.pauseType({ ...some, types: ['b'] }, 'a', {})).rejects.toMatchObject({ code: 'not-found' })
    expect((await rig.engine.pauseType(some, 'a', {})).paused).toBe(true)
  })
})

describe('queues', () => {
  it('say how full they are, and stop and go on with all their types', async () => {
    const limits = { concurrency: { limit: 1 } }
    const handlers = [handlerOf('a', { queue: 'q', limits }), handlerOf('b', { queue: 'q' }), handlerOf('c')]
    const rig = await open(handlers, { queues: { q: { concurrency: 3 }, spare: {} } })
    expect(await rig.engine.pauseQueue(operator, 'q', { reason: 'move' })).toMatchObject({ name: 'q', paused: true })
    const jobs = await Promise.all(['a', 'a', 'b', 'c'].map((type) => rig.submit(type, {})))
    await rig.advance('3s')
    expect(await statuses(rig, jobs)).toEqual(['accepted', 'accepted', 'accepted', 'completed'])
    expect((await rig.get(jobs[0]!)).statusText).toBe('Accepted; it starts when the queue is resumed.')
    const pause = { actor: operator.actor, reason: 'move', at: expect.any(String) }
    const empty = { paused: false, pause: null, depth: 0, held: 0, oldestAgeMs: null, running: 0, concurrency: null }
    expect(await rig.engine.queues(operator)).toEqual([
      { name: 'default', ...empty },
      { name: 'q', paused: true, pause, depth: 3, held: 0, oldestAgeMs: 3000, running: 0, concurrency: 3 },
      { name: 'spare', ...empty },
    ])
    expect(await rig.engine.resumeQueue(operator, 'q', {})).toMatchObject({ name: 'q', paused: false, pause: null })
    await rig.settle()
    expect(await statuses(rig, jobs)).toEqual(['completed', 'completed', 'completed', 'completed'])
  })

  it('count what runs and what limits hold', async () => {
    const holder: { go?: () => void } = {}
    const gate = new Promise<void>((resolve) => {
      holder.go = resolve
    })
    const slow = defineJob('slow', { input: z.object({}) })
    const handler = slow.handler({ limits: { concurrency: { limit: 1 } } }, async () => (await gate) as never)
    const rig = await open([handler as unknown as JobHandler])
    for (let i = 0; i < 3; i++) await rig.submit(slow, {})
    await rig.settle()
    expect(await rig.engine.queues(operator)).toMatchObject([{ depth: 2, held: 2, running: 1 }])
    holder.go!()
    await rig.untilIdle()
  })
})
