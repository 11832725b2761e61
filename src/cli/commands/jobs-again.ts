/** `untildone jobs replay` and `compensate`: new jobs from finished ones. */
import { formatDuration } from '../../core/duration.js'
import type { WireReplayPlan } from '../../core/wire-operate.js'
import { type CommandSpec, jobId, list, REASON, reasonOf } from '../command.js'
import type { Context } from '../context.js'
import { followJob } from '../follow-job.js'
import { clean } from '../text.js'
import { jsonOf, objectLine } from './submit.js'

export const jobsReplay: CommandSpec = {
  usage: 'jobs replay <id>',
  summary: 'do a finished job once more, as a new job, from the start or from a step',
  details:
    'Effects keep their keys: what happened once does not happen twice, unless --new-effects says why it shall. Look ' +
    'first with --dry-run.',
  options: [
    REASON,
    { flags: '--from <step>', text: 'begin here, and take over what was recorded before' },
    { flags: '--input <json>', text: 'another input' },
    { flags: '--file <path>', text: 'read it from a file, - for standard input' },
    { flags: '--new-effects <why>', text: 'let effects happen again, and say why' },
    { flags: '--dry-run', text: 'show what would be taken over and what done again' },
    { flags: '--wait', text: 'follow it until it is done' },
  ],
  examples: [
    ['untildone jobs replay 7f3c91e2 --from convert --dry-run', 'what would it do?'],
    [`untildone jobs replay 7f3c91e2 --from convert --input '{"dpi":300}' --reason "low scan quality"`, 'do it'],
  ],
  async run(context, [text], options) {
    const id = await jobId(context, text)
    const request = {
      fromStep: options.from,
      input: await jsonOf(context, options.input, '--input', options.file),
      newEffects: options.newEffects === undefined ? undefined : { reason: options.newEffects },
      signal: context.interrupted,
    }
    if (options.dryRun) {
      const plan = await context.client.planReplay(id, { ...request, reason: options.reason ?? 'dry run' })
      if (context.options.json) return context.printJson(plan)
      context.print(planText(plan))
      return context.say('Nothing was stored.')
    }
    const job = await context.client.replay(id, { ...request, reason: reasonOf(options) })
    if (context.options.json && !options.wait) return context.printJson(job)
    context.say(planText(job.replay))
    if (!options.wait) return context.print(objectLine(context, job, context.outStyle, context.io.outIsTerminal))
    context.say(objectLine(context, job, context.errStyle, context.io.errIsTerminal))
    return followJob(context, { id: job.id, timeoutMs: null, failOnBlocked: false })
  },
}

function planText({ reused, again, newEffects }: WireReplayPlan): string {
  const lines = [`${reused.length === 0 ? 'takes over nothing' : 'takes over'}`]
  for (const { step, ageMs } of reused) lines.push(`  ${clean(step)}  ${formatDuration(ageMs)} old`)
  if (again.length > 0) lines.push('does again')
  for (const { step, effect, protectedByKey } of again) {
    const guard = effect === 'once' && protectedByKey ? ', and will not happen twice' : ''
    lines.push(`  ${clean(step)}${effect ? `  ${effect}${guard}` : ''}`)
  }
  if (newEffects) lines.push('effects get new keys: what happened before happens again')
  return lines.join('\n')
}

export const jobsCompensate: CommandSpec = {
  usage: 'jobs compensate <id>',
  summary: 'undo what a finished job did, as a new job',
  details: 'Runs the undos of its recorded steps, latest first. Asked again, it is the same job.',
  options: [
    REASON,
    { flags: '--steps <names>', text: 'only these (default: all that can be undone)', parse: list },
    { flags: '--wait', text: 'follow it until it is done' },
  ],
  examples: [
    ['untildone jobs steps 7f3c91e2', 'which steps can be undone: those that are due'],
    ['untildone jobs compensate 7f3c91e2 --reason "customer cancelled"', 'undo them all'],
  ],
  async run(context: Context, [text], options) {
    const reason = reasonOf(options)
    const id = await jobId(context, text)
    const job = await context.client.compensate(id, { reason, steps: options.steps, signal: context.interrupted })
    if (context.options.json && !options.wait) return context.printJson(job)
    if (!options.wait) return context.print(objectLine(context, job, context.outStyle, context.io.outIsTerminal))
    context.say(objectLine(context, job, context.errStyle, context.io.errIsTerminal))
    return followJob(context, { id: job.id, timeoutMs: null, failOnBlocked: false })
  },
}
