/** What is kept beside the jobs: decisions of AI steps, where failures came from, notes on ends, pauses, callbacks. */
import { expect } from 'vitest'
import type { Origin } from '../../core/job.js'
import type { DecisionRow, JobFilter, PauseRow, ResolutionRow } from '../../stores/store.js'
import { audit, type Bench, CALLER, errored, errorInfo, lost } from './bench.js'
import type { Suite } from './index.js'

const decision = (jobId: string, key: string, more: Partial<DecisionRow> = {}): DecisionRow => ({
  ...{ jobId, key, at: 1, attempt: 1, path: null, model: 'opus', modelVersion: null, tools: [], fields: null },
  ...more,
})
const listed = async (bench: Bench, filter: Partial<JobFilter>) =>
  (await bench.store.list({ tenant: 'default', order: 'createdAt', limit: 50, ...filter })).map(
    ({ record }) => record.id,
  )

export function ledgerTests({ test }: Suite): void {
  test('decisions come back in order, with tools and fields; one that is recorded stays as it was', async (bench) => {
    const { live } = await bench.started()
    const rows = [
      decision(live.id, 'route', {
        at: 5,
        seq: 1,
        path: 'triage/route',
        tools: ['search', 'say "hi"'],
        fields: '{"score":0.5}',
      }),
      decision(live.id, 'answer', { at: 5, seq: 2, attempt: 2, modelVersion: '4.1' }),
    ]
    await bench.store.record({ jobId: live.id, epoch: 1, decisions: [rows[1]!] })
    await bench.store.record({
      jobId: live.id,
      epoch: 1,
      decisions: [rows[0]!, decision(live.id, 'answer', { model: 'x' })],
    })
    expect(await bench.store.decisions(live.id)).toEqual(rows)
    expect(await bench.store.decisions((await bench.started()).live.id)).toEqual([])
  })

  test('jobs are found by the model, its version and the tools of one decision', async (bench) => {
    const made: string[] = []
    const table: Partial<DecisionRow>[][] = [
      [{ model: 'opus', modelVersion: '4', tools: ['search'] }],
      [{ model: 'opus', modelVersion: '5', tools: ['search-web', 'mail'] }],
      [
        { model: 'haiku', modelVersion: '4', tools: ['search'] },
        { model: 'opus', modelVersion: '5' },
      ],
      [{ model: 'opus', tools: ['say "search"', 'ein \\ Strich', 'später'] }],
      [],
    ]
    for (const decisions of table) {
      const { live } = await bench.started()
      made.push(live.id)
      const rows = decisions.map((more, i) => decision(live.id, `d${i}`, more))
      if (rows.length > 0) await bench.store.record({ jobId: live.id, epoch: 1, decisions: rows })
    }
    const other = await bench.started({ tenant: 'b' })
    await bench.store.record({ jobId: other.live.id, epoch: 1, decisions: [decision(other.live.id, 'd')] })
    const found = async (filter: Partial<JobFilter>) => (await listed(bench, filter)).map((id) => made.indexOf(id))
    expect(await found({ model: 'opus' })).toEqual([0, 1, 2, 3])
    expect(await found({ model: 'opus', modelVersion: '5' })).toEqual([1, 2])
    expect(await found({ model: 'opus', modelVersion: '4' })).toEqual([0])
    expect(await found({ modelVersion: '4' })).toEqual([0, 2])
    expect(await found({ tool: 'search' })).toEqual([0, 2])
    expect(await found({ tool: 'search', model: 'opus' })).toEqual([0])
    expect(await found({ tool: 'say "search"' })).toEqual([3])
    expect(await found({ tool: 'ein \\ Strich' })).toEqual([3])
    expect(await found({ tool: 'später' })).toEqual([3])
    expect(await found({ tool: 'sea' })).toEqual([])
    expect(await found({ tool: 'mail', statuses: ['processing'] })).toEqual([1])
    expect(await found({ tool: 'mail', statuses: ['completed'] })).toEqual([])
  })

  test('jobs are found by where an attempt of theirs failed, whatever became of them', async (bench) => {
    const fail = async (origin: Origin | undefined, verdict: 'transient' | 'permanent') => {
      const claimed = await bench.started()
      const error = { ...errorInfo(verdict), ...(origin ? { origin } : {}) }
      await bench.settle(claimed, errored(verdict, { error }))
      return claimed.live.id
    }
    const model = await fail('model', 'permanent')
    const policy = await fail('policy', 'permanent')
    await fail(undefined, 'permanent')
    const retried = await fail('model', 'transient')
    await bench.clock.advance(5000)
    await bench.succeed(await bench.claimOne())
    const { live } = await bench.started()
    await bench.apply(live.id, lost)
    expect(await listed(bench, { origin: 'model' })).toEqual([model, retried])
    expect(await listed(bench, { origin: 'model', statuses: ['failed'] })).toEqual([model])
    expect(await listed(bench, { origin: 'policy' })).toEqual([policy])
    expect(await listed(bench, { origin: 'engine' })).toEqual([live.id])
    expect(await listed(bench, { origin: 'input' })).toEqual([])
    expect((await bench.store.attempts(model))[0]!.error!.origin).toBe('model')
  })

  test('a note on a finished job changes its revision and nothing else of it', async (bench) => {
    const claimed = await bench.started()
    const { id } = claimed.live
    const note = (more: Partial<ResolutionRow> = {}): ResolutionRow => ({
      ...{ jobId: id, kind: 'resolvedManually', reason: 'paid by hand', evidence: '{"ticket":7}', by: CALLER },
      ...{ at: bench.clock.now(), otherId: null },
      ...more,
    })
    expect(await bench.store.resolve(note(), 'default', audit())).toBe(false)
    await bench.settle(claimed, errored('permanent'))
    const before = await bench.stored(id)
    expect(before.resolution).toBeNull()
    expect(await listed(bench, { needsAttention: true })).toEqual([id])
    bench.told.length = 0
    expect(await bench.store.resolve(note(), 'other', audit())).toBe(false)
    expect(bench.told).toEqual([])
    expect(await bench.store.resolve(note(), 'default', audit({ action: 'job.resolve' }))).toBe(true)
    const revision = before.outcome!.revision + 1
    expect(await bench.stored(id)).toEqual({
      ...before,
      outcome: { ...before.outcome!, revision },
      resolution: note(),
    })
    expect(bench.told).toMatchObject([
      { jobId: id, status: 'failed', done: true, revision, version: before.outcome!.version },
    ])
    expect(await listed(bench, { needsAttention: true })).toEqual([])
    expect(await bench.store.audit('default', 0, 5)).toMatchObject([{ action: 'job.resolve' }])
    expect((await bench.store.history(id, 0, 9)).entries.at(-1)!.event).toBe('errored')

    await bench.clock.advance(10)
    const later = note({ kind: 'superseded', at: bench.clock.now(), otherId: 'other-job', evidence: null })
    await bench.store.resolve(later, 'default', audit())
    const found = await bench.stored(id)
    expect(found.resolution).toEqual(later)
    expect(found.outcome!.revision).toBe(revision + 1)
    expect(await bench.apply(id, errored())).toEqual({ outcome: 'finished', status: 'failed' })
  })

  test('pauses: set once with who and why, listed until they are taken back, each change with its entry in the audit', async (bench) => {
    const row = (more: Partial<PauseRow> = {}): PauseRow => ({
      ...{ tenant: 'default', kind: 'type', name: 't', by: CALLER, reason: 'month end', at: bench.clock.now() },
      ...more,
    })
    const first = row()
    await bench.store.pauses.set(first, true, audit({ action: 'type.pause' }))
    await bench.clock.advance(5)
    await bench.store.pauses.set(row({ reason: 'other' }), true, audit({ action: 'type.pause' }))
    const queue = row({ kind: 'queue', reason: null })
    const elsewhere = row({ tenant: 'b', at: bench.clock.now() + 1 })
    await bench.store.pauses.set(queue, true, audit({ action: 'queue.pause' }))
    await bench.store.pauses.set(elsewhere, true, audit({ tenant: 'b' }))
    expect(await bench.store.pauses.list()).toEqual([first, queue, elsewhere])
    await bench.store.pauses.set(row(), false, audit({ action: 'type.resume' }))
    await bench.store.pauses.set(row(), false, audit({ action: 'type.resume' }))
    expect(await bench.store.pauses.list()).toEqual([queue, elsewhere])
    expect((await bench.store.audit('default', 0, 9)).map(({ action }) => action)).toEqual([
      'type.pause',
      'queue.pause',
      'type.resume',
    ])
    expect(await bench.store.audit('b', 0, 9)).toHaveLength(1)
  })

  test('a callback is found by the hash of its token, and keeps what it was made with', async (bench) => {
    const { live } = await bench.started()
    const row = (more = {}) => ({
      ...{ hash: 'h1', tenant: 'default', jobId: live.id, key: 'scan', expiresAt: 500, usedAt: null, answerHash: null },
      ...more,
    })
    expect(await bench.store.callback('h1')).toBeNull()
    await bench.store.record({ jobId: live.id, epoch: 1, callbacks: [row(), row({ hash: 'h2', key: 'scan#2' })] })
    await bench.store.record({ jobId: live.id, epoch: 1, callbacks: [row({ expiresAt: 900, key: 'other' })] })
    expect(await bench.store.callback('h1')).toEqual(row())
    expect(await bench.store.callback('h2')).toEqual(row({ hash: 'h2', key: 'scan#2' }))
  })
}
