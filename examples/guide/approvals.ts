/** The snippets of docs/guide/approvals.md, as they run in approvals.test.ts. */
import { createUntildone, defineJob, type RiskPolicy, sqlite, wordPolicy } from 'untildone'
import { z } from 'zod'
import { orders, post } from './far-side.js'

// #region define
export const refund = defineJob('refund', {
  input: z.object({ order: z.string(), why: z.string() }),
  output: z.object({ receipt: z.string().nullable() }),
  // Gates: name → schema of the data that goes with a request and comes back with its answer.
  approvals: { payout: z.object({ amount: z.number().positive() }) },
})
// #endregion

// #region handler
export const refundHandler = refund.handler(async (job) => {
  const { order: id, why } = job.input
  const answer = await job.approve('payout', async () => {
    const order = await orders.order(id)
    return {
      summary: `Refund ${order.refundable} EUR to order ${id}`,
      because: why,
      writes: [
        {
          target: 'payments',
          operation: 'refund',
          object: `order ${id}`,
          change: { amount: { now: null, after: order.refundable, from: 'amount' } },
        },
      ],
      evidence: [{ label: 'Order', href: `https://shop.example/orders/${id}`, version: order.version }],
      impact: { description: 'Money leaves the account', money: { amount: order.refundable, currency: 'EUR' } },
      rollback: { plan: 'Void the refund in the payment system', within: '24h', by: 'finance' },
      data: { amount: order.refundable },
      allow: { edit: ['amount'] },
    }
  })
  if (answer.outcome !== 'approved') return { receipt: null }
  const receipt = await job.step('pay', ({ key }) => orders.refund(id, answer.data.amount, { key }), {
    effect: 'once',
    approvedBy: answer,
    // Asked when a former attempt began the refund and its end is not known.
    confirm: ({ key }) => orders.findRefund(key),
  })
  await job.step('tell', () => post.send(`Refunded: ${receipt}`))
  return { receipt }
})
// #endregion

// #region rounds
export const announce = defineJob('announce', {
  input: z.object({ product: z.string() }),
  approvals: { text: z.object({ text: z.string().min(1) }) },
})

export const announceHandler = announce.handler(async (job) => {
  let wishes: string[] = []
  for (;;) {
    const draft = await job.step('draft', () => write(job.input.product, wishes))
    const answer = await job.approve('text', {
      summary: `Publish the announcement of ${job.input.product}`,
      because: 'The product ships on Monday.',
      writes: [{ target: 'website', change: { text: { now: null, after: draft, from: 'text' } } }],
      evidence: [{ label: 'Draft', quote: draft }],
      impact: { description: 'Visitors read it', visibility: 'public' },
      rollback: 'Take the page offline',
      data: { text: draft },
      onReject: 'continue',
    })
    if (answer.outcome === 'approved') return { published: answer.data.text, version: answer.decisions.length }
    if (answer.outcome !== 'changes-requested') return { published: null, version: 0 }
    wishes = answer.feedback.map(({ text }) => text)
  }
})
// #endregion

function write(product: string, wishes: string[]): string {
  return [`${product} is here`, ...wishes].join(': ')
}

// #region policy
/** Refunds up to 20 EUR need one person, who may be the one who asked; the rest is judged by words. */
const words = wordPolicy({ internal: ['wiki'], touches: { money: ['voucher'] } })
export const policy: RiskPolicy = (facts) => {
  const { money } = facts.impact
  if (facts.gate === 'payout' && money && money.amount <= 20)
    return { risk: 'low', rule: 'small-refund', why: `It moves ${money.amount} ${money.currency} only.` }
  return words(facts)
}
// #endregion

export async function appWithPolicy() {
  // #region settings
  const app = await createUntildone({
    store: sqlite(':memory:'),
    handlers: [refundHandler, announceHandler],
    approvals: {
      policy,
      policyVersion: '2026-11-1',
      tiers: {
        medium: { due: '1d', onExpire: ['escalate', 'cancel'] },
        high: {
          need: [
            { group: 'finance', n: 1 },
            { group: 'any', n: 1 },
          ],
        },
      },
    },
  })
  // #endregion
  return app
}
