/**
 * Looking at a PostgreSQL database from outside a running process: its schema, its sizes, and what slows a queue down.
 * Changes nothing. What this role may not see is told as not seen, never as fine.
 */
import type { Client } from 'pg'
import type { Clock } from '../../core/clock.js'
import type { Counts, DatabaseStatus } from '../sql/admin.js'
import { countsPlan, pendingOf } from '../sql/admin.js'
import { EMPTY, MIGRATIONS, type SchemaState, TABLES } from '../sql/migrate.js'
import type { Plan, Statement } from '../sql/plan.js'
import { locationOf } from './address.js'
import { APPLICATION, configOf, driverModule, explain, type PostgresOptions, sessionSettings } from './connections.js'
import { dialectOf } from './dialect.js'
import { assertSchemaName, statePlan } from './open.js'
import { Translator, valueText } from './translate.js'

const DEFAULT_SCHEMA = 'untildone'
const SAMPLES = 9

/** What `doctor` judges. Null: this role may not see it. */
export interface PostgresFacts {
  version: number
  versionText: string
  settings: Record<string, string>
  /** Why nothing can be written: it is a replica, or this role is set to read only. */
  readOnly: 'replica' | 'setting' | null
  /** Tables of ours for which autovacuum was turned off. */
  unvacuumed: string[]
  /** Removed or replaced rows that were not cleaned up yet; null before the schema is made. */
  tables: { table: string; rows: number; deadRows: number; bytes: number; cleanedAt: number | null }[] | null
  oldestTransaction: OpenTransaction | null
  /** Whether this role sees what the sessions of others do. */
  seesAll: boolean
  clockOffsetMs: number
  roundTripMs: number
  /** Null: this role may not write here. */
  commitMs: number | null
  connections: { used: number; ours: number; most: number }
  schema: SchemaState | null
  /** The schema that this program knows. */
  knows: number
}

interface OpenTransaction {
  seconds: number
  pid: number
  user: string
  application: string
  state: string | null
  query: string | null
}

/** @throws UntildoneError `store-unavailable` when it cannot be reached */
export function postgresFacts(
  url: string,
  schema: string,
  clock: Clock,
  pooler?: PostgresOptions['pooler'],
): Promise<PostgresFacts> {
  return connected(url, schema, pooler, async (client) => {
    const settings = await settingsOf(client)
    const times: { took: number; offset: number }[] = []
    for (let i = 0; i < SAMPLES; i++) {
      const began = clock.monotonic()
      const at = clock.now()
      const { rows } = await client.query('select extract(epoch from clock_timestamp()) * 1000 as now')
      const took = clock.monotonic() - began
      times.push({ took, offset: rows[0].now - (at + took / 2) })
    }
    times.sort((a, b) => a.took - b.took)
    const who = await client.query<{ sees: number; readonly: PostgresFacts['readOnly'] }>(
      `select (pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') or pg_has_role(current_user, 'pg_monitor', 'USAGE'))::int as sees,
         case when pg_is_in_recovery() then 'replica' when current_setting('transaction_read_only') = 'on' then 'setting' end as readonly`,
    )
    const unvacuumed = await client.query<{ name: string }>(
      `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = $1 and c.relkind = 'r' and exists (select 1 from unnest(c.reloptions) o where o in ('autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=0'))
       order by 1`,
      [schema],
    )
    const { rows: connections } = await client.query(
      `select count(*)::int as used, (count(*) filter (where application_name = $1))::int as ours from pg_stat_activity where backend_type = 'client backend' or backend_type is null`,
      [APPLICATION],
    )
    const state = await stateOf(client, schema)
    const readOnly = who.rows[0]!.readonly
    return {
      version: Number(settings.server_version_num),
      versionText: settings.server_version!,
      settings,
      readOnly,
      unvacuumed: unvacuumed.rows.map(({ name }) => name),
      tables: state.version === 0 ? null : await tablesIn(client, schema),
      oldestTransaction: await oldestOf(client),
      seesAll: who.rows[0]!.sees === 1,
      clockOffsetMs: Math.round(times[0]!.offset),
      roundTripMs: times[SAMPLES >> 1]!.took,
      commitMs: readOnly ? null : await commitOf(client, clock),
      connections: { ...connections[0], most: Number(settings.max_connections) },
      schema: state.version === 0 ? null : state,
      knows: MIGRATIONS.length,
    }
  })
}

/** @throws UntildoneError `store-unavailable` when it cannot be reached */
export function postgresStatus(
  url: string,
  schema = DEFAULT_SCHEMA,
  finishedBy?: number,
  pooler?: PostgresOptions['pooler'],
): Promise<DatabaseStatus> {
  return connected(url, schema, pooler, async (client) => {
    const state = await stateOf(client, schema)
    const tables = state.version === 0 ? [] : await tablesIn(client, schema)
    const oldest = await oldestOf(client)
    const settings = await settingsOf(client)
    const { server_version, fsync, synchronous_commit, autovacuum, max_connections } = settings
    const at = await client.query('select (extract(epoch from clock_timestamp()) * 1000)::bigint as now')
    return {
      kind: 'postgres',
      location: locationOf(url, schema),
      schema: state.version === 0 ? null : state,
      knows: MIGRATIONS.length,
      bytes: tables.reduce((sum, { bytes }) => sum + bytes, 0),
      counts:
        state.version === 0
          ? null
          : await drive<Counts>(client, countsPlan(Number(at.rows[0].now), finishedBy), schema),
      deadRows: tables.reduce((sum, { deadRows }) => sum + deadRows, 0),
      tables: tables.map(({ table, rows, bytes, deadRows }) => ({ table, rows, bytes, deadRows })),
      oldestTransaction: oldest && { seconds: oldest.seconds, who: whoOf(oldest) },
      settings: {
        version: server_version!,
        fsync: fsync!,
        synchronousCommit: synchronous_commit!,
        autovacuum: autovacuum!,
        maxConnections: max_connections!,
      },
    }
  })
}

/** What an opening would do to it. */
export function postgresPending(
  url: string,
  schema = DEFAULT_SCHEMA,
  pooler?: PostgresOptions['pooler'],
): Promise<{ version: number; statements: string[] }[]> {
  return connected(url, schema, pooler, async (client) => {
    const state = await stateOf(client, schema)
    const { qualified } = translatorOf(schema)
    const first = state.version === 0 ? [`create schema if not exists ${schema}`] : []
    return pendingOf(state, dialectOf(schema)).map(({ version, statements }, i) => ({
      version,
      statements: [...(i === 0 ? first : []), ...statements.map(qualified)],
    }))
  })
}

/** `process 812 (untildone of user app, idle in transaction)` */
export function whoOf({ pid, user, application, state }: OpenTransaction): string {
  return `process ${pid} (${application || 'a program without a name'} of user ${user}${state ? `, ${state}` : ''})`
}

async function connected<T>(
  url: string,
  schema: string,
  pooler: PostgresOptions['pooler'] = 'none',
  look: (client: Client) => Promise<T>,
): Promise<T> {
  assertSchemaName(schema)
  const { Client } = driverModule()
  const client = new Client(configOf(url, { pooler }))
  client.on('error', () => {})
  try {
    await client.connect()
    const settings = sessionSettings({ pooler })
    if (settings) await client.query(settings)
    return await look(client)
  } catch (error) {
    throw explain(error)
  } finally {
    await client.end().catch(() => {})
  }
}

async function settingsOf(client: Client): Promise<Record<string, string>> {
  const names = [
    ...['server_version', 'server_version_num', 'fsync', 'synchronous_commit', 'full_page_writes', 'autovacuum'],
    ...['track_counts', 'max_connections', 'superuser_reserved_connections'],
  ]
  const { rows } = await client.query(
    `select json_object_agg(name, setting)::text as all from pg_settings where name = any ($1::text[])`,
    [names],
  )
  return JSON.parse(rows[0].all)
}

async function stateOf(client: Client, schema: string): Promise<SchemaState> {
  return (await drive(client, statePlan(schema), schema)) ?? EMPTY
}

async function tablesIn(client: Client, schema: string): Promise<NonNullable<PostgresFacts['tables']>> {
  const { rows } = await client.query(
    `select relname as name, n_live_tup as rows, n_dead_tup as dead, pg_total_relation_size(relid) as bytes,
       (extract(epoch from greatest(last_vacuum, last_autovacuum)) * 1000)::bigint as cleaned
     from pg_stat_user_tables where schemaname = $1 order by 4 desc, 1`,
    [schema],
  )
  return rows.map(({ name, rows: alive, dead, bytes, cleaned }) => ({
    ...{ table: name, rows: Number(alive), deadRows: Number(dead), bytes: Number(bytes) },
    cleanedAt: cleaned === null ? null : Number(cleaned),
  }))
}

async function oldestOf(client: Client): Promise<OpenTransaction | null> {
  const { rows } = await client.query(
    `select extract(epoch from (clock_timestamp() - xact_start))::bigint as seconds, pid, coalesce(usename, '?') as "user", coalesce(application_name, '') as application, state, left(query, 200) as query
     from pg_stat_activity where xact_start is not null and pid <> pg_backend_pid() and datname = current_database() and backend_type = 'client backend'
     order by xact_start limit 1`,
  )
  return rows[0] ? { ...rows[0], seconds: Number(rows[0].seconds), pid: Number(rows[0].pid) } : null
}

/** A message to nobody is written to the log of the database and synced like any commit, and leaves nothing behind. */
async function commitOf(client: Client, clock: Clock): Promise<number | null> {
  const took: number[] = []
  try {
    for (let i = 0; i < SAMPLES; i++) {
      const began = clock.monotonic()
      await client.query(`select pg_logical_emit_message(true, 'untildone doctor', '')`)
      took.push(clock.monotonic() - began)
    }
  } catch {
    return null
  }
  return took.sort((a, b) => a - b)[SAMPLES >> 1]!
}

const translatorOf = (schema: string) => {
  const translator = new Translator(schema, TABLES)
  return { qualified: (sql: string) => translator.qualified(sql) }
}

async function drive<T>(client: Client, plan: Plan<T>, schema: string): Promise<T> {
  const { qualified } = translatorOf(schema)
  const answer = async ({ sql, params }: Statement) =>
    (await client.query(qualified(sql).replace(/\?(\d+)/g, '$$$1'), params[0]!.map(valueText))).rows
  let step = plan.next()
  while (!step.done) {
    step = plan.next(await answer(step.value as Statement))
  }
  return step.value
}
