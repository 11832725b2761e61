/** Bodies and answers of operator actions, signals, callbacks, the decision log, the audit trail and bulk operations. */
import { z } from 'zod'
import { ANSWERS, STATUSES } from '../../core/index.js'
import { BULK_ACTIONS, RESOLUTIONS } from '../../engine/operator-api.js'
import { Actor, anyJson, count, instant, Status, Step, uuid } from './job.js'
import { ifVersion, reason } from './requests.js'

const why = z.string().min(1).max(2048).describe('Kept in the history and in the audit trail.')
const evidence = z
  .array(anyJson)
  .max(20)
  .optional()
  .describe('Links, tickets, anything; at most 64 KiB. Kept for audits.')
const stepName = z.string().min(1).max(1000)

export const ActionRequest = z.strictObject({ reason, ifVersion })

export const AnswerRequest = z.strictObject({
  step: stepName.optional().describe('The step that is asked about; needed for every answer but `stop`.'),
  answer: z
    .enum(ANSWERS)
    .describe(
      '`happened`, `did-not-happen`: the effect of the step. `undone`: you undid it by hand. `stop`: end the job as ' +
        'cancelled. `blockedOn[].question` says which are possible.',
    ),
  result: anyJson.optional().describe('With `happened`: the value that the step would have given.'),
  reason: why,
  ifVersion,
})

export const ReplayRequest = z.strictObject({
  fromStep: stepName
    .nullable()
    .optional()
    .describe('Begin here and take over what was recorded before. Default: from the start.'),
  reuseSteps: z.boolean().optional().describe('False takes over nothing. Default true.'),
  input: anyJson.optional().describe('Another input; it must fit the type. Null or left out: the same.'),
  reason: why,
  newEffects: z
    .union([z.literal(false), z.strictObject({ reason: why })])
    .optional()
    .describe('Effects get new keys, so that what happened before happens again. Default false.'),
})

export const ReplayPlan = z
  .object({
    fromStep: z.string().nullable(),
    input: z.enum(['same', 'changed']),
    reused: z.array(z.object({ step: z.string(), kind: Step.shape.kind, ageMs: z.number(), attempt: count })),
    again: z.array(
      z.object({
        step: z.string(),
        effect: Step.shape.effect,
        protectedByKey: z
          .string()
          .nullable()
          .describe('The idempotency key that makes a repeat harmless; null when there is none.'),
      }),
    ),
    newEffects: z.boolean(),
  })
  .describe('What a replay takes over, and what it does again.')

export const CompensateRequest = z.strictObject({
  reason: why,
  steps: z
    .array(stepName)
    .min(1)
    .max(1000)
    .nullable()
    .optional()
    .describe('Only these of the steps that are `due`. Default all.'),
})

export const OverrideRequest = z.strictObject({
  status: z.enum(['completed', 'failed', 'cancelled']),
  result: anyJson.optional().describe('With `completed`; must fit the `resultSchema` of the type.'),
  error: z
    .strictObject({
      code: z
        .string()
        .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/)
        .max(100)
        .optional(),
      message: z.string().min(1).max(8192).optional(),
    })
    .optional()
    .describe('With `failed` or `cancelled`. Default: `overridden`, with the reason as its message.'),
  reason: z.string().min(10).max(2048).describe('At least 10 characters; kept for ever.'),
  evidence,
  ifVersion: z.int().min(0).optional().describe('The `version` you saw. Required (or If-Match): 428 without it.'),
})

export const ResolveRequest = z.strictObject({
  kind: z.enum(RESOLUTIONS),
  reason: why,
  evidence,
  ifVersion,
})

export const SignalRequest = z.strictObject({
  payload: anyJson.optional().describe('What the schema of the signal takes.'),
  signalId: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/)
    .optional()
    .describe('A repeat with the same id is the same signal. Default: the Idempotency-Key, else a new one.'),
})
export const SignalAnswer = z.object({
  delivered: z.boolean().describe('True when a wait has taken it; else it is kept until the job waits for it.'),
})

export const CallbackRequest = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('completed'), payload: anyJson.optional() }),
  z.strictObject({
    outcome: z.literal('failed'),
    error: z.strictObject({ code: z.string().min(1).max(100), message: z.string().min(1).max(8192) }),
  }),
])
export const CallbackAnswer = z.object({ received: z.literal(true) })

export const GroupCancelRequest = z.strictObject({
  reason,
  mode: z.enum(['graceful', 'force']).optional().describe('`force` kills child processes at once. Default graceful.'),
})
export const GroupCancelAnswer = z.object({
  groupId: z.string(),
  cancelled: count.describe('Jobs that are cancelled now.'),
  stopping: count.describe('Running jobs that were asked to stop.'),
  refused: z.array(z.object({ id: uuid, code: z.string(), message: z.string() })),
})

export const Decision = z
  .object({
    at: instant,
    attempt: count,
    model: z.string(),
    modelVersion: z.string().nullable(),
    tools: z.array(z.string()),
    path: z.string().nullable(),
    fields: anyJson,
  })
  .describe('An entry of the decision log: what decided, with what, on which path.')
export const DecisionList = z.object({ items: z.array(Decision), nextCursor: z.string().nullable() })

export const AuditEntry = z
  .object({
    seq: count,
    at: instant,
    tenant: z.string(),
    actor: Actor,
    action: z.string().describe('e.g. `job.override`; an open set.'),
    target: z.string().describe('e.g. `job/019a…`.'),
    reason: z.string().nullable(),
    details: anyJson,
    prevHash: z.string(),
    hash: z.string(),
  })
  .describe('Who did what to what, and why. Each entry carries the hash of the one before it.')
export const AuditPage = z.object({
  items: z.array(AuditEntry),
  nextCursor: z.string().nullable().describe('Hand it back as `after`; null when this was the last page.'),
})
export const AuditCheck = z
  .object({
    intact: z.boolean(),
    entries: count,
    head: z.object({ seq: count, hash: z.string() }).nullable().describe('The last entry; keep it elsewhere.'),
    firstBreak: AuditEntry.nullable().describe('The first entry that does not follow from the one before it.'),
  })
  .describe('What a walk over the whole chain found.')

const text = (max = 200) => z.string().min(1).max(max).optional()
const when = z.string().meta({ format: 'date-time' }).optional()

/** The filters of GET /v1/jobs, as a body. */
const BulkFilter = z.strictObject({
  status: z.array(z.enum(STATUSES)).min(1).max(6).optional(),
  type: z.array(z.string().min(1).max(129)).min(1).max(100).optional(),
  groupId: text(),
  operationKey: text(),
  parentId: text(),
  tag: text(64),
  schedule: text(100),
  createdAfter: when,
  createdBefore: when,
  updatedAfter: when,
  late: z.boolean().optional(),
  needsAttention: z.boolean().optional(),
  origin: z.enum(['system', 'model', 'policy', 'input', 'engine']).optional(),
  model: text(),
  modelVersion: text(),
  tool: text(),
})

export const BulkRequest = z
  .strictObject({
    action: z.enum(BULK_ACTIONS),
    filter: BulkFilter.describe('As in GET /v1/jobs; at least one member.'),
    reason: why,
    dryRun: z.boolean().optional().describe('Says what would be done; nothing is stored.'),
    exclude: z.array(uuid).max(10_000).optional().describe('Ids that are left out.'),
    rate: z.int().min(1).max(100_000).optional().describe('At most so many jobs a minute. Default: no limit.'),
    mode: z.enum(['graceful', 'force']).optional().describe('Of a `cancel`. Default graceful.'),
    kind: z.enum(RESOLUTIONS).optional().describe('Of a `resolve`. Default resolvedManually.'),
  })
  .describe('One action on all jobs of a filter, done by a job that can be watched and cancelled.')

export const BulkPlan = z
  .object({
    action: z.enum(BULK_ACTIONS),
    count: count.describe('Jobs it would act on.'),
    more: z.boolean().describe('There are more than were counted.'),
    jobs: z
      .array(z.object({ id: uuid, type: z.string(), status: Status, statusText: z.string() }))
      .describe('The first of them.'),
    excluded: z.record(z.string(), count).describe('Jobs of the filter that are left out, by reason.'),
    excludedJobs: z.array(z.object({ id: uuid, code: z.string() })),
  })
  .describe('What a bulk operation would do.')
