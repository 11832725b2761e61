/** `untildone rules list`: what people have taught. `untildone explain-error`: which rule would decide, and why. */
import type { WireRule } from '../../core/wire-failure.js'
import type { CommandSpec } from '../command.js'
import { CliError } from '../failure.js'
import { type Column, facts } from '../table.js'
import { ago, clean } from '../text.js'
import { CONDITIONS, engineOf } from './failures.js'
import { printList } from './jobs-detail.js'

export const rulesList: CommandSpec = {
  usage: 'rules list',
  summary: 'what people have taught, in the order in which it is tried',
  options: [
    { flags: '--type <type>', text: 'of this type, e.g. "ocr.*" (default: all)' },
    { flags: '--all', text: 'those that were forgotten too' },
  ],
  examples: [['untildone rules list --type "ocr.*"', 'who taught what, and whether it is used']],
  async run(context, _args, { type, all }) {
    const rules = await context.client.rules.list({ type, all, signal: context.interrupted })
    const columns: Column[] = [
      { title: 'RULE', key: true },
      { title: 'TYPE', shrinkTo: 8 },
      { title: 'VERDICT' },
      { title: 'WHEN', shrinkTo: 16 },
      { title: 'USED', align: 'right' },
      { title: 'BY', shrinkTo: 8 },
      { title: 'WHY', shrinkTo: 16 },
    ]
    const now = context.now()
    const rows = rules.map((rule) => [
      ...[`${rule.id}`, clean(rule.type), rule.inForce ? rule.verdict : `${rule.verdict} (forgotten)`],
      ...[clean(whenOf(rule)), `${rule.used}`, clean(`${rule.by.name ?? rule.by.id}, ${ago(rule.at, now)}`)],
      clean(rule.forgotten ? `${rule.reason}; forgotten: ${rule.forgotten.reason}` : rule.reason),
    ])
    printList(context, rules, columns, rows, 'Nothing is taught. See: untildone failures list')
  },
}

export const explainErrorCommand: CommandSpec = {
  usage: 'explain-error <text>',
  summary: 'which rule would decide about an error, and every rule before it',
  options: [
    { flags: '--type <type>', text: 'the job type that meets it; required' },
    ...CONDITIONS,
    { flags: '--name <name>', text: 'class of the error, e.g. TypeError' },
    { flags: '--engine <name[@version]>', text: 'the engine that failed, e.g. tesseract@5.3.0', parse: engineOf },
    { flags: '--output <text>', text: 'last lines of the child process' },
  ],
  examples: [
    ['untildone explain-error "font substitution" --type ocr.convert', 'would it be noise?'],
    ['untildone explain-error "" --type ocr.convert --exit 139 --engine tesseract@5.3.0', 'a crash of one version'],
  ],
  async run(context, [message], { type, code, status, exit, signal, name, engine, output }) {
    if (typeof type !== 'string')
      throw new CliError('usage', 'This needs a type: rules belong to one.', { fix: 'Add --type <type>.' })
    const of = engine && { name: engine.name, version: engine.versions }
    const error = { message, name, code, status, exit, signal, output, engine: of }
    const said = await context.client.explainError(type, error, { signal: context.interrupted })
    if (context.options.json) return context.printJson(said)
    const { verdict, rule, looked, fingerprint, failure, notes } = said
    context.print(
      facts([
        ['verdict', verdict],
        ['rule', clean(rule)],
        ['fingerprint', fingerprint],
        ['seen', failure ? `${failure.count} times, last ${ago(failure.lastSeenAt, context.now())}` : 'never'],
      ]),
    )
    const tell = looked.map(
      ({ matched, rule: name, is, why }) => `${matched ? '→' : ' '} ${clean(name)} (${is}): ${clean(why)}`,
    )
    context.print(`\nlooked at, in order\n${tell.join('\n')}`)
    for (const note of notes) context.say(clean(note))
  },
}

function whenOf({ when }: WireRule): string {
  const { fingerprint, match, engine, ...rest } = when
  const parts = [
    fingerprint && `fingerprint ${fingerprint}`,
    ...Object.entries(rest).map(([name, value]) => `${name} ${value}`),
    match && `match ${match}`,
    engine && `engine ${engine.name}${engine.versions === null ? '' : `@${engine.versions}`}`,
  ]
  return parts.filter(Boolean).join(', ')
}
