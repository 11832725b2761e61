/**
 * The part of the error registry that is raised while defining or running jobs: it reaches people through attempts, logs
 * and the CLI, and callers as the `error.code` of a job. errors.ts has the part that answers requests.
 */
import type { Problem } from './problems.js'

const no = false

export const FAULTS = {
  'bad-definition': {
    status: 500,
    retryable: no,
    title: 'A job definition is wrong.',
    fix: 'Correct the definition as `detail` says.',
  },
  'isolate-failed': {
    status: 500,
    retryable: no,
    title: 'A handler cannot run in a process of its own.',
    fix: 'Export the handler from the module that `isolate.module` names (import.meta.url), and let that module define jobs and do nothing else.',
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
  'transport-unsafe': {
    status: 503,
    retryable: no,
    title: 'The transport is not safe for what it carries.',
    fix: 'Set `maxmemory-policy noeviction` on the Redis server, and reach another host by rediss://; the reason is in `detail`.',
  },
  'transport-away': {
    status: 503,
    retryable: no,
    title: 'The transport cannot be reached.',
    fix: 'Check that the Redis server runs and that its address is right. Jobs are accepted and done meanwhile, and it comes back by itself.',
  },
  'nested-step': {
    status: 500,
    retryable: no,
    title: 'A step or a wait was asked for inside a step, a read or an undo.',
    fix: 'Call it from the handler, before or after the other one.',
  },
  'bad-step-name': {
    status: 500,
    retryable: no,
    title: 'A step name is not usable.',
    fix: 'Use 1 to 100 characters without "/" and "#".',
  },
  'stray-error': {
    status: 500,
    retryable: no,
    title: 'An error of a handler was caught by nobody.',
    fix: 'Await or catch every promise of the handler, or give it a process of its own (`isolate`). The server has stopped, to be started again.',
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
  'code-changed': {
    status: 500,
    retryable: no,
    title: 'What is recorded contradicts the present code.',
    fix: 'Start a version that fits it, or give the type an upgrade(), and retry; or cancel the job and replay it from before.',
  },
  'effect-unknown': {
    status: 500,
    retryable: no,
    title: 'Nobody knows whether an effect has happened.',
    fix: 'Look at the far side and answer: untildone jobs answer <id>. A `confirm` on the step answers it by itself.',
  },
  'permission-withdrawn': {
    status: 500,
    retryable: no,
    title: 'A permission that held at the submit is gone.',
    fix: 'Give it back and retry the job, or cancel it.',
  },
  'undo-missing': {
    status: 500,
    retryable: no,
    title: 'A step must be undone and the code offers no undo for it.',
    fix: 'Undo it by hand and say so (untildone jobs answer <id>), or start code that has the undo and retry.',
  },
  'undo-failed': {
    status: 500,
    retryable: no,
    title: 'Undoing a step did not work.',
    fix: 'Retry the job when the far side is back, or undo it by hand and say so: untildone jobs answer <id>.',
  },
  'child-failed': {
    status: 500,
    retryable: no,
    title: 'A job that this one called did not complete.',
    fix: "Read the child job; `onFailure: 'return'` lets the parent decide.",
  },
  'child-timeout': {
    status: 500,
    retryable: no,
    title: 'A job that this one called took too long.',
    fix: 'Raise the `timeout` of the call, or see why the child did not start.',
  },
  'approval-incomplete': {
    status: 500,
    retryable: no,
    title: 'A request for approval lacks what a person needs to decide.',
    fix: 'Correct the members of job.approve that are listed in `errors`.',
  },
  'decision-incomplete': {
    status: 500,
    retryable: no,
    title: 'An entry of the decision log is incomplete.',
    fix: 'Name model, version, tools (an empty list for none) and path.',
  },
} as const satisfies Record<string, Problem>
