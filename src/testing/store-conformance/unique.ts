/** Uniqueness: one job per name while it is not done or for a window, decided in the transaction of the submit. */
import { expect } from 'vitest'
import type { NewJob, Submitted } from '../../stores/store.js'
import { type Bench, CALLER, cancel, errored, SYSTEM, type Wanted } from './bench.js'
import type { Suite } from './index.js'

const active: Wanted = { unique: { key: 'op' } }
const reject: Wanted = { unique: { key: 'op', onDuplicate: 'reject' } }
const replace: Wanted = { unique: { key: 'op', onDuplicate: 'replace' } }
const submit = async (bench: Bench, wanted: Wanted): Promise<[NewJob, Submitted]> => {
  const job = bench.job(wanted)
  return [job, (await bench.store.submit([job]))[0]!]
}
const unfinished = async (bench: Bench) =>
  (
    await bench.store.list({
      tenant: 'default',
      statuses: ['accepted', 'processing', 'blocked'],
      order: 'createdAt',
      limit: 500,
    })
  ).length

export function uniqueTests({ test }: Suite): void {
  test('while a job is not done, a second one of its name is a duplicate; then the name is free', async (bench) => {
    const [first] = await submit(bench, active)
    const { id } = first.record
    expect((await submit(bench, active))[1]).toEqual({ outcome: 'duplicate', jobId: id })
    const [claimed] = await bench.claim()
    expect((await submit(bench, active))[1]).toEqual({ outcome: 'duplicate', jobId: id })
    await bench.settle(claimed!, errored('transient', { retryAfterMs: 50 }))
    expect((await submit(bench, active))[1]).toEqual({ outcome: 'duplicate', jobId: id })
    await bench.clock.advance(50)
    await bench.succeed((await bench.claim())[0]!)
    expect((await submit(bench, active))[1]).toMatchObject({ outcome: 'created' })
    expect((await bench.stored(id)).outcome!.status).toBe('completed')
  })

  test('names of other types and tenants are others', async (bench) => {
    await submit(bench, active)
    expect((await submit(bench, { ...active, type: 'x' }))[1].outcome).toBe('created')
    expect((await submit(bench, { ...active, tenant: 'z' }))[1].outcome).toBe('created')
    expect((await submit(bench, { unique: { key: 'other' } }))[1].outcome).toBe('created')
  })

  test('200 at once make one job', async (bench) => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => submit(bench, active)))
    const created = answers.filter(([, answer]) => answer.outcome === 'created')
    expect(created).toHaveLength(1)
    const jobId = created[0]![0].record.id
    for (const [, answer] of answers) expect(answer).toMatchObject({ jobId })
    expect(await unfinished(bench)).toBe(1)
  })

  test('a window counts from the submit and goes on after the end', async (bench) => {
    const window: Wanted = { unique: { key: 'op', for: 1000 } }
    const [first] = await submit(bench, window)
    await bench.succeed((await bench.claim())[0]!)
    await bench.clock.advance(999)
    expect((await submit(bench, window))[1]).toEqual({ outcome: 'duplicate', jobId: first.record.id })
    await bench.clock.advance(1)
    const [second, answer] = await submit(bench, window)
    expect(answer.outcome).toBe('created')
    expect((await submit(bench, window))[1]).toEqual({ outcome: 'duplicate', jobId: second.record.id })
  })

  test('a window that is over is swept', async (bench) => {
    await submit(bench, { unique: { key: 'op', for: 1000 } })
    await bench.clock.advance(1000)
    await bench.store.heal('', 10)
    expect((await submit(bench, active))[1].outcome).toBe('created')
  })

  test('reject: nothing of the call is stored', async (bench) => {
    const [first] = await submit(bench, active)
    const jobs = [bench.job(), bench.job(reject)]
    expect(await bench.store.submit(jobs)).toEqual([
      { outcome: 'duplicate-refused', jobId: first.record.id, why: 'exists' },
    ])
    expect(await bench.store.find(jobs[0]!.record.id)).toBeNull()
    expect(await unfinished(bench)).toBe(1)
  })

  test('replace: the earlier one is cancelled and says by whom, the new one has the name', async (bench) => {
    const [first] = await submit(bench, replace)
    const [second, answer] = await submit(bench, replace)
    expect(answer).toEqual({ outcome: 'created', jobId: second.record.id })
    const { outcome } = await bench.stored(first.record.id)
    expect(outcome).toMatchObject({ status: 'cancelled', phase: 'byCaller', error: { code: 'cancelled-by-caller' } })
    expect(outcome!.error!.message).toContain(second.record.id)
    expect(outcome!.expiresAt).toBeLessThan(8.64e15)
    const { entries } = await bench.store.history(first.record.id, 1, 5)
    expect(entries).toMatchObject([
      { event: 'cancelRequested', actor: CALLER, details: { replacedBy: second.record.id } },
    ])
    expect((await submit(bench, active))[1]).toEqual({ outcome: 'duplicate', jobId: second.record.id })
    expect(bench.told.find(({ jobId, done }) => jobId === first.record.id && done)).toMatchObject({
      status: 'cancelled',
    })
  })

  test('replace: one that has begun stays, also while it waits; one that is done in its window as well', async (bench) => {
    const window: Wanted = { unique: { key: 'op', for: 60_000, onDuplicate: 'replace' } }
    const [first] = await submit(bench, window)
    const jobId = first.record.id
    const [claimed] = await bench.claim()
    expect((await submit(bench, window))[1]).toEqual({ outcome: 'duplicate-refused', jobId, why: 'started' })
    await bench.settle(claimed!, errored('review'))
    expect((await submit(bench, window))[1]).toEqual({ outcome: 'duplicate-refused', jobId, why: 'started' })
    await bench.apply(jobId, cancel())
    expect((await submit(bench, window))[1]).toEqual({ outcome: 'duplicate-refused', jobId, why: 'done' })
  })

  test('replace: scheduled, paused and held jobs have not begun', async (bench) => {
    const limits = { concurrency: { key: 'k', limit: 1 } }
    await submit(bench, { limits })
    const scheduled = (await submit(bench, { ...replace, runAt: bench.clock.now() + 5000 }))[0].record.id
    const held = (await submit(bench, { ...replace, limits }))[0].record.id
    await bench.claim()
    expect((await bench.stored(held)).live!.held).toBe('concurrency')
    const paused = (await submit(bench, replace))[0].record.id
    await bench.apply(paused, { type: 'pauseRequested', actor: SYSTEM })
    const last = (await submit(bench, replace))[0].record.id
    for (const id of [scheduled, held, paused]) expect((await bench.stored(id)).outcome!.status).toBe('cancelled')
    expect((await bench.stored(last)).live).not.toBeNull()
  })

  test('replace: 100 at once leave one, and the others say that they were replaced', async (bench) => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => submit(bench, replace)))
    expect(answers.every(([, answer]) => answer.outcome === 'created')).toBe(true)
    expect(await unfinished(bench)).toBe(1)
    expect((await bench.stored(answers.at(-1)![0].record.id)).live).not.toBeNull()
    expect(await bench.claim()).toHaveLength(1)
  })

  test('ownOnly: what somebody else has submitted is not replaced', async (bench) => {
    const mine: Wanted = { unique: { key: 'op', onDuplicate: 'replace', ownOnly: true } }
    const [first] = await submit(bench, { ...active, createdBy: { kind: 'apiKey', id: 'key_2' } })
    const refused = { outcome: 'duplicate-refused', jobId: first.record.id, why: 'not-yours' }
    expect((await submit(bench, mine))[1]).toEqual(refused)
    await bench.apply(first.record.id, cancel())
    await submit(bench, mine)
    expect((await submit(bench, mine))[1].outcome).toBe('created')
  })

  test('inside a batch: the second of a name is a duplicate of the first', async (bench) => {
    const [before] = await submit(bench, { unique: { key: 'before' } })
    const jobs = [bench.job(active), bench.job(), bench.job(active), bench.job({ unique: { key: 'before' } })]
    expect(await bench.store.submit(jobs)).toEqual([
      { outcome: 'created', jobId: jobs[0]!.record.id },
      { outcome: 'created', jobId: jobs[1]!.record.id },
      { outcome: 'duplicate', jobId: jobs[0]!.record.id },
      { outcome: 'duplicate', jobId: before.record.id },
    ])
  })

  test('a call that is refused gives back the names and keys it had taken', async (bench) => {
    await submit(bench, { unique: { key: 'taken' } })
    const jobs = [bench.job({ ...replace, key: 'k' }), bench.job({ unique: { key: 'taken', onDuplicate: 'reject' } })]
    const [refused, after] = await Promise.all([bench.store.submit(jobs), submit(bench, { ...active, key: 'k' })])
    expect(refused[0]!.outcome).toBe('duplicate-refused')
    expect(after[1].outcome).toBe('created')
  })

  test('a call that is refused replaces nothing', async (bench) => {
    const [first] = await submit(bench, active)
    await submit(bench, { unique: { key: 'taken' } })
    const jobs = [bench.job(replace), bench.job({ unique: { key: 'taken', onDuplicate: 'reject' } })]
    expect((await bench.store.submit(jobs))[0]!.outcome).toBe('duplicate-refused')
    expect((await bench.stored(first.record.id)).live).not.toBeNull()
    expect((await submit(bench, active))[1]).toEqual({ outcome: 'duplicate', jobId: first.record.id })
  })

  test('the key of a duplicate is the key of the job that was there, also when that is done', async (bench) => {
    const [first] = await submit(bench, active)
    expect((await submit(bench, { ...active, key: 'k' }))[1].outcome).toBe('duplicate')
    await bench.succeed((await bench.claim())[0]!)
    expect((await submit(bench, { ...active, key: 'k' }))[1]).toEqual({ outcome: 'replayed', jobId: first.record.id })
    expect((await submit(bench, { ...active, key: 'k', fingerprint: 'other' }))[1].outcome).toBe('key-reused')
  })

  test('the key of a batch knows its duplicates; a batch of which nothing was stored keeps no key', async (bench) => {
    const [before] = await submit(bench, active)
    const jobs = [bench.job({ ...active, key: 'b', wholeBatch: true }), bench.job()]
    await bench.store.submit(jobs)
    const first = (await bench.store.keyed('default', 'batch', 'b'))!.jobId
    expect(first).toBe(jobs[1]!.record.id)
    expect((await bench.stored(first)).record.options.batch).toEqual([before.record.id, first])
    await bench.store.submit([bench.job({ ...active, key: 'c', wholeBatch: true })])
    expect(await bench.store.keyed('default', 'batch', 'c')).toBeNull()
  })

  test('an override frees the name', async (bench) => {
    const [first] = await submit(bench, active)
    await bench.apply(first.record.id, { type: 'overridden', actor: SYSTEM, status: 'failed', error: null })
    expect((await submit(bench, active))[1].outcome).toBe('created')
  })

  test('two parents that ask for the same child get the same end', async (bench) => {
    const parents = [await bench.started({ type: 'p' }), await bench.started({ type: 'p' })]
    const now = bench.clock.now()
    for (const { live } of parents) {
      const child = bench.job({ ...active, parentId: live.id, childOf: 'c', key: live.id })
      const wait = {
        jobId: live.id,
        key: 'c',
        kind: 'child' as const,
        name: 't',
        dueAt: null,
        childId: null,
        createdAt: now,
      }
      await bench.store.record({ jobId: live.id, epoch: live.epoch, waits: [wait], children: [child] })
    }
    const claimed = await bench.claim()
    expect(claimed).toHaveLength(1)
    await bench.succeed(claimed[0]!, { n: 7 })
    for (const { live } of parents) {
      const [step] = await bench.store.steps(live.id)
      expect(JSON.parse(step!.result!)).toMatchObject({
        is: 'child',
        id: claimed[0]!.live.id,
        status: 'completed',
        result: { n: 7 },
      })
      expect(await bench.store.waits(live.id)).toEqual([])
    }
  })

  test('a child that is refused as a duplicate, or would be its own parent, ends the wait with the reason', async (bench) => {
    await submit(bench, active)
    const parent = await bench.started({ type: 'p', unique: { key: 'self' } })
    const { id, epoch } = parent.live
    const now = bench.clock.now()
    const waits = ['a', 'b'].map((key) => ({
      ...{ jobId: id, key, kind: 'child' as const, name: 't', dueAt: null, childId: null, createdAt: now },
    }))
    const children = [
      bench.job({ ...reject, parentId: id, childOf: 'a' }),
      bench.job({ type: 'p', unique: { key: 'self' }, parentId: id, childOf: 'b' }),
    ]
    await bench.store.record({ jobId: id, epoch, waits, children })
    const steps = await bench.store.steps(id)
    expect(steps).toHaveLength(2)
    for (const { result } of steps)
      expect(JSON.parse(result!)).toMatchObject({
        is: 'child',
        status: 'failed',
        error: { code: 'duplicate-operation' },
      })
  })

  test('names survive a restart', async (bench) => {
    const [first] = await submit(bench, active)
    await bench.reopen()
    expect((await submit(bench, active))[1]).toEqual({ outcome: 'duplicate', jobId: first.record.id })
  })
}
