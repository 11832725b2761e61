/** GET /v1/job-types, /v1/job-types/{type} and its story: the catalogue; and pausing and resuming a type. */
import { createHash } from 'node:crypto'
import { typeStoryMarkdown } from '../../engine/story/type-text.js'
import { accepts, matches } from '../headers.js'
import { text } from '../query.js'
import { empty, json, jsonText, NO_STORE, type Reply } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { PauseRequest, ResumeRequest } from '../schemas/requests.js'
import { READERS } from './shared.js'

const TYPE = { type: { description: 'Name of the type.', example: 'ocr.extract' } }

export const jobTypeRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/job-types',
    id: 'listJobTypes',
    tag: 'Job types',
    scope: READERS,
    summary: 'What can be submitted',
    description: 'The job types this key may use, each with the JSON Schema of its input and result.',
    headers: ['If-None-Match'],
    responses: {
      200: { description: 'All of them.', schema: 'JobTypeList', headers: ['ETag'] },
      304: { description: 'Nothing changed.', headers: ['ETag'] },
    },
    problems: [],
    handler: async (call) => catalogue(call, { items: await call.server.engine.types(call.caller), nextCursor: null }),
  }),
  route({
    method: 'GET',
    path: '/v1/job-types/{type}',
    id: 'getJobType',
    tag: 'Job types',
    scope: READERS,
    summary: 'One job type',
    description: 'Schemas, stages, how it is retried, how long it usually takes.',
    params: TYPE,
    headers: ['If-None-Match'],
    responses: {
      200: { description: 'The type.', schema: 'JobType', headers: ['ETag'] },
      304: { description: 'Nothing changed.', headers: ['ETag'] },
    },
    problems: ['not-found'],
    handler: async (call) => catalogue(call, await call.server.engine.type(call.caller, call.params.type!)),
  }),
  route({
    method: 'POST',
    path: '/v1/job-types/{type}/pause',
    id: 'pauseJobType',
    tag: 'Job types',
    scope: ['jobs:operate'],
    summary: 'Start nothing of a type',
    description:
      'Its jobs are still accepted and stay `accepted`; running ones go on. Counts for your tenant, also after a restart. ' +
      'Pausing twice is once.',
    params: TYPE,
    body: {
      schema: PauseRequest,
      component: 'PauseRequest',
      required: false,
      examples: { vendor: { reason: 'the vendor is down' } },
    },
    responses: { 200: { description: 'It is paused.', schema: 'JobType' } },
    problems: ['not-found'],
    handler: async ({ server, caller, params, body }) =>
      json(await server.engine.pauseType(caller, params.type!, body), 200, { 'Cache-Control': NO_STORE }),
  }),
  route({
    method: 'POST',
    path: '/v1/job-types/{type}/resume',
    id: 'resumeJobType',
    tag: 'Job types',
    scope: ['jobs:operate'],
    summary: 'Go on with a type',
    description: 'The worker looks at once. On a type that is not paused nothing happens.',
    params: TYPE,
    body: {
      schema: ResumeRequest,
      component: 'ResumeRequest',
      required: false,
      examples: { back: { reason: 'the vendor is back' } },
    },
    responses: { 200: { description: 'It goes on.', schema: 'JobType' } },
    problems: ['not-found'],
    handler: async ({ server, caller, params, body }) =>
      json(await server.engine.resumeType(caller, params.type!, body), 200, { 'Cache-Control': NO_STORE }),
  }),
  route({
    method: 'GET',
    path: '/v1/job-types/{type}/story',
    id: 'getJobTypeStory',
    tag: 'Job types',
    scope: READERS,
    summary: 'The whole way of a type, from intake to visible end',
    description:
      'Intake, durable write, stages and queues, reads and guards, effects, approvals, what each voice hears, ends. The ' +
      'steps are those of a job that ran: `from`, or the latest that completed; without one, and without jobs:read, they ' +
      'are unknown and said to be. With `Accept: text/markdown` it comes as a page.',
    params: { type: { description: 'Name of the type.', example: 'ocr.extract' } },
    query: { from: text('Id of the job to tell it from; needs jobs:read.', 64) },
    responses: {
      200: {
        description: 'The story.',
        schema: 'TypeStory',
        also: { 'text/markdown': { type: 'string', description: 'A page with a drawing.' } },
      },
    },
    problems: ['not-found', 'job-not-found', 'job-expired'],
    handler: async (call) => {
      const story = await call.server.engine.typeStory(call.caller, call.params.type!, call.query.from)
      const headers = { 'Cache-Control': NO_STORE, Vary: 'Authorization, Accept' }
      if (!accepts(call.request.headers.get('accept'), 'text/markdown')) return json(story, 200, headers)
      const type = { 'Content-Type': 'text/markdown; charset=utf-8' }
      return { status: 200, headers: { ...headers, ...type }, body: typeStoryMarkdown(story) }
    },
  }),
]

function catalogue(call: Call, value: unknown): Reply {
  const text = JSON.stringify(value)
  const ETag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
  const headers = { ETag, 'Cache-Control': 'private, max-age=60', Vary: 'Authorization' }
  return matches(call.request.headers.get('if-none-match'), ETag) ? empty(304, headers) : jsonText(text, 200, headers)
}
