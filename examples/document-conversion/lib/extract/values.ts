// From the way people write dates, amounts and numbers to one form. What can be read in two ways is not read at all.

const MONTHS: Record<string, number> = Object.fromEntries(
  [
    ['january', 'jan', 'januar', 'jänner'],
    ['february', 'feb', 'februar'],
    ['march', 'mar', 'märz', 'mrz'],
    ['april', 'apr'],
    ['may', 'mai'],
    ['june', 'jun', 'juni'],
    ['july', 'jul', 'juli'],
    ['august', 'aug'],
    ['september', 'sep', 'sept'],
    ['october', 'oct', 'oktober', 'okt'],
    ['november', 'nov'],
    ['december', 'dec', 'dezember', 'dez'],
  ].flatMap((names, index) => names.map((name) => [name, index + 1])),
)
const MONTH = `(?:${Object.keys(MONTHS)
  .sort((a, b) => b.length - a.length)
  .join('|')})`

/** Finds every date that is written in a known way. */
export const DATE = new RegExp(
  [
    String.raw`(?<iso>\d{4}-\d{2}-\d{2})`,
    String.raw`(?<dotted>\d{1,2}\.\s?\d{1,2}\.\s?\d{4})`,
    String.raw`(?<slashed>\d{1,2}/\d{1,2}/\d{4})`,
    String.raw`(?<dayFirst>\d{1,2}(?:st|nd|rd|th|\.)?(?:\s+of)?\s+${MONTH}\.?,?\s+\d{4})`,
    String.raw`(?<monthFirst>${MONTH}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})`,
  ]
    .map((way) => `(?<![\\p{L}\\p{N}./-])${way}(?![\\p{L}\\p{N}]|[./-]\\d)`)
    .join('|'),
  'giu',
)

/** Null: it can be read in two ways. Whether there is such a day is for the schema to say. */
export function readDate(groups: Record<string, string | undefined>, dayFirst: boolean | null): string | null {
  const { iso, dotted, slashed, dayFirst: written, monthFirst } = groups
  if (iso) return iso
  if (written ?? monthFirst) {
    const words = (written ?? monthFirst)!.toLowerCase()
    const [day, year] = words.match(/\d+/g)!.map(Number)
    const month = words
      .match(/\p{L}+/gu)!
      .map((word) => MONTHS[word])
      .find(Boolean)
    return dateOf(year!, month!, day!)
  }
  const [first = 0, second = 0, year = 0] = (dotted ?? slashed)!.match(/\d+/g)!.map(Number)
  if (dotted || first > 12 || first === second) return dateOf(year, second, first)
  if (second > 12) return dateOf(year, first, second)
  return dayFirst === null ? null : dayFirst ? dateOf(year, second, first) : dateOf(year, first, second)
}

const dateOf = (year: number, month: number, day: number) => `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`
const pad = (value: number, length: number) => String(value).padStart(length, '0')

const CURRENCIES: Record<string, string> = { '€': 'EUR', $: 'USD', '£': 'GBP', zł: 'PLN' }
const CODE = 'EUR|USD|GBP|CHF|PLN|SEK|NOK|DKK|CZK|HUF|CAD|AUD'
const FIGURE = String.raw`\d{1,3}(?:[.,'’\u00A0\u202F ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?`
const SIGN = `(?:${CODE}|€|\\$|£|zł)`

/** Finds every amount that has a currency, before or behind it. */
export const AMOUNT = new RegExp(
  `(?<![\\p{L}\\p{N}.,])(?:(?<before>${SIGN})[ \\u00A0\\u202F]?(?<a>-?(?:${FIGURE}))|(?<b>-?(?:${FIGURE}))[ \\u00A0\\u202F]?(?<behind>${SIGN}))(?![\\p{L}\\p{N}]|[.,]\\d)`,
  'gu',
)

export function readAmount({ before, a, b, behind }: Record<string, string | undefined>): string {
  const sign = (before ?? behind)!
  const figure = (a ?? b)!
  // Behind the last separator one or two digits are cents, and three are thousands.
  const [, whole, cents = ''] = /^(.*?)(?:[.,](\d{1,2}))?$/.exec(figure)!
  return `${CURRENCIES[sign] ?? sign} ${whole!.replace(/[^\d-]/g, '').replace(/^(-?)0+(?=\d)/, '$1')}.${cents.padEnd(2, '0')}`
}
