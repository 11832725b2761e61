/** Live streams of many jobs: GET /v1/events/stream and /v1/groups/{groupId}/events/stream, GET /v1/ws, and tickets. */
import { UntildoneError } from '../../core/index.js'
import { SUBPROTOCOL, streamJobs } from '../live/index.js'
import { list, text } from '../query.js'
import { json } from '../reply.js'
import { type Route, route } from '../route.js'
import { filterItems, StreamTicketRequest } from '../schemas/streams.js'
import { lastSeen, READERS, STREAM_END, streamQuery } from './shared.js'

const FILTER = {
  types: list(filterItems.types, 'Only these job types; a trailing `*` is a prefix.', { example: ['ocr.*'] }),
  status: list(filterItems.status, 'Only what leads to one of these statuses.', { example: ['blocked'] }),
  tag: text('Only jobs with this tag.', 64),
  events: list(filterItems.events, 'Only these kinds of events; a trailing `*` is a prefix.', {
    example: ['job.completed', 'job.failed'],
  }),
}

const GROUP_ID = { groupId: { description: 'The `groupId` the jobs were submitted with.', example: 'session-42' } }

const STREAM_EXAMPLE = `retry: 2000

id: c2VhbGVkLTE
event: ready
data: {"complete":false}

event: snapshot
data: {"job":{"id":"019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10","status":"processing","done":false,"version":2}}

id: c2VhbGVkLTI
event: ready
data: {"complete":true}

id: c2VhbGVkLTM
event: job.completed
data: {"type":"job.completed","data":{"jobId":"019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10","status":"completed","done":true,"version":3}}
`

const HOW =
  'The first frame is `ready`, with an id to come back with; it is sent again when a newer one is worth having. After ' +
  '`ready` with `complete: false` come the jobs as they are (`snapshot`, without results), then `complete: true`. ' +
  'After a cut, send the last id you have as `Last-Event-ID` (or `after`): what followed is repeated and nothing else. ' +
  'When the server no longer knows that (a restart, a long absence) it says `reset` and sends the jobs that are ' +
  'unfinished or have changed since, so that no end is missed.\n\n' +
  'Events of one job come in the order of its `version`, at least once; across jobs there is no order. `job.progress` ' +
  'has no id, comes at most once a second for each job, and is the first to be left out. A comment every 15 s shows ' +
  `that the line is alive. The stream has no end of its own; \`end\` carries a \`reason\`: ${STREAM_END}`

const OK = {
  description: 'The stream.',
  contentType: 'text/event-stream',
  schema: { type: 'string' },
  example: STREAM_EXAMPLE,
}

export const streamRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/events/stream',
    id: 'streamEvents',
    tag: 'Events',
    scope: READERS,
    summary: 'Live events of many jobs (server-sent events)',
    description:
      'What happens to the jobs of a filter, as it is committed: your own jobs, or with jobs:read all that the key may ' +
      `see. With \`groupId\` or \`jobId\` the jobs themselves come first, the newest 1,000 (\`more: true\` says that there are others). ${HOW}`,
    query: {
      ...FILTER,
      groupId: text('Only this group.'),
      jobId: list(filterItems.jobId, 'Only these jobs, 100 at most.'),
      ...streamQuery,
    },
    headers: ['Last-Event-ID'],
    responses: { 200: OK },
    problems: ['too-many-streams', 'method-not-allowed'],
    stream: true,
    tickets: true,
    handler: (call) => {
      const { after: _after, ticket: _ticket, ...filter } = call.query
      return streamJobs(call, filter, lastSeen(call))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/groups/{groupId}/events/stream',
    id: 'streamGroupEvents',
    tag: 'Groups',
    scope: READERS,
    summary: 'Live events of a group (server-sent events)',
    description: `What happens to the jobs of a group, also to those that join it later. The jobs themselves come first, the newest 1,000. ${HOW}`,
    params: GROUP_ID,
    query: { ...FILTER, ...streamQuery },
    headers: ['Last-Event-ID'],
    responses: { 200: OK },
    problems: ['not-found', 'too-many-streams', 'method-not-allowed'],
    stream: true,
    tickets: true,
    handler: (call) => {
      const { after: _after, ticket: _ticket, ...filter } = call.query
      const groupId = call.params.groupId!
      const bound = call.ticket?.filter.groupId ?? groupId
      if (bound !== groupId)
        throw new UntildoneError('not-found', `No job names the group "${groupId}".`, { params: { groupId } })
      return streamJobs(call, { ...filter, groupId }, lastSeen(call))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/ws',
    id: 'openSocket',
    tag: 'Events',
    scope: READERS,
    summary: 'Live events over a WebSocket',
    description:
      `Several streams over one connection, for watching only; commands go over HTTP. Ask for the subprotocol \`${SUBPROTOCOL}\`.\n\n` +
      'You send JSON texts: `{"op":"subscribe","ref":1,"filter":{…},"after":"…"}` with a `ref` of your own (a whole ' +
      'number or a short text) and, after a cut, the last `id` you have; `{"op":"unsubscribe","ref":1}`; ' +
      '`{"op":"ping"}`. You get, with that `ref`: `subscribed` with an `id`, which says what `ready` says on an event ' +
      'stream and is sent again like it; `snapshot` with `job`; `event` with `event` and, unless it is progress, `id`; ' +
      '`reset`; `error` with `problem`. And `pong`.\n\n' +
      'A text that cannot be read is answered with `error`; the third in a row closes. Codes: 1001 the server stops, or ' +
      'the connection is old: come back; 4400 unreadable; 4401 the key or ticket is void; 4403 it may no longer watch; 4408 ' +
      'you read too slowly; 4429 you send too much.',
    query: { ticket: text('A ticket with `"use": "ws"`: POST /v1/stream-tickets.', 8000) },
    responses: { 101: { description: 'The connection is a WebSocket now.' } },
    problems: ['upgrade-required', 'too-many-streams', 'method-not-allowed'],
    stream: true,
    handler: () => {
      throw new UntildoneError('upgrade-required', 'This address speaks WebSocket only.')
    },
  }),
  route({
    method: 'POST',
    path: '/v1/stream-tickets',
    id: 'createStreamTicket',
    tag: 'Events',
    scope: READERS,
    summary: 'Get a ticket for a stream or socket',
    description:
      'For browsers, which cannot send a key with an `EventSource` or `WebSocket` and should not hold one: your server ' +
      'asks for a ticket, and the page opens the stream with `?ticket=`. It can be used for watching only, for the jobs of ' +
      'its filter, and with the rights that the key has then: with the key it becomes void. A ticket for one job ' +
      '(`{"jobId":["…"]}`) also opens the stream of that job.',
    body: {
      schema: StreamTicketRequest,
      component: 'StreamTicketRequest',
      required: false,
      examples: { session: { filter: { groupId: 'session-42' }, ttlMs: 600_000 } },
    },
    responses: { 201: { description: 'The ticket.', schema: 'StreamTicket' } },
    problems: [],
    handler: async (call) => {
      const { gate, live } = call.server
      return json(await live.tickets.issue(gate.holderOf(call), call.body), 201)
    },
  }),
]
