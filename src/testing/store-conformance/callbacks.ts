/** Signals and callbacks: each is delivered once, whenever it comes, and using a token up is one with its delivery. */
import { expect } from 'vitest'
import type { SignalRow } from '../../stores/store.js'
import { type Bench, CALLER, cancel, WORKER } from './bench.js'
import type { Suite } from './index.js'

const DUE = 3_600_000

/** A job that waits for the signal `paid` under the key `paid`, and has handed out the callback `ask`. */
export async function waiting(bench: Bench, waits = true): Promise<string> {
  const { live } = await bench.started()
  const now = bench.clock.now()
  const wait = { jobId: live.id, dueAt: null, childId: null, createdAt: now }
  const record = {
    ...{ jobId: live.id, epoch: live.epoch },
    waits: [
      { ...wait, key: 'paid', kind: 'signal' as const, name: 'paid' },
      { ...wait, key: 'ask', kind: 'callback' as const, name: 'ask' },
    ],
  }
  const callback = { jobId: live.id, tenant: 'default', key: 'ask', usedAt: null, answerHash: null }
  await bench.store.record({
    ...{ jobId: live.id, epoch: live.epoch },
    callbacks: [{ ...callback, hash: `h-${live.id}`, expiresAt: now + DUE }],
  })
  if (waits)
    await bench.settle(
      { live, record: null as never },
      {
        ...{ type: 'suspended', actor: WORKER, waitKind: 'signal', wakeAt: null },
        wait: { id: 'paid', title: 'Waiting.', dueAt: null },
      },
      { record, blockedOn: ['paid', 'ask'] },
    )
  return live.id
}
const signal = (jobId: string, more: Partial<SignalRow> = {}): SignalRow => ({
  ...{ jobId, tenant: 'default', name: 'paid', signalId: 's1', payload: '{"a":1}', actor: CALLER, limit: 3 },
  ...more,
})

export function callbackTests({ test }: Suite): void {
  test('a signal becomes the value of the wait and wakes the job, once', async (bench) => {
    const id = await waiting(bench)
    expect(await bench.store.signal(signal(id))).toEqual({ outcome: 'delivered' })
    const { live } = await bench.stored(id)
    expect(live).toMatchObject({ state: 'queued', waitKind: null })
    const [step] = await bench.store.steps(id)
    expect(step).toMatchObject({ key: 'paid', kind: 'signal' })
    expect(JSON.parse(step!.result!)).toEqual({ is: 'value', value: { a: 1 }, by: CALLER })
    expect((await bench.store.waits(id)).map(({ key }) => key)).toEqual(['ask'])
    expect(await bench.store.signal(signal(id))).toEqual({ outcome: 'repeated', delivered: true })
    expect((await bench.store.steps(id)).length).toBe(1)
  })

  test('one that comes early is kept and taken by the wait; ids tell repeats from others', async (bench) => {
    const id = await waiting(bench, false)
    expect(await bench.store.signal(signal(id))).toEqual({ outcome: 'buffered' })
    expect(await bench.store.signal(signal(id))).toEqual({ outcome: 'repeated', delivered: false })
    expect(await bench.store.signal(signal(id, { payload: '{"a":2}' }))).toEqual({ outcome: 'conflict' })
    expect(await bench.store.signal(signal(id, { name: 'other' }))).toEqual({ outcome: 'conflict' })
    const wait = {
      jobId: id,
      key: 'paid',
      kind: 'signal' as const,
      name: 'paid',
      dueAt: null,
      childId: null,
      createdAt: 1,
    }
    await bench.store.record({ jobId: id, epoch: 1, waits: [wait] })
    expect((await bench.store.steps(id)).map(({ key }) => key)).toEqual(['paid'])
    expect(await bench.store.signal(signal(id))).toEqual({ outcome: 'repeated', delivered: true })
  })

  test('is refused when too many are unread, when the job is over, and for other tenants', async (bench) => {
    const id = await waiting(bench)
    for (const n of [1, 2, 3])
      expect(await bench.store.signal(signal(id, { name: 'x', signalId: `x${n}` }))).toEqual({ outcome: 'buffered' })
    expect(await bench.store.signal(signal(id, { name: 'x', signalId: 'x4' }))).toEqual({ outcome: 'full' })
    expect(await bench.store.signal(signal(id, { tenant: 'other' }))).toEqual({ outcome: 'not-found' })
    await bench.apply(id, cancel())
    expect(await bench.store.signal(signal(id))).toEqual({ outcome: 'finished', status: 'cancelled' })
    expect(await bench.store.signal(signal(id, { name: 'x', signalId: 'x1' }))).toEqual({
      outcome: 'repeated',
      delivered: false,
    })
  })

  test('a callback is used once, by the first answer, and that one is delivered', async (bench) => {
    const id = await waiting(bench)
    const answers = await Promise.all(
      ['a', 'b', 'a', 'c'].map((answerHash) =>
        bench.store.answerCallback({ hash: `h-${id}`, answerHash, payload: JSON.stringify(answerHash) }),
      ),
    )
    expect(answers).toEqual(['answered', 'used', 'repeated', 'used'])
    const [step] = await bench.store.steps(id)
    expect(step).toMatchObject({ key: 'ask', kind: 'callback' })
    expect(JSON.parse(step!.result!)).toMatchObject({ is: 'value', value: 'a' })
    expect(await bench.store.callback(`h-${id}`)).toMatchObject({ usedAt: bench.clock.now(), answerHash: 'a' })
    expect((await bench.stored(id)).live).toMatchObject({ state: 'queued' })
  })

  test('a callback in vain uses nothing up', async (bench) => {
    const late = await waiting(bench)
    const answer = (id: string) => bench.store.answerCallback({ hash: `h-${id}`, answerHash: 'a', payload: '1' })
    await bench.clock.advance(DUE)
    expect(await answer(late)).toBe('expired')
    const over = await waiting(bench)
    await bench.apply(over, cancel())
    expect(await answer(over)).toBe('finished')
    expect(await answer('none')).toBe('not-found')
    for (const id of [late, over]) expect(await bench.store.callback(`h-${id}`)).toMatchObject({ usedAt: null })
    expect(await bench.store.steps(over)).toEqual([])
  })
}
