/** /healthz and /readyz, for those who start and stop servers. They say nothing that needs a key. */
import { json } from '../reply.js'
import { type Route, route } from '../route.js'

const HEALTH = {
  type: 'object',
  properties: {
    status: { type: 'string' },
    checks: { type: 'object', additionalProperties: { type: 'string' } },
  },
  required: ['status'],
}

export const healthRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/healthz',
    id: 'getHealth',
    tag: 'Server',
    scope: 'none',
    summary: 'Does the process answer',
    description: '200 as long as it does. For restarting a process that hangs.',
    responses: { 200: { description: 'It does.', schema: HEALTH, example: { status: 'ok' } } },
    problems: [],
    handler: () => json({ status: 'ok' }),
  }),
  route({
    method: 'GET',
    path: '/readyz',
    id: 'getReadiness',
    tag: 'Server',
    scope: 'none',
    summary: 'Should it get requests',
    description:
      '200 when jobs can be stored, even where something else is `degraded`; 503 when they cannot, or while it drains.',
    responses: {
      200: { description: 'Send requests.', schema: HEALTH, example: { status: 'ready', checks: { store: 'ok' } } },
      503: { description: 'Send none.', schema: HEALTH, example: { status: 'down', checks: { store: 'failed' } } },
    },
    problems: [],
    handler: async ({ server }) => {
      if (server.draining) return json({ status: 'draining', checks: {} }, 503, { 'Retry-After': '2' })
      const health = await server.engine.health()
      return health.status === 'down' ? json(health, 503, { 'Retry-After': '2' }) : json(health)
    },
  }),
]
