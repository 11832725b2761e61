/** `untildone jobs bulk` and `groups cancel`: one action on many jobs. Shows what it would do unless told to do it. */
import type { BulkOptions } from '../../client/index.js'
import type { BulkAction, WireBulkPlan } from '../../core/wire-operate.js'
import { type CommandSpec, list, REASON, reasonOf, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { CliError } from '../failure.js'
import { followJob } from '../follow-job.js'
import { clean } from '../text.js'
import { FILTERS, filterOf } from './jobs-list.js'
import { objectLine } from './submit.js'

const ACTIONS: readonly BulkAction[] = ['retry', 'cancel', 'replay', 'resolve', 'pause', 'resume']

export const jobsBulk: CommandSpec = {
  usage: 'jobs bulk <action>',
  summary: `${ACTIONS.join(', ')}: all jobs that the filters find`,
  details:
    'Without --yes it only shows what it would do. It is done by a job of its own: follow it with jobs watch, stop it with ' +
    'jobs cancel. Jobs that are made meanwhile are not among them.',
  options: [
    REASON,
    { flags: '--yes', text: 'do it' },
    ...FILTERS,
    { flags: '--exclude <ids>', text: 'leave these out', parse: list },
    { flags: '--rate <n>', text: 'at most so many a minute', parse: wholeNumber(1, 100_000) },
    { flags: '--force', text: 'with cancel: end child processes at once' },
    { flags: '--kind <word>', text: 'with resolve: resolvedManually, acceptedAsIs, superseded, compensated' },
    { flags: '--wait', text: 'follow it until it is done' },
  ],
  examples: [
    ['untildone jobs bulk retry --status blocked --type "ocr.*"', 'how many would that be?'],
    [
      'untildone jobs bulk retry --status blocked --type "ocr.*" --rate 600 --reason "licence renewed" --yes --wait',
      'do it, spread over time',
    ],
  ],
  async run(context, [action], options) {
    if (!ACTIONS.includes(action))
      throw new CliError('usage', `"${action}" is no action.`, { fix: `Use one of ${ACTIONS.join(', ')}.` })
    const request: BulkOptions = {
      ...{ action, filter: filterOf(context, options), reason: options.reason ?? 'dry run', rate: options.rate },
      ...{ exclude: options.exclude, kind: options.kind, mode: options.force ? 'force' : undefined },
      signal: context.interrupted,
    }
    if (!options.yes) {
      const plan = await context.client.planBulk(request)
      if (context.options.json) return context.printJson(plan)
      context.print(planText(plan))
      return context.say('Nothing was done. To do it, add --yes and --reason "…".')
    }
    const job = await context.client.bulk({ ...request, reason: reasonOf(options) })
    if (!options.wait) {
      if (context.options.json) return context.printJson(job)
      context.print(objectLine(context, job, context.outStyle, context.io.outIsTerminal))
      return context.say(`Watch it: untildone jobs watch ${job.id}. Stop it: untildone jobs cancel ${job.id}`)
    }
    context.say(objectLine(context, job, context.errStyle, context.io.errIsTerminal))
    return followJob(context, { id: job.id, timeoutMs: null, failOnBlocked: false })
  },
}

function planText({ action, count, more, jobs, excluded }: WireBulkPlan): string {
  const lines = [`would ${action} ${more ? 'more than ' : ''}${count} ${count === 1 ? 'job' : 'jobs'}`]
  for (const { id, type, status, statusText } of jobs)
    lines.push(`  ${id}  ${clean(type)}  ${status}  ${clean(statusText)}`)
  if (count > jobs.length) lines.push(`  and ${more ? 'more than ' : ''}${count - jobs.length} others`)
  for (const [code, n] of Object.entries(excluded)) lines.push(`left out  ${n}  ${clean(code)}`)
  return lines.join('\n')
}

export const groupsCancel: CommandSpec = {
  usage: 'groups cancel <id>',
  summary: 'ask all unfinished jobs of a group to be stopped',
  options: [REASON, { flags: '--force', text: 'end their child processes at once instead of asking them first' }],
  examples: [
    ['untildone groups cancel session-42 --reason "session ended"', 'jobs that join it later are not among them'],
  ],
  async run(context: Context, [id], options) {
    const mode = options.force ? 'force' : undefined
    const told = await context.client.cancelGroup(id, { reason: options.reason, mode, signal: context.interrupted })
    if (context.options.json) return context.printJson(told)
    context.print(`cancelled ${told.cancelled}, stopping ${told.stopping}, refused ${told.refused.length}`)
    for (const { id, message } of told.refused) context.say(`  ${id}  ${clean(message)}`)
  },
}
