/** GET /v1/jobs/{id}/events and …/events/stream: what happened, as pages and live. */
import { UntildoneError } from '../../core/index.js'
import { streamJob } from '../live/index.js'
import { text } from '../query.js'
import { type Route, route } from '../route.js'
import { JOB_ID, LIMIT, lastSeen, nextLink, pageReply, READERS, STREAM_END, streamQuery } from './shared.js'

const STREAM_EXAMPLE = `retry: 2000

id: 019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10:2
event: snapshot
data: {"job":{"id":"019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10","status":"processing","done":false}}

id: 019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10:3
event: job.completed
data: {"type":"job.completed","data":{"status":"completed","done":true,"version":3}}

event: end
data: {"reason":"done"}
`

export const eventRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/events',
    id: 'listJobEvents',
    tag: 'Events',
    scope: READERS,
    summary: 'Events of a job',
    description:
      'In order, after a cursor. With `Accept: application/jsonl` one event per line, and the next page in `Link`.',
    params: JOB_ID,
    query: { after: text('Id of the last event you have.', 300), limit: LIMIT },
    responses: {
      200: {
        description: 'One page.',
        schema: 'EventPage',
        also: { 'application/jsonl': { type: 'string', description: 'One event per line.' } },
        headers: ['Link'],
      },
    },
    problems: ['job-not-found', 'job-expired', 'invalid-cursor'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const limit = Math.min(call.query.limit ?? 50, 200)
      const page = await engine.events(call.caller, call.params.id!, call.query.after ?? null, limit)
      if (page.reset) {
        throw new UntildoneError('invalid-cursor', 'This job has no event of that id, or no longer.', {
          fix: 'Start again without `after`.',
          params: { parameter: 'after' },
        })
      }
      const items =
        settings.base === ''
          ? page.items
          : page.items.map((event) => ({ ...event, source: settings.base + event.source }))
      const headers = nextLink(call, 'after', page.nextCursor)
      return pageReply(call, { items, nextCursor: page.nextCursor }, headers)
    },
  }),
  route({
    method: 'GET',
    path: '/v1/jobs/{id}/events/stream',
    id: 'streamJobEvents',
    tag: 'Events',
    scope: READERS,
    summary: 'Live events of a job (server-sent events)',
    description:
      'First connection: `snapshot` with the job, then its events as they are committed, then `end`. After a cut, send the ' +
      'last id you have as `Last-Event-ID` (or `after`): what followed is replayed, without a snapshot; an id that is not ' +
      'known gives `reset` and a snapshot. 204 when the job is done and you have everything.\n\n' +
      '`job.progress` frames have no id and may be merged or left out. A comment every 15 s shows that the line is alive. ' +
      `\`end\` carries a \`reason\`: \`done\` is the only one that says something about the job; ${STREAM_END}`,
    params: JOB_ID,
    query: streamQuery,
    headers: ['Last-Event-ID'],
    responses: {
      200: {
        description: 'The stream.',
        contentType: 'text/event-stream',
        schema: { type: 'string' },
        example: STREAM_EXAMPLE,
      },
      204: { description: 'The job is done and nothing followed your cursor: stop asking.' },
    },
    problems: ['job-not-found', 'job-expired', 'too-many-streams', 'method-not-allowed'],
    stream: true,
    tickets: true,
    handler: (call) => streamJob(call, call.params.id!, lastSeen(call)),
  }),
]
