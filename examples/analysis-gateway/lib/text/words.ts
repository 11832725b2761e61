// Words and sentences, by the rules of Unicode, so that languages without spaces have words as well.

const words = new Intl.Segmenter(undefined, { granularity: 'word' })
const sentences = new Intl.Segmenter(undefined, { granularity: 'sentence' })

/** After these a full stop ends no sentence. */
const ABBREVIATION =
  /(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nr|Inc|Ltd|Co|Corp|vs|etc|approx|e\.g|i\.e|z\.B|bzw|ca|\p{Lu})\.\s*$/u

/** The segmenter takes time with the square of what it is given, so a sentence without an end is given in pieces. */
const PIECE = 500

export function wordsOf(text: string): string[] {
  const pieces = text.length > PIECE ? partsOf(text, PIECE) : [text]
  return pieces.flatMap((piece) =>
    Array.from(words.segment(piece), ({ segment, isWordLike }) => (isWordLike ? segment : '')).filter(Boolean),
  )
}

export function sentencesOf(text: string): string[] {
  const found: string[] = []
  let open = ''
  for (const { segment } of sentences.segment(text)) {
    open += segment
    if (ABBREVIATION.test(open.slice(-12))) continue
    found.push(open)
    open = ''
  }
  if (open !== '') found.push(open)
  return found.map((sentence) => sentence.trim()).filter((sentence) => /[\p{L}\p{N}]/u.test(sentence))
}

export const paragraphsOf = (text: string) => text.split(/\n\s*\n/).filter((part) => /\S/.test(part))

/**
 * A text in parts of about `size` characters, cut between paragraphs where that is possible, else between words. Joined
 * they are the text.
 */
export function partsOf(text: string, size: number): string[] {
  const parts: string[] = []
  let from = 0
  while (text.length - from > size) {
    const piece = text.slice(from, from + size)
    const cut = [piece.lastIndexOf('\n\n'), piece.lastIndexOf('\n'), piece.lastIndexOf(' ')].find((at) => at > size / 2)
    // Not between the halves of a character.
    const hard = /[\uD800-\uDBFF]$/.test(piece) ? size - 1 : size
    const length = cut === undefined ? hard : cut + 1
    parts.push(text.slice(from, from + length))
    from += length
  }
  parts.push(text.slice(from))
  return parts
}

/** Lets others have a turn: a long text must not hold up those who ask for the status. */
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
