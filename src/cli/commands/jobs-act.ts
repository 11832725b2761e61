/** `untildone jobs cancel` and `retry`: the two things one can ask of one job. */
import { type CommandSpec, IF_VERSION, jobId, REASON } from '../command.js'
import { objectLine } from './submit.js'

export const jobsCancel: CommandSpec = {
  usage: 'jobs cancel <id>',
  summary: 'ask for a job to be stopped',
  details: 'A job that is past its point of no return may still complete; that is then the accurate outcome.',
  options: [
    REASON,
    { flags: '--force', text: 'end its child processes at once instead of asking them first' },
    { flags: '--keep-effects', text: 'undo nothing of what its steps did' },
  ],
  examples: [['untildone jobs cancel 7f3c91e2 --reason "customer withdrew"', 'the reason is kept in its history']],
  async run(context, [text], options) {
    const id = await jobId(context, text)
    const job = await context.client.cancel(id, {
      reason: options.reason,
      mode: options.force ? 'force' : undefined,
      compensate: options.keepEffects ? false : undefined,
      signal: context.interrupted,
    })
    if (context.options.json) return context.printJson(job)
    context.print(objectLine(context, job, context.outStyle, context.io.outIsTerminal))
    if (!job.done) context.say(`Stopping on request. See how it ends: untildone jobs watch ${job.id}`)
  },
}

export const jobsRetry: CommandSpec = {
  usage: 'jobs retry <id>',
  summary: 'try again now: ends the pause before the next try, or a review',
  options: [REASON, IF_VERSION, { flags: '--keep-budget', text: 'do not start a new retry budget' }],
  examples: [['untildone jobs retry 7f3c91e2 --reason "licence renewed"', 'now, please']],
  async run(context, [text], options) {
    const id = await jobId(context, text)
    const resetAttempts = options.keepBudget ? false : undefined
    const request = { reason: options.reason, ifVersion: options.ifVersion, resetAttempts, signal: context.interrupted }
    const job = await context.client.retry(id, request)
    if (context.options.json) return context.printJson(job)
    context.print(objectLine(context, job, context.outStyle, context.io.outIsTerminal))
  },
}
