/**
 * Storing new jobs: job, live row, first history entry, idempotency key, file pins and tags, all in one transaction.
 */
import { utf8Length } from '../../core/json.js'
import type { NewJob, Submitted } from '../store.js'
import { audited } from './audit.js'
import { changeOf } from './changes.js'
import { giveWayPlan } from './give-way.js'
import { noted } from './ledger.js'
import { enterLimits } from './limits.js'
import { announceSubmit } from './outbox.js'
import { type Dialect, each, one, type Plan, put, type Value } from './plan.js'
import { historyValues, INSERT_HISTORY, INSERT_JOB, INSERT_LIVE, jobValues, liveValues } from './rows.js'
import { insertSteps } from './steps.js'
import type { Tx } from './tx.js'
import { readUniques, type Uniques, writeUniques } from './unique.js'

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

export function* submitPlan(calls: readonly SubmitCall[], tx: Tx): Plan<Submitted[][]> {
  const keys = new KeyRing(yield* storedKeys(calls))
  const uniques = yield* readUniques(calls, tx)
  const missing = yield* missingFiles(calls, tx)
  const stored: NewJob[] = []
  const answers = calls.map((jobs): Submitted[] => {
    const fresh: NewJob[] = []
    const answer: Submitted[] = []
    const batch = jobs[0]?.idempotency?.batch ? jobs[0] : null
    const settle = (kept: boolean) => {
      keys.settle(kept)
      uniques.settle(kept)
    }
    for (const job of jobs) {
      const verdict = judge(job, keys, uniques, missing)
      if (verdict === null) fresh.push(job)
      else if (verdict.outcome !== 'replayed' && verdict.outcome !== 'duplicate') {
        settle(false)
        return [verdict]
      }
      answer.push(verdict ?? { outcome: 'created', jobId: job.record.id })
      if (verdict?.outcome === 'replayed' && job === batch) return answer
      // A duplicate's key stands for the job that was there before.
      if (job.idempotency && job !== batch && verdict?.outcome !== 'replayed') keys.add(job, jobIdOf(answer.at(-1)!))
    }
    if (batch && fresh[0]) {
      fresh[0].record.options.batch = answer.map(jobIdOf)
      keys.add(batch, fresh[0].record.id)
    }
    settle(true)
    stored.push(...fresh)
    return answer
  })
  yield* enterLimits(stored, tx)
  yield* insertJobs(stored)
  yield* put(
    'insert into idempotency (tenant, operation, key, job_id, fingerprint) values (?1, ?2, ?3, ?4, ?5)',
    // In one order everywhere, so that two that store the same keys never wait for each other.
    [...keys.added].sort((a, b) => (nameOfRow(a) < nameOfRow(b) ? -1 : 1)),
  )
  yield* writeUniques(stored)
  for (const job of stored) {
    announceSubmit(job, tx)
    tx.changes.push(changeOf(job.live, job.record.groupId))
    if (job.record.replayOf !== null || job.compensates !== undefined) yield* linkOrigin(job, tx)
    if (job.audit) audited(job.audit, tx, { jobId: job.record.id, seq: 1 })
  }
  if (uniques.replaced.length > 0) yield* giveWayPlan(uniques.replaced, tx)
  return answers
}

/** Null: it is to be stored. */
function judge(job: NewJob, keys: KeyRing, uniques: Uniques, missing: ReadonlySet<string>): Submitted | null {
  const before = job.idempotency && keys.find(job)
  if (before && before.fingerprint !== job.idempotency!.fingerprint)
    return { outcome: 'key-reused', jobId: before.jobId }
  if (before) return { outcome: 'replayed', jobId: before.jobId }
  const file = job.files.find((id) => missing.has(`${job.record.tenant}/${id}`))
  return file === undefined ? uniques.judge(job) : { outcome: 'file-missing', file }
}

const jobIdOf = (answer: Submitted): string => ('jobId' in answer ? answer.jobId : '')

/** Readers of the job that it replays or undoes see the new one. */
function* linkOrigin({ record, compensates }: NewJob, tx: Tx): Plan<void> {
  if (compensates !== undefined)
    yield* put(`insert into links (job_id, kind, other_id) values (?1, 'compensated-by', ?2)`, [
      [compensates, record.id],
    ])
  yield* noted(compensates ?? record.replayOf!, record.tenant, tx.changes)
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
  /** Rows of the keys that were taken. */
  readonly added: Value[][] = []
  /** How many of them belong to calls that are decided. */
  private kept = 0
  constructor(stored: [NewJob, { job_id: string; fingerprint: string } | undefined][]) {
    for (const [job, row] of stored)
      if (row) this.taken.set(nameOf(job), { jobId: row.job_id, fingerprint: row.fingerprint })
  }
  find(job: NewJob) {
    return this.taken.get(nameOf(job))
  }
  add(job: NewJob, jobId: string): void {
    const { operation, key, fingerprint } = job.idempotency!
    this.taken.set(nameOf(job), { jobId, fingerprint })
    this.added.push([job.record.tenant, operation, key, jobId, fingerprint])
  }
  /** The keys of a call that is stored stay taken; those of one that is refused are given back. */
  settle(kept: boolean): void {
    if (!kept) {
      for (const row of this.added.splice(this.kept)) this.taken.delete(nameOfRow(row))
    }
    this.kept = this.added.length
  }
}

function nameOf({ record, idempotency }: NewJob): string {
  return `${record.tenant}\n${idempotency!.operation}\n${idempotency!.key}`
}

const nameOfRow = ([tenant, operation, key]: readonly Value[]): string => `${tenant}\n${operation}\n${key}`

/** A file that is not swept before the commit. */
export const fileThere = ({ heldRow }: Dialect): string =>
  `select 1 as found from files where tenant = ?1 and id = ?2 and (expires_at is null or expires_at > ?3)${heldRow}`

/** Files that do not exist, belong to another tenant or have expired, as `tenant/id`. */
function* missingFiles(calls: readonly SubmitCall[], { now, dialect }: Tx): Plan<Set<string>> {
  const wanted = calls.flatMap((jobs) => jobs.flatMap((job) => job.files.map((id) => [job.record.tenant, id] as const)))
  // In one order everywhere, so that two that take the same files never wait for each other.
  wanted.sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0))
  const rows = yield* each(
    fileThere(dialect),
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
  yield* put(INSERT_JOB, jobRows)
  yield* put(
    INSERT_LIVE,
    jobs.map(({ live }) => liveValues(live)),
  )
  yield* put(
    INSERT_HISTORY,
    jobs.map(({ record, history }) => historyValues(record.id, history)),
  )
  yield* put('insert into blobs (job_id, name, data) values (?1, ?2, ?3)', blobs)
  yield* put(
    'insert into tags (tenant, tag, job_id) values (?1, ?2, ?3) on conflict do nothing',
    jobs.flatMap(({ record }) => (record.options.tags ?? []).map((tag) => [record.tenant, tag, record.id])),
  )
  yield* pinFiles(jobs.flatMap(({ record, files }) => files.map((file) => [file, record.id] as const)))
  yield* insertSteps(jobs.flatMap(({ record, steps = [] }) => steps.map((row) => ({ jobId: record.id, row }))))
}

/** A file is kept as long as a job refers to it. */
export function* pinFiles(pairs: readonly (readonly [file: string, jobId: string])[]): Plan<void> {
  yield* put('insert into file_refs (file_id, job_id) values (?1, ?2) on conflict do nothing', pairs)
  yield* put(
    'update files set expires_at = null where id = ?1',
    pairs.map(([file]) => [file]),
  )
}
