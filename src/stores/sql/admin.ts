/**
 * What whoever looks after a database asks of it: how many of what, how old. The same for both databases; what only one of
 * them has (dead rows, files on disk) is beside its driver. Reads, and nothing else.
 */
import { MIGRATIONS, type SchemaState, statementsOf } from './migrate.js'
import { all, type Dialect, one, type Plan } from './plan.js'

/** What `db status` says of either database. */
export interface DatabaseStatus {
  kind: 'sqlite' | 'postgres'
  location: string
  /** Null: it is empty. */
  schema: SchemaState | null
  /** The schema that this program knows. */
  knows: number
  bytes: number
  counts: Counts | null
  /** Rows that are no longer visible and not cleaned up yet; null where a database keeps none. */
  deadRows: number | null
  /** The largest ones first. */
  tables: { table: string; rows: number; bytes: number | null; deadRows: number | null }[]
  /** The transaction that began first and is still open; null where there is none, or only one writer. */
  oldestTransaction: { seconds: number; who: string } | null
  settings: Record<string, string>
}

export interface Counts {
  unfinished: number
  running: number
  finished: number
  /** Finished jobs whose retention has ended, or that had finished by the instant that was asked about. */
  expired: number
  tombstones: number
  outbox: number
  files: number
  fileBytes: number
  /** The unfinished job that was submitted first. */
  oldest: { id: string; type: string; createdAt: number } | null
}

export function* countsPlan(now: number, finishedBy = -1): Plan<Counts> {
  const counts = (yield* one(
    `select (select count(*) from live) as unfinished, (select count(*) from live where worker is not null) as running,
       (select count(*) from outcomes) as finished, (select count(*) from outcomes where expires_at <= ?1 or finished_at <= ?2) as expired,
       (select count(*) from tombstones) as tombstones, (select count(*) from outbox) as outbox,
       (select count(*) from files) as files, (select coalesce(sum(bytes), 0) from files) as file_bytes`,
    now,
    finishedBy,
  ))!
  // Ids are made in the order of time.
  const [oldest] = yield* all<{ id: string; type: string; at: number }>(
    `select j.id, j.type, j.created_at as at from live l join jobs j on j.id = l.id order by l.id limit 1`,
  )
  const { unfinished, running, finished, expired, tombstones, outbox, files, file_bytes: fileBytes } = counts
  const numbers = { unfinished, running, finished, expired, tombstones, outbox, files, fileBytes }
  return {
    ...(Object.fromEntries(Object.entries(numbers).map(([name, n]) => [name, Number(n)])) as typeof numbers),
    oldest: oldest ? { id: oldest.id, type: oldest.type, createdAt: Number(oldest.at) } : null,
  }
}

/** What an opening would do to a database in this state. */
export function pendingOf(found: SchemaState, dialect: Dialect): { version: number; statements: string[] }[] {
  const versions = MIGRATIONS.map((_, i) => i + 1).filter((version) => version > found.version)
  return versions.map((version) => ({ version, statements: statementsOf(version, dialect) }))
}
