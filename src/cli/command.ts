/**
 * The form of a command: words, arguments, options, examples and what it runs. program.ts turns these into the parser,
 * so that every command gets the same global options, help and errors.
 */
import { InvalidArgumentError } from 'commander'
import { parseDuration } from '../core/duration.js'
import type { Context } from './context.js'
import { CliError, EXIT, type Exit } from './failure.js'

export interface CommandSpec {
  /** Words and arguments after `untildone`: `jobs list`, `submit <type> [pairs...]`. */
  usage: string
  /** One line for the list of commands. */
  summary: string
  /** More, for the command's own help. */
  details?: string
  options?: readonly CommandOption[]
  /** Command lines that can be pasted, and what each does. */
  examples: readonly (readonly [string, string])[]
  /** Exit code; nothing means 0. Errors are turned into text and code by program.ts. */
  run(context: Context, args: any[], options: Record<string, any>): Promise<Exit | void>
}

export interface CommandOption {
  flags: string
  text: string
  parse?: (value: string) => unknown
}

/** A duration option in milliseconds. */
export function duration(value: string): number {
  try {
    return parseDuration(value)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

/** An http or https address. */
export function webAddress(value: string): string {
  if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return value
  throw new InvalidArgumentError('It must be an address like https://jobs.example.com.')
}

export function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!Number.isInteger(number) || number < min || number > max)
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
    return number
  }
}

export function oneOf(words: readonly string[]): (value: string) => string {
  return (value) => {
    if (!words.includes(value)) throw new InvalidArgumentError(`It must be one of ${words.join(', ')}.`)
    return value
  }
}

export function list(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
}

/** `u-77` or `u-77:Mara`. */
export function person(value: string): { id: string; name?: string } {
  const [id, name] = /^([^:]+)(?::(.*))?$/s.exec(value)?.slice(1) ?? []
  if (!id) throw new InvalidArgumentError('Write the id of the person, or id:name.')
  return name ? { id, name } : { id }
}

export function risk(value: string): 'low' | 'medium' | 'high' {
  if (value === 'low' || value === 'medium' || value === 'high') return value
  throw new InvalidArgumentError('Choose from low, medium, high.')
}

/** An instant: RFC 3339, `10m` from now, or `14:30` (the next one, local time). */
export function instant(value: string, now: number): Date {
  const time = /^(\d{1,2}):(\d{2})$/.exec(value)
  if (time) {
    const at = new Date(now)
    at.setHours(Number(time[1]), Number(time[2]), 0, 0)
    if (at.getTime() <= now) at.setDate(at.getDate() + 1)
    return at
  }
  try {
    return new Date(now + parseDuration(value.replace(/^\+/, '')))
  } catch {
    const at = new Date(value)
    if (Number.isNaN(at.getTime()))
      throw new CliError('usage', `"${value}" is not a time.`, { fix: 'Write 2026-11-22T14:30:00Z, 14:30 or +10m.' })
    return at
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const RECENT = 200

/** The whole id for a whole id, or for the beginning or end of the id of a recent job. */
export async function jobId(context: Context, text: string): Promise<string> {
  return (await jobIds(context, [text]))[0]!
}

/** The same for several, each once; all that are not known are named together. */
export async function jobIds({ client, interrupted }: Context, texts: readonly string[]): Promise<string[]> {
  const isPart = (text: string) => !UUID.test(text) && /^[0-9a-f-]{4,35}$/i.test(text)
  if (!texts.some(isPart)) return [...new Set(texts)]
  const { items } = await client.list({ limit: RECENT, signal: interrupted }).page()
  const unknown: string[] = []
  const ids = texts.map((text) => {
    if (!isPart(text)) return text
    const part = text.toLowerCase()
    const found = items.map((job) => job.id).filter((id) => id.startsWith(part) || id.endsWith(part))
    if (found.length > 1) {
      throw new CliError('usage', `"${text}" fits ${found.length} jobs.`, {
        fix: 'Give the whole id.',
        details: found.slice(0, 10),
      })
    }
    if (found.length === 0) unknown.push(`"${text}"`)
    return found[0] ?? text
  })
  if (unknown.length > 0) {
    const fix = 'List them: untildone jobs list. For older jobs give the whole id.'
    const what = `No recent job has an id that begins or ends with ${unknown.join(' or ')}.`
    throw new CliError('job-not-found', what, { fix, exit: EXIT.notFound })
  }
  return [...new Set(ids)]
}

export const REASON: CommandOption = { flags: '--reason <text>', text: 'kept in the history' }

export const IF_VERSION: CommandOption = {
  flags: '--if-version <n>',
  text: 'only if the job still has this version',
  parse: wholeNumber(1, 2 ** 31),
}

/** Said before anything is sent, so that nobody has to guess what is missing. */
export function reasonOf(options: Record<string, any>): string {
  if (typeof options.reason === 'string' && options.reason.trim() !== '') return options.reason
  throw new CliError('usage', 'This needs a reason. Nothing was sent.', {
    fix: 'Add --reason "…": it is kept in the history and in the audit trail.',
  })
}
