/**
 * `untildone types story`: the whole way of a type, from a server or, with --jobs, from job files without one. With
 * --check it fails on what the type must still say, for CI.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { isUntildoneError } from '../../core/errors.js'
import type { Json } from '../../core/json.js'
import type { WireTypeStory } from '../../core/wire-type-story.js'
import type { JobHandler } from '../../define/index.js'
import type { RecordedRun } from '../../engine/story/type-run.js'
import { typeStoryOf } from '../../engine/story/type-story.js'
import { typeStoryMarkdown } from '../../engine/story/type-text.js'
import { dryRun, type StoryExample } from '../../testing/index.js'
import { type CommandSpec, jobId } from '../command.js'
import type { Context } from '../context.js'
import { sampleInput } from '../dev/sample-input.js'
import { CliError, EXIT, type Exit } from '../failure.js'
import { loadJobs } from '../load-jobs.js'
import { clean, count } from '../text.js'

interface Options {
  jobs?: string
  from?: string
  check?: boolean
}

export const typesStory: CommandSpec = {
  usage: 'types story [type]',
  summary: 'the whole way of a type: intake, durable write, steps, effects, what people hear, ends',
  details: `From a server it is told from the latest completed job, or from the one of --from. With --jobs no server is
needed: each handler is run dry, its steps replaced by the values in <type>.example.json beside the job files.
Prints Markdown. Without a type, all types.

--check fails (exit 1) on a step that must happen once without a confirm, a gate without an expiry, a wait for a signal
without a timeout, a type without a target or without a give-up rule of its own, and a stage that is not declared.`,
  options: [
    { flags: '--jobs <dir>', text: 'read job files from this folder instead of asking a server' },
    { flags: '--from <id>', text: 'tell it from this job' },
    { flags: '--check', text: 'fail on what the type must still say' },
  ],
  examples: [
    ['untildone types story ocr.convert', 'told from the latest completed job'],
    ['untildone types story --jobs jobs > STORY.md', 'all types of a folder, without a server'],
    ['untildone types story --jobs jobs --check', 'for CI'],
  ],
  async run(context, [type]: (string | undefined)[], options: Options) {
    if (options.jobs !== undefined && options.from !== undefined)
      throw new CliError('usage', '--from names a job of a server, and --jobs asks none.', {
        fix: 'Leave one of them out.',
      })
    const stories =
      options.jobs === undefined ? await asked(context, type, options) : await dry(context, type, options.jobs)
    if (context.options.json) context.printJson(type === undefined ? { items: stories } : stories[0])
    if (options.check) return check(context, stories)
    if (!context.options.json) context.io.out(stories.map(typeStoryMarkdown).join('\n'))
  },
}

async function asked({ client, interrupted: signal, ...rest }: Context, type: string | undefined, { from }: Options) {
  if (type === undefined && from !== undefined)
    throw new CliError('usage', '--from needs the type of that job.', {
      fix: 'untildone types story <type> --from <id>',
    })
  const names = type === undefined ? (await client.types({ signal })).map((one) => one.type) : [type]
  const id = from === undefined ? undefined : await jobId({ ...rest, client, interrupted: signal }, from)
  return Promise.all(names.map((name) => client.typeStory(name, { from: id, signal })))
}

async function dry({ io }: Context, type: string | undefined, dir: string): Promise<WireTypeStory[]> {
  const { handlers, broken } = await loadJobs({ dir, cwd: io.cwd })
  if (broken[0]) throw broken[0]
  const chosen = handlers.filter(({ definition }) => type === undefined || definition.name === type)
  if (chosen.length === 0) {
    const fix = `There are: ${handlers.map(({ definition }) => definition.name).join(', ')}`
    throw new CliError('not-found', `No job file in ${dir} defines "${type}".`, { fix, exit: EXIT.notFound })
  }
  const stories: WireTypeStory[] = []
  for (const handler of chosen) stories.push(typeStoryOf(handler, await runOf(handler, resolve(io.cwd, dir), io.cwd)))
  return stories
}

/** A dry run over the committed example, or over the plainest input of the schema; none when that cannot be made up. */
async function runOf(handler: JobHandler, dir: string, cwd: string): Promise<RecordedRun | null> {
  const { definition } = handler
  const path = exampleIn(dir, `${definition.name}.example.json`)
  if (path !== null) {
    const shown = relative(cwd, path)
    try {
      return await dryRun(handler, readExample(path, shown))
    } catch (error) {
      if (!isUntildoneError(error) || error.code !== 'input-invalid') throw error
      throw new CliError(error.code, error.message, { fix: `Correct "input" in ${shown}.` })
    }
  }
  const made = sampleInput(definition.inputSchema as Json)
  if (made === null) return null
  try {
    return await dryRun(handler, { input: made.value })
  } catch {
    // An input that was made up and does not fit says nothing about the type.
    return null
  }
}

function exampleIn(dir: string, name: string): string | null {
  if (existsSync(join(dir, name))) return join(dir, name)
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === 'node_modules' || entry.name.startsWith('.')) continue
    const found = exampleIn(join(dir, entry.name), name)
    if (found !== null) return found
  }
  return null
}

function readExample(path: string, shown: string): StoryExample {
  const wrong = (what: string) =>
    new CliError('usage', `${shown} ${what}.`, { fix: 'Write { "input": …, "values": { "<step>": … } }' })
  let example: unknown
  try {
    example = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw wrong(`is no JSON (${(error as Error).message})`)
  }
  if (typeof example !== 'object' || example === null || !('input' in example)) throw wrong('has no "input"')
  return example as StoryExample
}

function check(context: Context, stories: readonly WireTypeStory[]): Exit | undefined {
  const found = stories.flatMap(({ type, findings }) => findings.map((finding) => ({ type, ...finding })))
  const say = context.options.json ? context.say : context.print
  for (const { type, rule, text, fix } of found) say(`${clean(type)}  ${rule}\n  ${clean(text)}\n  → ${clean(fix)}`)
  say(`${count(stories.length, 'type')} checked, ${count(found.length, 'finding')}.`)
  return found.length > 0 ? EXIT.found : undefined
}
