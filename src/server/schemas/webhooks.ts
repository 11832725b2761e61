/**
 * Webhooks as JSON Schema: what callers send, what they get, and what a receiver gets. `src/core/wire-webhook.ts` holds
 * the answers as types, and a test keeps the two equal.
 */
import { z } from 'zod'
import { EVENT_TYPES, STATUSES } from '../../core/index.js'
import { Actor, count, instant, Job, Status, uuid } from './job.js'

const cursor = z.string().nullable().describe('Hand it back as `cursor`; null when this was the last page.')
const reason = z.string().max(2048).nullable().optional().describe('Kept in the audit trail.')
const url = z.string().min(1).max(2048).meta({ format: 'uri' })
const eventTypes = z.array(z.enum(EVENT_TYPES)).max(EVENT_TYPES.length)

const filter = z
  .strictObject({
    types: z
      .array(
        z
          .string()
          .regex(/^[A-Za-z0-9._-]{0,128}\*?$/)
          .min(1),
      )
      .min(1)
      .max(16)
      .optional()
      .describe('Only these job types; `ocr.*` is a prefix.'),
    groupId: z.string().min(1).max(200).optional().describe('Only jobs of this group.'),
    tags: z.array(z.string().min(1).max(64)).min(1).max(16).optional().describe('Only jobs that have one of these.'),
  })
  .describe('Which jobs it hears of; what is left out does not narrow it.')

const members = {
  url: url.describe('https, and an address that is public, unless the server allows others.'),
  description: z.string().max(200).nullable().optional().describe('For people.'),
  events: eventTypes
    .optional()
    .describe(
      'What it hears. Default job.completed, job.failed, job.cancelled. Empty: only jobs that name it in `notify`.',
    ),
  filter: filter.optional(),
  payload: z
    .enum(['thin', 'full'])
    .optional()
    .describe('`thin`: what happened and to which job. `full`: the job with it, result included. Default thin.'),
  format: z
    .enum(['standard', 'cloudevents'])
    .optional()
    .describe(
      'The content type: application/json, or application/cloudevents+json. The body is the same. Default standard.',
    ),
  enabled: z.boolean().optional().describe('False: nothing is sent until it is enabled. Default true.'),
}

export const CreateWebhookRequest = z
  .strictObject({
    ...members,
    signing: z
      .enum(['hmac', 'ed25519'])
      .optional()
      .describe('`hmac`: a shared secret. `ed25519`: receivers hold a public key only. Default hmac.'),
    reason,
  })
  .describe('An address, and what it is told.')

export const UpdateWebhookRequest = z
  .strictObject({
    ...members,
    url: members.url.optional(),
    reason,
    ifVersion: count.optional().describe('Change it only if it still has this `version`; else 412.'),
  })
  .describe('Members that are left out stay. `filter` is replaced as a whole. `enabled: true` forgets the failures.')

export const RotateWebhookRequest = z.strictObject({
  overlapMs: z
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .optional()
    .describe('How long the old secret signs as well; 0: no longer at all. Default 24 h.'),
  reason,
})

const target = { events: eventTypes.min(1).optional().describe('Default: how it ends.') }
/** Who is told of one job besides the subscriptions. */
export const notify = z
  .array(
    z.union([z.strictObject({ webhookId: z.string().min(1).max(100), ...target }), z.strictObject({ url, ...target })]),
  )
  .max(5)
  .optional()
  .describe('Webhooks and addresses that are told of this job. An address of your own needs webhooks:manage.')

export const Webhook = z
  .object({
    id: z.string(),
    url: z.string().nullable().describe('Null for `wh_notify`, which signs what goes to addresses named in `notify`.'),
    description: z.string().nullable(),
    events: z.array(z.enum(EVENT_TYPES)),
    filter: filter,
    payload: z.enum(['thin', 'full']),
    format: z.enum(['standard', 'cloudevents']),
    signing: z.enum(['hmac', 'ed25519']),
    publicKey: z.string().nullable().describe('For ed25519: receivers verify with it.'),
    enabled: z.boolean(),
    disabled: z
      .object({ why: z.enum(['operator', 'gone', 'failing']), at: instant, message: z.string() })
      .nullable()
      .describe('`gone`: it answered 410. `failing`: five days of nothing but failures.'),
    health: z.object({
      failingSince: instant.nullable().describe('Since when nothing but failures has come from it.'),
      disablesAt: instant.nullable().describe('When it will be disabled if that goes on.'),
      lastSuccessAt: instant.nullable(),
      lastFailureAt: instant.nullable(),
      lastFailure: z.string().nullable().describe('In one sentence.'),
    }),
    secrets: z
      .array(z.object({ hint: z.string(), until: instant.nullable() }))
      .describe('Which sign now, by their ends: two during a rotation.'),
    createdBy: Actor,
    createdAt: instant,
    updatedAt: instant,
    version: count.describe('+1 for each change that somebody asked for; send it as `ifVersion`.'),
    links: z.object({ self: z.string(), deliveries: z.string() }),
    secret: z.string().optional().describe('Shown once, in the answer that creates or rotates it.'),
  })
  .describe('A subscription, and how its receiver answers.')
export const WebhookList = z.object({ items: z.array(Webhook), nextCursor: cursor })

const DeliveryTry = z.object({
  attempt: count,
  at: instant,
  durationMs: z.number(),
  status: z.int().nullable().describe('HTTP status; null when no answer came.'),
  outcome: z
    .enum(['delivered', 'failed', 'lost', 'released'])
    .describe('`lost`: the worker went away, so the receiver may have got it. `released`: given back at a shutdown.'),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  retryInMs: z.number().nullable(),
})

export const Delivery = z
  .object({
    id: uuid,
    webhookId: z.string(),
    url: z.string(),
    eventId: z.string().describe('The `webhook-id` header: the same in every try and every redelivery.'),
    eventType: z.enum(EVENT_TYPES),
    jobId: uuid.nullable(),
    status: z
      .enum(STATUSES)
      .describe('A delivery is a job. `completed`: a 2xx came back. `failed`: given up. `processing`: being tried.'),
    done: z.boolean(),
    attempts: count.describe('Tries made so far.'),
    nextAttemptAt: instant.nullable(),
    lastStatus: z.int().nullable().describe('The latest answer; null when there was none.'),
    lastError: z.string().nullable().describe('In one sentence, why the latest try did not work.'),
    createdAt: instant,
    finishedAt: instant.nullable(),
    resendOf: uuid.nullable().describe('The delivery that it repeats.'),
    links: z.object({ self: z.string(), webhook: z.string(), job: z.string().nullable() }),
    tries: z.array(DeliveryTry).optional().describe('With a single delivery, oldest first.'),
  })
  .describe('One event on its way to one webhook.')
export const DeliveryPage = z.object({ items: z.array(Delivery), nextCursor: cursor })

export const WebhookEvent = z
  .object({
    specversion: z.literal('1.0'),
    id: z.string().describe('The `webhook-id` header. What has been seen under it is a repeat.'),
    source: z.string(),
    type: z.string().describe(`${EVENT_TYPES.join(', ')}; an open set.`),
    subject: z.string(),
    time: instant.describe('When it happened.'),
    timestamp: instant.describe('The same.'),
    datacontenttype: z.literal('application/json'),
    data: z.object({
      jobId: uuid.optional().describe('With job and approval events; alone when the job is no longer kept.'),
      jobType: z.string().optional(),
      status: Status.optional(),
      done: z.boolean().optional(),
      version: count
        .optional()
        .describe('Of the job. Events may overtake each other: of two, the higher is the newer.'),
      groupId: z.string().nullable().optional(),
      operationKey: z.string().nullable().optional(),
      previousStatus: Status.nullable().optional(),
      job: Job.optional().describe(
        'With `payload: full`: the job as it is when this is sent. A result that makes the body larger than 256 KiB is left out.',
      ),
      approvalId: z.string().optional().describe('With approval events, as are `gate`, `risk` and `state`.'),
      gate: z.string().optional(),
      risk: z.string().optional(),
      state: z.string().optional(),
      resolution: z.string().optional().describe('With job.resolved: how a finished job was dealt with.'),
      otherJobId: z.string().nullable().optional().describe('With job.resolved.'),
      webhookId: z.string().optional().describe('With webhook.ping and webhook.disabled.'),
      url: z.string().nullable().optional().describe('With webhook.disabled, as are `why` and `message`.'),
      why: z.string().optional(),
      message: z.string().optional(),
      by: z.string().optional().describe('With webhook.ping: who asked for it.'),
    }),
  })
  .describe('What is sent to a webhook: CloudEvents attributes and Standard Webhooks members in one object.')
