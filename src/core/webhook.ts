/**
 * Webhooks: what a subscription is, which events it hears, and how long a delivery is tried. Pure; who sends is
 * src/webhooks, who stores is the store.
 */
import { type RetryPolicy, until } from './backoff.js'
import type { Actor } from './job.js'
import type { Json } from './json.js'
import type { EventType } from './told.js'

export { ENDS, EVENT_TYPES, type EventType, type Notify } from './told.js'

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

/** The one whose secret signs what goes to addresses that jobs name in `notify`; it hears of nothing by itself. */
export const SIGNER = 'wh_notify'

/** The secrets that sign at this instant, the present one last. */
export function secretsAt({ secrets }: Pick<Webhook, 'secrets'>, now: number): WebhookSecret[] {
  return secrets.filter(({ until }) => until === null || until > now)
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

/** Health is written at most this often while nothing changes, in milliseconds. */
const HEALTH_MS = 60_000

/** How one try ended: `gone` when the receiver answered 410, so that nothing is sent to it any more. */
export type Tried = { ok: true } | { ok: false; message: string; gone: boolean }

/** The webhook after a try; undefined when there is nothing worth writing. */
export function afterTry(webhook: Webhook, tried: Tried, now: number): Webhook | undefined {
  if (tried.ok) {
    const { failingSince, lastSuccessAt } = webhook
    if (failingSince === null && lastSuccessAt !== null && now - lastSuccessAt < HEALTH_MS) return undefined
    return { ...webhook, failingSince: null, lastSuccessAt: now }
  }
  const { message, gone } = tried
  // The addresses of jobs are many: one that fails says nothing of the others.
  if (webhook.id === SIGNER) return { ...webhook, lastFailureAt: now, lastFailure: message }
  const failingSince = webhook.failingSince ?? now
  const next: Webhook = { ...webhook, failingSince, lastFailureAt: now, lastFailure: message }
  if (webhook.disabled) return next
  if (gone) return { ...next, disabled: { why: 'gone', at: now, message } }
  if (now - failingSince >= FAILING_MS)
    return {
      ...next,
      disabled: { why: 'failing', at: now, message: `Nothing but failures for five days; the latest: ${message}` },
    }
  const { lastFailureAt } = webhook
  return webhook.failingSince !== null && lastFailureAt !== null && now - lastFailureAt < HEALTH_MS ? undefined : next
}
