/** The story of a type as Markdown: a drawing of its way, its chapters, and what each voice hears. Pure. */
import type { WireTypeStep, WireTypeStory } from '../../core/wire-type-story.js'
import { escaped } from './text.js'

export function typeStoryMarkdown(story: WireTypeStory): string {
  const { type, version, title, description, source, sections, voices, unknown, findings } = story
  const parts = [
    `# ${escaped(title ?? type)}`,
    [`The story of \`${type}\`${version === null ? '' : `, version ${version}`}.`, source.text, description]
      .filter(Boolean)
      .map((text) => text!)
      .join(' '),
    drawing(story),
    ...sections.slice(0, -1).map(chapter),
    `## What each voice hears\n\n${table(voices)}`,
    ...sections.slice(-1).map(chapter),
    `## Unknown\n\n${bullets(unknown)}`,
    ...(findings.length > 0 ? [`## To mend\n\n${bullets(findings.map(({ text, fix }) => `${text} ${fix}`))}`] : []),
  ]
  return `${parts.join('\n\n')}\n`
}

/** Names and code of a line stand in quotes; in Markdown they are code. */
function line(text: string): string {
  const parts = text.split(/("[^"]+")/)
  return parts
    .map((part, i) => (i % 2 === 1 ? `\`${part.slice(1, -1).replaceAll('`', "'")}\`` : escaped(part)))
    .join('')
}

function bullets(lines: readonly string[]): string {
  return lines.map((text) => `- ${line(text)}`).join('\n')
}

function chapter({ title, lines }: WireTypeStory['sections'][number]): string {
  return `## ${title}\n\n${bullets(lines)}`
}

function table(voices: WireTypeStory['voices']): string {
  const row = (cells: readonly string[]) => `| ${cells.map(escaped).join(' | ')} |`
  return [
    row(['Point', 'Caller', 'End user', 'Support', 'Operator']),
    '| --- | --- | --- | --- | --- |',
    ...voices.map(({ point, caller, endUser, support, operator }) => row([point, caller, endUser, support, operator])),
  ].join('\n')
}

const MARKS: Record<string, [string, string]> = {
  approval: ['{{', '}}'],
  signal: ['([', '])'],
  callback: ['([', '])'],
  timer: ['([', '])'],
  child: ['[[', ']]'],
  read: ['[/', '/]'],
}

function drawing({ steps, sections }: WireTypeStory): string {
  const known = sections.find(({ id }) => id === 'stages') !== undefined && steps.length > 0
  const lines = ['flowchart TD', '  intake["Intake: input checked"] --> write[("Durable write, then 202")]']
  let before = 'write'
  const open: string[] = []
  let n = 0
  const node = (step: WireTypeStep): string => {
    const [left, right] = MARKS[step.kind] ?? ['["', '"]']
    const inner = left === '["' ? text(step) : `"${text(step)}"`
    return `s${++n}${left}${inner}${right}`
  }
  const shown = steps.filter(({ kind, key }) => kind !== 'stage' && kind !== 'decision' && !insideFirst(key, steps))
  let stage: string | null = null
  const edges: string[] = []
  for (const step of shown) {
    if (step.stage !== stage) {
      if (stage !== null) open.push('  end')
      if (step.stage !== null)
        open.push(`  subgraph stage_${open.length}["Stage ${safe(step.stage)}, queue ${safe(step.queue)}"]`)
      stage = step.stage
    }
    open.push(`  ${stage === null ? '' : '  '}${node(step)}`)
    edges.push(`  ${before} --> s${n}`)
    before = `s${n}`
  }
  if (stage !== null) open.push('  end')
  if (!known) {
    open.push('  steps["Steps: unknown"]')
    edges.push('  write --> steps')
    before = 'steps'
  }
  lines.push(...open, ...edges, `  ${before} --> verify["Result checked"] --> completed(["completed"])`)
  lines.push(
    `  ${before} -. "permanent, or given up" .-> failed(["failed"])`,
    `  ${before} -. "on request" .-> cancelled(["cancelled"])`,
  )
  return `\`\`\`mermaid\n${lines.join('\n')}\n\`\`\``
}

/** What engines do is written on the choice between them. */
function insideFirst(key: string, steps: readonly WireTypeStep[]): boolean {
  return steps.some((step) => step.kind === 'first' && key.startsWith(`${step.key}/`))
}

function text({ key, kind, times, effect, before, undo, engines, of, stage }: WireTypeStep): string {
  const name = stage !== null && key.startsWith(`${stage}/`) ? key.slice(stage.length + 1) : key
  const more = [
    engines && engines.length > 1 ? `first of ${engines.join(', ')}` : null,
    kind === 'step' || kind === 'first' ? null : kind === 'approval' ? 'approval' : `${kind}${of ? ` ${of}` : ''}`,
    times > 1 ? `${times} in this run` : null,
    before ? 'guarded' : null,
    effect === 'once' ? 'once' : null,
    undo ? 'undo' : null,
  ].filter((part) => part !== null)
  return safe(more.length > 0 ? `${name}: ${more.join(', ')}` : name)
}

const safe = (label: string): string => label.replace(/["[\]{}<>|`]/g, ' ')
