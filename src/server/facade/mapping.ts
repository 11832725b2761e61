/**
 * From a request in an older form to a submit of ours, and back: errors about the submit are told in terms of the
 * request that was sent. The engine judges what comes out, exactly as it judges a native submit.
 */
import { type FieldError, isUntildoneError, UntildoneError } from '../../core/index.js'
import { escapePointer, invalid, submitErrors } from '../envelope.js'
import type { SubmitRoute } from './facade.js'
import { fill, fillBody, type Lookup, type Node, type Scope } from './template.js'

export interface Mapping {
  members: readonly { name: string; node: Node }[]
  /** Where each look-up goes in the submit, deepest first. */
  places: readonly { pointer: string; lookup: Lookup }[]
}

export function readMapping(map: SubmitRoute['map'], read: (member: string, value: unknown) => Node): Mapping {
  const members = Object.entries(map)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ({ name, node: read(`map.${name}`, value) }))
  const places = members.flatMap(({ name, node }) => placesOf(node, `/${name}`))
  return { members, places: places.sort((a, b) => b.pointer.length - a.pointer.length) }
}

function placesOf(node: Node, pointer: string): { pointer: string; lookup: Lookup }[] {
  if (node.kind === 'lookup') return [{ pointer, lookup: node }]
  if (node.kind === 'list') return node.items.flatMap((item, i) => placesOf(item, `${pointer}/${i}`))
  if (node.kind !== 'object') return []
  return node.members.flatMap((member) => placesOf(member.node, `${pointer}/${escapePointer(member.name)}`))
}

/** What is always the same in a mapping, judged before the first request: the first error, or null. */
export function constantError({ members }: Mapping): FieldError | null {
  const constant = members.filter(({ node }) => placesOf(node, '').length === 0)
  const value = {
    type: 'placeholder',
    ...Object.fromEntries(constant.map(({ name, node }) => [name, fillBody(node, NOTHING)])),
  }
  return submitErrors(value)[0] ?? null
}

const NOTHING = { scope: {}, absent: 'omit' } as const

/** The submit of a request, not yet judged. */
export function mapped({ members }: Mapping, scope: Scope): Record<string, unknown> {
  const filling = { scope, absent: 'omit' } as const
  const submit: Record<string, unknown> = {}
  for (const { name, node } of members) {
    // An input whose look-ups all lead to nothing is still an input: its type says best what is missing.
    const value = name === 'input' ? fillBody(node, filling) : fill(node, filling)
    if (value !== undefined) submit[name] = value
  }
  return submit
}

/** The error with its pointers turned from the submit to the request; other errors as they are. */
export function inRequest(error: unknown, { places }: Mapping): unknown {
  if (!isUntildoneError(error) || error.errors.length === 0) return error
  const errors = error.errors.map((one) => turned(one, places))
  if (error.code === 'validation-failed') return invalid(errors)
  const { code, message, fix, params } = error
  return new UntildoneError(code, message, { fix, params, errors, cause: error })
}

function turned(error: FieldError, places: Mapping['places']): FieldError {
  const place = places.find(({ pointer }) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`))
  if (!place) return { ...error, pointer: '', message: `${error.pointer.slice(1)} ${error.message}` }
  const { lookup, pointer } = place
  const [part, ...path] = lookup.path
  if (part === 'body') {
    return { ...error, pointer: `${path.map((name) => `/${name}`).join('')}${error.pointer.slice(pointer.length)}` }
  }
  const what = part === 'params' ? 'path parameter' : 'query parameter'
  return { ...error, pointer: '', message: `${what} ${path.join('.')} ${error.message}` }
}
