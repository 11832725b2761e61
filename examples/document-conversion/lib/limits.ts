// Engines that are sold work without a licence as well, for so many pages, and end well all the same. What they then print is
// known by its words. It must only be asked of such engines: a scan may hold these words itself.

const LIMITS: readonly RegExp[] = [
  /\b(?:evaluation|trial|demo(?:nstration)?|unlicen[sc]ed|unregistered)\s+(?:version|copy|edition|mode|software|licen[sc]e)\b/i,
  /\b(?:created|produced|recogni[sz]ed|generated|converted|processed)\s+(?:with|by|using)\b.{0,60}\b(?:evaluation|trial|demo|unlicen[sc]ed|unregistered)\b/is,
  /\b(?:evaluation|trial|demo)\b.{0,40}\b(?:limit(?:ed)?|only|expired|first\s+\d+\s+pages?)\b/is,
  /\b(?:buy|purchase|order|activate|register)\b.{0,40}\b(?:licen[sc]e|full\s+version)\b/is,
  /\bpages?\b.{0,30}\b(?:omitted|withheld|not\s+processed|limit\s+reached)\b.{0,60}\b(?:licen[sc]e|evaluation|trial|demo)\b/is,
]

/** The words that say so; null: it reads like a page. */
export function limitIn(text: string): string | null {
  // Watermarks are often set in spaced letters: `D E M O   V E R S I O N`.
  const spaced = text.replace(/(?<!\p{L})\p{Lu}(?: \p{Lu}){3,}(?!\p{L})/gu, (word) => word.replaceAll(' ', ''))
  for (const limit of LIMITS) {
    const said = limit.exec(text) ?? limit.exec(spaced)
    if (said) return said[0].replace(/\s+/g, ' ')
  }
  return null
}
