// What refines a unit: a part that can be exchanged. It gets marked text and gives marked text; whatever it says is checked
// by `answerFor` before it is taken. An engine must never see more than the unit and its neighbours' language.
import { Permanent } from 'untildone'
import { textFaults } from './check.js'
import { maskCodes, unmask } from './codes.js'
import { escapeMarks, numbersFor, readMarked, tagsOf, toMarked } from './content.js'
import type { Unit } from './document.js'
import { applyRules, type Term } from './rules.js'

/** One unit as an engine gets it: inline elements are marks, `<1>bold</1> and <2/>`. */
export interface UnitText {
  key: string
  source: string
  target: string
  sourceLanguage: string
  targetLanguage: string
  preserve: boolean
  maxLength: number | null
  terms: readonly Term[]
}
export interface Answer {
  target: string
  /** What was done, in a word each. */
  rules: string[]
  /** What a person should look at. */
  notes: string[]
}
export interface Refiner {
  name: string
  version: string
  refine(unit: UnitText, signal: AbortSignal): Answer | Promise<Answer>
}

export function unitText(unit: Unit, terms: readonly Term[]): UnitText {
  const { key, source, target, sourceLanguage, targetLanguage, preserve, maxLength } = unit
  const numbers = numbersFor(source, target!)
  return {
    ...{ key, sourceLanguage, targetLanguage: targetLanguage ?? sourceLanguage, preserve, maxLength, terms },
    source: toMarked(source, numbers),
    target: toMarked(target!, numbers),
  }
}

/** The answer of an engine, if it keeps what must be kept. @throws Permanent `refinement-refused`: the unit stays as it is */
export async function answerFor(
  refiner: Refiner,
  unit: Unit,
  terms: readonly Term[],
  signal: AbortSignal,
): Promise<Answer> {
  const asked = unitText(unit, terms)
  const answer = await refiner.refine(asked, signal)
  if (answer.target === asked.target) return answer
  const said = readMarked(answer.target)
  const marks = readMarked(asked.target)!.marks.join(' ')
  if (said?.marks.join(' ') !== marks)
    throw refused(
      unit,
      tagsOf(unit.target!).length === 0
        ? 'it has inline elements that the unit has not'
        : 'its inline elements are not those of the unit',
    )
  const { targetLanguage, preserve, maxLength } = unit
  const texts = { source: unit.source.text, before: unit.target!.text, after: said.texts.join('') }
  const [fault] = textFaults({ ...texts, targetLanguage, preserve, maxLength })
  if (fault) throw refused(unit, fault.message)
  return answer
}

const refused = ({ key }: Unit, why: string) =>
  new Permanent(`What the engine made of ${key} is not taken: ${why}. The unit stays as it was.`, {
    code: 'refinement-refused',
  })

/** The engine that needs nothing from outside. */
export const ruleRefiner: Refiner = { name: 'rules', version: '1', refine: byRules }

function byRules({ source, target, terms, ...unit }: UnitText): Answer {
  const [from, to] = [masked(source), masked(target)]
  if (!from || !to) return { target, rules: [], notes: ['it has codes that are not whole, so no rule was applied'] }
  const made = applyRules({ ...unit, source: from.text, target: to.text, terms })
  const back = to.back(made.target)
  return back === null
    ? { target, rules: [], notes: made.notes }
    : { target: back, rules: made.rules, notes: made.notes }
}

/** Marked text in which each mark and each code is one character, and the way back. */
function masked(marked: string): { text: string; back: (text: string) => string | null } | null {
  const parts = readMarked(marked)
  if (!parts) return null
  const plain = parts.texts.join('')
  // Marks become characters of their own first; a code may then lie around one and hold it.
  const withMarks = parts.texts.reduce((made, text, i) => (i === 0 ? text : made + MARK + text), '')
  if (plain.includes(MARK)) return null
  const spans = [...withMarks.matchAll(new RegExp(MARK, 'g'))].map(({ index }): [number, number] => [index, index + 1])
  const hidden = maskCodes(withMarks, spans)
  if (!hidden) return null
  const back = (text: string) => {
    const whole = unmask(text, hidden.codes)
    const texts = whole?.split(MARK)
    if (texts?.length !== parts.texts.length) return null
    return texts.map((text, i) => (i === 0 ? '' : parts.marks[i - 1]!) + escapeMarks(text)).join('')
  }
  return { text: hidden.text, back }
}

const MARK = '\uF8FF'
