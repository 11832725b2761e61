/**
 * What a facade is: an older API described as data, kept for its clients over the same jobs. Types only. There is no
 * code in it and no expression, so that it can be a JSON file and can be read by whoever has to answer for it.
 */
import type { ErrorCode, Json, Status } from '../../core/index.js'

/**
 * A value of an answer. Text that begins with `$` is a look-up (`$job.id`); `$$` is a dollar sign; everything else is
 * said as it stands. A look-up that leads to nothing leaves its member out, see `absent`.
 */
export type Template = string | number | boolean | null | readonly Template[] | { readonly [member: string]: Template }

/** A JSON Schema 2020-12 document without `$ref`, for the OpenAPI document only. Your claim: the job type judges. */
export type SchemaDocument = { readonly [keyword: string]: unknown }

/** A value of the request: `$req.params.…`, `$req.query.…`, `$req.body.…`, or text that is always the same. */
export type RequestText = string

/** An answer for one case. */
export interface FacadeAnswer {
  /** HTTP status, 200 to 599. 204 has no body. */
  code: number
  body?: Template
  /** Type of the body, a JSON one, for example `application/problem+json`. @default 'application/json' */
  contentType?: string
}

/** Vocabularies that are known by name, see the guide for their words. */
export type VocabularyName =
  | 'morpheus'
  | 'connector-generator'
  | 'azure'
  | 'google-lro'
  | 'replicate'
  | 'openai'
  | 'a2a'
  | 'mcp'

/**
 * What `$status` is for each of our six words: a word, a boolean, or an object whose members are looked up
 * (`$status.done`). A case of a word wins over the word: `blocked:approval` by what it waits for,
 * `cancelled:approval-rejected` and `failed:deadline-passed` by the error code.
 */
export type StatusMap = { readonly [S in Status]: Json } & {
  readonly [special: `${'blocked' | 'failed' | 'cancelled'}:${string}`]: Json
}

interface RouteBase {
  /** Below the mount prefix, with `{name}` for parameters. Not under /v1, and no address that the server has itself. */
  path: string
  /** One line for the OpenAPI document. @default made from `op` */
  summary?: string
  /** For the OpenAPI document, before what is said of every such route; Markdown. @default none */
  description?: string
  /** HTTP status of the answer. @default 202 for submit, as the native API for cancel, else 200 */
  code?: number
}

interface OfOneJob {
  /** Where the id of the job stands in the request. May be missing from a request only with `latestOf`. */
  jobId?: RequestText
  /**
   * Without an id, the newest job of this type in this group. A job that is named by its id must be of both as well,
   * else it is not found.
   */
  latestOf?: { groupId: RequestText; type: string }
}

export interface SubmitRoute extends RouteBase {
  op: 'submit'
  method: 'POST' | 'PUT'
  /** The submit that is made of the request. Members whose look-up leads to nothing are left out. */
  map: {
    type: RequestText
    input?: Template
    groupId?: RequestText
    operationKey?: RequestText
    priority?: Template
    runAt?: RequestText
    deadlineAt?: RequestText
    tags?: Template
    metadata?: Template
  }
  /** The body that clients send. @default the members that are looked up, of any form */
  requestSchema?: SchemaDocument
  respond?: Template
}

export interface GetRoute extends RouteBase, OfOneJob {
  op: 'get'
  method: 'GET' | 'POST'
  /** What `$job.result` is in the answer. @default anything */
  resultSchema?: SchemaDocument
  respond?: Template
}

export interface ResultRoute extends RouteBase, OfOneJob {
  op: 'result'
  method: 'GET' | 'POST'
  /** What `$job.result` is in the answer. @default anything */
  resultSchema?: SchemaDocument
  /** @default '$job.result': the bare result */
  respond?: Template
  /** Not done yet. @default 409 result-not-ready */
  notReady?: FacadeAnswer
  /** It failed. @default 409 job-failed */
  failed?: FacadeAnswer
  /** It was cancelled. @default as `failed`, else 409 job-cancelled */
  cancelled?: FacadeAnswer
}

export interface ListRoute extends RouteBase {
  op: 'list'
  method: 'GET' | 'POST'
  /** Only jobs of this group. */
  groupId?: RequestText
  /** Only jobs of this type. */
  type?: RequestText
  /** @default '-createdAt': newest first */
  order?: 'createdAt' | '-createdAt'
  /** One job of the list, without its result. */
  item: Template
  respond?: Template
  /** Where the cursor of the page before stands in the request; it comes from `$nextCursor`. @default all jobs at once, 1000 at most */
  cursor?: RequestText
  /** Jobs in one page: a number, or where it stands in the request. Only with `cursor`. @default 50; at most 200 */
  limit?: number | RequestText
}

export interface CancelRoute extends RouteBase, OfOneJob {
  op: 'cancel'
  method: 'POST' | 'DELETE'
  /** Kept in the history. */
  reason?: RequestText
  respond?: Template
  /** It had ended before. @default 409 job-already-done */
  alreadyDone?: FacadeAnswer
}

export type FacadeRoute = SubmitRoute | GetRoute | ResultRoute | ListRoute | CancelRoute

/** One older API. */
export interface Facade {
  /** Lower-case letters, digits and `-`; its tag in the OpenAPI document. */
  name: string
  /** Of the tag: how these routes work together; Markdown. @default that it is an API kept for its clients */
  description?: string
  /** What each of our six words is called there: a vocabulary by name, or a map. */
  status: VocabularyName | StatusMap
  /** What `$progress` is, made of `$progress.…` look-ups. @default our own progress */
  progress?: Template
  /** `$progress` for single statuses, e.g. `{ completed: { stage: 'finished' } }`; null leaves it out. */
  progressWhen?: { readonly [S in Status]?: Template }
  /** How instants are written. @default 'milliseconds': 2026-03-10T12:00:00.000Z */
  time?: 'milliseconds' | 'seconds' | 'unixSeconds' | 'unixMilliseconds'
  /** What becomes of a member whose look-up leads to nothing: it is left out, or null. @default 'omit' */
  absent?: 'omit' | 'null'
  /** The answer for an id that does not exist. @default 404 job-not-found */
  notFound?: FacadeAnswer
  /** The answer for a job that was removed when its retention ended. `problem` is 410 job-expired. @default 'notFound' */
  expired?: 'notFound' | 'problem' | FacadeAnswer
  /** Answers for error codes of ours, with `$problem.…`. @default problems after RFC 9457 */
  errors?: { readonly [C in ErrorCode]?: FacadeAnswer }
  /** Bodies that several routes share: `$preset.<name>`, joined with `+`. `jobStatus` and `jobType` are there already. */
  presets?: { readonly [name: string]: { readonly [member: string]: Template } }
  /** Addresses, each with an operation of ours and the body of its answer. */
  routes: readonly FacadeRoute[]
}
