/** The snippets of docs/guide/testing-jobs.md. */
import { defineJob, until as retryUntil } from 'untildone'
import { createTestRig, type TestRig, until } from 'untildone/testing'
import { afterEach, expect, it } from 'vitest'
import { z } from 'zod'
import { bank, HttpError, post } from './far-side.js'
import { charge, chargeHandler, count, countHandler } from './steps.js'

// #region rig
let rig: TestRig
afterEach(() => rig.close())

it('charges once, however often the mail has to be tried', async () => {
  rig = await createTestRig([chargeHandler])
  post.trouble.send = [new HttpError(503), new HttpError(503)]

  const job = await rig.untilDone(await rig.submit(charge, { order: 'o-1', cents: 990 }))

  expect(job.status).toBe('completed')
  expect(bank.calls.charge).toBe(1)
})
// #endregion

// #region time
const remind = defineJob('remind', { input: z.object({ to: z.string() }) })
const remindHandler = remind.handler({ retry: retryUntil({ within: '20m' }) }, async () => {
  throw new HttpError(503)
})

it('keeps trying for twenty minutes', async () => {
  rig = await createTestRig([remindHandler])
  const { id } = await rig.submit(remind, { to: 'ada' }, { runAt: new Date(rig.clock.now() + 60_000) })

  await rig.advance('59s')
  expect(await rig.get(id)).toMatchObject({ status: 'accepted' })
  await rig.advance('10m')
  expect(await rig.get(id)).toMatchObject({ status: 'processing', done: false })
  await rig.advance('11m')
  expect(await rig.get(id)).toMatchObject({ status: 'failed', error: { code: 'exhausted' } })
})
// #endregion

// #region crash
it('pays with the same key when the process goes away after the effect and before the record', async () => {
  rig = await createTestRig([chargeHandler])
  bank.reset()
  const gone = rig.crashAt({ op: 'record', when: 'before' })
  const { id } = await rig.submit(charge, { order: 'o-2', cents: 500 })
  await gone
  await rig.restart()

  const job = await rig.untilDone(id)

  expect(bank.calls.charge).toBe(2)
  expect(bank.receiptsGiven).toBe(1)
  expect(job).toMatchObject({ status: 'completed', ops: { attempt: 2 } })
})
// #endregion

// #region real
it('waits for a real child without moving time', async () => {
  rig = await createTestRig([countHandler])
  const { id } = await rig.submit(count, { text: 'one three five' })

  await until(async () => (await rig.get(id)).done, 'the job', 20_000)

  expect(await rig.get(id)).toMatchObject({ result: { words: 3, longest: 'three' } })
})
// #endregion
