/**
 * Brings a database to the schema this program needs, one migration per transaction, and refuses a newer one.
 */
import { UntildoneError } from '../../core/errors.js'
import { initial } from './migrations/0001-initial.js'
import { all, type Dialect, type Driver, type Plan, run } from './plan.js'

/** In order; a migration's version is its place, counted from 1. */
const MIGRATIONS = [initial]

export const SCHEMA_VERSION = MIGRATIONS.length

/** Every table that a migration makes. */
export const TABLES: readonly string[] = MIGRATIONS.flatMap((text) =>
  [...text.matchAll(/^create table (\w+)/gm)].map(([, name]) => name!),
)

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
  for (const statement of MIGRATIONS[version - 1]!.split(/;\s*\n/))
    if (statement.trim()) yield* run(inWordsOf(dialect, statement), [[]])
  yield* run(
    `insert into meta (key, value) values ('schema', ?1) on conflict (key) do update set value = excluded.value`,
    [[String(version)]],
  )
}

function inWordsOf(dialect: Dialect, statement: string): string {
  const table = /create table (\w+)/.exec(statement)?.[1] ?? ''
  return statement
    .replaceAll('{{suffix}}', dialect.tableSuffix(table))
    .replaceAll('{{serial}}', dialect.serial)
    .replace(/\btext\b(?= primary| not| check|,|\s*$|\s*\))/gm, dialect.textType)
}

/** Plan that reads the schema version from an existing `meta` table. */
export function* schemaVersion(): Plan<number> {
  const rows = yield* all<{ value: string }>(`select value from meta where key = 'schema'`)
  return Number(rows[0]?.value ?? 0)
}
