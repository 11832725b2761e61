/** docs/guide/compensation.md: what its snippets really do. */
import { type JobHandler, LOCAL } from 'untildone'
import { assertReplaySafe, createTestRig, type TestRig } from 'untildone/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { HttpError } from '../far-side.js'
import { bank, desk, resetAll } from './far-side.js'
import { trip, tripHandler } from './undo.js'

let rig: TestRig
beforeEach(async () => {
  resetAll()
  rig = await createTestRig([tripHandler] as JobHandler[])
})
afterEach(() => rig.close())
const dear = { to: 'Oslo', cents: 200_000 }

it('a trip that cannot be paid is not booked, and the end says so', async () => {
  const job = await rig.untilDone(await rig.submit(trip, dear))
  expect(desk.done).toEqual([
    'booked a flight to Oslo',
    'booked a hotel in Oslo',
    'cancelled: booked a hotel in Oslo',
    'cancelled: booked a flight to Oslo',
  ])
  expect(job).toMatchObject({
    status: 'failed',
    error: { code: 'card-declined', details: { compensation: { state: 'rolled-back', notUndone: [] } } },
  })
})

it('an undo is tried again like a step, and for the caller the job is processing', async () => {
  desk.trouble.cancel = [new HttpError(503), new HttpError(503)]
  const { id } = await rig.submit(trip, dear)
  await rig.settle()
  expect(await rig.get(id)).toMatchObject({ status: 'processing', ops: { phase: 'compensating' } })
  expect((await rig.untilDone(id)).status).toBe('failed')
  expect(desk.calls).toEqual({ book: 2, cancel: 4 })
})

it('an undo that does not work asks a person, who sees to it by hand', async () => {
  desk.trouble.cancel = [new HttpError(404)]
  const { id } = await rig.submit(trip, dear)
  await rig.advance('1m')
  expect(await rig.get(id)).toMatchObject({
    status: 'blocked',
    error: { code: 'undo-failed' },
    blockedOn: [{ question: { step: 'book/hotel', answers: ['undone'] } }],
  })
  // #region answer
  await rig.engine.answer(LOCAL, id, {
    step: 'book/hotel',
    answer: 'undone',
    reason: 'Called the hotel.',
  })
  // #endregion
  expect(await rig.untilDone(id)).toMatchObject({
    status: 'failed',
    error: { details: { compensation: { state: 'partial', undone: ['book/flight'], notUndone: ['book/hotel'] } } },
  })
})

it('a job that is cancelled is undone as well, unless the cancel says otherwise', async () => {
  const later = { runAt: new Date(rig.clock.now()) }
  desk.trouble.book = [undefined, new HttpError(503)]
  const first = await rig.submit(trip, { to: 'Oslo', cents: 100 }, later)
  await rig.settle()
  await rig.engine.cancel(LOCAL, first.id, { reason: 'Stays at home.' })
  expect((await rig.untilDone(first)).status).toBe('cancelled')
  expect(desk.done).toEqual(['booked a flight to Oslo', 'cancelled: booked a flight to Oslo'])

  desk.reset()
  desk.trouble.book = [undefined, new HttpError(503)]
  const second = await rig.submit(trip, { to: 'Bergen', cents: 100 }, later)
  await rig.settle()
  // #region cancel
  await rig.engine.cancel(LOCAL, second.id, { reason: 'Books the rest by phone.', compensate: false })
  // #endregion
  expect((await rig.untilDone(second)).status).toBe('cancelled')
  expect(desk.done).toEqual(['booked a flight to Bergen'])
})

it('when the answer of the bank was lost, it is asked before anything else is undone', async () => {
  bank.trouble.pay = [new Error('the connection was closed')]
  const { id } = await rig.submit(trip, { to: 'Oslo', cents: 100 })
  await rig.advance('1m')
  expect((await rig.get(id)).blockedOn[0]!.question).toMatchObject({ step: 'pay/pay' })
  await rig.engine.cancel(LOCAL, id, { reason: 'Stays at home.' })
  await rig.advance('1m')
  const job = await rig.get(id)
  expect(job).toMatchObject({ status: 'blocked', error: { code: 'effect-unknown' } })
  expect(job.blockedOn[0]!.question!.answers).toEqual(['happened', 'did-not-happen'])
  const reason = 'Seen on the statement.'
  await rig.engine.answer(LOCAL, id, { step: 'pay/pay', answer: 'happened', result: 'R-17', reason })
  expect((await rig.untilDone(id)).status).toBe('cancelled')
  expect([...bank.done, ...desk.done].slice(-3)).toEqual([
    ...['booked a hotel in Oslo', 'cancelled: booked a hotel in Oslo', 'cancelled: booked a flight to Oslo'],
  ])
  expect(bank.done).toEqual(['took back: R-17'])
})

it('can be interrupted anywhere, also while it is undone', async () => {
  await assertReplaySafe(tripHandler, { to: 'Oslo', cents: 100 }, { reset: resetAll, maxCrashes: 40 })
  await assertReplaySafe(tripHandler, dear, { reset: resetAll, ends: 'failed', maxCrashes: 40 })
})
