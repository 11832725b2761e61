/** Child jobs: stored with the wait of their parent, exactly once; their end is its value; its end is their cancel. */
import { expect } from 'vitest'
import { TIES } from '../../core/job.js'
import type { NewJob } from '../../stores/store.js'
import type { Bench } from './bench.js'
import { CALLER, cancel, errored, lost, released, step, succeeded } from './bench.js'
import type { Suite } from './index.js'

const childWait = (bench: Bench, jobId: string, key: string) => bench.wait(jobId, key, { kind: 'child', name: 'c' })

/** A parent that waits for children of these keys. */
async function family(bench: Bench, keys: string[], onParentEnd: 'cancel' | 'leave' = 'cancel') {
  const parent = await bench.started()
  const { id } = parent.live
  const children = keys.map((key) => bench.child(id, key, { type: 'c' }, onParentEnd))
  const waits = keys.map((key) => childWait(bench, id, key))
  await bench.suspend(parent, waits, { children, waitKind: 'child' })
  return { id, parent, ids: children.map(({ record }) => record.id) }
}

/** Claims and ends one child. */
async function end(bench: Bench, id: string, result: unknown = { ok: true }) {
  const claimed = await bench.claim(100, { lane: 'default/c/default', worker: 'w-c' })
  const child = claimed.find(({ live }) => live.id === id)
  if (!child) throw new Error('There is no such child to claim.')
  for (const other of claimed) if (other !== child) await bench.settle(other, released)
  return bench.succeed(child, result)
}

export function childTests({ test }: Suite): void {
  test('a child is stored with the wait for it, in one record, and is a job like any other', async (bench) => {
    const { id, ids } = await family(bench, ['call'])
    const [child] = ids
    expect(await bench.store.waits(id)).toMatchObject([{ key: 'call', kind: 'child', childId: child }])
    const stored = await bench.stored(child!)
    expect(stored.record).toMatchObject({ parentId: id, options: { child: { key: 'call', onParentEnd: 'cancel' } } })
    expect(stored.live).toMatchObject({ state: 'queued', ties: TIES.parent })
    expect((await bench.store.history(child!, 0, 5)).entries).toMatchObject([{ event: 'submitted' }])
    expect(bench.told.filter(({ jobId }) => jobId === child)).toMatchObject([{ status: 'accepted', done: false }])
    expect((await bench.stored(id)).live!.ties & TIES.children).toBe(TIES.children)
    const listed = await bench.store.list({ tenant: 'default', parentId: id, order: 'createdAt', limit: 5 })
    expect(listed.map(({ record }) => record.id)).toEqual([child])
  })

  test('however often the parent asks, a wait has one child', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const first = bench.child(id, 'call', { type: 'c' })
    const ask = (epoch: number, child: NewJob) =>
      bench.store.record({ jobId: id, epoch, waits: [childWait(bench, id, 'call')], children: [child] })
    expect(await ask(1, first)).toBe(true)
    expect(await ask(1, bench.child(id, 'call', { type: 'c' }))).toBe(true)
    await bench.apply(id, lost)
    await bench.clock.advance(1000)
    const again = await bench.claimOne()
    await bench.suspend(again, [childWait(bench, id, 'call')], { children: [bench.child(id, 'call', { type: 'c' })] })
    const listed = await bench.store.list({ tenant: 'default', parentId: id, order: 'createdAt', limit: 5 })
    expect(listed.map(({ record }) => record.id)).toEqual([first.record.id])
    expect(await bench.store.waits(id)).toMatchObject([{ childId: first.record.id }])
  })

  test('without the epoch no child is begun', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const more = { waits: [childWait(bench, id, 'call')], children: [bench.child(id, 'call')] }
    expect(await bench.store.record({ jobId: id, epoch: 7, ...more })).toBe(false)
    await bench.apply(id, lost)
    await bench.suspend(parent, more.waits, { children: more.children })
    expect(await bench.store.list({ tenant: 'default', parentId: id, order: 'createdAt', limit: 5 })).toEqual([])
  })

  test('its end is the value of the wait, in the transaction of that end', async (bench) => {
    const { id, ids } = await family(bench, ['call'])
    bench.told.length = 0
    await end(bench, ids[0]!, { pages: 3 })
    expect(await bench.value(id, 'call')).toEqual({
      ...{ is: 'child', id: ids[0], status: 'completed', result: { pages: 3 }, error: null },
    })
    expect(await bench.store.waits(id)).toEqual([])
    expect((await bench.stored(id)).live!.state).toBe('queued')
    expect(bench.told.slice(-2).map(({ jobId, done }) => [jobId, done])).toEqual([
      [ids[0], true],
      [id, false],
    ])
    expect((await bench.store.history(id, 3, 5)).entries).toMatchObject([
      { event: 'woken', actor: { kind: 'system' }, details: { by: `child ${ids[0]}` } },
    ])
    expect(await bench.store.steps(id)).toMatchObject([
      { kind: 'child', info: JSON.stringify({ name: 'c', child: ids[0] }) },
    ])
  })

  test('a failed or cancelled child says so, with its error', async (bench) => {
    const failing = await family(bench, ['call'])
    const [claimed] = await bench.claim(1, { lane: 'default/c/default' })
    await bench.settle(claimed!, errored('permanent'))
    expect(await bench.value(failing.id, 'call')).toEqual({
      ...{ is: 'child', id: failing.ids[0], status: 'failed', result: null },
      error: { code: 'busy', message: 'busy' },
    })
    const stopped = await family(bench, ['call'])
    await bench.apply(stopped.ids[0]!, cancel({ by: 'operator', reason: 'wrong file' }))
    expect(await bench.value(stopped.id, 'call')).toMatchObject({
      ...{ status: 'cancelled', error: { code: 'cancelled-by-operator', message: 'Cancelled: wrong file' } },
    })
  })

  test('a result of any size reaches the parent', async (bench) => {
    for (const size of [10, 70_000, 400_000]) {
      const { id, ids } = await family(bench, ['call'])
      await end(bench, ids[0]!, 'é'.repeat(size / 2))
      expect(await bench.value(id, 'call')).toMatchObject({ is: 'child', result: 'é'.repeat(size / 2) })
    }
  })

  test('a child that ends while its parent still runs is known when the parent comes to wait', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const child = bench.child(id, 'call', { type: 'c' })
    await bench.store.record({ jobId: id, epoch: 1, waits: [childWait(bench, id, 'call')], children: [child] })
    await end(bench, child.record.id)
    expect(await bench.value(id, 'call')).toMatchObject({ status: 'completed' })
    expect((await bench.stored(id)).live).toMatchObject({ state: 'running', version: 2 })
    await bench.suspend(parent, [], { blockedOn: ['call'] })
    expect((await bench.stored(id)).live!.state).toBe('queued')
  })

  test('one that has ended before anybody waits for it is its value at once', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const child = bench.child(id, 'call', { type: 'c' })
    await bench.store.submit([child])
    await end(bench, child.record.id, 5)
    await bench.suspend(parent, [childWait(bench, id, 'call')], { children: [bench.child(id, 'call', { type: 'c' })] })
    expect(await bench.value(id, 'call')).toMatchObject({ id: child.record.id, status: 'completed', result: 5 })
    expect((await bench.stored(id)).live!.state).toBe('queued')
  })

  test('a child that cannot be stored has failed: nobody waits for a job that will never be', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const children = [bench.child(id, 'call', { files: ['file_gone'] }), bench.child(id, 'other', { type: 'c' })]
    await bench.suspend(parent, [childWait(bench, id, 'call'), childWait(bench, id, 'other')], { children })
    expect(await bench.value(id, 'call')).toMatchObject({
      ...{ is: 'child', status: 'failed', result: null },
      error: { code: 'file-not-found', message: expect.stringContaining('file_gone') },
    })
    expect((await bench.stored(id)).live!.state).toBe('queued')
    expect(await bench.store.waits(id)).toMatchObject([{ key: 'other' }])
  })

  test('a fan-out gathers: the last child wakes the parent at once, earlier ones a moment later', async (bench) => {
    const { id, ids } = await family(bench, ['a', 'b', 'c'])
    const claimed = await bench.claim(9, { lane: 'default/c/default', worker: 'w-c' })
    const done = (i: number) => bench.succeed(claimed.find(({ live }) => live.id === ids[i])!)
    const start = bench.clock.now()
    const revision = (await bench.stored(id)).live!.revision
    await done(0)
    const live = (await bench.stored(id)).live!
    expect(live).toMatchObject({ state: 'waiting', wakeAt: start + 2, version: 3 })
    expect(live.revision).toBeGreaterThan(revision)
    expect(bench.told.at(-1)).toMatchObject({ jobId: id, wakeAt: start + 2 })
    expect(await bench.store.dueWakes(5)).toEqual([])
    await bench.clock.advance(1)
    await done(1)
    expect((await bench.stored(id)).live!.wakeAt).toBe(start + 2)
    await bench.clock.advance(1)
    expect((await bench.store.dueWakes(5)).map((row) => row.id)).toEqual([id])
    await done(2)
    expect((await bench.stored(id)).live).toMatchObject({ state: 'queued', wakeAt: null, version: 4 })
    expect((await bench.store.steps(id)).map(({ key }) => key)).toEqual(['a', 'b', 'c'])
  })

  test('it gathers as well while it waits for something else that counts more', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const children = ['a', 'b'].map((key) => bench.child(id, key, { type: 'c' }))
    const waits = [bench.wait(id, 'go'), childWait(bench, id, 'a'), childWait(bench, id, 'b')]
    await bench.suspend(parent, waits, { children, waitKind: 'signal' })
    await end(bench, children[0]!.record.id)
    await bench.clock.advance(1)
    expect((await bench.store.dueWakes(5)).map((row) => row.id)).toEqual([id])
  })

  test('a moment is a second at most, and never later than it would wake anyhow', async (bench) => {
    const wide = await family(bench, ['a'])
    const many = Array.from({ length: 1200 }, (_, i) => childWait(bench, wide.id, `n${i}`))
    await bench.signal(wide.id, 'x')
    // More waits of the same parent, as a later attempt would add them.
    await bench.force(wide.id, { state: 'running', waitKind: null, worker: 'w-1', attemptAt: bench.clock.now() })
    await bench.store.record({ jobId: wide.id, epoch: 1, waits: many })
    await bench.force(wide.id, { state: 'waiting', waitKind: 'child', worker: null, attemptAt: null })
    await end(bench, wide.ids[0]!)
    expect((await bench.stored(wide.id)).live!.wakeAt).toBe(bench.clock.now() + 1000)
    const soon = await family(bench, ['a', 'b'])
    await bench.force(soon.id, { wakeAt: bench.clock.now() })
    await end(bench, soon.ids[0]!)
    expect((await bench.stored(soon.id)).live!.wakeAt).toBe(bench.clock.now())
  })

  test('while the parent is paused or in review, the end of a child is kept and wakes nobody', async (bench) => {
    for (const waitKind of ['pause', 'review'] as const) {
      const { id, ids } = await family(bench, ['a', 'b'])
      await bench.force(id, { waitKind })
      const before = (await bench.stored(id)).live
      for (const child of ids) await end(bench, child)
      expect((await bench.stored(id)).live).toEqual(before)
      expect((await bench.store.steps(id)).map(({ key }) => key)).toEqual(['a', 'b'])
    }
  })

  test('a parent that is paused while it waits hears of its first child at once, and starts when it is resumed', async (bench) => {
    const { id, ids } = await family(bench, ['a', 'b', 'c'])
    await bench.apply(id, { type: 'pauseRequested', actor: CALLER })
    for (const child of ids) await end(bench, child)
    const { live } = await bench.stored(id)
    expect(live).toMatchObject({ state: 'waiting', waitKind: 'pause', wakeAt: null })
    const { entries } = await bench.store.history(id, 0, 20)
    expect(entries.filter(({ event }) => event === 'woken')).toHaveLength(1)
    await bench.apply(id, { type: 'resumeRequested', actor: CALLER })
    expect((await bench.stored(id)).live!.state).toBe('queued')
  })

  test('another kind of wait is not held up by children', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const children = ['a', 'b'].map((key) => bench.child(id, key, { type: 'c' }))
    await bench.suspend(parent, [childWait(bench, id, 'a'), childWait(bench, id, 'b'), bench.wait(id, 'go')], {
      children,
    })
    await bench.signal(id, 'go')
    expect((await bench.stored(id)).live!.state).toBe('queued')
  })

  test('when the parent ends, its live children are to be cancelled, the oldest first', async (bench) => {
    const { id, ids } = await family(bench, ['a', 'b', 'c'])
    await end(bench, ids[1]!)
    await bench.apply(id, cancel())
    const duties = await bench.store.duties(10)
    expect(duties).toEqual([ids[0], ids[2]].map((jobId) => ({ jobId, duty: 'cancel-by-parent', body: id })))
    expect(await bench.store.duties(1)).toHaveLength(1)
    await bench.store.dutyDone(duties[0]!)
    await bench.store.dutyDone(duties[0]!)
    expect((await bench.store.duties(10)).map(({ jobId }) => jobId)).toEqual([ids[2]])
    // The end of a child tells a parent that has ended nothing.
    await bench.apply(ids[2]!, cancel({ by: 'parent' }))
    expect((await bench.stored(ids[2]!)).outcome).toMatchObject({ phase: 'parentCancelled' })
    expect((await bench.stored(id)).outcome!.status).toBe('cancelled')
  })

  test('whatever the end: a parent that completes without them leaves none behind either', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const child = bench.child(id, 'call', { type: 'c' })
    await bench.store.record({ jobId: id, epoch: 1, waits: [childWait(bench, id, 'call')], children: [child] })
    // The worker knows the row from before it had a child.
    expect(await bench.settle(parent, succeeded)).toMatchObject({ outcome: 'moved' })
    expect(await bench.store.duties(5)).toMatchObject([{ jobId: child.record.id }])
    expect(await bench.store.waits(id)).toEqual([])
  })

  test('what was called with `leave` goes on, and so does a job that merely names it as its parent', async (bench) => {
    const { id } = await family(bench, ['a'], 'leave')
    const [named] = await bench.submit({ parentId: id, type: 'z' })
    await bench.submit({ parentId: id, type: 'z', tags: ['eu'] })
    expect(await bench.apply(id, cancel())).toMatchObject({ outcome: 'moved' })
    expect(await bench.store.duties(5)).toEqual([])
    expect((await bench.stored(named!)).live!.state).toBe('queued')
  })

  test('when its steps are undone first, its children are to be cancelled from then on', async (bench) => {
    const parent = await bench.started()
    const { id } = parent.live
    const child = bench.child(id, 'call', { type: 'c' })
    await bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo: 'due' })] })
    await bench.suspend(parent, [childWait(bench, id, 'call')], { children: [child] })
    await bench.apply(id, cancel())
    expect((await bench.stored(id)).live!.state).toBe('compensating')
    const [duty] = await bench.store.duties(5)
    expect(duty).toMatchObject({ jobId: child.record.id, body: id })
    await bench.store.dutyDone(duty!)
    await bench.apply(child.record.id, cancel({ by: 'parent' }))
    expect(await bench.value(id, 'call')).toBeUndefined()
    const again = await bench.claimOne()
    await bench.settle(again, { type: 'undone', actor: { kind: 'worker', id: 'w-1' }, steps: ['pay'], partial: [] })
    expect((await bench.stored(id)).outcome!.status).toBe('cancelled')
    expect(await bench.store.duties(5)).toEqual([])
  })

  test('an attempt that leaves after it was told to stop begins no child', async (bench) => {
    for (const undo of [null, 'due'] as const) {
      const parent = await bench.started()
      const { id } = parent.live
      await bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo })] })
      await bench.apply(id, cancel())
      const child = bench.child(id, 'call', { type: 'c' })
      expect(await bench.suspend(parent, [childWait(bench, id, 'call')], { children: [child] })).toMatchObject({
        outcome: 'moved',
      })
      expect(await bench.store.find(child.record.id)).toBeNull()
      expect(await bench.store.waits(id)).toEqual([])
    }
  })

  test('children have children: each end reaches the one above', async (bench) => {
    const { id, ids } = await family(bench, ['a'])
    const [middle] = await bench.claim(1, { lane: 'default/c/default' })
    const leaf = bench.child(ids[0]!, 'b', { type: 'd' })
    await bench.suspend(middle!, [childWait(bench, ids[0]!, 'b')], { children: [leaf], waitKind: 'child' })
    const [last] = await bench.claim(1, { lane: 'default/d/default' })
    await bench.succeed(last!, 'deep')
    expect(await bench.value(ids[0]!, 'b')).toMatchObject({ result: 'deep' })
    expect((await bench.stored(id)).live!.state).toBe('waiting')
    await end(bench, ids[0]!, 'higher')
    expect(await bench.value(id, 'a')).toMatchObject({ result: 'higher' })
  })
}
