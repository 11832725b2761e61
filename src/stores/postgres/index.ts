/** `untildone/postgres`: PostgreSQL as the store of any number of processes. Needs the package `pg`. */
import type { SqlStoreOptions } from '../sql/store.js'
import type { StoreFactory } from '../store.js'
import type { PostgresOptions } from './connections.js'
import { PostgresDriver } from './driver.js'
import { postgresWith } from './open.js'

export type { PostgresOptions } from './connections.js'
export { type DrizzleLike, drizzleTransaction, type KyselyLike, kyselyTransaction } from './foreign.js'

/**
 * A PostgreSQL database as the store: jobs, results and history of as many servers and workers as you start with it.
 *
 * @param url address of the database, `postgres://user:password@host:5432/name`; `PGHOST` and its like fill what it leaves out
 * @returns what `createUntildone({ store })` opens. Opening makes the schema or brings it up to date, and throws
 * `store-unsafe` where a commit would not wait for the disk, `store-unavailable` where the database cannot be reached,
 * `store-schema-old` where it belongs to a newer version
 */
export function postgres(url: string, options: PostgresOptions & SqlStoreOptions = {}): StoreFactory {
  return postgresWith(PostgresDriver, url, options)
}
