/** `untildone/define`: what a job definition needs, safe to import in a browser. */
export type {
  ApprovalAnswer,
  ApprovalDecision,
  ApprovalRequest,
  FeedbackPoint,
} from '../core/approval.js'
export { type RetryPolicy, type UntilOptions, until } from '../core/backoff.js'
export { type ErrorRule, Harmless, Permanent, Review, Transient, type Verdict } from '../core/classify.js'
export type { Duration } from '../core/duration.js'
export type { MissedRule, OverlapRule } from '../core/schedule.js'
export type { ScheduleOptions } from '../core/schedule-options.js'
export * from './context.js'
export * from './define-job.js'
export * from './file.js'
export type { LimitKey, LimitOptions, OnDuplicate, UniqueOptions } from './limits.js'
export * from './schedule.js'
export * from './schema.js'
