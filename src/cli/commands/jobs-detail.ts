/** `untildone jobs steps`, `tries`, `history` and `logs`: what happened inside one job. */
import { formatDuration } from '../../core/duration.js'
import type { WireAttempt, WireHistoryEntry, WireLog } from '../../core/wire.js'
import { type CommandSpec, jobId, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { type Column, table } from '../table.js'
import { ago, bytes, clean, cleanLines, paint } from '../text.js'

export const jobsSteps: CommandSpec = {
  usage: 'jobs steps <id>',
  summary: 'steps that are recorded and will not run again',
  examples: [['untildone jobs steps 7f3c91e2', 'what a new try may rely on']],
  async run(context, [text]) {
    const steps = await context.client.steps(await jobId(context, text), { signal: context.interrupted })
    const columns: Column[] = [
      { title: 'STEP', shrinkTo: 12, key: true },
      { title: 'KIND' },
      { title: 'TRY', align: 'right' },
      { title: 'TOOK', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'INFO', shrinkTo: 10 },
    ]
    const rows = steps.map((step) => [
      clean(step.name),
      step.kind,
      String(step.attempt),
      formatDuration(Date.parse(step.endedAt) - Date.parse(step.startedAt)),
      bytes(step.bytes),
      step.info === null ? '' : clean(JSON.stringify(step.info)),
    ])
    printList(context, steps, columns, rows, 'No step is recorded yet.')
  },
}

export const jobsTries: CommandSpec = {
  usage: 'jobs tries <id>',
  summary: 'every try, newest first, with what went wrong',
  examples: [['untildone jobs tries 7f3c91e2', 'the errors and the rule that judged each']],
  async run(context, [text]) {
    const id = await jobId(context, text)
    const tries = (await context.client.attempts(id, { signal: context.interrupted })).sort(
      (a, b) => b.attempt - a.attempt,
    )
    if (context.options.json) return context.printJson({ items: tries })
    if (context.options.ndjson) return printEach(context, tries)
    if (tries.length === 0) return context.say('Not tried yet.')
    if (context.options.quiet) return context.print(tries.map(({ attempt }) => attempt).join('\n'))
    const width = context.io.outIsTerminal ? context.io.columns() : null
    const narrow = width !== null && width < 50
    const columns: Column[] = [
      { title: 'TRY', align: 'right' },
      { title: 'ENDED' },
      { title: 'TOOK', align: 'right' },
      { title: 'NEXT', align: 'right' },
    ]
    if (!narrow) columns.push({ title: 'WORKER', shrinkTo: 6 })
    const rows = tries.map((one) => [
      String(one.attempt),
      ENDS[one.outcome] ?? clean(one.outcome),
      formatDuration(one.durationMs),
      one.retryInMs === null ? '' : `in ${formatDuration(one.retryInMs)}`,
      clean(one.workerId ?? ''),
    ])
    const [head, ...lines] = table(columns, rows, width).split('\n')
    // The reason is what one looks for, so it is never cut: it stands below its try.
    const whole = lines.flatMap((line, i) => [
      line,
      ...whyOf(tries[i]!).map((text) => `     ${context.outStyle.yellow(text)}`),
    ])
    context.print([head, ...whole].join('\n'))
  },
}

const ENDS: Record<WireAttempt['outcome'], string> = {
  running: 'running',
  ok: 'worked',
  error: 'did not work',
  lost: 'worker lost',
  released: 'given back',
  suspended: 'waiting',
  cancelled: 'cancelled',
}

function whyOf({ error, verdict, rule }: WireAttempt): string[] {
  if (!error) return []
  const judged = verdict ? [`${verdict}${rule ? `, by ${rule}` : ''}`] : []
  return [`${error.code}: ${error.message}`, ...judged].map(clean)
}

export const jobsHistory: CommandSpec = {
  usage: 'jobs history <id>',
  summary: 'every change of state, with who and why',
  examples: [['untildone jobs history 7f3c91e2 --ndjson', 'one entry per line, for audits']],
  async run(context, [text]) {
    const id = await jobId(context, text)
    const entries: WireHistoryEntry[] = []
    for await (const entry of context.client.history(id, { limit: 200, signal: context.interrupted }))
      entries.push(entry)
    const columns: Column[] = [
      { title: 'WHEN' },
      { title: 'STATUS' },
      { title: 'PHASE' },
      { title: 'EVENT' },
      { title: 'BY', shrinkTo: 8 },
      { title: 'WHY', shrinkTo: 12 },
    ]
    const rows = entries.map((entry) => [
      ago(entry.at, context.now()),
      paint(context.outStyle, entry.to.status),
      clean(entry.to.phase),
      clean(entry.event),
      clean(`${entry.actor.kind} ${entry.actor.name ?? entry.actor.id}`),
      clean(entry.reason ?? (entry.cause ? `${entry.cause.code}: ${entry.cause.message}` : '')),
    ])
    const seqs = entries.map(({ seq }) => `${seq}`)
    printList(context, entries, columns, rows, 'No history.', seqs)
  },
}

export const jobsLogs: CommandSpec = {
  usage: 'jobs logs <id>',
  summary: 'what the job wrote to its log',
  options: [{ flags: '--try <n>', text: 'only of this try', parse: wholeNumber(1, 1_000_000) }],
  examples: [['untildone jobs logs 7f3c91e2 --try 2', 'one try only']],
  async run(context, [text], options) {
    const id = await jobId(context, text)
    const lines: WireLog[] = []
    for await (const line of context.client.logs(id, { limit: 200, signal: context.interrupted })) {
      if (options.try === undefined || line.attempt === options.try) lines.push(line)
    }
    if (context.options.json) return context.printJson({ items: lines })
    if (context.options.ndjson) return printEach(context, lines)
    if (lines.length === 0) return context.say('Nothing was logged.')
    for (const line of lines) {
      const data = line.data === null ? '' : `  ${clean(JSON.stringify(line.data))}`
      context.print(`${line.at}  try ${line.attempt}  ${line.level.padEnd(5)}  ${cleanLines(line.message)}${data}`)
    }
  },
}

function printEach(context: Context, items: readonly unknown[]): void {
  for (const item of items) context.io.out(`${JSON.stringify(item)}\n`)
}

/**
 * A list as a table, as JSON in either form, or with --quiet as `ids` alone; `empty` when there is nothing.
 * @param ids what names each of them; the column marked as key unless given
 */
export function printList(
  context: Context,
  items: readonly unknown[],
  columns: Column[],
  rows: string[][],
  empty: string,
  ids: string[] = keysOf(columns, rows),
): void {
  if (context.options.json) {
    context.printJson({ items })
    return
  }
  if (context.options.ndjson) {
    printEach(context, items)
    return
  }
  if (rows.length === 0) {
    context.say(empty)
    return
  }
  if (context.options.quiet) {
    context.print(ids.join('\n'))
    return
  }
  context.print(table(columns, rows, context.io.outIsTerminal ? context.io.columns() : null))
}

function keysOf(columns: readonly Column[], rows: readonly string[][]): string[] {
  const at = columns.findIndex(({ key }) => key)
  return rows.map((row) => row[at]!)
}
