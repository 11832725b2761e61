// The pieces of a file as elements with their namespaces. It must never lose the place of anything.
import { type Aside, type CloseTag, type OpenTag, scanXml, type TextPiece, XmlError } from './xml.js'

export interface Element {
  kind: 'element'
  /** Namespace, '' for none; and the name in it. */
  space: string
  local: string
  open: OpenTag
  /** Null for `<x/>`. */
  close: CloseTag | null
  parent: Element | null
  children: Child[]
}
export type Child = Element | TextPiece | Aside

const XML = 'http://www.w3.org/XML/1998/namespace'

/** @throws XmlError */
export function readTree(xml: string): Element {
  let root: Element | null = null
  let inside: Element | null = null
  const bindings: Record<string, string>[] = [{ xml: XML, '': '' }]
  for (const piece of scanXml(xml)) {
    if (piece.kind === 'close') {
      inside!.close = piece
      inside = inside!.parent
      bindings.pop()
    } else if (piece.kind === 'open') {
      const bound = { ...bindings.at(-1)! }
      for (const { name, value } of piece.attributes) {
        if (name === 'xmlns') bound[''] = value
        else if (name.startsWith('xmlns:')) bound[name.slice(6)] = value
      }
      const element: Element = {
        kind: 'element',
        ...named(piece, bound),
        open: piece,
        close: null,
        parent: inside,
        children: [],
      }
      inside?.children.push(element)
      root ??= element
      if (!piece.empty) {
        inside = element
        bindings.push(bound)
      }
    } else if (inside) inside.children.push(piece)
  }
  return root!
}

function named({ name, start }: OpenTag, bound: Record<string, string>): { space: string; local: string } {
  const colon = name.indexOf(':')
  const prefix = colon < 0 ? '' : name.slice(0, colon)
  const space = bound[prefix]
  if (space === undefined) throw new XmlError(`the prefix of <${name}> is bound to no namespace`, start)
  return { space, local: name.slice(colon + 1) }
}

export const attribute = (element: Element, name: string): string | null =>
  element.open.attributes.find((given) => given.name === name)?.value ?? null

/** The nearest value up the tree. */
export function inherited(element: Element | null, name: string): string | null {
  for (let at = element; at; at = at.parent) {
    const value = attribute(at, name)
    if (value !== null) return value
  }
  return null
}

export const elements = (parent: Element): Element[] => parent.children.filter((child) => child.kind === 'element')

/** Everything below in the order of the file. `enter` says whether to look into an element. */
export function* below(parent: Element, enter: (element: Element) => boolean): Generator<Element> {
  for (const child of elements(parent)) {
    yield child
    if (enter(child)) yield* below(child, enter)
  }
}
