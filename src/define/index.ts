/** `untildone/define`: what a job definition needs, safe to import in a browser. */
export { type RetryPolicy, type UntilOptions, until } from '../core/backoff.js'
export { type ErrorRule, Harmless, Permanent, Review, Transient, type Verdict } from '../core/classify.js'
export type { Duration } from '../core/duration.js'
export * from './context.js'
export * from './define-job.js'
export * from './file.js'
export * from './schema.js'
