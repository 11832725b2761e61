// Reads XML as a list of pieces with their places, so that a file can be changed in one place and stay as it is in every
// other. It checks that the file is well-formed and must never expand an entity that the file itself declares.

export interface Attribute {
  name: string
  value: string
}

interface Piece {
  /** Place of the first character, and of the first one behind it. */
  start: number
  end: number
}
export interface OpenTag extends Piece {
  kind: 'open'
  name: string
  attributes: Attribute[]
  /** `<x/>`: no close tag follows. */
  empty: boolean
}
export interface CloseTag extends Piece {
  kind: 'close'
  name: string
}
/** Text, or the inside of a CDATA section; `start` and `end` are those of the inside. */
export interface TextPiece extends Piece {
  kind: 'text' | 'cdata'
}
export interface Aside extends Piece {
  kind: 'comment' | 'instruction' | 'doctype'
}
export type XmlPiece = OpenTag | CloseTag | TextPiece | Aside

export class XmlError extends Error {
  override readonly name = 'XmlError'
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message)
  }
}

const NAME = /[\p{L}_:][-.:\w\p{L}\p{N}\p{M}\u00B7]*/uy
const SPACE = /[ \t\r\n]*/y
/** What no XML 1.0 file may hold; half a surrogate pair is among it. */
const ILLEGAL = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u
const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const DEEPEST = 256

/** All pieces in their order; together with CDATA brackets they are the file. @throws XmlError when it is not well-formed */
export function scanXml(xml: string): XmlPiece[] {
  const illegal = ILLEGAL.exec(xml)
  if (illegal) throw new XmlError(`the character U+${code(illegal[0])} is not allowed in XML`, illegal.index)
  const pieces: XmlPiece[] = []
  const open: string[] = []
  let roots = 0
  let at = xml.startsWith('\uFEFF') ? 1 : 0
  const until = (mark: string, from: number, what: string): number => {
    const end = xml.indexOf(mark, from)
    if (end < 0) throw new XmlError(`${what} has no end`, at)
    return end
  }
  while (at < xml.length) {
    const start = at
    if (xml[at] !== '<') {
      const next = xml.indexOf('<', at)
      at = next < 0 ? xml.length : next
      checkText(xml, start, at, open.length > 0)
      pieces.push({ kind: 'text', start, end: at })
    } else if (xml.startsWith('<!--', at)) {
      const end = until('--', at + 4, 'a comment')
      if (xml[end + 2] !== '>') throw new XmlError('a comment holds "--"', end)
      at = end + 3
      pieces.push({ kind: 'comment', start, end: at })
    } else if (xml.startsWith('<![CDATA[', at)) {
      if (open.length === 0) throw new XmlError('text stands outside of the root element', at)
      const end = until(']]>', at + 9, 'a CDATA section')
      at = end + 3
      pieces.push({ kind: 'cdata', start: start + 9, end })
    } else if (xml.startsWith('<?', at)) {
      at = until('?>', at + 2, 'a processing instruction') + 2
      pieces.push({ kind: 'instruction', start, end: at })
    } else if (xml.startsWith('<!DOCTYPE', at)) {
      at = until('>', at, 'the DOCTYPE') + 1
      if (xml.slice(start, at).includes('['))
        throw new XmlError('a DOCTYPE with declarations of its own is not taken', start)
      pieces.push({ kind: 'doctype', start, end: at })
    } else if (xml[at + 1] === '/') {
      const name = nameAt(xml, at + 2)
      const end = skipSpace(xml, at + 2 + name.length)
      if (xml[end] !== '>') throw new XmlError(`the end tag of <${name}> is not whole`, at)
      const expected = open.pop()
      if (expected !== name)
        throw new XmlError(expected ? `<${expected}> is closed by </${name}>` : `</${name}> closes nothing`, at)
      at = end + 1
      pieces.push({ kind: 'close', name, start, end: at })
    } else {
      const tag = openTag(xml, at)
      if (open.length === 0 && ++roots > 1) throw new XmlError('there is a second root element', at)
      if (!tag.empty) open.push(tag.name)
      if (open.length > DEEPEST) throw new XmlError(`elements lie deeper than ${DEEPEST} in each other`, at)
      at = tag.end
      pieces.push(tag)
    }
  }
  if (open.length > 0) throw new XmlError(`<${open.at(-1)}> is never closed`, xml.length)
  if (roots === 0) throw new XmlError('there is no element in it', 0)
  return pieces
}

function openTag(xml: string, start: number): OpenTag {
  const name = nameAt(xml, start + 1)
  const attributes: Attribute[] = []
  let at = start + 1 + name.length
  for (;;) {
    const next = skipSpace(xml, at)
    if (xml[next] === '>') return { kind: 'open', name, attributes, empty: false, start, end: next + 1 }
    if (xml.startsWith('/>', next)) return { kind: 'open', name, attributes, empty: true, start, end: next + 2 }
    if (next === at) throw new XmlError(`the tag <${name}> is not whole`, start)
    const attribute = nameAt(xml, next)
    at = skipSpace(xml, next + attribute.length)
    if (xml[at] !== '=') throw new XmlError(`the attribute ${attribute} of <${name}> has no value`, next)
    at = skipSpace(xml, at + 1)
    const quote = xml[at]
    const end = quote === '"' || quote === "'" ? xml.indexOf(quote, at + 1) : -1
    if (end < 0) throw new XmlError(`the value of ${attribute} in <${name}> has no quotes`, at)
    const raw = xml.slice(at + 1, end)
    if (raw.includes('<')) throw new XmlError(`the value of ${attribute} in <${name}> holds a "<"`, at)
    if (attributes.some((other) => other.name === attribute))
      throw new XmlError(`<${name}> has the attribute ${attribute} twice`, next)
    attributes.push({ name: attribute, value: decode(raw, at + 1).text.replace(/[\t\n]/g, ' ') })
    at = end + 1
  }
}

function nameAt(xml: string, at: number): string {
  NAME.lastIndex = at
  const found = NAME.exec(xml)
  if (!found) throw new XmlError(`"${xml.slice(at, at + 12)}" is not a name`, at)
  return found[0]
}

function skipSpace(xml: string, at: number): number {
  SPACE.lastIndex = at
  return at + SPACE.exec(xml)![0].length
}

function checkText(xml: string, start: number, end: number, inside: boolean): void {
  const raw = xml.slice(start, end)
  if (!inside && raw.trim() !== '') throw new XmlError('text stands outside of the root element', start)
  if (raw.includes(']]>')) throw new XmlError('text holds "]]>"', start)
  if (raw.includes('&')) decode(raw, start)
}

/** A text as it is meant, and where each of its UTF-16 units begins and ends in what is written. */
export interface Decoded {
  text: string
  from: number[]
  to: number[]
}

/** Resolves references and line ends. `base`: the place of `raw` in the file. @throws XmlError for an unknown reference */
export function decode(raw: string, base: number, cdata = false): Decoded {
  let text = ''
  const from: number[] = []
  const to: number[] = []
  for (let i = 0; i < raw.length; ) {
    let length = 1
    let said = raw[i]!
    if (said === '\r') {
      said = '\n'
      if (raw[i + 1] === '\n') length = 2
    } else if (said === '&' && !cdata) {
      const end = raw.indexOf(';', i)
      length = end < 0 ? 0 : end + 1 - i
      said = reference(raw.slice(i + 1, i + Math.max(length, 1) - 1), base + i)
    }
    for (let unit = 0; unit < said.length; unit++) {
      from.push(base + i)
      to.push(base + i + length)
    }
    text += said
    i += length
  }
  return { text, from, to }
}

function reference(name: string, at: number): string {
  const named = Object.hasOwn(NAMED, name) ? NAMED[name] : undefined
  if (named !== undefined) return named
  const number = /^#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}))$/.exec(name)
  const point = number ? Number.parseInt(number[1] ?? number[2]!, number[1] ? 16 : 10) : -1
  const legal = point >= 0 && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff)
  if (!legal || ILLEGAL.test(String.fromCodePoint(point)))
    throw new XmlError(`&${name.slice(0, 20)}; is no reference that XML knows`, at)
  return String.fromCodePoint(point)
}

/** A text as it is written between tags. Line ends are those of the file; a bare carriage return would not come back. */
export function encodeText(text: string, newline: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/\]\]>/g, ']]&gt;')
    .replace(/\r/g, '&#13;')
    .replace(/\n/g, newline)
}

const code = (character: string) => character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
