/**
 * `untildone submit`: one job from the command line, with its input from pairs, a file or JSON, and waiting on request.
 */
import { openAsBlob, readFileSync } from 'node:fs'
import { basename, extname, resolve } from 'node:path'
import { type JobHandle, UntildoneApiError } from '../../client/index.js'
import type { Json } from '../../core/json.js'
import type { WireJob } from '../../core/wire.js'
import { type CommandSpec, duration, instant, oneOf, person, wholeNumber } from '../command.js'
import type { Context } from '../context.js'
import { CliError, type Exit } from '../failure.js'
import { followJob } from '../follow-job.js'
import { inputFromPairs } from '../pairs.js'
import { clean, paint, type Style, widthOf } from '../text.js'

/** Of an option that may be given several times. */
export const collect = (value: string, before: string[] = []) => [...before, value]

export const submit: CommandSpec = {
  usage: 'submit <type> [pairs...]',
  summary: 'submit a job',
  details: `Input comes from pairs, from --file or from --input; pairs win over members of the other two.
  name=text      text, or a number, true/false, list or object where the job type wants one
  name:=json     JSON, whatever the type wants
  name=@path     uploads the file and puts its id there (name=@@text is the text "@text")`,
  options: [
    { flags: '--input <json>', text: 'the input as JSON' },
    { flags: '--file <path>', text: 'read the input as JSON from a file, - for standard input' },
    { flags: '--key <key>', text: 'idempotency key: the same key and content are stored once (default: a new one)' },
    {
      flags: '--wait [duration]',
      text: 'follow the job until it is done, at most so long',
      parse: (v) => (v === '' ? '' : duration(v)),
    },
    { flags: '--fail-on-blocked', text: 'with --wait: stop with exit code 12 when somebody has to act' },
    { flags: '--at <time>', text: 'not before: 2026-11-22T14:30:00Z, 14:30 or +10m' },
    { flags: '--deadline <time>', text: 'stop trying at this time' },
    { flags: '--group <id>', text: 'session or batch it belongs to' },
    { flags: '--operation <key>', text: 'the business operation behind it, e.g. invoice:9917' },
    {
      flags: '--on-duplicate <what>',
      text: 'when a job of the same operation is there: return, reject or replace it',
      parse: oneOf(['return', 'reject', 'replace']),
    },
    {
      flags: '--for <id[:name]>',
      text: 'the person it is done for, who then is no "other person" in approvals',
      parse: person,
    },
    { flags: '--priority <n>', text: '-100 to 100, higher is sooner', parse: wholeNumber(-100, 100) },
    { flags: '--tag <tag>', text: 'may be given several times', parse: collect as (value: string) => unknown },
    { flags: '--meta <name=value>', text: 'may be given several times', parse: collect as (value: string) => unknown },
  ],
  examples: [
    ['untildone submit hello name=Ada --wait', 'follow it and print the result'],
    ['untildone submit ocr file=@scan.pdf --wait=30m', 'upload a file; exit code 13 when 30 minutes are over'],
    ['untildone submit report --file in.json --key report-2026-11', 'safe to repeat: stored once'],
    ['untildone submit hello --input \'{"name":"Ada"}\' --at +10m', 'start in ten minutes'],
  ],
  async run(context, [type, pairs = []], options) {
    const handle = await send(context, type, await inputOf(context, type, pairs, options), options)
    const { job } = handle
    const note = handle.replayed
      ? '  (this key was used before: the same job)'
      : handle.duplicateOf === null
        ? ''
        : '  (a job of the same operation was there before: nothing was stored)'
    if (options.wait === undefined) {
      if (context.options.json) context.printJson(job)
      else if (context.options.quiet) context.print(job.id)
      else context.print(`${objectLine(context, job, context.outStyle, context.io.outIsTerminal)}${note}`)
      if (!job.done) context.say(`Watch it: untildone jobs watch ${job.id}`)
      return
    }
    context.say(`${objectLine(context, job, context.errStyle, context.io.errIsTerminal)}${note}`)
    const timeoutMs = typeof options.wait === 'number' ? options.wait : null
    const exit: Exit = await followJob(context, {
      id: job.id,
      timeoutMs,
      failOnBlocked: options.failOnBlocked === true,
    })
    return exit
  },
}

/** Address of the job for people: the API's until there is a page. */
export function urlOf(context: Context, path: string): string {
  return new URL(path, context.address.url).href
}

/** `accepted  <id>  <url>`, on two lines where the terminal is too narrow for one: both must be copyable whole. */
export function objectLine(context: Context, job: WireJob, style: Style, terminal: boolean): string {
  const head = `${paint(style, job.status)}  ${job.id}`
  const url = urlOf(context, job.links.self)
  const room = terminal ? (context.io.columns() ?? Infinity) : Infinity
  return widthOf(head) + url.length + 2 <= room ? `${head}  ${url}` : `${head}\n  ${url}`
}

async function send(context: Context, type: string, input: Json, options: Record<string, any>): Promise<JobHandle> {
  // An API key would be stored with the job as its idempotency key.
  if (/^ud_[a-z]+_/.test(options.key ?? '')) {
    throw new CliError('usage', '--key of submit is the idempotency key, and this is an API key. Nothing was sent.', {
      fix: 'Give the API key as --api-key, or in UNTILDONE_KEY.',
    })
  }
  const now = context.now()
  return context.client.submit(type, input, {
    key: options.key,
    group: options.group,
    operationKey: options.operation,
    onDuplicate: options.onDuplicate,
    priority: options.priority,
    onBehalfOf: options.for,
    runAt: options.at && instant(options.at, now),
    deadlineAt: options.deadline && instant(options.deadline, now),
    tags: options.tag,
    metadata: options.meta && metadataOf(options.meta),
    // Following starts at once; a type that lets the caller wait must not hold the first answer.
    wait: options.wait === undefined ? undefined : 0,
    signal: context.interrupted,
  })
}

export function metadataOf(pairs: string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new CliError('usage', `--meta "${pair}" is not of the form name=value.`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

export async function inputOf(
  context: Context,
  type: string,
  pairs: string[],
  options: Record<string, any>,
): Promise<Json> {
  if (options.input !== undefined && options.file !== undefined) {
    throw new CliError('usage', '--input and --file cannot be used together.', {
      fix: 'Give one of them; name=value pairs may be added.',
    })
  }
  const base = await jsonOf(context, options.input, '--input', options.file)
  if (pairs.length === 0) return base ?? {}
  if (base !== undefined && (typeof base !== 'object' || base === null || Array.isArray(base))) {
    throw new CliError('usage', 'Pairs can be added only to an input that is an object.')
  }
  const members = await inputFromPairs(pairs, await schemaOf(context, type), (path) => upload(context, path))
  return { ...base, ...members }
}

/** JSON given on the command line, or in a file (`-`: standard input); undefined when neither was. */
export async function jsonOf(
  context: Context,
  text: string | undefined,
  where: string,
  file: string | undefined,
): Promise<Json | undefined> {
  if (text !== undefined) return parseInput(text, where)
  if (file === '-') return parseInput(await context.io.readInput(), 'standard input')
  return file === undefined ? undefined : parseInput(readText(resolve(context.io.cwd, file)), file)
}

function parseInput(text: string, where: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    throw new CliError('usage', `${where} is not JSON: ${(error as Error).message}.`, {
      fix: 'Nothing was sent. Correct it and submit again.',
    })
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CliError('usage', `Cannot read ${path} (${(error as NodeJS.ErrnoException).code}).`)
  }
}

/** The schema decides how pairs are read; a key that may not see it sends text and lets the server judge. */
async function schemaOf(context: Context, type: string): Promise<Json> {
  try {
    return (await context.client.type(type, { signal: context.interrupted })).inputSchema
  } catch (error) {
    if (!(error instanceof UntildoneApiError)) throw error
    if (error.status === 403)
      context.say('This key may not read the job type, so all values are sent as text; use name:=json for others.')
    return null
  }
}

const TYPES: Record<string, string> = {
  '.pdf': 'application/pdf',
  '.json': 'application/json',
  '.txt': 'text/plain',
  '.csv': 'text/csv',
  '.xml': 'application/xml',
  '.html': 'text/html',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.tif': 'image/tiff',
  '.tiff': 'image/tiff',
  '.zip': 'application/zip',
}

/** Uploads a local file and gives its id. */
export async function upload(
  context: Context,
  path: string,
  more: { name?: string; contentType?: string } = {},
): Promise<string> {
  return (await uploadFile(context, path, more)).file
}

export async function uploadFile(context: Context, path: string, more: { name?: string; contentType?: string }) {
  const full = resolve(context.io.cwd, path)
  const contentType = more.contentType ?? TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream'
  let blob: Blob
  try {
    // Read from disk while it is sent: the file may be larger than memory.
    blob = await openAsBlob(full, { type: contentType })
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException
    throw new CliError('usage', `Cannot read ${path} (${code}). Nothing was sent.`)
  }
  const file = await context.client.uploadFile(blob, {
    name: more.name ?? basename(path),
    contentType,
    signal: context.interrupted,
  })
  context.say(`uploaded  ${clean(basename(path))}  ${file.file}`)
  return file
}
