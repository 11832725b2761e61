/**
 * Contract of rows beside the jobs: what is listed and how, groups, files, keys, workers. Types only; store.ts has the
 * methods.
 */
import type { Origin, Person, Status } from '../core/job.js'
import type { LimitNumbers } from '../core/limits.js'

export interface JobFilter {
  tenant: string
  /** Only these jobs. */
  ids?: readonly string[]
  statuses?: readonly Status[]
  /** Exact names, or prefixes that end in `*`. */
  types?: readonly string[]
  groupId?: string
  operationKey?: string
  parentId?: string
  tag?: string
  /** Id of the schedule that made them. */
  schedule?: string
  /** Only jobs created by this actor id. */
  createdBy?: string
  createdAfter?: number
  createdBefore?: number
  updatedAfter?: number
  late?: boolean
  needsAttention?: boolean
  /** With an attempt that failed for this origin. */
  origin?: Origin
  /** With a decision by this model (and version), or with this tool. */
  model?: string
  modelVersion?: string
  tool?: string
  order: 'createdAt' | '-createdAt' | '-updatedAt' | '-finishedAt'
  /** Keyset: rows after this (order value, id). */
  after?: { value: number; id: string }
  limit: number
}

export interface GroupSummary {
  groupId: string
  counts: Record<Status, number>
  total: number
  firstCreatedAt: number
  lastUpdatedAt: number
  latestByType: Record<string, string>
}

export interface FileRow {
  id: string
  tenant: string
  bytes: number
  sha256: string
  contentType: string
  name: string | null
  createdBy: string
  createdAt: number
  /** When it is swept if no job refers to it by then; null while one does. */
  expiresAt: number | null
}

export interface ApiKeyRow {
  id: string
  tenant: string
  name: string
  /** SHA-256 of the whole key, hexadecimal. */
  hash: string
  scopes: string[]
  types: string[] | null
  /** Whose key it is: two-person rules compare persons. Null: the key stands for itself. */
  person: Person | null
  /** Groups of the person, for approvals that need one of them. */
  groups: string[] | null
  /** Highest risk it may approve; null = any. */
  maxRisk: string | null
  createdAt: number
  expiresAt: number | null
  revokedAt: number | null
  lastUsedAt: number | null
}

export interface WorkerRow {
  id: string
  boot: string
  host: string
  pid: number
  startedAt: number
  leaseUntil: number
  state: 'up' | 'draining' | 'gone'
  /** What it takes; null for all queues. */
  serves: { types: { name: string; version: string | null }[]; queues: string[] | null } | null
}

/** A child process group of a running attempt, for the sweep after a crash. */
export interface ProcessRow {
  jobId: string
  pgid: number
  startTime: string
  bootId: string
}

export interface ClaimRequest {
  worker: string
  /** May be a getter: like `limit`, it is read when the claim is carried out. */
  readonly lanes: readonly { lane: string; limit: number }[]
  /** At most so many in all; read when the claim is carried out. */
  limit: () => number
  /** Levels in the order in which they are served; not always the highest first, so that nothing starves. */
  readonly levels: readonly number[]
  /** The numbers of a type's limits as they are defined now; without them those count that a job was submitted under. */
  numbers?: (type: string) => LimitNumbers | undefined
  /** Told of lanes that may hold more ready jobs although they gave less than asked. */
  onCut?: (lane: string) => void
}
