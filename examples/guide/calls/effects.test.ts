/** docs/guide/effects.md: what its snippets really do. */
import { type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { bank, directory, mail, resetAll } from './far-side.js'
import { closed, payout, payoutHandler, transfer, transferHandler } from './once.js'

let rig: TestRig
beforeEach(async () => {
  resetAll()
  closed.clear()
  rig = await createTestRig([payoutHandler, transferHandler] as JobHandler[])
})
afterEach(() => rig.close())
const input = { invoice: 'i-9', cents: 500 }
const asked = { onBehalfOf: { id: 'ada', name: 'Ada' }, permissions: ['payments.write'] }

it('once: the process dies after the money moved; the bank is asked, and not told again', async () => {
  const gone = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
  const { id } = await rig.submit(payout, input, asked)
  await gone
  expect(bank.done).toEqual(['paid 500'])
  await rig.restart()
  expect((await rig.untilDone(id)).result).toEqual({ receipt: 'paid 500' })
  expect(bank.calls.pay).toBe(1)
  const pay = (await rig.engine.steps(LOCAL, id)).find(({ name }) => name === 'pay')
  expect(pay).toMatchObject({ effect: 'once', info: { confirmed: true } })
})

it('before: what has changed while the job waited is found before anything moves', async () => {
  const { id } = await rig.submit(payout, input, { ...asked, runAt: new Date(rig.clock.now() + 60_000) })
  closed.add('i-9')
  await rig.advance('2m')
  expect(await rig.get(id)).toMatchObject({
    status: 'blocked',
    error: { message: 'Invoice i-9 was closed meanwhile.' },
  })
  expect(bank.done).toEqual([])
})

it('permissions: what was allowed at the submit must still hold', async () => {
  directory.permissions = []
  const { id } = await rig.submit(payout, input, asked)
  await rig.advance('1m')
  expect(await rig.get(id)).toMatchObject({
    status: 'blocked',
    error: {
      code: 'permission-withdrawn',
      origin: 'policy',
      message: 'Ada no longer has the permission payments.write.',
    },
  })
  expect(bank.done).toEqual([])
})

it('two submits of one operation pay once', async () => {
  const first = await rig.submit(payout, input, { ...asked, operationKey: 'invoice i-9' })
  await rig.untilDone(first)
  const second = await rig.submit(payout, input, { ...asked, operationKey: 'invoice i-9' })
  expect((await rig.untilDone(second)).result).toEqual({ receipt: 'paid 500' })
  expect(bank.done).toEqual(['paid 500'])
  expect(bank.calls.pay).toBe(1)
})

it('without a confirm a person is asked', async () => {
  const gone = rig.crashAt({ op: 'record', when: 'before', nth: 2 })
  const { id } = await rig.submit(transfer, { cents: 500 })
  await gone
  await rig.restart()
  await rig.advance('1m')
  const job = await rig.get(id)
  expect(job.status).toBe('blocked')
  expect(job.blockedOn[0]!.question).toMatchObject({ step: 'pay', answers: ['happened', 'did-not-happen', 'stop'] })
  // #region answer
  await rig.engine.answer(LOCAL, id, {
    step: 'pay',
    answer: 'happened',
    result: 'R-17',
    reason: 'Seen on the statement.',
  })
  // #endregion
  expect((await rig.untilDone(id)).result).toEqual({ receipt: 'R-17' })
  expect(bank.calls.pay).toBe(1)
})

it('an error that says that nothing happened is tried again', async () => {
  bank.trouble.pay = [Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })]
  const { id } = await rig.submit(transfer, { cents: 500 })
  expect((await rig.untilDone(id)).status).toBe('completed')
  expect([bank.calls.pay, mail.done]).toEqual([2, []])
})

it('can be interrupted anywhere', async () => {
  await assertReplaySafe(payoutHandler, input, { reset: resetAll })
  await assertReplaySafe(transferHandler, { cents: 500 }, { reset: resetAll })
})
