/**
 * Opening a SQLite file as a store: takes the lock of the one owner, migrates, voids the leases of a former process and
 * asserts that commits will wait for the disk. Takes the driver class, so that tests can bring one with seams.
 */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { UntildoneError } from '../../core/errors.js'
import { EMPTY, MIGRATIONS, type Migration, migrate, schemaState } from '../sql/migrate.js'
import { run } from '../sql/plan.js'
import { SqlStore, type SqlStoreOptions } from '../sql/store.js'
import type { StoreFactory } from '../store.js'
import { type Database, databaseClass } from './database.js'
import type { SqliteDriver, SqliteOptions } from './driver.js'

export function sqliteWith(
  DriverClass: typeof SqliteDriver,
  path: string,
  options: SqliteOptions & SqlStoreOptions = {},
  migrations: readonly Migration[] = MIGRATIONS,
): StoreFactory {
  return {
    async open({ clock, entropy }) {
      const file = path === ':memory:' ? path : resolve(path)
      const owner = file === ':memory:' ? null : own(file)
      let driver: SqliteDriver | null = null
      try {
        const opened = new DriverClass(file, clock, options)
        driver = opened
        const exists = await opened.transact(function* () {
          const rows = (yield {
            sql: `select 1 as found from sqlite_master where name = 'meta'`,
            params: [[]],
            want: 'rows',
          }) as unknown[]
          return rows.length > 0
        }, false)
        await migrate(opened, exists ? await opened.transact(schemaState, false) : EMPTY, migrations)
        // This process owns the file, so every worker of a former one is gone and its leases are void.
        await opened.transact(() => run(`update workers set state = 'gone'`, [[]]), true)
        await opened.transact(
          () =>
            run(
              `insert into meta (key, value) values ('opened', ?1) on conflict (key) do update set value = excluded.value`,
              [[String(clock.now())]],
            ),
          true,
        )
        opened.assertDurable()
        const closeDriver = opened.close.bind(opened)
        opened.close = async () => {
          await closeDriver()
          owner?.close()
        }
        return new SqlStore(
          {
            kind: 'sqlite',
            location: file,
            durability: `SQLite WAL, synchronous=${(options.synchronous ?? 'full').toUpperCase()}`,
            sole: true,
            overlaps: false,
            filesDir: file === ':memory:' ? null : `${file}-files`,
          },
          opened,
          entropy,
          options,
        )
      } catch (error) {
        await driver?.close()
        owner?.close()
        throw driver?.explain(error) ?? error
      }
    },
  }
}

/**
 * Takes the file: a second database beside it is held in an exclusive transaction for the life of this process, which
 * the kernel ends with the process however it dies.
 */
function own(file: string): Database {
  mkdirSync(dirname(file), { recursive: true })
  assertSyncable(dirname(file))
  const lock = new (databaseClass().Database)(`${file}-owner`)
  try {
    lock.exec('pragma busy_timeout = 0; begin exclusive')
    return lock
  } catch (cause) {
    lock.close()
    throw new UntildoneError('store-in-use', `Another process owns ${file}.`, { cause })
  }
}

function assertSyncable(directory: string): void {
  try {
    const handle = openSync(directory, 'r')
    fsyncSync(handle)
    closeSync(handle)
  } catch (cause) {
    throw new UntildoneError('store-unsafe', `The folder ${directory} cannot be synced to disk.`, { cause })
  }
}
