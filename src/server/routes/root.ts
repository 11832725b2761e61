/** GET /v1: what this server is, its limits, and where everything is. */
import { json } from '../reply.js'
import { type Route, route } from '../route.js'

/** The six words, each with what it means: the same sentences as in the documents. */
const STATUS_MEANINGS = {
  accepted: 'We have your job, safely stored. Work has not begun.',
  processing: 'We are working on it, including waiting to try again. Nothing is needed from you.',
  blocked: 'It will not move until somebody or something outside acts. `blockedOn` says who or what.',
  completed: 'The work you asked for is done; the result is there.',
  failed: 'We could not do it and have stopped trying; `error` says why.',
  cancelled: 'It was stopped on purpose; `error.code` says by whom.',
}

export const rootRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1',
    id: 'getRoot',
    tag: 'Server',
    scope: 'any',
    summary: 'What this server is',
    description: 'Version, limits, features, the vocabulary of statuses, and links.',
    responses: { 200: { description: 'The root document.', schema: { type: 'object' } } },
    problems: [],
    handler: ({ server: { settings, engine, facades } }) => {
      const { base, limits, version } = settings
      return json({
        name: 'untildone',
        version,
        store: { kind: engine.store.kind, durability: engine.store.durability },
        statuses: Object.entries(STATUS_MEANINGS).map(([status, meaning]) => ({
          status,
          done: status === 'completed' || status === 'failed' || status === 'cancelled',
          meaning,
        })),
        limits: {
          bodyBytes: limits.bodyBytes,
          inputBytes: limits.inputBytes,
          batchItems: limits.batchItems,
          batchBytes: limits.batchBytes,
          fileBytes: limits.fileBytes,
          jsonDepth: limits.jsonDepth,
          idempotencyKeyCharacters: 255,
          waitMs: limits.waitMs,
          listItems: 200,
          streamsPerKey: limits.streamsPerKey,
          streams: limits.streams,
          streamMs: limits.streamMs,
          subscriptions: limits.subscriptions,
          frameBytes: limits.frameBytes,
        },
        features: {
          ...{ batch: true, files: true, longPoll: true, serverSentEvents: true, schedules: true, apiKeys: true },
          ...{ groupStreams: true, sockets: true, streamTickets: true },
          ...{ answers: true, replay: true, compensate: true, override: true, bulk: true, signals: true, audit: true },
          ...{ webhooks: true },
        },
        facades,
        links: {
          self: `${base}/v1`,
          jobs: `${base}/v1/jobs`,
          events: `${base}/v1/events/stream`,
          socket: `${base}/v1/ws`,
          files: `${base}/v1/files`,
          jobTypes: `${base}/v1/job-types`,
          queues: `${base}/v1/queues`,
          schedules: `${base}/v1/schedules`,
          webhooks: `${base}/v1/webhooks`,
          bulk: `${base}/v1/operations/bulk`,
          audit: `${base}/v1/audit`,
          whoami: `${base}/v1/whoami`,
          openapi: `${base}/openapi.json`,
          docs: `${base}/docs`,
          health: `${base}/readyz`,
        },
      })
    },
  }),
]
