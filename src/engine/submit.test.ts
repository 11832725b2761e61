import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, file, type HandlerOptions, type JobHandler, jsonSchema, Permanent } from '../define/index.js'
import { rigs } from '../testing/fixtures/rigs.js'
import type { TestRig } from '../testing/index.js'
import { type Caller, LOCAL, type SubmitBody } from './api.js'

const open = rigs()
const greet = defineJob('greet', { input: z.object({ name: z.string(), times: z.number().default(1) }) })
const handlerOf = (options: HandlerOptions<any, any> = {}) =>
  greet.handler(options, (job) => `Hello ${job.input.name}` as never) as unknown as JobHandler
const idle = { worker: false } as const
const body = (more: Partial<SubmitBody> = {}): SubmitBody => ({ type: 'greet', input: { name: 'Ada' }, ...more })
const count = async (rig: TestRig) => (await rig.engine.list(LOCAL, {})).items.length
const other: Caller = { ...LOCAL, tenant: 'other' }

describe('submit', () => {
  it('stores what the schema made of the input, and shows the job at once', async () => {
    const rig = await open(handlerOf({ version: '7' }), idle)
    const at = rig.clock.now()
    const wanted = body({
      groupId: 'g',
      operationKey: 'o',
      priority: 9,
      tags: ['a', 'a', 'b'],
      metadata: { k: 'v' },
      traceparent: '00-1',
    })
    const { job, replayed } = await rig.engine.submit(LOCAL, wanted, null)
    expect(replayed).toBe(false)
    expect(job).toMatchObject({
      type: 'greet',
      typeVersion: '7',
      tenant: 'default',
      status: 'accepted',
      done: false,
      statusText: 'Accepted; waiting for a worker.',
      groupId: 'g',
      operationKey: 'o',
      priority: 9,
      tags: ['a', 'b'],
      metadata: { k: 'v' },
      traceparent: '00-1',
      createdAt: new Date(at).toISOString(),
      startedAt: null,
      version: 1,
      revision: 1,
      pollAfterMs: 1000,
      createdBy: LOCAL.actor,
    })
    expect(await rig.engine.get(LOCAL, job.id, ['input'])).toEqual({ ...job, input: { name: 'Ada', times: 1 } })
  })

  it.each<[string, Partial<SubmitBody>, object]>([
    ['an unknown type', { type: 'nope' }, { code: 'unknown-job-type', errors: [{ pointer: '/type' }] }],
    ['a wrong input', { input: { name: 5 } }, { code: 'input-invalid', errors: [{ pointer: '/input/name' }] }],
    ['no input', { input: null }, { code: 'input-invalid' }],
    [
      'a deadline in the past',
      { deadlineAt: '2020-01-01T00:00:00.000Z' },
      { code: 'validation-failed', errors: [{ pointer: '/deadlineAt' }] },
    ],
    [
      'a deadline before the start',
      { runAt: '2030-01-01T00:00:00.000Z', deadlineAt: '2029-01-01T00:00:00.000Z' },
      { code: 'validation-failed' },
    ],
    [
      'text that no database keeps',
      { groupId: 'a\u0000b' },
      { code: 'validation-failed', errors: [{ pointer: '/groupId' }] },
    ],
    ['the same in a tag', { tags: ['a', 'b\u0000'] }, { code: 'validation-failed', errors: [{ pointer: '/tags/1' }] }],
  ])('%s is refused, and nothing is stored', async (_, more, error) => {
    const rig = await open(handlerOf(), idle)
    await expect(rig.engine.submit(LOCAL, body(more), 'k')).rejects.toMatchObject(error)
    expect(await count(rig)).toBe(0)
    expect(await rig.store.keyed('default', 'submit', 'k')).toBeNull()
  })

  it('JSON Schema: defaults are filled in, errors have pointers', async () => {
    const raw = defineJob('raw', {
      input: jsonSchema({
        type: 'object',
        required: ['a/b'],
        properties: { 'a/b': { type: 'string' }, n: { type: 'integer', default: 3 } },
      }),
    })
    const rig = await open(raw.handler((job) => job.input as never) as unknown as JobHandler)
    const handle = await rig.submit('raw', { 'a/b': 'x' })
    expect((await rig.untilDone(handle)).result).toEqual({ 'a/b': 'x', n: 3 })
    await expect(rig.submit('raw', {})).rejects.toMatchObject({
      errors: [{ pointer: '/input/a~1b', code: 'required' }],
    })
    await expect(rig.submit('raw', { 'a/b': 'x', n: 1.5 })).rejects.toMatchObject({ errors: [{ pointer: '/input/n' }] })
  })

  it('validate checks everything and stores nothing', async () => {
    const rig = await open(handlerOf({ requireIdempotencyKey: true }), idle)
    await expect(rig.engine.validate(LOCAL, body(), null)).rejects.toMatchObject({ code: 'idempotency-key-required' })
    expect(await rig.engine.validate(LOCAL, body(), 'k')).toEqual({
      valid: true,
      type: 'greet',
      gates: [],
      estimates: { p50Ms: null, p95Ms: null },
    })
    await expect(rig.engine.validate(LOCAL, body({ input: 1 }), 'k')).rejects.toMatchObject({ code: 'input-invalid' })
    expect(await count(rig)).toBe(0)
  })

  it('a type may demand a key', async () => {
    const rig = await open(handlerOf({ requireIdempotencyKey: true }), idle)
    await expect(rig.engine.submit(LOCAL, body(), null)).rejects.toMatchObject({ code: 'idempotency-key-required' })
    expect((await rig.engine.submit(LOCAL, body(), 'k')).replayed).toBe(false)
  })
})

describe('idempotency', () => {
  it('the same key and content is the same job, as it is now', async () => {
    const rig = await open(handlerOf())
    const first = await rig.engine.submit(LOCAL, body(), 'k')
    await rig.untilDone(first.job.id)
    const again = await rig.engine.submit(LOCAL, { input: { name: 'Ada' }, type: 'greet' }, 'k')
    expect(again).toMatchObject({ replayed: true, job: { id: first.job.id, status: 'completed', result: 'Hello Ada' } })
    expect(await count(rig)).toBe(1)
  })

  it('the handle of a replay gives the result as well', async () => {
    const rig = await open(handlerOf())
    const first = await rig.submit(greet, { name: 'Ada' }, { key: 'k' })
    await rig.untilDone(first)
    expect(await (await rig.submit(greet, { name: 'Ada' }, { key: 'k' })).result()).toBe('Hello Ada')
  })

  it('200 concurrent submits with one key make one job, and all hear of it', async () => {
    const rig = await open(handlerOf())
    const answers = await Promise.all(Array.from({ length: 200 }, () => rig.engine.submit(LOCAL, body(), 'k')))
    expect(new Set(answers.map(({ job }) => job.id)).size).toBe(1)
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
    expect(await count(rig)).toBe(1)
  })

  it('another trace is no other request', async () => {
    const rig = await open(handlerOf(), idle)
    const first = await rig.engine.submit(LOCAL, body({ traceparent: '00-1' }), 'k')
    expect(await rig.engine.submit(LOCAL, body({ traceparent: '00-2' }), 'k')).toMatchObject({
      replayed: true,
      job: { id: first.job.id },
    })
  })

  it.each<[string, Partial<SubmitBody>]>([
    ['input', { input: { name: 'Bob' } }],
    ['a default spelled out', { input: { name: 'Ada', times: 1 } }],
    ['priority', { priority: 1 }],
    ['group', { groupId: 'g' }],
    ['tags', { tags: ['a'] }],
  ])('other %s with the key is refused, and names the job to those who may see it', async (_, more) => {
    const rig = await open(handlerOf(), idle)
    const { job } = await rig.engine.submit(LOCAL, body(), 'k')
    const stranger: Caller = { ...LOCAL, actor: { kind: 'apiKey', id: 'key_2' }, scopes: ['jobs:submit'] }
    await expect(rig.engine.submit(LOCAL, body(more), 'k')).rejects.toMatchObject({
      code: 'idempotency-key-reused',
      params: { existingJobId: job.id },
    })
    await expect(rig.engine.submit(stranger, body(more), 'k')).rejects.toMatchObject({
      code: 'idempotency-key-reused',
      params: {},
    })
    expect(await count(rig)).toBe(1)
  })

  it('a key belongs to its tenant', async () => {
    const rig = await open(handlerOf(), idle)
    const a = await rig.engine.submit(LOCAL, body(), 'k')
    const b = await rig.engine.submit(other, body(), 'k')
    expect(b.replayed).toBe(false)
    expect(b.job.id).not.toBe(a.job.id)
  })

  it('a known key answers whatever has become of the type, its schema and the deadline', async () => {
    const rig = await open(handlerOf())
    const wanted = body({ deadlineAt: new Date(rig.clock.now() + 5000).toISOString() })
    const { job } = await rig.engine.submit(LOCAL, wanted, 'k')
    await rig.untilDone(job.id)
    await rig.advance('10s')
    expect(await rig.engine.submit(LOCAL, wanted, 'k')).toMatchObject({ replayed: true, job: { id: job.id } })
    const stricter = defineJob('greet', { input: z.object({ name: z.string().min(10) }) })
    await rig.restart([stricter.handler(() => null as never) as unknown as JobHandler])
    expect(await rig.engine.submit(LOCAL, wanted, 'k')).toMatchObject({ replayed: true, job: { id: job.id } })
    await rig.restart([])
    expect(await rig.engine.submit(LOCAL, wanted, 'k')).toMatchObject({ replayed: true, job: { id: job.id } })
  })

  it('an expired job answers job-expired, with its end, and nothing runs again', async () => {
    let runs = 0
    const handler = greet.handler({ retention: '1h' }, () => ++runs as never) as unknown as JobHandler
    const rig = await open(handler)
    const { job } = await rig.engine.submit(LOCAL, body(), 'k')
    const finishedAt = (await rig.untilDone(job.id)).finishedAt
    await rig.stop()
    await rig.clock.advance(3_600_000)
    expect(await rig.store.expire(10)).toBe(1)
    await rig.restart([handler], idle)
    const expired = { code: 'job-expired', params: { jobId: job.id, finalStatus: 'completed', finishedAt } }
    await expect(rig.engine.submit(LOCAL, body(), 'k')).rejects.toMatchObject(expired)
    await expect(rig.engine.get(LOCAL, job.id)).rejects.toMatchObject(expired)
    await expect(rig.engine.get(other, job.id)).rejects.toMatchObject({ code: 'job-not-found' })
    expect(runs).toBe(1)
  })
})

describe('batch', () => {
  const items = (...names: unknown[]) =>
    names.map((name) => ({ body: body({ input: { name } as never }), key: null as string | null }))

  it('stores all, in order', async () => {
    const rig = await open(handlerOf())
    const { items: jobs, replayed } = await rig.engine.submitBatch(LOCAL, items('a', 'b', 'c'), null)
    expect(replayed).toBe(false)
    const results = await Promise.all(jobs.map(({ id }) => rig.untilDone(id)))
    expect(results.map(({ result }) => result)).toEqual(['Hello a', 'Hello b', 'Hello c'])
  })

  it('one bad item keeps all of it out, and every bad one is named', async () => {
    const rig = await open(handlerOf(), idle)
    await expect(rig.engine.submitBatch(LOCAL, items('a', 1, 'c', 2), 'k')).rejects.toMatchObject({
      code: 'input-invalid',
      errors: [{ pointer: '/items/1/input/name' }, { pointer: '/items/3/input/name' }],
    })
    const unknown = [...items('a'), { body: body({ type: 'nope' }), key: null }]
    await expect(rig.engine.submitBatch(LOCAL, unknown, null)).rejects.toMatchObject({
      code: 'unknown-job-type',
      errors: [{ pointer: '/items/1/type' }],
    })
    await expect(rig.engine.submitBatch(LOCAL, [], 'k')).rejects.toMatchObject({ code: 'validation-failed' })
    expect(await count(rig)).toBe(0)
  })

  it('its key makes the whole batch one request', async () => {
    const rig = await open(handlerOf())
    const first = await rig.engine.submitBatch(LOCAL, items('a', 'b', 'c'), 'k')
    const again = await rig.engine.submitBatch(LOCAL, items('a', 'b', 'c'), 'k')
    expect(again.replayed).toBe(true)
    expect(again.items.map(({ id }) => id)).toEqual(first.items.map(({ id }) => id))
    await expect(rig.engine.submitBatch(LOCAL, items('a', 'b'), 'k')).rejects.toMatchObject({
      code: 'idempotency-key-reused',
    })
    const at = await Promise.all(Array.from({ length: 20 }, () => rig.engine.submitBatch(LOCAL, items('x', 'y'), 'k2')))
    expect(new Set(at.map(({ items }) => items.map(({ id }) => id).join())).size).toBe(1)
    expect(await count(rig)).toBe(5)
  })

  it('keys of items: every item is answered, new or not', async () => {
    const rig = await open(handlerOf(), idle)
    const keyed = (name: string, key: string | null) => ({ body: body({ input: { name } }), key })
    const old = await rig.engine.submit(LOCAL, body({ input: { name: 'b' } }), 'kb')
    const batch = [keyed('a', 'ka'), keyed('b', 'kb'), keyed('c', null)]
    const { items: jobs, replayed } = await rig.engine.submitBatch(LOCAL, batch, null)
    expect(replayed).toBe(false)
    expect(jobs).toHaveLength(3)
    expect(jobs[1]!.id).toBe(old.job.id)
    expect(await count(rig)).toBe(3)
    const again = await rig.engine.submitBatch(LOCAL, batch.slice(0, 2), null)
    expect(again).toMatchObject({ replayed: true, items: [{ id: jobs[0]!.id }, { id: jobs[1]!.id }] })
    await expect(rig.engine.submitBatch(LOCAL, [keyed('new', null), keyed('other', 'kb')], null)).rejects.toMatchObject(
      { code: 'idempotency-key-reused' },
    )
    expect(await count(rig)).toBe(3)
  })

  it('a known key of an item answers whatever has become of its type', async () => {
    const rig = await open(handlerOf())
    const { job } = await rig.engine.submit(LOCAL, body(), 'k')
    await rig.untilDone(job.id)
    const fresh = defineJob('fresh', { input: z.object({}) })
    await rig.restart([fresh.handler(() => 1 as never) as unknown as JobHandler])
    const batch = [
      { body: body(), key: 'k' },
      { body: { type: 'fresh', input: {} }, key: null },
    ]
    const { items: jobs } = await rig.engine.submitBatch(LOCAL, batch, null)
    expect(jobs.map(({ type, id }) => [type, id === job.id])).toEqual([
      ['greet', true],
      ['fresh', false],
    ])
  })

  it('a key for the batch and one for an item contradict each other', async () => {
    const rig = await open(handlerOf(), idle)
    const batch = [
      { body: body(), key: null },
      { body: body(), key: 'own' },
    ]
    await expect(rig.engine.submitBatch(LOCAL, batch, 'k')).rejects.toMatchObject({
      errors: [{ pointer: '/items/1/idempotencyKey' }],
    })
  })
})

describe('files in an input', () => {
  const scan = defineJob('scan', { input: z.object({ pages: z.array(file()) }) })
  const handler = scan.handler(async (job) => {
    const opened = await Promise.all(job.input.pages.map((id) => job.open(id)))
    if (opened.some(({ bytes }) => bytes === 0)) throw new Permanent('empty page')
    return opened.map(({ bytes }) => bytes) as never
  }) as unknown as JobHandler
  const upload = (rig: TestRig, caller = LOCAL, text = 'page') =>
    rig.engine.addFile(caller, new Blob([text]).stream() as never, {
      contentType: 'text/plain',
      name: 'p.txt',
      maxBytes: 1000,
    })

  it('must exist, belong to the tenant, and are then kept with the job', async () => {
    const rig = await open(handler, idle)
    const [mine, theirs] = [await upload(rig), await upload(rig, other)]
    for (const bad of [theirs.file, `file_${'x'.repeat(22)}`]) {
      await expect(rig.submit(scan, { pages: [mine.file, bad] })).rejects.toMatchObject({
        code: 'input-invalid',
        params: { file: bad },
      })
    }
    await expect(rig.submit(scan, { pages: ['no id'] })).rejects.toMatchObject({
      errors: [{ pointer: '/input/pages/0' }],
    })
    const { id } = await rig.submit(scan, { pages: [mine.file] })
    expect((await rig.engine.openFile(LOCAL, mine.file)).meta.expiresAt).toBeNull()
    await rig.restart([handler], {})
    expect((await rig.untilDone(id)).result).toEqual([4])
  })

  it('an expired upload is refused', async () => {
    const rig = await open(handler, idle)
    const { file: id } = await upload(rig)
    await rig.crash()
    await rig.clock.advance(86_400_000)
    await rig.restart()
    await expect(rig.submit(scan, { pages: [id] })).rejects.toMatchObject({
      code: 'input-invalid',
      params: { file: id },
    })
  })
})
