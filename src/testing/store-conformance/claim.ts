/** Claim: what comes first, to whom, and never twice. */
import { expect } from 'vitest'
import { type JobRecord, LEVELS, type LiveJob, laneOf } from '../../core/job.js'
import type { Claimed } from '../../stores/store.js'
import { CALLER, errored, LANE, retry } from './bench.js'
import type { Suite } from './index.js'

export function claimTests({ test }: Suite): void {
  test('a claimed job is leased: running, a new epoch, its first attempt', async (bench) => {
    const id = await bench.submitOne({ input: { a: 1 } })
    const now = bench.clock.now()
    const [claimed, ...others] = await bench.claim()
    expect(others).toEqual([])
    expect(claimed!.live).toMatchObject({ id, state: 'running', worker: 'w-1', epoch: 1, attempt: 1, version: 2 })
    expect(claimed!.live).toMatchObject({ startedAt: now, attemptAt: now, changedAt: now })
    expect(claimed!.record).toEqual((await bench.stored(id)).record)
    expect((await bench.stored(id)).live).toEqual(claimed!.live)
    const { entries } = await bench.store.history(id, 1, 5)
    expect(entries).toMatchObject([
      { seq: 2, event: 'claimed', state: 'running', actor: { kind: 'worker', id: 'w-1' } },
    ])
  })

  test('a claimed job is what is stored, whatever it has', async (bench) => {
    const now = bench.clock.now()
    const origin = await bench.submitOne({ type: 'other' })
    const ofRecord: Partial<JobRecord>[] = [
      ...[{ groupId: 'g"1' }, { operationKey: 'o' }, { parentId: origin }, { replayOf: origin }, { typeVersion: '2' }],
      ...[
        { options: { tags: ['a', 'b'] } },
        { runAt: now - 2 },
        { createdAt: now - 9 },
        { deadlineAt: now + 99 },
        { priority: 7 },
      ],
      { createdBy: { kind: 'user', id: 'oidc:4%2', name: 'Ada: L' } },
    ]
    const ofLive: Partial<LiveJob>[] = [
      ...[
        { lateAt: now + 1 },
        { escalateAt: now + 2 },

        { deadlineAt: now + 4 },
        { cancelAt: now },
      ],
      ...[{ errors: 3 }, { losses: 2 }, { startedAt: now - 5 }, { attemptAt: now - 4 }, { attempt: 6 }, { undo: 1 }],
      ...[
        { epoch: 8, version: 9, revision: 11 },
        { budgetFrom: now - 7 },
        { why: { resume: 'queued' } as unknown as LiveJob['why'] },
      ],
    ]
    const sets = [...ofRecord.map((record) => ({ record, live: {} })), ...ofLive.map((live) => ({ record: {}, live }))]
    const all = { record: Object.assign({}, ...ofRecord), live: Object.assign({}, ...ofLive) }
    for (const { record, live } of [...sets, all]) {
      const job = bench.job()
      Object.assign(job.record, record)
      Object.assign(job.live, live)
      await bench.store.submit([job])
      const [claimed] = (await bench.claim()) as [Claimed]
      const stored = await bench.stored(job.record.id)
      expect({ record: claimed.record, live: claimed.live }).toEqual({ record: stored.record, live: stored.live })
      expect(claimed.record).toEqual(job.record)
    }
  })

  test('order: level, then runAt, then id', async (bench) => {
    const now = bench.clock.now()
    const wanted = [
      { priority: -1 },
      { priority: 0 },
      { priority: 100, runAt: now - 10 },
      { priority: 20 },
      { priority: 0 },
      { priority: 50 },
      { priority: 49 },
      { priority: -100 },
    ]
    const ids = await bench.submit(...wanted)
    const got = (await bench.claim()).map(({ live }) => ids.indexOf(live.id))
    expect(got).toEqual([2, 5, 3, 6, 1, 4, 0, 7])
  })

  test('earlier runAt goes first inside a level', async (bench) => {
    const now = bench.clock.now()
    const ids = await bench.submit({ runAt: now + 300 }, { runAt: now + 100 }, {}, { runAt: now + 200 })
    await bench.clock.advance(1000)
    expect((await bench.claim()).map(({ live }) => ids.indexOf(live.id))).toEqual([2, 1, 3, 0])
  })

  test('what comes to stand before all that was claimed is claimed next', async (bench) => {
    const limits = { concurrency: { key: 'k', limit: 1 } }
    const [running, held] = await bench.submit({ limits }, { limits }, {})
    expect(await bench.claim()).toHaveLength(2)
    await bench.clock.advance(1000)
    await bench.submit({}, {})
    expect(await bench.claim(1)).toHaveLength(1)
    expect(await bench.claim()).toHaveLength(1)
    // The instant from which it was ready stays, however long its limit has kept it.
    await bench.apply(running!, { type: 'succeeded', actor: CALLER, warnings: 0 })
    await bench.submitOne({})
    expect((await bench.claim(1)).map(({ live }) => live.id)).toEqual([held])
  })

  test('levels are served in the order that is asked for', async (bench) => {
    const ids = await bench.submit({ priority: 100 }, { priority: 10 }, { priority: 0 }, { priority: -5 })
    const got = await bench.claim(3, { levels: [3, 2, 1, 0] })
    expect(got.map(({ live }) => ids.indexOf(live.id))).toEqual([3, 2, 1])
  })

  test('not before runAt, and at it', async (bench) => {
    await bench.submitOne({ runAt: bench.clock.now() + 1000 })
    await bench.clock.advance(999)
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(1)
    expect(await bench.claim()).toHaveLength(1)
  })

  test('not past its deadline, and what waits behind it is not held up', async (bench) => {
    const [, second] = await bench.submit({ deadlineAt: bench.clock.now() + 1000 }, {})
    await bench.clock.advance(1000)
    expect((await bench.claim(1)).map(({ live }) => live.id)).toEqual([second])
    expect(await bench.claim()).toEqual([])
  })

  test('limits: per lane, in all, and the one read when the claim is carried out', async (bench) => {
    await bench.submit(
      ...Array.from({ length: 6 }, () => ({ type: 'a' })),
      ...Array.from({ length: 6 }, () => ({ type: 'b' })),
    )
    const lanes = ['a', 'b', 'c'].map((type) => ({ lane: laneOf('default', type, 'default'), limit: 2 }))
    const typesOf = (claimed: { record: { type: string } }[]) => claimed.map(({ record }) => record.type).join('')
    const claim = (limit: () => number) => bench.store.claim({ worker: 'w-1', lanes, limit, levels: LEVELS })
    expect(typesOf(await claim(() => 100))).toBe('aabb')
    expect(typesOf(await claim(() => 3))).toBe('aab')
    expect(typesOf(await claim(() => 0))).toBe('')
    expect(typesOf(await claim(() => -1))).toBe('')
    let free = 100
    const late = claim(() => free)
    free = 1
    expect(typesOf(await late)).toBe('a')
  })

  test('a lane is queue, type and tenant: nothing of another one comes', async (bench) => {
    await bench.submit({ type: 'other' }, { queue: 'slow' }, { tenant: 'b' })
    expect(await bench.claim()).toEqual([])
    expect(await bench.claim(10, { lane: laneOf('slow', 't', 'default') })).toHaveLength(1)
    expect(await bench.claim(10, { lane: laneOf('default', 't', 'b') })).toHaveLength(1)
  })

  test('no job is given twice, however many ask at once', async (bench) => {
    const ids = await bench.submit(...Array.from({ length: 100 }, () => ({})))
    const waves = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        bench.claim(7, { worker: `w-${i}`, levels: i % 3 === 0 ? [3, 2, 1, 0] : LEVELS }),
      ),
    )
    const got = waves.flat().map(({ live }) => live.id)
    expect(got).toHaveLength(100)
    expect(new Set(got)).toEqual(new Set(ids))
    for (const claimed of waves.flat())
      expect((await bench.stored(claimed.live.id)).live!.worker).toBe(claimed.live.worker)
  })

  test('a job submitted and claimed in one transaction is claimed', async (bench) => {
    const submitting = bench.store.submit([bench.job()])
    expect(await bench.claim()).toHaveLength(1)
    await submitting
  })

  test('running, waiting, finished and cancelled jobs are not claimed', async (bench) => {
    await bench.submit({}, {}, {})
    const [a, b, c] = await bench.claim()
    await bench.succeed(a!)
    await bench.settle(b!, errored('review'))
    expect(await bench.claim()).toEqual([])
    expect((await bench.stored(c!.live.id)).live!.state).toBe('running')
  })

  test('a retried job is claimed again under the next epoch, its error kept', async (bench) => {
    const first = await bench.started()
    await bench.settle(first, errored('transient', { retryAfterMs: 500 }))
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(500)
    const [second] = await bench.claim(1, { worker: 'w-2' })
    expect(second!.live).toMatchObject({
      epoch: 2,
      attempt: 2,
      worker: 'w-2',
      errors: 1,
      startedAt: first.live.startedAt,
    })
    expect(second!.live.why).toEqual(first.live.why ?? { error: (errored() as { error: object }).error })
  })

  test('lanes() names the lanes with queued jobs and the earliest instant of each', async (bench) => {
    const now = bench.clock.now()
    expect(await bench.store.lanes()).toEqual([])
    await bench.submit({ runAt: now + 500, priority: 100 }, { runAt: now + 200, priority: -100 }, { type: 'b' })
    await bench.submit({ type: 'gone' }, { tenant: 'x/y' })
    await bench.claim(1, { lane: laneOf('default', 'gone', 'default') })
    expect(await bench.store.lanes()).toEqual([
      { lane: laneOf('default', 'b', 'default'), runAt: now },
      { lane: LANE, runAt: now + 200 },
      { lane: laneOf('default', 't', 'x/y'), runAt: now },
    ])
  })

  test('due() is the earliest runAt of one lane, ready or not', async (bench) => {
    const now = bench.clock.now()
    expect(await bench.store.due(LANE)).toBeNull()
    await bench.submit({ runAt: now + 500, priority: 100 }, { runAt: now + 200, priority: -100 }, { type: 'b' })
    expect(await bench.store.due(LANE)).toBe(now + 200)
    await bench.clock.advance(300)
    await bench.claim()
    expect(await bench.store.due(LANE)).toBe(now + 500)
    await bench.clock.advance(300)
    await bench.claim()
    expect(await bench.store.due(LANE)).toBeNull()
  })

  test('retry during the wait makes it ready now', async (bench) => {
    const claimed = await bench.started()
    await bench.settle(claimed, errored('transient', { retryAfterMs: 60_000 }))
    await bench.apply(claimed.live.id, retry)
    expect(await bench.claim()).toHaveLength(1)
  })
}
