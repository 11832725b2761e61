// Amounts of money and percentages. Values are decimal text, never floating point: 0.1 stays 0.1.
import type { Entity, Rule } from './entity.js'

const SYMBOLS: Record<string, string> = { '€': 'EUR', $: 'USD', US$: 'USD', '£': 'GBP', '¥': 'JPY' }
const CODES = ['EUR', 'USD', 'GBP', 'CHF', 'JPY', 'SEK', 'NOK', 'DKK', 'PLN', 'CZK', 'AUD', 'CAD', 'NZD', 'BRL', 'INR']
const NAMES: Record<string, string> = { euro: 'EUR', euros: 'EUR', dollars: 'USD', pounds: 'GBP' }
const POWERS: Record<string, number> = {
  ...{ thousand: 3, million: 6, millions: 6, mio: 6, billion: 9, bn: 9, mrd: 9 },
}

const DIGITS = String.raw`\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3}){1,6}(?:[.,]\d{1,2})?|\d{1,15}(?:[.,]\d{1,2})?`
const POWER = String.raw`(?:[ \u00a0](${Object.keys(POWERS).join('|')})\b)?`
const SIGN = String.raw`US\$|[€$£¥]`
const WORD = [...CODES, ...Object.keys(NAMES)].join('|')
const NOT_BEFORE = String.raw`(?<![\p{L}\p{N}.,])`
const NOT_AFTER = String.raw`(?![\p{L}\p{N}]|[.,]\p{N})`

const FIRST = new RegExp(
  `${NOT_BEFORE}(${SIGN}|(?:${CODES.join('|')})(?=[ \\u00a0\\d]))[ \\u00a0]?(${DIGITS})${POWER}${NOT_AFTER}`,
  'gu',
)
const LAST = new RegExp(`${NOT_BEFORE}(${DIGITS})${POWER}\\.?[ \\u00a0]?(${SIGN}|(?:${WORD})\\b)`, 'giu')

export const amounts: Rule = (text) => [
  ...Array.from(text.matchAll(FIRST), ({ 0: found, 1: currency, 2: digits, 3: power, index }) =>
    amount(found, index, currency!, digits!, power),
  ),
  ...Array.from(text.matchAll(LAST), ({ 0: found, 1: digits, 2: power, 3: currency, index }) =>
    amount(found, index, currency!, digits!, power),
  ),
]

function amount(text: string, at: number, currency: string, digits: string, power: string | undefined): Entity {
  const code = SYMBOLS[currency.toUpperCase()] ?? NAMES[currency.toLowerCase()] ?? currency.toUpperCase()
  const value = shifted(decimal(digits), POWERS[power?.toLowerCase() ?? ''] ?? 0)
  return { kind: 'amount', text, at, value: `${value} ${code}` }
}

const PERCENT = /(?<![\p{L}\p{N}.,])(\d{1,15}(?:[.,]\d{1,6})?)[ \u00a0]?(?:%|percent\b|per cent\b)/giu

export const percentages: Rule = (text) =>
  Array.from(text.matchAll(PERCENT), ({ 0: found, 1: digits, index }) => ({
    kind: 'percentage',
    text: found,
    at: index,
    value: `${digits!.replace(',', '.')} %`,
  }))

/** The last separator is the decimal one if one or two digits follow it; all others group. */
function decimal(digits: string): string {
  const match = /[.,](\d{1,2})$/.exec(digits)
  const whole = (match ? digits.slice(0, match.index) : digits).replace(/\D/g, '')
  return match ? `${whole}.${match[1]}` : whole
}

/** A decimal text times a power of ten. */
function shifted(value: string, power: number): string {
  const [whole, rest = ''] = value.split('.') as [string, string?]
  const trimmed = whole.replace(/^0+(?=\d)/, '')
  if (power === 0) return rest === '' ? trimmed : `${trimmed}.${rest}`
  const all = whole + rest.padEnd(power, '0')
  const point = whole.length + power
  const fraction = all.slice(point).replace(/0+$/, '')
  return all.slice(0, point).replace(/^0+(?=\d)/, '') + (fraction === '' ? '' : `.${fraction}`)
}
