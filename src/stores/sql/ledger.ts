/**
 * Small tables beside the jobs: effects, decisions, duties, resolutions, links, callbacks used. Look-ups and plain
 * writes; decides nothing.
 */
import type { AuditDraft } from '../../core/history.js'
import type { Change, DecisionRow, DutyRow, EffectRow, ResolutionRow } from '../store.js'
import { audited } from './audit.js'
import { endedOf } from './changes.js'
import { announce } from './outbox.js'
import { all, one, type Plan, put, type Row, run, type Value } from './plan.js'
import { actorOf, actorText } from './rows.js'
import type { Tx } from './tx.js'

export function* effectPlan(tenant: string, key: string): Plan<EffectRow | null> {
  const row = yield* one('select * from effects where tenant = ?1 and key = ?2', tenant, key)
  return row ? toEffect(row) : null
}

export function* effectsPlan(jobId: string): Plan<EffectRow[]> {
  return (yield* all('select * from effects where job_id = ?1 order by at, key', jobId)).map(toEffect)
}

function toEffect({ tenant, key, job_id: jobId, step, state, result, at }: Row): EffectRow {
  return { tenant, key, jobId, step, state, result, at }
}

export function* decisionsPlan(jobId: string): Plan<DecisionRow[]> {
  const rows = yield* all('select * from decisions where job_id = ?1 order by seq, at, key', jobId)
  return rows.map((row) => ({
    jobId,
    key: row.key,
    at: row.at,
    attempt: row.attempt,
    seq: row.seq,
    path: row.path,
    model: row.model,
    modelVersion: row.model_version,
    tools: JSON.parse(row.tools),
    fields: row.fields,
  }))
}

export function* dutiesPlan(limit: number): Plan<DutyRow[]> {
  const rows = yield* all('select * from duties order by job_id limit ?1', limit)
  return rows.map((row) => ({ jobId: row.job_id, duty: row.duty, body: row.body }))
}

const resolutionOf = (row: Row): ResolutionRow => ({
  jobId: row.job_id,
  kind: row.kind,
  reason: row.reason,
  evidence: row.evidence,
  by: actorOf(row.actor),
  at: row.at,
  otherId: row.other_id,
})

export function* latestResolution(jobId: string): Plan<ResolutionRow | null> {
  const row = yield* one('select * from resolutions where job_id = ?1 order by at desc limit 1', jobId)
  return row ? resolutionOf(row) : null
}

/** The outcome stays what it was; readers see the note, so the revision moves. */
export function* resolvePlan(
  row: ResolutionRow,
  tenant: string,
  audit: AuditDraft,
  operationId: string | undefined,
  tx: Tx,
): Plan<boolean> {
  if (operationId !== undefined && (yield* operationSeen(tenant, operationId, tx.now))) return true
  if (!(yield* noted(row.jobId, tenant, tx.changes))) return false
  yield* put(INSERT_RESOLUTION, [resolutionValues(row)])
  announceResolution(row, tenant, tx)
  audited(audit, tx)
  if (operationId !== undefined) yield* operationDone(tenant, operationId, tx.now)
  return true
}

const INSERT_RESOLUTION =
  'insert into resolutions (job_id, at, kind, reason, evidence, actor, other_id) values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing'
const resolutionValues = (row: ResolutionRow): Value[] => {
  const { jobId, at, kind, reason, evidence, by, otherId } = row
  return [jobId, at, kind, reason, evidence, actorText(by), otherId]
}

/** Something about a finished job can be read that could not before. @returns false when there is no such finished job */
export function* noted(jobId: string, tenant: string, changes: Change[]): Plan<boolean> {
  // First: it may be expiring just now, and others may note something too.
  const [there] = yield* run(
    'update outcomes set revision = revision + 1 where job_id = ?1 and exists (select 1 from jobs j where j.id = ?1 and j.tenant = ?2)',
    [[jobId, tenant]],
  )
  if (there !== 1) return false
  const job = yield* one(
    'select j.type, j.group_id, o.status, o.version, o.revision from outcomes o join jobs j on j.id = o.job_id where o.job_id = ?1',
    jobId,
  )
  changes.push(endedOf({ ...job!, id: jobId, tenant }, job!.revision))
  return true
}

/** A replay or a compensation completed: the job that it stands for gets the note, by whoever asked for it. */
export function* noteOrigin(jobId: string, tx: Tx): Plan<void> {
  const job = yield* one(
    'select j.tenant, j.replay_of, j.options, h.actor from jobs j join history h on h.job_id = j.id and h.seq = 1 where j.id = ?1',
    jobId,
  )
  if (!job) return
  const undone: string | undefined = job.options === null ? undefined : JSON.parse(job.options).compensates
  const origin: string | null = undone ?? job.replay_of
  if (origin === null || !(yield* noted(origin, job.tenant, tx.changes))) return
  const [kind, reason] = undone
    ? (['compensated', `What it did was undone by job ${jobId}.`] as const)
    : (['superseded', `Its replay, job ${jobId}, completed.`] as const)
  const by = actorOf(job.actor)
  const row: ResolutionRow = { jobId: origin, kind, reason, evidence: null, by, at: tx.now, otherId: jobId }
  yield* put(INSERT_RESOLUTION, [resolutionValues(row)])
  announceResolution(row, job.tenant, tx)
}

function announceResolution({ jobId, at, kind, otherId }: ResolutionRow, tenant: string, tx: Tx): void {
  const what = { id: `${jobId}:resolved:${at}`, tenant, type: 'job.resolved', jobId } as const
  announce(what, tx, { resolution: kind, otherJobId: otherId })
}

const OPERATION_TTL_MS = 86_400_000

/** Whether an action with this id was done within a day. */
export function* operationSeen(tenant: string, id: string, now: number): Plan<boolean> {
  yield* put('delete from operations where at < ?1', [[now - OPERATION_TTL_MS]])
  return (yield* one('select 1 as found from operations where tenant = ?1 and op_id = ?2', tenant, id)) !== undefined
}

/** Notes that it is done, unless it was; whether this was the first time within a day. */
export function* operationFirst(tenant: string, id: string, now: number): Plan<boolean> {
  yield* put('delete from operations where at < ?1', [[now - OPERATION_TTL_MS]])
  const row = [tenant, id, now]
  return (
    (yield* run('insert into operations (tenant, op_id, at) values (?1, ?2, ?3) on conflict do nothing', [row]))[0] ===
    1
  )
}

export function* operationDone(tenant: string, id: string, now: number): Plan<void> {
  yield* put('insert into operations (tenant, op_id, at) values (?1, ?2, ?3)', [[tenant, id, now]])
}
