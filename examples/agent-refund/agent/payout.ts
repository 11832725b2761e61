// What approvers are shown of a refund: made from the proposal and from the order as it is now, each time it is asked for.
import { type ApprovalRequest, Review } from 'untildone'
import type { Order } from '../shop/shop.js'
import type { Proposal } from './agent.js'
import { euros } from './policy.js'

export const ANSWER = 'Your refund is on its way; it takes two working days.'

/** @throws Review `nothing-left` when the order has been refunded in another way meanwhile */
export function payout(plan: Proposal, order: Order, ticket: string) {
  const { customer, refundable, version } = order
  const amount = Math.min(plan.amount, refundable)
  if (amount === 0) throw new Review(`Nothing is left of order ${order.id} to be refunded.`, { code: 'nothing-left' })
  const paid = `Paid ${order.paidAt.slice(0, 10)}, ${euros(order.total)} in all; ${euros(refundable)} are left.`
  return {
    summary: `Refund ${euros(amount)} to ${customer} for order ${order.id}`,
    because: plan.why,
    writes: [
      {
        ...{ target: 'payments', operation: 'refund', object: `order ${order.id}`, touches: ['money'] },
        change: { amount: { now: null, after: amount, from: 'amount' } },
      },
      {
        ...{ target: 'tickets', operation: 'answer', object: `ticket ${ticket}`, touches: ['customers'] },
        change: { state: ['open', 'closed'], answer: [null, ANSWER] },
      },
    ],
    evidence: [...plan.evidence, { label: `Order ${order.id}`, quote: paid, version: String(version) }],
    impact: { description: 'Money leaves the account, and the customer is told.', people: 1, visibility: 'customers' },
    rollback: { plan: 'The shop voids the refund before it is settled.', within: '1d', by: 'finance' },
    actor: { model: plan.model, version: plan.version, tools: plan.tools },
    confidenceNotes: plan.unsure,
    data: { amount },
    allow: { edit: ['amount'], changes: true },
    due: '3d',
    onExpire: 'cancel',
    onReject: 'continue',
  } satisfies ApprovalRequest<{ amount: number }>
}
