// `$ref`s of an OpenAPI document put in place, within the document only. A schema that holds itself ends where it would
// begin again. The name that a schema had is kept, because it says what the object is called.

const DEPTH = 40
export const NAME = 'x-schema-name'

export function resolveRefs(spec: unknown, node: unknown, open: readonly string[] = [], depth = 0): unknown {
  if (typeof node !== 'object' || node === null) return node
  if (depth > DEPTH) return {}
  if (Array.isArray(node)) return node.map((item) => resolveRefs(spec, item, open, depth + 1))
  const { $ref: ref, ...rest } = node as Record<string, unknown>
  if (typeof ref === 'string') {
    if (open.includes(ref)) return { type: 'object' }
    const target = resolveRefs(spec, lookUp(spec, ref), [...open, ref], depth + 1)
    const name = ref.startsWith('#/components/schemas/') ? { [NAME]: decode(ref.split('/').at(-1) ?? '') } : {}
    return { ...name, ...(target as object), ...rest }
  }
  return Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, resolveRefs(spec, value, open, depth + 1)]),
  )
}

function lookUp(spec: unknown, ref: string): unknown {
  if (!ref.startsWith('#/')) return {}
  let at = spec
  for (const part of ref.slice(2).split('/')) {
    const key = decode(part)
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return {}
    at = (at as Record<string, unknown>)[key]
  }
  return at
}

function decode(part: string): string {
  return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
}
