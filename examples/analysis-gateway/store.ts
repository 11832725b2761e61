// Where jobs are kept: the one place of this example that names a store, or reads where one is. Everything else gets what
// `storeFrom` gives.
import { join } from 'node:path'
import { sqlite, type UntildoneOptions } from 'untildone'
import { postgres } from 'untildone/postgres'

export interface Stored {
  store: NonNullable<UntildoneOptions['store']>
  /** Uploaded files, which processes that share a store must find in one place. @default beside the database */
  filesDir?: string
  /** For people. */
  description: string
  /** False: one process owns it, so API and workers are in one, or follow each other. */
  shared: boolean
}

/**
 * `DATABASE_URL`: a PostgreSQL database, for as many processes as are started with it. Without: a file in the data folder.
 * @throws Error for an address that cannot be one, or that has no effect and must not look as if it had
 */
export function storeFrom(env: NodeJS.ProcessEnv, dataDir: string): Stored {
  const { DATABASE_URL: url, REDIS_URL: redis } = env
  if (redis)
    throw new Error(
      'REDIS_URL is set, but this example tells its workers of new jobs through their store and uses no Redis. Unset it.',
    )
  if (url) {
    const description = `PostgreSQL, ${placeOf(url)}`
    return { store: postgres(url), filesDir: join(dataDir, 'files'), description, shared: true }
  }
  const path = join(dataDir, 'untildone.db')
  return { store: sqlite(path), description: `SQLite, ${path}`, shared: false }
}

/** Without its password. */
function placeOf(url: string): string {
  const { protocol, host, pathname } = URL.canParse(url) ? new URL(url) : { protocol: '', host: '', pathname: '' }
  if (!/^postgres(ql)?:$/.test(protocol))
    throw new Error('DATABASE_URL is no address of a PostgreSQL database: postgres://user:password@host:5432/name')
  return `${host || 'local'}${pathname}`
}
