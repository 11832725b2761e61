/** The connections of one store: a few that write, and more that read. A broken one is replaced. */
import type { Pool } from 'pg'
import { configOf, driverModule, type PostgresOptions } from './connections.js'

/** How many transactions write at a time: while one waits for the disk, another is made ready. */
export const WRITERS = 2

/** Writers are few: what waits meanwhile shares the next commit. */
export interface Pools {
  writers: Pool
  readers: Pool
  end(): Promise<void>
}

/** How many of its connections are in use; one that is still being made is not. */
const taken = new WeakMap<Pool, number>()

export const allTaken = (pool: Pool): boolean => taken.get(pool)! >= pool.options.max

export function poolsOf(url: string, options: PostgresOptions): Pools {
  const { Pool } = driverModule()
  const config = configOf(url, options)
  // What has a commit of its own (sql/commits.ts) and the look-up of a lost one do not wait for those two. Each new writer
  // leaves a mark in the database (lines.ts), so they are kept.
  const writers = new Pool({ ...config, max: WRITERS + 2, idleTimeoutMillis: 0 })
  const readers = new Pool({ ...config, max: options.connections ?? 6 })
  for (const pool of [writers, readers]) {
    // A connection that breaks while nobody uses it is replaced by the pool; one in use fails what it is used for.
    pool.on('error', () => {})
    pool.on('connect', (client) => client.on('error', () => {}))
    taken.set(pool, 0)
    pool.on('acquire', () => taken.set(pool, taken.get(pool)! + 1))
    pool.on('release', () => taken.set(pool, taken.get(pool)! - 1))
  }
  const end = async () => {
    await Promise.all([writers.end(), readers.end()])
  }
  return { writers, readers, end }
}
