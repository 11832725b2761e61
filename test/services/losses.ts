/** What tests of lost lines and servers share: what was sent, what was refused, what the database says from outside. */
import pg from 'pg'
import { UntildoneError } from '../../src/core/errors.js'
import { PostgresDriver } from '../../src/stores/postgres/driver.js'
import type { StoreFactory } from '../../src/stores/store.js'
import { Bench } from '../../src/testing/store-conformance/bench.js'

/** Counts commits that were sent. */
export function counting(): { Driver: typeof PostgresDriver; commits: () => number } {
  let commits = 0
  class Counting extends PostgresDriver {
    protected override commit(client: pg.PoolClient) {
      commits++
      return super.commit(client)
    }
  }
  return { Driver: Counting, commits: () => commits }
}

/** What it is refused with. */
export async function refusal(doing: Promise<unknown>): Promise<UntildoneError> {
  const error = await doing.then(
    () => new Error('It was not refused.'),
    (thrown) => thrown,
  )
  if (!(error instanceof UntildoneError)) throw error
  return error
}
export const code = (error: UntildoneError) => [error.code, (error.params as { reason?: string } | undefined)?.reason]
export async function query(address: string, ...statements: string[]) {
  const client = new pg.Client(address)
  await client.connect()
  try {
    for (const statement of statements.slice(0, -1)) await client.query(statement)
    return (await client.query(statements.at(-1)!)).rows
  } finally {
    await client.end()
  }
}
export const as = (address: string, role: string, more: { password?: string; database?: string } = {}) => {
  const changed = new URL(address)
  changed.username = role
  if (more.password) changed.password = more.password
  if (more.database) changed.pathname = `/${more.database}`
  return changed.href
}
export const opened = (factory: StoreFactory) => Bench.open(factory)
