/**
 * Webhooks: what a subscription is, which events it hears, and how long a delivery is tried. Pure; who sends is
 * src/webhooks, who stores is the store.
 */
import { type RetryPolicy, until } from './backoff.js'
import type { Actor } from './job.js'
import type { Json } from './json.js'

/** Events that a webhook can hear, in the order in which they usually happen. */
export const EVENT_TYPES = [
  ...(['job.accepted', 'job.processing', 'job.blocked', 'job.completed', 'job.failed', 'job.cancelled'] as const),
  ...(['job.late', 'job.resolved'] as const),
  ...(['approval.requested', 'approval.decided', 'approval.expired'] as const),
  ...(['webhook.ping', 'webhook.disabled'] as const),
] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** What a webhook hears when nothing else is said: how jobs end. */
export const ENDS: readonly EventType[] = ['job.completed', 'job.failed', 'job.cancelled']

/** Which jobs a subscription is about. A member that is left out does not narrow it. */
export interface WebhookFilter {
  /** Exact names, or prefixes that end in `*`. */
  types?: readonly string[]
  groupId?: string
  /** Jobs that have one of these. */
  tags?: readonly string[]
}

/** A secret that signs; during a rotation there are two. */
export interface WebhookSecret {
  /** `whsec_…` for hmac, `whsk_…` for ed25519. */
  secret: string
  /** Signs until this instant; null for the present one. */
  until: number | null
}

export interface Webhook {
  id: string
  tenant: string
  /** Null: the signer of `notify` addresses, which are named by each job. */
  url: string | null
  description: string | null
  /** Empty: hears only jobs that name it in `notify`. */
  events: readonly EventType[]
  filter: WebhookFilter
  payload: 'thin' | 'full'
  format: 'standard' | 'cloudevents'
  signing: 'hmac' | 'ed25519'
  secrets: readonly WebhookSecret[]
  /** `whpk_…`, for ed25519. */
  publicKey: string | null
  /** Null while it is enabled. */
  disabled: { why: 'operator' | 'gone' | 'failing'; at: number; message: string } | null
  /** Since when nothing but failures has come from it; null: the last delivery worked, or there was none. */
  failingSince: number | null
  lastSuccessAt: number | null
  lastFailureAt: number | null
  /** In one sentence, the latest failure. */
  lastFailure: string | null
  createdBy: Actor
  createdAt: number
  updatedAt: number
  /** +1 for each change that somebody asked for. */
  version: number
}

/** Who is told of one job besides the subscriptions: named with the submit. */
export interface Notify {
  webhookId?: string
  url?: string
  /** @default how it ends */
  events?: readonly EventType[]
}

/** What happened, as it is written with the change itself; who hears of it is found out later, from SQL. */
export interface Happened {
  /** The same for every delivery of it, for ever. */
  id: string
  tenant: string
  type: EventType
  jobId: string | null
  at: number
  /** Version of the job that it is about, for a change of its status. */
  seq: number | null
  details?: { [member: string]: Json }
}

/** Whether a subscription hears of this. */
export function hears(
  { events, filter, disabled }: Pick<Webhook, 'events' | 'filter' | 'disabled'>,
  type: EventType,
  job: { type: string; groupId: string | null; tags: readonly string[] } | null,
): boolean {
  if (disabled || !events.includes(type)) return false
  const { types = [], groupId, tags = [] } = filter
  if (job === null) return types.length === 0 && groupId === undefined && tags.length === 0
  if (types.length > 0 && !types.some((pattern) => fits(pattern, job.type))) return false
  if (groupId !== undefined && groupId !== job.groupId) return false
  return tags.length === 0 || tags.some((tag) => job.tags.includes(tag))
}

const fits = (pattern: string, name: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name

/** What is said of a webhook that has just stopped hearing without anybody asking for it; null otherwise. */
export function disabling(before: Webhook | null, { id, url, disabled }: Webhook): Happened['details'] | null {
  if (!disabled || disabled.why === 'operator' || before?.disabled) return null
  return { webhookId: id, url, why: disabled.why, message: disabled.message }
}

/** Waiting times after the first try, as Standard Webhooks recommends; each up to 20 % longer. About three days in all. */
export const DELIVERY: RetryPolicy = until({
  within: '30d',
  attempts: 10,
  backoff: { delays: ['5s', '5m', '30m', '2h', '5h', '10h', '14h', '20h', '24h'] },
})

/** After so long with nothing but failures a webhook is disabled, in milliseconds. */
export const FAILING_MS = 5 * 86_400_000

/** The tenant in which the deliveries of a tenant run; no caller has it, so no list shows them. */
export const deliveriesOf = (tenant: string): string => `~${tenant}`
export const isDeliveries = (tenant: string): boolean => tenant.startsWith('~')
