/**
 * Opening PostgreSQL as a store: makes or migrates the schema under a lock, so that processes that start together do it
 * once.
 */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import type { Clock } from '../../core/clock.js'
import { UntildoneError } from '../../core/errors.js'
import { EMPTY, MIGRATIONS, type Migration, migrate, type SchemaState, schemaState, tablesOf } from '../sql/migrate.js'
import { one, type Plan, run } from '../sql/plan.js'
import { SqlStore, type SqlStoreOptions } from '../sql/store.js'
import type { StoreFactory } from '../store.js'
import { locationOf, readAddress } from './address.js'
import { configOf, driverModule, explain, isSchemaName, OTHER_TABLES_FIX, type PostgresOptions } from './connections.js'
import { Doorbell } from './doorbell.js'
import { PostgresDriver } from './driver.js'
import { Translator } from './translate.js'

/** Making the tables may wait so long for another process that is at it. */
const MIGRATION_MS = 120_000
/** A migration takes what it takes: it goes through as many rows as there are. */
const STATEMENT_MS = 86_400_000

export function postgresWith(
  DriverClass: typeof PostgresDriver,
  url: string,
  options: PostgresOptions & SqlStoreOptions = {},
  migrations: readonly Migration[] = MIGRATIONS,
): StoreFactory {
  const schema = options.schema ?? 'untildone'
  assertSchemaName(schema)
  readAddress(url)
  return {
    async open({ clock, entropy, onError = () => {} }) {
      const driver = new DriverClass(url, clock, new Translator(schema, tablesOf(migrations)), options)
      try {
        await prepare(driver, url, clock, options, migrations)
        const store = new SqlStore(
          {
            kind: 'postgres',
            location: locationOf(url, schema),
            durability: `PostgreSQL, fsync=on, synchronous_commit=${options.synchronousCommit ?? 'on'}`,
            sole: false,
            overlaps: true,
            filesDir: resolve('.untildone', 'files'),
          },
          driver,
          entropy,
          options,
        )
        store.share(new Doorbell(url, options, saying(onError)), randomUUID().slice(-12), () => clock.monotonic())
        return store
      } catch (error) {
        await driver.close().catch(() => {})
        throw notOpened(error)
      }
    },
  }
}

/** Whatever opening has done may be done again: that a commit of it was lost is no more than that nobody is there. */
function notOpened(error: unknown): Error {
  const lost = error instanceof UntildoneError && error.code === 'outcome-unknown'
  return explain(lost ? error.cause : error)
}

export function assertSchemaName(schema: string): void {
  if (!isSchemaName(schema))
    throw new TypeError(`postgres: \`${schema}\` is no name of a schema; use up to 56 small letters, digits and \`_\`.`)
}

/**
 * Whoever finds the tables as they must be asks nobody. Else one at a time: the lock belongs to a transaction of a
 * connection of its own, so that it goes with it however it ends, also behind a pooler.
 */
async function prepare(
  driver: PostgresDriver,
  url: string,
  clock: Clock,
  options: PostgresOptions,
  migrations: readonly Migration[],
): Promise<void> {
  const { schema = 'untildone' } = options
  const state = () => statePlan(schema)
  const found = await driver.transact(state, false)
  if (found?.version === migrations.length) return await driver.tidy()
  const { Client } = driverModule()
  const session = new Client(configOf(url, { ...options, statementTimeoutMs: MIGRATION_MS }))
  session.on('error', () => {})
  const patient = { ...options, statementTimeoutMs: STATEMENT_MS }
  const maker = new PostgresDriver(url, clock, new Translator(schema, tablesOf(migrations)), patient)
  try {
    await session.connect()
    // It has nothing to do while the tables are made, and must not be ended for that.
    await session.query(
      `begin; set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; set local lock_timeout = ${MIGRATION_MS}`,
    )
    await session.query(`select pg_advisory_xact_lock(hashtextextended('untildone/${schema}', 0))`)
    const current = await driver.transact(state, false)
    // Asked before anything is written: whoever has no right to a schema may not even ask what is in it.
    if (current === null && !(await driver.transact(() => hasSchema(schema), false)))
      await maker.transact(() => run(`create schema ${schema}`, [[]]), true)
    await migrate(maker, current ?? EMPTY, migrations, state)
  } finally {
    await Promise.all([session.end(), maker.close()]).catch(() => {})
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

/**
 * Null: there are no tables.
 * @throws UntildoneError `store-unavailable` where there is a table of the same name that is none of ours
 */
export function* statePlan(schema: string): Plan<SchemaState | null> {
  // As it is now: `to_regclass` remembers within a transaction that there was none.
  const found = yield* one<{ ours: number }>(
    `select (select count(*) from pg_attribute a where a.attrelid = c.oid and a.attname in ('key', 'value')) as ours
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = ?1 and c.relname = ?2`,
    ...[schema, 'meta'],
  )
  if (!found) return null
  const state = found.ours === 2 ? yield* schemaState() : EMPTY
  if (state.version > 0) return state
  throw new UntildoneError('store-unavailable', `The schema ${schema} holds a table \`meta\` of something else.`, {
    params: { reason: 'other-tables' },
    fix: OTHER_TABLES_FIX,
  })
}

/**
 * Whether it is there, and this role may make tables in it.
 * @throws UntildoneError `store-unavailable` where the role may not make it, or nothing in it
 */
function* hasSchema(schema: string): Plan<boolean> {
  const found = (yield* one<{ role: string; owner: string | null; makes: number; uses: number | null }>(
    `select current_user::text as role, pg_get_userbyid(n.nspowner)::text as owner, has_database_privilege(current_database(), 'CREATE') as makes,
       has_schema_privilege(n.oid, 'CREATE') and has_schema_privilege(n.oid, 'USAGE') as uses
     from (select ?1::text as name) s left join pg_namespace n on n.nspname = s.name`,
    schema,
  ))!
  const { role, owner, makes, uses } = found
  const refused = (text: string, fix: string) =>
    new UntildoneError('store-unavailable', text, { params: { reason: 'no-right' }, fix })
  // `if not exists` would still ask for the right to make one, which a role with a schema of its own need not have.
  if (owner !== null) {
    if (uses) return true
    throw refused(
      `The schema ${schema} belongs to the role ${owner}, and ${role} may make nothing in it.`,
      `Use the role ${owner}, or give the schema away: \`alter schema ${schema} owner to "${role}"\`; or name another one (\`schema\`, \`--schema\`).`,
    )
  }
  if (!makes)
    throw refused(
      `There is no schema ${schema}, and the role ${role} may not make one.`,
      `Give the role its own, as one who may: \`create schema ${schema} authorization "${role}"\`.`,
    )
  return false
}
