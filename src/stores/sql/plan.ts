/**
 * A plan is store logic written once and driven by either database: a generator that yields statements and is handed
 * their answers. SQLite runs a plan to its end in one turn of the loop, so nothing can come between; PostgreSQL awaits
 * each statement. A plan never opens a transaction and never knows which database it runs on.
 */

import type { SqlTransaction } from '../store.js'
import type { Told } from './shared.js'

export type Value = string | number | null
export type Row = Record<string, any>

/**
 * `rows`: all rows of one statement. `later`: the same, but they are waited for only when they are needed (`Asked`).
 * `each`: the first row (or undefined) per parameter list. `changes`: rows changed per parameter list. `none`: nothing is
 * asked, so that a database over a line need not be waited for; whether it failed is known at the commit at the latest.
 */
export interface Statement {
  sql: string
  params: readonly (readonly Value[])[]
  want: 'rows' | 'later' | 'each' | 'changes' | 'none'
}

/** Rows that were asked for, and on which nothing depends yet: what does not need them is sent meanwhile. */
export class Asked {
  constructor(readonly rows: readonly Row[] | Promise<readonly Row[]>) {}
}

export type Plan<T> = Generator<Statement | Asked, T, any>

export function* all<T = Row>(sql: string, ...params: Value[]): Plan<T[]> {
  return (yield { sql, params: [params], want: 'rows' }) as T[]
}

export function* one<T = Row>(sql: string, ...params: Value[]): Plan<T | undefined> {
  return ((yield { sql, params: [params], want: 'rows' }) as T[])[0]
}

/** Asks for rows without waiting for them: over a line, several such questions are one way there and back. */
export function* ask(sql: string, ...params: Value[]): Plan<Asked> {
  return yield { sql, params: [params], want: 'later' }
}

/** Waits for what was asked. */
export function* answerTo(asked: Asked): Plan<Row[]> {
  return yield asked
}

/** One look-up per parameter list. */
export function* each<T = Row>(sql: string, params: readonly (readonly Value[])[]): Plan<(T | undefined)[]> {
  return params.length === 0 ? [] : ((yield { sql, params, want: 'each' }) as (T | undefined)[])
}

/** The statement once per parameter list; how many rows each changed. */
export function* run(sql: string, params: readonly (readonly Value[])[]): Plan<number[]> {
  return params.length === 0 ? [] : ((yield { sql, params, want: 'changes' }) as number[])
}

/** Like `run`, where nobody asks how many rows it changed. */
export function* put(sql: string, params: readonly (readonly Value[])[]): Plan<void> {
  if (params.length > 0) yield { sql, params, want: 'none' }
}

/**
 * From here to the end of the transaction nobody else is behind this name. For rules over rows that are not there yet,
 * or over their number; rules over one row hold the row.
 */
export function* hold(names: readonly string[], { name }: Dialect): Plan<void> {
  // In one order everywhere, so that two never wait for each other.
  if (name !== null)
    yield* put(
      name,
      [...names].sort().map((one) => [one]),
    )
}

/** Like `hold`, for those that only rely on what is behind the name: they keep out who holds it, not each other. */
export function* share(name: string, { nameShared }: Dialect): Plan<void> {
  if (nameShared !== null) yield* put(nameShared, [[name]])
}

/** What the shared logic needs of a database. */
export interface Driver {
  /**
   * Runs a plan in one transaction; resolves after its commit is on disk. `write: false` must not change rows.
   * @param behind asked when all is written: what other processes are told as soon as it is committed
   */
  transact<T>(plan: () => Plan<T>, write: boolean, behind?: () => Told | null): Promise<T>
  /** Commits that may be under way at a time; what arrives meanwhile shares the next one. */
  readonly flights: number
  /** Runs a plan inside a transaction that others have begun and will end. Absent where that cannot be. */
  within?<T>(within: SqlTransaction, plan: () => Plan<T>): Promise<T>
  /** Calls `fn` when the work that has arrived so far has been read: what comes in one turn shares a transaction. */
  defer(fn: () => void): void
  now(): number
  dialect: Dialect
  /** Turns a database error into one of ours: what happened, whether anything is stored. */
  explain(error: unknown): Error
  /** Numbers for `doctor`. */
  check(): Promise<Record<string, string | number>>
  /** Gives space back after rows were removed. */
  tidy(): Promise<void>
  close(): Promise<void>
}

/** A packed row as `dialect.tuple` gives it. */
export type Tuple = any[]

export function unpack(packed: unknown): Tuple {
  return typeof packed === 'string' ? (JSON.parse(packed) as Tuple) : (packed as Tuple)
}

/** The few places where the two databases need other words. */
export interface Dialect {
  /** Condition `column is one of the JSON array in parameter n`. */
  inList(column: string, parameter: number): string
  /** Expression that packs columns into one JSON array: reading one value of forty columns is four times as fast as forty values. */
  tuple(columns: string): string
  /** Condition `one of the columns is not null`. */
  anyOf(columns: string): string
  /** Condition `part stands in text`. */
  contains(text: string, part: string): string
  /** Words of table definitions: the type of a counter that is a key, what follows a table, the type of texts. */
  serial: string
  tableSuffix(table: string): string
  textType: string
  /**
   * What follows a query of `live l` (or of any one table) whose rows nobody else may change before the commit, or whose
   * rows only others that read may hold, or that passes over what others hold. Empty where there is one writer.
   */
  held: string
  heldRow: string
  shared: string
  skipHeld: string
  /** Whether an index keeps entries of rows that are gone, so that reading over them costs. */
  keepsEntries: boolean
  /** Statements behind `hold` and `share`; null where there is one writer. */
  name: string | null
  nameShared: string | null
}
