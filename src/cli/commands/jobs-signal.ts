/** `untildone jobs signal` and `decisions`: what the world tells a job, and what models decided in it. */
import { type CommandSpec, jobId } from '../command.js'
import { inputFromPairs } from '../pairs.js'
import type { Column } from '../table.js'
import { ago, clean } from '../text.js'
import { printList } from './jobs-detail.js'
import { jsonOf, upload } from './submit.js'

export const jobsSignal: CommandSpec = {
  usage: 'jobs signal <id> <name> [pairs...]',
  summary: 'send a signal to a job',
  details: 'It ends the wait for it, or is kept until the job waits for it. Pairs are text; name:=json for others.',
  options: [
    { flags: '--payload <json>', text: 'the payload as JSON, instead of pairs' },
    { flags: '--file <path>', text: 'read it from a file, - for standard input' },
    { flags: '--signal-id <id>', text: 'a repeat with the same id is the same signal' },
  ],
  examples: [
    ['untildone jobs signal 7f3c91e2 payment-received amount:=12.5 currency=EUR --signal-id evt_91', 'safe to repeat'],
  ],
  async run(context, [text, name, pairs = []], options) {
    const id = await jobId(context, text)
    const given = await jsonOf(context, options.payload, '--payload', options.file)
    const payload = given ?? (await inputFromPairs(pairs, null, (path) => upload(context, path)))
    const answer = await context.client.signal(id, name, payload, {
      signalId: options.signalId,
      signal: context.interrupted,
    })
    if (context.options.json) return context.printJson(answer)
    context.print(answer.delivered ? 'delivered' : 'kept until the job waits for it')
  },
}

export const jobsDecisions: CommandSpec = {
  usage: 'jobs decisions <id>',
  summary: 'what models decided in a job: model, version, tools, path',
  examples: [['untildone jobs decisions 7f3c91e2', 'which model said so?']],
  async run(context, [text]) {
    const decisions = await context.client.decisions(await jobId(context, text), { signal: context.interrupted })
    const columns: Column[] = [
      { title: 'WHEN' },
      { title: 'TRY', align: 'right' },
      { title: 'MODEL', shrinkTo: 8 },
      { title: 'VERSION', shrinkTo: 8 },
      { title: 'TOOLS', shrinkTo: 8 },
      { title: 'PATH', shrinkTo: 10 },
    ]
    const rows = decisions.map((one) => [
      ago(one.at, context.now()),
      String(one.attempt),
      clean(one.model),
      clean(one.modelVersion ?? ''),
      clean(one.tools.join(', ')),
      clean(one.path ?? ''),
    ])
    const models = decisions.map(({ model }) => clean(model))
    printList(context, decisions, columns, rows, 'No decisions.', models)
  },
}
