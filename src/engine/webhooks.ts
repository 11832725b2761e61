/**
 * Webhooks as people and programs manage them: subscribe, change, rotate, try out, look at deliveries, send again. Every
 * change is audited. Who is told of what is src/webhooks/relay.ts, and sending is src/webhooks/deliver.ts.
 */
import { UntildoneError } from '../core/errors.js'
import { ENDS, FAILING_MS, SIGNER, secretsAt, type Webhook, type WebhookFilter } from '../core/webhook.js'
import type { WireDelivery, WireWebhook } from '../core/wire-webhook.js'
import { auditOf } from './act.js'
import type { Caller, Page } from './api.js'
import type { Deliveries } from './deliveries.js'
import { invalid, type Notices } from './notices.js'
import type { EngineParts } from './parts.js'
import { demand, holds } from './rights.js'
import { iso } from './view.js'
import type { DeliveryQuery, WebhookBody, WebhookUpdate, WebhookUses } from './webhook-api.js'

/** Webhooks per tenant. */
export const WEBHOOKS_MAX = 50
const OVERLAP_MS = 86_400_000
/** So much of a secret is shown, to tell two apart. */
const HINT = 4

type Decide = (webhook: Webhook, now: number) => Webhook | null

export class Webhooks implements WebhookUses {
  constructor(
    private readonly parts: EngineParts,
    private readonly sent: Deliveries,
    private readonly notices: Notices,
  ) {}

  async create(caller: Caller, body: WebhookBody, reason: string | null = null): Promise<WireWebhook> {
    demand(caller, 'webhooks:manage')
    const { url, events = ENDS, filter = {}, payload = 'thin', format = 'standard', signing = 'hmac' } = body
    this.check({ url, events, filter })
    const { secret, publicKey } = await this.notices.tools.newSecret(signing)
    const id = this.newId()
    const made = await this.change(caller, 'create', id, reason, (before, now, count) => {
      if (before) return undefined
      if (count >= WEBHOOKS_MAX)
        throw new UntildoneError('quota-exceeded', `There are ${count} webhooks, which is the limit.`, {
          params: { limit: WEBHOOKS_MAX },
          fix: 'Remove one that is not needed, or let one webhook hear of more: its filter may name several types.',
        })
      return {
        ...{ id, tenant: caller.tenant, url, description: body.description ?? null },
        ...{ events, filter, payload, format, signing, publicKey },
        secrets: [{ secret, until: null }],
        disabled: body.enabled === false ? byOperator(now) : null,
        ...{ failingSince: null, lastSuccessAt: null, lastFailureAt: null, lastFailure: null },
        ...{ createdBy: caller.actor, createdAt: now, updatedAt: now, version: 1 },
      }
    })
    return { ...this.view(made!), secret }
  }

  async list(caller: Caller): Promise<WireWebhook[]> {
    demand(caller, 'webhooks:manage')
    return (await this.parts.store.webhooks.list(caller.tenant)).map((webhook) => this.view(webhook))
  }

  async get(caller: Caller, id: string): Promise<WireWebhook> {
    return this.view(await this.load(caller, id))
  }

  async update(caller: Caller, id: string, body: WebhookUpdate, reason: string | null = null): Promise<WireWebhook> {
    const seen = await this.load(caller, id)
    const { ifVersion, enabled, ...members } = body
    if (seen.url === null && (body.url !== undefined || body.events !== undefined || body.filter !== undefined))
      throw new UntildoneError(
        'validation-failed',
        'The signer of notify addresses has no address and no events of its own.',
        {
          fix: 'Rotate its secret, or make a webhook: POST /v1/webhooks.',
        },
      )
    this.check(members)
    return this.change(
      caller,
      'update',
      id,
      reason,
      this.existing(id, (before, now) => {
        if (ifVersion !== undefined && ifVersion !== before.version)
          throw new UntildoneError(
            'version-mismatch',
            `The webhook is at version ${before.version}, not ${ifVersion}.`,
            {
              params: { version: before.version, ifVersion },
            },
          )
        const given = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
        const next: Webhook = { ...before, ...given, updatedAt: now, version: before.version + 1 }
        if (enabled === false) next.disabled = before.disabled ?? byOperator(now)
        // Whoever enables it says that it works now.
        if (enabled === true) Object.assign(next, { disabled: null, failingSince: null })
        return next
      }),
    ).then((webhook) => this.view(webhook!))
  }

  async remove(caller: Caller, id: string, reason: string | null = null): Promise<void> {
    await this.load(caller, id)
    await this.change(
      caller,
      'remove',
      id,
      reason,
      this.existing(id, () => null),
    )
  }

  async rotate(caller: Caller, id: string, overlapMs = OVERLAP_MS, reason: string | null = null): Promise<WireWebhook> {
    demand(caller, 'webhooks:manage')
    if (id === SIGNER) await this.notices.signer(caller)
    const { signing } = await this.load(caller, id)
    const { secret, publicKey } = await this.notices.tools.newSecret(signing)
    const made = await this.change(
      caller,
      'rotate',
      id,
      reason,
      this.existing(id, (before, now) => {
        const old = overlapMs > 0 ? secretsAt(before, now).slice(-1) : []
        const kept = old.map((one) => ({ secret: one.secret, until: now + overlapMs }))
        return {
          ...before,
          secrets: [...kept, { secret, until: null }],
          ...{ publicKey, updatedAt: now, version: before.version + 1 },
        }
      }),
    )
    return { ...this.view(made!), secret }
  }

  async test(caller: Caller, id: string): Promise<WireDelivery> {
    const webhook = await this.load(caller, id)
    if (webhook.url === null)
      throw new UntildoneError('validation-failed', 'The signer of notify addresses has no address to try.', {
        fix: 'Submit a job with `notify`, or make a webhook: POST /v1/webhooks.',
      })
    return this.sent.ping(webhook, caller)
  }

  async deliveries(caller: Caller, query: DeliveryQuery): Promise<Page<WireDelivery>> {
    if (query.webhookId !== undefined) await this.load(caller, query.webhookId)
    else {
      if (!holds(caller, 'webhooks:manage')) demand(caller, 'jobs:operate')
      await this.parts.load(caller, query.jobId!, 0)
    }
    return this.sent.list(caller.tenant, query)
  }

  async delivery(caller: Caller, id: string): Promise<WireDelivery> {
    if (!holds(caller, 'webhooks:manage')) demand(caller, 'jobs:operate')
    return this.sent.get(caller.tenant, id)
  }

  async resend(caller: Caller, id: string): Promise<WireDelivery> {
    demand(caller, 'webhooks:manage')
    return this.sent.again(caller, id)
  }

  private async load(caller: Caller, id: string): Promise<Webhook> {
    demand(caller, 'webhooks:manage')
    const webhook = await this.parts.store.webhooks.get(caller.tenant, id)
    if (!webhook) throw gone(id)
    return webhook
  }

  private existing(id: string, decide: Decide) {
    return (before: Webhook | null, now: number) => {
      if (!before) throw gone(id)
      return decide(before, now)
    }
  }

  private async change(
    caller: Caller,
    action: string,
    id: string,
    reason: string | null,
    decide: (before: Webhook | null, now: number, count: number) => Webhook | null | undefined,
  ): Promise<Webhook | null> {
    const audit = auditOf(caller, `webhook.${action}`, `webhook/${id}`, reason)
    let refused: unknown = null
    const { tenant } = caller
    const changed = await this.parts.store.webhooks.change({
      ...{ tenant, id, audit },
      decide: (before, now, count) => {
        refused = null
        // Thrown after the transaction, which is shared with others.
        try {
          return decide(before, now, count)
        } catch (error) {
          refused = error
          return undefined
        }
      },
    })
    if (refused) throw refused
    return changed
  }

  private newId(): string {
    const { entropy } = this.parts
    return `wh_${entropy
      .token(24)
      .replace(/[^A-Za-z0-9]/g, '')
      .slice(0, 16)}`
  }

  private check({ url, events, filter }: { url?: string; events?: readonly string[]; filter?: WebhookFilter }): void {
    if (url !== undefined) this.notices.checkUrl(url, '/url')
    if (events) this.notices.checkEvents(events, '/events')
    for (const member of ['types', 'tags'] as const)
      if (filter?.[member]?.length === 0) throw invalid(`/filter/${member}`, 'is empty; leave it out to hear of all')
  }

  private view(webhook: Webhook): WireWebhook {
    return viewOf(webhook, this.parts.store.now())
  }
}

function viewOf(webhook: Webhook, now: number): WireWebhook {
  const { id, url, description, events, filter, payload, format, signing, publicKey, disabled, createdBy } = webhook
  const { failingSince, lastSuccessAt, lastFailureAt, lastFailure, version } = webhook
  const self = `/v1/webhooks/${id}`
  return {
    ...{ id, url, description, events: [...events], filter, payload, format, signing, publicKey },
    enabled: disabled === null,
    disabled: disabled && { ...disabled, at: iso(disabled.at) },
    health: {
      failingSince: isoOrNull(failingSince),
      disablesAt: disabled || failingSince === null ? null : iso(failingSince + FAILING_MS),
      lastSuccessAt: isoOrNull(lastSuccessAt),
      lastFailureAt: isoOrNull(lastFailureAt),
      lastFailure,
    },
    secrets: secretsAt(webhook, now).map(({ secret, until }) => ({
      hint: `${secret.slice(0, secret.indexOf('_') + 1)}…${secret.slice(-HINT)}`,
      until: isoOrNull(until),
    })),
    ...{ createdBy, createdAt: iso(webhook.createdAt), updatedAt: iso(webhook.updatedAt), version },
    links: { self, deliveries: `${self}/deliveries` },
  }
}

const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at))

function byOperator(at: number): Webhook['disabled'] {
  return { why: 'operator', at, message: 'Somebody has disabled it.' }
}

function gone(id: string): UntildoneError {
  return new UntildoneError('not-found', `There is no webhook ${id}.`, { params: { id } })
}
