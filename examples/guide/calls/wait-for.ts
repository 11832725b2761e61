/** An order that waits for its payment; docs/guide/waiting.md. */
import { defineJob, Permanent } from 'untildone'
import { z } from 'zod'
import { mail } from './far-side.js'

// #region job
export const order = defineJob('order', {
  input: z.object({ article: z.string(), to: z.string() }),
  output: z.object({ paidBy: z.string() }),
  signals: { paid: z.object({ by: z.string() }) },
})

export const orderHandler = order.handler(async (job) => {
  await job.step('invoice', ({ key }) => mail.send(`Invoice for one ${job.input.article}`, key))
  const payment = await job.waitFor('paid', { timeout: '14d' })
  if (payment.timedOut) throw new Permanent('Nobody paid within 14 days.', { code: 'not-paid' })
  return { paidBy: payment.payload.by }
})
// #endregion
