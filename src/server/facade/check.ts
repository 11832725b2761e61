/**
 * The form of a facade's configuration: which members there are and what they hold. Strict, because it may come from a
 * JSON file: an unknown member is a typing error. What look-ups mean is judged in compile.ts.
 */
import { z } from 'zod'
import { type Json, PROBLEMS, STATUSES, type Status, UntildoneError } from '../../core/index.js'
import type { Facade, FacadeRoute, StatusMap, Template } from './facade.js'
import { VOCABULARIES } from './vocabulary.js'

const FIX = 'Correct the configuration of the facade; docs/guide/facades.md has two whole ones.'

/** @throws UntildoneError bad-definition: which facade, which route, which member, what is wrong */
export function wrong(where: string, what: string, fix = FIX): never {
  throw new UntildoneError('bad-definition', `Facade ${where}: ${what}.`, { fix })
}

/** How a route is called in messages. */
export function routeName(facade: { name: string }, route: Pick<FacadeRoute, 'method' | 'path'>): string {
  return `"${facade.name}", route ${route.method} ${route.path}`
}

const template = z.custom<Template>((value) => value !== undefined, 'must be JSON')
const text = z.string().min(1)
/** A look-up into the request, or a text that is always the same. */
const requestText = z.string().min(1)
const answer = z.strictObject({
  code: z
    .int()
    .min(200)
    .max(599)
    .refine((code) => code !== 205 && code !== 304, 'cannot be 205 or 304'),
  body: template.optional(),
  contentType: z
    .string()
    .regex(/^application\/([a-z0-9.-]+\+)?json$/, 'must be a JSON type, like application/problem+json')
    .optional(),
})
const base = {
  path: text,
  summary: text.optional(),
  description: text.optional(),
  code: answer.shape.code.optional(),
  respond: template.optional(),
}
const schemaDocument = z.record(z.string(), z.unknown())
const latestOf = z.strictObject({ groupId: requestText, type: requestText })
const ofOneJob = { jobId: requestText.optional(), latestOf: latestOf.optional() }
const submitMap = z.strictObject({
  type: requestText,
  input: template.optional(),
  groupId: requestText.optional(),
  operationKey: requestText.optional(),
  priority: template.optional(),
  runAt: requestText.optional(),
  deadlineAt: requestText.optional(),
  tags: template.optional(),
  metadata: template.optional(),
})
const route = z.discriminatedUnion('op', [
  z.strictObject({
    ...base,
    op: z.literal('submit'),
    method: z.enum(['POST', 'PUT']),
    map: submitMap,
    requestSchema: schemaDocument.optional(),
  }),
  z.strictObject({
    ...base,
    ...ofOneJob,
    op: z.literal('get'),
    method: z.enum(['GET', 'POST']),
    resultSchema: schemaDocument.optional(),
  }),
  z.strictObject({
    ...base,
    ...ofOneJob,
    op: z.literal('result'),
    method: z.enum(['GET', 'POST']),
    resultSchema: schemaDocument.optional(),
    notReady: answer.optional(),
    failed: answer.optional(),
    cancelled: answer.optional(),
  }),
  z.strictObject({
    ...base,
    op: z.literal('list'),
    method: z.enum(['GET', 'POST']),
    groupId: requestText.optional(),
    type: requestText.optional(),
    order: z.enum(['createdAt', '-createdAt']).optional(),
    item: template,
    cursor: requestText.optional(),
    limit: z.union([z.int().min(1).max(200), requestText]).optional(),
  }),
  z.strictObject({
    ...base,
    ...ofOneJob,
    op: z.literal('cancel'),
    method: z.enum(['POST', 'DELETE']),
    reason: requestText.optional(),
    alreadyDone: answer.optional(),
  }),
])
const facade = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,49}$/, 'must be lower-case letters, digits and "-", like "analysis-api"'),
  description: text.optional(),
  status: z.union(
    [
      z.string(),
      z.record(
        z.string(),
        z.custom<Json>((value) => value !== undefined),
      ),
    ],
    'must be the name of a vocabulary, or a map of our six words',
  ),
  progress: template.optional(),
  progressWhen: z.partialRecord(z.enum(STATUSES), template).optional(),
  time: z.enum(['milliseconds', 'seconds', 'unixSeconds', 'unixMilliseconds']).optional(),
  absent: z.enum(['omit', 'null']).optional(),
  notFound: answer.optional(),
  expired: z
    .union([z.enum(['notFound', 'problem']), answer], 'must be "notFound", "problem", or { code, body }')
    .optional(),
  errors: z.partialRecord(z.enum(Object.keys(PROBLEMS) as [keyof typeof PROBLEMS]), answer).optional(),
  presets: z.record(z.string().regex(/^[A-Za-z0-9_-]+$/), z.record(z.string(), template)).optional(),
  routes: z.array(route).min(1, 'must not be empty'),
})

/** Of more, the first are said. */
const MISTAKES_MAX = 20

/** The configuration as facades. @throws UntildoneError bad-definition, with each mistake of form that is in it */
export function checkFacades(given: unknown): Facade[] {
  if (!Array.isArray(given)) wrong('configuration', 'it must be a list of facades')
  const mistakes: [where: string, what: string][] = []
  const names = new Set<string>()
  const facades = given.flatMap((value: unknown, i) => {
    const checked = facade.safeParse(value)
    if (!checked.success) {
      mistakes.push(...checked.error.issues.map((issue) => mistake(value, i, issue)))
      return []
    }
    const { name } = checked.data
    if (names.has(name)) mistakes.push([`"${name}"`, 'there are two of this name'])
    names.add(name)
    return [checked.data as Facade]
  })
  if (mistakes.length > 0) refuse(mistakes)
  return facades
}

function refuse(mistakes: readonly [where: string, what: string][]): never {
  const places = new Map<string, string[]>()
  for (const [where, what] of mistakes.slice(0, MISTAKES_MAX)) places.set(where, [...(places.get(where) ?? []), what])
  const said = Array.from(places, ([where, all]) => `Facade ${where}: ${all.join('; ')}.`)
  const more = mistakes.length - MISTAKES_MAX
  if (more > 0) said.push(`Mistakes besides these: ${more}.`)
  throw new UntildoneError('bad-definition', said.join(' '), { fix: FIX })
}

function mistake(value: unknown, i: number, issue: z.core.$ZodIssue): [where: string, what: string] {
  const { where, at, path } = placeOf(value, i, issue.path)
  return [where, `${at === '' ? '' : `\`${at}\` `}${sentence(issue, path, value)}`]
}

/** The facade, the route and the member, as people name them. */
function placeOf(
  value: unknown,
  i: number,
  path: readonly PropertyKey[],
): { where: string; at: string; path: readonly PropertyKey[] } {
  const { name, routes } = (value ?? {}) as { name?: unknown; routes?: unknown }
  const called = typeof name === 'string' ? `"${name}"` : `number ${i + 1}`
  if (path[0] !== 'routes' || typeof path[1] !== 'number')
    return { where: called, at: path.map(String).join('.'), path }
  const { method, path: address } = ((routes as unknown[])[path[1]] ?? {}) as Record<string, unknown>
  const route =
    typeof address === 'string'
      ? `route ${typeof method === 'string' ? `${method} ` : ''}${address}`
      : `route ${path[1] + 1}`
  return { where: `${called}, ${route}`, at: path.slice(2).map(String).join('.'), path }
}

function sentence(issue: z.core.$ZodIssue, path: readonly PropertyKey[], value: unknown): string {
  const there = path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], value)
  if (issue.code === 'unrecognized_keys') {
    return `has unknown members: ${issue.keys.join(', ')}; ${knownAt(path, value)}`
  }
  if (there === undefined && issue.code !== 'custom') return 'is required'
  if (issue.code === 'invalid_union' && path.at(-1) === 'op') {
    return `is ${JSON.stringify(there)}; an op is submit, get, result, list or cancel`
  }
  if (issue.code === 'invalid_key') return 'has a name that cannot be: use letters, digits, "_" and "-"'
  return issue.message.replace(/^Invalid (?:input|option): /, '').replace(/^./, (c) => c.toLowerCase())
}

/** The members that there are at a place. */
function knownAt(path: readonly PropertyKey[], value: unknown): string {
  const [first, n] = path
  const last = path.at(-1)
  const known = (shape: object) => `known are ${Object.keys(shape).join(', ')}`
  if (path.length === 0) return known(facade.shape)
  if (last === 'errors') return 'the codes are in docs/reference/errors.md'
  if (last === 'progressWhen') return `known are ${STATUSES.join(', ')}`
  if (first !== 'routes') return known(answer.shape)
  const { op } = (value as { routes: { op?: unknown }[] }).routes[n as number]!
  const { shape } = route.options.find((option) => option.shape.op.value === op)!
  if (path.length === 2) return known(shape)
  if (last === 'map') return known(submitMap.shape)
  return known(last === 'latestOf' ? latestOf.shape : answer.shape)
}

const SPECIAL = /^(blocked:(approval|review|signal|input|pause)|(failed|cancelled):[a-z0-9-]+)$/

/** The map of a facade: its own, or one that is known by name. @throws UntildoneError bad-definition */
export function statusMap({ name, status }: Facade): StatusMap {
  if (typeof status === 'string') {
    if (!Object.hasOwn(VOCABULARIES, status)) {
      const there = Object.keys(VOCABULARIES).join(', ')
      wrong(`"${name}"`, `\`status\` names the vocabulary "${status}", which there is not; there are ${there}`)
    }
    return VOCABULARIES[status]
  }
  const missing = STATUSES.filter((word) => !Object.hasOwn(status, word))
  if (missing.length > 0) {
    wrong(`"${name}"`, `\`status\` says nothing for ${missing.join(', ')}; each of our six words needs a value`)
  }
  const unknown = Object.keys(status).find((key) => !STATUSES.includes(key as Status) && !SPECIAL.test(key))
  if (unknown !== undefined) {
    wrong(
      `"${name}"`,
      `\`status\` has "${unknown}"; besides the six words there are blocked:<what it waits for>, failed:<code> and cancelled:<code>`,
    )
  }
  return status
}
