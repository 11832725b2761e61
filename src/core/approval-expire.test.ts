import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decide, endOf } from './approval-decide.js'
import { expire, wakeOf, withdraw } from './approval-expire.js'
import { always, DAY, decider, HOUR, NOW, refund, rowOf, rulesOf } from './fixtures/approvals.js'
import { ON_EXPIRE, RISKS } from './risk.js'

const rules = rulesOf()
const row = rowOf(refund({ due: '10h', escalateTo: ['leads', 'board'] }))

describe('time', () => {
  it('asks the next groups after 50 % and 80 %', () => {
    expect(wakeOf(row)).toBe(NOW + 5 * HOUR)
    expect(expire(row, NOW + 5 * HOUR - 1)).toBeNull()
    const half = expire(row, NOW + 5 * HOUR)!
    expect(half).toMatchObject({ closed: null, consequence: null, answer: null })
    expect(half.escalated).toEqual([{ at: NOW + 5 * HOUR, to: 'leads', doneAt: NOW + 5 * HOUR }])
    expect(half.row).toMatchObject({ version: 2, state: 'pending', assignees: ['any', 'leads'] })
    expect(expire(half.row, NOW + 5 * HOUR)).toBeNull()
    expect(wakeOf(half.row)).toBe(NOW + 8 * HOUR)
    const late = expire(half.row, NOW + 9 * HOUR)!
    expect(late.escalated.map(({ to }) => to)).toEqual(['board'])
    expect(wakeOf(late.row)).toBe(NOW + 10 * HOUR)
  })

  it('catches up with what was missed in one go', () => {
    const caught = expire(row, NOW + 9 * HOUR)!
    expect(caught.escalated.map(({ to }) => to)).toEqual(['leads', 'board'])
    expect(caught.row.version).toBe(2)
  })

  it.each([
    ['cancel', 'cancel'],
    ['fail', 'fail'],
    ['continue', 'resume'],
  ] as const)('ends a request with onExpire %s: the job does %s', (onExpire, consequence) => {
    const open = rowOf(refund({ due: '10h', onExpire }))
    expect(expire(open, open.dueAt - 1)?.closed ?? null).toBeNull()
    const ended = expire(open, open.dueAt)!
    expect(ended).toMatchObject({ closed: 'expired', consequence, escalated: [] })
    expect(ended.answer).toMatchObject({ outcome: 'expired', data: null, by: [], reason: null })
    expect(ended.row).toMatchObject({ state: 'expired', decidedAt: open.dueAt, decidedOutcome: 'expired', version: 2 })
    expect(expire(ended.row, NOW + 99 * DAY)).toBeNull()
    expect(wakeOf(ended.row)).toBeNull()
  })

  it('escalates once, for as long again, then cancels', () => {
    const open = rowOf(refund({ due: '10h', onExpire: 'escalate', escalateTo: ['leads', 'board'] }))
    const again = expire(open, NOW + 11 * HOUR)!
    expect(again).toMatchObject({ closed: null, escalated: [{ to: null }] })
    expect(again.row).toMatchObject({ state: 'pending', dueAt: NOW + 21 * HOUR, extendedAt: NOW + 11 * HOUR })
    expect(again.row.assignees).toEqual(['any', 'leads', 'board'])
    expect(expire(again.row, NOW + 11 * HOUR)).toBeNull()
    expect(wakeOf(again.row)).toBe(NOW + 16 * HOUR)
    expect(expire(again.row, NOW + 21 * HOUR)).toMatchObject({ closed: 'expired', consequence: 'cancel' })
  })

  it('never approves, whatever the tier, the rule and the moment, and ends every request', () => {
    const moments = fc.array(fc.integer({ min: 0, max: 40 * HOUR }), { maxLength: 8 })
    fc.assert(
      fc.property(
        fc.constantFrom(...RISKS.slice(1)),
        fc.constantFrom(...ON_EXPIRE),
        moments,
        (risk, onExpire, moments) => {
          let now = rowOf(refund({ due: '10h', onExpire }), rulesOf({ policy: always(risk) }))
          for (const moment of [...moments.sort((a, b) => a - b), 40 * HOUR, 80 * HOUR]) {
            const due = wakeOf(now)
            const next = expire(now, NOW + moment)
            expect(next !== null).toBe(due !== null && due <= NOW + moment)
            if (next) expect(next.row.version).toBe(now.version + 1)
            now = next?.row ?? now
            expect(['pending', 'expired']).toContain(now.state)
          }
          expect(now.state).toBe('expired')
        },
      ),
    )
  })
})

describe('a decision at the last moment', () => {
  it.each(ON_EXPIRE)('with onExpire %s: either the decision or the end, never both', (onExpire) => {
    const open = rowOf(refund({ due: '10h', onExpire }), rulesOf({ policy: always('low') }))
    const at = (now: number) => decide(open, { decision: 'approve' }, decider('mara'), rules, now)
    expect(at(endOf(open) - 1)).toMatchObject({ ok: true, closed: 'approved' })
    expect(expire(open, endOf(open) - 1)?.closed ?? null).toBeNull()
    expect(at(endOf(open))).toMatchObject({ ok: false, code: 'approval-expired' })
    expect(expire(open, endOf(open))).toMatchObject({ closed: 'expired' })
  })
})

describe('a request taken back', () => {
  it('is closed undecided, and its job gets no answer', () => {
    const back = withdraw(row, 'job-cancelled', NOW + 1)!
    expect(back).toMatchObject({
      state: 'withdrawn',
      withdrawnBecause: 'job-cancelled',
      decidedAt: NOW + 1,
      version: 2,
    })
    expect(back.decidedOutcome).toBeNull()
    expect(expire(back, NOW + 99 * DAY)).toBeNull()
    const late = decide(back, { decision: 'approve', evidenceDigest: row.digest }, decider('mara'), rules, NOW + 2)
    expect(late).toMatchObject({ code: 'approval-already-decided', params: { state: 'withdrawn', by: null } })
  })

  it('is not possible once it is closed', () => {
    expect(withdraw(expire(row, row.dueAt)!.row, 'job-cancelled', NOW)).toBeNull()
  })
})
