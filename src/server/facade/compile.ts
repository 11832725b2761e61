/**
 * From configuration to something that can answer: every template read, every look-up judged, all before the first
 * request. Also the small parts that operations share: filling a body, making an answer.
 */
import type { ErrorCode, Status, WireJob } from '../../core/index.js'
import { empty, json, type Reply } from '../reply.js'
import { routeName, statusMap, wrong } from './check.js'
import type { Facade, FacadeAnswer, FacadeRoute, StatusMap, Template } from './facade.js'
import { checkLookup, type Place } from './lookups.js'
import { jobScope } from './scope.js'
import { fill, fillBody, type Node, type ObjectNode, type Root, read, type Scope, TemplateError } from './template.js'

export interface Answer {
  code: number
  body: Node | null
  contentType?: string
}

export interface Compiled {
  name: string
  description: string | undefined
  status: StatusMap
  time: NonNullable<Facade['time']>
  absent: 'omit' | 'null'
  progress: Node | null
  progressWhen: ReadonlyMap<Status, Node>
  presets: ReadonlyMap<string, ObjectNode>
  notFound: Answer | null
  expired: Answer | null
  errors: ReadonlyMap<ErrorCode, Answer>
}

export const ROOTS = {
  request: ['req'],
  job: ['req', 'id', 'job', 'status', 'progress', 'errors'],
  submitted: ['req', 'id', 'job', 'status', 'progress', 'errors', 'location'],
  list: ['req', 'items', 'nextCursor'],
  missing: ['req', 'id', 'problem'],
  problem: ['req', 'problem'],
  progress: ['progress', 'job', 'status'],
} as const satisfies Record<string, readonly Root[]>

/** Bodies that any facade may use. */
const PRESETS: Record<string, Record<string, Template>> = {
  jobStatus: {
    jobId: '$job.id',
    status: '$status',
    createdAt: '$job.createdAt',
    startedAt: '$job.startedAt',
    updatedAt: '$job.updatedAt',
    progress: '$progress',
    result: '$job.result',
    errors: '$errors',
  },
  jobType: { jobType: '$job.type' },
}

export type Reader = (member: string, template: unknown) => Node

/** Reads templates of one place; what is wrong is said with facade, route and member. */
export function readerFor(where: string, place: Place, presets?: ReadonlyMap<string, ObjectNode>): Reader {
  return (member, template) => {
    try {
      return read(template as Template, {
        check: (lookup) => checkLookup(lookup, place),
        progress: presets !== undefined,
        presets,
      })
    } catch (error) {
      if (error instanceof TemplateError) wrong(where, `\`${member}\` ${error.message}`)
      throw error
    }
  }
}

/** Everything of a facade but its routes. @throws UntildoneError bad-definition */
export function compile(facade: Facade): Compiled {
  const where = `"${facade.name}"`
  // What several routes share may look up the parameters of any of them; where there is none it leads to nothing.
  const everywhere = (roots: readonly Root[], body: boolean): Place => ({ roots, params: paramsOf(facade), body })
  const presets = new Map<string, ObjectNode>()
  const forJob = readerFor(where, everywhere(ROOTS.job, true), presets)
  for (const [name, body] of Object.entries(PRESETS)) presets.set(name, forJob(name, body) as ObjectNode)
  for (const [name, body] of Object.entries(facade.presets ?? {})) {
    if (Object.hasOwn(PRESETS, name)) wrong(where, `\`presets.${name}\` has the name of one that is there already`)
    if (usesPreset(body)) wrong(where, `\`presets.${name}\` uses a preset; say what it holds instead`)
    presets.set(name, forJob(`presets.${name}`, body) as ObjectNode)
  }
  const ofProgress = readerFor(where, everywhere(ROOTS.progress, false))
  const missing = readerFor(where, everywhere(ROOTS.missing, true))
  const ofProblem = readerFor(where, everywhere(ROOTS.problem, false))
  const notFound = readAnswer('notFound', facade.notFound, missing, where)
  const errors = Object.entries(facade.errors ?? {}) as [ErrorCode, FacadeAnswer][]
  for (const code of ['job-not-found', 'job-expired'] as const) {
    const other = code === 'job-not-found' ? 'notFound' : 'expired'
    if (facade.errors?.[code] && facade[other])
      wrong(where, `\`errors.${code}\` and \`${other}\` are about the same; keep one`)
  }
  return {
    name: facade.name,
    description: facade.description,
    status: statusMap(facade),
    time: facade.time ?? 'milliseconds',
    absent: facade.absent ?? 'omit',
    progress: facade.progress === undefined ? null : ofProgress('progress', facade.progress),
    progressWhen: new Map(
      Object.entries(facade.progressWhen ?? {}).map(([status, body]) => [
        status as Status,
        ofProgress(`progressWhen.${status}`, body),
      ]),
    ),
    presets,
    notFound,
    expired: expiredOf(facade, notFound, missing, where),
    errors: new Map(errors.map(([code, answer]) => [code, readAnswer(`errors.${code}`, answer, ofProblem, where)!])),
  }
}

function expiredOf({ expired, errors }: Facade, notFound: Answer | null, read: Reader, where: string): Answer | null {
  if (expired === 'problem' || errors?.['job-expired']) return null
  return typeof expired === 'object' ? readAnswer('expired', expired, read, where) : notFound
}

function usesPreset(body: unknown): boolean {
  if (typeof body === 'string') return body.startsWith('$preset')
  return typeof body === 'object' && body !== null && Object.values(body).some(usesPreset)
}

function paramsOf({ routes }: Facade): string[] {
  return [...new Set(routes.flatMap(({ path }) => paramNames(path)))]
}

export function paramNames(path: string): string[] {
  return Array.from(path.matchAll(/\{(\w+)\}/g), (match) => match[1]!)
}

/** The answer with its body read; null for none. @throws UntildoneError bad-definition */
export function readAnswer(
  member: string,
  answer: FacadeAnswer | undefined,
  read: Reader,
  where: string,
): Answer | null {
  if (!answer) return null
  if (answer.code === 204 && answer.body !== undefined) wrong(where, `\`${member}\` has code 204, which has no body`)
  const body = answer.body === undefined ? null : read(`${member}.body`, answer.body)
  return { code: answer.code, body, contentType: answer.contentType }
}

/** The answer of a route when all went well. @throws UntildoneError bad-definition */
export function readRespond(facade: Facade, route: FacadeRoute, usual: number, read: Reader): Answer {
  const where = routeName(facade, route)
  const code = route.code ?? usual
  if (code === 204) {
    if (route.respond !== undefined) wrong(where, '`respond` is given, but code 204 has no body')
    return { code, body: null }
  }
  if (route.respond === undefined) wrong(where, '`respond` is required: what the answer holds')
  return { code, body: read('respond', route.respond) }
}

/** The answer where there is no single job. */
export function reply(facade: Compiled, answer: Answer, scope: Scope, headers: Record<string, string> = {}): Reply {
  const body = answer.body === null ? undefined : fillBody(answer.body, { scope, absent: facade.absent })
  return body === undefined
    ? empty(answer.code, { 'Cache-Control': 'no-store', ...headers })
    : json(body, answer.code, { ...typeOf(answer), ...headers })
}

/** The header for a body of another type than plain JSON. */
export function typeOf({ contentType }: Answer): Record<string, string> {
  return contentType === undefined ? {} : { 'Content-Type': contentType }
}

/** The body for one job. */
export function jobBody(facade: Compiled, node: Node, job: WireJob, more: Scope): unknown {
  const scope = { ...jobScope(job, facade.status, facade.time), ...more }
  return fillBody(node, { scope, absent: facade.absent, progress: () => progressOf(facade, job, scope) })
}

function progressOf(facade: Compiled, job: WireJob, scope: Scope): unknown {
  const node = facade.progressWhen.get(job.status) ?? facade.progress
  return node === null ? scope.progress : fill(node, { scope, absent: facade.absent })
}
