/** `untildone jobs list`: recent jobs, newest first. */
import type { BulkFilter } from '../../client/index.js'
import { ORIGINS, STATUSES, type Status } from '../../core/job.js'
import type { WireJob } from '../../core/wire.js'
import { type CommandOption, type CommandSpec, duration, list, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { CliError } from '../failure.js'
import { type Column, table } from '../table.js'
import { ago, clean, paint } from '../text.js'

const COLUMNS: Column[] = [
  { title: 'STATUS' },
  { title: 'ID', key: true },
  { title: 'TYPE', shrinkTo: 8 },
  { title: 'CHANGED' },
  { title: 'WHAT', shrinkTo: 10 },
]

/** What the same thing is called elsewhere. */
const OTHER_WORDS: Record<string, Status> = {
  queued: 'accepted',
  waiting: 'accepted',
  running: 'processing',
  active: 'processing',
  retrying: 'processing',
  finished: 'completed',
  succeeded: 'completed',
  canceled: 'cancelled',
}

/** What finds jobs, in the list and for bulk operations. */
export const FILTERS: readonly CommandOption[] = [
  { flags: '--status <words>', text: STATUSES.join(', '), parse: list },
  { flags: '--type <names>', text: 'exact, or a beginning that ends in *', parse: list },
  { flags: '--group <id>', text: 'jobs of one group' },
  { flags: '--operation <key>', text: 'jobs of one business operation' },
  { flags: '--tag <tag>', text: 'jobs with this tag' },
  { flags: '--schedule <id>', text: 'jobs that this schedule made' },
  { flags: '--since <duration>', text: 'changed within, e.g. 1h', parse: duration },
  { flags: '--late', text: 'only those that take longer than usual' },
  { flags: '--needs-attention', text: 'blocked, late, or failed without a resolution' },
  { flags: '--origin <word>', text: `a try did not work for this: ${ORIGINS.join(', ')}` },
  { flags: '--model <name>', text: 'this model decided something' },
  { flags: '--model-version <text>', text: 'in this version' },
  { flags: '--tool <name>', text: 'with this tool' },
]

/** @throws CliError for a word that is no status */
export function filterOf(context: Context, options: Record<string, any>): BulkFilter {
  const wrong = (options.status ?? []).find((word: string) => !STATUSES.includes(word as Status))
  if (wrong) {
    const ours = OTHER_WORDS[wrong]
    const fix = ours ? `It is called ${ours} here.` : `Use some of ${STATUSES.join(', ')}.`
    throw new CliError('usage', `"${wrong}" is not a status.`, { fix })
  }
  const { status, type, group, operation, tag, schedule, since, late, needsAttention } = options
  const { origin, model, modelVersion, tool } = options
  return {
    ...{ status, type, group, operationKey: operation, tag, schedule, late, needsAttention },
    ...{ origin, model, modelVersion, tool },
    updatedAfter: since === undefined ? undefined : new Date(context.now() - since),
  }
}

export const jobsList: CommandSpec = {
  usage: 'jobs list',
  summary: 'list jobs, newest first',
  options: [...FILTERS, { flags: '--limit <n>', text: 'how many (default 20)', parse: wholeNumber(1, 1_000_000) }],
  examples: [
    ['untildone jobs list', 'the latest 20'],
    ['untildone jobs list --status failed,blocked --since 1d', 'what went wrong since yesterday'],
    ['untildone jobs list --type "ocr.*" --limit 1000 --ndjson | jq .id', 'for scripts'],
  ],
  async run(context, _args, options) {
    const limit: number = options.limit ?? 20
    const jobs: WireJob[] = []
    let left = limit
    const page = { limit: Math.min(200, limit), signal: context.interrupted }
    const found = context.client.list({ ...filterOf(context, options), ...page })
    for await (const job of found) {
      if (context.options.ndjson) context.io.out(`${JSON.stringify(job)}\n`)
      else jobs.push(job)
      if (--left === 0) break
    }
    if (context.options.ndjson) return
    if (context.options.json) return context.printJson({ items: jobs })
    printJobs(context, jobs)
  },
}

export function printJobs(context: Context, jobs: readonly WireJob[]): void {
  if (jobs.length === 0) {
    context.say('No jobs.')
    return
  }
  if (context.options.quiet) {
    context.print(jobs.map((job) => job.id).join('\n'))
    return
  }
  const rows = jobs.map((job) => [
    paint(context.outStyle, job.status),
    job.id,
    clean(job.type),
    ago(job.updatedAt, context.now()),
    clean(job.statusText),
  ])
  context.print(table(COLUMNS, rows, context.io.outIsTerminal ? context.io.columns() : null))
}
