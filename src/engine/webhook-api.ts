/**
 * What the engine offers for webhooks, in the words of the wire. Types only. Every method checks the caller's rights
 * (webhooks:manage; deliveries of a job: jobs:operate as well) and throws UntildoneError with a code of the registry.
 */
import type { Status } from '../core/job.js'
import type { EventType, WebhookFilter } from '../core/webhook.js'
import type { WireDelivery, WireWebhook } from '../core/wire-webhook.js'
import type { Caller, Page } from './api.js'

export interface WebhookBody {
  url: string
  description?: string | null
  /** @default how jobs end: completed, failed, cancelled. Empty: only jobs that name it in `notify`. */
  events?: EventType[]
  filter?: WebhookFilter
  /** @default 'thin' */
  payload?: 'thin' | 'full'
  /** @default 'standard' */
  format?: 'standard' | 'cloudevents'
  /** @default 'hmac' */
  signing?: 'hmac' | 'ed25519'
  /** @default true */
  enabled?: boolean
}

/** Members that are left out stay as they are. Enabling forgets the failures. */
export interface WebhookUpdate extends Partial<Omit<WebhookBody, 'signing'>> {
  ifVersion?: number
}

export interface DeliveryQuery {
  /** Of one webhook, or of one job; one of them is given. */
  webhookId?: string
  jobId?: string
  status?: Status[]
  limit?: number
  cursor?: string
}

export interface WebhookUses {
  /** @throws validation-failed (address not allowed, unknown event, too many) */
  create(caller: Caller, body: WebhookBody, reason?: string | null): Promise<WireWebhook>
  list(caller: Caller): Promise<WireWebhook[]>
  /** @throws not-found */
  get(caller: Caller, id: string): Promise<WireWebhook>
  /** @throws not-found, version-mismatch */
  update(caller: Caller, id: string, body: WebhookUpdate, reason?: string | null): Promise<WireWebhook>
  /** Deliveries under way end at their next try. @throws not-found */
  remove(caller: Caller, id: string, reason?: string | null): Promise<void>
  /** A new secret; the old one signs as well for `overlapMs` (0: at once no more). @default 24 h */
  rotate(caller: Caller, id: string, overlapMs?: number, reason?: string | null): Promise<WireWebhook>
  /** Sends a `webhook.ping`, to a disabled webhook too. */
  test(caller: Caller, id: string): Promise<WireDelivery>
  /** Newest first. @throws not-found, job-not-found, invalid-cursor */
  deliveries(caller: Caller, query: DeliveryQuery): Promise<Page<WireDelivery>>
  /** With its tries. @throws not-found */
  delivery(caller: Caller, id: string): Promise<WireDelivery>
  /** The same event once more, under the same `webhook-id`; while it is under way, its next try now. @throws not-found, invalid-transition */
  resend(caller: Caller, id: string): Promise<WireDelivery>
}
