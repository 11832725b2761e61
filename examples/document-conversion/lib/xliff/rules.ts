// The refinement that needs no model: white space, quotation marks, numbers, apostrophes, ellipses and a list of terms. Each
// rule changes only what it is sure of, and a second run changes nothing. It must never see a placeholder or a tag: in the
// texts that it works on they are single characters.
import { MASK } from './codes.js'
import { baseOf, numberFormat, quotesOf } from './language.js'

export interface Term {
  source: string
  target: string
  /** Words in targets that mean the same and are not wanted. */
  instead: string[]
}
export interface RuleInput {
  source: string
  target: string
  sourceLanguage: string
  targetLanguage: string
  preserve: boolean
  terms: readonly Term[]
}
export interface RuleResult {
  target: string
  /** The rules that changed something. */
  rules: string[]
  notes: string[]
}

type Rule = (text: string, input: RuleInput) => string

export function applyRules(input: RuleInput): RuleResult {
  let target = input.target
  const rules: string[] = []
  for (const [name, rule] of Object.entries(RULES)) {
    const made = rule(target, input)
    if (made !== target) rules.push(name)
    target = made
  }
  const missing = input.terms.filter(
    ({ source, target: wanted }) => word(source).test(input.source) && !word(wanted, 'iu', true).test(target),
  )
  return { target, rules, notes: missing.map(({ source, target }) => `"${source}" is not translated as "${target}"`) }
}

const BEHIND_WORD = `[\\p{L}\\p{N}${MASK})\\]»”“"’%]`
const NO_SPACE_RULES = new Set(['zh', 'ja', 'ko', 'th'])

const RULES: Record<string, Rule> = {
  terms: (text, { source, terms }) =>
    terms.reduce((made, { source: said, target, instead }) => {
      if (!word(said).test(source)) return made
      return instead.reduce(
        // A term that holds the unwanted word would be made longer each time.
        (all, unwanted) =>
          word(unwanted).test(target)
            ? all
            : all.replace(word(unwanted, 'giu'), (found) => inCaseOf(found, unwanted, target)),
        made,
      )
    }, text),

  numbers: (text, { source, sourceLanguage, targetLanguage }) => {
    const [from, to] = [numberFormat(sourceLanguage), numberFormat(targetLanguage)]
    if (!from || !to || (from.group === to.group && from.decimal === to.decimal)) return text
    const g = escaped(from.group)
    const d = escaped(from.decimal)
    const pattern = new RegExp(
      `(?<![\\p{L}\\d.,])(?:\\d{1,3}(?:${g || '(?!)'}\\d{3})+(?:${d}\\d+)?|\\d+${d}\\d{1,2}(?=[\\s\\u00A0]?(?:%|€|\\$|£|kg|km|cm|mm|GB|MB)))(?![\\d]|[.,]\\d)`,
      'gu',
    )
    const written = new Set(source.match(pattern) ?? [])
    return text.replace(pattern, (found) => {
      if (!written.has(found)) return found
      const [whole = '', fraction] = from.decimal ? found.split(from.decimal) : [found]
      const groups = from.group ? whole.split(from.group) : [whole]
      return groups.join(to.group) + (fraction === undefined ? '' : to.decimal + fraction)
    })
  },

  ellipsis: (text, { source }) => (source.includes('…') ? text.replace(/(?<!\.)\.{3}(?!\.)/g, '…') : text),

  quotes: (text, { targetLanguage }) => {
    const style = quotesOf(targetLanguage)
    const marks = text.match(/["“”„«»]/g)?.length ?? 0
    // A mark behind a number may mean inches, and one without its other half nothing that we know.
    if (!style || marks === 0 || marks % 2 === 1 || /\d"/.test(text)) return text
    return text.replace(/(["“”„«»])([^"“”„«»]*)(["“”„«»])/g, (all, open: string, inside: string, close: string) => {
      if ((open === '"') !== (close === '"')) return all
      if (open === '»' && ['de', 'da', 'cs', 'sl', 'hr', 'hu', 'pl'].includes(baseOf(targetLanguage))) return all
      const loose = /[«»]/.test(open + close) || style.open.length > 1
      return style.open + (loose ? inside.replace(/^[\u00A0\u202F ]|[\u00A0\u202F ]$/g, '') : inside) + style.close
    })
  },

  apostrophes: (text, { targetLanguage }) =>
    ['en', 'fr', 'it', 'ca'].includes(baseOf(targetLanguage)) ? text.replace(/(\p{L})'(?=\p{L})/gu, '$1’') : text,

  spaces: (text, { source, targetLanguage, preserve }) => {
    if (preserve) return text
    let made = text
    const base = baseOf(targetLanguage)
    if (!/ {2}/.test(source.trim())) made = made.replace(/(\S) {2,}(?=\S)/g, '$1 ')
    if (base === 'fr') made = frenchSpaces(made, targetLanguage)
    else if (!NO_SPACE_RULES.has(base))
      made = made.replace(new RegExp(`(${BEHIND_WORD})[ \\u00A0\\u202F]+(?=[,.;:!?](?:\\s|$))`, 'gu'), '$1')
    if (source.trim() === '' || made.trim() === '') return made
    return /^\s*/.exec(source)![0] + made.trim() + /\s*$/.exec(source)![0]
  },
}

/** A fixed space before high signs; the narrow one as France prints it, none in Canada. A colon has the wide one everywhere. */
function frenchSpaces(text: string, language: string): string {
  const space = '[ \\u00A0\\u202F]*'
  const high = new RegExp(`(${BEHIND_WORD})${space}(?=[;!?]+(?:[\\s»]|$))`, 'gu')
  const colon = new RegExp(`(${BEHIND_WORD})${space}(?=:(?:\\s|$))`, 'gu')
  return text
    .replace(high, language.toLowerCase() === 'fr-ca' ? '$1' : '$1\u202F')
    .replace(colon, '$1\u00A0')
    .replace(new RegExp(`(${BEHIND_WORD})[ \\u00A0\\u202F]+(?=[,.](?:\\s|$))`, 'gu'), '$1')
}

/** A whole word; scripts without spaces between words have no such border. `inflected`: it may have an ending. */
function word(text: string, flags = 'iu', inflected = false): RegExp {
  const border = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u.test(text)
  const end = inflected ? '\\p{L}{0,3}(?![\\p{L}\\p{N}_])' : '(?![\\p{L}\\p{N}_])'
  return new RegExp(border ? escaped(text) : `(?<![\\p{L}\\p{N}_])${escaped(text)}${end}`, flags)
}

function inCaseOf(found: string, unwanted: string, term: string): string {
  const raised = found[0] !== unwanted[0] && found[0] === found[0]!.toUpperCase()
  return raised ? term[0]!.toUpperCase() + term.slice(1) : term
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
