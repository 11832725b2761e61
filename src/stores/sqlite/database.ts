/**
 * The node:sqlite API: built into newer Node, `@photostructure/sqlite` elsewhere. The two are used through this one
 * interface and nothing else of them.
 */
import { createRequire } from 'node:module'

export interface Statement {
  run(...params: (string | number | null)[]): { changes: number | bigint }
  get(...params: (string | number | null)[]): Record<string, any> | undefined
  all(...params: (string | number | null)[]): Record<string, any>[]
}
export interface Database {
  exec(sql: string): void
  prepare(sql: string): Statement
  close(): void
}
type DatabaseClass = new (path: string, options?: { readOnly?: boolean }) => Database

let found: { Database: DatabaseClass; name: string } | undefined

/** The class and where it comes from. */
export function databaseClass(): { Database: DatabaseClass; name: string } {
  if (found) return found
  const require = createRequire(import.meta.url)
  // getBuiltinModule answers undefined where the module does not exist or hides behind a flag.
  const builtIn = process.getBuiltinModule?.('node:sqlite' as never) as unknown as
    | { DatabaseSync?: DatabaseClass }
    | undefined
  found = builtIn?.DatabaseSync
    ? { Database: builtIn.DatabaseSync, name: `node:sqlite (Node ${process.versions.node})` }
    : { Database: require('@photostructure/sqlite').DatabaseSync, name: '@photostructure/sqlite' }
  return found
}
