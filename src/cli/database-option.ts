/** Which database a command means: PostgreSQL by its address, or a SQLite file in the data folder. */
import { join, resolve } from 'node:path'
import { ADDRESS_FIX, locationOf, readAddress } from '../stores/postgres/address.js'
import { isSchemaName } from '../stores/postgres/connections.js'
import { DATA_DIR } from './address.js'
import type { CommandOption } from './command.js'
import type { Context } from './context.js'
import { CliError } from './failure.js'

export const DATABASE: CommandOption = {
  flags: '--database <url>',
  text: 'postgres://user:password@host/name (default: UNTILDONE_DATABASE, else SQLite in the data folder)',
}
export const SCHEMA: CommandOption = {
  flags: '--schema <name>',
  text: 'schema of the tables in PostgreSQL (default: untildone)',
}
export const POOLER: CommandOption = {
  flags: '--pooler <kind>',
  text: 'transaction: what stands before PostgreSQL lends connections for one transaction (default: UNTILDONE_POOLER, else none)',
}
export const DATA: CommandOption = {
  flags: '--data <path>',
  text: `data folder with its untildone.db, or a .db file (default: ${DATA_DIR})`,
}

export type Pooler = 'none' | 'transaction'
export type Target =
  | { kind: 'postgres'; url: string; schema: string; pooler: Pooler }
  | { kind: 'sqlite'; file: string }

/** @throws CliError `usage` when the address is none of PostgreSQL, or cannot be read; it is not printed */
export function postgresAddress(context: Context, options: Record<string, any>): string | undefined {
  const url: string | undefined = options.database ?? (context.io.env.UNTILDONE_DATABASE || undefined)
  if (url !== undefined && !/^postgres(ql)?:\/\//.test(url))
    throw new CliError('usage', 'The address of the database must begin with postgres://.', {
      fix: 'Like this: --database postgres://user:password@host:5432/name. Without it, SQLite in the data folder is used.',
    })
  try {
    if (url !== undefined) readAddress(url)
  } catch {
    throw new CliError('usage', 'The address of the database cannot be read.', { fix: ADDRESS_FIX })
  }
  return url
}

/** @throws CliError `usage` when it is none that there is */
export function poolerOf(context: Context, options: Record<string, any>): Pooler {
  const pooler: string = options.pooler ?? (context.io.env.UNTILDONE_POOLER || 'none')
  if (pooler !== 'none' && pooler !== 'transaction')
    throw new CliError('usage', `There is no pooler "${pooler}".`, {
      fix: '--pooler transaction where a pooler lends connections for one transaction; else none, also where it lends them for a session.',
    })
  return pooler
}

export function targetOf(context: Context, options: Record<string, any>): Target {
  // What was named on the line counts more than the environment.
  const url =
    options.data !== undefined && options.database === undefined ? undefined : postgresAddress(context, options)
  const schema: string = options.schema ?? 'untildone'
  if (!isSchemaName(schema))
    throw new CliError('usage', `"${schema}" is no name of a schema.`, {
      fix: 'Use up to 56 small letters, digits and _, and no digit first.',
    })
  if (url !== undefined) return { kind: 'postgres', url, schema, pooler: poolerOf(context, options) }
  const data = resolve(context.io.cwd, options.data ?? DATA_DIR)
  return { kind: 'sqlite', file: data.endsWith('.db') ? data : join(data, 'untildone.db') }
}

/** Which one it is, without its password. */
export const placeOf = (target: Target): { kind: Target['kind']; location: string } =>
  target.kind === 'sqlite'
    ? { kind: 'sqlite', location: target.file }
    : { kind: 'postgres', location: locationOf(target.url, target.schema) }

export const placeText = ({ kind, location }: { kind: string; location: string }): string =>
  `${kind === 'sqlite' ? 'SQLite' : 'PostgreSQL'} ${location}`
