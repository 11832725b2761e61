/**
 * `untildone/sqlite`: the default store. One file, one owning process (an operating-system lock refuses a second),
 * WAL, synchronous=FULL. Everybody else talks HTTP to the owner.
 */
import type { SqlStoreOptions } from '../sql/store.js'
import type { StoreFactory } from '../store.js'
import { SqliteDriver, type SqliteOptions } from './driver.js'
import { sqliteWith } from './open.js'

export type { SqliteOptions, SqlStoreOptions }

/**
 * A store in one SQLite file; its folder is made when it is missing.
 * @param path file name, or ':memory:' for a store that ends with the process
 * @throws on open: UntildoneError `store-in-use` (another process owns it), `store-unsafe` (would not keep what it acknowledges), `store-schema-old`
 */
export function sqlite(path: string, options: SqliteOptions & SqlStoreOptions = {}): StoreFactory {
  return sqliteWith(SqliteDriver, path, options)
}
