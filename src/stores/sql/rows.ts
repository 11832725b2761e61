/**
 * Rows ↔ records of jobs: the only place that knows how they are laid out in columns. No logic.
 */
import type { Actor, Attempt, ErrorInfo, JobRecord, LiveJob, Outcome, partsOf } from '../../core/job.js'
import type { HistoryEntry } from '../../core/lifecycle.js'
import type { StoredHistory, StoredOutcome } from '../store.js'
import type { Row, Tuple, Value } from './plan.js'

/** `kind:id:name`. Ids come from outside (`oidc:42`), so a colon in one is escaped. */
export function actorText(actor: Actor): string {
  return `${actor.kind}:${escaped(actor.id)}:${actor.name ?? ''}`
}

/** The beginning of actorText for a `kind:id`. */
export function actorPrefix(kindAndId: string): string {
  const colon = kindAndId.indexOf(':')
  return `${kindAndId.slice(0, colon)}:${escaped(kindAndId.slice(colon + 1))}`
}

function escaped(id: string): string {
  return id.includes(':') || id.includes('%') ? id.replaceAll('%', '%25').replaceAll(':', '%3A') : id
}

export function actorOf(text: string): Actor {
  const first = text.indexOf(':')
  const second = text.indexOf(':', first + 1)
  const name = text.slice(second + 1)
  return {
    kind: text.slice(0, first) as Actor['kind'],
    id: text
      .slice(first + 1, second)
      .replaceAll('%3A', ':')
      .replaceAll('%25', '%'),
    ...(name ? { name } : {}),
  }
}

export const json = (value: unknown): string | null =>
  value === null || value === undefined ? null : JSON.stringify(value)
export const parsed = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T))

/** A plain insert. */
export const insert = (table: string, columns: string): string => {
  const names = columns.split(',').map((name) => name.trim())
  return `insert into ${table} (${names.join(', ')}) values (${names.map((_, i) => `?${i + 1}`).join(', ')})`
}

export const INSERT_JOB = insert(
  'jobs',
  'id, tenant, type, type_version, queue, priority, input, group_id, operation_key, parent_id, replay_of, options, created_by, created_at, run_at, deadline_at',
)
export function jobValues(job: JobRecord, input: string | null): Value[] {
  let options: string | null = null
  for (const _ in job.options) {
    options = JSON.stringify(job.options)
    break
  }
  return [
    job.id,
    job.tenant,
    job.type,
    job.typeVersion,
    job.queue,
    job.priority,
    input,
    job.groupId,
    job.operationKey,
    job.parentId,
    job.replayOf,
    options,
    actorText(job.createdBy),
    job.createdAt,
    job.runAt,
    job.deadlineAt,
  ]
}

/** Columns of a job in the order in which jobOf reads them; the input travels beside the tuple. */
export const JOB_COLUMNS =
  'j.id, j.tenant, j.type, j.type_version, j.queue, j.priority, j.group_id, j.operation_key, j.parent_id, j.replay_of, j.options, j.created_by, j.created_at, j.run_at, j.deadline_at'
export const JOB_WIDTH = JOB_COLUMNS.split(', ').length
export function jobOf(t: Tuple, input: string): JobRecord {
  return {
    id: t[0],
    tenant: t[1],
    type: t[2],
    typeVersion: t[3],
    queue: t[4],
    priority: t[5],
    input,
    groupId: t[6],
    operationKey: t[7],
    parentId: t[8],
    replayOf: t[9],
    options: t[10] === null ? {} : JSON.parse(t[10]),
    createdBy: actorOf(t[11]),
    createdAt: t[12],
    runAt: t[13],
    deadlineAt: t[14],
  }
}

const LIVE =
  'id, lane, level, state, wait_kind, run_at, wake_at, escalate_at, late_at, deadline_at, version, revision, epoch, attempt, errors, losses, budget_from, worker, started_at, attempt_at, cancel_at, held, ties, undo, why, changed_at'
export const INSERT_LIVE = insert('live', LIVE)
export const LIVE_COLUMNS = LIVE.split(', ')
  .map((name) => `l.${name}`)
  .join(', ')
export const LIVE_WIDTH = LIVE.split(', ').length
export const UPDATE_LIVE = `update live set ${LIVE.split(', ')
  .slice(1)
  .map((name, i) => `${name} = ?${i + 2}`)
  .join(
    ', ',
  )} where id = ?1 and version = ?${LIVE.split(', ').length + 1} and revision = ?${LIVE.split(', ').length + 2}`
/** The revision is compared as well: progress moves it without a transition, and the ETag must never repeat. */
export const DELETE_LIVE = 'delete from live where id = ?1 and version = ?2 and revision = ?3'
export function liveValues(live: LiveJob): Value[] {
  return [
    live.id,
    live.lane,
    live.level,
    live.state,
    live.waitKind,
    live.runAt,
    live.wakeAt,
    live.escalateAt,
    live.lateAt,
    live.deadlineAt,
    live.version,
    live.revision,
    live.epoch,
    live.attempt,
    live.errors,
    live.losses,
    live.budgetFrom,
    live.worker,
    live.startedAt,
    live.attemptAt,
    live.cancelAt,
    live.held,
    live.ties,
    live.undo,
    json(live.why),
    live.changedAt,
  ]
}
/** Only what a claim changes. */
export const UPDATE_CLAIMED = `update live set state = ?10, version = ?3, revision = ?4, epoch = ?5, attempt = ?6, worker = ?7, started_at = ?8, attempt_at = ?9, changed_at = ?9 where id = ?1 and version = ?2`
/** Before that, for what a limit has let go: a running job is never held. */
export const CLEAR_HELD = 'update live set held = null where id = ?1'
export function claimedValues(live: LiveJob): Value[] {
  return [
    live.id,
    live.version - 1,
    live.version,
    live.revision,
    live.epoch,
    live.attempt,
    live.worker,
    live.startedAt,
    live.attemptAt,
    live.state,
  ]
}
/** @param at where its columns begin in the tuple */
export function liveOf(t: Tuple, at = 0): LiveJob {
  return {
    id: t[at],
    lane: t[at + 1],
    level: t[at + 2],
    state: t[at + 3],
    waitKind: t[at + 4],
    runAt: t[at + 5],
    wakeAt: t[at + 6],
    escalateAt: t[at + 7],
    lateAt: t[at + 8],
    deadlineAt: t[at + 9],
    version: t[at + 10],
    revision: t[at + 11],
    epoch: t[at + 12],
    attempt: t[at + 13],
    errors: t[at + 14],
    losses: t[at + 15],
    budgetFrom: t[at + 16],
    worker: t[at + 17],
    startedAt: t[at + 18],
    attemptAt: t[at + 19],
    cancelAt: t[at + 20],
    held: t[at + 21],
    ties: t[at + 22],
    undo: t[at + 23],
    why: parsed(t[at + 24]),
    changedAt: t[at + 25],
  }
}

/**
 * Columns of a job that waits, as `waitingOf` reads them: what every job has, and what few have. To pack all of them is more
 * than half of what it costs PostgreSQL to read a job, and claims read nothing else so often.
 */
export const WAITING_COLUMNS =
  'l.id, l.level, l.state, l.run_at, l.version, l.revision, l.epoch, l.attempt, l.budget_from, l.ties, l.undo, l.changed_at, j.queue, j.priority, j.type_version, j.created_by, j.created_at'
export const RARE_COLUMNS =
  'l.wake_at, l.escalate_at, l.late_at, l.deadline_at, l.errors, l.losses, l.started_at, l.attempt_at, l.cancel_at, l.held, l.why, j.group_id, j.operation_key, j.parent_id, j.replay_of, j.options, j.run_at, j.deadline_at'
/** All of them are null for a job that has none. */
export const RARE_VALUES = RARE_COLUMNS.replace(/l\.(errors|losses)/g, 'nullif(l.$1, 0)')
const NONE: Tuple = Array.from(RARE_COLUMNS.split(', '), (name) => (/errors|losses/.test(name) ? 0 : null))

/** @param rare null where a job has none of those */
export function waitingOf(t: Tuple, rare: Tuple | null, lane: string): LiveJob {
  const r = rare ?? NONE
  return {
    id: t[0],
    lane,
    level: t[1],
    state: t[2],
    waitKind: null,
    runAt: t[3],
    wakeAt: r[0],
    escalateAt: r[1],
    lateAt: r[2],
    deadlineAt: r[3],
    version: t[4],
    revision: t[5],
    epoch: t[6],
    attempt: t[7],
    errors: r[4],
    losses: r[5],
    budgetFrom: t[8],
    worker: null,
    startedAt: r[6],
    attemptAt: r[7],
    cancelAt: r[8],
    held: r[9],
    ties: t[9],
    undo: t[10],
    why: parsed(r[10]),
    changedAt: t[11],
  }
}

/** The record of the same. */
export function waitingRecordOf(
  t: Tuple,
  rare: Tuple | null,
  { tenant, type }: ReturnType<typeof partsOf>,
  input: string,
): JobRecord {
  const r = rare ?? NONE
  return {
    id: t[0],
    tenant,
    type,
    typeVersion: t[14],
    queue: t[12],
    priority: t[13],
    input,
    groupId: r[11],
    operationKey: r[12],
    parentId: r[13],
    replayOf: r[14],
    options: r[15] === null ? {} : JSON.parse(r[15]),
    createdBy: actorOf(t[15]),
    createdAt: t[16],
    runAt: r[16],
    deadlineAt: r[17],
  }
}

export const INSERT_OUTCOME = insert(
  'outcomes',
  'job_id, status, phase, error, result, result_bytes, result_sha256, attempt, epoch, version, revision, started_at, finished_at, expires_at',
)
export function outcomeValues(
  outcome: Outcome,
  result: string | null,
  bytes: number,
  sha256: string | null,
  expiresAt: number,
): Value[] {
  return [
    outcome.jobId,
    outcome.status,
    outcome.phase,
    json(outcome.error),
    result,
    bytes,
    sha256,
    outcome.attempt,
    outcome.epoch,
    outcome.version,
    outcome.revision,
    outcome.startedAt,
    outcome.finishedAt,
    expiresAt,
  ]
}
/** The result travels beside the tuple. */
export const OUTCOME_COLUMNS =
  'o.job_id, o.status, o.phase, o.error, o.result_bytes, o.result_sha256, o.attempt, o.epoch, o.version, o.revision, o.started_at, o.finished_at, o.expires_at'
export const OUTCOME_WIDTH = OUTCOME_COLUMNS.split(', ').length
export function outcomeOf(t: Tuple, at: number, result: string | null): StoredOutcome {
  return {
    jobId: t[at],
    status: t[at + 1],
    phase: t[at + 2],
    error: parsed<ErrorInfo>(t[at + 3]),
    result,
    resultBytes: t[at + 4],
    resultSha256: t[at + 5],
    attempt: t[at + 6],
    epoch: t[at + 7],
    version: t[at + 8],
    revision: t[at + 9],
    startedAt: t[at + 10],
    finishedAt: t[at + 11],
    expiresAt: t[at + 12],
  }
}

export const INSERT_ATTEMPT = insert(
  'attempts',
  'job_id, epoch, attempt, worker, outcome, started_at, ended_at, error, verdict, origin, retry_in_ms',
)
export function attemptValues(attempt: Attempt): Value[] {
  return [
    attempt.jobId,
    attempt.epoch,
    attempt.attempt,
    attempt.worker,
    attempt.outcome,
    attempt.startedAt,
    attempt.endedAt,
    json(attempt.error),
    attempt.verdict,
    attempt.error?.origin ?? null,
    attempt.retryInMs,
  ]
}
export function attemptOf(row: Row): Attempt {
  return {
    jobId: row.job_id,
    epoch: row.epoch,
    attempt: row.attempt,
    worker: row.worker,
    outcome: row.outcome,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    error: parsed<ErrorInfo>(row.error),
    verdict: row.verdict,
    retryInMs: row.retry_in_ms,
  }
}

export const INSERT_HISTORY = insert(
  'history',
  'job_id, seq, at, event, state, phase, epoch, attempt, actor, reason, error, details',
)
export function historyValues(jobId: string, entry: HistoryEntry): Value[] {
  return [
    jobId,
    entry.seq,
    entry.at,
    entry.event,
    entry.state,
    entry.phase,
    entry.epoch,
    entry.attempt,
    actorText(entry.actor),
    entry.reason,
    json(entry.error),
    json(entry.details),
  ]
}
export function historyOf(row: Row): StoredHistory {
  return {
    seq: row.seq,
    at: row.at,
    event: row.event,
    state: row.state,
    phase: row.phase,
    epoch: row.epoch,
    attempt: row.attempt,
    actor: actorOf(row.actor),
    reason: row.reason,
    error: parsed<ErrorInfo>(row.error),
    details: parsed(row.details),
    hash: row.hash ?? null,
    prevHash: row.prev_hash ?? null,
  }
}
