// What the company allows, as code that can be read and tested. The agent proposes, the policy judges, people decide.
import { type ApprovalSettings, Review, type RiskPolicy } from 'untildone'
import type { Order, Ticket } from '../shop/shop.js'
import type { Proposal } from './agent.js'

/** Changes with what is written here: an approval is bound to the version that judged it. */
const VERSION = 'refunds-2026-11'
/** For the decision log. */
export const POLICY = { model: 'refund-policy', version: VERSION, tools: [] as string[] }

const DAY = 86_400_000
/** A refund can be asked for so long after payment. */
const WINDOW_DAYS = 60
/** Up to so many cents the one who asked may decide, and up to so many somebody else; above, two people. */
const LOW_UP_TO = 5_000
const MEDIUM_UP_TO = 50_000

export const euros = (cents: number) => `${(cents / 100).toFixed(2)} EUR`

/**
 * Why this proposal is not put before approvers, or null. None of it gets better by trying again: somebody must look.
 * What the model did not bring is its own failure, what the company forbids is not.
 */
export function objection(proposal: Proposal, order: Order, ticket: Ticket): Review | null {
  const { amount, evidence, conflicts, why } = proposal
  if (conflicts.length > 0)
    return new Review(`The ticket says two things: ${conflicts.map((text) => `"${text}"`).join(' and ')}`, {
      code: 'conflicting-instructions',
      origin: 'model',
      evidence: conflicts,
    })
  if (evidence.length === 0)
    return new Review(`There is no evidence for a refund. ${why}`, { code: 'no-evidence', origin: 'model' })
  const broken = [
    ...(ticket.order === order.id ? [] : [`Ticket ${ticket.id} is about order ${ticket.order}.`]),
    ...(Date.parse(ticket.openedAt) - Date.parse(order.paidAt) <= WINDOW_DAYS * DAY
      ? []
      : [`It was asked for more than ${WINDOW_DAYS} days after the payment.`]),
    ...(amount <= order.refundable
      ? []
      : [`${euros(amount)} are asked for, and ${euros(order.refundable)} of the order are left.`]),
  ]
  if (broken.length === 0) return null
  return new Review(broken.join(' '), { code: 'policy-violation', origin: 'policy', evidence: broken })
}

/** Who must approve follows what is at stake: the amount, also as an approver has edited it. */
const risk: RiskPolicy = ({ data }) => {
  const { amount } = data as { amount: number }
  if (!Number.isInteger(amount)) throw new TypeError('the amount is not a number of cents')
  if (amount <= LOW_UP_TO) return { risk: 'low', rule: 'small-amount', why: `${euros(LOW_UP_TO)} or less.` }
  if (amount <= MEDIUM_UP_TO) return { risk: 'medium', rule: 'medium-amount', why: `${euros(MEDIUM_UP_TO)} or less.` }
  return { risk: 'high', rule: 'large-amount', why: `More than ${euros(MEDIUM_UP_TO)}.` }
}

/** Handed to createUntildone. */
export const approvals: ApprovalSettings = {
  policy: risk,
  policyVersion: VERSION,
  tiers: {
    high: {
      need: [
        { group: 'support-leads', n: 1 },
        { group: 'finance', n: 1 },
      ],
    },
  },
}
