/**
 * Live rows of jobs by id, as they are or held until the commit. What may be written to them is decided by whoever asked.
 */
import type { LiveJob } from '../../core/job.js'
import { type Dialect, each, type Plan, unpack } from './plan.js'
import { LIVE_COLUMNS, liveOf } from './rows.js'

export function* readLive(ids: readonly string[], dialect: Dialect): Plan<(LiveJob | undefined)[]> {
  const rows = yield* each<{ t: unknown }>(
    `select ${dialect.tuple(LIVE_COLUMNS)} as t from live l where l.id = ?1`,
    ids.map((id) => [id]),
  )
  return rows.map((row) => row && liveOf(unpack(row.t)))
}

/** As they are, and as they stay until the commit: for what is written without a guard, or hangs on a job that does not move. */
export function* holdLive(ids: readonly string[], dialect: Dialect): Plan<(LiveJob | undefined)[]> {
  const rows = yield* each<{ t: unknown }>(
    `select ${dialect.tuple(LIVE_COLUMNS)} as t from live l where l.id = ?1${dialect.held}`,
    ids.map((id) => [id]),
  )
  return rows.map((row) => row && liveOf(unpack(row.t)))
}

/** Holds these jobs where others could write them meanwhile; whoever is one of theirs has waited for. */
export function* keepStill(ids: readonly string[], dialect: Dialect): Plan<void> {
  if (dialect.held !== '') yield* holdLive(ids, dialect)
}
