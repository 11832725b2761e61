// What the company allows, as code that can be read and tested. The agent proposes, the policy judges, people decide.

export const POLICY_VERSION = 'refunds-2026-11'
const DAY = 86_400_000
/** A refund is possible for so long after payment. */
export const WINDOW_MS = 60 * DAY
/** Up to this many cents one person may decide, also the one who asked; up to the next another person must. */
export const LOW_UP_TO = 5_000
export const MEDIUM_UP_TO = 50_000

/** Rules the proposal breaks; empty when it may be put before people. */
export function violations(proposal, order, now) {
  return [
    ...(now - order.paidAt > WINDOW_MS ? [`The order was paid more than ${WINDOW_MS / DAY} days ago.`] : []),
    ...(proposal.amount > order.total ? ['The refund is larger than the order.'] : []),
  ]
}

/** Who must approve follows what is at stake. */
export function riskOf(amount) {
  return amount <= LOW_UP_TO ? 'low' : amount <= MEDIUM_UP_TO ? 'medium' : 'high'
}

export const euros = (cents) => `${(cents / 100).toFixed(2)} EUR`
