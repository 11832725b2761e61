/**
 * An input that fits a JSON Schema well enough to try a job out: examples and defaults first, else the plainest value of
 * the type. Pure. Gives null for what cannot be made up (files).
 */
import type { Json } from '../../core/json.js'
import { kindsOf } from '../pairs.js'

type Node = { [key: string]: Json }

/** @returns the input, or null when the schema demands something that only a person has */
export function sampleInput(schema: Json, root: Json = schema, name = '', depth = 0): { value: Json } | null {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema) || depth > 8) return { value: {} }
  const node = resolved(schema, root)
  if (Array.isArray(node.examples) && node.examples.length > 0) return { value: node.examples[0]! }
  if ('default' in node) return { value: node.default! }
  if ('const' in node) return { value: node.const! }
  if (Array.isArray(node.enum) && node.enum.length > 0) return { value: node.enum[0]! }
  if (node.format === 'untildone-file') return null
  for (const combined of [node.anyOf, node.oneOf]) {
    if (Array.isArray(combined) && combined.length > 0) return sampleInput(combined[0]!, root, name, depth + 1)
  }
  const kinds = kindsOf(node, root)
  if (kinds.has('object') || node.properties) return objectOf(node, root, depth)
  if (kinds.has('string')) return { value: textFor(node, name) }
  if (kinds.has('integer') || kinds.has('number')) return { value: Math.max(1, Number(node.minimum ?? 1)) }
  if (kinds.has('boolean')) return { value: true }
  if (kinds.has('array')) return { value: [] }
  return { value: kinds.has('null') ? null : {} }
}

function objectOf(node: Node, root: Json, depth: number): { value: Json } | null {
  const value: Node = {}
  const required = Array.isArray(node.required) ? node.required : []
  for (const [name, property] of Object.entries((node.properties ?? {}) as Node)) {
    const { default: byDefault, examples } = property as Node
    if (!required.includes(name) && byDefault === undefined && examples === undefined) continue
    const member = sampleInput(property, root, name, depth + 1)
    if (member === null) return null
    value[name] = member.value
  }
  return { value }
}

function textFor(node: Node, name: string): string {
  if (node.format === 'email') return 'ada@example.com'
  if (node.format === 'uri' || node.format === 'url') return 'https://example.com/'
  if (node.format === 'date-time') return '2026-11-22T09:00:00.000Z'
  if (node.format === 'date') return '2026-11-22'
  if (node.format === 'uuid') return '00000000-0000-4000-8000-000000000000'
  return /name/i.test(name) ? 'Ada' : 'sample'
}

function resolved(node: Node, root: Json): Node {
  if (typeof node.$ref !== 'string' || !node.$ref.startsWith('#/')) return node
  let at: Json | undefined = root
  for (const step of node.$ref.slice(2).split('/'))
    at = (at as Node | undefined)?.[step.replaceAll('~1', '/').replaceAll('~0', '~')]
  return typeof at === 'object' && at !== null && !Array.isArray(at) ? at : node
}
