/**
 * The job and its parts as JSON Schema for people and generators; `src/core/wire.ts` holds the same shapes as types, and
 * a test keeps the two equal. Answers are not validated with these.
 */
import { z } from 'zod'
import { ANSWERS } from '../../core/index.js'
import { ApprovalItem } from './approval.js'
import { Actor, anyJson, count, instant, Person, Status, uuid } from './base.js'

export { Actor, anyJson, count, instant, Person, Status, uuid } from './base.js'

export const JobProgress = z
  .object({
    stage: z.string().nullable(),
    stageLabel: z.string().nullable(),
    message: z.string().nullable(),
    completed: z.int().nullable(),
    total: z.int().nullable(),
    unit: z.string().nullable(),
    iterations: z
      .object({ completed: z.int(), total: z.int().nullable() })
      .nullable()
      .describe('Rounds over the same things; null when the job does not count them.'),
    percent: z
      .number()
      .min(0)
      .max(100)
      .nullable()
      .describe('From `completed` and `total`, else from `iterations`. Null when no total is known; never invented.'),
    stages: z.array(
      z.object({ name: z.string(), label: z.string(), state: z.enum(['pending', 'active', 'done', 'skipped']) }),
    ),
    updatedAt: instant,
  })
  .describe('How far it is, in the words of the job type.')

const errorClass = z.enum(['transient', 'permanent', 'review']).nullable()

export const JobError = z
  .object({
    code: z.string().describe('Slug to decide by; an open set.'),
    class: errorClass,
    origin: z
      .enum(['system', 'model', 'policy', 'input', 'engine'])
      .nullable()
      .describe('Where it came from; null for ends that are no failure.'),
    message: z.string(),
    messages: z.array(z.string()).describe('One line per error.'),
    step: z.string().nullable(),
    attempts: count,
    details: z.record(z.string(), z.unknown()).nullable(),
    occurredAt: instant,
    helpUrl: z.string().nullable(),
  })
  .describe('Why it failed or was cancelled, or what a review must decide.')

export const JobWarning = z
  .object({ code: z.string(), message: z.string(), step: z.string().nullable(), at: instant })
  .describe('A harmless error that was absorbed.')

export const Step = z
  .object({
    name: z.string().describe('Path and counter: `fetch`, `charge#2`, `recognize/fast`.'),
    kind: z.enum([
      ...(['step', 'process', 'first', 'stage', 'decision'] as const),
      ...(['timer', 'signal', 'callback', 'approval', 'child'] as const),
    ]),
    attempt: count,
    startedAt: instant,
    endedAt: instant,
    bytes: count,
    effect: z.enum(['read', 'idempotent', 'once']).nullable(),
    undo: z
      .enum(['due', 'undone', 'by-hand', 'reused'])
      .nullable()
      .describe('`due` until the job completes or the step is undone.'),
    info: anyJson,
  })
  .describe('A recorded part of a job; later attempts take its value from the record.')

export const JobOps = z
  .object({
    phase: z.string().describe('Finer than `status`; an open set.'),
    heldBy: z
      .object({
        limit: z.enum(['concurrency', 'order', 'rate']),
        key: z.string(),
        running: count.nullable(),
        ahead: count.nullable(),
      })
      .nullable()
      .describe('The limit that keeps it from starting; null for none.'),
    attempt: count,
    maxAttempts: count.nullable(),
    nextAttemptAt: instant.nullable(),
    lastError: z
      .object({ class: errorClass, code: z.string(), message: z.string(), rule: z.string().nullable() })
      .nullable(),
    queue: z.string(),
    workerId: z.string().nullable(),
    leaseExpiresAt: instant.nullable(),
  })
  .describe('For operators; only with `include=ops`.')

export const Job = z
  .object({
    id: uuid.describe('UUIDv7, lower case.'),
    type: z.string(),
    typeVersion: z.string().nullable(),
    tenant: z.string(),
    status: Status,
    done: z.boolean().describe('True is final: status, result and error never change after it.'),
    statusText: z.string().describe('One sentence for people; safe to show.'),
    progress: JobProgress.nullable(),
    blockedOn: z
      .array(
        z.object({
          kind: z.enum(['approval', 'review', 'signal', 'input', 'pause']),
          id: z.string(),
          title: z.string(),
          since: instant,
          dueAt: instant.nullable(),
          href: z.string().nullable(),
          quorum: z
            .object({ filled: count, needed: count })
            .nullable()
            .describe('Of an approval: how many are there and how many are needed.'),
          question: z
            .object({ step: z.string(), text: z.string(), answers: z.array(z.enum(ANSWERS)) })
            .nullable()
            .describe('What a person is asked: POST /v1/jobs/{id}/answer.'),
        }),
      )
      .describe(
        'Empty unless `status` is `blocked`. Of a job that was paused while it waited, the pause comes first, and then what ' +
          'it waits for from people or from outside.',
      ),
    result: anyJson.describe('Inline when completed and at most 256 KiB; else null, see `resultInfo`.'),
    resultInfo: z.object({
      state: z.enum(['none', 'inline', 'external', 'expired']),
      bytes: count.nullable(),
      contentType: z.string().nullable(),
      sha256: z.string().nullable(),
      expiresAt: instant.nullable(),
    }),
    error: JobError.nullable(),
    warnings: z.array(JobWarning),
    input: anyJson.optional().describe('Only with `include=input`.'),
    groupId: z.string().nullable(),
    operationKey: z.string().nullable(),
    tags: z.array(z.string()),
    metadata: z.record(z.string(), z.string()),
    parentId: uuid.nullable(),
    rootId: uuid.nullable(),
    schedule: z
      .object({ id: z.string(), at: instant.describe('The instant the job stands for.') })
      .nullable()
      .describe('The schedule that made it; null for jobs that somebody submitted.'),
    replayOf: uuid.nullable(),
    supersededBy: uuid.nullable(),
    compensates: uuid.nullable(),
    compensatedBy: uuid.nullable(),
    resolution: z
      .object({ kind: z.string(), reason: z.string(), by: Actor, at: instant, jobId: uuid.nullable() })
      .nullable()
      .describe('A note on a finished job.'),
    priority: z.int(),
    runAt: instant.nullable(),
    deadlineAt: instant.nullable(),
    createdAt: instant.describe('The instant from which it was durable.'),
    startedAt: instant.nullable(),
    updatedAt: instant,
    finishedAt: instant.nullable(),
    expectedDoneAt: instant.nullable(),
    late: z.boolean(),
    cancelRequestedAt: instant.nullable(),
    expiresAt: instant.nullable(),
    version: count.describe('+1 for each change of state; send it as `ifVersion`.'),
    revision: count.describe('+1 for each visible change; the ETag.'),
    pollAfterMs: count.nullable().describe('When to ask again; the same as Retry-After. Null when done.'),
    createdBy: Actor,
    onBehalfOf: Person.nullable(),
    traceparent: z.string().nullable(),
    links: z.object({ self: z.string(), result: z.string(), stream: z.string(), history: z.string() }),
    ops: JobOps.optional(),
    steps: z.array(Step).optional().describe('Only with `include=steps`.'),
    approvals: z.array(ApprovalItem).optional().describe('Only with `include=approvals`.'),
  })
  .describe('A job: the promise to one caller, and how it stands.')
