/** POST /v1/jobs/{id}/cancel, /retry, /pause and /resume: what keeps a job the same job. */
import { type Route, route } from '../route.js'
import { ActionRequest } from '../schemas/operate.js'
import { CancelRequest, RetryRequest } from '../schemas/requests.js'
import { jobReply, requestOf } from './acting.js'
import { JOB_ID } from './shared.js'

const ACTION = {
  params: JOB_ID,
  headers: ['If-Match', 'Idempotency-Key'],
  body: { schema: ActionRequest, component: 'ActionRequest', required: false },
  problems: ['job-not-found', 'job-expired', 'job-already-done', 'invalid-transition', 'version-mismatch'],
} as const

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
      const request = await requestOf(call)
      const { job, pending } = await call.server.engine.cancel(call.caller, call.params.id!, request)
      return jobReply(call, job, pending ? 202 : 200)
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
    handler: async (call) =>
      jobReply(call, await call.server.engine.retry(call.caller, call.params.id!, await requestOf(call)), 202),
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/pause',
    id: 'pauseJob',
    tag: 'Jobs',
    scope: ['jobs:operate'],
    summary: 'Pause a job',
    description:
      'A job that waits its turn stands still at once; a running one stops at its next step, and the attempt does not count. ' +
      'What has begun is `blocked` meanwhile, what has not stays `accepted`. What a ' +
      'waiting job waits for is taken in meanwhile, and its time limits go on. The pause is not taken from its retry ' +
      'budget. In a review nothing moves anyway, so there it is refused.',
    ...ACTION,
    body: { ...ACTION.body, examples: { vendor: { reason: 'vendor is down until Monday' } } },
    responses: { 200: { description: 'It is paused, or will be at its next step.', schema: 'Job', headers: ['ETag'] } },
    handler: async (call) =>
      jobReply(call, await call.server.engine.pause(call.caller, call.params.id!, await requestOf(call))),
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/resume',
    id: 'resumeJob',
    tag: 'Jobs',
    scope: ['jobs:operate'],
    summary: 'Resume a paused job',
    description: 'It goes on where it stood. Only a pause is ended so: a review is ended by retry or answer.',
    ...ACTION,
    body: { ...ACTION.body, examples: { vendor: { reason: 'vendor is back' } } },
    responses: { 200: { description: 'It goes on.', schema: 'Job', headers: ['ETag', 'Retry-After'] } },
    handler: async (call) =>
      jobReply(call, await call.server.engine.resume(call.caller, call.params.id!, await requestOf(call))),
  }),
]
