/** API keys: plain rows, and an audit entry for each change of one. */
import type { ApiKeyRow, Store } from '../store.js'
import { audited } from './audit.js'
import { all, one, put, type Row, run, type Value } from './plan.js'
import { json, parsed } from './rows.js'
import type { Lent } from './tx.js'

function apiKeyValues(key: ApiKeyRow): Value[] {
  return [
    key.id,
    key.tenant,
    key.name,
    key.hash,
    JSON.stringify(key.scopes),
    json(key.types),
    json(key.person),
    json(key.groups),
    key.maxRisk,
    key.createdAt,
    key.expiresAt,
    key.revokedAt,
    key.lastUsedAt,
  ]
}
function apiKeyOf(row: Row): ApiKeyRow {
  return {
    id: row.id,
    tenant: row.tenant,
    name: row.name,
    hash: row.hash,
    scopes: JSON.parse(row.scopes),
    types: parsed(row.types),
    person: parsed(row.person),
    groups: parsed(row.groups),
    maxRisk: row.max_risk,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
  }
}

export function keysOf({ read, write }: Pick<Lent, 'read' | 'write'>): Store['keys'] {
  return {
    put: (row, audit) =>
      write(function* (tx) {
        yield* put(
          `insert into api_keys (id, tenant, name, hash, scopes, types, person, groups, max_risk, created_at, expires_at, revoked_at, last_used_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
           on conflict (id) do update set expires_at = excluded.expires_at, revoked_at = excluded.revoked_at`,
          [apiKeyValues(row)],
        )
        audited(audit, tx)
      }),
    get: (id) =>
      read(function* () {
        const row = yield* one('select * from api_keys where id = ?1', id)
        return row ? apiKeyOf(row) : null
      }),
    list: (tenant) =>
      read(function* () {
        return (yield* all('select * from api_keys where tenant = ?1 order by created_at, id', tenant)).map(apiKeyOf)
      }),
    any: () =>
      read(function* () {
        return (yield* one('select 1 as found from api_keys limit 1')) !== undefined
      }),
    used: (id, at) =>
      write(() => run('update api_keys set last_used_at = ?2 where id = ?1', [[id, at]])).then(() => undefined),
  }
}
