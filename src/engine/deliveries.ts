/**
 * Deliveries of webhooks, as they are made and looked at. Each is a durable job of the engine in a tenant of its own: what
 * retries, survives a kill and keeps a history for jobs does so for them.
 */
import { UntildoneError } from '../core/errors.js'
import type { Actor } from '../core/job.js'
import type { Json } from '../core/json.js'
import { transition } from '../core/lifecycle.js'
import { deliveriesOf, type EventType, type Webhook } from '../core/webhook.js'
import type { WireDelivery, WireDeliveryTry } from '../core/wire-webhook.js'
import { isTombstone, type NewJob, type StoredJob } from '../stores/store.js'
import type { Caller, Page } from './api.js'
import type { EngineParts } from './parts.js'
import type { Submission } from './submit.js'
import { iso } from './view.js'
import type { DeliveryQuery } from './webhook-api.js'

/** The type that sends; built in, and served by a worker of its own. */
export const WEBHOOK_TYPE = 'untildone.webhook'
export const WEBHOOK_QUEUE = 'untildone.webhooks'

/** What is sent: the wire's Event, of a job or of the server. */
export interface WebhookEvent {
  specversion: '1.0'
  id: string
  source: '/v1'
  type: EventType
  subject: string
  time: string
  timestamp: string
  datacontenttype: 'application/json'
  data: { [member: string]: Json }
}

/** Input of a delivery. */
export interface DeliveryInput {
  webhookId: string
  /** The tenant whose event it is. */
  tenant: string
  /** Given: goes there, and not to the address of the webhook. */
  url: string | null
  event: WebhookEvent
}

/** Its result. */
export interface DeliveryResult {
  status: number
  durationMs: number
}

const PAGE = 50
const PAGE_MAX = 200
const ENGINE: Actor = { kind: 'system', id: 'engine' }

const callerOf = (tenant: string): Caller => ({
  tenant: deliveriesOf(tenant),
  actor: ENGINE,
  scopes: ['admin'],
  types: null,
  person: null,
})

export class Deliveries {
  constructor(
    private readonly parts: EngineParts,
    private readonly submission: Submission,
  ) {}

  /** The rows of one delivery. Asked for twice it is stored once: its key names event and address. */
  async prepare(
    { webhook, url, event }: { webhook: Webhook; url: string | null; event: WebhookEvent },
    resend: { of: string; nonce: string } | null = null,
  ): Promise<NewJob> {
    const { tenant, id } = webhook
    const address = url ?? webhook.url!
    const key = `${id}/${url ?? ''}/${event.id}${resend ? `/${resend.nonce}` : ''}`
    const input: DeliveryInput = { webhookId: id, tenant, url, event }
    const keyed = { operation: 'deliver', key: this.parts.entropy.sha256(key), fingerprint: '' }
    const job = await this.submission.builtIn(callerOf(tenant), WEBHOOK_TYPE, input as unknown as Json, keyed, {
      groupId: id,
      ...(typeof event.data.jobId === 'string' ? { operationKey: event.data.jobId } : {}),
      metadata: {
        ...{ eventId: event.id, eventType: event.type, url: address.slice(0, 512) },
        ...(resend ? { resendOf: resend.of } : {}),
      },
    })
    return job
  }

  async ping(webhook: Webhook, { actor }: Caller): Promise<WireDelivery> {
    const { store, entropy } = this.parts
    const at = iso(store.now())
    const event: WebhookEvent = {
      specversion: '1.0',
      id: `ping:${entropy.token(12)}`,
      source: '/v1',
      type: 'webhook.ping',
      subject: `webhook/${webhook.id}`,
      time: at,
      timestamp: at,
      datacontenttype: 'application/json',
      data: { webhookId: webhook.id, by: actor.name ?? actor.id },
    }
    return this.send(webhook.tenant, await this.prepare({ webhook, url: null, event }))
  }

  async list(tenant: string, query: DeliveryQuery): Promise<Page<WireDelivery>> {
    const { store, cursors } = this.parts
    const { webhookId, jobId, status, cursor } = query
    const limit = Math.min(PAGE_MAX, query.limit ?? PAGE)
    const belongs = { tenant, deliveries: { webhookId, jobId, status } }
    const rows = await store.list({
      tenant: deliveriesOf(tenant),
      types: [WEBHOOK_TYPE],
      order: '-createdAt',
      limit: limit + 1,
      ...(webhookId === undefined ? {} : { groupId: webhookId }),
      ...(jobId === undefined ? {} : { operationKey: jobId }),
      ...(status?.length ? { statuses: status } : {}),
      ...(cursor ? { after: cursors.open<{ value: number; id: string }>(cursor, belongs) } : {}),
    })
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    return {
      items: await Promise.all(page.map((row) => this.view(tenant, row))),
      nextCursor:
        rows.length > limit ? cursors.seal({ value: last!.record.createdAt, id: last!.record.id }, belongs) : null,
    }
  }

  async get(tenant: string, id: string): Promise<WireDelivery> {
    const stored = await this.load(tenant, id)
    const tries = (await this.parts.store.attempts(id)).map((one): WireDeliveryTry => {
      const answered = statusIn(one.error?.details)
      const delivered = one.outcome === 'ok'
      return {
        attempt: one.attempt,
        at: iso(one.startedAt),
        durationMs: one.endedAt - one.startedAt,
        status: delivered ? (resultOf(stored)?.status ?? null) : answered,
        outcome: delivered
          ? 'delivered'
          : one.outcome === 'lost' || one.outcome === 'released'
            ? one.outcome
            : 'failed',
        error: one.error && { code: one.error.code, message: one.error.message },
        retryInMs: one.retryInMs,
      }
    })
    return { ...(await this.view(tenant, stored)), tries }
  }

  async again(caller: Caller, id: string): Promise<WireDelivery> {
    const { store, entropy } = this.parts
    const { tenant, actor } = caller
    const stored = await this.load(tenant, id)
    if (stored.live) {
      // It is on its way: what can be wished for is that its next try begins now.
      await store.move({
        jobId: id,
        decide: (live, now) => transition(live, { type: 'retryRequested', actor, resetAttempts: false }, now),
      })
      return this.get(tenant, id)
    }
    const { webhookId, url, event } = JSON.parse(stored.record.input) as DeliveryInput
    const webhook = await store.webhooks.get(tenant, webhookId)
    if (!webhook)
      throw new UntildoneError('invalid-transition', `The webhook ${webhookId} of this delivery is no more.`, {
        fix: 'Make it anew (POST /v1/webhooks); what happens from then on is delivered.',
      })
    return this.send(tenant, await this.prepare({ webhook, url, event }, { of: id, nonce: entropy.token(9) }))
  }

  private async send(tenant: string, job: NewJob): Promise<WireDelivery> {
    this.parts.onSubmitting(job.live.lane, job.live.runAt)
    await this.parts.store.submit([job])
    return this.get(tenant, job.record.id)
  }

  private async load(tenant: string, id: string): Promise<StoredJob> {
    const found = await this.parts.store.find(id)
    if (!found || isTombstone(found) || found.record.tenant !== deliveriesOf(tenant))
      throw new UntildoneError('not-found', `There is no delivery ${id}.`, {
        params: { id },
        fix: 'Deliveries are kept for 30 days. List them: GET /v1/webhooks/{id}/deliveries.',
      })
    return found
  }

  private async view(tenant: string, row: StoredJob): Promise<WireDelivery> {
    const { record, live, outcome } = row
    const { id, groupId: webhookId, operationKey: jobId } = record
    const { eventId = '', eventType = '', url = '', resendOf = null } = record.options.metadata ?? {}
    const { status, done } = this.parts.view(row)
    const error = outcome?.error ?? live?.why?.error ?? null
    // Lists come without results.
    const whole = status === 'completed' && outcome!.result === null ? await this.load(tenant, id) : row
    return {
      ...{ id, webhookId: webhookId!, url, eventId, eventType: eventType as EventType, jobId, status, done },
      attempts: live?.attempt ?? outcome!.attempt,
      nextAttemptAt: live && live.worker === null ? iso(live.runAt) : null,
      lastStatus: resultOf(whole)?.status ?? statusIn(lastOf(error)),
      lastError: status === 'completed' ? null : (error?.message ?? null),
      createdAt: iso(record.createdAt),
      finishedAt: outcome ? iso(outcome.finishedAt) : null,
      resendOf,
      links: {
        self: `/v1/deliveries/${id}`,
        webhook: `/v1/webhooks/${webhookId}`,
        job: jobId === null ? null : `/v1/jobs/${jobId}`,
      },
    }
  }
}

function resultOf({ outcome }: StoredJob): DeliveryResult | null {
  return outcome?.status === 'completed' && outcome.result !== null ? JSON.parse(outcome.result) : null
}

type Details = Record<string, unknown> | null | undefined

/** What exhausted the budget is told with it. */
function lastOf(error: { details: Details } | null): Details {
  const last = error?.details?.last as { details?: Details } | undefined
  return last?.details ?? error?.details
}

function statusIn(details: Details): number | null {
  return typeof details?.status === 'number' ? details.status : null
}
