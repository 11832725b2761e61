/**
 * Plans inside a transaction of the application, over whatever it speaks to PostgreSQL with: its types, its prepared
 * statements and its settings are its own, so each statement is text and answers with text. It neither begins nor ends
 * that transaction; a savepoint keeps it usable, whatever becomes of the plan.
 */
import { UntildoneError } from '../../core/errors.js'
import { Asked, type Plan, type Row, type Statement } from '../sql/plan.js'
import { LEFT_OUT } from '../sql/within.js'
import type { SqlTransaction } from '../store.js'
import { explain, isLost, isRace } from './connections.js'
import { type Translator, valuesOf } from './translate.js'

const SAVEPOINT = 'untildone'
/** Who loses to others so often inside one transaction loses always: it sees what it saw at its beginning. */
const RACES = 3
/** What was acknowledged with their commit must be on disk then. */
const DURABLE = `select set_config('synchronous_commit', 'on', true) as commit where current_setting('synchronous_commit') = 'off'`

/** Transactions that one of our plans is in. Two in one connection would end each other's savepoint. */
const busy = new WeakMap<SqlTransaction, Promise<unknown>>()

export async function runWithin<T>(tx: SqlTransaction, plan: () => Plan<T>, translator: Translator): Promise<T> {
  // Before anything begins: what has begun for something that cannot be remembered has nobody to hear of its end.
  assertTransaction(tx)
  const before = busy.get(tx) ?? Promise.resolve()
  const run = before.then(
    () => inSavepoint(tx, plan, translator),
    () => inSavepoint(tx, plan, translator),
  )
  busy.set(tx, run)
  return run
}

/** Said to whoever gave something else, most often what a library calls a transaction, without its adapter. */
const GIVE =
  'Give `kyselyTransaction(trx, CompiledQuery)` or `drizzleTransaction(trx, sql)` of `untildone/postgres`, a client of `pg` after its `begin`, or an object with one method, `query(text, values)`; each before the transaction ends.'

function unusable(text: string, fix?: string, cause?: unknown): UntildoneError {
  return new UntildoneError('transaction-unusable', `${text} Nothing was stored.`, { ...(fix ? { fix } : {}), cause })
}

function assertTransaction(tx: SqlTransaction | null): void {
  if (tx === null) throw unusable('What was given as `tx` is null, which is no transaction.', `${LEFT_OUT} ${GIVE}`)
  if (!has(tx, 'query')) throw unusable('What was given as `tx` has no method `query`.', GIVE)
}

async function inSavepoint<T>(tx: SqlTransaction, plan: () => Plan<T>, translator: Translator): Promise<T> {
  await mark(tx, 'savepoint')
  for (let races = 1; ; races++) {
    try {
      await tx.query(DURABLE)
      const answer = await drive(plan(), tx, translator)
      await tx.query(`release savepoint ${SAVEPOINT}`)
      return answer
    } catch (thrown) {
      const error = sourceOf(thrown)
      throwGone(error)
      await mark(tx, 'rollback to savepoint')
      if (isRace(error) && races < RACES) continue
      await mark(tx, 'release savepoint')
      if (isRace(error)) throw new UntildoneError('transaction-lost', undefined, { cause: error })
      throw failed(error, translator)
    }
  }
}

async function drive<T>(plan: Plan<T>, tx: SqlTransaction, translator: Translator): Promise<T> {
  let step = plan.next()
  while (!step.done) {
    if (step.value instanceof Asked) {
      step = plan.next(step.value.rows)
      continue
    }
    // One after the other: what the application speaks with may know nothing of two at a time.
    step = plan.next(await answerTo(step.value, tx, translator))
  }
  return step.value
}

async function answerTo(
  { sql, params, want }: Statement,
  tx: SqlTransaction,
  translator: Translator,
): Promise<unknown> {
  const form = translator.of(sql)
  const { single, kind } = form
  const send = async (text: string, list: Statement['params'][number]): Promise<Row[]> =>
    rowsOf(await tx.query(text, valuesOf(form, list))).map(rowOf)
  if (want === 'none') {
    for (const list of params) await tx.query(single, valuesOf(form, list))
    return []
  }
  const text = asText(single, kind === 'select', want === 'changes')
  if (want === 'rows') return send(text, params[0]!)
  if (want === 'later') return new Asked(await send(text, params[0]!))
  const answers: unknown[] = []
  for (const list of params) {
    const rows = await send(text, list)
    answers.push(want === 'each' ? rows[0] : rows.length)
  }
  return answers
}

/** The statement with each row as one text, which no driver takes for anything else. */
function asText(single: string, isSelect: boolean, counted: boolean): string {
  if (isSelect) return `select to_json(q)::text as row from (${single}) q`
  const returning = counted && !/\breturning\b/.test(single) ? ' returning 1 as one' : ''
  return `with q as (${single}${returning}) select to_json(q)::text as row from q`
}

/** @param answer of whatever it is that the application speaks with */
function rowsOf(answer: any): Row[] {
  const rows = Array.isArray(answer) ? answer : answer?.rows
  if (!Array.isArray(rows)) throw unusable('The `query` of `tx` answers without rows.', GIVE)
  return rows
}

function rowOf(found: Row): Row {
  const row = found?.row
  if (typeof row !== 'string') throw unusable('The `query` of `tx` gives rows without their columns by name.', GIVE)
  const values = JSON.parse(row) as Row
  for (const [name, value] of Object.entries(values)) if (typeof value === 'boolean') values[name] = value ? 1 : 0
  return values
}

/** Libraries wrap what the database said, or what befell the connection. */
function sourceOf(error: unknown): unknown {
  let inmost = error
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof UntildoneError || stateOf(cause) !== '' || isLost(cause)) return cause
    inmost = cause
  }
  return inmost
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const stateOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : ''
}

/** Said of a statement that came without its parameters; the second one is no lost line, although it begins like that. */
const UNGIVEN = ['42P02', '08P01']

/** What the guide grants (docs/guide/transactional-submit.md), to be copied by whoever owns the schema. */
function rights(schema: string): string {
  const on = (...tables: string[]) => tables.map((table) => `${schema}.${table}`).join(', ')
  const needed = [
    `usage on schema ${schema}`,
    `select on ${on('meta')}`,
    `select (tenant, enabled) on ${on('webhooks')}`,
    `select (id, created_by), insert on ${on('jobs')}`,
    `select, insert, update (late_at) on ${on('live')}`,
    `select, insert, update on ${on('uniques')}`,
    `select, insert on ${on('idempotency', 'turns', 'held')}`,
    `select, update (expires_at) on ${on('files')}`,
    `insert on ${on('history', 'blobs', 'tags', 'file_refs', 'outbox')}`,
  ]
  const grants = (list: string[]) => list.map((one) => `grant ${one} to ROLE;`).join(' ')
  const all = `select, insert, update, delete on all tables in schema ${schema}`
  return `Let the owner of the schema give them: ${grants(needed)} For a submit that replaces another job also: ${grants([all])}`
}

/** What a statement of the plan failed with, as far as it is not another transaction's doing. */
function failed(error: unknown, { schema }: Translator): unknown {
  const state = stateOf(error)
  if (state === '42P01') return unusable(`The database of the transaction has no schema "${schema}".`, undefined, error)
  if (state === '25006')
    return unusable(
      'The transaction is read-only.',
      'Begin it without `read only`. If you did, its session has `default_transaction_read_only` set, or its connection leads to a replica: give one to the primary.',
      error,
    )
  if (state === '42501')
    return unusable(
      `The role of the transaction lacks a right that a submit needs (${textOf(error)}).`,
      rights(schema),
      error,
    )
  if (UNGIVEN.includes(state))
    return unusable('The `query` of `tx` runs a statement without its parameters.', GIVE, error)
  return explain(error)
}

/** A statement about the transaction itself. */
async function mark(tx: SqlTransaction, what: 'savepoint' | 'rollback to savepoint' | 'release savepoint') {
  try {
    await tx.query(`${what} ${SAVEPOINT}`)
  } catch (thrown) {
    const error = sourceOf(thrown)
    const state = stateOf(error)
    if (state === '25P01') throw unusable('What was given as `tx` is in no transaction.', undefined, error)
    if (state === '25P02') throw unusable('The transaction has failed before.', undefined, error)
    throwGone(error)
    // Neither the database nor the line to it: whatever was given does not do what it is called for.
    if (state === '') throw unusable(`What was given as \`tx\` runs no statement (${textOf(error)}).`, GIVE, error)
    throw explain(error)
  }
}

/** How drivers call what the application itself has ended; the database has no part in it. */
const CLOSED = /Client was closed|Cannot use a pool after calling end|CONNECTION_(ENDED|DESTROYED)/

/** Throws if there is no connection any more, and no way back in the transaction either. */
function throwGone(error: unknown): void {
  const text = textOf(error)
  if (CLOSED.test(text))
    throw unusable(
      `The connection of the transaction was closed by this process (${text}).`,
      'Submit in the transaction before it is closed, and wait for the submit before you end anything.',
      error,
    )
  if (UNGIVEN.includes(stateOf(error)) || !(isLost(error) || /CONNECTION_CLOSED/.test(text))) return
  throw new UntildoneError(
    'store-unavailable',
    `The connection of the transaction was lost (${text}), and the transaction with it. Nothing was stored.`,
    {
      params: { reason: 'unreachable' },
      fix: 'Run the whole transaction again, over a new connection and with the same key.',
      retryAfterMs: 2000,
      cause: error,
    },
  )
}

const has = (given: any, ...methods: string[]): boolean =>
  methods.every((method) => typeof given?.[method] === 'function')

/** What is needed of a transaction of Kysely. */
export interface KyselyLike {
  executeQuery(query: any): PromiseLike<{ rows: unknown[] }>
}

/**
 * A transaction of Kysely as `tx` of a submit.
 * @param compiled Kysely's `CompiledQuery`
 * @throws UntildoneError `transaction-unusable` when one of them is something else
 * @example await app.submit(welcome, input, { tx: kyselyTransaction(trx, CompiledQuery) })
 */
export function kyselyTransaction(
  trx: KyselyLike,
  compiled: { raw(sql: string, parameters?: any): unknown },
): SqlTransaction {
  if (!has(trx, 'executeQuery') || !has(compiled, 'raw'))
    throw unusable('`kyselyTransaction` needs a transaction of Kysely and its `CompiledQuery`.', GIVE)
  return keptFor(trx, {
    query: (text, values = []) => trx.executeQuery(compiled.raw(text, [...values])) as PromiseLike<{ rows: Row[] }>,
  })
}

/** What is needed of a transaction of Drizzle. */
export interface DrizzleLike {
  execute(query: any): PromiseLike<unknown>
}

/**
 * A transaction of Drizzle (`node-postgres`, `postgres-js`) as `tx` of a submit.
 * @param sql Drizzle's `sql`
 * @throws UntildoneError `transaction-unusable` when one of them is something else
 * @example await app.submit(welcome, input, { tx: drizzleTransaction(trx, sql) })
 */
export function drizzleTransaction(
  trx: DrizzleLike,
  sql: { raw(text: string): unknown; param(value: any): unknown; join(chunks: any): unknown },
): SqlTransaction {
  if (!has(trx, 'execute') || !has(sql, 'raw', 'param', 'join'))
    throw unusable('`drizzleTransaction` needs a transaction of Drizzle and its `sql`.', GIVE)
  const chunk = (part: string, values: readonly (string | null)[]) =>
    /^\$\d+$/.test(part) ? sql.param(values[Number(part.slice(1)) - 1]) : sql.raw(part)
  return keptFor(trx, {
    query: (text, values = []) =>
      trx.execute(sql.join(text.split(/(\$\d+)/).map((part) => chunk(part, values)))) as PromiseLike<{ rows: Row[] }>,
  })
}

/** One for each transaction, so that two submits in it know of each other. */
const kept = new WeakMap<object, SqlTransaction>()

function keptFor(trx: object, made: SqlTransaction): SqlTransaction {
  const known = kept.get(trx) ?? made
  kept.set(trx, known)
  return known
}
