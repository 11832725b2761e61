/** Jobs whose steps are being undone: claimed and lost like others, ended by nobody else; and what no row may be. */
import { expect } from 'vitest'
import type { LiveJob } from '../../core/job.js'
import type { Claimed } from '../../stores/store.js'
import { type Bench, CALLER, cancel, errored, LANE, lost, released, retry, SYSTEM, step, undone } from './bench.js'
import type { Suite } from './index.js'

/** A job that failed after a step that must be undone. */
async function halfDone(bench: Bench, wanted: Parameters<Bench['job']>[0] = {}) {
  const claimed = await bench.started(wanted)
  const { id } = claimed.live
  await bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo: 'due' })] })
  await bench.settle(claimed, errored('permanent'))
  return { id, claimed }
}
const liveOf = async (bench: Bench, id: string) => (await bench.stored(id)).live!

export function compensatingTests({ test }: Suite): void {
  test('a worker undoes it: claimed with a new epoch, and it stays what it is', async (bench) => {
    const { id } = await halfDone(bench)
    expect(await liveOf(bench, id)).toMatchObject({ state: 'compensating', worker: null, epoch: 1 })
    expect(bench.told.at(-1)).toMatchObject({ jobId: id, status: 'processing', queuedAt: bench.clock.now() })
    const [claimed, ...others] = await bench.claim()
    expect(others).toEqual([])
    expect(claimed!.live).toMatchObject({ id, state: 'compensating', worker: 'w-1', epoch: 2, attempt: 2 })
    expect(await liveOf(bench, id)).toEqual(claimed!.live)
    expect(bench.told.at(-1)).toMatchObject({ jobId: id, status: 'processing', queuedAt: null })
    expect(await bench.claim()).toEqual([])
  })

  test('it takes its turn among the queued ones, by level, instant and id', async (bench) => {
    const running = []
    for (const priority of [-5, 0, 0, 0]) running.push(await bench.started({ priority }))
    const [low, first, , later] = running.map(({ live }) => live.id)
    const fail = async ({ live }: Claimed) => {
      await bench.store.record({ jobId: live.id, epoch: 1, steps: [step('pay', { undo: 'due' })] })
      await bench.apply(live.id, errored('permanent'))
    }
    await fail(running[0]!)
    await fail(running[1]!)
    await bench.clock.advance(10)
    await bench.apply(running[2]!.live.id, released)
    await bench.clock.advance(10)
    await fail(running[3]!)
    const got = await bench.claim()
    expect(got.map(({ live }) => live.id)).toEqual([first, running[2]!.live.id, later, low])
    expect(got.map(({ live }) => live.state)).toEqual(['compensating', 'running', 'compensating', 'compensating'])
  })

  test('lanes() and due() count it, and not while a worker is at it', async (bench) => {
    const { id } = await halfDone(bench)
    const now = bench.clock.now()
    expect(await bench.store.lanes()).toEqual([{ lane: LANE, runAt: now }])
    expect(await bench.store.due(LANE)).toBe(now)
    const claimed = await bench.claimOne()
    expect(await bench.store.lanes()).toEqual([])
    expect(await bench.store.due(LANE)).toBeNull()
    await bench.settle(claimed, errored('transient', { retryAfterMs: 700 }))
    expect(await bench.store.due(LANE)).toBe(now + 700)
    expect(await bench.claim()).toEqual([])
    await bench.clock.advance(700)
    expect((await bench.claimOne()).live.id).toBe(id)
  })

  test('a deadline does not stop it, and does not hold up those that it ends', async (bench) => {
    const deadlineAt = bench.clock.now() + 100
    const blocked = await halfDone(bench, { deadlineAt })
    await bench.settle(await bench.claimOne(), errored('permanent'))
    expect((await liveOf(bench, blocked.id)).waitKind).toBe('review')
    const ready = await halfDone(bench, { deadlineAt })
    const waits = await bench.waiting('go', { deadlineAt: deadlineAt + 5 })
    await bench.clock.advance(500)
    expect((await bench.store.overdue(1)).map(({ id }) => id)).toEqual([waits.live.id])
    // The claim of the one that waits took it along.
    await bench.apply(ready.id, released)
    expect((await bench.claimOne()).live.id).toBe(ready.id)
  })

  test('a lost worker is found and replaced', async (bench) => {
    const { id } = await halfDone(bench)
    await bench.beat('w-1', 1000)
    await bench.claimOne()
    expect(await bench.store.orphans(5)).toEqual([])
    await bench.clock.advance(2000)
    expect((await bench.store.orphans(5)).map((row) => row.id)).toEqual([id])
    await bench.apply(id, lost)
    expect(await liveOf(bench, id)).toMatchObject({ state: 'compensating', worker: null, losses: 1 })
    expect(await bench.store.attempts(id)).toMatchObject([{ outcome: 'error' }, { outcome: 'lost', epoch: 2 }])
  })

  test('only the attempt that holds it records', async (bench) => {
    const { id } = await halfDone(bench)
    const undo = (epoch: number) =>
      bench.store.record({ jobId: id, epoch, undone: [{ key: 'pay', undo: 'undone' as const }] })
    expect(await undo(1)).toBe(false)
    const claimed = await bench.claimOne()
    expect(await undo(1)).toBe(false)
    expect(await undo(2)).toBe(true)
    await bench.settle(claimed, released)
    expect(await undo(2)).toBe(false)
    expect((await bench.store.steps(id))[0]!.undo).toBe('undone')
  })

  test('an end that is told twice counts once', async (bench) => {
    const { id, claimed } = await halfDone(bench)
    const before = await liveOf(bench, id)
    for (const event of [errored('permanent'), released, lost, undone])
      expect(await bench.settle(claimed, event)).toMatchObject({ outcome: 'refused', reason: 'illegal-transition' })
    const second = await bench.claimOne()
    expect(await bench.settle(second, released)).toMatchObject({ outcome: 'moved' })
    expect(await bench.settle(second, errored('transient'))).toMatchObject({ outcome: 'refused' })
    expect(await liveOf(bench, id)).toMatchObject({ errors: 0, losses: 0, version: before.version + 2 })
    expect(await bench.store.attempts(id)).toHaveLength(2)
  })

  test('done, the end that was on hold is stored, without a result', async (bench) => {
    const { id } = await halfDone(bench)
    const claimed = await bench.claimOne()
    const moved = await bench.settle(claimed, undone, { result: '{"undone":["pay"]}', expiresAt: (at) => at + 5 })
    expect(moved).toMatchObject({ outcome: 'moved' })
    const { live, outcome } = await bench.stored(id)
    expect(live).toBeNull()
    expect(outcome).toMatchObject({
      ...{ status: 'failed', phase: 'permanent', result: null, resultBytes: 0, attempt: 2, epoch: 2 },
      error: { code: 'busy', details: { n: 1, compensation: { state: 'rolled-back', undone: ['pay'] } } },
    })
    expect(await bench.store.attempts(id)).toMatchObject([{ outcome: 'error' }, { outcome: 'ok', error: null }])
    const { entries } = await bench.store.history(id, 2, 9)
    expect(entries.map(({ event, state }) => `${event} ${state}`)).toEqual([
      'errored compensating',
      'claimed compensating',
      'undone failed',
    ])
  })

  test('a job may begin with undoing, and then completes with what it undid', async (bench) => {
    const job = bench.job()
    const why = { undo: { status: 'completed' as const, phase: 'clean', error: null } }
    const live: LiveJob = { ...job.live, state: 'compensating', undo: 1, why }
    await bench.store.submit([{ ...job, live, steps: [step('pay', { undo: 'due' })] }])
    expect((await liveOf(bench, job.record.id)).why).toEqual(why)
    const claimed = await bench.claimOne()
    expect(claimed.live).toMatchObject({ state: 'compensating', epoch: 1, startedAt: bench.clock.now() })
    await bench.settle(claimed, undone, { result: '{"undone":["pay"]}' })
    expect((await bench.stored(job.record.id)).outcome).toMatchObject({
      status: 'completed',
      result: '{"undone":["pay"]}',
    })
  })

  test('in lists it is being worked on, and blocked once an undo did not work', async (bench) => {
    const { id } = await halfDone(bench)
    const within = async (status: 'processing' | 'blocked' | 'failed') =>
      (await bench.store.list({ tenant: 'default', statuses: [status], order: 'createdAt', limit: 5 })).length
    expect([await within('processing'), await within('blocked'), await within('failed')]).toEqual([1, 0, 0])
    await bench.settle(await bench.claimOne(), errored('permanent'))
    expect([await within('processing'), await within('blocked'), await within('failed')]).toEqual([0, 1, 0])
    expect(await bench.apply(id, cancel())).toMatchObject({ outcome: 'refused' })
    await bench.apply(id, retry)
    expect(await liveOf(bench, id)).toMatchObject({ state: 'compensating', worker: null })
    expect((await bench.claimOne()).live.id).toBe(id)
  })

  test('an override ends it, and the worker that was at it can say nothing any more', async (bench) => {
    const { id } = await halfDone(bench)
    const claimed = await bench.claimOne()
    const by = { type: 'overridden', actor: CALLER, status: 'completed', error: null, reason: 'paid' } as const
    await bench.apply(id, by, { result: '{"by":"hand"}' })
    expect((await bench.stored(id)).outcome).toMatchObject({
      ...{ status: 'completed', phase: 'overridden', result: '{"by":"hand"}' },
    })
    expect(await bench.settle(claimed, undone)).toEqual({ outcome: 'finished', status: 'completed' })
    expect(await bench.store.attempts(id)).toMatchObject([{ outcome: 'error' }, { outcome: 'cancelled' }])
  })

  test('the store refuses rows that no state machine would leave', async (bench) => {
    const idle = { worker: null, attemptAt: null }
    const busy = { worker: 'w-1', attemptAt: 1 }
    const impossible: Partial<LiveJob>[] = [
      { state: 'waiting', waitKind: null, ...idle },
      { state: 'queued', waitKind: 'signal', ...idle },
      { state: 'running', waitKind: 'signal', ...busy },
      { state: 'compensating', waitKind: 'review', ...idle },
      { state: 'running', ...idle },
      { state: 'cancelling', ...idle },
      { state: 'queued', ...busy },
      { state: 'waiting', waitKind: 'signal', ...busy },
      { state: 'running', held: 'concurrency', ...busy },
      { state: 'waiting', waitKind: 'signal', held: 'order', ...idle },
      { state: 'elsewhere' as never, ...idle },
    ]
    const possible: Partial<LiveJob>[] = [
      { state: 'queued', held: 'rate', ...idle },
      { state: 'waiting', waitKind: 'pause', ...idle },
      { state: 'cancelling', ...busy },
      { state: 'compensating', ...busy },
      { state: 'compensating', ...idle },
    ]
    const { live } = await bench.started()
    for (const change of impossible) {
      const before = await liveOf(bench, live.id)
      const row = { waitKind: null, held: null, ...change }
      await expect(bench.force(live.id, row), JSON.stringify(change)).rejects.toThrow()
      expect(await liveOf(bench, live.id)).toEqual(before)
    }
    for (const change of possible) {
      await bench.force(live.id, { waitKind: null, held: null, ...change })
      expect(await liveOf(bench, live.id)).toMatchObject(change)
    }
  })

  test('a queued job that a limit holds is not claimed, and no lane is named for it', async (bench) => {
    const [held, free] = await bench.submit({ type: 'h' }, {})
    await bench.force(held!, { held: 'concurrency' })
    expect((await bench.store.lanes()).map(({ lane }) => lane)).toEqual([LANE])
    expect(await bench.claim(5, { lane: 'default/h/default' })).toEqual([])
    expect((await bench.claim()).map(({ live }) => live.id)).toEqual([free])
    await bench.force(held!, { held: null })
    expect((await bench.claim(5, { lane: 'default/h/default' })).map(({ live }) => live.id)).toEqual([held])
    expect(await bench.apply(held!, { type: 'deadlinePassed', actor: SYSTEM })).toMatchObject({ outcome: 'refused' })
  })
}
