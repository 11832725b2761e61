/**
 * One route of a facade, read: what it does, which answers it has, and what of the request it looks at. The table makes
 * a route of the server from it.
 */
import type { ErrorCode } from '../../core/index.js'
import type { Reply } from '../reply.js'
import type { Call, HeaderName, ResponseHeaderName, RouteScope } from '../route.js'
import { READERS } from '../routes/shared.js'
import { SUBMIT_PROBLEMS } from '../routes/submit.js'
import { locator } from './addresses.js'
import { routeName, wrong } from './check.js'
import {
  type Answer,
  type Compiled,
  paramNames,
  type Reader,
  ROOTS,
  readAnswer,
  readerFor,
  readRespond,
} from './compile.js'
import type {
  CancelRoute,
  Facade,
  FacadeAnswer,
  FacadeRoute,
  GetRoute,
  ListRoute,
  ResultRoute,
  SubmitRoute,
} from './facade.js'
import type { Doc, Kind } from './lookups.js'
import { constantError, readMapping } from './mapping.js'
import { cancelJob, getJob, getResult, LIST_MAX, listJobs, submitJob, type Target } from './operations.js'
import { schemaDocument } from './schema-document.js'
import type { Node, Root } from './template.js'

/** One answer, as the document shows it. */
export interface Shown {
  answer: Answer
  description: string
  headers?: readonly ResponseHeaderName[]
  /** What `$job.result` is in it. */
  result?: Kind
}

export interface Part {
  scope: RouteScope
  summary: string
  description: string
  headers: readonly HeaderName[]
  answers: readonly Shown[]
  /** Codes that the operation can refuse with. */
  problems: readonly ErrorCode[]
  /** Those of them for which `answers` has another form. */
  reshaped: readonly ErrorCode[]
  /** Every template of the route. */
  nodes: readonly Node[]
  item?: Node
  /** What the request holds, where the facade says so. */
  request?: Doc
  run(call: Call<any, any>): Promise<Reply>
}

const ONE_JOB = ['job-not-found', 'job-expired'] as const

/** Reads the templates of one route and remembers them. */
class RouteReader {
  readonly nodes: Node[] = []
  readonly where: string
  constructor(
    readonly facade: Facade,
    readonly compiled: Compiled,
    readonly route: FacadeRoute,
  ) {
    this.where = routeName(facade, route)
  }

  /** Reads what may look up `roots`. A body that shows a job may use presets. */
  of(roots: readonly Root[]): Reader {
    const { method, path } = this.route
    const place = { roots, params: paramNames(path), body: method === 'POST' || method === 'PUT' }
    const presets = roots.includes('job') ? this.compiled.presets : undefined
    const read = readerFor(this.where, place, presets)
    return (member, template) => {
      const node = read(member, template)
      this.nodes.push(node)
      return node
    }
  }

  maybe(member: string, template: unknown): Node | null {
    return template === undefined ? null : this.of(ROOTS.request)(member, template)
  }

  answer(member: string, answer: FacadeAnswer | undefined): Answer | null {
    return readAnswer(member, answer, this.of(ROOTS.job), this.where)
  }

  target({ jobId, latestOf }: GetRoute | ResultRoute | CancelRoute): Target {
    const id = this.maybe('jobId', jobId)
    if (id === null && !latestOf) wrong(this.where, '`jobId` is required: where its id stands, like $req.params.jobId')
    if (id !== null && id.kind !== 'lookup') {
      wrong(this.where, `\`jobId\` is "${jobId}"; it must be looked up in the request, like $req.params.jobId`)
    }
    const request = this.of(ROOTS.request)
    return {
      jobId: id,
      latestOf: latestOf
        ? { groupId: request('latestOf.groupId', latestOf.groupId), type: request('latestOf.type', latestOf.type) }
        : null,
    }
  }
}

/** @throws UntildoneError bad-definition */
export function partOf(facade: Facade, compiled: Compiled, route: FacadeRoute): Part {
  const reader = new RouteReader(facade, compiled, route)
  if (route.op === 'submit') return submitPart(reader, route)
  if (route.op === 'list') return listPart(reader, route)
  if (route.op === 'get') return getPart(reader, route)
  return route.op === 'result' ? resultPart(reader, route) : cancelPart(reader, route)
}

function submitPart(reader: RouteReader, route: SubmitRoute): Part {
  const { facade, compiled, where, nodes } = reader
  const mapping = readMapping(route.map, reader.of(ROOTS.request))
  const error = constantError(mapping)
  if (error) wrong(where, `\`map.${error.pointer.slice(1).replaceAll('/', '.')}\` ${error.message}`)
  const respond = readRespond(facade, route, 202, reader.of(ROOTS.submitted))
  const locate = locator(facade, route)
  const request = schemaDocument('requestSchema', route.requestSchema, where)
  const type = route.map.type.startsWith('$') ? '' : ` of type \`${route.map.type}\``
  return {
    ...{ scope: ['jobs:submit'], nodes, headers: ['Idempotency-Key', 'traceparent'] },
    ...(request ? { request } : {}),
    summary: 'Submit a job',
    description: `A job${type}, stored durably before this is answered. The input is judged by its type: GET /v1/job-types.`,
    answers: [
      {
        answer: respond,
        description: 'Stored durably.',
        headers: ['Location', 'Retry-After', 'Idempotent-Replayed'],
      },
    ],
    problems: SUBMIT_PROBLEMS,
    reshaped: [],
    run: (call) => submitJob(compiled, { mapping, respond, locate }, call),
  }
}

function getPart(reader: RouteReader, route: GetRoute): Part {
  const { facade, compiled, nodes, where } = reader
  const target = reader.target(route)
  const respond = readRespond(facade, route, 200, reader.of(ROOTS.job))
  const result = schemaDocument('resultSchema', route.resultSchema, where)
  const known = result ? { result: { schema: result, maybe: true } } : {}
  return {
    ...{ scope: READERS, nodes, headers: [], problems: ONE_JOB },
    summary: 'Read a job',
    description: `How the job stands.${newest(route)}`,
    answers: [{ answer: respond, description: 'The job.', headers: ['Retry-After'], ...known }, ...notThere(compiled)],
    reshaped: notThereCodes(compiled),
    run: (call) => getJob(compiled, { target, respond }, call),
  }
}

function resultPart(reader: RouteReader, route: ResultRoute): Part {
  const { facade, compiled, nodes, where } = reader
  const target = reader.target(route)
  const result = schemaDocument('resultSchema', route.resultSchema, where)
  const known = result ? { result: { schema: result, maybe: false } } : {}
  const respond = readRespond(facade, { ...route, respond: route.respond ?? '$job.result' }, 200, reader.of(ROOTS.job))
  const notReady = reader.answer('notReady', route.notReady)
  const failed = reader.answer('failed', route.failed)
  const cancelled = reader.answer('cancelled', route.cancelled)
  return {
    ...{ scope: READERS, nodes, headers: ['If-None-Match'] },
    summary: 'Read the result of a job',
    description: `What the job returned.${newest(route)}`,
    answers: [
      { answer: respond, description: 'The result.', ...known },
      ...shown(notReady, 'Not done yet.', ['Retry-After']),
      ...shown(failed, cancelled ? 'It failed.' : 'It failed, or was cancelled.'),
      ...shown(cancelled, 'It was cancelled.'),
      ...notThere(compiled),
    ],
    problems: [...ONE_JOB, 'result-not-ready', 'job-failed', 'job-cancelled', 'result-expired'],
    reshaped: [
      ...notThereCodes(compiled),
      ...(notReady ? (['result-not-ready'] as const) : []),
      ...(failed ? (['job-failed'] as const) : []),
      ...(failed || cancelled ? (['job-cancelled'] as const) : []),
    ],
    run: (call) => getResult(compiled, { target, respond, notReady, failed, cancelled }, call),
  }
}

function listPart(reader: RouteReader, route: ListRoute): Part {
  const { facade, compiled, where, nodes } = reader
  if (route.limit !== undefined && route.cursor === undefined) {
    wrong(where, '`limit` needs `cursor`: a list without one shows all jobs at once')
  }
  const item = reader.of(ROOTS.job)('item', route.item)
  const listing = {
    groupId: reader.maybe('groupId', route.groupId),
    type: reader.maybe('type', route.type),
    order: route.order ?? '-createdAt',
    cursor: reader.maybe('cursor', route.cursor),
    limit: typeof route.limit === 'string' ? reader.maybe('limit', route.limit)! : (route.limit ?? 50),
    item,
    respond: readRespond(facade, route, 200, reader.of(ROOTS.list)),
  } as const
  const howMany = route.cursor === undefined ? `All at once, ${LIST_MAX} at most.` : 'Page by page.'
  return {
    ...{ scope: READERS, nodes, item, headers: [], reshaped: [] },
    summary: 'List jobs',
    description: `${route.order === 'createdAt' ? 'Oldest' : 'Newest'} first, without results. ${howMany}`,
    answers: [{ answer: listing.respond, description: 'The jobs.' }],
    problems: ['invalid-cursor'],
    run: (call) => listJobs(compiled, listing, call),
  }
}

function cancelPart(reader: RouteReader, route: CancelRoute): Part {
  const { facade, compiled, nodes } = reader
  const target = reader.target(route)
  const reason = reader.maybe('reason', route.reason)
  const respond = readRespond(facade, route, 200, reader.of(ROOTS.job))
  const alreadyDone = reader.answer('alreadyDone', route.alreadyDone)
  const codes = route.code === undefined ? [200, 202] : [route.code]
  return {
    ...{ scope: ['jobs:operate', 'jobs:submit'], nodes, headers: ['Idempotency-Key'] },
    summary: 'Cancel a job',
    description: 'At once if it is not running; else the worker is asked to stop, and the job may still complete.',
    answers: [
      ...codes.map((code) => ({
        answer: { ...respond, code },
        description: code === 202 ? 'It is being stopped.' : 'It is cancelled.',
        headers: ['Retry-After'] as const,
      })),
      ...shown(alreadyDone, 'It had ended before.'),
      ...notThere(compiled),
    ],
    problems: [...ONE_JOB, 'job-already-done'],
    reshaped: [...notThereCodes(compiled), ...(alreadyDone ? (['job-already-done'] as const) : [])],
    run: (call) => cancelJob(compiled, { target, reason, respond, code: route.code, alreadyDone }, call),
  }
}

function shown(answer: Answer | null, description: string, headers: readonly ResponseHeaderName[] = []): Shown[] {
  return answer ? [{ answer, description, headers }] : []
}

function notThere({ notFound, expired }: Compiled): Shown[] {
  const other = expired === notFound ? null : expired
  return [...shown(notFound, 'There is no such job.'), ...shown(other, 'It was removed when its retention ended.')]
}

function notThereCodes({ notFound, expired }: Compiled): ErrorCode[] {
  return [...(notFound ? (['job-not-found'] as const) : []), ...(expired ? (['job-expired'] as const) : [])]
}

function newest({ jobId, latestOf }: GetRoute | ResultRoute): string {
  if (!latestOf) return ''
  return jobId === undefined
    ? ' The newest one of its type in the group.'
    : ' Without an id, the newest one of its type in the group.'
}
