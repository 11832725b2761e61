/** A trip that is booked as a whole or not at all; docs/guide/compensation.md. */
import { defineJob, Permanent } from 'untildone'
import { z } from 'zod'
import { bank, desk } from './far-side.js'

// #region job
export const trip = defineJob('trip', {
  input: z.object({ to: z.string(), cents: z.int() }),
  output: z.object({ flight: z.string(), hotel: z.string() }),
  stages: ['book', 'pay'],
})

export const tripHandler = trip.handler(async (job) => {
  const { to, cents } = job.input
  const booked = await job.stage('book', async () => ({
    flight: await job.step('flight', ({ key }) => desk.book(`a flight to ${to}`, key), {
      undo: (booking, { key }) => desk.cancel(booking, key),
    }),
    hotel: await job.step('hotel', ({ key }) => desk.book(`a hotel in ${to}`, key), {
      undo: (booking, { key }) => desk.cancel(booking, key),
    }),
  }))
  await job.stage('pay', () =>
    job.step(
      'pay',
      ({ key }) => {
        // The bank refuses before anything moves, and says so.
        if (cents > 100_000) throw new Permanent('The card was declined.', { code: 'card-declined', happened: false })
        return bank.pay(cents, key)
      },
      {
        effect: 'once',
        undo: (receipt, { key }) => bank.payBack(receipt, key),
      },
    ),
  )
  return booked
})
// #endregion
