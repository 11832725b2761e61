// What was found in the chunks, as fields of the document. Every field has its citations; where chunks contradict each other
// the choice is made by rule, and what was not chosen is told. It must never drop a contradiction in silence.
import { Permanent } from 'untildone'
import { type Chunk, pageAt } from './chunks.js'
import { type ChunkFacts, FIELDS, type Field, SINGLE } from './facts.js'

export interface Citation {
  page: number
  /** Place in the whole text, in UTF-16 units. */
  start: number
  end: number
  quote: string
}
export interface FieldValue {
  field: Field
  value: string
  citations: Citation[]
}
/** Why a value was chosen: it has a label, it stands there more often, or it stands there first. */
export type ChosenBy = 'labelled' | 'more-often' | 'first'
export interface Conflict {
  field: Field
  chosen: string
  by: ChosenBy
  others: { value: string; citations: Citation[] }[]
}

interface Candidate extends FieldValue {
  labelled: boolean
}

export function mergeFacts(
  chunks: readonly Chunk[],
  facts: readonly (ChunkFacts | null)[],
  pages: readonly number[],
): { fields: FieldValue[]; conflicts: Conflict[] } {
  const candidates = new Map<string, Candidate>()
  for (const { field, value, labelled, citation } of placed(chunks, facts, pages)) {
    const key = `${field} ${value}`
    const candidate = candidates.get(key) ?? { field, value, labelled: false, citations: [] }
    candidates.set(key, candidate)
    candidate.labelled ||= labelled
    // Chunks overlap, so the same place is found twice.
    if (!candidate.citations.some((other) => overlap(other, citation))) candidate.citations.push(citation)
  }
  const all = [...candidates.values()]
  for (const { citations } of all) citations.sort((a, b) => a.start - b.start)
  const fields: FieldValue[] = []
  const conflicts: Conflict[] = []
  for (const field of FIELDS) {
    const [best, ...others] = all.filter((candidate) => candidate.field === field).sort(better)
    if (!best) continue
    if (!(SINGLE as readonly string[]).includes(field)) {
      fields.push(...[best, ...others].sort((a, b) => a.citations[0]!.start - b.citations[0]!.start).map(plain))
      continue
    }
    fields.push(plain(best))
    if (others.length > 0)
      conflicts.push({
        field,
        chosen: best.value,
        by: chosenBy(best, others[0]!),
        others: others.map(({ value, citations }) => ({ value, citations })),
      })
  }
  return { fields, conflicts }
}

interface Placed {
  field: Field
  value: string
  labelled: boolean
  chunk: number
  citation: Citation
}

/** What was found, in the order of the text; without what a chunk saw only the half of because it ends or begins there. */
function placed(chunks: readonly Chunk[], facts: readonly (ChunkFacts | null)[], pages: readonly number[]): Placed[] {
  const all = chunks.flatMap((chunk, index) =>
    (facts[index]?.found ?? []).map(({ field, value, at, quote, labelled }): Placed => {
      const start = chunk.start + at
      const citation = { page: pageAt(pages, start), start, end: start + quote.length, quote }
      return { field, value, labelled, chunk: index, citation }
    }),
  )
  const whole: Placed[] = []
  const last = new Map<Field, number>()
  for (const found of all.sort((a, b) => a.citation.start - b.citation.start || b.citation.end - a.citation.end)) {
    const before = last.get(found.field)
    const other = before === undefined ? undefined : whole[before]
    const rivals =
      other && other.chunk !== found.chunk && other.value !== found.value && overlap(other.citation, found.citation)
    if (rivals && found.citation.quote.length <= other.citation.quote.length) continue
    if (rivals) whole[before!] = found
    else last.set(found.field, whole.push(found) - 1)
  }
  return whole
}

const overlap = (a: Citation, b: Citation) => a.start < b.end && b.start < a.end

const plain = ({ field, value, citations }: Candidate): FieldValue => ({ field, value, citations })

function better(a: Candidate, b: Candidate): number {
  return (
    Number(b.labelled) - Number(a.labelled) ||
    b.citations.length - a.citations.length ||
    a.citations[0]!.start - b.citations[0]!.start
  )
}

function chosenBy(best: Candidate, next: Candidate): ChosenBy {
  if (best.labelled !== next.labelled) return 'labelled'
  return best.citations.length > next.citations.length ? 'more-often' : 'first'
}

/** @throws Permanent `citation-wrong` unless every quote stands in the text where it is said to */
export function checkCitations(
  text: string,
  pages: readonly number[],
  values: readonly { citations: Citation[] }[],
): void {
  for (const { page, start, end, quote } of values.flatMap(({ citations }) => citations)) {
    if (text.slice(start, end) !== quote || pageAt(pages, start) !== page)
      throw new Permanent(`"${quote}" does not stand at ${start} on page ${page}.`, { code: 'citation-wrong' })
  }
}
