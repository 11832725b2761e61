/** GET /v1/queues, and pausing and resuming one. The queue itself is a name; what is in it is counted by the engine. */
import { json, NO_STORE } from '../reply.js'
import { type Route, route } from '../route.js'
import { PauseRequest, ResumeRequest } from '../schemas/requests.js'

const QUEUE = { queue: { description: 'Name of the queue.', example: 'default' } }
const FRESH = { 'Cache-Control': NO_STORE }

export const queueRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/queues',
    id: 'listQueues',
    tag: 'Job types',
    scope: ['jobs:operate'],
    summary: 'How full the queues are',
    description: 'The queues of this server, and those that hold jobs of your tenant; counts are of your tenant.',
    responses: { 200: { description: 'All of them.', schema: 'QueueList' } },
    problems: [],
    handler: async ({ server, caller }) =>
      json({ items: await server.engine.queues(caller), nextCursor: null }, 200, FRESH),
  }),
  route({
    method: 'POST',
    path: '/v1/queues/{queue}/pause',
    id: 'pauseQueue',
    tag: 'Job types',
    scope: ['jobs:operate'],
    summary: 'Start nothing of a queue',
    description:
      'Its jobs are still accepted and stay `accepted`; running ones go on. Counts for your tenant, also after a restart. ' +
      'Pausing twice is once.',
    params: QUEUE,
    body: {
      schema: PauseRequest,
      component: 'PauseRequest',
      required: false,
      examples: { vendor: { reason: 'the vendor is down' } },
    },
    responses: { 200: { description: 'It is paused.', schema: 'Queue' } },
    problems: ['not-found'],
    handler: async ({ server, caller, params, body }) =>
      json(await server.engine.pauseQueue(caller, params.queue!, body), 200, FRESH),
  }),
  route({
    method: 'POST',
    path: '/v1/queues/{queue}/resume',
    id: 'resumeQueue',
    tag: 'Job types',
    scope: ['jobs:operate'],
    summary: 'Go on with a queue',
    description: 'The worker looks at once. On a queue that is not paused nothing happens.',
    params: QUEUE,
    body: {
      schema: ResumeRequest,
      component: 'ResumeRequest',
      required: false,
      examples: { back: { reason: 'the vendor is back' } },
    },
    responses: { 200: { description: 'It goes on.', schema: 'Queue' } },
    problems: ['not-found'],
    handler: async ({ server, caller, params, body }) =>
      json(await server.engine.resumeQueue(caller, params.queue!, body), 200, FRESH),
  }),
]
