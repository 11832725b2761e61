/**
 * What is asked before an address is called: may it be called at all, and may this caller name it. For subscriptions and
 * for jobs that name whom they tell.
 */
import { UntildoneError } from '../core/errors.js'
import { EVENT_TYPES, type Notify, SIGNER, type Webhook } from '../core/webhook.js'
import { auditOf } from './act.js'
import type { Caller } from './api.js'
import type { EngineParts } from './parts.js'
import { holds } from './rights.js'

/** What the deployment lends: it knows networks and keys, the engine does not. */
export interface WebhookTools {
  /** Why this address may not be called, and what to do about it; null: it may. */
  refusal(url: string): { why: string; fix: string } | null
  newSecret(signing: Webhook['signing']): Promise<{ secret: string; publicKey: string | null }>
  /** Hosts that any submitter may name in `notify`, without the right to manage webhooks. */
  notifyHosts: readonly string[]
}

export class Notices {
  constructor(
    private readonly parts: EngineParts,
    readonly tools: WebhookTools,
  ) {}

  /**
   * Whom a submit names. An address of its own needs the right to manage webhooks, or a host of the deployment's list:
   * else every submitter could make this server call wherever they like.
   * @throws UntildoneError `validation-failed`, `forbidden`
   */
  async check(caller: Caller, notify: readonly Notify[], at: string): Promise<void> {
    for (const [i, { webhookId, url, events }] of notify.entries()) {
      const pointer = `${at}/notify/${i}`
      if ((webhookId === undefined) === (url === undefined))
        throw invalid(pointer, 'must name either a webhookId or a url')
      if (events) this.checkEvents(events, `${pointer}/events`)
      if (webhookId !== undefined && !(await this.parts.store.webhooks.get(caller.tenant, webhookId)))
        throw invalid(`${pointer}/webhookId`, 'is not a webhook of this tenant')
      if (url === undefined) continue
      this.checkUrl(url, `${pointer}/url`)
      const { hostname, host } = new URL(url)
      const open = this.tools.notifyHosts.some((name) => name === hostname || name === host)
      if (!open && !holds(caller, 'webhooks:manage'))
        throw new UntildoneError('forbidden', `This key may not name ${host} in notify.`, {
          params: { requiredScope: 'webhooks:manage', host },
          fix: 'Use a key with webhooks:manage, name a webhook by its id, or add the host to `webhooks.notifyHosts`.',
        })
      await this.signer(caller)
    }
  }

  /** Whose secret signs what goes to addresses that jobs name; made when the first one does. */
  async signer(caller: Caller): Promise<void> {
    const { tenant } = caller
    const { webhooks } = this.parts.store
    if (await webhooks.get(tenant, SIGNER)) return
    const { secret, publicKey } = await this.tools.newSecret('hmac')
    await webhooks.change({
      ...{ tenant, id: SIGNER, audit: auditOf(caller, 'webhook.create', `webhook/${SIGNER}`, null) },
      decide: (before, now) =>
        before
          ? undefined
          : {
              ...{ id: SIGNER, tenant, url: null, description: 'Signs what goes to the addresses that jobs name.' },
              ...{ events: [], filter: {}, payload: 'thin', format: 'standard', signing: 'hmac', publicKey },
              ...{ secrets: [{ secret, until: null }], disabled: null },
              ...{ failingSince: null, lastSuccessAt: null, lastFailureAt: null, lastFailure: null },
              ...{ createdBy: caller.actor, createdAt: now, updatedAt: now, version: 1 },
            },
    })
  }

  /** @throws UntildoneError `validation-failed` */
  checkUrl(url: string, pointer: string): void {
    const refused = this.tools.refusal(url)
    if (refused)
      throw new UntildoneError('validation-failed', `This address cannot be called: ${refused.why}`, {
        errors: [{ pointer, code: 'address-not-allowed', message: refused.why }],
        fix: refused.fix,
      })
  }

  /** @throws UntildoneError `validation-failed` */
  checkEvents(events: readonly string[], pointer: string): void {
    const known: readonly string[] = EVENT_TYPES
    const at = events.findIndex((event) => !known.includes(event))
    if (at >= 0) throw invalid(`${pointer}/${at}`, `is not an event; there are ${EVENT_TYPES.join(', ')}`)
  }
}

export function invalid(pointer: string, message: string): UntildoneError {
  return new UntildoneError('validation-failed', `The member ${pointer} ${message}.`, {
    errors: [{ pointer, code: 'invalid', message }],
  })
}
