/**
 * The events that are told to the outside, and whom a single job names to hear them. Words only; who is told of what is
 * webhook.ts.
 */

/** In the order in which they usually happen. */
export const EVENT_TYPES = [
  ...(['job.accepted', 'job.processing', 'job.blocked', 'job.completed', 'job.failed', 'job.cancelled'] as const),
  ...(['job.late', 'job.resolved'] as const),
  ...(['approval.requested', 'approval.decided', 'approval.expired'] as const),
  ...(['webhook.ping', 'webhook.disabled'] as const),
] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** What is heard when nothing else is said: how jobs end. */
export const ENDS: readonly EventType[] = ['job.completed', 'job.failed', 'job.cancelled']

/** Who is told of one job besides the subscriptions: named with the submit. One of the two is given. */
export interface Notify {
  webhookId?: string
  url?: string
  /** @default how it ends */
  events?: readonly EventType[]
}
