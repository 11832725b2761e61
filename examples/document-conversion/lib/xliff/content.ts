// The inside of a <source> or <target>: text and inline elements. For an engine it is one line of text in which the inline
// elements are marks, `<1>bold</1> and <2/>`; what comes back is written into the file where it differs and nowhere else.
import { attribute, type Child, type Element } from './tree.js'
import { decode, encodeText } from './xml.js'

/** An inline element, its end, or something that nobody may touch (codes, comments, elements of others). */
export interface Tag {
  kind: 'tag'
  role: 'open' | 'close' | 'whole'
  /** What it is: name and id. The same in source and target. */
  key: string
  /** `start:1`, `end:1` for codes that belong together and are elements of their own. */
  pair: string | null
  start: number
  end: number
  raw: string
}
/** Text between two tags, and the pieces of the file that it is written in. */
export interface Run {
  kind: 'run'
  text: string
  pieces: { start: number; raw: string; cdata: boolean }[]
  start: number
  end: number
}
export type Part = Tag | Run

export interface Content {
  element: Element
  start: number
  end: number
  parts: Part[]
  text: string
}

/** Elements around text that is translated; every other inline element is one code, whatever is in it. */
const AROUND = new Set(['g', 'pc', 'mrk'])

export function readContent(xml: string, element: Element): Content {
  const start = element.open.empty ? element.open.end : element.open.end
  const end = element.close ? element.close.start : element.open.end
  const parts: Part[] = []
  walk(xml, element, parts)
  const text = parts.map((part) => (part.kind === 'run' ? part.text : '')).join('')
  return { element, start, end, parts: withRuns(parts, start, end), text }
}

function walk(xml: string, parent: Element, parts: Part[]): void {
  for (const child of parent.children) {
    if (child.kind === 'text' || child.kind === 'cdata') addText(xml, child, parts)
    else if (child.kind !== 'element') {
      const raw = xml.slice(child.start, child.end)
      parts.push({ kind: 'tag', role: 'whole', key: raw, pair: null, start: child.start, end: child.end, raw })
    } else if (child.space === parent.space && AROUND.has(child.local) && child.close) {
      const { open, close } = child
      const key = keyOf(child)
      const tag = (role: 'open' | 'close', { start, end }: { start: number; end: number }) =>
        parts.push({ kind: 'tag', role, key, pair: null, start, end, raw: xml.slice(start, end) })
      tag('open', open)
      walk(xml, child, parts)
      tag('close', close)
    } else {
      const { start } = child.open
      const end = (child.close ?? child.open).end
      parts.push({
        kind: 'tag',
        role: 'whole',
        key: keyOf(child),
        pair: pairOf(child),
        start,
        end,
        raw: xml.slice(start, end),
      })
    }
  }
}

function addText(xml: string, { kind, start, end }: Extract<Child, { kind: 'text' | 'cdata' }>, parts: Part[]): void {
  const cdata = kind === 'cdata'
  const raw = xml.slice(start, end)
  const last = parts.at(-1)
  const run = last?.kind === 'run' ? last : emptyRun(start)
  if (run !== last) parts.push(run)
  run.text += decode(raw, start, cdata).text
  run.pieces.push({ start, raw, cdata })
  // Behind the bracket of a CDATA section, so that a run that is written anew leaves no bracket behind.
  run.end = cdata ? end + 3 : end
  if (run.pieces.length === 1) run.start = cdata ? start - 9 : start
}

const emptyRun = (at: number): Run => ({ kind: 'run', text: '', pieces: [], start: at, end: at })

/** A run before, between and behind all tags, empty where there is no text: so text can be put anywhere. */
function withRuns(parts: Part[], start: number, end: number): Part[] {
  const all: Part[] = []
  let at = start
  for (const part of parts) {
    if (part.kind === 'tag' && all.at(-1)?.kind !== 'run') all.push(emptyRun(at))
    all.push(part)
    at = part.end
  }
  if (all.at(-1)?.kind !== 'run') all.push(emptyRun(parts.length > 0 ? at : end))
  return all
}

function keyOf(element: Element): string {
  const id =
    attribute(element, 'id') ?? attribute(element, 'startRef') ?? attribute(element, 'hex') ?? attribute(element, 'mid')
  const rid = attribute(element, 'rid')
  return [element.local, id, rid].filter((part) => part !== null).join(':')
}

/** What opens and closes as two elements: sc and ec of 2.x, bx and ex, bpt and ept, `it` of 1.2. */
function pairOf(element: Element): string | null {
  const id = attribute(element, 'rid') ?? attribute(element, 'id')
  switch (element.local) {
    case 'sc':
      return `start:${attribute(element, 'id')}`
    case 'ec':
      return attribute(element, 'isolated') === 'yes' ? null : `end:${attribute(element, 'startRef')}`
    case 'bx':
    case 'bpt':
      return `start:${id}`
    case 'ex':
    case 'ept':
      return `end:${id}`
    default:
      return null
  }
}

// ── as marked text ──

export const tagsOf = ({ parts }: Content): Tag[] => parts.filter((part) => part.kind === 'tag')

/** Numbers for the inline elements of a unit: an element has the same number in source and target. */
export function numbersFor(...contents: Content[]): Map<string, number> {
  const numbers = new Map<string, number>()
  for (const content of contents) {
    for (const key of numbered(content)) if (!numbers.has(key)) numbers.set(key, numbers.size + 1)
  }
  return numbers
}

/** The keys of the tags; the second of the same key is another one. An end has the key of its start. */
function numbered(content: Content): string[] {
  const seen = new Map<string, number>()
  const open: string[] = []
  return tagsOf(content).map((tag) => {
    if (tag.role === 'close') return open.pop()!
    const count = (seen.get(tag.key) ?? 0) + 1
    seen.set(tag.key, count)
    const key = count === 1 ? tag.key : `${tag.key}#${count}`
    if (tag.role === 'open') open.push(key)
    return key
  })
}

export function toMarked(content: Content, numbers: Map<string, number>): string {
  const keys = numbered(content)
  let nth = 0
  return content.parts
    .map((part) => (part.kind === 'run' ? escapeMarks(part.text) : markOf(part, numbers.get(keys[nth++]!)!)))
    .join('')
}

const markOf = ({ role }: Tag, number: number) =>
  role === 'open' ? `<${number}>` : role === 'close' ? `</${number}>` : `<${number}/>`
export const escapeMarks = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
const unescapeMarks = (text: string) => text.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&')

export interface Edit {
  start: number
  end: number
  text: string
}

/** The marked text in pieces: texts and marks in turn, a text first and last. Null: it is not marked text. */
export function readMarked(marked: string): { texts: string[]; marks: string[] } | null {
  const parts = marked.split(/(<\/?\d{1,6}>|<\d{1,6}\/>)/)
  const texts = parts.filter((_, index) => index % 2 === 0)
  if (texts.some((text) => /[<>]/.test(text) || /&(?!(?:amp|lt|gt);)/.test(text))) return null
  return { texts: texts.map(unescapeMarks), marks: parts.filter((_, index) => index % 2 === 1) }
}

/** What must be changed in the file so that the content says `marked`. Null: its marks are not those of the content. */
export function editsFor(
  content: Content,
  marked: string,
  numbers: Map<string, number>,
  newline: string,
): Edit[] | null {
  const wanted = readMarked(marked)
  const present = readMarked(toMarked(content, numbers))!
  if (!wanted || wanted.marks.join() !== present.marks.join()) return null
  const runs = content.parts.filter((part) => part.kind === 'run')
  const edits = runs.flatMap((run, index) => editOf(run, wanted.texts[index]!, newline))
  if (edits.length > 0 && !content.element.close) return null
  return edits
}

/** The smallest change of a run: what begins and ends alike keeps its spelling, references and CDATA sections included. */
function editOf(run: Run, wanted: string, newline: string): Edit[] {
  const { text } = run
  if (text === wanted) return []
  let head = 0
  while (head < text.length && head < wanted.length && text[head] === wanted[head]) head++
  let tail = 0
  while (tail < text.length - head && tail < wanted.length - head && text.at(-1 - tail) === wanted.at(-1 - tail)) tail++
  // Never between the halves of a character.
  if (head > 0 && /[\uD800-\uDBFF]/.test(text[head - 1]!)) head--
  if (tail > 0 && /[\uDC00-\uDFFF]/.test(text.at(-tail)!)) tail--
  const last = text.length - tail
  const made = wanted.slice(head, wanted.length - tail)
  const { from, to, of } = placesOf(run)
  const piece = run.pieces[of[head < last || head === 0 ? head : head - 1] ?? -1]
  const same = piece && [head, last - 1].every((i) => i < head || i >= last || run.pieces[of[i]!] === piece)
  // A reference to a character of two units may not be cut.
  const cut =
    (head > 0 && from[head - 1] === from[head]) || (last > 0 && last < text.length && from[last] === from[last - 1])
  // A CDATA section cannot hold its own end.
  const unfit = piece?.cdata && (wanted.includes(']]>') || /\r/.test(made))
  if (!piece || !same || cut || unfit) return [{ start: run.start, end: run.end, text: encodeText(wanted, newline) }]
  const start = head < last || head === 0 ? from[head]! : to[head - 1]!
  const end = head < last ? to[last - 1]! : start
  return [{ start, end, text: piece.cdata ? made.replace(/\n/g, newline) : safely(made, run, head, newline) }]
}

/** Where each UTF-16 unit begins and ends in the file, and to which piece it belongs. */
function placesOf({ pieces }: Run): { from: number[]; to: number[]; of: number[] } {
  const all = pieces.map(({ raw, start, cdata }) => decode(raw, start, cdata))
  return {
    from: all.flatMap(({ from }) => from),
    to: all.flatMap(({ to }) => to),
    of: all.flatMap(({ from }, index) => from.map(() => index)),
  }
}

/** `]]` before a `>` that is put behind it would be the end of a CDATA section that is none. */
function safely(made: string, run: Run, head: number, newline: string): string {
  const text = encodeText(made, newline)
  return run.text[head - 1] === ']' ? text.replace(/^(\]?)>/, '$1&gt;') : text
}

export function applyEdits(xml: string, edits: Edit[]): string {
  let at = 0
  let made = ''
  for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start)) {
    made += xml.slice(at, start) + text
    at = end
  }
  return made + xml.slice(at)
}
