// Where the time goes: the SQLite driver with a clock around each statement and each commit. Costs about one percent.
import { load } from './product.mjs'
import { now } from './tools.mjs'

const { sqliteWith } = await load('stores/sqlite/open.js')
const { SqliteDriver } = await load('stores/sqlite/driver.js')

/** A store factory, and what it has spent since the last `take()`. */
export function profiledStore(path) {
  let spent
  let busy
  let began
  const reset = () => {
    spent = { statements: new Map(), commitMs: 0, storeMs: 0, transactions: 0 }
    busy = performance.eventLoopUtilization()
    began = now()
  }
  reset()

  class Profiled extends SqliteDriver {
    execute(statement) {
      const start = now()
      const answer = super.execute(statement)
      const name = nameOf(statement.sql)
      const entry = spent.statements.get(name) ?? { ms: 0, rows: 0 }
      entry.ms += now() - start
      entry.rows += statement.want === 'rows' ? answer.length : statement.params.length
      spent.statements.set(name, entry)
      return answer
    }
    commit() {
      const start = now()
      super.commit()
      spent.commitMs += now() - start
      spent.transactions++
    }
    transact(plan, write) {
      const start = now()
      // The plan runs to its end, commit included, before this returns.
      const answer = super.transact(plan, write)
      spent.storeMs += now() - start
      return answer
    }
  }

  return {
    store: sqliteWith(Profiled, path),
    reset,
    /** Milliseconds by phase since the last reset. */
    take() {
      const wallMs = now() - began
      const { active } = performance.eventLoopUtilization(busy)
      const { statements, commitMs, storeMs, transactions } = spent
      const sqlMs = [...statements.values()].reduce((sum, { ms }) => sum + ms, 0)
      return {
        wallMs,
        transactions,
        sqlMs,
        commitMs,
        planMs: storeMs - sqlMs - commitMs,
        outsideMs: active - storeMs,
        idleMs: wallMs - active,
        statements: [...statements].map(([name, entry]) => ({ name, ...entry })).sort((a, b) => b.ms - a.ms),
      }
    },
  }
}

/** `insert into jobs`, `update live`, `select live, jobs`. */
function nameOf(sql) {
  const text = sql.trimStart()
  const change = /^(insert into|update|delete from) (\w+)/.exec(text)
  if (change) return `${change[1].split(' ')[0]} ${change[2]}`
  return `select ${[...text.matchAll(/(?:from|join) (\w+)/g)].map((match) => match[1]).join(', ')}`
}

/** The breakdown as lines of text, per unit of work. */
export function breakdown(taken, count, unit = 'job') {
  const { wallMs, sqlMs, commitMs, planMs, outsideMs, idleMs, transactions, statements } = taken
  const line = (name, ms, note = '') => {
    const each = ((ms * 1000) / count).toFixed(1).padStart(7)
    const share = ((ms / wallMs) * 100).toFixed(0).padStart(4)
    return `    ${name.padEnd(38)} ${each} µs ${share} %  ${note}`.trimEnd()
  }
  const shown = statements.filter(({ ms }) => ms > wallMs * 0.01)
  return [
    line('wall clock', wallMs, `${count} ${unit}s, ${transactions} commits, ${(count / transactions).toFixed(0)} each`),
    line('commit: write-ahead log and fsync', commitMs),
    line('SQL statements', sqlMs),
    ...shown.map(({ name, ms, rows }) => line(`  ${name}`, ms, `${(rows / count).toFixed(1)} rows per ${unit}`)),
    line('JS of the store: rows, plans, begin', planMs),
    line('JS outside the store: worker, engine', outsideMs),
    line('event loop idle', Math.max(0, idleMs)),
  ]
}
