/**
 * The error registry: every code we give to people, with its HTTP status, whether a repeat can help, the sentence and
 * the fix. One table; the wire, the CLI and the reference page are made from it.
 */

interface Problem {
  /** HTTP status of the request. */
  status: number
  /** True when the same request may work later; the only switch clients need. */
  retryable: boolean
  title: string
  fix: string
}

const no = false
const yes = true

export const PROBLEMS = {
  'malformed-request': {
    status: 400,
    retryable: no,
    title: 'The request could not be read.',
    fix: 'Correct the part named in `detail` and send it again; /docs shows the expected form.',
  },
  'invalid-cursor': {
    status: 400,
    retryable: no,
    title: 'This cursor cannot be used here.',
    fix: 'Start again without `cursor`, and keep the filters unchanged while paging.',
  },
  'idempotency-key-invalid': {
    status: 400,
    retryable: no,
    title: 'The Idempotency-Key is not valid.',
    fix: 'Send 1 to 255 visible ASCII characters, for example a UUID.',
  },
  'idempotency-key-required': {
    status: 400,
    retryable: no,
    title: 'This job type needs an Idempotency-Key.',
    fix: 'Send the header Idempotency-Key with a value that stays the same when you repeat the request.',
  },
  unauthenticated: {
    status: 401,
    retryable: no,
    title: 'A valid API key is needed.',
    fix: 'Send `Authorization: Bearer <key>`. Create a key on the server: untildone keys create --name my-app --role submitter',
  },
  forbidden: {
    status: 403,
    retryable: no,
    title: 'This key may not do that.',
    fix: 'Use a key that has the scope named in `params.requiredScope`, or ask an admin for one.',
  },
  'host-not-allowed': {
    status: 403,
    retryable: no,
    title: 'This Host or Origin is not allowed.',
    fix: 'Without API keys only loopback names are answered. Create a key (untildone keys create --name ops --role admin), or add the name to `allowedHosts`.',
  },
  'job-not-found': {
    status: 404,
    retryable: no,
    title: 'There is no such job.',
    fix: 'Check the id. List the jobs you can see: GET /v1/jobs',
  },
  'not-found': {
    status: 404,
    retryable: no,
    title: 'There is nothing at this address.',
    fix: 'GET /v1 lists what there is; /docs explains it.',
  },
  'file-not-found': {
    status: 404,
    retryable: no,
    title: 'There is no such file.',
    fix: 'Upload it again with POST /v1/files; files that no job refers to are removed after 24 h.',
  },
  'method-not-allowed': {
    status: 405,
    retryable: no,
    title: 'This address does not take that method.',
    fix: 'Use one of the methods in the Allow header.',
  },
  'not-acceptable': {
    status: 406,
    retryable: no,
    title: 'None of the accepted formats can be given.',
    fix: 'Send `Accept: application/json`.',
  },
  'result-not-ready': {
    status: 409,
    retryable: yes,
    title: 'The job is not done yet, so there is no result.',
    fix: 'Ask again after Retry-After, or wait: GET /v1/jobs/{id}/result?wait=30',
  },
  'job-failed': {
    status: 409,
    retryable: no,
    title: 'The job failed, so there is no result.',
    fix: 'Read `jobError`, then replay the job with corrected input if that helps.',
  },
  'job-cancelled': {
    status: 409,
    retryable: no,
    title: 'The job was cancelled, so there is no result.',
    fix: 'Submit it again if it should run after all.',
  },
  'job-already-done': {
    status: 409,
    retryable: no,
    title: 'The job is finished; a finished job never changes.',
    fix: 'Do what `params.next` says: submit it again as a new job, or leave it.',
  },
  'invalid-transition': {
    status: 409,
    retryable: no,
    title: 'That is not possible in the present state.',
    fix: 'Read the job (GET /v1/jobs/{id}) and act on what its status says.',
  },
  'duplicate-operation': {
    status: 409,
    retryable: no,
    title: 'A job for this operation is still under way.',
    fix: 'Follow the job in `params.existingJobId`, or send `onDuplicate: "return"`.',
  },
  'idempotency-key-in-use': {
    status: 409,
    retryable: yes,
    title: 'The first request with this key is still being stored.',
    fix: 'Send the same request again after Retry-After.',
  },
  'schedule-exists': {
    status: 409,
    retryable: no,
    title: 'There is a schedule with this id and another definition. Nothing was done.',
    fix: 'Choose another id, or change the one that is there: PATCH /v1/schedules/{id}',
  },
  'schedule-declared': {
    status: 409,
    retryable: no,
    title: 'This schedule is declared in code, so only the code changes it.',
    fix: 'Change it in the code and start again. Pausing, resuming and running it now work from here.',
  },
  'job-expired': {
    status: 410,
    retryable: no,
    title: 'This job existed and was removed when its retention ended.',
    fix: 'Its final status is in `params`. Keep results on your side, or raise the retention of the type.',
  },
  'result-expired': {
    status: 410,
    retryable: no,
    title: 'The result was removed when its retention ended.',
    fix: 'Submit the job again to get a new result.',
  },
  'version-mismatch': {
    status: 412,
    retryable: no,
    title: 'It changed since you read it.',
    fix: 'Read it again, then repeat the action with the new version.',
  },
  'payload-too-large': {
    status: 413,
    retryable: no,
    title: 'The request is too large.',
    fix: 'Send less than `params.maxBytes`; upload large inputs with POST /v1/files and refer to them.',
  },
  'unsupported-media-type': {
    status: 415,
    retryable: no,
    title: 'The content type is not supported.',
    fix: 'Send `Content-Type: application/json`.',
  },
  'validation-failed': {
    status: 422,
    retryable: no,
    title: 'The request has fields that are wrong or unknown.',
    fix: 'Correct the members listed in `errors`.',
  },
  'input-invalid': {
    status: 422,
    retryable: no,
    title: 'The input does not fit the job type. Nothing was stored.',
    fix: 'Correct the members listed in `errors`; the schema is at GET /v1/job-types/{type}.',
  },
  'unknown-job-type': {
    status: 422,
    retryable: no,
    title: 'There is no job type of this name. Nothing was stored.',
    fix: 'GET /v1/job-types lists the types this server knows.',
  },
  'idempotency-key-reused': {
    status: 422,
    retryable: no,
    title: 'This idempotency key was used for a different request. Nothing was done.',
    fix: 'Use a new key, or send the same body.',
  },
  'upgrade-required': {
    status: 426,
    retryable: no,
    title: 'This address speaks WebSocket only.',
    fix: 'Connect with the subprotocol untildone.v1.',
  },
  'precondition-required': {
    status: 428,
    retryable: no,
    title: 'This action needs to know which version you saw.',
    fix: 'Send `ifVersion` with the version of the job you read.',
  },
  'rate-limited': { status: 429, retryable: yes, title: 'Too many requests.', fix: 'Wait for Retry-After.' },
  'quota-exceeded': {
    status: 429,
    retryable: yes,
    title: 'The quota is used up.',
    fix: 'Wait for Retry-After, or ask for a larger quota.',
  },
  'too-many-streams': {
    status: 429,
    retryable: yes,
    title: 'Too many open streams for this key.',
    fix: 'Close one, or watch several jobs in one stream.',
  },
  internal: {
    status: 500,
    retryable: yes,
    title: 'The server made a mistake.',
    fix: 'Repeat the request with the same Idempotency-Key; quote the request id if it stays.',
  },
  'store-unavailable': {
    status: 503,
    retryable: yes,
    title: 'The store cannot be written right now. Nothing was stored.',
    fix: 'Repeat the request with the same Idempotency-Key after Retry-After.',
  },
  'outcome-unknown': {
    status: 503,
    retryable: yes,
    title: 'The answer of the store was lost, so the request may or may not be stored.',
    fix: 'Repeat the request with the same Idempotency-Key: it is stored once.',
  },
  overloaded: {
    status: 503,
    retryable: yes,
    title: 'The server has too much to do.',
    fix: 'Repeat the request after Retry-After.',
  },
  draining: {
    status: 503,
    retryable: yes,
    title: 'The server is shutting down.',
    fix: 'Repeat the request after Retry-After; another server answers.',
  },

  // Raised while defining or running jobs; they reach people through logs, attempts and the CLI.
  'bad-definition': {
    status: 500,
    retryable: no,
    title: 'A job definition is wrong.',
    fix: 'Correct the definition as `detail` says.',
  },
  'schema-not-describable': {
    status: 500,
    retryable: no,
    title: 'This schema cannot be written as JSON Schema.',
    fix: 'Give the JSON Schema beside it: defineJob(name, { input, jsonSchema: { input: {…} } }).',
  },
  'duplicate-job-type': {
    status: 500,
    retryable: no,
    title: 'Two handlers have the same job type.',
    fix: 'Job names are permanent addresses: rename one of them.',
  },
  'no-jobs-found': {
    status: 500,
    retryable: no,
    title: 'No jobs were found.',
    fix: 'A job is a file that exports defineJob(...).handler(...). Create one: npx untildone init --sample',
  },
  'job-file-broken': {
    status: 500,
    retryable: no,
    title: 'A job file cannot be loaded.',
    fix: 'Correct the error named in `detail`; while developing the last good version keeps running.',
  },
  'store-in-use': {
    status: 503,
    retryable: no,
    title: 'Another process owns this database.',
    fix: 'Talk to it over HTTP, stop it, or use another --data folder.',
  },
  'store-schema-old': {
    status: 503,
    retryable: no,
    title: 'The database was written by another version.',
    fix: 'Start the version that wrote it, or a newer one.',
  },
  'store-unsafe': {
    status: 503,
    retryable: no,
    title: 'The store would not keep what it acknowledges.',
    fix: 'Put the database on a local file system that syncs; the reason is in `detail`.',
  },
  'nested-step': {
    status: 500,
    retryable: no,
    title: 'A step was started inside another step.',
    fix: 'Call job.step from the handler, not from within a step.',
  },
  'bad-step-name': {
    status: 500,
    retryable: no,
    title: 'A step name is not usable.',
    fix: 'Use 1 to 100 characters without "/" and "#".',
  },
  'handler-error': {
    status: 500,
    retryable: no,
    title: 'The handler threw an error.',
    fix: 'Read the attempts of the job: untildone jobs tries <id>',
  },
  'attempt-timeout': {
    status: 500,
    retryable: no,
    title: 'The attempt took longer than its limit.',
    fix: 'Raise `timeout.attempt` of the type, or split the work into steps.',
  },
  'step-timeout': {
    status: 500,
    retryable: no,
    title: 'A step took longer than its limit.',
    fix: 'Raise the `timeout` of the step.',
  },
  'output-invalid': {
    status: 500,
    retryable: no,
    title: 'The result does not fit the output schema.',
    fix: 'Return what the schema promises, or change the schema.',
  },
  'result-too-large': {
    status: 500,
    retryable: no,
    title: 'The result is larger than the limit.',
    fix: 'Store it as a file and return that: return await job.file(path)',
  },
  'process-exit': {
    status: 500,
    retryable: no,
    title: 'A child process ended with an error.',
    fix: 'Its last output is in the attempt; teach the error in the `errors` table of the type.',
  },
  'process-signal': {
    status: 500,
    retryable: no,
    title: 'A child process was ended by a signal.',
    fix: 'Its last output is in the attempt; the attempt is repeated.',
  },
  'lease-lost': {
    status: 500,
    retryable: no,
    title: 'This attempt no longer holds the job.',
    fix: 'Nothing: another attempt goes on with it.',
  },
} as const satisfies Record<string, Problem>

export type ErrorCode = keyof typeof PROBLEMS

const BRAND = Symbol.for('untildone.error')

/**
 * The error that we throw: `code` says which, `message` what happened, `fix` what to do. Recognise it by
 * isUntildoneError or `code`, not by instanceof: two copies of the package may be loaded.
 */
export class UntildoneError extends Error {
  readonly [BRAND] = true
  override readonly name = 'UntildoneError'
  readonly code: ErrorCode
  readonly fix: string
  readonly params: Record<string, unknown>
  /** Problems of single members, each with a JSON Pointer. */
  readonly errors: FieldError[]
  readonly retryAfterMs: number | null

  constructor(
    code: ErrorCode,
    message?: string,
    more: {
      fix?: string
      params?: Record<string, unknown>
      errors?: FieldError[]
      retryAfterMs?: number
      cause?: unknown
    } = {},
  ) {
    super(message ?? PROBLEMS[code].title, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.fix = more.fix ?? PROBLEMS[code].fix
    this.params = more.params ?? {}
    this.errors = more.errors ?? []
    this.retryAfterMs = more.retryAfterMs ?? null
  }
}

export interface FieldError {
  /** JSON Pointer (RFC 6901) into the request body. */
  pointer: string
  code: string
  message: string
}

export function isUntildoneError(error: unknown): error is UntildoneError {
  return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[BRAND] === true
}
