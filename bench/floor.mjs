// The raw floor: the very rows that the engine writes for a no-op job, written by plain prepared statements in
// transactions of 100 at synchronous=FULL. No engine, no decisions, no answers; nothing that keeps a promise runs faster.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { load, systemClock, systemEntropy } from './lib/product.mjs'
import { INPUT, now } from './lib/tools.mjs'

const rows = await load('stores/sql/rows.js')
const { migrate } = await load('stores/sql/migrate.js')
const { accepted, newLive, transition } = await load('core/lifecycle.js')
const { SqliteDriver } = await load('stores/sqlite/driver.js')

const PER_COMMIT = 100
const USER = { kind: 'system', id: 'local', name: 'this process' }
const WORKER = { kind: 'worker', id: 'w-bench' }

/** A database with the product's tables and settings, without the product: its bare connection. */
export async function openPlain(folder) {
  const file = join(folder, 'bench.db')
  const exists = existsSync(file)
  const driver = new SqliteDriver(file, systemClock)
  if (!exists) await migrate(driver, 0)
  return driver.db
}

/** The values of all rows of the life of one no-op job, as the engine would make them. */
export function lifeOf(
  id,
  at,
  { type = 'noop', queue = 'default', input = JSON.stringify(INPUT), priority = 0, level = 2, runAt = null } = {},
) {
  const record = {
    id,
    tenant: 'default',
    type,
    typeVersion: null,
    queue,
    priority,
    input,
    groupId: null,
    operationKey: null,
    parentId: null,
    replayOf: null,
    options: {},
    createdBy: USER,
    createdAt: at,
    runAt,
    deadlineAt: null,
  }
  const live = newLive(id, `${queue}/${type}/default`, level, at, { runAt, deadlineAt: null, escalateAt: null })
  const life = {
    job: rows.jobValues(record, input),
    live: rows.liveValues(live),
    submitted: rows.historyValues(id, accepted(live, USER)),
  }
  if (runAt !== null) return life
  const claim = transition(live, { type: 'claimed', worker: WORKER.id, actor: WORKER }, at)
  const end = transition(claim.live, { type: 'succeeded', actor: WORKER, warnings: 0 }, at, { epoch: 1 })
  return {
    ...life,
    claim: rows.claimedValues(claim.live),
    claimed: rows.historyValues(id, claim.history),
    gone: [id, claim.live.version, claim.live.revision],
    outcome: rows.outcomeValues(end.outcome, 'null', 4, systemEntropy.sha256('null'), at + 30 * 86_400_000),
    attempt: rows.attemptValues(end.attempt),
    ended: rows.historyValues(id, end.history),
  }
}

/** Prepared statements by the parts of a life. */
export function statements(db) {
  const run = (sql) => {
    const statement = db.prepare(sql)
    return (values) => statement.run(...values)
  }
  const [job, live, history] = [rows.INSERT_JOB, rows.INSERT_LIVE, rows.INSERT_HISTORY].map(run)
  const [claim, gone, outcome, attempt] = [
    rows.UPDATE_CLAIMED,
    rows.DELETE_LIVE,
    rows.INSERT_OUTCOME,
    rows.INSERT_ATTEMPT,
  ].map(run)
  return {
    submit(life) {
      job(life.job)
      live(life.live)
      history(life.submitted)
    },
    claim(life) {
      claim(life.claim)
      history(life.claimed)
    },
    complete(life) {
      gone(life.gone)
      outcome(life.outcome)
      attempt(life.attempt)
      history(life.ended)
    },
    finished(life) {
      job(life.job)
      history(life.submitted)
      history(life.claimed)
      outcome(life.outcome)
      attempt(life.attempt)
      history(life.ended)
    },
  }
}

/** `each` for every life, `perCommit` of them per transaction. @returns seconds */
export function inTransactions(db, lives, steps, perCommit = PER_COMMIT) {
  const began = now()
  for (let at = 0; at < lives.length; at += perCommit) {
    const some = lives.slice(at, at + perCommit)
    for (const step of steps) {
      db.exec('begin immediate')
      for (const life of some) step(life)
      db.exec('commit')
    }
  }
  return (now() - began) / 1000
}

/** Jobs per second, once: rows of a submit; of claim and completion, a transaction each; of a whole life, all three. */
export async function floor(folder, jobs) {
  const db = await openPlain(folder)
  const at = Date.now()
  const lives = () => Array.from({ length: jobs }, () => lifeOf(systemEntropy.jobId(), at))
  const { submit, claim, complete } = statements(db)
  const first = lives()
  const second = lives()
  const rates = {
    submit: jobs / inTransactions(db, first, [submit]),
    drain: jobs / inTransactions(db, first, [claim, complete]),
    whole: jobs / inTransactions(db, second, [submit, claim, complete]),
  }
  db.close()
  return rates
}
