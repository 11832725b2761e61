/** docs/guide/approvals.md: what each of its snippets really does. */
import { LOCAL } from 'untildone'
import { createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { announce, announceHandler, appWithPolicy, policy, refund, refundHandler } from './approvals.js'
import { HttpError, orders, post } from './far-side.js'

let rig: TestRig
beforeEach(() => {
  for (const side of [orders, post]) side.reset()
})
afterEach(() => rig?.close())

// #region approve
it('pays what two others have approved', async () => {
  rig = await createTestRig([refundHandler])
  orders.refundable = { '77': 90 }
  const job = await rig.submit(refund, { order: '77', why: 'The parcel came back.' }, { onBehalfOf: { id: 'sam' } })

  await rig.approve(job, { by: 'mara', reason: 'Parcel is here.' })
  await rig.approve(job, { by: 'otto', reason: 'Slip checked.' })

  expect(await rig.untilDone(job)).toMatchObject({ status: 'completed', result: { receipt: 'refund-90' } })
})
// #endregion

// #region changed
it('does not pay when the order changed after it was approved', async () => {
  rig = await createTestRig([refundHandler])
  orders.refundable = { '77': 90 }
  const job = await rig.submit(refund, { order: '77', why: 'The parcel came back.' })
  await rig.approve(job, { by: 'mara', reason: 'Parcel is here.' })
  const { id } = await rig.approve(job, { by: 'otto', reason: 'Slip checked.' })

  orders.refundable = { '77': 40 }

  // The same approval is open again, nobody counts, and it says what differs.
  expect(await rig.approval(job)).toMatchObject({
    id,
    summary: 'Refund 40 EUR to order 77',
    quorum: { filled: 0, needed: 2 },
    earlier: [
      { why: 'asked-again', changed: expect.arrayContaining([expect.objectContaining({ before: 90, after: 40 })]) },
    ],
  })
  expect(orders.calls.refund).toBeUndefined()
  await rig.approve(job, { by: 'mara', reason: 'Still right.' })
  await rig.approve(job, { by: 'otto', reason: 'Still right.' })
  expect((await rig.untilDone(job)).result).toEqual({ receipt: 'refund-40' })
})
// #endregion

it('an edit is what is paid; a mail that fails afterwards asks nobody again', async () => {
  rig = await createTestRig([refundHandler], { approvals: { policy, policyVersion: '1' } })
  orders.refundable = { '77': 15 }
  post.trouble.send = [new HttpError(503), new HttpError(503)]
  const job = await rig.submit(refund, { order: '77', why: 'Half of it came back.' }, { onBehalfOf: { id: 'sam' } })
  const card = await rig.approve(job, { by: 'sam', data: { amount: 7 } })
  expect(card).toMatchObject({ risk: 'low', riskRule: 'small-refund', decisions: [{ data: { amount: 7 } }] })
  expect((await rig.untilDone(job)).result).toEqual({ receipt: 'refund-7' })
  expect(orders.calls.refund).toBe(1)
})

it('rounds: the wishes come back, and the next version shows what changed', async () => {
  rig = await createTestRig([announceHandler])
  const job = await rig.submit(announce, { product: 'Lamp 2' })
  await rig.requestChanges(job, { by: 'mara', reason: 'Too dry.', changes: [{ text: 'brighter than ever' }] })
  const second = await rig.approval(job)
  expect(second).toMatchObject({ round: 2, risk: 'medium', diff: [{ after: 'Lamp 2 is here: brighter than ever' }] })
  await rig.approve(job, { by: 'mara' })
  expect((await rig.untilDone(job)).result).toMatchObject({ published: 'Lamp 2 is here: brighter than ever' })

  const other = await rig.submit(announce, { product: 'Lamp 3' })
  await rig.reject(other, { by: 'mara', reason: 'Not yet.' })
  expect((await rig.untilDone(other)).result).toMatchObject({ published: null })
})

it('settings: one of the two must be of finance; an expiry rule that the tier does not allow is refused', async () => {
  const app = await appWithPolicy()
  await app.start()
  orders.refundable = { '77': 90 }
  const { id } = await app.submit(refund, { order: '77', why: 'The parcel came back.' })
  await app.engine.wait(LOCAL, id, { until: 'attention', timeoutMs: 20_000 })
  const { items } = await app.engine.approvals.list(LOCAL, { jobId: id })
  expect(await app.engine.approvals.get(LOCAL, items[0]!.id)).toMatchObject({
    rule: 'High risk: 2 other people must approve, of them 1 from finance. Each approval needs a reason.',
  })
  await app.stop()
})
