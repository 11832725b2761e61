/** `untildone audit list` and `verify`: who did what, and the proof that nobody changed the record of it. */
import type { AuditOptions } from '../../client/index.js'
import type { WireAuditEntry } from '../../core/wire-operate.js'
import { type CommandSpec, duration, wholeNumber } from '../command.js'
import { CliError, EXIT } from '../failure.js'
import type { Column } from '../table.js'
import { ago, clean } from '../text.js'
import { printList } from './jobs-detail.js'

export const auditList: CommandSpec = {
  usage: 'audit list',
  summary: 'what people and programs did, newest first',
  options: [
    { flags: '--actor <id>', text: 'by this one, e.g. user:oidc:42' },
    { flags: '--action <name>', text: 'exact, or a beginning that ends in *, e.g. "job.*"' },
    { flags: '--target <name>', text: 'on this, e.g. job/019a7c31-…' },
    { flags: '--since <duration>', text: 'within, e.g. 1d', parse: duration },
    { flags: '--oldest', text: 'oldest first, as they are chained; for exports' },
    { flags: '--limit <n>', text: 'how many (default 50; all with --oldest)', parse: wholeNumber(1, 10_000_000) },
  ],
  examples: [
    ['untildone audit list --action job.override --since 7d', 'who set ends by hand this week'],
    ['untildone audit list --oldest --ndjson > audit.jsonl', 'the whole trail, one entry per line'],
  ],
  async run(context, _args, options) {
    const limit: number = options.limit ?? (options.oldest ? Number.POSITIVE_INFINITY : 50)
    const query: AuditOptions = {
      ...{ actor: options.actor, action: options.action, target: options.target },
      since: options.since === undefined ? undefined : new Date(context.now() - options.since),
      order: options.oldest ? 'oldest' : 'newest',
      limit: Math.min(1000, limit),
      signal: context.interrupted,
    }
    const entries: WireAuditEntry[] = []
    let left = limit
    for await (const entry of context.client.audit.list(query)) {
      if (context.options.ndjson) context.io.out(`${JSON.stringify(entry)}\n`)
      else entries.push(entry)
      if (--left <= 0) break
    }
    if (context.options.ndjson) return
    const columns: Column[] = [
      { title: 'SEQ', align: 'right' },
      { title: 'WHEN' },
      { title: 'WHO', shrinkTo: 8 },
      { title: 'ACTION' },
      { title: 'ON', key: true },
      { title: 'WHY', shrinkTo: 12 },
    ]
    const rows = entries.map((entry) => [
      String(entry.seq),
      ago(entry.at, context.now()),
      clean(`${entry.actor.kind} ${entry.actor.name ?? entry.actor.id}`),
      clean(entry.action),
      clean(entry.target),
      clean(entry.reason ?? ''),
    ])
    const seqs = entries.map(({ seq }) => `${seq}`)
    printList(context, entries, columns, rows, 'Nothing was done yet.', seqs)
  },
}

export const auditVerify: CommandSpec = {
  usage: 'audit verify',
  summary: 'walk the whole chain and say whether it holds',
  details: 'Exit code 6 when it does not. Keep the head elsewhere: a chain that was cut off at its end holds as well.',
  examples: [['untildone audit verify', 'for a nightly check']],
  async run(context) {
    const found = await context.client.audit.verify({ signal: context.interrupted })
    const { intact, entries, head, firstBreak } = found
    if (context.options.json) context.printJson(found)
    else if (intact) context.print(`intact  ${entries} entries${head ? `  head ${head.seq} ${head.hash}` : ''}`)
    if (intact) return
    const where = firstBreak ? `Entry ${firstBreak.seq} (${firstBreak.action} on ${firstBreak.target})` : 'An entry'
    if (context.options.json) return EXIT.conflict
    throw new CliError('audit-broken', `${where} does not follow from the one before it.`, {
      exit: EXIT.conflict,
      why: 'It, or one before it, was changed, removed or put in after it was written.',
      fix: 'Compare with an export or a backup: untildone audit list --oldest --ndjson',
    })
  },
}
