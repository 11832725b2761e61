/**
 * Opening PostgreSQL as a store: makes or migrates the schema under a lock, so that processes that start together do it
 * once, and keeps the time of the database, which is the one that all processes share.
 */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { UntildoneError } from '../../core/errors.js'
import { migrate, schemaVersion, TABLES } from '../sql/migrate.js'
import { SqlStore, type SqlStoreOptions } from '../sql/store.js'
import type { StoreFactory } from '../store.js'
import { configOf, driverModule, explain, type PostgresOptions } from './connections.js'
import { Doorbell } from './doorbell.js'
import type { PostgresDriver } from './driver.js'
import { Translator } from './translate.js'

export function postgresWith(
  DriverClass: typeof PostgresDriver,
  url: string,
  options: PostgresOptions & SqlStoreOptions = {},
): StoreFactory {
  const schema = options.schema ?? 'untildone'
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new TypeError(`postgres: \`${schema}\` is no name of a schema; use small letters, digits and \`_\`.`)
  return {
    async open({ clock, entropy, onError = () => {} }) {
      const driver = new DriverClass(url, clock, new Translator(schema, TABLES), options)
      try {
        await prepare(driver, url, schema, options)
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

/** One at a time: the lock belongs to a session of its own, and goes with it however it ends. */
async function prepare(driver: PostgresDriver, url: string, schema: string, options: PostgresOptions): Promise<void> {
  const { Client } = driverModule()
  const session = new Client(configOf(url, { ...options, pooler: 'none', statementTimeoutMs: 120_000 }))
  session.on('error', () => {})
  try {
    await session.connect()
    await session.query(`select pg_advisory_lock(hashtextextended('untildone/${schema}', 0))`)
    const found = await session.query(`select to_regclass('${schema}.meta')::text as meta`)
    if (found.rows[0].meta === null) await session.query(`create schema if not exists ${schema}`)
    const current = found.rows[0].meta === null ? 0 : await driver.transact(schemaVersion, false)
    await migrate(driver, current)
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

/** Without its password. */
function locationOf(url: string, schema: string): string {
  try {
    const { host, pathname } = new URL(url)
    return `${host || 'local'}${pathname} (schema ${schema})`
  } catch {
    return `schema ${schema}`
  }
}
