/** The words in which PostgreSQL differs from SQLite. */
import type { Dialect } from '../sql/plan.js'

/** Rows of these tables come and go; the default would let dead ones pile up before it cleans. */
const BUSY = new Set([
  'meta',
  'live',
  'held',
  'slots',
  'waits',
  'outbox',
  'buckets',
  'turns',
  'uniques',
  'workers',
  'progress',
])
const BUSY_SETTINGS =
  'with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05)'

/** @param schema systems that share a database must not wait for each other */
export const dialectOf = (schema: string): Dialect => ({
  inList: (column, n) => `${column} = any (array(select json_array_elements_text(?${n}::json)))`,
  tuple: (columns) => `json_build_array(${columns})`,
  anyOf: (columns) => `num_nonnulls(${columns}) > 0`,
  contains: (text, part) => `strpos(${text}, ${part}) > 0`,
  serial: 'bigint generated always as identity primary key',
  tableSuffix: (table) => (BUSY.has(table) ? BUSY_SETTINGS : ''),
  // Texts are ordered by their bytes, as in SQLite: whoever pages through lists must not depend on a locale.
  textType: 'text collate "C"',
  held: ' for update of l',
  heldRow: ' for update',
  shared: ' for share of l',
  skipHeld: ' for update of l skip locked',
  keepsEntries: true,
  name: `select pg_advisory_xact_lock(hashtextextended('${schema}/' || ?1, 0)) as held`,
  nameShared: `select pg_advisory_xact_lock_shared(hashtextextended('${schema}/' || ?1, 0)) as held`,
})
