// From a file and what was said of its units to the refined file. Where nothing was said the file stays byte for byte as it
// is; the result is verified beside the original before anybody gets it.
import { Permanent } from 'untildone'
import { readText, writeText } from './bytes.js'
import { applyEdits, editsFor, numbersFor } from './content.js'
import { readXliff, type Unit, type Xliff } from './document.js'
import { type Finding, verifyXliff } from './verify.js'

const MOST_BYTES = 64 * 1024 * 1024

export interface OpenXliff {
  document: Xliff
  /** By its key. */
  unit(key: string): Unit
  write(xml: string): Buffer
}

/** @throws Permanent with the code that says what is wrong with the file */
export function openXliff(bytes: Uint8Array): OpenXliff {
  if (bytes.length > MOST_BYTES)
    throw new Permanent(`The file has ${bytes.length} bytes; ${MOST_BYTES} are taken.`, { code: 'xliff-too-large' })
  const { text, encoding } = readText(bytes)
  const document = readXliff(text)
  const units = new Map(document.units.map((unit) => [unit.key, unit]))
  return { document, unit: (key) => units.get(key)!, write: (xml) => writeText(xml, encoding) }
}

/** Why a unit is left alone; null: it is refined. */
export function leftAlone({ target, translate, final, targetLanguage }: Unit): 'untranslated' | 'locked' | null {
  if (!translate || final) return 'locked'
  return target === null || target.text.trim() === '' || targetLanguage === null ? 'untranslated' : null
}

/**
 * The file with these targets, as marked text by the key of their units.
 * @throws Permanent `refinement-damaged` when the result is not what a refinement may make
 */
export function refined({ xml, units, newline }: Xliff, targets: ReadonlyMap<string, string>): string {
  const edits = units.flatMap((unit) => {
    const marked = targets.get(unit.key)
    if (marked === undefined || !unit.target) return []
    return editsFor(unit.target, marked, numbersFor(unit.source, unit.target), newline) ?? damaged(unit.key)
  })
  const made = applyEdits(xml, edits)
  const [finding] = verifyXliff(xml, made)
  return finding ? damaged(finding.unit, finding) : made
}

function damaged(unit: string | null, finding?: Finding): never {
  const where = unit === null ? 'The refined file' : `Unit ${unit} of the refined file`
  throw new Permanent(
    `${where} is not a refinement of the one that was sent: ${finding?.message ?? 'its inline elements differ'}.`,
    {
      code: 'refinement-damaged',
      details: finding ? { ...finding } : {},
    },
  )
}
