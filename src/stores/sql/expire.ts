/**
 * Removing what has had its time: finished jobs in chunks, leaving tombstones; tombstones with their keys. Files that only
 * they referred to are swept later (files.ts). An unfinished job, and one that a kept replay or an unfinished parent refers
 * to, never goes.
 */
import { all, type Dialect, type Plan, put } from './plan.js'
import type { Tx } from './tx.js'

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
    'processes',
  ],
]

const WORKERS_MS = 86_400_000

export function* expirePlan(
  about: { limit: number; tombstonesMs: number; fileGraceMs: number; finishedBy?: number | undefined },
  { now, dialect }: Pick<Tx, 'now' | 'dialect'>,
): Plan<number> {
  const { limit, tombstonesMs, fileGraceMs, finishedBy } = about
  const doomed =
    finishedBy === undefined
      ? yield* doomedPlan('expires_at', now, limit, dialect)
      : yield* doomedPlan('finished_at', finishedBy, limit, dialect)
  const buried = yield* all<{ id: string }>(
    `select l.job_id as id from tombstones l where l.expired_at <= ?1 order by l.expired_at limit ?2${dialect.skipHeld}`,
    now - tombstonesMs,
    limit,
  )
  if (buried.length > 0) {
    const ids = JSON.stringify(buried.map(({ id }) => id))
    yield* put(`delete from effects where ${dialect.inList('job_id', 1)}`, [[ids]])
    yield* put(`delete from idempotency where ${dialect.inList('job_id', 1)}`, [[ids]])
    yield* put(`delete from tombstones where ${dialect.inList('job_id', 1)}`, [[ids]])
  }
  // Workers that nobody has heard of for so long: without their rows nothing reads differently.
  yield* put('delete from workers where lease_until <= ?1', [[now - WORKERS_MS]])
  if (doomed.length === 0) return buried.length
  const ids = JSON.stringify(doomed.map(({ id }) => id))
  yield* put(
    `insert into tombstones (job_id, tenant, type, status, finished_at, expired_at)
     select j.id, j.tenant, j.type, o.status, o.finished_at, ?2 from jobs j join outcomes o on o.job_id = j.id where ${dialect.inList('j.id', 1)}`,
    [[ids, now]],
  )
  // Else a job that is stored just now might take one of them unseen.
  if (dialect.heldRow !== '')
    yield* put(
      `select id from files where id in (select f.file_id from file_refs f where ${dialect.inList('f.job_id', 1)}) order by id${dialect.heldRow}`,
      [[ids]],
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

const NOT_NEEDED = `not exists (select 1 from jobs r where r.replay_of = l.job_id)
  and not exists (select 1 from links k join jobs c on c.id = k.other_id where k.job_id = l.job_id and k.kind = 'compensated-by')
  and (j.parent_id is null or not exists (select 1 from live p where p.id = j.parent_id))`

/** Jobs that may go. Where others write too, they are held first and asked again: a replay may have been stored meanwhile. */
function* doomedPlan(
  column: 'expires_at' | 'finished_at',
  by: number,
  limit: number,
  dialect: Dialect,
): Plan<{ id: string }[]> {
  const doomed = yield* all<{ id: string }>(
    `select l.job_id as id from outcomes l join jobs j on j.id = l.job_id where l.${column} <= ?1 and ${NOT_NEEDED} order by l.${column} limit ?2${dialect.skipHeld}`,
    by,
    limit,
  )
  if (dialect.held === '' || doomed.length === 0) return doomed
  return yield* all<{ id: string }>(
    `select l.job_id as id from outcomes l join jobs j on j.id = l.job_id where ${dialect.inList('l.job_id', 1)} and ${NOT_NEEDED} order by l.${column}`,
    JSON.stringify(doomed.map(({ id }) => id)),
  )
}
