// The world moves while people decide: the order, the ticket, what the requester may do. What was approved is what is paid,
// or nothing is.
import { LOCAL } from 'untildone'
import { expect, it } from 'vitest'
import { Bench, MARA, SAM } from './support.js'

it('an order that changes between approval and payment: no payment, the difference is shown, the fresh one can be approved', async () => {
  const bench = await Bench.open()
  const { rig, shop } = bench
  const id = await bench.submit(2)
  const first = await rig.approval(id)
  // Asked right before the payment, when the handler has long been handed the approval.
  const asked = bench.calls.permissions!
  bench.hooks.permissions = (call) => {
    if (call === asked + 2) shop.changeRefundable('O-2', 9_900)
  }
  await rig.approve(id, { by: MARA })
  expect(await bench.blocked(id)).toMatchObject({
    status: 'blocked',
    blockedOn: [
      { kind: 'approval', id: first.id, title: expect.stringMatching(/^Changed since it was shown: Refund 99.00 EUR/) },
    ],
  })
  expect(bench.calls.permissions).toBe(asked + 2)
  expect(bench.effects()).toEqual([])
  const again = await rig.approval(id)
  expect(again).toMatchObject({
    proposal: 2,
    state: 'pending',
    quorum: { filled: 0, needed: 1 },
    data: { amount: 9_900 },
  })
  expect(again.earlier[0]!.changed).toMatchObject([
    { part: 'write', of: 'refund payments order O-2', field: 'amount', before: 24_900, after: 9_900 },
    { part: 'evidence', of: 'Order O-2', field: 'quote' },
    { part: 'evidence', of: 'Order O-2', field: 'version', before: '1', after: '2' },
    { part: 'data', field: 'amount', before: 24_900, after: 9_900 },
  ])
  const mara = { ...LOCAL, actor: { kind: 'user', id: 'mara' } as const, person: { id: 'mara' } }
  const stale = { decision: 'approve', evidenceDigest: first.digest } as const
  await expect(rig.engine.approvals.decide(mara, id && first.id, stale)).rejects.toMatchObject({
    code: 'evidence-changed',
  })

  await rig.approve(id, { by: MARA })
  expect(await rig.untilDone(id)).toMatchObject({ status: 'completed', result: { amount: 9_900 } })
  expect(bench.effects()).toEqual(['refund O-2 9900', 'answer O-2'])
  await bench.expectLegalHistory(id)
})

it('an order of which nothing is left is put before a person', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(2)
  await bench.blocked(id)
  bench.shop.changeRefundable('O-2', 0)
  await bench.rig.approve(id, { by: MARA })
  await bench.rig.advanceUntil(async () => (await bench.rig.get(id)).ops!.phase === 'review')
  expect((await bench.rig.get(id)).error).toMatchObject({ code: 'nothing-left' })
  expect(bench.effects()).toEqual([])
})

it('a ticket that somebody else closes meanwhile is put before a person', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(2)
  await bench.blocked(id)
  bench.shop.answer('T-2', 'We have sent another one.', 'a-colleague')
  await bench.rig.approve(id, { by: MARA })
  await bench.rig.advanceUntil(async () => (await bench.rig.get(id)).ops!.phase === 'review')
  expect((await bench.rig.get(id)).error).toMatchObject({ code: 'ticket-closed' })
  expect(bench.effects()).toEqual(['answer O-2'])
})

it('a permission that is withdrawn while it waits: review, no payment; given back, it goes on', async () => {
  const bench = await Bench.open()
  const id = await bench.submit(2)
  await bench.blocked(id)
  bench.shop.allow('sam', [])
  await bench.rig.approve(id, { by: MARA })
  await bench.rig.advanceUntil(async () => (await bench.rig.get(id)).ops!.phase === 'review')
  expect((await bench.rig.get(id)).error).toMatchObject({
    ...{ code: 'permission-withdrawn', origin: 'policy', message: 'Sam no longer has the permission refunds:request.' },
    details: { withdrawn: ['refunds:request'], onBehalfOf: SAM },
  })
  await bench.rig.advance('2d')
  expect(bench.effects()).toEqual([])

  bench.shop.allow('sam', ['refunds:request'])
  await bench.rig.engine.retry(LOCAL, id, { reason: 'It was a mistake.' })
  expect(await bench.rig.untilDone(id)).toMatchObject({ status: 'completed', result: { amount: 24_900 } })
  expect(bench.effects()).toEqual(['refund O-2 24900', 'answer O-2'])
})
