/** Commits: what listeners are told, what one bad operation may spoil (nothing), and the end of a store. */
import { expect, vi } from 'vitest'
import { statusOf } from '../../core/lifecycle.js'
import { CALLER, cancel, errored, LANE, retry } from './bench.js'
import type { Suite } from './index.js'

export function commitTests({ test }: Suite): void {
  test('every change is told after its commit, in order, with what a reader then finds', async (bench) => {
    const seen: string[] = []
    const stop = bench.store.onChange((changes) => {
      for (const change of changes) seen.push(`${change.jobId} ${change.version} ${change.status}`)
    })
    const id = await bench.submitOne({ groupId: 'g', runAt: bench.clock.now() + 50 })
    expect(bench.told).toEqual([
      {
        ...{ jobId: id, tenant: 'default', type: 't', groupId: 'g', lane: LANE, status: 'accepted', done: false },
        ...{ version: 1, revision: 1, moved: true, queuedAt: bench.clock.now() + 50, cancelling: null },
        ...{ pausing: false, wakeAt: null },
      },
    ])
    await bench.clock.advance(50)
    const claimed = await bench.claimOne()
    await bench.settle(claimed, errored('review'))
    await bench.apply(id, retry)
    const again = await bench.claimOne()
    await bench.apply(id, cancel({ mode: 'force' }))
    await bench.succeed(again, { a: 1 })
    expect(seen.map((line) => line.slice(id.length + 1))).toEqual([
      '1 accepted',
      '2 processing',
      '3 blocked',
      '4 processing',
      '5 processing',
      '6 processing',
      '7 completed',
    ])
    expect(bench.told.map(({ queuedAt, cancelling }) => [queuedAt !== null, cancelling])).toEqual([
      [true, null],
      [false, null],
      [false, null],
      [true, null],
      [false, null],
      [false, 'force'],
      [false, null],
    ])
    const last = bench.told.at(-1)!
    const { outcome } = await bench.stored(id)
    expect(last).toMatchObject({
      done: true,
      version: 7,
      end: { outcome: { status: 'completed', version: 7 }, result: '{"a":1}', since: again.live.budgetFrom },
    })
    expect(last.end!.outcome.finishedAt).toBe(outcome!.finishedAt)
    stop()
    await bench.submitOne()
    expect(seen).toHaveLength(7)
  })

  test('a notice says whether the job moved, or only shows something more', async (bench) => {
    const claimed = await bench.started()
    const { id, epoch } = claimed.live
    bench.told.length = 0
    const progress = { stage: null, message: 'x', completed: 1, total: 2, unit: null, iterations: null }
    await bench.store.record({ jobId: id, epoch, progress: { ...progress, updatedAt: bench.store.now() } })
    await bench.succeed(claimed)
    const note = {
      jobId: id,
      kind: 'acceptedAsIs' as const,
      evidence: null,
      reason: 'x',
      by: CALLER,
      at: bench.store.now(),
      otherId: null,
    }
    const audit = {
      tenant: 'default',
      actor: CALLER,
      action: 'job.resolve',
      target: `job/${id}`,
      reason: null,
      details: null,
    }
    await bench.store.resolve(note, 'default', audit)
    expect(bench.told.map(({ version, moved }) => [version, moved])).toEqual([
      [2, false],
      [3, true],
      [3, false],
    ])
  })

  test('a change that is told can be read, also by the listener itself', async (bench) => {
    const wrong: string[] = []
    const reads: Promise<void>[] = []
    bench.store.onChange((changes) => {
      for (const { jobId, version, status } of changes) {
        reads.push(
          bench.stored(jobId).then(({ live, outcome }) => {
            if ((live ?? outcome)!.version < version) wrong.push(`${jobId} is older than what was told`)
            if ((live ?? outcome)!.version === version && (outcome ? outcome.status : statusOf(live!)) !== status)
              wrong.push(`${jobId} is not ${status}`)
          }),
        )
      }
    })
    await bench.submit(...Array.from({ length: 20 }, () => ({})))
    for (const claimed of await bench.claim()) await bench.succeed(claimed)
    await Promise.all(reads)
    expect(reads.length).toBeGreaterThanOrEqual(60)
    expect(wrong).toEqual([])
  })

  test('nothing is told of what was refused', async (bench) => {
    const id = await bench.submitOne({ key: 'k' })
    bench.told.length = 0
    await bench.store.submit([bench.job({ key: 'k' })])
    await bench.apply(id, retry)
    await bench.store.record({
      jobId: id,
      epoch: 9,
      progress: { stage: null, message: null, completed: 1, total: null, unit: null, iterations: null, updatedAt: 1 },
    })
    expect(bench.told).toEqual([])
  })

  test('a listener that throws spoils nothing: what was committed stays committed once', async (bench) => {
    const noise = vi.spyOn(console, 'error').mockImplementation(() => {})
    const told: string[] = []
    bench.store.onChange(() => {
      throw new Error('a bug in a listener')
    })
    bench.store.onChange((changes) => told.push(...changes.map(({ jobId }) => jobId)))
    const [a, b] = await bench.submit({}, {})
    const [claimed, other] = await Promise.all([bench.claim(1), bench.apply(b!, cancel())])
    expect(claimed).toHaveLength(1)
    expect(other).toMatchObject({ outcome: 'moved' })
    expect((await bench.stored(a!)).live).toMatchObject({ state: 'running', epoch: 1, version: 2 })
    expect(told).toEqual([a, b, b, a])
    expect(noise).toHaveBeenCalled()
    noise.mockRestore()
  })

  test('one bad operation does not take the others of its transaction with it', async (bench) => {
    const { live } = await bench.started()
    const step = { key: 's', kind: 'step' as const, attempt: 1, startedAt: 1, endedAt: 1, result: '1', info: null }
    await bench.store.record({ jobId: live.id, epoch: 1, steps: [step] })
    const taken = bench.job()
    await bench.store.submit([taken])
    const results = await Promise.allSettled([
      bench.store.submit([bench.job({ key: 'good' })]),
      bench.store.submit([taken]),
      bench.store.record({ jobId: live.id, epoch: 1, steps: [step] }),
      bench.store.record({ jobId: live.id, epoch: 1, steps: [{ ...step, key: 'other' }] }),
      bench.store.move({
        jobId: taken.record.id,
        decide: () => {
          throw new Error('bug')
        },
      }),
      bench.apply(live.id, cancel()),
      bench.beat('w-7'),
      bench.claim(1),
    ])
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
    ])
    expect((await bench.store.steps(live.id)).map(({ key }) => key).sort()).toEqual(['other', 's'])
    expect((await bench.stored(live.id)).live!.state).toBe('cancelling')
    expect((await bench.store.workers.list()).map(({ id }) => id)).toEqual(['w-7'])
    expect(await bench.store.submit([bench.job({ key: 'good' })])).toMatchObject([{ outcome: 'replayed' }])
  })

  test('what was accepted before close is carried out; afterwards everything is refused', async (bench) => {
    const { store } = bench
    const job = bench.job()
    const submitting = store.submit([job])
    const closing = Promise.all([store.close(), store.close()])
    expect(await submitting).toMatchObject([{ outcome: 'created' }])
    await closing
    const closed = { code: 'store-unavailable' }
    await expect(store.submit([bench.job()])).rejects.toMatchObject(closed)
    await expect(bench.claim()).rejects.toMatchObject(closed)
    await expect(bench.apply(job.record.id, cancel())).rejects.toMatchObject(closed)
    await expect(store.find(job.record.id)).rejects.toMatchObject(closed)
    await expect(store.lanes()).rejects.toMatchObject(closed)
    await expect(store.orphans(1)).rejects.toMatchObject(closed)
    await expect(store.expire(1)).rejects.toMatchObject(closed)
    await store.close()
  })

  test('what was accepted before close is there after a restart', async (bench) => {
    const job = bench.job()
    const submitting = bench.store.submit([job])
    await bench.reopen()
    await submitting
    expect((await bench.stored(job.record.id)).live).toEqual(job.live)
  })
}
