/** `untildone schedules`: timetables that make jobs. */
import type { CreateScheduleOptions, ScheduleActionOptions } from '../../client/index.js'
import { formatDuration } from '../../core/duration.js'
import { MISSED_RULES, OVERLAP_RULES } from '../../core/schedule.js'
import type { WireSchedule } from '../../core/wire.js'
import { type CommandOption, type CommandSpec, duration, instant, REASON, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { CliError } from '../failure.js'
import { type Column, facts } from '../table.js'
import { ago, clean, cleanLines } from '../text.js'
import { printList } from './jobs-detail.js'
import { collect, inputOf, metadataOf, objectLine } from './submit.js'

const IF_VERSION: CommandOption = {
  flags: '--if-version <n>',
  text: 'only if it still has this version',
  parse: wholeNumber(1, 2 ** 31),
}

/** What create and update share. */
const MEMBERS: readonly CommandOption[] = [
  { flags: '--cron <pattern>', text: 'five or six fields, or @daily and its like' },
  { flags: '--every <duration>', text: 'instead of --cron, e.g. 15m: at :00, :15, :30, :45', parse: duration },
  { flags: '--tz <zone>', text: 'zone in which --cron is read, e.g. Europe/Berlin (default: UTC)' },
  {
    flags: '--missed <rule>',
    text: `what passed while nobody could act: ${MISSED_RULES.join(', ')} (default: latest)`,
  },
  {
    flags: '--missed-limit <n>',
    text: 'with --missed all: at most so many (default: 100)',
    parse: wholeNumber(1, 500),
  },
  {
    flags: '--overlap <rule>',
    text: `while the previous job is not done: ${OVERLAP_RULES.join(', ')} (default: allow)`,
  },
  { flags: '--start <time>', text: 'no run before: 2026-11-22T14:30:00Z, 14:30 or +10m' },
  { flags: '--end <time>', text: 'no run at or after this time' },
  { flags: '--jitter <duration>', text: 'each job starts up to so much after its instant', parse: duration },
  { flags: '--description <text>', text: 'what it is for' },
  { flags: '--input <json>', text: 'the input of its jobs as JSON' },
  { flags: '--file <path>', text: 'read the input as JSON from a file, - for standard input' },
  { flags: '--group <id>', text: 'session or batch its jobs belong to' },
  { flags: '--operation <key>', text: 'the business operation behind them' },
  { flags: '--priority <n>', text: '-100 to 100, higher is sooner', parse: wholeNumber(-100, 100) },
  { flags: '--tag <tag>', text: 'may be given several times', parse: collect as (value: string) => unknown },
  { flags: '--meta <name=value>', text: 'may be given several times', parse: collect as (value: string) => unknown },
]

export const schedulesList: CommandSpec = {
  usage: 'schedules list',
  summary: 'schedules, and when each runs next',
  examples: [['untildone schedules list', 'what is planned']],
  async run(context) {
    const schedules: WireSchedule[] = []
    for await (const one of context.client.schedules.list({ limit: 200, signal: context.interrupted }))
      schedules.push(one)
    const columns: Column[] = [
      { title: 'ID', key: true },
      { title: 'TYPE', shrinkTo: 8 },
      { title: 'WHEN' },
      { title: 'LAST' },
      { title: 'NOW', shrinkTo: 12 },
    ]
    const rows = schedules.map((one) => [
      clean(one.id),
      clean(one.type),
      clean(whenOf(one)),
      one.previousAt ? ago(one.previousAt, context.now()) : 'never',
      clean(one.statusText),
    ])
    printList(context, schedules, columns, rows, 'No schedules. Make one: untildone schedules create --help')
  },
}

export const schedulesShow: CommandSpec = {
  usage: 'schedules show <id>',
  summary: 'one schedule: how it stands and what became of its instants',
  examples: [['untildone schedules show nightly-report', 'next run, last job, last problem']],
  async run(context, [id]) {
    show(context, await context.client.schedules.get(id, { signal: context.interrupted }))
  },
}

export const schedulesCreate: CommandSpec = {
  usage: 'schedules create <id> <type> [pairs...]',
  summary: 'make a schedule',
  details: 'The input comes from pairs, from --file or from --input, as with submit.',
  options: [
    ...MEMBERS,
    { flags: '--paused', text: 'make it paused' },
    { flags: '--check', text: 'check everything, store nothing, and show the first runs' },
    REASON,
  ],
  examples: [
    [
      'untildone schedules create nightly-report report.build region=eu --cron "30 3 * * *" --tz Europe/Berlin',
      'every night at half past three, whatever the clock does',
    ],
    ['untildone schedules create poll inbox.poll --every 15m --overlap skip', 'never two at once'],
    ['untildone schedules create monthly invoice.run --cron "0 6 1 * *" --check', 'when it would run'],
  ],
  async run(context, [id, type, pairs = []], options) {
    const input = await inputOf(context, type, pairs, options)
    const members = { ...membersOf(context, options), id, paused: options.paused, reason: options.reason }
    const request: CreateScheduleOptions = { ...members, signal: context.interrupted }
    if (options.check) {
      const { upcoming } = await context.client.schedules.validate(type, input, request)
      if (context.options.json) return context.printJson({ items: upcoming })
      context.print(upcoming.map(({ at, text }) => `${at}  ${clean(text)}`).join('\n'))
      return context.say('Nothing was stored.')
    }
    show(context, await context.client.schedules.create(type, input, request))
  },
}

export const schedulesUpdate: CommandSpec = {
  usage: 'schedules update <id> [pairs...]',
  summary: 'change a schedule; what is not given stays',
  details: 'Pairs, --file and --input give a new input as a whole. A changed timetable starts anew from now.',
  options: [...MEMBERS, { flags: '--type <type>', text: 'another job type' }, REASON, IF_VERSION],
  examples: [['untildone schedules update nightly-report --cron "0 5 * * *"', 'later in the night']],
  async run(context, [id, pairs = []], options) {
    const { schedules } = context.client
    const given = pairs.length > 0 || options.input !== undefined || options.file !== undefined
    const type = options.type ?? (given ? (await schedules.get(id, { signal: context.interrupted })).type : undefined)
    const input = given ? await inputOf(context, type, pairs, options) : undefined
    const { reason, ifVersion } = options
    const changes = { ...membersOf(context, options), type: options.type, input, reason, ifVersion }
    show(context, await schedules.update(id, { ...changes, signal: context.interrupted }))
  },
}

export const schedulesPause: CommandSpec = {
  usage: 'schedules pause <id>',
  summary: 'make no more jobs until it is resumed',
  options: [REASON, IF_VERSION],
  examples: [['untildone schedules pause nightly-report --reason "source is moving"', 'its jobs under way go on']],
  async run(context, [id], options) {
    line(context, await context.client.schedules.pause(id, requestOf(context, options)))
  },
}

export const schedulesResume: CommandSpec = {
  usage: 'schedules resume <id>',
  summary: 'go on; its missed-run rule says what becomes of what passed',
  options: [REASON, IF_VERSION],
  examples: [
    ['untildone schedules resume nightly-report', 'see what it does: untildone schedules show nightly-report'],
  ],
  async run(context, [id], options) {
    line(context, await context.client.schedules.resume(id, requestOf(context, options)))
  },
}

export const schedulesRun: CommandSpec = {
  usage: 'schedules run <id>',
  summary: 'make one job now; the timetable does not move',
  options: [REASON, IF_VERSION],
  examples: [['untildone schedules run nightly-report --reason "numbers were wrong"', 'also while it is paused']],
  async run(context, [id], options) {
    const job = await context.client.schedules.run(id, requestOf(context, options))
    if (context.options.json) return context.printJson(job)
    if (context.options.quiet) return context.print(job.id)
    context.print(objectLine(context, job, context.outStyle, context.io.outIsTerminal))
    if (!job.done) context.say(`Watch it: untildone jobs watch ${job.id}`)
  },
}

export const schedulesDelete: CommandSpec = {
  usage: 'schedules delete <id>',
  summary: 'remove a schedule; its jobs stay',
  options: [REASON, IF_VERSION],
  examples: [['untildone schedules delete poll --reason "replaced by webhooks"', 'for good']],
  async run(context, [id], options) {
    await context.client.schedules.delete(id, requestOf(context, options))
    if (context.options.json) context.printJson({ id, deleted: true })
    else context.say(`Schedule ${clean(id)} is deleted. Its jobs stay: untildone jobs list --schedule ${clean(id)}`)
  },
}

export const schedulesNext: CommandSpec = {
  usage: 'schedules next <id>',
  summary: 'the next runs, in the zone of the schedule',
  options: [{ flags: '--count <n>', text: 'how many (default: 10)', parse: wholeNumber(1, 100) }],
  examples: [['untildone schedules next nightly-report --count 20', 'also across changes of the clock']],
  async run(context, [id], options) {
    const { schedules } = context.client
    const upcoming = await schedules.upcoming(id, { count: options.count, signal: context.interrupted })
    const columns: Column[] = [{ title: 'AT', key: true }, { title: 'IN', align: 'right' }, { title: 'THAT IS' }]
    const rows = upcoming.map(({ at, text }) => [at, formatDuration(Date.parse(at) - context.now()), clean(text)])
    printList(context, upcoming, columns, rows, 'No further run: the timetable has ended.')
  },
}

function membersOf(context: Context, options: Record<string, any>) {
  if (options.cron !== undefined && options.every !== undefined)
    throw new CliError('usage', '--cron and --every cannot be used together.')
  const now = context.now()
  return {
    cron: options.cron,
    every: options.every,
    timeZone: options.tz,
    missed: ruleOf('--missed', options.missed, MISSED_RULES),
    missedLimit: options.missedLimit,
    overlap: ruleOf('--overlap', options.overlap, OVERLAP_RULES),
    startAt: options.start && instant(options.start, now),
    endAt: options.end && instant(options.end, now),
    jitter: options.jitter,
    description: options.description,
    group: options.group,
    operationKey: options.operation,
    priority: options.priority,
    tags: options.tag,
    metadata: options.meta && metadataOf(options.meta),
  }
}

function ruleOf<T extends string>(flag: string, word: string | undefined, rules: readonly T[]): T | undefined {
  if (word === undefined || rules.includes(word as T)) return word as T | undefined
  throw new CliError('usage', `"${word}" is no value of ${flag}.`, { fix: `Use one of ${rules.join(', ')}.` })
}

function requestOf(context: Context, { reason, ifVersion }: Record<string, any>): ScheduleActionOptions {
  return { reason, ifVersion, signal: context.interrupted }
}

function whenOf({ cron, everyMs, timeZone }: WireSchedule): string {
  return cron === null ? `every ${formatDuration(everyMs!)}` : timeZone === 'UTC' ? cron : `${cron} ${timeZone}`
}

function line(context: Context, schedule: WireSchedule): void {
  if (context.options.json) context.printJson(schedule)
  else context.print(`${clean(schedule.id)}  ${clean(schedule.statusText)}`)
}

function show(context: Context, schedule: WireSchedule): void {
  if (context.options.json) context.printJson(schedule)
  else if (context.options.quiet) context.print(schedule.id)
  else describe(context, schedule)
}

function describe(context: Context, schedule: WireSchedule): void {
  const now = context.now()
  const { paused, lastProblem, previousAt } = schedule
  const counts = [
    `${schedule.firedCount} made a job`,
    ...(schedule.missedCount > 0 ? [`${schedule.missedCount} missed`] : []),
    ...(schedule.skippedCount > 0 ? [`${schedule.skippedCount} skipped`] : []),
    ...(schedule.problemCount > 0 ? [`${schedule.problemCount} had a problem`] : []),
  ]
  const missed = schedule.missed === 'all' ? `all, at most ${schedule.missedLimit}` : schedule.missed
  context.print(
    facts([
      ['schedule', clean(schedule.id) + (schedule.declared ? '  (declared in code)' : '')],
      ['now', clean(schedule.statusText)],
      ['what', schedule.description && clean(schedule.description)],
      ['type', clean(schedule.type)],
      ['when', clean(whenOf(schedule))],
      ['from', schedule.startAt],
      ['until', schedule.endAt],
      ['jitter', schedule.jitterMs > 0 ? `up to ${formatDuration(schedule.jitterMs)}` : null],
      ['if missed', missed],
      ['overlap', schedule.overlap],
      ['paused by', paused && clean(paused.actor.name ?? paused.actor.id)],
      ['last run', previousAt && `${previousAt}  (${ago(previousAt, now)})`],
      ['last job', schedule.lastJobId],
      ['last problem', lastProblem && `${lastProblem.at}  ${lastProblem.code}: ${clean(lastProblem.message)}`],
      ['instants', counts.join(', ')],
      ['version', String(schedule.version)],
    ]),
  )
  if (schedule.input !== undefined) context.print(`\ninput\n${cleanLines(JSON.stringify(schedule.input, null, 2))}`)
}
