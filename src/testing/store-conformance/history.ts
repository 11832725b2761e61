/** History: gapless per job; the audit chain: one per tenant, and an edit shows. */
import { expect } from 'vitest'
import { firstBreak } from '../../core/history.js'
import { audit, CALLER, cancel, errored, lost, retry } from './bench.js'
import type { Suite } from './index.js'

export function historyTests({ test }: Suite): void {
  test('every transition has one entry, in order, with cause, actor and reason', async (bench) => {
    const first = await bench.started()
    const { id } = first.live
    await bench.settle(first, errored())
    await bench.clock.advance(5000)
    await bench.started({}, 'w-2')
    await bench.apply(id, lost)
    await bench.clock.advance(5000)
    const third = (await bench.claim()).find(({ live }) => live.id === id)!
    await bench.settle(third, errored('review'))
    await bench.apply(id, { ...retry, reason: 'fixed it' })
    await bench.clock.advance(1)
    const fourth = (await bench.claim()).find(({ live }) => live.id === id)!
    await bench.succeed(fourth)
    const { entries } = await bench.store.history(id, 0, 100)
    expect(entries.map(({ seq, event, state, phase, epoch }) => [seq, event, state, phase, epoch].join(' '))).toEqual([
      '1 submitted queued queued 0',
      '2 claimed running running 1',
      '3 errored queued retrying 1',
      '4 claimed running running 2',
      '5 leaseExpired queued retrying 2',
      '6 claimed running running 3',
      '7 errored waiting review 3',
      '8 retryRequested queued running 3',
      '9 claimed running running 4',
      '10 succeeded completed clean 4',
    ])
    expect(entries[2]).toMatchObject({ error: { code: 'busy' }, actor: { kind: 'worker' } })
    expect(entries[7]).toMatchObject({ reason: 'fixed it', actor: CALLER })
    expect((await bench.store.attempts(id)).map(({ outcome, epoch }) => `${epoch} ${outcome}`)).toEqual([
      '1 error',
      '2 lost',
      '3 error',
      '4 ok',
    ])
  })

  test('pages carry the entry before the first, so that every step of the way is known', async (bench) => {
    const { live } = await bench.started()
    for (let i = 0; i < 3; i++) {
      await bench.apply(live.id, errored('review'))
      await bench.apply(live.id, retry)
      await bench.claim()
    }
    const whole = (await bench.store.history(live.id, 0, 100)).entries
    expect(whole).toHaveLength(11)
    for (let after = 0; after <= 11; after++) {
      for (const limit of [1, 4, 20]) {
        const { entries, before } = await bench.store.history(live.id, after, limit)
        expect(entries).toEqual(whole.slice(after, after + limit))
        expect(before).toEqual(after === 0 ? null : whole[after - 1])
      }
    }
    expect((await bench.store.history(live.id, 50, 5)).entries).toEqual([])
  })

  test('an audited move has its place in the chain of its tenant, and shows it in the history', async (bench) => {
    const ids = await bench.submit({}, {}, { tenant: 'other' })
    for (const [i, id] of ids.entries()) {
      const tenant = i === 2 ? 'other' : 'default'
      await bench.apply(id, cancel({ reason: 'no' }), {
        audit: audit({ tenant, target: `job/${id}`, details: { b: 1, a: [i] } }),
      })
    }
    const chain = await bench.store.audit('default', 0, 10)
    expect(chain.map(({ seq, target }) => `${seq} ${target}`)).toEqual([`1 job/${ids[0]}`, `2 job/${ids[1]}`])
    expect(chain[0]).toMatchObject({
      at: bench.clock.now(),
      actor: CALLER,
      action: 'job.cancel',
      reason: 'because',
      details: { b: 1, a: [0] },
    })
    expect(firstBreak(chain, bench.entropy.sha256)).toBeNull()
    expect(await bench.store.audit('other', 0, 10)).toHaveLength(1)
    const { entries } = await bench.store.history(ids[1]!, 0, 5)
    expect(entries.map(({ hash, prevHash }) => [hash, prevHash])).toEqual([
      [null, null],
      [chain[1]!.hash, chain[1]!.prevHash],
    ])
  })

  test('a chain stays whole under concurrent actions, whoever acts and whatever they write', async (bench) => {
    const ids = await bench.submit(...Array.from({ length: 30 }, () => ({})))
    const actors = [
      CALLER,
      { kind: 'user' as const, id: 'oidc:a:b', name: 'A: B' },
      { kind: 'user' as const, id: '100%25', name: '' },
    ]
    await Promise.all(
      ids.map((id, i) => {
        const draft = audit({
          actor: actors[i % 3]!,
          reason: i % 2 ? null : 'é "q" 😀 a\u0000b',
          details: i % 5 ? { n: i / 7, z: null, a: 'x' } : null,
        })
        return bench.apply(id, cancel(), { audit: draft })
      }),
    )
    const pages = [...(await bench.store.audit('default', 0, 12)), ...(await bench.store.audit('default', 12, 100))]
    expect(pages.map(({ seq }) => seq)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
    expect(firstBreak(pages, bench.entropy.sha256)).toBeNull()
    expect(pages.slice(0, 2).map(({ actor }) => actor)).toEqual(actors.slice(0, 2))
    const forged = pages.map((entry) => (entry.seq === 7 ? { ...entry, reason: 'forged' } : entry))
    expect(firstBreak(forged, bench.entropy.sha256)!.seq).toBe(7)
    await bench.reopen()
    expect(firstBreak(await bench.store.audit('default', 0, 100), bench.entropy.sha256)).toBeNull()
  })
}
