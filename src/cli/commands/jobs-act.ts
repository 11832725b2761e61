/** `untildone jobs watch`, `cancel` and `retry`: following one job, and the two things one can ask of it. */
import { type CommandSpec, duration, IF_VERSION, jobId, REASON } from '../command.js'
import { followJob } from '../follow-job.js'
import { objectLine } from './submit.js'

export const jobsWatch: CommandSpec = {
  usage: 'jobs watch <id>',
  summary: 'follow a job until it is done, then print its result',
  options: [
    { flags: '--timeout <duration>', text: 'stop looking after so long, with exit code 13', parse: duration },
    { flags: '--fail-on-blocked', text: 'stop with exit code 12 when somebody has to act' },
  ],
  examples: [
    ['untildone jobs watch 7f3c91e2', 'Ctrl-C stops watching; the job carries on'],
    ['untildone jobs watch 7f3c91e2 --timeout 10m --quiet', 'for scripts: the exit code says how it ended'],
  ],
  async run(context, [text], options) {
    const id = await jobId(context, text)
    return followJob(context, { id, timeoutMs: options.timeout ?? null, failOnBlocked: options.failOnBlocked === true })
  },
}

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
