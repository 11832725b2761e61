/**
 * Removing what has had its time: finished jobs in chunks, leaving tombstones; tombstones with their keys; unreferenced
 * files. An unfinished job, and one that a kept replay or an unfinished parent refers to, never goes.
 */
import { all, type Dialect, type Plan, put } from './plan.js'

/** Tables with rows of a job, all keyed by `job_id`. */
const BELONGINGS = [
  ...['history', 'attempts', 'steps', 'progress', 'warnings', 'logs', 'blobs', 'tags', 'firings', 'outcomes'],
  ...[
    'decisions',
    'waits',
    'mailbox',
    'callbacks',
    'approvals',
    'resolutions',
    'links',
    'duties',
    'failure_jobs',
    'announced',
  ],
]

export function* expirePlan(
  now: number,
  limit: number,
  tombstonesMs: number,
  fileGraceMs: number,
  dialect: Dialect,
): Plan<number> {
  const doomed = yield* all<{ id: string }>(
    `select o.job_id as id from outcomes o join jobs j on j.id = o.job_id where o.expires_at <= ?1
       and not exists (select 1 from jobs r where r.replay_of = o.job_id)
       and not exists (select 1 from links k where k.job_id = o.job_id and k.kind = 'compensated-by')
       and (j.parent_id is null or not exists (select 1 from live p where p.id = j.parent_id))
     order by o.expires_at limit ?2`,
    now,
    limit,
  )
  const buried = yield* all<{ id: string }>(
    'select job_id as id from tombstones where expired_at <= ?1 order by expired_at limit ?2',
    now - tombstonesMs,
    limit,
  )
  if (buried.length > 0) {
    const ids = JSON.stringify(buried.map(({ id }) => id))
    yield* put(`delete from effects where ${dialect.inList('job_id', 1)}`, [[ids]])
    yield* put(`delete from idempotency where ${dialect.inList('job_id', 1)}`, [[ids]])
    yield* put(`delete from tombstones where ${dialect.inList('job_id', 1)}`, [[ids]])
  }
  if (doomed.length === 0) return buried.length
  const ids = JSON.stringify(doomed.map(({ id }) => id))
  yield* put(
    `insert into tombstones (job_id, tenant, type, status, finished_at, expired_at)
     select j.id, j.tenant, j.type, o.status, o.finished_at, ?2 from jobs j join outcomes o on o.job_id = j.id where ${dialect.inList('j.id', 1)}`,
    [[ids, now]],
  )
  // A file that only expired jobs refer to is unreferenced from now on.
  yield* put(
    `update files set expires_at = ?2 where id in (select f.file_id from file_refs f where ${dialect.inList('f.job_id', 1)})
       and not exists (select 1 from file_refs f where f.file_id = files.id and not ${dialect.inList('f.job_id', 1)})`,
    [[ids, now + fileGraceMs]],
  )
  yield* put(`delete from file_refs where ${dialect.inList('job_id', 1)}`, [[ids]])
  for (const table of BELONGINGS) yield* put(`delete from ${table} where ${dialect.inList('job_id', 1)}`, [[ids]])
  yield* put(`delete from jobs where ${dialect.inList('id', 1)}`, [[ids]])
  return doomed.length + buried.length
}

export function* sweepFilesPlan(now: number, limit: number, dialect: Dialect): Plan<string[]> {
  const rows = yield* all<{ id: string }>(
    'select id from files where expires_at <= ?1 order by expires_at limit ?2',
    now,
    limit,
  )
  if (rows.length === 0) return []
  // A job may have taken one of them since.
  const gone = yield* all<{ id: string }>(
    `delete from files where ${dialect.inList('id', 1)} and expires_at <= ?2 returning id`,
    JSON.stringify(rows.map(({ id }) => id)),
    now,
  )
  const swept = new Set(gone.map(({ id }) => id))
  return rows.map(({ id }) => id).filter((id) => swept.has(id))
}
