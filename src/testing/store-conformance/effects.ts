/** Effects that happen once, and steps that must be undone: what is written with them, and by whom. */
import { expect } from 'vitest'
import type { AttemptRecord, EffectRow } from '../../stores/store.js'
import { type Bench, DAY, errored, lost, released, step } from './bench.js'
import type { Suite } from './index.js'

const effect = (jobId: string, more: Partial<EffectRow> = {}): EffectRow => ({
  ...{ tenant: 'default', key: 'k1', jobId, step: 'charge', state: 'started', result: null, at: 5 },
  ...more,
})

/** Everything that an attempt can write besides its notes. */
const everything = (bench: Bench, jobId: string, epoch: number): AttemptRecord => ({
  ...{ jobId, epoch, steps: [step('s', { undo: 'due' })], effects: [effect(jobId)] },
  waits: [bench.wait(jobId, 'go'), bench.wait(jobId, 'call', { kind: 'child' })],
  children: [bench.child(jobId, 'call', { type: 'c' })],
  callbacks: [{ hash: 'h', tenant: 'default', jobId, key: 'scan', expiresAt: 9, usedAt: null, answerHash: null }],
  decisions: [
    { jobId, key: 'd', at: 1, attempt: 1, path: null, model: 'm', modelVersion: null, tools: [], fields: null },
  ],
  undone: [{ key: 'pay', undo: 'undone' }],
})

export function effectTests({ test }: Suite): void {
  test('an effect is known from before it begins, and by its outcome afterwards', async (bench) => {
    const { live } = await bench.started()
    expect(await bench.store.effect('default', 'k1')).toBeNull()
    await bench.store.record({ jobId: live.id, epoch: 1, effects: [effect(live.id)] })
    expect(await bench.store.effect('default', 'k1')).toEqual(effect(live.id))
    const happened = effect(live.id, { state: 'happened', result: '{"receipt":7}', at: 6 })
    await bench.store.record({ jobId: live.id, epoch: 1, steps: [step('charge')], effects: [happened] })
    expect(await bench.store.effect('default', 'k1')).toEqual(happened)
    expect(await bench.store.effect('other', 'k1')).toBeNull()
    expect(await bench.store.effect('default', 'k2')).toBeNull()
  })

  test('the effects of a job are those that it wrote last', async (bench) => {
    const [a, b] = [await bench.started(), await bench.started()]
    const rows = [effect(a.live.id), effect(a.live.id, { key: 'k0', at: 9 }), effect(a.live.id, { key: 'k3', at: 4 })]
    await bench.store.record({ jobId: a.live.id, epoch: 1, effects: rows })
    expect(await bench.store.effects(a.live.id)).toEqual([rows[2], rows[0], rows[1]])
    await bench.store.record({ jobId: b.live.id, epoch: 1, effects: [effect(b.live.id)] })
    expect(await bench.store.effects(a.live.id)).toEqual([rows[2], rows[1]])
    expect(await bench.store.effects(b.live.id)).toEqual([effect(b.live.id)])
  })

  test('one key is one effect, whichever job it is done in; the latest word counts', async (bench) => {
    const [a, b] = [await bench.started(), await bench.started()]
    await bench.store.record({ jobId: a.live.id, epoch: 1, effects: [effect(a.live.id)] })
    await bench.store.record({ jobId: a.live.id, epoch: 1, effects: [effect(a.live.id, { state: 'absent', at: 7 })] })
    const again = effect(b.live.id, { step: 'charge#2', at: 9 })
    await bench.store.record({ jobId: b.live.id, epoch: 1, effects: [again, effect(b.live.id, { tenant: 't2' })] })
    expect(await bench.store.effect('default', 'k1')).toEqual(again)
    expect(await bench.store.effect('t2', 'k1')).toMatchObject({ jobId: b.live.id })
  })

  test('an effect is kept after its job, as long as its tombstone', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.store.record({ jobId: id, epoch: 1, effects: [effect(id, { state: 'happened', result: '1' })] })
    await bench.succeed(claimed, {}, { expiresAt: (at) => at })
    expect(await bench.store.expire(5)).toBe(1)
    expect(await bench.store.find(id)).toHaveProperty('expiredAt')
    expect(await bench.store.effect('default', 'k1')).toMatchObject({ state: 'happened', result: '1' })
    await bench.clock.advance(366 * DAY)
    await bench.store.expire(5)
    expect(await bench.store.effect('default', 'k1')).toBeNull()
  })

  test('without the epoch none of it is written', async (bench) => {
    const first = await bench.started()
    const { id } = first.live
    await bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo: 'due' })] })
    const none = async () => {
      expect(await bench.store.steps(id)).toMatchObject([{ key: 'pay', undo: 'due' }])
      expect(await bench.store.effect('default', 'k1')).toBeNull()
      expect(await bench.store.waits(id)).toEqual([])
      expect(await bench.store.callback('h')).toBeNull()
      expect(await bench.store.decisions(id)).toEqual([])
      expect(await bench.store.list({ tenant: 'default', parentId: id, order: 'createdAt', limit: 5 })).toEqual([])
    }
    expect(await bench.store.record(everything(bench, id, 0))).toBe(false)
    expect(await bench.store.record(everything(bench, id, 2))).toBe(false)
    await bench.apply(id, lost)
    expect(await bench.store.record(everything(bench, id, 1))).toBe(false)
    await bench.clock.advance(1000)
    const second = await bench.claimOne('w-2')
    expect(await bench.store.record(everything(bench, id, 1))).toBe(false)
    expect(await bench.settle(first, released, { record: everything(bench, id, 1) })).toMatchObject({
      outcome: 'refused',
    })
    await none()
    expect((await bench.stored(id)).live).toEqual(second.live)
    expect(await bench.store.record(everything(bench, id, 2))).toBe(true)
    expect(await bench.store.steps(id)).toMatchObject([
      { key: 'pay', undo: 'undone' },
      { key: 's', undo: 'due' },
    ])
    expect(await bench.store.effect('default', 'k1')).not.toBeNull()
    expect(await bench.store.waits(id)).toHaveLength(2)
    expect(await bench.store.callback('h')).not.toBeNull()
    expect(await bench.store.decisions(id)).toHaveLength(1)
  })

  test('a record is written whole or not at all', async (bench) => {
    const { live } = await bench.started()
    await bench.store.record({ jobId: live.id, epoch: 1, steps: [step('s')] })
    await expect(bench.store.record(everything(bench, live.id, 1))).rejects.toThrow()
    expect(await bench.store.effect('default', 'k1')).toBeNull()
    expect(await bench.store.waits(live.id)).toEqual([])
    expect((await bench.stored(live.id)).live).toEqual(live)
  })

  test('effect and undo of a step come back, and only what is named is marked as undone', async (bench) => {
    const [a, b] = [await bench.started(), await bench.started()]
    const steps = [
      step('hold', { effect: 'once', undo: 'due', endedAt: 2 }),
      step('mail', { effect: 'once', undo: 'due', endedAt: 3 }),
      step('note', { effect: 'idempotent', undo: 'due', endedAt: 4 }),
      step('look', { effect: 'read', endedAt: 5 }),
      step('old', { undo: 'reused', endedAt: 6 }),
    ]
    for (const { live } of [a, b]) await bench.store.record({ jobId: live.id, epoch: 1, steps })
    expect(await bench.store.steps(a.live.id)).toMatchObject(steps)
    const undone = [
      { key: 'hold', undo: 'undone' as const },
      { key: 'mail', undo: 'by-hand' as const },
    ]
    await bench.store.record({ jobId: a.live.id, epoch: 1, undone })
    const marks = async (id: string) => (await bench.store.steps(id)).map(({ undo }) => undo)
    expect(await marks(a.live.id)).toEqual(['undone', 'by-hand', 'due', null, 'reused'])
    expect(await marks(b.live.id)).toEqual(['due', 'due', 'due', null, 'reused'])
  })

  test('a step that must be undone marks its job, once, and the revision rises so that nobody overlooks it', async (bench) => {
    const { live } = await bench.started()
    const record = (key: string, undo: 'due' | 'reused' | null) =>
      bench.store.record({ jobId: live.id, epoch: 1, steps: [step(key, { undo })] })
    const now = async () => (await bench.stored(live.id)).live!
    await record('a', null)
    await record('b', 'reused')
    expect(await now()).toEqual(live)
    await record('c', 'due')
    expect(await now()).toEqual({ ...live, undo: 1, revision: live.revision + 1 })
    await record('d', 'due')
    expect(await now()).toEqual({ ...live, undo: 1, revision: live.revision + 1 })
  })

  test('whoever knew the row from before still undoes what was recorded since', async (bench) => {
    const endings = [
      (claimed: Parameters<Bench['settle']>[0]) => bench.settle(claimed, errored('permanent')),
      (claimed: Parameters<Bench['settle']>[0]) =>
        bench.apply(claimed.live.id, errored('permanent'), { known: claimed.live }),
    ]
    for (const together of [false, true]) {
      for (const ending of endings) {
        const claimed = await bench.started()
        const { id } = claimed.live
        const recording = bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo: 'due' })] })
        if (!together) await recording
        expect(await ending(claimed)).toMatchObject({ outcome: 'moved' })
        expect(await recording).toBe(true)
        expect((await bench.stored(id)).live).toMatchObject({ state: 'compensating', undo: 1 })
      }
    }
  })

  test('the mark stays through retries, losses and claims', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    await bench.store.record({ jobId: id, epoch: 1, steps: [step('pay', { undo: 'due' })] })
    await bench.settle(claimed, errored('transient'))
    await bench.clock.advance(5000)
    const second = await bench.claimOne()
    expect(second.live.undo).toBe(1)
    await bench.apply(id, lost)
    await bench.clock.advance(5000)
    expect((await bench.claimOne()).live.undo).toBe(1)
  })

  test('a job that is submitted with steps undoes those that are its own', async (bench) => {
    const reused = bench.job()
    const own = bench.job()
    await bench.store.submit([{ ...reused, steps: [step('a', { undo: 'reused' }), step('b')] }])
    await bench.store.submit([
      { ...own, steps: [step('a', { undo: 'due', result: JSON.stringify('x'.repeat(70_000)) })] },
    ])
    expect((await bench.stored(reused.record.id)).live!.undo).toBe(0)
    expect((await bench.stored(own.record.id)).live!.undo).toBe(1)
    expect((await bench.store.steps(own.record.id))[0]!.result).toHaveLength(70_002)
    expect(await bench.store.steps(reused.record.id)).toMatchObject([{ key: 'a' }, { key: 'b' }])
  })
}
