// What Tesseract prints as a table, as lines of text. It must never lose a word of the table.

/** @param {string} tsv @returns {{ text: string, confidence: number }} */
export function readTsv(tsv) {
  let text = ''
  let place = ''
  let sum = 0
  let words = 0
  for (const line of tsv.split('\n')) {
    const [level, , block, paragraph, row, , , , , , confidence, ...said] = line.split('\t')
    const word = said.join('\t').trim()
    if (level !== '5' || !word) continue
    const now = `${block} ${paragraph}`
    const [before, lineBefore] = place.split('|')
    if (text) text += before !== now ? '\n\n' : lineBefore !== row ? '\n' : ' '
    text += word
    place = `${now}|${row}`
    sum += Math.max(0, Number(confidence) || 0)
    words += 1
  }
  return { text: text.replace(/\f/g, ''), confidence: words ? Math.round((sum / words) * 100) / 100 : 0 }
}
