import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ApprovalRow, answerOf, countedApprovals, type DecisionKind } from './approval.js'
import { batchRefusal } from './approval-batch.js'
import { type Decided, decide, quorumState } from './approval-decide.js'
import { expire } from './approval-expire.js'
import type { Decider, DecisionInput, DecisionRefusal } from './approval-input.js'
import { quorumOf } from './approval-quorum.js'
import { always, decider, HOUR, NOW, placeOf, refund, rowOf, rulesOf } from './fixtures/approvals.js'
import { PROBLEMS } from './problems.js'
import { RISKS, type RiskPolicy, riskTable } from './risk.js'

const mara = decider('mara')
const otto = decider('otto')
const fina = decider('fina', 'finance')
const sam = decider('sam')
const low = rulesOf({ policy: always('low') })
const medium = rulesOf({ policy: always('medium') })
const high = rulesOf({ policy: always('high') })

const by = (row: ApprovalRow, who: Decider, input: Partial<DecisionInput> = {}, rules = high, now = NOW + 1) =>
  decide(row, { decision: 'approve', reason: 'Checked.', evidenceDigest: row.digest, ...input }, who, rules, now)
const ok = (result: Decided | DecisionRefusal): Decided => {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`)
  return result
}
const codeOf = (result: Decided | DecisionRefusal) => (result.ok ? 'ok' : result.code)

describe('an approval', () => {
  it('of one other person is enough at medium risk', () => {
    const row = rowOf(refund(), medium)
    const decided = ok(by(row, mara))
    expect(decided).toMatchObject({ changed: true, closed: 'approved', consequence: 'resume' })
    expect(decided.row).toMatchObject({ state: 'approved', version: 2, decidedAt: NOW + 1, decidedOutcome: 'approved' })
    expect(decided.answer).toMatchObject({
      ...{
        outcome: 'approved',
        data: { amount: 1240, order: '77' },
        edited: false,
        feedback: null,
        reason: 'Checked.',
      },
      by: [{ id: 'mara' }],
    })
    expect(decided.row.decisions).toEqual([
      {
        ...{
          by: { id: 'mara', name: null },
          actor: { kind: 'apiKey', id: 'key-of-mara' },
          groups: [],
          decision: 'approve',
        },
        ...{ at: NOW + 1, afterMs: 1, reason: 'Checked.', digest: row.digest, proposal: 1, data: null, changes: [] },
      },
    ])
  })

  it('of two others at high risk, and both are named', () => {
    const first = ok(by(rowOf(), mara))
    expect(first).toMatchObject({ closed: null, consequence: null, answer: null })
    expect(quorumState(first.row)).toEqual({ needed: 2, filled: 1, open: [{ group: 'any', n: 1 }] })
    const second = ok(by(first.row, otto))
    expect(second).toMatchObject({ closed: 'approved', answer: { by: [{ id: 'mara' }, { id: 'otto' }] } })
  })

  it('needs the groups that the request names', () => {
    const row = rowOf(refund({ need: [{ group: 'finance', n: 1 }] }))
    const first = ok(by(row, mara)).row
    const refused = by(first, otto)
    expect(refused).toMatchObject({ code: 'forbidden', params: { groups: ['finance'] } })
    expect(ok(by(first, fina)).closed).toBe('approved')
    const two = rowOf(refund({ need: [{ group: 'finance', n: 2 }] }))
    expect(by(two, mara)).toMatchObject({ code: 'forbidden', message: expect.stringContaining('finance') })
  })

  it('of the requester does not count, whichever of the two requesters it is', () => {
    const row = rowOf(refund({ requester: { id: 'kim', name: 'Kim' } }))
    for (const who of [sam, decider('kim', 'finance')])
      expect(by(row, who)).toMatchObject({
        code: 'self-approval-forbidden',
        params: { requester: who.person.id, open: ['any'] },
      })
    expect(codeOf(by(rowOf(refund(), medium), sam, {}, medium))).toBe('self-approval-forbidden')
    expect(ok(by(rowOf(refund(), low), sam, {}, low)).closed).toBe('approved')
  })

  it('is compared by person, never by key', () => {
    const otherKey = { ...mara, actor: { kind: 'user' as const, id: 'session-9' } }
    const first = ok(by(rowOf(), mara)).row
    expect(ok(by(first, otherKey))).toMatchObject({ changed: false, closed: null })
    expect(codeOf(by(rowOf(), { ...sam, actor: { kind: 'apiKey', id: 'other' } }))).toBe('self-approval-forbidden')
    expect(ok(by(first, { ...otto, actor: mara.actor })).closed).toBe('approved')
  })

  it.each(RISKS.slice(1))('up to the limit of the person: a request of %s risk', (risk) => {
    const rules = rulesOf({ policy: always(risk) })
    for (const maxRisk of RISKS) {
      const result = by(rowOf(refund(), rules), { ...mara, maxRisk }, {}, rules)
      expect(codeOf(result)).toBe(RISKS.indexOf(maxRisk) < RISKS.indexOf(risk) ? 'risk-above-limit' : 'ok')
    }
  })

  it('names what was seen from medium risk upwards, and is not counted when that has changed', () => {
    const row = rowOf(refund(), medium)
    expect(by(row, mara, { evidenceDigest: null })).toMatchObject({
      code: 'precondition-required',
      fix: expect.stringContaining('evidenceDigest'),
    })
    expect(by(row, mara, { evidenceDigest: 'sha256-00' })).toMatchObject({
      code: 'evidence-changed',
      params: { digest: row.digest, changed: [] },
    })
    expect(codeOf(by(rowOf(refund(), low), mara, { evidenceDigest: null }, low))).toBe('ok')
    expect(codeOf(by(rowOf(refund(), low), mara, { evidenceDigest: 'sha256-00' }, low))).toBe('evidence-changed')
  })

  it('needs a reason at high risk', () => {
    expect(by(rowOf(), mara, { reason: '  ' })).toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '/reason', code: 'required' }],
    })
    expect(codeOf(by(rowOf(refund(), medium), mara, { reason: null }))).toBe('ok')
  })
})

it('one person counts once, whatever the row holds', () => {
  const { row } = ok(by(rowOf(), mara))
  const twice = { ...row, decisions: [...row.decisions, ...row.decisions] }
  expect(countedApprovals(twice)).toHaveLength(1)
  expect(quorumState(twice)).toMatchObject({ filled: 1 })
})

describe('a rejection', () => {
  it.each([
    ['cancel', 'cancel'],
    ['fail', 'fail'],
    ['continue', 'resume'],
  ] as const)('by one person ends it, and with onReject %s the job does %s', (onReject, consequence) => {
    const row = ok(by(rowOf(refund({ onReject })), mara)).row
    const decided = ok(by(row, otto, { decision: 'reject', reason: 'Fraud.' }))
    expect(decided).toMatchObject({ closed: 'rejected', consequence })
    expect(decided.answer).toMatchObject({ outcome: 'rejected', data: null, reason: 'Fraud.', by: [{ id: 'otto' }] })
  })

  it('needs a reason and the digest, like an approval', () => {
    const row = rowOf(refund(), medium)
    expect(codeOf(by(row, mara, { decision: 'reject', reason: null }))).toBe('validation-failed')
    expect(codeOf(by(row, mara, { decision: 'reject', evidenceDigest: null }))).toBe('precondition-required')
  })

  it('is open to the requester and to whoever has approved before', () => {
    expect(ok(by(rowOf(), sam, { decision: 'reject' })).closed).toBe('rejected')
    expect(ok(by(ok(by(rowOf(), mara)).row, mara, { decision: 'reject' })).closed).toBe('rejected')
  })

  it('is not open to groups that are not asked', () => {
    const row = rowOf(refund({ need: [{ group: 'finance', n: 2 }] }))
    expect(codeOf(by(row, mara, { decision: 'reject' }))).toBe('forbidden')
  })
})

describe('a wish for changes', () => {
  const changes = [{ about: '/data/amount', text: 'At most 1000.' }, { text: 'Name the parcel.' }]

  it('goes back to the job, point by point', () => {
    const decided = ok(by(rowOf(), mara, { decision: 'requestChanges', reason: 'Too much.', changes }))
    expect(decided).toMatchObject({ closed: 'changes-requested', consequence: 'resume' })
    expect(decided.answer).toMatchObject({
      ...{ outcome: 'changes-requested', data: null, reason: 'Too much.', by: [{ id: 'mara' }] },
      feedback: [
        { about: '/data/amount', text: 'At most 1000.' },
        { about: null, text: 'Name the parcel.' },
      ],
    })
  })

  it('is refused where the request does not take it, and in the last round', () => {
    const refused = (row: ApprovalRow) => by(row, mara, { decision: 'requestChanges' })
    expect(refused(rowOf(refund({ allow: { changes: false } })))).toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '/decision' }],
    })
    let row = rowOf(refund({ maxRounds: 3 }))
    for (const round of [2, 3])
      row = rowOf(refund({ maxRounds: 3 }), high, placeOf({ id: `a-${round}`, previous: ok(refused(row)).row }))
    expect(row.round).toBe(3)
    expect(refused(row)).toMatchObject({
      code: 'validation-failed',
      message: expect.stringContaining('version 3 of 3'),
    })
  })
})

describe('an approval with edits', () => {
  const request = refund({ allow: { edit: ['amount'] } })

  it('is the first approval of a new proposal; earlier approvals fall away', () => {
    const one = ok(by(rowOf(request), mara)).row
    const two = ok(by(one, otto, { data: { amount: 1000 } }))
    expect(two).toMatchObject({ closed: null })
    expect(two.row).toMatchObject({ proposal: 2, version: 3, request: { data: { amount: 1000, order: '77' } } })
    expect(two.row.request.writes[0]!.fields[0]!.after).toBe(1000)
    expect(two.row.digest).not.toBe(one.digest)
    expect(two.row.earlier).toMatchObject([{ why: 'edited', digest: one.digest, by: { id: 'otto' }, proposal: 1 }])
    expect(countedApprovals(two.row).map(({ by }) => by.id)).toEqual(['otto'])
    // Who looked at the old one is told what differs.
    expect(by(two.row, fina, { evidenceDigest: one.digest })).toMatchObject({
      code: 'evidence-changed',
      params: {
        changed: [
          { part: 'write', field: 'amount', before: 1240, after: 1000 },
          { part: 'data', field: 'amount' },
        ],
      },
    })
    const three = ok(by(two.row, mara))
    expect(three).toMatchObject({
      closed: 'approved',
      answer: { edited: true, data: { amount: 1000 }, by: [{ id: 'otto' }, { id: 'mara' }] },
    })
  })

  it('is possible for somebody whose plain approval would add nothing', () => {
    const row = ok(by(rowOf({ ...request, need: [{ group: 'finance', n: 1 }] }), mara)).row
    expect(codeOf(by(row, otto))).toBe('forbidden')
    expect(codeOf(by(row, otto, { data: { amount: 1000 } }))).toBe('ok')
  })

  it('is refused for members that are not open to edits', () => {
    expect(by(rowOf(request), mara, { data: { order: '78', amount: 1 } })).toMatchObject({
      code: 'validation-failed',
      errors: [{ pointer: '/data/order', message: 'Only these can be edited: amount.' }],
    })
    const forged = JSON.parse('{"__proto__":{"amount":1}}')
    for (const data of [forged, { toString: 1 }])
      expect(by(rowOf(request), mara, { data })).toMatchObject({ code: 'validation-failed' })
    expect(by(rowOf(), mara, { data: { amount: 1 } })).toMatchObject({
      errors: [{ message: 'Nothing can be edited here.' }],
    })
  })

  it('that changes nothing is a plain approval', () => {
    const one = ok(by(rowOf(request), mara)).row
    expect(ok(by(one, otto, { data: { amount: 1240 } }))).toMatchObject({ closed: 'approved', row: { proposal: 1 } })
  })

  it('cannot slip under a tier: edited content is judged again, and the rules of its tier hold', () => {
    const policy: RiskPolicy = ({ data }) =>
      (data as { amount: number }).amount > 5000
        ? { risk: 'high', rule: 'large', why: 'More than 5000.' }
        : { risk: 'low', rule: 'small', why: 'Up to 5000.' }
    const rules = rulesOf({ policy })
    const row = rowOf(request, rules)
    const data = { amount: 9000 }
    expect(codeOf(by(row, sam, { data }, rules))).toBe('self-approval-forbidden')
    expect(codeOf(by(row, { ...mara, maxRisk: 'low' }, { data }, rules))).toBe('risk-above-limit')
    expect(codeOf(by(row, mara, { data, evidenceDigest: null }, rules))).toBe('precondition-required')
    expect(codeOf(by(row, mara, { data, reason: null }, rules))).toBe('validation-failed')
    const raised = ok(by(row, mara, { data }, rules))
    expect(raised).toMatchObject({
      closed: null,
      row: { risk: 'high', riskRule: 'large', rule: { need: [{ group: 'any', n: 2 }] } },
    })
    const finance = rowOf({ ...request, need: [{ group: 'finance', n: 1 }] }, rules)
    expect(ok(by(finance, fina, { data }, rules)).row.rule.need).toEqual([
      { group: 'finance', n: 1 },
      { group: 'any', n: 1 },
    ])
    const back = ok(by(raised.row, otto, { data: { amount: 10 } }, rules))
    expect(back.row.risk).toBe('high')
  })

  it('leaves an expiry rule behind that the higher tier does not allow', () => {
    const table = riskTable({ high: { onExpire: ['fail'] } })
    const policy: RiskPolicy = ({ data }) =>
      always((data as { amount: number }).amount > 5000 ? 'high' : 'low')({} as never)
    const rules = rulesOf({ policy, table })
    expect(ok(by(rowOf(request, rules), mara, { data: { amount: 9000 } }, rules)).row.onExpire).toBe('fail')
  })

  it('ends after ten edits', () => {
    let row = rowOf({ ...request, need: [{ group: 'any', n: 3 }] })
    for (let i = 0; i < 10; i++) row = ok(by(row, i % 2 ? mara : otto, { data: { amount: i } })).row
    expect(by(row, mara, { data: { amount: 11 } })).toMatchObject({
      code: 'validation-failed',
      message: expect.stringContaining('10 times'),
    })
    expect(row.earlier).toHaveLength(5)
    expect(ok(by(row, otto, {})).closed).toBeNull()
  })

  it('makes the digest necessary also where the tier does not ask for it', () => {
    const two = refund({ allow: { edit: ['amount'] }, need: [{ group: 'any', n: 2 }] })
    const row = ok(by(rowOf(two, low), mara, { data: { amount: 1 } }, low)).row
    expect(codeOf(by(row, otto, { evidenceDigest: null }, low))).toBe('precondition-required')
  })
})

describe('the same decision again', () => {
  it.each([
    ['approve', {}],
    ['reject', {}],
    ['requestChanges', {}],
    ['approve', { data: { amount: 1000 } }],
  ] as [DecisionKind, Partial<DecisionInput>][])(
    '%s %o of the same person: fine, and nothing changes',
    (decision, more) => {
      const row = rowOf(refund({ allow: { edit: ['amount'] } }), medium)
      const input = { decision, ...more, evidenceDigest: row.digest }
      const decided = ok(by(row, mara, input, medium))
      expect(decided.closed).not.toBeNull()
      const again = by(decided.row, mara, { ...input, reason: 'Sent twice.' }, medium, NOW + 99 * HOUR)
      expect(again).toEqual({
        ok: true,
        row: decided.row,
        changed: false,
        closed: null,
        consequence: null,
        answer: null,
      })
    },
  )

  it('is not the same with other edits, nor for a proposal that has changed since', () => {
    const row = rowOf(refund({ allow: { edit: ['amount'] } }))
    const one = ok(by(row, mara)).row
    const two = ok(by(one, otto, { data: { amount: 1000 } })).row
    expect(codeOf(by(two, mara, { evidenceDigest: row.digest }))).toBe('evidence-changed')
    expect(ok(by(two, mara))).toMatchObject({ changed: true, closed: 'approved' })
  })
})

describe('a closed request', () => {
  const closed = ok(by(rowOf(refund(), medium), mara)).row

  it('says who closed it and how, and does not change', () => {
    for (const [who, decision] of [
      [otto, 'approve'],
      [otto, 'reject'],
      [mara, 'reject'],
      [mara, 'requestChanges'],
    ] as const)
      expect(by(closed, who, { decision }, medium)).toMatchObject({
        code: 'approval-already-decided',
        params: { state: 'approved', decidedAt: NOW + 1, by: { id: 'mara' } },
      })
  })

  it('by time says so', () => {
    const row = rowOf()
    expect(codeOf(by(row, mara, {}, high, row.dueAt))).toBe('approval-expired')
    expect(codeOf(by(expire(row, row.dueAt)!.row, mara, {}, high, row.dueAt))).toBe('approval-expired')
  })
})

describe('what is sent', () => {
  it.each([
    ['/decision', { decision: 'maybe' }],
    ['/decision', { decision: undefined }],
    ['/reason', { reason: 5 }],
    ['/reason', { reason: 'x'.repeat(2049) }],
    ['/evidenceDigest', { evidenceDigest: 7 }],
    ['/data', { data: [1] }],
    ['/data', { decision: 'reject', data: { amount: 1 } }],
    ['/data/amount', { data: { amount: Number.NaN } }],
    ['/changes', { changes: [{ text: 'Less.' }] }],
    ['/changes/0/text', { decision: 'requestChanges', changes: [{ about: '/data' }] }],
    ['/changes/0/what', { decision: 'requestChanges', changes: [{ text: 'Less.', what: 1 }] }],
  ])('is told what is wrong at %s', (pointer, input) => {
    const refused = by(rowOf(), mara, input as never)
    expect(refused).toMatchObject({ code: 'validation-failed' })
    expect(!refused.ok && refused.errors.map((error) => error.pointer)).toContain(pointer)
  })
})

describe('a batch', () => {
  const rows = ['1', '2', '3'].map((id) => rowOf(refund({ data: { amount: 1240, order: id } }), low, placeOf({ id })))

  it('is of low risk, of one shape, not too many, and one of them was opened', () => {
    expect(batchRefusal(rows, [rows[1]!.digest])).toBeNull()
    expect(batchRefusal([rowOf()], [])).toBeNull()
    expect(batchRefusal(rows, [])).toMatchObject({
      code: 'validation-failed',
      message: expect.stringContaining('Open at least one'),
    })
    expect(batchRefusal([...rows, rowOf(refund(), medium)], [rows[0]!.digest])).toMatchObject({
      message: expect.stringContaining('medium risk'),
    })
    const other = rowOf(refund({ writes: [{ target: 'ledger', change: { x: [1, 2] } }] }), low)
    expect(batchRefusal([...rows, other], [rows[0]!.digest])).toMatchObject({
      message: expect.stringContaining('same shape'),
    })
    const many = Array.from({ length: 21 }, () => rows[0]!)
    expect(batchRefusal(many, [rows[0]!.digest])).toMatchObject({ message: expect.stringContaining('At most 20') })
  })
})

it('any history of decisions keeps the promises', () => {
  const people = [sam, mara, otto, fina, { ...decider('lena', 'legal'), maxRisk: 'medium' as const }]
  const step = fc.record({
    who: fc.constantFrom(...people),
    decision: fc.constantFrom<DecisionKind>('approve', 'approve', 'approve', 'reject', 'requestChanges'),
    digest: fc.constantFrom('now', 'now', 'first', 'none'),
    reason: fc.constantFrom('So.', 'So.', null),
    amount: fc.constantFrom(null, null, 1000, 1240),
    after: fc.integer({ min: 0, max: 30 * HOUR }),
  })
  const need = fc.constantFrom([], [{ group: 'finance', n: 1 }], [{ group: 'any', n: 3 }])
  fc.assert(
    fc.property(fc.constantFrom(...RISKS.slice(1)), need, fc.array(step, { maxLength: 12 }), (risk, need, steps) => {
      const rules = rulesOf({ policy: always(risk) })
      const first = rowOf(refund({ need, allow: { edit: ['amount'] }, maxRounds: 1 + steps.length }), rules)
      let row = first
      let now = NOW
      for (const { who, decision, digest, reason, amount, after } of steps) {
        now += after
        const data = amount === null || decision !== 'approve' ? null : { amount }
        const evidenceDigest = { now: row.digest, first: first.digest, none: null }[digest]
        const result = decide(row, { decision, reason, evidenceDigest, data }, who, rules, now)
        if (!result.ok) {
          expect(PROBLEMS).toHaveProperty(result.code)
          continue
        }
        // A closed row never changes; an open one gains one decision and one version.
        if (!result.changed) expect(result.row).toBe(row)
        else {
          expect(row.state).toBe('pending')
          expect(now).toBeLessThan(row.dueAt)
          expect(result.row.version).toBe(row.version + 1)
          expect(result.row.decisions.slice(0, -1)).toEqual(row.decisions)
          expect(result.closed !== null).toBe(result.row.state !== 'pending')
          expect(result.answer).toEqual(answerOf(result.row))
        }
        row = result.row
      }
      if (row.state === 'approved') {
        const counted = countedApprovals(row)
        expect(quorumOf(row.rule.need, counted).open).toEqual([])
        expect(new Set(counted.map(({ by }) => by.id)).size).toBe(counted.length)
        if (risk !== 'low') expect(counted.map(({ by }) => by.id)).not.toContain('sam')
        if (risk === 'high') expect(counted.map(({ by }) => by.id)).not.toContain('lena')
        // Whoever did not make the edit themselves has seen exactly what is approved.
        if (risk !== 'low') for (const one of counted) if (one.data === null) expect(one.digest).toBe(row.digest)
      }
      const last = row.decisions.at(-1)
      if (row.decisions.some(({ decision }) => decision === 'reject')) {
        expect(row.state).toBe('rejected')
        expect(last?.decision).toBe('reject')
      }
    }),
    { numRuns: 500 },
  )
})
