/**
 * `name=value` arguments as an input. What a value means is said by the job type's schema: text stays text unless the
 * schema wants something else, so that `zip=01234` keeps its zero. Pure except for the upload it is handed.
 */
import type { Json } from '../core/json.js'
import { CliError } from './failure.js'

/** Uploads the file at a path and gives its id. */
export type Upload = (path: string) => Promise<string>

/**
 * - `name=text`: text, or JSON where the schema says number, boolean, array or object
 * - `name:=json`: JSON whatever the schema says
 * - `name=@path`: uploads the file and puts its id there; `name=@@text` is the text `@text`
 * @throws CliError for what is not a pair, given twice, or no JSON
 */
export async function inputFromPairs(
  pairs: readonly string[],
  schema: Json,
  upload: Upload,
): Promise<Record<string, Json>> {
  const input: Record<string, Json> = Object.create(null)
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1 || pair.startsWith(':=')) {
      throw new CliError('usage', `"${pair}" is not of the form name=value.`, {
        fix: 'Write for example name=Ada, pages:=3 or file=@scan.pdf.',
      })
    }
    const isJson = pair[at - 1] === ':'
    const name = pair.slice(0, isJson ? at - 1 : at)
    const text = pair.slice(at + 1)
    if (name in input) {
      throw new CliError('usage', `"${name}" is given twice.`, { fix: `For a list write ${name}:='["a","b"]'.` })
    }
    input[name] = isJson ? parse(name, text) : await readValue(text, kindsOf(propertyOf(schema, name), schema), upload)
  }
  return { ...input }
}

async function readValue(text: string, kinds: ReadonlySet<string>, upload: Upload): Promise<Json> {
  if (text.startsWith('@@')) return text.slice(1)
  if (text.startsWith('@') && text.length > 1) return upload(text.slice(1))
  if (kinds.size === 0 || kinds.has('string')) return text
  try {
    return JSON.parse(text) as Json
  } catch {
    // The server says best what it wanted instead.
    return text
  }
}

function parse(name: string, text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    const fix = `After := comes JSON: ${name}:=3, ${name}:=true, ${name}:='"text"', ${name}:='{"a":1}'. For text write ${name}=…`
    throw new CliError('usage', `${name}: ${(error as Error).message}.`, { fix })
  }
}

function propertyOf(schema: Json, name: string): Json {
  for (const node of parts(schema, schema)) {
    const properties = node.properties
    if (isObject(properties) && Object.hasOwn(properties, name)) return properties[name]!
  }
  for (const node of parts(schema, schema)) if (isObject(node.additionalProperties)) return node.additionalProperties
  return null
}

/** JSON types that a schema allows; empty when it does not say. */
export function kindsOf(schema: Json, root: Json): Set<string> {
  const kinds = new Set<string>()
  for (const node of parts(schema, root)) {
    for (const kind of Array.isArray(node.type) ? node.type : [node.type]) if (typeof kind === 'string') kinds.add(kind)
    const values = Array.isArray(node.enum) ? node.enum : 'const' in node ? [node.const] : []
    for (const value of values) kinds.add(value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value)
  }
  return kinds
}

/** The schema with what it refers to and combines, flattened. */
function* parts(schema: Json | undefined, root: Json, depth = 0): Generator<{ [key: string]: Json }> {
  if (!isObject(schema) || depth > 16) return
  yield schema
  if (typeof schema.$ref === 'string' && schema.$ref.startsWith('#/')) {
    const steps = schema.$ref
      .slice(2)
      .split('/')
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    yield* parts(
      steps.reduce<Json | undefined>((at, step) => (isObject(at) ? at[step] : undefined), root),
      root,
      depth + 1,
    )
  }
  for (const combined of [schema.anyOf, schema.oneOf, schema.allOf]) {
    if (Array.isArray(combined)) for (const part of combined) yield* parts(part, root, depth + 1)
  }
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
