// The last look at a refined file, beside the file that it was made of: nothing but the inside of targets may differ, and
// there nothing but wording. It reads both files anew and must never trust what the refinement says of itself.
import { Permanent } from 'untildone'
import { type Fault, tagFaults, textFaults } from './check.js'
import { tagsOf } from './content.js'
import { readXliff, type Unit, type Xliff } from './document.js'

export interface Finding extends Fault {
  /** Key of the unit; null where it is about the file. */
  unit: string | null
}

/** All that is wrong with `after`, taken as a refinement of `before`. Empty: it may be handed out. */
export function verifyXliff(before: string, after: string): Finding[] {
  const old = readXliff(before)
  let now: Xliff
  try {
    now = readXliff(after)
  } catch (error) {
    if (!(error instanceof Permanent)) throw error
    return [{ unit: null, code: error.code ?? 'xliff-invalid', message: error.message }]
  }
  const findings: Finding[] = []
  const add = (unit: string | null, code: string, message: string) => findings.push({ unit, code, message })
  const found = new Map(now.units.map((unit) => [unit.key, unit]))
  for (const unit of old.units) {
    const other = found.get(unit.key)
    found.delete(unit.key)
    if (other) findings.push(...unitFindings(old, unit, now, other))
    else add(unit.key, unit.plural === null ? 'unit-lost' : 'plural-form-lost', `unit ${unit.key} is gone`)
  }
  for (const key of found.keys()) add(key, 'unit-added', `unit ${key} was not there before`)
  if (findings.length === 0 && frameOf(old) !== frameOf(now))
    add(null, 'frame-changed', 'something outside of the translations has changed')
  return findings
}

function unitFindings(old: Xliff, unit: Unit, now: Xliff, other: Unit): Finding[] {
  const finding = (code: string, message: string): Finding => ({ unit: unit.key, code, message })
  if (unit.sourceLanguage !== other.sourceLanguage || unit.targetLanguage !== other.targetLanguage)
    return [
      finding(
        'language-changed',
        `${unit.sourceLanguage} to ${unit.targetLanguage} has become ${other.sourceLanguage} to ${other.targetLanguage}`,
      ),
    ]
  if (rawOf(old, unit.source) !== rawOf(now, other.source))
    return [finding('source-changed', 'the source is another one')]
  if (!unit.target && !other.target) return []
  if (!other.target)
    return [finding(unit.plural === null ? 'target-lost' : 'plural-form-lost', 'the translation is gone')]
  if (!unit.target) return [finding('target-added', 'there was no translation before')]
  if (rawOf(old, unit.target) === rawOf(now, other.target)) return []
  if (!unit.translate || unit.final)
    return [finding('locked-unit-changed', 'it may not be translated, or is signed off')]
  const { targetLanguage, preserve, maxLength } = unit
  const texts = { source: unit.source.text, before: unit.target.text, after: other.target.text }
  const faults = [
    ...tagFaults(tagsOf(unit.target), tagsOf(other.target), tagsOf(unit.source)),
    ...textFaults({ ...texts, targetLanguage, preserve, maxLength }),
  ]
  return faults.map(({ code, message }) =>
    finding(unit.plural !== null && code === 'target-empty' ? 'plural-form-lost' : code, message),
  )
}

const rawOf = ({ xml }: Xliff, { start, end }: { start: number; end: number }) => xml.slice(start, end)

/** The file without the inside of its targets. */
function frameOf({ xml, units }: Xliff): string {
  let at = 0
  let frame = ''
  for (const { target } of units) {
    if (!target) continue
    frame += xml.slice(at, target.start) + '\0'
    at = target.end
  }
  return frame + xml.slice(at)
}
