/**
 * Error → verdict: transient (retry), permanent (fail), harmless (complete, with a warning), review (ask a human).
 * Order: a thrown verdict wins, then the step's rules, the type's rules, what people have taught, the built-in rules, then
 * transient. The rule that decided is always named. Pure; never throws, whatever was thrown.
 */
import { BRAND, type ErrorFacts, look, type Seen, type Verdict } from './error-facts.js'
import type { Origin } from './job.js'
import { clip } from './json.js'
import {
  type Conditions,
  conditionsOf,
  engineHolds,
  type Fingerprint,
  matches,
  missOf,
  ruleName,
} from './rule-match.js'
import { type TaughtRule, taughtWords } from './taught.js'

export { type ErrorFacts, VERDICTS, type Verdict } from './error-facts.js'

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
  /**
   * The engine that failed, as `engine` of job.process or the error's details name it; needs one of the others beside it.
   * `versions` is a range like `5.3.x` or `>=5 <5.4`, which an unknown version is never in.
   * @default any engine, and of a named one every version
   */
  engine?: { name: string; versions?: string }
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
  /** `thrown Permanent`, `step[0] /503/`, `type[2] /…/`, `taught[12] by …`, `built-in http-status 503`, `default transient`. */
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
  /** Which kind of rule decided. */
  by: 'thrown' | 'step' | 'type' | 'taught' | 'built-in'
  /** Number of the taught rule that decided. */
  taught: number | null
  facts: ErrorFacts
}

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

/** Tables of rules, in the order in which they are tried. */
export interface RuleTables {
  step?: readonly ErrorRule[] | undefined
  type?: readonly ErrorRule[] | undefined
  /** Those of the tenant and type that are in force, the latest first. */
  taught?: readonly TaughtRule[] | undefined
  fingerprint?: Fingerprint
}

export interface Found {
  /** Which kind of rule it was. */
  by: 'thrown' | 'step' | 'type' | 'taught' | 'built-in'
  verdict: Verdict
  rule: string
  as?: string | undefined
  origin?: Origin | undefined
  taught?: number
}

export function classify(error: unknown, tables: RuleTables = {}): Classified {
  const seen = look(error)
  const found = decide(seen, tables)
  return {
    verdict: found.verdict,
    rule: found.rule,
    origin: found.origin ?? seen.origin ?? originOf(seen, found.verdict),
    code: found.as ?? slug(seen.code) ?? 'handler-error',
    message: clip(seen.message, MESSAGE_MAX),
    details: seen.details,
    retryAfterMs: seen.retryAfterMs,
    result: seen.result,
    by: found.by,
    taught: found.taught ?? null,
    facts: seen,
  }
}

function decide(seen: Seen, { step, type, taught, fingerprint = NO_FINGERPRINT }: RuleTables): Found {
  if (seen.verdict) return { by: 'thrown', verdict: seen.verdict, rule: `thrown ${seen.name}` }
  return (
    firstMatch(seen, step, 'step') ??
    firstMatch(seen, type, 'type') ??
    firstTaught(seen, taught, fingerprint) ?? { by: 'built-in', ...builtIn(seen) }
  )
}

/** What a child printed that ended well, and which engine it was. */
export interface Line extends Pick<ErrorFacts, 'engine' | 'engineVersion'> {
  text: string
}

/**
 * The first rule that is about text alone, or text and engine, and matches a line that a child printed which ended well.
 * There is no error, so rules that ask for anything of one say nothing here, what is supposed included.
 */
export function matchText(line: Line, { step, type, taught }: RuleTables): Found | null {
  for (const [name, table] of [
    ['step', step],
    ['type', type],
  ] as const) {
    const index = (table ?? []).findIndex((rule) => saysOf(rule, line))
    if (index >= 0) {
      const rule = table![index]!
      return { by: name, verdict: rule.is, rule: ruleName(name, index, rule), as: rule.as }
    }
  }
  const rule = taught?.find(({ when }) => saysOf(conditionsOf(when), line))
  return rule ? { by: 'taught', verdict: rule.is, rule: taughtWords(rule), taught: rule.id } : null
}

function saysOf(rule: Conditions, { text, engine, engineVersion }: Line): boolean {
  const { match, code, status, exit, signal, fingerprint } = rule
  return (
    match !== undefined &&
    (code ?? status ?? exit ?? signal ?? fingerprint) === undefined &&
    matches(match, text) &&
    engineHolds(rule, { engine, engineVersion })
  )
}

function firstMatch(seen: Seen, table: readonly ErrorRule[] | undefined, name: 'step' | 'type'): Found | null {
  const index = (table ?? []).findIndex((rule) => missOf(rule, seen, NO_FINGERPRINT) === null)
  if (index < 0) return null
  const rule = table![index]!
  return { by: name, verdict: rule.is, rule: ruleName(name, index, rule), as: rule.as, origin: rule.origin }
}

const NO_FINGERPRINT = () => null

/** What people have taught. Errors of the engine itself are none of it: they say what became of the job, not of its work. */
function firstTaught(seen: Seen, rules: readonly TaughtRule[] | undefined, fingerprint: Fingerprint): Found | null {
  if (!rules?.length || isOwn(seen)) return null
  const rule = rules.find(({ when }) => missOf(conditionsOf(when), seen, fingerprint) === null)
  return rule ? { by: 'taught', verdict: rule.is, rule: taughtWords(rule), taught: rule.id } : null
}

/** Thrown by the engine about itself or about the code around it. */
export function isOwn({ code }: ErrorFacts): boolean {
  return code !== null && (ENGINE_CODES.has(code) || ENGINE_DEFECTS.has(code))
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
  if (isOwn(seen)) return 'engine'
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

/** What is supposed of an error that nobody has said anything about. */
export function builtIn(seen: ErrorFacts): { verdict: Verdict; rule: string } {
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
