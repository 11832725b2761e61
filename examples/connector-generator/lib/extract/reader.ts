// Reads the blocks of one chunk in order and knows where it stands: under which headings, behind which sentence, at which
// endpoint. The other files of this folder ask it what a table or an example is about.
import type { Block } from '../docs/blocks.js'
import type { Endpoint } from './facts.js'
import { className } from './words.js'

/** A block together with what stands before it. */
export interface Place {
  block: Block
  /** The last sentence or list entry in the same section. */
  lead: string
  /** The endpoint that this section is about. */
  endpoint: Endpoint | null
  /** The object class that this section is about. */
  objectClass: string | null
  topic: Topic
}

type Topic = 'paging' | 'auth' | 'errors' | 'other'

const TOPICS: [RegExp, Topic][] = [
  [
    /\b(error|errors|status codes?|rate limits?|limits|webhooks?|changelog|release notes|pricing|plans?|glossary)\b/i,
    'errors',
  ],
  [/\b(paging|pagination|paginat\w+|cursors?|long lists|page through)\b/i, 'paging'],
  [/\b(auth\w*|credentials?|api keys?|tokens?|signing in|security)\b/i, 'auth'],
]

/** Headings that say nothing of what a section is about. */
const GENERIC =
  /^(the |an? )?(fields?|attributes?|properties|columns?|overview|introduction|getting started|quick ?start|reference|api reference|api|rest api|resources?|objects?|object reference|examples?|example \w+|requests?|responses?|answers?|body|request body|parameters?|query parameters?|arguments?|endpoints?|operations?|methods?|returns?|notes?|usage|description|data model|schema|schemas|structure|base url|conventions|documentation|developers?|docs|guide|list|get|create|update|delete|retrieve|read|list all|sdk)$/i

export function topicOf(path: readonly string[]): Topic {
  // The innermost heading that says something.
  for (const heading of path.toReversed()) {
    const found = TOPICS.find(([pattern]) => pattern.test(heading))
    if (found) return found[1]
    if (!GENERIC.test(heading.trim())) return 'other'
  }
  return 'other'
}

/** `The customer object`, `Fields of an invoice`, `List customers`, `Customers` → the class; null if it says nothing. */
export function classOfHeading(heading: string): string | null {
  const text = heading.replace(/`/g, '').trim()
  if (GENERIC.test(text) || TOPICS.some(([pattern]) => pattern.test(text))) return null
  const patterns = [
    /^(?:the |an? )?(.+?) (?:object|resource|record|entity|model|schema|data model|fields?|attributes?|properties|columns|endpoints?)$/i,
    /^(?:fields|attributes|properties|columns|structure|anatomy) of (?:an? |the |every |each )?(.+)$/i,
    /^(?:list(?:ing)?|get(?:ting)?|retriev(?:e|ing)|read(?:ing)?|fetch(?:ing)?|creat(?:e|ing)|add(?:ing)?|updat(?:e|ing)|chang(?:e|ing)|edit(?:ing)?|delet(?:e|ing)|find(?:ing)?|search(?:ing)?)(?: all| an?| one| a single| the| many| new| existing| your| or \w+)* (.+)$/i,
  ]
  const found = patterns.map((pattern) => pattern.exec(text)?.[1]).find(Boolean) ?? text
  const words = found.split(/\s+/)
  if (words.length > 3 || GENERIC.test(found) || !/^[A-Za-z][\w -]*$/.test(found)) return null
  return className(found)
}

/** `A customer has these fields:`, `Every invoice carries …` → the class. */
export function classOfSentence(sentence: string): string | null {
  const text = sentence.replace(/`/g, '')
  const found =
    /\b(?:an?|each|every|the|all) ([A-Za-z][\w-]*(?: [a-z][\w-]*)?) (?:object |record |resource )?(?:has|have|carries|carry|consists? of|contains?|includes?|comes with|is made of|is described by)\b/i.exec(
      text,
    ) ??
    /\b(?:fields|attributes|properties|columns) of (?:an?|each|every|the) ([A-Za-z][\w-]*(?: [a-z][\w-]*)?)\b/i.exec(
      text,
    )
  const name = found?.[1]?.replace(/ (object|record|resource)$/i, '')
  return name &&
    !GENERIC.test(name) &&
    !/^(answer|response|request|list|page|body|api|table|following|result)$/i.test(name)
    ? className(name)
    : null
}

/** The class of the innermost heading that names one. */
export function classOfPath(path: readonly string[]): string | null {
  for (const heading of path.toReversed()) {
    const name = classOfHeading(heading)
    if (name) return name
  }
  return null
}

export function places(blocks: readonly Block[], endpointsIn: (block: Block) => Endpoint[]): Place[] {
  const out: Place[] = []
  let lead = ''
  let section = ''
  let endpoint: { path: string[]; value: Endpoint | null } = { path: [], value: null }
  for (const block of blocks) {
    const here = block.path.join('\n')
    if (here !== section) lead = ''
    section = here
    // An endpoint holds for its section and those below it.
    if (!startsWith(block.path, endpoint.path)) endpoint = { path: [], value: null }
    const named = endpointsIn(block)
    if (named.length > 0) endpoint = { path: block.path, value: named.length === 1 ? named[0]! : null }
    const sentence =
      classOfSentence(lead) ?? (block.kind === 'code' || block.kind === 'table' ? null : classOfSentence(block.text))
    out.push({
      block,
      lead,
      endpoint: endpoint.value,
      objectClass: sentence ?? classOfPath(block.path) ?? endpoint.value?.objectClass ?? null,
      topic: topicOf(block.path),
    })
    if (block.kind === 'text' || block.kind === 'item') lead = block.text
  }
  return out
}

function startsWith(path: readonly string[], start: readonly string[]): boolean {
  return start.every((heading, depth) => path[depth] === heading)
}
