/** GET /v1/workers, and draining one. Who is there is told by the engine from the rows that workers write of themselves. */
import { bool } from '../query.js'
import { json, NO_STORE } from '../reply.js'
import { type Route, route } from '../route.js'
import { DrainRequest } from '../schemas/requests.js'

const FRESH = { 'Cache-Control': NO_STORE }

export const workerRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/workers',
    id: 'listWorkers',
    tag: 'Operating',
    scope: ['jobs:operate'],
    summary: 'Who runs jobs, and which',
    description:
      'The workers of all processes that share the database, also `lost` ones: their jobs go on elsewhere. Jobs are of your ' +
      'tenant. Webhooks are delivered by a worker of their own in each process. A row is kept for a day after the last ' +
      'heartbeat.',
    query: { all: bool('Those that have ended in order (`gone`), too.') },
    responses: { 200: { description: 'The longest there first.', schema: 'WorkerList' } },
    problems: [],
    handler: async ({ server, caller, query }) =>
      json({ items: await server.engine.workers(caller, query.all === true), nextCursor: null }, 200, FRESH),
  }),
  route({
    method: 'POST',
    path: '/v1/workers/{id}/drain',
    id: 'drainWorker',
    tag: 'Operating',
    scope: ['jobs:operate'],
    summary: 'Let a worker take no more jobs',
    description:
      'It hears of it at its next heartbeat (within 5 s), in whichever process it is. Running steps end, however long they ' +
      'take; their jobs go on elsewhere, and no attempt is counted. Then it is `gone`. Its process stays and takes no jobs ' +
      'until it is started again. Draining twice is once.',
    params: { id: { description: 'Id of the worker.', example: 'w-7Q2mZ0aB' } },
    body: {
      schema: DrainRequest,
      component: 'DrainRequest',
      required: false,
      examples: { deploy: { reason: 'this machine is to be replaced' } },
    },
    responses: { 200: { description: 'The worker as it is now.', schema: 'Worker' } },
    problems: ['not-found'],
    handler: async ({ server, caller, params, body }) =>
      json(await server.engine.drainWorker(caller, params.id!, body), 200, FRESH),
  }),
]
