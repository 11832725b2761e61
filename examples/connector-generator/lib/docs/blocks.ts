// Documentation as blocks: the one form in which HTML, Markdown and plain text are kept, cut into chunks and searched.
// A block knows the headings above it, because those say what a table is about.

export type Block = {
  /** Headings above it, outermost first. */
  path: string[]
} & (
  | { kind: 'text'; text: string }
  | { kind: 'item'; text: string }
  | { kind: 'code'; text: string }
  /** The first row is the header. */
  | { kind: 'table'; rows: string[][] }
)

/** Collects blocks below the headings that were seen. Inline code keeps its backticks in all texts. */
export class BlockWriter {
  readonly blocks: Block[] = []
  private headings: { level: number; text: string }[] = []

  heading(level: number, text: string): void {
    const name = squeeze(text)
    if (name === '') return
    this.headings = [...this.headings.filter((heading) => heading.level < level), { level, text: name }]
  }

  text(text: string, kind: 'text' | 'item' = 'text'): void {
    const squeezed = squeeze(text)
    if (squeezed !== '') this.blocks.push({ kind, path: this.path, text: squeezed })
  }

  code(text: string): void {
    const trimmed = text.replace(/^\n+|\s+$/g, '')
    if (trimmed !== '') this.blocks.push({ kind: 'code', path: this.path, text: trimmed })
  }

  table(rows: string[][]): void {
    const clean = rows.map((row) => row.map(squeeze)).filter((row) => row.some((cell) => cell !== ''))
    if (clean.length > 1) this.blocks.push({ kind: 'table', path: this.path, rows: clean })
  }

  private get path(): string[] {
    return this.headings.map((heading) => heading.text)
  }
}

/** As Markdown, for people and for language models. */
export function toMarkdown(blocks: readonly Block[]): string {
  const out: string[] = []
  let shown: string[] = []
  for (const block of blocks) {
    for (const [depth, heading] of block.path.entries())
      if (heading !== shown[depth] || depth >= shown.length) {
        out.push(`${'#'.repeat(depth + 1)} ${heading}`)
        shown = block.path.slice(0, depth + 1)
      }
    shown = block.path
    out.push(block.kind === 'table' ? tableOf(block.rows) : markdownOf(block.kind, block.text))
  }
  return out.join('\n\n')
}

function markdownOf(kind: 'text' | 'item' | 'code', text: string): string {
  return kind === 'code' ? `\`\`\`\n${text}\n\`\`\`` : kind === 'item' ? `- ${text}` : text
}

function tableOf([header = [], ...rows]: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}

function squeeze(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}
