/** Numbers for `doctor`: what makes a queue on PostgreSQL slow is dead rows, and old transactions that keep them. */
import { one, type Plan } from '../sql/plan.js'

export function* healthOf(schema: string): Plan<Record<string, string | number>> {
  const server = (yield* one(
    `select current_setting('server_version') as version, current_database() as database, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit, current_setting('autovacuum') as autovacuum,
       current_setting('max_connections')::int as max_connections, (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections`,
  ))!
  const tables = (yield* one(
    `select coalesce(sum(n_dead_tup), 0) as dead, coalesce(sum(n_dead_tup) filter (where relname = 'live'), 0) as dead_live,
       coalesce(sum(n_live_tup) filter (where relname = 'live'), 0) as rows_live, coalesce(sum(pg_total_relation_size(relid)), 0) as bytes
     from pg_stat_user_tables where schemaname = ?1`,
    schema,
  ))!
  const oldest = (yield* one(
    `select coalesce(max(extract(epoch from (clock_timestamp() - xact_start)))::bigint, 0) as seconds,
       count(*) filter (where query = '<insufficient privilege>') as hidden
     from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database() and (backend_type is null or backend_type = 'client backend')`,
  ))!
  return {
    driver: 'pg',
    version: server.version,
    database: server.database,
    schema,
    fsync: server.fsync,
    synchronousCommit: server.synchronous_commit,
    autovacuum: server.autovacuum,
    connections: `${server.connections} of ${server.max_connections}`,
    bytes: tables.bytes,
    deadRows: tables.dead,
    deadRowsOfUnfinished: tables.dead_live,
    // Where this role does not see all of them, the oldest may be one of the others.
    oldestTransactionSeconds: oldest.hidden > 0 ? 'unknown' : oldest.seconds,
  }
}
