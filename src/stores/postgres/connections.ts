/**
 * Connections to PostgreSQL: how they are made, what each must guarantee before anything is stored through it, and what
 * their errors mean. Knows no statement of a plan.
 */
import { createRequire } from 'node:module'
import type { Client, ClientConfig, Pool, PoolClient, Query } from 'pg'
import { UntildoneError } from '../../core/errors.js'

export interface PostgresOptions {
  /** Schema that the tables are in; made when it is missing; up to 56 small letters, digits and `_`. Several systems can share a database. @default 'untildone' */
  schema?: string
  /** Connections for reading. Besides these there are up to four for writing and one that listens. @default 6 */
  connections?: number
  /** No statement takes longer than this, in milliseconds. @default 30_000 */
  statementTimeoutMs?: number
  /** How long a commit may go on trying while the database is away, in milliseconds, before the caller is told. @default 10_000 */
  patienceMs?: number
  /**
   * `transaction`: a pooler stands before the database and lends connections for one transaction (PgBouncer). Then
   * nothing is set for a session and no statement is kept prepared: slower, and doorbells are replaced by polling.
   * @default 'none'
   */
  pooler?: 'none' | 'transaction'
  /** What a commit waits for. `off` loses acknowledged jobs with the power and exists for the test that shows it. @default 'on' */
  synchronousCommit?: 'on' | 'off'
}

/** Not longer: channels have the name of the schema and five letters more, and PostgreSQL takes 63 for a name. */
export const isSchemaName = (text: string): boolean => /^[a-z_][a-z0-9_]{0,55}$/.test(text)

export const APPLICATION = 'untildone'
const CONNECT_MS = 5000

type Module = {
  Client: new (config: ClientConfig) => Client
  Pool: new (config: object) => Pool
  Query: new (text: string) => Query
}
let found: Module | null = null

/** `pg` is an optional peer: whoever uses another store does not install it. */
export function driverModule(): Module {
  if (found) return found
  try {
    found = createRequire(import.meta.url)('pg') as Module
    return found
  } catch (cause) {
    throw new UntildoneError('store-unavailable', 'The package `pg` is not installed.', {
      params: { reason: 'no-driver' },
      fix: 'Install it beside untildone: `npm install pg`.',
      cause,
    })
  }
}

const PARSERS: Record<number, (text: string) => unknown> = {
  16: (text) => (text === 't' ? 1 : 0),
  20: Number,
  21: Number,
  23: Number,
  26: Number,
  700: Number,
  701: Number,
  1700: Number,
}
const asIs = (text: string) => text

/** How values of a type are read. */
export const parserOf = (oid: number): ((text: string) => unknown) => PARSERS[oid] ?? asIs

/**
 * `pg` 8 verifies the certificate in each of these modes, and says in nine lines that `pg` 9 will not. It stays so here,
 * whichever is installed, unless the address asks for the meaning of libpq.
 */
const verifying = (url: string): string =>
  /[?&]uselibpqcompat=true/.test(url ?? '')
    ? url
    : url?.replace(/([?&]sslmode=)(prefer|require|verify-ca)(?=&|$)/g, '$1verify-full')

export function configOf(url: string, options: PostgresOptions): ClientConfig & Record<string, unknown> {
  const { statementTimeoutMs = 30_000 } = options
  return {
    connectionString: verifying(url),
    application_name: APPLICATION,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // Longer than the server's own: it ends what hangs because the line is dead.
    query_timeout: statementTimeoutMs + Math.min(5000, statementTimeoutMs),
    types: { getTypeParser: parserOf } as never,
    pipeline: true,
  }
}

/** What every session, or behind a pooler every transaction, is set to. */
function limits({ statementTimeoutMs = 30_000, synchronousCommit }: PostgresOptions): Record<string, string | number> {
  return {
    statement_timeout: statementTimeoutMs,
    lock_timeout: Math.min(10_000, statementTimeoutMs),
    // What a process that stands still or is gone holds, and nobody could end (lines.ts), goes before others give up
    // waiting for it. A process that only was late runs its transaction again.
    idle_in_transaction_session_timeout: Math.min(5000, Math.ceil(statementTimeoutMs / 2)),
    ...(synchronousCommit ? { synchronous_commit: synchronousCommit } : {}),
  }
}

/**
 * Before the first statement of a connection. No options of its start: poolers that lend for a session refuse those, and
 * `?options=` in the address would take their place.
 */
export const sessionSettings = (options: PostgresOptions): string =>
  options.pooler === 'transaction'
    ? ''
    : Object.entries(limits(options))
        .map(([name, value]) => `set ${name} = '${value}'; `)
        .join('')

export const localSettings = (options: PostgresOptions): string[] =>
  options.pooler === 'transaction'
    ? Object.entries(limits(options)).map(([name, value]) => `set local ${name} = '${value}'`)
    : []

/**
 * @throws UntildoneError `store-unsafe` where a commit would not be safe, `store-unavailable` where nothing can be written
 */
export async function assertSafe(client: Client | PoolClient, options: PostgresOptions): Promise<void> {
  const { rows } = await client.query<Record<string, string>>(
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit, current_setting('full_page_writes') as pages,
       current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding,
       case when pg_is_in_recovery() then 'yes' else 'no' end as recovery, current_setting('transaction_read_only') as readonly`,
  )
  const found = rows[0]!
  const unsafe = (text: string, fix: string) => new UntildoneError('store-unsafe', text, { fix })
  if (Number(found.version) < 140_000)
    throw unsafe(`PostgreSQL ${Math.floor(Number(found.version) / 10_000)} is too old.`, 'Use PostgreSQL 14 or newer.')
  if (found.encoding !== 'UTF8')
    throw unsafe(`The database keeps its texts as ${found.encoding}.`, 'Make a database with `encoding UTF8`.')
  if (found.fsync !== 'on')
    throw unsafe(
      'PostgreSQL runs with fsync=off, so a crash of its machine loses or ruins what was committed.',
      'Set `fsync = on` in postgresql.conf and reload PostgreSQL.',
    )
  if (found.pages !== 'on')
    throw unsafe(
      'PostgreSQL runs with full_page_writes=off, so a crash can leave half a page.',
      'Set `full_page_writes = on` in postgresql.conf and reload PostgreSQL.',
    )
  if (found.commit === 'off' && options.synchronousCommit !== 'off')
    throw unsafe(
      'PostgreSQL runs with synchronous_commit=off, so a commit does not wait for the disk.',
      'Set `synchronous_commit = on` for this database or role: `alter role … set synchronous_commit = on`.',
    )
  if (found.recovery === 'yes')
    throw new UntildoneError('store-unavailable', 'This PostgreSQL server is a read-only replica.', {
      params: { reason: 'read-only' },
      fix: 'Give the address of the primary, or a name that leads to it.',
      retryAfterMs: 2000,
    })
  if (found.readonly === 'on')
    throw new UntildoneError(
      'store-unavailable',
      'PostgreSQL takes no writes from this role: default_transaction_read_only is on.',
      { params: { reason: 'read-only' }, fix: await writableBy(client), retryAfterMs: 2000 },
    )
}

/** What lets a session write again, by where it was told not to. */
async function writableBy(client: Client | PoolClient): Promise<string> {
  const { rows } = await client.query<Record<string, string>>(
    `select source, current_user::text as role, current_database()::text as database from pg_settings where name = 'default_transaction_read_only'`,
  )
  const { source, role, database } = rows[0]!
  const reset = (whose: string) => `Turn it off: \`alter ${whose} reset default_transaction_read_only\`.`
  if (source === 'user') return reset(`role "${role}"`)
  if (source === 'database') return reset(`database "${database}"`)
  if (source === 'database user') return reset(`role "${role}" in database "${database}"`)
  return source === 'client'
    ? 'Take it out of the address, its `options` or PGOPTIONS.'
    : 'Set `default_transaction_read_only = off` in postgresql.conf and reload PostgreSQL.'
}

const code = (error: unknown): string => String((error as { code?: unknown } | null)?.code ?? '')

/** A file that the address names cannot be read; a socket that is not there has the same code. */
const isFile = (error: unknown): boolean => (error as { syscall?: unknown } | null)?.syscall === 'open'

/** The connection is gone, or was never there: what it was about to do may have happened or not. */
export function isLost(error: unknown): boolean {
  if (isFile(error)) return false
  const text = error instanceof Error ? error.message : ''
  return (
    /^(08|57P0|TAKEN)/.test(code(error)) ||
    /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|EAI_|ENOTFOUND|ENOENT|EPROTO|ERR_SSL_|ERR_STREAM_|25P03|25P04)/.test(
      code(error),
    ) ||
    /Connection terminated|Client has encountered a connection error|Query read timeout|timeout expired|timeout exceeded when trying to connect|not queryable|Client was closed|Connection ended/i.test(
      text,
    )
  )
}

/** What a transaction fails with that cannot count itself (lines.ts): a division by nothing. No other statement divides. */
const UNCOUNTED = '22012'
/** Only says that something before it failed. Nothing of the transaction is stored, and whatever it was shows itself again or is gone. */
const OVER = '25P02'

/** PostgreSQL itself has said it, so that the transaction is over and nothing of it is stored. */
export const isAnswer = (error: unknown): boolean =>
  typeof (error as { severity?: unknown } | null)?.severity === 'string'

/** Of two errors of one transaction the one that says why. */
export const causeOf = (first: unknown, second: unknown): unknown =>
  first === null || (code(first) === OVER && second !== null) ? second : first

/** A lock did not come in time. */
export const isSlow = (error: unknown): boolean => code(error) === '55P03'

const TAKEN = 'TAKEN'
/** A connection did not come in time, and all there may be are in use. */
export const takenOf = (cause: unknown): Error =>
  Object.assign(new Error('All connections of this process are in use.', { cause }), { code: TAKEN })

/** Somebody else was quicker, or in the way: done again, it succeeds. */
export function isRace(error: unknown): boolean {
  return ['23505', '40001', '40P01', '55P03', '26000', '0A000', OVER, UNCOUNTED].includes(code(error))
}

export const isUncounted = (error: unknown): boolean => code(error) === UNCOUNTED

/** What this connection has prepared is out of date, or where it stands is not known; a new one is better. */
export function isStale(error: unknown): boolean {
  return ['26000', '0A000', OVER].includes(code(error))
}

export const OTHER_TABLES_FIX = 'Name a schema of its own: `schema` of the store, `--schema` on the command line.'

/** PostgreSQL puts names between quotes, which ones depends on its language. */
const namedIn = (text: string): string | undefined => /["„«»]\s?(.+?)\s?["“»«]/.exec(text)?.[1]

const quoted = (name: string): string => (/^[\w.-]+$/.test(name) ? name : `"${name}"`)

/** Which limit it is, it says in its language only; where in its source it said so is the same in each. */
function moreConnections(error: unknown, text: string): string {
  const { routine } = error as { routine?: string }
  if (routine === 'InitializeSessionUserId')
    return `Raise its limit, \`alter role "${namedIn(text) ?? 'ROLE'}" connection limit …\``
  if (routine === 'CheckMyDatabase')
    return `Raise its limit, \`alter database "${namedIn(text) ?? 'NAME'}" connection limit …\``
  return 'Raise `max_connections`'
}

export function explain(error: unknown): Error {
  if (error instanceof UntildoneError) return error
  const text = error instanceof Error ? error.message : String(error)
  const unavailable = (message: string, reason: string, fix: string, retryAfterMs = 2000) =>
    new UntildoneError('store-unavailable', message, { params: { reason }, fix, retryAfterMs, cause: error })
  const state = code(error)
  if (state === '53100' || /No space left/i.test(text))
    return unavailable(
      'The disk of PostgreSQL is full, so nothing more can be stored safely. Jobs stored before are kept.',
      'disk-full',
      'Free space on the disk of the database; it goes on by itself.',
      5000,
    )
  if (state === '53300')
    return unavailable(
      `PostgreSQL gives no more connections (${text}).`,
      'too-many-connections',
      `${moreConnections(error, text)}, lower \`connections\` of each process, or put a pooler before it.`,
    )
  if (/client password must be a (non-empty )?string/.test(text))
    return unavailable(
      'PostgreSQL asks for a password, and none was given.',
      'refused',
      'Write it into the address, postgres://user:password@host:5432/name, or set PGPASSWORD.',
    )
  if (/pg_hba\.conf/.test(text))
    return unavailable(
      `PostgreSQL does not let this user in from here (${text}).`,
      'refused',
      'Let it in by a line for this user, database and host in its pg_hba.conf, and reload PostgreSQL. Where it wants TLS, add `sslmode=verify-full` to the address.',
    )
  if (/server does not support SSL/.test(text))
    return unavailable(
      'The address asks for TLS, and PostgreSQL has none.',
      'no-tls',
      'Set `ssl = on` with a certificate in postgresql.conf and reload PostgreSQL; or, where the network between is trusted, take `sslmode` out of the address (and PGSSLMODE away).',
    )
  if (isFile(error))
    return unavailable(
      `A file that the address names cannot be read (${text}).`,
      'no-certificate',
      'Correct `sslrootcert`, `sslcert` or `sslkey` in the address, or let this user read it.',
    )
  if (state === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return unavailable(
      `The certificate of PostgreSQL is for another name (${text}).`,
      'untrusted',
      'Give the address a name that the certificate has, or the server a certificate for this name.',
    )
  if (/^(UNABLE_TO_|CERT_)|SELF_SIGNED_CERT|^INVALID_CA$/.test(state))
    return unavailable(
      `The certificate of PostgreSQL is not trusted (${text}).`,
      'untrusted',
      'Name the certificate of who signed it in the address: `sslmode=verify-full&sslrootcert=/etc/ssl/ca.crt`. One that is out of date must be renewed.',
    )
  if (state === '28P01' || state === '28000')
    return unavailable(
      `PostgreSQL refuses the user (${text}).`,
      'refused',
      'Correct user and password in the address of the database, or PGPASSWORD. A certificate of your own is named there by `sslcert` and `sslkey`.',
    )
  if (state === '3D000')
    return unavailable(
      `The database does not exist (${text}).`,
      'no-database',
      `Make it first, at that server: \`createdb ${quoted(namedIn(text) ?? 'NAME')}\`.`,
    )
  if (state === '42501')
    return unavailable(
      `PostgreSQL does not allow it (${text}).`,
      'no-right',
      'Use the role that owns the schema and its tables, or name another schema (`schema`, `--schema`).',
    )
  if (state === '42P07')
    return unavailable(`The schema holds something else of the same name (${text}).`, 'other-tables', OTHER_TABLES_FIX)
  if (state === '25006')
    return unavailable(
      `PostgreSQL has become read-only (${text}).`,
      'read-only',
      'Give the address of the primary if this is a replica now; else turn `default_transaction_read_only` off.',
    )
  if (state === '57014' || state === '55P03')
    return unavailable(
      `PostgreSQL took too long (${text}).`,
      'slow',
      'Look at `untildone doctor`: old transactions, dead rows and locks are listed there.',
    )
  if (state === TAKEN)
    return unavailable(
      text,
      'busy',
      'Raise `connections` of the store, or look for what keeps them so long: slow lists, or a slow database.',
    )
  if (/Cannot use a pool after calling end/.test(text))
    return new UntildoneError('store-unavailable', 'The store is closed.', { cause: error })
  if (isLost(error))
    return unavailable(
      `PostgreSQL cannot be reached (${text}).`,
      'unreachable',
      'Check that it runs and that its address is right; what is under way goes on when it is back.',
    )
  return new UntildoneError('internal', `The store failed: ${text}${state ? ` (${state})` : ''}`, { cause: error })
}
