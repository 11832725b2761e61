/** GET /v1/audit: what people and programs did here, as a chain that shows whether it was changed. */
import { bool, instant, int, oneOf, text } from '../query.js'
import { json } from '../reply.js'
import { type Route, route } from '../route.js'
import { nextLink, pageReply } from './shared.js'

export const auditRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/audit',
    id: 'listAudit',
    tag: 'Operating',
    scope: ['admin'],
    summary: 'Audit trail',
    description:
      'Actions of operators, approvers and admins, in the order of their chain: each entry carries ' +
      'sha256(prevHash + newline + canonical JSON of the entry without its hashes). `verify=true` walks the whole chain and ' +
      'names the first entry that does not follow. With `Accept: application/jsonl` one entry per line, for exports.',
    query: {
      actor: text('`kind:id`, or an id of any kind.', 300, { example: 'user:oidc:42' }),
      action: text('Exact, or a beginning that ends in `*`.', 100, { example: 'job.*' }),
      target: text('Exact, or a beginning that ends in `*`.', 300, {
        example: 'job/019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10',
      }),
      since: instant('Not before this instant.'),
      until: instant('Before this instant.'),
      order: oneOf(['oldest', 'newest'], 'Which come first. Default oldest.'),
      after: int('`seq` of the last entry you have (`nextCursor`).', 0),
      limit: int('Entries per page. Larger than 1000 counts as 1000. Default 100.', 1, { example: 100 }),
      verify: bool('Walk the whole chain instead; takes no other parameter into account.'),
    },
    responses: {
      200: {
        description: 'One page; with `verify` what the walk found.',
        schema: { anyOf: [{ $ref: '#/components/schemas/AuditPage' }, { $ref: '#/components/schemas/AuditCheck' }] },
        also: { 'application/jsonl': { type: 'string', description: 'One entry per line.' } },
        headers: ['Link'],
      },
    },
    problems: [],
    handler: async (call) => {
      const { verify, ...query } = call.query
      const { engine } = call.server
      if (verify) return json(await engine.verifyAudit(call.caller))
      const page = await engine.audit(call.caller, query)
      return pageReply(call, page, nextLink(call, 'after', page.nextCursor))
    },
  }),
]
