/**
 * What a route is. The table of routes is the one truth: Hono's routes, authentication, validation, Allow and the
 * OpenAPI document are made from it, so nothing can be served that is not described. Types only, but for `route()`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { ErrorCode } from '../core/index.js'
import type { Engine, Scope } from '../engine/api.js'
import type { Admission, Gate } from './auth.js'
import type { Holds } from './holds.js'
import type { Live } from './live/index.js'
import type { Settings } from './options.js'
import type { QueryDefs, QueryOf } from './query.js'
import type { Reply } from './reply.js'
import type { ComponentName } from './schemas/index.js'

/** What the Node adapter hands along; empty for a bare fetch handler. */
export interface Env {
  incoming?: IncomingMessage & { body?: unknown }
  outgoing?: ServerResponse
}

/** One server: what every handler may use. */
export interface ServerContext {
  engine: Engine
  settings: Settings
  gate: Gate
  live: Live
  holds: Holds
  /** True once the server is closing: everything under /v1 is answered with 503 `draining`. */
  draining: boolean
  /** The document of GET /openapi.json, made when it is first asked for. */
  openapi(): { text: string; etag: string }
  /** Names of the facades that are served. */
  facades: readonly string[]
}

/** One request. */
export interface Call<Q extends QueryDefs = QueryDefs, B = unknown> extends Admission {
  server: ServerContext
  request: Request
  env: Env
  requestId: string
  params: Record<string, string>
  query: QueryOf<Q>
  body: B
}

export type Tag =
  | 'Jobs'
  | 'Operating'
  | 'Signals'
  | 'Events'
  | 'Files'
  | 'Groups'
  | 'Execution'
  | 'Approvals'
  | 'Job types'
  | 'Schedules'
  | 'Webhooks'
  | 'Errors'
  | 'Access'
  | 'Server'
  | `Facade ${string}`

export type HeaderName =
  | 'Idempotency-Key'
  | 'Prefer'
  | 'traceparent'
  | 'If-None-Match'
  | 'If-Match'
  | 'If-Range'
  | 'Range'
  | 'Last-Event-ID'
  | 'Content-Disposition'

export type ResponseHeaderName =
  | 'Location'
  | 'Content-Location'
  | 'Retry-After'
  | 'ETag'
  | 'Link'
  | 'Idempotent-Replayed'
  | 'Duplicate-Of'
  | 'Preference-Applied'
  | 'Content-Range'
  | 'Content-Disposition'

export interface ResponseDoc {
  description: string
  /** Name of a component, or a JSON Schema of its own. */
  schema?: ComponentName | Record<string, unknown>
  /** @default 'application/json' when there is a schema */
  contentType?: string
  /** Further representations of the same answer. */
  also?: Record<string, Record<string, unknown>>
  headers?: readonly ResponseHeaderName[]
  example?: unknown
}

/** A JSON body: `component` describes it; `schema` judges it, or `read` where that is faster or closer. */
export type BodyDef<B> = {
  /** Name of a component, or a JSON Schema of its own. */
  component: ComponentName | Record<string, unknown>
  /** @default true; when false, an empty body is `{}` */
  required?: boolean
  /** Which limit holds. @default 'bodyBytes' */
  limit?: 'bodyBytes' | 'batchBytes'
  examples?: Record<string, unknown>
} & (
  | { schema: z.ZodType<B>; read?: undefined }
  /** @throws UntildoneError validation-failed */
  | { read: (value: unknown, server: ServerContext, bytes: number) => B; schema?: undefined }
)

/** `none`: no credentials. `any`: every valid caller. Else one of these scopes, or admin. */
export type RouteScope = 'none' | 'any' | readonly [Scope, ...Scope[]]

export interface Route<Q extends QueryDefs = any, B = any> {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With `{name}` for parameters. */
  path: string
  /** operationId of the OpenAPI document: a verb and a noun. */
  id: string
  tag: Tag
  /** Of a tag that only these routes know. */
  tagDescription?: string
  scope: RouteScope
  summary: string
  description: string
  params?: Record<string, { description: string; example: string }>
  query?: Q
  /** Query parameters that are not in `query` are left alone instead of refused. */
  openQuery?: boolean
  headers?: readonly HeaderName[]
  body?: BodyDef<B>
  /** A body that is not JSON; the handler reads it. */
  rawBody?: { description: string }
  responses: Record<number, ResponseDoc>
  /** Codes of this route; those of every route (401, 403, 500, 503 …) are added. */
  problems: readonly ErrorCode[]
  /** True for answers that go on: HEAD is refused. */
  stream?: boolean
  /** A ticket in the query stands in for the key. */
  tickets?: boolean
  /** Codes that `reshape` answers in another form; the document does not show their problems. */
  reshaped?: ReadonlySet<ErrorCode>
  /** The answer for a problem of this route, in the form that its clients know. */
  reshape?(problem: Reply, about: { server: ServerContext; url: string; params: Record<string, string> }): Reply
  handler(call: Call<Q, B>): Promise<Reply> | Reply
}

/** Keeps the types of one route's query and body together. */
export function route<Q extends QueryDefs = {}, B = undefined>(definition: Route<Q, B>): Route {
  return definition
}
