/**
 * Error → verdict: transient (retry), permanent (fail), harmless (complete, with a warning), review (ask a human).
 * Order: a thrown verdict wins, then the step's rules, the type's rules, the built-in rules, then transient.
 * The rule that decided is always named. Pure; never throws, whatever was thrown.
 */
import { ORIGINS, type Origin } from './job.js'
import { clip } from './json.js'

export const VERDICTS = ['transient', 'permanent', 'harmless', 'review'] as const
export type Verdict = (typeof VERDICTS)[number]

/** One line of a type's or step's error table. All given conditions must hold. */
export interface ErrorRule {
  /** Tested against `code`, `name` and `message`, and against the last output lines of a child process. */
  match?: RegExp | string
  /** The error's `code`, e.g. 'ECONNRESET'. */
  code?: string
  /** HTTP status carried by the error as `status` or `statusCode`. */
  status?: number
  /** Exit code of a child process. */
  exit?: number
  /** Signal that ended a child process, e.g. 'SIGSEGV'. */
  signal?: string
  /** The verdict. */
  is: Verdict
  /** Error code shown to callers instead of the thrown one; a slug. */
  as?: string
  /** Where such a failure comes from. @default by the built-in rules, else 'system' */
  origin?: Origin
}

/** What is known of an error after classification. */
export interface Classified {
  verdict: Verdict
  /** `thrown Permanent`, `step[0] /503/`, `type[2] /…/`, `built-in http-status 503`, `default transient`. */
  rule: string
  origin: Origin
  /** Slug for callers. */
  code: string
  message: string
  details: Record<string, unknown> | null
  /** Lower bound for the next delay, from a Retry-After. */
  retryAfterMs: number
  /** The result a Harmless error carries. */
  result: unknown
}

const BRAND = Symbol.for('untildone.verdict')

interface VerdictOptions {
  /** Slug shown to callers. */
  code?: string
  details?: Record<string, unknown>
  cause?: unknown
  /** Where the failure comes from: `model` for what an AI model said, `policy` for a rule that says no. @default by the verdict */
  origin?: Origin
  /** `false`: the effect of the step in which it is thrown has certainly not happened, so a `once` step may be begun again. */
  happened?: false
}

/** Base of the four errors users throw; recognised by symbol, so two copies of the package understand each other. */
class VerdictError extends Error {
  readonly [BRAND]: Verdict
  readonly code: string | undefined
  readonly details: Record<string, unknown> | null
  readonly origin: Origin | undefined
  readonly happened: false | undefined
  constructor(verdict: Verdict, name: string, message: string, options: VerdictOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = name
    this[BRAND] = verdict
    this.code = options.code
    this.details = options.details ?? null
    this.origin = options.origin
    this.happened = options.happened
  }
}

/** Throw it when another try may work. */
export class Transient extends VerdictError {
  /** Do not try again sooner than this, in milliseconds. */
  readonly retryAfterMs: number
  constructor(message: string, options: VerdictOptions & { retryAfterMs?: number } = {}) {
    super('transient', 'Transient', message, options)
    this.retryAfterMs = options.retryAfterMs ?? 0
  }
}

/** Throw it when no further try can work: the job fails with this code and message. */
export class Permanent extends VerdictError {
  constructor(message: string, options: VerdictOptions = {}) {
    super('permanent', 'Permanent', message, options)
  }
}

/** Throw it for noise: the job completes with `result` if that passes the output schema, and a warning is kept. */
export class Harmless extends VerdictError {
  readonly result: unknown
  constructor(message: string, options: VerdictOptions & { result?: unknown } = {}) {
    super('harmless', 'Harmless', message, options)
    this.result = options.result ?? null
  }
}

/** Throw it when a human must look: the job is blocked until somebody decides. */
export class Review extends VerdictError {
  /** What they should look at; shown as `error.details.evidence`. */
  readonly evidence: unknown
  constructor(message: string, options: VerdictOptions & { evidence?: unknown } = {}) {
    super('review', 'Review', message, options)
    this.evidence = options.evidence ?? null
  }
}

const TRANSIENT_STATUS = new Set([408, 425, 429, 500, 502, 503, 504])
const TRANSIENT_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EPIPE',
  'EAI_AGAIN',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EBUSY',
  'EMFILE',
  'ENFILE',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
  'process-signal',
  'process-memory',
  'process-spawn',
  'disk-low',
  'attempt-timeout',
  'step-timeout',
])
/** No further try can change them: they are defects of the handler's code or of its result. */
const PERMANENT_CODES = new Set([
  'output-invalid',
  'result-too-large',
  'input-invalid',
  'approval-incomplete',
  // A child that wrote more than it may, or arguments that no system takes: the next one would do the same.
  'process-file-size',
  'process-arguments',
])
const MESSAGE_MAX = 8192

/** The members of an error that rules look at, read with care: getters may throw, anything may be thrown. */
interface Seen {
  name: string
  message: string
  code: string | null
  status: number | null
  exit: number | null
  signal: string | null
  output: string
  retryAfterMs: number
  verdict: Verdict | null
  details: Record<string, unknown> | null
  result: unknown
  schemaIssue: boolean
  origin: Origin | null
  happened: unknown
}

export function classify(
  error: unknown,
  tables: { step?: readonly ErrorRule[]; type?: readonly ErrorRule[] } = {},
): Classified {
  const seen = look(error)
  const found = seen.verdict
    ? { verdict: seen.verdict, rule: `thrown ${seen.name}`, as: undefined, origin: undefined }
    : (firstMatch(seen, tables.step, 'step') ?? firstMatch(seen, tables.type, 'type') ?? builtIn(seen))
  return {
    verdict: found.verdict,
    rule: found.rule,
    origin: found.origin ?? seen.origin ?? originOf(seen, found.verdict),
    code: found.as ?? slug(seen.code) ?? 'handler-error',
    message: clip(seen.message, MESSAGE_MAX),
    details: seen.details,
    retryAfterMs: seen.retryAfterMs,
    result: seen.result,
  }
}

/** The first rule of a table that matches `text` alone; for warnings a child prints while it works. */
export function matchText(
  text: string,
  table: readonly ErrorRule[] | undefined,
  name: string,
): { verdict: Verdict; rule: string; as?: string } | null {
  const plain = (table ?? []).map((rule) =>
    rule.match !== undefined &&
    rule.code === undefined &&
    rule.status === undefined &&
    rule.exit === undefined &&
    rule.signal === undefined
      ? rule
      : null,
  )
  const index = plain.findIndex((rule) => rule !== null && matches(rule.match!, text))
  return index < 0
    ? null
    : { verdict: plain[index]!.is, rule: ruleName(name, index, plain[index]!), as: plain[index]!.as }
}

function firstMatch(
  seen: Seen,
  table: readonly ErrorRule[] | undefined,
  name: string,
): { verdict: Verdict; rule: string; as?: string; origin?: Origin } | null {
  const text = `${seen.code ?? ''} ${seen.name}: ${seen.message}\n${seen.output}`
  const index = (table ?? []).findIndex(
    (rule) =>
      (rule.match === undefined || matches(rule.match, text)) &&
      (rule.code === undefined || rule.code === seen.code) &&
      (rule.status === undefined || rule.status === seen.status) &&
      (rule.exit === undefined || rule.exit === seen.exit) &&
      (rule.signal === undefined || rule.signal === seen.signal) &&
      (rule.match ?? rule.code ?? rule.status ?? rule.exit ?? rule.signal) !== undefined,
  )
  if (index < 0) return null
  const rule = table![index]!
  return { verdict: rule.is, rule: ruleName(name, index, rule), as: rule.as, origin: rule.origin }
}

function matches(pattern: RegExp | string, text: string): boolean {
  if (typeof pattern === 'string') return text.includes(pattern)
  pattern.lastIndex = 0 // a /g/ expression keeps its place between calls
  return pattern.test(text)
}

function ruleName(table: string, index: number, rule: ErrorRule): string {
  const said =
    rule.match ??
    rule.code ??
    rule.signal ??
    (rule.status !== undefined ? `status ${rule.status}` : `exit ${rule.exit}`)
  return `${table}[${index}] ${clip(String(said), 80)}`
}

/** Codes of ours that speak of the engine or of the code around it. */
const ENGINE_CODES = new Set([
  'code-changed',
  'worker-lost',
  'poison',
  'undo-missing',
  'undo-failed',
  'store-unavailable',
  'internal',
])
const ENGINE_DEFECTS = new Set(['bad-definition', 'bad-step-name', 'nested-step', 'approval-incomplete'])

/** Where it came from when no rule says so. */
function originOf(seen: Seen, verdict: Verdict): Origin {
  if (seen.code !== null && (ENGINE_CODES.has(seen.code) || ENGINE_DEFECTS.has(seen.code))) return 'engine'
  if (seen.schemaIssue) return 'input'
  if (seen.status === 401 || seen.status === 403) return 'policy'
  if (seen.status !== null && seen.status >= 400 && seen.status < 500 && !TRANSIENT_STATUS.has(seen.status))
    return 'input'
  if (seen.verdict === null) return 'system'
  return verdict === 'review' ? 'policy' : verdict === 'permanent' ? 'input' : 'system'
}

/** Nobody was reached, or whoever threw it knows: its effect cannot have happened. */
export function neverReached(error: unknown): boolean {
  const { code, happened } = look(error)
  return happened === false || (code !== null && UNREACHED.has(code))
}
const UNREACHED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

function builtIn(seen: Seen): { verdict: Verdict; rule: string; as?: string; origin?: Origin } {
  if (seen.status !== null && TRANSIENT_STATUS.has(seen.status))
    return { verdict: 'transient', rule: `built-in http-status ${seen.status}` }
  if (seen.status !== null && seen.status >= 400 && seen.status < 500)
    return { verdict: 'permanent', rule: `built-in http-status ${seen.status}` }
  if (seen.code !== null && TRANSIENT_CODES.has(seen.code))
    return { verdict: 'transient', rule: `built-in code ${seen.code}` }
  if (seen.code !== null && PERMANENT_CODES.has(seen.code))
    return { verdict: 'permanent', rule: `built-in code ${seen.code}` }
  if (seen.code === 'undo-missing') return { verdict: 'review', rule: 'built-in code undo-missing' }
  if (seen.schemaIssue) return { verdict: 'permanent', rule: 'built-in schema-error' }
  return { verdict: 'transient', rule: 'default transient' }
}

function look(error: unknown, isCause = false): Seen {
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

/** Codes on the wire are slugs; Node's `ECONNRESET` becomes `econnreset`. */
function slug(code: string | null): string | null {
  if (code === null) return null
  const made = code
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64)
  return made || null
}
