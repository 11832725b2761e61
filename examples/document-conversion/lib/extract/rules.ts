// Reads a chunk without a model: labels and forms, in English and German. It must never make a value out of something that it
// could read in two ways; that becomes a doubt.
import type { Extractor } from './extractor.js'
import { type ChunkFacts, type Field, type Found, isDate } from './facts.js'
import { ibanLength, isIban } from './iban.js'
import { AMOUNT, DATE, readAmount, readDate } from './values.js'

export const ruleExtractor: Extractor = {
  name: 'rules',
  version: '1',
  extract(text, { dayFirst }) {
    const facts: ChunkFacts = { found: [], doubts: [] }
    numbers(text, facts)
    dates(text, dayFirst, facts)
    amounts(text, facts)
    ibans(text, facts)
    parties(text, facts)
    facts.found.sort((a, b) => a.at - b.at)
    return facts
  },
}

const add = ({ found }: ChunkFacts, field: Field, value: string, at: number, quote: string, labelled: boolean) =>
  void found.push({ field, value, at, quote, labelled } satisfies Found)

const NUMBER =
  /(?<![\p{L}\p{N}])(?:(?:invoice|credit note|contract|order|document)[ \t]*(?:no\.?|number|nr\.?|id|#)|(?:rechnungs?|vertrags?|auftrags?|beleg)-?[ \t]?(?:nummer|nr\.?))[ \t]*[:#]?[ \t]*(?<value>[\p{L}\p{N}][\p{L}\p{N}/._-]{1,38}[\p{L}\p{N}])/giu

function numbers(text: string, facts: ChunkFacts): void {
  for (const match of text.matchAll(NUMBER)) {
    const value = match.groups!.value!
    if (/\d/.test(value)) add(facts, 'number', value, match.index + match[0].length - value.length, value, true)
  }
}

const ISSUED =
  /(?:invoice date|date of (?:issue|invoice)|issued(?: on)?|dated|^date|rechnungsdatum|^datum|ausgestellt am)[\s:]*$/iu
const DUE =
  /(?:due(?: date)?(?: on| by)?|payable (?:by|until|before)|pay by|fällig(?:keit)?(?: am)?|zahlbar bis(?: zum)?)[\s:]*$/iu

function dates(text: string, dayFirst: boolean | null, facts: ChunkFacts): void {
  for (const { 0: quote, index, groups } of text.matchAll(DATE)) {
    const value = readDate(groups!, dayFirst)
    if (value === null) facts.doubts.push({ code: 'ambiguous-date', quote, why: 'day and month cannot be told apart' })
    else if (!isDate(value)) facts.doubts.push({ code: 'no-such-date', quote, why: `there is no ${value}` })
    else {
      const label = labelBefore(text, index)
      const field = ISSUED.test(label) ? 'issueDate' : DUE.test(label) ? 'dueDate' : null
      if (field) add(facts, field, value, index, quote, true)
      add(facts, 'date', value, index, quote, field !== null)
    }
  }
}

const TOTAL =
  /(?:(?<!sub[- ]?)(?<!net )total(?: amount)?(?: due| payable)?|amount due|balance due|gesamtbetrag|rechnungsbetrag|endbetrag|zu zahlen(?:der betrag)?)(?: of)?[\s:]*$/iu

function amounts(text: string, facts: ChunkFacts): void {
  for (const { 0: quote, index, groups } of text.matchAll(AMOUNT)) {
    const value = readAmount(groups!)
    const labelled = TOTAL.test(labelBefore(text, index))
    if (labelled) add(facts, 'total', value, index, quote, true)
    add(facts, 'amount', value, index, quote, labelled)
  }
}

function ibans(text: string, facts: ChunkFacts): void {
  for (const { index } of text.matchAll(/(?<![\p{L}\p{N}])[A-Z]{2}\d{2}(?=[ ]?[A-Z\d])/gu)) {
    const length = ibanLength(text.slice(index, index + 2))
    if (length === null) continue
    let end = index
    for (let left = length; left > 0 && /[A-Z\d ]/.test(text[end] ?? ''); end++) if (text[end] !== ' ') left--
    const quote = text.slice(index, end).trimEnd()
    const value = quote.replaceAll(' ', '')
    if (isIban(value) && !/[\p{L}\p{N}]/u.test(text[end] ?? '')) add(facts, 'iban', value, index, quote, true)
    else if (value.length === length)
      facts.doubts.push({ code: 'iban-wrong', quote, why: 'its check digits are wrong' })
  }
}

const COMPANY =
  /(?<![\p{L}\p{N}])(?:\p{Lu}[\p{L}\p{N}&'’-]*[ \t]+){1,5}(?:& Co\. KG|GmbH(?: & Co\. KG)?|AG|KG|Ltd\.?|Limited|Inc\.?|LLC|PLC|plc|S\.A\.|B\.V\.|N\.V\.|S\.r\.l\.|Oy|SE)(?![\p{L}\p{N}])/gu
const SELLER = 'seller|supplier|vendor|contractor|licensor|landlord|verkäufer|lieferant|auftragnehmer|vermieter'
const BUYER = 'buyer|purchaser|customer|client|licensee|tenant|bill to|käufer|kunde|auftraggeber|mieter'
const LABELLED = new RegExp(
  `^[ \\t]*(?:the )?(?:(?<seller>${SELLER})|(?<buyer>${BUYER}))[ \\t]*:[ \\t]*(?<name>\\S[^\\n\\f]{1,120})$`,
  'gimu',
)
/** `Ada Ltd ("the Seller")`, with anything between name and role but the end of the sentence. */
const ROLE = new RegExp(
  `[("“„« ]+(?:the |der |die )?["“„«]?(?:(?<seller>${SELLER})|(?<buyer>${BUYER}))["”“»]?[)"”»]`,
  'iu',
)

function parties(text: string, facts: ChunkFacts): void {
  for (const match of text.matchAll(LABELLED)) {
    const name = match.groups!.name!.trim()
    add(facts, match.groups!.seller ? 'seller' : 'buyer', name, match.index + match[0].lastIndexOf(name), name, true)
  }
  for (const { 0: quote, index } of text.matchAll(COMPANY)) {
    const value = quote.replace(/\s+/g, ' ')
    const behind = text
      .slice(index + quote.length, index + quote.length + 160)
      .split(/[.;](?:\s|$)|\b(?:and|und)\b|\n\n/u)[0]!
    const role = ROLE.exec(behind)?.groups
    if (role) add(facts, role.seller ? 'seller' : 'buyer', value, index, quote, true)
    add(facts, 'party', value, index, quote, Boolean(role))
  }
}

/** What stands before a value on its line, or on the line above where it stands alone on its own. */
function labelBefore(text: string, at: number): string {
  const before = text.slice(Math.max(0, at - 80), at)
  const lines = before.split(/[\n\f]/)
  const own = lines.at(-1)!
  return own.trim() === '' && lines.length > 1 ? lines.at(-2)! : own
}
