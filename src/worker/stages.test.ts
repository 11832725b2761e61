import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobHandler, Permanent, Transient, until } from '../define/index.js'
import { LOCAL } from '../engine/api.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'

const open = rigs()
const quick = until({ backoff: { from: '10ms', to: '10ms' } })
const three = defineJob('three', { input: z.object({}), stages: ['intake', 'execution', 'finalization'] })
const historyOf = async (rig: TestRig, id: string) =>
  (await rig.engine.history(LOCAL, id, {})).items.map(({ event, context }) =>
    event === 'staged' ? `staged ${(context as any).stage}@${(context as any).queue}` : event,
  )

describe('stage', () => {
  it('moves the job to its queue; a worker that does not serve it never runs it', async () => {
    const ran: string[] = []
    const handler = three.handler({ queue: 'intake', retry: quick }, async (job) => {
      const note = (what: string) => ran.push(what)
      const a = await job.stage('intake', { queue: 'intake' }, async () => job.step('a', () => note('a')))
      const b = await job.stage(
        'execution',
        { queue: 'agents' },
        async () => (await job.step('b', () => note('b'))) + a,
      )
      return job.stage('finalization', { queue: 'payments' }, async () => (await job.step('c', () => note('c'))) + b)
    }) as never as JobHandler
    const rig = await open(handler, { worker: [{ queues: ['intake'] }, { queues: ['agents'] }] })
    const { id } = await rig.submit(three, {})
    await rig.settle()
    await rig.advance('1m')
    expect(ran).toEqual(['a', 'b'])
    expect((await rig.get(id)).ops!.queue).toBe('payments')
    expect(await rig.get(id)).toMatchObject({
      status: 'processing',
      progress: { stages: [{ state: 'done' }, { state: 'done' }, { state: 'active' }] },
    })
    await rig.restart([handler], { worker: { queues: ['payments'] } })
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({ status: 'completed', result: 6 })
    expect(ran).toEqual(['a', 'b', 'c'])
    expect(await historyOf(rig, id)).toEqual([
      ...['submitted', 'claimed', 'staged execution@agents', 'claimed', 'staged finalization@payments'],
      ...['claimed', 'succeeded'],
    ])
    const workers = (await rig.engine.attempts(LOCAL, id)).map(({ workerId }) => workerId)
    expect(new Set(workers).size).toBe(3)
  })

  it('has a budget of its own, and what is before it is not repeated', async () => {
    let tries = 0
    const rig = await open(
      three.handler({ retry: until({ attempts: 1 }) }, async (job) => {
        await job.stage('intake', async () => job.step('once', () => 'x'))
        return job.stage(
          'execution',
          { retry: until({ attempts: 4, backoff: { from: '1s', to: '1s' } }) },
          async () => {
            tries++
            if (tries < 4) throw new Transient('busy')
            return tries
          },
        )
      }) as never,
    )
    const { id } = await rig.submit(three, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 4 })
  })

  it('is stopped at its timeout', async () => {
    const rig = await open(
      three.handler({ retry: until({ attempts: 2, backoff: { from: '1s', to: '1s' } }) }, async (job) =>
        job.stage('intake', { timeout: '5s' }, () => new Promise(() => {})),
      ) as never,
    )
    const { id } = await rig.submit(three, {})
    expect(await rig.untilDone(id)).toMatchObject({
      status: 'failed',
      error: { code: 'exhausted', details: { last: { code: 'attempt-timeout' } } },
    })
  })

  it('that waits leaves no timer of its limits behind', async () => {
    const rig = await open(
      three.handler(async (job) =>
        job.stage('intake', { timeout: '9d' }, async () => {
          await Promise.race([
            job.step('slow', () => new Promise(() => {}), { timeout: '8d' }),
            job.step('quick', () => 1),
          ])
          await job.sleep('a day', '1d')
        }),
      ) as never,
    )
    await rig.submit(three, {})
    await rig.advance('1h')
    await rig.stop()
    expect(rig.leftBehind).toBe(0)
  })

  it('inside another stage is refused by name', async () => {
    const rig = await open(
      three.handler({ retry: until({ attempts: 1 }) }, async (job) =>
        job.stage('intake', () => job.stage('execution', () => 1)),
      ) as never,
    )
    const { id } = await rig.submit(three, {})
    const job = await rig.untilDone(id)
    expect(job.error!.message).toContain('Stage "execution" begins while stage "intake" is under way')
  })

  it('beside another one is refused as well', async () => {
    const rig = await open(
      three.handler({ retry: until({ attempts: 1 }) }, async (job) =>
        Promise.all([
          job.stage('intake', { queue: 'default' }, () => job.step('a', () => 1)),
          job.stage('execution', { queue: 'agents' }, () => job.step('b', () => 2)),
        ]),
      ) as never,
    )
    const { id } = await rig.submit(three, {})
    const job = await rig.untilDone(id)
    expect(job.error!.message).toContain('Stage "execution" begins while stage "intake" is under way')
  })

  it('that failed is over: a handler that has a way around it goes on to the next', async () => {
    const rig = await open(
      three.handler({ retry: quick }, async (job) => {
        const text = await job
          .stage('intake', () => {
            throw new Permanent('unreadable')
          })
          .catch(() => 'no text')
        return job.stage('execution', () => `${text}!`)
      }) as never,
    )
    const { id } = await rig.submit(three, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: 'no text!' })
  })

  it('has its budget for its time limit and for an error of its own code, and for no other', async () => {
    const budget = until({ attempts: 3, backoff: { from: '1s', to: '1s' } })
    let tries = 0
    const rig = await open(
      three.handler({ retry: until({ attempts: 1 }) }, async (job) => {
        await job.stage('intake', { retry: budget, timeout: '5s' }, () => {
          tries++
          if (tries === 1) throw new Transient('busy')
          if (tries === 2) return new Promise<void>(() => {})
          return undefined
        })
        throw new Transient('beside it')
      }) as never,
    )
    const { id } = await rig.submit(three, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { code: 'exhausted', attempts: 3 } })
    expect(tries).toBe(3)
  })
})

describe('map', () => {
  const pages = defineJob('pages', { input: z.object({}) })

  it('records each item, tolerates failures as warnings, and repeats none', async () => {
    const ran: number[] = []
    const rig = await open(
      pages.handler({ retry: quick }, async (job) => {
        const texts = await job.map(
          'page',
          [1, 2, 3, 4, 5, 6],
          (n, { index }) => {
            ran.push(n)
            if (n === 3) throw new Permanent('unreadable', { code: 'page-unreadable' })
            if (n === 5 && job.attempt === 1) throw new Transient('busy')
            return `p${n}@${index}`
          },
          { concurrency: 2, tolerate: 1, key: (n) => `nr/${n}` },
        )
        return texts
      }) as never,
    )
    const { id } = await rig.submit(pages, {})
    const job = await rig.untilDone(id)
    expect(job).toMatchObject({
      status: 'completed',
      result: ['p1@0', 'p2@1', null, 'p4@3', 'p5@4', 'p6@5'],
      warnings: [{ code: 'page-unreadable', step: 'page/nr%2f3' }],
    })
    expect(ran.filter((n) => n === 1 || n === 3)).toEqual([1, 3])
    expect((await rig.store.steps(id)).map(({ key }) => key)).toContain('page/nr%2f1')
  })

  it.each([
    ['all at once', 4],
    ['one after the other', 1],
  ])('tolerates no more than it says, %s and over attempts', async (_, concurrency) => {
    const late = (n: number, job: { attempt: number }) => {
      if (job.attempt === 1 && n === 1) throw new Transient('busy')
      if (n !== 3) throw new Permanent(`bad ${n}`)
      return n
    }
    const rig = await open(
      pages.handler({ retry: quick }, async (job) =>
        job.map('page', [1, 2, 3, 4], (n) => late(n, job), { concurrency, tolerate: 2 }),
      ) as never,
    )
    const { id } = await rig.submit(pages, {})
    expect(await rig.untilDone(id)).toMatchObject({
      status: 'failed',
      error: { message: expect.stringMatching(/^bad/) },
    })
    const failed = (await rig.store.steps(id)).filter(({ result }) => result?.includes('failed'))
    expect(failed).toHaveLength(2)
  })

  it('begins no further item once one has failed, also when the handler goes on', async () => {
    const ran: number[] = []
    const rig = await open(
      pages.handler({ retry: until({ attempts: 1 }) }, async (job) => {
        const each = async (n: number) => {
          if (n === 1) throw new Permanent('bad')
          await job.read('look', () => new Promise((resolve) => setImmediate(resolve)))
          ran.push(n)
        }
        const error = await job.map('page', [1, 2, 3, 4, 5, 6], each, { concurrency: 2 }).catch((error) => error)
        return [error.message, ...ran]
      }) as never,
    )
    const { id } = await rig.submit(pages, {})
    expect((await rig.untilDone(id)).result).toEqual(['bad', 2])
    await rig.settle()
    expect(ran).toEqual([2])
  })

  it('knows items with long keys from each other, in any order', async () => {
    const urls = ['a', 'b', 'c'].map((page) => `https://example.com/${'folder/'.repeat(30)}${page}`)
    urls.push(`${'x'.repeat(79)}😀😀😀😀😀😀😀😀😀😀😀 d`, '\ud83de')
    const rig = await open(
      pages.handler({ retry: quick }, async (job) => {
        const items = job.attempt === 1 ? urls : [...urls].reverse()
        const texts = await job.map('page', items, (url) => url.at(-1), { key: (url) => url })
        if (job.attempt === 1) throw new Transient('busy')
        return texts
      }) as never,
    )
    const { id } = await rig.submit(pages, {})
    expect((await rig.untilDone(id)).result).toEqual(['e', 'd', 'c', 'b', 'a'])
  })

  it.each([
    [{ tolerate: -1 }, 'tolerate must be'],
    [{ tolerate: 1.5 }, 'tolerate must be'],
    [{ tolerate: Number.NaN }, 'tolerate must be'],
    [{ concurrency: 0 }, 'concurrency must be'],
  ])('refuses %o', async (options, words) => {
    const rig = await open(
      pages.handler({ retry: until({ attempts: 1 }) }, async (job) => job.map('page', [1], () => 1, options)) as never,
    )
    const { id } = await rig.submit(pages, {})
    expect((await rig.untilDone(id)).error!.message).toContain(words)
  })

  it('takes ten thousand items, and repeats none of them', async () => {
    let ran = 0
    const rig = await open(
      pages.handler({ retry: quick }, async (job) => {
        const items = Array.from({ length: 10_000 }, (_, i) => i)
        const done = await job.map('page', items, () => void ran++, { concurrency: 500 })
        if (job.attempt === 1) throw new Transient('busy')
        return done.length
      }) as never,
    )
    const { id } = await rig.submit(pages, {})
    expect((await rig.untilDone(id)).result).toBe(10_000)
    expect(ran).toBe(10_000)
  })

  it('fails when more fail than are tolerated', async () => {
    const rig = await open(
      pages.handler({ retry: quick }, async (job) =>
        job.map(
          'page',
          [1, 2, 3],
          (n) => {
            if (n > 1) throw new Permanent(`bad ${n}`)
          },
          { tolerate: 1, concurrency: 1 },
        ),
      ) as never,
    )
    const { id } = await rig.submit(pages, {})
    expect(await rig.untilDone(id)).toMatchObject({ status: 'failed', error: { message: 'bad 3' } })
  })
})

describe('decision', () => {
  const think = defineJob('think', { input: z.object({}) })

  it('is kept once over attempts, and found by model and tool', async () => {
    const rig = await open(
      think.handler({ retry: quick }, async (job) => {
        job.decision({ model: 'm', version: '2026-11', tools: ['crm.lookup'], path: 'propose', score: 0.7 })
        await job.step('a', () => 1)
        job.decision({ model: 'm', version: '2026-11', tools: [], path: 'check' })
        if (job.attempt === 1) throw new Transient('busy')
      }) as never,
    )
    const { id } = await rig.submit(think, {})
    await rig.untilDone(id)
    expect((await rig.store.decisions(id)).map(({ key, path, fields }) => [key, path, fields])).toEqual([
      ['decision', 'propose', '{"score":0.7}'],
      ['decision#2', 'check', null],
    ])
    const filter = { tenant: 'default', order: 'createdAt' as const, limit: 10 }
    expect(await rig.store.list({ ...filter, model: 'm', tool: 'crm.lookup' })).toHaveLength(1)
    expect(await rig.store.list({ ...filter, tool: 'crm' })).toHaveLength(0)
  })

  it('without version or tools is refused', async () => {
    const rig = await open(
      think.handler({ retry: until({ attempts: 1 }) }, async (job) => {
        job.decision({ model: 'm', path: 'x' } as never)
      }) as never,
    )
    const { id } = await rig.submit(think, {})
    const job = await rig.untilDone(id)
    expect(job.error!.message).toContain('A decision entry lacks version, tools.')
  })
})
