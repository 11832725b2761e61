/** Rows of recorded steps: written by attempts, by settled waits and by replays, all the same way. */
import { utf8Length } from '../../core/json.js'
import type { StepRow } from '../store.js'
import { type Plan, put, type Value } from './plan.js'
import { INLINE_BYTES } from './submit.js'

/** @throws when a key is recorded already: a record never changes */
export function* insertSteps(rows: readonly { jobId: string; row: StepRow }[]): Plan<void> {
  if (rows.length === 0) return
  const blobs: Value[][] = []
  const steps = rows.map(({ jobId, row }): Value[] => {
    const bytes = row.result === null ? 0 : utf8Length(row.result)
    const large = bytes > INLINE_BYTES
    if (large) blobs.push([jobId, `step:${row.key}`, row.result])
    const { key, kind, attempt, seq, startedAt, endedAt, info, effect, undo } = row
    return [
      jobId,
      key,
      kind,
      attempt,
      seq ?? 0,
      startedAt,
      endedAt,
      large ? null : row.result,
      bytes,
      info,
      effect ?? null,
      undo ?? null,
    ]
  })
  yield* put(
    'insert into steps (job_id, key, kind, attempt, seq, started_at, ended_at, result, bytes, info, effect, undo) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)',
    steps,
  )
  yield* put('insert into blobs (job_id, name, data) values (?1, ?2, ?3)', blobs)
  yield* markUndo([...new Set(rows.filter(({ row }) => row.undo === 'due').map(({ jobId }) => jobId))])
}

/** From now on the job does not end as failed or cancelled before what it did is undone. */
export function* markUndo(jobIds: readonly string[]): Plan<void> {
  // The revision moves so that nobody writes the row as it was before.
  yield* put(
    'update live set undo = 1, revision = revision + 1 where id = ?1 and undo = 0',
    jobIds.map((id) => [id]),
  )
}
