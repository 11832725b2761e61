/** Submit: durable, once per key, all or nothing per call. */
import { expect } from 'vitest'
import { isTombstone, type NewJob } from '../../stores/store.js'
import type { Suite } from './index.js'

export function submitTests({ test }: Suite): void {
  test('a stored job is found at once, with everything it was given', async (bench) => {
    const { store } = bench
    const wanted = bench.job({
      input: { a: [1, 'é😀', null] },
      groupId: 'session-42',
      operationKey: 'invoice:1',
      tags: ['eu', 'b'],
      runAt: bench.clock.now() + 5000,
      deadlineAt: bench.clock.now() + 9000,
      priority: -7,
    })
    wanted.record.options.metadata = { ticket: 'OPS-1' }
    wanted.record.options.traceparent = '00-1-2-01'
    wanted.record.typeVersion = '3'
    expect(await store.submit([wanted])).toEqual([{ outcome: 'created', jobId: wanted.record.id }])
    const found = await store.find(wanted.record.id)
    expect(found).toEqual({
      record: wanted.record,
      live: wanted.live,
      outcome: null,
      progress: null,
      warnings: [],
      supersededBy: null,
      compensatedBy: null,
      resolution: null,
    })
    const { entries, before } = await store.history(wanted.record.id, 0, 10)
    expect(before).toBeNull()
    expect(entries).toEqual([{ ...wanted.history, hash: null, prevHash: null }])
  })

  test('nothing is known of a job that was never stored', async ({ store }) => {
    expect(await store.find('01a00000-0000-7000-8000-000000000000')).toBeNull()
    expect(await store.history('nope', 0, 10)).toEqual({ entries: [], before: null })
    expect(await store.steps('nope')).toEqual([])
  })

  test('200 concurrent calls with one key make one job', async (bench) => {
    const jobs = Array.from({ length: 200 }, () => bench.job({ key: 'k' }))
    const answers = (await Promise.all(jobs.map((job) => bench.store.submit([job])))).flat()
    expect(answers.filter(({ outcome }) => outcome === 'created')).toHaveLength(1)
    expect(answers.filter(({ outcome }) => outcome === 'replayed')).toHaveLength(199)
    expect(new Set(answers.map((answer) => 'jobId' in answer && answer.jobId)).size).toBe(1)
    expect(await bench.store.list({ tenant: 'default', order: 'createdAt', limit: 300 })).toHaveLength(1)
  })

  test('the same in waves, each in a transaction of its own', async (bench) => {
    const ids = new Set<unknown>()
    for (let wave = 0; wave < 20; wave++) {
      const jobs = Array.from({ length: 10 }, (_, i) => bench.job({ key: `k${i % 3}` }))
      for (const [answer] of await Promise.all(jobs.map((job) => bench.store.submit([job])))) {
        expect(answer!.outcome).toMatch(/created|replayed/)
        ids.add('jobId' in answer! && answer.jobId)
      }
    }
    expect(ids.size).toBe(3)
  })

  test('the same key with other content is refused and names the job that has it', async (bench) => {
    const first = bench.job({ key: 'k', fingerprint: 'one' })
    await bench.store.submit([first])
    const second = bench.job({ key: 'k', fingerprint: 'two' })
    expect(await bench.store.submit([second])).toEqual([{ outcome: 'key-reused', jobId: first.record.id }])
    expect(await bench.store.find(second.record.id)).toBeNull()
  })

  test('two contents for one key in one transaction: the first one has it', async (bench) => {
    const [first, second] = [bench.job({ key: 'k', fingerprint: 'one' }), bench.job({ key: 'k', fingerprint: 'two' })]
    const answers = await Promise.all([bench.store.submit([first]), bench.store.submit([second])])
    expect(answers).toEqual([
      [{ outcome: 'created', jobId: first.record.id }],
      [{ outcome: 'key-reused', jobId: first.record.id }],
    ])
  })

  test('keyed() finds the job of a key, unfinished, finished and expired', async (bench) => {
    const { store } = bench
    expect(await store.keyed('default', 'submit', 'k')).toBeNull()
    const jobId = await bench.submitOne({ key: 'k', fingerprint: 'one' })
    const found = { jobId, fingerprint: 'one' }
    expect(await store.keyed('default', 'submit', 'k')).toEqual(found)
    expect(await store.keyed('other', 'submit', 'k')).toBeNull()
    expect(await store.keyed('default', 'batch', 'k')).toBeNull()
    await bench.succeed(await bench.claimOne(), {}, { expiresAt: (at) => at })
    expect(await store.keyed('default', 'submit', 'k')).toEqual(found)
    await store.expire(10)
    expect(await store.keyed('default', 'submit', 'k')).toEqual(found)
  })

  test('a key belongs to one tenant and one operation', async (bench) => {
    const jobs = [
      bench.job({ key: 'k' }),
      bench.job({ key: 'k', tenant: 'other' }),
      bench.job({ key: 'k', wholeBatch: true }),
      bench.job({ key: 'K' }),
    ]
    for (const job of jobs) expect(await bench.store.submit([job])).toMatchObject([{ outcome: 'created' }])
  })

  test('names that hold the separators of a key do not meet', async (bench) => {
    const odd: NewJob[] = [
      bench.job({ key: 'b\nc', tenant: 'a' }),
      bench.job({ key: 'c', tenant: 'a\nsubmit\nb' }),
      bench.job({ key: 'c', tenant: 'a\nb' }),
    ]
    odd[2]!.idempotency!.operation = 'submit'
    odd[0]!.idempotency!.operation = 'submit'
    const answers = await Promise.all(odd.map((job) => bench.store.submit([job])))
    expect(answers.flat().map(({ outcome }) => outcome)).toEqual(['created', 'created', 'created'])
  })

  test('a key outlives the end of its job', async (bench) => {
    const id = await bench.submitOne({ key: 'k' })
    await bench.succeed(await bench.claimOne())
    expect(await bench.store.submit([bench.job({ key: 'k' })])).toEqual([{ outcome: 'replayed', jobId: id }])
  })

  test('the jobs of one call are stored together', async (bench) => {
    const jobs = Array.from({ length: 50 }, (_, i) => bench.job({ input: i, groupId: 'g' }))
    const answers = await bench.store.submit(jobs)
    expect(answers).toEqual(jobs.map(({ record }) => ({ outcome: 'created', jobId: record.id })))
    expect((await bench.store.group('default', 'g'))!.counts.accepted).toBe(50)
  })

  test('one refused job of a call keeps all of it out', async (bench) => {
    await bench.store.submit([bench.job({ key: 'k', fingerprint: 'one' })])
    const jobs = [bench.job({ key: 'new' }), bench.job({ key: 'k', fingerprint: 'two' }), bench.job()]
    const answers = await bench.store.submit(jobs)
    expect(answers[0]!.outcome).toBe('key-reused')
    for (const { record } of jobs) expect(await bench.store.find(record.id)).toBeNull()
    // Its keys stay free as well.
    expect(await bench.store.submit([bench.job({ key: 'new' })])).toMatchObject([{ outcome: 'created' }])
  })

  test('a call with some keys used before replays those and stores the others', async (bench) => {
    const old = bench.job({ key: 'b' })
    await bench.store.submit([old])
    const jobs = [bench.job({ key: 'a' }), bench.job({ key: 'b' }), bench.job(), bench.job({ key: 'a' })]
    const answers = await bench.store.submit(jobs)
    expect(answers).toEqual([
      { outcome: 'created', jobId: jobs[0]!.record.id },
      { outcome: 'replayed', jobId: old.record.id },
      { outcome: 'created', jobId: jobs[2]!.record.id },
      { outcome: 'replayed', jobId: jobs[0]!.record.id },
    ])
    expect(await bench.store.find(jobs[1]!.record.id)).toBeNull()
    expect(await bench.store.find(jobs[3]!.record.id)).toBeNull()
    // Once more, as a client does that lost the answer: nothing new.
    const again = await bench.store.submit([bench.job({ key: 'a' }), bench.job({ key: 'b' })])
    expect(again.map(({ outcome }) => outcome)).toEqual(['replayed', 'replayed'])
  })

  test('a key for the whole call replays the whole call', async (bench) => {
    const call = () => [bench.job({ key: 'k', wholeBatch: true }), bench.job(), bench.job({ key: 'own' })]
    const first = call()
    await bench.store.submit(first)
    const [answer] = await bench.store.submit(call())
    expect(answer).toEqual({ outcome: 'replayed', jobId: first[0]!.record.id })
    expect(await bench.store.list({ tenant: 'default', order: 'createdAt', limit: 10 })).toHaveLength(3)
    const other = call()
    other[0]!.idempotency!.fingerprint = 'else'
    expect((await bench.store.submit(other))[0]!.outcome).toBe('key-reused')
  })

  test('large inputs come back whole', async (bench) => {
    for (const size of [65_534, 65_535, 65_537, 30_000, 5_000_000]) {
      const input = size === 30_000 ? '€'.repeat(size) : 'x'.repeat(size - 2)
      const id = await bench.submitOne({ input })
      expect((await bench.stored(id)).record.input).toBe(JSON.stringify(input))
      expect((await bench.claimOne()).record.input).toBe(JSON.stringify(input))
    }
  })

  test('any text survives: quotes, emoji, right-to-left, half a surrogate pair', async (bench) => {
    const text = 'a\u0001b\'"\\;--\u202e😀\u{10ffff}é'
    const createdBy = { kind: 'user' as const, id: 'oidc:team/7%', name: `A:${text}` }
    const id = await bench.submitOne({
      groupId: text,
      operationKey: text,
      tags: [text],
      input: { text, half: '\ud800' },
      createdBy,
    })
    const { record } = await bench.stored(id)
    expect(record).toMatchObject({ groupId: text, operationKey: text, createdBy, options: { tags: [text] } })
    expect(JSON.parse(record.input)).toEqual({ text, half: '\ud800' })
    expect(
      await bench.store.list({ tenant: 'default', tag: text, groupId: text, order: 'createdAt', limit: 5 }),
    ).toHaveLength(1)
    const own = { tenant: 'default', createdBy: 'user:oidc:team/7%', order: 'createdAt' as const, limit: 5 }
    expect(await bench.store.list(own)).toHaveLength(1)
  })

  test('survives a restart, keys included', async (bench) => {
    const id = await bench.submitOne({ key: 'k', input: { a: 1 } })
    const before = await bench.stored(id)
    await bench.reopen()
    expect(await bench.stored(id)).toEqual(before)
    expect(await bench.store.submit([bench.job({ key: 'k' })])).toEqual([{ outcome: 'replayed', jobId: id }])
  })

  test('a tombstone keeps the key', async (bench) => {
    const id = await bench.submitOne({ key: 'k' })
    await bench.succeed(await bench.claimOne(), {}, { expiresAt: (at) => at + 1000 })
    await bench.clock.advance(1000)
    expect(await bench.store.expire(10)).toBe(1)
    expect(isTombstone((await bench.store.find(id))!)).toBe(true)
    expect(await bench.store.submit([bench.job({ key: 'k' })])).toEqual([{ outcome: 'replayed', jobId: id }])
  })
}
