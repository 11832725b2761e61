// What is known of a server whose jobs did not come up: what it said, what it and its children are doing, and what its
// store holds. Looks only: the store is read from a copy.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { processes, stateOf } from './lib.mjs'

const REPORT = 'report.json'

/** With these options Node writes down what it is doing when `serverLines` asks it to. */
export const reportOptions = (folder) => [
  '--report-on-signal',
  '--report-signal=SIGUSR2',
  `--report-directory=${folder}`,
  `--report-filename=${REPORT}`,
]

/** The server as it is now: its output, its processes, its stack and what its event loop waits for. */
export async function serverLines(server, folder) {
  return [
    `the server said: ${server.said.trim() || 'nothing'}`,
    ...treeLines(server.pid),
    ...(server.exitCode === null ? await reportLines(server, join(folder, REPORT)) : []),
  ]
}

function treeLines(pid, depth = 0) {
  const stat = stateOf(pid)
  if (!stat) return []
  const line = `${'  '.repeat(depth)}${pid} ${stat.state} ${text(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')} (in ${text(`/proc/${pid}/wchan`)})`
  const children = processes().filter((other) => stateOf(other)?.ppid === pid)
  return [line, ...children.flatMap((child) => treeLines(child, depth + 1))]
}

async function reportLines(server, path) {
  server.kill('SIGUSR2')
  for (let n = 0; n < 50; n++) {
    await delay(100)
    try {
      const { javascriptStack, libuv } = JSON.parse(readFileSync(path, 'utf8'))
      const stack = javascriptStack?.stack ?? []
      const holding = libuv.filter(({ is_active, is_referenced }) => is_active && is_referenced)
      return [
        ...stack.slice(0, 10).map((line) => `stack ${line}`),
        ...holding.map(({ type, address: _, ...more }) => `kept alive by ${type} ${JSON.stringify(more)}`),
      ]
    } catch {
      // Not written yet, or only in part.
    }
  }
  return ['it wrote no report within 5 s: its event loop stands still']
}

const SECTIONS = {
  jobs: `select state, wait_kind, count(*) as n, min(run_at) as run_at, max(attempt) as attempt, max(errors) as errors,
    max(losses) as losses, count(worker) as held from live group by state, wait_kind`,
  workers: 'select id, pid, state, lease_until from workers',
  attempts: `select outcome, attempt, count(*) as n, min(started_at) as first, max(ended_at) as last,
    max(retry_in_ms) as retry_in_ms, max(error) as error from attempts group by outcome, attempt`,
  history: `select event, state, attempt, count(*) as n, min(at) as first, max(at) as last from history
    group by event, state, attempt order by first`,
  logs: 'select * from (select * from logs order by id desc limit 10) as newest order by id',
  children: 'select * from processes limit 5',
}

/** What the store says of its jobs; to be called when nobody writes to it. */
export async function storeLines(folder, name) {
  const { databaseClass } = await import('../../dist/stores/sqlite/database.js')
  const { Database } = databaseClass()
  const copy = mkdtempSync(join(tmpdir(), 'untildone-evidence-'))
  try {
    for (const file of [name, `${name}-wal`])
      if (existsSync(join(folder, file))) copyFileSync(join(folder, file), join(copy, file))
    const db = new Database(join(copy, name))
    const lines = Object.entries(SECTIONS).flatMap(([title, sql]) => [
      `${title}:`,
      ...db
        .prepare(sql)
        .all()
        .map((row) => `  ${JSON.stringify(row)}`),
    ])
    db.close()
    return [`now: ${Date.now()}`, ...lines]
  } catch (error) {
    return [`the store cannot be read: ${error.message}`]
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function text(path) {
  try {
    return readFileSync(path, 'latin1').trim()
  } catch {
    return '?'
  }
}
