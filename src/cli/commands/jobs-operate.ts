/** `untildone jobs pause`, `resume`, `answer`, `override` and `resolve`: what a person decides about one job. */
import { ANSWERS, type Answer } from '../../core/question.js'
import type { WireJob } from '../../core/wire.js'
import { type CommandOption, type CommandSpec, IF_VERSION, jobId, REASON, reasonOf } from '../command.js'
import type { Context } from '../context.js'
import { CliError, EXIT } from '../failure.js'
import { clean } from '../text.js'
import { collect, jsonOf, objectLine } from './submit.js'

const EVIDENCE: CommandOption = {
  flags: '--evidence <text>',
  text: 'a ticket or link, kept for audits; may be given several times',
  parse: collect as (value: string) => unknown,
}

export const jobsPause: CommandSpec = {
  usage: 'jobs pause <id>',
  summary: 'let a job stand still until it is resumed',
  details:
    'A running job stops at its next step; that try does not count, and the pause costs no retry budget. ' +
    'What a waiting job waits for is taken in meanwhile, and its time limits go on.',
  options: [REASON, IF_VERSION],
  examples: [['untildone jobs pause 7f3c91e2 --reason "vendor is down until Monday"', 'it says so to whoever looks']],
  async run(context, [text], { reason, ifVersion }) {
    const id = await jobId(context, text)
    const job = await context.client.pause(id, { reason, ifVersion, signal: context.interrupted })
    show(context, job)
    if (job.status === 'processing') context.say('It stops at its next step.')
  },
}

export const jobsResume: CommandSpec = {
  usage: 'jobs resume <id>',
  summary: 'let a paused job go on',
  options: [REASON, IF_VERSION],
  examples: [['untildone jobs resume 7f3c91e2', 'it goes on where it stood']],
  async run(context, [text], { reason, ifVersion }) {
    const id = await jobId(context, text)
    show(context, await context.client.resume(id, { reason, ifVersion, signal: context.interrupted }))
  },
}

export const jobsAnswer: CommandSpec = {
  usage: 'jobs answer <id> [answer]',
  summary: 'answer what a blocked job asks, so that it goes on',
  details: `Without an answer it shows the question. Answers are ${ANSWERS.join(', ')}; the job says which are possible.`,
  options: [
    REASON,
    { flags: '--result <json>', text: 'with happened: the value that the step would have given' },
    { flags: '--file <path>', text: 'read that value from a file, - for standard input' },
    { flags: '--step <name>', text: 'the step that is asked about (default: the one the job asks about)' },
    IF_VERSION,
  ],
  examples: [
    ['untildone jobs answer 7f3c91e2', 'what does it want to know?'],
    [
      `untildone jobs answer 7f3c91e2 happened --result '{"receipt":"R-17"}' --reason "seen at the bank"`,
      'the step is recorded with that result and not repeated',
    ],
    ['untildone jobs answer 7f3c91e2 undone --reason "cancelled by phone"', 'the rest is undone by the job'],
  ],
  async run(context, [text, answer], options) {
    const id = await jobId(context, text)
    const job = await context.client.get(id, { signal: context.interrupted })
    const question = job.blockedOn.find((on) => on.question)?.question ?? null
    if (answer === undefined) return ask(context, job, question)
    if (!ANSWERS.includes(answer)) {
      const fix = `Answers are ${(question?.answers ?? ANSWERS).join(', ')}.`
      throw new CliError('usage', `"${answer}" is not an answer.`, { fix })
    }
    const request = {
      answer: answer as Answer,
      reason: reasonOf(options),
      step: options.step ?? question?.step,
      result: await jsonOf(context, options.result, '--result', options.file),
      // What was answered is what was asked when it was read.
      ifVersion: options.ifVersion ?? (question ? job.version : undefined),
    }
    show(context, await context.client.answer(id, { ...request, signal: context.interrupted }))
  },
}

function ask(context: Context, job: WireJob, question: WireJob['blockedOn'][number]['question']) {
  if (context.options.json) return context.printJson(question)
  if (!question) {
    context.say(`The job is ${job.status} and asks nothing.`)
    return EXIT.conflict
  }
  context.print(clean(question.text))
  context.say(`Answer it: untildone jobs answer ${job.id} ${question.answers.join('|')} --reason "…"`)
}

export const jobsOverride: CommandSpec = {
  usage: 'jobs override <id> <status>',
  summary: 'set the end of an unfinished job by hand, for ever',
  details:
    'The status is completed, failed or cancelled. Its running try is cut off and its child processes are killed. ' +
    'It says for ever who set it, and nobody can take it back.',
  options: [
    { flags: '--reason <text>', text: 'at least 10 characters; kept for ever' },
    { flags: '--if-version <n>', text: 'the version you saw; needed', parse: IF_VERSION.parse! },
    { flags: '--result <json>', text: 'with completed: the result; it must fit the type' },
    { flags: '--file <path>', text: 'read the result from a file, - for standard input' },
    { flags: '--code <slug>', text: 'with failed or cancelled: the error code (default: overridden)' },
    { flags: '--message <text>', text: 'and its message (default: the reason)' },
    EVIDENCE,
  ],
  examples: [
    [
      `untildone jobs override 7f3c91e2 completed --if-version 12 --result '{"pages":2}' --reason "typed from paper"`,
      'look first: untildone jobs get shows the version',
    ],
    ['untildone jobs override 7f3c91e2 failed --if-version 12 --reason "the sender has no copy"', 'nobody tries again'],
  ],
  async run(context, [text, status], options) {
    if (!['completed', 'failed', 'cancelled'].includes(status))
      throw new CliError('usage', `"${status}" is no end.`, { fix: 'Use completed, failed or cancelled.' })
    const reason = reasonOf(options)
    const id = await jobId(context, text)
    const { code, message, evidence, ifVersion } = options
    const result = await jsonOf(context, options.result, '--result', options.file)
    const error = code === undefined && message === undefined ? undefined : { code, message }
    const request = { status, reason, ifVersion, result, error, evidence, signal: context.interrupted }
    show(context, await context.client.override(id, request))
  },
}

export const jobsResolve: CommandSpec = {
  usage: 'jobs resolve <id>',
  summary: 'note how a finished job was dealt with; it needs no more attention',
  options: [
    REASON,
    {
      flags: '--kind <word>',
      text: 'resolvedManually, acceptedAsIs, superseded, compensated (default: resolvedManually)',
    },
    EVIDENCE,
  ],
  examples: [['untildone jobs resolve 7f3c91e2 --reason "sent by post, OPS-1"', 'its status stays failed']],
  async run(context, [text], options) {
    const reason = reasonOf(options)
    const id = await jobId(context, text)
    const { kind = 'resolvedManually', evidence } = options
    const job = await context.client.resolve(id, { kind, reason, evidence, signal: context.interrupted })
    show(context, job)
  },
}

function show(context: Context, job: WireJob): void {
  if (context.options.json) context.printJson(job)
  else context.print(objectLine(context, job, context.outStyle, context.io.outIsTerminal))
}
