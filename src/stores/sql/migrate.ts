/**
 * Brings a database to the schema this program needs, one migration per transaction, and refuses one that this program
 * must not write to. Additions let older programs go on: each migration says from which schema on a program may work
 * with what it leaves.
 */
import { UntildoneError } from '../../core/errors.js'
import { initial } from './migrations/0001-initial.js'
import { all, type Dialect, type Driver, hold, type Plan, put, run } from './plan.js'

export interface Migration {
  /** Statements, each ended by `;` at the end of a line, in words that both databases know. */
  sql: string
  /** Programs that know this schema, or a later one, may work with a database that this migration was applied to. */
  worksFrom: number
}

/** In order; a migration's version is its place, counted from 1. Never edit a released one. */
export const MIGRATIONS: readonly Migration[] = [{ sql: initial, worksFrom: 1 }]

/** What a database says of itself. Version 0: it is empty. */
export interface SchemaState {
  version: number
  /** Programs that know this schema, or a later one, may work with it. */
  worksFrom: number
}
export const EMPTY: SchemaState = { version: 0, worksFrom: 0 }

/** Every table that a migration makes. */
export const tablesOf = (migrations: readonly Migration[]): string[] =>
  migrations.flatMap(({ sql }) => [...sql.matchAll(/^create table (\w+)/gm)].map(([, name]) => name!))

export const TABLES: readonly string[] = tablesOf(MIGRATIONS)

/**
 * @param found what the database says of itself
 * @param state asks it again, where others may bring it up to date at the same time
 * @throws UntildoneError `store-schema-old` when a newer program has changed it in a way that this one does not know
 */
export async function migrate(
  driver: Driver,
  found: SchemaState,
  migrations: readonly Migration[] = MIGRATIONS,
  state?: () => Plan<SchemaState | null>,
): Promise<void> {
  const known = migrations.length
  if (found.worksFrom > known)
    throw new UntildoneError(
      'store-schema-old',
      `The database is at schema ${found.version}; this program knows schema ${known}.`,
    )
  for (let version = found.version + 1; version <= known; version++)
    await driver.transact(() => apply(version, migrations, driver.dialect, state), true)
}

function* apply(
  version: number,
  migrations: readonly Migration[],
  dialect: Dialect,
  state?: () => Plan<SchemaState | null>,
): Plan<void> {
  // Whatever became of the lock that kept others out: none is applied twice.
  yield* hold(['schema'], dialect)
  if (state && ((yield* state())?.version ?? 0) >= version) return
  for (const statement of statementsOf(version, dialect, migrations)) yield* run(statement, [[]])
  const says = `insert into meta (key, value) values (?1, ?2) on conflict (key) do update set value = excluded.value`
  yield* put(says, [['schema', String(version)]])
  yield* put(says, [['schema-works-from', String(migrations[version - 1]!.worksFrom)]])
}

/** What a migration does, in the words of a database. */
export function statementsOf(
  version: number,
  dialect: Dialect,
  migrations: readonly Migration[] = MIGRATIONS,
): string[] {
  return migrations[version - 1]!.sql.split(/;\s*\n/)
    .map((statement) => inWordsOf(dialect, statement.trim()))
    .filter(Boolean)
}

function inWordsOf(dialect: Dialect, statement: string): string {
  const table = /create table (\w+)/.exec(statement)?.[1] ?? ''
  return statement
    .replaceAll('{{suffix}}', dialect.tableSuffix(table))
    .replaceAll('{{serial}}', dialect.serial)
    .replace(/\btext\b(?= primary| not| check|,|\s*$|\s*\))/gm, dialect.textType)
}

/** Plan that reads what an existing `meta` table says. */
export function* schemaState(): Plan<SchemaState> {
  const rows = yield* all<{ key: string; value: string }>(
    `select key, value from meta where key in ('schema', 'schema-works-from')`,
  )
  const said = (key: string) => rows.find((row) => row.key === key)?.value
  const version = Number(said('schema') ?? 0)
  return { version, worksFrom: Number(said('schema-works-from') ?? version) }
}
