/**
 * What an attempt writes while it runs: steps, notes, waits, child jobs, effects, decisions. Fenced by its epoch; moves no
 * job.
 */
import { TIES } from '../../core/job.js'
import type { AttemptRecord, ProgressRow } from '../store.js'
import { addApprovals } from './approvals.js'
import { audited } from './audit.js'
import { touchOf } from './changes.js'
import { addWaits } from './children.js'
import { readLive } from './live.js'
import { announceApproval } from './outbox.js'
import { each, type Plan, put, run, type Value } from './plan.js'
import { insertSteps, markUndo } from './steps.js'
import type { Tx } from './tx.js'

const fence = (lock: string) =>
  `select 1 as held from live l where l.id = ?1 and l.epoch = ?2 and l.worker is not null${lock}`
const VISIBLE =
  'update live set revision = revision + 1, changed_at = ?3 where id = ?1 and epoch = ?2 and worker is not null'

/** Whether more than the fence touches the row of the job. */
const writesRow = ({ waits, mayUndo, steps }: AttemptRecord): boolean =>
  (waits?.length ?? 0) > 0 || mayUndo === true || (steps?.some(({ undo }) => undo === 'due') ?? false)

/** What attempts write while they run. @returns per record whether its epoch still holds the job. */
export function* recordPlan(records: readonly AttemptRecord[], tx: Tx): Plan<boolean[]> {
  const visible = records.map((record) => record.progress !== undefined || (record.warnings?.length ?? 0) > 0)
  const raised = yield* run(
    VISIBLE,
    records.filter((_, i) => visible[i]).map((record) => [record.jobId, record.epoch, tx.now]),
  )
  const quiet = yield* each(
    // Two that share a row and then write it would wait for each other.
    fence(records.some(writesRow) ? tx.dialect.held : tx.dialect.shared),
    records.filter((_, i) => !visible[i]).map((record) => [record.jobId, record.epoch]),
  )
  let r = 0
  let q = 0
  const held = visible.map((is) => (is ? raised[r++] === 1 : quiet[q++] !== undefined))
  yield* writeRecords(
    records.filter((_, i) => held[i]),
    tx,
  )
  const lives = yield* readLive(
    records.filter((_, i) => held[i] && visible[i]).map((record) => record.jobId),
    tx.dialect,
  )
  for (const live of lives) if (live) tx.changes.push(touchOf(live, true))
  return held
}

/**
 * Progress within a stage never falls: a new attempt keeps the highest value until it has passed it. Rounds weigh more
 * than what is done of one, so that the next round may count from the start.
 */
const FELL = `(coalesce(progress.stage, '') = coalesce(excluded.stage, '') and (
  coalesce(excluded.iterations_completed < progress.iterations_completed, false)
  or (not coalesce(excluded.iterations_completed > progress.iterations_completed, false) and coalesce(excluded.completed < progress.completed, false))))`
const KEPT_IF_IT_FELL = ['message', 'completed', 'total', 'iterations_completed', 'iterations_total']
  .map((column) => `${column} = case when ${FELL} then progress.${column} else excluded.${column} end`)
  .join(', ')

function progressRow(jobId: string, p: ProgressRow): Value[] {
  const { completed: rounds = null, total: ofRounds = null } = p.iterations ?? {}
  return [jobId, p.stage, p.message, p.completed, p.total, p.unit, rounds, ofRounds, p.updatedAt]
}

export function* writeRecords(records: readonly AttemptRecord[], tx: Tx): Plan<void> {
  yield* insertSteps(records.flatMap(({ jobId, steps = [] }) => steps.map((row) => ({ jobId, row }))))
  yield* put(
    `insert into progress (job_id, stage, message, completed, total, unit, iterations_completed, iterations_total, updated_at)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
     on conflict (job_id) do update set stage = excluded.stage, unit = excluded.unit, updated_at = excluded.updated_at, ${KEPT_IF_IT_FELL}`,
    records.flatMap(({ jobId, progress: p }) => (p ? [progressRow(jobId, p)] : [])),
  )
  yield* put(
    'insert into warnings (job_id, code, step, message, at, rule) values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do nothing',
    records.flatMap(({ jobId, warnings = [] }) =>
      warnings.map((w) => [jobId, w.code, w.step ?? '', w.message, w.at, w.rule ?? null]),
    ),
  )
  yield* put(
    'insert into logs (job_id, at, attempt, level, message, data) values (?1, ?2, ?3, ?4, ?5, ?6)',
    records.flatMap(({ jobId, logs = [] }) => logs.map((l) => [jobId, l.at, l.attempt, l.level, l.message, l.data])),
  )
  for (const record of records) {
    if (record.waits || record.effects || record.decisions || record.callbacks || record.approvals || record.undone)
      yield* writeMore(record, tx)
  }
  for (const { jobId, failures = [] } of records) for (const failure of failures) tx.failures.push({ jobId, failure })
}

/** What few attempts have. */
function* writeMore(record: AttemptRecord, tx: Tx): Plan<void> {
  const { jobId, effects = [], decisions = [], callbacks = [], undone = [] } = record
  yield* put(
    `insert into effects (tenant, key, job_id, step, state, result, at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
     on conflict (tenant, key) do update set job_id = excluded.job_id, step = excluded.step, state = excluded.state, result = excluded.result, at = excluded.at`,
    effects.map((e) => [e.tenant, e.key, e.jobId, e.step, e.state, e.result, e.at]),
  )
  if (record.mayUndo) yield* markUndo([jobId])
  yield* put(
    'insert into decisions (job_id, key, at, attempt, seq, path, model, model_version, tools, fields) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) on conflict do nothing',
    decisions.map((d) => [
      d.jobId,
      d.key,
      d.at,
      d.attempt,
      d.seq ?? 0,
      d.path,
      d.model,
      d.modelVersion,
      JSON.stringify(d.tools),
      d.fields,
    ]),
  )
  yield* put(
    'insert into callbacks (hash, tenant, job_id, key, expires_at, used_at, answer_hash) values (?1, ?2, ?3, ?4, ?5, null, null) on conflict do nothing',
    callbacks.map((c) => [c.hash, c.tenant, c.jobId, c.key, c.expiresAt]),
  )
  yield* put(
    'update steps set undo = ?3 where job_id = ?1 and key = ?2',
    undone.map(({ key, undo }) => [jobId, key, undo]),
  )
  if (record.approvals) {
    yield* addApprovals(record.approvals)
    for (const row of record.approvals) if (row.state === 'pending') announceApproval(row, 'approval.requested', tx)
  }
  for (const entry of record.audit ?? []) audited(entry, tx)
  if (record.waits?.length) {
    yield* addWaits(record, tx)
    const ties = TIES.waits | (record.children?.length ? TIES.children : 0)
    // The revision moves so that nobody writes the row as it was before.
    yield* put('update live set ties = ties | ?2, revision = revision + 1 where id = ?1 and ties & ?2 <> ?2', [
      [jobId, ties],
    ])
  }
}
