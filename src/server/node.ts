/**
 * The server as a Node request handler, to be mounted in Express, Fastify or node:http. Leaves the host's globals alone.
 *
 * Express 5:  app.use('/background', toNodeHandler(server))          with or without express.json() before it
 * Fastify 5:  in a plugin of its own, so that bodies stay unread:
 *             f.removeAllContentTypeParsers(); f.addContentTypeParser('*', (_request, _payload, done) => done(null))
 *             f.all('/background/*', (request, reply) => { reply.hijack(); return handler(request.raw, reply.raw) })
 * Give createServer the same prefix as `basePath`, so that links carry it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { UntildoneError } from '../core/index.js'
import type { UntildoneServer } from './app.js'
import { requestIdOf, respond } from './dispatch.js'
import { problemReply } from './problem.js'
import type { Env, ServerContext } from './route.js'

export type NodeHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => Promise<void>

/**
 * @param options.globals replace the global Request and Response by faster ones; right only where the process is ours
 */
export function toNodeHandler(server: UntildoneServer, options: { globals?: boolean } = {}): NodeHandler {
  const listener = getRequestListener((request, env) => server.fetch(request, env as Env), {
    overrideGlobalObjects: options.globals ?? false,
    errorHandler: (error) => unreadable(server, error),
  })
  return (incoming, outgoing, next) => {
    if (next && !server.owns(pathOf(incoming))) {
      next()
      return Promise.resolve()
    }
    return listener(incoming, outgoing)
  }
}

function pathOf(incoming: IncomingMessage): string {
  const url = incoming.url ?? '/'
  const end = url.indexOf('?')
  return end === -1 ? url : url.slice(0, end)
}

/** For requests that never became one: no Host, an impossible URL. */
function unreadable(server: UntildoneServer, error: unknown): Response {
  const request = new Request('http://unreadable.invalid/')
  const about = { requestId: requestIdOf(request), base: server.settings.base, random: server.settings.random }
  const detail = error instanceof Error ? error.message : 'The request could not be read.'
  return respond(
    { settings: server.settings } as ServerContext,
    request,
    about.requestId,
    problemReply(new UntildoneError('malformed-request', detail), about),
  )
}
