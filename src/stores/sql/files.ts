/** Files as rows: which there are, and which nobody refers to any more. Their bytes are elsewhere. */
import type { FileRow, Store } from '../store.js'
import { all, type Dialect, one, type Plan, put, type Row, type Value } from './plan.js'
import { insert } from './rows.js'
import { pinFiles } from './submit.js'
import type { Lent } from './tx.js'

const INSERT_FILE = insert('files', 'id, tenant, bytes, sha256, content_type, name, created_by, created_at, expires_at')
function fileValues(file: FileRow): Value[] {
  return [
    file.id,
    file.tenant,
    file.bytes,
    file.sha256,
    file.contentType,
    file.name,
    file.createdBy,
    file.createdAt,
    file.expiresAt,
  ]
}
function fileOf(row: Row): FileRow {
  return {
    id: row.id,
    tenant: row.tenant,
    bytes: row.bytes,
    sha256: row.sha256,
    contentType: row.content_type,
    name: row.name,
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }
}

function* filePlan(id: string): Plan<FileRow | null> {
  const row = yield* one('select * from files where id = ?1', id)
  return row ? fileOf(row) : null
}

/** Those of these files that there is a row of. */
function* knownFilesPlan(ids: readonly string[], dialect: Dialect): Plan<Set<string>> {
  const rows = yield* all<{ id: string }>(`select id from files where ${dialect.inList('id', 1)}`, JSON.stringify(ids))
  return new Set(rows.map(({ id }) => id))
}

function* sweepFilesPlan(now: number, limit: number, dialect: Dialect): Plan<string[]> {
  const rows = yield* all<{ id: string }>(
    'select id from files where expires_at <= ?1 order by expires_at limit ?2',
    now,
    limit,
  )
  if (rows.length === 0) return []
  // A job may have taken one of them since.
  const gone = yield* all<{ id: string }>(
    `delete from files where ${dialect.inList('id', 1)} and expires_at <= ?2 returning id`,
    JSON.stringify(rows.map(({ id }) => id)),
    now,
  )
  const swept = new Set(gone.map(({ id }) => id))
  return rows.map(({ id }) => id).filter((id) => swept.has(id))
}

export function filesOf({ read, write, dialect }: Lent & { dialect: Dialect }): Store['files'] {
  return {
    add: (row, jobId) =>
      write(function* () {
        yield* put(INSERT_FILE, [fileValues(row)])
        if (jobId !== undefined) yield* pinFiles([[row.id, jobId]])
      }),
    get: (id) => read(() => filePlan(id)),
    sweep: (now, limit) => write(() => sweepFilesPlan(now, limit, dialect)),
    known: (ids) => read(() => knownFilesPlan(ids, dialect)),
  }
}
