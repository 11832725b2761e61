/** Signals: to whoever waits, else kept in order until somebody does; each counts once. */
import { expect } from 'vitest'
import type { Bench } from './bench.js'
import { CALLER, cancel, released } from './bench.js'
import type { Suite } from './index.js'

const outcome = async (answer: Promise<{ outcome: string }>) => (await answer).outcome
const payloads = async (bench: Bench, jobId: string, ...keys: string[]) =>
  Promise.all(keys.map(async (key) => (await bench.value(jobId, key)) as unknown)).then((values) =>
    values.map((value) => (value as { value?: unknown } | undefined)?.value),
  )

export function signalTests({ test }: Suite): void {
  test('reaches the wait for it, with who sent it, and wakes the job', async (bench) => {
    const { live } = await bench.waiting('answer')
    expect(await bench.signal(live.id, 'answer', { payload: '{"page":3}' })).toMatchObject({ outcome: 'delivered' })
    expect(await bench.value(live.id, 'answer')).toEqual({ is: 'value', value: { page: 3 }, by: CALLER })
    expect((await bench.stored(live.id)).live!.state).toBe('queued')
    expect((await bench.store.history(live.id, 3, 5)).entries).toMatchObject([
      { event: 'woken', actor: CALLER, details: { by: 'signal answer' } },
    ])
  })

  test('is kept while nobody waits for its name, and the oldest goes first', async (bench) => {
    const id = await bench.submitOne()
    // All in one millisecond: the order is that of their arrival.
    for (const n of [3, 1, 2]) {
      const more = { payload: `${n}`, signalId: `s${9 - n}` }
      expect(await outcome(bench.signal(id, 'answer', more))).toBe('buffered')
    }
    expect(await outcome(bench.signal(id, 'other', { payload: '9' }))).toBe('buffered')
    const claimed = await bench.claimOne()
    await bench.store.record({ jobId: id, epoch: 1, waits: [bench.wait(id, 'answer')] })
    await bench.suspend(claimed, [
      bench.wait(id, 'answer#2', { name: 'answer' }),
      bench.wait(id, 'answer#3', { name: 'answer' }),
      bench.wait(id, 'answer#4', { name: 'answer' }),
    ])
    expect(await payloads(bench, id, 'answer', 'answer#2', 'answer#3', 'answer#4')).toEqual([3, 1, 2, undefined])
    expect((await bench.store.waits(id)).map(({ key }) => key)).toEqual(['answer#4'])
    // Taken in the commit of the suspension, which it ended at once.
    expect((await bench.stored(id)).live!.state).toBe('queued')
    expect(await outcome(bench.signal(id, 'answer', { payload: '4' }))).toBe('delivered')
    expect(await payloads(bench, id, 'answer#4')).toEqual([4])
  })

  test('a kept one is taken once, whatever becomes of the attempt that took it', async (bench) => {
    const id = await bench.submitOne()
    await bench.signal(id, 'answer', { payload: '1' })
    const first = await bench.claimOne()
    await bench.store.record({ jobId: id, epoch: 1, waits: [bench.wait(id, 'answer')] })
    await bench.settle(first, released)
    const second = await bench.claimOne()
    await bench.suspend(second, [bench.wait(id, 'answer'), bench.wait(id, 'answer#2', { name: 'answer' })])
    expect(await payloads(bench, id, 'answer', 'answer#2')).toEqual([1, undefined])
  })

  test('who waited first is served first', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.store.record({ jobId: id, epoch: 1, waits: [bench.wait(id, 'z', { name: 'go' })] })
    await bench.clock.advance(5)
    await bench.suspend(claimed, [bench.wait(id, 'a', { name: 'go' })])
    for (const n of [1, 2]) await bench.signal(id, 'go', { payload: `${n}` })
    expect(await payloads(bench, id, 'z', 'a')).toEqual([1, 2])
    expect((await bench.store.history(id, 3, 9)).entries).toHaveLength(1)
  })

  test('in the commit of the suspension it is in time', async (bench) => {
    for (const first of ['suspend', 'signal']) {
      const claimed = await bench.started()
      const { id } = claimed.live
      const both = [() => bench.suspend(claimed, [bench.wait(id, 'go')]), () => bench.signal(id, 'go')]
      if (first === 'signal') both.reverse()
      await Promise.all(both.map((one) => one() as Promise<unknown>))
      expect((await bench.stored(id)).live!.state, first).toBe('queued')
      expect(await payloads(bench, id, 'go')).toEqual([{ ok: true }])
    }
  })

  test('to a running attempt it is there when the job comes to wait', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.store.record({ jobId: id, epoch: 1, waits: [bench.wait(id, 'go')] })
    expect(await outcome(bench.signal(id, 'go'))).toBe('delivered')
    expect((await bench.stored(id)).live).toMatchObject({ state: 'running', version: 2 })
    await bench.suspend(claimed, [], { blockedOn: ['go'] })
    expect((await bench.stored(id)).live!.state).toBe('queued')
  })

  test('sent twice it counts once, delivered or kept, and also after the end', async (bench) => {
    const kept = await bench.submitOne({ type: 'x' })
    const { live } = await bench.waiting('answer')
    for (const id of [kept, live.id]) await bench.signal(id, 'answer', { signalId: 's1', payload: '1' })
    for (const id of [kept, live.id])
      expect(await outcome(bench.signal(id, 'answer', { signalId: 's1', payload: '1' }))).toBe('repeated')
    const again = await bench.claimOne()
    await bench.suspend(again, [bench.wait(live.id, 'answer#2', { name: 'answer' })])
    expect(await payloads(bench, live.id, 'answer', 'answer#2')).toEqual([1, undefined])
    await bench.apply(live.id, cancel())
    expect(await outcome(bench.signal(live.id, 'answer', { signalId: 's1', payload: '1' }))).toBe('repeated')
    // An id belongs to its job.
    expect(await outcome(bench.signal(kept, 'answer', { signalId: 's2' }))).toBe('buffered')
    expect(await outcome(bench.signal(await bench.submitOne(), 'answer', { signalId: 's2' }))).toBe('buffered')
  })

  test('no more than the limit are kept, whatever their names; one that is taken makes room', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    const send = (name: string) => outcome(bench.signal(id, name, { limit: 2 }))
    expect([await send('a'), await send('b'), await send('c')]).toEqual(['buffered', 'buffered', 'full'])
    await bench.store.record({ jobId: id, epoch: 1, waits: [bench.wait(id, 'a')] })
    expect([await send('c'), await send('c')]).toEqual(['buffered', 'full'])
    // Nothing of a refused one is left.
    await bench.suspend(claimed, [bench.wait(id, 'c'), bench.wait(id, 'c#2', { name: 'c' })])
    expect(await payloads(bench, id, 'c', 'c#2')).toEqual([{ ok: true }, undefined])
  })

  test('a full mailbox keeps nothing from who waits for it', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    for (let i = 0; i < 2; i++) await bench.signal(id, 'noise', { limit: 2 })
    await bench.suspend(claimed, [bench.wait(id, 'answer')])
    expect(await outcome(bench.signal(id, 'noise', { limit: 2 }))).toBe('full')
    expect(await outcome(bench.signal(id, 'answer', { limit: 2 }))).toBe('delivered')
    expect((await bench.stored(id)).live!.state).toBe('queued')
  })

  test('a finished job takes none, and says how it ended; elsewhere there is no such job', async (bench) => {
    const done = await bench.started()
    await bench.succeed(done)
    expect(await bench.signal(done.live.id, 'answer')).toEqual({ outcome: 'finished', status: 'completed' })
    const { live } = await bench.waiting('answer')
    expect(await bench.signal(live.id, 'answer', { tenant: 'b' })).toEqual({ outcome: 'not-found' })
    expect(await bench.signal('01a00000-0000-7000-8000-000000000000', 'answer')).toEqual({ outcome: 'not-found' })
    expect((await bench.stored(live.id)).live!.state).toBe('waiting')
  })

  test('a callback finds the wait of its step, before or after somebody waits', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    expect(await outcome(bench.signal(id, 'callback:scan', { payload: '1' }))).toBe('buffered')
    await bench.suspend(claimed, [
      bench.wait(id, 'scan', { kind: 'callback', name: 'scan' }),
      bench.wait(id, 'scan#2', { kind: 'callback', name: 'scan' }),
    ])
    expect(await payloads(bench, id, 'scan', 'scan#2')).toEqual([1, undefined])
    expect(await outcome(bench.signal(id, 'scan', { payload: '2' }))).toBe('buffered')
    expect(await outcome(bench.signal(id, 'callback:scan#2', { payload: '3' }))).toBe('delivered')
    expect(await payloads(bench, id, 'scan', 'scan#2')).toEqual([1, 3])
  })
}
