/** Races: who wins when several write at once, and that exactly one does. */
import { expect } from 'vitest'
import { transition } from '../../core/lifecycle.js'
import { cancel, errored, lost, released, succeeded } from './bench.js'
import type { Suite } from './index.js'

export function raceTests({ test }: Suite): void {
  test('ten finishers, one winner, and the stored result is the winner’s', async (bench) => {
    for (let round = 0; round < 10; round++) {
      const claimed = await bench.started()
      const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => bench.succeed(claimed, i)))
      const winners = answers.flatMap(({ outcome }, i) => (outcome === 'moved' ? [i] : []))
      expect(winners).toHaveLength(1)
      for (const { outcome } of answers) expect(['moved', 'finished']).toContain(outcome)
      const { outcome } = await bench.stored(claimed.live.id)
      expect(outcome!.result).toBe(String(winners[0]))
      expect(await bench.store.attempts(claimed.live.id)).toHaveLength(1)
    }
  })

  test('ten finishers in ten transactions: the first one wins', async (bench) => {
    const claimed = await bench.started()
    const answers = []
    for (let i = 0; i < 10; i++) answers.push((await bench.succeed(claimed, i)).outcome)
    expect(answers).toEqual(['moved', ...Array(9).fill('finished')])
    expect((await bench.stored(claimed.live.id)).outcome!.result).toBe('0')
  })

  test('finish and cancel at once: one story, whichever came first', async (bench) => {
    const ends = new Set<string>()
    for (let round = 0; round < 8; round++) {
      const claimed = await bench.started()
      const { id } = claimed.live
      const finish = () => bench.succeed(claimed)
      const stop = () => bench.apply(id, cancel())
      const [a, b] = await Promise.all(round % 2 ? [finish(), stop()] : [stop(), finish()])
      const { live, outcome } = await bench.stored(id)
      expect(live).toBeNull()
      // A finish after the request is still a finish; a request after the finish is too late.
      expect(outcome!.status).toBe('completed')
      expect([a!.outcome, b!.outcome].sort()).toEqual(round % 2 ? ['finished', 'moved'] : ['moved', 'moved'])
      const { entries } = await bench.store.history(id, 2, 5)
      ends.add(entries.map(({ event }) => event).join(' '))
    }
    expect(ends).toEqual(new Set(['succeeded', 'cancelRequested succeeded']))
  })

  test('rescue of a dead worker from an old snapshot does not undo a finish', async (bench) => {
    const claimed = await bench.started()
    await bench.clock.advance(60_000)
    const [orphan] = await bench.store.orphans(10)
    await bench.succeed(claimed)
    const moved = await bench.store.move({
      jobId: orphan!.id,
      known: orphan,
      decide: (live, now) => transition(live, lost, now, { epoch: orphan!.epoch }),
    })
    expect(moved).toEqual({ outcome: 'finished', status: 'completed' })
    expect((await bench.stored(claimed.live.id)).outcome!.status).toBe('completed')
  })

  test('rescue from an old snapshot does not touch the next attempt', async (bench) => {
    await bench.started()
    const [orphan] = await bench.store.orphans(10)
    await bench.apply(orphan!.id, lost)
    await bench.clock.advance(1000)
    const next = await bench.claimOne('w-2')
    const rescue = {
      jobId: orphan!.id,
      known: orphan!,
      decide: (live: never, now: number) => transition(live, lost, now, { epoch: orphan!.epoch }),
    }
    expect(await bench.store.move(rescue)).toMatchObject({ outcome: 'refused', reason: 'stale-lease' })
    expect((await bench.stored(orphan!.id)).live).toEqual(next.live)
  })

  test('two rescues at once make one lost attempt', async (bench) => {
    const { live } = await bench.started()
    const rescue = () =>
      bench.store.move({ jobId: live.id, decide: (row, now) => transition(row, lost, now, { epoch: live.epoch }) })
    const answers = await Promise.all([rescue(), rescue(), rescue()])
    expect(answers.map(({ outcome }) => outcome)).toEqual(['moved', 'refused', 'refused'])
    expect((await bench.stored(live.id)).live!.losses).toBe(1)
    expect(await bench.store.attempts(live.id)).toHaveLength(1)
  })

  test('rescue against finish in one transaction: one of them, and its attempt row agrees', async (bench) => {
    for (const rescueFirst of [true, false]) {
      const claimed = await bench.started()
      const rescue = () => bench.apply(claimed.live.id, lost)
      const finish = () => bench.succeed(claimed)
      await Promise.all(rescueFirst ? [rescue(), finish()] : [finish(), rescue()])
      const attempts = await bench.store.attempts(claimed.live.id)
      expect(attempts.map(({ outcome }) => outcome)).toEqual([rescueFirst ? 'lost' : 'ok'])
      const { live, outcome } = await bench.stored(claimed.live.id)
      expect(rescueFirst ? live!.state : outcome!.status).toBe(rescueFirst ? 'queued' : 'completed')
    }
  })

  test('claim against cancel of a queued job: one history, no gap', async (bench) => {
    for (let round = 0; round < 6; round++) {
      const id = await bench.submitOne()
      await Promise.all(
        round % 2 ? [bench.claim(), bench.apply(id, cancel())] : [bench.apply(id, cancel()), bench.claim()],
      )
      const { entries } = await bench.store.history(id, 0, 10)
      expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1))
      const { live, outcome } = await bench.stored(id)
      expect((live ?? outcome)!.version).toBe(entries.length)
      if (live) expect(live.state).toBe('cancelling')
      else expect(outcome!.status).toBe('cancelled')
    }
  })

  test('whatever happens to many jobs at once, each has one end and a gapless history', async (bench) => {
    const random = bench.entropy.random
    const ids = await bench.submit(...Array.from({ length: 60 }, () => ({})))
    for (let round = 0; round < 12; round++) {
      await bench.clock.advance(10_000)
      const claimed = await bench.claim(Math.ceil(random() * 40), { worker: `w-${round}` })
      const doings: Promise<unknown>[] = []
      for (const one of claimed) {
        const choices = [
          () => bench.succeed(one, round),
          () => bench.settle(one, errored('transient')),
          () => bench.settle(one, errored('permanent')),
          () => bench.settle(one, released),
          () => bench.apply(one.live.id, lost),
          () => bench.apply(one.live.id, cancel()),
          () => bench.store.record({ jobId: one.live.id, epoch: one.live.epoch, logs: [] }),
        ]
        const count = 1 + Math.floor(random() * 3)
        for (let i = 0; i < count; i++) doings.push(choices[Math.floor(random() * choices.length)]!())
      }
      await Promise.all(doings)
      for (const orphan of await bench.store.orphans(1000)) if (random() < 0.5) await bench.apply(orphan.id, lost)
    }
    let ended = 0
    for (const id of ids) {
      const { live, outcome } = await bench.stored(id)
      const { entries } = await bench.store.history(id, 0, 200)
      expect((live === null) !== (outcome === null)).toBe(true)
      expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1))
      expect((live ?? outcome)!.version).toBe(entries.length)
      expect(entries.at(-1)!.state).toBe(live ? live.state : outcome!.status)
      for (let i = 1; i < entries.length; i++) expect(entries[i]!.epoch).toBeGreaterThanOrEqual(entries[i - 1]!.epoch)
      const attempts = await bench.store.attempts(id)
      const { epoch } = (live ?? outcome)!
      expect(attempts.map((attempt) => attempt.epoch)).toEqual(attempts.map((_, i) => i + 1))
      expect(attempts.length).toBe(
        live && (live.state === 'running' || live.state === 'cancelling') ? epoch - 1 : epoch,
      )
      if (outcome?.status === 'completed') expect(attempts.at(-1)!.outcome).toBe('ok')
      if (outcome) ended++
    }
    expect(ended).toBeGreaterThan(20)
    expect(await bench.apply(ids[0]!, succeeded)).not.toMatchObject({ outcome: 'not-found' })
  })
}
