/** POST /v1/jobs/{id}/answer, /replay, /compensate, /override and /resolve: what people decide about a job. */
import { bool } from '../query.js'
import { json } from '../reply.js'
import { type Route, route } from '../route.js'
import { AnswerRequest, CompensateRequest, OverrideRequest, ReplayRequest, ResolveRequest } from '../schemas/operate.js'
import { jobReply, keyOf, madeReply, requestOf } from './acting.js'
import { JOB_ID } from './shared.js'

const REPLAYED = {
  allOf: [
    { $ref: '#/components/schemas/Job' },
    {
      type: 'object',
      required: ['replay'],
      properties: { replay: { $ref: '#/components/schemas/ReplayPlan' } },
    },
  ],
}

export const operatorRoutes: Route[] = [
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/answer',
    id: 'answerJob',
    tag: 'Operating',
    scope: ['jobs:operate'],
    summary: 'Answer what a job asks',
    description:
      'A job that is `blocked` on a review may ask a question that only a person can answer: `blockedOn[].question`. Did ' +
      'the effect of a `once` step happen? Was a step undone by hand? The answer is recorded and the job goes on in one ' +
      'transaction; `stop` ends it as cancelled, after undoing what is due.',
    params: JOB_ID,
    headers: ['If-Match', 'Idempotency-Key'],
    body: {
      schema: AnswerRequest,
      component: 'AnswerRequest',
      examples: {
        happened: {
          step: 'charge',
          answer: 'happened',
          result: { receipt: 'R-17' },
          reason: 'seen in the bank’s console',
        },
        undone: { step: 'book-car', answer: 'undone', reason: 'cancelled by phone' },
        stop: { answer: 'stop', reason: 'customer withdrew' },
      },
    },
    responses: {
      200: { description: 'It goes on, or is cancelled.', schema: 'Job', headers: ['ETag', 'Retry-After'] },
    },
    problems: ['job-not-found', 'job-expired', 'job-already-done', 'nothing-to-answer', 'version-mismatch'],
    handler: async (call) =>
      jobReply(call, await call.server.engine.answer(call.caller, call.params.id!, await requestOf(call))),
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/replay',
    id: 'replayJob',
    tag: 'Operating',
    scope: ['jobs:operate', 'jobs:submit'],
    summary: 'Do a finished job once more',
    description:
      'Makes a new job, linked both ways (`replayOf`, `supersededBy`); the finished one never changes. With `fromStep` it ' +
      'takes over what was recorded before that step; choosing a stage does again everything in it. Effects keep their ' +
      'keys, so that what happened `once` does not happen twice, unless `newEffects` asks for it. `replay` in the answer ' +
      'lists what is reused and what is done again. With jobs:submit only your own jobs.',
    params: JOB_ID,
    query: { dryRun: bool('Check everything, store nothing; answers 200 with the lists.', { example: true }) },
    headers: ['Idempotency-Key'],
    body: {
      schema: ReplayRequest,
      component: 'ReplayRequest',
      examples: {
        step: { fromStep: 'convert', input: { file: 'file_7Qm2VxkT', dpi: 300 }, reason: 'low scan quality' },
        start: { reason: 'vendor repaired its data' },
      },
    },
    responses: {
      200: {
        description: 'The key was used before: the job of then, as it is now. With `dryRun`: what would be done.',
        schema: { anyOf: [REPLAYED, { $ref: '#/components/schemas/ReplayPlan' }] },
        headers: ['Location', 'ETag', 'Idempotent-Replayed'],
      },
      202: { description: 'The new job.', schema: REPLAYED, headers: ['Location', 'ETag', 'Retry-After'] },
    },
    problems: [
      'duplicate-operation',
      ...(['job-not-found', 'job-expired', 'job-not-done', 'step-not-replayable', 'invalid-transition'] as const),
      ...(['input-invalid', 'unknown-job-type', 'idempotency-key-reused', 'idempotency-key-invalid'] as const),
    ],
    handler: async (call) => {
      const { engine } = call.server
      const request = { ...call.body, key: keyOf(call) }
      if (call.query.dryRun) return json(await engine.planReplay(call.caller, call.params.id!, request))
      return madeReply(call, await engine.replay(call.caller, call.params.id!, request))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/compensate',
    id: 'compensateJob',
    tag: 'Operating',
    scope: ['jobs:operate'],
    summary: 'Undo what a finished job did',
    description:
      'Makes a new job that runs the undos of the recorded steps, latest first; its result is `{ undone, notUndone }`. The ' +
      'finished job keeps its end and is noted `compensated` when the new one completes. Asked again, it is the same job.',
    params: JOB_ID,
    headers: ['Idempotency-Key'],
    body: {
      schema: CompensateRequest,
      component: 'CompensateRequest',
      examples: { all: { reason: 'customer cancelled' }, some: { reason: 'wrong price', steps: ['post-invoice'] } },
    },
    responses: {
      200: {
        description: 'It was asked for before: that job.',
        schema: 'Job',
        headers: ['Location', 'ETag', 'Idempotent-Replayed'],
      },
      202: { description: 'The job that undoes.', schema: 'Job', headers: ['Location', 'ETag', 'Retry-After'] },
    },
    problems: ['job-not-found', 'job-expired', 'job-not-done', 'nothing-to-compensate', 'unknown-job-type'],
    handler: async (call) =>
      madeReply(call, await call.server.engine.compensate(call.caller, call.params.id!, call.body)),
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/override',
    id: 'overrideJob',
    tag: 'Operating',
    scope: ['jobs:override'],
    summary: 'Set the end of a job by hand',
    description:
      'Ends an unfinished job as you say: its running attempt is cut off and its child processes are killed. A result must ' +
      'fit the type. It says for ever who set it (`statusText`, the warning `overridden`, the audit trail), and nobody can ' +
      'take it back.',
    params: JOB_ID,
    headers: ['If-Match', 'Idempotency-Key'],
    body: {
      schema: OverrideRequest,
      component: 'OverrideRequest',
      examples: {
        completed: {
          status: 'completed',
          result: { text: 'Typed by hand', pages: 2 },
          reason: 'Typed from the paper copy',
          evidence: ['OPS-1'],
          ifVersion: 12,
        },
        failed: {
          status: 'failed',
          error: { code: 'lost-in-post', message: 'The letter never came.' },
          reason: 'The sender has no copy either',
          ifVersion: 12,
        },
      },
    },
    responses: { 200: { description: 'It has ended.', schema: 'Job', headers: ['ETag'] } },
    problems: [
      ...(['job-not-found', 'job-expired', 'job-already-done', 'version-mismatch', 'precondition-required'] as const),
      ...(['result-invalid', 'unknown-job-type', 'invalid-transition'] as const),
    ],
    handler: async (call) =>
      jobReply(call, await call.server.engine.override(call.caller, call.params.id!, await requestOf(call))),
  }),
  route({
    method: 'POST',
    path: '/v1/jobs/{id}/resolve',
    id: 'resolveJob',
    tag: 'Operating',
    scope: ['jobs:operate'],
    summary: 'Note how a finished job was dealt with',
    description: 'Its status stays what it is; it no longer needs attention. The latest note is shown as `resolution`.',
    params: JOB_ID,
    headers: ['If-Match', 'Idempotency-Key'],
    body: {
      schema: ResolveRequest,
      component: 'ResolveRequest',
      examples: { manual: { kind: 'resolvedManually', reason: 'sent by post', evidence: ['OPS-1'] } },
    },
    responses: { 200: { description: 'The job with its note.', schema: 'Job', headers: ['ETag'] } },
    problems: ['job-not-found', 'job-expired', 'job-not-done', 'version-mismatch'],
    handler: async (call) =>
      jobReply(call, await call.server.engine.resolve(call.caller, call.params.id!, await requestOf(call))),
  }),
]
