/** `untildone jobs watch`: following one job, several, a group, or all that a filter finds. */
import { type EventFilter, UntildoneApiError } from '../../client/index.js'
import type { Status } from '../../core/job.js'
import type { WireJob } from '../../core/wire.js'
import { type CommandSpec, duration, jobIds, list } from '../command.js'
import type { Context } from '../context.js'
import { CliError, EXIT, type Exit } from '../failure.js'
import { followJob } from '../follow-job.js'
import { type FollowManyRequest, followJobs } from '../follow-jobs.js'
import { count } from '../text.js'

/** As many as one stream takes. */
const MOST_IDS = 100
const READ_AT_ONCE = 8
const UNFINISHED: readonly Status[] = ['accepted', 'processing', 'blocked']

export const jobsWatch: CommandSpec = {
  usage: 'jobs watch [ids...]',
  summary: 'follow jobs until they are done; of one, print its result',
  details:
    'Several ids, a group or a filter: ends when all jobs are done, with exit code 0 when all completed, else with that of ' +
    'the worst end (10, then 11). A group counts all its jobs; --type and --tag those that are unfinished, and what comes ' +
    'meanwhile. --json prints each snapshot as one line. It survives restarts of the server.',
  options: [
    { flags: '--group <id>', text: 'all jobs of this group' },
    {
      flags: '--type <names>',
      text: 'unfinished jobs of these types: exact, or a beginning that ends in *',
      parse: list,
    },
    { flags: '--tag <tag>', text: 'unfinished jobs with this tag' },
    { flags: '--timeout <duration>', text: 'stop looking after so long, with exit code 13', parse: duration },
    { flags: '--fail-on-blocked', text: 'stop with exit code 12 when somebody has to act' },
  ],
  examples: [
    ['untildone jobs watch 7f3c91e2', 'Ctrl-C stops watching; the job carries on'],
    ['untildone jobs watch 7f3c91e2 --timeout 10m --quiet', 'for scripts: the exit code says how it ended'],
    ['untildone jobs watch --group release-41 --timeout 1h --fail-on-blocked', 'a build that waits for its jobs'],
    ['untildone jobs watch --type "ocr.*" --json | jq .status', 'each change as one line'],
  ],
  async run(context, [texts = []], options) {
    const { group, type: types, tag } = options
    const filtered = group !== undefined || types !== undefined || tag !== undefined
    if (filtered === texts.length > 0) {
      const what = filtered ? 'Give ids or a filter, not both.' : 'Which jobs?'
      throw new CliError('usage', what, { fix: 'Give ids, or --group, --type or --tag. See them: untildone jobs list' })
    }
    const how = { timeoutMs: options.timeout ?? null, failOnBlocked: options.failOnBlocked === true }
    if (filtered) return watchFilter(context, { groupId: group, types, tag }, how)
    const ids = await jobIds(context, texts)
    if (ids.length === 1) return followJob(context, { id: ids[0]!, ...how, lines: true })
    return watchIds(context, ids, how)
  },
}

type How = Pick<FollowManyRequest, 'timeoutMs' | 'failOnBlocked'>

async function watchIds(context: Context, ids: string[], how: How): Promise<Exit> {
  if (ids.length > MOST_IDS) {
    const fix = 'Give them a group when they are submitted, and watch that: --group <id>'
    throw new CliError('usage', `${ids.length} jobs are too many; ${MOST_IDS} at most.`, { fix })
  }
  const jobs: WireJob[] = []
  const missing: string[] = []
  for (let i = 0; i < ids.length; i += READ_AT_ONCE)
    await Promise.all(ids.slice(i, i + READ_AT_ONCE).map((id) => readInto(context, id, jobs, missing)))
  if (missing.length > 0) {
    throw new CliError('job-not-found', `${missing.length} of ${count(ids.length, 'job')} cannot be watched.`, {
      why: 'Nothing was watched: a wait for all of them could not tell how they ended.',
      fix: 'Leave them out, or look for the right id: untildone jobs list',
      exit: EXIT.notFound,
      details: missing,
    })
  }
  const inOrder = ids.map((id) => jobs.find((job) => job.id === id)!)
  return followJobs(context, { ...how, jobs: inOrder, filter: { jobId: ids }, again: ids.join(' ') })
}

async function readInto(context: Context, id: string, jobs: WireJob[], missing: string[]): Promise<void> {
  try {
    jobs.push(await context.client.get(id, { signal: context.interrupted }))
  } catch (error) {
    if (!(error instanceof UntildoneApiError) || (error.status !== 404 && error.status !== 410)) throw error
    missing.push(`${id}  ${error.message}`)
  }
}

async function watchFilter(context: Context, filter: EventFilter, how: How): Promise<Exit> {
  const { groupId: group, types: type, tag } = filter
  const { client, interrupted } = context
  // Throws for a group that no job ever named.
  if (group !== undefined) await client.group(group, { signal: interrupted })
  // A group may be made of jobs of this filter only; then it counts those that are unfinished, like every filter.
  const whole = group !== undefined && type === undefined && tag === undefined
  const found = (status: readonly Status[] | undefined, signal: AbortSignal) =>
    client.list({ group, type, tag, status, order: 'createdAt', limit: 200, signal })
  const jobs: WireJob[] = []
  for await (const job of found(whole ? undefined : UNFINISHED, interrupted)) jobs.push(job)
  if (jobs.length === 0) {
    context.say('No unfinished jobs fit.')
    return EXIT.ok
  }
  const isAll = whole ? async (signal: AbortSignal) => (await client.group(group, { signal })).done : undefined
  const unfinished = (signal: AbortSignal) => found(UNFINISHED, signal)
  return followJobs(context, { ...how, jobs, filter, isAll, unfinished, again: againOf(filter) })
}

function againOf({ groupId, types, tag }: EventFilter): string {
  const quoted = (text: string) => (/^[\w.:@/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
  return [
    ...(groupId === undefined ? [] : [`--group ${quoted(groupId)}`]),
    ...(types === undefined ? [] : [`--type ${quoted(types.join(','))}`]),
    ...(tag === undefined ? [] : [`--tag ${quoted(tag)}`]),
  ].join(' ')
}
