/** Jobs that stand for finished ones: replays, compensations, notes; and the parts of the audit trail. */
import { expect } from 'vitest'
import { TIES } from '../../core/job.js'
import type { NewJob, ResolutionRow } from '../../stores/store.js'
import { audit, type Bench, CALLER, cancel, errored, type Wanted } from './bench.js'
import type { Suite } from './index.js'

async function finished(bench: Bench, wanted: Wanted = {}): Promise<string> {
  const claimed = await bench.started(wanted)
  await bench.succeed(claimed)
  return claimed.live.id
}

/** A job that undoes, or replays, a finished one. */
function standing(bench: Bench, origin: string, kind: 'compensates' | 'replayOf'): NewJob {
  const job = bench.job(kind === 'replayOf' ? { replayOf: origin } : {})
  job.live.ties |= TIES.origin
  if (kind === 'replayOf') return job
  job.record.options = { compensates: origin }
  const idempotency = { operation: 'compensate', key: origin, fingerprint: '' }
  return {
    ...job,
    idempotency,
    compensates: origin,
    audit: audit({ action: 'job.compensate', target: `job/${origin}` }),
  }
}
const note = (jobId: string, more: Partial<ResolutionRow> = {}): ResolutionRow => ({
  ...{ jobId, kind: 'acceptedAsIs', reason: 'fine', evidence: null, by: CALLER, at: 1, otherId: null },
  ...more,
})

export function linkTests({ test }: Suite): void {
  test('a compensation is linked and audited with its job, and there is one of it', async (bench) => {
    const id = await finished(bench)
    const before = await bench.stored(id)
    const [first, second] = [standing(bench, id, 'compensates'), standing(bench, id, 'compensates')]
    const answers = await Promise.all([bench.store.submit([first]), bench.store.submit([second])])
    expect(answers.flat().map(({ outcome }) => outcome)).toEqual(['created', 'replayed'])
    const after = await bench.stored(id)
    expect(after.compensatedBy).toBe(first.record.id)
    expect(after.outcome!.revision).toBe(before.outcome!.revision + 1)
    expect({ ...after.outcome, revision: 0 }).toEqual({ ...before.outcome, revision: 0 })
    const trail = await bench.store.audit('default', 0, 10)
    expect(trail.map(({ action }) => action)).toEqual(['job.compensate'])
    const { entries } = await bench.store.history(first.record.id, 0, 1)
    expect(entries[0]!.hash).toBe(trail[0]!.hash)
    expect(bench.told.at(-1)).toMatchObject({ jobId: id, done: true, revision: after.outcome!.revision })
  })

  test('the origin is noted when the other completes, and only then', async (bench) => {
    for (const [kind, resolution] of [
      ['compensates', 'compensated'],
      ['replayOf', 'superseded'],
    ] as const) {
      const id = await finished(bench)
      const failing = standing(bench, id, 'replayOf')
      await bench.store.submit([failing])
      const [claimed] = await bench.claim(1)
      await bench.settle(claimed!, errored('permanent'))
      expect((await bench.stored(id)).resolution).toBeNull()
      const job = standing(bench, id, kind)
      await bench.store.submit([job])
      await bench.clock.advance(5)
      await bench.succeed((await bench.claim(1))[0]!)
      expect((await bench.stored(id)).resolution).toMatchObject({
        ...{ kind: resolution, by: CALLER, otherId: job.record.id, at: bench.clock.now() },
      })
    }
  })

  test('a note is for finished jobs of the tenant, and a repeat with its id is none', async (bench) => {
    const id = await finished(bench)
    const { outcome } = await bench.stored(id)
    expect(await bench.store.resolve(note(id), 'other', audit(), 'op')).toBe(false)
    expect(await bench.store.resolve(note(await bench.submitOne()), 'default', audit(), 'op')).toBe(false)
    for (const at of [1, 2]) expect(await bench.store.resolve(note(id, { at }), 'default', audit(), 'op')).toBe(true)
    const after = await bench.stored(id)
    expect(after.resolution).toMatchObject({ at: 1 })
    expect(after.outcome!.revision).toBe(outcome!.revision + 1)
    expect(await bench.store.resolve(note(id, { at: 3, kind: 'resolvedManually' }), 'default', audit())).toBe(true)
    expect((await bench.stored(id)).resolution).toMatchObject({ at: 3, kind: 'resolvedManually' })
    expect(await bench.store.audit('default', 0, 10)).toHaveLength(2)
  })

  test('the trail is read by actor, action, target and time, in either order', async (bench) => {
    const who = [CALLER, { kind: 'user' as const, id: 'oidc:42', name: 'Eve' }]
    const ids = await bench.submit({}, {}, {}, { tenant: 'other' })
    for (const [i, id] of ids.entries()) {
      const draft = { actor: who[i % 2]!, action: i === 2 ? 'job.override' : 'job.cancel', target: `job/${id}` }
      await bench.apply(id, cancel(), { audit: audit({ ...draft, tenant: i === 3 ? 'other' : 'default' }) })
      await bench.clock.advance(1000)
    }
    const now = bench.clock.now()
    const seqs = async (filter: Parameters<typeof bench.store.audit>[3], after = 0) =>
      (await bench.store.audit('default', after, 10, filter)).map(({ seq }) => seq)
    expect(await seqs({})).toEqual([1, 2, 3])
    expect(await seqs({ order: 'newest' })).toEqual([3, 2, 1])
    expect(await seqs({ order: 'newest' }, 2)).toEqual([1])
    expect(await seqs({}, 2)).toEqual([3])
    expect(await seqs({ actor: 'user:oidc:42' })).toEqual([2])
    expect(await seqs({ actor: 'oidc:42' })).toEqual([2])
    expect(await seqs({ actor: 'key_1' })).toEqual([1, 3])
    expect(await seqs({ actor: 'key' })).toEqual([])
    expect(await seqs({ action: 'job.*' })).toEqual([1, 2, 3])
    expect(await seqs({ action: 'job.cancel' })).toEqual([1, 2])
    expect(await seqs({ target: `job/${ids[2]}` })).toEqual([3])
    expect(await seqs({ since: now - 3000, until: now - 2000 })).toEqual([2])
  })
}
