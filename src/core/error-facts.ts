/**
 * What is known of an error: the members that rules look at, read with care, because getters may throw and anything may
 * be thrown. Also what a person writes down of one, to ask what would become of it. Pure; never throws; decides nothing.
 */
import { ORIGINS, type Origin } from './job.js'
import { clip } from './json.js'

export const VERDICTS = ['transient', 'permanent', 'harmless', 'review'] as const
export type Verdict = (typeof VERDICTS)[number]

/** Marks the errors that carry their verdict, so that two copies of the package understand each other. */
export const BRAND = Symbol.for('untildone.verdict')

/** What rules look at. Kept with an example of a failure, so that rules can be tried on it later. */
export interface ErrorFacts {
  name: string
  message: string
  code: string | null
  status: number | null
  /** Of a child process. */
  exit: number | null
  signal: string | null
  /** The last lines of a child process. */
  output: string
  /** The program or library that failed, from `details.engine` and `details.engineVersion`. */
  engine: string | null
  engineVersion: string | null
  schemaIssue: boolean
}

/** All that is read of an error that was thrown. */
export interface Seen extends ErrorFacts {
  retryAfterMs: number
  verdict: Verdict | null
  details: Record<string, unknown> | null
  result: unknown
  origin: Origin | null
  happened: unknown
}

export function look(error: unknown, isCause = false): Seen {
  const object = typeof error === 'object' && error !== null ? error : null
  const at = (key: string | symbol): unknown => {
    try {
      return object === null ? undefined : (object as Record<string | symbol, unknown>)[key]
    } catch {
      return undefined
    }
  }
  const text = (key: string): string | null => (typeof at(key) === 'string' ? (at(key) as string) : null)
  const number = (key: string): number | null => (typeof at(key) === 'number' ? (at(key) as number) : null)
  const verdict = at(BRAND)
  const retryAfter = number('retryAfterMs')
  const details = at('details')
  const evidence = verdict === 'review' ? (at('evidence') ?? null) : null
  const name = text('name') ?? typeof error
  const said = text('message') ?? describe(error)
  // What fetch throws says why only in its cause. No other error is looked into: it may tell of a later call.
  const isFetch = !isCause && name === 'TypeError' && said === 'fetch failed'
  const why = isFetch && at('cause') ? look(at('cause'), true) : null
  return {
    name,
    message: why ? [said, why.message || why.code].filter(Boolean).join(': ') : said,
    code: text('code') ?? why?.code ?? null,
    status: number('status') ?? number('statusCode'),
    exit: number('exitCode'),
    signal: text('signal'),
    output: text('output') ?? '',
    engine: word(details, 'engine'),
    engineVersion: word(details, 'engineVersion'),
    retryAfterMs: retryAfter !== null && retryAfter > 0 && Number.isFinite(retryAfter) ? retryAfter : 0,
    verdict: (VERDICTS as readonly unknown[]).includes(verdict) ? (verdict as Verdict) : null,
    details: withEvidence(
      typeof details === 'object' && details !== null && !Array.isArray(details)
        ? (details as Record<string, unknown>)
        : null,
      evidence,
    ),
    result: at('result'),
    schemaIssue: Array.isArray(at('issues')),
    origin: (ORIGINS as readonly unknown[]).includes(at('origin')) ? (at('origin') as Origin) : null,
    happened: at('happened'),
  }
}

/** What a Review shows to whoever must look. A member of the same name was put there on purpose, and stays. */
function withEvidence(details: Record<string, unknown> | null, evidence: unknown): Record<string, unknown> | null {
  return evidence === null ? details : { evidence, ...details }
}

function describe(error: unknown): string {
  if (typeof error === 'string') return error
  try {
    return `A ${typeof error} was thrown: ${clip(String(JSON.stringify(error) ?? error), 500)}`
  } catch {
    return `Something that cannot be shown was thrown (${typeof error}).`
  }
}

function word(details: unknown, member: string): string | null {
  try {
    const value = (details as Record<string, unknown> | null | undefined)?.[member]
    return typeof value === 'string' && value !== '' ? clip(value, 100) : null
  } catch {
    return null
  }
}

/** How shells tell of a program that a signal ended: 128 and its number. */
const SIGNALS: Readonly<Record<number, string>> = {
  ...{ 129: 'SIGHUP', 130: 'SIGINT', 131: 'SIGQUIT', 132: 'SIGILL', 133: 'SIGTRAP', 134: 'SIGABRT', 135: 'SIGBUS' },
  ...{ 136: 'SIGFPE', 137: 'SIGKILL', 139: 'SIGSEGV', 141: 'SIGPIPE', 143: 'SIGTERM' },
}

/** An error as a person writes it down; what is left out is filled in as a child process would have told it. */
export function factsFrom(given: Partial<ErrorFacts> & { message: string }): ErrorFacts {
  const exit = given.exit ?? null
  const signal = given.signal ?? (exit === null ? null : (SIGNALS[exit] ?? null))
  const ofChild = signal !== null ? 'process-signal' : exit !== null ? 'process-exit' : null
  return {
    ...{ name: given.name ?? (ofChild ? 'ProcessError' : 'Error'), message: given.message },
    ...{ code: given.code ?? ofChild, status: given.status ?? null, exit, signal, output: given.output ?? '' },
    ...{ engine: given.engine ?? null, engineVersion: given.engineVersion ?? null, schemaIssue: false },
  }
}
