// One object class out of all that was learned, or what is missing for it. It must never fill a gap with a guess that
// looks like knowledge: a missing endpoint stays missing, and somebody is told.
import type { Attribute, Endpoint, Facts, Operation } from '../extract/facts.js'
import { OPERATIONS } from '../extract/facts.js'
import { pagingOf } from '../extract/paging.js'
import { looksLikeId, normal } from '../extract/words.js'
import type { ObjectClass, OperationOf } from './object-class.js'

export type Assembled =
  | { ok: true; objectClass: ObjectClass; notes: string[] }
  /** What is missing, in words, and which classes the documentation does have. */
  | { ok: false; missing: string[]; known: string[] }

export function assemble(facts: Facts, asked: string): Assembled {
  const found = facts.objectClasses.find((one) =>
    [one.name, ...one.aliases].some((name) => normal(name) === normal(asked)),
  )
  const names = new Set([asked, ...(found ? [found.name, ...found.aliases] : [])].map(normal))
  const endpoints = facts.endpoints.filter((one) => one.operation !== null && names.has(normal(one.objectClass ?? '')))
  const attributes = found ? settle(found) : []
  const missing: string[] = []
  const known = facts.objectClasses.filter(({ attributes }) => attributes.length > 1).map(({ name }) => name)
  if (attributes.filter(({ name }) => !looksLikeId(name)).length === 0) missing.push(`fields of '${asked}'`)
  const operations = operationsOf(endpoints)
  if (!operations.list && !operations.get) missing.push(`an endpoint that reads '${asked}'`)
  if (missing.length > 0) return { ok: false, missing, known }

  const base = baseUrlOf(facts)
  const list = endpoints.find(({ operation }) => operation === 'list')
  const objectClass: ObjectClass = {
    name: asked,
    description: found?.description ?? null,
    idAttribute: idOf(attributes, endpoints),
    attributes,
    baseUrl: base,
    auth: authOf(facts),
    paging: list
      ? pagingOf({
          parameters: [...list.parameters, ...facts.paging.parameters],
          members: [...list.members, ...facts.paging.members],
          linkHeader: facts.paging.linkHeader,
          firstPage: facts.paging.firstPage,
        })
      : { kind: 'none' },
    operations: below(base, operations),
  }
  return { ok: true, objectClass, notes: notesOf(objectClass) }
}

function settle({ attributes, bodyKnown }: Facts['objectClasses'][number]): ObjectClass['attributes'] {
  return attributes.map((one: Attribute) => {
    const readonly = one.readonly ?? (bodyKnown || isServerName(one.name))
    return { ...one, readonly, required: one.required === true && !readonly }
  })
}

/** Of fields about which the documentation says nothing, these are never sent: servers refuse them or ignore them. */
function isServerName(name: string): boolean {
  return /^_?(id|uuid|guid|etag|self|href)$|^(created|updated|modified)(_?(at|on|date|time))?$/i.test(name)
}

function operationsOf(endpoints: readonly Endpoint[]): ObjectClass['operations'] {
  const made = Object.fromEntries(OPERATIONS.map((name) => [name, null])) as ObjectClass['operations']
  // PATCH before PUT: it changes what it is given and leaves the rest.
  const ordered = [...endpoints].sort((a, b) => rank(a) - rank(b))
  for (const { method, path, operation, answerPath, bodyPath } of ordered) {
    const name = operation as Operation
    made[name] ??= { method, path: withId(path), answerPath: answerPath ?? [], bodyPath: bodyPath ?? [] }
  }
  // An API that wraps one object wraps it everywhere; documentation rarely says so twice.
  const wrapped = endpoints.find(({ operation, bodyPath }) => operation !== 'list' && bodyPath?.length)?.bodyPath
  const answers = endpoints.find(({ operation, answerPath }) => operation !== 'list' && answerPath?.length)?.answerPath
  for (const { operation, answerPath, bodyPath } of endpoints) {
    const one = operation && operation !== 'list' ? made[operation] : null
    if (one && answerPath === null) one.answerPath = answers ?? []
    if (one && bodyPath === null) one.bodyPath = wrapped ?? []
  }
  return made
}

const rank = ({ method }: Endpoint) => ['PATCH', 'PUT', 'POST', 'GET', 'DELETE'].indexOf(method)

const withId = (path: string) => path.replace(/\{[^}]+\}/, '{id}')

/** The member that addresses an object: named by the path, or called id, or the first that looks like one. */
function idOf(attributes: ObjectClass['attributes'], endpoints: readonly Endpoint[]): string {
  const names = attributes.map(({ name }) => name)
  const parameters = endpoints.flatMap(({ path }) => /\{([^}]+)\}$/.exec(path)?.[1] ?? [])
  const exact = [...parameters, 'id', '_id', 'uuid', 'guid', 'key'].find((name) => names.includes(name))
  const like = attributes.filter(({ name }) => looksLikeId(name))
  return exact ?? (like.find(({ readonly }) => readonly) ?? like[0])?.name ?? 'id'
}

function authOf({ auth }: Facts): ObjectClass['auth'] {
  // Named headers are more telling than a word in a sentence.
  const order = ['header', 'bearer', 'basic', 'query']
  const [best] = [...auth].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
  if (!best) return { kind: 'none' }
  return best.kind === 'header' || best.kind === 'query'
    ? { kind: best.kind, name: best.name ?? 'api_key' }
    : { kind: best.kind }
}

/** The first one, in its longest form: an address with a path was written down as such, an origin may be of an example. */
function baseUrlOf({ baseUrls }: Facts): string | null {
  const [first] = baseUrls
  if (!first) return null
  const sameHost = baseUrls.filter((url) => new URL(url).host === new URL(first).host)
  return sameHost.sort((a, b) => b.length - a.length)[0]!.replace(/\/+$/, '')
}

/** Documentation gives paths below the base URL or from the root; below it they are all. */
function below(base: string | null, operations: ObjectClass['operations']): ObjectClass['operations'] {
  const prefix = base ? new URL(base).pathname.replace(/\/+$/, '') : ''
  if (prefix === '') return operations
  const strip = (one: OperationOf | null) =>
    one?.path.startsWith(`${prefix}/`) ? { ...one, path: one.path.slice(prefix.length) } : one
  return Object.fromEntries(Object.entries(operations).map(([name, one]) => [name, strip(one)])) as typeof operations
}

function notesOf({ operations, auth, paging, baseUrl, name }: ObjectClass): string[] {
  const notes: string[] = []
  const absent = OPERATIONS.filter((one) => one !== 'delete' && !operations[one])
  if (absent.length > 0)
    notes.push(`No endpoint is documented to ${absent.join(', to ')} '${name}'; the connector will not have it.`)
  if (auth.kind === 'none') notes.push('No authentication is documented; the connector will send no credentials.')
  if (baseUrl === null) notes.push('No base URL is documented; the connector must be told one.')
  if (operations.list && paging.kind === 'none')
    notes.push('No paging is documented; one answer is taken for the whole list.')
  return notes
}
