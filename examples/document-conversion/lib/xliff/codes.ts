// What programs put into texts: placeholders, escapes, HTML, addresses, the syntax of plural forms. Everybody who changes a
// text works on one in which these are single characters, so that no rule can get at them.
import { hasForms, readIcu } from './icu.js'

const CODE = new RegExp(
  [
    String.raw`<\/?[A-Za-z][^<>]{0,500}>`, // HTML that the format escaped
    String.raw`&(?:#\d{1,7}|#x[\da-fA-F]{1,6}|[A-Za-z]\w{1,30});`,
    String.raw`\{\{[^{}]{1,100}\}\}`,
    String.raw`[$%#]\{[^{}]{1,100}\}`,
    String.raw`\{[\w.$-]{1,60}(?:[,:][^{}]{0,60})?\}`,
    String.raw`%\([\w.-]{1,60}\)[-+0#]*\d*(?:\.\d+)?[a-zA-Z]`,
    String.raw`(?<![\d%])%(?:\d{1,2}\$)?[-+0#]*\d*(?:\.\d+)?(?:hh|h|ll|l|q|L|z|t|j)?[@diouxXeEfFgGcsp](?![\p{L}])`,
    String.raw`%%|%n\b`,
    String.raw`\$t\([^()]{1,100}\)`,
    String.raw`\\(?:[nrt"\\]|u[\da-fA-F]{4})`,
    String.raw`(?:https?|ftp|mailto|tel):[^\s<>"'\u00AB\u00BB\u201C\u201D]*[^\s<>"'\u00AB\u00BB\u201C\u201D.,;:!?)\]]`,
    String.raw`[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+`,
  ].join('|'),
  'gu',
)
/** Stand for codes in a masked text; what a text has of its own is masked as well. */
export const MASK = '\uE000-\uF8FF'
const MASKED = new RegExp(`[${MASK}]`, 'g')
const MOST = 6000

export interface Masked {
  text: string
  /** What each of the characters stands for, in their order. */
  codes: string[]
}

/** Null: plural forms that are not whole, or too many codes; then nobody may change the text. */
export function maskCodes(text: string, more: readonly [number, number][] = []): Masked | null {
  const spans: [number, number][] = [...more]
  if (hasForms(text)) {
    const message = readIcu(text)
    if (!message) return null
    spans.push(...message.syntax)
  }
  const taken = [...spans].sort(([a], [b]) => a - b)
  for (const { 0: code, index } of text.matchAll(CODE)) {
    const end = index + code.length
    if (!taken.some(([from, to]) => index < to && end > from)) spans.push([index, end])
  }
  for (const { index } of text.matchAll(MASKED)) {
    if (!spans.some(([from, to]) => index >= from && index < to)) spans.push([index, index + 1])
  }
  if (spans.length > MOST) return null
  spans.sort(([a], [b]) => a - b)
  let at = 0
  let masked = ''
  const codes = spans.map(([from, to], index) => {
    masked += text.slice(at, from) + String.fromCharCode(0xe000 + index)
    at = to
    return text.slice(from, to)
  })
  return { text: masked + text.slice(at), codes }
}

/** Null: the changed text has not each of the characters once. */
export function unmask(text: string, codes: readonly string[]): string | null {
  let nth = 0
  let whole = true
  const made = text.replace(MASKED, (c) => {
    if (c.charCodeAt(0) - 0xe000 !== nth) whole = false
    return codes[nth++] ?? ''
  })
  return whole && nth === codes.length ? made : null
}
