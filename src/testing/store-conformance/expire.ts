/** Expire: what has had its time goes and leaves a tombstone; what somebody still needs stays. */
import { expect } from 'vitest'
import { TIES } from '../../core/job.js'
import type { Bench } from './bench.js'
import { DAY, errored } from './bench.js'
import type { Suite } from './index.js'

/** A completed job that may go after `ms`. */
async function finished(bench: Bench, wanted: Parameters<Bench['job']>[0] = {}, ms = 1000): Promise<string> {
  const claimed = await bench.started(wanted)
  await bench.succeed(claimed, { ok: 1 }, { expiresAt: (at) => at + ms })
  return claimed.live.id
}

export function expireTests({ test }: Suite): void {
  test('not before its time, and at it', async (bench) => {
    const id = await finished(bench)
    await bench.clock.advance(999)
    expect(await bench.store.expire(10)).toBe(0)
    await bench.clock.advance(1)
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(id)).toMatchObject({ jobId: id, status: 'completed', expiredAt: bench.clock.now() })
  })

  test('the tombstone says what it was, and nothing else is left', async (bench) => {
    const claimed = await bench.started({ type: 'ocr', input: 'x'.repeat(100_000), tags: ['eu'], groupId: 'g' })
    const { id } = claimed.live
    await bench.store.record({
      ...{ jobId: id, epoch: 1, logs: [{ at: 1, attempt: 1, level: 'info', message: 'l', data: null }] },
      steps: [
        {
          key: 's',
          kind: 'step',
          attempt: 1,
          startedAt: 1,
          endedAt: 2,
          result: JSON.stringify('y'.repeat(100_000)),
          info: null,
        },
      ],
      progress: { stage: 'a', message: null, completed: null, total: null, unit: null, iterations: null, updatedAt: 1 },
      warnings: [{ code: 'w', message: 'm', step: null, at: 1 }],
    })
    await bench.settle(claimed, errored('permanent'), { expiresAt: (at) => at + 5 })
    const finishedAt = bench.clock.now()
    await bench.clock.advance(5)
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(id)).toEqual({
      jobId: id,
      tenant: 'default',
      type: 'ocr',
      status: 'failed',
      finishedAt,
      expiredAt: finishedAt + 5,
    })
    expect(await bench.store.steps(id)).toEqual([])
    expect(await bench.store.attempts(id)).toEqual([])
    expect((await bench.store.history(id, 0, 10)).entries).toEqual([])
    expect(await bench.store.logs(id, 0, 10)).toEqual([])
    expect(await bench.store.group('default', 'g')).toBeNull()
    expect(await bench.store.list({ tenant: 'default', tag: 'eu', order: 'createdAt', limit: 5 })).toEqual([])
    expect(await bench.store.check()).toMatchObject({ finished: 0, unfinished: 0 })
  })

  test('asked for those that had finished by an instant: they go before their time, others stay', async (bench) => {
    const early = await finished(bench, {}, 10 * DAY)
    const at = bench.clock.now()
    await bench.clock.advance(1)
    const later = await finished(bench, { type: 'later' }, 10 * DAY)
    const open = await bench.submitOne({ type: 'open' })
    expect(await bench.store.expire(10, at - 1)).toBe(0)
    expect(await bench.store.expire(10, at)).toBe(1)
    expect(await bench.store.find(early)).toMatchObject({ jobId: early, expiredAt: bench.clock.now() })
    expect(await bench.store.ended(later)).toBe('completed')
    expect(await bench.store.expire(10, bench.clock.now())).toBe(1)
    expect(await bench.store.ended(open)).toBeNull()
  })

  test('unfinished jobs never go, however old', async (bench) => {
    const queued = await bench.submitOne()
    const running = (await bench.started({ type: 'a' })).live.id
    const blocked = await bench.started({ type: 'b' })
    await bench.settle(blocked, errored('review'))
    await bench.clock.advance(10_000 * DAY)
    expect(await bench.store.expire(10)).toBe(0)
    for (const id of [queued, running, blocked.live.id]) expect((await bench.stored(id)).live).not.toBeNull()
  })

  test('what a kept replay came from stays with it', async (bench) => {
    const first = await finished(bench)
    const second = await finished(bench, { replayOf: first }, 5000)
    const third = await finished(bench, { replayOf: second }, 2000)
    await bench.clock.advance(1500)
    expect(await bench.store.expire(10)).toBe(0)
    await bench.clock.advance(1000)
    // The last replay goes; its ancestors only when nothing refers to them any more.
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(third)).toHaveProperty('expiredAt')
    await bench.clock.advance(5000)
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(second)).toHaveProperty('expiredAt')
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(first)).toHaveProperty('expiredAt')
  })

  test('what was undone stays with the job that undid it, and goes after it', async (bench) => {
    const first = await finished(bench)
    const undoing = bench.job()
    undoing.record.options = { compensates: first }
    undoing.live.ties |= TIES.origin
    await bench.store.submit([{ ...undoing, compensates: first }])
    await bench.succeed(await bench.claimOne(), {}, { expiresAt: (at) => at + 2000 })
    await bench.clock.advance(1500)
    expect(await bench.store.expire(10)).toBe(0)
    expect((await bench.stored(first)).compensatedBy).toBe(undoing.record.id)
    await bench.clock.advance(500)
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(undoing.record.id)).toHaveProperty('expiredAt')
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(first)).toHaveProperty('expiredAt')
  })

  test('a child stays while its parent works', async (bench) => {
    const parent = await bench.started({ type: 'parent' })
    const child = await finished(bench, { parentId: parent.live.id })
    await bench.clock.advance(5000)
    expect(await bench.store.expire(10)).toBe(0)
    await bench.succeed(parent, {}, { expiresAt: (at) => at + DAY })
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(child)).toHaveProperty('expiredAt')
  })

  test('goes in chunks, the oldest first, and its answer says when there is more', async (bench) => {
    const ids: string[] = []
    for (let i = 0; i < 7; i++) ids.push(await finished(bench, {}, 1000 + i))
    await bench.clock.advance(2000)
    expect(await bench.store.expire(3)).toBe(3)
    const left = await bench.store.list({ tenant: 'default', order: 'createdAt', limit: 10 })
    expect(left.map(({ record }) => record.id)).toEqual(ids.slice(3))
    expect(await bench.store.expire(3)).toBeGreaterThanOrEqual(3)
    expect(await bench.store.expire(3)).toBe(1)
    expect(await bench.store.expire(3)).toBe(0)
  })

  test('a tombstone goes after a year, and its key with it', async (bench) => {
    const id = await finished(bench, { key: 'k' })
    await bench.clock.advance(1000)
    await bench.store.expire(10)
    await bench.clock.advance(365 * DAY - 1)
    expect(await bench.store.expire(10)).toBe(0)
    expect(await bench.store.submit([bench.job({ key: 'k' })])).toEqual([{ outcome: 'replayed', jobId: id }])
    await bench.clock.advance(1)
    expect(await bench.store.expire(10)).toBe(1)
    expect(await bench.store.find(id)).toBeNull()
    expect(await bench.store.submit([bench.job({ key: 'k' })])).toMatchObject([{ outcome: 'created' }])
  })

  test('an expired job is gone for a late worker', async (bench) => {
    const claimed = await bench.started()
    await bench.succeed(claimed, {}, { expiresAt: (at) => at })
    await bench.store.expire(10)
    expect(await bench.succeed(claimed)).toEqual({ outcome: 'not-found' })
    expect(await bench.store.record({ jobId: claimed.live.id, epoch: 1, logs: [] })).toBe(false)
  })
}
