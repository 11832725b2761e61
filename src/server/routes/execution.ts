/** GET /v1/jobs/{id}/history, /attempts, /steps, /logs, /decisions: what happened inside, for operators. */
import { text } from '../query.js'
import { json } from '../reply.js'
import { type Route, route } from '../route.js'
import { JOB_ID, LIMIT, nextLink } from './shared.js'

const pageQuery = { limit: LIMIT, cursor: text('`nextCursor` of the page before.', 2000) }
const problems = ['job-not-found', 'job-expired'] as const
const paged = [...problems, 'invalid-cursor'] as const

/** What the engine takes: at most 200 items, like every list. */
function page(query: { limit?: number; cursor?: string }): { limit?: number; cursor?: string } {
  return query.limit === undefined ? query : { ...query, limit: Math.min(query.limit, 200) }
}

export const executionRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/history',
    id: 'getJobHistory',
    tag: 'Execution',
    scope: ['jobs:read'],
    summary: 'Every transition, with cause and decision',
    description: 'Oldest first: from where, to where, who or what caused it, and which rule decided.',
    params: JOB_ID,
    query: pageQuery,
    responses: { 200: { description: 'One page.', schema: 'HistoryPage', headers: ['Link'] } },
    problems: paged,
    handler: async (call) => {
      const found = await call.server.engine.history(call.caller, call.params.id!, page(call.query))
      return json(found, 200, nextLink(call, 'cursor', found.nextCursor))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/attempts',
    id: 'listJobAttempts',
    tag: 'Execution',
    scope: ['jobs:operate'],
    summary: 'Attempts of a job',
    description: 'Each try with its worker, its error, the verdict and what came next.',
    params: JOB_ID,
    responses: { 200: { description: 'All attempts, oldest first.', schema: 'AttemptList' } },
    problems,
    handler: async (call) =>
      json({ items: await call.server.engine.attempts(call.caller, call.params.id!), nextCursor: null }),
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/steps',
    id: 'listJobSteps',
    tag: 'Execution',
    scope: ['jobs:read'],
    summary: 'Recorded steps of a job',
    description: 'What later attempts will take from the record instead of doing it again.',
    params: JOB_ID,
    responses: { 200: { description: 'All steps, oldest first.', schema: 'StepList' } },
    problems,
    handler: async (call) =>
      json({ items: await call.server.engine.steps(call.caller, call.params.id!), nextCursor: null }),
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/logs',
    id: 'getJobLogs',
    tag: 'Execution',
    scope: ['jobs:operate'],
    summary: 'Log lines of a job',
    description: 'What the handler logged, of all attempts, oldest first.',
    params: JOB_ID,
    query: pageQuery,
    responses: { 200: { description: 'One page.', schema: 'LogPage', headers: ['Link'] } },
    problems: paged,
    handler: async (call) => {
      const found = await call.server.engine.logs(call.caller, call.params.id!, page(call.query))
      return json(found, 200, nextLink(call, 'cursor', found.nextCursor))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/decisions',
    id: 'listJobDecisions',
    tag: 'Execution',
    scope: ['jobs:read'],
    summary: 'Decision log of a job',
    description:
      'What models decided in it: model and version, tools, path. GET /v1/jobs finds jobs by `model`, `modelVersion` and `tool`.',
    params: JOB_ID,
    responses: { 200: { description: 'All entries, oldest first.', schema: 'DecisionList' } },
    problems,
    handler: async (call) =>
      json({ items: await call.server.engine.decisions(call.caller, call.params.id!), nextCursor: null }),
  }),
]
