/**
 * A plan is store logic written once and driven by either database: a generator that yields statements and is handed
 * their answers. SQLite runs a plan to its end in one turn of the loop, so nothing can come between; PostgreSQL awaits
 * each statement. A plan never opens a transaction and never knows which database it runs on.
 */

export type Value = string | number | null
export type Row = Record<string, any>

/** `rows`: all rows of one statement. `each`: the first row (or undefined) per parameter list. `changes`: rows changed per parameter list. */
export interface Statement {
  sql: string
  params: readonly (readonly Value[])[]
  want: 'rows' | 'each' | 'changes'
}

export type Plan<T> = Generator<Statement, T, any>

export function* all<T = Row>(sql: string, ...params: Value[]): Plan<T[]> {
  return (yield { sql, params: [params], want: 'rows' }) as T[]
}

export function* one<T = Row>(sql: string, ...params: Value[]): Plan<T | undefined> {
  return ((yield { sql, params: [params], want: 'rows' }) as T[])[0]
}

/** One look-up per parameter list. */
export function* each<T = Row>(sql: string, params: readonly (readonly Value[])[]): Plan<(T | undefined)[]> {
  return params.length === 0 ? [] : ((yield { sql, params, want: 'each' }) as (T | undefined)[])
}

/** The statement once per parameter list; how many rows each changed. */
export function* run(sql: string, params: readonly (readonly Value[])[]): Plan<number[]> {
  return params.length === 0 ? [] : ((yield { sql, params, want: 'changes' }) as number[])
}

/** What the shared logic needs of a database. */
export interface Driver {
  /** Runs a plan in one transaction; resolves after its commit is on disk. `write: false` must not change rows. */
  transact<T>(plan: () => Plan<T>, write: boolean): Promise<T>
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
  /** Text that changes table definitions: key type of a counter, table suffix. */
  serial: string
  tableSuffix: string
}
