/** `untildone types list`, `show`, `pause` and `resume`: the catalogue of the server, and whether a type is started. */
import { formatDuration } from '../../core/duration.js'
import type { Json } from '../../core/json.js'
import type { WireJobType } from '../../core/wire.js'
import { type CommandSpec, REASON } from '../command.js'
import { kindsOf } from '../pairs.js'
import { facts } from '../table.js'
import { clean, cleanLines } from '../text.js'
import { printList } from './jobs-detail.js'

export const typesList: CommandSpec = {
  usage: 'types list',
  summary: 'job types this server knows',
  examples: [['untildone types list', 'name, queue, how long it tries']],
  async run(context) {
    const types = await context.client.types({ signal: context.interrupted })
    const rows = types.map((type) => [
      clean(type.type),
      clean(type.queue),
      givesUp(type),
      usual(type),
      type.paused ? 'paused' : '',
      clean(type.title ?? type.description ?? ''),
    ])
    const columns = [
      { title: 'TYPE', key: true },
      { title: 'QUEUE' },
      { title: 'GIVES UP' },
      { title: 'USUALLY' },
      { title: 'STATE' },
      { title: 'WHAT', shrinkTo: 10 },
    ]
    printList(context, types, columns, rows, 'This server has no job types.')
  },
}

export const typesShow: CommandSpec = {
  usage: 'types show <type>',
  summary: 'one job type: its input, stages and retries',
  examples: [['untildone types show hello', 'what to give to submit']],
  async run(context, [name]) {
    const type = await context.client.type(name, { signal: context.interrupted })
    if (context.options.json) return context.printJson(type)
    const { retry } = type
    const lines = facts([
      ['type', clean(type.type + (type.version ? ` (version ${type.version})` : ''))],
      ['title', type.title && clean(type.title)],
      ['what', type.description && clean(type.description)],
      ['stages', clean(type.stages.map((stage) => stage.label).join(', '))],
      ['queue', clean(type.queue)],
      ['state', type.paused ? 'paused: accepted, not started' : null],
      ['limits', limitsOf(type)],
      ['duplicates', duplicatesOf(type)],
      [
        'tries',
        `${retry.maxAttempts ?? 'as many as fit'}, pauses ${formatDuration(retry.backoff.fromMs)} to ${formatDuration(retry.backoff.toMs)}`,
      ],
      ['gives up', `${givesUp(type)}, then ${retry.onExhausted === 'review' ? 'asks a person' : 'fails'}`],
      ['usually', usual(type)],
      ['kept for', formatDuration(type.retentionMs)],
      ['key', type.requireIdempotencyKey ? 'an idempotency key is required' : null],
    ])
    context.print(
      `${lines}\n\ninput schema\n${cleanLines(JSON.stringify(type.inputSchema, null, 2))}\n\nsubmit it\n  ${exampleOf(type)}`,
    )
  },
}

export const typesPause: CommandSpec = {
  usage: 'types pause <type>',
  summary: 'start nothing of a type; its jobs are still accepted',
  options: [REASON],
  examples: [
    ['untildone types pause ocr --reason "engine is broken"', 'running jobs go on; a restart changes nothing'],
  ],
  async run(context, [name], options) {
    const type = await context.client.pauseType(name, { reason: options.reason, signal: context.interrupted })
    if (context.options.json) return context.printJson(type)
    context.say(`Type ${clean(type.type)} is paused: its jobs are accepted and not started.`)
  },
}

export const typesResume: CommandSpec = {
  usage: 'types resume <type>',
  summary: 'go on with a type',
  options: [REASON],
  examples: [['untildone types resume ocr', 'the worker looks at once']],
  async run(context, [name], options) {
    const type = await context.client.resumeType(name, { reason: options.reason, signal: context.interrupted })
    if (context.options.json) return context.printJson(type)
    context.say(`Type ${clean(type.type)} goes on.`)
  },
}

function limitsOf({ limits }: WireJobType): string | null {
  if (!limits) return null
  const { concurrency, ordered, rate } = limits
  const parts = [
    concurrency === null ? [] : `${concurrency} at once per key`,
    ordered ? 'one after the other per key' : [],
    rate ? `${rate.limit} in ${formatDuration(rate.perMs)} per key` : [],
  ]
  return parts.flat().join(', ')
}

const DUPLICATES = {
  return: 'the job that is there is the answer',
  reject: 'refused',
  replace: 'replace what has not begun',
}

function duplicatesOf({ unique }: WireJobType): string | null {
  if (!unique) return null
  const within = unique.windowMs === null ? 'while it is not done' : `within ${formatDuration(unique.windowMs)}`
  return `${within}: ${DUPLICATES[unique.onDuplicate]}`
}

function givesUp(type: WireJobType): string {
  return `after ${formatDuration(type.retry.withinMs)}`
}

/** Only from twenty runs on; before that it would be a guess. */
function usual(type: WireJobType): string {
  return type.expected.samples >= 20 && type.expected.p50Ms !== null ? formatDuration(type.expected.p50Ms) : ''
}

/** A command line with the members that the type demands. */
export function exampleOf(type: WireJobType): string {
  const schema = type.inputSchema as { properties?: Record<string, Json>; required?: string[] } | null
  const parts = Object.entries(schema?.properties ?? {})
    .filter(([name]) => (schema?.required ?? []).includes(name))
    .map(([name, property]) => `${name}=${placeholder(property, type.inputSchema)}`)
  return clean(['untildone submit', type.type, ...parts, '--wait'].join(' '))
}

function placeholder(property: Json, root: Json): string {
  if ((property as { format?: unknown } | null)?.format === 'untildone-file') return '@file'
  const kinds = kindsOf(property, root)
  if (kinds.has('string') || kinds.size === 0) return '…'
  if (kinds.has('integer') || kinds.has('number')) return '1'
  if (kinds.has('boolean')) return 'true'
  return kinds.has('array') ? "'[]'" : "'{}'"
}
