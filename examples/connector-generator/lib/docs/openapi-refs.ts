// `$ref`s of an OpenAPI document put in place, within the document only. A schema that holds itself ends where it would
// begin again. The name that a schema had is kept, because it says what the object is called. Schemas of large APIs refer
// to each other in all directions, so there are limits: what lies deeper says nothing of the object at hand.

export const NAME = 'x-schema-name'
const SCHEMAS = '#/components/schemas/'
/** References inside references. */
const REF_DEPTH = 6
const DEPTH = 40
/** Of one path. */
const NODES = 20_000

export function resolveRefs(spec: unknown, node: unknown): unknown {
  return new Resolver(spec).resolve(node, [], 0)
}

class Resolver {
  private left = NODES

  constructor(private readonly spec: unknown) {}

  resolve(node: unknown, open: readonly string[], depth: number): unknown {
    if (typeof node !== 'object' || node === null) return node
    this.left--
    if (depth > DEPTH) return {}
    if (Array.isArray(node)) return node.map((item) => this.resolve(item, open, depth + 1))
    const { $ref: ref, ...rest } = node as Record<string, unknown>
    if (typeof ref === 'string') return { ...this.target(ref, open, depth), ...rest }
    return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, this.resolve(value, open, depth + 1)]))
  }

  private target(ref: string, open: readonly string[], depth: number): object {
    const name = ref.startsWith(SCHEMAS) ? { [NAME]: decode(ref.split('/').at(-1) ?? '') } : {}
    const found = this.lookUp(ref)
    if (open.includes(ref) || open.length >= REF_DEPTH || this.left <= 0) return { ...name, ...stub(found) }
    return { ...name, ...(this.resolve(found, [...open, ref], depth + 1) as object) }
  }

  private lookUp(ref: string): unknown {
    if (!ref.startsWith('#/')) return {}
    let at = this.spec
    for (const part of ref.slice(2).split('/')) {
      const key = decode(part)
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return {}
      at = (at as Record<string, unknown>)[key]
    }
    return at
  }
}

/** What can be said of a schema without looking into it. */
function stub(schema: any): object {
  const { type, format, enum: values } = schema ?? {}
  return { type: type ?? (values ? 'string' : 'object'), ...(format && { format }), ...(values && { enum: values }) }
}

function decode(part: string): string {
  const plain = /%(?![0-9a-f]{2})/i.test(part) ? part : decodeURIComponent(part)
  return plain.replaceAll('~1', '/').replaceAll('~0', '~')
}
