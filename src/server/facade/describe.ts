/**
 * The JSON Schema of a template, for the OpenAPI document: which members an answer has, which of them may be missing, and
 * what their values are. Says what `fill` does; must never promise more.
 */
import type { StatusMap } from './facade.js'
import { type Doc, type Kind, kindOf } from './lookups.js'
import { type Node, own } from './template.js'

export interface Description {
  status: StatusMap
  absent: 'omit' | 'null'
  time: 'milliseconds' | 'seconds' | 'unixSeconds' | 'unixMilliseconds'
  /** What `$progress` may be. */
  progress: readonly Node[]
  /** One item of `$items`. */
  item?: Node
  /** What `$job.result` is, where the facade says so. */
  result?: Kind
}

/** The schema of a whole body. */
export function bodySchema(node: Node, about: Description): Doc {
  const { schema, maybe } = kind(node, about)
  return maybe && node.kind !== 'object' ? orNull(schema) : schema
}

function kind(node: Node, about: Description): Kind {
  if (node.kind === 'value') return { schema: { const: node.value }, maybe: false }
  if (node.kind === 'list') return { schema: { type: 'array' }, maybe: false }
  if (node.kind === 'progress') return progressKind(about)
  if (node.kind === 'object') return objectKind(node, about)
  if (node.root === 'status') return statusKind(about.status, node.path)
  if (node.root === 'items') {
    return { schema: { type: 'array', items: about.item ? bodySchema(about.item, about) : {} }, maybe: false }
  }
  if (about.result && node.root === 'job' && node.path.length === 1 && node.path[0] === 'result') return about.result
  const found = kindOf(node)
  return about.time.startsWith('unix') ? { ...found, schema: numbered(found.schema) as Doc } : found
}

/** Instants as numbers, however deep they are. */
function numbered(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(numbered)
  if (typeof schema !== 'object' || schema === null) return schema
  if ((schema as Doc).format === 'date-time') return { type: 'integer' }
  return Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, numbered(value)]))
}

function objectKind({ members }: Extract<Node, { kind: 'object' }>, about: Description): Kind {
  const properties: Doc = {}
  const required: string[] = []
  let certain = !members.some(({ dynamic }) => dynamic)
  for (const { name, node, dynamic } of members) {
    const { schema, maybe } = kind(node, about)
    if (dynamic && !maybe) certain = true
    properties[name] = maybe && about.absent === 'null' ? orNull(schema) : schema
    if (!maybe || about.absent === 'null') required.push(name)
  }
  const schema: Doc = { type: 'object', properties }
  if (required.length > 0) schema.required = required
  return { schema, maybe: !certain && about.absent === 'omit' }
}

function progressKind(about: Description): Kind {
  const kinds = about.progress.map((node) => kind(node, about).schema)
  return { schema: oneOf(kinds), maybe: true }
}

function statusKind(map: StatusMap, path: readonly string[]): Kind {
  const all = Object.values(map).map((value) => own(value, path))
  const values = [...new Set(all.filter((value) => value !== undefined))]
  const plain = values.every((value) => typeof value !== 'object')
  return { schema: plain ? { enum: values } : {}, maybe: values.length === 0 || all.includes(undefined) }
}

/** Any of these, each once. */
export function oneOf(schemas: readonly Doc[]): Doc {
  const different = [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()]
  return different.length === 1 ? different[0]! : different.length === 0 ? {} : { anyOf: different }
}

function orNull(schema: Doc): Doc {
  return Object.keys(schema).length === 0 ? schema : { anyOf: [schema, { type: 'null' }] }
}
