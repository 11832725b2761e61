// Dates with a year, as numbers or with the name of a month in seven languages. 30 February is no date.
import type { Entity, Rule } from './entity.js'

const MONTHS: readonly (readonly string[])[] = [
  ['january', 'jan', 'januar', 'jänner', 'janvier', 'enero', 'gennaio', 'januari', 'janeiro'],
  ['february', 'feb', 'februar', 'février', 'febrero', 'febbraio', 'februari', 'fevereiro'],
  ['march', 'mar', 'märz', 'mars', 'marzo', 'maart', 'março'],
  ['april', 'apr', 'avril', 'abril', 'aprile'],
  ['may', 'mai', 'mayo', 'maggio', 'mei', 'maio'],
  ['june', 'jun', 'juni', 'juin', 'junio', 'giugno', 'junho'],
  ['july', 'jul', 'juli', 'juillet', 'julio', 'luglio', 'julho'],
  ['august', 'aug', 'août', 'agosto', 'augustus'],
  ['september', 'sep', 'sept', 'septembre', 'septiembre', 'settembre', 'setembro'],
  ['october', 'oct', 'oktober', 'okt', 'octobre', 'octubre', 'ottobre', 'outubro'],
  ['november', 'nov', 'novembre', 'noviembre', 'novembro'],
  ['december', 'dec', 'dezember', 'dez', 'décembre', 'diciembre', 'dicembre', 'dezembro'],
]
const NUMBER = new Map(MONTHS.flatMap((names, i) => names.map((name) => [name, i + 1] as const)))
const NAME = [...NUMBER.keys()].sort((a, b) => b.length - a.length).join('|')
const BEFORE = String.raw`(?<![\p{L}\p{N}.,/-])`
const AFTER = String.raw`(?![\p{L}\p{N}]|[/-]\p{N}|[.,]\p{N})`

const PATTERNS: readonly (readonly [RegExp, (found: string[]) => string | null | undefined])[] = [
  [pattern(String.raw`(\d{4})-(\d{2})-(\d{2})`), ([y, m, d]) => iso(y, m, d)],
  [pattern(String.raw`(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})`), ([d, m, y]) => iso(y, m, d)],
  [pattern(String.raw`(\d{1,2})/(\d{1,2})/(\d{4})`), ([a, b, y]) => eitherWay(y, a, b)],
  [
    pattern(String.raw`(\d{1,2})(?:st|nd|rd|th|\.|er|º)?\s{1,3}(?:of\s|de\s)?(${NAME})\.?,?\s{1,3}(?:de\s)?(\d{4})`),
    ([d, name, y]) => iso(y, month(name), d),
  ],
  [
    pattern(String.raw`(${NAME})\.?\s{1,3}(\d{1,2})(?:st|nd|rd|th)?,?\s{1,3}(\d{4})`),
    ([name, d, y]) => iso(y, month(name), d),
  ],
]

function pattern(inside: string): RegExp {
  return new RegExp(BEFORE + inside + AFTER, 'giu')
}

export const dates: Rule = (text) =>
  PATTERNS.flatMap(([expression, read]) =>
    Array.from(text.matchAll(expression), (match): Entity | null => {
      const value = read(match.slice(1))
      return value === undefined ? null : { kind: 'date', text: match[0], at: match.index, value }
    }).filter((one) => one !== null),
  )

const month = (name: string | undefined) => String(NUMBER.get(name!.toLowerCase()))

/** Undefined for a day that there is not. */
function iso(y: string | undefined, m: string | undefined, d: string | undefined): string | undefined {
  const text = `${y}-${m!.padStart(2, '0')}-${d!.padStart(2, '0')}`
  const at = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text) ? text : undefined
}

/** 03/04 is March or April, depending on who wrote it: null, unless only one of the two can be. */
function eitherWay(y?: string, a?: string, b?: string): string | null | undefined {
  const [dayFirst, monthFirst] = [iso(y, b, a), iso(y, a, b)]
  if (dayFirst !== undefined && monthFirst !== undefined) return dayFirst === monthFirst ? dayFirst : null
  return dayFirst ?? monthFirst
}
