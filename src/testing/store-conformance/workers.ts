/** Workers and what watches over jobs: leases, orphans, deadlines, lateness, child processes. */
import { expect } from 'vitest'
import { cancel, errored } from './bench.js'
import type { Suite } from './index.js'

export function workerTests({ test }: Suite): void {
  test('a beat makes and extends the lease', async (bench) => {
    expect(await bench.beat('w-1', 1000)).toBe('up')
    const [row] = await bench.store.workers.list()
    expect(row).toEqual({
      id: 'w-1',
      boot: 'b',
      host: 'h',
      pid: 1,
      startedAt: bench.clock.now(),
      leaseUntil: bench.clock.now() + 1000,
      state: 'up',
      serves: null,
    })
    await bench.clock.advance(900)
    await bench.beat('w-1', 1000)
    expect((await bench.store.workers.list()).map(({ leaseUntil }) => leaseUntil)).toEqual([bench.clock.now() + 1000])
  })

  test('first: true once for a name, and again after a day', async (bench) => {
    const { workers } = bench.store
    expect([await workers.first('a'), await workers.first('a'), await workers.first('b')]).toEqual([true, false, true])
    await bench.clock.advance(86_400_000)
    expect(await workers.first('a')).toBe(false)
    await bench.clock.advance(1)
    expect([await workers.first('a'), await workers.first('a')]).toEqual([true, false])
  })

  test('a worker that was declared gone cannot come back', async (bench) => {
    await bench.beat('w-1')
    await bench.store.workers.beat({ ...(await bench.store.workers.list())[0]!, state: 'gone' })
    expect(await bench.beat('w-1')).toBe('gone')
    expect((await bench.store.workers.list())[0]!.state).toBe('gone')
  })

  test('a worker is asked to drain once, with its reason in the audit chain, and hears of it at its next beat', async (bench) => {
    const actor = { kind: 'user' as const, id: 'u-1' }
    const about = { tenant: 'default', actor, action: 'worker.drain', reason: 'new version', details: null }
    const drain = (id: string) => bench.store.workers.drain(id, { ...about, target: `worker/${id}` })
    expect(await drain('w-1')).toBeNull()
    await bench.beat('w-1')
    await bench.beat('w-2')
    expect(await drain('w-1')).toMatchObject({ id: 'w-1', state: 'draining', leaseUntil: bench.clock.now() + 30_000 })
    expect(await drain('w-1')).toMatchObject({ state: 'draining' })
    expect(await bench.beat('w-1')).toBe('draining')
    expect(await bench.beat('w-1')).toBe('draining')
    const [row] = (await bench.store.workers.list()).filter(({ id }) => id === 'w-1')
    expect(await bench.store.workers.beat({ ...row!, state: 'gone' })).toBe('gone')
    expect(await drain('w-1')).toMatchObject({ state: 'gone' })
    const entries = await bench.store.audit('default', 0, 10)
    expect(entries.map(({ action, target, reason }) => [action, target, reason])).toEqual([
      ['worker.drain', 'worker/w-1', 'new version'],
    ])
  })

  test('a worker that was asked to drain and lost its lease is asked under its new id as well; others are not', async (bench) => {
    const row = {
      host: 'h',
      pid: 1,
      startedAt: 1,
      leaseUntil: bench.clock.now() + 1000,
      state: 'up',
      serves: null,
    } as const
    const beat = (id: string, boot: string) => bench.store.workers.beat({ ...row, id, boot })
    expect(await beat('a-1', 'a')).toBe('up')
    const audit = { tenant: 'default', actor: { kind: 'user' as const, id: 'u' }, action: 'worker.drain', target: 't' }
    await bench.store.workers.drain('a-1', { ...audit, reason: null, details: null })
    expect(await beat('b-1', 'b')).toBe('up')
    expect(await beat('a-2', 'a')).toBe('draining')
    expect(await beat('a-2', 'a')).toBe('draining')
  })

  test('what each worker runs, by lane, and since when the oldest of it', async (bench) => {
    expect(await bench.store.workers.load()).toEqual([])
    const first = await bench.started({ type: 'a' }, 'w-1')
    const at = bench.clock.now()
    await bench.clock.advance(500)
    await bench.started({ type: 'a' }, 'w-1')
    await bench.started({ type: 'b' }, 'w-1')
    await bench.started({ type: 'b' }, 'w-2')
    await bench.submitOne()
    const load = (await bench.store.workers.load()).map(({ worker, lane, running, oldestAt }) => [
      ...[worker, lane.split('/')[1], running, oldestAt - at],
    ])
    expect(load.sort()).toEqual([
      ['w-1', 'a', 2, 0],
      ['w-1', 'b', 1, 500],
      ['w-2', 'b', 1, 500],
    ])
    await bench.succeed(first)
    expect((await bench.store.workers.load()).find(({ lane }) => lane.includes('/a/'))).toMatchObject({ running: 1 })
  })

  test('workers that nobody has heard of for a day are forgotten; who is there stays', async (bench) => {
    await bench.beat('w-1', 1000)
    await bench.clock.advance(86_400_000)
    await bench.beat('w-2', 1000)
    await bench.store.expire(10)
    expect((await bench.store.workers.list()).map(({ id }) => id)).toEqual(['w-1', 'w-2'])
    await bench.clock.advance(1000)
    await bench.store.expire(10)
    expect((await bench.store.workers.list()).map(({ id }) => id)).toEqual(['w-2'])
  })

  test('orphans: jobs whose worker is unknown, gone, or past its lease; at the very instant', async (bench) => {
    await bench.beat('w-1', 1000)
    await bench.beat('w-2', 5000)
    const a = await bench.started({}, 'w-1')
    await bench.started({}, 'w-2')
    const c = await bench.started({}, 'never-seen')
    const orphans = async () => (await bench.store.orphans(10)).map(({ id }) => id).sort()
    expect(await orphans()).toEqual([c.live.id])
    await bench.clock.advance(999)
    expect(await orphans()).toEqual([c.live.id])
    await bench.clock.advance(1)
    expect(await orphans()).toEqual([a.live.id, c.live.id].sort())
    expect(await bench.store.orphans(1)).toHaveLength(1)
    expect((await bench.store.orphans(10, 'w-2')).map(({ worker }) => worker)).toEqual(['w-2'])
  })

  test('orphans: only jobs under way, cancelling ones included', async (bench) => {
    const cancelling = await bench.started()
    await bench.apply(cancelling.live.id, cancel())
    const blocked = await bench.started()
    await bench.settle(blocked, errored('review'))
    const done = await bench.started()
    await bench.succeed(done)
    await bench.submitOne()
    const [orphan, ...others] = await bench.store.orphans(10)
    expect(others).toEqual([])
    expect(orphan).toEqual((await bench.stored(cancelling.live.id)).live)
  })

  test('after a restart of the one owner every former lease is void at once', async (bench) => {
    await bench.beat('w-1', 1_000_000)
    const { live } = await bench.started()
    expect(await bench.store.orphans(10)).toEqual([])
    await bench.reopen()
    expect((await bench.store.orphans(10)).map(({ id }) => id)).toEqual([live.id])
    expect(await bench.beat('w-1')).toBe('gone')
  })

  test('overdue: unfinished, not running, deadline reached', async (bench) => {
    const at = bench.clock.now() + 1000
    const queued = await bench.submitOne({ deadlineAt: at, type: 'a' })
    const running = await bench.started({ deadlineAt: at })
    const blocked = await bench.started({ deadlineAt: at - 1 })
    await bench.settle(blocked, errored('review'))
    const done = await bench.started({ deadlineAt: at })
    await bench.succeed(done)
    await bench.submitOne({ deadlineAt: at + 1, type: 'a' })
    const overdue = async (limit = 10) => (await bench.store.overdue(limit)).map(({ id }) => id)
    await bench.clock.advance(998)
    expect(await overdue()).toEqual([])
    await bench.clock.advance(2)
    expect(await overdue()).toEqual([blocked.live.id, queued])
    expect(await overdue(1)).toEqual([blocked.live.id])
    expect((await bench.stored(running.live.id)).live!.state).toBe('running')
  })

  test('markLate: once per job, seen by readers, told to listeners', async (bench) => {
    const at = bench.clock.now() + 1000
    const [late, later] = await bench.submit({ escalateAt: at }, { escalateAt: at + 1000 })
    const running = await bench.started({ escalateAt: at, type: 'r' })
    expect(await bench.store.markLate(10)).toBe(0)
    await bench.clock.advance(1000)
    bench.told.length = 0
    expect(await bench.store.markLate(1)).toBe(1)
    expect(await bench.store.markLate(10)).toBe(1)
    expect(await bench.store.markLate(10)).toBe(0)
    const now = bench.clock.now()
    for (const id of [late!, running.live.id]) {
      const { live } = await bench.stored(id)
      expect(live).toMatchObject({ lateAt: now, escalateAt: null, changedAt: now })
      expect(bench.told.filter(({ jobId }) => jobId === id)).toMatchObject([
        { revision: live!.revision, version: live!.version },
      ])
    }
    expect((await bench.stored(late!)).live).toMatchObject({ revision: 2, version: 1 })
    expect((await bench.stored(later!)).live!.lateAt).toBeNull()
    // The attempt under way does not notice.
    expect(await bench.succeed(running)).toMatchObject({
      outcome: 'moved',
      decision: { outcome: { version: 3, revision: 4 } },
    })
  })

  test('process groups of gone workers are strays until they are removed', async (bench) => {
    const row = { jobId: 'j', pgid: 100, startTime: '7', bootId: 'boot' }
    await bench.beat('w-1', 1000)
    await bench.store.workers.addProcess({ ...row, worker: 'w-1' })
    await bench.store.workers.addProcess({ ...row, worker: 'w-1' })
    await bench.store.workers.addProcess({ ...row, pgid: 200, worker: 'gone' })
    expect(await bench.store.workers.strays()).toEqual([{ ...row, pgid: 200, worker: 'gone' }])
    await bench.clock.advance(1000)
    expect(await bench.store.workers.strays()).toHaveLength(2)
    await bench.store.workers.removeProcess('j', 100)
    await bench.store.workers.removeProcess('j', 300)
    expect(await bench.store.workers.strays()).toEqual([{ ...row, pgid: 200, worker: 'gone' }])
  })

  test('durations: completed jobs only, newest first, from when they were to start', async (bench) => {
    for (let i = 1; i <= 5; i++) {
      const claimed = await bench.started({
        type: i % 2 ? 'odd' : 'even',
        ...(i === 5 ? { runAt: bench.clock.now() - 5000 } : {}),
      })
      await bench.clock.advance(i * 100)
      await bench.succeed(claimed)
    }
    const failed = await bench.started({ type: 'odd' })
    await bench.settle(failed, errored('permanent'))
    const scheduled = await bench.submitOne({ type: 'odd', runAt: bench.clock.now() + 60_000 })
    await bench.clock.advance(60_000)
    const [claimed] = await bench.claim(1, { lane: 'default/odd/default' })
    await bench.clock.advance(700)
    expect(claimed!.live.id).toBe(scheduled)
    await bench.succeed(claimed!)
    expect(await bench.store.durations(10)).toEqual(
      new Map([
        ['odd', [700, 500, 300, 100]],
        ['even', [400, 200]],
      ]),
    )
    expect((await bench.store.durations(2)).get('odd')).toEqual([700, 500])
  })

  test('check() counts', async (bench) => {
    await bench.submit({}, {}, {})
    await bench.succeed(await bench.claimOne())
    await bench.claimOne()
    expect(await bench.store.check()).toMatchObject({ unfinished: 2, running: 1, finished: 1 })
  })
}
