/** /v1/approvals: what waits for people, the card they decide by, and their decisions. */
import { z } from 'zod'
import { APPROVAL_STATES, RISKS, type WireApproval } from '../../core/index.js'
import { problemOf } from '../problem.js'
import { list, oneOf, text } from '../query.js'
import { json, under } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { BatchDecisionRequest, DecisionRequest } from '../schemas/approval.js'
import { LIMIT, nextLink } from './shared.js'

const APPROVAL_ID = { id: { description: 'Id of the approval.', example: 'apr_7Qm2VxkT9hTz4nWc1pLs' } }
const REFUSALS = [
  'self-approval-forbidden',
  'risk-above-limit',
  'not-found',
  'approval-already-decided',
  'approval-expired',
  'evidence-changed',
  'precondition-required',
] as const

const listQuery = {
  state: list(z.enum(APPROVAL_STATES), 'Only these states.', { example: ['pending'] }),
  risk: list(z.enum(RISKS), 'Only these tiers.', { example: ['medium', 'high'] }),
  type: list(z.string().min(1).max(129), 'Only of these job types; a trailing `*` is a prefix.'),
  gate: text('Only of this gate.'),
  jobId: text('Only of this job.', 100),
  assignee: oneOf(['me'], '`me`: what your groups are asked, of the tiers that you may decide.'),
  order: oneOf(
    ['dueAt', '-requestedAt'],
    '`dueAt`: what ends soonest first. `-requestedAt`: newest first. Default dueAt.',
  ),
  limit: LIMIT,
  cursor: text('`nextCursor` of the page before, with the same filters.', 2000),
}

export const approvalRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/approvals',
    id: 'listApprovals',
    tag: 'Approvals',
    scope: ['approvals:read'],
    summary: 'What waits for people',
    description: 'One line each; read the card before deciding. `mayDecide` says what you may do, and why not.',
    query: listQuery,
    responses: { 200: { description: 'One page.', schema: 'ApprovalPage', headers: ['Link'] } },
    problems: ['invalid-cursor'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const page = await engine.approvals.list(call.caller, call.query)
      const items = page.items.map((item) => under(item, settings.base))
      return json({ items, nextCursor: page.nextCursor }, 200, nextLink(call, 'cursor', page.nextCursor))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/approvals/{id}',
    id: 'getApproval',
    tag: 'Approvals',
    scope: ['approvals:read'],
    summary: 'Read one request',
    description:
      'The whole card: what would be written, field by field, why, on what evidence, how it is undone, what the tier asks ' +
      'for, who has decided, what was shown before and what differs since.',
    params: APPROVAL_ID,
    responses: { 200: { description: 'The request.', schema: 'Approval' } },
    problems: ['not-found'],
    handler: async (call) => card(call, await call.server.engine.approvals.get(call.caller, call.params.id!)),
  }),
  route({
    method: 'POST',
    path: '/v1/approvals/{id}/decision',
    id: 'decideApproval',
    tag: 'Approvals',
    scope: ['approvals:decide'],
    summary: 'Approve, reject or ask for changes',
    description:
      'One decision of one person. From medium risk upwards it names the `digest` of what was seen: without it 428, with ' +
      'another one 412 and what differs. Of several who decide at once, those that come too late get 409 with the state. The ' +
      'same decision again is 200 and changes nothing. Send it as often as you need to get an answer.\n\n' +
      'Persons are compared, not keys: whoever asked for the job does not count from medium risk upwards, two keys of one ' +
      'person are one, and a key that names no person decides low risk only.',
    params: APPROVAL_ID,
    body: {
      schema: DecisionRequest,
      component: 'DecisionRequest',
      examples: {
        approve: { decision: 'approve', reason: 'Receipt checked.', evidenceDigest: 'sha256-9f2c…' },
        edit: { decision: 'approve', evidenceDigest: 'sha256-9f2c…', data: { amount: 1200 } },
        reject: { decision: 'reject', reason: 'The return slip is for another order.' },
        changes: {
          decision: 'requestChanges',
          reason: 'Only the parcel came back.',
          changes: [{ about: '/data/amount', text: 'Without the shipping fee.' }],
        },
      },
    },
    responses: { 200: { description: 'It counts. The request as it is now.', schema: 'Approval' } },
    problems: [...REFUSALS, 'outcome-unknown'],
    handler: async (call) =>
      card(call, await call.server.engine.approvals.decide(call.caller, call.params.id!, call.body)),
  }),
  route({
    method: 'POST',
    path: '/v1/approvals/decisions',
    id: 'decideApprovals',
    tag: 'Approvals',
    scope: ['approvals:decide'],
    summary: 'Decide several at once',
    description:
      'Where the tier allows it (low risk, by default up to 20): requests of the same shape, of which you opened at least ' +
      'one. If they may not be decided together, none is. Each is then decided on its own: 200 says for each what became of it.',
    body: {
      schema: BatchDecisionRequest,
      component: 'BatchDecisionRequest',
      examples: {
        two: { ids: ['apr_7Qm2VxkT9hTz4nWc1pLs', 'apr_1Zt8'], decision: 'approve', opened: ['sha256-9f2c…'] },
      },
    },
    responses: { 200: { description: 'In the order of the request.', schema: 'BatchDecisionAnswer' } },
    problems: ['not-found', 'outcome-unknown'],
    handler: async (call) => {
      const { engine, settings } = call.server
      const about = { requestId: call.requestId, base: settings.base, random: settings.random }
      const decided = await engine.approvals.decideMany(call.caller, call.body)
      const items = decided.map(({ id, approval, error }) => ({
        id,
        approval: approval && under(approval, settings.base),
        problem: error && problemOf(error, about),
      }))
      return json({ items })
    },
  }),
]

function card(call: Call<any, any>, approval: WireApproval) {
  return json(under(approval, call.server.settings.base))
}
