/** `untildone/client`: the typed client for any JavaScript runtime. No Node imports, no server code. */
export type { Bytes, Root, UntildoneClient, WhoAmI } from './api.js'
export type {
  ApprovalCalls,
  DecidedApproval,
  DecideManyOptions,
  DecideOptions,
  ListApprovalsOptions,
} from './approvals.js'
export { createClient } from './client.js'
export { type ClientClock, realClock } from './clock.js'
export {
  JobCancelledError,
  JobFailedError,
  UntildoneApiError,
  UntildoneConnectionError,
  WaitTimeoutError,
} from './errors.js'
export type { JobEvent } from './events.js'
export type {
  FailureCalls,
  GivenError,
  ListFailuresOptions,
  RuleCalls,
  RuleConditions,
  TeachOptions,
} from './failures.js'
export type { EventFilter } from './filter.js'
export type { Connection } from './follow.js'
export type { JobHandle } from './handle.js'
export type { LiveCalls } from './live.js'
export type {
  ActOptions,
  AnswerOptions,
  AuditOptions,
  BulkFilter,
  BulkOptions,
  CompensateOptions,
  GroupCancelOptions,
  OperatorCalls,
  OverrideOptions,
  ReplayOptions,
  ResolveOptions,
  SignalOptions,
} from './operate.js'
export type * from './options.js'
export type { Page, Paged } from './paged.js'
export type { RetryOptions } from './retry.js'
export type {
  CreateScheduleOptions,
  ScheduleActionOptions,
  ScheduleCalls,
  UpdateScheduleOptions,
} from './schedules.js'
export type { LiveSocket, SocketOptions, SocketState, SubscribeOptions } from './socket.js'
export type { JobSnapshot, LiveItem } from './subscription.js'
export type { StreamTicket, TicketGiver } from './ticket.js'
export type { SocketLike, WebSocketClass } from './web-socket.js'
export {
  isNewer,
  type OutgoingWebhook,
  type SignedHeaders,
  signWebhook,
  type VerifyWebhookOptions,
  verifyWebhook,
  type WebhookEvent,
  type WebhookHeaders,
  type WebhookProblem,
  WebhookVerificationError,
} from './webhook.js'
export type {
  CreateWebhookOptions,
  ListDeliveriesOptions,
  NotifyTarget,
  UpdateWebhookOptions,
  WebhookCalls,
} from './webhooks.js'
