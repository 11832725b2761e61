/** Waits: registered with the attempt that leaves, settled once, and what wakes the job. */
import { expect } from 'vitest'
import type { Settle, SettleAnswer } from '../../stores/store.js'
import { audit, type Bench, CALLER, cancel, errored, lost, retry, SYSTEM, step, WORKER } from './bench.js'
import type { Suite } from './index.js'

const settle = (bench: Bench, jobId: string, key: string, more: Partial<Settle> = {}): Promise<SettleAnswer> =>
  bench.store.settle({
    ...{ jobId, key, value: JSON.stringify({ is: 'value', value: 7, by: CALLER }), actor: CALLER, by: `answer ${key}` },
    ...more,
  })
const keysOf = async (bench: Bench, jobId: string) => (await bench.store.waits(jobId)).map(({ key }) => key)
const liveOf = async (bench: Bench, jobId: string) => (await bench.stored(jobId)).live!

export function waitTests({ test }: Suite): void {
  test('what a job waits for is stored with its suspension; it needs no worker until then', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    const now = bench.clock.now()
    const waits = [
      bench.wait(id, 'nap', { kind: 'timer', name: 'nap', dueAt: now + 500 }),
      bench.wait(id, 'yes', { kind: 'approval', name: 'spend' }),
    ]
    const moved = await bench.suspend(claimed, waits, { wakeAt: now + 500, waitKind: 'approval' })
    expect(moved).toMatchObject({ outcome: 'moved', decision: { attempt: { outcome: 'suspended' } } })
    expect(await bench.store.waits(id)).toEqual(waits)
    expect(await liveOf(bench, id)).toMatchObject({
      ...{ state: 'waiting', waitKind: 'approval', wakeAt: now + 500, worker: null },
      why: { wait: { id: 'nap', title: 'Waits.' } },
    })
    expect(bench.told.at(-1)).toMatchObject({ jobId: id, status: 'blocked', queuedAt: null, wakeAt: now + 500 })
    expect(await bench.claim()).toEqual([])
    expect(await bench.store.orphans(10)).toEqual([])
  })

  test('settled once: the value is the step, the job wakes at once; whoever comes later is late', async (bench) => {
    const { live } = await bench.waiting('answer')
    const waitsSince = bench.clock.now()
    await bench.clock.advance(300)
    const version = (await liveOf(bench, live.id)).version
    expect(await settle(bench, live.id, 'answer')).toBe('settled')
    expect(await settle(bench, live.id, 'answer', { value: '{"is":"timeout"}' })).toBe('late')
    expect(await bench.store.waits(live.id)).toEqual([])
    const [recorded, ...others] = await bench.store.steps(live.id)
    expect(others).toEqual([])
    expect(recorded).toMatchObject({
      ...{ key: 'answer', kind: 'signal', attempt: 1, startedAt: waitsSince, endedAt: bench.clock.now() },
      ...{ effect: null, undo: null, info: '{"name":"answer"}' },
    })
    expect(await bench.value(live.id, 'answer')).toEqual({ is: 'value', value: 7, by: CALLER })
    const now = bench.clock.now()
    expect(await liveOf(bench, live.id)).toMatchObject({
      state: 'queued',
      runAt: now,
      version: version + 1,
      wakeAt: null,
    })
    const { entries } = await bench.store.history(live.id, version, 5)
    expect(entries).toMatchObject([
      { event: 'woken', state: 'queued', actor: CALLER, details: { by: 'answer answer' } },
    ])
    expect(bench.told.at(-1)).toMatchObject({ jobId: live.id, status: 'processing', queuedAt: now })
    expect((await bench.claimOne()).live).toMatchObject({ id: live.id, epoch: 2, attempt: 2 })
  })

  test('ten who settle at once: one is heard', async (bench) => {
    const { live } = await bench.waiting('answer')
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => settle(bench, live.id, 'answer', { value: `{"is":"value","value":${i}}` })),
    )
    expect(answers.sort()).toEqual([...Array(9).fill('late'), 'settled'])
    expect(await bench.store.steps(live.id)).toHaveLength(1)
    expect((await bench.store.history(live.id, 3, 5)).entries).toHaveLength(1)
  })

  test('nobody waits under this key, or any more: late; in another tenant there is no such job', async (bench) => {
    const { live } = await bench.waiting('answer')
    expect(await settle(bench, live.id, 'other')).toBe('late')
    expect(await settle(bench, live.id, 'answer', { tenant: 'b' })).toBe('not-found')
    expect(await settle(bench, 'nope', 'answer', { tenant: 'default' })).toBe('not-found')
    expect((await liveOf(bench, live.id)).state).toBe('waiting')
    await bench.apply(live.id, cancel())
    expect(await settle(bench, live.id, 'answer', { tenant: 'default' })).toBe('late')
    expect(await bench.store.steps(live.id)).toEqual([])
  })

  test('an audited answer is an entry of the chain, at its place in the history', async (bench) => {
    const { live } = await bench.waiting('answer')
    await settle(bench, live.id, 'answer', { audit: audit({ action: 'approval.decide' }) })
    const [entry, ...others] = await bench.store.audit('default', 0, 5)
    expect(others).toEqual([])
    expect(entry).toMatchObject({ action: 'approval.decide' })
    const { entries } = await bench.store.history(live.id, 3, 5)
    expect(entries).toMatchObject([{ event: 'woken', hash: entry!.hash }])
    await settle(bench, live.id, 'answer', { audit: audit() })
    expect(await bench.store.audit('default', 0, 5)).toHaveLength(1)
  })

  test('a value of any size comes back whole', async (bench) => {
    const { live } = await bench.waiting('answer')
    const value = { is: 'value', value: 'é'.repeat(100_000) }
    await settle(bench, live.id, 'answer', { value: JSON.stringify(value) })
    expect(await bench.value(live.id, 'answer')).toEqual(value)
  })

  test('settled while the attempt still runs: recorded, and the job wakes in the commit that suspends it', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    expect(await bench.store.record({ jobId: id, epoch: 1, waits: [bench.wait(id, 'a')] })).toBe(true)
    expect(await settle(bench, id, 'a')).toBe('settled')
    expect(await liveOf(bench, id)).toMatchObject({ state: 'running', worker: 'w-1', version: 2 })
    bench.told.length = 0
    await bench.suspend(claimed, [bench.wait(id, 'b')], { blockedOn: ['a', 'b'] })
    expect(await liveOf(bench, id)).toMatchObject({ state: 'queued', version: 4, waitKind: null })
    expect(bench.told.map(({ status, queuedAt }) => [status, queuedAt !== null])).toEqual([
      ['blocked', false],
      ['processing', true],
    ])
    const { entries } = await bench.store.history(id, 2, 5)
    expect(entries).toMatchObject([
      { event: 'suspended', state: 'waiting' },
      { event: 'woken', state: 'queued', details: { by: 'a' } },
    ])
    expect(await keysOf(bench, id)).toEqual(['b'])
  })

  test('what is recorded but not needed now wakes nobody', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.store.record({ jobId: id, epoch: 1, steps: [step('a'), step('x')] })
    await bench.suspend(claimed, [bench.wait(id, 'b')], { blockedOn: ['b'] })
    expect((await liveOf(bench, id)).state).toBe('waiting')
  })

  test('several waits: any of them wakes the job, and the others stay', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.suspend(
      claimed,
      ['a', 'b', 'c'].map((key) => bench.wait(id, key)),
    )
    expect(await settle(bench, id, 'b')).toBe('settled')
    expect(await keysOf(bench, id)).toEqual(['a', 'c'])
    // While it is on its way, another one comes: recorded, and it is woken once only.
    expect(await settle(bench, id, 'c')).toBe('settled')
    expect((await liveOf(bench, id)).version).toBe(4)
    const again = await bench.claimOne()
    await bench.suspend(again, [bench.wait(id, 'a')])
    expect(await keysOf(bench, id)).toEqual(['a'])
    expect((await liveOf(bench, id)).state).toBe('waiting')
  })

  test('a wait is registered once and keeps its instant; one whose value is recorded is not registered again', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    const nap = bench.wait(id, 'nap', { kind: 'timer', dueAt: bench.clock.now() + 1000 })
    await bench.suspend(claimed, [nap, bench.wait(id, 'a')])
    await bench.clock.advance(400)
    await settle(bench, id, 'a')
    const again = await bench.claimOne()
    await bench.suspend(
      again,
      [
        bench.wait(id, 'nap', { kind: 'timer', dueAt: bench.clock.now() + 1000 }),
        bench.wait(id, 'a', { dueAt: bench.clock.now() + 5 }),
      ],
      { blockedOn: ['nap'] },
    )
    expect(await bench.store.waits(id)).toEqual([nap])
    expect(await bench.store.steps(id)).toHaveLength(1)
  })

  test('without the epoch nothing is registered', async (bench) => {
    const first = await bench.started()
    const { id } = first.live
    await bench.apply(id, lost)
    expect(await bench.store.record({ jobId: id, epoch: 1, waits: [bench.wait(id, 'a')] })).toBe(false)
    expect(await bench.suspend(first, [bench.wait(id, 'a')])).toMatchObject({ outcome: 'refused' })
    await bench.clock.advance(1000)
    await bench.claimOne('w-2')
    expect(await bench.suspend(first, [bench.wait(id, 'a')])).toMatchObject({
      outcome: 'refused',
      reason: 'stale-lease',
    })
    expect(await bench.store.waits(id)).toEqual([])
  })

  test('dueWaits: what is due, the earliest first, not before its instant, and not twice', async (bench) => {
    const now = bench.clock.now()
    const ids: string[] = []
    for (const [i, dueAt] of [300, 100, 200, null].entries()) {
      const claimed = await bench.started()
      ids.push(claimed.live.id)
      const wait = bench.wait(claimed.live.id, `w${i}`, { kind: 'timer', dueAt: dueAt && now + dueAt })
      await bench.suspend(claimed, [wait])
    }
    const due = async (limit = 10) => (await bench.store.dueWaits(limit)).map(({ key }) => key)
    await bench.clock.advance(99)
    expect(await due()).toEqual([])
    await bench.clock.advance(1)
    expect(await due()).toEqual(['w1'])
    await bench.clock.advance(1000)
    expect(await due()).toEqual(['w1', 'w2', 'w0'])
    expect(await due(2)).toEqual(['w1', 'w2'])
    expect(await bench.store.dueWaits(1)).toMatchObject([{ jobId: ids[1], kind: 'timer', dueAt: now + 100 }])
    await settle(bench, ids[1]!, 'w1', { value: '{"is":"timeout"}', actor: SYSTEM, by: 'timer' })
    expect(await due()).toEqual(['w2', 'w0'])
  })

  test('dueWakes: jobs that gather the ends of children and whose instant has come, the earliest first', async (bench) => {
    const now = bench.clock.now()
    const ids: string[] = []
    for (const wakeAt of [200, 100]) {
      const claimed = await bench.started()
      const { id } = claimed.live
      ids.push(id)
      const waits = [bench.wait(id, 'a'), bench.wait(id, 'c', { kind: 'child', name: 'c' })]
      await bench.suspend(claimed, waits, { waitKind: wakeAt === 100 ? 'signal' : 'child', wakeAt: now + wakeAt })
    }
    // Time alone ends other waits one by one (dueWaits): woken without its value, a job would only come to wait again.
    for (const kind of ['signal', 'approval', 'timer'] as const) {
      const claimed = await bench.started()
      const wait = bench.wait(claimed.live.id, 'a', { kind, dueAt: now + 50 })
      await bench.suspend(claimed, [wait], { waitKind: kind, wakeAt: now + 50 })
    }
    const due = async (limit = 10) => (await bench.store.dueWakes(limit)).map(({ id }) => id)
    expect(await due()).toEqual([])
    await bench.clock.advance(100)
    expect(await due()).toEqual([ids[1]])
    await bench.clock.advance(100)
    expect(await due()).toEqual([ids[1], ids[0]])
    expect(await due(1)).toEqual([ids[1]])
    await settle(bench, ids[1]!, 'a')
    expect(await due()).toEqual([ids[0]])
  })

  test('in a review, or while it is paused, a value is recorded and wakes nobody', async (bench) => {
    const review = await bench.started()
    await bench.store.record({ jobId: review.live.id, epoch: 1, waits: [bench.wait(review.live.id, 'a')] })
    await bench.settle(review, errored('review'))
    const paused = await bench.waiting('a')
    await settle(bench, paused.live.id, 'a')
    await bench.apply(paused.live.id, { type: 'pauseRequested', actor: CALLER })
    const second = await bench.started({ type: 'x' })
    await bench.store.record({ jobId: second.live.id, epoch: 1, waits: [bench.wait(second.live.id, 'a')] })
    await bench.apply(second.live.id, { type: 'pauseRequested', actor: CALLER })
    await bench.settle(second, { type: 'released', actor: WORKER })
    for (const { live } of [review, second]) {
      const before = await liveOf(bench, live.id)
      expect(await settle(bench, live.id, 'a')).toBe('settled')
      expect(await liveOf(bench, live.id)).toEqual(before)
      expect(await bench.value(live.id, 'a')).toMatchObject({ is: 'value', value: 7 })
    }
    await bench.apply(review.live.id, retry)
    expect((await liveOf(bench, review.live.id)).state).toBe('queued')
  })

  test('a job that waits is paused at once; what it waits for is taken in, and it goes on when resumed', async (bench) => {
    const now = bench.clock.now()
    const napping = await bench.started()
    const { id } = napping.live
    const waits = [bench.wait(id, 'nap', { kind: 'timer', dueAt: now + 500 }), bench.wait(id, 'go')]
    await bench.suspend(napping, waits, { waitKind: 'timer', wakeAt: now + 500 })
    await bench.apply(id, { type: 'pauseRequested', actor: CALLER })
    expect(bench.told.at(-1)).toMatchObject({ jobId: id, status: 'blocked', wakeAt: null })
    expect(
      await bench.store.list({ tenant: 'default', statuses: ['blocked'], order: 'createdAt', limit: 5 }),
    ).toHaveLength(1)
    await bench.apply(id, { type: 'resumeRequested', actor: CALLER })
    expect(await liveOf(bench, id)).toMatchObject({ waitKind: 'timer', wakeAt: now + 500 })
    await bench.apply(id, { type: 'pauseRequested', actor: CALLER })
    // The first one is news; the second only adds its value.
    for (const [key, news] of [
      ['nap', 1],
      ['go', 0],
    ] as const) {
      const before = await liveOf(bench, id)
      expect(await settle(bench, id, key)).toBe('settled')
      const after = await liveOf(bench, id)
      expect(after).toMatchObject({ state: 'waiting', waitKind: 'pause', version: before.version + news })
      expect(after.why!.wait).toBeUndefined()
    }
    expect(await bench.claim()).toEqual([])
    await bench.apply(id, { type: 'resumeRequested', actor: CALLER })
    expect(await liveOf(bench, id)).toMatchObject({ state: 'queued', waitKind: null, why: {} })
    expect(await bench.claim()).toMatchObject([{ live: { id } }])
  })

  test('at the end of the job its waits are over, also those of its last attempt', async (bench) => {
    const cancelled = await bench.waiting('a')
    await bench.apply(cancelled.live.id, cancel())
    const completed = await bench.started()
    const { id } = completed.live
    const due = bench.wait(id, 'a', { dueAt: bench.clock.now() })
    await bench.store.record({ jobId: id, epoch: 1, waits: [due] })
    // The worker knows the row from before it recorded its wait.
    expect(await bench.succeed(completed)).toMatchObject({ outcome: 'moved' })
    for (const jobId of [id, cancelled.live.id]) expect(await bench.store.waits(jobId)).toEqual([])
    expect(await bench.store.dueWaits(10)).toEqual([])
  })

  test('an attempt that leaves after it was told to stop leaves no wait behind', async (bench) => {
    for (const undo of [null, 'due'] as const) {
      const claimed = await bench.started()
      const { id } = claimed.live
      await bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo })] })
      await bench.apply(id, cancel())
      const dueAt = bench.clock.now() + 5
      const moved = await bench.suspend(claimed, [bench.wait(id, 'nap', { kind: 'timer', dueAt })], { wakeAt: dueAt })
      const { live, outcome } = await bench.stored(id)
      expect(moved.outcome).toBe('moved')
      expect(live?.state ?? outcome!.status).toBe(undo ? 'compensating' : 'cancelled')
      expect(await bench.store.waits(id)).toEqual([])
      expect(live?.wakeAt ?? null).toBeNull()
    }
  })

  test('a job whose steps are being undone waits for nothing any more', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo: 'due' })] })
    const dueAt = bench.clock.now() + 5
    await bench.suspend(claimed, [bench.wait(id, 'a', { dueAt })], { wakeAt: dueAt })
    await bench.apply(id, cancel())
    expect(await liveOf(bench, id)).toMatchObject({ state: 'compensating', wakeAt: null })
    await bench.clock.advance(10)
    expect(await bench.store.dueWaits(5)).toEqual([])
    expect(await bench.store.dueWakes(5)).toEqual([])
    expect(await settle(bench, id, 'a')).toBe('late')
  })

  test('the time it waited is not taken from its budget, although it became late meanwhile', async (bench) => {
    const claimed = await bench.started({ escalateAt: bench.clock.now() + 3_600_000 })
    const { id, budgetFrom } = claimed.live
    await bench.suspend(claimed, [bench.wait(id, 'a')])
    await bench.clock.advance(86_000_000)
    expect(await bench.store.markLate(5)).toBe(1)
    await bench.clock.advance(86_000_000)
    await settle(bench, id, 'a')
    expect((await liveOf(bench, id)).budgetFrom).toBe(budgetFrom + 172_000_000)
    const again = await bench.claimOne()
    await bench.settle(again, errored('transient'))
    expect((await liveOf(bench, id)).state).toBe('queued')
  })
}
