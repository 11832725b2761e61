/**
 * Brings a database to the schema this program needs, one migration per transaction, and refuses a newer one.
 */
import { UntildoneError } from '../../core/errors.js'
import { initial } from './migrations/0001-initial.js'
import { all, type Dialect, type Driver, type Plan, run } from './plan.js'

/** In order; a migration's version is its place, counted from 1. */
const MIGRATIONS = [initial]

export const SCHEMA_VERSION = MIGRATIONS.length

/**
 * @param current reads the version the database has, 0 for an empty one
 * @throws UntildoneError `store-schema-old` when the database is newer than this program
 */
export async function migrate(driver: Driver, current: number): Promise<void> {
  if (current > SCHEMA_VERSION) {
    throw new UntildoneError(
      'store-schema-old',
      `The database is at schema ${current}; this program knows schema ${SCHEMA_VERSION}.`,
    )
  }
  for (let version = current + 1; version <= SCHEMA_VERSION; version++)
    await driver.transact(() => apply(version, driver.dialect), true)
}

function* apply(version: number, dialect: Dialect): Plan<void> {
  const text = MIGRATIONS[version - 1]!.replaceAll('{{suffix}}', dialect.tableSuffix).replaceAll(
    '{{serial}}',
    dialect.serial,
  )
  for (const statement of text.split(/;\s*\n/)) if (statement.trim()) yield* run(statement, [[]])
  yield* run(
    `insert into meta (key, value) values ('schema', ?1) on conflict (key) do update set value = excluded.value`,
    [[String(version)]],
  )
}

/** Plan that reads the schema version from an existing `meta` table. */
export function* schemaVersion(): Plan<number> {
  const rows = yield* all<{ value: string }>(`select value from meta where key = 'schema'`)
  return Number(rows[0]?.value ?? 0)
}
