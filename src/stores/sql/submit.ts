/**
 * Storing new jobs: job, live row, first history entry, idempotency key, file pins and tags, all in one transaction.
 */

import { partsOf } from '../../core/job.js'
import { utf8Length } from '../../core/json.js'
import { statusOf } from '../../core/lifecycle.js'
import type { Change, NewJob, Submitted } from '../store.js'
import { auditPlan } from './audit.js'
import { noted } from './ledger.js'
import { each, one, type Plan, run, type Value } from './plan.js'
import { historyValues, INSERT_HISTORY, INSERT_JOB, INSERT_LIVE, jobValues, liveValues } from './rows.js'
import { insertSteps } from './steps.js'

type Sha256 = (text: string) => string

/** Values up to this many bytes stay in their row; larger ones go to `blobs` (rulings 18). */
export const INLINE_BYTES = 64 * 1024

const KEYED = 'select job_id, fingerprint from idempotency where tenant = ?1 and operation = ?2 and key = ?3'
interface KeyRow {
  job_id: string
  fingerprint: string
}

/** The job that has this key. */
export function* keyedPlan(tenant: string, operation: string, key: string) {
  const row = yield* one<KeyRow>(KEYED, tenant, operation, key)
  return row ? { jobId: row.job_id, fingerprint: row.fingerprint } : null
}

/** One `submit` call: its jobs are stored together or not at all. */
export type SubmitCall = readonly NewJob[]

export function* submitPlan(
  calls: readonly SubmitCall[],
  now: number,
  changes: Change[],
  /** Needed for jobs with an audit entry: what people asked for. */
  sha256: Sha256 | null = null,
): Plan<Submitted[][]> {
  const keys = new KeyRing(yield* storedKeys(calls))
  const missing = yield* missingFiles(calls, now)
  const stored: NewJob[] = []
  const answers = calls.map((jobs): Submitted[] => {
    const fresh: NewJob[] = []
    const answer: Submitted[] = []
    const refuse = (why: Submitted): Submitted[] => {
      for (const job of fresh) if (job.idempotency) keys.remove(job)
      return [why]
    }
    for (const job of jobs) {
      const before = job.idempotency && keys.find(job)
      if (before && before.fingerprint !== job.idempotency!.fingerprint)
        return refuse({ outcome: 'key-reused', jobId: before.jobId })
      if (before) {
        answer.push({ outcome: 'replayed', jobId: before.jobId })
        if (job.idempotency!.batch) return answer
        continue
      }
      const file = job.files.find((id) => missing.has(`${job.record.tenant}/${id}`))
      if (file !== undefined) return refuse({ outcome: 'file-missing', file })
      if (job.idempotency) keys.add(job)
      fresh.push(job)
      answer.push({ outcome: 'created', jobId: job.record.id })
    }
    stored.push(...fresh)
    return answer
  })
  yield* insertJobs(stored)
  for (const job of stored) {
    changes.push(changeOf(job.live, job.record.groupId))
    if (job.record.replayOf !== null || job.compensates !== undefined) yield* linkOrigin(job, changes)
    if (job.audit && sha256) yield* auditPlan(job.audit, now, sha256, { jobId: job.record.id, seq: 1 })
  }
  return answers
}

/** Readers of the job that it replays or undoes see the new one. */
function* linkOrigin({ record, compensates }: NewJob, changes: Change[]): Plan<void> {
  if (compensates !== undefined)
    yield* run(`insert into links (job_id, kind, other_id) values (?1, 'compensated-by', ?2)`, [
      [compensates, record.id],
    ])
  yield* noted(compensates ?? record.replayOf!, record.tenant, changes)
}

function* storedKeys(
  calls: readonly SubmitCall[],
): Plan<[NewJob, { job_id: string; fingerprint: string } | undefined][]> {
  const keyed = calls.flatMap((jobs) => jobs.filter((job) => job.idempotency))
  const rows = yield* each<KeyRow>(
    KEYED,
    keyed.map(({ record, idempotency }) => [record.tenant, idempotency!.operation, idempotency!.key]),
  )
  return keyed.map((job, i) => [job, rows[i]])
}

/** Keys stored before, and keys that jobs of this very transaction take: the first one wins, the rest are replays. */
class KeyRing {
  private readonly taken = new Map<string, { jobId: string; fingerprint: string }>()
  constructor(stored: [NewJob, { job_id: string; fingerprint: string } | undefined][]) {
    for (const [job, row] of stored)
      if (row) this.taken.set(this.name(job), { jobId: row.job_id, fingerprint: row.fingerprint })
  }
  private name({ record, idempotency }: NewJob): string {
    return `${record.tenant}\n${idempotency!.operation}\n${idempotency!.key}`
  }
  find(job: NewJob) {
    return this.taken.get(this.name(job))
  }
  add(job: NewJob): void {
    this.taken.set(this.name(job), { jobId: job.record.id, fingerprint: job.idempotency!.fingerprint })
  }
  /** The call that took it is refused. */
  remove(job: NewJob): void {
    this.taken.delete(this.name(job))
  }
}

/** Files that do not exist, belong to another tenant or have expired, as `tenant/id`. */
function* missingFiles(calls: readonly SubmitCall[], now: number): Plan<Set<string>> {
  const wanted = calls.flatMap((jobs) => jobs.flatMap((job) => job.files.map((id) => [job.record.tenant, id] as const)))
  const rows = yield* each(
    'select 1 as found from files where tenant = ?1 and id = ?2 and (expires_at is null or expires_at > ?3)',
    wanted.map(([tenant, id]) => [tenant, id, now]),
  )
  return new Set(wanted.filter((_, i) => !rows[i]).map(([tenant, id]) => `${tenant}/${id}`))
}

function* insertJobs(jobs: readonly NewJob[]): Plan<void> {
  const blobs: Value[][] = []
  const jobRows = jobs.map(({ record }) => {
    if (record.input.length * 3 <= INLINE_BYTES || utf8Length(record.input) <= INLINE_BYTES)
      return jobValues(record, record.input)
    blobs.push([record.id, 'input', record.input])
    return jobValues(record, null)
  })
  yield* run(INSERT_JOB, jobRows)
  yield* run(
    INSERT_LIVE,
    jobs.map(({ live }) => liveValues(live)),
  )
  yield* run(
    INSERT_HISTORY,
    jobs.map(({ record, history }) => historyValues(record.id, history)),
  )
  yield* run('insert into blobs (job_id, name, data) values (?1, ?2, ?3)', blobs)
  yield* run(
    'insert into idempotency (tenant, operation, key, job_id, fingerprint) values (?1, ?2, ?3, ?4, ?5)',
    jobs
      .filter((job) => job.idempotency)
      .map(({ record, idempotency: at }) => [record.tenant, at!.operation, at!.key, record.id, at!.fingerprint]),
  )
  yield* run(
    'insert into tags (tenant, tag, job_id) values (?1, ?2, ?3) on conflict do nothing',
    jobs.flatMap(({ record }) => (record.options.tags ?? []).map((tag) => [record.tenant, tag, record.id])),
  )
  yield* pinFiles(jobs.flatMap(({ record, files }) => files.map((file) => [file, record.id] as const)))
  yield* insertSteps(jobs.flatMap(({ record, steps = [] }) => steps.map((row) => ({ jobId: record.id, row }))))
}

/** A file is kept as long as a job refers to it. */
export function* pinFiles(pairs: readonly (readonly [file: string, jobId: string])[]): Plan<void> {
  yield* run('insert into file_refs (file_id, job_id) values (?1, ?2) on conflict do nothing', pairs)
  yield* run(
    'update files set expires_at = null where id = ?1',
    pairs.map(([file]) => [file]),
  )
}

/** What listeners are told of an unfinished job. */
export function changeOf(live: NewJob['live'], groupId: string | null = null): Change {
  const { tenant, type } = partsOf(live.lane)
  return {
    jobId: live.id,
    tenant,
    type,
    groupId,
    lane: live.lane,
    status: statusOf(live),
    done: false,
    version: live.version,
    revision: live.revision,
    queuedAt: live.worker === null && (live.state === 'queued' || live.state === 'compensating') ? live.runAt : null,
    cancelling: live.state === 'cancelling' ? (live.why?.cancel?.mode ?? 'graceful') : null,
    pausing: live.state === 'running' && live.why?.pause !== undefined,
    wakeAt: live.wakeAt,
  }
}
