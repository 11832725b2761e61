// What was paid is taken back when the job cannot keep its promise, and a refund is made once however often it is asked for.
import { LOCAL } from 'untildone'
import { describe, expect, it } from 'vitest'
import { approvals } from './agent/policy.js'
import { WORKERS } from './start.js'
import { Bench, MARA } from './support.js'

const closedByOther = (bench: Bench, n: number) => (call: number) => {
  if (call === 1) bench.shop.answer(`T-${n}`, 'We have sent another one.', 'a-colleague')
}

describe('taken back', () => {
  it('a ticket that was answered by somebody else after the payment: the refund is voided, and the job says why', async () => {
    const bench = await Bench.open()
    bench.hooks.answer = closedByOther(bench, 2)
    let down = 2
    bench.hooks.voidRefund = () => {
      if (down-- > 0) throw Object.assign(new Error('busy'), { status: 503 })
    }
    const id = await bench.submit(2)
    await bench.rig.approve(id, { by: MARA })
    expect(await bench.rig.untilDone(id)).toMatchObject({
      status: 'failed',
      error: {
        ...{ code: 'ticket-closed', message: 'Ticket T-2 has been closed by somebody else.' },
        details: { compensation: { state: 'rolled-back', undone: ['finalization/pay'] } },
      },
    })
    expect(bench.effects()).toEqual(['refund O-2 24900', 'answer O-2', 'void O-2 24900'])
    expect(bench.shop.order('O-2')).toMatchObject({ refundable: 24_900, refunds: [{ voided: true }] })
    expect(bench.calls.voidRefund).toBe(3)
    await bench.expectLegalHistory(id)
  })

  it('a cancel after the payment', async () => {
    const bench = await Bench.open()
    // The shop does not take the answer for a while; meanwhile somebody changes their mind.
    bench.hooks.answer = () => {
      throw Object.assign(new Error('busy'), { status: 503 })
    }
    const id = await bench.submit(2)
    await bench.rig.approve(id, { by: MARA })
    await bench.rig.advanceUntil(() => bench.effects().length === 1 && bench.rig.app.running === 0)
    await bench.rig.engine.cancel(LOCAL, id, { reason: 'The customer keeps it.' })
    expect(await bench.rig.untilDone(id)).toMatchObject({ status: 'cancelled' })
    expect(bench.effects()).toEqual(['refund O-2 24900', 'void O-2 24900'])
    await bench.expectLegalHistory(id)
  })

  it('a cancel before the payment has nothing to take back', async () => {
    const bench = await Bench.open()
    const id = await bench.submit(2)
    await bench.blocked(id)
    await bench.rig.engine.cancel(LOCAL, id, {})
    expect((await bench.rig.get(id)).status).toBe('cancelled')
    expect(bench.effects()).toEqual([])
  })
})

/**
 * Paid, and the process dies before that is on record; then the shop no longer lets this service in. The job will not say
 * that it failed, because the payment may have to be taken back; in the end somebody says so by hand, and is wrong.
 */
async function paidAndFailed(operationKey: string): Promise<{ bench: Bench; id: string }> {
  const bench = await Bench.open()
  const { rig } = bench
  const id = await bench.submit(2, { operationKey })
  await bench.blocked(id)
  // The payment is announced by one record, and accounted for by the next.
  const died = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
  // The answer of this call dies with the process.
  void rig.approve(id, { by: MARA })
  await died
  expect(bench.effects()).toEqual(['refund O-2 24900'])
  bench.hooks.permissions = () => {
    throw Object.assign(new Error('Unknown key.'), { status: 401, code: 'unknown-key' })
  }
  await rig.restart()
  await rig.advanceUntil(async () => (await rig.get(id)).ops!.phase === 'review')
  const { error, version } = await rig.get(id)
  expect(error).toMatchObject({ code: 'undo-failed', details: { last: { code: 'unknown-key' } } })
  await rig.engine.override(LOCAL, id, { status: 'failed', reason: 'The shop has no such refund.', ifVersion: version })
  expect(await rig.get(id)).toMatchObject({ status: 'failed', done: true })
  expect(bench.effects()).toEqual(['refund O-2 24900'])
  bench.hooks = {}
  return { bench, id }
}

it('paid, the record lost, the shop out of reach for a while: taken back or not, it is known before the job has an end', async () => {
  const bench = await Bench.open()
  const { rig } = bench
  const id = await bench.submit(2)
  await bench.blocked(id)
  const died = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
  void rig.approve(id, { by: MARA })
  await died
  await rig.restart(undefined, { worker: false, approvals })
  await rig.advance('1m')
  await rig.engine.cancel(LOCAL, id, { reason: 'The customer keeps it.' })
  let away = 3
  bench.hooks.permissions = () => {
    if (away-- > 0) throw Object.assign(new Error('The shop is busy.'), { status: 503 })
  }
  await rig.restart(undefined, { worker: WORKERS, approvals })
  expect(await rig.untilDone(id)).toMatchObject({ status: 'cancelled' })
  expect(bench.effects()).toEqual(['refund O-2 24900', 'void O-2 24900'])
  await bench.expectLegalHistory(id)
})

it('paid, the record lost, and voided in the shop meanwhile: a person is asked what that means', async () => {
  const bench = await Bench.open()
  const { rig } = bench
  const id = await bench.submit(2)
  await bench.blocked(id)
  const died = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
  void rig.approve(id, { by: MARA })
  await died
  bench.shop.voidRefund('R-1', 'by-hand')
  await rig.restart()
  await rig.advanceUntil(async () => (await rig.get(id)).ops!.phase === 'review')
  expect((await rig.get(id)).error).toMatchObject({ code: 'effect-unknown' })
  expect(bench.effects()).toEqual(['refund O-2 24900', 'void O-2 24900'])
})

describe('made once', () => {
  it('paid, failed, and submitted again under another key: the refund that was made is found', async () => {
    const { bench } = await paidAndFailed('refund-T-2')
    const again = await bench.submit(2, { key: 'second', operationKey: 'refund-T-2' })
    expect(await bench.rig.untilDone(again)).toMatchObject({ result: { status: 'refunded', receipt: 'R-1' } })
    expect(bench.effects()).toEqual(['refund O-2 24900'])
  })

  it('paid, failed and replayed from the start, then submitted again: one refund', async () => {
    const { bench, id } = await paidAndFailed('refund-T-2')
    const { rig } = bench
    const { job } = await rig.engine.replay(LOCAL, id, { reason: 'The shop is back.', key: 'replay' })
    expect(job.id).not.toBe(id)
    expect(await rig.untilDone(job)).toMatchObject({ status: 'completed', replayOf: id, result: { receipt: 'R-1' } })
    expect(await rig.get(id)).toMatchObject({ status: 'failed', resolution: { kind: 'superseded' } })
    const again = await bench.submit(2, { key: 'second', operationKey: 'refund-T-2' })
    expect(await rig.untilDone(again)).toMatchObject({ status: 'completed', result: { receipt: 'R-1' } })
    expect(bench.effects()).toEqual(['refund O-2 24900'])
  })

  it('also by a shop whose orders are read from a copy that is behind: the ledger asks about the payment itself', async () => {
    const { bench, id } = await paidAndFailed('refund-T-2')
    const { rig, shop } = bench
    const order = shop.order.bind(shop)
    // As it was before the refund.
    shop.order = (orderId) => ({ ...order(orderId), refunds: [], refundable: 24_900, version: 1 })
    const jobs = [
      (await rig.engine.replay(LOCAL, id, { reason: 'The shop is back.', key: 'replay' })).job.id,
      await bench.submit(2, { key: 'second', operationKey: 'refund-T-2' }),
    ]
    for (const job of jobs) {
      await rig.approve(job, { by: MARA })
      expect(await rig.untilDone(job)).toMatchObject({
        status: 'completed',
        result: { receipt: 'R-1', amount: 24_900 },
      })
    }
    expect(bench.calls.refund).toBe(1)
    expect(bench.effects()).toEqual(['refund O-2 24900', 'answer O-2'])
  })
})
