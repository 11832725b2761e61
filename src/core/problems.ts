/**
 * The error registry: every code we give to people, with its HTTP status, whether a repeat can help, the sentence and
 * the fix. The wire, the CLI and the reference page are made from it. What concerns jobs, not requests, is in faults.ts.
 */
import { FAULTS } from './faults.js'

export interface Problem {
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
  'self-approval-forbidden': {
    status: 403,
    retryable: no,
    title: 'Whoever asked for this cannot approve it.',
    fix: 'Ask another person of the groups in `params.open`.',
  },
  'risk-above-limit': {
    status: 403,
    retryable: no,
    title: 'This request is of a higher risk than you may decide.',
    fix: 'Ask somebody whose limit is `params.risk` or higher, or an admin for a key with a higher `maxRisk`.',
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
  'unknown-signal': {
    status: 404,
    retryable: no,
    title: 'This job type takes no signal of this name.',
    fix: 'Send one of `params.known`.',
  },
  'callback-not-found': {
    status: 404,
    retryable: no,
    title: 'There is no such callback.',
    fix: 'Use the URL exactly as it was handed out.',
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
    fix: 'Do what `params.next` says: replay it as a new job, undo what it did, or note how it was dealt with.',
  },
  'job-not-done': {
    status: 409,
    retryable: no,
    title: 'The job is not finished yet, and this is only possible afterwards.',
    fix: 'Wait for its end, cancel it, or set its end by hand: POST /v1/jobs/{id}/override',
  },
  'nothing-to-answer': {
    status: 409,
    retryable: no,
    title: 'The job waits for no answer, or not for this one.',
    fix: 'Read the job: `blockedOn[].question` says what is asked and what may be answered.',
  },
  'nothing-to-compensate': {
    status: 409,
    retryable: no,
    title: 'No recorded step of this job can be undone.',
    fix: 'Only steps with an `undo` can: GET /v1/jobs/{id}/steps shows which are `due`.',
  },
  'step-not-replayable': {
    status: 409,
    retryable: no,
    title: 'The job has no such step to begin from.',
    fix: 'Use a name that GET /v1/jobs/{id}/steps lists, the step that failed, or leave `fromStep` out.',
  },
  'callback-already-used': {
    status: 409,
    retryable: no,
    title: 'This callback was answered before, with something else.',
    fix: 'Leave it: the first answer counts.',
  },
  'invalid-transition': {
    status: 409,
    retryable: no,
    title: 'That is not possible in the present state.',
    fix: 'Read the job (GET /v1/jobs/{id}) and act on what its status says.',
  },
  'approval-already-decided': {
    status: 409,
    retryable: no,
    title: 'This request is closed. Nothing was changed.',
    fix: 'Read the request: `params` says how it ended. What was approved is undone with a new job.',
  },
  'duplicate-operation': {
    status: 409,
    retryable: no,
    title: 'A job for this operation is there already.',
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
    title: 'This job existed and has been removed: its retention has ended, or an operator has pruned.',
    fix: 'Its final status is in `params`. Keep results on your side, or raise the retention of the type.',
  },
  'result-expired': {
    status: 410,
    retryable: no,
    title: 'The result was removed when its retention ended.',
    fix: 'Submit the job again to get a new result.',
  },
  'approval-expired': {
    status: 410,
    retryable: no,
    title: 'The time to decide is over. Nothing was changed.',
    fix: 'Read the job to see what became of it; replay it if it should still happen.',
  },
  'callback-expired': {
    status: 410,
    retryable: no,
    title: 'Nobody waits for this callback any more.',
    fix: 'Leave it: its time is over, or its job has ended.',
  },
  'version-mismatch': {
    status: 412,
    retryable: no,
    title: 'It changed since you read it.',
    fix: 'Read it again, then repeat the action with the new version.',
  },
  'evidence-changed': {
    status: 412,
    retryable: no,
    title: 'This request changed after you opened it. Your decision was not counted.',
    fix: 'Read it again: `params.changed` says what differs. Then decide with the new digest.',
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
  'payload-invalid': {
    status: 422,
    retryable: no,
    title: 'The payload does not fit the signal. Nothing was delivered.',
    fix: 'Correct the members listed in `errors`.',
  },
  'result-invalid': {
    status: 422,
    retryable: no,
    title: 'The result does not fit the output schema of the job type. Nothing was done.',
    fix: 'Correct the members listed in `errors`; the schema is `resultSchema` at GET /v1/job-types/{type}.',
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
    title: 'The store cannot be used right now. Nothing was stored.',
    fix: 'Repeat the request with the same Idempotency-Key after Retry-After.',
  },
  'outcome-unknown': {
    status: 503,
    retryable: yes,
    title: 'The answer of the store was lost, so the request may or may not be stored.',
    fix: 'Repeat the request with the same Idempotency-Key: it is stored once.',
  },
  'transaction-unsupported': {
    status: 501,
    retryable: no,
    title: 'This store cannot take part in a transaction of the application. Nothing was stored.',
    fix: 'Keep the jobs in the PostgreSQL database of the application (`postgres(url)`), or submit with a `key` after your commit.',
  },
  'transaction-unusable': {
    status: 500,
    retryable: no,
    title: 'A job cannot be stored in this transaction. Nothing was stored.',
    fix: 'Give a connection of the database of the store, after its `begin` and before its end; with Drizzle or Kysely the `trx` of the callback.',
  },
  'transaction-lost': {
    status: 409,
    retryable: yes,
    title: 'Another transaction was quicker, and this one cannot see what it did. Nothing was stored.',
    fix: 'Roll back and run your transaction again, with the same key.',
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
  ...FAULTS,
} as const satisfies Record<string, Problem>

export type ErrorCode = keyof typeof PROBLEMS
