/**
 * Everything else that answers are made of: events, execution detail, groups, types, files, keys, problems, pages.
 */
import { z } from 'zod'
import { ON_DUPLICATE, SCOPES } from '../../engine/api.js'
import { Actor, anyJson, count, instant, Job, JobError, JobProgress, Person, Status, Step, uuid } from './job.js'

const cursor = z.string().nullable().describe('Hand it back as `cursor`; null when this was the last page.')

export const JobPage = z
  .object({ items: z.array(Job), nextCursor: cursor, estimatedTotal: z.int().nullable() })
  .describe('Jobs without their inputs and results.')

export const JobEvent = z
  .object({
    specversion: z.literal('1.0'),
    id: z.string(),
    source: z.string(),
    type: z.string().describe('`job.` and the status entered; an open set.'),
    subject: z.string(),
    time: instant,
    timestamp: instant,
    datacontenttype: z.literal('application/json'),
    data: z.object({
      jobId: uuid,
      jobType: z.string(),
      status: Status,
      done: z.boolean(),
      version: count,
      groupId: z.string().nullable(),
      operationKey: z.string().nullable(),
      previousStatus: Status.nullable(),
      progress: JobProgress.optional(),
    }),
  })
  .describe('One thing that happened to a job: CloudEvents attributes and Standard Webhooks members in one object.')

export const EventPage = z.object({
  items: z.array(JobEvent),
  nextCursor: z.string().nullable().describe('Hand it back as `after`; null when nothing followed.'),
})

const place = z.object({ status: Status, phase: z.string() })

export const HistoryEntry = z
  .object({
    seq: count,
    at: instant,
    jobId: uuid,
    event: z.string(),
    from: place.nullable(),
    to: place,
    cause: z
      .object({
        kind: z.string(),
        class: z.enum(['transient', 'permanent', 'review']).nullable(),
        code: z.string(),
        message: z.string(),
      })
      .nullable(),
    actor: Actor,
    attempt: count,
    step: z.string().nullable(),
    decision: z.object({ rule: z.string(), path: z.array(z.string()) }).nullable(),
    context: anyJson,
    reason: z.string().nullable(),
    hash: z.string().nullable().describe('Place in the audit chain, for entries that a person or program caused.'),
    prevHash: z.string().nullable(),
  })
  .describe('One transition, with its cause and the rule that decided it.')

export const HistoryPage = z.object({ items: z.array(HistoryEntry), nextCursor: cursor })

export const Attempt = z
  .object({
    attempt: count,
    outcome: z.enum(['running', 'ok', 'error', 'lost', 'released', 'suspended', 'cancelled']),
    verdict: z.string().nullable(),
    rule: z.string().nullable(),
    error: JobError.nullable(),
    workerId: z.string().nullable(),
    startedAt: instant,
    endedAt: instant.nullable(),
    durationMs: z.number(),
    retryInMs: z.number().nullable(),
  })
  .describe('One try by one worker, from claim to outcome.')

export const AttemptList = z.object({ items: z.array(Attempt), nextCursor: cursor })
export const StepList = z.object({ items: z.array(Step), nextCursor: cursor })

export const LogLine = z.object({
  at: instant,
  attempt: count,
  level: z.enum(['debug', 'info', 'warn', 'error']),
  message: z.string(),
  data: anyJson,
})
export const LogPage = z.object({ items: z.array(LogLine), nextCursor: cursor })

export const Group = z
  .object({
    groupId: z.string(),
    counts: z.record(Status, count),
    total: count,
    done: z.boolean().describe('True when every job of the group is.'),
    firstCreatedAt: instant,
    lastUpdatedAt: instant,
    latestByType: z.record(z.string(), uuid),
  })
  .describe('The jobs that share a `groupId`, counted.')

export const Gate = z.object({
  gate: z.string(),
  dataSchema: anyJson.describe('JSON Schema 2020-12 of the data that goes with a request.'),
})

export const JobType = z
  .object({
    type: z.string(),
    version: z.string().nullable(),
    title: z.string().nullable(),
    description: z.string().nullable(),
    inputSchema: anyJson.describe('JSON Schema 2020-12.'),
    resultSchema: anyJson.describe('JSON Schema 2020-12.'),
    stages: z.array(z.object({ name: z.string(), label: z.string() })),
    gates: z.array(Gate).describe('Where people decide.'),
    completion: z.discriminatedUnion('mode', [
      z.object({ mode: z.literal('wait'), upToMs: count }),
      z.object({ mode: z.literal('staged') }),
      z.object({ mode: z.literal('background') }),
    ]),
    retry: z.object({
      withinMs: z.number(),
      maxAttempts: count.nullable(),
      backoff: z.object({
        fromMs: z.number(),
        toMs: z.number(),
        factor: z.number(),
        delaysMs: z.array(z.number()).optional(),
      }),
      onExhausted: z.enum(['fail', 'review']),
    }),
    errorClasses: z.array(z.object({ match: z.string(), is: z.string(), code: z.string().nullable() })),
    expected: z.object({ p50Ms: z.number().nullable(), p95Ms: z.number().nullable(), samples: count }),
    requireIdempotencyKey: z.boolean(),
    retentionMs: z.number(),
    queue: z.string(),
    limits: z
      .object({
        concurrency: count.nullable().describe('Jobs with the same key that may run at once.'),
        ordered: z.boolean().describe('Jobs with the same key are done one after the other.'),
        rate: z.object({ limit: count, perMs: z.number(), burst: count }).nullable(),
      })
      .nullable(),
    unique: z
      .object({
        windowMs: z.number().nullable().describe('Null: as long as the job is not done.'),
        onDuplicate: z.enum(ON_DUPLICATE),
      })
      .nullable(),
    paused: z.boolean().describe('True: its jobs are accepted and not started.'),
  })
  .describe('What can be submitted, and how it behaves.')

export const JobTypeList = z.object({ items: z.array(JobType), nextCursor: cursor })

export const Queue = z
  .object({
    name: z.string(),
    paused: z.boolean().describe('True: its jobs are accepted and not started.'),
    pause: z
      .object({ actor: Actor, reason: z.string().nullable(), at: instant })
      .nullable()
      .describe('Who paused it, why and when; null while it goes on.'),
    depth: count.describe('Jobs that could start now, `held` included; counted up to 10 000 per type.'),
    held: count.describe('Of these, the ones that a limit of their type holds.'),
    oldestAgeMs: z.number().nullable().describe('How long the oldest of them has been waiting.'),
    running: count,
    concurrency: count.nullable().describe('Most jobs at once in this process; null: as many as the worker has slots.'),
  })
  .describe('A named lane with its own capacity.')
export const QueueList = z.object({ items: z.array(Queue), nextCursor: cursor })

export const Worker = z
  .object({
    id: z.string().describe('Anew with each start of its process, and when it lost its lease.'),
    host: z.string(),
    pid: z.int(),
    state: z
      .enum(['up', 'draining', 'lost', 'gone'])
      .describe(
        '`draining`: it takes no more jobs. `lost`: nothing was heard of it for 30 s. `gone`: it has ended in order.',
      ),
    startedAt: instant,
    lastSeenAt: instant,
    leaseUntil: instant.describe('Until when its jobs are its own, if nothing more is heard of it.'),
    types: z
      .array(z.object({ name: z.string(), version: z.string().nullable() }))
      .nullable()
      .describe('Job types that it has.'),
    queues: z.array(z.string()).nullable().describe('Queues that it serves; null is all.'),
    running: count,
    jobs: z
      .array(z.object({ type: z.string(), running: count, oldestAgeMs: z.number() }))
      .describe('What it runs, by type; `oldestAgeMs` is how long the oldest attempt has been under way.'),
  })
  .describe('What claims and runs jobs, in some process on some machine.')
export const WorkerList = z.object({ items: z.array(Worker), nextCursor: cursor })

export const StoredFile = z
  .object({
    file: z.string().describe('The id to put into an input.'),
    bytes: count,
    sha256: z.string(),
    contentType: z.string(),
    name: z.string().nullable(),
    createdAt: instant,
    expiresAt: instant.nullable().describe('When it is removed if no job refers to it by then.'),
  })
  .describe('A stored file, synced to disk before this was said.')

export const ApiKey = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(z.string()),
    types: z.array(z.string()).nullable(),
    person: Person.nullable().describe('Whose key it is; two-person rules compare persons.'),
    groups: z.array(z.string()).nullable(),
    maxRisk: z.string().nullable().describe('Highest risk it may approve; null is any.'),
    createdAt: instant,
    expiresAt: instant.nullable(),
    lastUsedAt: instant.nullable(),
    revokedAt: instant.nullable(),
    key: z.string().optional().describe('The key itself: shown once, in the answer that creates or rotates it.'),
  })
  .describe('An API key; only its hash is stored.')
export const ApiKeyList = z.object({ items: z.array(ApiKey), nextCursor: cursor })

export const WhoAmI = z.object({
  tenant: z.string(),
  actor: Actor,
  scopes: z.array(z.enum(SCOPES)),
  types: z.array(z.string()).nullable().describe('Job types this caller may use; null = all.'),
})

export const Problem = z
  .object({
    type: z.string().describe('urn:untildone:problem:<code>'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().describe('urn:untildone:request:<Request-Id>'),
    code: z.string().describe('Slug to decide by.'),
    retryable: z.boolean().describe('True when the same request may work later: the only switch a client needs.'),
    retryAfterMs: z.int().nullable(),
    fix: z.string().describe('What to do.'),
    docs: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), code: z.string(), message: z.string() }))
      .describe('Members that are wrong, by JSON Pointer into the body.'),
    params: z.record(z.string(), z.unknown()),
  })
  .describe('An error after RFC 9457.')
