/** Approvals: stored with the attempt that asks, decided once whoever else writes, in step with their job. */
import { expect } from 'vitest'
import { type ApprovalRow, consequenceOf } from '../../core/approval.js'
import { decide, shownOf } from '../../core/approval-decide.js'
import { expire, wakeOf } from '../../core/approval-expire.js'
import { askAgain } from '../../core/approval-open.js'
import { always, bodyOf, DAY, decider, placeOf, refund, rowOf, rulesOf } from '../../core/fixtures/approvals.js'
import type { LiveJob } from '../../core/job.js'
import type { ApprovalChange, ApprovalWrite, Claimed } from '../../stores/store.js'
import { audit, type Bench, CALLER, cancel, SYSTEM, type Wanted, WORKER } from './bench.js'
import type { Suite } from './index.js'

const rules = rulesOf({ policy: always('medium') })
const two = rulesOf({ policy: always('high') })

/** A job that waits for its approval, and the approval. */
export async function asked(
  bench: Bench,
  more: { with?: typeof rules; wanted?: Wanted; key?: string; request?: object } = {},
) {
  const claimed = await bench.started(more.wanted)
  const row = newRow(bench, claimed, more)
  await suspend(bench, claimed, row)
  return { claimed, row, jobId: row.jobId }
}

function newRow(bench: Bench, { record }: Claimed, more: { with?: typeof rules; key?: string; request?: object } = {}) {
  const { key = 'payout' } = more
  const ids = { id: `apr_${bench.entropy.token(9)}`, tenant: record.tenant, jobId: record.id, jobType: record.type }
  return rowOf(refund(more.request), more.with ?? rules, placeOf({ ...ids, key, gate: key }), bench.clock.now())
}
const waitOf = (row: ApprovalRow) => ({
  ...{ jobId: row.jobId, key: row.key, kind: 'approval' as const, name: row.gate, childId: null },
  ...{ dueAt: wakeOf(row), createdAt: row.requestedAt },
})

function suspend(bench: Bench, claimed: Claimed, ...rows: ApprovalRow[]) {
  const wait = shownOf(rows[0]!)
  const { epoch, id } = claimed.live
  return bench.settle(
    claimed,
    { type: 'suspended', actor: WORKER, waitKind: 'approval', wakeAt: null, wait },
    {
      record: { jobId: id, epoch, approvals: rows, waits: rows.map(waitOf) },
      blockedOn: rows.map(({ key }) => key),
    },
  )
}

/** What the engine makes of a changed row. */
function write(row: ApprovalRow, what: string): ApprovalWrite {
  const consequence = consequenceOf(row)
  const stop = { status: 'cancelled', phase: 'rejected', code: 'approval-rejected', message: 'Rejected.' } as const
  return {
    row,
    ...{ actor: CALLER, by: `approval ${row.gate}`, reason: what, details: { approval: row.id } },
    ...(consequence === 'cancel' ? { stop } : {}),
    audit: audit({ action: `approval.${what}`, target: `approval/${row.id}` }),
  }
}

export function deciding(bench: Bench, id: string, who: string, decision: 'approve' | 'reject', by = rules) {
  let refused: string | null = null
  const change: ApprovalChange = {
    ...{ id, tenant: 'default', expiresAt: (at: number) => at + 30 * DAY },
    apply: (row, now) => {
      const input = { decision, reason: 'because', evidenceDigest: row.digest }
      const decided = decide(row, input, decider(who), by, now)
      refused = decided.ok ? null : decided.code
      return decided.ok && decided.changed ? write(decided.row, decision) : null
    },
  }
  return bench.store.decide(change).then(({ outcome }) => refused ?? outcome)
}

function expiring(bench: Bench, id: string) {
  return bench.store.decide({
    id,
    apply: (row, now) => {
      const done = expire(row, now)
      return done && { ...write(done.row, 'expire'), actor: SYSTEM }
    },
  })
}
const auditOf = async (bench: Bench) => (await bench.store.audit('default', 0, 500)).map(({ action }) => action)

export function approvalTests({ test }: Suite): void {
  test('is stored with the attempt that asks: row, wait and blocked job in one commit', async (bench) => {
    const { row, jobId } = await asked(bench)
    expect(await bench.store.approval(row.id)).toEqual(row)
    expect(await bench.store.approvalsOf(jobId)).toEqual([row])
    expect(await bench.store.waits(jobId)).toEqual([waitOf(row)])
    const { live } = await bench.stored(jobId)
    expect(live).toMatchObject({ state: 'waiting', waitKind: 'approval', wakeAt: null, why: { wait: shownOf(row) } })
    expect(await bench.store.approval('apr_none')).toBeNull()
    expect(await bench.store.approvalsOf('none')).toEqual([])
  })

  test('whoever lost the lease stores none', async (bench) => {
    const claimed = await bench.started()
    const row = newRow(bench, claimed)
    const { id, epoch } = claimed.live
    expect(await bench.store.record({ jobId: id, epoch: epoch - 1, approvals: [row], waits: [waitOf(row)] })).toBe(
      false,
    )
    expect(await bench.store.approvalsOf(id)).toEqual([])
  })

  test('a key of a job is asked once', async (bench) => {
    const claimed = await bench.started()
    const { id, epoch } = claimed.live
    const record = () => {
      const row = newRow(bench, claimed)
      return bench.store.record({ jobId: id, epoch, approvals: [row], waits: [waitOf(row)] })
    }
    expect(await record()).toBe(true)
    await expect(record()).rejects.toThrow()
    expect(await bench.store.approvalsOf(id)).toHaveLength(1)
  })

  test('approved: the wait is recorded, the job wakes, both told in one history and audit', async (bench) => {
    const { row, jobId } = await asked(bench)
    expect(await deciding(bench, row.id, 'mara', 'approve')).toBe('changed')
    const { live } = await bench.stored(jobId)
    expect(live).toMatchObject({ state: 'queued', waitKind: null })
    expect(await bench.store.waits(jobId)).toEqual([])
    const [step] = await bench.store.steps(jobId)
    expect(step).toMatchObject({ key: 'payout', kind: 'approval', attempt: 1 })
    expect(JSON.parse(step!.result!)).toEqual({ is: 'value', value: { approval: row.id, state: 'approved' } })
    const { entries } = await bench.store.history(jobId, 3, 10)
    expect(entries).toMatchObject([{ event: 'woken', actor: CALLER, details: { approval: row.id } }])
    const [entry] = await bench.store.audit('default', 0, 10)
    expect(entries[0]!.hash).toBe(entry!.hash)
    expect(bench.told.at(-1)).toMatchObject({ jobId, status: 'processing' })
  })

  test('rejected: the job ends by it, and what else it waits for is taken back', async (bench) => {
    const claimed = await bench.started()
    const [row, other] = [newRow(bench, claimed), newRow(bench, claimed, { key: 'other' })]
    await suspend(bench, claimed, row, other)
    expect(await deciding(bench, row.id, 'mara', 'reject')).toBe('changed')
    const { live, outcome } = await bench.stored(row.jobId)
    expect(live).toBeNull()
    expect(outcome).toMatchObject({ status: 'cancelled', phase: 'rejected', error: { code: 'approval-rejected' } })
    expect(outcome!.expiresAt).toBe(bench.clock.now() + 30 * DAY)
    expect(await bench.store.approval(row.id)).toMatchObject({ state: 'rejected' })
    expect(await bench.store.approval(other.id)).toMatchObject({ state: 'withdrawn', version: other.version + 1 })
    expect(await bench.store.waits(row.jobId)).toEqual([])
    expect(await deciding(bench, other.id, 'mara', 'approve')).toBe('approval-already-decided')
  })

  test('the first of two moves no job, and says how far it is', async (bench) => {
    const { row, jobId } = await asked(bench, { with: two })
    const before = (await bench.stored(jobId)).live!
    await bench.clock.advance(1000)
    expect(await deciding(bench, row.id, 'mara', 'approve', two)).toBe('changed')
    const { live } = await bench.stored(jobId)
    expect(live).toEqual({
      ...before,
      ...{
        revision: before.revision + 1,
        why: { ...before.why, wait: { ...before.why!.wait, quorum: { filled: 1, needed: 2 } } },
      },
    } as LiveJob)
    expect(bench.told.at(-1)).toMatchObject({ jobId, revision: before.revision + 1, status: 'blocked' })
    expect(await bench.store.waits(jobId)).toEqual([waitOf(row)])
    expect(await deciding(bench, row.id, 'otto', 'approve', two)).toBe('changed')
    expect((await bench.stored(jobId)).live!.state).toBe('queued')
  })

  test('ten deciders at once, and ten one after the other: one counts', async (bench) => {
    for (let round = 0; round < 10; round++) {
      const { row, jobId } = await asked(bench)
      const one = (i: number) => deciding(bench, row.id, `p${i}`, i % 2 === round % 2 ? 'approve' : 'reject')
      const answers: string[] = []
      if (round < 5) answers.push(...(await Promise.all(Array.from({ length: 10 }, (_, i) => one(i)))))
      else for (let i = 0; i < 10; i++) answers.push(await one(i))
      expect(answers).toEqual(['changed', ...Array(9).fill('approval-already-decided')])
      const stored = (await bench.store.approval(row.id))!
      expect(stored.decisions).toHaveLength(1)
      expect(stored.state).toBe(round % 2 ? 'rejected' : 'approved')
      expect((await bench.stored(jobId)).outcome?.status ?? 'queued').toBe(round % 2 ? 'cancelled' : 'queued')
    }
    expect(await auditOf(bench)).toHaveLength(10)
  })

  test('two approvals of two people at once are both counted', async (bench) => {
    for (let round = 0; round < 5; round++) {
      const { row, jobId } = await asked(bench, { with: two })
      await Promise.all(['mara', 'otto'].map((who) => deciding(bench, row.id, who, 'approve', two)))
      expect(await bench.store.approval(row.id)).toMatchObject({ state: 'approved', version: row.version + 2 })
      expect((await bench.stored(jobId)).live!.state).toBe('queued')
    }
  })

  test('decision, expiry, cancel and the end at once: one story, and job and approval agree', async (bench) => {
    const orders = permutations([0, 1, 2, 3])
    for (const order of orders) {
      const { row, jobId } = await asked(bench, { request: { due: '1h' } })
      await bench.clock.advance(3_600_000)
      const acts = [
        () => deciding(bench, row.id, 'mara', 'approve'),
        () => expiring(bench, row.id),
        () => bench.apply(jobId, cancel()),
        () => bench.apply(jobId, { type: 'deadlinePassed', actor: SYSTEM }),
      ]
      await Promise.all(order.map((i) => acts[i]!()))
      const approval = (await bench.store.approval(row.id))!
      const { outcome } = await bench.stored(jobId)
      // Too late to decide, so it has expired, unless the job ended before.
      expect(['expired', 'withdrawn']).toContain(approval.state)
      expect(approval.version).toBe(row.version + 1)
      const expected = { expired: ['rejected'], withdrawn: ['byCaller', 'deadline'] }[approval.state as 'expired']
      expect(expected).toContain(outcome!.phase)
      expect(await bench.store.waits(jobId)).toEqual([])
      const { entries } = await bench.store.history(jobId, 0, 20)
      expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1))
    }
  })

  test('a decision just before its time is over, and the expiry just after: the decision holds', async (bench) => {
    for (const first of ['decide', 'expire'] as const) {
      const { row, jobId } = await asked(bench, { request: { due: '1h' } })
      await bench.clock.advance(3_599_999)
      const acts = { decide: () => deciding(bench, row.id, 'mara', 'approve'), expire: () => expiring(bench, row.id) }
      await Promise.all([acts[first](), acts[first === 'decide' ? 'expire' : 'decide']()])
      expect((await bench.store.approval(row.id))!.state).toBe('approved')
      expect((await bench.stored(jobId)).live!.state).toBe('queued')
      expect(await bench.store.waits(jobId)).toEqual([])
    }
  })

  test('is due at its reminders and at its end, and at no time in between', async (bench) => {
    const { row, jobId } = await asked(bench, { request: { due: '10h' } })
    const due = async () => (await bench.store.dueWaits(10)).map(({ key }) => key)
    for (const [hours, left] of [
      [4, []],
      [1, ['payout']],
    ] as const) {
      await bench.clock.advance(hours * 3_600_000)
      expect(await due()).toEqual(left)
    }
    expect(await expiring(bench, row.id)).toMatchObject({ outcome: 'changed', row: { state: 'pending' } })
    expect(await due()).toEqual([])
    expect(await expiring(bench, row.id)).toMatchObject({ outcome: 'unchanged' })
    expect((await bench.store.waits(jobId))[0]!.dueAt).toBe(row.requestedAt + 8 * 3_600_000)
    await bench.clock.advance(5 * 3_600_000)
    expect(await due()).toEqual(['payout'])
    await expiring(bench, row.id)
    expect(await due()).toEqual([])
    expect((await bench.stored(jobId)).outcome!.status).toBe('cancelled')
  })

  test('asked again by the attempt that holds the job: open, waited for, its record gone', async (bench) => {
    const { row, jobId } = await asked(bench)
    await deciding(bench, row.id, 'mara', 'approve')
    const again = await bench.claimOne()
    const body = bodyOf(refund({ summary: 'Another', data: { amount: 1240, order: '78' } }))
    const ask = (epoch: number) =>
      bench.store.decide({
        ...{ id: row.id, epoch },
        apply: (before, now) => {
          const opened = askAgain(before, body, rules, now)
          return opened.ok && opened.row !== before ? write(opened.row, 'askAgain') : null
        },
      })
    expect(await ask(again.live.epoch - 1)).toEqual({ outcome: 'stale-lease' })
    expect(await ask(again.live.epoch)).toMatchObject({ outcome: 'changed', row: { state: 'pending', proposal: 2 } })
    expect(await ask(again.live.epoch)).toMatchObject({ outcome: 'unchanged' })
    const stored = (await bench.store.approval(row.id))!
    expect(await bench.store.steps(jobId)).toEqual([])
    expect(await bench.store.waits(jobId)).toEqual([waitOf(stored)])
    expect((await bench.stored(jobId)).live!.state).toBe('running')
    expect(await deciding(bench, row.id, 'otto', 'approve')).toBe('changed')
    // Decided while its attempt still runs: it is there when the attempt leaves, which then wakes at once.
    const wait = shownOf(stored)
    await bench.settle(
      again,
      { type: 'suspended', actor: WORKER, waitKind: 'approval', wakeAt: null, wait },
      { blockedOn: ['payout'] },
    )
    expect((await bench.stored(jobId)).live!.state).toBe('queued')
  })

  test('is unknown to other tenants', async (bench) => {
    const { row } = await asked(bench, { wanted: { tenant: 'other' } })
    expect(await deciding(bench, row.id, 'mara', 'approve')).toBe('not-found')
    expect(await deciding(bench, 'apr_none', 'mara', 'approve')).toBe('not-found')
    const filter = { order: 'dueAt', limit: 10 } as const
    expect(await bench.store.approvals({ tenant: 'default', ...filter })).toEqual([])
    expect(await bench.store.approvals({ tenant: 'other', ...filter })).toEqual([row])
  })

  test('is listed by state, tier, type, gate, job and group, in two orders, page by page', async (bench) => {
    const rows: ApprovalRow[] = []
    for (let i = 0; i < 6; i++) {
      const claimed = await bench.started({ type: i < 3 ? 'a.one' : 'b' })
      const row = newRow(bench, claimed, {
        ...{ with: i % 2 ? two : rules, key: i === 5 ? 'gate' : 'payout' },
        request: { due: `${10 - i}h`, assign: i === 2 ? ['finance', 'legal "x"'] : ['crm'] },
      })
      await suspend(bench, claimed, row)
      rows.push(row)
      await bench.clock.advance(1000)
    }
    await deciding(bench, rows[0]!.id, 'mara', 'approve')
    const ids = async (filter: object) => {
      const found = await bench.store.approvals({ tenant: 'default', order: 'dueAt', limit: 10, ...filter })
      return found.map(({ id }) => rows.findIndex((row) => row.id === id))
    }
    expect(await ids({})).toEqual([5, 4, 3, 2, 1, 0])
    expect(await ids({ order: '-requestedAt' })).toEqual([5, 4, 3, 2, 1, 0])
    expect(await ids({ states: ['pending'] })).toEqual([5, 4, 3, 2, 1])
    expect(await ids({ states: ['approved', 'rejected'] })).toEqual([0])
    expect(await ids({ risks: ['high'] })).toEqual([5, 3, 1])
    expect(await ids({ types: ['a.*'] })).toEqual([2, 1, 0])
    expect(await ids({ types: ['b', 'c'], gate: 'payout' })).toEqual([4, 3])
    expect(await ids({ jobId: rows[3]!.jobId })).toEqual([3])
    expect(await ids({ assignees: ['finance'] })).toEqual([2])
    expect(await ids({ assignees: ['legal "x"', 'nobody'] })).toEqual([2])
    expect(await ids({ assignees: ['fin'] })).toEqual([])
    for (const order of ['dueAt', '-requestedAt'] as const) {
      const seen: number[] = []
      for (let after: { value: number; id: string } | undefined; ; ) {
        const page = await ids({ order, limit: 2, ...(after ? { after } : {}) })
        if (page.length === 0) break
        seen.push(...page)
        const { id, dueAt, requestedAt } = rows[page.at(-1)!]!
        after = { value: order === 'dueAt' ? dueAt : requestedAt, id }
      }
      expect(seen).toEqual([5, 4, 3, 2, 1, 0])
    }
  })

  test('is kept as long as its job', async (bench) => {
    const { row, jobId } = await asked(bench)
    await deciding(bench, row.id, 'mara', 'reject')
    await bench.clock.advance(31 * DAY)
    expect(await bench.store.expire(10)).toBeGreaterThan(0)
    expect(await bench.store.approval(row.id)).toBeNull()
    expect(await bench.store.approvalsOf(jobId)).toEqual([])
  })
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]))
}
