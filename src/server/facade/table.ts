/**
 * The routes of facades, in the same table as the native ones: authentication, scopes, limits, Allow and the OpenAPI
 * document come from there. Made once, when the server is.
 */

import { z } from 'zod'
import type { ErrorCode, WireProblem } from '../../core/index.js'
import { problemsOf } from '../openapi.js'
import { type QueryDefs, type QueryParam, readQuery } from '../query.js'
import type { Reply } from '../reply.js'
import type { BodyDef, ResponseDoc, Route } from '../route.js'
import { checkPaths } from './addresses.js'
import { checkFacades, routeName, wrong } from './check.js'
import { type Compiled, compile, paramNames, reply } from './compile.js'
import { bodySchema, type Description, oneOf } from './describe.js'
import type { Facade, FacadeRoute } from './facade.js'
import type { Doc } from './lookups.js'
import { type Part, partOf, type Shown } from './parts.js'
import { type Lookup, lookupsOf, type Node } from './template.js'

/**
 * @param native addresses that a facade cannot have
 * @throws UntildoneError bad-definition: facade, route and member, and what is wrong
 */
export function facadeRoutes(given: unknown, native: readonly Route[]): Route[] {
  const facades = checkFacades(given)
  checkPaths(facades, native)
  const ids = new Set<string>()
  return facades.flatMap((facade) => {
    const compiled = compile(facade)
    const idle = new Set(compiled.errors.keys())
    const routes = facade.routes.map((route) =>
      build(compiled, route, partOf(facade, compiled, route), idOf(facade, route, ids), idle),
    )
    for (const code of idle)
      wrong(`"${facade.name}"`, `\`errors.${code}\` is about a code that none of its routes leaves to \`errors\``)
    return routes
  })
}

/** @param idle codes that `errors` names and no route has used yet */
function build(facade: Compiled, route: FacadeRoute, part: Part, id: string, idle: Set<ErrorCode>): Route {
  const lookups = [...part.nodes, ...sharedNodes(facade)].flatMap(lookupsOf)
  const query = queryOf(lookups)
  const made: Route = {
    method: route.method,
    path: route.path,
    id,
    tag: `Facade ${facade.name}`,
    ...(facade.description === undefined ? {} : { tagDescription: facade.description }),
    scope: part.scope,
    summary: route.summary ?? part.summary,
    description: route.description === undefined ? part.description : `${route.description}\n\n${part.description}`,
    params: Object.fromEntries(paramNames(route.path).map((name) => [name, paramDoc(route, name)])),
    query,
    openQuery: true,
    headers: part.headers,
    responses: {},
    problems: part.problems,
    handler: part.run,
  }
  const body = route.method === 'POST' || route.method === 'PUT' ? bodyOf(lookups, part.request) : null
  if (part.request && !body) {
    wrong(routeName(facade, route), '`requestSchema` is given, but no look-up reads the body')
  }
  if (body) made.body = body
  const mapped = problemsOf(made).filter((code) => facade.errors.has(code) && !part.reshaped.includes(code))
  for (const code of mapped) idle.delete(code)
  const others = mapped.map((code): Shown => ({ answer: facade.errors.get(code)!, description: `\`${code}\`` }))
  const item = part.item ? { item: part.item } : {}
  made.responses = responsesOf([...part.answers, ...others], { ...describing(facade), ...item })
  made.reshaped = new Set([...part.reshaped, ...mapped])
  if (facade.errors.size > 0) {
    made.reshape = (problem, { url, params }) => reshaped(facade, problem, { params, query: looseQuery(query, url) })
  }
  return made
}

/** The problem in the facade's form, if it has one for it; what the problem's headers say stays true. */
function reshaped(facade: Compiled, problem: Reply, req: unknown): Reply {
  const shown = JSON.parse(problem.body as string) as WireProblem
  const answer = facade.errors.get(shown.code as never)
  if (!answer) return problem
  const { 'Content-Type': _type, ...headers } = problem.headers
  return reply(facade, answer, { req, problem: shown }, headers)
}

/** The query may be the very thing that could not be read. */
function looseQuery(defs: QueryDefs, url: string): unknown {
  try {
    return readQuery(defs, url, true)
  } catch {
    return {}
  }
}

function sharedNodes({ notFound, expired, errors, progress, progressWhen }: Compiled): Node[] {
  const answers = [notFound, expired, ...errors.values()].map((answer) => answer?.body)
  return [...answers, progress, ...progressWhen.values()].filter((node) => node != null)
}

function queryOf(lookups: readonly Lookup[]): QueryDefs {
  const names = new Set(
    lookups.filter(({ root, path }) => root === 'req' && path[0] === 'query').map(({ path }) => path[1]!),
  )
  return Object.fromEntries(Array.from(names, (name) => [name, anyText(name)]))
}

/** Nothing in it counts as not given. */
function anyText(name: string): QueryParam<string> {
  return { reading: 'text', schema: z.string().max(2000), description: `\`${name}\`, as older clients send it.` }
}

function bodyOf(lookups: readonly Lookup[], given: Doc | undefined): BodyDef<unknown> | null {
  const parts = lookups
    .filter(({ root, path }) => root === 'req' && path[0] === 'body')
    .map(({ path }) => path.slice(1))
  if (parts.length === 0) return null
  const whole = parts.some((path) => path.length === 0)
  const looked: Doc = whole
    ? {}
    : { type: 'object', properties: Object.fromEntries(parts.map(([name]) => [name!, {}])) }
  // What is missing in an empty body is best said by the job type.
  return { component: given ?? looked, required: false, read: (value) => value }
}

function paramDoc(route: FacadeRoute, name: string): { description: string; example: string } {
  const isId = 'jobId' in route && route.jobId === `$req.params.${name}`
  return isId
    ? { description: 'Id of the job.', example: '019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10' }
    : { description: `\`${name}\`, as older clients send it.`, example: 'session-42' }
}

/** `$progress` where the facade says nothing of it. */
const OUR_PROGRESS: Lookup = { kind: 'lookup', root: 'progress', path: [], text: '$progress' }

function describing({ status, absent, time, progress, progressWhen }: Compiled): Description {
  const forSome = [...progressWhen.values()].filter((node) => node.kind !== 'value' || node.value !== null)
  return { status, absent, time, progress: [progress ?? OUR_PROGRESS, ...forSome] }
}

/** Answers of one code are one response that may have either body. */
function responsesOf(answers: readonly Shown[], about: Description): Record<number, ResponseDoc> {
  const byCode = new Map<number, Shown[]>()
  for (const one of answers) byCode.set(one.answer.code, [...(byCode.get(one.answer.code) ?? []), one])
  return Object.fromEntries(
    Array.from(byCode, ([code, all]): [number, ResponseDoc] => {
      const types = new Map<string, Doc[]>()
      for (const { answer, result } of all) {
        if (!answer.body) continue
        const { contentType = 'application/json' } = answer
        const schema = bodySchema(answer.body, result ? { ...about, result } : about)
        types.set(contentType, [...(types.get(contentType) ?? []), schema])
      }
      const [first, ...others] = Array.from(types, ([type, bodies]) => [type, oneOf(bodies)] as const)
      const headers = [...new Set(all.flatMap((one) => one.headers ?? []))]
      const description = [...new Set(all.map((one) => one.description))].join(' Or: ')
      return [
        code,
        {
          description,
          headers,
          ...(first ? { contentType: first[0], schema: first[1], also: Object.fromEntries(others) } : {}),
        },
      ]
    }),
  )
}

/** A name of its own in the document: facade, operation, path. */
function idOf({ name }: Facade, { op, path }: FacadeRoute, taken: Set<string>): string {
  const pascal = (text: string) => text.replace(/(?:^|[^A-Za-z0-9]+)([A-Za-z0-9])/g, (_, c: string) => c.toUpperCase())
  const segments = path
    .split('/')
    .slice(1)
    .map((part) => (part.startsWith('{') ? `By${pascal(part)}` : pascal(part)))
  const base = `${pascal(name).replace(/^./, (c) => c.toLowerCase())}${pascal(op)}${segments.join('')}`.replace(
    /[^A-Za-z0-9]/g,
    '',
  )
  let id = base
  for (let i = 2; taken.has(id); i++) id = `${base}${i}`
  taken.add(id)
  return id
}
