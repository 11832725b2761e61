// A long text in pieces that can be read by themselves. They overlap, so that nothing that lies across a border is missed, and
// each knows its place in the whole. Every character must be in at least one of them.

export interface Chunk {
  start: number
  end: number
}

const SIZE = 6000
const OVERLAP = 600

/** Ends where a paragraph, a line, a sentence or a word ends, whichever is found first near the full size. */
export function chunksOf(text: string, size = SIZE, overlap = OVERLAP): Chunk[] {
  const chunks: Chunk[] = []
  for (let start = 0; start < text.length || chunks.length === 0; ) {
    const end = text.length - start <= size ? text.length : cutBefore(text, start + Math.floor(size / 2), start + size)
    chunks.push({ start, end })
    if (end >= text.length) break
    // Never so far back that the next one would be this one again.
    start = Math.max(start + 1, cutBefore(text, Math.max(start + 1, end - overlap), end - Math.floor(overlap / 2)))
  }
  return chunks
}

function cutBefore(text: string, least: number, most: number): number {
  for (const border of ['\f', '\n\n', '\n', '. ', ' ']) {
    const at = text.lastIndexOf(border, most - border.length)
    if (at >= least) return at + border.length
  }
  return /[\uDC00-\uDFFF]/.test(text[most] ?? '') ? most - 1 : most
}

/** Where pages begin: a form feed stands between them, as in what `ocr.convert` gives. */
export function pageStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\f'); at >= 0; at = text.indexOf('\f', at + 1)) starts.push(at + 1)
  return starts
}

/** Counted from 1. */
export function pageAt(starts: readonly number[], offset: number): number {
  let low = 0
  for (let high = starts.length; high - low > 1; ) {
    const middle = (low + high) >> 1
    if (starts[middle]! <= offset) low = middle
    else high = middle
  }
  return low + 1
}
