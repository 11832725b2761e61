/** POST /v1/jobs/{id}/cancel and /retry. Pause, resume, replay, compensate, signal, override and resolve belong here. */
import { UntildoneError } from '../../core/index.js'
import { idempotencyKey, matches } from '../headers.js'
import { etagOf, jobHeaders, json, NO_STORE, underBase } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { CancelRequest, RetryRequest } from '../schemas/requests.js'
import { JOB_ID } from './shared.js'

export const actionRoutes: Route[] = [
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/cancel',
    id: 'cancelJob',
    tag: 'Jobs',
    scope: ['jobs:operate', 'jobs:submit'],
    summary: 'Cancel a job',
    description:
      'Not running: cancelled at once, 200. Running: 202, and the worker is asked to stop; the job may still end `completed` ' +
      'if it was past its point of no return, and that is then the truth. On a cancelled job it is 200 again. With ' +
      'jobs:submit only your own jobs.',
    params: JOB_ID,
    headers: ['If-Match', 'Idempotency-Key'],
    body: {
      schema: CancelRequest,
      component: 'CancelRequest',
      required: false,
      examples: { withdrawn: { reason: 'customer withdrew' } },
    },
    responses: {
      200: { description: 'It is cancelled.', schema: 'Job', headers: ['ETag'] },
      202: { description: 'It is being stopped.', schema: 'Job', headers: ['ETag', 'Retry-After'] },
    },
    problems: ['job-not-found', 'job-expired', 'job-already-done', 'version-mismatch'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const ifVersion = await versionSeen(call, call.body.ifVersion)
      const { job, pending } = await engine.cancel(call.caller, call.params.id!, {
        ...call.body,
        ifVersion,
        key: keyOf(call),
      })
      return json(underBase(job, settings.base), pending ? 202 : 200, { ...jobHeaders(job), 'Cache-Control': NO_STORE })
    },
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/retry',
    id: 'retryJob',
    tag: 'Jobs',
    scope: ['jobs:operate'],
    summary: 'Try again now',
    description:
      'Skips the wait between attempts, or resumes a job that waits for review. It stays the same job; a finished one never ' +
      'changes and gives 409.',
    params: JOB_ID,
    headers: ['If-Match', 'Idempotency-Key'],
    body: {
      schema: RetryRequest,
      component: 'RetryRequest',
      required: false,
      examples: { repaired: { reason: 'vendor is back', resetAttempts: true } },
    },
    responses: { 202: { description: 'It is next in line.', schema: 'Job', headers: ['ETag', 'Retry-After'] } },
    problems: ['job-not-found', 'job-expired', 'job-already-done', 'invalid-transition', 'version-mismatch'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const ifVersion = await versionSeen(call, call.body.ifVersion)
      const job = await engine.retry(call.caller, call.params.id!, { ...call.body, ifVersion, key: keyOf(call) })
      return json(underBase(job, settings.base), 202, { ...jobHeaders(job), 'Cache-Control': NO_STORE })
    },
  }),
]

const keyOf = (call: Call) => idempotencyKey(call.request.headers.get('idempotency-key'))

/**
 * The version to act on. If-Match is judged by revision and then pinned to the version read with it, so that a change of
 * state in between is still refused.
 */
async function versionSeen(call: Call, ifVersion: number | undefined): Promise<number | undefined> {
  const tag = call.request.headers.get('if-match')
  if (tag === null) return ifVersion
  const job = await call.server.engine.get(call.caller, call.params.id!)
  if (matches(tag, etagOf(job.revision))) return ifVersion ?? job.version
  throw new UntildoneError('version-mismatch', `The job is at revision ${job.revision} by now.`, {
    params: { version: job.version, revision: job.revision },
  })
}
