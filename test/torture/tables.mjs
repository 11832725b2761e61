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
    const tables = Object.fromEntries(Object.entries(QUERIES).map(([name, sql]) => [name, all(sql)]))
    const integrity = all('pragma integrity_check').map((row) => Object.values(row)[0])
    return {
      ...storeOf(tables),
      integrity: [
        ...integrity.filter((text) => text !== 'ok'),
        ...HOMELESS.flatMap(([table, sql]) => all(sql).map((row) => homeless(table, row))),
      ],
    }
  } finally {
    db.close()
  }
}

/** What is read of each table; any SQL database of the library answers these. */
export const QUERIES = {
  jobs: 'select id, parent_id, input, options from jobs',
  live: 'select * from live',
  outcomes: 'select * from outcomes',
  history: 'select * from history order by job_id, seq',
  attempts: 'select * from attempts order by job_id, epoch',
  steps: 'select * from steps',
  blobs: 'select job_id, name, data from blobs',
  warnings: 'select job_id, code from warnings',
  audit: 'select * from audit order by tenant, seq',
  keys: 'select key, job_id from idempotency',
  files: 'select id, bytes, sha256 from files',
}

/** Rows that belong to a job must have one. */
export const HOMELESS = BELONGINGS.map(([table, id]) => [
  table,
  `select distinct ${id} as id from ${table} where ${id} not in (select id from jobs)`,
])
export const homeless = (table, row) => `${table} has rows of ${row.id}, which is no job`

/** @param tables the rows that `QUERIES` give */
export function storeOf(tables) {
  const blobs = new Map(tables.blobs.map((row) => [`${row.job_id}\n${row.name}`, row.data]))
  const by = (rows, make = (row) => row) => {
    const map = new Map()
    for (const row of rows) {
      if (!map.has(row.job_id)) map.set(row.job_id, [])
      map.get(row.job_id).push(make(row))
    }
    return map
  }
  const history = by(tables.history)
  const attempts = by(tables.attempts)
  const steps = by(tables.steps, (row) => ({
    ...row,
    result: row.result ?? blobs.get(`${row.job_id}\nstep:${row.key}`) ?? null,
  }))
  const warnings = by(tables.warnings, ({ code }) => code)
  const live = new Map(tables.live.map((row) => [row.id, row]))
  const outcomes = new Map(tables.outcomes.map((row) => [row.job_id, row]))
  const jobs = new Map()
  for (const { id, parent_id, input, options } of tables.jobs) {
    const outcome = outcomes.get(id) ?? null
    if (outcome) outcome.result ??= blobs.get(`${id}\nresult`) ?? null
    jobs.set(id, {
      id,
      parent: parent_id ?? null,
      calledAs: options === null ? null : (JSON.parse(options).child?.key ?? null),
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
  const audit = new Map()
  for (const row of tables.audit) audit.set(row.tenant, [...(audit.get(row.tenant) ?? []), auditEntry(row)])
  return {
    jobs,
    keys: new Map(tables.keys.map((row) => [row.key, row.job_id])),
    audit,
    audited: new Set(tables.audit.filter((row) => row.job_id !== null).map((row) => `${row.job_id}:${row.job_seq}`)),
    files: tables.files,
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
