import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { factsOf } from './approval-open.js'
import { bodyOf, placeOf, refund } from './fixtures/approvals.js'
import {
  approvalsNeeded,
  assess,
  DEFAULT_RISK_TABLE,
  type GroupNeed,
  isHigher,
  needOf,
  RISKS,
  riskTable,
  sentenceOf,
} from './risk.js'

const facts = factsOf(bodyOf(refund()), placeOf())
const risk = fc.constantFrom(...RISKS)
const need = fc.array(
  fc.record({ group: fc.constantFrom('any', 'finance', 'legal'), n: fc.integer({ min: 1, max: 4 }) }),
  {
    maxLength: 4,
  },
)

describe('the tier of a request', () => {
  it('is what the policy says; the job can raise it and never lower it', () => {
    fc.assert(
      fc.property(risk, fc.option(risk), (said, asked) => {
        const verdict = assess(facts, () => ({ risk: said, rule: 'mine', why: 'So.' }), asked)
        if (asked !== null && isHigher(asked, said)) {
          expect(verdict).toMatchObject({ risk: asked, rule: 'asked-by-job' })
          expect(verdict.why).toContain('So.')
        } else expect(verdict).toEqual({ risk: said, rule: 'mine', why: 'So.' })
      }),
    )
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no table')
      },
      'no table',
    ],
    ['says nothing', () => undefined as never, ''],
    ['says a tier that does not exist', () => ({ risk: 'critical', rule: 'x', why: 'y' }) as never, 'critical'],
    ['gives no reason', () => ({ risk: 'low', rule: 'x' }) as never, 'low'],
  ])('is high when the policy %s', (_, policy, said) => {
    const verdict = assess(facts, policy, 'low')
    expect(verdict).toMatchObject({ risk: 'high', rule: 'policy-failed' })
    expect(verdict.why).toContain(said)
  })
})

describe('what is needed', () => {
  it('is never less than the tier asks for nor than the request asks for, and no more than both', () => {
    const of = (list: readonly GroupNeed[], group: string) => approvalsNeeded(list.filter((one) => one.group === group))
    fc.assert(
      fc.property(need, need, (tier, asked) => {
        const both = needOf(tier, asked)
        for (const group of ['finance', 'legal'])
          expect(of(both, group)).toBe(Math.max(of(tier, group), of(asked, group)))
        const named = of(both, 'finance') + of(both, 'legal')
        expect(approvalsNeeded(both)).toBe(Math.max(named, approvalsNeeded(tier), approvalsNeeded(asked)))
        expect(new Set(both.map(({ group }) => group)).size).toBe(both.length)
      }),
    )
  })

  it('two people, one of them of finance', () => {
    expect(needOf([{ group: 'any', n: 2 }], [{ group: 'finance', n: 1 }])).toEqual([
      { group: 'finance', n: 1 },
      { group: 'any', n: 1 },
    ])
  })
})

describe('the table', () => {
  it('says of each tier what it asks for', () => {
    expect(RISKS.map((tier) => sentenceOf(tier, DEFAULT_RISK_TABLE[tier]))).toEqual([
      'No risk: approved by itself and listed in the audit.',
      'Low risk: one person must approve. Whoever asked for it may approve it. Up to 20 of the same shape can be decided at once.',
      'Medium risk: one other person must approve.',
      'High risk: 2 other people must approve. Each approval needs a reason.',
    ])
    const finance = {
      ...DEFAULT_RISK_TABLE.high,
      need: [
        { group: 'finance', n: 1 },
        { group: 'any', n: 1 },
      ],
    }
    expect(sentenceOf('high', finance)).toBe(
      'High risk: 2 other people must approve, of them 1 from finance. Each approval needs a reason.',
    )
  })

  it('takes changes of a deployment and leaves the rest', () => {
    const table = riskTable({ high: { need: [{ group: 'finance', n: 2 }] }, low: { batch: 5 } })
    expect(table.high).toEqual({ ...DEFAULT_RISK_TABLE.high, need: [{ group: 'finance', n: 2 }] })
    expect(table.low.batch).toBe(5)
    expect(riskTable()).toEqual(DEFAULT_RISK_TABLE)
  })

  it.each([
    ['an unknown tier', { critical: {} }, /no tier "critical"/],
    ['a tier above none that approves by itself', { low: { need: [] } }, /low\.need/],
    ['fewer approvals for more risk', { medium: { need: [{ group: 'any', n: 3 }] } }, /high\.need/],
    [
      'a requester who approves what is of medium risk',
      { medium: { requesterMayApprove: true } },
      /medium: from medium/,
    ],
    ['a high risk that nobody has to look at', { high: { digest: false } }, /high: from medium/],
    ['batches of high risk', { high: { batch: 5 } }, /high\.batch/],
    ['half a batch', { low: { batch: 0.5 } }, /low\.batch/],
    ['approval by time', { low: { onExpire: ['approve'] } }, /low\.onExpire.*nothing is approved/],
    ['no expiry rule', { low: { onExpire: [] } }, /low\.onExpire/],
    ['no time to decide', { low: { dueMs: 0 } }, /low\.dueMs/],
    ['nobody of a group', { high: { need: [{ group: 'finance', n: 0 }] } }, /high\.need/],
  ])('refuses %s', (_, changes, message) => {
    expect(() => riskTable(changes as never)).toThrow(
      expect.objectContaining({ code: 'bad-definition', message: expect.stringMatching(message) }),
    )
  })
})
