/**
 * Errors as people and scripts meet them: what happened, why it matters, what to do, a code; and the exit code.
 * Must never print a bare stack: an error that we do not know shows its frames only with UNTILDONE_DEBUG=1.
 */

import { UntildoneApiError, UntildoneConnectionError } from '../client/index.js'
import { isUntildoneError } from '../core/errors.js'
import { PROBLEMS } from '../core/problems.js'
import { clean, cleanLines, type Style } from './text.js'

/** Exit codes; scripts rely on them. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  /** A check found something. */
  found: 1,
  usage: 2,
  unreachable: 3,
  notAllowed: 4,
  notFound: 5,
  conflict: 6,
  jobFailed: 10,
  jobCancelled: 11,
  jobBlocked: 12,
  waitOver: 13,
  interrupted: 130,
} as const
export type Exit = (typeof EXIT)[keyof typeof EXIT]

export interface Failure {
  what: string
  why: string | null
  fix: string | null
  code: string
  exit: Exit
  /** One line per member that is wrong. */
  details: string[]
}

/** Thrown by commands for what they find out themselves. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly failure: Failure
  constructor(code: string, what: string, more: { why?: string; fix?: string; exit?: Exit; details?: string[] } = {}) {
    super(what)
    this.failure = {
      what,
      why: more.why ?? null,
      fix: more.fix ?? null,
      code,
      exit: more.exit ?? EXIT.usage,
      details: more.details ?? [],
    }
  }
}

/** @param group first word of the command that met it: what was not found is looked for with its list */
export function failureOf(error: unknown, debug = false, group?: string): Failure {
  if (error instanceof CliError) return error.failure
  if (error instanceof UntildoneApiError) return apiFailure(error, group)
  if (error instanceof UntildoneConnectionError) {
    const fix = 'Start a server here: npx untildone dev. Or name another one with --url or UNTILDONE_URL.'
    return { what: error.message, why: null, fix, code: error.code, exit: EXIT.unreachable, details: [] }
  }
  if (isUntildoneError(error)) {
    const details = error.errors.map((e) => `${memberOf(e.pointer)}: ${e.message}`)
    return {
      what: error.message,
      why: null,
      fix: error.fix,
      code: error.code,
      exit: exitOfCode(error.code, 0),
      details,
    }
  }
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined }
  const details = debug && stack ? stack.split('\n').slice(1, 9) : []
  const fix = 'This is a mistake of the program. Run it again with UNTILDONE_DEBUG=1 and report what it prints.'
  return {
    what: message || 'Something unknown was thrown.',
    why: null,
    fix,
    code: 'internal',
    exit: EXIT.unexpected,
    details,
  }
}

function apiFailure(error: UntildoneApiError, group: string | undefined): Failure {
  // The first sentence of a title says again what happened; what follows says what it means.
  const more = /^.+?\.\s+(.+)$/s.exec(error.problem.title ?? '')?.[1] ?? null
  const why = more && !error.message.includes(more) ? more : null
  const details = error.errors
    .filter((e) => !error.message.includes(e.message))
    .map((e) => `${memberOf(e.pointer)}: ${e.message}`)
  if (error.requestId && error.status >= 500) details.push(`request ${error.requestId}`)
  const fix = IN_COMMANDS[error.code]?.(error.params) ?? listFor(error, group) ?? inCommands(error.fix)
  return { what: error.message, why, fix, code: error.code, exit: exitOfCode(error.code, error.status), details }
}

/** Where the server names an address, people at a terminal want a command. */
const IN_COMMANDS: Record<string, (params: Record<string, unknown>) => string | undefined> = {
  'input-invalid': ({ type }) => `What it wants: untildone types show ${typeof type === 'string' ? type : '<type>'}`,
  'unknown-job-type': () => 'See what there is: untildone types list',
  'not-found': ({ worker }) => (worker === undefined ? undefined : 'See which there are: untildone workers list'),
  'job-not-found': () => 'List the jobs you can see: untildone jobs list',
  'evidence-changed': () => 'Look at it again: untildone inbox show <id>. It says what differs.',
  'precondition-required': ({ missing, version }) =>
    missing === 'evidenceDigest'
      ? 'Give --hash with the hash that untildone inbox show <id> prints.'
      : `Look at it first (untildone jobs get), then: --if-version ${version}`,
  'approval-already-decided': () => 'See how it ended: untildone inbox show <id>',
  'result-expired': () => 'Submit the job again to get a new result.',
  'version-mismatch': ({ version }) => `It changed meanwhile. Look at it again, then: --if-version ${version}`,
  'job-already-done': ({ status }) =>
    status === 'completed'
      ? 'Undo it with untildone jobs compensate, or do it once more with untildone jobs replay.'
      : 'Do it once more with untildone jobs replay, or note how it was dealt with: untildone jobs resolve.',
  'nothing-to-answer': () => 'See what it waits for: untildone jobs get <id>',
  'nothing-to-compensate': () => 'See which steps are due: untildone jobs steps <id>',
  'step-not-replayable': ({ steps }) =>
    Array.isArray(steps) && steps.length > 0
      ? `Begin from one of: ${steps.join(', ')}; or from the step that failed, or leave --from out.`
      : 'Leave --from out: nothing is recorded.',
  forbidden: ({ requiredScope }) =>
    typeof requiredScope === 'string'
      ? `Use a key that may. An admin makes one: untildone keys create --name me --scopes ${requiredScope}`
      : undefined,
  unauthenticated: () =>
    'Give a key: --api-key, or UNTILDONE_KEY. Make one on the server: untildone keys create --name me --role admin',
}

/** What does the same as an address. */
const COMMAND_OF: Record<string, string> = {
  'GET /v1/jobs': 'jobs list',
  'GET /v1/jobs/{id}': 'jobs get <id>',
  'GET /v1/jobs/{id}/steps': 'jobs steps <id>',
  'GET /v1/jobs/{id}/result?wait=30': 'jobs watch <id>',
  'POST /v1/jobs/{id}/override': 'jobs override <id>',
  'GET /v1/job-types': 'types list',
  'GET /v1/job-types/{type}': 'types show <type>',
  'GET /v1/workers': 'workers list',
  'POST /v1/files': 'files upload <path>',
  'PATCH /v1/schedules/{id}': 'schedules update <id>',
  'GET /v1/failures': 'failures list',
  'GET /v1/rules': 'rules list',
  'POST /v1/webhooks': 'webhooks add <url>',
  'GET /v1/webhooks/{id}/deliveries': 'webhooks deliveries <id>',
}

function inCommands(fix: string): string {
  return fix.replace(/[A-Z]+ \/v1[\w/{}?=-]*/g, (address) => {
    const command = COMMAND_OF[address]
    return command === undefined ? address : `untildone ${command}`
  })
}

/** Lists by the first word of a command, or by what the server says is missing. */
const LIST_OF: Record<string, string> = {
  ...{ jobs: 'jobs list', groups: 'jobs list', groupId: 'jobs list', types: 'types list', type: 'types list' },
  ...{ queues: 'queues list', schedules: 'schedules list', webhooks: 'webhooks list', workers: 'workers list' },
  ...{ failures: 'failures list', rules: 'rules list', keys: 'keys list', inbox: 'inbox list --state all' },
}

/** Where the server knows nothing better than the list of its addresses. */
function listFor({ code, fix, params, message }: UntildoneApiError, group = ''): string | undefined {
  // The address itself is what this server does not have.
  if (code !== 'not-found' || fix !== PROBLEMS['not-found'].fix || /^There is nothing at \//.test(message)) return
  const list = LIST_OF[Object.keys(params).find((name) => name in LIST_OF) ?? group]
  return list && `See which there are: untildone ${list}`
}

/** `/input/pages` is known to people as `pages`. */
function memberOf(pointer: string): string {
  const path = pointer
    .replace(/^\/input(?=\/|$)/, '')
    .split('/')
    .slice(1)
  return path.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')).join('.') || 'input'
}

const BY_CODE: Record<string, Exit> = {
  'not-found': EXIT.notFound,
  'unknown-job-type': EXIT.notFound,
  'no-jobs-found': EXIT.usage,
  'duplicate-job-type': EXIT.usage,
  'job-file-broken': EXIT.usage,
  'bad-definition': EXIT.usage,
  'schema-not-describable': EXIT.usage,
  'host-not-allowed': EXIT.notAllowed,
  'idempotency-key-reused': EXIT.conflict,
  // It existed and is over; there is nothing to look for.
  'approval-expired': EXIT.conflict,
  'store-in-use': EXIT.conflict,
  'store-unavailable': EXIT.unreachable,
  overloaded: EXIT.unreachable,
  draining: EXIT.unreachable,
  'outcome-unknown': EXIT.unreachable,
}

const BY_STATUS: Record<number, Exit> = {
  400: EXIT.usage,
  401: EXIT.notAllowed,
  403: EXIT.notAllowed,
  404: EXIT.notFound,
  409: EXIT.conflict,
  410: EXIT.notFound,
  412: EXIT.conflict,
  413: EXIT.usage,
  415: EXIT.usage,
  422: EXIT.usage,
  428: EXIT.conflict,
  429: EXIT.unreachable,
  502: EXIT.unreachable,
  503: EXIT.unreachable,
  504: EXIT.unreachable,
}

export function exitOfCode(code: string, status: number): Exit {
  return BY_CODE[code] ?? BY_STATUS[status] ?? EXIT.unexpected
}

/** The failure in words, several lines, ending with a line break. */
export function renderFailure(failure: Failure, style: Style): string {
  const lines = [`${style.red('✕')} ${clean(failure.what)}`]
  for (const detail of failure.details) lines.push(`    ${clean(detail)}`)
  if (failure.why) lines.push(`  ${clean(failure.why)}`)
  if (failure.fix)
    lines.push(
      ...cleanLines(failure.fix)
        .split('\n')
        .map((line, i) => `  ${i === 0 ? '→' : ' '} ${line}`),
    )
  lines.push(`  ${style.dim(failure.code)}`)
  return `${lines.join('\n')}\n`
}
