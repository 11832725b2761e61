/** GET /v1/job-types and /v1/job-types/{type}: the catalogue. Pausing and resuming a type belongs here. */
import { createHash } from 'node:crypto'
import { matches } from '../headers.js'
import { empty, jsonText, type Reply } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { READERS } from './shared.js'

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
    handler: (call) => catalogue(call, { items: call.server.engine.types(call.caller), nextCursor: null }),
  }),
  route({
    method: 'GET',
    path: '/v1/job-types/{type}',
    id: 'getJobType',
    tag: 'Job types',
    scope: READERS,
    summary: 'One job type',
    description: 'Schemas, stages, how it is retried, how long it usually takes.',
    params: { type: { description: 'Name of the type.', example: 'ocr.extract' } },
    headers: ['If-None-Match'],
    responses: {
      200: { description: 'The type.', schema: 'JobType', headers: ['ETag'] },
      304: { description: 'Nothing changed.', headers: ['ETag'] },
    },
    problems: ['not-found'],
    handler: (call) => catalogue(call, call.server.engine.type(call.caller, call.params.type!)),
  }),
]

function catalogue(call: Call, value: unknown): Reply {
  const text = JSON.stringify(value)
  const ETag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
  const headers = { ETag, 'Cache-Control': 'private, max-age=60', Vary: 'Authorization' }
  return matches(call.request.headers.get('if-none-match'), ETag) ? empty(304, headers) : jsonText(text, 200, headers)
}
