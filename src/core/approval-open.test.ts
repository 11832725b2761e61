import { describe, expect, it } from 'vitest'
import type { ApprovalRow } from './approval.js'
import { answerOf, consequenceOf } from './approval.js'
import { decide } from './approval-decide.js'
import { askAgain, openApproval, stillAsks } from './approval-open.js'
import { always, bodyOf, DAY, decider, HOUR, NOW, placeOf, refund, rowOf, rulesOf } from './fixtures/approvals.js'
import { changedSince } from './proposal.js'
import { riskTable } from './risk.js'

const mara = decider('mara')
const rules = rulesOf()
const asked = (row: ApprovalRow) =>
  ({ decision: 'requestChanges', reason: 'Too much.', evidenceDigest: row.digest }) as const

describe('a new request', () => {
  it('has the tier of the policy, the rule of the tier, and its time', () => {
    const row = rowOf(refund({ need: [{ group: 'finance', n: 1 }], due: '10h', escalateTo: ['leads', 'board'] }))
    expect(row).toMatchObject({
      ...{ state: 'pending', risk: 'high', riskRule: 'money', policyVersion: 'default-1' },
      ...{ round: 1, proposal: 1, version: 1 },
      ...{ requestedAt: NOW, dueAt: NOW + 10 * HOUR, onExpire: 'cancel', decisions: [], earlier: [] },
      riskWhy: '"refund payments order 77" moves money.',
      assignees: ['finance', 'any'],
      escalations: [
        { at: NOW + 5 * HOUR, to: 'leads', doneAt: null },
        { at: NOW + 8 * HOUR, to: 'board', doneAt: null },
      ],
    })
    expect(row.rule.need).toEqual([
      { group: 'finance', n: 1 },
      { group: 'any', n: 1 },
    ])
    expect(answerOf(row)).toBeNull()
    expect(consequenceOf(row)).toBeNull()
  })

  it('has three days, and reminds those who are asked anyway, unless it says otherwise', () => {
    const row = rowOf()
    expect(row.dueAt).toBe(NOW + 3 * DAY)
    expect(row.escalations.map(({ to }) => to)).toEqual([null, null])
    expect(rowOf(refund({ assign: ['support'], escalateTo: ['leads'] }))).toMatchObject({
      assignees: ['support'],
      escalations: [{ to: 'leads' }, { to: 'leads' }],
    })
  })

  it('knows both the submitter and the person it is done for', () => {
    expect(rowOf(refund({ requester: { id: 'kim', name: 'Kim' } })).requesters.map(({ id }) => id)).toEqual([
      'kim',
      'sam',
    ])
    expect(rowOf(refund({ requester: { id: 'sam', name: 'S.' } })).requesters).toEqual([{ id: 'sam', name: 'S.' }])
    expect(rowOf(refund(), rules, placeOf({ submitter: null })).requesters).toEqual([])
  })

  it('of no risk is approved at once, and nobody is named for it', () => {
    const row = rowOf(refund(), rulesOf({ policy: always('none') }))
    expect(row).toMatchObject({ state: 'approved', decidedAt: NOW, decidedOutcome: 'approved', version: 1 })
    expect(answerOf(row)).toEqual({
      ...{ id: 'a-1', outcome: 'approved', data: { amount: 1240, order: '77' }, edited: false, feedback: null },
      ...{ decisions: [], reason: null, by: [] },
    })
    expect(consequenceOf(row)).toBe('resume')
    expect(rowOf(refund({ need: [{ group: 'any', n: 1 }] }), rulesOf({ policy: always('none') })).state).toBe('pending')
  })

  it('is refused when its tier does not allow its expiry rule', () => {
    const strict = rulesOf({ table: riskTable({ high: { onExpire: ['escalate', 'cancel'] } }) })
    const opened = openApproval(bodyOf(refund({ onExpire: 'continue' })), placeOf(), strict, NOW)
    expect(opened).toMatchObject({ ok: false, errors: [{ pointer: '/onExpire', code: 'not-allowed' }] })
    expect(rowOf(refund(), strict).onExpire).toBe('escalate')
  })

  it('after a wish for changes is the next round, and shows what was remarked', () => {
    const first = rowOf(refund(), rulesOf({ policy: always('medium') }))
    const changes = [{ about: '/data/amount', text: 'At most 1000.' }]
    const decided = decide(first, { ...asked(first), changes }, mara, rules, NOW + 5)
    if (!decided.ok) throw new Error(decided.message)
    const writes = [
      { target: 'payments', operation: 'refund', object: 'order 77', change: { amount: [null, 1000] as const } },
    ]
    const second = rowOf(
      refund({ writes, data: { amount: 1000, order: '77' } }),
      rules,
      placeOf({ id: 'a-2', previous: decided.row }),
    )
    expect(second).toMatchObject({ id: 'a-2', round: 2, proposal: 1, version: 1, decisions: [] })
    expect(second.earlier).toMatchObject([
      {
        approvalId: 'a-1',
        why: 'changes-requested',
        round: 1,
        by: { id: 'mara' },
        reason: 'Too much.',
        at: NOW + 5,
        changes,
      },
    ])
    expect(changedSince(second.earlier[0]!, second.request)).toMatchObject([
      { part: 'write', field: 'amount', before: 1240, after: 1000 },
      { part: 'data', field: 'amount', before: 1240, after: 1000 },
    ])
  })

  it('after anything else is a request of its own', () => {
    const previous = rowOf(refund(), rulesOf({ policy: always('none') }))
    expect(rowOf(refund(), rules, placeOf({ previous }))).toMatchObject({ round: 1, earlier: [] })
  })
})

describe('a handler that runs again', () => {
  const medium = rulesOf({ policy: always('medium') })
  const first = rowOf(refund(), medium)
  const moved = bodyOf(refund({ evidence: [{ label: 'Return receipt', quote: 'Returned opened', version: 'v4' }] }))
  const approve = (row: ApprovalRow) => {
    const decided = decide(row, { decision: 'approve', evidenceDigest: row.digest }, mara, medium, NOW + 1)
    if (!decided.ok) throw new Error(decided.message)
    return decided.row
  }

  it('and asks for the same keeps its approval, whatever the policy has become', () => {
    const row = approve(first)
    expect(stillAsks(row, bodyOf(refund()), medium.sha256)).toBe(true)
    expect(askAgain(row, bodyOf(refund()), { ...medium, policyVersion: 'p2' }, NOW + 2)).toEqual({ ok: true, row })
  })

  it('and asks for the same after an edit keeps the edit', () => {
    const row = rowOf(refund({ allow: { edit: ['amount'] } }), medium)
    const decided = decide(
      row,
      { decision: 'approve', evidenceDigest: row.digest, data: { amount: 1000 } },
      mara,
      medium,
      NOW,
    )
    if (!decided.ok) throw new Error(decided.message)
    expect(stillAsks(decided.row, bodyOf(refund()), medium.sha256)).toBe(true)
    expect(decided.answer).toMatchObject({ outcome: 'approved', edited: true, data: { amount: 1000, order: '77' } })
  })

  it('and asks for something else loses it: the request returns, with what changed', () => {
    const row = approve(first)
    expect(stillAsks(row, moved, medium.sha256)).toBe(false)
    const again = askAgain(row, moved, medium, NOW + DAY)
    if (!again.ok) throw new Error('refused')
    expect(again.row).toMatchObject({
      ...{ id: 'a-1', state: 'pending', proposal: 2, version: 3, round: 1, decidedAt: null, decidedOutcome: null },
      ...{ requestedAt: NOW + DAY, dueAt: NOW + 4 * DAY },
      earlier: [{ why: 'asked-again', digest: first.digest }],
    })
    expect(again.row.decisions).toEqual(row.decisions)
    expect(answerOf(again.row)).toBeNull()
    // Who has approved what was shown then has approved nothing of this.
    expect(
      decide(again.row, { decision: 'approve', evidenceDigest: row.digest }, mara, medium, NOW + DAY),
    ).toMatchObject({
      code: 'evidence-changed',
      params: { digest: again.row.digest, seen: first.digest },
    })
    const now = decide(again.row, { decision: 'approve', evidenceDigest: again.row.digest }, mara, medium, NOW + DAY)
    expect(now).toMatchObject({ ok: true, closed: 'approved' })
  })

  it('cannot drop a requester by naming another one', () => {
    const row = rowOf(refund({ requester: { id: 'kim', name: null } }), medium)
    const again = askAgain(row, { ...moved, requester: { id: 'lee', name: null } }, medium, NOW)
    expect(again.ok && again.row.requesters.map(({ id }) => id)).toEqual(['lee', 'kim', 'sam'])
  })

  it('cannot bring back what was rejected', () => {
    const decided = decide(
      first,
      { decision: 'reject', reason: 'No.', evidenceDigest: first.digest },
      mara,
      medium,
      NOW,
    )
    if (!decided.ok) throw new Error(decided.message)
    expect(askAgain(decided.row, moved, medium, NOW)).toMatchObject({ ok: false, errors: [{ code: 'closed' }] })
  })
})
