/**
 * The JSON that travels: what a reader of the HTTP API, the client and the CLI sees. Types only.
 * Instants are RFC 3339 UTC with milliseconds; durations are `…Ms`; nullable members are present with null.
 */
import type { Actor, ErrorInfo, Origin, Person, Status } from './job.js'
import type { Json } from './json.js'
import type { Answer } from './question.js'
import type { MissedRule, OverlapRule } from './schedule.js'
import type { WireApprovalItem } from './wire-approval.js'

export interface WireProgress {
  stage: string | null
  stageLabel: string | null
  message: string | null
  completed: number | null
  total: number | null
  unit: string | null
  /** Rounds over the same things, for work that repeats itself; null when the job does not count them. */
  iterations: { completed: number; total: number | null } | null
  /** 0–100 from `completed` and `total`, else from `iterations`; null when no total is known; never invented. */
  percent: number | null
  stages: { name: string; label: string; state: 'pending' | 'active' | 'done' | 'skipped' }[]
  updatedAt: string
}

export interface WireError {
  code: string
  class: ErrorInfo['class']
  /** Where it came from: system, model, policy, input, engine; null for ends that are no failure. */
  origin: Origin | null
  message: string
  messages: string[]
  step: string | null
  attempts: number
  details: Record<string, unknown> | null
  occurredAt: string
  helpUrl: string | null
}

export interface WireWarning {
  code: string
  message: string
  step: string | null
  at: string
}

export interface WireJob {
  id: string
  type: string
  typeVersion: string | null
  tenant: string
  status: Status
  /** True when the job has reached its final state; nothing changes after that. */
  done: boolean
  /** One sentence for people. */
  statusText: string
  progress: WireProgress | null
  blockedOn: {
    kind: 'approval' | 'review' | 'signal' | 'input' | 'pause'
    id: string
    title: string
    since: string
    dueAt: string | null
    href: string | null
    /** Of an approval: how many are there and how many are needed. */
    quorum: { filled: number; needed: number } | null
    /** What a person is asked, and what may be answered: POST /v1/jobs/{id}/answer. */
    question: { step: string; text: string; answers: Answer[] } | null
  }[]
  result: Json
  resultInfo: {
    state: 'none' | 'inline' | 'external' | 'expired'
    bytes: number | null
    contentType: string | null
    sha256: string | null
    expiresAt: string | null
  }
  error: WireError | null
  warnings: WireWarning[]
  input?: Json
  groupId: string | null
  operationKey: string | null
  tags: string[]
  metadata: Record<string, string>
  parentId: string | null
  rootId: string | null
  /** The schedule that made it and the instant it stands for; null for jobs that somebody submitted. */
  schedule: { id: string; at: string } | null
  replayOf: string | null
  supersededBy: string | null
  compensates: string | null
  compensatedBy: string | null
  resolution: null | { kind: string; reason: string; by: Actor; at: string; jobId: string | null }
  priority: number
  runAt: string | null
  deadlineAt: string | null
  createdAt: string
  startedAt: string | null
  updatedAt: string
  finishedAt: string | null
  expectedDoneAt: string | null
  late: boolean
  cancelRequestedAt: string | null
  expiresAt: string | null
  version: number
  revision: number
  pollAfterMs: number | null
  createdBy: Actor
  /** The person it is done for. */
  onBehalfOf: Person | null
  traceparent: string | null
  links: { self: string; result: string; stream: string; history: string }
  ops?: WireOps
  steps?: WireStep[]
  approvals?: WireApprovalItem[]
}

/** For operators: `include=ops`. */
export interface WireOps {
  phase: string
  /** The limit that keeps it from starting; null for none. */
  heldBy: WireHeld | null
  attempt: number
  maxAttempts: number | null
  nextAttemptAt: string | null
  lastError: { class: ErrorInfo['class']; code: string; message: string; rule: string | null } | null
  queue: string
  workerId: string | null
  leaseExpiresAt: string | null
}

export interface WireHeld {
  limit: 'concurrency' | 'order' | 'rate'
  /** The key it is counted under; '' when the limit is of the whole type. */
  key: string
  /** Jobs with this key that have a worker now, and that come before it; null where that says nothing. */
  running: number | null
  ahead: number | null
}

export interface WireStep {
  /** Path and counter: `fetch`, `charge#2`, `recognize/fast`. */
  name: string
  kind: 'step' | 'process' | 'first' | 'stage' | 'decision' | 'timer' | 'signal' | 'callback' | 'approval' | 'child'
  attempt: number
  startedAt: string
  endedAt: string
  bytes: number
  effect: 'read' | 'idempotent' | 'once' | null
  /** What became of its undo: `due` until the job completes or it is undone. */
  undo: 'due' | 'undone' | 'by-hand' | 'reused' | null
  info: Json
}

export interface WireAttempt {
  attempt: number
  outcome: 'running' | 'ok' | 'error' | 'lost' | 'released' | 'suspended' | 'cancelled'
  verdict: string | null
  rule: string | null
  error: WireError | null
  workerId: string | null
  startedAt: string
  endedAt: string | null
  durationMs: number
  retryInMs: number | null
}

export interface WireLog {
  at: string
  attempt: number
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
  data: Json
}

export interface WireHistoryEntry {
  seq: number
  at: string
  jobId: string
  event: string
  from: { status: Status; phase: string } | null
  to: { status: Status; phase: string }
  cause: { kind: string; class: ErrorInfo['class']; code: string; message: string } | null
  actor: Actor
  attempt: number
  step: string | null
  decision: { rule: string; path: string[] } | null
  context: Json
  reason: string | null
  hash: string | null
  prevHash: string | null
}

/** One event, the same in pages, streams and webhooks (CloudEvents attributes and Standard Webhooks members). */
export interface WireEvent {
  specversion: '1.0'
  id: string
  source: string
  type: string
  subject: string
  time: string
  timestamp: string
  datacontenttype: 'application/json'
  data: {
    jobId: string
    jobType: string
    status: Status
    done: boolean
    version: number
    groupId: string | null
    operationKey: string | null
    previousStatus: Status | null
    progress?: WireProgress
  }
}

export interface WireGroup {
  groupId: string
  counts: Record<Status, number>
  total: number
  done: boolean
  firstCreatedAt: string
  lastUpdatedAt: string
  latestByType: Record<string, string>
}

/** Where people decide. The tier is computed for each request, so it is not known before. */
export interface WireGate {
  gate: string
  /** JSON Schema 2020-12 of the data that goes with a request; null when its library cannot say. */
  dataSchema: Json
}

export interface WireJobType {
  type: string
  version: string | null
  title: string | null
  description: string | null
  inputSchema: Json
  resultSchema: Json
  stages: { name: string; label: string }[]
  gates: WireGate[]
  completion: { mode: 'wait'; upToMs: number } | { mode: 'staged' } | { mode: 'background' }
  retry: {
    withinMs: number
    maxAttempts: number | null
    /** With `delaysMs` the pauses are these one by one, the last of them from then on. */
    backoff: { fromMs: number; toMs: number; factor: number; delaysMs?: number[] }
    onExhausted: 'fail' | 'review'
  }
  errorClasses: { match: string; is: string; code: string | null }[]
  expected: { p50Ms: number | null; p95Ms: number | null; samples: number }
  requireIdempotencyKey: boolean
  retentionMs: number
  queue: string
  /** Limits as they are defined now; null for none. */
  limits: {
    concurrency: number | null
    ordered: boolean
    rate: { limit: number; perMs: number; burst: number } | null
  } | null
  /** While it is not done (`windowMs` null) or within a window from its submit, a job has no duplicate. */
  unique: { windowMs: number | null; onDuplicate: 'return' | 'reject' | 'replace' } | null
  /** True: its jobs are accepted and not started. */
  paused: boolean
}

export interface WireQueue {
  name: string
  paused: boolean
  /** Who paused it, why and when; null while it goes on. */
  pause: { actor: Actor; reason: string | null; at: string } | null
  /** Jobs that could start now, `held` included; counts end at 10 000 per type. */
  depth: number
  /** Of these, the ones that a limit of their type holds. */
  held: number
  /** How long the oldest of them has been waiting. */
  oldestAgeMs: number | null
  running: number
  /** Most jobs at once in this process; null: as many as the worker has slots. */
  concurrency: number | null
}

/** A worker: what claims and runs jobs, in some process on some machine. */
export interface WireWorker {
  id: string
  host: string
  pid: number
  /** `draining`: it takes no more jobs. `lost`: nothing was heard of it for so long that its jobs go on elsewhere. `gone`: it has ended in order. */
  state: 'up' | 'draining' | 'lost' | 'gone'
  startedAt: string
  lastSeenAt: string
  /** Until when its jobs are its own, if nothing more is heard of it. */
  leaseUntil: string
  /** What it takes. Null: it did not say. */
  types: { name: string; version: string | null }[] | null
  /** Null: all queues. */
  queues: string[] | null
  /** Jobs that it runs now, of your tenant. */
  running: number
  jobs: { type: string; running: number; oldestAgeMs: number }[]
}

export interface WireFile {
  file: string
  bytes: number
  sha256: string
  contentType: string
  name: string | null
  createdAt: string
  expiresAt: string | null
}

export interface WireApiKey {
  id: string
  name: string
  scopes: string[]
  types: string[] | null
  person: Person | null
  groups: string[] | null
  maxRisk: string | null
  createdAt: string
  expiresAt: string | null
  lastUsedAt: string | null
  revokedAt: string | null
  /** Only in the answer that creates or rotates it. */
  key?: string
}

export interface WireSchedule {
  id: string
  tenant: string
  type: string
  /** Not in lists. */
  input?: Json
  description: string | null
  cron: string | null
  everyMs: number | null
  timeZone: string
  startAt: string | null
  endAt: string | null
  jitterMs: number
  missed: MissedRule
  missedLimit: number
  overlap: OverlapRule
  priority: number
  groupId: string | null
  operationKey: string | null
  tags: string[]
  metadata: Record<string, string>
  /** True while the code declares it: then only the code changes it. */
  declared: boolean
  paused: { by: 'person' | 'code'; actor: Actor; note: string | null; at: string } | null
  /** One sentence for people. */
  statusText: string
  /** Null while it is paused, and when no instant is left. In the past: it is dealt with in a moment. */
  nextAt: string | null
  previousAt: string | null
  lastJobId: string | null
  /** Why an instant got no job; the latest one. */
  lastProblem: { code: string; message: string; at: string; occurredAt: string } | null
  firedCount: number
  missedCount: number
  skippedCount: number
  problemCount: number
  createdAt: string
  createdBy: Actor
  updatedAt: string
  /** +1 for each change by a person or by code; send it as `ifVersion`. */
  version: number
  links: { self: string; upcoming: string; jobs: string }
}

/** One instant that a schedule will come to. */
export interface WireUpcoming {
  at: string
  /** The same in words, in the zone of the schedule. */
  text: string
}

export interface WireProblem {
  type: string
  title: string
  status: number
  detail: string
  instance: string
  code: string
  retryable: boolean
  retryAfterMs: number | null
  fix: string
  docs: string
  errors: { pointer: string; code: string; message: string }[]
  params: Record<string, unknown>
}
