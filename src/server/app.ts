/**
 * createServer: the HTTP face of an engine, as a fetch handler. Builds a Hono app from the table of routes and answers
 * what no route takes. Opens no port (listen.ts does) and decides nothing about jobs (the engine does).
 */
import { Hono } from 'hono'
import { getPath } from 'hono/utils/url'
import { UntildoneError } from '../core/index.js'
import type { Engine } from '../engine/api.js'
import { Gate } from './auth.js'
import { rememberContext } from './contexts.js'
import { preflight } from './cors.js'
import { dispatch, failed, methodNotAllowed, requestIdOf, respond } from './dispatch.js'
import { bySpecificity, facadeRoutes } from './facade/index.js'
import { Holds } from './holds.js'
import { Live } from './live/index.js'
import { openapiDocument } from './openapi.js'
import { type ServerOptions, settle } from './options.js'
import type { Env, Route, ServerContext } from './route.js'
import { routes } from './routes/index.js'

export interface UntildoneServer {
  /** Answers one request; a plain fetch handler. `env` is what the Node adapter hands along. */
  fetch(request: Request, env?: Env): Promise<Response>
  /** The Hono app behind `fetch`. */
  readonly app: Hono<{ Bindings: Env }>
  readonly engine: Engine
  readonly settings: ServerContext['settings']
  /** Names of the facades that are served. */
  readonly facades: readonly string[]
  /** True for paths that this server answers; a host application goes on with the others. */
  owns(path: string): boolean
  /** Streams, long-polls and waiting submits that are held open now. */
  readonly held: number
  /** From now on 503 `draining`; open streams and waits are ended politely. The engine is not closed. */
  close(): Promise<void>
}

/**
 * The HTTP server of an engine.
 * @example
 * const server = createServer(engine, { version: '1.0.0' })
 * await listen(server, { port: 4884 })
 * @throws UntildoneError bad-definition, for options that cannot be
 */
export function createServer(engine: Engine, options: ServerOptions = {}): UntildoneServer {
  const settings = settle(options)
  const facades = options.facades ?? []
  const ofFacades = facades.length === 0 ? [] : facadeRoutes(facades, routes)
  const table = [...routes, ...ofFacades]
  const addresses = addressesOf(table)
  let document: { text: string; etag: string } | undefined
  const live = new Live(engine, settings)
  const server: ServerContext = {
    engine,
    settings,
    gate: new Gate(engine, settings, live.tickets),
    live,
    holds: new Holds(settings.limits),
    draining: false,
    openapi: () => (document ??= openapiDocument(table, settings)),
    facades: facades.map(({ name }) => name),
  }
  const app = new Hono<{ Bindings: Env }>({ getPath: (request) => inside(getPath(request), settings.base) })
  for (const route of [...routes, ...ofFacades.toSorted(bySpecificity)]) {
    const names = Object.keys(route.params ?? {})
    app.on(route.method, honoPath(route.path), (c) => {
      const params: Record<string, string> = {}
      for (const name of names) params[name] = c.req.param(name)!
      return dispatch(server, route, c.req.raw, c.env ?? {}, params)
    })
  }
  app.notFound((c) => unrouted(server, addresses, c.req.raw, c.env ?? {}, c.req.path))
  app.onError((error, c) => {
    const id = requestIdOf(c.req.raw)
    return respond(server, c.req.raw, id, failed(server, error, c.req.raw, id))
  })
  const made: UntildoneServer = {
    // Handlers are async, so this is a promise; another `async` here would cost one more turn per request.
    fetch: (request, env) => app.fetch(request, env) as Promise<Response>,
    app,
    engine,
    settings,
    facades: server.facades,
    owns: (path) => {
      const own = inside(path, settings.base)
      return own === '/v1' || own.startsWith('/v1/') || addresses.some(({ pattern }) => pattern.test(own))
    },
    get held() {
      return server.holds.open
    },
    async close() {
      server.draining = true
      server.holds.endAll()
      server.live.close()
    },
  }
  rememberContext(made, server)
  return made
}

/** The path below the mount prefix. Frameworks that strip the prefix themselves hand us the rest: taken as it is. */
function inside(path: string, base: string): string {
  if (base === '' || !path.startsWith(base)) return path
  if (path.length === base.length) return '/'
  return path.charCodeAt(base.length) === 47 ? path.slice(base.length) : path
}

function honoPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1')
}

interface Address {
  pattern: RegExp
  route: Route
}

function addressesOf(table: readonly Route[]): Address[] {
  return table.map((route) => ({
    pattern: new RegExp(`^${route.path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
    route,
  }))
}

function methodsAt(found: readonly Address[]): string[] {
  const methods = new Set<string>()
  for (const { route } of found) {
    methods.add(route.method)
    if (route.method === 'GET' && !route.stream) methods.add('HEAD')
  }
  return methods.size === 0 ? [] : [...methods, 'OPTIONS']
}

/**
 * What no route takes: OPTIONS, a wrong method, an unknown address. Under /v1, and where a route asks for credentials,
 * only those who may ask are told which.
 */
async function unrouted(
  server: ServerContext,
  addresses: readonly Address[],
  request: Request,
  env: Env,
  path: string,
): Promise<Response> {
  const id = requestIdOf(request)
  const found = addresses.filter(({ pattern }) => pattern.test(path))
  const allowed = methodsAt(found)
  const guarded = path === '/v1' || path.startsWith('/v1/') || found.some(({ route }) => route.scope !== 'none')
  try {
    if (request.method === 'OPTIONS' && allowed.length > 0)
      return respond(server, request, id, preflight(server.settings, request, allowed))
    if (guarded) await server.gate.admit(request, env)
    if (allowed.length > 0) throw methodNotAllowed(request.method, allowed)
    throw new UntildoneError('not-found', `There is nothing at ${path.slice(0, 200)}.`)
  } catch (error) {
    return respond(server, request, id, failed(server, error, request, id))
  }
}
