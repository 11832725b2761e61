// Markdown or plain text as blocks: headings, fenced code, tables, lists and paragraphs. What it does not know stays text.
import { type Block, BlockWriter } from './blocks.js'

const TABLE_RULE = /^\s*\|?\s*:?-{3,}:?\s*(\|\s*:?-{3,}:?\s*)*\|?\s*$/

export function fromMarkdown(markdown: string): Block[] {
  const writer = new BlockWriter()
  const lines = markdown.split(/\r?\n/)
  let paragraph: string[] = []
  const flush = () => {
    writer.text(paragraph.join(' '))
    paragraph = []
  }
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    const fence = /^\s*(```+|~~~+)/.exec(line)?.[1]
    const heading = /^(#{1,6})\s+(.*?)\s*#*\s*$/.exec(line)
    const item = /^\s*(?:[-*+]|\d+[.)])\s+(.*)$/.exec(line)
    if (fence) {
      flush()
      const end = lines.findIndex((other, index) => index > at && other.trim().startsWith(fence))
      writer.code(lines.slice(at + 1, end < 0 ? undefined : end).join('\n'))
      at = end < 0 ? lines.length : end
    } else if (heading) {
      flush()
      writer.heading(heading[1]!.length, plain(heading[2]!))
    } else if (line.includes('|') && TABLE_RULE.test(lines[at + 1] ?? '')) {
      flush()
      const rows = [cellsOf(line)]
      for (at += 2; at < lines.length && lines[at]!.includes('|'); at++) rows.push(cellsOf(lines[at]!))
      at--
      writer.table(rows)
    } else if (item) {
      flush()
      writer.text(plain(item[1]!), 'item')
    } else if (line.trim() === '') flush()
    else paragraph.push(plain(line))
  }
  flush()
  return writer.blocks
}

function cellsOf(line: string): string[] {
  const inner = line.trim().replace(/^\||\|$/g, '')
  return inner.split(/(?<!\\)\|/).map((cell) => plain(cell.replaceAll('\\|', '|').trim()))
}

/** Without the marks for bold, italics and links; inline code keeps its backticks. */
function plain(text: string): string {
  return text.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1').replace(/(\*\*|__)(.+?)\1/g, '$2')
}
