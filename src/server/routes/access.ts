/** /v1/api-keys and /v1/whoami. A key is shown once, in the answer that makes it, and never logged. */
import { text } from '../query.js'
import { empty, json, type Reply } from '../reply.js'
import { type Call, type Route, route } from '../route.js'
import { CreateKeyRequest, RotateKeyRequest } from '../schemas/requests.js'

const KEY_ID = { id: { description: 'Id of the key (not the key itself).', example: 'key_7QmZ2x' } }
const HOUR_MS = 3_600_000

export const accessRoutes: Route[] = [
  route({
    method: 'GET',
    path: '/v1/whoami',
    id: 'whoAmI',
    tag: 'Access',
    scope: 'any',
    summary: 'Who you are here',
    description: 'Tenant, actor, scopes and job types of the credentials sent.',
    responses: { 200: { description: 'You.', schema: 'WhoAmI' } },
    problems: [],
    handler: ({ caller }) =>
      json({ tenant: caller.tenant, actor: caller.actor, scopes: caller.scopes, types: caller.types }),
  }),
  route({
    method: 'GET',
    path: '/v1/api-keys',
    id: 'listApiKeys',
    tag: 'Access',
    scope: ['admin'],
    summary: 'List API keys',
    description: 'Without the keys themselves; revoked and expired ones included.',
    responses: { 200: { description: 'All keys.', schema: 'ApiKeyList' } },
    problems: [],
    handler: async (call) => json({ items: await call.server.engine.listKeys(call.caller), nextCursor: null }),
  }),
  route({
    method: 'POST',
    path: '/v1/api-keys',
    id: 'createApiKey',
    tag: 'Access',
    scope: ['admin'],
    summary: 'Create an API key',
    description:
      'The answer is the only place where the key can be read. **From the first key on every request needs one**: make that ' +
      'one an `admin`.',
    body: {
      schema: CreateKeyRequest,
      component: 'CreateKeyRequest',
      examples: { submitter: { name: 'crm', scopes: ['jobs:submit'], types: ['ocr.*'] } },
    },
    responses: { 201: { description: 'Created; `key` is in it.', schema: 'ApiKey', headers: ['Location'] } },
    problems: ['outcome-unknown'],
    handler: async (call) => {
      const made = await call.server.engine.createKey(call.caller, call.body)
      call.server.gate.keyMade()
      return created(call, made)
    },
  }),
  route({
    method: 'GET',
    path: '/v1/api-keys/{id}',
    id: 'getApiKey',
    tag: 'Access',
    scope: ['admin'],
    summary: 'Read an API key',
    description: 'Without the key itself.',
    params: KEY_ID,
    responses: { 200: { description: 'The key.', schema: 'ApiKey' } },
    problems: ['not-found'],
    handler: async (call) => json(await call.server.engine.getKey(call.caller, call.params.id!)),
  }),
  route({
    method: 'POST',
    path: '/v1/api-keys/{id}/rotate',
    id: 'rotateApiKey',
    tag: 'Access',
    scope: ['admin'],
    summary: 'Replace an API key',
    description: 'Makes a new key with the same rights; the old one works for `overlapMs` more.',
    params: KEY_ID,
    body: {
      schema: RotateKeyRequest,
      component: 'RotateKeyRequest',
      required: false,
      examples: { day: { overlapMs: 86_400_000 } },
    },
    responses: { 201: { description: 'The new key; `key` is in it.', schema: 'ApiKey', headers: ['Location'] } },
    problems: ['not-found', 'outcome-unknown'],
    handler: async (call) =>
      created(call, await call.server.engine.rotateKey(call.caller, call.params.id!, call.body.overlapMs ?? HOUR_MS)),
  }),
  route({
    method: 'DELETE',
    path: '/v1/api-keys/{id}',
    id: 'revokeApiKey',
    tag: 'Access',
    scope: ['admin'],
    summary: 'Revoke an API key',
    description: 'It stops working with the next request. Revoking the last key does not open the server again.',
    params: KEY_ID,
    query: { reason: text('Kept in the audit trail.', 500) },
    responses: { 204: { description: 'Revoked.' } },
    problems: ['not-found'],
    handler: async (call) => {
      await call.server.engine.revokeKey(call.caller, call.params.id!, call.query.reason ?? null)
      return empty(204, { 'Cache-Control': 'no-store' })
    },
  }),
]

function created(call: Call<any, any>, key: { id: string }): Reply {
  return json(key, 201, { Location: `${call.server.settings.base}/v1/api-keys/${encodeURIComponent(key.id)}` })
}
