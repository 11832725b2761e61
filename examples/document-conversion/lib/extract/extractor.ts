// What reads a chunk: a part that can be exchanged. Whatever it says is checked here before it is recorded: the form of every
// value, and that its quote stands in the chunk at the place that it names.
import { Permanent } from 'untildone'
import { type ChunkFacts, chunkFacts } from './facts.js'

export interface ReadOptions {
  /** How `03/04/2026` is to be read; null where nobody can tell. */
  dayFirst: boolean | null
}
export interface Extractor {
  name: string
  version: string
  extract(text: string, options: ReadOptions, signal: AbortSignal): unknown
}

/** @throws Permanent `chunk-invalid`, `citation-wrong`: what was said of the chunk cannot be used */
export async function factsOf(
  extractor: Extractor,
  text: string,
  options: ReadOptions,
  signal: AbortSignal,
): Promise<ChunkFacts> {
  const checked = chunkFacts.safeParse(await extractor.extract(text, options, signal))
  if (!checked.success) {
    const [issue] = checked.error.issues
    throw new Permanent(`What was said of the chunk does not fit: ${issue?.path.join('.')} ${issue?.message}.`, {
      code: 'chunk-invalid',
    })
  }
  const wrong = checked.data.found.find(({ at, quote }) => text.slice(at, at + quote.length) !== quote)
  if (wrong) throw new Permanent(`"${wrong.quote}" does not stand where it is said to.`, { code: 'citation-wrong' })
  return checked.data
}
