/**
 * Small tables beside the jobs: effects, decisions, duties, resolutions, links, pauses, callbacks used. Look-ups and plain
 * writes; decides nothing.
 */
import type { AuditDraft } from '../../core/history.js'
import type { Change, DecisionRow, DutyRow, EffectRow, PauseRow, ResolutionRow } from '../store.js'
import { auditPlan } from './audit.js'
import { all, one, type Plan, type Row, run } from './plan.js'
import { actorOf, actorText } from './rows.js'

type Sha256 = (text: string) => string

export function* effectPlan(tenant: string, key: string): Plan<EffectRow | null> {
  const row = yield* one('select * from effects where tenant = ?1 and key = ?2', tenant, key)
  if (!row) return null
  const { job_id: jobId, step, state, result, at } = row
  return { tenant, key, jobId, step, state, result, at }
}

export function* decisionsPlan(jobId: string): Plan<DecisionRow[]> {
  const rows = yield* all('select * from decisions where job_id = ?1 order by at, key', jobId)
  return rows.map((row) => ({
    jobId,
    key: row.key,
    at: row.at,
    attempt: row.attempt,
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
  now: number,
  changes: Change[],
  sha256: Sha256,
): Plan<boolean> {
  const job = yield* one(
    'select j.type, j.group_id, o.status, o.version, o.revision from outcomes o join jobs j on j.id = o.job_id where o.job_id = ?1 and j.tenant = ?2',
    row.jobId,
    tenant,
  )
  if (!job) return false
  yield* run(
    'insert into resolutions (job_id, at, kind, reason, evidence, actor, other_id) values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing',
    [[row.jobId, row.at, row.kind, row.reason, row.evidence, actorText(row.by), row.otherId]],
  )
  yield* run('update outcomes set revision = revision + 1 where job_id = ?1', [[row.jobId]])
  yield* auditPlan(audit, now, sha256)
  changes.push({
    jobId: row.jobId,
    tenant,
    type: job.type,
    groupId: job.group_id,
    lane: '',
    status: job.status,
    done: true,
    version: job.version,
    revision: job.revision + 1,
    queuedAt: null,
    cancelling: null,
    pausing: false,
    wakeAt: null,
  })
  return true
}

export function* pausePlan(row: PauseRow, on: boolean, audit: AuditDraft, now: number, sha256: Sha256): Plan<boolean> {
  const [changed] = on
    ? yield* run(
        'insert into pauses (tenant, kind, name, actor, reason, at) values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do nothing',
        [[row.tenant, row.kind, row.name, actorText(row.by), row.reason, row.at]],
      )
    : yield* run('delete from pauses where tenant = ?1 and kind = ?2 and name = ?3', [[row.tenant, row.kind, row.name]])
  if (changed !== 1) return false
  yield* auditPlan(audit, now, sha256)
  return true
}

export function* pausesPlan(): Plan<PauseRow[]> {
  const rows = yield* all('select * from pauses order by at')
  return rows.map((row) => ({
    tenant: row.tenant,
    kind: row.kind,
    name: row.name,
    by: actorOf(row.actor),
    reason: row.reason,
    at: row.at,
  }))
}
