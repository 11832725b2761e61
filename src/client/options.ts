/**
 * What a caller may pass to the client. Types only. Instants are Dates or RFC 3339 texts, durations `'5m'` or milliseconds.
 */
import type { Duration } from '../core/duration.js'
import type { Origin, Person, Status } from '../core/job.js'
import type { Voice } from '../core/wire-story.js'
import type { ClientClock } from './clock.js'
import type { EventFilter } from './filter.js'
import type { Connection } from './follow.js'
import type { RetryOptions } from './retry.js'
import type { TicketGiver } from './ticket.js'
import type { NotifyTarget } from './webhooks.js'

export interface ClientOptions {
  /** Address of the server, with its mount prefix if it has one, without `/v1`. */
  url: string
  /** API key (`ud_…`). Never give one to a browser. @default none, which a server on loopback accepts while it has no keys */
  key?: string
  /**
   * In place of a key, where no key may be (browsers): a ticket of `client.streamTicket`, or what fetches one from your
   * own server, called again when it has expired. Reads streams only: `watch`, `watchGroup`, `events`. @default none
   */
  ticket?: TicketGiver
  /** Sent with every request. @default none */
  headers?: Record<string, string>
  /** Time limit of one sending, in milliseconds; what a call waits for on purpose comes on top. @default 30000 */
  timeoutMs?: number
  /** How hard a call tries before its error reaches you. @default 10 sendings within 2 minutes */
  retry?: RetryOptions
  /** What sends. @default globalThis.fetch */
  fetch?: typeof fetch
  /** For tests. @default the real clock */
  clock?: ClientClock
}

export type Instant = Date | string

export interface SubmitOptions {
  /** Idempotency key, 1 to 255 visible ASCII characters: the same key and content are stored once. @default a new UUID */
  key?: string
  /** Session or batch that the job belongs to (`groupId`). @default none */
  group?: string
  /** The business operation behind it, for example `invoice:9917`: its effects have the same keys in every such job. @default its own */
  operationKey?: string
  /** −100 … 100, higher is sooner. @default 0 */
  priority?: number
  /** Not before this instant. @default at once */
  runAt?: Instant
  /** Stops as `failed` (`deadline-passed`) at this instant. @default none */
  deadlineAt?: Instant
  /** To find it by, 16 at most. @default none */
  tags?: string[]
  /** Whatever the submitter wants to read again. @default none */
  metadata?: Record<string, string>
  /**
   * What becomes of it when a job of the same operation is there: `return` gives that job (`handle.duplicateOf`), `reject`
   * throws `duplicate-operation`, `replace` cancels it if it has not begun. Only for types with `unique`.
   * @default what the type says
   */
  onDuplicate?: 'return' | 'reject' | 'replace'
  /** The person it is done for: shown to approvers, and not counted as another person. @default none */
  onBehalfOf?: Person
  /** What that person may do now; checked again before effects that happen once. @default none is checked */
  permissions?: string[]
  /** Version of the definition the input was made for; older input is upgraded. @default the present one */
  typeVersion?: string
  /** Webhooks and addresses that are told of this job, 5 at most; an address needs the right to manage webhooks. @default none */
  notify?: readonly NotifyTarget[]
  /** The server holds the answer this long for the end of the job, 60 s at most. @default what the job type says */
  wait?: Duration
  /** Gives up the request, not the job. @default none */
  signal?: AbortSignal
}

export interface CallOptions {
  /** Gives up the request; what it asked for may happen all the same. @default none */
  signal?: AbortSignal
}

export interface PauseOptions extends CallOptions {
  /** Kept in the audit log, and shown to whoever waits. */
  reason?: string
}

export interface ReadOptions extends CallOptions {
  /** Members that are left out otherwise. `ops` needs the right to operate, `approvals` that to read approvals. */
  include?: readonly ('input' | 'ops' | 'steps' | 'approvals')[]
}

export interface WatchOptions extends ReadOptions {
  /** Told when the way we hear about changes changes, for a "connection lost" note. */
  onConnection?: (connection: Connection) => void
}

export interface WatchJobsOptions extends CallOptions {
  /** As in `watch`. */
  onConnection?: (connection: Connection) => void
}

export interface WatchGroupOptions extends WatchJobsOptions {
  /** `'done'`: ends when the final snapshot of every job of the group was given. @default goes on, as others may join */
  until?: 'done'
}

export interface EventsOptions extends WatchJobsOptions {
  /** Cursor of the last event you have dealt with. @default from now on; with `groupId` or `jobId`, from those jobs as they are */
  after?: string
}

export interface StreamTicketOptions extends CallOptions {
  /** What may be read with it. `{ jobId: [id] }` is also good for `watch(id)`. @default all that this key may read */
  filter?: EventFilter
  /** How long it is good for, in milliseconds; never longer than the key. @default 600000 for `sse`; 60000, the most, for `ws` */
  ttlMs?: number
  /** `sse`: for event streams, as often as wanted. `ws`: for one connection of a socket. @default 'sse' */
  use?: 'sse' | 'ws'
}

export interface ResultOptions extends CallOptions {
  /** Gives up waiting (not the job) after this with WaitTimeoutError. @default waits as long as it takes */
  timeout?: Duration
}

export interface CancelOptions extends CallOptions {
  /** Kept in its history, and shown with its end. @default none */
  reason?: string
  /** `graceful`: signal, then TERM, then KILL after 5 s. `force`: children are killed now. @default 'graceful' */
  mode?: 'graceful' | 'force'
  /** False: what its steps did stays as it is; needs `jobs:operate`. @default true: steps with an undo are undone first */
  compensate?: boolean
  /** Refuse (`version-mismatch`) unless the job still has this version. @default whatever it has */
  ifVersion?: number
}

export interface RetryJobOptions extends CallOptions {
  /** Kept in its history. @default none */
  reason?: string
  /** Refuse (`version-mismatch`) unless the job still has this version. @default whatever it has */
  ifVersion?: number
  /** Starts a new retry budget. @default true when the job waits for review */
  resetAttempts?: boolean
}

export interface ListOptions extends CallOptions {
  status?: Status | readonly Status[]
  /** Exact names, or prefixes that end in `*`. */
  type?: string | readonly string[]
  group?: string
  operationKey?: string
  parentId?: string
  tag?: string
  /** Id of the schedule that made them. */
  schedule?: string
  createdAfter?: Instant
  createdBefore?: Instant
  updatedAfter?: Instant
  late?: boolean
  /** Blocked, late, or failed without a resolution. */
  needsAttention?: boolean
  /** With an attempt that failed for this origin. */
  origin?: Origin
  /** With a decision by this model (and version), or with this tool. */
  model?: string
  modelVersion?: string
  tool?: string
  /** @default '-createdAt' */
  order?: 'createdAt' | '-createdAt' | '-updatedAt' | '-finishedAt'
  /** Jobs per page, 200 at most. @default 50 */
  limit?: number
  /** Where to go on: `nextCursor` of a page, with the same filters. */
  cursor?: string
  include?: readonly ('input' | 'ops' | 'steps')[]
}

export interface PageOptions extends CallOptions {
  limit?: number
  cursor?: string
}

export interface StoryOptions extends CallOptions {
  /** In whose words. @default the one that hears most of those this key may hear */
  voice?: Voice
}

export interface UploadOptions extends CallOptions {
  name?: string
  /** @default the type of the blob, or application/octet-stream */
  contentType?: string
}

export interface KeyOptions extends CallOptions {
  name: string
  /** For example `['jobs:submit']`; `['admin']` holds all rights. */
  scopes: readonly string[]
  /** Job types it may use (`ocr.*`). @default all */
  types?: readonly string[]
  /** Whose key it is; where two people must differ, persons are compared. @default the key stands for itself */
  person?: Person
  /** Groups of that person, for approvals that need one of them. */
  groups?: readonly string[]
  /** Highest risk it may decide. @default any */
  maxRisk?: 'low' | 'medium' | 'high'
  /** @default never */
  expiresAt?: Instant
}
