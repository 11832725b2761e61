// Where jobs are kept: the one place of this example that names a store, or reads where one is. Everything else gets what
// `storeFrom` gives.
import { join } from 'node:path'
import { sqlite, type UntildoneOptions } from 'untildone'

export interface Stored {
  store: NonNullable<UntildoneOptions['store']>
  /** For people. */
  description: string
  /** False: one process owns it, so API and workers are in one, or follow each other. */
  shared: boolean
}

/** Addresses of services that this example does not use. An address that has no effect must not look as if it had. */
const UNUSED = ['DATABASE_URL', 'REDIS_URL'] as const

/** @throws Error when the environment asks for another store than SQLite */
export function storeFrom(env: NodeJS.ProcessEnv, dataDir: string): Stored {
  const asked = UNUSED.filter((name) => env[name])
  if (asked.length > 0)
    throw new Error(
      `${asked.join(' and ')} ${asked.length > 1 ? 'are' : 'is'} set, but this example keeps its jobs in SQLite, in ${dataDir}. ` +
        'Unset it, or put another store into store.ts.',
    )
  const path = join(dataDir, 'untildone.db')
  return { store: sqlite(path), description: `SQLite, ${path}`, shared: false }
}
