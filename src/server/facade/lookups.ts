/**
 * What look-ups may stand where, and what is at their end: judged at the start against the schemas of the wire, so that
 * a typing error is found before a client meets it. Also the JSON Schema of each look-up, for the OpenAPI document.
 */
import { toSchema } from '../openapi.js'
import { Job, JobProgress } from '../schemas/job.js'
import { Problem } from '../schemas/others.js'
import { type Lookup, type Root, TemplateError } from './template.js'

export type Doc = Record<string, unknown>

/** A schema, and whether there may be nothing. */
export interface Kind {
  schema: Doc
  maybe: boolean
}

export interface Place {
  roots: readonly Root[]
  /** Names of `{name}` in the path. */
  params: readonly string[]
  /** False where the body may not have been read. */
  body: boolean
}

/** Read only with `include`, and partly for operators: never part of what a facade shows. */
const HIDDEN: ReadonlySet<string> = new Set(['input', 'ops', 'steps'])

const KINDS: { [R in Root]?: Doc } = {
  job: toSchema(Job),
  progress: toSchema(JobProgress),
  problem: toSchema(Problem),
}

/** @throws TemplateError that says what is there instead */
export function checkLookup(lookup: Lookup, place: Place): void {
  const { root, path, text } = lookup
  if (!place.roots.includes(root)) {
    const there = place.roots.map((name) => `$${name}`).join(', ')
    throw new TemplateError(`has ${text}, but $${root} is not known here; known are ${there}`)
  }
  if (root === 'req') checkRequest(lookup, place)
  else if (root === 'job' && HIDDEN.has(path[0] ?? '')) {
    throw new TemplateError(`has ${text}; \`${path[0]}\` of a job is not shown by facades`)
  } else if (KINDS[root]) walk(KINDS[root], path, text)
  else if (root !== 'status' && path.length > 0) {
    throw new TemplateError(`has ${text}, but $${root} has no members`)
  }
}

function checkRequest({ path, text }: Lookup, place: Place): void {
  const [part, name, ...deeper] = path
  if (part === 'body') {
    if (!place.body) throw new TemplateError(`has ${text}, but the body of the request is not known here`)
    return
  }
  if (part !== 'params' && part !== 'query') {
    throw new TemplateError(`has ${text}; of a request there are $req.params.<name>, $req.query.<name> and $req.body`)
  }
  if (name === undefined || deeper.length > 0) {
    throw new TemplateError(`has ${text}; write $req.${part}.<name>, and nothing after the name`)
  }
  if (part === 'params' && !place.params.includes(name)) {
    const there = place.params.length === 0 ? 'it has no parameters' : `it has ${place.params.join(', ')}`
    throw new TemplateError(`has ${text}, but the path has no {${name}}; ${there}`)
  }
}

/** The schema at the end of a path. @throws TemplateError for a member that there never is */
function walk(schema: Doc, path: readonly string[], text: string): Kind {
  let at = schema
  let maybe = false
  for (const name of path) {
    const bare = withoutNull(at)
    maybe ||= bare !== at
    const properties = bare.properties as Record<string, Doc> | undefined
    const others = bare.additionalProperties as Doc | undefined
    if (properties && Object.hasOwn(properties, name)) {
      at = properties[name]!
      maybe ||= !(bare.required as string[] | undefined)?.includes(name)
    } else if (properties && others === undefined) {
      const there = Object.keys(properties).filter((key) => properties !== rootOf('job') || !HIDDEN.has(key))
      throw new TemplateError(`has ${text}, but there is no \`${name}\`; there are ${there.join(', ')}`)
    } else {
      const next = bare.items && /^\d+$/.test(name) ? (bare.items as Doc) : others
      if (next === undefined && bare.type !== undefined) {
        throw new TemplateError(`has ${text}, but there is no \`${name}\` in ${an(bare.type as string)}`)
      }
      at = next ?? {}
      maybe = true
    }
  }
  const bare = withoutNull(at)
  // Without a type it is any JSON, null included.
  return { schema: bare, maybe: maybe || bare !== at || !(bare.type || bare.anyOf || bare.enum) }
}

function an(type: string): string {
  return type === 'array' ? 'a list: use 0, 1 …' : type === 'string' ? 'text' : `a value of type ${type}`
}

function rootOf(root: Root): Doc | undefined {
  return KINDS[root]?.properties as Doc | undefined
}

function withoutNull(schema: Doc): Doc {
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== 'null')
    return types.length === schema.type.length ? schema : { ...schema, type: types.length === 1 ? types[0] : types }
  }
  const choices = schema.anyOf as Doc[] | undefined
  if (!choices?.some(({ type }) => type === 'null')) return schema
  const rest = choices.filter(({ type }) => type !== 'null')
  return rest.length === 1 ? rest[0]! : { anyOf: rest }
}

/** Schema of the look-ups whose values are the same in every facade. */
export function kindOf({ root, path, text }: Lookup): Kind {
  if (KINDS[root]) {
    const found = walk(KINDS[root], path, text)
    return root === 'progress' ? { ...found, maybe: true } : found
  }
  if (root === 'errors') return { schema: { type: 'array', items: { type: 'string' } }, maybe: true }
  if (root === 'req') {
    const isText = path[0] !== 'body'
    return { schema: isText ? { type: 'string' } : {}, maybe: path[0] !== 'params' }
  }
  return { schema: { type: 'string' }, maybe: root !== 'location' }
}
