/** POST /v1/operations/bulk: one action on all jobs of a filter, done by a job. */
import { UntildoneError } from '../../core/index.js'
import type { BulkRequest as Bulk } from '../../engine/operator-api.js'
import { instantMs } from '../query.js'
import { json } from '../reply.js'
import { type Route, route } from '../route.js'
import { BulkRequest } from '../schemas/operate.js'
import { keyOf, madeReply } from './acting.js'

export const bulkRoutes: Route[] = [
  route({
    method: 'POST',
    path: '/v1/operations/bulk',
    id: 'runBulk',
    tag: 'Operating',
    scope: ['jobs:operate'],
    summary: 'Act on many jobs at once',
    description:
      'Retries, cancels, replays, resolves, pauses or resumes all jobs of a filter. It is done by a job of the type ' +
      '`untildone.bulk`: watch its progress, cancel it to stop where it is, read its result for what was done and what was ' +
      'left out. A restart goes on where it was, and does nothing twice. Jobs made after the request are never among them. ' +
      'With `dryRun` nothing is stored: 200 with the count, the first 20 and what is left out.',
    headers: ['Idempotency-Key'],
    body: {
      schema: BulkRequest,
      component: 'BulkRequest',
      examples: {
        retry: {
          action: 'retry',
          filter: { status: ['blocked'], type: ['ocr.*'] },
          reason: 'licence renewed, INC-88',
          rate: 600,
        },
        dryRun: { action: 'replay', filter: { status: ['failed'], tag: 'eu' }, reason: 'see what it is', dryRun: true },
      },
    },
    responses: {
      200: {
        description: 'With `dryRun`: what would be done. Else the key was used before: that job, as it is now.',
        schema: { anyOf: [{ $ref: '#/components/schemas/BulkPlan' }, { $ref: '#/components/schemas/Job' }] },
        headers: ['Location', 'ETag', 'Idempotent-Replayed'],
      },
      202: { description: 'The job that does it.', schema: 'Job', headers: ['Location', 'ETag', 'Retry-After'] },
    },
    problems: ['idempotency-key-reused', 'idempotency-key-invalid'],
    handler: async (call) => {
      const { dryRun, filter, ...more } = call.body
      const { engine } = call.server
      const request: Bulk = { ...more, filter: filterOf(filter) }
      if (dryRun) return json(await engine.planBulk(call.caller, request))
      return madeReply(call, await engine.bulk(call.caller, request, keyOf(call)))
    },
  }),
]

const INSTANTS = ['createdAfter', 'createdBefore', 'updatedAfter'] as const

/** @throws UntildoneError validation-failed */
function filterOf({
  createdAfter,
  createdBefore,
  updatedAfter,
  ...rest
}: typeof BulkRequest._output.filter): Bulk['filter'] {
  const filter: Bulk['filter'] = rest
  const given = { createdAfter, createdBefore, updatedAfter }
  for (const name of INSTANTS) {
    const text = given[name]
    if (text === undefined) continue
    const at = instantMs(text)
    if (at === null) {
      const message = 'must be an RFC 3339 instant like 2026-11-22T09:00:00Z'
      throw new UntildoneError('validation-failed', `/filter/${name} ${message}.`, {
        errors: [{ pointer: `/filter/${name}`, code: 'format', message }],
      })
    }
    filter[name] = at
  }
  return filter
}
