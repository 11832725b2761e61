// Limits and uniqueness as their users meet them: what a handler's options mean from the submit to the end.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  defineJob,
  type HandlerOptions,
  type JobContext,
  type JobHandler,
  type LimitOptions,
  type UniqueOptions,
  until,
} from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL, type SubmitBody } from './api.js'

const open = rigs()
type Input = { who: string; ms: number; fail?: number }
const work = defineJob('work', {
  input: z.object({ who: z.string(), ms: z.number().default(1000), fail: z.number().optional() }),
})
const spans: { id: string; who: string; from: number; to: number }[] = []

/** A handler that takes its time, and notes when it ran. */
function handlerOf(options: HandlerOptions<Input, unknown>, clock: () => TestRig): JobHandler {
  return work.handler(options as never, async (job: JobContext<any>) => {
    const rig = clock()
    const from = rig.clock.now()
    await new Promise<void>((resolve) => rig.clock.after(job.input.ms, resolve))
    spans.push({ id: job.id, who: job.input.who, from, to: rig.clock.now() })
    if ((job.input.fail ?? 0) >= job.attempt) throw new Error('not yet')
    return job.input.who as never
  }) as unknown as JobHandler
}
async function begun(options: HandlerOptions<Input, unknown>, more: object = {}): Promise<TestRig> {
  spans.length = 0
  const holder: { rig?: TestRig } = {}
  holder.rig = await open(
    handlerOf(options, () => holder.rig!),
    more,
  )
  return holder.rig
}
const body = (more: Partial<SubmitBody> = {}, input: Partial<Input> = {}): SubmitBody => ({
  ...{ type: 'work', input: { who: 'a', ms: 1000, ...input } },
  ...more,
})
const key = (id: string, scopes: Caller['scopes']): Caller => ({
  ...{ tenant: 'default', actor: { kind: 'apiKey', id }, scopes, types: null },
})
/** The most that overlap of those with this key. */
function overlap(who?: string): number {
  const chosen = spans.filter((span) => who === undefined || span.who === who)
  return Math.max(0, ...chosen.map(({ from }) => chosen.filter((o) => o.from <= from && from < o.to).length))
}

describe('limits', () => {
  it('concurrency: so many of a key at once, other keys beside them, and people are told', async () => {
    const rig = await begun({ limits: { concurrency: { key: ({ who }) => who, limit: 2 } } })
    const jobs = await Promise.all(
      ['a', 'a', 'a', 'b', 'a', 'b', 'b'].map((who) => rig.submit(work, { who }, { operationKey: who })),
    )
    await rig.settle()
    expect(rig.app.running).toBe(4)
    const third = await rig.get(jobs[2]!)
    expect(third.status).toBe('accepted')
    expect(third.statusText).toBe('Waiting: 2 of 2 jobs for a are running.')
    expect(third.ops).toMatchObject({ phase: 'held', heldBy: { limit: 'concurrency', key: 'a', running: 2 } })
    await rig.untilIdle()
    expect([overlap('a'), overlap('b'), overlap()]).toEqual([2, 2, 4])
    expect(spans).toHaveLength(7)
    expect((await rig.get(jobs[2]!)).ops!.heldBy).toBeNull()
  })

  it('a place that is free is taken at once, not with the next look', async () => {
    const rig = await begun({ limits: { concurrency: { limit: 1 } } })
    for (let i = 0; i < 3; i++) await rig.submit(work, { who: 'a', ms: 10 })
    await rig.untilIdle()
    const [first, , last] = spans
    expect(last!.to - first!.from).toBe(30)
    expect((await rig.engine.list(LOCAL, {})).items.every(({ statusText }) => statusText === 'Completed.')).toBe(true)
  })

  it('a submit that has to wait says so in its answer', async () => {
    const rig = await begun({ limits: { concurrency: { limit: 1 } } })
    for (let i = 0; i < 2; i++) await rig.engine.submit(LOCAL, body(), null)
    await rig.settle()
    const { job } = await rig.engine.submit(LOCAL, body(), null)
    expect(job.statusText).toBe('Waiting: other jobs of this type come first.')
    expect((await rig.engine.get(LOCAL, job.id)).statusText).toBe('Waiting: 1 of 1 jobs of this type are running.')
  })

  it('order: one after the other, in the order of the submits, through retries', async () => {
    const retry = until({ backoff: { from: '10s', to: '10s' } })
    const rig = await begun({ retry, limits: { order: ({ who }) => who } })
    const first = await rig.submit(work, { who: 'a', fail: 1 })
    for (const n of [1, 2]) await rig.submit(work, { who: 'a', ms: n })
    const other = await rig.submit(work, { who: 'b' })
    await rig.settle()
    const { items } = await rig.engine.list(LOCAL, { order: 'createdAt' })
    expect(items.map(({ statusText }) => statusText)).toEqual([
      'Being worked on.',
      'Waiting its turn: 1 job for a comes first.',
      'Waiting its turn: 2 jobs for a come first.',
      'Being worked on.',
    ])
    await rig.untilIdle()
    expect(spans.filter(({ who }) => who === 'a').map(({ id }) => id)).toEqual([
      ...[first.id, first.id],
      ...items.slice(1, 3).map(({ id }) => id),
    ])
    expect(overlap('a')).toBe(1)
    expect(spans.find(({ id }) => id === other.id)!.from).toBe(spans[0]!.from)
  })

  it('rate: starts are spread, and a job says when its turn is', async () => {
    const rig = await begun({ limits: { rate: { key: ({ who }) => who, limit: 2, per: '1m' } } })
    const jobs = await Promise.all([1, 2, 3].map(() => rig.submit(work, { who: 'a', ms: 1 })))
    await rig.settle()
    const at = new Date(rig.clock.now() + 30_000).toISOString()
    expect((await rig.get(jobs[1]!)).statusText).toBe(`Waiting: at most 2 in 1 m start for a; it starts ${at}.`)
    expect((await rig.get(jobs[2]!)).statusText).toBe('Waiting: at most 2 in 1 m start for a.')
    expect((await rig.get(jobs[1]!)).ops!.phase).toBe('held')
    await rig.untilIdle()
    const starts = spans.map(({ from }) => from)
    expect(starts.map((start) => start - starts[0]!)).toEqual([0, 30_000, 60_000])
  })

  it('numbers that change with a deploy count for jobs that wait already', async () => {
    const rig = await begun({ limits: { concurrency: { limit: 1 } } })
    for (let i = 0; i < 8; i++) await rig.submit(work, { who: 'a', ms: 20_000 })
    await rig.settle()
    await rig.restart([handlerOf({ limits: { concurrency: { limit: 4 } } }, () => rig)])
    await rig.advance('11s')
    expect(rig.app.running).toBe(4)
    const held = (await rig.engine.list(LOCAL, { status: ['accepted'] })).items
    expect(held[0]!.statusText).toBe('Waiting: 4 of 4 jobs of this type are running.')
    await rig.untilIdle()
    expect(overlap()).toBe(4)
  })

  it('a worker that dies gives its places back', async () => {
    const rig = await begun({ limits: { concurrency: { limit: 1 }, order: () => 'x' } })
    const jobs = [await rig.submit(work, { who: 'a' }), await rig.submit(work, { who: 'b' })]
    await rig.settle()
    await rig.crash()
    await rig.restart()
    await rig.untilIdle()
    // The code of the dead process runs to its end as well, and writes nothing.
    expect([...new Set(spans.map(({ id }) => id))]).toEqual(jobs.map(({ id }) => id))
    expect(overlap('b')).toBe(1)
  })

  it('what it was held is not taken from its retry budget', async () => {
    const retry = until({ within: '1m', backoff: { from: '1s', to: '1s' } })
    const rig = await begun({ retry, limits: { concurrency: { limit: 1 } } })
    await rig.submit(work, { who: 'a', ms: 600_000 })
    const second = await rig.submit(work, { who: 'b', ms: 1, fail: 2 })
    expect((await rig.untilDone(second)).status).toBe('completed')
  })

  it('a job that only undoes another takes a place as well', async () => {
    const undo = defineJob('undo', { input: z.object({ n: z.number() }) })
    const open2: { rig?: TestRig } = {}
    const handler = undo.handler({ limits: { concurrency: { limit: 1 } } }, async (job) => {
      await job.step('act', () => job.input.n, { undo: () => undefined })
      if (job.input.n > 1) await new Promise<void>((resolve) => open2.rig!.clock.after(5000, resolve))
      return null as never
    })
    const rig = await open(handler as unknown as JobHandler)
    open2.rig = rig
    const done = await rig.submit(undo, { n: 1 })
    await rig.untilDone(done)
    await rig.submit(undo, { n: 2 })
    await rig.settle()
    const { job } = await rig.engine.compensate(LOCAL, done.id, { reason: 'wrong' })
    await rig.settle()
    expect(rig.app.running).toBe(1)
    expect((await rig.get(job)).status).toBe('processing')
    expect((await rig.untilDone(job)).status).toBe('completed')
    await rig.untilIdle()
  })

  it('null is no limit for this job; numbers are keys as well', async () => {
    const limits = { concurrency: { key: ({ who }: Input) => (who === 'free' ? null : (7 as never)), limit: 1 } }
    const rig = await begun({ limits })
    for (const who of ['a', 'free', 'b', 'free']) await rig.submit(work, { who })
    await rig.settle()
    expect(rig.app.running).toBe(3)
    const { record } = (await rig.store.find((await rig.engine.list(LOCAL, {})).items[3]!.id)) as never as {
      record: { options: object }
    }
    expect(record.options).toMatchObject({ limits: { concurrency: { key: '7', limit: 1 } } })
    await rig.untilIdle()
  })

  it('long keys are cut without losing what tells them apart', async () => {
    const rig = await begun({ limits: { concurrency: { key: ({ who }) => who, limit: 1 } } })
    for (const end of ['x', 'y', 'x']) await rig.submit(work, { who: `${'long '.repeat(100)}\0${end}` })
    await rig.settle()
    expect(rig.app.running).toBe(2)
    await rig.untilIdle()
  })

  it.each<[string, LimitOptions<Input>, string]>([
    ['throws', { order: () => JSON.parse('{') }, 'limits.order threw'],
    [
      'gives a promise',
      { rate: { limit: 1, per: '1s', key: (async () => 'x') as never } },
      'limits.rate.key must give',
    ],
  ])('a key that %s stores nothing and says which', async (_, limits, said) => {
    const rig = await begun({ limits }, { worker: false })
    const refused = expect.objectContaining({ code: 'bad-definition', message: expect.stringContaining(said) })
    await expect(rig.engine.submit(LOCAL, body(), null)).rejects.toEqual(refused)
    expect((await rig.engine.list(LOCAL, {})).items).toEqual([])
  })

  it('a child of the same type and key is part of its parent’s turn', async () => {
    const tree = defineJob('tree', { input: z.object({ depth: z.number() }), output: z.number() })
    const handler = tree.handler({ limits: { order: () => 'one' } }, async (job) => {
      const below: number = job.input.depth > 0 ? await job.call(tree, { depth: job.input.depth - 1 }) : 0
      return below + 1
    })
    const rig = await open(handler as unknown as JobHandler)
    const jobs = [await rig.submit(tree, { depth: 2 }), await rig.submit(tree, { depth: 0 })]
    await rig.untilIdle()
    expect([(await rig.get(jobs[0]!)).result, (await rig.get(jobs[1]!)).result]).toEqual([3, 1])
  })
})

describe('starvation', () => {
  it('low priorities, held or not, and a lane that waits long go on under a load that never ends', async () => {
    const quiet = defineJob('quiet', { input: z.object({}) })
    const holder: { rig?: TestRig } = {}
    const limits = { concurrency: { key: ({ who }: Input) => (who === 'free' ? null : who), limit: 1 } }
    spans.length = 0
    const handlers = [
      handlerOf({ limits }, () => holder.rig!),
      quiet.handler(() => null as never) as unknown as JobHandler,
    ]
    const rig = await open(handlers, { worker: { slots: 2 } })
    holder.rig = rig
    const submit = (who: string, priority: number) => rig.submit(work, { who, ms: 10 }, { priority })
    const low = await Promise.all(
      [-50, 10, 0].flatMap((priority) => [submit('held', priority), submit('free', priority)]),
    )
    const other = await rig.submit(quiet, {})
    let done = false
    // Four new ones of the highest priority for each that ends: it never gets less.
    for (let turn = 0; turn < 600 && !done; turn++) {
      await Promise.all(['held', 'free', 'held', 'free'].map((who) => submit(who, 90)))
      await rig.advance('10ms')
      done = (await Promise.all([...low, other].map((job) => rig.get(job)))).every((job) => job.done)
    }
    expect(done).toBe(true)
  })
})

describe('unique', () => {
  const active: HandlerOptions<Input, unknown> = { unique: 'active' }

  it('one job per operationKey while it is not done; the answer says of which it is a duplicate', async () => {
    const rig = await begun(active)
    const wanted = body({ operationKey: 'invoice:1' })
    const first = await rig.engine.submit(LOCAL, wanted, 'k1')
    expect(first).toMatchObject({ replayed: false, duplicateOf: null })
    const second = await rig.engine.submit(LOCAL, body({ operationKey: 'invoice:1' }, { who: 'b' }), 'k2')
    expect(second).toMatchObject({ replayed: false, duplicateOf: first.job.id, job: { id: first.job.id } })
    expect((await rig.engine.submit(LOCAL, body({ operationKey: 'invoice:2' }), null)).duplicateOf).toBeNull()
    await rig.untilIdle()
    // The key of the duplicate is that job's, also now.
    const again = await rig.engine.submit(LOCAL, body({ operationKey: 'invoice:1' }, { who: 'b' }), 'k2')
    expect(again).toMatchObject({ replayed: true, duplicateOf: null, job: { id: first.job.id, status: 'completed' } })
    expect((await rig.engine.submit(LOCAL, wanted, 'k3')).duplicateOf).toBeNull()
  })

  it('without an operationKey the whole input is the operation, as the schema has made it', async () => {
    const rig = await begun(active, { worker: false })
    const first = await rig.submit(work, { who: 'a' })
    expect(await rig.submit(work, { ms: 1000, who: 'a' } as never)).toMatchObject({
      id: first.id,
      duplicateOf: first.id,
    })
    expect((await rig.submit(work, { who: 'a', ms: 2 })).duplicateOf).toBeNull()
  })

  it('a handle of a duplicate gives the result of the job that is there', async () => {
    const rig = await begun(active)
    const handles = [await rig.submit(work, { who: 'a' }), await rig.submit(work, { who: 'a' })]
    const results = Promise.all(handles.map((handle) => handle.result()))
    await rig.untilIdle()
    expect(await results).toEqual(['a', 'a'])
    expect(spans).toHaveLength(1)
  })

  it('200 at once make one job', async () => {
    const rig = await begun(active)
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => rig.engine.submit(LOCAL, body({ operationKey: 'o' }), `k${i}`)),
    )
    expect(new Set(answers.map(({ job }) => job.id)).size).toBe(1)
    expect(answers.filter(({ duplicateOf }) => duplicateOf === null)).toHaveLength(1)
    await rig.untilIdle()
    expect(spans).toHaveLength(1)
  })

  it('a window counts from the submit and goes on after the end', async () => {
    const unique: UniqueOptions<Input> = {
      for: '10m',
      key: ({ who }, { operationKey }) => operationKey && `${who}/${operationKey}`,
    }
    const rig = await begun({ unique })
    const submit = (more: Partial<SubmitBody>, input?: Partial<Input>) =>
      rig.engine.submit(LOCAL, body(more, input), null)
    const first = await submit({ operationKey: 'o' })
    await rig.advance('9m')
    expect(await submit({ operationKey: 'o' })).toMatchObject({
      duplicateOf: first.job.id,
      job: { status: 'completed' },
    })
    expect((await submit({ operationKey: 'o' }, { who: 'b' })).duplicateOf).toBeNull()
    // Null: not unique at all.
    expect([(await submit({})).duplicateOf, (await submit({})).duplicateOf]).toEqual([null, null])
    await rig.advance('1m')
    expect((await submit({ operationKey: 'o' })).duplicateOf).toBeNull()
  })

  it('reject: by the type, or by the submit', async () => {
    const rig = await begun(active, { worker: false })
    const { job } = await rig.engine.submit(LOCAL, body(), null)
    const refused = { code: 'duplicate-operation', params: { existingJobId: job.id, why: 'exists' } }
    await expect(rig.engine.submit(LOCAL, body({ onDuplicate: 'reject' }), null)).rejects.toMatchObject(refused)
    await expect(rig.submit(work, { who: 'a' }, { onDuplicate: 'reject' })).rejects.toMatchObject(refused)
    const strict = await begun({ unique: { onDuplicate: 'reject' } }, { worker: false })
    await strict.engine.submit(LOCAL, body(), null)
    await expect(strict.engine.submit(LOCAL, body(), null)).rejects.toMatchObject({ code: 'duplicate-operation' })
    expect((await strict.engine.submit(LOCAL, body({ onDuplicate: 'return' }), null)).duplicateOf).not.toBeNull()
  })

  it('replace: what has not begun gives way, what has is the reason for a refusal', async () => {
    const rig = await begun({ unique: { onDuplicate: 'replace' } })
    const later = body({ operationKey: 'o', runAt: new Date(rig.clock.now() + 60_000).toISOString() })
    const first = await rig.engine.submit(LOCAL, later, null)
    const second = await rig.engine.submit(LOCAL, body({ operationKey: 'o' }), null)
    expect(second.duplicateOf).toBeNull()
    expect(await rig.engine.get(LOCAL, first.job.id)).toMatchObject({
      status: 'cancelled',
      statusText: `Cancelled: replaced by job ${second.job.id}`,
      error: { code: 'cancelled-by-caller' },
    })
    await rig.settle()
    await expect(rig.engine.submit(LOCAL, body({ operationKey: 'o' }), null)).rejects.toMatchObject({
      code: 'duplicate-operation',
      message: expect.stringContaining('has begun already'),
      params: { existingJobId: second.job.id, why: 'started' },
    })
    await rig.untilIdle()
  })

  it('replace by the submit alone takes the right to cancel', async () => {
    const rig = await begun(active, { worker: false })
    const [ada, bob, ops] = [
      key('key_a', ['jobs:submit']),
      key('key_b', ['jobs:submit']),
      key('key_o', ['jobs:submit', 'jobs:operate']),
    ]
    const replace = body({ operationKey: 'o', onDuplicate: 'replace' })
    const first = await rig.engine.submit(ada, replace, null)
    const refused = { code: 'duplicate-operation', params: { why: 'not-yours' } }
    await expect(rig.engine.submit(bob, replace, null)).rejects.toMatchObject(refused)
    const second = await rig.engine.submit(ada, replace, null)
    expect(second.job.id).not.toBe(first.job.id)
    expect((await rig.engine.submit(ops, replace, null)).duplicateOf).toBeNull()
  })

  it('a caller who may not see the job that is there is told that there is one, and not which', async () => {
    const rig = await begun(active, { worker: false })
    await rig.engine.submit(key('key_a', ['jobs:submit']), body({ operationKey: 'o' }), null)
    const stranger = key('key_b', ['jobs:submit'])
    for (const onDuplicate of ['return', 'reject'] as const) {
      const error = await rig.engine.submit(stranger, body({ operationKey: 'o', onDuplicate }), null).catch((e) => e)
      expect(error).toMatchObject({ code: 'duplicate-operation' })
      expect(error.params).not.toHaveProperty('existingJobId')
    }
  })

  it('onDuplicate for a type without unique is refused: it would promise what nobody keeps', async () => {
    const rig = await begun({}, { worker: false })
    await expect(rig.engine.submit(LOCAL, body({ onDuplicate: 'reject' }), null)).rejects.toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '/onDuplicate' }],
    })
  })

  it('a replay is no duplicate of the job it replays, and of one that is under way it is', async () => {
    const rig = await begun({ unique: { for: '1d', key: ({ who }) => who } })
    const first = await rig.submit(work, { who: 'a' })
    await rig.untilDone(first)
    const { job } = await rig.engine.replay(LOCAL, first.id, { reason: 'once more' })
    expect(job.replayOf).toBe(first.id)
    await expect(rig.engine.replay(LOCAL, first.id, { reason: 'twice' })).rejects.toMatchObject({
      code: 'duplicate-operation',
      params: { existingJobId: job.id },
    })
    // The window begins anew with it.
    expect((await rig.submit(work, { who: 'a' })).duplicateOf).toBe(job.id)
    await rig.untilIdle()
  })

  it('batches: duplicates are answered in their place, a refused one refuses all', async () => {
    const rig = await begun(active, { worker: false })
    const item = (operationKey: string, more: Partial<SubmitBody> = {}) => ({
      body: body({ operationKey, ...more }),
      key: null,
    })
    const { job } = await rig.engine.submit(LOCAL, body({ operationKey: 'x' }), null)
    const answer = await rig.engine.submitBatch(LOCAL, [item('a'), item('x'), item('a'), item('b')], 'batch')
    expect(answer.duplicates).toEqual([1, 2])
    expect(answer.items.map(({ id }) => id)).toEqual([
      answer.items[0]!.id,
      job.id,
      answer.items[0]!.id,
      answer.items[3]!.id,
    ])
    const again = await rig.engine.submitBatch(LOCAL, [item('a'), item('x'), item('a'), item('b')], 'batch')
    expect(again).toMatchObject({ replayed: true, items: answer.items.map(({ id }) => ({ id })) })
    await expect(
      rig.engine.submitBatch(LOCAL, [item('c'), item('x', { onDuplicate: 'reject' })], null),
    ).rejects.toMatchObject({ code: 'duplicate-operation' })
    expect((await rig.engine.list(LOCAL, { operationKey: 'c' })).items).toEqual([])
  })

  it('children: two parents share one child, and one that is refused says why', async () => {
    const parent = defineJob('parent', { input: z.object({ refuse: z.boolean() }), output: z.string() })
    const rows: JobHandler[] = []
    const holder: { rig?: TestRig } = {}
    spans.length = 0
    rows.push(handlerOf(active, () => holder.rig!))
    rows.push(
      parent.handler(async (job) => {
        const call = { operationKey: 'shared', ...(job.input.refuse ? { onDuplicate: 'reject' as const } : {}) }
        return (await job.call(work, { who: 'child' }, call)) as string
      }) as unknown as JobHandler,
    )
    const rig = await open(rows)
    holder.rig = rig
    const jobs = [await rig.submit(parent, { refuse: false }), await rig.submit(parent, { refuse: false })]
    await rig.settle()
    const refused = await rig.submit(parent, { refuse: true })
    await rig.untilIdle()
    for (const job of jobs) expect((await rig.get(job)).result).toBe('child')
    expect(spans).toHaveLength(1)
    expect(await rig.get(refused)).toMatchObject({ status: 'failed', error: { code: 'child-failed' } })
    expect((await rig.get(refused)).error!.message).toContain('is doing this already')
  })

  it('a job that would wait for itself, through others, is told so instead', async () => {
    const loop = defineJob('loop', { input: z.object({ n: z.number() }), output: z.string() })
    const handler = loop.handler({ unique: { key: ({ n }) => `${n % 3}` } }, async (job) => {
      const end = await job.call(loop, { n: job.input.n + 1 }, { onFailure: 'return' })
      return end.error ? `${job.input.n}: ${end.error.message}` : `${end.result}`
    })
    const rig = await open(handler as unknown as JobHandler)
    const first = await rig.submit(loop, { n: 0 })
    const { result } = await rig.untilDone(first)
    expect(result).toBe(`2: Job ${first.id} is doing this already, and it waits for this one.`)
  })

  it('a parent that waits no longer leaves alone the job that was there before', async () => {
    const parent = defineJob('parent', { input: z.object({}), output: z.string() })
    const holder: { rig?: TestRig } = {}
    const rig = await open([
      handlerOf(active, () => holder.rig!),
      parent.handler(async (job) => {
        const end = await job.call(work, { who: 'x', ms: 60_000 }, { timeout: '10s', onFailure: 'return' })
        return end.status
      }) as unknown as JobHandler,
    ])
    holder.rig = rig
    const before = await rig.submit(work, { who: 'x', ms: 60_000 })
    await rig.settle()
    const waited = await rig.submit(parent, {})
    expect((await rig.untilDone(waited)).result).toBe('timeout')
    expect((await rig.get(before)).cancelRequestedAt).toBeNull()
    expect((await rig.untilDone(before)).status).toBe('completed')
  })
})
