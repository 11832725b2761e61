/** `untildone failures`: errors that no rule of the code decides, and teaching what to do about them. */
import type { TeachOptions } from '../../client/index.js'
import { VERDICTS } from '../../core/classify.js'
import type { WireFailure, WireTeaching } from '../../core/wire-failure.js'
import { type CommandOption, type CommandSpec, duration, oneOf, REASON, reasonOf, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { CliError } from '../failure.js'
import { type Column, facts, table } from '../table.js'
import { ago, clean, cleanLines, count, shortId } from '../text.js'
import { printList } from './jobs-detail.js'

/** What narrows a rule, and what is known of an error. */
export const CONDITIONS: readonly CommandOption[] = [
  { flags: '--code <code>', text: 'the code of the error' },
  { flags: '--status <n>', text: 'the HTTP status it carries', parse: wholeNumber(100, 599) },
  { flags: '--exit <n>', text: 'exit code of a child process', parse: wholeNumber(-1, 2 ** 32 - 1) },
  { flags: '--signal <name>', text: 'signal that ended a child process, e.g. SIGSEGV' },
]
const TEACHING: readonly CommandOption[] = [
  { flags: '--match <text>', text: 'text that code, name, message or output contain, or /…/i' },
  ...CONDITIONS,
  { flags: '--engine <name[@versions]>', text: 'only of this engine, e.g. "tesseract@>=5 <5.4"', parse: engineOf },
  { flags: '--dry-run', text: 'store nothing, and show what it would match' },
  REASON,
]

export const failuresList: CommandSpec = {
  usage: 'failures list',
  summary: 'errors that the code says nothing of, seen latest first',
  options: [
    { flags: '--type <type>', text: 'of this type, e.g. "ocr.*" (default: all)' },
    { flags: '--since <duration>', text: 'seen within, e.g. 1d', parse: duration },
    { flags: '--limit <n>', text: 'how many (default: 50)', parse: wholeNumber(1, 100_000) },
  ],
  examples: [['untildone failures list --since 7d', 'what was tried again this week without anybody knowing why']],
  async run(context, _args, { type, since, limit = 50 }) {
    const failures: WireFailure[] = []
    const from = since === undefined ? undefined : new Date(context.now() - since)
    const query = { type, since: from, limit: Math.min(200, limit), signal: context.interrupted }
    for await (const one of context.client.failures.list(query)) if (failures.push(one) >= limit) break
    const columns: Column[] = [
      { title: 'FINGERPRINT', key: true },
      { title: 'TYPE', shrinkTo: 8 },
      { title: 'COUNT', align: 'right' },
      { title: 'JOBS', align: 'right' },
      { title: 'INPUTS', align: 'right' },
      { title: 'SEEN' },
      { title: 'NOW' },
      { title: 'WORDS', shrinkTo: 20 },
    ]
    const rows = failures.map((one) => [
      ...[one.fingerprint, clean(one.type), `${one.count}`, `${one.jobs}`, `${one.inputs}`],
      ...[ago(one.lastSeenAt, context.now()), nowOf(one), clean(one.words)],
    ])
    printList(context, failures, columns, rows, 'No error that the code says nothing of.')
  },
}

export const failuresShow: CommandSpec = {
  usage: 'failures show <fingerprint>',
  summary: 'one of them: how often, with how many inputs, and the latest example',
  examples: [['untildone failures show 3f9a1c0b77d2e845', 'before something is taught about it']],
  async run(context, [fingerprint]) {
    const one = await context.client.failures.get(fingerprint, { signal: context.interrupted })
    if (context.options.json) return context.printJson(one)
    context.print(describe(one, context.now()))
    if (one.taught === null) context.say(`Teach it: untildone failures teach ${one.fingerprint} <verdict> --reason "…"`)
  },
}

export const failuresTeach: CommandSpec = {
  usage: 'failures teach <fingerprint> <verdict>',
  summary: `what to do about it from now on: ${VERDICTS.join(', ')}`,
  details: `harmless   noise: the work goes on, with a warning      permanent  fails for good
transient  tried again, as before anybody said so      review     blocked until a person has looked

Without --match, --code, --status, --exit and --signal the rule is for this fingerprint; with some of them it is for
whatever they match. Rules of the code come first. Jobs that are done stay as they are.`,
  options: TEACHING,
  examples: [
    ['untildone failures teach 3f9a1c0b77d2e845 harmless --reason "noise of the engine"', 'errors like this one'],
    [
      'untildone failures teach 3f9a1c0b77d2e845 permanent --engine "tesseract@5.3.x" --reason "fixed in 5.4"',
      'of certain versions only',
    ],
    [
      'untildone failures teach 3f9a1c0b77d2e845 review --match "licence" --dry-run --reason "see"',
      'what it would match',
    ],
  ],
  async run(context, [fingerprint, verdict], options) {
    const request = teachRequest(context, verdict, options)
    showTeaching(context, await context.client.failures.teach(fingerprint, request))
  },
}

export const failuresForget: CommandSpec = {
  usage: 'failures forget <rule>',
  summary: 'take back what was taught; the number is that of untildone rules list',
  options: [REASON],
  examples: [['untildone failures forget 12 --reason "the engine was replaced"', 'it is tried no longer']],
  async run(context, [text], options) {
    const id = Number(text)
    if (!Number.isInteger(id) || id < 1)
      throw new CliError('usage', `"${clean(text)}" is not the number of a rule.`, {
        fix: 'List them: untildone rules list',
      })
    const rule = await context.client.rules.forget(id, { reason: reasonOf(options), signal: context.interrupted })
    if (context.options.json) return context.printJson(rule)
    context.say(`Rule ${rule.id} of ${clean(rule.type)} is forgotten. Jobs that are done stay as they are.`)
  },
}

export const rulesAdd: CommandSpec = {
  usage: 'rules add <type> <verdict>',
  summary: 'teach about an error that was not seen yet',
  options: TEACHING,
  examples: [
    ['untildone rules add ocr.convert review --match "/licen[cs]e/i" --reason "it runs out in May"', 'in time'],
  ],
  async run(context, [type, verdict], options) {
    showTeaching(context, await context.client.rules.add(type, teachRequest(context, verdict, options)))
  },
}

/** `tesseract@5.3.x` */
export function engineOf(text: string): { name: string; versions: string | null } {
  const at = text.indexOf('@')
  return at < 0 ? { name: text, versions: null } : { name: text.slice(0, at), versions: text.slice(at + 1).trim() }
}

function teachRequest(context: Context, word: string, options: Record<string, any>): TeachOptions {
  const verdict = verdictOf(word)
  const { match, code, status, exit, signal, engine, dryRun } = options
  const when = { match, code, status, exit, signal, engine }
  return { verdict, reason: reasonOf(options), when, dryRun, signal: context.interrupted }
}

function verdictOf(word: string): TeachOptions['verdict'] {
  try {
    return oneOf(VERDICTS)(word) as TeachOptions['verdict']
  } catch {
    throw new CliError('usage', `"${clean(word)}" is no verdict. Nothing was sent.`, {
      fix: `Use one of ${VERDICTS.join(', ')}.`,
    })
  }
}

function showTeaching(context: Context, teaching: WireTeaching): void {
  if (context.options.json) {
    context.printJson(teaching)
    return
  }
  const { rule, matches, matched } = teaching
  const now = context.now()
  if (matches.length > 0) {
    const columns: Column[] = [
      { title: 'FINGERPRINT', key: true },
      { title: 'COUNT', align: 'right' },
      { title: 'SEEN' },
      { title: 'BEFORE' },
      { title: 'DECIDES' },
      { title: 'WORDS', shrinkTo: 20 },
    ]
    const rows = matches.map((one) => [
      ...[one.fingerprint, `${one.count}`, ago(one.lastSeenAt, now), one.before],
      ...[one.decides ? 'yes' : 'no: the code', clean(one.words)],
    ])
    context.print(table(columns, rows, context.io.outIsTerminal ? context.io.columns() : null))
  }
  const said = matched === 0 ? 'It matches no recorded failure' : `It matches ${count(matched, 'recorded failure')}`
  if (rule === null) {
    context.say(`${said}. Nothing was stored.`)
    return
  }
  context.say(`Rule ${rule.id} is in force: ${rule.verdict}. ${said}.`)
  context.say(`Take it back: untildone failures forget ${rule.id} --reason "…"`)
}

const nowOf = ({ verdict, taught }: WireFailure): string => (taught === null ? verdict : `${verdict} (rule ${taught})`)

function describe(one: WireFailure, now: number): string {
  const { example, recent } = one
  const when = (at: string) => `${at}  (${ago(at, now)})`
  const engine = example.engine && `${example.engine.name} ${example.engine.version ?? '(version not known)'}`
  const shown = facts([
    ['failure', one.fingerprint],
    ['type', clean(one.type)],
    ['words', clean(one.words)],
    ['met', `${count(one.count, 'time')}, in ${count(one.jobs, 'job')} with ${count(one.inputs, 'different input')}`],
    ['share', recent && `${recent.met} of the latest ${count(recent.jobs, 'job')} of the type`],
    ['first seen', when(one.firstSeenAt)],
    ['last seen', when(one.lastSeenAt)],
    ['now', `${one.verdict}, by ${clean(one.rule)}`],
    ['example', `job ${shortId(example.jobId)}, attempt ${example.attempt}: untildone jobs explain ${example.jobId}`],
    ['message', clean(example.message)],
    ['code', example.code && clean(example.code)],
    ['status', example.status?.toString()],
    ['exit', example.exit?.toString()],
    ['signal', example.signal && clean(example.signal)],
    ['engine', engine && clean(engine)],
  ])
  return example.output.trim() === '' ? shown : `${shown}\n\nlast output\n${cleanLines(example.output.trim())}`
}
