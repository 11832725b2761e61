/** POST /v1/jobs and /v1/jobs/batch: hand in work. Nothing is acknowledged here that the engine has not stored. */
import type { WireJob } from '../../core/index.js'
import type { SubmitBody } from '../../engine/api.js'
import { readBatch, readSubmit } from '../envelope.js'
import { idempotencyKey, type Preference, preference, traceparent } from '../headers.js'
import { waitForJob } from '../holds.js'
import { bool } from '../query.js'
import { etagOf, json, NO_STORE, type Reply, retryAfter, underBase } from '../reply.js'
import { type Call, type Route, route } from '../route.js'

export const SUBMIT_PROBLEMS = [
  'idempotency-key-invalid',
  'idempotency-key-required',
  'idempotency-key-in-use',
  'idempotency-key-reused',
  'duplicate-operation',
  'input-invalid',
  'unknown-job-type',
  'file-not-found',
  'job-expired',
  'quota-exceeded',
  'rate-limited',
  'overloaded',
  'outcome-unknown',
] as const

const SAME_JOB = ['Idempotent-Replayed', 'Duplicate-Of'] as const

export const EXAMPLE_SUBMIT = {
  type: 'ocr.extract',
  input: { file: 'file_7Qm2VxkT' },
  groupId: 'session-42',
  operationKey: 'invoice:9917',
  tags: ['eu'],
  metadata: { ticket: 'OPS-1' },
}

export const submitRoutes: Route[] = [
  route({
    method: 'POST',
    path: '/v1/jobs',
    id: 'submitJob',
    tag: 'Jobs',
    scope: ['jobs:submit'],
    summary: 'Submit a job',
    description:
      'Stores a job and answers 202 once it is on disk; 200 when it is already done, because you asked to wait or the key ' +
      'was used before. Send an `Idempotency-Key`, and the same one again when an answer was lost.\n\n' +
      'A type with `unique` has one job per operation: a duplicate is answered with the job that is there ' +
      '(`Duplicate-Of`), refused, or takes its place, as `onDuplicate` says. `notify` names who is told of this one job.\n\n' +
      'Checked in this order, and nothing is stored unless all hold: credentials, size, JSON, envelope, key, type, input.',
    query: {
      validateOnly: bool('Check everything, store nothing; answers 200 with what would happen.', { example: true }),
    },
    headers: ['Idempotency-Key', 'Prefer', 'traceparent'],
    body: {
      component: 'SubmitRequest',
      read: (value, server, bytes) => readSubmit(value, server, bytes),
      examples: {
        job: EXAMPLE_SUBMIT,
        told: { ...EXAMPLE_SUBMIT, notify: [{ webhookId: 'wh_7QmZ2xk4VbT9aLpE' }] },
      },
    },
    responses: {
      200: {
        description: 'Done already, or (with `validateOnly`) valid.',
        schema: { anyOf: [{ $ref: '#/components/schemas/Job' }, { $ref: '#/components/schemas/Validation' }] },
        headers: ['Location', 'Content-Location', 'ETag', 'Link', ...SAME_JOB, 'Preference-Applied'],
      },
      202: {
        description: 'Stored durably. Follow it by `Location`, `Link` or its id.',
        schema: 'Job',
        headers: ['Location', 'Retry-After', 'ETag', 'Link', ...SAME_JOB, 'Preference-Applied'],
      },
    },
    problems: SUBMIT_PROBLEMS,
    handler: submit,
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/batch',
    id: 'submitJobs',
    tag: 'Jobs',
    scope: ['jobs:submit'],
    summary: 'Submit up to 500 jobs at once',
    description:
      'All are stored in one transaction, or none. Errors point into the list: `/items/3/input/url`. Either the ' +
      'whole batch has a key (`Idempotency-Key`), or single jobs have one (`idempotencyKey`); not both.',
    headers: ['Idempotency-Key', 'traceparent'],
    body: {
      component: 'BatchRequest',
      limit: 'batchBytes',
      read: (value, server) => readBatch(value, server),
      examples: {
        two: {
          items: [EXAMPLE_SUBMIT, { type: 'ocr.extract', input: { file: 'file_9hTz' }, idempotencyKey: 'scan-2' }],
        },
      },
    },
    responses: {
      202: { description: 'All stored durably.', schema: 'BatchAnswer', headers: ['Idempotent-Replayed'] },
    },
    problems: SUBMIT_PROBLEMS,
    handler: async (call) => {
      const { engine, settings } = call.server
      const { headers } = call.request
      const { items } = call.body
      const trace = traceparent(headers.get('traceparent'))
      if (trace !== null) for (const { body } of items) body.traceparent = trace
      const answer = await engine.submitBatch(call.caller, items, idempotencyKey(headers.get('idempotency-key')))
      const jobs = answer.items.map((job) => underBase(job, settings.base))
      const more: Record<string, string> = answer.replayed ? { 'Idempotent-Replayed': 'true' } : {}
      return json({ items: jobs, replayed: answer.replayed, duplicates: answer.duplicates }, 202, more)
    },
  }),
]

async function submit(call: Call<any, SubmitBody>): Promise<Reply> {
  const { engine, settings } = call.server
  const { headers } = call.request
  const body = call.body
  const key = idempotencyKey(headers.get('idempotency-key'))
  const trace = traceparent(headers.get('traceparent'))
  if (trace !== null) body.traceparent = trace
  if (call.query.validateOnly) return json(await engine.validate(call.caller, body, key))

  const wanted = preference(headers.get('prefer'))
  const { job, replayed, duplicateOf } = await engine.submit(call.caller, body, key)
  const waitMs = job.done ? 0 : Math.min(waitWanted(call, job, wanted), settings.limits.waitMs)
  const now = waitMs > 0 ? await waited(call, job, waitMs) : job

  const shown = underBase(now, settings.base)
  const answer: Record<string, string> = {
    'Cache-Control': NO_STORE,
    Location: shown.links.self,
    ETag: etagOf(now.revision),
    Link: `<${shown.links.stream}>; rel="monitor"`,
  }
  if (replayed) answer['Idempotent-Replayed'] = 'true'
  if (duplicateOf !== null) answer['Duplicate-Of'] = duplicateOf
  if (now.done) answer['Content-Location'] = shown.links.self
  else if (now.pollAfterMs !== null) answer['Retry-After'] = retryAfter(now.pollAfterMs)
  if (wanted) {
    const applied = appliedOf(wanted, settings.limits.waitMs)
    if (applied !== null) answer['Preference-Applied'] = applied
  }
  return json(shown, now.done ? 200 : 202, answer)
}

/** How long the answer may be held back: as the client wishes, else as the job type does. */
function waitWanted(call: Call, job: WireJob, wanted: Preference | null): number {
  if (wanted?.waitMs != null) return wanted.waitMs
  if (wanted?.respondAsync) return 0
  const completion = call.server.engine.completionOf(job.type)
  return completion.mode === 'wait' ? completion.upToMs : 0
}

function appliedOf(wanted: Preference, capMs: number): string | null {
  if (wanted.waitMs !== null) return `wait=${Math.floor(Math.min(wanted.waitMs, capMs) / 1000)}`
  return wanted.respondAsync ? 'respond-async' : null
}

/** The job is stored: whatever goes wrong while waiting, the answer is that it was accepted. */
async function waited(call: Call, job: WireJob, timeoutMs: number): Promise<WireJob> {
  try {
    return await waitForJob(call, job.id, { timeoutMs, until: 'attention' }, [], false)
  } catch (error) {
    const { method, url } = call.request
    call.server.settings.onError(error, {
      requestId: call.requestId,
      method,
      path: new URL(url).pathname,
      code: 'wait',
    })
    return job
  }
}
