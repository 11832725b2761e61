/**
 * One delivery: an attempt of the built-in job that POSTs one event to one address, signed. What a try comes to, and what
 * that means for the webhook, is decided here and in core/webhook.ts; tries, waiting times and kills are the engine's.
 */
import { Permanent, Transient } from '../core/classify.js'
import { afterTry, DELIVERY, secretsAt, type Tried, type Webhook } from '../core/webhook.js'
import { signWebhook } from '../core/webhook-signature.js'
import type { JobContext } from '../define/context.js'
import { defineJob, type JobHandler } from '../define/define-job.js'
import { jsonSchema } from '../define/schema.js'
import { type DeliveryInput, type DeliveryResult, WEBHOOK_QUEUE, WEBHOOK_TYPE } from '../engine/deliveries.js'
import type { EngineParts } from '../engine/parts.js'
import { isTombstone } from '../stores/store.js'
import type { SendResult } from './send.js'

/** Sends once. */
export type Post = (request: {
  url: string
  headers: Record<string, string>
  body: string
  signal: AbortSignal
}) => Promise<SendResult>

/** Tries to one address at once: one that hangs must not keep the others waiting. */
const PER_ADDRESS = 8
/** Largest body; a job with a larger result is told without it. */
const FULL_BYTES = 256 * 1024
const RETENTION = '30d'
/** A try is at most 20 s of network; the rest is for the store. */
const ATTEMPT = '60s'
/** A worker that dies says nothing of the receiver: a delivery is never given up for it, within its waiting times. */
const LOST = 1000

const delivery = defineJob(WEBHOOK_TYPE, {
  title: 'Webhook delivery',
  description: 'One event on its way to one webhook.',
  input: jsonSchema<DeliveryInput>({ type: 'object' }),
  output: jsonSchema<DeliveryResult>({ type: 'object' }),
})

export interface DeliverOptions {
  parts: EngineParts
  post: Post
}

export function deliveryHandler(options: DeliverOptions): JobHandler {
  return delivery.handler(
    {
      queue: WEBHOOK_QUEUE,
      retry: DELIVERY,
      timeout: { attempt: ATTEMPT },
      retention: RETENTION,
      maxLost: LOST,
      limits: { concurrency: { key: ({ webhookId, url }) => url ?? webhookId, limit: PER_ADDRESS } },
    },
    (job) => deliver(job, options),
  ) as JobHandler
}

async function deliver(job: JobContext<DeliveryInput>, { parts, post }: DeliverOptions) {
  const { webhookId, tenant, url, event } = job.input
  const webhook = await parts.store.webhooks.get(tenant, webhookId)
  if (!webhook)
    throw new Permanent('The webhook was removed before this could be delivered.', { code: 'webhook-removed' })
  // A ping is how somebody finds out whether it works again.
  if (webhook.disabled && event.type !== 'webhook.ping')
    throw new Permanent(`The webhook is disabled: ${webhook.disabled.message}`, { code: 'webhook-disabled' })
  const now = parts.store.now()
  const body = await bodyOf(parts, webhook, job.input)
  const signed = await signWebhook(
    { id: event.id, sentAt: now, body },
    secretsAt(webhook, now).map(({ secret }) => secret),
  )
  const type = webhook.format === 'cloudevents' ? 'application/cloudevents+json' : 'application/json'
  const headers = { ...signed, 'content-type': `${type}; charset=utf-8` }
  const answer = await post({ url: url ?? webhook.url!, headers, body, signal: job.signal })
  const tried = judge(answer)
  await parts.store.webhooks.change({
    ...{ tenant, id: webhookId, audit: null },
    decide: (latest, at) => (latest ? afterTry(latest, tried, at) : undefined),
  })
  if (!tried.ok) throw verdictOf(answer, tried)
  return { status: answer.status!, durationMs: answer.durationMs }
}

/** Only 2xx is a yes. */
function judge({ delivered, status, failure, message }: SendResult): Tried {
  if (delivered) return { ok: true }
  if (status === 410) return { ok: false, message: 'The receiver answered 410: it wants nothing more.', gone: true }
  return { ok: false, message: failure ? message! : `The receiver answered ${status}.`, gone: false }
}

function verdictOf({ status, failure, retryAfterMs }: SendResult, { message, gone }: Tried & { ok: false }): Error {
  const details = { ...(status === null ? {} : { status }), ...(failure ? { reason: failure } : {}) }
  if (gone) return new Permanent(message, { code: 'webhook-gone', details })
  return new Transient(message, { code: 'webhook-refused', details, retryAfterMs: retryAfterMs ?? 0 })
}

/** The event; with `full` and the job as it is now, which may have gone on since. */
async function bodyOf(parts: EngineParts, { payload }: Webhook, { tenant, event }: DeliveryInput): Promise<string> {
  const { jobId } = event.data
  if (payload === 'thin' || typeof jobId !== 'string') return JSON.stringify(event)
  const stored = await parts.store.find(jobId, FULL_BYTES)
  if (!stored || isTombstone(stored) || stored.record.tenant !== tenant) return JSON.stringify(event)
  const job = parts.view(stored)
  const whole = JSON.stringify({ ...event, data: { ...event.data, job } })
  return Buffer.byteLength(whole) <= FULL_BYTES
    ? whole
    : JSON.stringify({ ...event, data: { ...event.data, job: { ...job, result: null } } })
}
