/**
 * Opening PostgreSQL as a store: makes or migrates the schema under a lock, so that processes that start together do it
 * once.
 */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { UntildoneError } from '../../core/errors.js'
import { EMPTY, MIGRATIONS, type Migration, migrate, type SchemaState, schemaState, tablesOf } from '../sql/migrate.js'
import { one, type Plan, put, run } from '../sql/plan.js'
import { SqlStore, type SqlStoreOptions } from '../sql/store.js'
import type { StoreFactory } from '../store.js'
import { configOf, driverModule, explain, localSettings, type PostgresOptions } from './connections.js'
import { Doorbell } from './doorbell.js'
import type { PostgresDriver } from './driver.js'
import { Translator } from './translate.js'

/** Making the tables may wait for another process that is at it. */
const MIGRATION_MS = 120_000

export function postgresWith(
  DriverClass: typeof PostgresDriver,
  url: string,
  options: PostgresOptions & SqlStoreOptions = {},
  migrations: readonly Migration[] = MIGRATIONS,
): StoreFactory {
  const schema = options.schema ?? 'untildone'
  assertSchemaName(schema)
  return {
    async open({ clock, entropy, onError = () => {} }) {
      const driver = new DriverClass(url, clock, new Translator(schema, tablesOf(migrations)), options)
      try {
        await prepare(driver, url, schema, options, migrations)
        const store = new SqlStore(
          {
            kind: 'postgres',
            location: locationOf(url, schema),
            durability: `PostgreSQL, fsync=on, synchronous_commit=${options.synchronousCommit ?? 'on'}`,
            sole: false,
            filesDir: resolve('.untildone', 'files'),
          },
          driver,
          entropy,
          options,
        )
        store.share(new Doorbell(url, schema, options, saying(onError)), randomUUID().slice(-12), () =>
          clock.monotonic(),
        )
        return store
      } catch (error) {
        await driver.close().catch(() => {})
        throw explain(error)
      }
    },
  }
}

export function assertSchemaName(schema: string): void {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new TypeError(`postgres: \`${schema}\` is no name of a schema; use small letters, digits and \`_\`.`)
}

/**
 * Whoever finds the tables as they must be asks nobody. Else one at a time: the lock belongs to a transaction of a
 * connection of its own, so that it goes with it however it ends, also behind a pooler.
 */
async function prepare(
  driver: PostgresDriver,
  url: string,
  schema: string,
  options: PostgresOptions,
  migrations: readonly Migration[],
): Promise<void> {
  const found = await driver.transact(() => statePlan(schema), false)
  if (found?.version === migrations.length) return await driver.transact(() => sweepPlan(driver.now()), true)
  const { Client } = driverModule()
  const session = new Client(configOf(url, { ...options, statementTimeoutMs: MIGRATION_MS }))
  session.on('error', () => {})
  try {
    await session.connect()
    await session.query(`begin${localSettings({ ...options, statementTimeoutMs: MIGRATION_MS })}`)
    await session.query(`select pg_advisory_xact_lock(hashtextextended('untildone/${schema}', 0))`)
    const current = await driver.transact(() => statePlan(schema), false)
    if (current === null) await driver.transact(() => schemaPlan(schema), true)
    await migrate(driver, current ?? EMPTY, migrations)
  } finally {
    await session.end().catch(() => {})
  }
}

/** Said once each time it changes. */
function saying(onError: (error: unknown) => void): (works: boolean) => void {
  let worked = true
  return (works) => {
    if (works === worked) return
    worked = works
    if (!works)
      onError(
        new UntildoneError(
          'store-unavailable',
          'What other processes do is not announced to this one; it looks by itself, more slowly.',
          {
            params: { reason: 'no-notifications' },
            fix: 'A pooler in transaction mode does not pass LISTEN on. Give the address of PostgreSQL itself, or leave it so.',
          },
        ),
      )
  }
}

/** Marks of connections (driver.ts) that have written nothing for a week: they are no more. */
function* sweepPlan(now: number): Plan<void> {
  yield* put(`delete from meta where key like 'line/%' and split_part(value, ' ', 2)::bigint < ?1`, [
    [now - 7 * 86_400_000],
  ])
}

/** Null: there are no tables. */
function* statePlan(schema: string): Plan<SchemaState | null> {
  const found = yield* one<{ meta: string | null }>(`select to_regclass('${schema}.meta')::text as meta`)
  return found!.meta === null ? null : yield* schemaState()
}

function* schemaPlan(schema: string): Plan<void> {
  // `if not exists` would still ask for the right to make one, which a role with a schema of its own need not have.
  const found = yield* one<{ at: string | null }>(`select to_regnamespace('${schema}')::text as at`)
  if (found!.at === null) yield* run(`create schema ${schema}`, [[]])
}

/** Without its password. */
export function locationOf(url: string, schema: string): string {
  try {
    const { host, pathname } = new URL(url)
    return `${host || 'local'}${pathname} (schema ${schema})`
  } catch {
    return `schema ${schema}`
  }
}
