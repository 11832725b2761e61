import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Event, transition } from '../core/lifecycle.js'
import { until as budget, defineJob, type JobHandler, Permanent, Review } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL } from './api.js'

const open = rigs()
const work = defineJob('work', { input: z.object({ how: z.string().default('ok') }), stages: ['read'] })
const handler = work.handler({ retry: budget({ backoff: { from: '10ms', to: '10ms' } }) }, async (job) => {
  const { how } = job.input
  if (how === 'review' && job.attempt === 1) throw new Review('look')
  if (how === 'fail') throw new Permanent('no', { code: 'bad-input' })
  if (how === 'retry' && job.attempt < 3) throw new Error('busy')
  if (how === 'hold') await new Promise(() => {})
  if (how === 'progress') {
    job.progress('read', { completed: 1, total: 2 })
    await job.step('s', () => 1)
    await new Promise(() => {})
  }
  return how as never
}) as unknown as JobHandler
const CANCEL: Event = { type: 'cancelRequested', actor: LOCAL.actor, by: 'caller', reason: null, mode: 'graceful' }
const reader: Caller = { ...LOCAL, actor: { kind: 'apiKey', id: 'key_r' }, scopes: ['jobs:read'] }

async function submitted(how: string, options = {}) {
  const rig = await open(handler)
  const { id } = await rig.submit(work, { how }, options)
  return { rig, id, engine: rig.engine }
}

describe('wait', () => {
  it('until done: answers when the commit is told, without time passing', async () => {
    const { rig, id, engine } = await submitted('ok', {})
    const before = rig.clock.now()
    const job = await engine.wait(LOCAL, id, { timeoutMs: 30_000, until: 'done' })
    expect(job).toMatchObject({ status: 'completed', result: 'ok' })
    expect(rig.clock.now()).toBe(before)
  })

  it('a finished job answers at once; a time-out answers the job as it is', async () => {
    const { rig, id, engine } = await submitted('hold')
    const waiting = engine.wait(LOCAL, id, { timeoutMs: 5000, until: 'done' })
    await rig.advance('5s')
    expect(await waiting).toMatchObject({ status: 'processing', done: false })
    expect(await engine.wait(LOCAL, id, { timeoutMs: 0, until: 'done' })).toMatchObject({ status: 'processing' })
    await engine.cancel(LOCAL, id, { mode: 'force' })
    await rig.advance('1s')
    expect(await engine.wait(LOCAL, id, { timeoutMs: 60_000, until: 'done' })).toMatchObject({ status: 'cancelled' })
  })

  it('until attention: blocked is enough', async () => {
    const { id, engine } = await submitted('review')
    expect(await engine.wait(LOCAL, id, { timeoutMs: 60_000, until: 'attention' })).toMatchObject({ status: 'blocked' })
  })

  it('until change: any news that moves the revision, lateness included', async () => {
    const slow = work.handler({ target: { p95: '10s' } }, () => new Promise<never>(() => {})) as unknown as JobHandler
    const rig = await open(slow)
    const { id } = await rig.submit(work, {})
    await rig.settle()
    const { revision } = await rig.get(id)
    const waiting = rig.engine.wait(LOCAL, id, { timeoutMs: 3_600_000, until: 'change', revision })
    await rig.advance('9s')
    let told = false
    void waiting.then(() => {
      told = true
    })
    await rig.settle()
    expect(told).toBe(false)
    await rig.advance('2s')
    expect(told).toBe(true)
    expect(await waiting).toMatchObject({ late: true, revision: revision + 1 })
  })

  it('an aborted wait answers at once and leaves nothing behind', async () => {
    const { rig, id, engine } = await submitted('hold')
    await rig.settle()
    const timers = rig.clock.timers
    const controller = new AbortController()
    const waiting = engine.wait(LOCAL, id, { timeoutMs: 3_600_000, until: 'done', signal: controller.signal })
    await rig.settle()
    expect(rig.clock.timers).toBe(timers + 1)
    controller.abort()
    expect(await waiting).toMatchObject({ done: false })
    expect(rig.clock.timers).toBe(timers)
    expect((await engine.check(LOCAL)).waiters).toBe(0)
  })

  it('a job that may not be seen is not found, also when waiting', async () => {
    const { id, engine } = await submitted('ok')
    const stranger: Caller = { ...LOCAL, tenant: 'other' }
    await expect(engine.wait(stranger, id, { timeoutMs: 1000, until: 'done' })).rejects.toMatchObject({
      code: 'job-not-found',
    })
    expect((await engine.check(LOCAL)).waiters).toBe(0)
  })

  it('a change between reading and sleeping is not missed, however slow the read', async () => {
    const rig = await open(handler, { worker: false })
    const { id } = await rig.submit(work, {})
    const { find } = rig.store
    rig.store.find = async (...args) => {
      const found = await find.apply(rig.store, args)
      await rig.store.move({ jobId: id, decide: (live, now) => transition(live, CANCEL, now) })
      return found
    }
    const waiting = rig.engine.wait(LOCAL, id, { timeoutMs: 3_600_000, until: 'done' })
    await rig.settle()
    rig.store.find = find
    await rig.settle()
    expect((await Promise.race([waiting, rig.advance('1s')])) ?? 'nothing was heard').toMatchObject({
      status: 'cancelled',
    })
  })

  it('never misses the end, however submits, waits and ends interleave', async () => {
    const rig = await open(handler, { worker: { slots: 3 } })
    const pauses = fc.array(fc.tuple(fc.nat(6), fc.constantFrom('ok', 'retry', 'fail', 'review'), fc.nat(3)), {
      minLength: 1,
      maxLength: 12,
    })
    const turns = async (n: number) => {
      for (let i = 0; i < n; i++) await (i % 2 ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve())
    }
    await fc.assert(
      fc.asyncProperty(pauses, async (script) => {
        const waits: Promise<unknown>[] = []
        let ends = 0
        for (const [pause, how, waiters] of script) {
          const handle = await rig.submit(work, { how })
          await turns(pause)
          for (let i = 0; i <= waiters; i++) {
            const wait = rig.engine.wait(LOCAL, handle.id, { timeoutMs: 3_600_000_000, until: 'attention' })
            const other = how === 'review' ? wait : handle.result().catch((error) => error)
            waits.push(
              wait.then(() => ends++),
              other,
            )
            await turns(pause % 3)
          }
        }
        await rig.advance('1s')
        expect(ends).toBe(script.reduce((sum, [, , waiters]) => sum + waiters + 1, 0))
        await Promise.all(waits)
      }),
      { numRuns: 30, seed: 7 },
    )
    expect((await rig.engine.check(LOCAL)).waiters).toBe(0)
  })

  it('results of thousands of jobs reach those who wait for them, long after the end as well', async () => {
    const rig = await open(handler)
    const early = await rig.submit(work, { how: 'first' })
    const handles = await Promise.all(Array.from({ length: 4500 }, (_, i) => rig.submit(work, { how: `${i}` })))
    const results = Promise.all(handles.map((handle) => handle.result()))
    await rig.untilIdle()
    expect(await results).toEqual(handles.map((_, i) => `${i}`))
    expect(await early.result()).toBe('first')
    expect(await handles[0]!.result()).toBe('0')
  })
})

describe('result', () => {
  it('says why there is none', async () => {
    const held = await submitted('hold')
    await held.rig.settle()
    await expect(held.engine.result(LOCAL, held.id)).rejects.toMatchObject({
      code: 'result-not-ready',
      params: { status: 'processing' },
      retryAfterMs: expect.any(Number),
    })
    await held.engine.cancel(LOCAL, held.id, { mode: 'force', reason: 'enough' })
    await held.rig.advance('1s')
    await expect(held.engine.result(LOCAL, held.id)).rejects.toMatchObject({
      code: 'job-cancelled',
      params: { jobError: { code: 'cancelled-by-caller' } },
    })
    const failed = await submitted('fail')
    await failed.rig.untilDone(failed.id)
    await expect(failed.engine.result(LOCAL, failed.id)).rejects.toMatchObject({
      code: 'job-failed',
      params: { jobError: { code: 'bad-input' } },
    })
  })
})

describe('history, attempts, steps, events', () => {
  it('pages of history join without a gap, and each entry knows where it came from', async () => {
    const { rig, id, engine } = await submitted('retry')
    await rig.untilDone(id)
    const whole = (await engine.history(reader, id, {})).items
    expect(whole.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7])
    const paged = []
    for (let cursor: string | undefined; ; ) {
      const page = await engine.history(reader, id, { limit: 2, ...(cursor ? { cursor } : {}) })
      paged.push(...page.items)
      if (!page.nextCursor) break
      cursor = page.nextCursor
    }
    expect(paged).toEqual(whole)
    for (let i = 1; i < whole.length; i++) expect(whole[i]!.from).toEqual(whole[i - 1]!.to)
    expect(whole[0]!.from).toBeNull()
  })

  it('events: one per entry into a status, retries for operators only, resumable after any of them', async () => {
    const { rig, id, engine } = await submitted('retry')
    await rig.untilDone(id)
    const typesOf = async (caller: Caller, after: string | null) =>
      (await engine.events(caller, id, after, 100)).items.map(({ type }) => type)
    expect(await typesOf(reader, null)).toEqual(['job.accepted', 'job.processing', 'job.completed'])
    expect(await typesOf(LOCAL, null)).toEqual([
      'job.accepted',
      'job.processing',
      'job.retrying',
      'job.retrying',
      'job.completed',
    ])
    const { items } = await engine.events(LOCAL, id, null, 100)
    expect(items[0]).toMatchObject({
      specversion: '1.0',
      id: `${id}:1`,
      subject: `job/${id}`,
      data: { jobId: id, jobType: 'work', status: 'accepted', previousStatus: null, done: false, version: 1 },
    })
    expect(items.at(-1)).toMatchObject({
      id: `${id}:7`,
      data: { status: 'completed', previousStatus: 'processing', done: true },
    })
    for (const [i, event] of items.entries())
      expect(await engine.events(LOCAL, id, event.id, 100)).toMatchObject({ items: items.slice(i + 1), reset: false })
    const one = await engine.events(LOCAL, id, null, 1)
    expect(one).toMatchObject({ items: [{ id: `${id}:1` }], nextCursor: `${id}:1` })
    const gone = []
    for (let after: string | null = null; ; ) {
      const page: Awaited<ReturnType<typeof engine.events>> = await engine.events(LOCAL, id, after, 2)
      gone.push(...page.items)
      if (!page.nextCursor) break
      after = page.nextCursor
    }
    expect(gone).toEqual(items)
  })

  it('what happened is read for all readers at once: the same events between any two versions, and the job', async () => {
    const { rig, id, engine } = await submitted('retry', { group: 'g' })
    await rig.untilDone(id)
    const { items } = await engine.events(LOCAL, id, null, 100)
    for (let after = 0; after <= 7; after++)
      for (let upTo = after; upTo <= 8; upTo++) {
        const happened = (await engine.happened('default', id, after, upTo))!
        const between = items.filter(({ data }) => data.version > after && data.version <= upTo)
        expect(happened.events.map(({ event }) => event)).toEqual(between)
        expect(happened.events.map(({ operators }) => operators)).toEqual(
          between.map(({ type }) => /retrying/.test(type)),
        )
      }
    const { job } = (await engine.happened('default', id, 7, 7))!
    expect(job).toMatchObject({ id, groupId: 'g', status: 'completed', result: null })
    expect(await engine.happened('other', id, 0, 7)).toBeNull()
    expect(await engine.happened('default', '01a00000-0000-7000-8000-000000000000', 0, 7)).toBeNull()
  })

  it.each(['nonsense', ':', '01a00000-0000-7000-8000-000000000000:1', 'ID:99', 'ID:-1', 'ID:1x', 'ID:'])(
    'events after %s begin anew, and say so',
    async (after) => {
      const { rig, id, engine } = await submitted('ok')
      await rig.untilDone(id)
      const page = await engine.events(LOCAL, id, after.replace('ID', id), 100)
      expect(page.reset).toBe(true)
      expect(page.items).toHaveLength(3)
    },
  )

  it('attempts show the running one last', async () => {
    const { rig, id, engine } = await submitted('progress')
    await rig.advance('3s')
    expect(await engine.attempts(LOCAL, id)).toMatchObject([
      { attempt: 1, outcome: 'running', endedAt: null, durationMs: 3000, workerId: expect.stringMatching(/^w-/) },
    ])
    expect(await engine.get(LOCAL, id, ['ops', 'steps'])).toMatchObject({
      ops: { phase: 'running', workerId: expect.any(String), queue: 'default' },
      steps: [{ name: 's', kind: 'step', attempt: 1 }],
    })
    await expect(engine.attempts(reader, id)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(engine.logs(reader, id, {})).rejects.toMatchObject({ code: 'forbidden' })
    await expect(engine.get(reader, id, ['ops'])).rejects.toMatchObject({ code: 'forbidden' })
    expect(await engine.steps(reader, id)).toHaveLength(1)
  })
})

describe('list', () => {
  const listed = async (rig: TestRig, query: Parameters<TestRig['engine']['list']>[1], caller = LOCAL) =>
    (await rig.engine.list(caller, query)).items.map(({ id }) => id)

  it('pages of any size give each job once, in each order', async () => {
    const rig = await open(handler)
    const ids: string[] = []
    for (let i = 0; i < 13; i++) {
      ids.push((await rig.submit(work, { how: i % 3 ? 'ok' : 'fail' })).id)
      if (i % 4 === 0) await rig.advance(5)
    }
    await rig.untilIdle()
    for (const order of ['createdAt', '-createdAt', '-updatedAt', '-finishedAt'] as const) {
      const whole = await listed(rig, { order, limit: 200 })
      expect(whole.toSorted()).toEqual(ids.toSorted())
      for (const limit of [1, 5, 13]) {
        const paged: string[] = []
        for (let cursor: string | undefined; ; ) {
          const page = await rig.engine.list(LOCAL, { order, limit, ...(cursor ? { cursor } : {}) })
          paged.push(...page.items.map(({ id }) => id))
          if (!page.nextCursor) break
          cursor = page.nextCursor
        }
        expect(paged, `${order} by ${limit}`).toEqual(whole)
      }
    }
    expect(await listed(rig, { order: 'createdAt' })).toEqual(ids)
    expect(await listed(rig, {})).toEqual(ids.toReversed())
  })

  it('shows jobs without their results', async () => {
    const { rig, id } = await submitted('ok')
    await rig.untilDone(id)
    const [item] = (await rig.engine.list(LOCAL, {})).items
    expect(item).toMatchObject({ id, status: 'completed', result: null, resultInfo: { bytes: 4 } })
    expect(item).not.toHaveProperty('input')
    expect(item).not.toHaveProperty('ops')
    expect((await rig.engine.list(LOCAL, { include: ['ops'] })).items[0]!.ops).toMatchObject({ phase: 'clean' })
    await expect(rig.engine.list(reader, { include: ['ops'] })).rejects.toMatchObject({ code: 'forbidden' })
  })

  it('a cursor is sealed: changed, of other filters, of another tenant or from elsewhere it is refused', async () => {
    const rig = await open(handler, { worker: false })
    for (let i = 0; i < 3; i++) await rig.submit(work, {}, { tags: ['a'] })
    const { nextCursor } = await rig.engine.list(LOCAL, { limit: 1, tag: 'a' })
    const cursor = nextCursor!
    expect(await listed(rig, { limit: 1, tag: 'a', cursor })).toHaveLength(1)
    expect(await listed(rig, { limit: 2, tag: 'a', cursor })).toHaveLength(2)
    const swap = (i: number) => cursor.slice(0, i) + (cursor[i] === 'A' ? 'B' : 'A') + cursor.slice(i + 1)
    const refused = { code: 'invalid-cursor' }
    for (const bad of [
      swap(0),
      swap(20),
      swap(40),
      swap(cursor.length - 3),
      '',
      'x',
      '%%%',
      cursor.slice(0, -8),
      `${cursor}AAAA`,
    ]) {
      if (bad === '') continue
      await expect(rig.engine.list(LOCAL, { tag: 'a', cursor: bad }), bad).rejects.toMatchObject(refused)
    }
    await expect(rig.engine.list(LOCAL, { cursor })).rejects.toMatchObject(refused)
    await expect(rig.engine.list(LOCAL, { tag: 'b', cursor })).rejects.toMatchObject(refused)
    await expect(rig.engine.list(LOCAL, { tag: 'a', order: 'createdAt', cursor })).rejects.toMatchObject(refused)
    await expect(rig.engine.list({ ...LOCAL, tenant: 'other' }, { tag: 'a', cursor })).rejects.toMatchObject(refused)
    const { id } = await rig.submit(work, {})
    await expect(rig.engine.history(LOCAL, id, { cursor })).rejects.toMatchObject(refused)
    expect(cursor).not.toContain(id.slice(0, 8))
  })
})

describe('sealed texts', () => {
  it('open for the same purpose and belonging, in the next process too, and for nothing else', async () => {
    const { rig } = await submitted('ok')
    const { engine } = rig
    const text = engine.seal('stream', { a: [1] }, { tenant: 'default' })
    expect(text).toMatch(/^[\w-]+$/)
    expect(engine.seal('stream', { a: [1] }, { tenant: 'default' })).not.toBe(text)
    await rig.restart()
    expect(rig.engine.unseal('stream', text, { tenant: 'default' })).toEqual({ a: [1] })
    expect(rig.engine.unseal('stream', text, { tenant: 'other' })).toBeNull()
    expect(rig.engine.unseal('ticket', text, { tenant: 'default' })).toBeNull()
    const changed = `${text.slice(0, 9)}${text[9] === 'A' ? 'B' : 'A'}${text.slice(10)}`
    for (const bad of ['', 'x', text.slice(0, 30), text.slice(1), changed, '\u0000'])
      expect(rig.engine.unseal('stream', bad, { tenant: 'default' }), bad).toBeNull()
  })
})

describe('group', () => {
  it('counts in the six words; done when all are', async () => {
    const rig = await open(handler)
    for (const how of ['ok', 'fail', 'review', 'hold']) await rig.submit(work, { how }, { group: 'g' })
    await rig.settle()
    expect(await rig.engine.group(reader, 'g')).toMatchObject({
      groupId: 'g',
      total: 4,
      done: false,
      counts: { accepted: 0, processing: 1, blocked: 1, completed: 1, failed: 1, cancelled: 0 },
      latestByType: { work: expect.any(String) },
    })
    for (const { id } of (await rig.engine.list(LOCAL, { groupId: 'g', status: ['blocked', 'processing'] })).items)
      await rig.engine.cancel(LOCAL, id, { mode: 'force' })
    await rig.advance('1s')
    expect(await rig.engine.group(reader, 'g')).toMatchObject({ done: true, counts: { cancelled: 2 } })
    await expect(rig.engine.group(reader, 'h')).rejects.toMatchObject({ code: 'not-found' })
    await expect(rig.engine.group({ ...reader, tenant: 'other' }, 'g')).rejects.toMatchObject({ code: 'not-found' })
    await expect(rig.engine.group({ ...reader, scopes: ['jobs:submit'] }, 'g')).rejects.toMatchObject({
      code: 'forbidden',
    })
  })
})
