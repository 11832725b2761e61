/**
 * /v1/failures, /v1/rules and /v1/explain-error: errors that the code says nothing of, what people teach about them, and
 * which rule would decide. Rights and rules are the engine's.
 */
import { UntildoneError } from '../../core/index.js'
import type { WireFailure, WireRule, WireTeaching } from '../../core/wire-failure.js'
import { bool, instant, text } from '../query.js'
import { json, NO_STORE, type Reply } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { AddRuleRequest, ExplainErrorRequest, TeachRequest } from '../schemas/failures.js'
import { LIMIT, nextLink, pageReply } from './shared.js'

const FINGERPRINT = { fingerprint: { description: 'Fingerprint of the failure.', example: '3f9a1c0b77d2e845' } }
const TYPE = text('A job type, or a beginning that ends in `*`.', 129, { example: 'ocr.*' })
const TEACH_PROBLEMS = ['not-found', 'quota-exceeded', 'outcome-unknown'] as const
const TAUGHT = {
  200: { description: 'With `dryRun`: what it would match.', schema: 'Teaching' },
  201: { description: 'It is in force.', schema: 'Teaching', headers: ['Location'] },
} as const

export const failureRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/failures',
    id: 'listFailures',
    tag: 'Errors',
    scope: ['jobs:operate'],
    summary: 'List failures',
    description:
      'Errors that no rule of the code decides, which are therefore tried again until somebody says better, by what they ' +
      'have in common; seen latest first. 1,000 are kept per type.',
    query: {
      type: TYPE,
      since: instant('Seen at this instant or later.'),
      limit: LIMIT,
      cursor: text('`nextCursor` of the page before, with the same filters.', 2000),
    },
    responses: { 200: { description: 'One page.', schema: 'FailurePage', headers: ['Link'] } },
    problems: ['invalid-cursor'],
    handler: async (call) => {
      const page = await call.server.engine.teaching.list(call.caller, call.query)
      const items = page.items.map((failure) => onBase(failure, call.server.settings.base))
      return pageReply(call, { ...page, items }, nextLink(call, 'cursor', page.nextCursor))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/failures/{fingerprint}',
    id: 'getFailure',
    tag: 'Errors',
    scope: ['jobs:operate'],
    summary: 'Read a failure',
    description: 'How often, in how many jobs and with how many inputs it was met, and the latest example of it.',
    params: FINGERPRINT,
    responses: { 200: { description: 'The failure.', schema: 'Failure' } },
    problems: ['not-found'],
    handler: async ({ server, caller, params }) =>
      fresh(onBase(await server.engine.teaching.get(caller, params.fingerprint!), server.settings.base)),
  }),
  route({
    method: 'POST',
    path: '/v1/failures/{fingerprint}/teach',
    id: 'teachFailure',
    tag: 'Errors',
    scope: ['jobs:operate'],
    summary: 'Teach what to do about it',
    description:
      'From now on errors like this one have this verdict, in every worker, after the rules of step and type and before ' +
      'what is supposed of unknown errors. Jobs that are done stay as they are. A rule with the same conditions is replaced.',
    params: FINGERPRINT,
    body: {
      schema: TeachRequest,
      component: 'TeachRequest',
      examples: {
        noise: { verdict: 'harmless', reason: 'noise of the engine' },
        version: {
          verdict: 'permanent',
          reason: 'cannot read scans with two strips',
          engine: { name: 'tesseract', versions: '5.3.x' },
        },
        wider: { verdict: 'review', reason: 'a person must see these', match: 'font', exit: 3, dryRun: true },
      },
    },
    responses: TAUGHT,
    problems: TEACH_PROBLEMS,
    handler: async (call) => {
      const { teaching } = call.server.engine
      return taught(call, await teaching.teach(call.caller, call.params.fingerprint!, call.body))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/rules',
    id: 'listRules',
    tag: 'Errors',
    scope: ['jobs:operate'],
    summary: 'List taught rules',
    description: 'In the order in which they are tried: the latest first.',
    query: { type: TYPE, all: bool('Those that were forgotten too.', { example: true }) },
    responses: { 200: { description: 'All of them.', schema: 'TaughtRuleList' } },
    problems: [],
    handler: async ({ server, caller, query }) => {
      const items = (await server.engine.teaching.rules(caller, query)).map((rule) =>
        onBase(rule, server.settings.base),
      )
      return fresh({ items, nextCursor: null })
    },
  }),
  route({
    method: 'POST',
    path: '/v1/rules',
    id: 'addRule',
    tag: 'Errors',
    scope: ['jobs:operate'],
    summary: 'Teach about an error that was not seen yet',
    description: 'The same as teaching about a failure, for whatever its conditions match.',
    body: {
      schema: AddRuleRequest,
      component: 'AddRuleRequest',
      examples: {
        licence: {
          type: 'ocr.convert',
          verdict: 'review',
          reason: 'the licence runs out in May',
          match: '/licen[cs]e/i',
        },
      },
    },
    responses: TAUGHT,
    problems: TEACH_PROBLEMS,
    handler: async (call) => {
      const { type, ...body } = call.body
      return taught(call, await call.server.engine.teaching.addRule(call.caller, type, body))
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/rules/{id}',
    id: 'forgetRule',
    tag: 'Errors',
    scope: ['jobs:operate'],
    summary: 'Forget a taught rule',
    description: 'From now on it is not tried. It stays in the list with `all`, because attempts name it.',
    params: { id: { description: 'Number of the rule.', example: '12' } },
    query: {
      reason: text('Why; required, and kept in the audit trail.', 2048, { example: 'the engine was replaced' }),
    },
    responses: { 200: { description: 'The rule, no longer in force.', schema: 'TaughtRule' } },
    problems: ['not-found', 'validation-failed', 'outcome-unknown'],
    handler: async ({ server, caller, query, params: { id } }) => {
      if (!/^[1-9]\d{0,14}$/.test(id!)) throw new UntildoneError('not-found', `There is no taught rule ${id}.`)
      const rule = await server.engine.teaching.forget(caller, Number(id), query.reason ?? null)
      return fresh(onBase(rule, server.settings.base))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/explain-error',
    id: 'explainError',
    tag: 'Errors',
    scope: ['jobs:operate'],
    summary: 'Explain what would become of an error',
    description: 'Which rule would decide, and every rule that was looked at before it. Stores nothing.',
    body: {
      schema: ExplainErrorRequest,
      component: 'ExplainErrorRequest',
      examples: {
        crash: {
          type: 'ocr.convert',
          message: 'page 12: cannot allocate',
          exit: 139,
          engine: { name: 'tesseract', version: '5.3.0' },
        },
      },
    },
    responses: { 200: { description: 'What would decide.', schema: 'ExplainedError' } },
    problems: ['not-found'],
    handler: async ({ server, caller, body }) => {
      const { base } = server.settings
      const said = await server.engine.teaching.explain(caller, body)
      const taught = said.taught && onBase(said.taught, base)
      return fresh({ ...said, taught, failure: said.failure && onBase(said.failure, base) })
    },
  }),
]

const fresh = (body: unknown): Reply => json(body, 200, { 'Cache-Control': NO_STORE })

function taught({ server }: Call<any, any>, teaching: WireTeaching): Reply {
  if (teaching.rule === null) return fresh(teaching)
  const rule = onBase(teaching.rule, server.settings.base)
  return json({ ...teaching, rule }, 201, { Location: rule.links.self })
}

function onBase<T extends WireFailure | WireRule>(one: T, base: string): T {
  const links = Object.fromEntries(Object.entries(one.links).map(([name, path]) => [name, base + path]))
  return { ...one, links }
}
