/** `untildone jobs get` and `jobs result`: one job as it is now, and its bare result. */
import { JobCancelledError, JobFailedError, UntildoneApiError } from '../../client/index.js'
import type { WireJob } from '../../core/wire.js'
import { type CommandSpec, duration, jobId } from '../command.js'
import type { Context } from '../context.js'
import { CliError, EXIT } from '../failure.js'
import { facts } from '../table.js'
import { ago, bytes, clean, cleanLines, paint } from '../text.js'
import { toldLines } from '../told.js'
import { urlOf } from './submit.js'

export const jobsGet: CommandSpec = {
  usage: 'jobs get <id>',
  summary: 'show one job',
  details: 'An id may be shortened to its beginning or end while the job is among the latest 200.',
  options: [{ flags: '--input', text: 'with its input' }],
  examples: [
    ['untildone jobs get 7f3c91e2', 'by the end of its id, as the dev console shows it'],
    ['untildone jobs get 019a7c31-5b0e-7c44-9d0a-2f6c1b7e4a10 --json', 'the whole resource'],
  ],
  async run(context, [text], options) {
    const id = await jobId(context, text)
    const job = await read(context, id, options.input === true)
    if (context.options.json) return context.printJson(job)
    context.print(describe(context, job, await toldLines(context, job.id)))
  },
}

export const jobsResult: CommandSpec = {
  usage: 'jobs result <id>',
  summary: 'print the bare result, waiting for it if need be',
  options: [{ flags: '--timeout <duration>', text: 'wait at most so long', parse: duration }],
  examples: [['untildone jobs result 7f3c91e2 > result.json', 'waits for the end']],
  async run(context, [text], options) {
    const id = await jobId(context, text)
    try {
      context.printJson(await context.client.result(id, { timeout: options.timeout, signal: context.interrupted }))
    } catch (error) {
      if (error instanceof JobFailedError || error instanceof JobCancelledError) {
        const exit = error instanceof JobFailedError ? EXIT.jobFailed : EXIT.jobCancelled
        throw new CliError(error.code, error.message, { exit, fix: `What happened: untildone jobs tries ${id}` })
      }
      if ((error as { code?: unknown }).code !== 'wait-timeout') throw error
      context.io.err(`Still processing. This is not a failure.\nWatch it: untildone jobs watch ${id}\n`)
      return EXIT.waitOver
    }
  },
}

/** With the operator's part where the key may see it. */
async function read(context: Context, id: string, input: boolean): Promise<WireJob> {
  const more = input ? (['input'] as const) : []
  try {
    return await context.client.get(id, { include: ['ops', ...more], signal: context.interrupted })
  } catch (error) {
    if (!(error instanceof UntildoneApiError) || error.status !== 403) throw error
    return context.client.get(id, { include: more, signal: context.interrupted })
  }
}

function answerTo({ id }: WireJob, { question }: WireJob['blockedOn'][number]): string | null {
  return question && `untildone jobs answer ${id} ${question.answers.join('|')} --reason "…"`
}

function describe(context: Context, job: WireJob, told: readonly string[]): string {
  const { outStyle } = context
  const now = context.now()
  const when = (at: string | null) => at && `${at}  (${Date.parse(at) > now ? 'ahead' : ago(at, now)})`
  const { ops, error, resultInfo } = job
  const last = ops?.lastError
  const lines = facts([
    ['id', job.id],
    ['type', clean(job.type + (job.typeVersion ? ` (version ${job.typeVersion})` : ''))],
    ['status', `${paint(outStyle, job.status)}  ${clean(job.statusText)}`],
    ['late', job.late ? 'taking longer than usual' : null],
    ['error', error && `${clean(error.code)}: ${clean(error.message)}`],
    ['blocked on', job.blockedOn.map((on) => `${on.kind}: ${clean(on.title)}`).join('\n')],
    ['answer', job.blockedOn.flatMap((on) => answerTo(job, on) ?? []).join('\n')],
    ['notes', job.warnings.map((warning) => clean(`${warning.code}: ${warning.message}`)).join('\n')],
    ['phase', ops?.phase],
    ['attempt', ops && ops.attempt > 0 ? `${ops.attempt}${ops.maxAttempts ? ` of ${ops.maxAttempts}` : ''}` : null],
    ['last try', last && !error ? clean(`${last.code}: ${last.message}${last.class ? ` (${last.class})` : ''}`) : null],
    ['next try', ops?.nextAttemptAt && job.status === 'processing' ? when(ops.nextAttemptAt) : null],
    ['replay of', job.replayOf],
    ['replayed as', job.supersededBy],
    ['undoes', job.compensates],
    ['undone by', job.compensatedBy],
    ['dealt with', job.resolution && clean(`${job.resolution.kind}: ${job.resolution.reason}`)],
    ['version', String(job.version)],
    ['group', job.groupId && clean(job.groupId)],
    ['operation', job.operationKey && clean(job.operationKey)],
    ['tags', clean(job.tags.join(', '))],
    ['starts', job.status === 'accepted' ? when(job.runAt) : null],
    ['accepted', when(job.createdAt)],
    ['started', when(job.startedAt)],
    ['finished', when(job.finishedAt)],
    ['deadline', job.done ? null : when(job.deadlineAt)],
    ['kept until', job.expiresAt],
    ['told', told.join('\n')],
    ['url', urlOf(context, job.links.self)],
  ])
  const parts = [lines]
  if (job.input !== undefined) parts.push(`input\n${cleanLines(JSON.stringify(job.input, null, 2))}`)
  if (resultInfo.state === 'inline') parts.push(`result\n${cleanLines(JSON.stringify(job.result, null, 2))}`)
  if (resultInfo.state === 'external')
    parts.push(`result  ${bytes(resultInfo.bytes ?? 0)}: untildone jobs result ${job.id}`)
  return parts.join('\n\n')
}
