/** Money that leaves the account once; docs/guide/effects.md. */
import { defineJob, Review } from 'untildone'
import { z } from 'zod'
import { bank, directory, mail } from './far-side.js'

// #region job
export const payout = defineJob('payout', {
  input: z.object({ invoice: z.string(), cents: z.int() }),
  output: z.object({ receipt: z.string() }),
})

export const payoutHandler = payout.handler(async (job) => {
  // Asked again right before the money moves: whoever asked for it must still be allowed to.
  await job.read('permissions', () => directory.permissionsOf(job.onBehalfOf?.id ?? ''))
  const receipt = await job.step('pay', ({ key }) => bank.pay(job.input.cents, key), {
    effect: 'once',
    before: () => {
      if (closed.has(job.input.invoice)) throw new Review(`Invoice ${job.input.invoice} was closed meanwhile.`)
    },
    confirm: ({ key }) => {
      const found = bank.find(key)
      return found === undefined ? { happened: false } : { happened: true, result: found }
    },
  })
  await job.step('tell', ({ key }) => mail.send(receipt, key))
  return { receipt }
})
// #endregion

/** Invoices that somebody has closed by hand. */
export const closed = new Set<string>()

// #region ask
export const transfer = defineJob('transfer', {
  input: z.object({ cents: z.int() }),
  output: z.object({ receipt: z.string() }),
})

/** This bank cannot be asked what has happened. */
export const transferHandler = transfer.handler(async (job) => {
  const receipt = await job.step('pay', ({ key }) => bank.pay(job.input.cents, key), { effect: 'once' })
  return { receipt }
})
// #endregion
