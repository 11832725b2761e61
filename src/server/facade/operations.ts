/**
 * What the five operations do: they ask the same engine as the native routes, with the same caller, so that scopes,
 * idempotency, quota, audit and retention are the engine's. Here is only which question, and which of the configured
 * answers.
 */
import { isUntildoneError, parseJson, UntildoneError, type WireJob } from '../../core/index.js'
import type { ListQuery } from '../../engine/api.js'
import { readSubmit } from '../envelope.js'
import { idempotencyKey, matches, traceparent } from '../headers.js'
import { problemOf } from '../problem.js'
import { empty, json, jsonText, PRIVATE, type Reply, retryAfter, underBase } from '../reply.js'
import type { Call } from '../route.js'
import { CancelRequest } from '../schemas/requests.js'
import { readBody } from '../validate.js'
import { type Answer, type Compiled, jobBody, reply, typeOf } from './compile.js'
import { inRequest, type Mapping, mapped } from './mapping.js'
import { fill, lookupsOf, type Node, type Scope } from './template.js'

/** Jobs that a list without a cursor shows at most. */
export const LIST_MAX = 1000
const PAGE_MAX = 200

/** Which job a request is about. */
export interface Target {
  jobId: Node | null
  latestOf: { groupId: Node; type: Node } | null
}

type Asked = Call<any, any>
type Locate = (job: WireJob, params: Record<string, string>) => string | null

const requestScope = (call: Asked): Scope => ({ req: { params: call.params, query: call.query, body: call.body } })

/** Text of the request; undefined when there is none, or nothing in it. */
function textOf(node: Node | null, scope: Scope): string | undefined {
  const value = node === null ? undefined : fill(node, { scope, absent: 'omit' })
  return typeof value === 'string' && value !== '' ? value : typeof value === 'number' ? String(value) : undefined
}

export async function submitJob(
  facade: Compiled,
  route: { mapping: Mapping; respond: Answer; locate: Locate },
  call: Asked,
): Promise<Reply> {
  const { engine, settings } = call.server
  const { headers } = call.request
  const key = idempotencyKey(headers.get('idempotency-key'))
  const scope = requestScope(call)
  try {
    // One part of the request may stand in several places: what came out is measured, not what was sent.
    const body = readSubmit(mapped(route.mapping, scope), call.server, Number.POSITIVE_INFINITY)
    const trace = traceparent(headers.get('traceparent'))
    if (trace !== null) body.traceparent = trace
    const { job, replayed } = await engine.submit(call.caller, body, key)
    const shown = underBase(job, settings.base)
    const own = route.locate(job, call.params)
    const location = own === null ? shown.links.self : settings.base + own
    const more: Record<string, string> = { Location: location, ...pacing(job) }
    if (replayed) more['Idempotent-Replayed'] = 'true'
    return jobReply(facade, route.respond, shown, { ...scope, location }, more)
  } catch (error) {
    throw inRequest(error, route.mapping)
  }
}

export function getJob(facade: Compiled, route: { target: Target; respond: Answer }, call: Asked): Promise<Reply> {
  return found(facade, route.target, call, async (job, scope) => {
    const whole = await withResult(call, job, route.respond)
    return jobReply(facade, route.respond, whole, scope, pacing(job))
  })
}

export interface ResultAnswers {
  target: Target
  respond: Answer
  notReady: Answer | null
  failed: Answer | null
  cancelled: Answer | null
}

export function getResult(facade: Compiled, route: ResultAnswers, call: Asked): Promise<Reply> {
  return found(facade, route.target, call, async (job, scope) => {
    const { engine } = call.server
    const other = job.done ? otherEnd(job, route) : route.notReady
    if (other) return jobReply(facade, other, underBase(job, call.server.settings.base), scope, pacing(job))
    const result = await engine.result(call.caller, job.id)
    const { body, code } = route.respond
    if (body?.kind !== 'lookup' || body.text !== '$job.result') {
      const whole = { ...underBase(job, call.server.settings.base), result: parseJson(result.json) }
      return jobReply(facade, route.respond, whole, scope)
    }
    // The bare result, as it was stored.
    const headers = { ETag: `"${result.sha256}"`, 'Cache-Control': PRIVATE, Vary: 'Authorization' }
    if (code === 200 && matches(call.request.headers.get('if-none-match'), headers.ETag)) return empty(304, headers)
    return jsonText(result.json, code, headers)
  })
}

function otherEnd(job: WireJob, route: ResultAnswers): Answer | null {
  return job.status === 'failed' ? route.failed : job.status === 'cancelled' ? (route.cancelled ?? route.failed) : null
}

export function cancelJob(
  facade: Compiled,
  route: { target: Target; reason: Node | null; respond: Answer; code: number | undefined; alreadyDone: Answer | null },
  call: Asked,
): Promise<Reply> {
  const { engine, settings } = call.server
  return found(facade, route.target, call, async (job, scope) => {
    const { reason } = readBody(CancelRequest, { reason: textOf(route.reason, scope) })
    const key = idempotencyKey(call.request.headers.get('idempotency-key'))
    try {
      const asked = await engine.cancel(call.caller, job.id, { reason, key })
      const answer = { ...route.respond, code: route.code ?? (asked.pending ? 202 : 200) }
      return jobReply(facade, answer, underBase(asked.job, settings.base), scope, pacing(asked.job))
    } catch (error) {
      if (!route.alreadyDone || !isUntildoneError(error) || error.code !== 'job-already-done') throw error
      const now = await engine.get(call.caller, job.id)
      return jobReply(facade, route.alreadyDone, underBase(now, settings.base), scope)
    }
  })
}

export interface Listing {
  groupId: Node | null
  type: Node | null
  order: ListQuery['order']
  cursor: Node | null
  limit: number | Node
  item: Node
  respond: Answer
}

export async function listJobs(facade: Compiled, route: Listing, call: Asked): Promise<Reply> {
  const scope = requestScope(call)
  const query: ListQuery = { order: route.order }
  // A group that is missing must never widen the list to all groups.
  if (route.groupId) query.groupId = demanded(route.groupId, scope)
  const type = textOf(route.type, scope)
  if (type !== undefined) query.type = [type]
  const { jobs, nextCursor } = await (route.cursor ? onePage(route, query, scope, call) : allPages(query, call))
  const { base } = call.server.settings
  const items = jobs.map((job) => jobBody(facade, route.item, underBase(job, base), scope))
  return reply(facade, route.respond, { ...scope, items, nextCursor })
}

interface Jobs {
  jobs: WireJob[]
  nextCursor: string | null
}

async function onePage(route: Listing, query: ListQuery, scope: Scope, call: Asked): Promise<Jobs> {
  const limit = typeof route.limit === 'number' ? route.limit : limitOf(route.limit, scope)
  const cursor = textOf(route.cursor, scope)
  const page = await call.server.engine.list(call.caller, {
    ...query,
    limit,
    ...(cursor === undefined ? {} : { cursor }),
  })
  return { jobs: page.items, nextCursor: page.nextCursor }
}

async function allPages(query: ListQuery, call: Asked): Promise<Jobs> {
  const jobs: WireJob[] = []
  let cursor: string | null = null
  do {
    const more: ListQuery = { ...query, limit: PAGE_MAX, ...(cursor === null ? {} : { cursor }) }
    const page = await call.server.engine.list(call.caller, more)
    jobs.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null && jobs.length < LIST_MAX)
  return { jobs, nextCursor: cursor }
}

function limitOf(node: Node, scope: Scope): number {
  const given = textOf(node, scope)
  if (given === undefined) return 50
  const limit = Number(given)
  if (/^\d{1,9}$/.test(given) && limit >= 1) return Math.min(limit, PAGE_MAX)
  throw new UntildoneError('malformed-request', `${nameOf(node)} must be a whole number from 1.`)
}

/** The job that a request is about, or the answer for one that is not there. */
async function found(
  facade: Compiled,
  target: Target,
  call: Asked,
  go: (job: WireJob, scope: Scope) => Promise<Reply>,
): Promise<Reply> {
  const scope = requestScope(call)
  const id = textOf(target.jobId, scope)
  try {
    return await go(await jobOf(target, id, scope, call), scope)
  } catch (error) {
    if (!isUntildoneError(error)) throw error
    const answer =
      error.code === 'job-not-found' ? facade.notFound : error.code === 'job-expired' ? facade.expired : null
    if (!answer) throw error
    const { base, random } = call.server.settings
    const problem = problemOf(error, { requestId: call.requestId, base, random })
    return reply(facade, answer, { ...scope, id, problem })
  }
}

async function jobOf({ jobId, latestOf }: Target, id: string | undefined, scope: Scope, call: Asked): Promise<WireJob> {
  const { engine } = call.server
  if (!latestOf) return engine.get(call.caller, id ?? demanded(jobId!, scope))
  const groupId = demanded(latestOf.groupId, scope)
  const type = demanded(latestOf.type, scope)
  if (id !== undefined) {
    const job = await engine.get(call.caller, id)
    if (job.groupId === groupId && job.type === type) return job
    throw new UntildoneError('job-not-found', `There is no job ${id} of type "${type}" in the group "${groupId}".`)
  }
  const { items } = await engine.list(call.caller, { groupId, type: [type], order: '-createdAt', limit: 1 })
  // A type that comes from the request may be a pattern to the engine; here it is a name.
  if (items[0]?.type === type) return engine.get(call.caller, items[0].id)
  throw new UntildoneError('job-not-found', `There is no job of type "${type}" in the group "${groupId}".`)
}

function demanded(node: Node, scope: Scope): string {
  const value = textOf(node, scope)
  if (value !== undefined) return value
  throw new UntildoneError('malformed-request', `${nameOf(node)} is missing.`, { fix: 'Send it.' })
}

/** How people call a part of the request. */
function nameOf(node: Node): string {
  const [part, ...path] = node.kind === 'lookup' ? node.path : []
  const what = part === 'body' ? 'The member' : part === 'query' ? 'The query parameter' : 'The path parameter'
  return `${what} "${path.join('.')}"`
}

/** A result that is too large to stand in the job is fetched where the answer shows it. */
async function withResult(call: Asked, job: WireJob, { body }: Answer): Promise<WireJob> {
  const shown = underBase(job, call.server.settings.base)
  const isShown =
    body !== null &&
    lookupsOf(body).some(({ root, path }) => root === 'job' && (path.length === 0 || path[0] === 'result'))
  if (!isShown || job.resultInfo.state !== 'external') return shown
  const { json: text } = await call.server.engine.result(call.caller, job.id)
  return { ...shown, result: parseJson(text) }
}

function jobReply(
  facade: Compiled,
  answer: Answer,
  job: WireJob,
  scope: Scope,
  headers: Record<string, string> = {},
): Reply {
  const all = { 'Cache-Control': 'no-store', ...headers }
  const { code, body } = answer
  return body === null ? empty(code, all) : json(jobBody(facade, body, job, scope), code, { ...typeOf(answer), ...all })
}

function pacing({ pollAfterMs }: WireJob): Record<string, string> {
  return pollAfterMs === null ? {} : { 'Retry-After': retryAfter(pollAfterMs) }
}
