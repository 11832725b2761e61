/** API keys: plain rows, and an audit entry for each change of one. */
import type { Store } from '../store.js'
import { audited } from './audit.js'
import { all, one, put, run } from './plan.js'
import { apiKeyOf, apiKeyValues } from './rows.js'
import type { Lent } from './tx.js'

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
