/**
 * What callers send. Strict: an unknown member is refused, so that a typo never silently changes what is done. The
 * submit body is checked by `envelope.ts`; a property test holds the two together.
 */
import { z } from 'zod'
import { type KeyRequest, ON_DUPLICATE, SCOPES } from '../../engine/api.js'
import { anyJson, Job } from './job.js'
import { Gate } from './others.js'
import { notify } from './webhooks.js'

export const optionalInstant = z.string().meta({ format: 'date-time' }).nullable().optional()

export const submitMembers = {
  type: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/)
    .describe('A job type of this server: GET /v1/job-types.'),
  input: anyJson.optional().describe('What the type takes; at most 256 KiB, larger things are files (POST /v1/files).'),
  groupId: z.string().min(1).max(200).nullable().optional().describe('Jobs that belong together, e.g. a session.'),
  operationKey: z
    .string()
    .min(1)
    .max(200)
    .nullable()
    .optional()
    .describe('The business operation, e.g. `invoice:9917`.'),
  priority: z.int().min(-100).max(100).optional().describe('Higher is sooner. Default 0.'),
  runAt: optionalInstant.describe('Do not start before.'),
  deadlineAt: optionalInstant.describe('Give up after.'),
  onDuplicate: z
    .enum(ON_DUPLICATE)
    .nullable()
    .optional()
    .describe(
      'What becomes of it when a job of the same operation is there: `return` that job, `reject` with 409, or `replace` it if it has not begun. Only for types with `unique`; default is what the type says.',
    ),
  tags: z.array(z.string().min(1).max(64)).max(16).optional(),
  onBehalfOf: z
    .strictObject({ id: z.string().min(1).max(200), name: z.string().max(200).optional() })
    .nullable()
    .optional()
    .describe('The person it is done for; shown to approvers and compared by `id`.'),
  permissions: z
    .array(z.string().min(1).max(200))
    .max(100)
    .optional()
    .describe('What that person may do now; checked again before effects that happen once.'),
  typeVersion: z
    .string()
    .min(1)
    .max(64)
    .nullable()
    .optional()
    .describe('Version of the type you were built against; older input is upgraded.'),
  metadata: z
    .record(z.string().min(1).max(64), z.string().max(512))
    .refine((pairs) => Object.keys(pairs).length <= 16)
    .meta({ maxProperties: 16 })
    .optional()
    .describe('Yours; at most 16 pairs.'),
  notify,
}

export const SubmitRequest = z.strictObject(submitMembers).describe('One job to be done.')

export const BatchItem = z.strictObject({
  ...submitMembers,
  idempotencyKey: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .optional(),
})
export const BatchRequest = z
  .strictObject({ items: z.array(BatchItem).min(1).max(500) })
  .describe('Jobs that are all stored, or none of them.')
export const BatchAnswer = z.object({
  items: z.array(Job).describe('In the order of the request.'),
  replayed: z.boolean().describe('True when this batch was stored before under the same key.'),
  duplicates: z
    .array(z.int().min(0))
    .describe('Places in `items` of jobs that were there before, as duplicates: nothing was stored for them.'),
})

export const Validation = z.object({
  valid: z.literal(true),
  type: z.string(),
  gates: z.array(Gate).describe('Where people will decide.'),
  estimates: z.object({ p50Ms: z.number().nullable(), p95Ms: z.number().nullable() }),
})

export const reason = z.string().max(2048).nullable().optional().describe('Kept in the history.')
export const ifVersion = z.int().min(0).optional().describe('Act only if the job still has this `version`; else 412.')

export const CancelRequest = z.strictObject({
  reason,
  mode: z.enum(['graceful', 'force']).optional().describe('`force` kills child processes at once. Default graceful.'),
  compensate: z
    .boolean()
    .optional()
    .describe('False: what its steps did is not undone; needs jobs:operate. Default true.'),
  ifVersion,
})

export const RetryRequest = z.strictObject({
  reason,
  ifVersion,
  resetAttempts: z.boolean().optional().describe('Start a new retry budget. Default: true from a review.'),
})

export const PauseRequest = z.strictObject({ reason })
export const ResumeRequest = z.strictObject({ reason })
export const DrainRequest = z.strictObject({ reason })

export const CreateKeyRequest: z.ZodType<KeyRequest> = z.strictObject({
  name: z.string().min(1).max(100),
  scopes: z.array(z.enum(SCOPES)).min(1),
  types: z
    .array(
      z
        .string()
        .regex(/^[A-Za-z0-9._-]{0,128}\*?$/)
        .min(1),
    )
    .min(1)
    .nullable()
    .optional()
    .describe('Only these job types; `ocr.*` is a prefix. Default all.'),
  person: z
    .strictObject({ id: z.string().min(1).max(200), name: z.string().max(200).optional() })
    .nullable()
    .optional()
    .describe('Whose key it is: where two people must differ, persons are compared, not keys.'),
  groups: z.array(z.string().min(1).max(100)).max(50).nullable().optional().describe('Groups of that person.'),
  maxRisk: z
    .enum(['low', 'medium', 'high'])
    .nullable()
    .optional()
    .describe('Highest risk it may approve. Default any.'),
  expiresAt: optionalInstant,
})

export const RotateKeyRequest = z.strictObject({
  overlapMs: z
    .int()
    .min(0)
    .max(30 * 86_400_000)
    .optional()
    .describe('How long the old key still works. Default 1 h.'),
})
