/** /v1/schedules: timetables that make jobs. When they are due and what becomes of it is the engine's. */
import type { WireSchedule } from '../../core/index.js'
import { idempotencyKey } from '../headers.js'
import { bool, int, text } from '../query.js'
import { empty, jobHeaders, json, NO_STORE, type Reply, underBase } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { CreateScheduleRequest, ScheduleActionRequest, UpdateScheduleRequest } from '../schemas/schedules.js'
import { LIMIT, nextLink } from './shared.js'

const ID = { id: { description: 'Id of the schedule.', example: 'nightly-report' } }
const EXAMPLE = {
  id: 'nightly-report',
  type: 'report.build',
  input: { region: 'eu' },
  cron: '30 3 * * *',
  timeZone: 'Europe/Berlin',
  overlap: 'skip',
}
const UPCOMING_MAX = 100

export const scheduleRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/schedules',
    id: 'listSchedules',
    tag: 'Schedules',
    scope: ['jobs:read'],
    summary: 'List schedules',
    description: 'By id, without their inputs.',
    query: { limit: LIMIT, cursor: text('`nextCursor` of the page before.', 2000) },
    responses: { 200: { description: 'One page.', schema: 'SchedulePage', headers: ['Link'] } },
    problems: ['invalid-cursor'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const { items, nextCursor } = await engine.schedules.list(call.caller, call.query)
      const shown = items.map((schedule) => based(schedule, settings.base))
      return json({ items: shown, nextCursor }, 200, nextLink(call, 'cursor', nextCursor))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/schedules',
    id: 'createSchedule',
    tag: 'Schedules',
    scope: ['jobs:operate'],
    summary: 'Create a schedule',
    description:
      'From its next instant on it makes a job at each, exactly one. The same definition sent again answers 200 with the ' +
      'schedule as it is, so a lost answer can be asked for again; another one under the same id is 409.',
    query: {
      validateOnly: bool('Check everything, store nothing; answers 200 with the first instants.', { example: true }),
    },
    body: {
      schema: CreateScheduleRequest,
      component: 'CreateScheduleRequest',
      examples: { nightly: EXAMPLE, pace: { id: 'poll-inbox', type: 'inbox.poll', everyMs: 900_000 } },
    },
    responses: {
      200: {
        description: 'It was there already, or (with `validateOnly`) it is valid.',
        schema: {
          anyOf: [{ $ref: '#/components/schemas/Schedule' }, { $ref: '#/components/schemas/ScheduleValidation' }],
        },
      },
      201: { description: 'Created.', schema: 'Schedule', headers: ['Location'] },
    },
    problems: ['input-invalid', 'unknown-job-type', 'schedule-exists', 'outcome-unknown'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const { reason, ...body } = call.body
      if (call.query.validateOnly) return json(await engine.schedules.validate(call.caller, body))
      const { schedule, created } = await engine.schedules.create(call.caller, body, reason ?? null)
      const shown = based(schedule, settings.base)
      return created ? json(shown, 201, { Location: shown.links.self }) : json(shown)
    },
  }),
  route({
    method: 'GET',
    path: '/v1/schedules/{id}',
    id: 'getSchedule',
    tag: 'Schedules',
    scope: ['jobs:read'],
    summary: 'Read a schedule',
    description: 'With its next and previous instant, its last job, and counts of what became of its instants.',
    params: ID,
    responses: { 200: { description: 'The schedule.', schema: 'Schedule' } },
    problems: ['not-found'],
    handler: async (call) => shown(call, await call.server.engine.schedules.get(call.caller, call.params.id!)),
  }),
  route({
    method: 'PATCH',
    path: '/v1/schedules/{id}',
    id: 'updateSchedule',
    tag: 'Schedules',
    scope: ['jobs:operate'],
    summary: 'Change a schedule',
    description:
      'Members that are left out stay as they are. A changed timetable starts anew from now. A schedule that the code ' +
      'declares is changed there: 409.',
    params: ID,
    body: {
      schema: UpdateScheduleRequest,
      component: 'UpdateScheduleRequest',
      examples: { later: { cron: '0 5 * * *', reason: 'the source is ready at five' } },
    },
    responses: { 200: { description: 'As it is now.', schema: 'Schedule' } },
    problems: [
      ...(['not-found', 'input-invalid', 'unknown-job-type', 'schedule-declared', 'version-mismatch'] as const),
      'outcome-unknown',
    ],
    handler: async (call) => {
      const { reason, ifVersion, ...changes } = call.body
      const request = { reason, ifVersion }
      return shown(call, await call.server.engine.schedules.update(call.caller, call.params.id!, changes, request))
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/schedules/{id}',
    id: 'deleteSchedule',
    tag: 'Schedules',
    scope: ['jobs:operate'],
    summary: 'Delete a schedule',
    description: 'Its jobs stay as they are. A schedule that the code declares is removed there: 409.',
    params: ID,
    query: {
      reason: text('Kept in the audit trail.', 2048),
      ifVersion: int('Delete only if it still has this `version`; else 412.', 0),
    },
    responses: { 204: { description: 'Deleted.' } },
    problems: ['not-found', 'schedule-declared', 'version-mismatch', 'outcome-unknown'],
    handler: async (call) => {
      await call.server.engine.schedules.remove(call.caller, call.params.id!, call.query)
      return empty(204, { 'Cache-Control': NO_STORE })
    },
  }),
  route({
    method: 'POST',
    path: '/v1/schedules/{id}/pause',
    id: 'pauseSchedule',
    tag: 'Schedules',
    scope: ['jobs:operate'],
    summary: 'Pause a schedule',
    description: 'It makes no job until it is resumed. Its jobs under way go on. On a paused one nothing changes.',
    params: ID,
    body: action({ reason: 'the source is being moved' }),
    responses: { 200: { description: 'Paused.', schema: 'Schedule' } },
    problems: ['not-found', 'version-mismatch', 'outcome-unknown'],
    handler: async (call) =>
      shown(call, await call.server.engine.schedules.pause(call.caller, call.params.id!, call.body)),
  }),
  route({
    method: 'POST',
    path: '/v1/schedules/{id}/resume',
    id: 'resumeSchedule',
    tag: 'Schedules',
    scope: ['jobs:operate'],
    summary: 'Resume a schedule',
    description: 'It goes on; `missed` says what becomes of the instants that passed meanwhile.',
    params: ID,
    body: action({ reason: 'moved' }),
    responses: { 200: { description: 'Going on.', schema: 'Schedule' } },
    problems: ['not-found', 'version-mismatch', 'outcome-unknown'],
    handler: async (call) =>
      shown(call, await call.server.engine.schedules.resume(call.caller, call.params.id!, call.body)),
  }),
  route({
    method: 'POST',
    path: '/v1/schedules/{id}/run',
    id: 'runSchedule',
    tag: 'Schedules',
    scope: ['jobs:operate'],
    summary: 'Run it now',
    description:
      'Makes one job now, whatever timetable, pause and `overlap` say, and does not move the timetable. Send an ' +
      '`Idempotency-Key` so that a repeat after a lost answer makes no second one.',
    params: ID,
    headers: ['Idempotency-Key'],
    body: action({ reason: 'the report of this night was wrong' }),
    responses: {
      202: { description: 'The job is stored.', schema: 'Job', headers: ['Location', 'ETag', 'Retry-After'] },
    },
    problems: [
      'duplicate-operation',
      ...(['not-found', 'input-invalid', 'unknown-job-type', 'version-mismatch', 'idempotency-key-invalid'] as const),
      ...(['idempotency-key-reused', 'outcome-unknown'] as const),
    ],
    handler: async (call) => {
      const { engine, settings } = call.server
      const key = idempotencyKey(call.request.headers.get('idempotency-key'))
      const job = underBase(
        await engine.schedules.run(call.caller, call.params.id!, { ...call.body, key }),
        settings.base,
      )
      return json(job, 202, { ...jobHeaders(job), 'Cache-Control': NO_STORE, Location: job.links.self })
    },
  }),
  route({
    method: 'GET',
    path: '/v1/schedules/{id}/upcoming',
    id: 'listUpcoming',
    tag: 'Schedules',
    scope: ['jobs:read'],
    summary: 'Look ahead',
    description: 'The next instants after now, paused or not, changes of the clock included.',
    params: ID,
    query: {
      count: int(`How many. Larger than ${UPCOMING_MAX} counts as ${UPCOMING_MAX}. Default 10.`, 1, { example: 10 }),
    },
    responses: { 200: { description: 'The instants, in order.', schema: 'UpcomingList' } },
    problems: ['not-found'],
    handler: async (call) => {
      const wanted = Math.min(UPCOMING_MAX, call.query.count ?? 10)
      const items = await call.server.engine.schedules.upcoming(call.caller, call.params.id!, wanted)
      return json({ items, nextCursor: null })
    },
  }),
]

function action(example: { reason: string }) {
  return {
    schema: ScheduleActionRequest,
    component: 'ScheduleActionRequest' as const,
    required: false,
    examples: { reason: example },
  }
}

function shown(call: Call<any, any>, schedule: WireSchedule): Reply {
  return json(based(schedule, call.server.settings.base))
}

/** With its links under the mount prefix. */
function based(schedule: WireSchedule, base: string): WireSchedule {
  const { self, upcoming, jobs } = schedule.links
  return { ...schedule, links: { self: base + self, upcoming: base + upcoming, jobs: base + jobs } }
}
