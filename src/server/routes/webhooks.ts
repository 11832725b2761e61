/** /v1/webhooks and their deliveries: who is told of events, and what became of it. Rights and sending are the engine's. */
import { z } from 'zod'
import { STATUSES, type WireDelivery, type WireWebhook } from '../../core/index.js'
import type { DeliveryQuery } from '../../engine/webhook-api.js'
import { list, text } from '../query.js'
import { empty, json, NO_STORE, type Reply } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { CreateWebhookRequest, RotateWebhookRequest, UpdateWebhookRequest } from '../schemas/webhooks.js'
import { JOB_ID, LIMIT, nextLink } from './shared.js'

const ID = { id: { description: 'Id of the webhook.', example: 'wh_7QmZ2xk4VbT9aLpE' } }
const DELIVERY_ID = {
  id: { description: 'Id of the delivery.', example: '019a7c31-9e21-7d10-8a77-0c4b5d3e6f21' },
}
const REASON = { reason: text('Kept in the audit trail.', 2048) }
const DELIVERIES = {
  status: list(z.enum(STATUSES), 'Only deliveries of these statuses.', { example: ['failed'] }),
  limit: LIMIT,
  cursor: text('`nextCursor` of the page before, with the same filters.', 2000),
}
/** Whoever operates a job may see who was told of it. */
const OF_JOBS = ['webhooks:manage', 'jobs:operate'] as const

export const webhookRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/webhooks',
    id: 'listWebhooks',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'List webhooks',
    description: 'All of the tenant, 50 at most, and how each answers. Without their secrets.',
    responses: { 200: { description: 'All webhooks.', schema: 'WebhookList' } },
    problems: [],
    handler: async (call) => {
      const { engine, settings } = call.server
      const items = (await engine.webhooks.list(call.caller)).map((webhook) => based(webhook, settings.base))
      return json({ items, nextCursor: null })
    },
  }),
  route({
    method: 'POST',
    path: '/v1/webhooks',
    id: 'createWebhook',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Create a webhook',
    description:
      'From now on what happens is sent there, signed. `secret` is in this answer only: give it to the receiver. ' +
      'What arrives is described under `webhooks` of this document.',
    body: {
      schema: CreateWebhookRequest,
      component: 'CreateWebhookRequest',
      examples: {
        ends: { url: 'https://app.example/hooks', description: 'order desk' },
        narrow: {
          url: 'https://app.example/hooks/ocr',
          events: ['job.completed', 'job.failed', 'job.cancelled', 'job.blocked'],
          filter: { types: ['ocr.*'], tags: ['eu'] },
          payload: 'full',
        },
      },
    },
    responses: { 201: { description: 'Created; `secret` is in it.', schema: 'Webhook', headers: ['Location'] } },
    problems: ['quota-exceeded', 'outcome-unknown'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const { reason, ...body } = call.body
      const made = based(await engine.webhooks.create(call.caller, body, reason ?? null), settings.base)
      return json(made, 201, { Location: made.links.self })
    },
  }),
  route({
    method: 'GET',
    path: '/v1/webhooks/{id}',
    id: 'getWebhook',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Read a webhook',
    description: 'What it hears and how its receiver answers. Without its secret.',
    params: ID,
    responses: { 200: { description: 'The webhook.', schema: 'Webhook' } },
    problems: ['not-found'],
    handler: async (call) => shown(call, await call.server.engine.webhooks.get(call.caller, call.params.id!)),
  }),
  route({
    method: 'PATCH',
    path: '/v1/webhooks/{id}',
    id: 'updateWebhook',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Change a webhook',
    description:
      'Members that are left out stay as they are; `filter` is replaced as a whole. `enabled: true` forgets the failures. ' +
      'Deliveries under way go to the address as it is at their next try.',
    params: ID,
    body: {
      schema: UpdateWebhookRequest,
      component: 'UpdateWebhookRequest',
      examples: {
        moved: { url: 'https://new.example/hooks', reason: 'the order desk has moved', ifVersion: 1 },
        again: { enabled: true },
      },
    },
    responses: { 200: { description: 'As it is now.', schema: 'Webhook' } },
    problems: ['not-found', 'version-mismatch', 'outcome-unknown'],
    handler: async (call) => {
      const { reason, ...changes } = call.body
      const { webhooks } = call.server.engine
      return shown(call, await webhooks.update(call.caller, call.params.id!, changes, reason ?? null))
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/webhooks/{id}',
    id: 'deleteWebhook',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Delete a webhook',
    description: 'Nothing more is sent there: deliveries under way end as failed at their next try.',
    params: ID,
    query: REASON,
    responses: { 204: { description: 'Deleted.' } },
    problems: ['not-found', 'outcome-unknown'],
    handler: async (call) => {
      await call.server.engine.webhooks.remove(call.caller, call.params.id!, call.query.reason ?? null)
      return empty(204, { 'Cache-Control': NO_STORE })
    },
  }),
  route({
    method: 'POST',
    path: '/v1/webhooks/{id}/rotate',
    id: 'rotateWebhook',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Replace its secret',
    description:
      'Makes a new secret, which is in this answer only. The old one signs as well for `overlapMs`, so that the receiver ' +
      'can be changed in between without losing anything.',
    params: ID,
    body: {
      schema: RotateWebhookRequest,
      component: 'RotateWebhookRequest',
      required: false,
      examples: { leaked: { overlapMs: 0, reason: 'the secret was in a log' }, week: { overlapMs: 604_800_000 } },
    },
    responses: { 200: { description: 'The webhook; `secret` is in it.', schema: 'Webhook' } },
    problems: ['not-found', 'outcome-unknown'],
    handler: async (call) => {
      const { overlapMs, reason } = call.body
      const { webhooks } = call.server.engine
      return shown(call, await webhooks.rotate(call.caller, call.params.id!, overlapMs, reason ?? null))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/webhooks/{id}/test',
    id: 'testWebhook',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Send a ping',
    description:
      'Sends a `webhook.ping`, to a disabled webhook too: a way to see whether it works again. Read the delivery to see ' +
      'how it went.',
    params: ID,
    responses: { 202: { description: 'The delivery is stored.', schema: 'Delivery', headers: ['Location'] } },
    problems: ['not-found', 'validation-failed', 'outcome-unknown'],
    handler: async (call) => sent(call, await call.server.engine.webhooks.test(call.caller, call.params.id!)),
  }),
  route({
    method: 'GET',
    path: '/v1/webhooks/{id}/deliveries',
    id: 'listWebhookDeliveries',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Deliveries of a webhook',
    description: 'Newest first, without their tries. Kept for 30 days.',
    params: ID,
    query: DELIVERIES,
    responses: { 200: { description: 'One page.', schema: 'DeliveryPage', headers: ['Link'] } },
    problems: ['not-found', 'invalid-cursor'],
    handler: (call) => deliveries(call, { webhookId: call.params.id! }),
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/deliveries',
    id: 'listJobDeliveries',
    tag: 'Webhooks',
    scope: OF_JOBS,
    summary: 'Who was told of a job',
    description: 'Its events on their way to every webhook and address, newest first, without their tries.',
    params: JOB_ID,
    query: DELIVERIES,
    responses: { 200: { description: 'One page.', schema: 'DeliveryPage', headers: ['Link'] } },
    problems: ['job-not-found', 'job-expired', 'invalid-cursor'],
    handler: (call) => deliveries(call, { jobId: call.params.id! }),
  }),
  route({
    method: 'GET',
    path: '/v1/deliveries/{id}',
    id: 'getDelivery',
    tag: 'Webhooks',
    scope: OF_JOBS,
    summary: 'Read a delivery',
    description: 'With every try: when, what was answered, when the next one begins.',
    params: DELIVERY_ID,
    responses: { 200: { description: 'The delivery.', schema: 'Delivery' } },
    problems: ['not-found'],
    handler: async (call) => {
      const { engine, settings } = call.server
      return json(onBase(await engine.webhooks.delivery(call.caller, call.params.id!), settings.base))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/deliveries/{id}/resend',
    id: 'resendDelivery',
    tag: 'Webhooks',
    scope: ['webhooks:manage'],
    summary: 'Send it again',
    description:
      'The same event under the same `webhook-id`, as a new delivery. While it is still under way, its next try begins now ' +
      'instead.',
    params: DELIVERY_ID,
    responses: { 202: { description: 'The delivery to look at.', schema: 'Delivery', headers: ['Location'] } },
    problems: ['not-found', 'invalid-transition', 'outcome-unknown'],
    handler: async (call) => sent(call, await call.server.engine.webhooks.resend(call.caller, call.params.id!)),
  }),
]

async function deliveries(call: Call<typeof DELIVERIES>, of: Pick<DeliveryQuery, 'webhookId' | 'jobId'>) {
  const { engine, settings } = call.server
  const { items, nextCursor } = await engine.webhooks.deliveries(call.caller, { ...call.query, ...of })
  const shown = items.map((delivery) => onBase(delivery, settings.base))
  return json({ items: shown, nextCursor }, 200, nextLink(call, 'cursor', nextCursor))
}

function shown(call: Call<any, any>, webhook: WireWebhook): Reply {
  return json(based(webhook, call.server.settings.base))
}

function sent(call: Call<any, any>, delivery: WireDelivery): Reply {
  const shown = onBase(delivery, call.server.settings.base)
  return json(shown, 202, { Location: shown.links.self })
}

/** With its links under the mount prefix. */
function based(webhook: WireWebhook, base: string): WireWebhook {
  const { self, deliveries } = webhook.links
  return { ...webhook, links: { self: base + self, deliveries: base + deliveries } }
}

function onBase(delivery: WireDelivery, base: string): WireDelivery {
  const { self, webhook, job } = delivery.links
  return { ...delivery, links: { self: base + self, webhook: base + webhook, job: job === null ? null : base + job } }
}
