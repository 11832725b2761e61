/**
 * Reads everything that a database of the library holds, as plain rows by job. Only reads; no rule lives here.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The library's own code that checker and replay need, from the compiled build. */
export async function loadCore(dist) {
  const from = (file) => import(pathToFileURL(join(dist, file)).href)
  const [
    { TRANSITIONS, isFinal, statusAfter },
    { verifyWebhook },
    { firstBreak },
    { systemClock, systemEntropy },
    { databaseClass },
    { sqlite },
  ] = await Promise.all([
    from('core/lifecycle.js'),
    from('client/webhook.js'),
    from('core/history.js'),
    from('system/index.js'),
    from('stores/sqlite/database.js'),
    from('stores/sqlite/index.js'),
  ])
  const { Database } = databaseClass()
  return {
    TRANSITIONS,
    isFinal,
    statusAfter,
    verifyWebhook,
    firstBreak,
    sha256: systemEntropy.sha256,
    clock: systemClock,
    entropy: systemEntropy,
    Database,
    sqlite,
  }
}

const BELONGINGS = [
  ['live', 'id'],
  ...[
    'outcomes',
    'history',
    'attempts',
    'steps',
    'progress',
    'warnings',
    'logs',
    'blobs',
    'tags',
    'idempotency',
    'file_refs',
  ].map((table) => [table, 'job_id']),
]

/**
 * Everything in the file, by job. Looks at a copy: the server may be about to open the file, and a second connection would
 * be in its way.
 */
export function readStore(Database, path) {
  const look = `${path}-look`
  rmSync(look, { recursive: true, force: true })
  mkdirSync(look)
  for (const end of ['', '-wal']) if (existsSync(path + end)) copyFileSync(path + end, join(look, `jobs.db${end}`))
  try {
    return readRows(Database, join(look, 'jobs.db'))
  } finally {
    rmSync(look, { recursive: true, force: true })
  }
}

function readRows(Database, path) {
  const db = new Database(path)
  try {
    const all = (sql) => db.prepare(sql).all()
    const blobs = new Map(
      all('select job_id, name, data from blobs').map((row) => [`${row.job_id}\n${row.name}`, row.data]),
    )
    const by = (rows, make = (row) => row) => {
      const map = new Map()
      for (const row of rows) {
        if (!map.has(row.job_id)) map.set(row.job_id, [])
        map.get(row.job_id).push(make(row))
      }
      return map
    }
    const history = by(all('select * from history order by job_id, seq'))
    const attempts = by(all('select * from attempts order by job_id, epoch'))
    const steps = by(all('select * from steps'), (row) => ({
      ...row,
      result: row.result ?? blobs.get(`${row.job_id}\nstep:${row.key}`) ?? null,
    }))
    const warnings = by(all('select job_id, code from warnings'), ({ code }) => code)
    const live = new Map(all('select * from live').map((row) => [row.id, row]))
    const outcomes = new Map(all('select * from outcomes').map((row) => [row.job_id, row]))
    const jobs = new Map()
    for (const { id, input } of all('select id, input from jobs')) {
      const outcome = outcomes.get(id) ?? null
      if (outcome) outcome.result ??= blobs.get(`${id}\nresult`) ?? null
      jobs.set(id, {
        id,
        input: JSON.parse(input ?? blobs.get(`${id}\ninput`)),
        live: live.get(id) ?? null,
        outcome,
        error: outcome?.error ? JSON.parse(outcome.error) : null,
        history: history.get(id) ?? [],
        attempts: attempts.get(id) ?? [],
        steps: new Map((steps.get(id) ?? []).map((row) => [row.key, row])),
        warnings: warnings.get(id) ?? [],
      })
    }
    const rows = all('select * from audit order by tenant, seq')
    const audit = new Map()
    for (const row of rows) audit.set(row.tenant, [...(audit.get(row.tenant) ?? []), auditEntry(row)])
    return {
      jobs,
      keys: new Map(all('select key, job_id from idempotency').map((row) => [row.key, row.job_id])),
      audit,
      audited: new Set(rows.filter((row) => row.job_id !== null).map((row) => `${row.job_id}:${row.job_seq}`)),
      files: all('select id, bytes, sha256 from files'),
      integrity: [
        ...all('pragma integrity_check')
          .map((row) => Object.values(row)[0])
          .filter((text) => text !== 'ok'),
        ...BELONGINGS.flatMap(([table, id]) =>
          all(`select distinct ${id} as id from ${table} where ${id} not in (select id from jobs)`).map(
            (row) => `${table} has rows of ${row.id}, which is no job`,
          ),
        ),
      ],
    }
  } finally {
    db.close()
  }
}

function auditEntry(row) {
  const [kind, id, ...name] = row.actor.split(':')
  const actor = { kind, id, ...(name.join(':') ? { name: name.join(':') } : {}) }
  return {
    seq: row.seq,
    at: row.at,
    tenant: row.tenant,
    actor,
    action: row.action,
    target: row.target,
    reason: row.reason,
    details: row.details === null ? null : JSON.parse(row.details),
    prevHash: row.prev_hash,
    hash: row.hash,
  }
}
