/**
 * Templates: JSON with look-ups, read once at the start and filled for each answer. A look-up goes from member to member
 * through own properties only and ends at nothing otherwise; there is no expression to evaluate and no code to call.
 */
import type { Template } from './facade.js'

/** What a look-up can begin with. */
export type Root =
  | 'req'
  | 'job'
  | 'status'
  | 'progress'
  | 'errors'
  | 'id'
  | 'location'
  | 'items'
  | 'nextCursor'
  | 'problem'

/** The values behind the roots. A root without a value leads to nothing. */
export type Scope = { readonly [R in Root]?: unknown }

export interface Lookup {
  kind: 'lookup'
  root: Root
  path: readonly string[]
  /** As it was written. */
  text: string
}

export type Node =
  | { kind: 'value'; value: string | number | boolean | null }
  | Lookup
  /** `$progress`: what the facade makes of the progress, decided when it is filled. */
  | { kind: 'progress' }
  | { kind: 'list'; items: readonly Node[] }
  | ObjectNode

export interface ObjectNode {
  kind: 'object'
  members: readonly { name: string; node: Node; dynamic: boolean }[]
}

export interface Filling {
  scope: Scope
  absent: 'omit' | 'null'
  /** The facade's progress for the job at hand. */
  progress?: () => unknown
}

export class TemplateError extends Error {}

export interface Reading {
  /** Judges a look-up where it stands. @throws TemplateError */
  check(lookup: Lookup): void
  /** True where `$progress` alone may stand. */
  progress: boolean
  /** Bodies that `$preset.<name>` stands for; undefined where none may stand. */
  presets?: ReadonlyMap<string, ObjectNode>
}

const LOOKUP = /^\$([A-Za-z]+)((?:\.[A-Za-z0-9_-]+)*)$/
const PRESETS = /^\$preset\.([A-Za-z0-9_-]+(?:\+[A-Za-z0-9_-]+)*)$/
/** Members that lead out of the data. Own properties of these names are refused as well: nobody means them. */
const UNSAFE: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
const DEEPEST = 32

/** @throws TemplateError that says what cannot stand there */
export function read(template: Template, reading: Reading, depth = 0): Node {
  if (depth > DEEPEST) throw new TemplateError(`nests deeper than ${DEEPEST} levels`)
  if (typeof template === 'string') return readText(template, reading)
  if (typeof template !== 'object' || template === null) {
    if (typeof template === 'number' && !Number.isFinite(template))
      throw new TemplateError('holds a number that JSON has not')
    return { kind: 'value', value: template }
  }
  if (Array.isArray(template)) {
    return { kind: 'list', items: template.map((item) => read(item as Template, reading, depth + 1)) }
  }
  const members = Object.entries(template as Record<string, Template>).map(([name, value]) => {
    if (UNSAFE.has(name)) throw new TemplateError(`has a member called "${name}", which is refused everywhere`)
    const node = read(value, reading, depth + 1)
    return { name, node, dynamic: isDynamic(node) }
  })
  return { kind: 'object', members }
}

function readText(text: string, reading: Reading): Node {
  if (!text.startsWith('$')) return { kind: 'value', value: text }
  if (text.startsWith('$$')) return { kind: 'value', value: text.slice(1) }
  const presets = PRESETS.exec(text)
  if (presets) return joined(text, presets[1]!.split('+'), reading.presets)
  const lookup = readLookup(text)
  if (lookup.root === 'progress' && lookup.path.length === 0 && reading.progress) return { kind: 'progress' }
  reading.check(lookup)
  return lookup
}

/** @throws TemplateError for text that is no look-up */
export function readLookup(text: string): Lookup {
  const match = LOOKUP.exec(text)
  if (!match) {
    throw new TemplateError(`has "${text}", which is no look-up; write $name.member.member, or $$ for a dollar sign`)
  }
  const path = match[2]!.split('.').slice(1)
  const unsafe = path.find((name) => UNSAFE.has(name))
  if (unsafe !== undefined) throw new TemplateError(`looks up "${unsafe}" in ${text}, which is refused everywhere`)
  return { kind: 'lookup', root: match[1] as Root, path, text }
}

/** Bodies side by side: members of the later one come after, or in place of those of the earlier. */
function joined(text: string, names: string[], presets: Reading['presets']): ObjectNode {
  if (!presets) throw new TemplateError(`has ${text}, but no preset can stand here`)
  const members = new Map<string, ObjectNode['members'][number]>()
  for (const name of names) {
    const preset = presets.get(name)
    if (!preset) {
      throw new TemplateError(
        `has ${text}, but there is no preset "${name}"; there are ${[...presets.keys()].join(', ')}`,
      )
    }
    for (const member of preset.members) members.set(member.name, member)
  }
  return { kind: 'object', members: [...members.values()] }
}

function isDynamic(node: Node): boolean {
  if (node.kind === 'object') return node.members.some((member) => member.dynamic)
  if (node.kind === 'list') return node.items.some(isDynamic)
  return node.kind !== 'value'
}

/**
 * The value of a template, or undefined when it leads to nothing. With `absent: 'omit'` a member without a value is left
 * out, and so is an object below the top whose look-ups all lead to nothing; in a list its place is null.
 */
export function fill(node: Node, filling: Filling): unknown {
  if (node.kind === 'value') return node.value
  if (node.kind === 'lookup') return own(filling.scope[node.root], node.path)
  if (node.kind === 'progress') return filling.progress?.() ?? undefined
  if (node.kind === 'list') return node.items.map((item) => fill(item, filling) ?? null)
  const { value, found } = fillMembers(node, filling)
  return found || filling.absent === 'null' ? value : undefined
}

/** A whole body: null when it leads to nothing, and an object stays one. */
export function fillBody(node: Node, filling: Filling): unknown {
  return node.kind === 'object' ? fillMembers(node, filling).value : (fill(node, filling) ?? null)
}

function fillMembers({ members }: ObjectNode, filling: Filling): { value: Record<string, unknown>; found: boolean } {
  const value: Record<string, unknown> = {}
  let found = !members.some(({ dynamic }) => dynamic)
  for (const { name, node, dynamic } of members) {
    const filled = fill(node, filling)
    if (filled === undefined && filling.absent === 'omit') continue
    if (dynamic && filled !== undefined) found = true
    value[name] = filled ?? null
  }
  return { value, found }
}

/** What stands at the end of a path; undefined for nothing and for null. */
export function own(value: unknown, path: readonly string[]): unknown {
  let at = value
  for (const name of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined
    // A list has items, and nothing else that anybody sent.
    if (Array.isArray(at) && !/^\d+$/.test(name)) return undefined
    at = (at as Record<string, unknown>)[name]
  }
  return at ?? undefined
}

/** Every look-up of a template. */
export function lookupsOf(node: Node): Lookup[] {
  if (node.kind === 'lookup') return [node]
  if (node.kind === 'list') return node.items.flatMap(lookupsOf)
  return node.kind === 'object' ? node.members.flatMap((member) => lookupsOf(member.node)) : []
}
