/**
 * Webhooks over HTTP: what `client.webhooks` offers, and how each call is sent. A secret is shown once, so what makes one
 * is not sent again after a lost answer: that would make a second one unseen.
 */
import { type Duration, parseDuration } from '../core/duration.js'
import type { Status } from '../core/job.js'
import type { EventType } from '../core/webhook.js'
import type { WireDelivery, WireWebhook } from '../core/wire-webhook.js'
import type { CallOptions } from './options.js'
import { type Page, type Paged, paged } from './paged.js'
import type { Call } from './transport.js'

interface WebhookMembers {
  /** For people. @default none */
  description?: string | null
  /** What it hears; empty: only jobs that name it in `notify`. @default how jobs end: completed, failed, cancelled */
  events?: readonly EventType[]
  /** Which jobs it hears of; `types` may be prefixes that end in `*`, of `tags` one is enough. @default all */
  filter?: { types?: readonly string[]; group?: string; tags?: readonly string[] }
  /** `thin`: what happened and to which job. `full`: the job with it, result included. @default 'thin' */
  payload?: 'thin' | 'full'
  /** Content type: application/json or application/cloudevents+json. @default 'standard' */
  format?: 'standard' | 'cloudevents'
  /** False: nothing is sent. @default true */
  enabled?: boolean
  /** Kept in the audit trail. @default none */
  reason?: string
}

export interface CreateWebhookOptions extends WebhookMembers, CallOptions {
  /** Where it is sent: https and public, unless the server allows others. */
  url: string
  /** `hmac`: a shared secret. `ed25519`: the receiver holds a public key only. @default 'hmac' */
  signing?: 'hmac' | 'ed25519'
}

export interface UpdateWebhookOptions extends WebhookMembers, CallOptions {
  url?: string
  /** Refuse (`version-mismatch`) unless the webhook still has this version. @default whatever it has */
  ifVersion?: number
}

export interface ListDeliveriesOptions extends CallOptions {
  /** `completed`: a 2xx came back. `failed`: given up. @default all */
  status?: Status | readonly Status[]
  /** Per page, 200 at most. @default 50 */
  limit?: number
  cursor?: string
}

/** Who is told of one job besides the subscriptions: a webhook by its id, or an address of your own. */
export type NotifyTarget = ({ webhookId: string } | { url: string }) & {
  /** @default how it ends */
  events?: readonly EventType[]
}

export interface WebhookCalls {
  /** `secret` is in this answer only. @throws UntildoneApiError `validation-failed`, `quota-exceeded` */
  create(options: CreateWebhookOptions): Promise<WireWebhook>
  list(options?: CallOptions): Promise<WireWebhook[]>
  /** @throws UntildoneApiError `not-found` */
  get(id: string, options?: CallOptions): Promise<WireWebhook>
  /** Members that are left out stay; `filter` is replaced as a whole. `enabled: true` forgets the failures. */
  update(id: string, changes: UpdateWebhookOptions): Promise<WireWebhook>
  /** Deliveries under way end at their next try. */
  remove(id: string, options?: CallOptions & { reason?: string }): Promise<void>
  /** A new secret, in this answer only; the old one signs as well for `overlap`. @param options.overlap @default 24 h */
  rotate(id: string, options?: CallOptions & { overlap?: Duration; reason?: string }): Promise<WireWebhook>
  /** Sends a `webhook.ping`, to a disabled webhook too. */
  test(id: string, options?: CallOptions): Promise<WireDelivery>
  /** Newest first. */
  deliveries(id: string, options?: ListDeliveriesOptions): Paged<WireDelivery>
  /** Of one job, to whomever. @throws UntildoneApiError `job-not-found` */
  jobDeliveries(jobId: string, options?: ListDeliveriesOptions): Paged<WireDelivery>
  /** With its tries. */
  delivery(id: string, options?: CallOptions): Promise<WireDelivery>
  /** The same event once more, under the same `webhook-id`; while it is under way, its next try now. */
  resend(id: string, options?: CallOptions): Promise<WireDelivery>
}

/** @param body sends a call and gives the body of its answer */
export function webhookCalls(body: <T>(call: Call) => Promise<T>): WebhookCalls {
  const at = (id: string, rest = '') => `/v1/webhooks/${encodeURIComponent(id)}${rest}`
  const delivery = (id: string, rest = '') => `/v1/deliveries/${encodeURIComponent(id)}${rest}`
  const page = (path: string, { signal, cursor, ...query }: ListDeliveriesOptions = {}) =>
    paged((from) => body<Page<WireDelivery>>({ path, query: { ...query, cursor: from }, signal }), cursor)
  return {
    create: ({ signal, ...request }) =>
      body({ method: 'POST', path: '/v1/webhooks', json: onWire(request), repeat: 'refused', signal }),
    list: async ({ signal } = {}) => (await body<{ items: WireWebhook[] }>({ path: '/v1/webhooks', signal })).items,
    get: (id, { signal } = {}) => body({ path: at(id), signal }),
    update: (id, { signal, ...request }) => {
      // With a version it works once: sent again after a lost answer, it would be refused because of itself.
      const repeat = request.ifVersion === undefined ? 'always' : 'refused'
      return body({ method: 'PATCH', path: at(id), json: onWire(request), repeat, signal })
    },
    remove: async (id, { signal, ...query } = {}) => {
      await body({ method: 'DELETE', path: at(id), query, repeat: 'refused', signal })
    },
    rotate: (id, { signal, overlap, reason } = {}) => {
      const json = { overlapMs: overlap === undefined ? undefined : parseDuration(overlap, 'overlap'), reason }
      return body({ method: 'POST', path: at(id, '/rotate'), json, repeat: 'refused', signal })
    },
    test: (id, { signal } = {}) => body({ method: 'POST', path: at(id, '/test'), signal }),
    deliveries: (id, options) => page(at(id, '/deliveries'), options),
    jobDeliveries: (jobId, options) => page(`/v1/jobs/${encodeURIComponent(jobId)}/deliveries`, options),
    delivery: (id, { signal } = {}) => body({ path: delivery(id), signal }),
    resend: (id, { signal } = {}) => body({ method: 'POST', path: delivery(id, '/resend'), repeat: 'refused', signal }),
  }
}

function onWire<T extends WebhookMembers>({ filter, ...request }: T) {
  if (!filter) return request
  const { group, ...rest } = filter
  return { ...request, filter: { ...rest, groupId: group } }
}
