/**
 * Several stores of one database write at once, as processes do: what each is told is true, and together they leave one
 * story. Every race is run many times, without waiting for anything but answers.
 */
import { expect } from 'vitest'
import { firstBreak } from '../../core/history.js'
import { LEVELS, laneOf } from '../../core/job.js'
import type { Claimed, LaneQuota, Submitted } from '../../stores/store.js'
import { audit, type Bench, cancel, DAY, LANE, lost, SYSTEM, step } from './bench.js'
import { fail, seen } from './failures.js'
import type { Suite } from './index.js'
import { raceLimits } from './limit-property.js'
import { setPause } from './pauses.js'

export const times = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
const outcomes = (answers: readonly Submitted[][]) => answers.map(([one]) => one!.outcome).sort()
const idOf = ([one]: readonly Submitted[]) => (one as { jobId: string }).jobId

/** Both at once, each first in every other round. In rounds 0 and 1 one after the other: chance may never bring an order. */
export async function both<A, B>(round: number, a: () => Promise<A>, b: () => Promise<B>): Promise<[A, B]> {
  if (round === 0) return [await a(), await b()]
  if (round === 1) {
    const first = await b()
    return [await a(), first]
  }
  if (round % 2) return Promise.all([a(), b()])
  const second = b()
  return Promise.all([a(), second])
}

/** One gapless story, whoever wrote it. */
export async function expectOneStory(bench: Bench, id: string): Promise<void> {
  const { live, outcome } = await bench.stored(id)
  const { entries } = await bench.store.history(id, 0, 100)
  expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1))
  expect((live ?? outcome)!.version).toBe(entries.length)
  expect(entries.at(-1)!.state).toBe(live ? live.state : outcome!.status)
}

export function writerTests({ test }: Suite): void {
  test('says that others may write too', async (bench) => {
    expect(bench.store.info.sole).toBe(false)
  })

  test('what another one puts before all that was claimed here is found after a look at all lanes', async (bench) => {
    const [here, there] = await bench.beside()
    for (const round of times(3)) {
      const limits = { concurrency: { key: `k-${round}`, limit: 1 } }
      const [running, held] = await here!.submit({ limits }, { limits })
      expect(await here!.claim()).toHaveLength(1)
      await bench.clock.advance(1000)
      await here!.submitOne({})
      expect(await here!.claim()).toHaveLength(1)
      await there!.apply(running!, { type: 'succeeded', actor: SYSTEM, warnings: 0 })
      await here!.store.lanes()
      expect((await here!.claim()).map(({ live }) => live.id)).toEqual([held])
    }
  })

  test('what another one held for a moment and did not take is claimed by a delivery, at the latest by the second', async (bench) => {
    const [here, there] = await bench.beside()
    const other = laneOf('default', 'other', 'default')
    const claim = (store: Bench, lanes: LaneQuota[], limit: number, mixed: boolean) =>
      store.store.claim({ ...{ worker: 'w-1', lanes, limit: () => limit, levels: LEVELS, mixed } })
    for (const round of times(40)) {
      await here!.submitOne({ type: 'other' })
      const id = await here!.submitOne({})
      await bench.clock.advance(10)
      // One place for two lanes: the job of the second is looked at, and left.
      const two = [
        { lane: other, limit: 1 },
        { lane: LANE, limit: 1 },
      ]
      const [, first] = await both(
        round,
        () => claim(there!, two, 1, true),
        () => claim(here!, [{ lane: LANE, limit: 5 }], 5, true),
      )
      const delivered = [{ lane: LANE, limit: 5, ids: [id] }]
      const second = await claim(here!, delivered, 5, round % 2 === 0)
      const third = await claim(here!, delivered, 5, round % 2 === 0)
      expect([...first, ...second, ...third].map(({ live }) => live.id)).toEqual([id])
      await here!.claim(5, { lane: other })
    }
  })

  test('three claim from 500 jobs at once: each job once, to whom the row says', async (bench) => {
    const stores = await bench.beside()
    const ids = await bench.submit(...times(500).map((i) => ({ priority: [0, 5, 90][i % 3]! })))
    const got = await Promise.all(
      stores.map(async (one, s) => {
        const mine = []
        for (let none = 0; none < 3; ) {
          const claimed = await one.claim(7, { worker: `w-${s}` })
          mine.push(...claimed)
          none = claimed.length === 0 ? none + 1 : 0
        }
        return mine
      }),
    )
    expect(
      got
        .flat()
        .map(({ live }) => live.id)
        .sort(),
    ).toEqual([...ids].sort())
    for (const mine of got) expect(mine.length).toBeGreaterThan(0)
    for (const { live } of got.flat()) {
      expect(live).toMatchObject({ epoch: 1, attempt: 1, version: 2 })
      expect((await bench.stored(live.id)).live).toEqual(live)
    }
  })

  test('first: of those who ask at once one is told so', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(30)) {
      const told = await Promise.all(
        stores.flatMap(({ store }) => [store.workers.first(`${round}`), store.workers.first(`${round}/2`)]),
      )
      expect(told.filter(Boolean)).toHaveLength(2)
    }
  })

  test('the same key at once: one job, which the others are told of', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(30)) {
      // Several keys in one commit, in another order in each store.
      const keys = times(4).map((i) => `k-${round}-${i}`)
      const answers = await Promise.all(
        stores.flatMap((one, s) =>
          (s === 1 ? [...keys].reverse() : keys).map((key) =>
            one.store.submit([one.job({ key })]).then((answer) => ({ key, answer })),
          ),
        ),
      )
      for (const key of keys) {
        const same = answers.filter((one) => one.key === key).map(({ answer }) => answer)
        expect(outcomes(same)).toEqual(['created', 'replayed', 'replayed'])
        expect(new Set(same.map(idOf)).size).toBe(1)
        expect((await bench.stored(idOf(same[0]!))).live!.version).toBe(1)
      }
    }
    expect(await bench.store.check()).toMatchObject({ unfinished: 120 })
  })

  test('the same key for something else at once: one of them is stored, the other is told so', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(20)) {
      const submit = (one: Bench, fingerprint: string) =>
        one.store.submit([one.job({ key: `k-${round}`, fingerprint })])
      expect(outcomes(await Promise.all([submit(a, 'f'), submit(b, 'g')]))).toEqual(['created', 'key-reused'])
    }
  })

  test('the same unique name at once: one job has it', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(20)) {
      for (const onDuplicate of ['return', 'reject'] as const) {
        const unique = { key: `${onDuplicate}-${round}`, onDuplicate }
        const answers = await Promise.all(stores.map((one) => one.store.submit([one.job({ unique })])))
        const refused = onDuplicate === 'return' ? 'duplicate' : 'duplicate-refused'
        expect(outcomes(answers)).toEqual(['created', refused, refused])
        expect(new Set(answers.map(idOf)).size).toBe(1)
      }
    }
    expect(await bench.store.check()).toMatchObject({ unfinished: 40 })
  })

  test('each replaces the one before it: one is left, and it has the name', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(20)) {
      const unique = { key: `u-${round}`, onDuplicate: 'replace' as const }
      const jobs = stores.map((one) => one.job({ unique }))
      expect(outcomes(await Promise.all(stores.map((one, s) => one.store.submit([jobs[s]!]))))).toEqual(
        times(3).map(() => 'created'),
      )
      const found = await Promise.all(jobs.map(({ record }) => bench.stored(record.id)))
      const left = found.filter(({ live }) => live !== null)
      expect(left).toHaveLength(1)
      const same = await bench.store.submit([bench.job({ unique: { key: unique.key } })])
      expect(same).toEqual([{ outcome: 'duplicate', jobId: left[0]!.record.id }])
    }
  })

  test('replaced while it is claimed: it gives way or it runs, never both', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const unique = { key: `u-${round}`, onDuplicate: 'replace' as const }
      const id = await bench.submitOne({ unique })
      const replace = () => b.store.submit([b.job({ unique })])
      const [claimed, [answer]] = await both(round, () => a.claim(), replace)
      const { outcome } = await bench.stored(id)
      const ran = claimed.some(({ live }) => live.id === id)
      if (round < 2) expect(ran).toBe(round === 0)
      expect(answer!.outcome).toBe(ran ? 'duplicate-refused' : 'created')
      expect(outcome?.status ?? 'runs').toBe(ran ? 'runs' : 'cancelled')
      for (const one of [...claimed, ...(await bench.claim())]) await bench.succeed(one)
    }
  })

  test('the end of a job against the next of its name: the next is told of it, or has the name', async (bench) => {
    const [a, b] = await bench.beside()
    for (const round of times(30)) {
      const unique = { key: `u-${round}` }
      const claimed = await a.started({ unique })
      const [, answer] = await Promise.all([a.succeed(claimed), b.store.submit([b.job({ unique })])])
      const free = await bench.store.submit([bench.job({ unique })])
      if (answer[0]!.outcome === 'duplicate')
        expect([idOf(answer), free[0]!.outcome]).toEqual([claimed.live.id, 'created'])
      else expect(free[0]).toEqual({ outcome: 'duplicate', jobId: idOf(answer) })
      for (const one of await bench.claim()) await bench.succeed(one)
    }
  })

  test('a name whose time is over is taken again while it is swept: it stays taken', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(15)) {
      const names = times(8).map((i) => `u-${round}-${i}`)
      const submit = (one: Bench, key: string) => one.store.submit([one.job({ unique: { key, for: 1000 } })])
      await Promise.all(names.map((key) => submit(bench, key)))
      for (const claimed of await bench.claim()) await bench.succeed(claimed)
      await bench.clock.advance(1000)
      let taking = true
      const sweep = async () => {
        while (taking) await stores[2].store.heal('', 100)
      }
      const take = async () => {
        for (const [i, key] of names.entries()) await submit(stores[i % 2]!, key)
      }
      await Promise.all([sweep(), take().finally(() => (taking = false))])
      expect(outcomes(await Promise.all(names.map((key) => submit(bench, key))))).toEqual(names.map(() => 'duplicate'))
    }
  })

  test('the audit chain of a tenant stays whole, whoever adds to it', async (bench) => {
    const stores = await bench.beside()
    const ids = await bench.submit(...times(40).map(() => ({})))
    await Promise.all(
      stores.flatMap((one, s) =>
        ids.map((id, i) =>
          one.apply(id, cancel(), { audit: audit({ target: `job/${s}-${i}` }), expiresAt: (at) => at + DAY }),
        ),
      ),
    )
    const entries = await bench.store.audit('default', 0, 1000)
    expect(entries.map(({ seq }) => seq)).toEqual(times(ids.length).map((i) => i + 1))
    expect(firstBreak(entries, bench.entropy.sha256)).toBeNull()
  })

  test('the last place of a limit, asked for by three at once: one has it', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(20)) {
      const limits = [{ concurrency: { key: `${round}`, limit: 2 } }, { order: `${round}` }][round % 2]!
      await bench.submit(...times(12).map(() => ({ limits })))
      const claimed = (await Promise.all(stores.map((one) => one.claim(4)))).flat()
      expect(claimed.length).toBe(round % 2 ? 1 : 2)
      let ended = 0
      for (let left = claimed; left.length > 0; left = (await Promise.all(stores.map((one) => one.claim(4)))).flat()) {
        expect(left.length).toBeLessThanOrEqual(round % 2 ? 1 : 2)
        await Promise.all(left.map((one, i) => stores[i % 3]!.succeed(one)))
        ended += left.length
      }
      expect(ended).toBe(12)
    }
  })

  test('a place is given up while another asks for it: it is not left with nobody', async (bench) => {
    const [a, b, c] = await bench.beside()
    for (const round of times(30)) {
      const limits = { concurrency: { key: `${round}`, limit: 1 } }
      const first = await bench.started({ limits })
      await bench.submit({ limits }, { limits })
      const [, claimed] = await both(
        round,
        () => a.succeed(first),
        () => Promise.all([b.claim(), c.claim()]),
      )
      let ended = 1
      // Where both asked too early, the next claim is the first to find it.
      let left = claimed.flat().length > 0 ? claimed.flat() : await bench.claim()
      for (; left.length > 0; left = await bench.claim()) {
        expect(left).toHaveLength(1)
        await bench.succeed(left[0]!)
        ended++
      }
      expect(ended).toBe(3)
    }
  })

  test('limits: never exceeded, nothing lost, always drained', async (bench) => {
    await raceLimits(await bench.beside(), 12)
  })

  test('a pause is answered: from then on no claim takes anything, also one that was under way', async (bench) => {
    const stores = await bench.beside()
    for (const round of times(12)) {
      await bench.submit(...times(60).map(() => ({})))
      let answered = false
      const claiming = stores.map(async (one, s) => {
        for (let i = 0; i < 5 && !answered; i++) await one.claim(3, { worker: `w-${s}` })
      })
      for (let i = 0; i < round % 3; i++) await bench.store.due(LANE)
      expect(await setPause(stores[round % 3]!, {}, true)).toBe(true)
      answered = true
      const before = await bench.store.check()
      await Promise.all(claiming)
      expect((await bench.store.check()).running).toBe(before.running)
      expect(await setPause(bench, {}, false)).toBe(true)
      for (let left = await bench.claim(1000); left.length > 0; left = await bench.claim(1000)) {}
    }
  })

  test('who thinks that nothing is paused finds what another has paused, and takes all the rest', async (bench) => {
    const [a, b] = await bench.beside()
    const other = laneOf('default', 'x', 'default')
    const types = (claimed: Claimed[]) => claimed.map(({ record }) => record.type)
    for (const lanes of [
      [LANE, other],
      [other, LANE],
    ]) {
      const claim = (limit = 100) =>
        a.store.claim({
          ...{ worker: 'w-1', levels: LEVELS, limit: () => limit },
          lanes: lanes.map((lane) => ({ lane, limit })),
        })
      await bench.submit({ type: 'x' })
      // Now it knows of no pause.
      expect(types(await claim())).toEqual(['x'])
      expect(await setPause(b, {}, true)).toBe(true)
      await bench.submit({}, {}, { type: 'x' }, { type: 'x' }, { type: 'x' })
      expect(types(await claim(2))).toEqual(['x', 'x'])
      expect(types(await claim())).toEqual(['x'])
      expect(await claim()).toEqual([])
      expect(await setPause(b, {}, false)).toBe(true)
      expect(types(await claim())).toEqual(['t', 't'])
      expect(await claim()).toEqual([])
    }
  })

  test('what an attempt writes is there before the rescue of its job, or it is told so and nothing of it is', async (bench) => {
    const [a, b, c] = await bench.beside()
    for (const round of times(30)) {
      const { live } = await a.started()
      const record = () =>
        a.store.record({
          ...{ jobId: live.id, epoch: live.epoch, steps: [step('s')], waits: [a.wait(live.id, 'go')] },
          ...(round % 4 < 2 ? { warnings: [{ code: 'w', message: 'm', step: null, at: 1 }] } : {}),
        })
      // As it is when the rescue is answered, it stays.
      const rescue = async () => {
        const { outcome } = await b.apply(live.id, lost)
        return { outcome, steps: await b.store.steps(live.id) }
      }
      const [held, rescued] = await both(round, record, rescue)
      if (round < 2) expect(held).toBe(round === 0)
      expect(rescued).toMatchObject({ outcome: 'moved', steps: held ? [{ key: 's' }] : [] })
      expect((await c.store.steps(live.id)).map(({ key }) => key)).toEqual(held ? ['s'] : [])
      expect((await c.store.waits(live.id)).map(({ key }) => key)).toEqual(held ? ['go'] : [])
      await expectOneStory(bench, live.id)
      await bench.apply(live.id, cancel())
    }
  })

  test('claim, cancel and deadline of the same job at once: one story', async (bench) => {
    const [a, b, c] = await bench.beside()
    for (const round of times(30)) {
      const id = await bench.submitOne({ deadlineAt: bench.clock.now() + 1 })
      const acts = [
        () => a.claim(),
        () => b.apply(id, cancel()),
        () => c.apply(id, { type: 'deadlinePassed', actor: SYSTEM }),
        () => c.apply(id, lost),
      ]
      await Promise.all(times(4).map((i) => acts[(i + round) % 4]!()))
      await expectOneStory(bench, id)
      const { live, outcome } = await bench.stored(id)
      if (live) expect(live.state).toBe('cancelling')
      else expect(['cancelled', 'failed']).toContain(outcome!.status)
    }
  })

  test('errors met at once are all counted, and each input once', async (bench) => {
    const stores = await bench.beside()
    await bench.submit(...times(30).map(() => ({})))
    const claimed = await bench.claim()
    await Promise.all(
      claimed.map((one, i) => {
        const input = `i-${i % 5}`
        const met = [seen('a', { input }), seen('b', { input })]
        return fail(stores[i % 3]!, one, i % 2 ? met : met.reverse())
      }),
    )
    for (const fingerprint of ['a', 'b'])
      expect(await bench.store.failures.get('default', fingerprint)).toMatchObject({ count: 30, jobs: 30, inputs: 5 })
  })
}
