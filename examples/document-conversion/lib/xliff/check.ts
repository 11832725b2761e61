// What a changed target must still have. Asked of every engine's answer before it is taken, and of the whole file before it
// is handed out. It must never pass judgement on wording.
import { maskCodes } from './codes.js'
import type { Tag } from './content.js'
import { hasForms, readIcu } from './icu.js'
import { foreign } from './language.js'

export interface Fault {
  code: string
  message: string
}
export interface Texts {
  source: string
  before: string
  after: string
  targetLanguage: string | null
  preserve: boolean
  maxLength: number | null
}

const BIDI = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/g
/** C1 controls, noncharacters, the sign for what could not be read, and marks of other programs. */
const CONTROL = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u0084\u0086-\u009F\uFFFD\uFFFE\uFFFF\uFFF9-\uFFFB]/g

/** Faults that the change brought; what was wrong before is not its fault. */
export function textFaults(texts: Texts): Fault[] {
  const { source, before, after, targetLanguage, preserve, maxLength } = texts
  const faults: Fault[] = []
  const add = (code: string, message: string) => faults.push({ code, message })
  if (after.trim() === '' && before.trim() !== '') return [{ code: 'target-empty', message: 'the translation is gone' }]
  if (newOnes(CONTROL, before, after))
    add('control-character', `there is a control character in it: ${shown(newOnes(CONTROL, before, after)!)}`)
  if (sequence(BIDI, before) !== sequence(BIDI, after))
    add('bidi-mark-lost', 'the marks for the direction of writing are not those of before')
  faults.push(...formFaults(before, after))
  // Where the forms are not those of before, all else differs with them.
  const sameForms = !faults.some(({ code }) => code === 'plural-form-lost')
  if (sameForms) faults.push(...codeFaults(source, before, after))
  if (preserve && sequence(/\s+/g, before) !== sequence(/\s+/g, after))
    add('space-changed', 'white space that means something is not that of before')
  if (sameForms && digits(before) !== digits(after)) add('number-changed', 'the numbers in it are not those of before')
  if (targetLanguage !== null) {
    const strange = foreign(after, targetLanguage)
    if (strange && !foreign(before, targetLanguage)) add('wrong-language', strange)
    else if (after !== before && after === source && before !== source && /\p{L}{2}/u.test(after))
      add('wrong-language', 'the translation has become the source again')
  }
  if (maxLength !== null && [...after].length > maxLength && [...before].length <= maxLength)
    add('too-long', `it has ${[...after].length} characters; ${maxLength} are allowed`)
  return faults
}

function formFaults(before: string, after: string): Fault[] {
  if (!hasForms(before))
    return hasForms(after) ? [{ code: 'placeholder-changed', message: 'plural forms have come into it' }] : []
  const [old, now] = [readIcu(before), readIcu(after)]
  if (!old)
    return before === after
      ? []
      : [{ code: 'plural-form-lost', message: 'its plural forms were not whole, so it may not be changed' }]
  if (!now) return [{ code: 'plural-form-lost', message: 'its plural forms are no longer whole' }]
  const told = ({ arguments: all }: NonNullable<typeof old>) =>
    all.map(({ name, kind, forms }) => `${name}, ${kind}: ${forms.join(' ')}`)
  const lost = told(old).find((line, index) => told(now)[index] !== line)
  return lost || told(old).length !== told(now).length
    ? [{ code: 'plural-form-lost', message: `the forms "${lost ?? told(now).at(-1)}" are not those of before` }]
    : []
}

/** Codes may stand in the order of before or in that of the source, and in no other: they may not be told apart by name. */
function codeFaults(source: string, before: string, after: string): Fault[] {
  const codes = (text: string) => maskCodes(text)?.codes.filter((code) => !/^[\uE000-\uF8FF]$/.test(code)) ?? []
  const [old, now] = [codes(before), codes(after)]
  if (old.join('\0') === now.join('\0')) return []
  const lost = difference(old, now)
  const added = difference(now, old)
  if (lost.length > 0) return [{ code: 'placeholder-lost', message: `${lost.join(' ')} is gone` }]
  if (added.length > 0) return [{ code: 'placeholder-changed', message: `${added.join(' ')} has come into it` }]
  if (codes(source).join('\0') === now.join('\0')) return []
  return [
    {
      code: 'placeholder-order',
      message: `${now.join(' ')} stand in another order than before and than in the source`,
    },
  ]
}

/** The same for inline elements, and that what opens and closes as two elements still does so. */
export function tagFaults(before: readonly Tag[], after: readonly Tag[], source: readonly Tag[]): Fault[] {
  const told = (tags: readonly Tag[]) => tags.map(({ role, raw }) => (role === 'close' ? '</>' : raw))
  const [old, now] = [told(before), told(after)]
  const nesting = pairFault(after)
  if (nesting && !pairFault(before)) return [{ code: 'tag-nesting', message: nesting }]
  if (old.join('\0') === now.join('\0')) return []
  const lost = difference(old, now)
  const added = difference(now, old)
  if (lost.length > 0 && added.length > 0)
    return [{ code: 'tag-changed', message: `${lost[0]} has become ${added[0]}` }]
  if (lost.length > 0) return [{ code: 'tag-lost', message: `${lost.join(' ')} is gone` }]
  if (added.length > 0) return [{ code: 'tag-added', message: `${added.join(' ')} has come into it` }]
  const keys = (tags: readonly Tag[]) => tags.map(({ role, key }) => `${role} ${key}`).join('\0')
  if (keys(source) === keys(after)) return []
  return [{ code: 'tag-order', message: 'inline elements stand in another order than before and than in the source' }]
}

function pairFault(tags: readonly Tag[]): string | null {
  const open = new Set<string>()
  const starts = new Set(tags.flatMap(({ pair }) => (pair?.startsWith('start:') ? [pair.slice(6)] : [])))
  for (const { pair, raw } of tags) {
    if (pair?.startsWith('start:')) open.add(pair.slice(6))
    // Its start may lie in another segment.
    else if (pair && starts.has(pair.slice(4)) && !open.delete(pair.slice(4))) return `${raw} stands before its start`
  }
  return null
}

/** How often each stands in `a` beyond those in `b`. */
function difference(a: readonly string[], b: readonly string[]): string[] {
  const left = [...b]
  return a.filter((item) => {
    const at = left.indexOf(item)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

const sequence = (pattern: RegExp, text: string) => (text.match(pattern) ?? []).join('')
/** Separators differ by language and may be put right; the digits may not change. */
const digits = (text: string) => ((maskCodes(text)?.text ?? text).match(/\p{Nd}+/gu) ?? []).join('')
const newOnes = (pattern: RegExp, before: string, after: string) =>
  difference(after.match(pattern) ?? [], before.match(pattern) ?? [])[0] ?? null
const shown = (c: string) => `U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`
