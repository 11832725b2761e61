/**
 * One request through one route, in fixed order: drain, who asks, scope, query, body, handler; then the headers that
 * every answer has. One function call per concern and no middleware chain, because submits pass here. Never lets an
 * error out: what is thrown becomes a problem.
 */
import { isUntildoneError, UntildoneError } from '../core/index.js'
import { type Admission, NOBODY, requireScope } from './auth.js'
import { readJson } from './body.js'
import { corsHeaders } from './cors.js'
import { asUntildone, problemReply } from './problem.js'
import { readQuery } from './query.js'
import type { Reply } from './reply.js'
import type { Call, Env, Route, ServerContext } from './route.js'
import { readBody } from './validate.js'

const REQUEST_ID = /^[A-Za-z0-9._~:/+=-]{1,128}$/
const BOOT = crypto.randomUUID().replaceAll('-', '').slice(0, 10)
let served = 0

/** The request id: the caller's, if it is a sane one, else a new one. */
export function requestIdOf(request: Request): string {
  const given = request.headers.get('request-id')
  return given !== null && REQUEST_ID.test(given) ? given : `req_${BOOT}${(++served).toString(36)}`
}

/** Answers one request by one route. */
export async function dispatch(
  server: ServerContext,
  route: Route,
  request: Request,
  env: Env,
  params: Record<string, string>,
): Promise<Response> {
  const requestId = requestIdOf(request)
  let reply: Reply
  try {
    reply = await route.handler(await prepare(server, route, request, env, params, requestId))
  } catch (error) {
    reply = failed(server, error, request, requestId)
    if (route.reshape) reply = route.reshape(reply, { server, url: request.url, params })
  }
  return respond(server, request, requestId, reply)
}

async function prepare(
  server: ServerContext,
  route: Route,
  request: Request,
  env: Env,
  params: Record<string, string>,
  requestId: string,
): Promise<Call<any, any>> {
  let admission: Admission = { caller: NOBODY, by: 'nobody' }
  if (route.scope !== 'none') {
    if (server.draining) throw new UntildoneError('draining', undefined, { retryAfterMs: 2000 })
    const ticket = route.tickets ? new URL(request.url).searchParams.get('ticket') : null
    const known =
      ticket === null
        ? await server.gate.admit(request, env)
        : await server.gate.admitTicket(ticket, 'sse', request, env)
    if (route.scope !== 'any') requireScope(known.caller, route.scope)
    admission = { ...known, caller: { ...known.caller, requestId } }
  }
  if (route.stream && request.method === 'HEAD') throw methodNotAllowed('HEAD', ['GET'])
  const query = readQuery(route.query, request.url, route.openQuery)
  const body = route.body ? await bodyOf(server, route, request, env) : undefined
  return { ...admission, server, request, env, requestId, params, query, body }
}

async function bodyOf(server: ServerContext, route: Route, request: Request, env: Env): Promise<unknown> {
  const { required, limit } = route.body!
  const limits = server.settings.limits
  const json = await readJson(request, env, limits[limit ?? 'bodyBytes'], limits.jsonDepth)
  if (!json && required !== false) {
    throw new UntildoneError('malformed-request', 'The body is empty; send JSON.')
  }
  if (!json) return {}
  const { read, schema } = route.body!
  return read ? read(json.value, server, json.bytes) : readBody(schema!, json.value)
}

/** The problem for an error; what callers must not see goes to the log. */
export function failed(
  server: ServerContext,
  error: unknown,
  request: Request,
  requestId: string,
  more?: Parameters<typeof problemReply>[2],
): Reply {
  const shown = asUntildone(error)
  const { base, random } = server.settings
  const reply = problemReply(shown, { requestId, base, random }, more)
  if (reply.status >= 500 && shown.code !== 'draining' && !hungUp(error, request)) {
    const { pathname } = new URL(request.url)
    server.settings.onError(error, { requestId, method: request.method, path: pathname, code: shown.code })
  }
  return reply
}

/** A client that went away makes errors that nobody needs to hear of. */
function hungUp(error: unknown, request: Request): boolean {
  return !isUntildoneError(error) && request.signal.aborted
}

export function methodNotAllowed(method: string, allowed: readonly string[]): UntildoneError {
  return new UntildoneError('method-not-allowed', `This address does not take ${method}, only ${allowed.join(', ')}.`, {
    params: { allowed },
  })
}

/** The Response of a reply, with the headers that all answers have. */
export function respond(server: ServerContext, request: Request, requestId: string, reply: Reply): Response {
  const { settings } = server
  const headers: Record<string, string> = {
    'Untildone-Version': settings.version,
    'Request-Id': requestId,
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
    ...reply.headers,
  }
  if (settings.origins.size > 0) corsHeaders(settings, request, headers)
  const { status } = reply
  // A HEAD must not leave an opened stream behind.
  if (request.method === 'HEAD' && reply.body instanceof ReadableStream) void reply.body.cancel()
  const body = request.method === 'HEAD' ? null : reply.body
  return new Response(body as BodyInit | null, { status, headers })
}
