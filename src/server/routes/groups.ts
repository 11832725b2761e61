/** GET /v1/groups/{groupId} and …/jobs, POST …/cancel. The group's stream belongs here. */
import { json } from '../reply.js'
import { type Route, route } from '../route.js'
import { GroupCancelRequest } from '../schemas/operate.js'
import { keyOf } from './acting.js'
import { listJobs, listQuery } from './job-list.js'
import { READERS } from './shared.js'

const GROUP_ID = { groupId: { description: 'The `groupId` the jobs were submitted with.', example: 'session-42' } }
const { groupId: _given, ...groupListQuery } = listQuery

export const groupRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/groups/{groupId}',
    id: 'getGroup',
    tag: 'Groups',
    scope: ['jobs:read'],
    summary: 'How a group stands',
    description:
      'Jobs per status, whether all are done, the latest job per type. A group exists as soon as a job names it.',
    params: GROUP_ID,
    responses: { 200: { description: 'The group.', schema: 'Group' } },
    problems: ['not-found'],
    handler: async (call) => json(await call.server.engine.group(call.caller, call.params.groupId!)),
  }),
  route({
    method: 'GET',
    path: '/v1/groups/{groupId}/jobs',
    id: 'listGroupJobs',
    tag: 'Groups',
    scope: READERS,
    summary: 'Jobs of a group',
    description: 'Like GET /v1/jobs, of one group. An unknown group is an empty list.',
    params: GROUP_ID,
    query: groupListQuery,
    responses: { 200: { description: 'One page.', schema: 'JobPage', headers: ['Link'] } },
    problems: ['invalid-cursor'],
    handler: (call) => listJobs(call, { groupId: call.params.groupId! }),
  }),
  route({
    method: 'POST',
    path: '/v1/groups/{groupId}/cancel',
    id: 'cancelGroup',
    tag: 'Groups',
    scope: ['jobs:operate', 'jobs:submit'],
    summary: 'Cancel all jobs of a group',
    description:
      'Every unfinished job of the group, each as by its own cancel. Jobs that join the group meanwhile are not among ' +
      'them. With jobs:submit only your own jobs.',
    params: GROUP_ID,
    headers: ['Idempotency-Key'],
    body: {
      schema: GroupCancelRequest,
      component: 'GroupCancelRequest',
      required: false,
      examples: { ended: { reason: 'session ended' } },
    },
    responses: { 202: { description: 'What became of them.', schema: 'GroupCancelAnswer' } },
    problems: ['not-found'],
    handler: async (call) => {
      const request = { ...call.body, key: keyOf(call) }
      return json(await call.server.engine.cancelGroup(call.caller, call.params.groupId!, request), 202)
    },
  }),
]
