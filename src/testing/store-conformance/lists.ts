/** Lists and groups, against a plain model: every filter, order and cursor position gives what filtering in memory gives. */
import { expect } from 'vitest'
import { STATUSES, type Status, type WaitKind } from '../../core/job.js'
import { statusOf } from '../../core/lifecycle.js'
import type { JobFilter, StoredJob } from '../../stores/store.js'
import { type Bench, CALLER, cancel, errored, lost, released } from './bench.js'
import type { Suite } from './index.js'

const TYPES = ['ocr.extract', 'ocr.convert', 'ocr', 'OCR.extract', 'mail%']
const WAITS: WaitKind[] = ['approval', 'review', 'signal', 'pause', 'timer', 'child']
const OTHER = { kind: 'apiKey' as const, id: 'key_12' }

/** Jobs in every state, with every attribute that a filter looks at. */
async function populate(bench: Bench, count = 28): Promise<string[]> {
  const ids: string[] = []
  const random = bench.entropy.random
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!
  for (let i = 0; i < count; i++) {
    const wanted = {
      type: one(TYPES),
      groupId: one([undefined, 'g1', 'g2']),
      operationKey: one([undefined, 'o1', 'o2']),
      tags: one([undefined, ['eu'], ['eu', 'vip'], ['e']]),
      parentId: one([undefined, undefined, ids[0]]),
      replayOf: one([undefined, undefined, ids.at(-1), ids[3]]),
      createdBy: one([CALLER, OTHER]),
      tenant: i % 15 === 14 ? 'other' : 'default',
      escalateAt: one([undefined, undefined, bench.clock.now() + 500]),
    }
    const claimed = await bench.started(wanted)
    const { id } = claimed.live
    ids.push(id)
    const kind = i % 14
    if (kind === 0) await bench.force(id, { state: 'queued', worker: null, startedAt: null, attemptAt: null })
    if (kind === 1) await bench.settle(claimed, errored('transient', { retryAfterMs: 1000 }))
    if (kind === 2) await bench.settle(claimed, released)
    if (kind === 3) await bench.apply(id, cancel())
    if (kind === 4) await bench.settle(claimed, errored('permanent'))
    if (kind === 5 || kind === 6) await bench.succeed(claimed)
    if (kind === 7) {
      await bench.apply(id, cancel())
      await bench.settle(claimed, released)
    }
    if (kind >= 8) {
      const begun = i < 14 ? {} : { startedAt: null }
      await bench.force(id, { state: 'waiting', waitKind: WAITS[kind - 8]!, worker: null, attemptAt: null, ...begun })
    }
    if (random() < 0.6) await bench.clock.advance(Math.floor(random() * 40))
    if (i === Math.floor(count / 2)) await bench.store.markLate(5)
    if (i % 20 === 10) await bench.apply(one(ids), lost)
  }
  return ids
}

const statusIn = ({ live, outcome }: StoredJob): Status => (outcome ? outcome.status : statusOf(live!))
const updatedAt = ({ live, outcome }: StoredJob): number => live?.changedAt ?? outcome!.finishedAt

function matches(job: StoredJob, filter: JobFilter, all: readonly StoredJob[], now: number): boolean {
  const { record, live, outcome } = job
  const late = live !== null && (live.lateAt !== null || (live.escalateAt !== null && live.escalateAt <= now))
  const replayed = all.some((other) => other.record.replayOf === record.id)
  const attention = statusIn(job) === 'blocked' || late || (outcome?.status === 'failed' && !replayed)
  const conditions = [
    record.tenant === filter.tenant,
    filter.ids === undefined || filter.ids.includes(record.id),
    !filter.statuses?.length || filter.statuses.includes(statusIn(job)),
    !filter.types?.length ||
      filter.types.some((type) =>
        type.endsWith('*') ? record.type.startsWith(type.slice(0, -1)) : type === record.type,
      ),
    filter.groupId === undefined || record.groupId === filter.groupId,
    filter.operationKey === undefined || record.operationKey === filter.operationKey,
    filter.parentId === undefined || record.parentId === filter.parentId,
    filter.tag === undefined || (record.options.tags ?? []).includes(filter.tag),
    filter.createdBy === undefined || `${record.createdBy.kind}:${record.createdBy.id}` === filter.createdBy,
    filter.createdAfter === undefined || record.createdAt > filter.createdAfter,
    filter.createdBefore === undefined || record.createdAt < filter.createdBefore,
    filter.updatedAfter === undefined || updatedAt(job) > filter.updatedAfter,
    filter.late === undefined || late === filter.late,
    filter.needsAttention === undefined || attention === filter.needsAttention,
    filter.order !== '-finishedAt' || outcome !== null,
  ]
  return conditions.every(Boolean)
}

const positionOf = (job: StoredJob, order: JobFilter['order']): number =>
  order === '-updatedAt' ? updatedAt(job) : order === '-finishedAt' ? job.outcome!.finishedAt : job.record.createdAt

/** The whole answer by the model. */
function model(all: readonly StoredJob[], filter: JobFilter, now: number): StoredJob[] {
  const sign = filter.order === 'createdAt' ? 1 : -1
  return all
    .filter((job) => matches(job, filter, all, now))
    .sort((a, b) => {
      const by = positionOf(a, filter.order) - positionOf(b, filter.order)
      return sign * (by || (a.record.id < b.record.id ? -1 : 1))
    })
}

const idsOf = (jobs: readonly StoredJob[]) => jobs.map(({ record }) => record.id)

export function listTests({ test }: Suite): void {
  test('each filter alone, in each order, page by page', async (bench) => {
    const ids = await populate(bench, 90)
    const all = await Promise.all(ids.map((id) => bench.stored(id)))
    const now = bench.store.now()
    const middle = all[40]!.record.createdAt
    const filters: Partial<JobFilter>[] = [
      {},
      { tenant: 'other' },
      { tenant: 'nobody' },
      ...STATUSES.map((status) => ({ statuses: [status] })),
      { statuses: ['failed', 'cancelled'] },
      { statuses: ['accepted', 'blocked'] },
      { statuses: ['processing', 'completed', 'failed'] },
      { statuses: [] },
      { types: ['ocr'] },
      { types: ['ocr.*'] },
      { types: ['ocr*', 'mail%'] },
      { types: ['OCR.*'] },
      { types: ['*'] },
      { types: ['mail_', 'ocr.extract'] },
      { types: ['nothing'] },
      { groupId: 'g1' },
      { operationKey: 'o2' },
      { parentId: ids[0]! },
      { tag: 'eu' },
      { tag: 'vip' },
      { createdBy: 'apiKey:key_1' },
      { createdBy: 'apiKey:key_12' },
      { createdAfter: middle },
      { createdBefore: middle },
      { createdAfter: middle - 100, createdBefore: middle + 100 },
      { updatedAfter: middle },
      { late: true },
      { late: false },
      { needsAttention: true },
      { needsAttention: false },
      { statuses: ['failed'], needsAttention: true, types: ['ocr*'] },
      { statuses: ['processing'], late: true, tag: 'eu', createdBy: 'apiKey:key_1' },
      { statuses: ['cancelled', 'failed'], groupId: 'g2', updatedAfter: middle },
      { statuses: ['completed', 'failed', 'cancelled'], updatedAfter: middle },
      { ids: [ids[3]!, ids[14]!, ids[50]!, 'nobody'] },
      { ids: ids.slice(0, 30), statuses: ['blocked', 'completed'] },
      { ids: [] },
    ]
    let nonEmpty = 0
    for (const some of filters) {
      for (const order of ['createdAt', '-createdAt', '-updatedAt', '-finishedAt'] as const) {
        const filter: JobFilter = { tenant: 'default', limit: 500, ...some, order }
        const wanted = idsOf(model(all, filter, now))
        const name = JSON.stringify(filter)
        expect(idsOf(await bench.store.list(filter)), name).toEqual(wanted)
        const paged: string[] = []
        for (let after: JobFilter['after']; paged.length <= wanted.length; ) {
          const page = await bench.store.list({ ...filter, limit: 7, ...(after ? { after } : {}) })
          if (page.length === 0) break
          paged.push(...idsOf(page))
          after = { value: positionOf(page.at(-1)!, order), id: page.at(-1)!.record.id }
        }
        expect(paged, `paged ${name}`).toEqual(wanted)
        if (wanted.length > 0) nonEmpty++
      }
    }
    expect(nonEmpty).toBeGreaterThan(80)
  })

  test('the words in lists are those of core, for every state and kind of waiting', async (bench) => {
    const ids = await populate(bench)
    const all = (await Promise.all(ids.map((id) => bench.stored(id)))).filter(
      ({ record }) => record.tenant === 'default',
    )
    const seen = new Set<string>()
    for (const status of STATUSES) {
      const listed = await bench.store.list({ tenant: 'default', statuses: [status], order: 'createdAt', limit: 500 })
      expect(idsOf(listed)).toEqual(idsOf(all.filter((job) => statusIn(job) === status)))
      for (const { live, outcome } of listed)
        seen.add(outcome ? outcome.status : `${live!.state} ${live!.waitKind ?? ''}`.trim())
    }
    expect([...seen].sort()).toEqual(
      [
        'queued',
        'running',
        'cancelling',
        ...WAITS.map((kind) => `waiting ${kind}`),
        'completed',
        'failed',
        'cancelled',
      ].sort(),
    )
  })

  test('a listed job is the job that find gives, without input and result', async (bench) => {
    const ids = await populate(bench)
    for (const job of await bench.store.list({ tenant: 'default', order: '-createdAt', limit: 500 })) {
      const whole = await bench.stored(job.record.id)
      const outcome = whole.outcome && { ...whole.outcome, result: null }
      expect(job).toEqual({ ...whole, outcome, record: { ...whole.record, input: 'null' } })
    }
    expect(ids.length).toBe(28)
  })

  test('supersededBy is the latest replay', async (bench) => {
    const first = await bench.submitOne()
    expect((await bench.stored(first)).supersededBy).toBeNull()
    const [, second] = await bench.submit({ replayOf: first }, { replayOf: first })
    expect((await bench.stored(first)).supersededBy).toBe(second)
  })

  test('a group counts its jobs in the six words', async (bench) => {
    const ids = await populate(bench)
    const all = (await Promise.all(ids.map((id) => bench.stored(id)))).filter(
      ({ record }) => record.tenant === 'default' && record.groupId === 'g1',
    )
    const summary = (await bench.store.group('default', 'g1'))!
    expect(summary).toMatchObject({ groupId: 'g1', total: all.length })
    for (const status of STATUSES)
      expect(summary.counts[status], status).toBe(all.filter((job) => statusIn(job) === status).length)
    expect(summary.firstCreatedAt).toBe(Math.min(...all.map(({ record }) => record.createdAt)))
    expect(summary.lastUpdatedAt).toBe(Math.max(...all.map(updatedAt)))
    const latest: Record<string, string> = {}
    for (const { record } of all) latest[record.type] = record.id
    expect(summary.latestByType).toEqual(latest)
    expect(await bench.store.group('default', 'g9')).toBeNull()
    expect(await bench.store.group('nobody', 'g1')).toBeNull()
  })
}
