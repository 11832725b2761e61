/** A job with effects that people may have to see to; docs/guide/operating.md. */
import { defineJob, Permanent } from 'untildone'
import { z } from 'zod'

// #region job
export const order = defineJob('shop.order', {
  input: z.object({ sku: z.string(), card: z.string() }),
  output: z.object({ receipt: z.string(), tracking: z.string() }),
  signals: { packed: z.object({ tracking: z.string() }) },
})

export const orderHandler = (bank: Bank) =>
  order.handler(async (job) => {
    const part = await job.step('reserve', () => bank.reserve(job.input.sku), {
      undo: (reserved) => bank.release(reserved),
    })
    // Money moves once. When its answer is lost, a person is asked.
    const receipt = await job.step('charge', ({ key }) => bank.charge(key, job.input.card), {
      effect: 'once',
      undo: (paid, { key }) => bank.refund(paid, key),
    })
    const packed = await job.waitFor('packed', { timeout: '7d' })
    if (packed.timedOut) throw new Permanent(`Nobody packed ${part}.`)
    return { receipt, tracking: packed.payload.tracking }
  })
// #endregion

/** What the job talks to; the test has one that forgets answers. */
export interface Bank {
  reserve(sku: string): Promise<string>
  release(reserved: string): Promise<void>
  charge(key: string, card: string): Promise<string>
  refund(receipt: string, key: string): Promise<void>
}
