/** Several writers and what hangs on jobs: waits, signals, callbacks, children, approvals. Nobody waits for ever. */
import { expect } from 'vitest'
import type { NewJob, WaitValue } from '../../stores/store.js'
import { asked, deciding } from './approvals.js'
import { audit, type Bench, CALLER, cancel, released, SYSTEM } from './bench.js'
import { waiting } from './callbacks.js'
import type { Suite } from './index.js'
import { both, expectOneStory, times } from './writers.js'

const CHILDREN = 'default/c/default'
const childWait = (bench: Bench, jobId: string, key: string) => bench.wait(jobId, key, { kind: 'child', name: 'c' })

/** A parent whose children are stored, claimed and about to end; the parent still runs. */
async function family(bench: Bench, keys: readonly string[]) {
  const parent = await bench.started()
  const { id, epoch } = parent.live
  const children = keys.map((key) => bench.child(id, key, { type: 'c' }))
  const waits = keys.map((key) => childWait(bench, id, key))
  await bench.store.record({ jobId: id, epoch, waits, children })
  const claimed = await bench.claim(100, { lane: CHILDREN, worker: 'w-c' })
  const mine = children.map(({ record }) => claimed.find(({ live }) => live.id === record.id)!)
  return { parent, id, waits, children: mine }
}

async function expectWoken(bench: Bench, id: string, keys: readonly string[]): Promise<void> {
  expect((await bench.store.steps(id)).map(({ key }) => key).sort()).toEqual([...keys].sort())
  expect(await bench.store.waits(id)).toEqual([])
  expect((await bench.stored(id)).live!.state).toBe('queued')
  await expectOneStory(bench, id)
  for (const claimed of await bench.claim()) await bench.succeed(claimed)
}

export function hangingTests({ test }: Suite): void {
  test('a child ends in one store while its parent leaves in another: the parent is woken', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const { parent, id, waits, children } = await family(bench, ['x'])
      await both(
        round,
        () => a.suspend(parent, waits, { waitKind: 'child' }),
        () => b.succeed(children[0]!, round),
      )
      expect(await bench.value(id, 'x')).toMatchObject({ status: 'completed', result: round })
      await expectWoken(bench, id, ['x'])
    }
  })

  test('children of several parents end at once in different stores: every parent is woken by the last', async (bench) => {
    const stores = await bench.beside()
    const keys = ['x', 'y', 'z']
    for (const _ of times(12)) {
      const families: Awaited<ReturnType<typeof family>>[] = []
      for (const __ of times(3)) families.push(await family(bench, keys))
      for (const { parent, waits } of families) await bench.suspend(parent, waits, { waitKind: 'child' })
      // Each store ends one child of each, the parents in another order.
      await Promise.all(
        stores.flatMap((one, s) => times(3).map((f) => one.succeed(families[(f + s) % 3]!.children[s]!, s))),
      )
      for (const { id } of families) {
        expect((await bench.stored(id)).live!.state).toBe('queued')
        expect((await bench.store.steps(id)).map(({ key }) => key).sort()).toEqual(keys)
        await expectOneStory(bench, id)
      }
      for (const claimed of await bench.claim()) await bench.succeed(claimed)
    }
  })

  test('a job is taken for a child while it ends: its end is the value all the same', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const unique = { key: `u-${round}` }
      const other = await b.started({ type: 'c', unique })
      const parent = await a.started()
      const { id } = parent.live
      const child: NewJob = a.child(id, 'x', { type: 'c', unique })
      await both(
        round,
        () => a.suspend(parent, [childWait(a, id, 'x')], { children: [child], waitKind: 'child' }),
        () => b.succeed(other, 'end'),
      )
      // It came too late, and a child of its own was made.
      const own = await bench.store.find(child.record.id)
      if (own) for (const one of await bench.claim(9, { lane: CHILDREN })) await bench.succeed(one, 'end')
      expect(await bench.value(id, 'x')).toMatchObject({ result: 'end' })
      await expectWoken(bench, id, ['x'])
    }
  })

  test('a parent ends while its child does: nothing hangs, and the child is not to be cancelled any more', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(20)) {
      const { parent, id, waits, children } = await family(bench, ['x', 'y'])
      await bench.suspend(parent, waits, { waitKind: 'child' })
      await both(
        round,
        () => a.apply(id, cancel()),
        () => b.succeed(children[0]!),
      )
      expect((await bench.stored(id)).outcome!.status).toBe('cancelled')
      expect((await bench.stored(children[0]!.live.id)).outcome!.status).toBe('completed')
      expect(await bench.store.waits(id)).toEqual([])
      for (const duty of await bench.store.duties(9)) {
        await bench.apply(duty.jobId, cancel({ by: 'parent' }))
        await bench.store.dutyDone(duty)
      }
      await bench.settle(children[1]!, released)
      expect(await bench.store.check()).toMatchObject({ unfinished: 0 })
    }
  })

  test('a signal comes while its job leaves: the job is woken, and the signal taken once', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const claimed = await bench.started()
      const { id, epoch } = claimed.live
      const wait = a.wait(id, 'go')
      if (round % 3 === 2) {
        // The wait is registered first, as by a branch that goes on.
        await both(
          round,
          () => a.store.record({ jobId: id, epoch, waits: [wait] }),
          () => b.signal(id, 'go', { signalId: 's' }),
        )
        await a.suspend(claimed, [wait])
      } else
        await both(
          round,
          () => a.suspend(claimed, [wait]),
          () => b.signal(id, 'go', { signalId: 's' }),
        )
      expect(await bench.signal(id, 'go', { signalId: 's' })).toEqual({ outcome: 'repeated', delivered: true })
      await expectWoken(bench, id, ['go'])
    }
  })

  test('two signals for one wait: one is its value, the other waits for the next', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(20)) {
      const { live } = await bench.waiting('go')
      const answers = await Promise.all(
        stores.map((one, s) => one.signal(live.id, 'go', { signalId: `s-${round}-${s}`, payload: `${s}` })),
      )
      expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['buffered', 'buffered', 'delivered'])
      expect(await bench.value(live.id, 'go')).toMatchObject({
        value: answers.findIndex(({ outcome }) => outcome === 'delivered'),
      })
      await expectWoken(bench, live.id, ['go'])
    }
  })

  test('two answer one callback: it is used once, and who says the same is told that it is said', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(20)) {
      const id = await waiting(bench)
      const answer = (one: Bench, what: string) =>
        one.store.answerCallback({ hash: `h-${id}`, answerHash: what, payload: JSON.stringify(what) })
      const other = round % 2 ? 'yes' : 'no'
      const answers = await Promise.all([answer(a, 'yes'), answer(b, other)])
      expect([...answers].sort()).toEqual(['answered', round % 2 ? 'repeated' : 'used'])
      expect(await bench.value(id, 'ask')).toMatchObject({ value: answers[0] === 'answered' ? 'yes' : other })
      for (const claimed of await bench.claim()) await bench.succeed(claimed)
    }
  })

  test('two settle one wait: one does', async (bench) => {
    const stores = await bench.beside()
    for (const _ of times(20)) {
      const { live } = await bench.waiting('go')
      const settle = (one: Bench, i: number) => {
        const value = JSON.stringify({ is: 'value', value: i, by: CALLER } satisfies WaitValue)
        return one.store.settle({ jobId: live.id, key: 'go', value, actor: SYSTEM, by: 'x' })
      }
      const answers = await Promise.all(stores.map(settle))
      expect([...answers].sort()).toEqual(['late', 'late', 'settled'])
      expect(await bench.value(live.id, 'go')).toMatchObject({ value: answers.indexOf('settled') })
      await expectWoken(bench, live.id, ['go'])
    }
  })

  test('a wait is settled while its job ends: it is, or it is late and nothing is recorded', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const { live } = await bench.waiting('go')
      const value = JSON.stringify({ is: 'value', value: 1, by: CALLER } satisfies WaitValue)
      const [answer] = await both(
        round,
        () => a.store.settle({ jobId: live.id, key: 'go', value, actor: SYSTEM, by: 'x' }),
        () => b.apply(live.id, cancel()),
      )
      expect((await bench.stored(live.id)).outcome!.status).toBe('cancelled')
      expect((await bench.store.steps(live.id)).length).toBe(answer === 'settled' ? 1 : 0)
      const { entries } = await bench.store.history(live.id, 0, 9)
      expect(entries.some(({ event }) => event === 'woken')).toBe(answer === 'settled')
      await expectOneStory(bench, live.id)
    }
  })

  test('two decide one approval: one counts', async (bench) => {
    const stores = await bench.beside()
    for (const _ of times(15)) {
      const { row, jobId } = await asked(bench)
      const answers = await Promise.all(
        stores.map((one, s) => deciding(one, row.id, `p${s}`, s === 1 ? 'reject' : 'approve')),
      )
      expect([...answers].sort()).toEqual(['approval-already-decided', 'approval-already-decided', 'changed'])
      const stored = (await bench.store.approval(row.id))!
      expect(stored.decisions).toHaveLength(1)
      expect(stored.state).toBe(answers[1] === 'changed' ? 'rejected' : 'approved')
      const { live, outcome } = await bench.stored(jobId)
      expect(live?.state ?? outcome!.phase).toBe(answers[1] === 'changed' ? 'rejected' : 'queued')
      await expectOneStory(bench, jobId)
      for (const claimed of await bench.claim()) await bench.succeed(claimed)
    }
    expect(await bench.store.audit('default', 0, 99)).toHaveLength(15)
  })

  test('a decision while the job ends: both agree', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const { row, jobId } = await asked(bench)
      const [answer] = await both(
        round,
        () => deciding(a, row.id, 'mara', 'approve'),
        () => b.apply(jobId, cancel(), { audit: audit() }),
      )
      const stored = (await bench.store.approval(row.id))!
      expect(stored.state).toBe(answer === 'changed' ? 'approved' : 'withdrawn')
      expect((await bench.stored(jobId)).outcome!.status).toBe('cancelled')
      expect(await bench.store.waits(jobId)).toEqual([])
      await expectOneStory(bench, jobId)
    }
  })
}
