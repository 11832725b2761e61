// Facts of a piece of documentation in text: headings, tables, lists, sentences and examples. Says only what stands there;
// a section about errors or prices is left aside.
import type { Block } from '../docs/blocks.js'
import { authIn } from './auth.js'
import { attributesOfExample, jsonIn, listOfExample, membersOfExample, unwrapExample } from './examples.js'
import { type Attribute, type Endpoint, type Facts, noFacts } from './facts.js'
import { attributesIn, attributesOfProse, columnsOf, parameter, parametersIn } from './fields.js'
import { firstPageOf, isPagingMember, isPagingName } from './paging.js'
import { purposeOf, tidyPath } from './paths.js'
import { type Place, places } from './reader.js'

const ENDPOINT = /\b(GET|POST|PUT|PATCH|DELETE)\b[`\s|]+((?:https?:\/\/[^\s/`]+)?\/[^\s`"'|),;]*)/g
const NEXT_PAGE = /\b(next|further|more) (page|results?|entries|records|items)\b|\bper page\b/i
const URL_IN = /https?:\/\/[^\s`"'<>)|]+/

export function factsOfProse(blocks: readonly Block[]): Facts {
  const facts = noFacts()
  const known = new Map<string, Endpoint>()
  const endpointsIn = (block: Block) => {
    const found = endpointsOf(textOf(block), facts)
    for (const endpoint of found)
      known.set(`${endpoint.method} ${endpoint.path}`, known.get(keyOf(endpoint)) ?? endpoint)
    return found.map((endpoint) => known.get(keyOf(endpoint))!)
  }
  // Headings may name endpoints too: `GET /v2/customers`.
  const withHeadings = blocks.flatMap((block, index): Block[] => {
    const heading = block.path.at(-1)
    const isNew = heading !== undefined && blocks[index - 1]?.path.join('\n') !== block.path.join('\n')
    return isNew && heading.search(ENDPOINT) >= 0 ? [{ kind: 'text', path: block.path, text: heading }, block] : [block]
  })
  for (const place of places(withHeadings, endpointsIn)) readPlace(place, facts)
  facts.endpoints = [...known.values()]
  return facts
}

const keyOf = ({ method, path }: Endpoint) => `${method} ${path}`

function readPlace(place: Place, facts: Facts): void {
  const { block, topic } = place
  const text = textOf(block)
  facts.baseUrls.push(...baseUrlsIn(place, text))
  facts.auth.push(...authIn(text, topic === 'auth'))
  if (topic === 'errors') return
  if (block.kind === 'code') readExample(place, facts)
  else readText(place, text, facts)
}

function readText(place: Place, text: string, facts: Facts): void {
  const { block, topic } = place
  if (/\blink\b[^.]*\bheader\b|\brel="?next\b/i.test(text)) facts.paging.linkHeader = true
  facts.paging.firstPage ??= firstPageOf(text)
  if (block.kind === 'table') {
    readTable(place, facts)
    return
  }
  if (topic === 'paging' || NEXT_PAGE.test(text)) readPaging(text, facts)
  if (topic !== 'other' || !place.objectClass) return
  const attributes = attributesOfProse(text, block.kind === 'item')
  addAttributes(
    facts,
    place.objectClass,
    attributes.filter(({ name }) => !(place.endpoint && isPagingName(name))),
  )
}

function readTable({ block, endpoint, objectClass, topic, lead }: Place, facts: Facts): void {
  if (block.kind !== 'table') return
  const columns = columnsOf(block)
  if (!columns) return
  const about = `${block.path.at(-1) ?? ''} ${lead}`
  const isQuery =
    /\b(query|url) ?(string)? ?parameters?\b|\bparameters?\b|\bfilters?\b/i.test(about) ||
    /^param/i.test(columns.head[columns.name] ?? '')
  if (topic === 'paging' || (isQuery && !/\bbody\b/i.test(about))) {
    const parameters = parametersIn(block)
    if (endpoint && topic !== 'paging') endpoint.parameters.push(...parameters)
    else facts.paging.parameters.push(...parameters.filter(({ name }) => isPagingName(name)))
    const members = block.rows.slice(1).map((row) => (row[columns.name] ?? '').replace(/`/g, '').split('.'))
    if (topic === 'paging')
      facts.paging.members.push(
        ...members
          .filter((path) => isPagingMember(path.at(-1)!) && !isPagingName(path.at(-1)!))
          .map((path) => ({ path, isUrl: false })),
      )
    return
  }
  if (topic === 'other' && objectClass) addAttributes(facts, objectClass, attributesIn(block))
}

function readExample({ block, endpoint, lead }: Place, facts: Facts): void {
  if (block.kind !== 'code') return
  const value = jsonIn(block.text)
  if (value === undefined || !endpoint?.objectClass) return
  const { objectClass, operation } = endpoint
  const list = operation === 'list' ? listOfExample(value) : null
  if (list) {
    endpoint.answerPath ??= list.path
    endpoint.members.push(...membersOfExample(value))
    addAttributes(facts, objectClass, attributesOfExample(list.item))
  }
  if (operation === 'list' || operation === null) return
  const found = unwrapExample(value, objectClass)
  if (!found) return
  const isRequest =
    operation !== 'get' &&
    !/\bHTTP\/\d/.test(block.text) &&
    (/\bcurl\b/.test(block.text) || /\b(request|body|send|sent|post|put|patch)\b/i.test(lead)) &&
    !/\b(responses?|answers?|returns?|replies)\b/i.test(lead)
  if (isRequest) endpoint.bodyPath ??= found.path
  else {
    endpoint.answerPath ??= found.path
    addAttributes(facts, objectClass, attributesOfExample(found.object))
  }
}

/** `Pass `cursor` …; the answer has `next_cursor`.` */
function readPaging(text: string, facts: Facts): void {
  for (const sentence of text.split(/(?<=[.;])\s+/)) {
    const isAnswer = /\b(answers?|responses?|returns?|has|holds|contains|carries|comes with|value of|from)\b/i.test(
      sentence,
    )
    for (const [, name] of sentence.matchAll(/`\??([A-Za-z_][\w.]*)(?:=[^`]*)?`/g)) {
      const path = name!.split('.')
      const last = path.at(-1)!
      const isName = isPagingName(last)
      if (isPagingMember(last) && (!isName || (isAnswer && path.length > 1)))
        facts.paging.members.push({ path, isUrl: /\b(url|link)\b/i.test(sentence) })
      else if (isName) facts.paging.parameters.push(parameter(name!, sentence))
    }
  }
}

function endpointsOf(text: string, facts: Facts): Endpoint[] {
  return [...text.matchAll(ENDPOINT)].map(([, method, target]) => {
    const url = URL.canParse(target!) ? new URL(target!.replace(/[{}<>]/g, (mark) => encodeURIComponent(mark))) : null
    if (url) facts.baseUrls.push(url.origin)
    const path = tidyPath(url ? decodeURIComponent(url.pathname) : target!.replace(/[.:]+$/, ''))
    const made = { method: method as Endpoint['method'], path, ...purposeOf(method as Endpoint['method'], path) }
    return { ...made, parameters: queryOf(target!), answerPath: null, bodyPath: null, members: [] }
  })
}

function queryOf(target: string) {
  const [, query = ''] = target.split('?')
  return [...query.matchAll(/(?:^|&)([\w.[\]-]+)=/g)].map(([, name]) => parameter(name!, ''))
}

function baseUrlsIn({ block, lead }: Place, text: string): string[] {
  const about = `${block.path.at(-1) ?? ''} ${lead} ${text}`
  if (
    !/\b(base|root|api) (url|address|uri)\b|\brequests? (?:go|goes|are sent|are made|is sent) to\b|\b(?:api|service) (?:lives|is (?:served|available|reachable|found)) (?:at|under)\b/i.test(
      about,
    )
  )
    return []
  const found = URL_IN.exec(text)?.[0].replace(/[.,;:/]+$/, '')
  return found && URL.canParse(found) ? [found] : []
}

function addAttributes(facts: Facts, name: string, attributes: Attribute[]): void {
  if (attributes.length > 0)
    facts.objectClasses.push({ name, aliases: [], description: null, attributes, bodyKnown: false })
}

function textOf(block: Block): string {
  return block.kind === 'table' ? block.rows.map((row) => row.join(' | ')).join('\n') : block.text
}
