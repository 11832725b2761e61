// JSON Schemas, as OpenAPI has them, in the words of a connector.
import { NAME } from '../docs/openapi-refs.js'
import { type Attribute, type AttributeType, attributeSchema, type Member } from './facts.js'
import { isPagingMember } from './paging.js'
import { isWrapper, looksLikeId } from './words.js'

export interface Shape {
  name: string | null
  description: string | null
  properties: Record<string, any>
  required: Set<string>
}

/** An object schema with its `allOf` parts in one; the first of `oneOf` and `anyOf` that is an object. */
export function shapeOf(schema: any): Shape {
  const shape: Shape = {
    name: schema?.[NAME] ?? schema?.title ?? null,
    description: schema?.description ?? null,
    properties: { ...schema?.properties },
    required: new Set(Array.isArray(schema?.required) ? schema.required : []),
  }
  const choices = [...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])]
  const choice = choices.find((one) => kindOf(one) === 'object')
  for (const part of [...(schema?.allOf ?? []), ...(choice ? [choice] : [])]) {
    const inner = shapeOf(part)
    shape.name ??= inner.name
    shape.description ??= inner.description
    shape.properties = { ...inner.properties, ...shape.properties }
    for (const name of inner.required) shape.required.add(name)
  }
  return shape
}

/** `array`, `object`, … with `null` left aside. */
export function kindOf(schema: any): string {
  const types = [schema?.type].flat().filter((type) => type && type !== 'null')
  if (types[0]) return types[0]
  if (schema?.properties || schema?.allOf) return 'object'
  if (schema?.items) return 'array'
  const choice = [...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])].find((one: any) => one?.type !== 'null')
  return choice ? kindOf(choice) : 'unknown'
}

/** `create`: what must be sent to make one. `update`: what may be sent. `answer`: what comes back. */
export function attributesOf({ properties, required }: Shape, role: 'answer' | 'create' | 'update'): Attribute[] {
  return Object.entries(properties).map(([name, schema]) => {
    const readonly = schema?.readOnly === true ? true : role === 'answer' ? null : false
    const values = schema?.enum?.filter((value: unknown) => typeof value === 'string')
    return attributeSchema.parse({
      name,
      type: typeOfSchema(schema),
      items: kindOf(schema) === 'array' ? typeOfSchema(schema.items) : null,
      required: role === 'create' ? required.has(name) && readonly !== true : null,
      readonly,
      values: values?.length ? values : null,
      description: schema?.description ? String(schema.description).slice(0, 2000) : null,
    })
  })
}

function typeOfSchema(schema: any): AttributeType {
  const kind = kindOf(schema)
  // A nullable value is often written as a choice between it and null.
  const choices = [schema, ...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])]
  const format = choices.find((one) => one?.format)?.format
  if (kind === 'string') return format === 'date-time' ? 'datetime' : format === 'date' ? 'date' : 'string'
  return ['integer', 'number', 'boolean', 'object', 'array'].includes(kind) ? (kind as AttributeType) : 'unknown'
}

/** Where the list of objects stands in an answer, and the schema of one of them. */
export function listIn(schema: any, path: string[] = []): { path: string[]; item: any } | null {
  if (kindOf(schema) === 'array') return kindOf(schema.items) === 'object' ? { path, item: schema.items } : null
  if (kindOf(schema) !== 'object' || path.length > 2) return null
  const { properties } = shapeOf(schema)
  // What lies higher comes first.
  const entries = Object.entries(properties)
  const arrays = entries.filter(([, inner]) => kindOf(inner) === 'array')
  for (const [name, inner] of [...arrays, ...entries.filter(([, inner]) => kindOf(inner) === 'object')]) {
    const found = listIn(inner, [...path, name])
    if (found) return found
  }
  return null
}

/** An object may be wrapped: `{ "account": { … } }`, `{ "data": { … }, "meta": { … } }`. */
export function unwrap(schema: any, objectClass: string): { path: string[]; schema: any } {
  const entries = Object.entries<any>(shapeOf(schema).properties)
  const wrapped = entries.find(([name, inner]) => kindOf(inner) === 'object' && isWrapper(name, objectClass))
  if (!wrapped || entries.length > 3 || entries.some(([name]) => looksLikeId(name))) return { path: [], schema }
  return { path: [wrapped[0]], schema: wrapped[1] }
}

/** Members of a list's answer that tell how to go on. */
export function pagingMembers(schema: any, path: string[] = []): Member[] {
  if (kindOf(schema) !== 'object' || path.length > 2) return []
  return Object.entries<any>(shapeOf(schema).properties).flatMap(([name, inner]): Member[] => {
    if (kindOf(inner) === 'object') return pagingMembers(inner, [...path, name])
    if (kindOf(inner) === 'array' || !isPagingMember(name)) return []
    const isUrl = /^(uri|url|uri-reference)$/.test(inner?.format ?? '') || /^(https?:\/)?\//.test(inner?.example ?? '')
    return [{ path: [...path, name], isUrl }]
  })
}
