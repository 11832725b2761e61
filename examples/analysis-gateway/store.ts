// Where jobs are kept, and how workers hear of them: the one place of this example that names a store or a transport, or
// reads where one is. Everything else gets what `storeFrom` gives.
import { join } from 'node:path'
import { sqlite, type UntildoneOptions } from 'untildone'
import { bullmq } from 'untildone/bullmq'
import { postgres } from 'untildone/postgres'

export interface Stored {
  store: NonNullable<UntildoneOptions['store']>
  /** Word of jobs to workers. @default the store tells them */
  transport?: UntildoneOptions['transport']
  /** Uploaded files, which processes that share a store must find in one place. @default beside the database */
  filesDir?: string
  /** For people. */
  description: string
  /** False: one process owns it, so API and workers are in one, or follow each other. */
  shared: boolean
}

/**
 * `DATABASE_URL`: a PostgreSQL database, for as many processes as are started with it. Without: a file in the data folder.
 * `REDIS_URL`: with such a database, BullMQ tells workers of jobs. On another host it begins with rediss://, unless
 * `REDIS_PLAINTEXT=1` says that the network between is trusted.
 * @throws Error for an address that cannot be one, or that has no effect and must not look as if it had
 */
export function storeFrom(env: NodeJS.ProcessEnv, dataDir: string): Stored {
  const { DATABASE_URL: url, REDIS_URL: redis, REDIS_PLAINTEXT } = env
  if (url) {
    const told = redis ? { transport: bullmq(redis, { plaintext: REDIS_PLAINTEXT === '1' }) } : {}
    const description = `PostgreSQL, ${placeOf(url)}${redis ? `; BullMQ, ${new URL(redis).host}` : ''}`
    return { store: postgres(url), ...told, filesDir: join(dataDir, 'files'), description, shared: true }
  }
  if (redis)
    throw new Error(
      'REDIS_URL is set, but DATABASE_URL is not: SQLite belongs to one process, which needs no word from others. Set both, or none.',
    )
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
