// The ways a refund can go when nothing breaks: who must approve, and what becomes of each decision.
import { LOCAL } from 'untildone'
import { expect, it } from 'vitest'
import { Bench, FINN, MARA, SAM } from './support.js'

it('low risk: whoever asked for it may approve it', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(1)
  expect(await bench.blocked(id)).toMatchObject({
    progress: { stage: 'finalization', stageLabel: 'Approval and payment' },
    blockedOn: [{ kind: 'approval', title: 'Refund 39.00 EUR to customer-1 for order O-1' }],
  })
  expect(await bench.rig.approval(id)).toMatchObject({
    ...{ risk: 'low', riskRule: 'small-amount', because: 'The customer writes: "The cup arrived broken."' },
    diff: [
      { target: 'payments', operation: 'refund', object: 'order O-1', field: 'amount', now: null, after: 3900 },
      { target: 'tickets', operation: 'answer', field: 'state', now: 'open', after: 'closed' },
      { target: 'tickets', field: 'answer', change: 'added' },
    ],
    evidence: [
      { label: 'Ticket T-1', quote: 'The cup arrived broken.' },
      { label: 'Ticket T-1', quote: 'Please give me my money back.' },
      { label: 'Order O-1', quote: expect.stringMatching(/^Paid \S+, 39\.00 EUR in all; 39\.00 EUR are left\.$/) },
    ],
    impact: { visibility: 'customers', people: 1 },
    rollback: { available: true, withinMs: 86_400_000, by: 'finance' },
    actor: { model: 'ticket-reader', version: '1', tools: ['shop.order', 'shop.ticket'] },
    confidenceNotes: ['The ticket names no amount, so all that is left of the order is proposed.'],
    requesters: [SAM],
  })
  await bench.rig.approve(id, { by: SAM })
  expect(await bench.rig.untilDone(id)).toMatchObject({
    status: 'completed',
    result: { status: 'refunded', amount: 3900, receipt: 'R-1', decidedBy: ['sam'] },
  })
  expect(bench.effects()).toEqual(['refund O-1 3900', 'answer O-1'])
  expect(bench.shop.ticket('T-1')).toMatchObject({ state: 'closed', answer: expect.stringContaining('on its way') })
  await bench.expectLegalHistory(id)
})

it('medium risk: somebody else must, and whoever asked is told so', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(2)
  await expect(bench.rig.approve(id, { by: SAM })).rejects.toMatchObject({ code: 'self-approval-forbidden' })
  expect(bench.effects()).toEqual([])
  await bench.rig.approve(id, { by: MARA })
  expect(await bench.rig.untilDone(id)).toMatchObject({ result: { amount: 24_900, decidedBy: ['mara'] } })
})

it('high risk: two people of the groups it names, each with a reason', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(3)
  expect(await bench.rig.approval(id)).toMatchObject({
    risk: 'high',
    rule: 'High risk: 2 other people must approve, of them 1 from support-leads and 1 from finance. Each approval needs a reason.',
  })
  await expect(bench.rig.approve(id, { by: MARA })).rejects.toMatchObject({ code: 'validation-failed' })
  await expect(bench.rig.approve(id, { by: 'otto', reason: 'Fine.' })).rejects.toMatchObject({ code: 'forbidden' })
  const reason = 'Saw the photos.'
  expect(await bench.rig.approve(id, { by: MARA, reason })).toMatchObject({ quorum: { filled: 1, needed: 2 } })
  const lead = { id: 'lena', groups: ['support-leads'] }
  await expect(bench.rig.approve(id, { by: lead, reason })).rejects.toMatchObject({
    code: 'forbidden',
    params: { groups: ['finance'] },
  })
  await bench.rig.approve(id, { by: FINN, reason: 'Within the budget.' })
  expect(await bench.rig.untilDone(id)).toMatchObject({ result: { amount: 89_900, decidedBy: ['mara', 'finn'] } })
})

it('rejected: the job completes as declined, and nothing is done', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(4)
  await bench.rig.reject(id, { by: MARA, reason: 'The size was right.' })
  expect(await bench.rig.untilDone(id)).toMatchObject({
    status: 'completed',
    result: { status: 'declined', amount: null, receipt: null, decidedBy: ['mara'] },
  })
  expect(bench.effects()).toEqual([])
  expect((await bench.decisions(id)).at(-1)).toBe('finalization/rejected people@refunds-2026-11 ')
})

it('nobody decides for three days: cancelled, and nothing is done', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(4)
  const { blockedOn } = await bench.blocked(id)
  expect(Date.parse(blockedOn[0]!.dueAt!) - bench.rig.clock.now()).toBe(3 * 86_400_000)
  expect(await bench.rig.untilDone(id, '4d')).toMatchObject({
    status: 'cancelled',
    error: { code: 'approval-expired' },
  })
  expect(bench.effects()).toEqual([])
})

it('changes wished for: the agent proposes anew, and the next version shows what is different', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(4)
  const text = 'Only one of two came in the wrong size: 60.00 EUR.'
  await bench.rig.requestChanges(id, { by: MARA, reason: 'Too much.', changes: [{ about: '/data/amount', text }] })
  expect(await bench.blocked(id)).toMatchObject({ progress: { stage: 'finalization' } })
  const card = await bench.rig.approval(id)
  expect(card).toMatchObject({ round: 2, data: { amount: 6000 }, quorum: { filled: 0 } })
  expect(card.earlier).toMatchObject([{ why: 'changes-requested', by: { id: 'mara' }, changes: [{ text }] }])
  expect(card.earlier[0]!.changed).toMatchObject([{ field: 'amount', before: 12_000, after: 6000 }, { part: 'data' }])
  await bench.rig.approve(id, { by: FINN })
  expect(await bench.rig.untilDone(id)).toMatchObject({ result: { amount: 6000, decidedBy: ['finn'] } })
  expect(bench.effects()).toEqual(['refund O-4 6000', 'answer O-4'])
  expect(bench.asked).toBe(2)
  expect((await bench.decisions(id)).map((line) => line.split(' ')[0])).toEqual([
    ...['intake/accepted', 'execution/proposed', 'execution/allowed', 'finalization/changes-requested'],
    ...['execution/proposed', 'execution/allowed', 'finalization/approved'],
  ])
  await bench.expectLegalHistory(id)
})

it('an edited amount is what is paid; one that goes beyond the tier needs the people of the higher one', async () => {
  const bench = await Bench.open()
  const [less, more] = [await bench.submit(2), await bench.submit(8)]
  const edited = await bench.rig.approve(less, { by: MARA, data: { amount: 10_000 } })
  expect(edited).toMatchObject({ state: 'approved', earlier: [{ why: 'edited', by: { id: 'mara' } }] })
  expect(await bench.rig.untilDone(less)).toMatchObject({ result: { amount: 10_000 } })
  expect(bench.effects(2)).toEqual(['refund O-2 10000', 'answer O-2'])

  const reason = 'For the trouble.'
  await bench.rig.approve(more, { by: MARA, data: { amount: 60_000 }, reason })
  expect(await bench.rig.approval(more)).toMatchObject({ risk: 'high', state: 'pending', quorum: { filled: 1 } })
  await bench.rig.approve(more, { by: FINN, reason })
  // The shop has the last word, and somebody must look.
  await bench.rig.advanceUntil(async () => (await bench.rig.get(more)).ops!.phase === 'review')
  expect(await bench.rig.get(more)).toMatchObject({
    error: { code: 'not-refundable', class: 'review', origin: 'policy' },
  })
  expect(bench.effects(8)).toEqual([])
})

it('the same key is the same job; another refund for the same ticket finds that it has been made', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(1)
  await bench.rig.approve(id, { by: SAM })
  await bench.rig.untilDone(id)
  expect(await bench.submit(1)).toBe(id)
  const second = await bench.submit(1, { key: 'another' })
  expect(await bench.rig.untilDone(second)).toMatchObject({ result: { status: 'refunded', receipt: 'R-1' } })
  expect(bench.effects()).toHaveLength(2)
  expect((await bench.rig.engine.decisions(LOCAL, second)).map(({ path }) => path)).toEqual(['intake/refunded-before'])
})
