/** Webhooks in a map, of which nothing is ever sent: tests say how a delivery goes. Never in the package. */
import { ENDS, UntildoneError, type WireDelivery, type WireWebhook } from '../../core/index.js'
import type { Caller } from '../../engine/api.js'
import type { DeliveryQuery, WebhookBody, WebhookUpdate, WebhookUses } from '../../engine/webhook-api.js'

interface Kept<T> {
  tenant: string
  value: T
}

export class FakeWebhooks implements WebhookUses {
  readonly hooks = new Map<string, Kept<WireWebhook>>()
  readonly sent = new Map<string, Kept<WireDelivery>>()
  /** Reasons as they came, by what was done. */
  readonly reasons: string[] = []
  #made = 0

  /**
   * @param at the present instant
   * @param ofJob throws where the caller may not see the job
   */
  constructor(
    private readonly at: () => string,
    private readonly ofJob: (caller: Caller, id: string) => void,
  ) {}

  async create(caller: Caller, body: WebhookBody, reason: string | null = null): Promise<WireWebhook> {
    if (this.#of(caller, this.hooks).length >= 50) throw new UntildoneError('quota-exceeded')
    if (new URL(body.url).hostname === '10.0.0.1') {
      throw new UntildoneError('validation-failed', 'This address cannot be called.', {
        errors: [{ pointer: '/url', code: 'address-not-allowed', message: 'is private' }],
      })
    }
    this.#note('create', reason)
    const id = `wh_${++this.#made}`
    const { url, events = ENDS, filter = {}, payload = 'thin', format = 'standard', signing = 'hmac' } = body
    const made: WireWebhook = {
      ...{ id, url, description: body.description ?? null, events: [...events], filter, payload, format, signing },
      ...{ publicKey: signing === 'hmac' ? null : 'whpk_x', enabled: body.enabled !== false, disabled: null },
      health: {
        ...{ failingSince: null, disablesAt: null, lastSuccessAt: null, lastFailureAt: null, lastFailure: null },
      },
      secrets: [{ hint: 'whsec_…ab==', until: null }],
      ...{ createdBy: caller.actor, createdAt: this.at(), updatedAt: this.at(), version: 1 },
      links: { self: `/v1/webhooks/${id}`, deliveries: `/v1/webhooks/${id}/deliveries` },
    }
    this.hooks.set(id, { tenant: caller.tenant, value: made })
    return { ...made, secret: `whsec_made${this.#made}` }
  }

  async list(caller: Caller): Promise<WireWebhook[]> {
    return this.#of(caller, this.hooks)
  }

  async get(caller: Caller, id: string): Promise<WireWebhook> {
    return this.#find(caller, this.hooks, id)
  }

  async update(caller: Caller, id: string, body: WebhookUpdate, reason: string | null = null): Promise<WireWebhook> {
    const before = this.#find(caller, this.hooks, id)
    const { ifVersion, ...changes } = body
    if (ifVersion !== undefined && ifVersion !== before.version) throw new UntildoneError('version-mismatch')
    this.#note('update', reason)
    return this.#put(caller, { ...before, ...changes, version: before.version + 1 })
  }

  async remove(caller: Caller, id: string, reason: string | null = null): Promise<void> {
    this.#find(caller, this.hooks, id)
    this.#note('remove', reason)
    this.hooks.delete(id)
  }

  async rotate(caller: Caller, id: string, overlapMs = 86_400_000, reason: string | null = null): Promise<WireWebhook> {
    const before = this.#find(caller, this.hooks, id)
    this.#note(`rotate ${overlapMs}`, reason)
    return { ...this.#put(caller, { ...before, version: before.version + 1 }), secret: `whsec_made${++this.#made}` }
  }

  async test(caller: Caller, id: string): Promise<WireDelivery> {
    return this.deliver(caller, this.#find(caller, this.hooks, id), { eventType: 'webhook.ping' })
  }

  async deliveries(caller: Caller, { webhookId, jobId, status, cursor, limit = 50 }: DeliveryQuery) {
    if (webhookId !== undefined) this.#find(caller, this.hooks, webhookId)
    else this.ofJob(caller, jobId!)
    const found = this.#of(caller, this.sent)
      .filter((one) => (webhookId === undefined ? one.jobId === jobId : one.webhookId === webhookId))
      .filter((one) => !status || status.includes(one.status))
      .reverse()
    const from = cursor === undefined ? 0 : Number(cursor)
    if (Number.isNaN(from)) throw new UntildoneError('invalid-cursor')
    const to = from + limit
    return { items: found.slice(from, to), nextCursor: to < found.length ? `${to}` : null }
  }

  async delivery(caller: Caller, id: string): Promise<WireDelivery> {
    const found = this.#find(caller, this.sent, id)
    const error = { code: 'webhook-refused', message: 'The receiver answered 500.' }
    const at = found.createdAt
    return {
      ...found,
      tries: [{ attempt: 1, at, durationMs: 12, status: 500, outcome: 'failed', error, retryInMs: 5000 }],
    }
  }

  async resend(caller: Caller, id: string): Promise<WireDelivery> {
    const found = this.#find(caller, this.sent, id)
    const hook = this.hooks.get(found.webhookId)
    if (!hook) throw new UntildoneError('invalid-transition')
    return this.deliver(caller, hook.value, { ...found, resendOf: id })
  }

  /** One event on its way. */
  deliver(caller: Caller, { id: webhookId, url }: WireWebhook, more: Partial<WireDelivery>): WireDelivery {
    const id = `019a7c31-9e21-7d10-8a77-${String(++this.#made).padStart(12, '0')}`
    const made: WireDelivery = {
      ...{ webhookId, url: url ?? '', eventId: `event:${this.#made}`, eventType: 'job.completed', jobId: null },
      ...{ status: 'processing', done: false, attempts: 1, nextAttemptAt: this.at(), lastStatus: 500 },
      ...{ lastError: 'The receiver answered 500.', createdAt: this.at(), finishedAt: null, resendOf: null },
      ...more,
      id,
      links: {
        ...{ self: `/v1/deliveries/${id}`, webhook: `/v1/webhooks/${webhookId}` },
        job: more.jobId ? `/v1/jobs/${more.jobId}` : null,
      },
    }
    this.sent.set(id, { tenant: caller.tenant, value: made })
    return made
  }

  #of<T>(caller: Caller, kept: Map<string, Kept<T>>): T[] {
    return [...kept.values()].filter(({ tenant }) => tenant === caller.tenant).map(({ value }) => value)
  }

  #find<T>(caller: Caller, kept: Map<string, Kept<T>>, id: string): T {
    const found = kept.get(id)
    if (found?.tenant !== caller.tenant) throw new UntildoneError('not-found', `There is no ${id}.`)
    return found.value
  }

  #put(caller: Caller, webhook: WireWebhook): WireWebhook {
    this.hooks.set(webhook.id, { tenant: caller.tenant, value: webhook })
    return webhook
  }

  #note(what: string, reason: string | null): void {
    this.reasons.push(`${what}: ${reason}`)
  }
}
