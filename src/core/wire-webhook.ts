/**
 * Webhooks and their deliveries as they travel. Types only. Instants are RFC 3339, durations are `…Ms`.
 */
import type { Actor, Status } from './job.js'
import type { EventType, WebhookFilter } from './webhook.js'

export interface WireWebhook {
  id: string
  /** Null for the signer of `notify` addresses. */
  url: string | null
  description: string | null
  events: EventType[]
  filter: WebhookFilter
  /** `thin`: what happened and to which job. `full`: the whole job with it, result included up to 256 KiB. */
  payload: 'thin' | 'full'
  format: 'standard' | 'cloudevents'
  signing: 'hmac' | 'ed25519'
  /** For ed25519; receivers verify with it. */
  publicKey: string | null
  enabled: boolean
  /** Why it is not. */
  disabled: { why: 'operator' | 'gone' | 'failing'; at: string; message: string } | null
  health: {
    /** Since when nothing but failures; null: the latest delivery worked, or there was none. */
    failingSince: string | null
    /** When it will be disabled if that goes on. */
    disablesAt: string | null
    lastSuccessAt: string | null
    lastFailureAt: string | null
    lastFailure: string | null
  }
  /** Secrets that sign now: two during a rotation. */
  secrets: { hint: string; until: string | null }[]
  createdBy: Actor
  createdAt: string
  updatedAt: string
  version: number
  links: { self: string; deliveries: string }
  /** Only in the answer that makes it: create and rotate. */
  secret?: string
}

/** One event on its way to one webhook. A delivery is a job, and says so in the same six words. */
export interface WireDelivery {
  id: string
  webhookId: string
  url: string
  /** The `webhook-id` header: the same in every try and every redelivery. */
  eventId: string
  eventType: EventType
  jobId: string | null
  /** completed: a 2xx came back. failed: given up. cancelled: by hand. */
  status: Status
  done: boolean
  /** Tries made so far. */
  attempts: number
  nextAttemptAt: string | null
  /** The latest answer; null when there was none. */
  lastStatus: number | null
  /** In one sentence, why the latest try did not work. */
  lastError: string | null
  createdAt: string
  finishedAt: string | null
  /** Set when it repeats another one. */
  resendOf: string | null
  links: { self: string; webhook: string; job: string | null }
  /** With a single delivery. */
  tries?: WireDeliveryTry[]
}

export interface WireDeliveryTry {
  attempt: number
  at: string
  durationMs: number
  /** HTTP status; null when no answer came. */
  status: number | null
  outcome: 'delivered' | 'failed' | 'lost' | 'released'
  error: { code: string; message: string } | null
  retryInMs: number | null
}
